package replay

import (
	"context"
	"sync"

	"github.com/slackdev/slackdev/inspector"
)

// Series calls one as often as times says, at most concurrency of them at a time,
// and done with the outcome of each in the order in which they end. An outcome with
// an error does not end the series; an error from done does, and so does ctx, once
// those that have begun have ended. done is called by one goroutine at a time. It
// gives done's error, or why ctx ended before all were sent.
func Series(
	ctx context.Context, times, concurrency int,
	one func(context.Context) (inspector.ID, error), done func(inspector.ID, error) error,
) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	type outcome struct {
		id  inspector.ID
		err error
	}
	turns, outcomes := make(chan struct{}), make(chan outcome)
	var workers sync.WaitGroup
	for range min(max(concurrency, 1), times) {
		workers.Go(func() {
			for range turns {
				id, err := one(ctx)
				outcomes <- outcome{id, err}
			}
		})
	}
	workers.Go(func() {
		defer close(turns)
		for range times {
			if ctx.Err() != nil { // select would toss a coin
				return
			}
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	})
	go func() { // it has ended when outcomes is closed, which the loop below waits for
		workers.Wait()
		close(outcomes)
	}()

	sent := 0
	var failed error
	for o := range outcomes {
		if sent++; failed != nil {
			continue
		}
		if failed = done(o.id, o.err); failed != nil {
			stop(failed)
		}
	}
	if failed == nil && sent < times {
		return context.Cause(ctx)
	}
	return failed
}
