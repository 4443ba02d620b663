package slack

import (
	"bytes"
	"strings"
)

// mask stands where a secret stood.
const mask = "…"

// Redact gives a copy of b in which these are masked: tokens (xoxb-…, xapp-…,
// xwfp-…), the URLs of incoming webhooks and workflow triggers, and the values of
// fields that hold a token or a secret, verification tokens among them; in plain,
// in JSON (\/), in a form (%2F), and in JSON inside a form (%5C%2F). What tells the
// sorts apart stays: xoxb-…, https://hooks.slack.com/services/….
//
// response_urls and trigger_ids stay: they are dead after minutes, and the person
// who watches needs them. It gives b itself when there is nothing to mask. It takes
// time in proportion to len(b), whatever b holds.
func Redact(b []byte) []byte {
	r := redactor{src: b}
	return r.run()
}

// RedactExport is Redact for what leaves the machine: it masks as well what is dead
// after minutes, because whoever receives it may be quicker: response_urls,
// trigger_ids, the secrets of an interactor, the code of an OAuth redirect.
func RedactExport(b []byte) []byte {
	r := redactor{src: b, export: true}
	return r.run()
}

// redactor copies src up to done into out as soon as there is something to mask.
type redactor struct {
	src    []byte
	export bool
	out    []byte
	done   int
}

func (r *redactor) run() []byte {
	src := r.src
	for at := 0; at < len(src); {
		next := at
		// The letters are common; the byte that must follow further on sorts most out.
		switch src[at] {
		case 'x', 'X':
			if at+4 < len(src) && (src[at+4] == '-' || src[at+4] == '.') { // xoxb- xoxe. xapp-
				next = r.token(at)
			}
		case 'h', 'H':
			if at+5 < len(src) && src[at+5] == '.' { // hooks.
				next = r.url(at)
			}
		case 't', 's':
			if at+5 < len(src) && (src[at+4] == 'n' || src[at+5] == 't' || r.export) { // token secret
				next = r.field(at)
			}
		case 'i', 'c':
			if r.export {
				next = r.field(at)
			}
		}
		at = max(next, at+1)
	}
	if r.out == nil {
		return src
	}
	return append(r.out, src[r.done:]...)
}

// hide masks a part, and gives its end. What is masked already stays.
func (r *redactor) hide(from, to int) int {
	if from == to || string(r.src[from:to]) == mask {
		return to
	}
	if r.out == nil {
		r.out = make([]byte, 0, len(r.src))
	}
	r.out = append(r.out, r.src[r.done:from]...)
	r.out = append(r.out, mask...)
	r.done = to
	return to
}

// token masks a token that begins at from, behind its prefix.
func (r *redactor) token(from int) int {
	n := tokenPrefix(r.src[from:])
	if n == 0 {
		return from
	}
	to := from + n
	for to < len(r.src) && (isAlnum(r.src[to]) || r.src[to] == '-') {
		to++
	}
	const shortest = 8 // below that it is a word in a text: xoxb-token
	if to-from-n < shortest {
		return from
	}
	return r.hide(from+n, to)
}

// tokenPrefix is the length of the prefix of a token that b begins with, 0 if it is
// none: xox, a letter, perhaps .xox and a letter (rotated and configuration tokens),
// or xapp or xwfp; and a hyphen.
func tokenPrefix(b []byte) int {
	n := 0
	switch {
	case hasFold(b, "xapp-"), hasFold(b, "xwfp-"):
		return len("xapp-")
	case hasFold(b, "xox") && len(b) > 4 && isLetter(b[3]):
		n = 4
	default:
		return 0
	}
	if hasFold(b[n:], ".xox") && len(b) > n+5 && isLetter(b[n+4]) {
		n += 5
	}
	if b[n] != '-' {
		return 0
	}
	return n + 1
}

// url masks what follows hooks.slack.com/services/ and its kin, spelled in any way.
func (r *redactor) url(from int) int {
	const host, gov, com = "hooks.slack", "-gov", ".com"
	rest := r.src[from:]
	if !hasFold(rest, host) {
		return from
	}
	at := len(host)
	if hasFold(rest[at:], gov) {
		at += len(gov)
	}
	if !hasFold(rest[at:], com) {
		return from
	}
	at += len(com)
	slash := slashLength(rest[at:])
	if slash == 0 {
		return from
	}
	at += slash
	word := wordLength(rest[at:])
	if !r.isSecretPath(string(rest[at : at+word])) {
		return from
	}
	at += word
	slash = slashLength(rest[at:])
	if slash == 0 {
		return from
	}
	at += slash
	to := at
	for {
		n := wordLength(rest[to:])
		to += n
		slash := slashLength(rest[to:])
		if slash == 0 || wordLength(rest[to+slash:]) == 0 {
			return r.hide(from+at, from+to)
		}
		to += slash
	}
}

func (r *redactor) isSecretPath(first string) bool {
	switch strings.ToLower(first) {
	case "services", "triggers", "workflows":
		return true
	case "commands", "actions", "app", "app-actions":
		return r.export
	}
	return false
}

// wordLength is the length of a path segment at the head of b.
func wordLength(b []byte) int {
	n := 0
	for n < len(b) && (isAlnum(b[n]) || b[n] == '-' || b[n] == '_') {
		n++
	}
	return n
}

// slashLength is the length of a slash at the head of b, in any spelling: / or \/ or
// \u002f, plain or percent-encoded once or twice; 0 if there is none.
func slashLength(b []byte) int {
	at := 0
	for range 8 {
		n := quoteMark(b[at:], '\\')
		if n == 0 {
			break
		}
		at += n
	}
	if n := quoteMark(b[at:], '/'); n > 0 {
		return at + n
	}
	if at > 0 && hasFold(b[at:], "u002f") {
		return at + len("u002f")
	}
	return 0
}

// quoteMark is the length of the mark c at the head of b, plain or percent-encoded
// once or twice.
func quoteMark(b []byte, c byte) int {
	if len(b) == 0 {
		return 0
	}
	if b[0] == c {
		return 1
	}
	if b[0] != '%' {
		return 0
	}
	n := 1
	if len(b) > 2 && b[1] == '2' && b[2] == '5' {
		n = 3
	}
	if len(b) < n+2 {
		return 0
	}
	if isHex(b[n]) && isHex(b[n+1]) && nibble(b[n])<<4|nibble(b[n+1]) == c {
		return n + 2
	}
	return 0
}

// field masks the value of a secret field whose name has its tell-tale word at from.
func (r *redactor) field(from int) int {
	word := r.fieldWord(from)
	if word == "" {
		return from
	}
	start, end := from, from+len(word)
	for start > 0 && from-start < 16 && (isLetter(r.src[start-1]) || r.src[start-1] == '_') {
		start--
	}
	if !r.isSecretField(string(r.src[start:end])) {
		return from
	}
	if end < len(r.src) && r.src[end] == '=' {
		return r.formValue(end + 1)
	}
	if word == "code" || word == "ticket" { // too common a key in JSON
		return from
	}
	return r.jsonValue(end)
}

// fieldWord is the last word of a secret field's name, if it begins at from.
func (r *redactor) fieldWord(from int) string {
	rest := r.src[from:]
	switch {
	case bytes.HasPrefix(rest, []byte("token")):
		return "token"
	case bytes.HasPrefix(rest, []byte("secret")):
		return "secret"
	case !r.export:
		return ""
	}
	for _, word := range [...]string{"trigger_id", "interactivity_pointer", "ticket", "code"} {
		if len(rest) >= len(word) && string(rest[:len(word)]) == word {
			return word
		}
	}
	return ""
}

func (r *redactor) isSecretField(name string) bool {
	switch name {
	case "token", "access_token", "bot_access_token", "refresh_token", "verification_token",
		"client_secret", "signing_secret":
		return true
	case "secret", "trigger_id", "interactivity_pointer", "ticket", "code":
		return r.export
	}
	return false
}

// formValue masks the value of a field of a form or a query, which may stand inside
// a JSON string.
func (r *redactor) formValue(from int) int {
	to := from
	for to < len(r.src) && strings.IndexByte("&; \t\r\n\"'<>\\", r.src[to]) < 0 {
		if r.src[to] == '%' && (isMark(r.src[to:]) || quoteMark(r.src[to:], '&') > 0) {
			break
		}
		to++
	}
	return r.value(from, to)
}

// jsonValue masks a string behind a key that ends at from; both stand in the same
// sort of quotes: " or \", plain or percent-encoded.
func (r *redactor) jsonValue(from int) int {
	if from == len(r.src) {
		return from
	}
	in := quotingOf(r.src[from:])
	slashes, length := in.quote(r.src[from:])
	if length == 0 {
		return from
	}
	at := from + length
	at += r.blank(at)
	colon := quoteMark(r.src[at:], ':')
	if colon == 0 {
		return from
	}
	at += colon
	at += r.blank(at)
	if _, opening := in.quote(r.src[at:]); opening != length {
		return from
	}
	at += length
	return r.value(at, at+in.end(r.src[at:], slashes))
}

// quoting is how often the marks of JSON are percent-encoded: not, once, or twice.
// Any other spelling is then only text.
type quoting int

// quotingOf is how the mark at the head of b is spelled.
func quotingOf(b []byte) quoting {
	switch {
	case b[0] != '%':
		return 0
	case len(b) > 2 && b[1] == '2' && b[2] == '5':
		return 2
	}
	return 1
}

// mark is the length of the mark c at the head of b.
func (in quoting) mark(b []byte, c byte) int {
	if len(b) == 0 || in != quotingOf(b) {
		return 0
	}
	return quoteMark(b, c)
}

// isMark reports whether b begins with a double quote or a backslash, in any spelling.
func isMark(b []byte) bool { return quoteMark(b, '"') > 0 || quoteMark(b, '\\') > 0 }

// quote counts the backslashes before a double quote at the head of b and gives the
// length of all that; 0 and 0 if there is no quote.
func (in quoting) quote(b []byte) (slashes, length int) {
	for n := in.mark(b, '\\'); n > 0; n = in.mark(b[length:], '\\') {
		slashes++
		length += n
	}
	if n := in.mark(b[length:], '"'); n > 0 {
		return slashes, length + n
	}
	return 0, 0
}

// end is the length of a string whose quotes have so many backslashes before them;
// without an end it is all. Whatever it takes a quote for, it never passes one that
// has an even number before it: that ends a string of the outermost JSON, which must
// stay JSON when a user's text looks like a field.
func (in quoting) end(b []byte, slashes int) int {
	for at := 0; at < len(b); {
		n, length := in.quote(b[at:])
		mark := in.mark(b[at:], '\\')
		switch {
		case length == 0 && mark > 0: // backslashes and something else than a quote
			for ; mark > 0; mark = in.mark(b[at:], '\\') {
				at += mark
			}
		case length == 0 && in > 0 && (b[at] == '&' || quotingOf(b[at:]) < in && isMark(b[at:])):
			return at // the end of what is around it: a field, or a string that is encoded less often
		case length == 0:
			at++
		case n%2 == 0:
			return at + n*mark
		case n <= slashes:
			return at
		case slashes == 1 && n%4 == 1: // the inner string ends with backslashes of its own
			return at + (n-1)*mark
		default: // a quote that belongs to the string
			at += length
		}
	}
	return len(b)
}

// blank is the length of the white space at from.
func (r *redactor) blank(from int) int {
	at := from
	for at < len(r.src) {
		switch {
		case r.src[at] <= ' ' || r.src[at] == '+':
			at++
		case hasFold(r.src[at:], "%20") || hasFold(r.src[at:], "%0a"):
			at += 3
		default:
			return at - from
		}
	}
	return at - from
}

// value masks a field's value, behind the prefix of a token if it has one.
func (r *redactor) value(from, to int) int {
	return r.hide(from+tokenPrefix(r.src[from:to]), to)
}

// hasFold reports whether b begins with prefix, which is lower case, in either case.
func hasFold(b []byte, prefix string) bool {
	if len(b) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isAlnum(c byte) bool { return isLetter(c) || '0' <= c && c <= '9' }
