/**
 * A JSON document as lines of a tree that opens and closes, all of one height, so
 * that a window over them stays small whatever the document holds. Pure functions.
 *
 * @import {Json} from './types.js'
 *
 * @typedef {object} Row
 * @property {string} id the JSON pointer, and for the lines of an opened text #N behind it
 * @property {string[]} path
 * @property {number} depth
 * @property {string} key what stands before the colon, '' for the root and for lines of a text
 * @property {'object'|'array'|'string'|'number'|'boolean'|'null'|'line'} type
 * @property {string} text what to show: a scalar, a line of a text, or '' for a branch
 * @property {number} size children of a branch, characters of a string
 * @property {boolean} opens it can be opened
 * @property {boolean} open
 * @property {Json} value
 */

/** A text longer than this opens into lines of its own. */
export const LONG = 120;

/** Documents with at most this many nodes start open throughout. */
const SMALL = 300;

/** Matches that a search counts; nobody steps through more. */
export const MOST_MATCHES = 1000;

/**
 * The JSON pointer (RFC 6901) of a path; '' is the document.
 * @param {string[]} path
 */
export function pointer(path) {
  return path.map((key) => '/' + key.replaceAll('~', '~0').replaceAll('/', '~1')).join('');
}

/**
 * The path as `slackdev replay --set` takes it: actions.0.value; a dot inside a key is \.
 * @param {string[]} path
 */
export function dotted(path) {
  return path.map((key) => key.replaceAll('\\', '\\\\').replaceAll('.', '\\.')).join('.');
}

/** @param {Json} v @returns {v is Json[]|{[key: string]: Json}} */
function branch(v) {
  return typeof v === 'object' && v !== null;
}

/** @param {Json[]|{[key: string]: Json}} v @returns {[string, Json][]} */
function children(v) {
  return Array.isArray(v) ? v.map((child, i) => [String(i), child]) : Object.entries(v);
}

/**
 * The branches that stand open at first: all of a small document, two levels of a large one.
 * @param {Json} doc
 * @returns {Set<string>} pointers
 */
export function openAtFirst(doc) {
  /** @type {Set<string>} */
  const all = new Set();
  /** @type {{value: Json, path: string[]}[]} */
  const nodes = [{ value: doc, path: [] }];
  for (const { value, path } of nodes) {
    if (!branch(value)) continue;
    all.add(pointer(path));
    const kids = children(value);
    if (nodes.length + kids.length > SMALL) return shallow(doc);
    for (const [key, child] of kids) nodes.push({ value: child, path: [...path, key] });
  }
  return all;
}

/** @param {Json} doc */
function shallow(doc) {
  const open = new Set(['']);
  if (!branch(doc) || Array.isArray(doc)) return open;
  for (const [key, child] of children(doc)) {
    if (branch(child) && children(child).length <= SMALL / 6) open.add(pointer([key]));
  }
  return open;
}

/**
 * The branches of the document, at most `most` of them.
 * @param {Json} doc
 * @param {number} [most]
 */
export function allBranches(doc, most = 20_000) {
  /** @type {Set<string>} */
  const open = new Set();
  walk(doc, (value, path) => {
    if (branch(value)) open.add(pointer(path));
    return open.size < most;
  });
  return open;
}

/**
 * The lines of the tree, those under closed branches left out.
 * @param {Json} doc
 * @param {ReadonlySet<string>} open pointers of opened branches and texts
 * @param {number} [columns] characters that fit in a line
 * @returns {Row[]}
 */
export function flatten(doc, open, columns = 100) {
  /** @type {Row[]} */
  const rows = [];
  // A stack of our own: a stranger's document may be nested deeper than the engine's.
  /** @type {{value: Json, path: string[], key: string}[]} */
  const stack = [{ value: doc, path: [], key: '' }];
  for (let at = stack.pop(); at; at = stack.pop()) {
    const { value, path, key } = at;
    const row = rowOf(value, path, key, open);
    rows.push(row);
    if (!row.open) continue;
    if (typeof value === 'string') rows.push(...linesOf(row, value, columns));
    if (!branch(value)) continue;
    for (const [name, child] of children(value).reverse())
      stack.push({ value: child, path: [...path, name], key: name });
  }
  return rows;
}

/** @param {Row} row an opened text @param {string} value @param {number} columns @returns {Row[]} */
function linesOf(row, value, columns) {
  const depth = row.depth + 1;
  const lines = textLines(value, Math.max(20, columns - 2 * depth));
  return lines.map((text, i) => ({
    ...row,
    id: `${row.id}#${i}`,
    depth,
    key: '',
    type: 'line',
    text,
    size: 0,
    opens: false,
    open: false,
  }));
}

/**
 * @param {Json} value @param {string[]} path @param {string} key @param {ReadonlySet<string>} open
 * @returns {Row}
 */
function rowOf(value, path, key, open) {
  const id = pointer(path);
  const depth = path.length;
  const isOpen = open.has(id);
  if (branch(value)) {
    const size = Array.isArray(value) ? value.length : Object.keys(value).length;
    const type = Array.isArray(value) ? 'array' : 'object';
    return { id, path, depth, key, type, text: '', size, opens: size > 0, open: isOpen && size > 0, value };
  }
  if (typeof value === 'string') {
    const opens = value.length > LONG || value.includes('\n');
    // The line holds what can be seen of it; the value is kept whole.
    const text = JSON.stringify(value.length > 4 * LONG ? value.slice(0, 4 * LONG) : value);
    return { id, path, depth, key, type: 'string', text, size: value.length, opens, open: isOpen && opens, value };
  }
  const type = value === null ? 'null' : typeof value === 'number' ? 'number' : 'boolean';
  return { id, path, depth, key, type, text: String(value), size: 0, opens: false, open: false, value };
}

/**
 * A text in lines of at most `width` characters, at its own line breaks and else
 * wherever the width ends; a wide character (CJK, emoji) counts as two.
 * @param {string} text
 * @param {number} width
 * @param {number} [most] lines; the last says nothing about the rest
 */
export function textLines(text, width, most = 20_000) {
  /** @type {string[]} */
  const lines = [];
  for (const line of text.split('\n')) {
    let from = 0;
    let used = 0;
    let at = 0;
    for (const char of line) {
      const wide = /** @type {number} */ (char.codePointAt(0)) >= 0x1100 ? 2 : 1;
      if (used + wide > width) {
        lines.push(line.slice(from, at));
        if (lines.length >= most) return lines;
        from = at;
        used = 0;
      }
      used += wide;
      at += char.length;
    }
    lines.push(line.slice(from));
    if (lines.length >= most) return lines;
  }
  return lines;
}

/**
 * The nodes whose key or scalar holds `needle`, in either case, in the document's order.
 * @param {Json} doc
 * @param {string} needle
 * @returns {string[][]} paths, at most MOST_MATCHES
 */
export function find(doc, needle) {
  const wanted = needle.toLowerCase();
  /** @type {string[][]} */
  const found = [];
  if (!wanted) return found;
  walk(doc, (value, path) => {
    const key = path.at(-1) ?? '';
    const scalar = branch(value) ? '' : String(value);
    if (key.toLowerCase().includes(wanted) || scalar.toLowerCase().includes(wanted)) found.push(path);
    return found.length < MOST_MATCHES;
  });
  return found;
}

/**
 * What must stand open for `path` to be seen.
 * @param {string[]} path
 */
export function ancestors(path) {
  return path.map((_, i) => pointer(path.slice(0, i)));
}

/**
 * Visits the nodes in order, without recursion, until `visit` says false.
 * @param {Json} doc
 * @param {(value: Json, path: string[]) => boolean} visit
 */
function walk(doc, visit) {
  /** @type {{value: Json, path: string[]}[]} */
  const stack = [{ value: doc, path: [] }];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (!visit(at.value, at.path)) return;
    if (!branch(at.value)) continue;
    const kids = children(at.value);
    for (let i = kids.length - 1; i >= 0; i--) {
      const [key, value] = /** @type {[string, Json]} */ (kids[i]);
      stack.push({ value, path: [...at.path, key] });
    }
  }
}
