/**
 * The search box: asks while one types, and shows what the server could not read.
 *
 * @import {Store} from './store.js'
 */
import { attribute, byId, h, icon, text } from './dom.js';
import * as F from './format.js';
import { iconButton } from './parts.js';
import { T } from './texts.js';

/** How long after the last key the server is asked, in milliseconds. */
const PAUSE = 120;

/**
 * @param {Store} store
 * @param {{search: (q: string) => void, down: () => void}} hooks down: on to the list
 */
export function createSearch(store, hooks) {
  const box = byId('search-box', HTMLElement);
  const input = h('input', {
    type: 'search',
    id: 'search',
    placeholder: T.search.hint,
    'aria-label': T.search.label,
    'aria-describedby': 'search-error',
    value: store.state.list.q,
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
    enterkeyhint: 'search',
  });
  const error = h('p', { class: 'search-error', id: 'search-error', role: 'status' });
  const help = h(
    'div',
    { class: 'popover', id: 'search-help', popover: 'auto', role: 'dialog', 'aria-label': T.search.help },
    h('p', null, T.search.about),
    h(
      'ul',
      null,
      ...T.search.examples.map(([q, about]) =>
        h(
          'li',
          null,
          h('button', { type: 'button', class: 'example', click: () => add(q) }, h('code', null, q)),
          h('span', { class: 'quiet' }, about),
        ),
      ),
    ),
  );
  box.append(
    h(
      'div',
      { class: 'search-line' },
      icon('search'),
      input,
      h('kbd', { 'aria-hidden': 'true' }, '/'),
      iconButton('unknown', T.search.help, () => {}, { popovertarget: 'search-help', id: 'search-help-button' }),
    ),
    error,
    help,
  );
  let timer = 0;

  function ask() {
    clearTimeout(timer);
    const q = input.value.trim();
    if (q !== store.state.list.q) hooks.search(q);
  }

  /** Puts a term behind what is there. @param {string} term */
  function add(term) {
    input.value = `${input.value.trim()} ${term}`.trim();
    help.hidePopover();
    input.focus();
    ask();
  }

  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') ask();
    else if (event.key === 'ArrowDown') hooks.down();
    else if (event.key === 'Escape' && input.value) {
      input.value = '';
      ask();
    } else if (event.key === 'Escape') hooks.down();
    else return;
    event.preventDefault();
  });

  return {
    render() {
      const { list } = store.state;
      // 400 is the server's word on the query; other troubles stand in the list.
      const wrong = list.trouble?.status === 400 && list.q !== '';
      text(
        error,
        wrong
          ? [list.trouble?.message, list.trouble?.hint]
              .filter(Boolean)
              .map((s) => F.brief(String(s), 300))
              .join(' – ')
          : '',
      );
      attribute(input, 'aria-invalid', wrong ? 'true' : null);
      attribute(box, 'data-asking', list.loading === 'first');
    },
    /** Shows a query that came from elsewhere: a link, the history, a button. @param {string} q */
    show(q) {
      if (input.value.trim() !== q) input.value = q;
    },
    focus() {
      input.focus();
      input.select();
    },
  };
}
