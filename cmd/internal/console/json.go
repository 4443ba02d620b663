package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/tunnel"
)

// JSON writes for programs: one line of JSON for each thing that happens, in a form
// that stays. Characters that a terminal would obey are escaped, since people look at
// such lines too. Its methods are safe for many goroutines, and each writes one whole
// line with one Write. After a failed write (whoever read has left) nothing more is
// written and the same error comes back.
type JSON struct {
	W io.Writer

	mu  sync.Mutex // guards err, and that lines are not mixed
	err error
}

// Ready writes what is known when the first request can come, through each tunnel.
func (j *JSON) Ready(r Ready) error {
	reachable := "local"
	if r.reachable() {
		reachable = "public"
	}
	line := struct {
		Type      string `json:"type"`
		Public    string `json:"public_url"`
		Local     string `json:"local_url"`
		App       string `json:"app_url"`
		Provider  string `json:"provider"`
		Name      string `json:"name"`
		Reachable string `json:"reachable"`
	}{Type: "ready", Local: r.Local, Provider: r.Provider, Name: r.Name, Reachable: reachable}
	switch {
	case r.Public != nil:
		line.Public = r.Public.String()
	case r.Front != nil: // without a tunnel that is the address to send requests to
		line.Public = r.Front.String()
	}
	if r.App != nil {
		line.App = r.App.String()
	}
	return j.write(line)
}

// Tunnel writes a change of a tunnel. The name is empty where there is but one, and the
// line has none then.
func (j *JSON) Tunnel(name string, s tunnel.Status) error {
	line := struct {
		Type    string `json:"type"`
		State   string `json:"state"`
		URL     string `json:"url"`
		Error   string `json:"error"`
		RetryIn int64  `json:"retry_in_ms"`
		Name    string `json:"name,omitempty"`
	}{Type: "tunnel", Name: name, State: string(s.State), RetryIn: s.Retry.Round(time.Millisecond).Milliseconds()}
	if s.URL != nil {
		line.URL = s.URL.String()
	}
	if s.Err != nil {
		line.Error = s.Err.Error()
	}
	return j.write(line)
}

// Exchange writes a request. It is not masked here: export.LineOf has done that.
func (j *JSON) Exchange(l export.Line) error { return j.write(l) }

// Detail writes a request with everything that was kept.
func (j *JSON) Detail(d export.Detail) error { return j.write(d) }

func (j *JSON) write(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		_, j.err = j.W.Write(undrawn(b.Bytes()))
	}
	return j.err
}

// undrawn escapes what is not drawn, but for the newline at the end. In JSON such
// characters stand inside strings alone, where \u spells them.
func undrawn(doc []byte) []byte {
	if bytes.IndexFunc(doc, odd) < 0 {
		return doc
	}
	var b bytes.Buffer
	for len(doc) > 0 {
		r, n := utf8.DecodeRune(doc)
		switch {
		case !odd(r):
			b.Write(doc[:n])
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		doc = doc[n:]
	}
	return b.Bytes()
}

func odd(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }
