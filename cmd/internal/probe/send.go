package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/slackdev/slackdev/inspector/slack"
)

// patience is how long a probe may take in all: longer than Slack waits.
const patience = 10 * time.Second

// Route is how a probe reaches the public side. Its zero value goes directly.
type Route struct {
	// Dial connects to a host:port, through a proxy where there is one; nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Roots may vouch for the public side; nil: the system's.
	Roots *x509.CertPool
	// User and Password are for a relay that asks visitors for them; empty: it does not.
	User, Password string
}

// Result is a probe that came through, and where its time went. What a connection
// did not need (a name to look up, TLS) is 0.
type Result struct {
	DNS     time.Duration // to look the host up
	Connect time.Duration // to connect to it, through a proxy where there is one
	TLS     time.Duration // to agree on keys
	Way     time.Duration // from the last byte that was sent to the first that came back, without Inside and App: the relay and the tunnel, both ways
	SSH     time.Duration // of Way, there and back over the SSH connection; 0: not measured (whoever has the tunnel does it)
	Inside  time.Duration // in slackdev
	App     time.Duration // to connect to the app
	Total   time.Duration
	AppDown string               // why the app could not be reached; "" when it could, or was not asked
	Peer    *tls.ConnectionState // of the public side; nil without TLS
}

// Relay is the part of Way that is not SSH: the public side, and whatever is behind it.
func (r *Result) Relay() time.Duration { return max(0, r.Way-r.SSH) }

// Step is where a probe failed.
type Step string

// The steps, in their order.
const (
	Resolve Step = "dns"
	Dial    Step = "connect"
	Secure  Step = "tls"
	Arrive  Step = "arrive" // the request, or its answer, did not pass
	Barred  Step = "barred" // the relay lets nobody in from here: it does what it was asked to
	Intact  Step = "intact" // it did, and was changed on its way
)

// Error says at which step a probe failed, and why. The reason may quote whoever
// answered: it is one line, bounded, and without control characters is not promised.
type Error struct {
	Step Step
	Err  error
}

// Error gives the reason.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// Send sends one probe to path of a public URL. It takes at most ten seconds, and
// fails with an *Error.
func (p *Probe) Send(ctx context.Context, public *url.URL, path string) (*Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
	defer cancel()
	var c clock
	r, err := p.request(httptrace.WithClientTrace(ctx, c.trace()), public.JoinPath(path))
	if err != nil {
		return nil, &Error{Arrive, err}
	}
	transport := p.Route.transport()
	defer transport.CloseIdleConnections()
	start := time.Now()
	res, err := transport.RoundTrip(r) // a redirect is not an answer of ours
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, &Error{c.step(), plain(err)}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, &Error{Arrive, fmt.Errorf("the answer broke off: %w", plain(err))}
	}
	if mark := res.Header.Get(Field); !p.marked(mark, string(text)) {
		return nil, foreign(res, text, mark != "")
	}
	result := c.result()
	result.Total, result.Peer = time.Since(start), res.TLS
	return result, result.take(text)
}

// request makes a probe: what Slack would send, with bytes in it that a careless
// carrier changes.
func (p *Probe) request(ctx context.Context, u *url.URL) (*http.Request, error) {
	nonce, err := word(p.random, 16)
	if err != nil {
		return nil, err
	}
	body := []byte("{\"type\":\"slackdev_probe\",\"text\":\"a\\/b ä € 🎉  two spaces\\u0000 \",\r\n\"nonce\":\"" + nonce + "\"} \n")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	timestamp, signature := p.secret.Sign(p.Now(), body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "slackdev probe")
	r.Header.Set(slack.TimestampHeader, timestamp)
	r.Header.Set(slack.SignatureHeader, signature)
	r.Header.Set(Field, nonce+" "+p.mark(nonce))
	if p.Route.User != "" {
		r.SetBasicAuth(p.Route.User, p.Route.Password)
	}
	return r, nil
}

// transport makes one that keeps nothing from an earlier probe.
func (r Route) transport() *http.Transport {
	open := r.Dial
	if open == nil {
		open = new(net.Dialer).DialContext
	}
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: r.Roots}, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err == nil && strings.HasSuffix(strings.TrimSuffix(host, "."), ".localhost") {
				addr = net.JoinHostPort("localhost", port) // RFC 6761, section 6.3; not every resolver knows it
			}
			return open(ctx, network, addr)
		},
	}
}

// take reads what the near end told.
func (r *Result) take(text []byte) error {
	var a arrival
	if err := json.Unmarshal(text, &a); err != nil {
		return &Error{Arrive, fmt.Errorf("the answer cannot be read: %w", err)}
	}
	r.Inside, r.App, r.AppDown = a.Inside, a.App, a.AppDown
	r.Way = max(0, r.Way-a.Inside-a.App)
	if a.Verdict != slack.Valid.String() {
		return &Error{Intact, fmt.Errorf("the request arrived, but not as it was sent (its signature is %s): whoever carries it changes bodies or headers, and Slack's signatures will not fit", a.Verdict)}
	}
	return nil
}

// title finds what a page calls itself.
var title = regexp.MustCompile(`(?is)<title[^>]*>([^<]{1,200})`)

// foreign says who has answered in our place.
func foreign(res *http.Response, text []byte, marked bool) error {
	if marked {
		return &Error{Intact, errors.New("the answer was changed on its way")}
	}
	if code := res.Header.Get("X-Slackdev-Relay"); code != "" {
		if code == "not-allowed" {
			return &Error{Barred, errors.New("the relay lets nobody in from this address")}
		}
		return &Error{Arrive, fmt.Errorf("the relay answered %d %s", res.StatusCode, clip(code))}
	}
	said := ""
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if found := title.FindSubmatch(text); found != nil {
		said = string(found[1])
	} else if media == "text/plain" {
		said = string(text)
	}
	if said = clip(said); said != "" {
		said = fmt.Sprintf(" %q", said)
	}
	return &Error{Arrive, fmt.Errorf("somebody else answered in slackdev's place: %d%s", res.StatusCode, said)}
}

// clip makes one short line of a stranger's text.
func clip(s string) string {
	const most = 80
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// plain takes the layers off an error of the network that name what everybody knows.
func plain(err error) error {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("look up %s: %s", dns.Name, dns.Err)
	case errors.As(err, &op) && op.Err != nil:
		return op.Err
	}
	return err
}
