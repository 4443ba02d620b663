/**
 * The websocket: connects, connects again, and turns what it says into calls. It is
 * a hint and carries no data.
 *
 * @import {Notice} from './types.js'
 */

/** The waits between tries, in milliseconds; the last one repeats. */
const WAITS = [250, 500, 1000, 2000, 4000, 8000];

/**
 * The wait before the next try, with a little chance so that twenty pages do not knock together.
 * @param {number} tries that failed in a row, from 1
 * @param {number} chance 0 to 1
 */
export function waitFor(tries, chance) {
  const wait = /** @type {number} */ (WAITS[Math.min(tries, WAITS.length) - 1]);
  return Math.round(wait * (0.8 + 0.4 * chance));
}

/**
 * @typedef {object} Listener
 * @property {(notice: Notice) => void} said
 * @property {() => void} opened
 * @property {(waitMS: number) => void} lost the connection is gone; the next try is in waitMS
 */

/**
 * Keeps one connection for as long as the page lives.
 * @param {string} url
 * @param {Listener} listener
 * @returns {{now: () => void}} now: try at once instead of waiting
 */
export function keepLive(url, listener) {
  let tries = 0;
  /** @type {WebSocket|null} */
  let socket = null;
  let timer = 0;

  const connect = () => {
    clearTimeout(timer);
    timer = 0;
    const ws = new WebSocket(url);
    socket = ws;
    ws.addEventListener('open', () => {
      tries = 0;
      listener.opened();
    });
    ws.addEventListener('message', (event) => {
      const notice = parse(event.data);
      if (notice) listener.said(notice);
    });
    ws.addEventListener('close', () => {
      if (socket !== ws) return;
      socket = null;
      tries++;
      const wait = waitFor(tries, Math.random());
      timer = setTimeout(connect, wait);
      listener.lost(wait);
    });
  };
  const now = () => {
    if (!socket) connect();
  };
  addEventListener('online', now);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) now();
  });
  connect();
  return { now };
}

/** @param {unknown} data @returns {Notice|null} */
function parse(data) {
  try {
    const notice = JSON.parse(String(data));
    return typeof notice?.type === 'string' ? notice : null;
  } catch {
    return null;
  }
}

/**
 * Collects IDs and hands them on in batches: the first at once, then one batch each
 * `gap` milliseconds at most, one at a time, of at most `most` IDs.
 * @param {(ids: string[]) => Promise<void>} take never rejects
 * @param {{gap?: number, most?: number}} [bounds]
 */
export function batcher(take, { gap = 50, most = 500 } = {}) {
  /** @type {Set<string>} */
  const waiting = new Set();
  let busy = false;
  let last = -Infinity;
  let timer = 0;

  const flush = async () => {
    timer = 0;
    busy = true;
    last = performance.now();
    const ids = [...waiting].slice(-most);
    for (const id of ids) waiting.delete(id);
    await take(ids);
    busy = false;
    schedule();
  };
  const schedule = () => {
    if (busy || timer || waiting.size === 0) return;
    const wait = Math.max(0, last + gap - performance.now());
    if (wait === 0) void flush();
    else timer = setTimeout(() => void flush(), wait);
  };
  return {
    /** @param {Iterable<string>} ids */
    add(ids) {
      for (const id of ids) waiting.add(id);
      schedule();
    },
    /** Forgets what waits: the list is read again anyway. */
    drop() {
      waiting.clear();
    },
    get size() {
      return waiting.size;
    },
  };
}
