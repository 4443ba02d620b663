package dial

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// dialAgain is how long a dial may take before another one sets out beside it.
	dialAgain = 500 * time.Millisecond
	// maxDials is how many may be under way; a link with longer round trips than these
	// take is no link.
	maxDials = 6
)

// insistent dials again while nobody answers. A kernel whose first packet was lost sends
// the next one after 1 s, then 2 s, 4 s, 8 s; so that a network which comes back
// would be noticed as late as that. The first connection and the first error count.
func insistent(dial Func) Func {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		ctx, cancel := context.WithCancel(ctx)
		var dials sync.WaitGroup
		defer dials.Wait()
		defer cancel()
		results := make(chan result)
		again := time.NewTicker(dialAgain)
		defer again.Stop()
		var under []context.CancelFunc
		for {
			if len(under) == maxDials {
				under[0]()
				under = under[1:]
			}
			one, stop := context.WithCancel(ctx)
			under = append(under, stop)
			dials.Go(func() {
				c, err := dial(one, network, addr)
				if err != nil && one.Err() != nil && ctx.Err() == nil {
					return // made room for another
				}
				select {
				case results <- result{c, err}:
				case <-ctx.Done():
					if err == nil {
						_ = c.Close()
					}
				}
			})
			select {
			case r := <-results:
				return r.conn, r.err
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-again.C:
			}
		}
	}
}
