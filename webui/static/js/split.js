/**
 * The divider between list and detail: drawn with the pointer or moved with arrows.
 */
import { attribute, byId } from './dom.js';
import { recall, remember } from './prefs.js';
import { T } from './texts.js';

/** The share of the list, in per cent. */
const LEAST = 20;
const MOST = 80;

/** Makes the divider work. */
export function createSplit() {
  const panes = byId('panes', HTMLElement);
  const list = byId('list-pane', HTMLElement);
  const split = byId('split', HTMLDivElement);
  attribute(split, 'aria-label', T.split);
  attribute(split, 'aria-controls', 'list-pane');
  attribute(split, 'aria-valuemin', LEAST);
  attribute(split, 'aria-valuemax', MOST);

  /** @param {number} share */
  function move(share) {
    const kept = Math.min(MOST, Math.max(LEAST, share));
    panes.style.setProperty('--list-share', `${kept.toFixed(2)}%`);
    remember('split', kept.toFixed(2));
  }

  /** The share as it is: until the divider is moved, the style sheet chooses it by the width of the window. */
  const now = () => (100 * list.offsetWidth) / (panes.offsetWidth || 1);
  const kept = Number(recall('split', ''));
  if (kept) move(kept);
  new ResizeObserver(() => attribute(split, 'aria-valuenow', Math.round(now()))).observe(list);

  split.addEventListener('pointerdown', (event) => {
    split.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  split.addEventListener('pointermove', (event) => {
    if (!split.hasPointerCapture(event.pointerId)) return;
    const { left, width } = panes.getBoundingClientRect();
    move((100 * (event.clientX - left)) / width);
  });
  split.addEventListener('keydown', (event) => {
    const to = { ArrowLeft: now() - 2, ArrowRight: now() + 2, Home: LEAST, End: MOST }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to);
  });
}
