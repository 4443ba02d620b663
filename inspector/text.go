package inspector

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slackdev/slackdev/inspector/slack"
)

// MaxText is the most bytes of one exchange that a text search looks at, and
// maxAnswer how many of them are left for the answer when the request fills them.
const (
	MaxText   = 64 << 10
	maxAnswer = 16 << 10
)

// MaxWord is how many bytes of a word are compared; what is longer is cut.
const MaxWord = 64

// SearchText gives what a text search looks at, at most MaxText bytes: the target,
// what the request is about, the values (not the keys) of the decoded payload, the
// fault, and the text of the answer. It needs the bytes of the bodies.
func SearchText(x *Exchange) string {
	var b strings.Builder
	b.Grow(min(MaxText, len(x.Request.Target)+len(x.Request.Body.Bytes)+512))
	for _, s := range [...]string{
		x.Request.Target, x.Slack.Name, x.Slack.User.Name, x.Slack.Channel.Name, x.Slack.Text, x.Fault,
	} {
		addText(&b, s, MaxText-maxAnswer)
	}
	if len(x.Request.Body.Bytes) > 0 {
		addRequest(&b, x, MaxText-maxAnswer)
	}
	if x.Response != nil && len(x.Response.Body.Bytes) > 0 {
		addBody(&b, x.Response.Body.Bytes, MaxText)
	}
	return b.String()
}

func addRequest(b *strings.Builder, x *Exchange, limit int) {
	r := &x.Request
	// As a POST: of a GET, Decode reads the query, and that is in the target.
	decoded, err := slack.Decode(http.MethodPost, r.Target, r.Header.HTTP(), r.Body.Bytes)
	before := b.Len()
	if err == nil || len(decoded) > 0 { // with an error: as far as it could be read
		addValues(b, decoded, limit)
	}
	if b.Len() > before {
		return
	}
	// Nothing that Slack would send: what can be read of it is read.
	if s, err := url.QueryUnescape(string(r.Body.Bytes)); err == nil && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		addText(b, s, limit)
		return
	}
	addBody(b, r.Body.Bytes, limit)
}

// addBody adds a body of any kind: the values of JSON, text as it is, nothing of
// what is not text.
func addBody(b *strings.Builder, body []byte, limit int) {
	body = body[:min(len(body), limit)]
	for i := len(body) - 1; i >= 0 && i >= len(body)-utf8.UTFMax; i-- { // a cut may have left part of a rune
		if utf8.RuneStart(body[i]) {
			if !utf8.FullRune(body[i:]) {
				body = body[:i]
			}
			break
		}
	}
	switch {
	case !utf8.Valid(body):
	case len(body) > 0 && (body[0] == '{' || body[0] == '['):
		addValues(b, body, limit)
	default:
		addText(b, string(body), limit)
	}
}

// addText adds a line, as much of it as fits under the limit.
func addText(b *strings.Builder, s string, limit int) {
	if room := limit - b.Len() - 1; s != "" && room > 0 {
		b.WriteString(cut(s, room))
		b.WriteByte('\n')
	}
}

// addValues adds the strings and numbers of a JSON document, each on a line and
// without the keys of objects. It reads what is broken as far as it makes sense.
func addValues(b *strings.Builder, doc []byte, limit int) {
	for i := 0; i < len(doc) && b.Len() < limit; {
		switch c := doc[i]; {
		case c == '"':
			end := stringEnd(doc, i+1)
			if !isKey(doc, end) {
				addText(b, unquote(doc[i+1:end]), limit)
			}
			i = end + 1
		case c == '-' || '0' <= c && c <= '9':
			end := i + 1
			for end < len(doc) && strings.IndexByte("+-.eE0123456789", doc[end]) >= 0 {
				end++
			}
			addText(b, string(doc[i:end]), limit)
			i = end
		default:
			i++
		}
	}
}

// stringEnd finds the quote that ends the string which begins at i.
func stringEnd(doc []byte, i int) int {
	for ; i < len(doc); i++ {
		switch doc[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(doc)
}

// isKey reports whether the string that ended at the quote i is a key.
func isKey(doc []byte, i int) bool {
	for i++; i < len(doc); i++ {
		switch doc[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return doc[i] == ':'
		}
	}
	return false
}

// unquote opens the escapes of a JSON string. A broken escape stays as it is.
func unquote(s []byte) string {
	if bytes.IndexByte(s, '\\') < 0 {
		return string(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n', 'r', 't', 'b', 'f':
			out = append(out, ' ')
		case 'u':
			r, n := escapedRune(s[i-1:])
			if n == 0 {
				out = append(out, '\\', 'u')
				continue
			}
			out = utf8.AppendRune(out, r)
			i += n - 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

// escapedRune reads \uXXXX, or two of them that are one rune, and gives how many
// bytes that took; 0 when it is broken.
func escapedRune(s []byte) (rune, int) {
	hi, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if hi >= 0xD800 && hi < 0xDC00 && len(s) >= 12 {
		if lo, ok := hex4(s[6:]); ok && lo >= 0xDC00 && lo < 0xE000 {
			return (hi-0xD800)<<10 | (lo - 0xDC00) + 0x10000, 12
		}
	}
	return hi, 6
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 32)
	return rune(n), err == nil
}

// cut gives the first n bytes of s, or less so that no rune is cut.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Fold gives the spelling in which two texts that differ only in case, or in what
// is no text at all (control characters, bytes that are not UTF-8), are the same.
func Fold(s string) string {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return string(appendFolded(make([]byte, 0, len(s)+8), s))
		}
	}
	return s
}

func appendFolded(dst []byte, s string) []byte {
	for _, r := range s {
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

func foldRune(r rune) rune {
	switch {
	case r < ' ':
		return ' '
	case r < utf8.RuneSelf:
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// Words gives the words of a text, folded and cut to MaxWord bytes. A word is a run
// of letters, their marks, and digits. Where a script puts no space between words,
// and with emoji, every character is a word: there a phrase finds any part of a text.
func Words(s string) []string {
	if spelled := AppendWords(nil, s); len(spelled) > 0 {
		return strings.Split(string(spelled), " ")
	}
	return nil
}

// AppendWords appends the words of s, see Words, with one space between them.
func AppendWords(dst []byte, s string) []byte {
	begin := len(dst) // where the word that is being written begins
	open := false     // a word is being written
	for _, r := range s {
		class := classify(r)
		if open && (class == letter || class == mark) {
			if len(dst)-begin < MaxWord-utf8.UTFMax {
				dst = utf8.AppendRune(dst, foldRune(r))
			}
			continue
		}
		open = class == letter
		if class == other || class == mark {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ' ')
		}
		begin = len(dst)
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

type class uint8

const (
	other  class = iota // between words
	letter              // part of a word
	mark                // part of a word that has begun
	alone               // a word by itself
)

func classify(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		if '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return letter
		}
		return other
	case r == utf8.RuneError:
		return other
	case spaceless(r):
		return alone
	case unicode.IsLetter(r), unicode.IsNumber(r):
		return letter
	case unicode.IsMark(r):
		return mark
	case unicode.Is(unicode.So, r):
		return alone
	}
	return other
}

// spaceless reports whether a rune is of a script that puts no space between words.
func spaceless(r rune) bool {
	const first = 0x0E00 // of all of them
	return r >= first && unicode.In(r,
		unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// Text is a text made ready for looking up phrases.
type Text struct {
	spelled string // every word with a space before it
}

// NewText makes a text ready.
func NewText(s string) *Text {
	spelled := make([]byte, 1, len(s)+len(s)/8+2)
	spelled[0] = ' '
	return &Text{spelled: string(AppendWords(spelled, s))}
}

// Has reports whether the words of a phrase stand side by side in the text; the
// last one may be only the beginning of a word. Every text has the phrase of no words.
func (t *Text) Has(phrase []string) bool {
	return len(phrase) == 0 || strings.Contains(t.spelled, " "+strings.Join(phrase, " "))
}

func (t *Text) hasAny(phrases [][]string) bool {
	for _, p := range phrases {
		if t.Has(p) {
			return true
		}
	}
	return false
}
