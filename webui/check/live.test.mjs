import assert from 'node:assert/strict';
import test from 'node:test';
import { batcher, waitFor } from '../static/js/live.js';
import { publicCommand, troubles } from '../static/js/header.js';
import { parseRoute } from '../static/js/route.js';
import { initial, liveIs, statusRead } from '../static/js/store.js';

test('waits grow to a bound, and twenty pages do not wait alike', () => {
  assert.deepEqual(
    [1, 2, 3, 6, 50].map((tries) => waitFor(tries, 0.5)),
    [250, 500, 1000, 8000, 8000],
  );
  assert.equal(waitFor(1, 0), 200);
  assert.equal(waitFor(1, 1), 300);
});

/** Hands out batches one by one. */
function taker() {
  /** @type {{ids: string[], done: () => void}[]} */
  const taken = [];
  const take = (/** @type {string[]} */ ids) =>
    new Promise((/** @type {(v: void) => void} */ resolve) => taken.push({ ids, done: () => resolve() }));
  return { taken, take };
}

test('the first IDs go at once, later ones together, one batch at a time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { taken, take } = taker();
  const b = batcher(take, { gap: 50, most: 3 });
  b.add(['a']);
  b.add(['b', 'c', 'b']);
  assert.deepEqual(
    taken.map((x) => x.ids),
    [['a']],
    'the second batch waits for the first',
  );
  taken[0]?.done();
  await Promise.resolve();
  await Promise.resolve();
  t.mock.timers.tick(60);
  assert.deepEqual(
    taken.map((x) => x.ids),
    [['a'], ['b', 'c']],
  );
  b.add(['d', 'e', 'f', 'g']);
  taken[1]?.done();
  await Promise.resolve();
  await Promise.resolve();
  t.mock.timers.tick(60);
  assert.deepEqual(taken[2]?.ids, ['e', 'f', 'g'], 'at most so many, the newest first');
  assert.equal(b.size, 1);
  b.drop();
  assert.equal(b.size, 0);
});

test('troubles come the worst first, each with its way out', () => {
  const status = /** @type {any} */ ({
    app_url: 'http://127.0.0.1:3000',
    path: '/slack/events',
    secrets: [],
    store: { error: 'disk full' },
    rules: { error: 'a.yaml:1:2: no' },
    tunnel: {
      state: 'waiting',
      url: 'http://a.localhost:1',
      reachable: 'local',
      error: 'reset',
      retry_in_ms: 5000,
      provider: 'embedded',
      notices: null,
    },
    app: { up: false, error: 'refused' },
  });
  const s = liveIs(statusRead(initial(parseRoute('')), status), 'waiting', 12_000);
  const found = troubles(s, 10_000, 9_000);
  assert.deepEqual(
    found.map((b) => b.id),
    ['store', 'lost', 'tunnel', 'app', 'rules', 'local'],
  );
  assert.match(found[1]?.text ?? '', /Next try in 2 s/);
  assert.match(found[2]?.text ?? '', /reset\. Next try in 4 s/);
  assert.deepEqual(found.at(-1)?.commands, ['slackdev send slash_command', 'slackdev tunnel http://127.0.0.1:3000 --via pinggy']);
});

test('with several tunnels and apps each trouble names its own', () => {
  const tunnel = { url: 'https://a.example.org', reachable: 'public', error: '', retry_in_ms: 0, provider: 'relay', notices: [] };
  const tunnels = [
    { ...tunnel, name: 'todo', state: 'up' },
    { ...tunnel, name: 'web', state: 'down', error: 'reset' },
    { ...tunnel, name: 'docs', state: 'waiting', retry_in_ms: 3000 },
  ];
  const apps = [
    { name: 'todo', url: 'http://localhost:3000', up: true, error: '' },
    { name: 'web', url: 'unix:/run/web.sock', up: false, error: 'x' },
    { name: '/api', url: 'http://localhost:8080', up: false, error: 'y' },
  ];
  const status = /** @type {any} */ ({
    app_url: 'http://localhost:3000',
    path: '/',
    secrets: ['A'],
    store: { error: '' },
    rules: { error: '' },
    app: apps[0],
    tunnel: tunnels[0],
    tunnels,
    apps,
  });
  const found = troubles(statusRead(liveIs(initial(parseRoute('')), 'live'), status), 0, 0);
  assert.deepEqual(
    found.map((b) => b.id),
    ['tunnel-web', 'tunnel-docs', 'app-web', 'app-/api'],
  );
  assert.match(found[0]?.text ?? '', /^web: .*reset/);
  assert.match(found[1]?.text ?? '', /^docs: .*Next try in 3 s/);
  assert.match(found[2]?.text ?? '', /unix:\/run\/web\.sock/);
  assert.equal(publicCommand(status), 'slackdev tunnel 3000 web=unix:/run/web.sock --route /api=8080 --via pinggy');
  status.apps = [{ name: 'todo', url: 'http://localhost:3000' }, { name: '/a$(x)', url: 'http://localhost:8080' }];
  assert.equal(publicCommand(status), "slackdev tunnel 3000 --route '/a$(x)=8080' --via pinggy");
});

test('when all is well nothing is said', () => {
  const status = /** @type {any} */ ({
    app_url: '',
    path: '/',
    secrets: ['A'],
    store: { error: '' },
    rules: { error: '' },
    app: { up: true, error: '' },
    tunnel: {
      state: 'up',
      url: 'https://a.example.org',
      reachable: 'public',
      error: '',
      retry_in_ms: 0,
      provider: 'relay',
      notices: [],
    },
  });
  assert.deepEqual(troubles(statusRead(liveIs(initial(parseRoute('')), 'live'), status), 0, 0), []);
});

test('the command for a public address can be typed as it stands', () => {
  for (const [app, want] of [
    ['http://localhost:3000', 'slackdev tunnel 3000 --via pinggy'],
    ['http://localhost:3000/', 'slackdev tunnel 3000 --via pinggy'],
    ['http://127.0.0.1:3000', 'slackdev tunnel http://127.0.0.1:3000 --via pinggy'],
    ['http://localhost:3000/base', 'slackdev tunnel http://localhost:3000/base --via pinggy'],
    ['https://localhost:3000', 'slackdev tunnel https://localhost:3000 --via pinggy'],
    ["http://localhost:3000/a;b?c=1&d='", "slackdev tunnel 'http://localhost:3000/a;b?c=1&d=%27' --via pinggy"],
    ['', 'slackdev tunnel PORT --via pinggy'],
  ])
    assert.equal(publicCommand(/** @type {any} */ ({ app_url: app })), want);
});
