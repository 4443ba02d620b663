/**
 * One half of an exchange on the screen: its first line, its headers in wire order,
 * its body as JSON, form, text or hex.
 *
 * @import {Detail, Field, Message} from './types.js'
 * @import {Form} from './body.js'
 * @import {TreeView} from './treeview.js'
 */
import { bodyAddress } from './api.js';
import * as B from './body.js';
import { copyButton } from './copy.js';
import { h, icon } from './dom.js';
import * as F from './format.js';
import { callout } from './parts.js';
import { T } from './texts.js';
import { createTree } from './treeview.js';

/**
 * @param {HTMLElement} scroller
 * @param {Detail} x
 * @param {'in'|'out'} side in: the request, out: the answer
 * @param {Form|''} chosen how the body was shown before
 * @param {(form: Form) => void} choose
 * @returns {{parts: Node[], tree: TreeView|null}} the tree must be closed when the parts go
 */
export function drawMessage(scroller, x, side, chosen, choose) {
  const m = side === 'in' ? x.request : x.response;
  if (!m) return { parts: [h('div', { class: 'note' }, ...noAnswer(x))], tree: null };
  const ways = B.forms(m);
  const way = ways.find((w) => w === chosen) ?? ways[0];
  const body = drawBody(scroller, m, side, way);
  const parts = [
    h('p', { class: 'first-line' }, h('bdi', { class: 'mono' }, firstLine(x, m, side)), from(x, m, side)),
    side === 'out' && x.fault
      ? callout('bad', '', h('span', null, T.message.partial, ': ', h('bdi', null, F.brief(x.fault, 500))))
      : null,
    fieldsTable(T.message.headers, m.headers, `${side}-headers`),
    m.trailers?.length ? fieldsTable(T.message.trailers, m.trailers, `${side}-trailers`) : null,
    h(
      'section',
      { class: 'block', 'aria-labelledby': `${side}-body-title` },
      h(
        'header',
        { class: 'block-head' },
        h(
          'h3',
          { id: `${side}-body-title` },
          T.message.body,
          h('small', null, F.bytes(m.size)),
          m.decoded && h('small', null, T.message.decoded(F.shown(m.decoded))),
        ),
        ways.length > 1 && formSwitch(ways, way, side, choose),
        ways.length > 0 &&
          h(
            'span',
            { class: 'tool-group' },
            m.body !== undefined && copyButton(T.message.copyBody, m.body, { id: `${side}-copy-body` }),
            h(
              'a',
              {
                class: 'button quiet-button',
                href: bodyAddress(x.id, side),
                download: '',
                title: T.message.download,
                'aria-label': `${T.message.download}: ${T.message.body}`,
              },
              icon('download'),
            ),
          ),
      ),
      ...body.parts,
    ),
  ];
  return { parts: parts.filter((part) => part !== null), tree: body.tree };
}

/** @param {Detail} x */
function noAnswer(x) {
  if (!x.fault) return [icon('clock', 'large'), h('p', { class: 'quiet' }, T.message.waiting)];
  return [
    icon('warning', 'large bad'),
    h('h3', null, T.message.noResponse),
    h('p', { class: 'bad' }, h('bdi', null, F.brief(x.fault, 500))),
  ];
}

/** @param {Detail} x @param {Message} m @param {'in'|'out'} side */
function firstLine(x, m, side) {
  if (side === 'in') return F.brief(`${x.method} ${m.target || x.path} ${m.proto ?? ''}`, 2000);
  return `${m.proto ?? 'HTTP/1.1'} ${m.status ?? x.status}`;
}

/** @param {Detail} x @param {Message} m @param {'in'|'out'} side */
function from(x, m, side) {
  const words = [];
  if (side === 'in' && m.host) words.push(F.brief(m.host, 200));
  if (side === 'in' && m.remote) words.push(`${T.message.from} ${F.brief(m.remote, 100)}`);
  if (side === 'out' && x.answered_by) words.push(`${T.message.from} ${F.answeredBy(x)}`);
  return words.length ? h('bdi', { class: 'quiet' }, words.join(' · ')) : null;
}

/** @param {string} title @param {Field[]} fields @param {string} id */
function fieldsTable(title, fields, id) {
  const all = () => fields.map((f) => `${f.name}: ${f.value}`).join('\n');
  return h(
    'section',
    { class: 'block', 'aria-labelledby': `${id}-title` },
    h(
      'header',
      { class: 'block-head' },
      h('h3', { id: `${id}-title` }, title, h('small', null, fields.length)),
      fields.length > 0 &&
        h('span', { class: 'tool-group' }, copyButton(T.message.copyHeaders, all, { id: `${id}-copy` })),
    ),
    fields.length
      ? h(
          'table',
          { class: 'fields', id },
          h(
            'tbody',
            null,
            ...fields.map((f) =>
              h(
                'tr',
                null,
                h('th', { scope: 'row' }, h('bdi', null, F.shown(f.name))),
                h('td', null, h('bdi', null, F.shown(f.value))),
              ),
            ),
          ),
        )
      : h('p', { class: 'quiet' }, T.message.noHeaders),
  );
}

/** @param {Form[]} ways @param {Form|undefined} way @param {'in'|'out'} side @param {(form: Form) => void} choose */
function formSwitch(ways, way, side, choose) {
  return h(
    'div',
    { class: 'switch', role: 'group', 'aria-label': T.message.shownAs },
    ...ways.map((w) =>
      h(
        'button',
        { type: 'button', id: `${side}-as-${w}`, 'aria-pressed': w === way ? 'true' : 'false', click: () => choose(w) },
        T.message[w],
      ),
    ),
  );
}

/**
 * @param {HTMLElement} scroller @param {Message} m @param {'in'|'out'} side @param {Form|undefined} way
 * @returns {{parts: Node[], tree: TreeView|null}}
 */
function drawBody(scroller, m, side, way) {
  /** @type {Node[]} */
  const parts = [];
  if (m.truncated) {
    const kept = F.bytes(B.bytesOf(m).length);
    parts.push(callout('warn', '', T.message.truncated(kept, F.bytes(m.size))));
  }
  if (way === undefined) {
    parts.push(h('p', { class: 'quiet' }, T.message.noBody));
    return { parts, tree: null };
  }
  if (way === 'json') {
    const tree = createTree(scroller, { name: `${side}-tree`, label: T.message.tree[side], find: T.message.find[side] });
    tree.show(B.parseJSON(m.body) ?? null, true);
    parts.push(tree.bar, tree.tree);
    return { parts, tree };
  }
  if (way === 'form') parts.push(formTable(m.body ?? ''));
  else parts.push(...textBlock(m, way));
  return { parts, tree: null };
}

/** @param {string} body */
function formTable(body) {
  return h(
    'table',
    { class: 'fields' },
    h(
      'tbody',
      null,
      ...B.formFields(body).map(({ name, value }) =>
        h(
          'tr',
          null,
          h('th', { scope: 'row' }, h('bdi', null, F.brief(name, 200))),
          h('td', null, h('bdi', null, F.shown(value.slice(0, B.SHOWN)))),
        ),
      ),
    ),
  );
}

/** @param {Message} m @param {'text'|'hex'} way @returns {Node[]} */
function textBlock(m, way) {
  const bytes = B.bytesOf(m);
  const cut = bytes.length > B.SHOWN;
  const text = way === 'hex' ? B.hex(bytes) : F.shownLines((m.body ?? '').slice(0, B.SHOWN));
  const block = h(
    'pre',
    { class: way === 'hex' ? 'bytes' : 'text', tabindex: 0, role: 'region', 'aria-label': T.message.body },
    text,
  );
  return cut ? [block, h('p', { class: 'quiet' }, T.message.cut(F.bytes(B.SHOWN), F.bytes(bytes.length)))] : [block];
}
