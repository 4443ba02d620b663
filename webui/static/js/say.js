/**
 * Says short things to those who listen to the page instead of looking at it.
 */
import { byId } from './dom.js';

let turn = 0;

/** @param {string} text */
export function say(text) {
  const region = byId('said', HTMLDivElement);
  // The same words twice are silent, unless something differs.
  turn = 1 - turn;
  region.textContent = text + (turn ? '\u00a0' : '');
}
