// Package relay is the far end of a tunnel: an SSH server that takes reverse
// forwards from those who log in with a key, a registry of names, and an HTTP
// front that passes each request on to the tunnel whose name is in its Host.
//
// What the relay promises:
//
//   - It reads heads and forwards bytes. It cannot look into a payload: nothing of
//     the inspector is linked in, and the body goes from one buffer to the wire.
//   - A head is understood in one way or refused: the parser decides for both ends
//     where a message stops, so nothing can be smuggled past it.
//   - An answer that was cut short is never made to look whole.
//   - Everything is bounded: sizes, times, connections, channels, names.
//
// The protocol, as a client sees it, is in docs/relay-protocol.md.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Relay is the configuration of a relay. It starts with Run, which may be called
// more than once, one relay each. The fields must not change while one runs.
type Relay struct {
	// Domain is what names are under: the tunnel NAME is at NAME.Domain. Needed;
	// "localhost" for a relay that serves its own machine.
	Domain string
	// Scheme and Port are those of the public URLs: "http" where Scheme is empty,
	// the HTTP listener's own port where Port is 0. They differ from the
	// listener's where something in front of the relay ends TLS.
	Scheme string
	Port   int
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
	StrangersEach  int           // the same, from one address: 10
	Clients        int           // connections that are logged in: 1,000
	ClientsEach    int           // the same, with one key: 20
	Forwards       int           // of one connection: 20
	Names          int           // that are remembered: 10,000
	NamesPerKey    int           // that are remembered for one key: 100
	NamesPerSource int           // that are remembered for one address (a /64 in IPv6), whatever its keys; loopback is not counted: 200
	NameKept       time.Duration // for which a name that is down is never forgotten: 24 h
	KeepAlive      time.Duration // between keep-alives on a silent connection, which is dead after three: 5 s
	Open           time.Duration // for a client to open a channel: 10 s
	ChannelIdle    time.Duration // for which an unused channel is kept: 75 s
	ChannelsOpened int           // ahead of need, to clients that ask for it: 2

	// HTTP.
	Visitors   int           // connections at once; more wait in the listener's queue: 4,096
	Requests   int           // of one name, at once; more get a 503: 200
	Head       time.Duration // for a head to arrive: 10 s
	Idle       time.Duration // between requests: 120 s
	BodyIdle   time.Duration // for which a body may stand still because an end does not send or take it: 30 s
	HalfClosed time.Duration // for which a visitor that has ended its side waits for bytes of an answer: 30 s
	StreamIdle time.Duration // for which an app may be silent in an answer, and both ends after an upgrade: 10 min
	Drain      time.Duration // to finish requests when the relay is asked to stop: 5 s
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
	l.KeepAlive = cmp.Or(l.KeepAlive, 5*time.Second)
	l.Open = cmp.Or(l.Open, 10*time.Second)
	l.ChannelIdle = cmp.Or(l.ChannelIdle, 75*time.Second)
	l.ChannelsOpened = cmp.Or(l.ChannelsOpened, 2)
	l.Visitors = cmp.Or(l.Visitors, 4096)
	l.Requests = cmp.Or(l.Requests, 200)
	l.Head = cmp.Or(l.Head, 10*time.Second)
	l.Idle = cmp.Or(l.Idle, 120*time.Second)
	l.BodyIdle = cmp.Or(l.BodyIdle, 30*time.Second)
	l.HalfClosed = cmp.Or(l.HalfClosed, 30*time.Second)
	l.StreamIdle = cmp.Or(l.StreamIdle, 10*time.Minute)
	l.Drain = cmp.Or(l.Drain, 5*time.Second)
	return l
}

// Run serves SSH clients on one listener and the public on the other, until ctx
// ends or a listener fails. It closes both, gives the requests under way
// Limits.Drain to finish, ends everything that it has started, and returns nil if
// it was ctx that ended it.
func (r *Relay) Run(ctx context.Context, sshListener, httpListener net.Listener) error {
	defer sshListener.Close()
	defer httpListener.Close()
	s, err := r.server(httpListener.Addr())
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	serve := func(what string, f func(net.Listener) error, l net.Listener) {
		s.tasks.Go(func() {
			if err := f(l); !errors.Is(err, net.ErrClosed) {
				failed <- fmt.Errorf("serve %s: %w", what, err)
			}
		})
	}
	serve("ssh", s.serveSSH, sshListener)
	serve("http", s.serveHTTP, httpListener)
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.stop(sshListener, httpListener)
	return err
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
	log      *slog.Logger
	stopping chan struct{}
	buffers  sync.Pool      // of *[largeBuffer]byte
	tasks    sync.WaitGroup // every goroutine
	visiting sync.WaitGroup // those that serve a visitor

	mu        sync.Mutex        // guards the rest
	ended     bool              // nobody new
	strangers map[net.Conn]bool // not logged in yet
	bySource  map[string]int    // strangers
	clients   map[*client]bool
	byKey     map[string]int // clients
	visitors  map[*visitor]bool
}

func (r *Relay) server(front net.Addr) (*server, error) {
	domain := strings.ToLower(strings.Trim(r.Domain, "."))
	if domain == "" {
		return nil, errors.New("start the relay: a domain is needed")
	}
	s := &server{
		Relay: r, limits: r.Limits.withDefaults(), scheme: cmp.Or(r.Scheme, "http"), port: r.Port, log: r.Log,
		origin:    net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1},
		stopping:  make(chan struct{}),
		strangers: map[net.Conn]bool{}, bySource: map[string]int{},
		clients: map[*client]bool{}, byKey: map[string]int{}, visitors: map[*visitor]bool{},
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

// stop ends what Run has started: idle visitors at once, requests under way after
// Limits.Drain at the latest, and then the clients.
func (s *server) stop(listeners ...net.Listener) {
	close(s.stopping)
	for _, l := range listeners {
		l.Close()
	}
	s.mu.Lock()
	s.ended = true
	strangers := slices.Collect(maps.Keys(s.strangers))
	visitors, clients := slices.Collect(maps.Keys(s.visitors)), slices.Collect(maps.Keys(s.clients))
	s.mu.Unlock()

	for _, c := range strangers {
		c.Close()
	}
	for _, v := range visitors {
		v.nudge()
	}
	drained := make(chan struct{})
	s.tasks.Go(func() { s.visiting.Wait(); close(drained) })
	limit := time.NewTimer(s.limits.Drain)
	defer limit.Stop()
	select {
	case <-drained:
	case <-limit.C:
	}
	for _, v := range visitors {
		v.net.Close()
	}
	for _, c := range clients {
		c.conn.Close()
	}
	s.tasks.Wait()
}
