import assert from 'node:assert/strict';
import test from 'node:test';
import { formatRoute, parseRoute, tokenIn } from '../static/js/route.js';

const ID = '01KAJ3Q5T7V9XABCDEFGHJKMNP';

test('every route reads back what it spells', () => {
  for (const r of [
    { view: 'home', id: '', tab: 'payload', q: '' },
    { view: 'home', id: '', tab: 'payload', q: 'kind:slash_command "a b" 100% #&?=/' },
    { view: 'rules', id: '', tab: 'payload', q: 'milk' },
    { view: 'exchange', id: ID, tab: 'timing', q: '' },
    { view: 'exchange', id: 'last', tab: 'payload', q: 'ünï 👍' },
  ])
    assert.deepEqual(parseRoute(formatRoute(r)), r);
});

test('a link is spelled so', () => {
  assert.equal(formatRoute({ view: 'exchange', id: ID, tab: 'request', q: 'a b' }), `#/x/${ID}/request?q=a+b`);
  assert.equal(formatRoute({ view: 'home', id: '', tab: 'timing', q: '' }), '#/');
});

test('a link that says nothing is home, and never fails', () => {
  for (const hash of [
    '',
    '#',
    '#/',
    '#/x',
    '#/x/',
    '#/x/../../etc/timing',
    '#/x/<script>',
    '#%',
    '#/nowhere?q',
    `#/x/${ID}${ID}`,
  ]) {
    assert.equal(parseRoute(hash).view, 'home', hash);
  }
});

test('an unknown tab is the first, a whole ID in lower case is the same ID', () => {
  assert.equal(parseRoute(`#/x/${ID}/nonsense`).tab, 'payload');
  assert.equal(parseRoute(`#/x/${ID.toLowerCase()}/timing`).id, ID);
});

test('the token is what stands after #t=', () => {
  assert.equal(tokenIn('#t=abc-_123'), 'abc-_123');
  assert.equal(tokenIn('#t=a%2Bb'), 'a+b');
  assert.equal(tokenIn('#t=a+b&x=1'), 'a+b');
  assert.equal(tokenIn('#t=%zz'), '', 'not percent-encoding');
  assert.equal(tokenIn('#/x/t=abc'), '');
  assert.equal(tokenIn(''), '');
});
