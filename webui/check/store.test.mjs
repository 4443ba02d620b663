import assert from 'node:assert/strict';
import test from 'node:test';
import { parseRoute } from '../static/js/route.js';
import * as S from '../static/js/store.js';
import { T } from '../static/js/texts.js';
import { id, line, lines } from './lines.mjs';

/** A state whose list has been read. @param {import('../static/js/types.js').Line[]} rows @param {string} [next] @param {string} [q] */
function listed(rows, next = '', q = '') {
  const s = S.initial(parseRoute(q ? `#/?${new URLSearchParams({ q })}` : ''));
  return S.pageRead(s, q, { exchanges: rows, next, seq: 1 });
}

/** @param {S.State} s */
const ids = (s) => s.list.rows.map((x) => Number(x.id.slice(-6)));

test('a link opens its exchange and its query', () => {
  const s = S.initial(parseRoute(`#/x/${id(7)}/timing?q=milk`));
  assert.deepEqual(
    [s.opened.id, s.opened.phase, s.route.tab, s.list.q, s.list.loading, s.detailOpen],
    [id(7), 'reading', 'timing', 'milk', 'first', true],
  );
});

test('new rows come on top, known ones change in place, each once', () => {
  const s = listed(lines(5, 1));
  const next = S.linesRead(
    s,
    [id(6), id(3), id(7)],
    [line({ id: id(7) }), line({ id: id(3), status: 500 }), line({ id: id(6) })],
  );
  assert.deepEqual(ids(next), [7, 6, 5, 4, 3, 2, 1]);
  assert.equal(next.list.rows[4]?.status, 500);
  assert.equal(s.list.rows[2]?.status, 200, 'the state before stays as it was');
  assert.equal(next.list.rows[3], s.list.rows[1], 'what did not change keeps its identity');
});

test('a late row finds its place between others', () => {
  const s = listed([line({ id: id(9) }), line({ id: id(5) }), line({ id: id(1) })]);
  assert.deepEqual(ids(S.linesRead(s, [id(7), id(3)], [line({ id: id(3) }), line({ id: id(7) })])), [9, 7, 5, 3, 1]);
});

test('what is older than the last row stays unread while there is more to read', () => {
  assert.deepEqual(ids(S.linesRead(listed(lines(9, 5), id(5)), [id(2)], [line({ id: id(2) })])), [9, 8, 7, 6, 5]);
  assert.deepEqual(ids(S.linesRead(listed(lines(9, 5), ''), [id(2)], [line({ id: id(2) })])), [9, 8, 7, 6, 5, 2]);
});

test('what was asked for and not given is gone', () => {
  assert.deepEqual(ids(S.linesRead(listed(lines(4, 1)), [id(3), id(2)], [line({ id: id(2) })])), [4, 2, 1]);
});

test('an answer that was overtaken does not make a done exchange wait again', () => {
  const s = listed([line({ id: id(1), status: 200 })]);
  assert.equal(S.linesRead(s, [id(1)], [line({ id: id(1), status: 0, done: false })]).list.rows[0]?.status, 200);
  assert.equal(S.linesRead(s, [id(1)], [line({ id: id(1), pinned: true })]).list.rows[0]?.pinned, true);
});

test('fresh rows are counted only while the newest are out of view', () => {
  let s = S.followingIs(listed(lines(5, 1)), false);
  s = S.linesRead(s, [id(6), id(7)], [line({ id: id(6) }), line({ id: id(7) })]);
  s = S.linesRead(s, [id(7), id(8)], [line({ id: id(7), status: 500 }), line({ id: id(8) })]);
  assert.equal(s.list.fresh, 3);
  s = S.followingIs(s, true);
  assert.equal(s.list.fresh, 0);
  assert.equal(S.linesRead(s, [id(9)], [line({ id: id(9) })]).list.fresh, 0);
});

test('while the newest are in view the list forgets what is far below, and can read it again', () => {
  const s = listed(lines(S.KEPT_ROWS * 1.5, 1));
  const next = S.linesRead(s, [id(90_000)], [line({ id: id(90_000) })]);
  assert.equal(next.list.rows.length, S.KEPT_ROWS);
  assert.equal(next.list.next, next.list.rows.at(-1)?.id);
  const away = S.linesRead(S.followingIs(s, false), [id(90_000)], [line({ id: id(90_000) })]);
  assert.equal(away.list.rows.length, S.KEPT_ROWS * 1.5 + 1, 'but not while one reads there');
});

test('older pages are put below, and only where they belong', () => {
  const s = listed(lines(9, 7), id(7));
  const page = { exchanges: lines(6, 4), next: id(4), seq: 1 };
  assert.deepEqual(ids(S.olderRead(s, '', id(7), page)), [9, 8, 7, 6, 5, 4]);
  assert.equal(S.olderRead(s, 'other', id(7), page), s, 'an answer to another query');
  assert.equal(S.olderRead(s, '', id(8), page), s, 'an answer to another place');
});

test('a search keeps the old rows until its own are there', () => {
  const asked = S.queried(listed(lines(3, 1)), 'milk');
  assert.deepEqual([ids(asked), asked.list.loading, asked.list.q, asked.route.q], [[3, 2, 1], 'first', 'milk', 'milk']);
  assert.equal(S.pageRead(asked, '', { exchanges: [], next: '', seq: 2 }), asked, 'the answer to the query before');
  assert.deepEqual(ids(S.pageRead(asked, 'milk', { exchanges: [line({ id: id(2) })], next: '', seq: 2 })), [2]);
});

test('while a query is on, only the server says what is new in it', () => {
  const s = listed(lines(3, 1), '', 'milk');
  assert.deepEqual(
    ids(S.linesRead(s, [id(4), id(2)], [line({ id: id(4) }), line({ id: id(2), status: 404 })])),
    [3, 2, 1],
  );
  const head = S.headRead(s, 'milk', { exchanges: [line({ id: id(9) }), line({ id: id(2) })], next: id(2), seq: 3 });
  assert.deepEqual(ids(head), [9, 2, 1], 'the page speaks for all from its last row up');
  assert.deepEqual(
    ids(S.headRead(s, 'milk', { exchanges: [line({ id: id(9) })], next: '', seq: 3 })),
    [9],
    'and for everything when it is the only one',
  );
});

test('what is deleted goes from the list and from the detail', () => {
  const s = S.routed(listed(lines(3, 1)), parseRoute(`#/x/${id(2)}/payload`));
  const next = S.gone(s, [id(2), id(99)]);
  assert.deepEqual([ids(next), next.opened.phase], [[3, 1], 'gone']);
});

test('steps through the list end at its ends', () => {
  const at = (/** @type {number} */ n) => S.routed(listed(lines(5, 1)), parseRoute(`#/x/${id(n)}/payload`));
  assert.equal(S.stepped(at(3), 1), id(2));
  assert.equal(S.stepped(at(3), -1), id(4));
  assert.equal(S.stepped(at(1), 1), id(1));
  assert.equal(S.stepped(at(5), -1), id(5));
  assert.equal(S.stepped(at(3), Infinity), id(1));
  assert.equal(S.stepped(at(3), -Infinity), id(5));
  assert.equal(S.stepped(listed(lines(5, 1)), 1), id(5), 'nothing is open: the newest');
  assert.equal(S.stepped(listed([]), 1), '');
  const beside = S.gone(at(3), [id(3)]);
  assert.deepEqual([S.stepped(beside, 1), S.stepped(beside, -1)], [id(2), id(4)], 'the opened row is not in the list');
});

test('a part of an ID in a link becomes the whole ID', () => {
  const s = S.initial(parseRoute('#/x/last/request'));
  const value = /** @type {any} */ ({ ...line({ id: id(8) }), request: { headers: [] }, response: null, slack: null });
  const next = S.detailRead(s, 'last', value);
  assert.deepEqual([next.opened.id, next.route.id, next.opened.phase], [id(8), id(8), 'ready']);
  assert.equal(S.detailRead(next, 'last', value), next, 'an answer that nobody waits for any more');
});

test('a detail that cannot be read again keeps what it showed, unless it is gone', () => {
  const s = S.detailRead(S.initial(parseRoute(`#/x/${id(8)}`)), id(8), /** @type {any} */ (line({ id: id(8) })));
  const trouble = { message: 'slackdev does not answer', hint: '', status: 0 };
  assert.equal(S.detailFailed(s, id(8), trouble).opened.phase, 'ready');
  assert.equal(S.detailFailed(s, id(8), { ...trouble, status: 404 }).opened.phase, 'gone');
  assert.equal(S.detailFailed(S.initial(parseRoute(`#/x/${id(8)}`)), id(8), trouble).opened.phase, 'failed');
});

test('tokens are masked again in the next exchange', () => {
  const s = S.revealedIs(S.initial(parseRoute(`#/x/${id(8)}`)), true);
  assert.equal(S.routed(s, parseRoute(`#/x/${id(8)}/timing`)).opened.revealed, true);
  assert.equal(S.routed(s, parseRoute(`#/x/${id(7)}/timing`)).opened.revealed, false);
});

test('events without a gap say what to read, each ID once', () => {
  const e = (/** @type {number} */ seq, /** @type {string} */ what, /** @type {number} */ n) => ({
    seq,
    what,
    id: id(n),
  });
  assert.deepEqual(
    S.follow(4, [e(5, 'saved', 1), e(6, 'saved', 1), e(7, 'lost', 2), e(8, 'saved', 3), e(9, 'deleted', 3)]),
    { seq: 9, gap: false, saved: [id(1)], deleted: [id(3)], lost: [id(2)] },
  );
  assert.equal(S.follow(4, [e(6, 'saved', 1)]).gap, true);
  assert.equal(S.follow(4, [e(5, 'saved', 1), e(7, 'saved', 2)]).gap, true);
  assert.deepEqual(
    S.follow(9, [e(8, 'saved', 1)]),
    { seq: 9, gap: false, saved: [], deleted: [], lost: [] },
    'what was read already',
  );
});

test('replays of an exchange are found among the newer rows', () => {
  const rows = [
    line({ id: id(9), of: id(4) }),
    line({ id: id(8) }),
    line({ id: id(7), of: id(4) }),
    line({ id: id(4) }),
    line({ id: id(3), of: id(4) }),
  ];
  assert.deepEqual(
    S.madeFrom(rows, id(4)).map((x) => x.id),
    [id(9), id(7)],
  );
});

test('toasts are numbered, bounded, and go one by one', () => {
  let s = S.initial(parseRoute(''));
  for (let i = 0; i < 9; i++) s = S.told(s, { tone: 'ok', text: String(i), hint: '', link: '' });
  assert.deepEqual(
    s.toasts.map((t) => t.text),
    ['5', '6', '7', '8'],
  );
  assert.deepEqual(
    S.untold(s, 7).toasts.map((t) => t.n),
    [6, 8, 9],
  );
});

test('a hundred thousand rows take a batch of five hundred in a few milliseconds', () => {
  const s = S.followingIs(listed(lines(99_000, 1)), false);
  const batch = lines(99_500, 99_001);
  const from = performance.now();
  const next = S.linesRead(
    s,
    batch.map((x) => x.id),
    batch,
  );
  const took = performance.now() - from;
  assert.equal(next.list.rows.length, 99_500);
  assert.ok(took < 50, `took ${took.toFixed(1)} ms, want under 50`);
});

test('those who listen are told of changes, and of nothing else', () => {
  const store = S.createStore(S.initial(parseRoute('')));
  let calls = 0;
  store.subscribe(() => calls++);
  store.apply(S.sessionIs, 'in');
  store.apply(S.sessionIs, 'in');
  assert.deepEqual([calls, store.state.session], [1, 'in']);
});

test('a signature is promised only where a secret is known', () => {
  const s = S.initial(parseRoute(''));
  assert.equal(S.signs(s), false, 'before the status is read');
  for (const [secrets, want] of /** @type {[string[]|null, boolean][]} */ ([
    [null, false],
    [[], false],
    [['SLACK_SIGNING_SECRET (.env)'], true],
  ]))
    assert.equal(S.signs(S.statusRead(s, /** @type {any} */ ({ secrets }))), want);
});

test('without a secret no text of sending says that it signs', () => {
  const texts = [T.list.emptyHow, T.home.tryHow, T.action.replayLong, T.edit.payloadHelp, T.edit.rawHelp];
  for (const say of texts) {
    assert.match(say(true), /sign/);
    assert.doesNotMatch(say(false), /sign/);
  }
});
