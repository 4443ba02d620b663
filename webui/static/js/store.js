/**
 * The state of the page and every change of it: pure functions from a state to a
 * state. Panels read it and never write it. A part that did not change keeps its
 * identity, so a panel sees with === whether it has work.
 *
 * @import {Detail, Line, Page, Rules, Status} from './types.js'
 * @import {Route, Tab} from './route.js'
 *
 * @typedef {{message: string, hint: string, status: number}} Trouble
 *
 * @typedef {object} List
 * @property {string} q the query that the rows answer
 * @property {readonly Line[]} rows newest first, without a gap down to the last one
 * @property {string} next where older rows begin, '' when there are none
 * @property {''|'first'|'older'} loading
 * @property {boolean} read the first page was there once
 * @property {Trouble|null} trouble
 * @property {boolean} following the newest rows are in view
 * @property {number} fresh rows that came since they were
 *
 * @typedef {object} Opened the exchange in the detail
 * @property {string} id '' when none is
 * @property {'none'|'reading'|'ready'|'gone'|'failed'} phase
 * @property {Detail|null} value
 * @property {Trouble|null} trouble
 * @property {boolean} revealed tokens are shown
 *
 * @typedef {object} Toast
 * @property {number} n
 * @property {'ok'|'bad'} tone
 * @property {string} text
 * @property {string} hint
 * @property {string} link the exchange it leads to, or ''
 *
 * @typedef {object} State
 * @property {'asking'|'in'|'out'} session
 * @property {'connecting'|'live'|'waiting'} live
 * @property {number} retryAt milliseconds of Date.now(), while waiting
 * @property {Route} route
 * @property {boolean} detailOpen on a narrow screen: the detail covers the list
 * @property {Status|null} status
 * @property {List} list
 * @property {Opened} opened
 * @property {{value: Rules|null, trouble: Trouble|null}} rules
 * @property {readonly Toast[]} toasts
 * @property {number} told how many toasts there were
 * @property {number} working requests that are being sent again
 */

/** Rows that the page holds at most. */
export const MOST_ROWS = 100_000;

/** Rows that stay while the newest are in view and new ones keep coming. */
export const KEPT_ROWS = 5_000;

/** @param {Route} route @returns {State} */
export function initial(route) {
  return {
    session: 'asking',
    live: 'connecting',
    retryAt: 0,
    route,
    detailOpen: route.view !== 'home',
    status: null,
    list: emptyList(route.q),
    opened: opened(route.view === 'exchange' ? route.id : ''),
    rules: { value: null, trouble: null },
    toasts: [],
    told: 0,
    working: 0,
  };
}

/** @param {string} q @returns {List} */
function emptyList(q) {
  return { q, rows: [], next: '', loading: 'first', read: false, trouble: null, following: true, fresh: 0 };
}

/** @param {string} id @returns {Opened} */
function opened(id) {
  return { id, phase: id ? 'reading' : 'none', value: null, trouble: null, revealed: false };
}

/* Session, connection, status */

/** @param {State} s @param {'in'|'out'} session @returns {State} */
export function sessionIs(s, session) {
  return s.session === session ? s : { ...s, session };
}

/** @param {State} s @param {State['live']} live @param {number} [retryAt] @returns {State} */
export function liveIs(s, live, retryAt = 0) {
  return { ...s, live, retryAt };
}

/**
 * Whether what slackdev sends is signed: it must know a secret. False before it is asked.
 * @param {State} s
 */
export function signs(s) {
  return (s.status?.secrets ?? []).length > 0;
}

/** @param {State} s @param {Status} status @returns {State} */
export function statusRead(s, status) {
  return { ...s, status };
}

/* The list */

/**
 * Another query is asked. The old rows stay until the new ones are there.
 * @param {State} s @param {string} q @returns {State}
 */
export function queried(s, q) {
  return {
    ...s,
    route: { ...s.route, q },
    list: { ...s.list, q, loading: 'first', trouble: null, following: true, fresh: 0 },
  };
}

/** @param {State} s @param {'first'|'older'} loading @returns {State} */
export function reading(s, loading) {
  return { ...s, list: { ...s.list, loading, trouble: null } };
}

/**
 * The newest page was read; it replaces every row.
 * @param {State} s @param {string} q what was asked @param {Page} page @returns {State}
 */
export function pageRead(s, q, page) {
  if (s.list.q !== q) return s;
  const { exchanges: rows, next } = page;
  return { ...s, list: { ...s.list, rows, next, loading: '', read: true, trouble: null } };
}

/**
 * A page of older rows was read.
 * @param {State} s @param {string} q @param {string} before the cursor that was asked with @param {Page} page @returns {State}
 */
export function olderRead(s, q, before, page) {
  if (s.list.q !== q || s.list.next !== before) return s;
  const rows = s.list.rows.concat(page.exchanges);
  const next = rows.length >= MOST_ROWS ? '' : page.next;
  return { ...s, list: { ...s.list, rows, next, loading: '' } };
}

/**
 * The newest page was read again while a query is on: it replaces the rows from its
 * oldest one up.
 * @param {State} s @param {string} q @param {Page} page @returns {State}
 */
export function headRead(s, q, page) {
  if (s.list.q !== q) return s;
  const last = page.exchanges.at(-1);
  const older = last && page.next ? s.list.rows.slice(after(s.list.rows, last.id)) : [];
  const next = older.length ? s.list.next : page.next;
  return withRows(s, page.exchanges.concat(older), next);
}

/**
 * These exchanges were read because something happened to them. Those that were
 * asked for and not given are gone. While a query is on, only rows that are there
 * change: whether a new one belongs there, the server must say.
 * @param {State} s @param {readonly string[]} asked @param {readonly Line[]} lines @returns {State}
 */
export function linesRead(s, asked, lines) {
  const given = new Set(lines.map((x) => x.id));
  const known = removed(
    s.list.rows,
    asked.filter((id) => !given.has(id)),
  );
  return withRows(s, merged(known, lines, s.list.next, s.list.q === ''), s.list.next);
}

/** @param {State} s @param {readonly string[]} ids @returns {State} */
export function gone(s, ids) {
  const rows = removed(s.list.rows, ids);
  const next = withRows(s, rows, s.list.next);
  return ids.includes(s.opened.id) ? { ...next, opened: { ...next.opened, phase: 'gone' } } : next;
}

/**
 * Puts rows in place, counts the fresh ones, and bounds them.
 * @param {State} s @param {readonly Line[]} rows @param {string} next @returns {State}
 */
function withRows(s, rows, next) {
  if (rows === s.list.rows && next === s.list.next) return s;
  const most = s.list.following ? KEPT_ROWS : MOST_ROWS;
  // Half as much again before any are dropped: not at each new row.
  if (rows.length > most * 1.5 || rows.length > MOST_ROWS) {
    rows = rows.slice(0, most);
    next = /** @type {Line} */ (rows[rows.length - 1]).id;
  }
  const newest = s.list.rows[0]?.id ?? '';
  const fresh = s.list.following ? 0 : s.list.fresh + (newest ? place(rows, newest) : 0);
  return { ...s, list: { ...s.list, rows, next, fresh } };
}

/** Where the list is scrolled to. @param {State} s @param {boolean} following @returns {State} */
export function followingIs(s, following) {
  if (s.list.following === following) return s;
  return { ...s, list: { ...s.list, following, fresh: following ? 0 : s.list.fresh } };
}

/** @param {State} s @param {Trouble} trouble @returns {State} */
export function listFailed(s, trouble) {
  return { ...s, list: { ...s.list, loading: '', trouble } };
}

/**
 * The number of rows that are newer than `id`: where it stands, or would.
 * @param {readonly Line[]} rows @param {string} id
 */
export function place(rows, id) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (/** @type {Line} */ (rows[mid]).id > id) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** The number of rows that are not older than `id`. @param {readonly Line[]} rows @param {string} id */
function after(rows, id) {
  const at = place(rows, id);
  return rows[at]?.id === id ? at + 1 : at;
}

/** Where the row of `id` is, -1 when it is not there. @param {readonly Line[]} rows @param {string} id */
export function indexOf(rows, id) {
  const at = place(rows, id);
  return rows[at]?.id === id ? at : -1;
}

/** @param {readonly Line[]} rows @param {readonly string[]} ids */
function removed(rows, ids) {
  const out = new Set(ids.filter((id) => indexOf(rows, id) >= 0));
  return out.size ? rows.filter((x) => !out.has(x.id)) : rows;
}

/**
 * The rows with `lines` in their places.
 * @param {readonly Line[]} rows @param {readonly Line[]} lines @param {string} next @param {boolean} grow whether lines that are not there are put in
 * @returns {readonly Line[]}
 */
function merged(rows, lines, next, grow) {
  const fresh = [...lines].sort((a, b) => (a.id < b.id ? 1 : -1));
  const oldest = rows[rows.length - 1]?.id ?? '';
  /** @type {Line[]|null} */
  let found = null;
  /** @type {Line[]} */
  const newer = [];
  for (const x of fresh) {
    const at = place(rows, x.id);
    const old = rows[at];
    if (old?.id === x.id) {
      // Answers can overtake each other; what is done does not begin again.
      if (x.done || !old.done) (found ??= rows.slice())[at] = x;
    }
    // Below the oldest row is what has not been read yet.
    else if (grow && (x.id > oldest || !next)) newer.push(x);
  }
  if (!newer.length) return found ?? rows;
  const all = (found ?? rows).slice();
  const above = newer.filter((x) => place(all, x.id) === 0);
  for (const x of newer.slice(above.length)) all.splice(place(all, x.id), 0, x);
  return above.concat(all);
}

/* The detail and the route */

/**
 * The page is somewhere else now.
 * @param {State} s @param {Route} route @param {boolean} [open] on a narrow screen, whether the list gives way
 * @returns {State}
 */
export function routed(s, route, open = route.view !== 'home') {
  const id = route.view === 'exchange' ? route.id : '';
  const same = id === s.opened.id;
  return { ...s, route, detailOpen: open, opened: same ? s.opened : opened(id) };
}

/** @param {State} s @param {Tab} tab @returns {State} */
export function tabbed(s, tab) {
  return { ...s, route: { ...s.route, tab } };
}

/**
 * @param {State} s @param {string} asked the ID, or a part of it that a link had @param {Detail} value
 * @returns {State}
 */
export function detailRead(s, asked, value) {
  if (asked !== s.opened.id) return s;
  const route = s.route.id === asked ? { ...s.route, id: value.id } : s.route;
  return { ...s, route, opened: { ...s.opened, id: value.id, phase: 'ready', value, trouble: null } };
}

/** @param {State} s @param {string} id @param {Trouble} trouble @returns {State} */
export function detailFailed(s, id, trouble) {
  if (id !== s.opened.id) return s;
  const phase = trouble.status === 404 ? 'gone' : s.opened.value ? 'ready' : 'failed';
  return { ...s, opened: { ...s.opened, phase, trouble } };
}

/** @param {State} s @param {boolean} revealed @returns {State} */
export function revealedIs(s, revealed) {
  return { ...s, opened: { ...s.opened, revealed } };
}

/**
 * The ID that is `step` rows below the opened one (above when negative), '' when there are no rows.
 * @param {State} s @param {number} step
 */
export function stepped(s, step) {
  const { rows } = s.list;
  if (!rows.length) return '';
  const at = s.opened.id ? place(rows, s.opened.id) : -1;
  if (at < 0) return rows[step > 0 ? 0 : rows.length - 1]?.id ?? '';
  // Where the opened row is not in the list, the row in its place is the next one.
  const from = rows[at]?.id === s.opened.id || step < 0 ? at : at - 1;
  const to = Math.min(rows.length - 1, Math.max(0, from + step));
  return rows[to]?.id ?? '';
}

/**
 * The exchanges that were made from this one, as far as they are among the newest rows.
 * @param {readonly Line[]} rows @param {string} id
 */
export function madeFrom(rows, id) {
  /** @type {Line[]} */
  const found = [];
  const end = Math.min(rows.length, KEPT_ROWS);
  for (let i = 0; i < end && found.length < 20; i++) {
    const x = /** @type {Line} */ (rows[i]);
    if (x.id <= id) break;
    if (x.of === id) found.push(x);
  }
  return found;
}

/* Rules, toasts, work */

/** @param {State} s @param {Rules} value @returns {State} */
export function rulesRead(s, value) {
  return { ...s, rules: { value, trouble: null } };
}

/** @param {State} s @param {Trouble} trouble @returns {State} */
export function rulesFailed(s, trouble) {
  return { ...s, rules: { ...s.rules, trouble } };
}

/** Toasts that are seen at once. */
const MOST_TOASTS = 4;

/** @param {State} s @param {Omit<Toast, 'n'>} toast @returns {State} */
export function told(s, toast) {
  const n = s.told + 1;
  return { ...s, told: n, toasts: [...s.toasts, { ...toast, n }].slice(-MOST_TOASTS) };
}

/** @param {State} s @param {number} n @returns {State} */
export function untold(s, n) {
  return { ...s, toasts: s.toasts.filter((t) => t.n !== n) };
}

/** @param {State} s @param {1|-1} step @returns {State} */
export function worked(s, step) {
  return { ...s, working: Math.max(0, s.working + step) };
}

/* What the websocket says */

/**
 * What follows from events after number `seq`.
 * @param {number} seq the last one that was seen
 * @param {readonly {seq: number, what: string, id: string}[]} events
 * @returns {{seq: number, gap: boolean, saved: string[], deleted: string[], lost: string[]}} gap: one was missed
 */
export function follow(seq, events) {
  const found = { seq, gap: false, saved: new Set(), deleted: new Set(), lost: new Set() };
  for (const e of events) {
    if (e.seq <= found.seq) continue;
    if (e.seq !== found.seq + 1) found.gap = true;
    found.seq = e.seq;
    if (e.what === 'deleted') {
      found.saved.delete(e.id);
      found.deleted.add(e.id);
    } else if (e.what === 'lost') found.lost.add(e.id);
    else found.saved.add(e.id);
  }
  return {
    seq: found.seq,
    gap: found.gap,
    saved: [...found.saved],
    deleted: [...found.deleted],
    lost: [...found.lost],
  };
}

/**
 * Holds a state and tells who wants to know that it changed.
 * @param {State} state
 */
export function createStore(state) {
  /** @type {Set<() => void>} */
  const listeners = new Set();
  return {
    get state() {
      return state;
    },
    /**
     * @template {unknown[]} A
     * @param {(s: State, ...args: A) => State} change one of the functions above
     * @param {A} args
     */
    apply(change, ...args) {
      const next = change(state, ...args);
      if (next === state) return;
      state = next;
      for (const listener of listeners) listener();
    },
    /** @param {() => void} listener */
    subscribe(listener) {
      listeners.add(listener);
    },
  };
}

/** @typedef {ReturnType<typeof createStore>} Store */
