/**
 * The page: opens the session, puts state, panels, keys and addresses together.
 *
 * @import {Route, Tab} from './route.js'
 * @import {Act} from './actions.js'
 */
import { createActions } from './actions.js';
import * as api from './api.js';
import { createDetail } from './detail.js';
import { attribute, byId, h, icon, refill } from './dom.js';
import { commandLine } from './copy.js';
import { createFeed } from './feed.js';
import { createHeader } from './header.js';
import { createHome } from './home.js';
import { keysDialog, listen } from './keys.js';
import { createList } from './list.js';
import { formatRoute, parseRoute, TABS, tokenIn } from './route.js';
import { createRules } from './rules.js';
import { say } from './say.js';
import { createSearch } from './search.js';
import { createSplit } from './split.js';
import * as S from './store.js';
import { T } from './texts.js';
import { createToasts } from './toasts.js';

/** Below this width the list and the detail take turns (css/page.css has the same). */
const narrow = matchMedia('(max-width: 820px)');

const store = S.createStore(S.initial(parseRoute(tokenIn(location.hash) ? '' : location.hash)));
const feed = createFeed(store, {
  anchor: () => list.anchor(),
  say,
  lostRecord: () => {
    store.apply(S.told, { tone: 'bad', text: T.banner.lostRecord, hint: '', link: '' });
    say(T.banner.lostRecord);
  },
});
const actions = createActions(store, feed);

/** Goes somewhere. @param {Route} route @param {{push?: boolean, open?: boolean}} [how] push: the way back leads here */
function go(route, { push = true, open = route.view !== 'home' } = {}) {
  const before = store.state.opened.id;
  store.apply(S.routed, route, open);
  const url = formatRoute(route);
  if (push && url !== location.hash) history.pushState(null, '', url);
  if (store.state.opened.id !== before) feed.readDetail();
  if (route.view === 'rules') void feed.readRules();
}

/** @param {string} id @param {{push?: boolean, open?: boolean}} [how] */
function open(id, how) {
  if (!id) return go({ ...store.state.route, view: 'home', id: '' }, how);
  go({ ...store.state.route, view: 'exchange', id }, how);
  list.reveal(id);
  // The list is hidden now, and the focus with it.
  if (!narrow.matches || !store.state.detailOpen) return;
  render();
  detail.focus();
}

/** @param {number} by */
function move(by) {
  const id = S.stepped(store.state, by);
  if (!id) return;
  // A walk through the list is one step of the history, and stays in the list on a narrow screen.
  open(id, { push: store.state.route.view !== 'exchange', open: store.state.detailOpen && !narrow.matches });
}

/** @param {string} q */
function search(q) {
  store.apply(S.queried, q);
  box.show(q);
  list.top();
  void feed.readList();
}

function back() {
  go({ ...store.state.route, view: 'home', id: '' }, { push: false });
  render();
  list.focus();
}

/** @param {Tab} tab */
function showTab(tab) {
  store.apply(S.tabbed, tab);
}

/** @param {Act} act */
function act(act) {
  void actions.run(act, (id) => open(id, { push: false, open: id !== '' && !narrow.matches }));
}

const list = createList(store, { open, older: () => void feed.readOlder(), again: () => void feed.readList(), search });
const box = createSearch(store, { search, down: () => list.focus() });
const detail = createDetail(store, {
  act,
  tab: showTab,
  back,
  reveal: () => {
    store.apply(S.revealedIs, !store.state.opened.revealed);
    feed.readDetail();
  },
  again: () => feed.readDetail(),
});
const rules = createRules(store, {
  put: actions.putRule,
  drop: actions.dropRule,
  close: back,
  again: () => void feed.readRules(),
});
const panels = [
  createHeader(store, {
    rules: () => go({ ...store.state.route, view: store.state.route.view === 'rules' ? 'home' : 'rules', id: '' }),
    keys: keysDialog,
    home: () => go({ ...store.state.route, view: 'home', id: '' }, { open: true }),
    tryNow: () => feed.tryNow(),
  }),
  list,
  box,
  detail,
  rules,
  createHome(store),
  createToasts(store),
];

/** A frame was asked for. */
let wanted = false;
/** The connection as it was said last. @type {S.State['live']} */
let said = 'connecting';

/** Brings the page in step with the state, in the next frame or at once. */
function render() {
  wanted = false;
  const { session, detailOpen, route, live, opened } = store.state;
  attribute(document.body, 'data-session', session);
  attribute(document.body, 'data-pane', detailOpen ? 'detail' : 'list');
  byId('out', HTMLElement).hidden = session !== 'out';
  for (const panel of panels) panel.render();
  if (session === 'asking') return;
  const url = formatRoute(route);
  if (location.hash !== url && (location.hash || url !== '#/')) history.replaceState(null, '', url);
  document.title =
    opened.value && route.view === 'exchange' ? `${opened.value.name || opened.value.kind} · ${T.title}` : T.title;
  if (live === 'live' && said === 'waiting') say(T.banner.backSaid);
  if (live === 'waiting' && said === 'live') say(T.banner.lostSaid);
  if (live !== 'connecting') said = live;
}

store.subscribe(() => {
  if (wanted) return;
  wanted = true;
  requestAnimationFrame(render);
});

addEventListener('popstate', () => {
  // Another link of the terminal, opened in the same tab.
  if (tokenIn(location.hash)) {
    if (store.state.session === 'out') void enter();
    return;
  }
  const route = parseRoute(location.hash);
  const asked = route.q !== store.state.list.q;
  go(route, { push: false });
  if (asked) search(route.q);
});

listen({
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: (event) => inList(event) && move(1),
  ArrowUp: (event) => inList(event) && move(-1),
  PageDown: (event) => inList(event) && move(list.page()),
  PageUp: (event) => inList(event) && move(-list.page()),
  Home: (event) => inList(event) && move(-Infinity),
  End: (event) => inList(event) && move(Infinity),
  Enter: () => {
    if (!store.state.opened.id) return;
    go(store.state.route, { open: true });
    render();
    detail.focus();
  },
  Escape: () => (narrow.matches ? back() : list.focus()),
  g: () => list.top(),
  '/': () => {
    if (narrow.matches) go(store.state.route, { open: false });
    render();
    box.focus();
  },
  '?': keysDialog,
  r: () => act('replay'),
  R: () => act('retry'),
  e: () => act('edit'),
  m: () => act('mock'),
  y: () => act('curl'),
  p: () => act('pin'),
  Delete: () => act('remove'),
  ...Object.fromEntries(TABS.map((tab, i) => [String(i + 1), () => store.state.opened.id && showTab(tab)])),
});

/** Whether a key was struck in the list; elsewhere arrows scroll. @param {KeyboardEvent} event */
function inList(event) {
  return event.target instanceof Element && (event.target.id === 'list' || event.target === document.body);
}

/**
 * Opens the session with the token of the terminal's link, or with the cookie that is
 * there; while slackdev cannot be reached, again and again.
 */
async function enter(token = tokenIn(location.hash)) {
  // The token leaves the address before anything else can go wrong.
  if (token) history.replaceState(null, '', formatRoute(store.state.route));
  try {
    if (token) await api.openSession(token).catch(unlessRefused);
    store.apply(S.statusRead, await api.readStatus());
  } catch (err) {
    const why = api.refusalOf(err);
    if (why && [401, 403].includes(why.status)) store.apply(S.sessionIs, 'out');
    else setTimeout(() => void enter(token), 2000);
    return;
  }
  if (store.state.session === 'out') return location.reload();
  store.apply(S.sessionIs, 'in');
  feed.start();
}

/** An old link is no harm where the cookie still opens the door. @param {unknown} err */
function unlessRefused(err) {
  if (api.refusalOf(err)?.status !== 401) throw err;
}

refill(
  byId('out', HTMLElement),
  icon('key', 'large'),
  h('h1', null, T.out.title),
  h('p', null, T.out.text),
  commandLine('slackdev tunnel 3000'),
  h('p', { class: 'quiet' }, T.out.running),
);
createSplit();
render();
void enter();
