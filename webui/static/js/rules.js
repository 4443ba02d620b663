/**
 * The rules: which answer in the app's place, how often they did, and what is wrong
 * with their file.
 *
 * @import {Rule} from './types.js'
 * @import {Store, Trouble} from './store.js'
 */
import { commandLine } from './copy.js';
import { attribute, byId, h, icon, refill } from './dom.js';
import * as F from './format.js';
import { callout, iconButton } from './parts.js';
import { emptyForm, formOf } from './rule.js';
import { ruleDialog } from './ruleform.js';
import { T } from './texts.js';

/**
 * @param {Store} store
 * @param {{put: (rule: Rule) => Promise<Trouble|null>, drop: (name: string) => Promise<void>, close: () => void, again: () => void}} hooks
 */
export function createRules(store, hooks) {
  const view = byId('rules', HTMLDivElement);
  /** @type {unknown} */
  let drawn = null;
  /** What was drawn, the counts aside. */
  let looks = '';

  function add() {
    ruleDialog({ title: T.form.newTitle, form: emptyForm(), save: hooks.put });
  }

  /** @param {Rule} rule */
  function edit(rule) {
    ruleDialog({ title: T.form.editTitle, form: formOf(rule), base: rule, save: hooks.put });
  }

  function draw() {
    const { value, trouble } = store.state.rules;
    const list = value?.rules ?? [];
    refill(
      view,
      h(
        'header',
        { class: 'view-head' },
        h('h2', null, T.rules.title),
        h('button', { class: 'button primary', type: 'button', id: 'add-rule', click: add }, icon('plus'), T.rules.add),
        iconButton('cross', T.rules.close, hooks.close, { id: 'close-rules' }),
      ),
      h(
        'div',
        { class: 'view-body' },
        h('p', { class: 'quiet' }, T.rules.about),
        value?.file &&
          h(
            'p',
            { class: 'quiet' },
            `${T.rules.file}: `,
            h('bdi', { class: 'mono', id: 'rules-file' }, F.shown(value.file)),
          ),
        trouble &&
          callout(
            'bad',
            'rules-trouble',
            h('span', null, T.rules.failed, ': ', F.brief(trouble.message, 300)),
            h('button', { class: 'button', type: 'button', id: 'rules-again', click: hooks.again }, T.list.again),
          ),
        value?.error &&
          callout(
            'bad',
            'rules-error',
            h(
              'div',
              null,
              h('p', null, T.rules.broken),
              h('pre', { class: 'text' }, F.shownLines(value.error.slice(0, 4000))),
            ),
          ),
        !value && !trouble && h('p', { class: 'quiet' }, T.rules.reading),
        value &&
          !list.length &&
          h(
            'div',
            { class: 'note' },
            icon('rule', 'large'),
            h('h3', null, T.rules.none),
            h('p', { class: 'quiet' }, T.rules.noneHow),
            commandLine('slackdev mock add --name hello --kind slash_command --text "hi"'),
          ),
        list.length > 0 && h('ol', { class: 'rule-list' }, ...list.map((rule) => drawRule(rule, edit, hooks.drop))),
      ),
    );
  }

  return {
    render() {
      const { route, rules } = store.state;
      view.hidden = route.view !== 'rules';
      if (view.hidden || drawn === rules) return;
      drawn = rules;
      // Counts change under the pointer; buttons must not.
      const uncounted = rules.value?.rules?.map((rule) => ({ ...rule, hits: 0, last: '', spent: false }));
      const look = JSON.stringify([rules.trouble, { ...rules.value, rules: uncounted }]);
      if (look !== looks) {
        looks = look;
        return draw();
      }
      view.querySelectorAll('.rule-hits').forEach((el, i) => {
        const rule = rules.value?.rules?.[i];
        if (rule) drawHits(el, rule);
      });
    },
    focus: () => document.getElementById('add-rule')?.focus(),
  };
}

/** @param {Rule} rule @param {(rule: Rule) => void} edit @param {(name: string) => Promise<void>} drop */
function drawRule(rule, edit, drop) {
  const name = F.brief(rule.name, 80);
  const hits = h('p', { class: 'rule-hits' });
  drawHits(hits, rule);
  return h(
    'li',
    { class: 'rule', 'data-rule': rule.name, 'data-off': rule.off ? 'true' : null },
    h(
      'div',
      { class: 'rule-main' },
      h('h3', null, h('bdi', null, name), rule.off && h('span', { class: 'badge', 'data-tone': 'mute' }, T.rules.off)),
      h('p', { class: 'rule-line' }, h('span', { class: 'line-label' }, T.rules.when), ...conditions(rule)),
      h('p', { class: 'rule-line' }, h('span', { class: 'line-label' }, T.rules.then), ...answer(rule)),
      body(rule),
    ),
    hits,
    h(
      'div',
      { class: 'tool-group' },
      iconButton('edit', T.rules.editNamed(name), () => edit(rule), { 'data-do': 'edit' }),
      iconButton('trash', T.rules.removeNamed(name), () => void drop(rule.name), { 'data-do': 'remove' }),
    ),
  );
}

/** How often it answered. @param {Element} el @param {Rule} rule */
function drawHits(el, rule) {
  const hits = rule.hits ?? 0;
  const last = hits && rule.last ? F.timeOf(rule.last) : '';
  attribute(el, 'data-hits', hits);
  refill(
    el,
    h('b', null, hits ? T.rules.hits(hits) : T.rules.never),
    rule.times ? h('span', { class: 'quiet' }, T.rules.left(rule.spent ? 0 : Math.max(0, rule.times - hits))) : null,
    last && last !== '–' && h('span', { class: 'quiet' }, T.rules.last(last)),
  );
}

/** @param {Rule} rule */
function conditions({ match }) {
  const found = Object.entries(match).filter(([key, v]) => key !== 'any' && v);
  if (!found.length) return [h('span', null, T.rules.any)];
  return found.map(([key, v]) =>
    h('bdi', { class: 'term' }, `${F.words(key)}: `, h('code', null, F.brief(String(v), 80))),
  );
}

/** @param {Rule} rule */
function answer({ answer: a, times }) {
  const parts = [];
  if (a.fault) parts.push(h('span', { class: 'term' }, T.rules.faults[a.fault] ?? F.words(a.fault)));
  else parts.push(h('code', { class: 'term' }, a.status || 200));
  for (const [name, v] of Object.entries(a.headers ?? {}))
    parts.push(h('bdi', { class: 'term mono' }, F.brief(`${name}: ${v}`, 80)));
  if (a.delay) parts.push(h('span', { class: 'term' }, icon('clock'), F.brief(a.delay, 20)));
  if (times) parts.push(h('span', { class: 'term' }, `${times} ${T.rules.times}`));
  return parts;
}

/** @param {Rule} rule */
function body({ answer: a }) {
  const text = a.json !== undefined ? JSON.stringify(a.json) : (a.body ?? '');
  return text
    ? h('pre', { class: 'rule-body' }, F.shownLines(text.slice(0, 400)) + (text.length > 400 ? '…' : ''))
    : null;
}
