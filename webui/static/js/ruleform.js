/**
 * The dialog in which a rule is written.
 *
 * @import {Rule} from './types.js'
 * @import {Form} from './rule.js'
 * @import {Trouble} from './store.js'
 */
import { field, openDialog } from './dialog.js';
import { h } from './dom.js';
import * as F from './format.js';
import { KINDS, ruleOf } from './rule.js';
import { T } from './texts.js';

/**
 * @param {object} what
 * @param {string} what.title
 * @param {Form} what.form
 * @param {Rule} [what.base] the rule that is changed
 * @param {(rule: Rule) => Promise<Trouble|null>} what.save
 */
export function ruleDialog({ title, form, base, save }) {
  /** @param {'name'|'match'|'user'|'path'|'text'|'status'|'type'|'delay'|'times'} key @param {Record<string, string|boolean>} [more] */
  const input = (key, more = {}) =>
    h('input', {
      type: 'text',
      id: `rule-${key}`,
      value: form[key],
      autocomplete: 'off',
      spellcheck: 'false',
      ...more,
    });
  const controls = {
    name: input('name', { required: true, readonly: base !== undefined }),
    kind: select('rule-kind', form.kind, [
      ['', T.form.anyKind],
      ...KINDS.map((k) => /** @type {[string, string]} */ ([k, k])),
    ]),
    match: input('match'),
    user: input('user'),
    path: input('path'),
    text: input('text'),
    status: input('status', { inputmode: 'numeric' }),
    type: input('type', { placeholder: 'application/json' }),
    body: h('textarea', { class: 'code', id: 'rule-body', spellcheck: 'false', autocomplete: 'off', rows: 7 }),
    json: h('input', { type: 'checkbox', id: 'rule-json' }),
    delay: input('delay', { placeholder: '1.5s' }),
    fault: select('rule-fault', form.fault, [
      ['', T.form.noFault],
      ['timeout', T.form.faults.timeout],
      ['reset', T.form.faults.reset],
    ]),
    times: input('times', { inputmode: 'numeric' }),
  };
  controls.body.value = form.body;
  controls.json.checked = form.json;
  const error = h('p', { class: 'form-error', id: 'rule-error', role: 'alert' });

  /** @returns {Form} */
  const typed = () => ({
    name: controls.name.value,
    kind: controls.kind.value,
    match: controls.match.value,
    user: controls.user.value,
    path: controls.path.value,
    text: controls.text.value,
    status: controls.status.value,
    type: controls.type.value,
    body: controls.body.value,
    json: controls.json.checked,
    delay: controls.delay.value,
    fault: controls.fault.value,
    times: controls.times.value,
  });

  /** A fault leaves nothing to answer with. */
  const sync = () => {
    for (const key of /** @type {const} */ (['status', 'type', 'body', 'json']))
      controls[key].disabled = controls.fault.value !== '';
  };
  controls.fault.addEventListener('change', sync);
  sync();

  const dialog = openDialog({
    id: 'rule-dialog',
    title,
    yes: T.form.save,
    wide: true,
    body: [
      field(T.form.name, controls.name),
      h(
        'fieldset',
        null,
        h('legend', null, T.form.when),
        h(
          'div',
          { class: 'grid' },
          field(T.form.kind, controls.kind),
          field(T.form.match, controls.match, T.form.matchHelp),
          field(T.form.text, controls.text),
          field(T.form.user, controls.user, T.form.userHelp),
          field(T.form.path, controls.path),
        ),
      ),
      h(
        'fieldset',
        null,
        h('legend', null, T.form.then),
        h(
          'div',
          { class: 'grid' },
          field(T.form.status, controls.status),
          field(T.form.type, controls.type),
          field(T.form.fault, controls.fault),
          field(T.form.delay, controls.delay, T.form.delayHelp),
          field(T.form.times, controls.times, T.form.timesHelp),
        ),
        field(T.form.body, controls.body, T.form.bodyHelp),
        h('label', { class: 'check' }, controls.json, h('span', null, T.form.json)),
      ),
      error,
    ],
    submit: async () => {
      for (const control of Object.values(controls)) control.removeAttribute('aria-invalid');
      const { rule, wrong } = ruleOf(typed(), base);
      if (wrong) {
        error.textContent = T.form.wrong[wrong.why];
        controls[wrong.field].setAttribute('aria-invalid', 'true');
        controls[wrong.field].focus();
        return;
      }
      const trouble = await save(rule);
      if (!trouble) return dialog.close();
      error.textContent = [trouble.message, trouble.hint]
        .filter(Boolean)
        .map((s) => F.brief(s, 300))
        .join(' – ');
    },
  });
  controls[base ? 'match' : 'name'].focus();
}

/** @param {string} id @param {string} value @param {[string, string][]} options */
function select(id, value, options) {
  const known = options.some(([v]) => v === value)
    ? options
    : [...options, /** @type {[string, string]} */ ([value, F.brief(value, 60)])];
  const el = h('select', { id }, ...known.map(([v, word]) => h('option', { value: v }, word)));
  el.value = value;
  return el;
}
