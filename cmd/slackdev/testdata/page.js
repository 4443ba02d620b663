// What the tests of the page see with (page_tab_test.go). It stands in each document
// before the page's own scripts do.
globalThis.see = {
  /** The element, or null. */
  $: (selector) => document.querySelector(selector),

  /** Whether there is such an element and a person could see it. */
  shown: (selector) => see.$(selector)?.checkVisibility({ visibilityProperty: true, opacityProperty: true }) ?? false,

  /** Where to click an element: its middle, scrolled into sight; null while something else is there. */
  at: (selector) => {
    const el = see.$(selector);
    if (!el || !see.shown(selector) || el.disabled) return null;
    el.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const { left, top, width, height } = el.getBoundingClientRect();
    const point = [left + width / 2, top + height / 2];
    return el.contains(document.elementFromPoint(...point)) ? point : null;
  },

  /** The words of an element, '' where there is none. */
  text: (selector) => see.$(selector)?.textContent.trim() ?? '',

  /** The words of all such elements. */
  texts: (selector) => [...document.querySelectorAll(selector)].map((el) => el.textContent.trim()),

  /** The rows of the list that stand in the document, the upper ones first. */
  rows: () => [...document.querySelectorAll('#list-rows .row')]
    .sort((a, b) => a.getAttribute('aria-posinset') - b.getAttribute('aria-posinset'))
    .map((el) => {
      const part = (name) => el.querySelector(`.row-${name}`)?.textContent.trim() ?? '';
      return {
        id: el.dataset.id, title: part('title'), text: part('text'), user: part('user'), verdict: part('verdict'), status: part('status'),
        marks: part('marks'), finding: el.querySelector('.row-finding').hidden ? '' : part('finding'), done: el.dataset.done === 'true', chosen: el.ariaSelected === 'true',
      };
    }),

  /** The lines of the payload's tree: "key: value". */
  tree: (name = 'payload') => [...document.querySelectorAll(`#${name} .node`)].map((el) =>
    [el.querySelector('.node-key')?.textContent, el.querySelector('.node-value')?.textContent].filter((s) => s !== undefined).join(': ')),

  /** A table of fields: "name: value". */
  fields: (selector) => [...document.querySelectorAll(`${selector} tr`)].map((tr) => `${tr.cells[0].textContent}: ${tr.cells[1].textContent}`),

  /**
   * Resolves with what `holds` gives, once that is true: it is asked again when the
   * document changes, and when something happens in it. Rejects after `ms`.
   */
  until: (holds, ms) => new Promise((resolve, reject) => {
    const events = ['focusin', 'input', 'scroll', 'hashchange', 'popstate', 'close', 'toggle', 'pageshow', 'resize', 'load'];
    const end = () => {
      clearTimeout(timer);
      changes.disconnect();
      for (const name of events) removeEventListener(name, check, true);
    };
    const check = () => {
      const value = holds();
      if (!value) return;
      end();
      resolve(value);
    };
    const changes = new MutationObserver(check);
    changes.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    for (const name of events) addEventListener(name, check, true);
    const timer = setTimeout(() => {
      end();
      reject(new Error('it did not come'));
    }, ms);
    check();
  }),

  /** The contrast of a text with what is behind it, as WCAG 2 counts it. */
  contrast: (selector) => {
    const el = see.$(selector);
    let behind = el;
    while (behind && see.colour(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const light = (colour) => {
      const [r, g, b] = see.colour(colour).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [a, b] = [light(getComputedStyle(el).color), light(getComputedStyle(behind ?? document.body).backgroundColor)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  },

  /** Red, green, blue and alpha of a computed colour, 0 to 255, however it is spelled. */
  colour: (css) => {
    const drawing = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    drawing.fillStyle = css;
    drawing.fillRect(0, 0, 1, 1);
    return [...drawing.getImageData(0, 0, 1, 1).data];
  },
};
