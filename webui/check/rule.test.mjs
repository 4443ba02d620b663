import assert from 'node:assert/strict';
import test from 'node:test';
import { emptyForm, formFrom, formOf, literal, ruleOf } from '../static/js/rule.js';
import { line } from './lines.mjs';

test('a form says a rule, and leaves out what is empty', () => {
  const form = {
    ...emptyForm(),
    name: ' hello ',
    kind: 'slash_command',
    match: '/todo',
    text: 'milk',
    type: 'text/plain',
    body: 'hi {{.text}}',
    delay: '1.5s',
    times: '3',
  };
  assert.deepEqual(ruleOf(form).rule, {
    name: 'hello',
    match: { kind: 'slash_command', name: '/todo', text: 'milk' },
    answer: { headers: { 'Content-Type': 'text/plain' }, body: 'hi {{.text}}', delay: '1.5s' },
    times: 3,
  });
});

test('without a condition a rule fits every request', () => {
  assert.deepEqual(ruleOf({ ...emptyForm(), name: 'all' }).rule, { name: 'all', match: { any: true }, answer: {} });
});

test('a fault answers nothing else', () => {
  const { rule } = ruleOf({ ...emptyForm(), name: 'f', status: 'what', body: 'x', fault: 'reset', delay: '2s' });
  assert.deepEqual(rule?.answer, { fault: 'reset', delay: '2s' });
});

test('what a form cannot say of a rule survives its editing', () => {
  const base = {
    name: 'deploy',
    match: { kind: 'slash_command', channel: 'dev', team: 'T1' },
    off: true,
    hits: 4,
    last: '2026-11-21T12:00:00Z',
    answer: { headers: { 'X-Slack-No-Retry': '1', 'content-type': 'application/json' }, json: { text: '{{.text}}' } },
  };
  const { rule } = ruleOf({ ...formOf(base), status: '201' }, base);
  assert.deepEqual(rule, {
    name: 'deploy',
    match: { kind: 'slash_command', channel: 'dev', team: 'T1' },
    off: true,
    answer: {
      status: 201,
      headers: { 'X-Slack-No-Retry': '1', 'Content-Type': 'application/json' },
      json: { text: '{{.text}}' },
    },
  });
});

test('an any rule that gets a condition is an any rule no more', () => {
  const base = { name: 'a', match: { any: true }, answer: {} };
  assert.deepEqual(ruleOf({ ...formOf(base), path: '/x' }, base).rule?.match, { path: '/x' });
  assert.deepEqual(ruleOf(formOf(base), base).rule?.match, { any: true });
});

test('mistakes name their field', () => {
  const good = { ...emptyForm(), name: 'a' };
  for (const [change, want] of /** @type {[object, string][]} */ ([
    [{ name: '  ' }, 'name'],
    [{ status: '99' }, 'status'],
    [{ status: '2xx' }, 'status'],
    [{ times: '-1' }, 'times'],
    [{ times: '1.5' }, 'times'],
    [{ delay: '2' }, 'delay'],
    [{ delay: '1 s' }, 'delay'],
    [{ json: true, body: '{' }, 'body'],
  ]))
    assert.equal(ruleOf({ ...good, ...change }).wrong?.field, want, JSON.stringify(change));
  for (const delay of ['500ms', '1.5s', '1m', '1m30s', '']) assert.equal(ruleOf({ ...good, delay }).wrong, null, delay);
});

test('a rule from an exchange answers as it was answered', () => {
  const x = /** @type {any} */ ({
    ...line({ name: '/todo', status: 201 }),
    response: {
      headers: [{ name: 'content-type', value: 'application/json' }],
      body: '{"text":"{{x}}"}',
      size: 15,
      truncated: false,
    },
  });
  const form = formFrom(x, ['todo', 'todo-2']);
  assert.deepEqual(
    [form.name, form.kind, form.match, form.status, form.type, form.body],
    ['todo-3', 'slash_command', '/todo', '201', 'application/json', '{"text":"{{"{{"}}x}}"}'],
  );
  assert.equal(formFrom({ ...x, response: null, status: 0 }, []).status, '200', 'not answered');
  assert.equal(
    formFrom({ ...x, response: { ...x.response, truncated: true } }, []).body,
    '',
    'only a part of the body is there',
  );
  assert.equal(formFrom({ ...x, kind: 'unknown', name: '', path: '/hook' }, []).path, '/hook');
  assert.equal(formFrom({ ...x, name: '日本' }, []).name, 'rule');
});

test('a text is literal in a template', () => {
  assert.equal(literal('a {b} {{c}}'), 'a {b} {{"{{"}}c}}');
});
