/**
 * The dialog that changes a request before it is sent again: its decoded payload, or
 * the bytes of its body.
 *
 * @import {Detail, Json, Replay} from './types.js'
 */
import * as B from './body.js';
import { openDialog } from './dialog.js';
import { h } from './dom.js';
import { T } from './texts.js';

/**
 * @param {Detail} x with its tokens
 * @param {boolean} signs what is sent gets a new signature
 * @param {(what: Omit<Replay, 'id'>) => Promise<boolean>} send
 */
export function editDialog(x, signs, send) {
  const payload = isBranch(x.slack) ? x.slack : null;
  const raw = x.request.truncated || x.request.decoded ? undefined : x.request.body;
  if (!payload && raw === undefined) {
    openDialog({ id: 'edit-dialog', title: T.edit.title, body: [h('p', null, T.edit.impossible)] });
    return;
  }
  const whole = payload ? JSON.stringify(payload, null, 2) : '';
  const helps = { payload: T.edit.payloadHelp(signs), raw: T.edit.rawHelp(signs) };
  let way = payload ? 'payload' : 'raw';
  const texts = { payload: whole, raw: raw ?? '' };

  const area = h('textarea', {
    class: 'code',
    id: 'edit-text',
    spellcheck: 'false',
    autocomplete: 'off',
    autofocus: true,
    'aria-describedby': 'edit-help edit-error',
  });
  const help = h('p', { class: 'help', id: 'edit-help' });
  const error = h('p', { class: 'form-error', id: 'edit-error', role: 'alert' });
  const choice = h(
    'div',
    { class: 'switch', role: 'group', 'aria-label': T.edit.what },
    ...[payload && way1('payload', T.edit.payload), raw !== undefined && way1('raw', T.edit.raw)].filter(
      (b) => b instanceof Node,
    ),
  );

  /** @param {'payload'|'raw'} name @param {string} word */
  function way1(name, word) {
    return h('button', { type: 'button', id: `edit-${name}`, 'data-way': name, click: () => choose(name) }, word);
  }

  /** @param {'payload'|'raw'} next */
  function choose(next) {
    texts[way === 'payload' ? 'payload' : 'raw'] = area.value;
    way = next;
    show();
  }

  function show() {
    area.value = way === 'payload' ? texts.payload : texts.raw;
    area.setAttribute('aria-label', way === 'payload' ? T.edit.payload : T.edit.raw);
    help.textContent = helps[way === 'payload' ? 'payload' : 'raw'];
    for (const b of choice.children) b.setAttribute('aria-pressed', String(b.getAttribute('data-way') === way));
    check();
  }

  /** What is to be sent, or null when that is not clear. @returns {Omit<Replay, 'id'>|null} */
  function wanted() {
    if (way === 'raw') return area.value === raw ? {} : { body: area.value };
    /** @type {Json} */
    let after;
    try {
      after = JSON.parse(area.value);
    } catch (err) {
      error.textContent = `${T.edit.invalid}: ${err instanceof Error ? err.message : ''}`;
      return null;
    }
    const set = B.edits(/** @type {Json} */ (payload), after, !B.forms(x.request).includes('json'));
    if (!set) {
      error.textContent = T.edit.whole;
      return null;
    }
    return set.length ? { set } : {};
  }

  function check() {
    error.textContent = '';
    const what = wanted();
    area.setAttribute('aria-invalid', String(what === null));
    if (what && Object.keys(what).length === 0) help.textContent = T.edit.same;
    else help.textContent = helps[way === 'payload' ? 'payload' : 'raw'];
  }

  area.addEventListener('input', check);
  const dialog = openDialog({
    id: 'edit-dialog',
    title: T.edit.title,
    yes: T.edit.send,
    wide: true,
    body: [choice, area, error, help],
    submit: async () => {
      const what = wanted();
      if (!what) return area.focus();
      dialog.close();
      await send(what);
    },
  });
  show();
  area.setSelectionRange(0, 0);
  area.focus();
}

/** @param {Json} v */
function isBranch(v) {
  return typeof v === 'object' && v !== null;
}
