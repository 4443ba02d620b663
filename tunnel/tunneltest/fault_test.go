package tunneltest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/tunneltest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ends is a connection through a Fault, seen from both of its ends.
type ends struct{ near, far *net.TCPConn }

// through starts a target with a Fault before it. connect opens connections.
func through(tb testing.TB) (f *tunneltest.Fault, connect func() ends) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	f = tunneltest.StartFault(tb, ln.Addr().String(), 1)
	return f, func() ends {
		tb.Helper()
		near, err := net.Dial("tcp", f.Addr())
		if err != nil {
			tb.Fatal(err)
		}
		far, err := ln.Accept()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = near.Close(); _ = far.Close() })
		return ends{near.(*net.TCPConn), far.(*net.TCPConn)}
	}
}

// passes wants a word to arrive.
func passes(t *testing.T, from, to net.Conn) {
	t.Helper()
	if _, err := io.WriteString(from, "word"); err != nil {
		t.Fatalf("write: %v", err)
	}
	got := make([]byte, 4)
	if err := to.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, got); err != nil || string(got) != "word" {
		t.Fatalf("read: %q, %v", got, err)
	}
}

// silent wants nothing to arrive within a moment.
func silent(t *testing.T, to net.Conn) {
	t.Helper()
	if err := to.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := to.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d, %v, want silence", n, err)
	}
}

func TestFaultPassesBytesAndHalfCloses(t *testing.T) {
	f, connect := through(t)
	c := connect()
	passes(t, c.near, c.far)
	passes(t, c.far, c.near)
	if f.Conns() != 1 {
		t.Errorf("%d connections, want 1", f.Conns())
	}
	if err := c.near.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the half-close: %v", err)
	}
	passes(t, c.far, c.near)
}

func TestFaultCutIsAReset(t *testing.T) {
	f, connect := through(t)
	c := connect()
	passes(t, c.near, c.far)
	if n := f.Cut(); n != 1 {
		t.Errorf("%d connections were cut, want 1", n)
	}
	for name, end := range map[string]net.Conn{"who dialled": c.near, "the target": c.far} {
		if _, err := end.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s reads %v, want a reset", name, err)
		}
	}
	c = connect()
	passes(t, c.near, c.far)
}

func TestFaultPassesAResetOn(t *testing.T) {
	_, connect := through(t)
	c := connect()
	passes(t, c.near, c.far)
	_ = c.far.SetLinger(0)
	_ = c.far.Close()
	if _, err := c.near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %v, want a reset", err)
	}
}

func TestFaultStalls(t *testing.T) {
	for name, tc := range map[string]struct {
		d         tunneltest.Direction
		out, back bool // what still passes
	}{
		"both ways":                 {d: tunneltest.Both},
		"towards the target":        {d: tunneltest.Out, back: true},
		"back from the target":      {d: tunneltest.Back, out: true},
		"one way, and then another": {d: tunneltest.Out | tunneltest.Back},
	} {
		t.Run(name, func(t *testing.T) {
			f, connect := through(t)
			c := connect()
			f.Stall(tc.d)
			for _, way := range []struct {
				from, to *net.TCPConn
				open     bool
			}{{c.near, c.far, tc.out}, {c.far, c.near, tc.back}} {
				if way.open {
					passes(t, way.from, way.to)
					continue
				}
				if _, err := io.WriteString(way.from, "held"); err != nil {
					t.Fatal(err)
				}
				if err := way.from.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				silent(t, way.to)
			}
			f.Heal()
			for _, way := range []struct {
				to   *net.TCPConn
				open bool
			}{{c.far, tc.out}, {c.near, tc.back}} {
				if way.open {
					continue
				}
				_ = way.to.SetReadDeadline(time.Time{})
				if got, err := io.ReadAll(way.to); err != nil || string(got) != "held" {
					t.Errorf("after it healed: %q, %v", got, err)
				}
			}
		})
	}
}

func TestFaultForgetsForGood(t *testing.T) {
	f, connect := through(t)
	old := connect()
	f.Forget()
	f.Heal()
	if _, err := io.WriteString(old.near, "lost"); err != nil {
		t.Fatal(err)
	}
	_ = old.near.Close()
	silent(t, old.far)
	c := connect()
	passes(t, c.near, c.far)
	silent(t, old.far)
}

func TestFaultRefuses(t *testing.T) {
	f, connect := through(t)
	old := connect()
	f.Refuse()
	wantReset(t, f)
	passes(t, old.near, old.far)
	f.Heal()
	again := connect()
	passes(t, again.near, again.far)
}

// wantReset wants a new connection to be reset, maybe before it is told that it is one.
func wantReset(t *testing.T, f *tunneltest.Fault) {
	t.Helper()
	c, err := net.Dial("tcp", f.Addr())
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection: %v, want a reset", err)
	}
}

func TestFaultDelaysInOrder(t *testing.T) {
	f, connect := through(t)
	f.SetLine(tunneltest.Line{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.2, Repeat: 5 * time.Millisecond})
	c := connect()
	began := time.Now()
	passes(t, c.near, c.far)
	passes(t, c.far, c.near)
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("a round trip of two delays of 20 ms took %v", took)
	}
	want := make([]byte, 1<<20)
	for i := range want {
		want[i] = byte(i >> 8)
	}
	var send sync.WaitGroup
	send.Go(func() {
		for i := 0; i < len(want); i += 1000 {
			_, _ = c.near.Write(want[i:min(i+1000, len(want))])
		}
		_ = c.near.CloseWrite()
	})
	_ = c.far.SetReadDeadline(time.Time{})
	got, err := io.ReadAll(c.far)
	send.Wait()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, equal: %v, %v", len(got), len(want), bytes.Equal(got, want), err)
	}
}

func TestFaultReachesATargetThatComesLater(t *testing.T) {
	f := tunneltest.StartFault(t, "127.0.0.1:1", 1)
	wantReset(t, f)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f.SetTarget(ln.Addr().String())
	again, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	passes(t, again, far)
}

// BenchmarkFault is what a healthy line and one of 25 ms carry.
func BenchmarkFault(b *testing.B) {
	for name, line := range map[string]tunneltest.Line{"loopback": {}, "25 ms": {Delay: 25 * time.Millisecond}} {
		b.Run(name, func(b *testing.B) {
			f, connect := through(b)
			f.SetLine(line)
			c := connect()
			const size = 64 << 20
			b.SetBytes(size)
			for b.Loop() {
				var send sync.WaitGroup
				send.Go(func() { _, _ = io.CopyN(c.near, zeros{}, size) })
				if n, err := io.CopyN(io.Discard, c.far, size); n != size || err != nil {
					b.Fatal(n, err)
				}
				send.Wait()
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
