package sshtunnel

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
)

// keeping is a Keeper that runs in a bubble over a server in memory.
type keeping struct {
	*fakeServer
	dead   func() *pipeEnd // the server's end of the latest connection
	states chan tunnel.Status
	down   atomic.Pointer[error] // what dialling fails with; nil: it works
}

// keepInBubble returns when the first tunnel is up.
func keepInBubble(t *testing.T, profile Profile, set func(*fakeServer)) *keeping {
	k := &keeping{fakeServer: newFakeServer(t), states: make(chan tunnel.Status, 1000)}
	if set != nil {
		set(k.fakeServer)
	}
	p := providerFor(t, k.fakeServer, profile, 22)
	k.dead = inMemory(k.fakeServer, p)
	dial := p.Dial
	p.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := k.down.Load(); err != nil {
			return nil, *err
		}
		return dial(ctx, network, addr)
	}
	keeper := &tunnel.Keeper{Provider: p}
	keeper.OnStatus(func(s tunnel.Status) { k.states <- s })
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := keeper.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); run.Wait() })
	k.await(tunnel.Up)
	return k
}

// await waits for a state, and gives what was announced last.
func (k *keeping) await(want tunnel.State) tunnel.Status {
	for {
		if s := <-k.states; s.State == want {
			return s
		}
	}
}

func (k *keeping) fail(err error) { k.down.Store(&err) }
func (k *keeping) heal()          { k.down.Store(nil) }

var forwarding = Profile{Announce: Announce{Forward: true}, BindPort: 80}

func TestServerThatIsGone(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	unknown := &net.DNSError{Err: "no such host", Name: "relay.example", IsNotFound: true}
	for name, tc := range map[string]struct {
		gone time.Duration
		err  error
		back time.Duration // at most, after it has come back
	}{
		"for 10 s":                    {10 * time.Second, refused, 500 * time.Millisecond},
		"for 55 s":                    {55 * time.Second, refused, 500 * time.Millisecond},
		"for 2 min":                   {2 * time.Minute, refused, 15 * time.Second},
		"for a weekend":               {60 * time.Hour, refused, 15 * time.Second},
		"its name is unknown for 5 s": {5 * time.Second, unknown, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := keepInBubble(t, forwarding, nil)
				<-time.After(time.Minute)
				k.fail(tc.err)
				k.cut()
				if s := k.await(tunnel.Waiting); !errors.Is(s.Err, tc.err) || s.Retry > 500*time.Millisecond {
					t.Errorf("waiting for %v: %v", s.Retry, s.Err)
				}
				began := time.Now()
				time.AfterFunc(tc.gone, k.heal)
				up := k.await(tunnel.Up)
				took := time.Since(began) - tc.gone
				if took < 0 || took > tc.back {
					t.Errorf("up %v after it has come back, want at most %v", took, tc.back)
				}
				if off := up.Outage - tc.gone - took; off < 0 || off > 100*time.Millisecond {
					t.Errorf("the outage is said to be of %v, want about %v", up.Outage, tc.gone+took)
				}
			})
		})
	}
}

// A server that has not noticed that our last connection is dead refuses its name for
// a while. That is asked again as quickly as anything.
func TestForwardThatIsRefusedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refuse atomic.Bool
		k := keepInBubble(t, forwarding, func(s *fakeServer) {
			s.forward = func(wire.ForwardRequest) (bool, uint32) { return !refuse.Load(), 80 }
			s.joined = make(chan *serverConn, 1000)
		})
		<-time.After(time.Minute)
		refuse.Store(true)
		k.cut()
		if s := k.await(tunnel.Waiting); !strings.Contains(s.Err.Error(), "the server refuses to forward it") || s.Retry > 500*time.Millisecond {
			t.Errorf("waiting for %v: %v", s.Retry, s.Err)
		}
		<-time.After(20 * time.Second)
		refuse.Store(false)
		began := time.Now()
		k.await(tunnel.Up)
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("up %v after it is granted", took)
		}
	})
}

// A server that lets us in and then throws us out is not asked all the time, and is
// kept once it has settled.
func TestServerThatFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepInBubble(t, forwarding, func(s *fakeServer) { s.joined = make(chan *serverConn, 1000) })
		<-time.After(time.Minute)
		const flapping = 5 * time.Minute
		ups := 0
		for began := time.Now(); time.Since(began) < flapping; ups++ {
			k.cut()
			k.await(tunnel.Up)
		}
		if most := 60*1000/200 + 4*60; ups > most {
			t.Errorf("%d logins in %v, want at most %d", ups, flapping, most)
		}
		<-time.After(time.Minute)
		k.cut()
		began := time.Now()
		k.await(tunnel.Up)
		if took := time.Since(began); took > 0 {
			t.Errorf("a steady tunnel that is lost is back after %v, want at once", took)
		}
	})
}

// Half-open: nothing comes any more, and what we send vanishes.
func TestHalfOpenLinkHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepInBubble(t, forwarding, nil)
		<-time.After(time.Minute)
		k.dead().mute.Store(true)
		began := time.Now()
		k.await(tunnel.Up)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("back after %v, want at most 6 s", took)
		}
	})
}
