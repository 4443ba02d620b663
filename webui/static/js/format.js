/**
 * How values look: times, sizes, words for what Slack's kinds and our verdicts are.
 * Pure functions. Texts come from texts.js.
 *
 * @import {Detail, Line} from './types.js'
 */
import { T } from './texts.js';

/** How long Slack waits for an answer, in milliseconds. */
export const DEADLINE = 3000;

/** From here on an answer is only just in time. */
export const LATE = 2500;

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short' });
const full = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'long' });

/** Time of day in this browser's zone. @param {string} at RFC 3339 */
export function timeOf(at) {
  const t = new Date(at);
  return Number.isNaN(t.getTime()) ? '–' : clock.format(t);
}

/** The day, where it is not today's; '' where it is. @param {string} at RFC 3339 @param {Date} now */
export function dayOf(at, now) {
  const t = new Date(at);
  if (Number.isNaN(t.getTime()) || t.toDateString() === now.toDateString()) return '';
  return day.format(t);
}

/** Day and time in words. @param {string} at RFC 3339 */
export function momentOf(at) {
  const t = new Date(at);
  return Number.isNaN(t.getTime()) ? '–' : full.format(t);
}

/** A duration: 0.4 ms, 212 ms, 2.89 s, 1 min 5 s. @param {number} ms */
export function duration(ms) {
  if (!Number.isFinite(ms) || ms < 0) return '–';
  if (ms < 9.95) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const s = Math.round(ms / 1000);
  return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
}

/** A size: 0 B, 812 B, 4.2 kB, 1.3 MB. @param {number} n */
export function bytes(n) {
  if (!Number.isFinite(n) || n < 0) return '–';
  if (n < 1000) return `${n} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let i = -1;
  do {
    n /= 1000;
    i++;
  } while (n >= 999.5 && i < units.length - 1);
  return `${n < 9.95 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

/** A count with thin spaces: 100 000. @param {number} n */
export function count(n) {
  return String(Math.trunc(n)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/**
 * How an answer stands to Slack's deadline.
 * @param {number} ms
 * @returns {'ok'|'late'|'over'}
 */
export function budget(ms) {
  if (ms > DEADLINE) return 'over';
  return ms >= LATE ? 'late' : 'ok';
}

/** The share of the deadline that was used, 0 to 1. @param {number} ms */
export function share(ms) {
  return Math.min(1, Math.max(0, ms / DEADLINE));
}

/**
 * Characters that change how others look, or that cannot be seen: controls, marks
 * of direction, zero widths, byte order marks, tags. The joiner inside emoji stays.
 */
const HIDDEN =
  /[\p{Cc}\u061c\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\u200d(?!\p{Emoji})/gu;

/**
 * Text from a stranger, with what could deceive an eye written out: \u202e.
 * @param {string} text
 */
export function shown(text) {
  return text.replace(HIDDEN, escapeRune);
}

/**
 * The same for a text of several lines: its line breaks and tabs stay.
 * @param {string} text
 */
export function shownLines(text) {
  return text.replace(HIDDEN, (c) => (c === '\n' || c === '\t' ? c : c === '\r' ? '' : escapeRune(c)));
}

/** @param {string} c */
function escapeRune(c) {
  const code = /** @type {number} */ (c.codePointAt(0));
  if (c === '\n') return '\\n';
  if (c === '\r') return '\\r';
  if (c === '\t') return '\\t';
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** One line of at most `most` characters. @param {string} text @param {number} [most] */
export function brief(text, most = 160) {
  const line = shown(
    text
      .slice(0, most + 1)
      .replace(/\s+/g, ' ')
      .trim(),
  );
  return text.length > most ? `${line.slice(0, most)}…` : line;
}

/** @param {string} snake slow_answer */
export function words(snake) {
  return shown(snake).replaceAll('_', ' ');
}

/** The icon of a kind. @param {string} kind */
export function kindIcon(kind) {
  switch (kind) {
    case 'slash_command':
      return 'command';
    case 'event_callback':
      return 'event';
    case 'url_verification':
    case 'ssl_check':
      return 'handshake';
    case 'outgoing_webhook':
      return 'webhook';
    case 'view_submission':
    case 'view_closed':
    case 'dialog_submission':
    case 'dialog_cancellation':
      return 'view';
    case 'shortcut':
    case 'message_action':
      return 'shortcut';
    case 'oauth_redirect':
      return 'key';
    case 'app_rate_limited':
      return 'warning';
    case 'unknown':
    case '':
      return 'unknown';
    default:
      return 'press';
  }
}

/** Slack's name for the exchange, or the request where it has none. @param {Line|Detail} x */
export function titleOf(x) {
  return brief(x.name || (x.kind && x.kind !== 'unknown' ? words(x.kind) : `${x.method} ${x.path}`), 120);
}

/** @param {Line|Detail} x */
export function userOf(x) {
  return brief(x.user_name || x.user, 60);
}

/** @param {Line|Detail} x */
export function channelOf(x) {
  if (x.channel_name) return '#' + brief(x.channel_name, 60);
  return brief(x.channel, 60);
}

/**
 * @typedef {'ok'|'warn'|'bad'|'mute'} Tone
 * @param {string} verdict
 * @returns {{tone: Tone, icon: string, word: string}}
 */
export function verdictBadge(verdict) {
  const word = T.verdict[verdict] ?? words(verdict);
  switch (verdict) {
    case 'valid':
      return { tone: 'ok', icon: 'check', word };
    case 'stale':
      return { tone: 'warn', icon: 'clock', word };
    case 'token':
      return { tone: 'warn', icon: 'key', word };
    case 'unchecked':
      return { tone: 'mute', icon: 'unknown', word };
    default:
      return { tone: 'bad', icon: 'cross', word };
  }
}

/**
 * The server's sentence on the signature. It was written when the request arrived, and
 * is read at any time after: an age in it is told from the arrival.
 * @param {Line|Detail} x
 */
export function verdictDetail(x) {
  return (x.verdict_detail ?? '').replace(/ just now$/, '').replace(/ ago(?=$|[,;.:])/, ' before it arrived');
}

/**
 * What became of it: the status, or a word where there is none.
 * @param {Line|Detail} x
 * @returns {{tone: Tone, word: string, long: string}}
 */
export function outcome(x) {
  if (x.fault) return { tone: 'bad', word: x.status ? String(x.status) : T.outcome.fault, long: brief(x.fault, 300) };
  if (!x.status) return { tone: 'mute', word: T.outcome.waiting, long: T.outcome.waitingLong };
  const tone = x.status >= 500 ? 'bad' : x.status >= 400 ? 'warn' : x.status >= 300 ? 'mute' : 'ok';
  return { tone, word: String(x.status), long: `${T.outcome.status} ${x.status}` };
}

/** Who answered, in words. @param {Line|Detail} x */
export function answeredBy(x) {
  if (!x.answered_by) return '';
  if (x.answered_by === 'app') return T.by.app;
  if (x.answered_by === 'slackdev') return T.by.slackdev;
  return T.by.rule(shown(x.answered_by.replace(/^rule /, '')));
}
