/**
 * The list of exchanges: a window of rows over all that were read. It keeps its place
 * while new rows come, and follows when the newest is in view.
 *
 * @import {Line} from './types.js'
 * @import {Store} from './store.js'
 */
import { attribute, byId, h, icon, keyed, refill, setIcon, text } from './dom.js';
import * as F from './format.js';
import * as S from './store.js';
import { T } from './texts.js';
import { commandLine } from './copy.js';
import * as W from './window.js';

/**
 * @typedef {object} Hooks
 * @property {(id: string) => void} open
 * @property {() => void} older older rows are needed
 * @property {() => void} again the list must be read again
 * @property {(q: string) => void} search
 */

/** @param {Store} store @param {Hooks} hooks */
export function createList(store, hooks) {
  const scroller = byId('list-scroll', HTMLDivElement);
  /** As high as all rows; it has the focus. */
  const box = byId('list', HTMLDivElement);
  const rowsBox = byId('list-rows', HTMLDivElement);
  const pill = byId('fresh', HTMLButtonElement);
  const note = byId('list-note', HTMLDivElement);
  const foot = byId('list-foot', HTMLDivElement);

  /** @type {readonly Line[]} */
  let shown = [];
  let row = 1;
  let view = 0;
  let noted = '';
  let wanted = false;

  const measure = () => {
    row = parseFloat(getComputedStyle(scroller).getPropertyValue('--row-h')) || 1;
    view = scroller.clientHeight;
    paint();
  };
  const at = () => ({ scroll: scroller.scrollTop, view, row, count: shown.length });

  /** Puts the rows that can be seen into the document. */
  function paint() {
    wanted = false;
    const win = W.visible(at());
    box.style.setProperty('height', `${win.total}px`);
    rowsBox.style.setProperty('transform', `translateY(${win.offset}px)`);
    const { id } = store.state.opened;
    const now = new Date();
    keyed(
      rowsBox,
      shown.slice(win.first, win.end),
      (x) => x.id,
      createRow,
      (el, x, i) => {
        updateRow(el, x, now);
        attribute(el, 'aria-selected', x.id === id ? 'true' : 'false');
        attribute(el, 'aria-posinset', win.first + i + 1);
        attribute(el, 'aria-setsize', store.state.list.next ? -1 : shown.length);
      },
    );
    const here = id && S.indexOf(shown, id);
    const inWindow = typeof here === 'number' && here >= win.first && here < win.end;
    attribute(box, 'aria-activedescendant', inWindow ? `row-${id}` : null);
  }

  /** Shows other rows without moving those that are seen. */
  function takeRows() {
    const { rows } = store.state.list;
    if (rows === shown) return;
    const anchor = shown[Math.floor(scroller.scrollTop / row)];
    const before = anchor ? S.place(shown, anchor.id) : 0;
    const moved = anchor ? S.place(rows, anchor.id) - before : 0;
    const scroll = W.keepPlace(scroller.scrollTop, moved, row);
    shown = rows;
    // The height first: a position beyond it would be cut.
    box.style.setProperty('height', `${shown.length * row}px`);
    if (scroll !== scroller.scrollTop) scroller.scrollTop = scroll;
  }

  function scrolled() {
    store.apply(S.followingIs, W.atTop(scroller.scrollTop, row));
    if (!wanted) {
      wanted = true;
      requestAnimationFrame(paint);
    }
    if (W.nearEnd(at())) hooks.older();
  }

  /** Below or instead of the rows: what is going on, in words. */
  function renderNote() {
    const { list, session } = store.state;
    const key = JSON.stringify([
      Math.min(list.rows.length, 2),
      list.rows.length >= S.MOST_ROWS,
      list.loading,
      list.trouble,
      list.q,
      list.next === '',
      list.read,
      session,
      S.signs(store.state),
    ]);
    if (key === noted) return;
    noted = key;
    attribute(box, 'aria-busy', list.loading ? 'true' : 'false');
    const empty = list.rows.length === 0;
    note.hidden = !empty;
    foot.hidden = empty;
    if (empty) refill(note, ...emptyNote(list, S.signs(store.state), hooks));
    else refill(foot, ...footNote(list, hooks));
  }

  scroller.addEventListener('scroll', scrolled, { passive: true });
  scroller.addEventListener('click', (event) => {
    const el = event.target instanceof Element ? event.target.closest('[data-id]') : null;
    if (el instanceof HTMLElement && el.dataset.id) hooks.open(el.dataset.id);
  });
  pill.addEventListener('click', () => {
    scroller.scrollTop = 0;
    box.focus({ preventScroll: true });
  });
  new ResizeObserver(measure).observe(scroller);
  measure();

  return {
    render() {
      const { list } = store.state;
      takeRows();
      renderNote();
      pill.hidden = list.fresh === 0;
      if (list.fresh) text(pill, T.list.fresh(list.fresh));
      attribute(scroller, 'data-stale', list.loading === 'first' && list.rows.length > 0);
      paint();
      // A short list does not scroll, and so never says that its end is near.
      if (list.next && W.nearEnd(at())) hooks.older();
    },
    /** Scrolls as little as must be for a row to be seen. @param {string} id */
    reveal(id) {
      const index = S.indexOf(store.state.list.rows, id);
      if (index >= 0) scroller.scrollTop = W.reveal(index, at());
    },
    /** Scrolls to the newest row. */
    top() {
      scroller.scrollTop = 0;
    },
    /** The exchange at the upper edge. */
    anchor: () => shown[Math.floor(scroller.scrollTop / row)]?.id ?? '',
    /** How many whole rows are seen. */
    page: () => Math.max(1, Math.floor(view / row) - 1),
    focus: () => box.focus({ preventScroll: true }),
  };
}

/** @param {S.List} list @param {boolean} signs what is sent from here is signed @param {Hooks} hooks */
function emptyNote(list, signs, hooks) {
  if (list.trouble) return troubleNote(list.trouble, hooks);
  if (!list.read || list.loading === 'first') return [h('p', { class: 'quiet' }, T.list.reading)];
  if (list.q) {
    return [
      icon('search', 'large'),
      h('h2', null, T.list.nothing),
      h('p', { class: 'quiet' }, T.list.nothingFor, h('code', null, F.brief(list.q, 80))),
      h('button', { class: 'button', id: 'clear-search', click: () => hooks.search('') }, T.list.clear),
    ];
  }
  return [
    icon('logo', 'large'),
    h('h2', null, T.list.empty),
    h('p', { class: 'quiet' }, T.list.emptyHow(signs)),
    commandLine('slackdev send slash_command'),
  ];
}

/** @param {S.Trouble} trouble @param {Hooks} hooks */
function troubleNote(trouble, hooks) {
  return [
    icon('warning', 'large bad'),
    h('h2', null, T.list.failed),
    h('p', { class: 'bad' }, F.brief(trouble.message, 300)),
    trouble.hint ? h('p', { class: 'quiet' }, F.brief(trouble.hint, 300)) : null,
    h('button', { class: 'button', id: 'list-again', click: hooks.again }, T.list.again),
  ];
}

/** @param {S.List} list @param {Hooks} hooks */
function footNote(list, hooks) {
  if (list.trouble) {
    return [
      h('span', { class: 'bad' }, F.brief(list.trouble.message, 200)),
      h('button', { class: 'button', id: 'list-again', click: hooks.again }, T.list.again),
    ];
  }
  if (list.next) return [h('span', null, T.list.older)];
  return [h('span', null, list.rows.length >= S.MOST_ROWS ? T.list.full : T.list.end(list.rows.length))];
}

/** A row that shows nothing yet. */
function createRow() {
  return h(
    'div',
    { class: 'row', role: 'option' },
    h('span', { class: 'row-time' }),
    h('span', { class: 'row-kind' }, icon('unknown'), h('span', { class: 'unseen' })),
    h('span', { class: 'row-name' }, h('bdi', { class: 'row-title' }), h('bdi', { class: 'row-text' })),
    h('span', { class: 'row-who' }, h('bdi', { class: 'row-user' }), h('bdi', { class: 'row-channel' })),
    h('span', { class: 'row-verdict' }, h('span', { class: 'badge' }, icon('check'), h('span'))),
    h(
      'span',
      { class: 'row-notes' },
      h('span', { class: 'row-marks' }),
      h('span', { class: 'row-finding' }, icon('warning'), h('span')),
    ),
    h('span', { class: 'row-status' }),
    h('span', { class: 'row-elapsed' }),
    h('span', { class: 'budget' }, h('span', { class: 'budget-bar' })),
  );
}

/** @param {Element} el @param {string} name @returns {HTMLElement} */
function part(el, name) {
  return /** @type {HTMLElement} */ (el.querySelector(`.${name}`));
}

/** The exchange that a row shows. @type {WeakMap<Element, Line>} */
const shows = new WeakMap();

/** @param {HTMLElement} el @param {Line} x @param {Date} now */
function updateRow(el, x, now) {
  if (shows.get(el) === x) return;
  shows.set(el, x);
  const verdict = F.verdictBadge(x.verdict);
  const outcome = F.outcome(x);
  attribute(el, 'id', `row-${x.id}`);
  attribute(el, 'data-id', x.id);
  attribute(el, 'data-outcome', outcome.tone);
  attribute(el, 'data-done', x.done ? 'true' : 'false');

  const day = F.dayOf(x.started, now);
  text(part(el, 'row-time'), day ? `${day} ${F.timeOf(x.started)}` : F.timeOf(x.started));
  const kind = part(el, 'row-kind');
  setIcon(/** @type {Element} */ (kind.firstElementChild), F.kindIcon(x.kind));
  attribute(kind, 'title', F.words(x.kind));
  text(/** @type {Element} */ (kind.lastElementChild), x.name ? F.words(x.kind) : '');
  text(part(el, 'row-title'), F.titleOf(x));
  text(part(el, 'row-text'), x.text ? F.brief(x.text) : x.name ? F.words(x.kind) : '');
  attribute(part(el, 'row-text'), 'data-quiet', !x.text);
  text(part(el, 'row-user'), F.userOf(x));
  text(part(el, 'row-channel'), F.channelOf(x));

  const badge = /** @type {Element} */ (part(el, 'row-verdict').firstElementChild);
  attribute(badge, 'data-tone', verdict.tone);
  attribute(badge, 'title', x.verdict_detail ? F.brief(F.verdictDetail(x), 300) : null);
  setIcon(/** @type {Element} */ (badge.firstElementChild), verdict.icon);
  text(/** @type {Element} */ (badge.lastElementChild), verdict.word);

  updateAnswer(el, x, outcome);
  updateMarks(part(el, 'row-marks'), x);
}

/** @param {HTMLElement} el @param {Line} x @param {{tone: F.Tone, word: string, long: string}} outcome */
function updateAnswer(el, x, outcome) {
  const status = part(el, 'row-status');
  text(status, outcome.word);
  attribute(status, 'data-tone', outcome.tone);
  attribute(status, 'title', outcome.long);
  text(part(el, 'row-elapsed'), x.done ? F.duration(x.elapsed_ms) : '');
  const bar = part(el, 'budget');
  attribute(bar, 'data-budget', x.done ? F.budget(x.elapsed_ms) : null);
  attribute(bar, 'title', x.done ? T.row.budget(F.duration(x.elapsed_ms)) : null);
  part(el, 'budget-bar').style.setProperty('--share', x.done ? F.share(x.elapsed_ms).toFixed(3) : '0');
  const finding = part(el, 'row-finding');
  const [worst] = x.findings;
  finding.hidden = !worst;
  if (worst) {
    text(
      /** @type {Element} */ (finding.lastElementChild),
      F.words(worst) + (x.findings.length > 1 ? ` +${x.findings.length - 1}` : ''),
    );
    attribute(finding, 'title', x.findings.map(F.words).join(', '));
  }
}

/** The small words that only some rows have. @param {HTMLElement} box @param {Line} x */
function updateMarks(box, x) {
  /** @type {{icon: string, word: string, tone: F.Tone, title: string}[]} */
  const marks = [];
  if (x.pinned) marks.push({ icon: 'pin', word: '', tone: 'mute', title: T.row.pinned });
  if (x.retry_num) {
    const reason = x.retry_reason ? `: ${F.words(x.retry_reason)}` : '';
    marks.push({
      icon: 'retry',
      word: T.row.retry(x.retry_num),
      tone: 'warn',
      title: T.row.retry(x.retry_num) + reason,
    });
  }
  if (x.origin === 'replay')
    marks.push({ icon: 'replay', word: T.origin.replay ?? '', tone: 'mute', title: T.row.replay });
  if (x.origin === 'composed')
    marks.push({ icon: 'send', word: T.origin.composed ?? '', tone: 'mute', title: T.row.composed });
  if (x.answered_by.startsWith('rule '))
    marks.push({ icon: 'rule', word: T.row.rule, tone: 'mute', title: F.answeredBy(x) });
  keyed(
    box,
    marks,
    (m) => m.icon,
    () => h('span', { class: 'badge' }, icon('pin'), h('span')),
    (el, m) => {
      attribute(el, 'data-tone', m.tone);
      attribute(el, 'title', m.title);
      setIcon(/** @type {Element} */ (el.firstElementChild), m.icon);
      text(/** @type {Element} */ (el.lastElementChild), m.word);
    },
  );
}
