/**
 * The local API. Every failure is a Refusal, with the server's words where it has any.
 *
 * @import {Detail, Line, Page, Replay, Rule, Rules, Status} from './types.js'
 */
import { T } from './texts.js';

/** Why the server, or the way to it, refused. */
export class Refusal extends Error {
  /** @param {number} status 0: not reached @param {string} message @param {string} hint what to type, or '' */
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

/** @param {unknown} err @returns {Refusal|null} null for a request that was called off */
export function refusalOf(err) {
  if (err instanceof Refusal) return err;
  if (err instanceof DOMException && err.name === 'AbortError') return null;
  return new Refusal(0, T.error.unreachable, T.error.unreachableHint);
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>} one with a good status
 */
async function ask(path, init) {
  const res = await fetch(`/api/v1/${path}`, {
    credentials: 'same-origin',
    cache: 'no-store',
    redirect: 'error',
    ...init,
  });
  if (res.ok) return res;
  const said = await res.json().catch(() => ({}));
  throw new Refusal(res.status, String(said.error || `${T.error.status} ${res.status}`), String(said.hint ?? ''));
}

/** @param {string} path @param {unknown} body @param {AbortSignal} [signal] */
function change(path, body, signal) {
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  return ask(path, signal ? { ...init, signal } : init);
}

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
async function read(path, signal) {
  return (await ask(path, signal ? { signal } : {})).json();
}

/** @param {string} id */
const at = (id) => `exchanges/${encodeURIComponent(id)}`;

/** Exchanges the token of the terminal's link for a cookie. @param {string} token */
export async function openSession(token) {
  await change('session', { token });
}

/** @returns {Promise<Status>} */
export const readStatus = () => read('status');

/**
 * @param {{q?: string, before?: string, limit: number}} what
 * @param {AbortSignal} [signal]
 * @returns {Promise<Page>}
 */
export function readPage({ q = '', before = '', limit }, signal) {
  return read(`exchanges?${new URLSearchParams({ q, before, limit: String(limit) })}`, signal);
}

/** @param {string[]} ids at most 500 @returns {Promise<Page>} */
export const readLines = (ids) => read(`exchanges?ids=${ids.map(encodeURIComponent).join(',')}`);

/** @param {string} id @param {boolean} secrets @param {AbortSignal} [signal] @returns {Promise<Detail>} */
export const readDetail = (id, secrets, signal) => read(`${at(id)}${secrets ? '?secrets=1' : ''}`, signal);

/** @param {string} id @returns {Promise<string>} */
export const readCurl = async (id) => (await read(`${at(id)}/curl`)).curl;

/** The address of the kept bytes of a body. @param {string} id @param {'in'|'out'} side */
export const bodyAddress = (id, side) => `/api/v1/${at(id)}/body/${side}`;

/** @param {string} id @param {boolean} pinned */
export async function pin(id, pinned) {
  await change(`${at(id)}/pin`, { pinned });
}

/** @param {string[]} ids */
export async function forget(ids) {
  await change('exchanges/delete', { ids });
}

/**
 * Sends a recorded request again and waits for what became of it.
 * @param {Replay} what
 * @returns {Promise<Line[]>}
 */
export async function replay(what) {
  const res = await change('replay', what);
  /** @type {Line[]} */
  const done = [];
  for (const text of (await res.text()).split('\n')) {
    if (!text.trim()) continue;
    const line = JSON.parse(text);
    if (line.type === 'error') throw new Refusal(res.status, String(line.error), String(line.hint ?? ''));
    done.push(line);
  }
  return done;
}

/** @returns {Promise<Rules>} */
export const readRules = () => read('rules');

/** @param {Rule} rule @returns {Promise<Rules>} */
export const putRule = async (rule) => (await change('rules', { rule })).json();

/** @param {string} name @returns {Promise<Rules>} */
export const dropRule = async (name) => (await change('rules/delete', { name })).json();
