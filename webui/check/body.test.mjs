import assert from 'node:assert/strict';
import test from 'node:test';
import { bytesOf, edits, formFields, forms, hex, parseJSON } from '../static/js/body.js';

/** @param {object} m */
const message = (m) => ({ headers: [], size: 0, truncated: false, ...m });
const typed = (/** @type {string} */ value) => [{ name: 'Content-Type', value }];

test('a body is shown in the best way first', () => {
  for (const [name, m, want] of /** @type {[string, object, string[]][]} */ ([
    ['JSON', { body: '{"a":1}' }, ['json', 'text', 'hex']],
    ['JSON with a wrong type', { body: ' [1]', headers: typed('text/plain') }, ['json', 'text', 'hex']],
    ['broken JSON', { body: '{"a":' }, ['text', 'hex']],
    ['a form', { body: 'a=1', headers: typed('application/x-www-form-urlencoded') }, ['form', 'text', 'hex']],
    ['text', { body: 'ok' }, ['text', 'hex']],
    ['bytes', { body_base64: '/w==' }, ['hex']],
    ['empty', { body: '' }, []],
    ['none', {}, []],
  ]))
    assert.deepEqual(forms(message(m)), want, name);
});

test('a form keeps its order, its empty values, and what is no form', () => {
  assert.deepEqual(formFields('text=add+milk&text=&token=%2Aé%F0%9F%91%8D&bare&=x&bad=%zz'), [
    { name: 'text', value: 'add milk' },
    { name: 'text', value: '' },
    { name: 'token', value: '*é👍' },
    { name: 'bare', value: '' },
    { name: '', value: 'x' },
    { name: 'bad', value: '%zz' },
  ]);
  assert.deepEqual(formFields(''), []);
  assert.equal(formFields('a&'.repeat(5000), 10).length, 10);
});

test('bytes in hex, sixteen a line', () => {
  const text = hex(new TextEncoder().encode('0123456789abcdef\n\u00ff'));
  assert.equal(
    text,
    '00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  0123456789abcdef\n' +
      '00000010  0a c3 bf                                          ...',
  );
  assert.equal(hex(new Uint8Array(100), 16).split('\n').length, 1);
});

test('kept bytes come from text and from base64, and rubbish is nothing', () => {
  assert.deepEqual([...bytesOf(message({ body: 'é' }))], [0xc3, 0xa9]);
  assert.deepEqual([...bytesOf(message({ body_base64: '/wA=' }))], [255, 0]);
  assert.deepEqual([...bytesOf(message({ body_base64: '!' }))], []);
});

test('an edited payload becomes the smallest changes', () => {
  const before = { text: 'add milk', n: 1, a: [{ v: 1 }, { v: 2 }], o: { x: 1, y: 2 }, 'b.1': { 'k\\': 1 } };
  for (const [name, change, want] of /** @type {[string, (d: any) => void, object[]][]} */ ([
    ['nothing', () => {}, []],
    ['a text', (d) => (d.text = 'buy "eggs"'), [{ path: 'text', value: '"buy \\"eggs\\""' }]],
    ['a text that looks like a number', (d) => (d.text = '42'), [{ path: 'text', value: '"42"' }]],
    ['inside an array', (d) => (d.a[1].v = null), [{ path: 'a.1.v', value: 'null' }]],
    ['an array that grew', (d) => d.a.push(3), [{ path: 'a', value: '[{"v":1},{"v":2},3]' }]],
    ['a new key', (d) => (d.o.z = {}), [{ path: 'o.z', value: '{}' }]],
    ['a key that went', (d) => delete d.o.x, [{ path: 'o', value: '{"y":2}' }]],
    ['keys with dots and backslashes', (d) => (d['b.1']['k\\'] = 2), [{ path: 'b\\.1.k\\\\', value: '2' }]],
    ['another type', (d) => (d.o = [1]), [{ path: 'o', value: '[1]' }]],
    [
      'two at once',
      (d) => ((d.n = 2), (d.o.y = 3)),
      [
        { path: 'n', value: '2' },
        { path: 'o.y', value: '3' },
      ],
    ],
  ])) {
    const after = structuredClone(before);
    change(after);
    assert.deepEqual(edits(before, after, false), want, name);
  }
});

test('a field of a form is text, what is inside its payload is JSON', () => {
  assert.deepEqual(edits({ text: 'a' }, { text: '42' }, true), [{ path: 'text', value: '42' }]);
  assert.deepEqual(edits({ payload: { v: 'a' } }, { payload: { v: 'b' } }, true), [
    { path: 'payload.v', value: '"b"' },
  ]);
});

test('the outermost value cannot be replaced', () => {
  assert.equal(edits({ a: 1 }, {}, false), null);
  assert.equal(edits({ a: 1 }, [1], false), null);
  assert.equal(edits({ '': 1 }, { '': 2 }, false), null);
});

test('what is no JSON is undefined, and null is a document', () => {
  assert.equal(parseJSON('{'), undefined);
  assert.equal(parseJSON(undefined), undefined);
  assert.equal(parseJSON('null'), null);
});
