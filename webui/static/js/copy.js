/**
 * The clipboard, and the elements that put something there.
 */
import { h, icon } from './dom.js';
import { say } from './say.js';
import { T } from './texts.js';

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether the clipboard has it
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not a secure context, or refused: the old way still works.
    return copyOldWay(text);
  }
}

/** @param {string} text */
function copyOldWay(text) {
  const area = h('textarea', { class: 'unseen', 'aria-hidden': 'true', tabindex: -1 });
  const active = document.activeElement;
  area.value = text;
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (active instanceof HTMLElement) active.focus({ preventScroll: true });
  return copied;
}

/**
 * A button that copies and says so where it stands.
 * @param {string} label what it copies, for those who do not see where it stands
 * @param {string|(() => string)} what
 * @param {{id?: string, word?: string, look?: string}} [more] word: shown beside the picture; look: another picture
 */
export function copyButton(label, what, { id = '', word = '', look = 'copy' } = {}) {
  const picture = h('span', { class: 'copy-icon' }, icon(look), icon('check', 'ok'));
  const button = h(
    'button',
    {
      class: word ? 'button' : 'button quiet-button',
      type: 'button',
      id: id || null,
      'aria-label': word ? null : label,
      title: label,
      click: async () => {
        const copied = await copyText(typeof what === 'string' ? what : what());
        say(copied ? T.copy.done : T.copy.failed);
        if (!copied) return;
        button.dataset.copied = 'true';
        setTimeout(() => delete button.dataset.copied, 1500);
      },
    },
    picture,
    word,
  );
  return button;
}

/** A command to type, with a button that copies it. @param {string} command */
export function commandLine(command) {
  return h('div', { class: 'command' }, h('code', null, command), copyButton(T.copy.command, command));
}

/** An address or another short value, with a button that copies it. @param {string} value @param {string} label @param {string} [id] */
export function copyLine(value, label, id = '') {
  return h('div', { class: 'command' }, h('bdi', { class: 'mono' }, value), copyButton(label, value, { id }));
}
