package sshtunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connPair is both ends of one connection through a tunnel over loopback TCP, as
// Conns, and the tunnel.
func connPair(tb testing.TB) (near, far *Conn, t *Tunnel) {
	tb.Helper()
	s := newFakeServer(tb)
	t, sc := openTunnel(tb, s, providerFor(tb, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, s.listen()))
	return pairOn(tb, t, sc)
}

func pairOn(tb testing.TB, t *Tunnel, sc *serverConn) (near, far *Conn, _ *Tunnel) {
	tb.Helper()
	open := forwardedFrom("192.0.2.7")
	ch, reqs, err := sc.OpenChannel(wire.ForwardedChannel, ssh.Marshal(&open))
	if err != nil {
		tb.Fatal(err)
	}
	far = newConn(ch, textAddr("far"), textAddr("near"), func() error { return nil })
	var pumps sync.WaitGroup
	pumps.Go(func() { far.serve(reqs) })
	tb.Cleanup(func() {
		_ = far.Close()
		_ = sc.Close()
		pumps.Wait()
	})
	c, err := t.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	return c.(*Conn), far, t
}

func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		s := newFakeServer(t)
		tun, sc := openTunnel(t, s, providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, s.listen()))
		near, far, _ := pairOn(t, tun, sc)
		return near, far, func() { _ = near.Close(); _ = far.Close() }, nil
	})
}

// within fails the test when f takes longer than anything here should.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }() // waited for below, or the test has failed
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("%s: still waiting", what)
	}
}

func TestConnHalfClose(t *testing.T) {
	near, far, _ := connPair(t)
	near2, far2, _ := connPair(t)
	for name, c := range map[string][2]*Conn{"near first": {near, far}, "far first": {far2, near2}} {
		within(t, name, func() {
			if _, err := io.WriteString(c[0], "question"); err != nil {
				t.Error(err)
			}
			if err := c[0].CloseWrite(); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(c[1]); err != nil || string(got) != "question" {
				t.Errorf("%s: the far end reads %q, %v", name, got, err)
			}
			if _, err := io.WriteString(c[0], "more"); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: write after CloseWrite: got %v", name, err)
			}
			if _, err := io.WriteString(c[1], "answer"); err != nil {
				t.Errorf("%s: the far end answers: %v", name, err)
			}
			if err := c[1].Close(); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(c[0]); err != nil || string(got) != "answer" {
				t.Errorf("%s: then the near end reads %q, %v", name, got, err)
			}
		})
	}
}

// What was written before Close arrives, however slow the reader is.
func TestConnCloseSendsWhatWasWritten(t *testing.T) {
	near, far, _ := connPair(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 256<<10/16)
	within(t, "write, close, read", func() {
		if n, err := near.Write(want); n != len(want) || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		got, err := io.ReadAll(far)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived of %d, %v", len(got), len(want), err)
		}
	})
}

// A program that ends closes its connections, and then the tunnel.
func TestTunnelCloseSendsWhatClosedConnectionsHave(t *testing.T) {
	near, far, tunnel := connPair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), halfMost/16)
	if _, err := near.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := near.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tunnel.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(far)
	if len(got) != len(sent) {
		t.Errorf("got %d bytes and %v, want %d", len(got), err, len(sent))
	}
}

func TestConnCloseFreesWhoWaits(t *testing.T) {
	near, _, _ := connPair(t) // nobody reads at the far end
	var calls sync.WaitGroup
	calls.Go(func() {
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: got %v, want %v", err, net.ErrClosed)
		}
	})
	full := make(chan struct{})
	calls.Go(func() {
		if _, err := near.Write(make([]byte, 2<<20)); err != nil { // the window
			t.Errorf("write: %v", err)
		}
		close(full)
		if _, err := near.Write(make([]byte, 1<<20)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: got %v, want %v", err, net.ErrClosed)
		}
	})
	<-full
	within(t, "close", func() {
		_ = near.Close()
		_ = near.Close()
		calls.Wait()
	})
}

// A slow reader slows its own peer alone, and memory is bounded by the window.
func TestConnSlowReaderHoldsUpNobodyElse(t *testing.T) {
	s := newFakeServer(t)
	tun, sc := openTunnel(t, s, providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, s.listen()))
	_, stuckFar, _ := pairOn(t, tun, sc)
	if err := stuckFar.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := stuckFar.Write(make([]byte, 16<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing to who does not read: got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if n > 3<<20 {
		t.Errorf("%d bytes were taken for a reader who does not read", n)
	}
	near, far, _ := pairOn(t, tun, sc)
	within(t, "another connection", func() {
		go func() { _, _ = io.Copy(near, near) }() // ends with the connection
		want := strings.Repeat("x", 4<<20)
		go func() { _, _ = io.WriteString(far, want); _ = far.CloseWrite() }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(far, got); err != nil || string(got) != want {
			t.Errorf("echo beside a stuck connection: %v", err)
		}
	})
}

// The end of a stream and the loss of the tunnel are two things: half a body must
// not look whole.
func TestConnTellsALostTunnelFromAnEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(t *testing.T, tun *Tunnel, far *Conn, s *fakeServer)
		want error
	}{
		"the peer closes":      {func(_ *testing.T, _ *Tunnel, far *Conn, _ *fakeServer) { _ = far.Close() }, io.EOF},
		"the server is gone":   {func(_ *testing.T, _ *Tunnel, _ *Conn, s *fakeServer) { s.cut() }, ErrLost},
		"the tunnel is closed": {func(_ *testing.T, tun *Tunnel, _ *Conn, _ *fakeServer) { _ = tun.Close() }, ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			tun, sc := openTunnel(t, s, providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, s.listen()))
			near, far, _ := pairOn(t, tun, sc)
			if _, err := io.WriteString(far, "half"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(near, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			tc.end(t, tun, far, s)
			within(t, "read", func() {
				if _, err := near.Read(make([]byte, 1)); !errors.Is(err, tc.want) {
					t.Errorf("read: got %v, want %v", err, tc.want)
				}
			})
			within(t, "write", func() {
				var err error
				for err == nil {
					_, err = near.Write(make([]byte, 1024))
				}
				if tc.want == ErrLost && !errors.Is(err, ErrLost) {
					t.Errorf("write: got %v, want %v", err, ErrLost)
				}
			})
			_ = near.Close()
		})
	}
}

func TestConnMovedDeadline(t *testing.T) {
	near, far, _ := connPair(t)
	within(t, "a deadline that was taken back", func() {
		_ = near.SetReadDeadline(time.Now().Add(time.Millisecond))
		_ = near.SetReadDeadline(time.Time{})
		go func() { _, _ = io.WriteString(far, "x") }()
		if _, err := near.Read(make([]byte, 1)); err != nil {
			t.Errorf("got %v", err)
		}
	})
	within(t, "a read that waits already", func() {
		reading := make(chan error, 1)
		go func() { _, err := near.Read(make([]byte, 1)); reading <- err }()
		_ = near.SetReadDeadline(time.Unix(1, 0))
		if err := <-reading; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		var timeout net.Error
		if _, err := near.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("a net.Error that is a timeout: got %v", err)
		}
	})
	within(t, "and afterwards", func() {
		_ = near.SetDeadline(time.Time{})
		go func() { _, _ = io.WriteString(far, "y") }()
		got := make([]byte, 1)
		if _, err := near.Read(got); err != nil || got[0] != 'y' {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestForwardedOpenAddresses(t *testing.T) {
	for name, tc := range map[string]struct {
		open wire.ForwardedOpen
		want string
	}{
		"OpenSSH":                 {wire.ForwardedOpen{Addr: "localhost", Port: 8080, OriginAddr: "192.0.2.7", OriginPort: 4711}, "192.0.2.7:4711"},
		"sish names no address":   {wire.ForwardedOpen{Addr: "myapp", Port: 80, OriginAddr: "peer.example", OriginPort: 80}, "peer.example:80"},
		"IPv6":                    {wire.ForwardedOpen{Port: 80, OriginAddr: "2001:db8::1", OriginPort: 80}, "[2001:db8::1]:80"},
		"nothing":                 {wire.ForwardedOpen{}, "unknown:0"},
		"what would end in a log": {wire.ForwardedOpen{OriginAddr: "a\x1b[31m\nb", OriginPort: 1 << 20}, "unknown:0"},
	} {
		t.Run(name, func(t *testing.T) {
			open, err := parseForwardedOpen(ssh.Marshal(&tc.open))
			if err != nil || open != tc.open {
				t.Fatalf("got %+v, %v, want %+v", open, err, tc.open)
			}
			if got := originAddr(open).String(); got != tc.want {
				t.Errorf("origin: got %q, want %q", got, tc.want)
			}
		})
	}
}

// FuzzForwardedOpen: whatever a server sends, the address that comes out can be
// split and printed.
func FuzzForwardedOpen(f *testing.F) {
	for _, open := range []wire.ForwardedOpen{{}, forwardedFrom("192.0.2.7"), forwardedFrom("::1"), {OriginAddr: "a\nb", OriginPort: 1<<32 - 1}} {
		f.Add(ssh.Marshal(&open))
	}
	f.Add([]byte("\x00\x00\x00\xff"))
	f.Fuzz(func(t *testing.T, extra []byte) {
		open, err := parseForwardedOpen(extra)
		if err != nil {
			return
		}
		a := originAddr(open).String()
		host, _, err := net.SplitHostPort(a)
		if err != nil || host == "" || len(a) > 300 || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%x: address %q, %v", extra, a, err)
		}
	})
}

func TestTunnelRefusesWhatIsNotForwarded(t *testing.T) {
	s := newFakeServer(t)
	tun, sc := openTunnel(t, s, providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, s.listen()))
	for name, tc := range map[string]struct {
		kind  string
		extra []byte
		want  ssh.RejectionReason
	}{
		"an agent":                {"auth-agent@openssh.com", nil, ssh.UnknownChannelType},
		"X11":                     {"x11", nil, ssh.UnknownChannelType},
		"a session":               {"session", nil, ssh.UnknownChannelType},
		"a malformed forward":     {wire.ForwardedChannel, []byte("\x00\x00"), ssh.ConnectionFailed},
		"addresses of 5000 bytes": {wire.ForwardedChannel, ssh.Marshal(&wire.ForwardedOpen{Addr: strings.Repeat("a", 5000)}), ssh.ConnectionFailed},
	} {
		_, _, err := sc.OpenChannel(tc.kind, tc.extra)
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason != tc.want {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	near, far := connect(t, tun, sc) // and it still works
	defer near.Close()
	if _, err := io.WriteString(far, "x"); err != nil {
		t.Error(err)
	}
	if _, err := near.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestTunnelBoundsWhatNobodyAccepts(t *testing.T) {
	s := newFakeServer(t)
	_, sc := openTunnel(t, s, providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, s.listen()))
	open := forwardedFrom("192.0.2.7")
	for i := range maxWaiting + 1 {
		_, reqs, err := sc.OpenChannel(wire.ForwardedChannel, ssh.Marshal(&open))
		if i < maxWaiting {
			if err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			go ssh.DiscardRequests(reqs) // ends with the server
			continue
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason != ssh.ResourceShortage {
			t.Errorf("connection %d: got %v, want it refused", i, err)
		}
	}
}

func TestOpenLeavesNothingBehindWhenItsContextEnds(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := newFakeServer(t)
	s.forward = func(wire.ForwardRequest) (bool, uint32) { return true, 80 }
	mute := s.listen()
	for name, port := range map[string]int{
		"a server that does not speak SSH":   silent.Addr().(*net.TCPAddr).Port,
		"a service that never tells its URL": mute,
	} {
		t.Run(name, func(t *testing.T) {
			p := providerFor(t, s, Profile{Session: SessionShell}, port)
			p.Timeout = 100 * time.Millisecond
			_, err := p.Open(t.Context())
			if err == nil || !strings.Contains(err.Error(), "no answer within 100ms") {
				t.Errorf("got %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			p.Timeout = 0
			if _, err := p.Open(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: got %v", err)
			}
		})
	}
}
