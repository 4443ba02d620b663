package tunnel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
)

// sleeper is a wall clock that can be put forward, as a machine's is that was asleep.
type sleeper struct{ slept atomic.Int64 }

func (s *sleeper) now() time.Time        { return time.Now().Add(time.Duration(s.slept.Load())) }
func (s *sleeper) sleep(d time.Duration) { s.slept.Add(int64(d)) }
func (s *sleeper) set(k *tunnel.Keeper)  { k.Wall = s.now }

// probedTunnel answers a probe as it is told.
type probedTunnel struct {
	*fakeTunnel
	probes atomic.Int32
	dead   error
}

func (p *probedTunnel) Probe(context.Context) error { p.probes.Add(1); return p.dead }

// movingTunnel can be asked to move.
type movingTunnel struct {
	*fakeTunnel
	ask chan struct{}
}

func (m *movingTunnel) Moving() <-chan struct{} { return m.ask }

func newMovingTunnel(t *testing.T, address string) *movingTunnel {
	return &movingTunnel{newFakeTunnel(t, address), make(chan struct{})}
}

var errRoute = errors.New("no route")

func TestKeeperThatWaitsTriesAtOnceWhenTheMachineWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := new(sleeper)
		var tries atomic.Int32
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) { tries.Add(1); return nil, errRoute }, wall.set)
		<-time.After(10*time.Minute + 100*time.Millisecond) // pauses are long by now
		synctest.Wait()
		before := tries.Load()
		wall.sleep(10 * time.Minute)
		<-time.After(time.Second)
		synctest.Wait()
		if quick := tries.Load() - before; quick < 3 {
			t.Errorf("%d tries in the second after it woke, want some at once", quick)
		}
		before = tries.Load()
		<-time.After(59 * time.Second)
		synctest.Wait()
		if quick := tries.Load() - before; quick < 200 {
			t.Errorf("%d tries in the minute after it woke, want quick ones", quick)
		}
		k.end(t)
	})
}

func TestKeeperAsksALiveTunnelWhenTheMachineWakes(t *testing.T) {
	for name, tc := range map[string]struct {
		jump   time.Duration
		dead   error
		probes int32
		opens  int
	}{
		"it is dead":                      {jump: 10 * time.Minute, dead: errors.New("no answer"), probes: 1, opens: 2},
		"the clock was set, and it lives": {jump: 10 * time.Minute, probes: 1, opens: 1},
		"the clock was put back":          {jump: -10 * time.Minute, dead: errors.New("no answer"), opens: 1},
		"a moment is no sleep":            {jump: 4 * time.Second, dead: errors.New("no answer"), opens: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wall := new(sleeper)
				opens := 0
				first := &probedTunnel{fakeTunnel: newFakeTunnel(t, "https://name.example"), dead: tc.dead}
				k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) {
					if opens++; opens == 1 {
						return first, nil
					}
					return newFakeTunnel(t, "https://name.example"), nil
				}, wall.set)
				<-time.After(time.Minute)
				wall.sleep(tc.jump)
				<-time.After(time.Minute)
				synctest.Wait()
				k.end(t)
				if got := first.probes.Load(); got != tc.probes || opens != tc.opens {
					t.Errorf("%d probes and %d opens, want %d and %d", got, opens, tc.probes, tc.opens)
				}
				if last := k.states[len(k.states)-1]; last.State != tunnel.Up {
					t.Errorf("in the end: %s", last.State)
				}
				if tc.opens > 1 && !strings.Contains(strings.Join(k.log, "\n"), "down name.example: after this machine was asleep: no answer") {
					t.Errorf("announced:\n%s", strings.Join(k.log, "\n"))
				}
			})
		})
	}
}

// A try that was under way when the lid was closed belongs to another network. The
// first one may wait for a person, and is left alone.
func TestKeeperBreaksATryOffWhenTheMachineWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := new(sleeper)
		var broken atomic.Int32
		slow := func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				broken.Add(1)
				return ctx.Err()
			case <-time.After(15 * time.Second):
				return errRoute
			}
		}
		k := keep(t, func(ctx context.Context, n int) (tunnel.Tunnel, error) {
			if n == 1 || n == 3 {
				f := newFakeTunnel(t, "https://name.example")
				time.AfterFunc(time.Minute, func() { f.lose(errors.New("reset")) })
				return f, nil
			}
			return nil, slow(ctx)
		}, wall.set)
		<-time.After(5 * time.Second) // of the first try
		wall.sleep(time.Hour)
		<-time.After(75 * time.Second) // up at 15 s, lost at 75 s, five seconds of the third try
		synctest.Wait()
		if broken.Load() != 0 {
			t.Fatal("the first try was broken off")
		}
		wall.sleep(time.Hour)
		<-time.After(time.Second)
		synctest.Wait()
		if last := k.states[len(k.states)-1]; broken.Load() != 1 || last.State != tunnel.Up {
			t.Errorf("%d tries were broken off, in the end %s: want 1 and up", broken.Load(), last.State)
		}
		k.end(t)
	})
}

func TestKeeperGivesUp(t *testing.T) {
	for name, tc := range map[string]struct {
		open fakeProvider
		at   time.Duration
		why  error
	}{
		"before the first tunnel": {
			open: func(context.Context, int) (tunnel.Tunnel, error) { return nil, errRoute },
			at:   30 * time.Second, why: errRoute,
		},
		"while a try hangs": {
			open: func(ctx context.Context, _ int) (tunnel.Tunnel, error) { <-ctx.Done(); return nil, ctx.Err() },
			at:   30 * time.Second,
		},
		"after a tunnel of an hour": {
			open: func(_ context.Context, n int) (tunnel.Tunnel, error) {
				if n > 0 {
					return nil, errRoute
				}
				return lostAfter(time.Hour), nil
			},
			at: time.Hour + 30*time.Second, why: errRoute,
		},
		"refused after a tunnel of an hour": {
			open: func(_ context.Context, n int) (tunnel.Tunnel, error) {
				if n > 0 {
					return nil, &tunnel.RefusedError{Op: "log in", Err: errRoute, Hint: "ssh-copy-id"}
				}
				return lostAfter(time.Hour), nil
			},
			at: time.Hour + 30*time.Second, why: errRoute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				k := keep(t, tc.open, func(k *tunnel.Keeper) { k.GiveUp = 30 * time.Second })
				defer k.cancel()
				err := <-k.err
				gaveUp := (*tunnel.GaveUpError)(nil)
				if !errors.As(err, &gaveUp) || tc.why != nil && !errors.Is(err, tc.why) {
					t.Fatalf("got %v, want that it gave up for %v", err, tc.why)
				}
				if took := time.Since(began); took != tc.at {
					t.Errorf("after %v, want %v", took, tc.at)
				}
				if !strings.HasPrefix(err.Error(), "gave up: no tunnel for 30s") {
					t.Errorf("it says %q", err)
				}
				hint, exit := gaveUp.Explain()
				if refused := (*tunnel.RefusedError)(nil); exit != 1 || errors.As(err, &refused) && hint != refused.Hint {
					t.Errorf("hint %q, exit status %d, want the refusal's and 1", hint, exit)
				}
			})
		})
	}
}

// lostAfter is a tunnel that is lost by itself.
func lostAfter(d time.Duration) *fakeTunnel {
	f := &fakeTunnel{url: mustParse("https://name.example"), conns: make(chan net.Conn), over: make(chan struct{})}
	time.AfterFunc(d, func() { f.lose(errors.New("reset")) })
	return f
}

// Outages that are shorter than the limit do not add up.
func TestKeeperDoesNotGiveUpWhatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, func(_ context.Context, n int) (tunnel.Tunnel, error) {
			if n%20 != 19 {
				<-time.After(time.Second)
				return nil, errRoute
			}
			return lostAfter(time.Minute), nil
		}, func(k *tunnel.Keeper) { k.GiveUp = 30 * time.Second })
		<-time.After(time.Hour)
		k.end(t)
	})
}

func TestKeeperMakesTheNextTunnelBeforeItBreaksTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := newMovingTunnel(t, "https://name.example"), newMovingTunnel(t, "https://name.example")
		next.said = []string{"welcome"}
		k := keep(t, func(_ context.Context, n int) (tunnel.Tunnel, error) {
			switch n {
			case 0:
				return old, nil
			case 1: // the server that replaces the old one is not there yet
				return nil, errRoute
			}
			return next, nil
		})
		<-time.After(time.Minute)
		close(old.ask)
		synctest.Wait()
		serves(t, k, old.fakeTunnel, "while the new one cannot be opened")
		<-time.After(time.Second)
		serves(t, k, next.fakeTunnel, "the new one")
		serves(t, k, old.fakeTunnel, "beside the new one")
		<-time.After(8 * time.Second)
		serves(t, k, old.fakeTunnel, "for a while")
		<-time.After(2 * time.Second)
		synctest.Wait()
		select {
		case <-old.over:
		default:
			t.Error("ten seconds after the new one is up, the old one is still open")
		}
		serves(t, k, next.fakeTunnel, "afterwards")
		k.end(t)
		want := []string{
			"0s connecting",
			"0s up name.example",
			"1m0.05s up name.example | welcome | the server has asked to move, and the tunnel has moved to a new connection",
		}
		if d := cmp.Diff(want, k.log); d != "" {
			t.Errorf("announced (-want +got):\n%s", d)
		}
	})
}

// serves wants a connection of the tunnel to reach Accept.
func serves(t *testing.T, k *keeping, f *fakeTunnel, what string) {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	f.conns <- near
	c, err := k.Accept()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	go func() { _, _ = io.WriteString(c, "x"); _ = c.Close() }()
	if got, err := io.ReadAll(far); err != nil || string(got) != "x" {
		t.Errorf("%s: got %q, %v", what, got, err)
	}
}

func TestKeeperLosesTheOldTunnelBeforeTheNextIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newMovingTunnel(t, "https://name.example")
		k := keep(t, func(ctx context.Context, n int) (tunnel.Tunnel, error) {
			if n > 0 {
				<-time.After(3 * time.Second)
				return newFakeTunnel(t, "https://name.example"), nil
			}
			return old, nil
		})
		<-time.After(time.Minute)
		close(old.ask)
		<-time.After(time.Second)
		old.lose(errors.New("the server has left"))
		<-time.After(time.Minute)
		k.end(t)
		want := []string{
			"0s connecting",
			"0s up name.example",
			"1m1s down name.example: the server has left",
			"1m1s connecting name.example",
			"1m3s up name.example after 2s",
		}
		if d := cmp.Diff(want, k.log); d != "" {
			t.Errorf("announced (-want +got):\n%s", d)
		}
	})
}

// A server that asks to move as soon as it is reached is not dialled without end, and
// does not gather tunnels.
func TestKeeperDoesNotStormAServerThatAsksToMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, most, opens := atomic.Int32{}, int32(0), 0
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) {
			opens++
			m := newMovingTunnel(t, "https://name.example")
			close(m.ask)
			most = max(most, open.Add(1))
			return &counted{movingTunnel: m, open: &open}, nil
		})
		<-time.After(10 * time.Minute)
		k.end(t)
		if opens > 400 || most > 3 {
			t.Errorf("%d opens in ten minutes, %d tunnels at once", opens, most)
		}
	})
}

// counted says how many of its kind are open.
type counted struct {
	*movingTunnel
	open   *atomic.Int32
	closed atomic.Bool
}

func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.movingTunnel.Close()
}

func TestKeeperCloseWhileTwoTunnelsServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tunnels := []*movingTunnel{newMovingTunnel(t, "https://name.example"), newMovingTunnel(t, "https://name.example")}
		k := keep(t, func(_ context.Context, n int) (tunnel.Tunnel, error) { return tunnels[n], nil })
		defer k.cancel()
		<-time.After(time.Minute)
		near, _ := net.Pipe()
		tunnels[0].conns <- near
		c, err := k.Accept()
		if err != nil {
			t.Fatal(err)
		}
		close(tunnels[0].ask)
		synctest.Wait()
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i, m := range tunnels {
			select {
			case <-m.over:
				t.Errorf("tunnel %d was closed under a connection", i)
			default:
			}
		}
		_ = c.Close()
		if err := <-k.err; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func TestKeeperLeavesNothingBehindInAThousandCycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		var opens atomic.Int32
		k := keep(t, func(context.Context, int) (tunnel.Tunnel, error) {
			if opens.Add(1)%2 == 0 {
				return nil, errRoute
			}
			return lostAfter(10 * time.Second), nil
		})
		for opens.Load() < 2000 {
			<-time.After(time.Minute)
		}
		k.end(t)
		for _, s := range k.states {
			if s.Outage > time.Second {
				t.Fatalf("an outage of %v: every second try succeeds", s.Outage)
			}
		}
	})
}

func TestGaveUpErrorSaysWhatItKnows(t *testing.T) {
	for want, e := range map[string]*tunnel.GaveUpError{
		"gave up: no tunnel for 1m30s":                      {After: 90 * time.Second},
		"gave up: no tunnel for 30s: log in: no such route": {After: 30 * time.Second, Err: fmt.Errorf("log in: no such route")},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
