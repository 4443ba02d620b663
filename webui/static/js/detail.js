/**
 * The opened exchange: what it is, what became of it, what can be done with it, and
 * its tabs.
 *
 * @import {Detail, Line} from './types.js'
 * @import {Store} from './store.js'
 * @import {Tab} from './route.js'
 * @import {Form} from './body.js'
 * @import {TreeView} from './treeview.js'
 * @import {Act} from './actions.js'
 */
import { copyButton } from './copy.js';
import { attribute, byId, h, icon, refill, text } from './dom.js';
import * as F from './format.js';
import { drawFindings, drawTiming } from './judge.js';
import { drawMessage } from './message.js';
import { callout, iconButton } from './parts.js';
import { formatRoute, TABS } from './route.js';
import * as S from './store.js';
import { T } from './texts.js';
import { createTree } from './treeview.js';

/**
 * @typedef {object} Hooks
 * @property {(act: Act) => void} act
 * @property {(tab: Tab) => void} tab
 * @property {() => void} back to the list, on a narrow screen
 * @property {() => void} reveal tokens are shown or masked
 * @property {() => void} again the exchange must be read again
 */

/** The buttons of the toolbar, in their order. @type {readonly {act: Act, icon: string, key: string, word: string, long: string}[]} */
const BUTTONS = [
  { act: 'replay', icon: 'replay', key: 'r', word: T.action.replay, long: T.action.replayLong(false) },
  { act: 'retry', icon: 'retry', key: 'R', word: T.action.asRetry, long: T.action.asRetryLong },
  { act: 'edit', icon: 'edit', key: 'e', word: T.action.edit, long: T.action.editLong },
  { act: 'mock', icon: 'rule', key: 'm', word: T.action.mock, long: T.action.mockLong },
  { act: 'curl', icon: 'terminal', key: 'y', word: T.action.curl, long: T.action.curlLong },
  { act: 'pin', icon: 'pin', key: 'p', word: T.action.pin, long: T.action.pinLong },
  { act: 'remove', icon: 'trash', key: 'Delete', word: T.action.remove, long: T.action.removeLong },
];

/** @param {Store} store @param {Hooks} hooks */
export function createDetail(store, hooks) {
  const view = byId('exchange', HTMLElement);
  const head = h('header', { class: 'detail-head' });
  const bar = h(
    'div',
    { class: 'toolbar', role: 'toolbar', 'aria-label': T.detail.actions },
    ...BUTTONS.map((b) =>
      h(
        'button',
        {
          class: b.act === 'replay' ? 'button primary' : 'button',
          type: 'button',
          id: `act-${b.act}`,
          'data-act': b.act,
          title: `${b.long} (${b.key})`,
          'aria-keyshortcuts': b.key,
          click: () => hooks.act(b.act),
        },
        icon(b.icon),
        h('span', null, b.word),
      ),
    ),
  );
  const tabs = h(
    'div',
    { class: 'tabs', role: 'tablist', 'aria-label': T.tab.payload },
    ...TABS.map((tab) =>
      h(
        'button',
        {
          type: 'button',
          role: 'tab',
          id: `tab-${tab}`,
          'data-tab': tab,
          'aria-controls': 'tab-panel',
          click: () => hooks.tab(tab),
        },
        h('span', null, T.tab[tab]),
        h('span', { class: 'count' }),
      ),
    ),
  );
  const panel = h('div', { class: 'tab-panel', id: 'tab-panel', role: 'tabpanel', tabindex: 0 });
  const revealButton = h(
    'button',
    { class: 'button quiet-button', type: 'button', id: 'reveal', click: hooks.reveal },
    icon('eye'),
    h('span'),
  );
  const payload = createTree(panel, {
    name: 'payload',
    label: T.payload.tree,
    find: T.payload.find,
    tools: [revealButton],
  });
  const note = h('div', { class: 'note' });
  const frame = h('div', { class: 'tab-frame' }, panel);
  view.append(head, bar, tabs, frame, note);

  /** @type {TreeView|null} */
  let bodyTree = null;
  /** How bodies were shown last. @type {Record<'in'|'out', Form|''>} */
  const chosen = { in: '', out: '' };
  /** What stands in the panel. @type {{value: Detail|null, tab: Tab|'', id: string, made: string}} */
  let drawn = { value: null, tab: '', id: '', made: '' };
  let ticking = 0;

  /** Draws the panel of the tab. @param {Detail} x @param {Tab} tab @param {boolean} fresh another exchange, or another tab */
  function drawPanel(x, tab, fresh) {
    bodyTree?.close();
    bodyTree = null;
    clearInterval(ticking);
    if (fresh) panel.scrollTop = 0;
    attribute(panel, 'aria-labelledby', `tab-${tab}`);
    attribute(panel, 'data-tab', tab);
    switch (tab) {
      case 'payload':
        return drawPayload(x);
      case 'request':
        return drawSide(x, 'in');
      case 'response':
        return drawSide(x, 'out');
      case 'findings':
        return refill(panel, ...drawFindings(x));
      case 'timing':
        refill(panel, ...drawTiming(x, Date.now()));
        // What is not answered grows before one's eyes.
        if (!x.done) ticking = setInterval(() => panel.isConnected && refill(panel, ...drawTiming(x, Date.now())), 200);
    }
  }

  /** @param {Detail} x */
  function drawPayload(x) {
    const problem = x.slack_problem
      ? callout(
          'warn',
          'payload-problem',
          h('span', null, T.payload.problem, ': ', h('bdi', null, F.brief(x.slack_problem, 500))),
        )
      : null;
    if (x.slack === null || x.slack === undefined) {
      refill(
        panel,
        problem,
        h('div', { class: 'note' }, icon('unknown', 'large'), h('p', { class: 'quiet' }, T.payload.none)),
      );
      return;
    }
    if (payload.tree.parentElement !== panel || problem) refill(panel, problem, payload.bar, payload.tree);
    payload.show(x.slack, drawn.id !== x.id);
  }

  /** @param {Detail} x @param {'in'|'out'} side */
  function drawSide(x, side) {
    const { parts, tree } = drawMessage(panel, x, side, chosen[side], (form) => {
      chosen[side] = form;
      bodyTree?.close();
      drawSide(x, side);
    });
    bodyTree = tree;
    refill(panel, ...parts);
  }

  tabs.addEventListener('keydown', (event) => {
    const now = TABS.indexOf(store.state.route.tab);
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = /** @type {Tab} */ (TABS[(to + TABS.length) % TABS.length]);
    hooks.tab(tab);
    document.getElementById(`tab-${tab}`)?.focus();
  });

  return {
    render() {
      const { opened, route, list } = store.state;
      view.hidden = route.view !== 'exchange';
      if (view.hidden) return;
      const x = opened.value;
      const whole = x !== null && opened.phase !== 'gone' && opened.phase !== 'failed';
      for (const el of [head, bar, tabs, frame]) el.hidden = !whole;
      note.hidden = whole;
      attribute(view, 'data-id', opened.id);
      if (!whole) {
        drawn = { value: null, tab: '', id: '', made: '' };
        refill(note, ...noteFor(opened, hooks));
        return;
      }
      const made = S.madeFrom(list.rows, x.id);
      const madeKey = made.map((m) => `${m.id}${m.status}${m.fault}`).join();
      if (drawn.value !== x || drawn.made !== madeKey) refill(head, ...drawHead(x, made, route.q, hooks));
      drawBar(bar, x, store.state.working > 0, S.signs(store.state));
      drawTabs(tabs, x, route.tab);
      // On a telephone the tabs are wider than the screen.
      if (drawn.tab !== route.tab)
        document.getElementById(`tab-${route.tab}`)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
      text(/** @type {Element} */ (revealButton.lastElementChild), opened.revealed ? T.payload.hide : T.payload.reveal);
      attribute(revealButton, 'aria-pressed', opened.revealed ? 'true' : 'false');
      if (drawn.value !== x || drawn.tab !== route.tab)
        drawPanel(x, route.tab, drawn.id !== x.id || drawn.tab !== route.tab);
      drawn = { value: x, tab: route.tab, id: x.id, made: madeKey };
    },
    focus: () => panel.focus({ preventScroll: true }),
  };
}

/** @param {S.Opened} opened @param {Hooks} hooks */
function noteFor(opened, hooks) {
  const back = h(
    'button',
    { class: 'button narrow-only', type: 'button', id: 'note-back', click: hooks.back },
    icon('back'),
    T.detail.back,
  );
  if (opened.phase === 'gone')
    return [icon('trash', 'large'), h('h2', null, T.detail.gone), h('p', { class: 'quiet' }, T.detail.goneHow), back];
  if (opened.phase === 'failed') {
    return [
      icon('warning', 'large bad'),
      h('h2', null, T.detail.failed),
      h('p', { class: 'bad' }, F.brief(opened.trouble?.message ?? '', 300)),
      opened.trouble?.hint && h('p', { class: 'quiet' }, F.brief(opened.trouble.hint, 300)),
      h('button', { class: 'button', type: 'button', id: 'detail-again', click: hooks.again }, T.list.again),
      back,
    ];
  }
  return [h('p', { class: 'quiet' }, T.detail.reading), back];
}

/** @param {Detail} x @param {readonly Line[]} made @param {string} q @param {Hooks} hooks @returns {Node[]} */
function drawHead(x, made, q, hooks) {
  const outcome = F.outcome(x);
  const who = [F.userOf(x), F.channelOf(x)].filter(Boolean).join(' ');
  return [
    h(
      'div',
      { class: 'detail-title' },
      iconButton('back', T.detail.back, hooks.back, { id: 'back', class: 'button quiet-button narrow-only' }),
      icon(F.kindIcon(x.kind), 'kind'),
      h('h2', { id: 'detail-name' }, h('bdi', null, F.titleOf(x))),
      x.text ? h('bdi', { class: 'detail-text' }, F.brief(x.text)) : null,
      h('span', { class: 'detail-status', 'data-tone': outcome.tone, title: outcome.long }, outcome.word),
      x.done && h('span', { class: 'detail-took', 'data-budget': F.budget(x.elapsed_ms) }, F.duration(x.elapsed_ms)),
    ),
    h(
      'p',
      { class: 'detail-meta quiet' },
      h('span', null, F.words(x.kind)),
      who && h('bdi', null, who),
      h(
        'time',
        { datetime: x.started, title: F.momentOf(x.started) },
        F.dayOf(x.started, new Date()),
        ' ',
        F.timeOf(x.started),
      ),
      h('bdi', { class: 'mono' }, `${F.brief(x.method, 20)} ${F.brief(x.path, 200)}`),
      h(
        'span',
        { class: 'id-chip' },
        h('code', null, F.shown(x.id)),
        copyButton(T.detail.id, x.id, { id: 'copy-id' }),
        copyButton(T.detail.link, () => permalink(x.id), { id: 'copy-link', look: 'link' }),
      ),
    ),
    h('div', { class: 'lines' }, ...statements(x, made, q)),
  ];
}

/** @param {string} id */
function permalink(id) {
  return location.origin + location.pathname + formatRoute({ view: 'exchange', id, tab: 'payload', q: '' });
}

/** What must be known of it, a sentence each. @param {Detail} x @param {readonly Line[]} made @param {string} q */
function statements(x, made, q) {
  const verdict = F.verdictBadge(x.verdict);
  return [
    h(
      'p',
      { class: 'line', id: 'verdict' },
      h('span', { class: 'badge', 'data-tone': verdict.tone }, icon(verdict.icon), verdict.word),
      h(
        'bdi',
        null,
        F.brief(F.verdictDetail(x) || T.verdictLong[x.verdict] || '', 500),
        x.secret && !x.verdict_detail?.includes(x.secret) ? ` (${F.brief(x.secret, 100)})` : '',
      ),
    ),
    x.fault &&
      h(
        'p',
        { class: 'line', id: 'fault' },
        h('span', { class: 'badge', 'data-tone': 'bad' }, icon('warning'), T.outcome.fault),
        h('bdi', null, F.brief(x.fault, 500)),
      ),
    h(
      'p',
      { class: 'line', id: 'answered-by' },
      h('span', { class: 'line-label' }, T.detail.answeredBy),
      h('bdi', null, F.answeredBy(x) || T.detail.noAnswer),
    ),
    x.retry_num > 0 &&
      h(
        'p',
        { class: 'line', id: 'retry' },
        h('span', { class: 'badge', 'data-tone': 'warn' }, icon('retry'), T.row.retry(x.retry_num)),
        h('bdi', null, T.detail.retryOf, x.retry_reason ? `: ${F.words(x.retry_reason)}` : ''),
      ),
    x.of &&
      h(
        'p',
        { class: 'line', id: 'of' },
        h('span', { class: 'line-label' }, T.detail.of),
        link(x.of, q, h('code', null, `…${F.shown(x.of.slice(-6))}`)),
      ),
    made.length > 0 &&
      h(
        'p',
        { class: 'line', id: 'made-from' },
        h('span', { class: 'line-label' }, T.detail.madeFrom),
        ...made.map((m) =>
          link(
            m.id,
            q,
            h(
              'span',
              { 'data-tone': F.outcome(m).tone },
              `${F.outcome(m).word} ${m.done ? F.duration(m.elapsed_ms) : ''}`,
            ),
          ),
        ),
      ),
  ].filter((line) => line instanceof Node);
}

/** @param {string} id @param {string} q @param {Node} what */
function link(id, q, what) {
  return h(
    'a',
    { href: formatRoute({ view: 'exchange', id, tab: 'payload', q }), class: 'exchange-link', 'data-of': id },
    what,
  );
}

/** @param {HTMLElement} bar @param {Detail} x @param {boolean} working @param {boolean} signs what is sent again gets a new signature */
function drawBar(bar, x, working, signs) {
  const replay = /** @type {HTMLElement} */ (bar.querySelector('#act-replay'));
  attribute(replay, 'title', `${T.action.replayLong(signs)} (r)`);
  const pin = /** @type {HTMLElement} */ (bar.querySelector('#act-pin'));
  attribute(pin, 'aria-pressed', x.pinned ? 'true' : 'false');
  text(/** @type {Element} */ (pin.lastElementChild), x.pinned ? T.action.unpin : T.action.pin);
  attribute(bar, 'data-working', working);
}

/** @param {HTMLElement} tabs @param {Detail} x @param {Tab} now */
function drawTabs(tabs, x, now) {
  for (const el of tabs.children) {
    const tab = el.getAttribute('data-tab');
    attribute(el, 'aria-selected', tab === now ? 'true' : 'false');
    attribute(el, 'tabindex', tab === now ? 0 : -1);
    const count = /** @type {Element} */ (el.lastElementChild);
    if (tab === 'findings') {
      text(count, x.findings.length ? String(x.findings.length) : '');
      attribute(count, 'data-tone', x.findings.some((f) => f.severity === 'failure') ? 'bad' : 'warn');
    }
    if (tab === 'response') {
      text(count, F.outcome(x).word);
      attribute(count, 'data-tone', F.outcome(x).tone);
    }
  }
}
