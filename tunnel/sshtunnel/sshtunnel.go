// Package sshtunnel opens tunnels through SSH servers that forward a port back
// (`ssh -R`): slackdev's own relay, any sshd, and public services. One client serves
// them all; a Profile says in what they differ.
//
// A tunnel is one SSH connection with one forward. Its connections are Conns,
// net.Conns with working deadlines. A silent server is noticed within seconds, and
// everything that a server says is taken as hostile: bounded, and cleaned before
// anybody sees it.
package sshtunnel

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/dial"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// Provider opens tunnels as its Profile says. It remembers the name or the port that
// it got, and asks for the same one again. Its fields are not changed after the first
// Open; Open and Name are safe for use by many goroutines.
type Provider struct {
	Profile   Profile
	Keys      Keys
	Hosts     Hosts
	KeepAlive KeepAlive
	Access    *Access       // who may use the name; nil: everybody
	Timeout   time.Duration // for one Open, from the first packet to the URL; 0: 15 s
	Log       *slog.Logger  // nil: silence

	// Dial reaches the SSH server; nil: a dial.Dialer, which goes directly.
	Dial  dial.Func
	Roots *x509.CertPool // who may vouch for a server that speaks TLS; nil: the system's
	Trace dial.Trace     // hears of the steps that are taken on top of Dial; may be nil
	// Renamed hears, before Open returns, that the server gave another public address
	// than the profile's Bind asked for by name. nil: nobody does.
	Renamed func(asked string, got *url.URL)

	// Heard gets what the server says once a tunnel is open, beside Tunnel.Notices: a
	// line of hostile text, cleaned and bounded. It may be called by many goroutines,
	// and must not block. nil: such lines wait for Notices.
	Heard func(line string)

	mu   sync.Mutex // guards what follows
	held *holding   // nil before the first tunnel
}

var _ tunnel.Provider = (*Provider)(nil)

// holding is what the server gave us, to be asked for again.
type holding struct {
	bind    string
	port    int
	refused time.Time // since when it has been refused; zero: it has not
}

// How long a server may refuse what it gave us before, because it has not noticed
// yet that our last connection is dead. Then any port is better than none.
const holdFor = 90 * time.Second

// Name is the profile's name.
func (p *Provider) Name() string { return p.Profile.Name }

// Addr is host:port of the SSH server, the first one where it has two.
func (p *Provider) Addr() string { return p.Profile.addr() }

// Open logs in, asks for the forward, and returns when the public URL is known. It
// fails with a *tunnel.RefusedError where the server, or its host key, refuses;
// a refusal of what an earlier Open got is not one, since it heals when the server
// notices that the earlier tunnel is dead.
func (p *Provider) Open(ctx context.Context) (tunnel.Tunnel, error) {
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = 15 * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	t, err := p.open(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = cause // what it broke off says less
		}
		return nil, fmt.Errorf("tunnel through %s: %w", p.Profile.addr(), err)
	}
	return t, nil
}

func (p *Provider) open(ctx context.Context) (*Tunnel, error) {
	if err := p.checkAccess(); err != nil {
		return nil, err
	}
	conn, addr, err := p.reach(ctx)
	if err != nil {
		return nil, err
	}
	l := newLink(conn)
	// Nothing in x/crypto/ssh takes a context: closing the link frees all of it.
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()

	profile := p.ask().at(addr)
	text := newTranscript(profile.Announce)
	text.secret = string(profile.Token)
	login, err := p.login(ctx, l, text)
	if err != nil {
		_ = l.Close() // closed already where the handshake failed
		return nil, err
	}
	t := newTunnel(profile, l, login, text, p.logger())
	t.access = p.Access
	if err := t.establish(ctx); err != nil {
		_ = t.Close() // the error that counts is err
		return nil, p.refused(err)
	}
	if !stop() {
		_ = t.Close()
		return nil, context.Cause(ctx)
	}
	p.hold(t)
	text.passOn(p.Heard)
	if profile := p.Profile; p.Renamed != nil && profile.Named && profile.fromSession() && !gives(t.url.Hostname(), profile.Bind) {
		p.Renamed(profile.Bind, t.url)
	}
	t.watch(p.KeepAlive)
	return t, nil
}

// reach connects to the SSH server, on whichever of its ports answers, and gives the
// address that did.
func (p *Provider) reach(ctx context.Context) (net.Conn, string, error) {
	out := p.Dial
	if out == nil {
		out = new(dial.Dialer).DialContext
	}
	if p.Profile.TLS {
		out = (&dial.TLS{Dial: out, Protocol: wire.ALPN, Roots: p.Roots, Trace: p.Trace}).DialContext
	}
	conn, addr, err := dial.First(ctx, out, "tcp", p.Profile.addrs()...)
	if refused := dial.Refusal(err); refused != nil {
		return nil, "", &tunnel.RefusedError{Op: "there is no way", Err: err, Hint: refused.Hint}
	}
	return conn, addr, err
}

func (p *Provider) logger() *slog.Logger {
	if p.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Log.With("provider", p.Profile.Name)
}

// ask is the profile, with what an earlier tunnel got.
func (p *Provider) ask() Profile {
	p.mu.Lock()
	defer p.mu.Unlock()
	profile := p.Profile
	if h := p.held; h != nil && (h.refused.IsZero() || time.Since(h.refused) < holdFor) {
		profile.Bind, profile.BindPort = h.bind, h.port
	}
	if p.held != nil && profile.UserAgain != "" {
		profile.User = profile.UserAgain
	}
	return profile
}

// hold remembers what the tunnel got.
func (p *Provider) hold(t *Tunnel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = &holding{bind: t.profile.Bind, port: t.profile.BindPort}
	host := t.url.Hostname()
	if p.Profile.NameFromURL && p.Profile.fromSession() && net.ParseIP(host) == nil && !gives(host, t.profile.Bind) {
		p.held.bind, _, _ = strings.Cut(host, ".")
	}
	if p.Profile.KeepPort {
		p.held.port = t.port
	}
}

// refused takes the finality from a refusal of the name or port that we have had before.
func (p *Provider) refused(err error) error {
	var refused *tunnel.RefusedError
	if !errors.As(err, &refused) || refused.Later || refused.Op == opening {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		return err
	}
	if p.held.refused.IsZero() {
		p.held.refused = time.Now()
	}
	return errors.New(refused.Error())
}

// login is an authenticated connection.
type login struct {
	conn  ssh.Conn
	chans <-chan ssh.NewChannel
	reqs  <-chan *ssh.Request
}

// login does the handshake: host key, then user.
func (p *Provider) login(ctx context.Context, l *link, text *transcript) (*login, error) {
	signers, notices, done, err := p.Keys.signers(ctx, p.Profile.AnyKey)
	if err != nil {
		return nil, err
	}
	defer done()
	for _, n := range notices {
		text.note(n)
	}
	check, algos, err := p.Hosts.checker(p.Profile.addr())
	if err != nil {
		return nil, err
	}
	var hostRefused error
	asked := false // for the user's identity: the host's has been checked
	config := &ssh.ClientConfig{
		Config: algorithms(),
		User:   p.ask().userName(),
		Auth:   p.auth(signers),
		AuthCallback: func(*ssh.ClientAuthContext) (ssh.AuthMethod, error) {
			asked = true
			return nil, nil
		},
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			hostRefused = check(host, remote, key)
			return hostRefused
		},
		HostKeyAlgorithms: algos,
		BannerCallback: func(banner string) error {
			text.note(banner)
			return nil
		},
		ClientVersion: wire.ClientVersion,
	}
	conn, chans, reqs, err := ssh.NewClientConn(l, p.Profile.addr(), config)
	mismatch := (*ssh.AlgorithmNegotiationError)(nil)
	switch {
	case err == nil:
		return &login{conn, chans, reqs}, nil
	case hostRefused != nil:
		return nil, hostRefused
	case errors.As(err, &mismatch):
		return nil, &tunnel.RefusedError{Op: "agree on algorithms", Err: mismatch}
	case asked && !l.broke.Load(): // the server is there, and says no
		return nil, p.authRefused(withWords(err, text), signers)
	}
	return nil, err
}

// auth is the ways to log in: keys, and where the server takes anybody, nothing.
func (p *Provider) auth(signers []ssh.Signer) []ssh.AuthMethod {
	var methods []ssh.AuthMethod
	if len(signers) > 0 {
		methods = append(methods, ssh.PublicKeys(signers...))
	}
	if p.Profile.AnyKey {
		methods = append(methods,
			ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
				return make([]string, len(questions)), nil
			}),
			ssh.Password(""))
	}
	return methods
}

// authRefused says who was refused, and how a key of ours could be let in.
func (p *Provider) authRefused(err error, signers []ssh.Signer) error {
	refused := &tunnel.RefusedError{Op: "log in as " + p.Profile.User, Err: err}
	if len(signers) == 0 {
		refused.Err = fmt.Errorf("no key to log in with: %w", err)
	}
	switch {
	case p.Keys.Own == "":
	case p.Profile.KeyHint != "":
		refused.Hint = strings.ReplaceAll(p.Profile.KeyHint, "{key}", shellQuote(p.Keys.Own+".pub"))
	case p.Profile.AnyKey: // and yet it did not take ours: somebody has a list
		refused.Hint = "ask whoever runs it to let your key in:  cat " + shellQuote(p.Keys.Own+".pub")
	default:
		refused.Hint = fmt.Sprintf("ssh-copy-id -f -i %s -p %s %s",
			shellQuote(p.Keys.Own+".pub"), portOf(p.Profile.addr()), shellQuote(p.Profile.User+"@"+p.Profile.Host))
	}
	return refused
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // ours: it has one
	return port
}

// forwardURL is where a plain sshd's forward can be reached.
func forwardURL(host string, port int) *url.URL {
	return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, fmt.Sprint(port))}
}
