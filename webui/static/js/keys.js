/**
 * Single keys for the whole page. They rest while one types, while a dialog is open,
 * and when the person turned them off (WCAG 2.1.4).
 */
import { dialogOpen, openDialog } from './dialog.js';
import { h } from './dom.js';
import { recall, remember } from './prefs.js';
import { T } from './texts.js';

/** Whether single keys act. */
export function keysOn() {
  return recall('keys', 'on') === 'on';
}

/** @param {EventTarget|null} target */
function typing(target) {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/**
 * @param {Record<string, (event: KeyboardEvent) => unknown>} acts by KeyboardEvent.key; one that gives false leaves the key to the browser
 */
export function listen(acts) {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target) || dialogOpen()) return;
    const act = acts[event.key];
    if (!act) return;
    // Escape and Enter are no characters: they cannot be struck by a voice that spells.
    if (event.key.length === 1 && !keysOn()) return;
    // A button that has the focus keeps its own keys.
    if (
      event.key === 'Enter' &&
      event.target instanceof Element &&
      event.target.closest('button, a, summary, [role=tree]')
    )
      return;
    if (act(event) !== false) event.preventDefault();
  });
}

/** Shows the keys. */
export function keysDialog() {
  const box = h('input', {
    type: 'checkbox',
    id: 'keys-on',
    change: () => remember('keys', box.checked ? 'on' : 'off'),
  });
  box.checked = keysOn();
  openDialog({
    id: 'keys-dialog',
    title: T.keys.title,
    body: [
      list(T.keys.list),
      h('h3', null, T.keys.treeTitle),
      list(T.keys.tree),
      h('label', { class: 'check' }, box, h('span', null, T.keys.on)),
      h('p', { class: 'help' }, T.keys.onHelp),
    ],
  });
}

/** @param {readonly [string, string][]} keys */
function list(keys) {
  return h(
    'dl',
    { class: 'keys' },
    ...keys.map(([key, what]) =>
      h(
        'div',
        null,
        h('dt', null, ...key.split(' ').map((k) => (k === '–' ? ' – ' : h('kbd', null, k)))),
        h('dd', null, what),
      ),
    ),
  );
}
