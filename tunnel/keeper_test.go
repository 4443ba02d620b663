package tunnel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTunnel is lost when told so.
type fakeTunnel struct {
	url   *url.URL
	conns chan net.Conn
	said  []string

	once sync.Once
	over chan struct{}
	err  error
}

func newFakeTunnel(t *testing.T, address string) *fakeTunnel {
	t.Helper()
	return &fakeTunnel{url: mustParse(address), conns: make(chan net.Conn), over: make(chan struct{})}
}

func mustParse(address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u
}

func (f *fakeTunnel) lose(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.over)
	})
}

func (f *fakeTunnel) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.over:
		return nil, f.err
	}
}
func (f *fakeTunnel) Close() error      { f.lose(net.ErrClosed); return nil }
func (f *fakeTunnel) Addr() net.Addr    { return nil }
func (f *fakeTunnel) URL() *url.URL     { return f.url }
func (f *fakeTunnel) Notices() []string { said := f.said; f.said = nil; return said }

// fakeProvider opens what its function gives for the n-th try, from 0.
type fakeProvider func(ctx context.Context, n int) (tunnel.Tunnel, error)

// keeping is a Keeper that runs in a bubble, and what it has announced.
type keeping struct {
	*tunnel.Keeper
	log    []string
	states []tunnel.Status
	err    chan error
	cancel context.CancelFunc
}

type named struct {
	open func(ctx context.Context) (tunnel.Tunnel, error)
}

func (named) Name() string                                      { return "fake" }
func (n named) Open(ctx context.Context) (tunnel.Tunnel, error) { return n.open(ctx) }

// keep runs a Keeper over the provider. Its tries are not spread: each pause is the
// shortest of its step. Each change is made to the Keeper before it runs.
func keep(t *testing.T, open fakeProvider, changes ...func(*tunnel.Keeper)) *keeping {
	ctx, cancel := context.WithCancel(t.Context())
	n := -1
	k := &keeping{
		Keeper: &tunnel.Keeper{
			Provider: named{func(ctx context.Context) (tunnel.Tunnel, error) { n++; return open(ctx, n) }},
			Jitter:   func() float64 { return 0 },
		},
		err: make(chan error, 1), cancel: cancel,
	}
	for _, change := range changes {
		change(k.Keeper)
	}
	began := time.Now()
	k.OnStatus(func(s tunnel.Status) {
		line := fmt.Sprintf("%v %s", time.Since(began), s.State)
		if s.URL != nil {
			line += " " + s.URL.Host
		}
		if s.Changed {
			line += " changed"
		}
		if s.Retry != 0 {
			line += fmt.Sprintf(" retry %v", s.Retry)
		}
		if s.State == tunnel.Up && s.Outage != 0 {
			line += fmt.Sprintf(" after %v", s.Outage)
		}
		if s.Err != nil {
			line += ": " + s.Err.Error()
		}
		for _, n := range s.Notices {
			line += " | " + n
		}
		k.log = append(k.log, line)
		k.states = append(k.states, s)
	})
	go func() { k.err <- k.Run(ctx) }() // taken by end
	return k
}

// end cancels and wants Run to return nil.
func (k *keeping) end(t *testing.T) {
	t.Helper()
	k.cancel()
	if err := <-k.err; err != nil {
		t.Errorf("run, asked to stop: %v", err)
	}
}

func TestKeeperSaysWhatHappensInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tunnels := make(chan *fakeTunnel, 3)
		k := keep(t, func(_ context.Context, n int) (tunnel.Tunnel, error) {
			switch n {
			case 0:
				return nil, errors.New("no route")
			case 2:
				return nil, errors.New("connection refused")
			}
			f := newFakeTunnel(t, fmt.Sprintf("https://name%d.example", n))
			f.said = []string{"welcome"}
			tunnels <- f
			return f, nil
		})
		<-k.Ready()
		if got := k.Addr().String(); got != "https://name1.example" {
			t.Errorf("Addr: got %s", got)
		}
		first := <-tunnels
		<-time.After(time.Minute) // of the bubble: steady
		first.said = []string{"good bye"}
		first.lose(errors.New("reset"))
		<-tunnels
		synctest.Wait()
		k.end(t)
		want := []string{
			"0s connecting",
			"0s waiting retry 50ms: no route",
			"50ms connecting",
			"50ms up name1.example | welcome",
			"1m0.05s down name1.example: reset | good bye",
			"1m0.05s connecting name1.example", // at once
			"1m0.05s waiting name1.example retry 50ms: connection refused",
			"1m0.1s connecting name1.example",
			"1m0.1s up name3.example changed after 50ms | welcome",
		}
		if d := cmp.Diff(want, k.log); d != "" {
			t.Errorf("announced (-want +got):\n%s", d)
		}
	})
}

func TestKeeperTriesQuicklyForAMinuteThenSlowlyForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) { return nil, errors.New("no route") })
		<-time.After(time.Hour)
		k.end(t)
		age, longest, tries := time.Duration(0), time.Duration(0), 0
		for _, s := range k.states {
			if s.State != tunnel.Waiting {
				continue
			}
			tries++
			if age < time.Minute && s.Retry > 500*time.Millisecond {
				t.Errorf("after %v: a pause of %v, want at most 500ms", age, s.Retry)
			}
			if s.Retry < 50*time.Millisecond || s.Retry > 15*time.Second {
				t.Errorf("after %v: a pause of %v", age, s.Retry)
			}
			age += s.Retry
			longest = max(longest, s.Retry)
		}
		if want := 15 * time.Second / 2; longest != want { // half: no jitter
			t.Errorf("the longest pause was %v, want %v", longest, want)
		}
		if tries < 600 || tries > 800 { // a minute of 250 ms, then 7.5 s
			t.Errorf("%d tries in an hour", tries)
		}
	})
}

func TestKeeperSpreadsItsTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &tunnel.Keeper{
			Provider: named{func(context.Context) (tunnel.Tunnel, error) { return nil, errors.New("no route") }},
			Jitter:   func() float64 { return 0.999 },
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		k.OnStatus(func(s tunnel.Status) {
			if s.State == tunnel.Waiting {
				if s.Retry < 99*time.Millisecond || s.Retry > 100*time.Millisecond {
					t.Errorf("with the most jitter the first pause is %v, want nearly 100ms", s.Retry)
				}
				cancel()
			}
		})
		if err := k.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A service that takes us in and throws us out is not called without a pause.
func TestKeeperDoesNotStormAFlappingService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opens := 0
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) {
			opens++
			f := newFakeTunnel(t, "https://name.example")
			f.lose(errors.New("go away"))
			return f, nil
		})
		<-time.After(10 * time.Minute)
		k.end(t)
		if opens > 400 {
			t.Errorf("%d opens in ten minutes", opens)
		}
	})
}

func TestKeeperRefusedAtFirstGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := &tunnel.RefusedError{Op: "log in", Err: errors.New("not you")}
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) { return nil, fmt.Errorf("through host: %w", no) })
		defer k.cancel()
		err := <-k.err
		if refused := (*tunnel.RefusedError)(nil); !errors.As(err, &refused) || refused != no {
			t.Errorf("got %v, want the refusal", err)
		}
		if _, err := k.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after run: got %v", err)
		}
	})
}

func TestKeeperRefusedLaterTriesSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusals := 0
		k := keep(t, func(_ context.Context, n int) (tunnel.Tunnel, error) {
			if n == 0 {
				f := newFakeTunnel(t, "https://name.example")
				time.AfterFunc(time.Hour, func() { f.lose(errors.New("reset")) })
				return f, nil
			}
			refusals++
			return nil, &tunnel.RefusedError{Op: "log in", Err: errors.New("not you")}
		})
		<-time.After(2 * time.Hour)
		k.end(t)
		if refusals < 100 || refusals > 300 { // every 15 s without jitter
			t.Errorf("asked %d times in an hour after a refusal", refusals)
		}
	})
}

func TestKeeperHandsConnectionsOverAcrossTunnels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tunnels := make(chan *fakeTunnel, 2)
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) {
			f := newFakeTunnel(t, "https://name.example")
			tunnels <- f
			return f, nil
		})
		for range 2 {
			f := <-tunnels
			near, far := net.Pipe()
			f.conns <- near
			c, err := k.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.WriteString(c, "hello") }()
			got := make([]byte, 5)
			if _, err := io.ReadFull(far, got); err != nil || string(got) != "hello" {
				t.Errorf("got %q, %v", got, err)
			}
			f.lose(errors.New("reset"))
		}
		k.end(t)
	})
}

func TestKeeperCloseWhileConnectingEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, func(ctx context.Context, _ int) (tunnel.Tunnel, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		defer k.cancel()
		synctest.Wait()
		for range 2 {
			if err := k.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if err := <-k.err; err != nil {
			t.Errorf("run: %v", err)
		}
		if _, err := k.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
	})
}

// A tunnel that opens in spite of its context is closed, not kept.
func TestKeeperClosesATunnelThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := newFakeTunnel(t, "https://name.example")
		k := keep(t, func(ctx context.Context, _ int) (tunnel.Tunnel, error) {
			<-ctx.Done()
			return late, nil
		})
		synctest.Wait()
		k.end(t)
		select {
		case <-late.over:
		default:
			t.Error("it is still open")
		}
		if d := cmp.Diff([]string{"0s connecting"}, k.log); d != "" {
			t.Errorf("announced (-want +got):\n%s", d)
		}
	})
}

func TestKeeperCloseLetsConnectionsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTunnel(t, "https://name.example")
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) { return f, nil })
		defer k.cancel()
		near, far := net.Pipe()
		f.conns <- near
		c, err := k.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		late, lateFar := net.Pipe()
		f.conns <- late
		if _, err := lateFar.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a connection that came after Close: read %v, want it closed", err)
		}
		synctest.Wait()
		select {
		case <-f.over:
			t.Fatal("the tunnel was closed under a connection")
		case err := <-k.err:
			t.Fatalf("run returned %v before the connection was closed", err)
		default:
		}
		go func() { _, _ = io.WriteString(c, "done"); _ = c.Close(); _ = c.Close() }()
		if got, err := io.ReadAll(far); err != nil || string(got) != "done" {
			t.Errorf("the connection that was open: got %q, %v", got, err)
		}
		if err := <-k.err; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func TestKeeperDropsWhatNobodyAcceptsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTunnel(t, "https://name.example")
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) { return f, nil })
		near, far := net.Pipe()
		f.conns <- near
		k.end(t)
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v, want the connection closed", err)
		}
	})
}

func TestKeeperPassesHalfCloseThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeTunnel(t, "https://name.example")
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) { return f, nil })
		defer k.end(t)
		for name, tc := range map[string]struct {
			conn net.Conn
			want error
		}{
			"one that can":    {conn: halfCloser{}, want: errHalf},
			"one that cannot": {conn: struct{ net.Conn }{halfCloser{}}, want: errors.ErrUnsupported},
		} {
			f.conns <- tc.conn
			c, err := k.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", name, err, tc.want)
			}
		}
	})
}

var errHalf = errors.New("half-closed")

type halfCloser struct{ net.Conn }

func (halfCloser) CloseWrite() error { return errHalf }

func TestPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"http://ana.localhost:8080":    false,
		"http://LOCALHOST.":            false,
		"http://127.1.2.3:80":          false,
		"http://[::1]:80":              false,
		"http://10.0.0.7:80":           true, // others than this machine: its network
		"https://ana.relay.example":    true,
		"https://notlocalhost.example": true,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := tunnel.Public(u); got != want {
			t.Errorf("Public(%s): got %v, want %v", address, got, want)
		}
	}
}
