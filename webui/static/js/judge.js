/**
 * What Slack would make of an exchange, and how long it took: the tabs Findings and Timing.
 *
 * @import {Detail, Finding} from './types.js'
 */
import { h, icon } from './dom.js';
import * as F from './format.js';
import { T } from './texts.js';

/** @param {Detail} x @returns {Node[]} */
export function drawFindings(x) {
  if (!x.findings.length) {
    return [
      h(
        'div',
        { class: 'note' },
        icon(x.done ? 'check' : 'clock', x.done ? 'large ok' : 'large'),
        h('h3', null, x.done ? T.findings.none : T.findings.waiting),
        x.done && !x.fault && h('p', { class: 'quiet' }, T.findings.noneLong),
      ),
    ];
  }
  return [h('ul', { class: 'findings' }, ...x.findings.map(drawFinding))];
}

/** @param {Finding} f */
function drawFinding(f) {
  const tone = toneOf(f.severity);
  return h(
    'li',
    { class: 'finding', 'data-tone': tone, 'data-code': f.code },
    h(
      'span',
      { class: 'badge', 'data-tone': tone },
      icon(tone === 'mute' ? 'info' : 'warning'),
      T.findings.severity[f.severity] ?? F.words(f.severity),
    ),
    h(
      'div',
      null,
      h('p', { class: 'finding-text' }, h('bdi', null, F.brief(f.text, 1000))),
      f.fix &&
        h('p', { class: 'finding-fix' }, h('b', null, T.findings.fix), ' ', h('bdi', null, F.brief(f.fix, 1000))),
      h(
        'p',
        { class: 'quiet' },
        h('code', null, F.shown(f.code)),
        f.pointer && [` ${T.findings.at} `, h('code', null, F.brief(f.pointer, 300))],
      ),
    ),
  );
}

/** @param {string} severity @returns {F.Tone} */
export function toneOf(severity) {
  if (severity === 'failure') return 'bad';
  return severity === 'warning' ? 'warn' : 'mute';
}

/**
 * @param {Detail} x
 * @param {number} now milliseconds
 * @returns {Node[]}
 */
export function drawTiming(x, now) {
  const took = x.done ? x.elapsed_ms : Math.max(0, now - new Date(x.started).getTime());
  const all = Math.max(F.DEADLINE * 1.15, took * 1.05);
  const state = F.budget(took);
  const fill = h('span', { class: 'span-fill', 'data-budget': state });
  fill.style.setProperty('--share', (took / all).toFixed(4));
  const mark = h('span', { class: 'span-mark' }, h('span', null, T.timing.limit));
  mark.style.setProperty('--share', (F.DEADLINE / all).toFixed(4));
  return [
    h('p', { class: 'timing-line', 'data-budget': x.fault ? 'over' : state }, timingLine(x, took)),
    h('div', { class: 'span', role: 'img', 'aria-label': `${T.timing.bar}: ${F.duration(took)}` }, fill, mark),
    h(
      'div',
      { class: 'span-scale', 'aria-hidden': 'true' },
      h('span', null, T.timing.zero),
      h('span', null, F.duration(all)),
    ),
    h(
      'dl',
      { class: 'facts' },
      h('dt', null, T.timing.started),
      h('dd', null, F.momentOf(x.started), h('code', { class: 'quiet' }, F.shown(x.started))),
      h('dt', null, T.timing.elapsed),
      h('dd', null, x.done ? F.duration(x.elapsed_ms) : '–'),
    ),
  ];
}

/** @param {Detail} x @param {number} took */
export function timingLine(x, took) {
  if (!x.done) return T.timing.waiting(F.duration(took));
  if (x.fault) return T.timing.fault(F.duration(took));
  const state = F.budget(took);
  if (state === 'over') return T.timing.over(F.duration(took), F.duration(took - F.DEADLINE));
  if (state === 'late') return T.timing.late(F.duration(took), F.duration(F.DEADLINE - took));
  return T.timing.answered(F.duration(took), Math.round(100 * F.share(took)));
}
