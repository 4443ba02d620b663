/**
 * A body as people read it: JSON, a form, text, or bytes. Pure functions.
 *
 * @import {Json, Message} from './types.js'
 *
 * @typedef {'json'|'form'|'text'|'hex'} Form
 */
import { dotted } from './tree.js';

/** As much of a body as one view shows; the rest is in the download. */
export const SHOWN = 64 << 10;

/** A JSON body longer than this is shown as text. */
const MOST_JSON = 8 << 20;

/** @param {Message} m @param {string} name in lower case */
export function header(m, name) {
  return m.headers.find((f) => f.name.toLowerCase() === name)?.value ?? '';
}

/** The kept bytes of a body. @param {Message} m @returns {Uint8Array} */
export function bytesOf(m) {
  if (m.body !== undefined) return new TextEncoder().encode(m.body);
  try {
    return Uint8Array.from(atob(m.body_base64 ?? ''), (c) => c.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/**
 * The document in a text, undefined where it is none.
 * @param {string|undefined} text
 * @returns {Json|undefined}
 */
export function parseJSON(text) {
  if (text === undefined || text.length > MOST_JSON) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The fields of a form in their order, what cannot be decoded as it stands.
 * @param {string} text
 * @param {number} [most]
 * @returns {{name: string, value: string}[]}
 */
export function formFields(text, most = 1000) {
  if (!text) return [];
  return text
    .split('&', most)
    .filter(Boolean)
    .map((pair) => {
      const i = pair.indexOf('=');
      return i < 0
        ? { name: decode(pair), value: '' }
        : { name: decode(pair.slice(0, i)), value: decode(pair.slice(i + 1)) };
    });
}

/** @param {string} s */
function decode(s) {
  try {
    return decodeURIComponent(s.replaceAll('+', ' '));
  } catch {
    return s;
  }
}

/**
 * The ways in which a body can be shown, the best first.
 * @param {Message} m
 * @returns {Form[]}
 */
export function forms(m) {
  if (m.body === undefined) return m.body_base64 ? ['hex'] : [];
  if (m.body === '') return [];
  const type = header(m, 'content-type').toLowerCase();
  const first = m.body.trimStart()[0] ?? '';
  /** @type {Form[]} */
  const found = ['text', 'hex'];
  if ('{['.includes(first) && parseJSON(m.body) !== undefined) found.unshift('json');
  else if (type.startsWith('application/x-www-form-urlencoded')) found.unshift('form');
  return found;
}

/**
 * Bytes as lines of sixteen: offset, hex, and what is ASCII.
 * @param {Uint8Array} bytes
 * @param {number} [most] bytes
 */
export function hex(bytes, most = SHOWN) {
  /** @type {string[]} */
  const lines = [];
  const end = Math.min(bytes.length, most);
  for (let at = 0; at < end; at += 16) {
    const row = [...bytes.subarray(at, Math.min(at + 16, end))];
    const pairs = row.map((b) => b.toString(16).padStart(2, '0'));
    const left = pairs.slice(0, 8).join(' ').padEnd(23);
    const right = pairs.slice(8).join(' ').padEnd(23);
    const text = row.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${left}  ${right}  ${text}`);
  }
  return lines.join('\n');
}

/**
 * The changes that make `before` into `after`, as `set` of a replay takes them. A key
 * that went cannot be named: then the object around it is set as a whole.
 * @param {Json} before
 * @param {Json} after
 * @param {boolean} form the outermost values are fields of a form: text, and no JSON
 * @returns {{path: string, value: string}[]|null} null where only a whole new body would do
 */
export function edits(before, after, form) {
  const found = changes(before, after, []);
  if (found.some(({ path }) => dotted(path) === '')) return null;
  return found.map(({ path, value }) => {
    const plain = form && path.length === 1 && typeof value === 'string';
    return { path: dotted(path), value: plain ? value : JSON.stringify(value) };
  });
}

/**
 * @param {Json} before @param {Json} after @param {string[]} path
 * @returns {{path: string[], value: Json}[]}
 */
function changes(before, after, path) {
  if (same(before, after)) return [];
  const inside = isObject(before) && isObject(after) && keeps(before, after);
  const beside = Array.isArray(before) && Array.isArray(after) && before.length === after.length;
  if (!inside && !beside) return [{ path, value: after }];
  const old = new Map(Object.entries(before));
  return Object.entries(after).flatMap(([key, value]) => {
    const was = old.get(key);
    return was === undefined ? [{ path: [...path, key], value }] : changes(was, value, [...path, key]);
  });
}

/** Whether every key of `before` is in `after`. @param {{[key: string]: Json}} before @param {{[key: string]: Json}} after */
function keeps(before, after) {
  return Object.keys(before).every((key) => Object.hasOwn(after, key));
}

/** @param {Json} v @returns {v is {[key: string]: Json}} */
function isObject(v) {
  return typeof v === 'object' && v !== null && !Array.isArray(v);
}

/** @param {Json} a @param {Json} b */
function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
