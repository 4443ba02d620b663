package sshtunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// bufferedPipe is a connection in memory. net.Pipe has no buffer, and SSH begins
// with both sides writing.
func bufferedPipe() (net.Conn, net.Conn) {
	a, b := newHalf(), newHalf()
	return &pipeEnd{in: a, out: b}, &pipeEnd{in: b, out: a}
}

type pipeEnd struct {
	in, out *half
	mute    atomic.Bool // what is written is lost, as on a link that is down
}

func (p *pipeEnd) Read(b []byte) (int, error) { return p.in.read(b) }
func (p *pipeEnd) Write(b []byte) (int, error) {
	if p.mute.Load() {
		return len(b), nil
	}
	return p.out.write(b)
}
func (p *pipeEnd) Close() error {
	p.in.stopReading(net.ErrClosed)
	p.in.breakOff(io.ErrClosedPipe)
	p.out.seal(io.EOF)
	return nil
}
func (p *pipeEnd) LocalAddr() net.Addr                { return textAddr("pipe") }
func (p *pipeEnd) RemoteAddr() net.Addr               { return textAddr("pipe") }
func (p *pipeEnd) SetDeadline(t time.Time) error      { return nil }
func (p *pipeEnd) SetReadDeadline(t time.Time) error  { return nil }
func (p *pipeEnd) SetWriteDeadline(t time.Time) error { return nil }

// inMemory lets the provider reach the server without a network; last gives the
// server's end of the latest connection.
func inMemory(s *fakeServer, p *Provider) (last func() *pipeEnd) {
	var far *pipeEnd
	p.Dial = func(context.Context, string, string) (net.Conn, error) {
		a, b := bufferedPipe()
		far = b.(*pipeEnd)
		s.work.Go(func() { s.serve(b) })
		return a, nil
	}
	return func() *pipeEnd { return far }
}

// A link that goes silent is noticed five seconds after the last byte, and whoever
// waits for it is freed.
func TestDeadServerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		p := providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, 22)
		last := inMemory(s, p)
		tun, sc := openTunnel(t, s, p)
		near, _ := connect(t, tun, sc)
		defer near.Close()

		<-time.After(time.Hour) // a healthy link stays, in silence
		if err := tun.lost(); err != nil {
			t.Fatalf("after an hour of silence, with answers: %v", err)
		}
		last().mute.Store(true)
		began := time.Now()
		_, err := tun.Accept()
		if err == nil || !strings.Contains(err.Error(), "has not answered for 5s") {
			t.Errorf("accept: got %v", err)
		}
		// The last answer may be up to 2 s old when the link goes silent.
		if took := time.Since(began); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("noticed after %v, want 3 to 5 s", took)
		}
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, ErrLost) {
			t.Errorf("read: got %v, want %v", err, ErrLost)
		}
	})
}

// Any byte counts: a server that answers nothing but sends is alive.
func TestServerThatSendsIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		s := newFakeServer(t)
		s.deaf = deaf.Load
		p := providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, 22)
		inMemory(s, p)
		tun, sc := openTunnel(t, s, p)
		near, far := connect(t, tun, sc)
		defer near.Close()
		deaf.Store(true)
		for range 20 {
			<-time.After(3 * time.Second)
			if _, err := far.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := tun.lost(); err != nil {
			t.Fatalf("after a minute of bytes: %v", err)
		}
		if _, err := tun.Accept(); err == nil {
			t.Error("a server that has gone silent is still believed")
		}
	})
}

func TestKeeperOverSSHComesBackUnderTheSameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		asked := ""
		s.forward = func(r wire.ForwardRequest) (bool, uint32) { asked = r.BindAddr; return true, 80 }
		s.session = says("URL: http://quiet-otter.relay.example:8080\r\n", "")
		p := providerFor(t, s, Relay("embedded", "", 0, ""), 22)
		inMemory(s, p)
		k := &tunnel.Keeper{Provider: p}
		var log []string
		up := make(chan struct{}, 10)
		k.OnStatus(func(st tunnel.Status) {
			line := string(st.State)
			if st.Changed {
				line += " changed"
			}
			log = append(log, line)
			if st.State == tunnel.Up {
				up <- struct{}{}
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		<-up
		if asked != "" {
			t.Errorf("first asked for %q, want whatever there is", asked)
		}
		<-time.After(time.Minute)
		s.cut()
		<-up
		if asked != "quiet-otter" {
			t.Errorf("then asked for %q, want quiet-otter", asked)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if d := cmp.Diff([]string{"connecting", "up", "down", "connecting", "up"}, log); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestOwnRelay(t *testing.T) {
	for name, tc := range map[string]struct {
		ask     string
		grant   bool
		stdout  string
		stderr  string
		wantURL string
		refused string
	}{
		"a name is granted":      {ask: "ana", grant: true, stdout: "URL: https://ana.relay.example\r\n", wantURL: "https://ana.relay.example"},
		"plain http is believed": {ask: "ana", grant: true, stdout: "URL: http://ana.localhost:4711\r\nURL: https://other.example\r\n", wantURL: "http://ana.localhost:4711"},
		"a URL in other text":    {ask: "", grant: true, stdout: "see https://relay.example\r\nURL: http://otter.relay.example\r\n", wantURL: "http://otter.relay.example"},
		"a name is taken":        {ask: "ana", stderr: "error: the name ana belongs to another key\r\n", refused: "ask for ana:80: the server refuses to forward it; it says: \"the name ana belongs to another key\""},
		"hostile words":          {ask: "ana", stderr: "error: a\x1b]0;owned\x07\x1b[31mb\u202ec\r\n", refused: "it says: \"abc\""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			s.forward = func(wire.ForwardRequest) (bool, uint32) { return tc.grant, 80 }
			s.session = says(tc.stdout, tc.stderr)
			p := providerFor(t, s, Relay("relay://relay.example", "", 0, tc.ask), s.listen())
			tun, err := p.Open(t.Context())
			refused := (*tunnel.RefusedError)(nil)
			if tc.refused != "" {
				if !errors.As(err, &refused) || !strings.HasSuffix(err.Error(), tc.refused) {
					t.Errorf("got %v, want a refusal: %s", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer tun.Close()
			if got := tun.URL().String(); got != tc.wantURL {
				t.Errorf("URL: got %s, want %s", got, tc.wantURL)
			}
			want := wire.ForwardRequest{BindAddr: tc.ask, BindPort: 80}
			if got := <-(<-s.joined).asked; got != want {
				t.Errorf("asked for %+v, want %+v", got, want)
			}
		})
	}
}

// A name that we had is refused while the server still believes in our last
// connection: that heals, and must not end the keeping.
func TestRefusalOfWhatWeHadIsNotFinal(t *testing.T) {
	var refuse atomic.Bool
	s := newFakeServer(t)
	s.forward = func(wire.ForwardRequest) (bool, uint32) { return !refuse.Load(), 4711 }
	p := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), s.listen())
	tun, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-(<-s.joined).asked
	_ = tun.Close()
	refuse.Store(true)
	_, err = p.Open(t.Context())
	if refused := (*tunnel.RefusedError)(nil); err == nil || errors.As(err, &refused) {
		t.Errorf("got %v, want an error that is no refusal", err)
	}
	if got := <-(<-s.joined).asked; got.BindPort != 4711 {
		t.Errorf("asked for port %d, want the one of before", got.BindPort)
	}
}

// A public URL that the user has given says nothing about what to ask the server for.
func TestGivenURLChangesNothingAboutWhatIsAskedFor(t *testing.T) {
	given := &url.URL{Scheme: "https", Host: "dev.example"}
	for name, tc := range map[string]struct {
		profile Profile
		want    wire.ForwardRequest
	}{
		"a relay's name": {Relay("relay://x", "", 0, "ana"), wire.ForwardRequest{BindAddr: "ana", BindPort: 80}},
		"sshd's port":    {SSHD("ssh://x", Target{User: "x"}), wire.ForwardRequest{BindPort: 4711}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			s.forward = func(wire.ForwardRequest) (bool, uint32) { return true, 4711 }
			tc.profile.Announce.URL = given
			p := providerFor(t, s, tc.profile, s.listen())
			first, sc := openTunnel(t, s, p)
			<-sc.asked
			if first.URL() != given {
				t.Errorf("URL: got %v, want the given one", first.URL())
			}
			_, sc = openTunnel(t, s, p)
			if got := <-sc.asked; got != tc.want {
				t.Errorf("then asked for %+v, want %+v", got, tc.want)
			}
		})
	}
}

// After a while any port is better than none.
func TestPortIsGivenUpAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ports []uint32
		s := newFakeServer(t)
		s.forward = func(r wire.ForwardRequest) (bool, uint32) {
			ports = append(ports, r.BindPort)
			return r.BindPort == 0, uint32(5000 + len(ports))
		}
		p := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), 22)
		inMemory(s, p)
		for range 4 {
			tun, err := p.Open(t.Context())
			if err == nil {
				_ = tun.Close()
			}
			<-time.After(holdFor/2 + time.Second)
		}
		if d := cmp.Diff([]uint32{0, 5001, 5001, 0}, ports); d != "" {
			t.Errorf("asked for (-want +got):\n%s", d)
		}
	})
}

func TestSSHDIsAskedWhoServesUs(t *testing.T) {
	s := newFakeServer(t)
	p := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), s.listen())
	_, sc := openTunnel(t, s, p)
	if got := <-sc.commands; got != parentCommand {
		t.Errorf("ran %q, want %q", got, parentCommand)
	}
}

// frontOf serves a fake service's public side: every public connection becomes a
// forwarded channel of the client that logged in last.
func frontOf(t *testing.T, s *fakeServer) *url.URL {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	s.work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.work.Go(func() { s.forwardTo(c) })
		}
	})
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

// forwardTo carries one public connection.
func (s *fakeServer) forwardTo(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	sc := s.logins[len(s.logins)-1]
	s.mu.Unlock()
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	open := s.opens
	if open.OriginAddr == "" {
		open.OriginAddr, open.OriginPort = host, 4711
	}
	ch, reqs, err := sc.OpenChannel(wire.ForwardedChannel, ssh.Marshal(&open))
	if err != nil {
		return
	}
	s.work.Go(func() { ssh.DiscardRequests(reqs) })
	s.work.Go(func() {
		_, _ = io.Copy(ch, c)
		_ = ch.CloseWrite()
	})
	_, _ = io.Copy(c, ch)
	_ = c.(*net.TCPConn).CloseWrite()
	_ = ch.Close()
}
