package export

import (
	"strings"

	"github.com/slackdev/slackdev/inspector"
)

// mask hides what must not leave: slack.Redact for what is shown on this machine,
// the stricter slack.RedactExport for what is made to be handed on, nil for nothing.
type mask func([]byte) []byte

// hidden stands where a value was, as it does in what slack.Redact masks.
const hidden = "…"

func (m mask) bytes(b []byte) []byte {
	if m == nil || len(b) == 0 {
		return b
	}
	return m(b)
}

func (m mask) text(s string) string {
	if m == nil || s == "" {
		return s
	}
	return string(m([]byte(s)))
}

// header masks fields: of those that carry credentials by their meaning, whatever
// their shape, only the scheme or the cookie's name stays.
func (m mask) header(h inspector.Header) inspector.Header {
	if m == nil {
		return h
	}
	masked := make(inspector.Header, len(h))
	for i, f := range h {
		masked[i] = inspector.Field{Name: f.Name, Value: m.value(f)}
	}
	return masked
}

func (m mask) value(f inspector.Field) string {
	switch strings.ToLower(f.Name) {
	case "authorization", "proxy-authorization":
		if scheme, _, ok := strings.Cut(f.Value, " "); ok {
			return scheme + " " + hidden
		}
		return hidden
	case "cookie":
		pairs := strings.Split(f.Value, ";")
		for i, pair := range pairs {
			pairs[i] = hideCookie(pair)
		}
		return strings.Join(pairs, ";")
	case "set-cookie":
		pair, attributes, more := strings.Cut(f.Value, ";")
		if more {
			return hideCookie(pair) + ";" + attributes
		}
		return hideCookie(pair)
	}
	return m.text(f.Value)
}

func hideCookie(pair string) string {
	if name, _, ok := strings.Cut(pair, "="); ok {
		return name + "=" + hidden
	}
	return hidden
}
