/**
 * A JSON document as a tree on the screen: opens, closes, finds, copies. Only the
 * lines that can be seen are in the document, so its size does not matter.
 *
 * @import {Json} from './types.js'
 * @import {Row} from './tree.js'
 */
import { attribute, h, icon, keyed, refill, text } from './dom.js';
import { copyText } from './copy.js';
import * as F from './format.js';
import { iconButton } from './parts.js';
import { say } from './say.js';
import { T } from './texts.js';
import * as Tree from './tree.js';
import * as W from './window.js';

/** Deeper levels are not indented any further. */
const DEEPEST = 24;

/**
 * @param {HTMLElement} scroller what scrolls the tree; the tree has all of its height
 * @param {{name: string, label: string, find: string, tools?: (Node|null)[]}} look name: unique in the page, for ids; label: what the document is; find: what the search field is for
 */
export function createTree(scroller, { name, label, find, tools = [] }) {
  /** @type {Json} */
  let doc = null;
  /** @type {Set<string>} */
  let open = new Set();
  /** @type {Row[]} */
  let rows = [];
  /** The chosen line; the root's ID is ''. @type {string|null} */
  let active = null;
  let needle = '';
  /** @type {string[][]} */
  let matches = [];
  let match = -1;
  let columns = 80;
  let row = 22;
  let painting = false;

  const finder = h('input', {
    type: 'search',
    id: `${name}-find`,
    placeholder: find,
    'aria-label': find,
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const found = h('output', { class: 'found', for: `${name}-find` });
  const box = h('div', { class: 'tree-rows', role: 'presentation' });
  const tree = h('div', { class: 'tree', role: 'tree', tabindex: 0, 'aria-label': label, id: name }, box);
  const bar = h(
    'div',
    { class: 'tools', role: 'group', 'aria-label': label },
    h(
      'span',
      { class: 'find' },
      icon('search'),
      finder,
      found,
      iconButton('previous', T.payload.previous, () => step(-1)),
      iconButton('next', T.payload.next, () => step(1)),
    ),
    h(
      'span',
      { class: 'tool-group' },
      iconButton('expand', T.payload.expand, () => openOnly(Tree.allBranches(doc))),
      iconButton('collapse', T.payload.collapse, () => openOnly(new Set(['']))),
      wordButton('copy', T.payload.copyValue, 'c', copyValue, `${name}-copy-value`),
      wordButton('path', T.payload.copyPath, 'C', copyPath, `${name}-copy-path`),
      ...tools,
    ),
  );

  /** @param {Set<string>} next */
  function openOnly(next) {
    open = next;
    relay();
  }

  /** Lays the lines anew. */
  function relay() {
    rows = Tree.flatten(doc, open, columns);
    paint();
  }

  function paint() {
    painting = false;
    const at = place();
    const win = W.visible(at);
    tree.style.setProperty('height', `${win.total}px`);
    box.style.setProperty('transform', `translateY(${win.offset}px)`);
    const activeAt = rows.findIndex((r) => r.id === active);
    keyed(
      box,
      rows.slice(win.first, win.end),
      (r) => r.id,
      () => h('div', { class: 'node', role: 'treeitem' }),
      (el, r, i) => {
        drawNode(el, r, needle);
        attribute(el, 'id', `${name}-${win.first + i}`);
        attribute(el, 'aria-selected', r.id === active ? 'true' : 'false');
      },
    );
    attribute(
      tree,
      'aria-activedescendant',
      activeAt >= win.first && activeAt < win.end ? `${name}-${activeAt}` : null,
    );
  }

  /** Where the scroller stands over the tree. */
  function place() {
    const above = scroller.getBoundingClientRect().top - tree.getBoundingClientRect().top;
    return { scroll: Math.max(0, above), view: scroller.clientHeight, row, count: rows.length };
  }

  function scrolled() {
    if (painting) return;
    painting = true;
    requestAnimationFrame(paint);
  }

  function resized() {
    const style = getComputedStyle(tree);
    row = parseFloat(style.getPropertyValue('--tree-row-h')) || 22;
    const fit = Math.max(20, Math.floor(tree.clientWidth / (parseFloat(style.fontSize) * 0.602)) - 4);
    if (fit !== columns) {
      columns = fit;
      relay();
    } else paint();
  }

  /** @param {string} id */
  function activate(id) {
    active = id;
    const at = rows.findIndex((r) => r.id === id);
    if (at >= 0) {
      // The height first: a position beyond it would be cut.
      tree.style.setProperty('height', `${rows.length * row}px`);
      const now = place();
      const above = scroller.getBoundingClientRect().top - tree.getBoundingClientRect().top;
      const head = bar.offsetHeight;
      const wanted = W.reveal(at, { ...now, scroll: above + head, view: now.view - head - 2 * row });
      scroller.scrollTop += wanted - (above + head);
    }
    paint();
  }

  /** @param {Row} r @param {boolean} [to] */
  function toggle(r, to = !r.open) {
    if (!r.opens) return;
    if (to) open.add(r.id);
    else open.delete(r.id);
    relay();
  }

  const current = () => rows.find((r) => r.id === active) ?? rows[0];

  async function copyValue() {
    const r = current();
    if (!r) return;
    const value = typeof r.value === 'string' ? r.value : JSON.stringify(r.value, null, 2);
    say((await copyText(value)) ? T.payload.copiedValue : T.copy.failed);
  }

  async function copyPath() {
    const r = current();
    if (r) say((await copyText(Tree.dotted(r.path))) ? T.payload.copiedPath : T.copy.failed);
  }

  /** @param {string} wanted */
  function search(wanted) {
    needle = wanted.trim();
    matches = Tree.find(doc, needle);
    match = -1;
    if (matches.length) step(1);
    else {
      text(found, needle ? T.payload.found(0, 0, false) : '');
      paint();
    }
  }

  /** @param {number} by */
  function step(by) {
    if (!matches.length) return;
    match = (match + by + matches.length) % matches.length;
    const path = /** @type {string[]} */ (matches[match]);
    for (const id of Tree.ancestors(path)) open.add(id);
    rows = Tree.flatten(doc, open, columns);
    // What was found in a long text may stand beyond its first line.
    const hit = rows.find((r) => r.id === Tree.pointer(path));
    if (hit?.type === 'string' && hit.opens && !hit.open) {
      open.add(hit.id);
      rows = Tree.flatten(doc, open, columns);
    }
    text(found, T.payload.found(match + 1, matches.length, matches.length >= Tree.MOST_MATCHES));
    activate(Tree.pointer(path));
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Math.max(
      0,
      rows.findIndex((r) => r.id === active),
    );
    const r = rows[at];
    if (!r) return;
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowDown: () => activate(rows[Math.min(rows.length - 1, active === null ? 0 : at + 1)]?.id ?? ''),
      ArrowUp: () => activate(rows[Math.max(0, at - 1)]?.id ?? ''),
      Home: () => activate(rows[0]?.id ?? ''),
      End: () => activate(rows.at(-1)?.id ?? ''),
      ArrowRight: () =>
        r.opens && !r.open ? toggle(r, true) : activate(rows[Math.min(rows.length - 1, at + 1)]?.id ?? ''),
      ArrowLeft: () =>
        r.open
          ? toggle(r, false)
          : activate(r.type === 'line' ? Tree.pointer(r.path) : Tree.pointer(r.path.slice(0, -1))),
      Enter: () => toggle(r),
      ' ': () => toggle(r),
      c: () => void copyValue(),
      C: () => void copyPath(),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  finder.addEventListener('input', () => search(finder.value));
  finder.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1);
  });
  tree.addEventListener('keydown', key);
  tree.addEventListener('click', (event) => {
    const el = event.target instanceof Element ? event.target.closest('.node') : null;
    const r = el && rows[Number(el.id.slice(name.length + 1))];
    // Marked text is about to be copied: the click only ended the marking.
    if (!r || !getSelection()?.isCollapsed) return;
    active = r.id;
    if (r.opens) toggle(r);
    else paint();
  });
  scroller.addEventListener('scroll', scrolled, { passive: true });
  const watch = new ResizeObserver(resized);
  watch.observe(tree);

  return {
    bar,
    tree,
    /**
     * Shows a document.
     * @param {Json} next @param {boolean} fresh another document: what was open and found is forgotten
     */
    show(next, fresh) {
      doc = next;
      if (fresh) {
        open = Tree.openAtFirst(doc);
        active = null;
        finder.value = '';
        needle = '';
        matches = [];
        text(found, '');
      } else if (needle) matches = Tree.find(doc, needle);
      relay();
    },
    /** Ends the tree's work when its element leaves the page. */
    close() {
      watch.disconnect();
      scroller.removeEventListener('scroll', scrolled);
    },
  };
}

/** @typedef {ReturnType<typeof createTree>} TreeView */

/** @param {string} picture @param {string} word @param {string} key @param {() => void} click @param {string} id */
function wordButton(picture, word, key, click, id) {
  const about = { class: 'button quiet-button', type: 'button', id, title: `${word} (${key})`, click };
  return h('button', about, icon(picture), h('span', null, word));
}

/** What a node shows, so that the same is not drawn again. @type {WeakMap<Element, string>} */
const drawn = new WeakMap();

/** @param {HTMLElement} el @param {Row} r @param {string} needle */
function drawNode(el, r, needle) {
  el.style.setProperty('--depth', String(Math.min(r.depth, DEEPEST)));
  attribute(el, 'data-type', r.type);
  attribute(el, 'aria-level', r.depth + 1);
  attribute(el, 'aria-expanded', r.opens ? String(r.open) : null);
  const look = `${r.id}\0${r.text}\0${r.size}\0${r.open}\0${r.opens}\0${needle}`;
  if (drawn.get(el) === look) return;
  drawn.set(el, look);
  const body = h('bdi', { class: 'node-value' });
  body.append(...marked(F.shown(r.text || branchText(r)), needle));
  const size = r.type === 'string' && r.opens ? h('span', { class: 'node-size' }, T.payload.characters(r.size)) : null;
  refill(
    el,
    h('span', { class: 'twisty' }, r.opens && icon('open')),
    r.key !== '' && h('bdi', { class: 'node-key' }, ...marked(F.shown(r.key), needle)),
    r.key !== '' && h('span', { class: 'node-colon' }, ':'),
    body,
    size,
  );
}

/** @param {Row} r */
function branchText(r) {
  if (r.type === 'array') return r.size ? `[ ${T.payload.items(r.size)} ]` : '[ ]';
  if (r.type === 'object') return r.size ? `{ ${T.payload.keys(r.size)} }` : '{ }';
  return '';
}

/** The text with what was searched for marked. @param {string} whole @param {string} needle @returns {(Node|string)[]} */
function marked(whole, needle) {
  if (!needle) return [whole];
  /** @type {(Node|string)[]} */
  const parts = [];
  const low = whole.toLowerCase();
  const wanted = needle.toLowerCase();
  let from = 0;
  // Where lower case has another length, positions would not fit: then nothing is marked.
  for (let at = low.length === whole.length ? low.indexOf(wanted) : -1; at >= 0; at = low.indexOf(wanted, from)) {
    parts.push(whole.slice(from, at), h('mark', null, whole.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  parts.push(whole.slice(from));
  return parts;
}
