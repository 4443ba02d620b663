package tunnel_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slackdev/slackdev/tunnel"
)

// Whatever happens, and whenever: lost tunnels, refusals, slow tries, wishes to move, sleep,
// the end. The states make sense, no more than two tunnels and a try are there at once,
// the last of them comes back, and the end is the end.
func TestKeeperInAnyOrderOfEvents(t *testing.T) {
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) { keepAtRandom(t, rand.New(rand.NewPCG(seed, 7)), seed) })
	}
}

func keepAtRandom(t *testing.T, r *rand.Rand, seed uint64) {
	var mu sync.Mutex // guards what follows, and r: a try runs beside the test
	var tunnels []*counted
	var open, trying atomic.Int32
	calm := false
	chance := func(percent int) bool { return r.IntN(100) < percent }
	wall := new(sleeper)
	k := keep(t, func(ctx context.Context, n int) (tunnel.Tunnel, error) {
		if trying.Add(1) > 1 {
			t.Errorf("seed %d: two tries at once", seed)
		}
		defer trying.Add(-1)
		mu.Lock()
		slow, fails, refuses := chance(30) && !calm, chance(40) && !calm && n > 0, chance(20)
		pause := time.Duration(r.IntN(20_000)) * time.Millisecond
		mu.Unlock()
		if slow {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if fails && refuses {
			return nil, &tunnel.RefusedError{Op: "open", Err: errRoute}
		}
		if fails {
			return nil, errRoute
		}
		c := &counted{movingTunnel: newMovingTunnel(t, "https://name.example"), open: &open}
		if now := open.Add(1); now > 3 {
			t.Errorf("seed %d: %d tunnels at once", seed, now)
		}
		mu.Lock()
		defer mu.Unlock()
		tunnels = append(tunnels, c)
		return c, nil
	}, wall.set)
	newest := func() *counted {
		mu.Lock()
		defer mu.Unlock()
		if len(tunnels) == 0 {
			return nil
		}
		return tunnels[max(0, len(tunnels)-1-r.IntN(2))]
	}
	var asked sync.Map
	for range 30 {
		mu.Lock()
		event, pause := r.IntN(5), time.Duration(r.IntN(3000))*time.Millisecond
		mu.Unlock()
		switch c := newest(); {
		case c == nil:
		case event < 2:
			c.lose(errors.New("cut"))
		case event == 2:
			if _, again := asked.LoadOrStore(c, true); !again {
				close(c.ask)
			}
		case event == 3:
			wall.sleep(time.Minute)
		}
		<-time.After(pause)
	}
	mu.Lock()
	calm = true
	closes := chance(50)
	mu.Unlock()
	<-time.After(2 * time.Minute) // longer than any pause, with a slow try in it
	synctest.Wait()
	if last := k.states[len(k.states)-1]; last.State != tunnel.Up || open.Load() != 1 {
		t.Errorf("seed %d: in calm it is %s with %d tunnels", seed, last.State, open.Load())
	}
	if closes {
		_ = k.Close()
		if err := <-k.err; err != nil {
			t.Errorf("seed %d: Run: %v", seed, err)
		}
		k.cancel()
	} else {
		k.end(t)
	}
	said := len(k.states)
	<-time.After(time.Hour)
	if open.Load() != 0 || trying.Load() != 0 || len(k.states) != said {
		t.Errorf("seed %d: after the end %d tunnels, %d tries, %d more states", seed, open.Load(), trying.Load(), len(k.states)-said)
	}
	follows := map[tunnel.State]string{
		"": "connecting", tunnel.Connecting: "connecting up waiting", // one try follows another at once where the first was from before
		tunnel.Waiting: "connecting", tunnel.Up: "up down", tunnel.Down: "connecting waiting",
	}
	before := tunnel.State("")
	for i, s := range k.states {
		if !strings.Contains(follows[before], string(s.State)) {
			t.Errorf("seed %d: %q follows %q:\n%s", seed, s.State, before, strings.Join(k.log[:i+1], "\n"))
			break
		}
		before = s.State
	}
}
