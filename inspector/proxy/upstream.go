package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Upstream is an app that requests are forwarded to. It is read-only once a Proxy has it.
type Upstream struct {
	// Name tells it from others. That of a route is its path, which begins with a slash.
	// It is recorded as Exchange.Upstream, but for Proxy.App, whose requests name nobody.
	Name string
	// URL is an http or https one, whose path is put in front of every request's; or a
	// unix one, whose path is that of a socket.
	URL *url.URL
	// Insecure takes any certificate of an https app. Without it the roots of the
	// system decide.
	Insecure bool
	// KeepHost lets the app see the Host that the sender asked for. Without it the app
	// sees its own, which many development servers insist on.
	KeepHost bool
}

// Addr is where the app listens, for a person: localhost:3000, unix:/run/app.sock.
func (u Upstream) Addr() string {
	if u.URL.Scheme == "unix" {
		return "unix:" + u.URL.Path
	}
	return u.URL.Host
}

// Ask reports whether somebody listens there who can be spoken to, which for an https
// app takes a certificate that is good. The error is a sentence for a person. It is
// soon there, whatever ctx says.
func (u Upstream) Ask(ctx context.Context) error {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	way, port := u.dialing(), "80"
	open := way.dial
	if u.URL.Scheme == "https" {
		open, port = way.handshake, "443"
	}
	if own := u.URL.Port(); own != "" {
		port = own
	}
	conn, err := open(ctx, "tcp", net.JoinHostPort(u.URL.Hostname(), port))
	if err != nil {
		_, sentence := u.absence(err)
		if sentence == "" {
			sentence = u.silence(err)
		}
		return &absentError{sentence, err}
	}
	_ = conn.Close() // nothing was said on it
	return nil
}

// absentError says in words why an app cannot be spoken to.
type absentError struct {
	sentence string
	err      error
}

func (e *absentError) Error() string { return e.sentence }
func (e *absentError) Unwrap() error { return e.err }

// absence gives the code and the sentence for an app that could not be asked; both are
// empty where it could, and err is about what came then.
func (u Upstream) absence(err error) (code, sentence string) {
	var untrusted *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var dial *net.OpError
	switch {
	case errors.As(err, &untrusted):
		why := strings.TrimPrefix(untrusted.Err.Error(), "x509: ")
		return "app_untrusted", fmt.Sprintf("the certificate of %s is not trusted (%s); --insecure-upstream takes any", u.Addr(), why)
	case errors.As(err, &noTLS):
		return "app_failed", fmt.Sprintf("%s does not speak TLS; is it http://%s?", u.Addr(), u.URL.Host)
	case !errors.As(err, &dial) || dial.Op != "dial":
		return "", ""
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return "app_down", "nothing listens on " + u.Addr()
	default:
		return "app_down", fmt.Sprintf("cannot reach %s: %s", u.Addr(), reason(err))
	}
}

// silence is the sentence for an app that was reached and did not answer.
func (u Upstream) silence(err error) string {
	return fmt.Sprintf("the app at %s gave no answer: %s", u.Addr(), reason(err))
}

// link is an Upstream, and what it takes to reach it.
type link struct {
	Upstream
	base      *url.URL // what a request's URL is joined to
	transport *http.Transport
}

// link makes the app's link. Links to one place have their connections in common.
func (s *shared) link(u Upstream) link {
	l := link{Upstream: u, base: u.URL, transport: s.transport(u.dialing())}
	if u.URL.Scheme == "unix" {
		l.base = &url.URL{Scheme: "http", Host: "localhost"} // a socket has no name of its own
	}
	return l
}

// choose gives the app that a request is for: the one that its maker named, or the
// route that its path is below. nil: nobody has that name.
func (p *Proxy) choose(name string, asked *url.URL) *link {
	to := &p.first
	if name != "" && name != p.App.Name {
		i := slices.IndexFunc(p.more, func(l link) bool { return l.Name == name })
		if i < 0 {
			return nil
		}
		if to = &p.more[i]; name[0] == '/' {
			return to // a request that went there before goes there again
		}
	}
	if r := p.route(asked); r != nil {
		return r
	}
	return to
}

// route gives the route with the longest path that asked is below, or nil. The path
// decides as it was sent: what an app would make of it, decoding it or resolving its
// dots, may be another one. So that such a path leads nobody out of what was opened
// to him, one that climbs belongs to no route.
func (p *Proxy) route(asked *url.URL) (best *link) {
	if len(p.more) == 0 {
		return nil
	}
	path := asked.EscapedPath()
	for i := range p.more {
		l := &p.more[i]
		if below(path, l.Name) && (best == nil || len(l.Name) > len(best.Name)) {
			best = l
		}
	}
	if best != nil && climbs(asked.Path) {
		return nil
	}
	return best
}

// below reports whether path is prefix or goes on behind it with a new segment.
func below(path, prefix string) bool {
	rest, found := strings.CutPrefix(path, prefix)
	return found && prefix != "" && (rest == "" || rest[0] == '/')
}

// climbs reports whether a decoded path has a segment that some app may take for the
// way up: with a backslash for a slash, or with parameters.
func climbs(path string) bool {
	if !strings.Contains(path, "..") {
		return false
	}
	for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if name, _, _ := strings.Cut(segment, ";"); name == ".." {
			return true
		}
	}
	return false
}

// dialing is how connections to an app are made; those of one kind can be shared.
type dialing struct {
	socket   string // of a unix socket; "": by the address
	insecure bool
}

func (u Upstream) dialing() dialing {
	switch u.URL.Scheme {
	case "unix":
		return dialing{socket: u.URL.Path}
	case "https":
		return dialing{insecure: u.Insecure}
	}
	return dialing{}
}

// dial connects.
func (d dialing) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.socket != "" {
		network, addr = "unix", d.socket
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return dialer.DialContext(ctx, network, addr)
}

// handshake connects and speaks TLS. It offers HTTP/1.1 alone: HTTP/2 has no head
// whose lines could be shown in their order, and on one machine nothing to win.
func (d dialing) handshake(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	secure := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: d.insecure, NextProtos: []string{"http/1.1"}})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secure, nil
}

// transport gives the connections of one kind. They are as many as were ever busy at
// once: the two that net/http keeps by default make every burst open new ones.
func (s *shared) transport(d dialing) *http.Transport {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.transports[d]; t != nil {
		return t
	}
	t := &http.Transport{
		DialContext:            tapped(d.dial),
		DialTLSContext:         tapped(d.handshake),
		MaxIdleConnsPerHost:    1 << 10,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		DisableCompression:     true, // the record shows what the app sent
	}
	s.transports[d] = t
	return t
}

// tapped lets what is dialled remember the heads that come over it.
func tapped(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &tapConn{Conn: conn}, nil
	}
}
