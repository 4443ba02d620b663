/**
 * What stands in the detail while no exchange is open: what to paste into Slack, how
 * everything is, and how to try it without Slack.
 *
 * @import {Status, Tunnel} from './types.js'
 * @import {Store} from './store.js'
 */
import { commandLine, copyLine } from './copy.js';
import { byId, h, icon, refill } from './dom.js';
import * as F from './format.js';
import { appsOf, onlyLocal, publicCommand, requestURL, tunnelsOf } from './header.js';
import { signs } from './store.js';
import { T } from './texts.js';

/** @param {Store} store */
export function createHome(store) {
  const view = byId('home', HTMLDivElement);
  /** @type {Status|null|undefined} */
  let drawn;
  return {
    render() {
      const { route, status } = store.state;
      view.hidden = route.view !== 'home';
      if (view.hidden || drawn === status) return;
      drawn = status;
      refill(
        view,
        h(
          'div',
          { class: 'view-body narrow' },
          ...(status ? draw(status, signs(store.state)) : [h('p', { class: 'quiet' }, T.home.reading)]),
        ),
      );
    },
  };
}

/** @param {Status} status @param {boolean} signed what is sent from here is signed */
function draw(status, signed) {
  const local = onlyLocal(status);
  const notices = status.tunnel.notices ?? [];
  const send = h(
    'section',
    { class: 'block' },
    h('h3', null, T.home.try),
    h('p', { class: 'quiet' }, T.home.tryHow(signed)),
    commandLine('slackdev send slash_command --set text="add milk"'),
  );
  return [
    h('h2', null, local ? T.home.titleLocal : T.home.title),
    ...(local ? [send, ...goPublic(status)] : [paste(status)]),
    h('section', { class: 'block' }, h('h3', null, T.home.checks), h('dl', { class: 'facts' }, ...checks(status))),
    notices.length > 0 &&
      h(
        'section',
        { class: 'block' },
        h('h3', null, T.home.notices),
        h(
          'pre',
          { class: 'text' },
          notices
            .slice(0, 20)
            .map((n) => F.shownLines(n.slice(0, 2000)))
            .join('\n'),
        ),
      ),
    !local && send,
    h('section', { class: 'block' }, h('h3', null, T.home.keys), h('p', { class: 'quiet' }, T.home.keysHow)),
  ];
}

/** The address, for Slack. @param {Status} status */
function paste(status) {
  const url = requestURL(status);
  return h(
    'section',
    { class: 'block' },
    h('h3', null, T.home.paste),
    url ? copyLine(F.shown(url), T.home.copyURL, 'copy-home-url') : h('p', { class: 'quiet' }, T.home.noURL),
    url && h('p', { class: 'quiet' }, T.home.pasteHow),
  );
}

/** What to do with an address that Slack cannot reach. @param {Status} status */
function goPublic(status) {
  return [
    h(
      'section',
      { class: 'block' },
      h('h3', null, T.home.public),
      h('p', { class: 'quiet' }, T.home.publicHow),
      commandLine(publicCommand(status)),
    ),
    h(
      'section',
      { class: 'block' },
      h('h3', null, T.home.localURL),
      copyLine(F.shown(requestURL(status)), T.home.copyURL, 'copy-home-url'),
      h('p', { class: 'quiet' }, T.home.localHow),
    ),
  ];
}

/** @param {Status} s */
function checks(s) {
  const secrets = s.secrets ?? [];
  return [
    ...tunnelsOf(s).flatMap(({ tunnel, of }) => checkTunnel(tunnel, of)),
    ...appsOf(s).flatMap(({ name, url, up, error }) =>
      check(labelled(T.home.app, name), up ? 'ok' : 'bad', F.brief(url, 200), F.brief(error, 300)),
    ),
    ...check(
      T.home.secret,
      secrets.length ? 'ok' : 'warn',
      secrets.length ? secrets.map((name) => F.brief(name, 80)).join(', ') : T.home.noSecret,
      secrets.length ? (s.enforce ? T.home.enforce : T.home.observe) : '',
    ),
    ...check(
      T.home.history,
      s.store.error ? 'bad' : 'ok',
      T.home.kept(F.count(s.store.exchanges), F.bytes(s.store.bytes)),
      F.brief(s.store.error, 300),
    ),
  ];
}

/** @param {Tunnel} tunnel @param {string} of its name, where there are several */
function checkTunnel(tunnel, of) {
  const up = tunnel.state === 'up';
  const reachable = up && tunnel.reachable !== 'local';
  const state = `${T.tunnel[tunnel.state] ?? F.words(tunnel.state)}, ${T.home.via(F.brief(tunnel.provider, 100))}`;
  return check(
    labelled(T.home.tunnel, of),
    up ? (reachable ? 'ok' : 'warn') : 'bad',
    of && tunnel.url ? `${state}: ${F.brief(tunnel.url, 200)}` : state,
    up && !reachable ? T.banner.local : F.brief(tunnel.error, 300),
  );
}

/** @param {string} label @param {string} name */
function labelled(label, name) {
  return name ? `${label} ${F.brief(name, 63)}` : label;
}

/** @param {string} label @param {'ok'|'warn'|'bad'} tone @param {string} text @param {string} more */
function check(label, tone, text, more) {
  const pictures = { ok: 'check', warn: 'warning', bad: 'cross' };
  return [
    h('dt', null, label),
    h(
      'dd',
      { 'data-tone': tone },
      icon(pictures[tone]),
      h('div', null, h('bdi', null, text), more && h('p', { class: 'quiet' }, h('bdi', null, more))),
    ),
  ];
}
