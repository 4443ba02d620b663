/**
 * The arithmetic of a list of which only a window is in the document. All rows have
 * one height. Pure functions, in pixels and row numbers.
 */

/** Rows that stand ready above and below what is seen. */
const SPARE = 8;

/**
 * Which rows must be in the document.
 * @param {{scroll: number, view: number, row: number, count: number}} at scroll position, height of the view, height of a row, number of rows
 * @returns {{first: number, end: number, offset: number, total: number}} rows first to end-1; offset of the first; height of all
 */
export function visible({ scroll, view, row, count }) {
  if (row <= 0 || count <= 0) return { first: 0, end: 0, offset: 0, total: 0 };
  const top = Math.min(Math.max(0, scroll), Math.max(0, count * row - view));
  const first = Math.max(0, Math.floor(top / row) - SPARE);
  const end = Math.min(count, Math.ceil((top + view) / row) + SPARE);
  return { first, end, offset: first * row, total: count * row };
}

/**
 * The scroll position at which row `index` is seen whole, moving as little as can be.
 * @param {number} index
 * @param {{scroll: number, view: number, row: number}} at
 */
export function reveal(index, { scroll, view, row }) {
  const top = index * row;
  if (top < scroll) return top;
  if (top + row > scroll + view) return Math.max(0, top + row - view);
  return scroll;
}

/**
 * The scroll position that keeps what is seen in its place after rows came or went
 * above it. At the top there is nothing to keep: new rows push the old ones down.
 * @param {number} scroll
 * @param {number} added rows that came above the view; negative when they went
 * @param {number} row
 */
export function keepPlace(scroll, added, row) {
  return atTop(scroll, row) ? scroll : Math.max(0, scroll + added * row);
}

/**
 * Whether the list follows what is new.
 * @param {number} scroll
 * @param {number} row
 */
export function atTop(scroll, row) {
  return scroll < row / 2;
}

/**
 * Whether it is time to ask for older rows: less than two views are left below.
 * @param {{scroll: number, view: number, row: number, count: number}} at
 */
export function nearEnd({ scroll, view, row, count }) {
  return count * row - (scroll + view) < 2 * view;
}
