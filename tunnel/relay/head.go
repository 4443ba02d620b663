package relay

import (
	"bytes"
	"errors"
	"math"
)

// What a head may be. Slack's largest is under 4 KiB; browsers stay under 16 KiB.
const (
	maxHead       = 64 << 10
	maxFields     = 128
	maxMethod     = 32
	maxConnection = 16 // tokens in Connection
)

var (
	errHeadTooLarge = &refusal{Status: 431, Code: codeBadRequest, Detail: "the head is larger than 64 KiB"}
	errManyFields   = &refusal{Status: 431, Code: codeBadRequest, Detail: "the head has more than 128 fields"}
	errBareLF       = bad("a line of the head does not end with CR LF")
)

// span is a part of a head, as offsets, so that a head can be kept without pointers.
type span struct{ from, to int32 }

// kind says what a field means to a relay. Most mean nothing to it.
type kind uint8

const (
	plain      kind = iota // passes as it is
	host                   // routes a request
	length                 // Content-Length
	transfer               // Transfer-Encoding
	connection             // written anew for each hop
	upgrade                // passes only with a switch of protocols
	te                     // passes only as "trailers"
	expect                 // passes, but not from HTTP/1.0
	hop                    // ends at each hop
	forwarded              // says who forwarded a request: only the relay may
	mark                   // the relay's own fields: nobody else's
)

// field is one line of a head.
type field struct {
	kind  kind
	line  span // with its CR LF
	name  span
	value span // without the white space around it
}

// message is what the heads of requests and answers have in common. It refers to
// the bytes that it was parsed from, and is good for as long as they are.
type message struct {
	raw     []byte
	fields  []field
	minor   byte // of HTTP/1.minor
	size    int64
	sized   bool // has Content-Length: size
	chunked bool // has Transfer-Encoding: chunked
	// What Connection says.
	close, keepAlive, upgrade, te bool
}

func (m *message) bytes(s span) []byte { return m.raw[s.from:s.to] }

// headScan looks for the end of a head in a buffer that fills slowly, and looks
// at no byte twice.
type headScan struct{ line, seen int }

// end gives the length of the head at the start of p, or 0 while there is more to
// come. Every line must end with CR LF.
func (s *headScan) end(p []byte) (int, error) {
	for {
		i := bytes.IndexByte(p[s.seen:], '\n')
		if i < 0 {
			s.seen = len(p)
			break
		}
		i += s.seen
		if i == 0 || p[i-1] != '\r' {
			return 0, errBareLF
		}
		if i == s.line+1 {
			if i+1 > maxHead {
				return 0, errHeadTooLarge
			}
			return i + 1, nil
		}
		s.line, s.seen = i+1, i+1
	}
	if len(p) >= maxHead {
		return 0, errHeadTooLarge
	}
	return 0, nil
}

// parse reads the fields of a whole head, as headScan has found it, and gives its
// first line. What the fields mean is the business of frame.
func (m *message) parse(p []byte) (first []byte, err error) {
	*m = message{raw: p, fields: m.fields[:0]}
	next := bytes.IndexByte(p, '\n') + 1
	if next < 3 {
		return nil, bad("the head is empty")
	}
	first = p[:next-2]
	for at := next; at < len(p)-2; at = next {
		next = at + bytes.IndexByte(p[at:], '\n') + 1
		if len(m.fields) == maxFields {
			return nil, errManyFields
		}
		f, err := parseField(p, at, next)
		if err != nil {
			return nil, err
		}
		m.fields = append(m.fields, f)
	}
	return first, m.frame()
}

// parseField reads the line p[at:next].
func parseField(p []byte, at, next int) (field, error) {
	colon := at
	for isToken(p[colon]) {
		colon++
	}
	if colon == at || p[colon] != ':' {
		return field{}, bad("a field's name is malformed or the line is folded")
	}
	from, to := colon+1, next-2
	for from < to && isSpace(p[from]) {
		from++
	}
	for from < to && isSpace(p[to-1]) {
		to--
	}
	if !isText(p[from:to]) {
		return field{}, bad("a field's value has control characters")
	}
	f := field{
		line:  span{int32(at), int32(next)},
		name:  span{int32(at), int32(colon)},
		value: span{int32(from), int32(to)},
	}
	var err error
	f.kind, err = classify(p[at:colon])
	return f, err
}

// classify says what a field of this name means. Many servers read "_" as "-", so
// a name that differs from a meaningful one only in that is refused, where it
// would say how long the message is or whom it is for, and dropped with the rest.
func classify(name []byte) (kind, error) {
	k := plain
	switch lower(name[0]) {
	case 'c':
		if sameName(name, "content-length") {
			k = length
		} else if sameName(name, "connection") {
			k = connection
		}
	case 'e':
		if sameName(name, "expect") {
			k = expect
		}
	case 'f':
		if sameName(name, "forwarded") {
			k = forwarded
		}
	case 'h':
		if sameName(name, "host") {
			k = host
		} else if sameName(name, "http2-settings") {
			k = hop
		}
	case 'k':
		if sameName(name, "keep-alive") {
			k = hop
		}
	case 'p':
		if sameName(name, "proxy") || hasPrefix(name, "proxy-") {
			k = hop
		}
	case 't':
		if sameName(name, "transfer-encoding") {
			k = transfer
		} else if sameName(name, "te") {
			k = te
		}
	case 'u':
		if sameName(name, "upgrade") {
			k = upgrade
		}
	case 'x':
		if hasPrefix(name, "x-forwarded-") || sameName(name, "x-forwarded") || sameName(name, "x-real-ip") {
			k = forwarded
		} else if hasPrefix(name, "x-slackdev-relay") {
			k = mark
		}
	}
	if (k == length || k == transfer) && bytes.IndexByte(name, '_') >= 0 {
		return 0, bad("a field's name differs from one that frames the message in underscores only")
	}
	return k, nil
}

// frame reads the fields that say where the message ends and what becomes of the
// connection. Whatever two readers might understand differently is refused.
func (m *message) frame() error {
	for i := range m.fields {
		f := &m.fields[i]
		switch f.kind {
		case length:
			if m.sized {
				return bad("Content-Length is there twice")
			}
			n, ok := parseSize(m.bytes(f.value))
			if !ok {
				return bad("Content-Length is not a plain number")
			}
			m.sized, m.size = true, n
		case transfer:
			if m.chunked {
				return bad("Transfer-Encoding is there twice")
			}
			if !sameName(m.bytes(f.value), "chunked") {
				return bad("Transfer-Encoding is not chunked")
			}
			m.chunked = true
		}
	}
	if m.sized && m.chunked {
		return bad("both Content-Length and Transfer-Encoding")
	}
	return m.readConnection()
}

// readConnection reads the tokens of Connection and marks the fields that it
// lists as ending here.
func (m *message) readConnection() error {
	tokens := 0
	for i := range m.fields {
		if m.fields[i].kind != connection {
			continue
		}
		for rest, more := m.bytes(m.fields[i].value), true; more; {
			var token []byte
			token, rest, more = bytes.Cut(rest, []byte(","))
			token = bytes.Trim(token, " \t")
			if len(token) == 0 {
				continue
			}
			if tokens++; tokens > maxConnection {
				return bad("Connection lists too much")
			}
			if err := m.takeConnection(token); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *message) takeConnection(token []byte) error {
	for _, c := range token {
		if !isToken(c) {
			return bad("Connection is malformed")
		}
	}
	switch {
	case sameName(token, "close"):
		m.close = true
	case sameName(token, "keep-alive"):
		m.keepAlive = true
	case sameName(token, "upgrade"):
		m.upgrade = true
	case sameName(token, "te"):
		m.te = true
	case sameName(token, "host"), sameName(token, "content-length"), sameName(token, "transfer-encoding"):
		return bad("Connection lists a field that must not end here")
	default:
		for i := range m.fields {
			if f := &m.fields[i]; f.kind == plain || f.kind == expect {
				if bytes.EqualFold(m.bytes(f.name), token) {
					f.kind = hop
				}
			}
		}
	}
	return nil
}

// appendFields copies the fields that keep wants, each as it came, in the order in
// which they came.
func (m *message) appendFields(dst []byte, keep func(f *field) bool) []byte {
	from, to := int32(0), int32(0) // a run of lines that stay
	for i := range m.fields {
		f := &m.fields[i]
		switch {
		case !keep(f):
			continue
		case f.kind == transfer: // the one spelling that everybody reads the same
			dst = append(dst, m.raw[from:to]...)
			dst = append(dst, m.bytes(f.name)...)
			dst = append(dst, ": chunked\r\n"...)
			from, to = f.line.to, f.line.to
		case f.line.from == to:
			to = f.line.to
		default:
			dst = append(dst, m.raw[from:to]...)
			from, to = f.line.from, f.line.to
		}
	}
	return append(dst, m.raw[from:to]...)
}

// has says whether one of the fields is of kind k.
func (m *message) has(k kind) bool {
	for i := range m.fields {
		if m.fields[i].kind == k {
			return true
		}
	}
	return false
}

// parseSize reads 1*DIGIT, without sign, space or leading zeros, up to 2^63-1.
func parseSize(p []byte) (int64, bool) {
	if len(p) == 0 || len(p) > 18 || len(p) > 1 && p[0] == '0' {
		return 0, false
	}
	n := int64(0)
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n < math.MaxInt64
}

// isToken says whether c may stand in a method or a field's name (RFC 9110, 5.6.2).
func isToken(c byte) bool {
	const mask = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' |
		(1<<10-1)<<'0'
	const high = 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64) |
		(1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
	return c < 64 && uint64(mask)>>c&1 == 1 || c >= 64 && c < 128 && uint64(high)>>(c-64)&1 == 1
}

// isText says whether p can be a field's value: no control characters but the tab.
func isText(p []byte) bool {
	for _, c := range p {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// sameName compares a name with one in lower case, and takes "_" for "-".
func sameName(name []byte, want string) bool {
	return len(name) == len(want) && hasPrefix(name, want)
}

func hasPrefix(name []byte, want string) bool {
	if len(name) < len(want) {
		return false
	}
	for i := range len(want) {
		c := lower(name[i])
		if c == '_' {
			c = '-'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// asRefusal gives the refusal in err, or one that says that the request is bad.
func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return bad("the request cannot be read")
}
