package slack

import (
	"bytes"
	"strconv"
)

// pair is one name=value of a form, as positions in it. A pair without = has an
// empty value at its end.
type pair struct {
	name, value token
}

// pairs walks a form. The loop is
//
//	for f := (pairs{src: body}); f.next(); { … f.pair … }
//
// Empty pieces (a&&b) are passed over, as every SDK does.
type pairs struct {
	src  []byte
	at   int
	pair pair
}

func (f *pairs) next() bool {
	for f.at < len(f.src) {
		from, to := f.at, len(f.src)
		if n := bytes.IndexByte(f.src[from:], '&'); n >= 0 {
			to = from + n
		}
		f.at = to + 1
		if from == to {
			continue
		}
		f.pair = pair{name: fieldToken(f.src, from, to), value: token{to, to, plain}}
		if n := bytes.IndexByte(f.src[from:to], '='); n >= 0 {
			f.pair = pair{name: fieldToken(f.src, from, from+n), value: fieldToken(f.src, from+n+1, to)}
		}
		return true
	}
	return false
}

func fieldToken(src []byte, from, to int) token {
	part := src[from:to]
	if bytes.IndexByte(part, '%') >= 0 || bytes.IndexByte(part, '+') >= 0 {
		return token{from, to, encoded}
	}
	return token{from, to, plain}
}

// name is the decoded name of the current pair.
func (f *pairs) name() []byte {
	t := f.pair.name
	if t.how == encoded {
		return appendDecoded(nil, f.src[t.from:t.to], t.to-t.from)
	}
	return f.src[t.from:t.to]
}

// appendDecoded decodes a form's name or value, and stops when limit bytes are
// there. A % that no two digits follow stays as it is, as in PHP, Python and qs.
func appendDecoded(dst, src []byte, limit int) []byte {
	n := len(dst)
	end := n + limit
	dst = dst[:cap(dst)]
	for i := 0; i < len(src) && n < end; i++ {
		c := src[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && isEscape(src[i:]):
			c = nibble(src[i+1])<<4 | nibble(src[i+2])
			i += 2
		}
		if n == len(dst) {
			dst = append(dst, c)
			dst = dst[:cap(dst)]
		}
		dst[n] = c
		n++
	}
	return dst[:n]
}

// isEscape reports whether b, which begins with %, begins with an escape.
func isEscape(b []byte) bool { return len(b) >= 3 && isHex(b[1]) && isHex(b[2]) }

// encodedLength is how much of src its first n decoded bytes take.
func encodedLength(src []byte, n int) int {
	at := 0
	for ; n > 0 && at < len(src); n-- {
		if src[at] == '%' && isEscape(src[at:]) {
			at += 2
		}
		at++
	}
	return at
}

// checkForm says where a form has a % that begins no escape, "" when nowhere.
func checkForm(src []byte) (problem string) {
	for i := bytes.IndexByte(src, '%'); i >= 0 && i < len(src); i++ {
		if src[i] == '%' && !isEscape(src[i:]) {
			return "byte " + strconv.Itoa(i) + ": a % is not followed by two hexadecimal digits"
		}
	}
	return ""
}

// appendField spells text as PHP's urlencode does: A-Za-z0-9-_. stay, a space is +,
// every other byte is % and two upper-case digits.
func appendField(dst, text []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range text {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
