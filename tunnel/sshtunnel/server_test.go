package sshtunnel

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// fakeServer is an SSH server with the manners of some service. It speaks real SSH
// on whatever connections it is given.
type fakeServer struct {
	tb     testing.TB
	config *ssh.ServerConfig
	key    ssh.Signer

	// forward answers tcpip-forward; nil: yes, with port 80 for 0.
	forward func(wire.ForwardRequest) (ok bool, port uint32)
	// session has the session to itself; nil: it prints nothing and stays open.
	session func(ch ssh.Channel, command string)
	// heard sees every global request before it is answered; nil: nobody looks.
	heard func(*ssh.Request)
	// direct gets the server's "direct-tcpip" channels, which a jump host is asked for.
	direct func(ssh.NewChannel)
	// cancel: a forward may be taken back.
	cancel bool
	// deaf: requests get no answer (a dead peer, once logged in).
	deaf func() bool
	// opens is how the server names what it forwards.
	opens wire.ForwardedOpen

	mu     sync.Mutex
	logins []*serverConn
	joined chan *serverConn
	work   sync.WaitGroup
}

// serverConn is one client that has logged in.
type serverConn struct {
	*ssh.ServerConn
	asked    chan wire.ForwardRequest
	commands chan string
}

func newKey(tb testing.TB) ssh.Signer {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// newFakeServer takes any key. It is stopped with the test.
func newFakeServer(tb testing.TB) *fakeServer {
	s := &fakeServer{tb: tb, key: newKey(tb), joined: make(chan *serverConn, 16), opens: wire.ForwardedOpen{Addr: "a-name", Port: 443}}
	s.config = &ssh.ServerConfig{
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil },
	}
	s.config.AddHostKey(s.key)
	tb.Cleanup(s.stop)
	return s
}

// stop cuts every client off and waits for the server's goroutines.
func (s *fakeServer) stop() {
	s.cut()
	s.work.Wait()
}

// cut ends every connection, without a word.
func (s *fakeServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.logins {
		_ = c.Close()
	}
	s.logins = nil
}

// listen serves on a loopback port until the test ends, and gives the port.
func (s *fakeServer) listen() int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = ln.Close() })
	s.work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { s.serve(c) })
		}
	})
	return ln.Addr().(*net.TCPAddr).Port
}

// serve speaks SSH on one connection until it ends.
func (s *fakeServer) serve(c net.Conn) {
	conn, chans, reqs, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		_ = c.Close()
		return
	}
	sc := &serverConn{ServerConn: conn, asked: make(chan wire.ForwardRequest, 4), commands: make(chan string, 4)}
	s.mu.Lock()
	s.logins = append(s.logins, sc)
	s.mu.Unlock()
	s.work.Go(func() { s.requests(sc, reqs) })
	s.joined <- sc
	for nc := range chans {
		if s.direct != nil && nc.ChannelType() == "direct-tcpip" {
			s.work.Go(func() { s.direct(nc) })
			continue
		}
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		s.work.Go(func() { s.channel(sc, ch, reqs) })
	}
}

func (s *fakeServer) requests(sc *serverConn, reqs <-chan *ssh.Request) {
	for r := range reqs {
		if s.heard != nil {
			s.heard(r)
		}
		if s.deaf != nil && s.deaf() {
			continue
		}
		var ask wire.ForwardRequest
		if r.Type != wire.ForwardName || ssh.Unmarshal(r.Payload, &ask) != nil {
			_ = r.Reply(s.cancel && r.Type == wire.CancelForwardName, nil)
			continue
		}
		ok, port := true, ask.BindPort
		if port == 0 {
			port = 80
		}
		if s.forward != nil {
			ok, port = s.forward(ask)
		}
		var payload []byte
		if ask.BindPort == 0 {
			payload = ssh.Marshal(wire.ForwardReply{BindPort: port})
		}
		sc.asked <- ask
		_ = r.Reply(ok, payload)
	}
}

func (s *fakeServer) channel(sc *serverConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		switch r.Type {
		case "shell", "exec":
			_ = r.Reply(true, nil)
			var exec struct{ Command string }
			_ = ssh.Unmarshal(r.Payload, &exec)
			sc.commands <- exec.Command
			if s.session != nil {
				s.work.Go(func() { s.session(ch, exec.Command) })
			}
		default:
			_ = r.Reply(false, nil)
		}
	}
}

// open opens a forwarded connection to the client, as from a public peer.
func (sc *serverConn) open(tb testing.TB, open wire.ForwardedOpen) ssh.Channel {
	tb.Helper()
	ch, reqs, err := sc.OpenChannel(wire.ForwardedChannel, ssh.Marshal(&open))
	if err != nil {
		tb.Fatalf("open a forwarded channel %+v: %v", open, err)
	}
	go ssh.DiscardRequests(reqs) // ends with the channel
	return ch
}

// says is a session that prints and stays.
func says(stdout, stderr string) func(ssh.Channel, string) {
	return func(ch ssh.Channel, _ string) {
		_, _ = io.WriteString(ch.Stderr(), stderr)
		_, _ = io.WriteString(ch, stdout)
	}
}

// providerFor is a Provider with the profile's manners and the server's address and
// host key. Its keys are new.
func providerFor(tb testing.TB, s *fakeServer, profile Profile, port int) *Provider {
	profile.Host, profile.Port = "127.0.0.1", port
	return &Provider{
		Profile: profile,
		Keys:    Keys{Signers: []ssh.Signer{newKey(tb)}},
		Hosts:   Hosts{Pinned: s.key.PublicKey()},
	}
}

// openTunnel opens a tunnel through the server; both end with the test.
func openTunnel(tb testing.TB, s *fakeServer, p *Provider) (*Tunnel, *serverConn) {
	tb.Helper()
	t, err := p.Open(tb.Context())
	if err != nil {
		tb.Fatalf("open a tunnel: %v", err)
	}
	tb.Cleanup(func() { _ = t.Close() })
	return t.(*Tunnel), <-s.joined
}

// connect gives both ends of one connection through the tunnel.
func connect(tb testing.TB, t *Tunnel, sc *serverConn) (*Conn, ssh.Channel) {
	tb.Helper()
	ch := sc.open(tb, wire.ForwardedOpen{Addr: "x", Port: 80, OriginAddr: "192.0.2.7", OriginPort: 4711})
	c, err := t.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	return c.(*Conn), ch
}

func forwardedFrom(ip string) wire.ForwardedOpen {
	return wire.ForwardedOpen{Addr: "x", Port: 80, OriginAddr: ip, OriginPort: 4711}
}
