package replay

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

func TestSeriesSendsAsManyAsAskedForAtMostSoManyAtATime(t *testing.T) {
	for name, tc := range map[string]struct {
		times, concurrency int
		want, most         int
		took               time.Duration
	}{
		"none":                    {times: 0, concurrency: 4},
		"less than none":          {times: -3, concurrency: 4},
		"one":                     {times: 1, concurrency: 8, want: 1, most: 1, took: time.Second},
		"one at a time":           {times: 5, concurrency: 0, want: 5, most: 1, took: 5 * time.Second},
		"four at a time":          {times: 10, concurrency: 4, want: 10, most: 4, took: 3 * time.Second},
		"more workers than turns": {times: 3, concurrency: 1_000_000, want: 3, most: 3, took: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var now, most atomic.Int64
				one := func(context.Context) (inspector.ID, error) {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					<-time.After(time.Second)
					now.Add(-1)
					return inspector.ID{1}, nil
				}
				reported, began := 0, time.Now()
				err := Series(t.Context(), tc.times, tc.concurrency, one, func(id inspector.ID, err error) error {
					if id.IsZero() || err != nil {
						t.Errorf("reported %s, %v", id, err)
					}
					reported++
					return nil
				})
				if err != nil || reported != tc.want || most.Load() != int64(tc.most) || time.Since(began) != tc.took {
					t.Errorf("got %d, at most %d at a time, in %v, %v; want %d, %d, %v", reported, most.Load(), time.Since(began), err, tc.want, tc.most, tc.took)
				}
			})
		})
	}
}

func TestSeriesGoesOnAfterAFailure(t *testing.T) {
	failed := errors.New("failed")
	n, outcomes := 0, 0
	err := Series(t.Context(), 4, 1, func(context.Context) (inspector.ID, error) {
		if n++; n == 2 {
			return inspector.ID{}, failed
		}
		return inspector.ID{1}, nil
	}, func(_ inspector.ID, err error) error {
		if errors.Is(err, failed) {
			outcomes += 10
		}
		outcomes++
		return nil
	})
	if err != nil || outcomes != 14 {
		t.Errorf("got %d, %v", outcomes, err)
	}
}

func TestSeriesStops(t *testing.T) {
	enough := errors.New("enough")
	t.Run("when its context ends, with what has begun reported", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reported := 0
		err := Series(ctx, 1000, 2, func(context.Context) (inspector.ID, error) { return inspector.ID{1}, nil },
			func(inspector.ID, error) error {
				if reported++; reported == 3 {
					cancel(enough)
				}
				return nil
			})
		if !errors.Is(err, enough) || reported < 3 || reported > 6 {
			t.Errorf("got %d reports, %v", reported, err)
		}
	})
	t.Run("when the report cannot be taken, the last one too", func(t *testing.T) {
		for _, times := range []int{1, 1000} {
			reported := 0
			err := Series(t.Context(), times, 3, func(context.Context) (inspector.ID, error) { return inspector.ID{1}, nil },
				func(inspector.ID, error) error { reported++; return enough })
			if !errors.Is(err, enough) || reported != 1 {
				t.Errorf("%d times: got %d reports, %v", times, reported, err)
			}
		}
	})
	t.Run("before it begins", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := Series(ctx, 5, 2, func(context.Context) (inspector.ID, error) { t.Error("sent"); return inspector.ID{}, nil },
			func(inspector.ID, error) error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
