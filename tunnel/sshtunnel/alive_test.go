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
)

func TestProbe(t *testing.T) {
	for name, tc := range map[string]struct {
		mute      bool
		idle      time.Duration
		keepAlive time.Duration
		want      string
		least     time.Duration
		most      time.Duration
	}{
		"alive": {},
		"dead":  {mute: true, want: "has not answered for 1s", least: time.Second, most: time.Second},
		"dead, and asked already": {
			mute: true, idle: 4 * time.Second, want: "has not answered for 1s", least: time.Second, most: time.Second,
		},
		"dead, on a slow link":         {mute: true, keepAlive: 20 * time.Second, want: "has not answered for 10s", least: 10 * time.Second, most: 10 * time.Second},
		"ended by the keep-alive then": {mute: true, idle: 4500 * time.Millisecond, want: "has not answered for 5s", most: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFakeServer(t)
				p := providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, 22)
				p.KeepAlive.Idle = tc.keepAlive
				last := inMemory(s, p)
				tun, _ := openTunnel(t, s, p)
				synctest.Wait()
				last().mute.Store(tc.mute)
				<-time.After(tc.idle)
				synctest.Wait()
				began := time.Now()
				err := tun.Probe(t.Context())
				took := time.Since(began)
				if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				if took < tc.least || took > tc.most {
					t.Errorf("it took %v, want %v to %v", took, tc.least, tc.most)
				}
			})
		})
	}
}

func TestProbeEndsWithItsContextAndItsTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		p := providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, 22)
		last := inMemory(s, p)
		tun, _ := openTunnel(t, s, p)
		last().mute.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if err := tun.Probe(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		time.AfterFunc(time.Millisecond, func() { _ = tun.Close() })
		for range 2 { // while it ends, and afterwards
			if err := tun.Probe(t.Context()); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed: %v", err)
			}
		}
	})
}

func TestLatencyIsMeasuredOrSaysWhyNot(t *testing.T) {
	for name, tc := range map[string]struct {
		mute bool
		end  func(*Tunnel, context.CancelFunc) // what happens meanwhile; nil: nothing
		want error
	}{
		"measured":  {},
		"cancelled": {true, func(_ *Tunnel, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"closed":    {true, func(tun *Tunnel, _ context.CancelFunc) { _ = tun.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFakeServer(t)
				p := providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, 22)
				last := inMemory(s, p)
				tun, _ := openTunnel(t, s, p)
				last().mute.Store(tc.mute)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.end != nil {
					time.AfterFunc(time.Millisecond, func() { tc.end(tun, cancel) })
				}
				if took, err := tun.Latency(ctx); !errors.Is(err, tc.want) || took != 0 { // no distance in memory
					t.Errorf("got %v, %v, want %v", took, err, tc.want)
				}
			})
		})
	}
}

// A laptop that was closed for ten minutes finds its tunnel dead, and has another
// within two seconds of being opened.
func TestSleepOfTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		p := providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, 22)
		last := inMemory(s, p)
		var slept atomic.Int64
		k := &tunnel.Keeper{Provider: p, Wall: func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }}
		states := make(chan tunnel.Status, 10)
		k.OnStatus(func(s tunnel.Status) { states <- s })
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() {
			if err := k.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		defer run.Wait()
		defer cancel()
		for (<-states).State != tunnel.Up {
		}
		<-time.After(time.Hour + 100*time.Millisecond) // just after an answer
		last().mute.Store(true)                        // the relay forgot us
		slept.Store(int64(10 * time.Minute))
		began := time.Now()
		down := <-states
		if down.State != tunnel.Down || !strings.Contains(down.Err.Error(), "after this machine was asleep") {
			t.Errorf("got %s: %v", down.State, down.Err)
		}
		for (<-states).State != tunnel.Up {
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v to be back", took)
		}
	})
}

// fromAddress gives a connection another address of its own.
type fromAddress struct {
	net.Conn
	local net.Addr
}

func (f fromAddress) LocalAddr() net.Addr { return f.local }

func TestTunnelEndsWithTheAddressThatItComesFrom(t *testing.T) {
	ip := func(s string) net.Addr { return &net.IPNet{IP: net.ParseIP(s), Mask: net.CIDRMask(24, 32)} }
	for name, tc := range map[string]struct {
		local  net.Addr
		before []net.Addr
		after  []net.Addr
		err    error
		ends   bool
	}{
		"another network":         {local: &net.TCPAddr{IP: net.ParseIP("192.0.2.7")}, before: []net.Addr{ip("127.0.0.1"), ip("192.0.2.7")}, after: []net.Addr{ip("127.0.0.1"), ip("198.51.100.9")}, ends: true},
		"no network":              {local: &net.TCPAddr{IP: net.ParseIP("2001:db8::7")}, before: []net.Addr{&net.IPAddr{IP: net.ParseIP("2001:db8::7")}}, ends: true},
		"one more network":        {local: &net.TCPAddr{IP: net.ParseIP("192.0.2.7")}, before: []net.Addr{ip("192.0.2.7")}, after: []net.Addr{ip("198.51.100.9"), ip("192.0.2.7")}},
		"loopback":                {local: &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}, before: []net.Addr{ip("127.0.0.1")}},
		"a translated address":    {local: &net.TCPAddr{IP: net.ParseIP("192.0.2.7")}, before: []net.Addr{ip("10.0.0.7")}, after: []net.Addr{ip("10.0.0.8")}},
		"hidden by a jump host":   {local: &net.TCPAddr{IP: net.IPv4zero}, before: []net.Addr{ip("192.0.2.7")}},
		"not an address at all":   {local: textAddr("pipe")},
		"nobody can tell for now": {local: &net.TCPAddr{IP: net.ParseIP("192.0.2.7")}, before: []net.Addr{ip("192.0.2.7")}, err: errors.New("netlink")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFakeServer(t)
				p := providerFor(t, s, Profile{Announce: Announce{Forward: true}, BindPort: 80}, 22)
				inMemory(s, p)
				dial := p.Dial
				p.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := dial(ctx, network, addr)
					return fromAddress{c, tc.local}, err
				}
				var moved atomic.Bool
				p.Addrs = func() ([]net.Addr, error) {
					if moved.Load() {
						return tc.after, tc.err
					}
					return tc.before, nil
				}
				tun, _ := openTunnel(t, s, p)
				<-time.After(time.Minute)
				if err := tun.lost(); err != nil {
					t.Fatal(err)
				}
				moved.Store(true)
				began := time.Now()
				if !tc.ends {
					<-time.After(time.Minute)
					if err := tun.lost(); err != nil {
						t.Error(err)
					}
					return
				}
				_, err := tun.Accept()
				if err == nil || !strings.Contains(err.Error(), "this machine no longer has the address") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took > addressEvery {
					t.Errorf("noticed after %v", took)
				}
			})
		})
	}
}

func TestKeepAliveForSlowLinks(t *testing.T) {
	for idle, want := range map[time.Duration]KeepAlive{
		0:                      {Idle: 2 * time.Second, Answer: 3 * time.Second},
		500 * time.Millisecond: {Idle: 500 * time.Millisecond, Answer: 750 * time.Millisecond},
		20 * time.Second:       {Idle: 20 * time.Second, Answer: 30 * time.Second},
	} {
		if got := (KeepAlive{Idle: idle}).orDefault(); got != want {
			t.Errorf("idle %v: got %+v, want %+v", idle, got, want)
		}
	}
}
