/**
 * Keeps the state in step with the server: reads the list, its older pages, the
 * status, the rules and the opened exchange; follows the websocket; reads again
 * after a gap, a lost connection or a long sleep in a background tab.
 *
 * @import {Store} from './store.js'
 * @import {Line, Notice, Page} from './types.js'
 */
import * as api from './api.js';
import { batcher, keepLive } from './live.js';
import * as S from './store.js';

/** Rows of a first page, of one that is read while scrolling, and of one request at most. */
const FIRST = 100;
const OLDER = 300;
const MOST = 500;

/** Rows that are read again at most to keep the place after a gap. */
const REREAD = 10_000;

/** While a query is on, its newest page is read again at most this often, in milliseconds; so are the rules while they are seen. */
const HEAD_GAP = 250;

/**
 * @param {Store} store
 * @param {{anchor: () => string, say: (text: string) => void, lostRecord: () => void}} page anchor: the exchange that is seen at the top of the list
 */
export function createFeed(store, page) {
  let seq = 0;
  /** Something happened that was not read: the list is read again when the page is seen. */
  let behind = false;
  /** The reading of the list at the start, until a connection stands. @type {Promise<number>|null} */
  let first = null;
  /** @type {AbortController|null} */
  let listing = null;
  /** What happened while the list was being read: the rows that come are older. @type {Set<string>|null} */
  let during = null;
  /** @type {AbortController|null} */
  let detailing = null;
  /** The last reading of the opened exchange. */
  let detailed = Promise.resolve();
  /** @type {ReturnType<typeof keepLive>|null} */
  let live = null;

  /**
   * Runs a read; a refusal goes to `failed`, and 401 ends the session.
   * @template T
   * @param {Promise<T>} work @param {(value: T) => void} done @param {(why: S.Trouble) => void} [failed]
   */
  async function settle(work, done, failed) {
    try {
      done(await work);
    } catch (err) {
      const why = api.refusalOf(err);
      if (!why) return;
      if (why.status === 401) store.apply(S.sessionIs, 'out');
      else failed?.({ message: why.message, hint: why.hint, status: why.status });
    }
  }

  /** @param {S.Trouble} why */
  const listFailed = (why) => store.apply(S.listFailed, why);

  /**
   * Reads the list from its newest row, as far down as the place that is kept.
   * @returns {Promise<number>} the number of the last event that the rows show, -1 when they could not be read
   */
  async function readList() {
    listing?.abort();
    listing = new AbortController();
    const { signal } = listing;
    const { q } = store.state.list;
    const upTo = store.state.list.following ? '' : page.anchor();
    batch.drop();
    const since = (during = new Set());
    store.apply(S.reading, 'first');
    let shows = -1;
    await settle(
      pagesTo(q, upTo, signal),
      (read) => {
        shows = read.seq;
        store.apply(S.pageRead, q, read);
      },
      listFailed,
    );
    if (during === since) {
      during = null;
      batch.add(since);
    }
    return shows;
  }

  /** @param {string} q @param {string} upTo an ID, or '' for the first page @param {AbortSignal} signal @returns {Promise<Page>} */
  async function pagesTo(q, upTo, signal) {
    let read = await api.readPage({ q, limit: upTo ? MOST : FIRST }, signal);
    /** @type {Line[]} */
    const rows = read.exchanges;
    while (upTo && read.next && (rows.at(-1)?.id ?? '') > upTo && rows.length < REREAD) {
      read = await api.readPage({ q, before: read.next, limit: MOST }, signal);
      rows.push(...read.exchanges);
    }
    return { ...read, exchanges: rows };
  }

  /** Reads the next page of older rows, if it is not on its way. */
  async function readOlder() {
    const { q, next, loading, trouble } = store.state.list;
    if (!next || loading || trouble) return;
    const signal = (listing ??= new AbortController()).signal;
    store.apply(S.reading, 'older');
    await settle(
      api.readPage({ q, before: next, limit: OLDER }, signal),
      (read) => store.apply(S.olderRead, q, next, read),
      listFailed,
    );
  }

  /** @param {string[]} ids */
  async function readBatch(ids) {
    const { q, rows } = store.state.list;
    const known = q ? ids.filter((id) => S.indexOf(rows, id) >= 0) : ids;
    if (q) heads.add(['head']);
    if (known.length)
      await settle(api.readLines(known), (read) => store.apply(S.linesRead, known, read.exchanges), missed);
  }
  const batch = batcher(readBatch);

  async function readHead() {
    const { q } = store.state.list;
    if (!q) return;
    await settle(api.readPage({ q, limit: FIRST }), (read) => store.apply(S.headRead, q, read), missed);
  }
  const heads = batcher(readHead, { gap: HEAD_GAP });

  /** A read that followed an event failed: what it would have told is read later. */
  function missed() {
    behind = true;
  }

  /** Reads the opened exchange. */
  function readDetail() {
    const { id, revealed } = store.state.opened;
    detailing?.abort();
    if (!id) return;
    detailing = new AbortController();
    detailed = settle(
      api.readDetail(id, revealed, detailing.signal),
      (value) => store.apply(S.detailRead, id, value),
      (why) => store.apply(S.detailFailed, id, why),
    );
  }

  const readStatus = () => settle(api.readStatus(), (status) => store.apply(S.statusRead, status));
  const readRules = () =>
    settle(
      api.readRules(),
      (rules) => store.apply(S.rulesRead, rules),
      (why) => store.apply(S.rulesFailed, why),
    );

  const counts = batcher(readRules, { gap: HEAD_GAP });

  /** Reads everything again: after a gap, nothing that is shown can be trusted. */
  function catchUp() {
    behind = document.hidden;
    if (behind) return;
    void readList();
    void readStatus();
    void readRules();
    readDetail();
  }

  /** @param {Notice} notice */
  function said(notice) {
    switch (notice.type) {
      case 'hello':
        return void greeted(notice.seq);
      case 'resync':
        seq = notice.seq ?? seq;
        return catchUp();
      case 'status':
        return void readStatus();
      case 'rules':
        return void readRules();
      case 'events':
        return happened(notice.events);
    }
  }

  /**
   * A connection stands. What happened before it was told by nobody, unless the list
   * that was read at the start is as new.
   * @param {number} at
   */
  async function greeted(at) {
    seq = at;
    const read = first;
    first = null;
    if (read && (await read) === at && seq === at) return;
    catchUp();
  }

  /** @param {{seq: number, what: 'saved'|'deleted'|'lost', id: string}[]} events */
  function happened(events) {
    const told = S.follow(seq, events);
    seq = told.seq;
    // Nobody looks: one reading when somebody does is worth a thousand now.
    if (document.hidden) return void (behind = true);
    if (told.gap) return catchUp();
    for (const id of [...told.saved, ...told.deleted]) during?.add(id);
    if (told.lost.length) {
      page.lostRecord();
      void readStatus();
    }
    if (told.deleted.length) store.apply(S.gone, told.deleted);
    batch.add(told.saved);
    // Any of them may be a hit of a rule.
    if (told.saved.length && store.state.route.view === 'rules') counts.add(['rules']);
    if (told.saved.includes(store.state.opened.id)) readDetail();
    if (batch.size > 4 * MOST) catchUp();
  }

  function start() {
    first = readList();
    void readStatus();
    void readRules();
    readDetail();
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    live = keepLive(`${scheme}://${location.host}/api/v1/live`, {
      said,
      opened: () => store.apply(S.liveIs, 'live'),
      lost: (wait) => {
        store.apply(S.liveIs, 'waiting', Date.now() + wait);
        // A closed socket does not say why: the status does.
        void readStatus();
      },
    });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && behind) catchUp();
    });
  }

  return { start, readList, readOlder, readDetail, readRules, detailed: () => detailed, tryNow: () => live?.now() };
}

/** @typedef {ReturnType<typeof createFeed>} Feed */
