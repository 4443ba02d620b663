/**
 * Where the page is, as the URL's fragment says it: `#/x/ID/TAB?q=QUERY`, `#/rules`,
 * `#/`. Pure functions; main.js puts what they give into the history.
 *
 * @typedef {'payload'|'request'|'response'|'findings'|'timing'} Tab
 * @typedef {{view: 'home'|'exchange'|'rules', id: string, tab: Tab, q: string}} Route
 */

/** The tabs of the detail, in their order. @type {readonly Tab[]} */
export const TABS = Object.freeze(/** @type {Tab[]} */ (['payload', 'request', 'response', 'findings', 'timing']));

/** IDs are ULIDs, or parts of one, or "last"; anything else in a link is nobody's exchange. */
const ID = /^[0-9A-Za-z]{1,26}$/;

/**
 * Reads a fragment. What it cannot read is home: a link never fails.
 * @param {string} hash with or without its #
 * @returns {Route}
 */
export function parseRoute(hash) {
  const [path = '', search = ''] = split(hash.replace(/^#/, ''), '?');
  const q = new URLSearchParams(search).get('q') ?? '';
  const [, view, id = '', tab = ''] = path.split('/');
  if (view === 'rules') return { view: 'rules', id: '', tab: 'payload', q };
  if (view === 'x' && ID.test(id)) {
    const known = TABS.find((t) => t === tab) ?? 'payload';
    return { view: 'exchange', id: id.length === 26 ? id.toUpperCase() : id, tab: known, q };
  }
  return { view: 'home', id: '', tab: 'payload', q };
}

/**
 * Spells a route; parseRoute reads it back.
 * @param {Route} r
 */
export function formatRoute(r) {
  let path = '#/';
  if (r.view === 'rules') path = '#/rules';
  if (r.view === 'exchange') path = `#/x/${r.id}/${r.tab}`;
  return r.q ? `${path}?${new URLSearchParams({ q: r.q })}` : path;
}

/**
 * The token that the terminal's link carries in its fragment, or ''.
 * @param {string} hash
 */
export function tokenIn(hash) {
  const [, token = ''] = /^#t=([^&]*)/.exec(hash) ?? [];
  try {
    return decodeURIComponent(token);
  } catch {
    return '';
  }
}

/** @param {string} s @param {string} at */
function split(s, at) {
  const i = s.indexOf(at);
  return i < 0 ? [s] : [s.slice(0, i), s.slice(i + 1)];
}
