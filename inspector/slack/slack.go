// Package slack holds what Slack sends to an app and what it accepts as an answer:
// the signature of a request and what can be wrong with it, the kinds of request
// and whom each one is about, the way Slack spells a body, and what it makes of an
// answer. It knows no HTTP server, no store and no clock of its own. Every function
// takes bytes from strangers, never panics on them, and is safe for use by many
// goroutines.
package slack
