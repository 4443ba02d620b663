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
	Timeout   time.Duration // for one Open, from the first packet to the URL, without the time that a person takes to answer; 0: 15 s
	Log       *slog.Logger  // nil: silence

	// ConnectTimeout is for the part of Timeout in which the server shows who it is;
	// 0: all of it.
	ConnectTimeout time.Duration

	// Ask puts a question to a person while Open logs in; nil: nobody is there. Answers
	// are remembered for as long as the Provider lives. Once a tunnel has been open it
	// is not called any more: whoever was there may have left.
	Ask func(context.Context, Question) (string, error)
	// Password is what to answer to the first question for one; empty: ask.
	Password string

	// Dial reaches the SSH server; nil: a dial.Dialer, which goes directly.
	Dial  dial.Func
	Roots *x509.CertPool // who may vouch for a server that speaks TLS; nil: the system's
	Trace func(Step)     // hears of each step of an Open when it is over, but for those of Dial; does not block; may be nil
	// Renamed hears, before Open returns, that the server gave another public address
	// than the profile's Bind asked for by name. nil: nobody does.
	Renamed func(asked string, got *url.URL)

	// Heard gets what the server says once a tunnel is open, beside Tunnel.Notices: a
	// line of hostile text, cleaned and bounded. It may be called by many goroutines,
	// and must not block. nil: such lines wait for Notices.
	Heard func(line string)

	// Addrs are the addresses of this machine, by which a tunnel sees that the one it
	// comes from is gone; nil: net.InterfaceAddrs.
	Addrs func() ([]net.Addr, error)

	mu       sync.Mutex // guards what follows
	held     *holding   // nil before the first tunnel
	instance string     // what Profile.Hello calls us; made when it is needed

	handOver sync.Once // Password goes into the memory once: a wrong one is forgotten
	memory   memory
}

var _ tunnel.Provider = (*Provider)(nil)

// holding is what the server gave us, to be asked for again.
type holding struct {
	bind    string
	port    int
	refused time.Time // since when it has been refused; zero: it has not

	over   <-chan struct{} // closed when the tunnel that got it has ended
	parent *parent         // the process that served it; nil: not asked for
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
	first := p.timeout()
	if p.ConnectTimeout > 0 {
		first = min(first, p.ConnectTimeout)
	}
	ctx, clock, cancel := newStopwatch(ctx, first, p.timeout())
	defer cancel()
	t, err := p.open(ctx, clock)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = cause // what it broke off says less
		}
		return nil, fmt.Errorf("tunnel through %s: %w", p.Profile.addr(), err)
	}
	return t, nil
}

func (p *Provider) timeout() time.Duration {
	if p.Timeout <= 0 {
		return 15 * time.Second
	}
	return p.Timeout
}

func (p *Provider) open(ctx context.Context, clock *stopwatch) (*Tunnel, error) {
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
	steps := newTracer(p.Trace)
	login, err := p.login(ctx, l, text, clock, steps)
	if err != nil {
		_ = l.Close() // closed already where the handshake failed
		steps.failed(err)
		return nil, err
	}
	t := newTunnel(profile, l, login, text, p.hello(), p.logger())
	t.access, t.steps = p.Access, steps
	if err := t.establish(ctx, p.inTheWay()); err != nil {
		_ = t.Close() // the error that counts is err
		steps.failed(err)
		return nil, p.refused(err)
	}
	if !stop() {
		_ = t.Close()
		return nil, context.Cause(ctx)
	}
	clock.shutUp()
	p.hold(t)
	text.passOn(p.Heard)
	if profile := p.Profile; p.Renamed != nil && profile.Named && profile.fromSession() && !gives(t.url.Hostname(), profile.Bind) {
		p.Renamed(profile.Bind, t.url)
	}
	t.watch(p.KeepAlive, p.Addrs)
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
		out = (&dial.TLS{Dial: out, Protocol: wire.ALPN, Roots: p.Roots, Trace: p.legs()}).DialContext
	}
	conn, addr, err := dial.First(ctx, out, "tcp", p.Profile.addrs()...)
	if refused := dial.Refusal(err); refused != nil {
		return nil, "", &tunnel.RefusedError{Op: "there is no way", Err: err, Hint: refused.Hint}
	}
	return conn, addr, err
}

// legs passes on the steps of a way that is longer than Dial's.
func (p *Provider) legs() dial.Trace {
	if p.Trace == nil {
		return nil
	}
	return func(l dial.Leg) { p.Trace(StepOf(l)) }
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
	p.held = &holding{bind: t.profile.Bind, port: t.profile.BindPort, over: t.over, parent: t.parent}
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

// forwardURL is where a plain sshd's forward can be reached.
func forwardURL(host string, port int) *url.URL {
	return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, fmt.Sprint(port))}
}
