package export

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// MaxDecoded is how much of a compressed body is opened, in bytes.
const MaxDecoded = 16 << 20

// Detail is an exchange with everything that was kept. Its Findings stand in JSON
// in the place of Line's: the same findings, with their texts.
type Detail struct {
	Line
	Request  Message         `json:"request"`
	Response *Message        `json:"response"` // null: not answered
	Slack    json.RawMessage `json:"slack"`    // the decoded payload, null when it is not one
	Problem  string          `json:"slack_problem,omitempty"`
	Findings []Finding       `json:"findings"`
}

// Message is one half of an exchange.
type Message struct {
	Target     string  `json:"target,omitempty"`
	Host       string  `json:"host,omitempty"`
	Proto      string  `json:"proto,omitempty"`
	Remote     string  `json:"remote,omitempty"`
	Status     int     `json:"status,omitempty"`
	Headers    []Field `json:"headers"` // in wire order
	Body       *string `json:"body,omitempty"`
	BodyBase64 string  `json:"body_base64,omitempty"` // where the body is not UTF-8
	Size       int64   `json:"size"`                  // bytes on the wire
	Truncated  bool    `json:"truncated"`
	Trailers   []Field `json:"trailers,omitempty"`
	Decoded    string  `json:"decoded,omitempty"` // the Content-Encoding that was taken off Body
}

// Field is a header.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Finding is a finding with its text.
type Finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Pointer  string `json:"pointer"`
	Text     string `json:"text"`
	Fix      string `json:"fix"`
}

// DetailOf describes x with everything that was kept, and with tokens, webhook
// URLs, credentials and cookies masked. A body in gzip or deflate is opened (at most
// MaxDecoded bytes of it), so that what is inside is masked too; one in an encoding
// that is not known here comes as it is.
func DetailOf(x *inspector.Exchange) Detail { return detailOf(x, slack.Redact) }

// UnmaskedDetailOf is DetailOf with every secret in it that the exchange has.
func UnmaskedDetailOf(x *inspector.Exchange) Detail { return detailOf(x, nil) }

func detailOf(x *inspector.Exchange, mask mask) Detail {
	d := Detail{
		Line: lineOf(x, mask), Request: messageOf(x.Request.Header, x.Request.Body, x.Request.Trailer, mask),
		Findings: make([]Finding, 0, len(x.Findings)),
	}
	d.Request.Target, d.Request.Host = mask.text(x.Request.Target), x.Request.Host
	d.Request.Proto, d.Request.Remote = x.Request.Proto, x.Request.Remote
	if r := x.Response; r != nil {
		m := messageOf(r.Header, r.Body, r.Trailer, mask)
		m.Status = r.Status
		d.Response = &m
	}
	for _, f := range x.Findings {
		d.Findings = append(d.Findings, Finding{
			Code: f.Code, Severity: f.Severity.String(), Pointer: f.Pointer, Text: mask.text(f.Text), Fix: f.Fix,
		})
	}
	d.Slack, d.Problem = decoded(x, mask)
	d.Problem = mask.text(d.Problem)
	return d
}

// decoded opens the payload, as much of it as can be read, or says why there is none.
func decoded(x *inspector.Exchange, mask mask) (doc json.RawMessage, problem string) {
	r := &x.Request
	doc, err := slack.Decode(r.Method, r.Target, r.Header.HTTP(), r.Body.Bytes)
	switch problem = x.Slack.Problem; {
	case err != nil && r.Body.Truncated():
		problem = fmt.Sprintf("only %d of the body's %d bytes were kept", len(r.Body.Bytes), r.Body.Size)
	case err != nil && problem == "":
		problem = err.Error()
	}
	if doc == nil {
		return nil, problem
	}
	// A mask that broke the document would leave the client without all of the detail.
	if doc = mask.bytes(doc); !json.Valid(doc) {
		return nil, "the payload cannot be shown with its tokens masked"
	}
	return doc, problem
}

func messageOf(h inspector.Header, b inspector.Body, trailer inspector.Header, mask mask) Message {
	m := Message{
		Headers: fieldsOf(mask.header(h)), Size: b.Size, Truncated: b.Truncated(), Trailers: fieldsOf(mask.header(trailer)),
	}
	if m.Headers == nil {
		m.Headers = []Field{}
	}
	body := b.Bytes
	if plain, ok := open(h.Get("Content-Encoding"), body); ok {
		body, m.Decoded = plain, strings.ToLower(h.Get("Content-Encoding"))
	}
	if m.Truncated {
		body = wholeRunes(body)
	}
	if body = mask.bytes(body); utf8.Valid(body) {
		text := string(body)
		m.Body = &text
	} else {
		m.BodyBase64 = base64.StdEncoding.EncodeToString(body)
	}
	return m
}

func fieldsOf(h inspector.Header) []Field {
	if len(h) == 0 {
		return nil
	}
	fields := make([]Field, len(h))
	for i, f := range h {
		fields[i] = Field(f)
	}
	return fields
}

// open takes the content encoding off as much of a body as there is. It reports
// false where there is nothing to take off, or nothing came of it.
func open(encoding string, body []byte) (plain []byte, ok bool) {
	var r io.Reader
	var err error
	switch strings.ToLower(encoding) {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate": // zlib by RFC 9110, 8.4.1.2; bare deflate by some servers
		if r, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	default:
		return nil, false
	}
	if err != nil {
		return nil, false
	}
	// An error in the middle is a body that was cut: what came before it is shown.
	plain, err = io.ReadAll(io.LimitReader(r, MaxDecoded))
	return plain, err == nil || len(plain) > 0
}

// wholeRunes drops the beginning of a rune at the end of a body that was cut there.
func wholeRunes(b []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return b[:len(b)-n]
			}
			break
		}
	}
	return b
}
