/**
 * What can be done with an exchange. Each action says what became of it.
 *
 * @import {Detail, Replay, Rule} from './types.js'
 * @import {Store, Trouble} from './store.js'
 * @import {Feed} from './feed.js'
 *
 * @typedef {'replay'|'retry'|'edit'|'mock'|'curl'|'pin'|'remove'} Act
 */
import * as api from './api.js';
import { copyText } from './copy.js';
import { confirm } from './dialog.js';
import { editDialog } from './edit.js';
import * as F from './format.js';
import { formFrom } from './rule.js';
import { ruleDialog } from './ruleform.js';
import { say } from './say.js';
import * as S from './store.js';
import { T } from './texts.js';

/** Slack delivers an event again three times at most. */
const MOST_RETRIES = 3;

/** @param {Store} store @param {Feed} feed */
export function createActions(store, feed) {
  /** @param {string} text @param {{hint?: string, link?: string, tone?: 'ok'|'bad'}} [more] */
  function tell(text, { hint = '', link = '', tone = 'ok' } = {}) {
    store.apply(S.told, { tone, text, hint, link });
    say(text);
  }

  /** @param {string} what @param {unknown} err */
  function failed(what, err) {
    const why = api.refusalOf(err);
    if (why?.status === 401) store.apply(S.sessionIs, 'out');
    else if (why) tell(`${what}: ${F.brief(why.message, 300)}`, { hint: F.brief(why.hint, 300), tone: 'bad' });
  }

  /** @param {Replay} what @returns {Promise<boolean>} whether it was sent */
  async function send(what) {
    store.apply(S.worked, 1);
    say(T.action.replaying);
    try {
      const line = (await api.replay(what)).at(-1);
      if (!line) tell(T.action.replayNothing, { tone: 'bad' });
      else if (line.fault) tell(T.action.replayFault(F.brief(line.fault, 200)), { tone: 'bad', link: line.id });
      else
        tell(T.action.replayed(F.outcome(line).word, F.duration(line.elapsed_ms)), {
          link: line.id,
          tone: line.status >= 400 ? 'bad' : 'ok',
        });
      return true;
    } catch (err) {
      failed(T.action.replayFailed, err);
      return false;
    } finally {
      store.apply(S.worked, -1);
    }
  }

  /** The opened exchange, once it was read. @returns {Detail|null} */
  function current() {
    const { phase, value } = store.state.opened;
    return phase === 'ready' ? value : null;
  }

  /** @param {Detail} x */
  function retry(x) {
    const n = Math.min(MOST_RETRIES, x.retry_num + 1);
    return send({ id: x.id, as_retry: n, reason: x.retry_reason || 'http_timeout' });
  }

  /** @param {Detail} x */
  async function edit(x) {
    // A masked token would be sent as it is shown: the editor needs the real ones.
    say(T.edit.reading);
    try {
      editDialog(await api.readDetail(x.id, true), S.signs(store.state), (what) => send({ id: x.id, ...what }));
    } catch (err) {
      failed(T.action.failed, err);
    }
  }

  /** @param {Detail} x */
  async function curl(x) {
    try {
      const copied = await copyText(await api.readCurl(x.id));
      tell(copied ? T.action.curlDone : T.copy.failed, { tone: copied ? 'ok' : 'bad' });
    } catch (err) {
      failed(T.action.failed, err);
    }
  }

  /** @param {Detail} x */
  async function pin(x) {
    try {
      await api.pin(x.id, !x.pinned);
      tell(x.pinned ? T.action.unpinned : T.action.pinned);
      feed.readDetail();
    } catch (err) {
      failed(T.action.failed, err);
    }
  }

  /** @param {Detail} x @param {(id: string) => void} leave goes to the row beside it, first */
  async function remove(x, leave) {
    if (!(await confirm({ id: 'delete-dialog', title: T.remove.title, text: T.remove.text, yes: T.remove.yes })))
      return;
    const below = S.stepped(store.state, 1);
    const beside = below === x.id ? S.stepped(store.state, -1) : below;
    try {
      await api.forget([x.id]);
      leave(beside === x.id ? '' : beside);
      store.apply(S.gone, [x.id]);
      tell(T.action.removed);
    } catch (err) {
      failed(T.action.failed, err);
    }
  }

  /** @param {Rule} rule @returns {Promise<Trouble|null>} */
  async function putRule(rule) {
    try {
      store.apply(S.rulesRead, await api.putRule(rule));
      tell(T.rules.saved(rule.name));
      return null;
    } catch (err) {
      const why = api.refusalOf(err);
      return why && { message: why.message, hint: why.hint, status: why.status };
    }
  }

  /** @param {string} name */
  async function dropRule(name) {
    if (
      !(await confirm({
        id: 'remove-rule-dialog',
        title: T.rules.removeAsk(F.brief(name, 60)),
        text: T.rules.removeText,
        yes: T.rules.remove,
      }))
    )
      return;
    try {
      store.apply(S.rulesRead, await api.dropRule(name));
      tell(T.rules.removed(F.brief(name, 60)));
    } catch (err) {
      failed(T.action.failed, err);
    }
  }

  return {
    putRule,
    dropRule,
    /**
     * Does it with the opened exchange, once that was read: a key may be faster.
     * @param {Act} act @param {(id: string) => void} leave
     */
    async run(act, leave) {
      const { id } = store.state.opened;
      await feed.detailed();
      const x = current();
      if (!x || x.id !== id) return;
      switch (act) {
        case 'replay':
          return void send({ id: x.id });
        case 'retry':
          return void retry(x);
        case 'edit':
          return void edit(x);
        case 'mock':
          return ruleDialog({
            title: T.form.mockTitle,
            form: formFrom(
              x,
              (store.state.rules.value?.rules ?? []).map((r) => r.name),
            ),
            save: putRule,
          });
        case 'curl':
          return void curl(x);
        case 'pin':
          return void pin(x);
        case 'remove':
          return void remove(x, leave);
      }
    },
  };
}

/** @typedef {ReturnType<typeof createActions>} Actions */
