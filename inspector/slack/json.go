package slack

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep a document may nest. Slack's deepest, a rich text inside a
// view inside an event, stays under 30; a stranger's brackets must not fill the stack.
const maxDepth = 200

// scanner walks a JSON document from left to right, strictly as RFC 8259 has it, and
// makes nothing: values are positions in src. The first fault sticks; after it every
// loop over the scanner ends, and whoever walks need not look before the end.
type scanner struct {
	src   []byte
	at    int
	depth int
	fault string // what is wrong, "" while nothing is
	where int    // the byte at which it is wrong
}

// token is a value in a source: the inside of a string, or the text of a number or
// of a literal. The zero token is an absent value.
type token struct {
	from, to int
	how      spelling
}

// spelling says how the bytes of a token stand for its value.
type spelling uint8

const (
	absent  spelling = iota
	plain            // as they are
	escaped          // a JSON string with at least one backslash
	encoded          // a form's value with at least one % or +
	literal          // null, true, false
)

// empty reports whether there is no text in the token: an absent value, a null, a
// bool, or an empty string.
func (t token) empty() bool { return t.from == t.to || t.how == literal || t.how == absent }

func (s *scanner) fail(at int, fault string) {
	if s.fault == "" {
		s.fault, s.where = fault, at
	}
}

// problem says where the document is broken, "" when it is not.
func (s *scanner) problem() string {
	if s.fault == "" {
		return ""
	}
	return "byte " + strconv.Itoa(s.where) + ": " + s.fault
}

// peek skips white space and gives the byte that the next value or mark begins
// with, 0 at the end and after a fault.
func (s *scanner) peek() byte {
	if s.fault != "" {
		return 0
	}
	for s.at < len(s.src) {
		switch c := s.src[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// object steps into the next value if that is an object with members, and reports
// whether it did; any other value is skipped. The loop is
//
//	for in := s.object(); in; in = s.more('}') { key := s.key(); … one value … }
func (s *scanner) object() bool { return s.enter('{', '}') }

// array is object for arrays.
func (s *scanner) array() bool { return s.enter('[', ']') }

func (s *scanner) enter(open, end byte) bool {
	if s.peek() != open {
		s.skip()
		return false
	}
	if s.depth == maxDepth {
		s.fail(s.at, "nested too deep")
		return false
	}
	s.depth++
	s.at++
	if s.peek() == end {
		s.at++
		s.depth--
		return false
	}
	return s.fault == ""
}

// more goes on to the next member, and leaves the object or array behind its last.
func (s *scanner) more(end byte) bool {
	switch c := s.peek(); {
	case s.fault != "":
		return false
	case c == ',':
		s.at++
		return true
	case c == end:
		s.at++
		s.depth--
		return false
	case s.at >= len(s.src):
		s.fail(s.at, "the document ends inside an object or array")
	default:
		s.fail(s.at, "a comma or an end is missing")
	}
	return false
}

// key reads a member's name and the colon behind it.
func (s *scanner) key() []byte {
	t := s.keyToken()
	if t.how == escaped {
		return appendUnescaped(nil, s.src[t.from:t.to], t.to-t.from)
	}
	return s.src[t.from:t.to]
}

// keyToken is key without decoding.
func (s *scanner) keyToken() token {
	if s.peek() != '"' {
		if s.at >= len(s.src) {
			s.fail(s.at, "the document ends inside an object")
		} else {
			s.fail(s.at, "a member's name is missing")
		}
		return token{}
	}
	t := s.string()
	if s.peek() != ':' {
		s.fail(s.at, "a colon is missing")
		return token{}
	}
	s.at++
	return t
}

// value reads the next value if it is a scalar, and skips an object or array. What
// it skips gives the zero token.
func (s *scanner) value() token {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c == '{' || c == '[':
		s.skip()
		return token{}
	case c == '-' || '0' <= c && c <= '9':
		from := s.at
		s.number()
		return token{from, s.at, plain}
	default:
		from := s.at
		s.literal(c)
		return token{from, s.at, literal}
	}
}

// skip passes over the next value, whatever it is.
func (s *scanner) skip() {
	switch s.peek() {
	case '{':
		for in := s.object(); in; in = s.more('}') {
			s.key()
			s.skip()
		}
	case '[':
		for in := s.array(); in; in = s.more(']') {
			s.skip()
		}
	default:
		s.value()
	}
}

// end checks that nothing but white space follows.
func (s *scanner) end() {
	if s.peek(); s.fault == "" && s.at < len(s.src) {
		s.fail(s.at, "there is text behind the document")
	}
}

// string reads a string; the scanner stands on its first quote.
func (s *scanner) string() token {
	src, how := s.src, plain
	from := s.at + 1
	for i := from; i < len(src); {
		c := src[i]
		switch {
		case c == '"':
			s.at = i + 1
			return token{from, i, how}
		case c == '\\':
			how = escaped
			n := escapeLength(src[i:])
			if n == 0 {
				s.fail(i, "a backslash begins no escape")
				return token{}
			}
			i += n
		case c < ' ':
			s.fail(i, "a control character stands in a string")
			return token{}
		default:
			i++
		}
	}
	s.at = len(src)
	s.fail(len(src), "a string is not closed")
	return token{}
}

// escapeLength is the length of the escape that b begins with, 0 if it is none.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (unit rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		if !isHex(c) {
			return 0, false
		}
		unit = unit<<4 | rune(nibble(c))
	}
	return unit, true
}

// number reads a number; the scanner stands on its first byte.
func (s *scanner) number() {
	from := s.at
	digits := func() bool {
		start := s.at
		for s.at < len(s.src) && '0' <= s.src[s.at] && s.src[s.at] <= '9' {
			s.at++
		}
		return s.at > start
	}
	has := func(c byte) bool {
		if s.at < len(s.src) && s.src[s.at] == c {
			s.at++
			return true
		}
		return false
	}
	has('-')
	ok := has('0') || digits()
	if ok && has('.') {
		ok = digits()
	}
	if ok && (has('e') || has('E')) {
		_ = has('+') || has('-')
		ok = digits()
	}
	if !ok {
		s.fail(from, "a number is malformed")
	}
}

// literal reads null, true or false, of which c is the first byte.
func (s *scanner) literal(c byte) {
	word := ""
	switch c {
	case 'n':
		word = "null"
	case 't':
		word = "true"
	case 'f':
		word = "false"
	}
	rest := s.src[s.at:]
	switch {
	case s.fault != "":
	case len(rest) == 0:
		s.fail(s.at, "the document ends where a value should stand")
	case word == "" || len(rest) < len(word) || string(rest[:len(word)]) != word:
		s.fail(s.at, "here is no value")
	default:
		s.at += len(word)
	}
}

// checkJSON says where b is not one JSON document, "" when it is.
func checkJSON(b []byte) (problem string) {
	s := scanner{src: b}
	s.skip()
	s.end()
	return s.problem()
}

// appendUnescaped decodes the inside of a JSON string that a scanner has passed, and
// stops when limit bytes or a little more are there.
func appendUnescaped(dst, src []byte, limit int) []byte {
	for start := len(dst); len(src) > 0 && len(dst)-start < limit; {
		if src[0] != '\\' {
			dst = append(dst, src[0])
			src = src[1:]
			continue
		}
		n := 2
		switch c := src[1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, _ := hex4(src[2:])
			n = 6
			if utf16.IsSurrogate(r) {
				r, n = surrogates(r, src)
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
		src = src[n:]
	}
	return dst
}

// surrogates reads the rune whose first half r is at the head of src, and how many
// bytes it takes. A lone half is U+FFFD, as encoding/json reads it.
func surrogates(r rune, src []byte) (rune, int) {
	if len(src) >= 12 && src[6] == '\\' && src[7] == 'u' {
		if low, ok := hex4(src[8:]); ok {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return both, 12
			}
		}
	}
	return utf8.RuneError, 6
}

// The two alphabets of a JSON string.
type alphabet bool

const (
	readable   alphabet = false // UTF-8 stays
	slackStyle alphabet = true  // / as \/, every rune above 0x7F as \uXXXX (PHP's json_encode)
)

// appendString writes text as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst, text []byte, in alphabet) []byte {
	dst = append(dst, '"')
	for len(text) > 0 {
		if c := text[0]; c < utf8.RuneSelf {
			dst = appendASCII(dst, c, in)
			text = text[1:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		dst = appendRune(dst, r, in)
		text = text[n:]
	}
	return append(dst, '"')
}

func appendASCII(dst []byte, c byte, in alphabet) []byte {
	switch {
	case c == '"' || c == '\\' || c == '/' && in == slackStyle:
		return append(dst, '\\', c)
	case c >= ' ':
		return append(dst, c)
	}
	switch c {
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return appendUnit(dst, rune(c))
}

func appendRune(dst []byte, r rune, in alphabet) []byte {
	switch {
	case in == readable:
		return utf8.AppendRune(dst, r)
	case r > 0xFFFF:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, r)
}

// appendUnit writes \uXXXX with lower-case digits, as PHP does.
func appendUnit(dst []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[unit>>12&15], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
}
