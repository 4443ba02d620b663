import assert from 'node:assert/strict';
import test from 'node:test';
import {
  allBranches,
  ancestors,
  dotted,
  find,
  flatten,
  LONG,
  MOST_MATCHES,
  openAtFirst,
  pointer,
  textLines,
} from '../static/js/tree.js';

const doc = { type: 'block_actions', actions: [{ action_id: 'a.b', value: null }], ok: true, n: 1.5, none: {} };

/** @param {import('../static/js/tree.js').Row[]} rows */
const shape = (rows) =>
  rows.map((r) => `${'  '.repeat(r.depth)}${r.key}=${r.type}${r.opens ? (r.open ? '-' : '+') : ''}`);

test('an open document is all of its nodes, in order', () => {
  assert.deepEqual(shape(flatten(doc, openAtFirst(doc))), [
    '=object-',
    '  type=string',
    '  actions=array-',
    '    0=object-',
    '      action_id=string',
    '      value=null',
    '  ok=boolean',
    '  n=number',
    '  none=object',
  ]);
});

test('what is closed hides what is in it', () => {
  assert.deepEqual(shape(flatten(doc, new Set(['']))), [
    '=object-',
    '  type=string',
    '  actions=array+',
    '  ok=boolean',
    '  n=number',
    '  none=object',
  ]);
  assert.deepEqual(shape(flatten(doc, new Set())), ['=object+']);
});

test('a large document opens by its upper levels alone', () => {
  const large = { head: { a: 1 }, rows: Array.from({ length: 5000 }, (_, i) => ({ i })) };
  assert.deepEqual([...openAtFirst(large)].sort(), ['', '/head']);
  assert.equal(allBranches(large).size, 5003);
  assert.equal(allBranches(large, 10).size, 10);
});

test('a document nested ten thousand deep is no trouble', () => {
  let deep = /** @type {any} */ ('end');
  for (let i = 0; i < 10_000; i++) deep = [deep];
  assert.ok(openAtFirst(deep).size > 0);
  assert.equal(flatten(deep, new Set(['', '/0', '/0/0'])).length, 4);
  assert.equal(find(deep, 'end').length, 1);
});

test('a long text opens into lines that fit', () => {
  const text = 'x'.repeat(LONG + 1) + '\nnext';
  const rows = flatten({ text }, new Set(['', '/text']), 52);
  assert.deepEqual(
    rows.slice(2).map((r) => [r.type, r.text.length]),
    [
      ['line', 48],
      ['line', 48],
      ['line', 25],
      ['line', 4],
    ],
  );
  assert.equal(rows[1]?.value, text);
  assert.ok(rows.every((r) => r.text.length <= 4 * LONG + 2));
});

test('lines are cut by what the eye sees', () => {
  assert.deepEqual(textLines('abcd', 2), ['ab', 'cd']);
  assert.deepEqual(textLines('漢字漢', 4), ['漢字', '漢'], 'a wide character counts as two');
  assert.deepEqual(textLines('a👍b', 3), ['a👍', 'b'], 'no character is cut in half');
  assert.deepEqual(textLines('a\n\nb', 9), ['a', '', 'b']);
  assert.equal(textLines('\n'.repeat(100), 9, 10).length, 10);
});

test('a search finds keys and values, in either case, and stops counting', () => {
  assert.deepEqual(find(doc, 'ACTION').map(pointer), ['/type', '/actions', '/actions/0/action_id']);
  assert.deepEqual(find(doc, '1.5').map(pointer), ['/n']);
  assert.deepEqual(find(doc, 'null').map(pointer), ['/actions/0/value']);
  assert.deepEqual(find(doc, ''), []);
  assert.equal(
    find(
      Array.from({ length: 5000 }, () => 'x'),
      'x',
    ).length,
    MOST_MATCHES,
  );
});

test('paths as JSON pointers and as --set takes them', () => {
  assert.equal(pointer(['a/b', 'm~n', '0']), '/a~1b/m~0n/0');
  assert.equal(dotted(['state', 'block.1', 'a\\b', '0']), 'state.block\\.1.a\\\\b.0');
  assert.deepEqual(ancestors(['a', 'b']), ['', '/a']);
});
