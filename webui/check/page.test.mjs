import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { gzipSync } from 'node:zlib';

const root = new URL('../static/', import.meta.url);
const names = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((f) => f.isFile())
  .map((f) =>
    `${f.parentPath}/${f.name}`.slice(decodeURIComponent(root.pathname).replace(/\/$/, '').length).replace(/^\/+/, ''),
  )
  .sort();
const read = (/** @type {string} */ name) => readFileSync(new URL(name, root), 'utf8');
const html = read('index.html');
const scripts = names.filter((name) => name.endsWith('.js'));

test('no text can become markup, code or style', () => {
  const ways =
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\b|new Function|setHTML|cssText|setAttribute\('style/;
  for (const name of scripts) assert.doesNotMatch(read(name), ways, name);
  assert.doesNotMatch(html, /\sstyle=|\son[a-z]+=|<style|javascript:|<script>/i);
});

test('nothing comes from elsewhere', () => {
  for (const name of names) {
    const addresses = read(name).match(/(?:https?:)?\/\/[a-z0-9.-]+\.[a-z]{2,}/gi) ?? [];
    assert.deepEqual(
      addresses.filter((a) => !a.endsWith('www.w3.org')),
      [],
      name,
    );
  }
  for (const name of scripts) {
    for (const [, from] of read(name).matchAll(/^import .* from '(.*)';$/gm))
      assert.match(from ?? '', /^\.\/[a-z]+\.js$/, name);
  }
});

test('what the page names is there, and what is there is named', () => {
  const named = [...html.matchAll(/(?:href|src)="([^"#]+)"/g)].map(([, name]) => name);
  for (const name of named) assert.ok(names.includes(name ?? ''), name);
  const imported = new Set(
    scripts.flatMap((name) => [...read(name).matchAll(/from '\.\/([a-z]+\.js)'/g)].map(([, file]) => `js/${file}`)),
  );
  for (const name of names)
    assert.ok(name === 'index.html' || named.includes(name) || imported.has(name), `${name} is used by nobody`);
});

test('every picture is in the sprite, and every picture of the sprite is used', () => {
  const drawn = new Set([...html.matchAll(/<symbol id="i-([a-z]+)"/g)].map(([, name]) => name));
  const code = scripts.map(read).join('\n');
  for (const [, name] of code.matchAll(/(?:\bicon\(|\bicon: |look: |Button\()'([a-z]+)'/g))
    assert.ok(drawn.has(name), `no picture ${name}`);
  for (const name of drawn) assert.ok(new RegExp(`['\`]${name}['\`]`).test(code), `nobody draws ${name}`);
});

test('every element that a module asks for is in index.html', () => {
  for (const name of scripts) {
    for (const [, id] of read(name).matchAll(/byId\('([a-z-]+)'/g))
      assert.ok(html.includes(`id="${id}"`), `${name} asks for #${id}`);
  }
});

test('the first load is small', () => {
  const loaded = names.filter((name) => name !== 'js/types.js');
  const size = loaded.reduce((sum, name) => sum + gzipSync(read(name)).length, 0);
  assert.ok(size < 100_000, `${size} bytes in gzip, want under 100,000`);
});

test('a file is short enough to be read', () => {
  for (const name of names) {
    const lines = read(name).split('\n').length;
    assert.ok(lines <= 600, `${name} has ${lines} lines`);
  }
});
