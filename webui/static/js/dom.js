/**
 * Makes elements from data. Text is always a text node, attributes come from a short
 * list, and addresses are checked: nothing that a stranger wrote can become markup.
 *
 * @typedef {Node|string|number|false|null|undefined} Leaf
 * @typedef {Leaf|Leaf[]} Child
 * @typedef {{[name: string]: string|number|boolean|null|undefined|((event: any) => void)}} Attributes
 */

const SVG = 'http://www.w3.org/2000/svg';

/** Attributes that could carry code or style, whoever asks for them. */
const REFUSED = /^(on|style$|srcdoc$|srcset$|formaction$|xlink)/;

/** Addresses that may stand in a link. */
const LINK = /^(https?:\/\/|\/(?!\/)|#)/;

/**
 * An element. An attribute that is a function listens to that event ("click"), true
 * is the bare attribute, false, null and undefined leave it out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes|null} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') el.addEventListener(name, value);
    else attribute(el, name, value);
  }
  el.append(...nodes(children));
  return el;
}

/**
 * Sets, changes or takes away one attribute, and touches nothing that is right already.
 * @param {Element} el @param {string} name @param {string|number|boolean|null|undefined} value
 */
export function attribute(el, name, value) {
  if (REFUSED.test(name)) throw new Error(`attribute ${name} is not for data`);
  if (value === false || value === null || value === undefined) {
    if (el.hasAttribute(name)) el.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : String(value);
  if ((name === 'href' || name === 'src') && !LINK.test(text)) return;
  if (el.getAttribute(name) !== text) el.setAttribute(name, text);
}

/**
 * Sets the text of an element, and touches nothing that is right already.
 * @param {Element} el @param {string} text
 */
export function text(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/** @param {Child[]} children @returns {(Node|string)[]} */
function nodes(children) {
  /** @type {(Node|string)[]} */
  const found = [];
  for (const child of children.flat()) {
    if (child === false || child === null || child === undefined) continue;
    found.push(typeof child === 'number' ? String(child) : child);
  }
  return found;
}

/**
 * A picture from the sprite. It says nothing to a screen reader: words stand beside it.
 * @param {string} name
 * @param {string} [extra] more classes
 */
export function icon(name, extra = '') {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `icon ${extra}`.trim());
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('viewBox', '0 0 16 16');
  const use = document.createElementNS(SVG, 'use');
  svg.append(use);
  setIcon(svg, name);
  return svg;
}

/** Changes the picture of an icon. @param {Element} svg @param {string} name */
export function setIcon(svg, name) {
  const use = svg.firstElementChild;
  if (use) attribute(use, 'href', `#i-${name}`);
}

/**
 * Replaces the content of an element and keeps the focus where an element with the
 * same id comes again.
 * @param {Element} parent @param {...Child} children
 */
export function refill(parent, ...children) {
  const active = document.activeElement;
  const id = active && parent.contains(active) ? active.id : '';
  parent.replaceChildren(...nodes(children));
  if (id) document.getElementById(id)?.focus({ preventScroll: true });
}

/**
 * Brings the children of `parent` in step with `items`: a child stays with its key,
 * one whose item went is used for a new item, the order is that of the items.
 * @template {Element} E
 * @template T
 * @param {Element} parent holds nothing but these children
 * @param {readonly T[]} items
 * @param {(item: T) => string} keyOf unique among the items
 * @param {() => E} create
 * @param {(el: E, item: T, index: number) => void} update
 */
export function keyed(parent, items, keyOf, create, update) {
  const wanted = new Set(items.map(keyOf));
  /** @type {Map<string, E>} */
  const kept = new Map();
  /** @type {E[]} */
  const free = [];
  for (const child of /** @type {Iterable<E>} */ ([...parent.children])) {
    const key = keys.get(child);
    if (key !== undefined && wanted.has(key)) kept.set(key, child);
    else free.push(child);
  }
  let at = parent.firstElementChild;
  // In their order, so that a window that moved far changes words and moves no element.
  let used = 0;
  items.forEach((item, i) => {
    const key = keyOf(item);
    const el = kept.get(key) ?? free[used++] ?? create();
    keys.set(el, key);
    update(el, item, i);
    if (el === at) at = el.nextElementSibling;
    else parent.insertBefore(el, at);
  });
  for (const el of free.slice(used)) el.remove();
}

/** The key of each child that keyed() made. @type {WeakMap<Element, string>} */
const keys = new WeakMap();

/**
 * The element of index.html with this id.
 * @template {typeof HTMLElement} C
 * @param {string} id
 * @param {C} kind
 * @returns {InstanceType<C>}
 */
export function byId(id, kind) {
  const el = document.getElementById(id);
  if (!(el instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return /** @type {InstanceType<C>} */ (el);
}
