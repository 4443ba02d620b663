import assert from 'node:assert/strict';
import test from 'node:test';
import * as F from '../static/js/format.js';
import { line } from './lines.mjs';

test('durations', () => {
  for (const [ms, want] of /** @type {[number, string][]} */ ([
    [0, '0 ms'],
    [0.4, '0.4 ms'],
    [9.94, '9.9 ms'],
    [9.96, '10 ms'],
    [212.4, '212 ms'],
    [999.4, '999 ms'],
    [999.6, '1.00 s'],
    [2890, '2.89 s'],
    [59_994, '59.99 s'],
    [60_000, '1 min'],
    [65_000, '1 min 5 s'],
    [-1, '–'],
    [NaN, '–'],
  ]))
    assert.equal(F.duration(ms), want, String(ms));
});

test('sizes and counts', () => {
  for (const [n, want] of /** @type {[number, string][]} */ ([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [4200, '4.2 kB'],
    [48_200_000, '48 MB'],
    [999_600, '1.0 MB'],
    [2.5e12, '2.5 TB'],
    [-1, '–'],
  ]))
    assert.equal(F.bytes(n), want, String(n));
  assert.equal(F.count(100_000), '100\u202f000');
  assert.equal(F.count(999), '999');
});

test('the budget is late from 2.5 s and over after 3 s', () => {
  assert.deepEqual([0, 2499, 2500, 3000, 3000.1].map(F.budget), ['ok', 'ok', 'late', 'late', 'over']);
  assert.deepEqual([-5, 1500, 9000].map(F.share), [0, 0.5, 1]);
});

test('what could deceive an eye is written out', () => {
  assert.equal(
    F.shown('a\u202Eb\u200b\u0000\u001b[31m\n\ufeff\u2066'),
    'a\\u202eb\\u200b\\u0000\\u001b[31m\\n\\ufeff\\u2066',
  );
  assert.equal(F.shown('\u{e0041}'), '\\u{e0041}');
  assert.equal(F.shown('👩‍👩‍👧 é 漢字'), '👩‍👩‍👧 é 漢字', 'a family stays together');
  assert.equal(F.shown('a\u200db'), 'a\\u200db', 'a joiner between letters does not');
  assert.equal(F.shownLines('a\r\n\tb\u202e'), 'a\n\tb\\u202e');
});

test('a brief text is one line of bounded length', () => {
  assert.equal(F.brief('  add\n\n milk  '), 'add milk');
  assert.equal(F.brief('x'.repeat(1e6), 10), 'xxxxxxxxxx…');
});

test('outcomes: a status, a fault, and neither', () => {
  assert.deepEqual(F.outcome(line({ status: 200 })).tone, 'ok');
  assert.deepEqual(F.outcome(line({ status: 302 })).tone, 'mute');
  assert.deepEqual(F.outcome(line({ status: 404 })).tone, 'warn');
  assert.deepEqual(F.outcome(line({ status: 502, fault: 'connection refused' })), {
    tone: 'bad',
    word: '502',
    long: 'connection refused',
  });
  assert.deepEqual(F.outcome(line({ status: 0, fault: 'timeout' })).word, 'fault');
  assert.deepEqual(F.outcome(line({ status: 0, done: false })).word, 'waiting');
});

test('every verdict has a word, a picture and a tone, also one that is not known yet', () => {
  for (const [verdict, tone, word] of [
    ['valid', 'ok', 'signed'],
    ['stale', 'warn', 'stale'],
    ['mismatch', 'bad', 'wrong secret'],
    ['missing', 'bad', 'unsigned'],
    ['malformed', 'bad', 'malformed'],
    ['token', 'warn', 'token only'],
    ['unchecked', 'mute', 'unchecked'],
    ['brand_new', 'bad', 'brand new'],
  ]) {
    const badge = F.verdictBadge(verdict);
    assert.deepEqual([badge.tone, badge.word], [tone, word]);
    assert.ok(badge.icon);
  }
});

test('titles, people and places', () => {
  assert.equal(F.titleOf(line({ name: '/todo' })), '/todo');
  assert.equal(F.titleOf(line({ name: '', kind: 'url_verification' })), 'url verification');
  assert.equal(
    F.titleOf(line({ name: '', kind: 'unknown', method: 'GET', path: '/wp-login.php' })),
    'GET /wp-login.php',
  );
  assert.equal(F.userOf(line({ user: 'U1', user_name: 'ana' })), 'ana');
  assert.equal(F.userOf(line({ user: 'U1' })), 'U1');
  assert.equal(F.channelOf(line({ channel: 'C1', channel_name: 'dev' })), '#dev');
  assert.equal(F.answeredBy(line({ answered_by: 'rule deploy' })), 'rule deploy');
});

test('a day is named when it is not today', () => {
  const now = new Date(2026, 10, 21, 12);
  assert.equal(F.dayOf(new Date(2026, 10, 21, 1).toISOString(), now), '');
  assert.equal(F.dayOf(new Date(2026, 10, 20, 1).toISOString(), now), '20 Nov');
  assert.equal(F.timeOf('nonsense'), '–');
});

test('what was said of a signature when it arrived is not said of now', () => {
  for (const [said, want] of [
    ['signed with DEV just now', 'signed with DEV'],
    ['signed with DEV, 3s ago', 'signed with DEV, 3s before it arrived'],
    ['signed with DEV, 2s in the future', 'signed with DEV, 2s in the future'],
    ['signed with DEV', 'signed with DEV'],
    ['', ''],
  ])
    assert.equal(F.verdictDetail(line({ verdict_detail: said })), want);
  assert.equal(F.verdictDetail(line({})), '');
});
