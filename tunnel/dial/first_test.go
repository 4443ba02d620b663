package dial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slackdev/slackdev/tunnel/dial"
)

// ports is a network on which nothing takes time but what is told to.
type ports map[string]port

// port is what happens behind one address.
type port struct {
	connects time.Duration // after which it connects
	fails    error         // or fails
	greets   time.Duration // after which it says the greeting; 0: never
	says     string        // in place of it, at once
}

// dialled is when which address was tried, and which connections were closed.
type dialled struct {
	begin time.Time

	mu     sync.Mutex // guards what follows
	log    []string
	closed []string
}

func (d *dialled) note(list *[]string, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*list = append(*list, text)
}

// dial is the Func of these ports.
func (p ports) dial(d *dialled) dial.Func {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		d.note(&d.log, addr+" "+time.Since(d.begin).String())
		at := p[addr]
		select {
		case <-time.After(at.connects):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if at.fails != nil {
			return nil, at.fails
		}
		near, far := net.Pipe()
		go func() {
			switch {
			case at.says != "":
				_, _ = io.WriteString(far, at.says)
			case at.greets > 0:
				<-time.After(at.greets)
				_, _ = io.WriteString(far, greeting)
			}
			_, _ = io.Copy(io.Discard, far)
			d.note(&d.closed, addr)
		}()
		return near, nil
	}
}

func TestFirst(t *testing.T) {
	const ms = time.Millisecond
	refused := errors.New("connection refused")
	for name, tc := range map[string]struct {
		ports  ports
		within time.Duration // of the caller's context; 0: a minute
		won    string
		took   time.Duration
		log    []string
		err    string
	}{
		"the first one answers": {
			ports: ports{"a:22": {connects: 50 * ms, greets: 50 * ms}, "a:443": {greets: ms}},
			won:   "a:22", took: 100 * ms, log: []string{"a:22 0s"},
		},
		"the first one fails, and gives its start away": {
			ports: ports{"a:22": {connects: 50 * ms, fails: refused}, "a:443": {connects: 50 * ms, greets: 50 * ms}},
			won:   "a:443", took: 150 * ms, log: []string{"a:22 0s", "a:443 50ms"},
		},
		"the first one is dropped on the way": {
			ports: ports{"a:22": {connects: time.Hour}, "a:443": {connects: 50 * ms, greets: 50 * ms}},
			won:   "a:443", took: 1600 * ms, log: []string{"a:22 0s", "a:443 1.5s"},
		},
		"the first one takes the connection and says nothing": {
			ports: ports{"a:22": {connects: 50 * ms}, "a:443": {connects: 50 * ms, greets: 50 * ms}},
			won:   "a:443", took: 1600 * ms, log: []string{"a:22 0s", "a:443 1.5s"},
		},
		"the first one says something else": {
			ports: ports{"a:22": {connects: 50 * ms, says: "HTTP/1.1 400 Bad Request\r\n" + strings.Repeat("x", 5000)}, "a:443": {connects: 50 * ms, greets: 50 * ms}},
			won:   "a:443", took: 150 * ms, log: []string{"a:22 0s", "a:443 50ms"},
		},
		"the first one is slower than its start, and faster than the second": {
			ports: ports{"a:22": {connects: 1700 * ms, greets: 50 * ms}, "a:443": {connects: 500 * ms}},
			won:   "a:22", took: 1750 * ms, log: []string{"a:22 0s", "a:443 1.5s"},
		},
		"both at the same moment": {
			ports: ports{"a:22": {connects: 1500 * ms, greets: 100 * ms}, "a:443": {greets: 100 * ms}},
			took:  1600 * ms, log: []string{"a:22 0s", "a:443 1.5s"},
		},
		"a banner comes before the greeting": {
			ports: ports{"a:22": {says: "welcome\r\nto us\r\n" + greeting}},
			won:   "a:22", took: 0, log: []string{"a:22 0s"},
		},
		"nobody is there": {
			ports: ports{"a:22": {connects: 50 * ms, fails: refused}, "a:443": {connects: 50 * ms, fails: errors.New("no route to host")}},
			took:  100 * ms, log: []string{"a:22 0s", "a:443 50ms"}, err: "connection refused; no route to host",
		},
		"nobody is there, for one reason": {
			ports: ports{"a:22": {fails: refused}, "a:443": {fails: refused}},
			log:   []string{"a:22 0s", "a:443 0s"}, err: "connection refused",
		},
		"nobody says anything": {
			ports: ports{"a:22": {}, "a:443": {}},
			took:  6500 * ms, log: []string{"a:22 0s", "a:443 1.5s"},
			err: "look for SSH at a:22: no answer within 5s; look for SSH at a:443: no answer within 5s",
		},
		"the caller has no more time": {
			ports: ports{"a:22": {}, "a:443": {connects: time.Hour}}, within: 2 * time.Second,
			took: 2 * time.Second, log: []string{"a:22 0s", "a:443 1.5s"},
			err: "look for SSH at a:22: time is up",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tc.within == 0 {
					tc.within = time.Minute
				}
				ctx, cancel := context.WithTimeoutCause(t.Context(), tc.within, errors.New("time is up"))
				defer cancel()
				d := &dialled{begin: time.Now()}
				c, won, err := dial.First(ctx, tc.ports.dial(d), "tcp", "a:22", "a:443")
				took := time.Since(d.begin)
				synctest.Wait()
				if took != tc.took || !slices.Equal(d.log, tc.log) || text(err) != tc.err {
					t.Errorf("took %v and tried %q, %v; want %v, %q, %s", took, d.log, err, tc.took, tc.log, tc.err)
				}
				if err != nil {
					return
				}
				if tc.won != "" && won != tc.won {
					t.Errorf("won: got %s, want %s", won, tc.won)
				}
				if slices.Contains(d.closed, won) {
					t.Error("the winner was closed")
				}
				said := make([]byte, 1<<10)
				n, err := c.Read(said)
				if !strings.HasSuffix(string(said[:n]), greeting) {
					t.Errorf("read again: got %q, %v", said[:n], err)
				}
				_ = c.Close()
				synctest.Wait() // or the bubble would see who lost and was not closed
			})
		})
	}
}

// With one address nothing is waited for: not even whether anybody speaks.
func TestFirstOfOneOnlyDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dialled{begin: time.Now()}
		c, won, err := dial.First(t.Context(), ports{"a:22": {}}.dial(d), "tcp", "a:22")
		if err != nil || won != "a:22" || time.Since(d.begin) != 0 {
			t.Fatalf("got %s, %v after %v", won, err, time.Since(d.begin))
		}
		_ = c.Close()
	})
}

// What will not change at one address may still at the other.
func TestRefusalNeedsAllAddresses(t *testing.T) {
	never, later := &dial.Error{Err: errors.New("never"), Refused: true}, &dial.Error{Err: errors.New("later")}
	for name, tc := range map[string]struct {
		first, second error
		want          bool
	}{
		"both":       {never, fmt.Errorf("jump host: %w", never), true},
		"the first":  {never, later, false},
		"the second": {later, never, false},
		"neither":    {later, errors.New("connection refused"), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &dialled{begin: time.Now()}
			_, _, err := dial.First(t.Context(), ports{"a:22": {fails: tc.first}, "a:443": {fails: tc.second}}.dial(d), "tcp", "a:22", "a:443")
			if got := dial.Refusal(err) != nil; got != tc.want || !errors.Is(err, tc.first) || !errors.Is(err, tc.second) {
				t.Errorf("%s: got %v for %v", name, got, err)
			}
		})
	}
	if dial.Refusal(never) != never || dial.Refusal(later) != nil || dial.Refusal(nil) != nil {
		t.Error("of one address, that one counts")
	}
}
