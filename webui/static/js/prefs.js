/**
 * What this browser remembers: the theme, whether single keys act, the place of the
 * divider. Storage may be refused; then the page forgets, and works.
 */

/** @param {string} name @param {string} otherwise */
export function recall(name, otherwise) {
  try {
    return localStorage.getItem(`slackdev.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(`slackdev.${name}`, value);
  } catch {
    // A private window: nothing is lost but the comfort.
  }
}
