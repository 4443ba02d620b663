package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"time"
)

// The values of the X-Slackdev-Relay field, which every answer of the relay itself
// has and no answer of an app can have.
const (
	codeBadRequest  = "bad-request"     // 400, 405, 408, 431, 505: the relay would not forward it
	codeUnknownName = "unknown-name"    // 404: nobody has had this name since the relay started
	codeTunnelDown  = "tunnel-down"     // 503: its owner is not connected, and did not come back in time
	codeStopping    = "relay-stopping"  // 503: the relay takes no more requests
	codeBusy        = "busy"            // 503: too many requests of this name are under way
	codeNotAllowed  = "not-allowed"     // 403: the name is for visitors of other networks
	codeNoPassword  = "unauthorized"    // 401: the name asks for a password
	codeTooMany     = "too-many-tries"  // 429: of passwords, from one address
	codeNoApp       = "app-unreachable" // 502: the client could not take a connection
	codeNoAnswer    = "no-answer"       // 502: the connection to the app ended before an answer
	codeBadAnswer   = "bad-answer"      // 502: what came was not HTTP
	codeAppStuck    = "app-stuck"       // 504: the app does not take the body
)

// refusal is a request that is not forwarded, or whose answer is not: what the
// relay says in the app's place. Detail is a sentence of the relay's own, and has
// nothing of the request in it.
type refusal struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"error"`
	// Retry is when to try again, in seconds, or 0.
	Retry int `json:"retry_after,omitempty"`
	// Challenge asks for a user and a password.
	Challenge bool `json:"-"`
	// Held is for how long the request has waited for its tunnel, in milliseconds, or 0.
	Held int64 `json:"held_ms,omitempty"`
}

// Error gives the detail.
func (r *refusal) Error() string { return r.Detail }

func bad(detail string) *refusal {
	return &refusal{Status: http.StatusBadRequest, Code: codeBadRequest, Detail: detail}
}

// page gives r as a whole HTTP/1.1 answer to a request of these fields, of which
// there may be none: a page for browsers, JSON for those who ask for it, a line of
// text for the rest.
func (r *refusal) page(q asked, fields *message, keep bool) []byte {
	kind, text := r.body(fields)
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", r.Status, http.StatusText(r.Status))
	b.WriteString("Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n")
	b.WriteString("X-Slackdev-Relay: " + r.Code + "\r\n")
	b.WriteString("Content-Type: " + kind + "\r\n")
	b.WriteString("Content-Length: " + strconv.Itoa(len(text)) + "\r\n")
	b.WriteString("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n")
	b.WriteString("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n")
	if r.Retry > 0 {
		b.WriteString("Retry-After: " + strconv.Itoa(r.Retry) + "\r\n")
	}
	if r.Challenge {
		b.WriteString("WWW-Authenticate: Basic realm=\"slackdev relay\", charset=\"UTF-8\"\r\n")
	}
	switch {
	case !keep:
		b.WriteString("Connection: close\r\n")
	case q.minor == 0:
		b.WriteString("Connection: keep-alive\r\n")
	}
	b.WriteString("\r\n")
	if !q.head {
		b.WriteString(text)
	}
	return b.Bytes()
}

func (r *refusal) body(fields *message) (kind, text string) {
	switch accepts(fields) {
	case "html":
		return "text/html; charset=utf-8", r.html()
	case "json":
		p, err := json.Marshal(r)
		if err == nil {
			return "application/json", string(p) + "\n"
		}
	}
	return "text/plain; charset=utf-8", "slackdev relay: " + r.Detail + "\n"
}

func (r *refusal) html() string {
	title := html.EscapeString(strconv.Itoa(r.Status) + " " + http.StatusText(r.Status))
	return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>` + title + `</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto 0;padding:0 1rem}small{opacity:.7}</style>
<h1>` + title + `</h1>
<p>` + html.EscapeString(r.Detail) + `</p>
<p><small>This is the slackdev relay speaking, not the app behind it.</small></p>
</html>
`
}

// accepts says which of html, json and text was asked for first.
func accepts(m *message) string {
	for i := range m.fields {
		if !bytes.EqualFold(m.bytes(m.fields[i].name), []byte("accept")) {
			continue
		}
		v := bytes.ToLower(m.bytes(m.fields[i].value))
		h, j := bytes.Index(v, []byte("text/html")), bytes.Index(v, []byte("application/json"))
		switch {
		case h >= 0 && (j < 0 || h < j):
			return "html"
		case j >= 0:
			return "json"
		}
	}
	return "text"
}

func unknownName() *refusal {
	return &refusal{Status: http.StatusNotFound, Code: codeUnknownName,
		Detail: "There is no tunnel of this name. Names are forgotten when the relay restarts; start slackdev and use the URL that it shows."}
}

// tunnelDown is said of a request that was held for so long, or not at all.
func tunnelDown(held time.Duration) *refusal {
	r := &refusal{Status: http.StatusServiceUnavailable, Code: codeTunnelDown, Retry: 5,
		Detail: "The tunnel of this name is down. It will work again as soon as its owner's slackdev is connected."}
	if held > 0 {
		r.Held = held.Milliseconds()
		r.Detail = "The tunnel of this name is down, and did not come back while the request was held, for " + held.String() +
			". It will work again as soon as its owner's slackdev is connected."
	}
	return r
}

func holdFull() *refusal {
	return &refusal{Status: http.StatusServiceUnavailable, Code: codeTunnelDown, Retry: 5,
		Detail: "The tunnel of this name is down, and as many requests as there is room for wait for it already."}
}

func stopping() *refusal {
	return &refusal{Status: http.StatusServiceUnavailable, Code: codeStopping, Retry: 1,
		Detail: "This relay is about to stop and takes no more requests."}
}

func busy() *refusal {
	return &refusal{Status: http.StatusServiceUnavailable, Code: codeBusy, Retry: 1,
		Detail: "Too many requests to this name are under way."}
}

func notAllowed() *refusal {
	return &refusal{Status: http.StatusForbidden, Code: codeNotAllowed,
		Detail: "This name is for visitors from certain networks, and yours is not one of them."}
}

func unauthorized() *refusal {
	return &refusal{Status: http.StatusUnauthorized, Code: codeNoPassword, Challenge: true,
		Detail: "This name asks for a user and a password."}
}

func tooManyTries(wait time.Duration) *refusal {
	return &refusal{Status: http.StatusTooManyRequests, Code: codeTooMany, Retry: int(wait/time.Second) + 1,
		Detail: "Too many wrong passwords came from your address."}
}

func noApp() *refusal {
	return &refusal{Status: http.StatusBadGateway, Code: codeNoApp,
		Detail: "The tunnel is up, but its far end could not open a connection to the app. Is the app running?"}
}

func noAnswer() *refusal {
	return &refusal{Status: http.StatusBadGateway, Code: codeNoAnswer,
		Detail: "The connection to the app ended before there was an answer."}
}

func badAnswer() *refusal {
	return &refusal{Status: http.StatusBadGateway, Code: codeBadAnswer,
		Detail: "What the app sent is not an HTTP answer."}
}

func appStuck() *refusal {
	return &refusal{Status: http.StatusGatewayTimeout, Code: codeAppStuck,
		Detail: "The app has stopped taking the request's body."}
}

func tooSlow() *refusal {
	return &refusal{Status: http.StatusRequestTimeout, Code: codeBadRequest, Detail: "the request stopped half way"}
}
