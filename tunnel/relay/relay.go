// Package relay is the far end of a tunnel: an SSH server that takes reverse
// forwards from those who log in with a key, a registry of names, and an HTTP
// front that passes each request on to the tunnel whose name is in its Host.
//
// What the relay promises:
//
//   - It reads heads and forwards bytes. It cannot look into a payload: nothing of
//     the inspector is linked in, and a body goes from a buffer to the wire. One that
//     could have to be sent again is kept in memory until its answer is complete.
//   - A head is understood in one way or refused: the parser decides for both ends
//     where a message stops, so nothing can be smuggled past it.
//   - An answer that was cut short is never made to look whole.
//   - No request is lost to a tunnel that comes back at once: it is held, or sent
//     again to a far end that knows it by its ID and does not give it to the app twice.
//   - Everything is bounded: sizes, times, connections, channels, names.
//
// The protocol, as a client sees it, is in docs/relay-protocol.md.
package relay

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Relay is the configuration of a relay. It starts with Run, which may be called
// more than once, one relay each. The fields must not change while one runs.
type Relay struct {
	// Domain is what names are under: the tunnel NAME is at NAME.Domain. Needed;
	// "localhost" for a relay that serves its own machine.
	Domain string
	// Scheme and Port are those of the public URLs. Where Scheme is empty it is
	// "https" with a listener for HTTPS and "http" without; where Port is 0 it is
	// that listener's. They differ from the listener's where something in front of
	// the relay ends TLS.
	Scheme string
	Port   int
	// Certificate gives the certificate of a TLS handshake, as tls.Config has it.
	// Needed with a listener for HTTPS. See Certificate.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// TrustedProxies are the networks of servers in front of the relay whose
	// X-Forwarded-For and X-Forwarded-Proto are believed. A visitor is at the last
	// address in it that is not one of theirs.
	TrustedProxies []netip.Prefix
	// HostKey is the SSH host key. Needed. An RSA key signs with SHA-2 only.
	HostKey ssh.Signer
	// Allow says whether a key may use this relay: at login, and again at each
	// forward. It is called by many goroutines. Nil allows every key.
	Allow func(ssh.PublicKey) bool
	// Log is told what an operator must know. Nil means silence.
	Log *slog.Logger
	// Limits that are 0 have their defaults.
	Limits Limits
}

// Limits bound what strangers can make a relay do.
type Limits struct {
	// SSH.
	Login          time.Duration // to log in, from the first byte: 10 s
	Strangers      int           // connections that are not logged in yet: 100
	StrangersEach  int           // the same, from one address (a /64 in IPv6): 10
	Clients        int           // connections that are logged in: 1,000
	ClientsEach    int           // the same, with one key: 20
	Forwards       int           // of one connection: 20
	Names          int           // that are remembered: 10,000
	NamesPerKey    int           // that are remembered for one key: 100
	NamesPerSource int           // that are remembered for one address (a /64 in IPv6), whatever its keys; loopback is not counted: 200
	NameKept       time.Duration // for which a name that is down is never forgotten: 24 h
	KeepAlive      time.Duration // between keep-alives on a silent connection, which is dead after three of it: 2 s
	Probe          time.Duration // for a connection to give a sign of life when a newer one takes its name: 1 s
	Open           time.Duration // for a client to open a channel: 10 s
	ChannelIdle    time.Duration // for which an unused channel is kept: 75 s
	ChannelsOpened int           // ahead of need, to clients that ask for it: 2

	// TLS. A burst of requests comes from one address, so more are let in from one
	// than for SSH.
	Handshake      time.Duration // for a handshake, and for a seat after it: 10 s
	Handshakes     int           // under way: 1,000
	HandshakesEach int           // the same, from one address (a /64 in IPv6): 200

	// HTTP.
	Visitors   int           // connections at once; more wait in the listener's queue: 4,096
	Requests   int           // of one name, at once; more get a 503: 500
	Head       time.Duration // for a head to arrive: 10 s
	Idle       time.Duration // between requests: 120 s
	BodyIdle   time.Duration // for which a body may stand still because an end does not send or take it: 30 s
	HalfClosed time.Duration // for which a visitor that has ended its side waits for bytes of an answer: 30 s
	StreamIdle time.Duration // for which an app may be silent in an answer, and both ends after an upgrade: 10 min
	Drain      time.Duration // to finish requests when the relay is asked to stop; negative: none: 5 s

	// Requests that outlive their tunnel.
	Hold         time.Duration // for which a request waits for a tunnel that is down, and after the start for any; negative: not at all: 2.5 s
	HoldRequests int           // of one name that wait so: 500
	HoldTotal    int           // that wait so in all, and names that wait for their first tunnel: 2,000
	Replay       int           // bytes of a request that is kept until its answer is complete: 256 KiB
	ReplayTotal  int           // bytes of all that are kept, or wait for their tunnels: 64 MiB
}

func (l Limits) withDefaults() Limits {
	l.Login = cmp.Or(l.Login, 10*time.Second)
	l.Strangers = cmp.Or(l.Strangers, 100)
	l.StrangersEach = cmp.Or(l.StrangersEach, 10)
	l.Clients = cmp.Or(l.Clients, 1000)
	l.ClientsEach = cmp.Or(l.ClientsEach, 20)
	l.Forwards = cmp.Or(l.Forwards, 20)
	l.Names = cmp.Or(l.Names, 10_000)
	l.NamesPerKey = cmp.Or(l.NamesPerKey, 100)
	l.NamesPerSource = cmp.Or(l.NamesPerSource, 200)
	l.NameKept = cmp.Or(l.NameKept, 24*time.Hour)
	l.KeepAlive = cmp.Or(l.KeepAlive, 2*time.Second)
	l.Probe = cmp.Or(l.Probe, time.Second)
	l.Open = cmp.Or(l.Open, 10*time.Second)
	l.ChannelIdle = cmp.Or(l.ChannelIdle, 75*time.Second)
	l.ChannelsOpened = cmp.Or(l.ChannelsOpened, 2)
	l.Handshake = cmp.Or(l.Handshake, 10*time.Second)
	l.Handshakes = cmp.Or(l.Handshakes, 1000)
	l.HandshakesEach = cmp.Or(l.HandshakesEach, 200)
	l.Visitors = cmp.Or(l.Visitors, 4096)
	l.Requests = cmp.Or(l.Requests, 500)
	l.Head = cmp.Or(l.Head, 10*time.Second)
	l.Idle = cmp.Or(l.Idle, 120*time.Second)
	l.BodyIdle = cmp.Or(l.BodyIdle, 30*time.Second)
	l.HalfClosed = cmp.Or(l.HalfClosed, 30*time.Second)
	l.StreamIdle = cmp.Or(l.StreamIdle, 10*time.Minute)
	l.Drain = cmp.Or(l.Drain, 5*time.Second)
	l.Hold = cmp.Or(l.Hold, 2500*time.Millisecond)
	l.HoldRequests = cmp.Or(l.HoldRequests, 500)
	l.HoldTotal = cmp.Or(l.HoldTotal, 2000)
	l.Replay = cmp.Or(l.Replay, 256<<10)
	l.ReplayTotal = cmp.Or(l.ReplayTotal, 64<<20)
	return l
}

// Listeners are where a relay is reached: clients by SSH or HTTPS, the public by HTTP
// or HTTPS. What is nil is not served. HTTPS gives plain TCP connections; the relay
// does the TLS, and serves those who offer wire.ALPN as it does those of SSH.
type Listeners struct{ SSH, HTTP, HTTPS net.Listener }

// each gives those that are there.
func (l Listeners) each() []net.Listener {
	return slices.DeleteFunc([]net.Listener{l.SSH, l.HTTP, l.HTTPS}, func(l net.Listener) bool { return l == nil })
}

// Close closes all of them. It is not needed once Run has begun.
func (l Listeners) Close() error {
	var errs []error
	for _, l := range l.each() {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Run serves on all listeners until ctx ends or a listener fails. It closes them,
// tells the clients to move, gives the requests under way Limits.Drain to finish,
// ends everything that it has started, and returns nil if it was ctx that ended it.
func (r *Relay) Run(ctx context.Context, on Listeners) error {
	defer on.Close()
	s, err := r.server(addrOf(on.HTTP), addrOf(on.HTTPS))
	if err != nil {
		return err
	}
	return s.serve(ctx, on)
}

func (s *server) serve(ctx context.Context, on Listeners) (err error) {
	defer s.names.expect(s.limits.Hold)()
	failed := make(chan error, 3)
	serve := func(what string, f func(net.Listener) error, l net.Listener) {
		if l == nil {
			return
		}
		s.tasks.Go(func() {
			if err := f(l); !errors.Is(err, net.ErrClosed) {
				failed <- fmt.Errorf("serve %s: %w", what, err)
			}
		})
	}
	serve("ssh", s.serveSSH, on.SSH)
	serve("http", s.serveHTTP, on.HTTP)
	serve("https", s.serveTLS, on.HTTPS)
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.stop(on)
	return err
}

func addrOf(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// server is a relay that runs.
type server struct {
	*Relay
	limits   Limits
	config   *ssh.ServerConfig
	names    *registry
	origin   net.TCPAddr // what channels are said to come from
	scheme   string
	port     int
	plain    string      // the scheme of those who come without TLS
	tls      *tls.Config // nil: no HTTPS
	guesses  guesses
	seats    chan struct{} // as many as there may be visitors
	log      *slog.Logger
	run      string        // a part of all IDs: no other run of a relay has it
	requests atomic.Uint64 // so far
	held     atomic.Int64  // requests that wait for a tunnel
	kept     atomic.Int64  // bytes of requests that could be sent again
	stopping chan struct{}
	buffers  sync.Pool      // of *[largeBuffer]byte
	tasks    sync.WaitGroup // every goroutine
	visiting sync.WaitGroup // those that serve a visitor

	mu         sync.Mutex // guards the rest
	ended      bool       // nobody new
	logins     lobby      // of SSH
	handshakes lobby      // of TLS
	clients    map[*client]bool
	byKey      map[string]int // clients
	visitors   map[*visitor]bool
}

// server makes the relay whose listeners for HTTP and HTTPS have these addresses; nil
// for none.
func (r *Relay) server(plain, secure net.Addr) (*server, error) {
	domain := strings.ToLower(strings.Trim(r.Domain, "."))
	if domain == "" {
		return nil, errors.New("start the relay: a domain is needed")
	}
	s := &server{
		Relay: r, limits: r.Limits.withDefaults(), scheme: cmp.Or(r.Scheme, "http"), port: r.Port, log: r.Log,
		run:      strings.ToLower(rand.Text()[:runLength]),
		origin:   net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1},
		stopping: make(chan struct{}),
		clients:  map[*client]bool{}, byKey: map[string]int{}, visitors: map[*visitor]bool{},
	}
	s.seats = make(chan struct{}, s.limits.Visitors)
	s.logins = newLobby(s.limits.Strangers, s.limits.StrangersEach)
	s.handshakes = newLobby(s.limits.Handshakes, s.limits.HandshakesEach)
	front := plain
	s.plain = s.scheme // something in front may end TLS
	if secure != nil {
		if r.Certificate == nil {
			return nil, errors.New("start the relay: a certificate is needed for HTTPS")
		}
		s.scheme, s.plain, s.tls = cmp.Or(r.Scheme, "https"), "http", r.tlsConfig()
		if s.scheme == "https" || plain == nil {
			front = secure
		}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.names = newRegistry(domain, &s.limits)
	s.buffers.New = func() any { return new([largeBuffer]byte) }
	if a, ok := front.(*net.TCPAddr); ok {
		s.port, s.origin.Port = cmp.Or(s.port, a.Port), a.Port
		if !a.IP.IsUnspecified() {
			s.origin.IP = a.IP
		}
	}
	var err error
	s.config, err = s.sshConfig()
	return s, err
}

// url is the public URL of a name.
func (s *server) url(label string) *url.URL {
	host := label + "." + s.names.domain
	if s.port != 0 && !(s.scheme == "http" && s.port == 80) && !(s.scheme == "https" && s.port == 443) {
		host += ":" + strconv.Itoa(s.port)
	}
	return &url.URL{Scheme: s.scheme, Host: host}
}
