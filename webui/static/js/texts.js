/**
 * Every English word that the page says of its own.
 */
export const T = Object.freeze({
  /** @type {Record<string, string>} */
  verdict: {
    valid: 'signed',
    stale: 'stale',
    mismatch: 'wrong secret',
    missing: 'unsigned',
    malformed: 'malformed',
    token: 'token only',
    unchecked: 'unchecked',
  },
  /** What a verdict means, where the server gave no sentence. @type {Record<string, string>} */
  verdictLong: {
    valid: 'The signature is valid.',
    stale: 'The signature is right, but its timestamp is more than five minutes away.',
    mismatch: 'Signed with another secret, or the body was changed on the way.',
    missing: 'The request has no signature.',
    malformed: 'The signature or its timestamp is not one that Slack sends.',
    token: 'No signature, only a legacy verification token.',
    unchecked: 'The signature was not checked.',
  },
  /** @type {Record<string, string>} */
  origin: { tunnel: '', local: 'local', replay: 'replay', composed: 'sent', outgoing: 'outgoing' },
  outcome: {
    fault: 'fault',
    status: 'status',
    waiting: 'waiting',
    waitingLong: 'waiting for the answer',
  },
  by: {
    app: 'the app',
    slackdev: 'slackdev',
    /** @param {string} name */
    rule: (name) => `rule ${name}`,
  },
  row: {
    /** @param {number} n */
    retry: (n) => `retry ${n}`,
    replay: 'Sent again from here',
    composed: 'Made and sent from here',
    rule: 'rule',
    pinned: 'pinned',
    /** @param {string} took */
    budget: (took) => `${took} of the 3 s that Slack waits`,
  },
  list: {
    reading: 'Reading the history…',
    empty: 'Waiting for the first request',
    /** @param {boolean} signs */
    emptyHow: (signs) => `Use your app in Slack, or send a ${signs ? 'signed ' : ''}request from a terminal:`,
    nothing: 'Nothing found',
    nothingFor: 'No request fits ',
    clear: 'Clear the search',
    failed: 'The list could not be read',
    again: 'Try again',
    older: 'Reading older requests…',
    full: 'This is as far as the list goes. Search to find older requests.',
    /** @param {number} n */
    end: (n) => (n === 1 ? 'One request. That is all.' : 'No older requests.'),
    /** @param {number} n */
    fresh: (n) => `${n > 999 ? '999+' : n} new`,
  },
  search: {
    label: 'Search',
    hint: 'Search, or kind:slash_command status:5xx',
    help: 'How to search',
    about:
      'Words find requests whose text has them all. A term narrows: key:value, with a minus before it to leave out.',
    /** @type {readonly [string, string][]} */
    examples: [
      ['kind:slash_command', 'of one kind'],
      ['status:5xx', 'answered with an error'],
      ['verdict:mismatch', 'signed with another secret'],
      ['is:slow', 'not within the 3 s that Slack waits'],
      ['is:retry', 'sent again by Slack'],
      ['user:ana', 'from one person'],
      ['path:/slack/events', 'to one path'],
      ['-kind:event_callback', 'anything but events'],
    ],
  },
  tab: { payload: 'Payload', request: 'Request', response: 'Response', findings: 'Findings', timing: 'Timing' },
  detail: {
    reading: 'Reading the request…',
    gone: 'This request is gone',
    goneHow: 'It was deleted, or made room for newer ones. Pinned requests stay.',
    failed: 'The request could not be read',
    back: 'Back to the list',
    of: 'Sent again from',
    madeFrom: 'Sent again as',
    answeredBy: 'Answered by',
    noAnswer: 'No answer yet',
    /** @param {string} secret */
    secret: (secret) => `with ${secret}`,
    link: 'Copy the link to this request',
    id: 'Copy the ID',
    retryOf: 'Slack sent this again',
    actions: 'Actions',
  },
  action: {
    replay: 'Replay',
    /** @param {boolean} signs */
    replayLong: (signs) => `Send this request again${signs ? ', freshly signed' : ''}`,
    asRetry: 'As retry',
    asRetryLong: 'Send it again the way Slack retries',
    edit: 'Edit',
    editLong: 'Change the payload and send it again',
    mock: 'Mock',
    mockLong: 'Answer requests like this one with a rule',
    curl: 'curl',
    curlLong: 'Copy as a curl command',
    pin: 'Pin',
    unpin: 'Unpin',
    pinLong: 'Keep this request when old ones make room',
    remove: 'Delete',
    removeLong: 'Delete this request',
    replaying: 'Sending the request again…',
    /** @param {string} status @param {string} took */
    replayed: (status, took) => `Replayed: ${status} in ${took}`,
    /** @param {string} fault */
    replayFault: (fault) => `Replayed, and no answer: ${fault}`,
    replayNothing: 'Replayed, but nothing was recorded.',
    replayFailed: 'Not replayed',
    curlDone: 'The curl command is in the clipboard. Tokens in it are masked.',
    pinned: 'Pinned: it stays when old requests make room.',
    unpinned: 'No longer pinned.',
    removed: 'Deleted.',
    failed: 'That did not work',
    open: 'Open',
    dismiss: 'Dismiss',
  },
  remove: {
    title: 'Delete this request?',
    text: 'It goes from the history for good.',
    yes: 'Delete',
  },
  edit: {
    title: 'Edit and replay',
    payload: 'Payload',
    raw: 'Raw body',
    what: 'What to edit',
    /** @param {boolean} signs */
    payloadHelp: (signs) =>
      signs
        ? 'Slackdev spells your changes as Slack would, leaves every other byte as it was, and signs the result.'
        : 'Slackdev spells your changes as Slack would, and leaves every other byte as it was.',
    /** @param {boolean} signs */
    rawHelp: (signs) => `The bytes of the body, as they are sent.${signs ? ' They are signed afresh.' : ''}`,
    send: 'Replay',
    invalid: 'This is not JSON',
    whole: 'The outermost value cannot be replaced here. Use the raw body.',
    same: 'Nothing is changed: this sends the request as it was.',
    impossible: 'This body cannot be edited here: it is binary, or only its beginning was kept.',
    reading: 'Reading the request with its tokens…',
  },
  dialog: { cancel: 'Cancel', close: 'Close' },
  payload: {
    none: 'There is no payload to decode.',
    problem: 'Decoding stopped',
    find: 'Find in the payload',
    next: 'Next match',
    previous: 'Previous match',
    /** @param {number} at @param {number} of @param {boolean} more */
    found: (at, of, more) => (of ? `${at} of ${of}${more ? '+' : ''}` : 'none'),
    expand: 'Expand all',
    collapse: 'Collapse',
    copyValue: 'Copy value',
    copyPath: 'Copy path',
    tree: 'Payload',
    reveal: 'Show tokens',
    hide: 'Mask tokens',
    /** @param {number} n */
    items: (n) => (n === 1 ? '1 item' : `${n} items`),
    /** @param {number} n */
    keys: (n) => (n === 1 ? '1 key' : `${n} keys`),
    /** @param {number} n */
    characters: (n) => `${n} characters`,
    copiedPath: 'Path copied.',
    copiedValue: 'Value copied.',
  },
  message: {
    headers: 'Headers',
    trailers: 'Trailers',
    noHeaders: 'No headers.',
    body: 'Body',
    noBody: 'No body.',
    shownAs: 'Show the body as',
    tree: { in: 'Body of the request', out: 'Body of the response' },
    find: { in: 'Find in the request', out: 'Find in the response' },
    json: 'JSON',
    form: 'Form',
    text: 'Text',
    hex: 'Hex',
    download: 'Download',
    copyBody: 'Copy the body',
    copyHeaders: 'Copy the headers',
    from: 'from',
    /** @param {string} kept @param {string} all */
    truncated: (kept, all) => `Only the first ${kept} of ${all} were kept.`,
    /** @param {string} shown @param {string} kept */
    cut: (shown, kept) => `The first ${shown} of ${kept} are shown. The download has the rest.`,
    /** @param {string} encoding */
    decoded: (encoding) => `${encoding} opened`,
    noResponse: 'There is no answer',
    waiting: 'Waiting for the answer…',
    partial: 'The answer is not whole',
  },
  findings: {
    none: 'Nothing to remark.',
    noneLong: 'Slack would take this answer as it is.',
    waiting: 'An answer is judged when it is whole.',
    fix: 'Fix',
    at: 'At',
    /** @type {Record<string, string>} */
    severity: { note: 'Note', warning: 'Warning', failure: 'Failure' },
  },
  timing: {
    /** @param {string} took @param {number} percent */
    answered: (took, percent) => `Answered in ${took}: ${percent} % of the 3 s that Slack waits.`,
    /** @param {string} took @param {string} left */
    late: (took, left) => `Answered in ${took}: ${left} before Slack gives up.`,
    /** @param {string} took @param {string} over */
    over: (took, over) => `Answered in ${took}: ${over} after Slack gave up.`,
    /** @param {string} took */
    fault: (took) => `No answer. It ended after ${took}.`,
    /** @param {string} took */
    waiting: (took) => `Waiting for the answer since ${took}.`,
    started: 'Arrived',
    elapsed: 'Until the last byte of the answer',
    bar: 'Time of the answer against the 3 s that Slack waits',
    limit: 'Slack gives up',
    zero: '0 s',
  },
  home: {
    title: 'Connect Slack',
    titleLocal: 'Try it on this machine',
    paste: 'Request URL',
    pasteHow:
      'Paste it into your app’s settings: Event Subscriptions, Interactivity & Shortcuts, and each slash command.',
    noURL: 'There is no public address yet.',
    localURL: 'Local address',
    localHow: 'It works for requests from this machine. Slack cannot reach it, so it is of no use in your app’s settings.',
    public: 'Get a public address',
    publicHow: 'Start slackdev with a tunnel that Slack can reach. It then shows the URL to paste into your app’s settings:',
    checks: 'State',
    try: 'Try it without Slack',
    /** @param {boolean} signs */
    tryHow: (signs) => `Sends a ${signs ? 'signed ' : ''}request through the whole chain:`,
    keys: 'Keys',
    keysHow: 'Everything here works from the keyboard. Press ? for all keys.',
    reading: 'Asking slackdev…',
    tunnel: 'Tunnel',
    app: 'App',
    secret: 'Signing secret',
    history: 'History',
    copyURL: 'Copy the request URL',
    /** @param {string} provider */
    via: (provider) => `via ${provider}`,
    /** @param {string} n @param {string} size */
    kept: (n, size) => `${n} ${n === '1' ? 'request' : 'requests'}, ${size}`,
    enforce: 'Requests without a valid signature are refused.',
    observe: 'Signatures are shown, and every request goes on.',
    noSecret: 'None: signatures are not checked. Set SLACK_SIGNING_SECRET in .env.',
    notices: 'The tunnel service says',
  },
  /** @type {Record<string, string>} */
  tunnel: { up: 'Up', connecting: 'Connecting', down: 'Down', waiting: 'Waiting', none: 'None' },
  /** @type {Record<string, string>} */
  tunnelChip: {
    up: 'Tunnel up',
    connecting: 'Connecting',
    down: 'Tunnel down',
    waiting: 'Tunnel down',
    none: 'No tunnel',
  },
  live: { live: 'Live', connecting: 'Connecting…', waiting: 'Reconnecting' },
  header: {
    copyURL: 'Copy the request URL',
    appUp: 'App',
    appDown: 'App down',
    secrets: 'Signing secrets in use',
    noSecret: 'No signing secret',
    rules: 'Rules',
    keys: 'Keys',
    theme: 'Theme',
    /** @type {Record<string, string>} */
    themes: { auto: 'Theme: the system’s', light: 'Theme: light', dark: 'Theme: dark' },
    home: 'slackdev: state and first steps',
  },
  banner: {
    /** @param {string} why */
    store: (why) => `Requests pass, but are not being recorded: ${why}.`,
    storeWay: 'Make room on the disk, or start slackdev with another --store. Recording resumes by itself.',
    /** @param {number} s */
    lost: (s) =>
      s > 0
        ? `The connection to slackdev is lost. Next try in ${s} s.`
        : 'The connection to slackdev is lost. Trying again…',
    lostWay: 'What is shown may be old. If slackdev was stopped, start it again.',
    tryNow: 'Try now',
    /** @param {string} why */
    tunnelDown: (why) => `The tunnel is down${why ? `: ${why}` : ''}.`,
    tunnelConnecting: 'The tunnel is being opened.',
    /** @param {number} s @param {string} why */
    tunnelWaiting: (s, why) => `The tunnel is down${why ? `: ${why}` : ''}. Next try in ${s} s.`,
    /** @param {string} url */
    appDown: (url) => `Nothing answers at ${url}.`,
    appWay: 'Start your app, or answer in its place with a rule.',
    local: 'Only this machine can reach the tunnel’s address. Slack cannot.',
    localWay: 'Test with',
    localOr: 'or get a public address with',
    /** @param {string} why */
    rules: (why) => `The rules file has a mistake; the rules before it stay: ${why}.`,
    hide: 'Hide this notice',
    lostRecord: 'A request passed that could not be recorded.',
    lostSaid: 'The connection to slackdev is lost.',
    backSaid: 'Connected to slackdev again.',
  },
  rules: {
    title: 'Rules',
    about: 'A rule answers in the app’s place. The first one that fits a request answers it.',
    add: 'Add a rule',
    none: 'No rules yet',
    noneHow: 'Add one here, press m on a request, or type',
    file: 'File',
    close: 'Close the rules',
    reading: 'Reading the rules…',
    failed: 'The rules could not be read',
    broken: 'The file has a mistake. The rules below are those from before.',
    /** @param {number} n */
    hits: (n) => (n === 1 ? '1 hit' : `${n} hits`),
    never: 'no hits',
    /** @param {string} at */
    last: (at) => `last at ${at}`,
    /** @param {number} left */
    left: (left) => (left === 0 ? 'spent' : `${left} left`),
    off: 'off',
    any: 'every request',
    edit: 'Edit',
    remove: 'Remove',
    /** @param {string} name */
    editNamed: (name) => `Edit rule ${name}`,
    /** @param {string} name */
    removeNamed: (name) => `Remove rule ${name}`,
    /** @param {string} name */
    removed: (name) => `Rule ${name} removed.`,
    /** @param {string} name */
    saved: (name) => `Rule ${name} saved.`,
    /** @param {string} name */
    removeAsk: (name) => `Remove rule ${name}?`,
    removeText: 'It goes from the rules file too.',
    times: 'times',
    when: 'When',
    then: 'Answer',
    /** @type {Record<string, string>} */
    faults: { timeout: 'no answer until Slack gives up', reset: 'the connection is cut' },
  },
  form: {
    newTitle: 'New rule',
    mockTitle: 'Mock this request',
    editTitle: 'Edit rule',
    save: 'Save rule',
    name: 'Name of the rule',
    when: 'When a request fits all of these',
    kind: 'Kind',
    anyKind: 'any',
    match: 'Name',
    matchHelp: 'command, event type, action_id or callback_id; add* for what begins so',
    user: 'User',
    userHelp: 'ID or name',
    path: 'Path',
    text: 'Text has',
    then: 'Answer with',
    status: 'Status',
    type: 'Content-Type',
    body: 'Body',
    bodyHelp: 'A template over the payload: {{.text}}, {{.event.user}}',
    json: 'The body is JSON; values that templates put in are escaped',
    delay: 'Delay',
    delayHelp: '1.5s, at most 1m',
    fault: 'Fault',
    noFault: 'none',
    times: 'Times',
    timesHelp: 'empty: always',
    faults: { timeout: 'timeout: no answer', reset: 'reset: cut the connection' },
    wrong: {
      empty: 'Give the rule a name.',
      status: 'A status is a number from 200 to 599.',
      times: 'A number, or nothing.',
      json: 'The body is not JSON.',
      duration: 'A duration such as 500ms or 1.5s.',
    },
  },
  keys: {
    title: 'Keys',
    on: 'Single keys act',
    onHelp: 'Turn this off if keys act when you do not mean them to. Tab, arrows, Enter and Escape always work.',
    /** @type {readonly [string, string][]} */
    list: [
      ['j k', 'next, previous request'],
      ['Enter', 'open the request'],
      ['Esc', 'back to the list'],
      ['/', 'search'],
      ['1 – 5', 'the tabs of a request'],
      ['r', 'replay'],
      ['R', 'replay as Slack’s retry'],
      ['e', 'edit and replay'],
      ['m', 'mock this request'],
      ['y', 'copy as curl'],
      ['p', 'pin or unpin'],
      ['Delete', 'delete'],
      ['g', 'to the newest request'],
      ['?', 'these keys'],
    ],
    treeTitle: 'In the payload',
    /** @type {readonly [string, string][]} */
    tree: [
      ['↑ ↓', 'move'],
      ['→ ←', 'open, close'],
      ['c', 'copy the value'],
      ['C', 'copy the path'],
    ],
  },
  out: {
    title: 'This page needs its key',
    text: 'Run slackdev tunnel and open the URL it prints. It ends with #t=… and opens the door for this browser.',
    running: 'It runs already? The URL stands in its first lines, after “Inspect”.',
  },
  error: {
    unreachable: 'slackdev does not answer',
    unreachableHint: 'Is it still running?',
    status: 'status',
  },
  copy: {
    done: 'Copied.',
    failed: 'The clipboard refused.',
    command: 'Copy the command',
  },
  split: 'Width of the list',
  title: 'slackdev',
});
