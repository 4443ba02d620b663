/**
 * The head of the page: the tunnel and its address, the app, the secrets, the
 * connection; and below it the troubles that cannot wait, each with its way out.
 *
 * @import {Status} from './types.js'
 * @import {State, Store} from './store.js'
 */
import { copyButton } from './copy.js';
import { attribute, byId, h, icon, refill, text } from './dom.js';
import * as F from './format.js';
import { iconButton } from './parts.js';
import { recall, remember } from './prefs.js';
import { T } from './texts.js';

const THEMES = /** @type {const} */ (['auto', 'light', 'dark']);

/**
 * The address to paste into Slack, '' before there is one.
 * @param {Status|null} status
 */
export function requestURL(status) {
  return status?.tunnel.url ? status.tunnel.url.replace(/\/$/, '') + status.path : '';
}

/** Whether there is an address that Slack cannot reach. @param {Status} status */
export function onlyLocal(status) {
  return status.tunnel.url !== '' && status.tunnel.reachable === 'local';
}

/**
 * What to type for an address that Slack can reach: a number where that means the
 * same app, else its URL, as the terminal says it. Where there are several apps, all.
 * @param {Status} status
 */
export function publicCommand(status) {
  const [first, ...more] = appsOf(status);
  const apps = more.map(({ name, url }) => `${name.startsWith('/') ? '--route ' : ''}${shellWord(`${name}=${typed(url)}`)}`);
  return ['slackdev tunnel', shellWord(typed(first?.url ?? '')), ...apps, '--via pinggy'].join(' ');
}

/** An app as it is typed. @param {string} app its URL */
function typed(app) {
  if (!URL.canParse(app)) return 'PORT';
  const { protocol, hostname, port, pathname, search } = new URL(app);
  const plain = protocol === 'http:' && hostname === 'localhost' && port && pathname === '/' && !search;
  return plain ? port : app;
}

/** A text that a shell takes as one word. @param {string} text */
function shellWord(text) {
  return F.brief(/^[\w:/.%=[\]-]+$/.test(text) ? text : `'${text.replaceAll("'", '%27')}'`, 300);
}

/**
 * @param {Store} store
 * @param {{rules: () => void, keys: () => void, home: () => void, tryNow: () => void}} hooks
 */
export function createHeader(store, hooks) {
  const top = byId('top', HTMLElement);
  const banners = byId('banners', HTMLElement);
  const state = h('div', { class: 'top-state', id: 'status' });
  const live = h('span', { class: 'chip live', id: 'live' }, h('span', { class: 'dot' }), h('span'));
  const rules = h(
    'button',
    { class: 'button quiet-button', type: 'button', id: 'open-rules', click: hooks.rules },
    icon('rule'),
    h('span', { class: 'word' }, T.header.rules),
    ' ',
    h('span', { class: 'count' }),
  );
  const theme = iconButton('auto', T.header.theme, nextTheme, { id: 'theme' });
  top.append(
    h(
      'button',
      { class: 'brand', type: 'button', id: 'home-button', 'aria-label': T.header.home, click: hooks.home },
      icon('logo'),
      h('span', { class: 'wide-only' }, T.title),
    ),
    state,
    h(
      'div',
      { class: 'top-tools' },
      live,
      rules,
      theme,
      iconButton('keyboard', T.header.keys, hooks.keys, { id: 'keys-button', title: `${T.header.keys} (?)` }),
    ),
  );
  showTheme();

  /** @type {Status|null|undefined} */
  let drawn;
  let bannersDrawn = '';
  /** When the status came that says how long a wait is. */
  let statusAt = 0;
  let ticking = 0;
  /** What the person put away, until the page is opened anew. @type {Set<string>} */
  const hidden = new Set();

  function nextTheme() {
    const now = THEMES.findIndex((t) => t === recall('theme', 'auto'));
    remember('theme', /** @type {string} */ (THEMES[(now + 1) % THEMES.length]));
    showTheme();
  }

  function showTheme() {
    const now = recall('theme', 'auto');
    attribute(document.documentElement, 'data-theme', now === 'auto' ? null : now);
    theme.replaceChildren(icon(now));
    const word = T.header.themes[now] ?? T.header.theme;
    attribute(theme, 'aria-label', word);
    attribute(theme, 'title', word);
  }

  function renderBanners() {
    const found = troubles(store.state, Date.now(), statusAt).filter((b) => !hidden.has(b.id));
    clearTimeout(ticking);
    if (found.some((b) => b.ticks)) ticking = setTimeout(renderBanners, 1000);
    const key = JSON.stringify(found);
    if (key === bannersDrawn) return;
    bannersDrawn = key;
    refill(banners, ...found.map(drawBanner));
    // Many of them scroll on a small screen.
    attribute(banners, 'tabindex', found.length > 2 ? 0 : null);
    banners.hidden = found.length === 0;
  }

  /** @param {Banner} b */
  function drawBanner(b) {
    return h(
      'div',
      { class: 'banner', 'data-tone': b.tone, 'data-banner': b.id },
      icon(b.tone === 'mute' ? 'info' : 'warning'),
      h(
        'p',
        null,
        h('bdi', null, b.text),
        ' ',
        b.way && h('span', { class: 'banner-way' }, b.way),
        ...b.commands.map((c, i) =>
          h('span', { class: i ? 'wide-only' : '' }, i ? ` ${T.banner.localOr} ` : ' ', h('code', null, c)),
        ),
      ),
      b.id === 'lost' &&
        h('button', { class: 'button', type: 'button', id: 'try-now', click: hooks.tryNow }, T.banner.tryNow),
      b.hides && iconButton('cross', T.banner.hide, () => hide(b.id), { id: `hide-${b.id}` }),
    );
  }

  /** @param {string} id */
  function hide(id) {
    hidden.add(id);
    renderBanners();
  }

  return {
    render() {
      const {
        status,
        live: connection,
        rules: { value },
      } = store.state;
      if (status !== drawn) {
        drawn = status;
        statusAt = Date.now();
        refill(state, ...drawState(status));
      }
      attribute(live, 'data-live', connection);
      text(/** @type {Element} */ (live.lastElementChild), T.live[connection]);
      const many = value?.rules?.length ?? status?.rules.count ?? 0;
      text(/** @type {Element} */ (rules.lastElementChild), many ? String(many) : '');
      attribute(rules, 'data-tone', value?.error || status?.rules.error ? 'bad' : null);
      attribute(rules, 'title', T.header.rules);
      attribute(rules, 'aria-pressed', store.state.route.view === 'rules' ? 'true' : 'false');
      renderBanners();
    },
  };
}

/** @param {Status|null} status */
function drawState(status) {
  if (!status) return [h('span', { class: 'quiet' }, T.home.reading)];
  const { tunnel, app } = status;
  const url = requestURL(status);
  const secrets = (status.secrets ?? []).map((name) => F.brief(name, 60));
  const [first = T.header.noSecret] = secrets;
  return [
    h(
      'span',
      { class: 'chip url', id: 'tunnel', 'data-state': tunnel.state, title: T.home.via(F.brief(tunnel.provider, 80)) },
      h('span', { class: 'dot' }),
      h('span', { class: 'chip-word' }, T.tunnelChip[tunnel.state] ?? F.words(tunnel.state)),
      url && h('bdi', { class: 'mono', id: 'request-url' }, F.shown(url)),
      url && copyButton(T.header.copyURL, url, { id: 'copy-url' }),
    ),
    h(
      'span',
      {
        class: 'chip',
        id: 'app',
        'data-state': app.up ? 'up' : 'down',
        title: F.brief(app.error || status.app_url, 200),
      },
      h('span', { class: 'dot' }),
      h('span', { class: 'chip-word' }, app.up ? T.header.appUp : T.header.appDown),
      h('bdi', { class: 'mono app-url' }, F.shown(hostOf(status.app_url))),
    ),
    h(
      'span',
      {
        class: 'chip',
        id: 'secrets',
        'data-state': secrets.length ? 'up' : 'waiting',
        title: secrets.length ? `${T.header.secrets}: ${secrets.join(', ')}` : T.home.noSecret,
      },
      icon('key'),
      h('bdi', null, first, secrets.length > 1 && ` +${secrets.length - 1}`),
    ),
  ];
}

/** The tunnels, each with its name where there are several. @param {Status} status */
export function tunnelsOf({ tunnel, tunnels }) {
  return tunnels ? tunnels.map((t) => ({ tunnel: t, of: F.brief(t.name, 63) })) : [{ tunnel, of: '' }];
}

/** The apps, each with its name where there are several. @param {Status} status */
export function appsOf({ app, app_url: url, apps }) {
  return apps ?? [{ name: '', url, ...app }];
}

/** @param {string} url */
function hostOf(url) {
  return url.replace(/^https?:\/\//, '').replace(/\/$/, '');
}

/** @typedef {{id: string, tone: 'bad'|'warn'|'mute', text: string, way: string, commands: string[], ticks: boolean, hides: boolean}} Banner */

/**
 * What cannot wait, the worst first. A pure function.
 * @param {State} state @param {number} now milliseconds @param {number} statusAt when the status was read
 * @returns {Banner[]}
 */
export function troubles({ status, live, retryAt }, now, statusAt) {
  /** @type {Banner[]} */
  const found = [];
  /** @param {Partial<Banner> & Pick<Banner, 'id'|'tone'|'text'>} b */
  const add = (b) => found.push({ way: '', commands: [], ticks: false, hides: false, ...b });
  const seconds = (/** @type {number} */ ms) => Math.max(0, Math.ceil(ms / 1000));
  if (status?.store.error)
    add({ id: 'store', tone: 'bad', text: T.banner.store(F.brief(status.store.error, 300)), way: T.banner.storeWay });
  if (live === 'waiting')
    add({ id: 'lost', tone: 'bad', text: T.banner.lost(seconds(retryAt - now)), way: T.banner.lostWay, ticks: true });
  if (!status) return found;
  for (const { tunnel, of } of tunnelsOf(status)) {
    const why = F.brief(tunnel.error || '', 300);
    const id = `tunnel${of && `-${of}`}`;
    const about = of && `${of}: `;
    if (tunnel.state === 'connecting') add({ id, tone: 'warn', text: about + T.banner.tunnelConnecting });
    if (tunnel.state === 'down') add({ id, tone: 'bad', text: about + T.banner.tunnelDown(why) });
    if (tunnel.state === 'waiting')
      add({
        id,
        tone: 'bad',
        text: about + T.banner.tunnelWaiting(seconds(statusAt + tunnel.retry_in_ms - now), why),
        ticks: true,
      });
  }
  for (const { name, url, up } of appsOf(status)) {
    if (up) continue;
    add({ id: `app${name && `-${name}`}`, tone: 'warn', text: T.banner.appDown(F.brief(url, 200)), way: T.banner.appWay });
  }
  if (status.rules.error) add({ id: 'rules', tone: 'warn', text: T.banner.rules(F.brief(status.rules.error, 300)) });
  if (onlyLocal(status)) {
    add({
      id: 'local',
      tone: 'mute',
      text: T.banner.local,
      way: T.banner.localWay,
      commands: ['slackdev send slash_command', publicCommand(status)],
      hides: true,
    });
  }
  return found;
}
