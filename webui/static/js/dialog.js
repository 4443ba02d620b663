/**
 * Dialogs: the platform's own <dialog>, which keeps the focus inside and gives it
 * back. One stands at a time; it is gone from the document when it closes.
 *
 * @import {Child} from './dom.js'
 */
import { h } from './dom.js';
import { iconButton } from './parts.js';
import { T } from './texts.js';

/**
 * @param {object} what
 * @param {string} what.id
 * @param {string} what.title
 * @param {Child[]} what.body
 * @param {string} [what.yes] the word on the button that does it; without it there is only Close
 * @param {'plain'|'danger'} [what.tone]
 * @param {boolean} [what.wide]
 * @param {() => void|Promise<void>} [what.submit] the dialog stays open unless it calls close
 */
export function openDialog({ id, title, body, yes = '', tone = 'plain', wide = false, submit }) {
  const send =
    yes &&
    h(
      'button',
      { class: tone === 'danger' ? 'button danger' : 'button primary', type: 'submit', id: `${id}-yes` },
      yes,
    );
  const form = h(
    'form',
    {
      method: 'dialog',
      novalidate: true,
      submit: (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        if (submit) void submit();
        else dialog.close();
      },
    },
    h(
      'header',
      null,
      h('h2', { id: `${id}-title` }, title),
      iconButton('cross', T.dialog.close, () => dialog.close()),
    ),
    h('div', { class: 'dialog-body' }, ...body),
    send &&
      h(
        'footer',
        null,
        h('button', { class: 'button', type: 'button', id: `${id}-no`, click: () => dialog.close() }, T.dialog.cancel),
        send,
      ),
  );
  const dialog = h('dialog', { id, class: wide ? 'dialog wide' : 'dialog', 'aria-labelledby': `${id}-title` }, form);
  dialog.addEventListener('close', () => dialog.remove());
  document.getElementById(id)?.remove();
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks, and resolves to whether the answer was yes.
 * @param {{id: string, title: string, text: string, yes: string}} what
 * @returns {Promise<boolean>}
 */
export function confirm({ id, title, text, yes }) {
  return new Promise((resolve) => {
    let agreed = false;
    const dialog = openDialog({
      id,
      title,
      yes,
      tone: 'danger',
      body: [h('p', null, text)],
      submit: () => {
        agreed = true;
        dialog.close();
      },
    });
    dialog.addEventListener('close', () => resolve(agreed));
    document.getElementById(`${id}-yes`)?.focus();
  });
}

/** Whether a dialog, or something else that Escape closes, is open. */
export function dialogOpen() {
  return document.querySelector('dialog[open], :popover-open') !== null;
}

/**
 * A labelled field of a form.
 * @param {string} label
 * @param {HTMLElement} control gets an id when it has none
 * @param {string} [help]
 */
export function field(label, control, help = '') {
  control.id ||= `field-${++fields}`;
  const about = help && h('span', { class: 'help', id: `${control.id}-help` }, help);
  if (about) control.setAttribute('aria-describedby', about.id);
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control, about);
}

let fields = 0;
