package dial

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestInsistentDial(t *testing.T) {
	refused := errors.New("connection refused")
	// lost is a dial whose first packet is lost; answer one that takes its time.
	lost := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	answer := func(d time.Duration, err error) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-time.After(d):
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	for name, tc := range map[string]struct {
		dials []func(context.Context) error // the last one goes on
		took  time.Duration
		err   error
		most  int
	}{
		"at once":                       {dials: []func(context.Context) error{answer(time.Millisecond, nil)}, took: time.Millisecond, most: 1},
		"refused at once":               {dials: []func(context.Context) error{answer(time.Millisecond, refused)}, took: time.Millisecond, err: refused, most: 1},
		"the first is lost":             {dials: []func(context.Context) error{lost, answer(10*time.Millisecond, nil)}, took: 510 * time.Millisecond, most: 2},
		"a slow one beats those after":  {dials: []func(context.Context) error{answer(1200*time.Millisecond, nil), lost}, took: 1200 * time.Millisecond, most: 3},
		"the network is down for 4.8 s": {dials: append(many(lost, 10), answer(0, nil)), took: 5 * time.Second, most: maxDials},
		"then it is refused":            {dials: append(many(lost, 10), answer(0, refused)), took: 5 * time.Second, err: refused, most: maxDials},
		"never":                         {dials: []func(context.Context) error{lost}, took: 15 * time.Second, err: context.DeadlineExceeded, most: maxDials},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
				var mu sync.Mutex
				n, under, most := 0, 0, 0
				dial := insistent(func(ctx context.Context, _, _ string) (net.Conn, error) {
					mu.Lock()
					f := tc.dials[min(n, len(tc.dials)-1)]
					n++
					under++
					most = max(most, under)
					mu.Unlock()
					err := f(ctx)
					mu.Lock()
					under--
					mu.Unlock()
					if err != nil {
						return nil, err
					}
					near, _ := net.Pipe()
					return near, nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				began := time.Now()
				c, err := dial(ctx, "tcp", "x")
				if took := time.Since(began); took != tc.took || !errors.Is(err, tc.err) || (c == nil) != (tc.err != nil) {
					t.Errorf("%v, %v after %v, want %v after %v", c, err, took, tc.err, tc.took)
				}
				synctest.Wait()
				if under != 0 || most > tc.most+1 { // one may set out before the oldest has gone
					t.Errorf("%d are left, %d were under way at once, want 0 and at most %d", under, most, tc.most)
				}
			})
		})
	}
}

func many[T any](v T, n int) (list []T) {
	for range n {
		list = append(list, v)
	}
	return list
}

// Two may connect at once: the one that is not taken is closed.
func TestInsistentDialClosesWhatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var all []net.Conn
		dial := insistent(func(context.Context, string, string) (net.Conn, error) { // for which no context is too late
			near, _ := net.Pipe()
			mu.Lock()
			all = append(all, near)
			mu.Unlock()
			<-time.After(dialAgain + time.Millisecond)
			return near, nil
		})
		c, err := dial(t.Context(), "tcp", "x")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // insistent has waited for all of them
		if len(all) != 2 {
			t.Fatalf("%d dials, want 2", len(all))
		}
		for _, p := range all {
			err := p.SetDeadline(time.Time{})
			if taken := p == c; taken == errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("taken: %v, deadline: %v", taken, err)
			}
			_ = p.Close()
		}
	})
}
