/**
 * Short messages about what was just done. They go by themselves, the bad ones later.
 *
 * @import {Store, Toast} from './store.js'
 */
import { byId, h, icon, keyed, refill } from './dom.js';
import { iconButton } from './parts.js';
import { formatRoute } from './route.js';
import * as S from './store.js';
import { T } from './texts.js';

/** How long one stays, in milliseconds. */
const STAYS = { ok: 6000, bad: 15_000 };

/** @param {Store} store */
export function createToasts(store) {
  const box = byId('toasts', HTMLElement);
  /** @type {Set<number>} */
  const timed = new Set();

  /** @param {HTMLElement} el @param {Toast} toast */
  function draw(el, toast) {
    if (el.dataset.n === String(toast.n)) return;
    el.dataset.n = String(toast.n);
    el.dataset.tone = toast.tone;
    const drop = () => store.apply(S.untold, toast.n);
    const route = {
      view: /** @type {const} */ ('exchange'),
      id: toast.link,
      tab: /** @type {const} */ ('payload'),
      q: store.state.route.q,
    };
    refill(
      el,
      icon(toast.tone === 'ok' ? 'check' : 'warning'),
      h('div', null, h('bdi', null, toast.text), toast.hint && h('p', { class: 'quiet' }, toast.hint)),
      toast.link && h('a', { class: 'button', href: formatRoute(route), click: drop }, T.action.open),
      iconButton('cross', T.action.dismiss, drop),
    );
    if (timed.has(toast.n)) return;
    timed.add(toast.n);
    setTimeout(function leave() {
      timed.delete(toast.n);
      // Not from under the pointer or the focus.
      if (el.matches(':hover, :focus-within') && el.dataset.n === String(toast.n)) setTimeout(leave, 1000);
      else drop();
    }, STAYS[toast.tone]);
  }

  return {
    render() {
      const { toasts, working } = store.state;
      /** @type {Toast[]} */
      const shown = working
        ? [...toasts, { n: -1, tone: 'ok', text: T.action.replaying, hint: '', link: '' }]
        : [...toasts];
      keyed(
        box,
        shown,
        (t) => String(t.n),
        () => h('div', { class: 'toast' }),
        (el, t) => (t.n === -1 ? drawWorking(el, t) : draw(el, t)),
      );
    },
  };
}

/** @param {HTMLElement} el @param {Toast} toast */
function drawWorking(el, toast) {
  if (el.dataset.n === '-1') return;
  el.dataset.n = '-1';
  el.dataset.tone = 'working';
  refill(el, icon('replay'), toast.text);
}
