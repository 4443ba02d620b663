// Package export describes exchanges for others: as JSON lines, as details, as a
// curl command. Everything is a pure function over an Exchange. Tokens and webhook
// URLs are masked, unless the caller asks for them by name.
package export
