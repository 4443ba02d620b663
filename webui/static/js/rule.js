/**
 * A rule as a form has it, and back. Pure functions.
 *
 * @import {Detail, Rule} from './types.js'
 *
 * @typedef {object} Form every field as a person types it
 * @property {string} name
 * @property {string} kind
 * @property {string} match the command, event type, action_id …
 * @property {string} user
 * @property {string} path
 * @property {string} text
 * @property {string} status
 * @property {string} type the answer's Content-Type
 * @property {string} body
 * @property {boolean} json the body is a document, its strings templates
 * @property {string} delay
 * @property {string} fault
 * @property {string} times
 */
import { header, parseJSON } from './body.js';

/** Slack's kinds of request. */
export const KINDS = Object.freeze([
  'slash_command',
  'event_callback',
  'block_actions',
  'block_suggestion',
  'view_submission',
  'view_closed',
  'shortcut',
  'message_action',
  'outgoing_webhook',
  'url_verification',
  'app_rate_limited',
  'interactive_message',
  'dialog_submission',
  'dialog_cancellation',
  'dialog_suggestion',
  'workflow_step_edit',
  'ssl_check',
  'oauth_redirect',
  'unknown',
]);

/** A body longer than this is not a rule that a person writes. */
const MOST_BODY = 64 << 10;

/** @returns {Form} */
export function emptyForm() {
  return {
    name: '',
    kind: '',
    match: '',
    user: '',
    path: '',
    text: '',
    status: '200',
    type: '',
    body: '',
    json: false,
    delay: '',
    fault: '',
    times: '',
  };
}

/** @param {Rule} rule @returns {Form} */
export function formOf({ name, match, answer, times }) {
  const json = answer.json !== undefined;
  return {
    name,
    kind: match.kind ?? '',
    match: match.name ?? '',
    user: match.user ?? '',
    path: match.path ?? '',
    text: match.text ?? '',
    status: answer.fault ? '' : String(answer.status || 200),
    type: contentType(answer.headers),
    body: json ? JSON.stringify(answer.json, null, 2) : (answer.body ?? ''),
    json,
    delay: answer.delay ?? '',
    fault: answer.fault ?? '',
    times: times ? String(times) : '',
  };
}

/** @param {{[name: string]: string}|undefined} headers */
function contentType(headers) {
  return Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? '';
}

/**
 * A form that answers requests like this one as it was answered, or with 200 where it was not.
 * @param {Detail} x
 * @param {readonly string[]} taken names of the rules that are there
 * @returns {Form}
 */
export function formFrom(x, taken) {
  const form = { ...emptyForm(), name: freeName(x.name || x.kind, taken), kind: x.kind, match: x.name };
  if (!x.kind || x.kind === 'unknown') form.path = x.path;
  const { response } = x;
  if (!response || !x.status) return form;
  const whole = !response.truncated && response.body !== undefined && response.body.length <= MOST_BODY;
  return {
    ...form,
    status: String(x.status),
    type: header(response, 'content-type'),
    body: whole ? literal(response.body ?? '') : '',
  };
}

/** @param {string} wanted @param {readonly string[]} taken */
function freeName(wanted, taken) {
  const base =
    wanted
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 40) || 'rule';
  if (!taken.includes(base)) return base;
  let n = 2;
  while (taken.includes(`${base}-${n}`)) n++;
  return `${base}-${n}`;
}

/** A text that a template gives back as it is. @param {string} text */
export function literal(text) {
  return text.replaceAll('{{', '{{"{{"}}');
}

/**
 * The rule that a form says. What the form has no field for comes from `base`.
 * @param {Form} form @param {Rule} [base]
 * @returns {{rule: Rule, wrong: null} | {rule: null, wrong: {field: keyof Form, why: 'empty'|'status'|'times'|'json'|'duration'}}}
 */
export function ruleOf(form, base) {
  const wrong = mistake(form);
  if (wrong) return { rule: null, wrong };
  /** @type {Rule['match']} */
  const match = filled({
    ...base?.match,
    any: undefined,
    kind: form.kind,
    name: form.match.trim(),
    user: form.user.trim(),
    path: form.path.trim(),
    text: form.text.trim(),
  });
  /** @type {Rule} */
  const rule = {
    name: form.name.trim(),
    match: Object.keys(match).length ? match : { any: true },
    answer: answerOf(form, base),
  };
  if (Number(form.times)) rule.times = Number(form.times);
  if (base?.off) rule.off = true;
  return { rule, wrong: null };
}

/** @param {Form} form @param {Rule} [base] @returns {Rule['answer']} */
function answerOf(form, base) {
  const delay = form.delay.trim();
  if (form.fault) return filled({ fault: form.fault, delay });
  const others = Object.entries(base?.answer.headers ?? {}).filter(([name]) => name.toLowerCase() !== 'content-type');
  const headers = Object.fromEntries(form.type.trim() ? [...others, ['Content-Type', form.type.trim()]] : others);
  return filled({
    status: Number(form.status || 200) === 200 ? undefined : Number(form.status),
    headers: Object.keys(headers).length ? headers : undefined,
    body: form.json ? undefined : form.body,
    json: form.json ? parseJSON(form.body) : undefined,
    delay,
  });
}

/** @param {Form} form @returns {{field: keyof Form, why: 'empty'|'status'|'times'|'json'|'duration'}|null} */
function mistake(form) {
  if (!form.name.trim()) return { field: 'name', why: 'empty' };
  const status = Number(form.status || 200);
  if (!form.fault && !(Number.isInteger(status) && status >= 200 && status <= 599))
    return { field: 'status', why: 'status' };
  const times = Number(form.times || 0);
  if (!Number.isInteger(times) || times < 0) return { field: 'times', why: 'times' };
  if (form.delay.trim() && !/^(\d+(\.\d+)?(ms|s|m))+$/.test(form.delay.trim()))
    return { field: 'delay', why: 'duration' };
  if (!form.fault && form.json && parseJSON(form.body) === undefined) return { field: 'body', why: 'json' };
  return null;
}

/**
 * The object without what is empty.
 * @template {object} O
 * @param {O} o
 * @returns {any}
 */
function filled(o) {
  return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined && v !== ''));
}
