/** Invented lines for the tests. */

/** @param {object} [o] @returns {import('../static/js/types.js').Line} */
export function line(o = {}) {
  return {
    id: id(1),
    started: '2026-11-21T12:04:31.5Z',
    origin: 'tunnel',
    of: '',
    method: 'POST',
    path: '/slack/events',
    kind: 'slash_command',
    name: '/todo',
    user: '',
    channel: '',
    team: 'T1',
    verdict: 'valid',
    status: 200,
    answered_by: 'app',
    elapsed_ms: 41,
    retry_num: 0,
    findings: [],
    fault: '',
    done: true,
    ...o,
  };
}

/** An ID that sorts by n. @param {number} n */
export function id(n) {
  return `01KAJ3${String(n).padStart(20, '0')}`;
}

/** Lines with the IDs from `newest` down to `oldest`. @param {number} newest @param {number} oldest */
export function lines(newest, oldest) {
  return Array.from({ length: newest - oldest + 1 }, (_, i) => line({ id: id(newest - i) }));
}
