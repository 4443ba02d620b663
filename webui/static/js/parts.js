/**
 * Elements that several panels use.
 *
 * @import {Attributes, Child} from './dom.js'
 */
import { h, icon } from './dom.js';

/**
 * A button that is a picture; its label is its name and its tip.
 * @param {string} picture
 * @param {string} label
 * @param {() => void} click
 * @param {Attributes} [more]
 */
export function iconButton(picture, label, click, more = {}) {
  return h(
    'button',
    { class: 'button quiet-button', type: 'button', 'aria-label': label, title: label, click, ...more },
    icon(picture),
  );
}

/**
 * Something that must not be overlooked.
 * @param {'warn'|'bad'} tone
 * @param {string} id
 * @param {...Child} children
 */
export function callout(tone, id, ...children) {
  return h('div', { class: 'callout', 'data-tone': tone, id: id || null }, icon('warning'), ...children);
}
