/**
 * The shapes of the local API, as docs/local-api.md has them. This file holds types
 * alone: no module imports it at run time.
 *
 * @typedef {object} Line one exchange as the list shows it
 * @property {string} id 26 characters that sort by time
 * @property {string} started RFC 3339
 * @property {'tunnel'|'local'|'replay'|'composed'|'outgoing'} origin
 * @property {string} of the exchange it was made from, or ''
 * @property {string} method
 * @property {string} path
 * @property {string} kind
 * @property {string} name
 * @property {string} user
 * @property {string} channel
 * @property {string} team
 * @property {string} verdict
 * @property {number} status 0: not answered
 * @property {string} answered_by app, slackdev or "rule NAME"
 * @property {number} elapsed_ms
 * @property {number} retry_num
 * @property {string[]} findings codes, worst first
 * @property {string} fault
 * @property {string} [user_name]
 * @property {string} [channel_name]
 * @property {string} [text]
 * @property {string} [retry_reason]
 * @property {string} [secret] the name of the secret that matched
 * @property {string} [verdict_detail]
 * @property {boolean} [pinned]
 * @property {boolean} done
 *
 * @typedef {{name: string, value: string}} Field a header, in wire order
 *
 * @typedef {object} Message one half of an exchange
 * @property {string} [target]
 * @property {string} [host]
 * @property {string} [proto]
 * @property {string} [remote]
 * @property {number} [status]
 * @property {Field[]} headers
 * @property {string} [body]
 * @property {string} [body_base64] where the body is not UTF-8
 * @property {number} size bytes that passed
 * @property {boolean} truncated only the beginning was kept
 * @property {Field[]} [trailers]
 * @property {string} [decoded] the Content-Encoding that was taken off the body
 *
 * @typedef {object} Finding
 * @property {string} code
 * @property {string} severity note, warning or failure
 * @property {string} pointer JSON pointer into the answer
 * @property {string} text
 * @property {string} fix
 *
 * @typedef {Omit<Line, 'findings'> & {
 *   request: Message, response: Message|null, slack: Json, slack_problem?: string, findings: Finding[],
 * }} Detail
 *
 * @typedef {null|boolean|number|string|Json[]|{[key: string]: Json}} Json
 *
 * @typedef {{exchanges: Line[], next: string, seq: number}} Page `next` is empty after the oldest
 *
 * @typedef {{state: string, provider: string, url: string, name: string, reachable: string, error: string,
 *   retry_in_ms: number, notices: string[]|null}} Tunnel
 *
 * @typedef {object} Status
 * @property {string} version
 * @property {number} pid
 * @property {string} project
 * @property {string} local_url
 * @property {string} app_url
 * @property {string} path
 * @property {Tunnel} tunnel the first
 * @property {{up: boolean, error: string}} app behind it
 * @property {Tunnel[]} [tunnels] all of them, where there are several
 * @property {{name: string, url: string, up: boolean, error: string}[]} [apps] all of them, where there are several
 * @property {string[]|null} secrets names, never values
 * @property {boolean} enforce
 * @property {{path: string, exchanges: number, bytes: number, error: string}} store
 * @property {{file: string, count: number, error: string}} rules
 * @property {number} seq
 *
 * @typedef {object} Rule as in the rules file
 * @property {string} name
 * @property {{kind?: string, name?: string, user?: string, channel?: string, team?: string, path?: string, text?: string, any?: boolean}} match
 * @property {{status?: number, headers?: {[name: string]: string}, body?: string, json?: Json, delay?: string, fault?: string}} answer
 * @property {number} [times]
 * @property {boolean} [off]
 * @property {number} [hits] how many requests it answered
 * @property {string} [last] when it answered last
 * @property {boolean} [spent] it answered as often as it may
 *
 * @typedef {{file: string, error: string, rules: Rule[]|null}} Rules
 *
 * @typedef {{type: 'hello', seq: number}
 *   | {type: 'events', events: {seq: number, what: 'saved'|'deleted'|'lost', id: string}[]}
 *   | {type: 'status'} | {type: 'rules'} | {type: 'resync', seq?: number}} Notice what the websocket says
 *
 * @typedef {object} Replay
 * @property {string} id
 * @property {{path: string, value: string}[]} [set]
 * @property {string} [body]
 * @property {string} [to]
 * @property {number} [times]
 * @property {number} [as_retry]
 * @property {string} [reason]
 */
export {};
