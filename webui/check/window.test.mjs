import assert from 'node:assert/strict';
import test from 'node:test';
import { atTop, keepPlace, nearEnd, reveal, visible } from '../static/js/window.js';

test('only what can be seen, and a little more, is in the window', () => {
  const win = visible({ scroll: 340_000, view: 680, row: 34, count: 100_000 });
  assert.deepEqual(win, { first: 9_992, end: 10_028, offset: 339_728, total: 3_400_000 });
});

test('the window of a short, an empty and an unmeasured list', () => {
  assert.deepEqual(visible({ scroll: 0, view: 680, row: 34, count: 3 }), { first: 0, end: 3, offset: 0, total: 102 });
  assert.deepEqual(visible({ scroll: 0, view: 680, row: 34, count: 0 }), { first: 0, end: 0, offset: 0, total: 0 });
  assert.deepEqual(visible({ scroll: 0, view: 0, row: 0, count: 9 }), { first: 0, end: 0, offset: 0, total: 0 });
});

test('a scroll position beyond the rows shows the last ones', () => {
  for (const scroll of [-500, 0, 5_000, Infinity]) {
    const { first, end } = visible({ scroll, view: 100, row: 10, count: 50 });
    assert.ok(first >= 0 && end <= 50 && end - first >= 10, `scroll ${scroll}: ${first} to ${end}`);
  }
  assert.equal(visible({ scroll: Infinity, view: 100, row: 10, count: 50 }).end, 50);
});

test('a row is revealed with the least movement', () => {
  const at = { scroll: 100, view: 100, row: 10 };
  assert.equal(reveal(5, at), 50, 'above: to the upper edge');
  assert.equal(reveal(15, at), 100, 'seen: not at all');
  assert.equal(reveal(30, at), 210, 'below: to the lower edge');
  assert.equal(reveal(19, at), 100, 'just inside');
});

test('rows that come above do not move what is seen, and at the top they push it down', () => {
  assert.equal(keepPlace(1000, 12, 34), 1408);
  assert.equal(keepPlace(1000, -12, 34), 592);
  assert.equal(keepPlace(1000, -100, 34), 0);
  assert.equal(keepPlace(0, 12, 34), 0);
  assert.equal(atTop(16, 34), true);
  assert.equal(atTop(18, 34), false);
});

test('older rows are asked for two views before the end', () => {
  assert.equal(nearEnd({ scroll: 0, view: 100, row: 10, count: 100 }), false);
  assert.equal(nearEnd({ scroll: 750, view: 100, row: 10, count: 100 }), true);
  assert.equal(nearEnd({ scroll: 0, view: 100, row: 10, count: 3 }), true);
});
