package proxy

import (
	"context"
	"sync"
	"time"
)

// patience is a context that ends after the time that a record may take. It is not
// the request's: when Slack hangs up, the record is not lost. The clock starts with
// the first who waits, which hardly ever happens and is not worth a timer a request.
type patience struct {
	once sync.Once
	ctx  context.Context // made when somebody waits
	stop context.CancelFunc
}

var _ context.Context = (*patience)(nil)

// Done starts the clock.
func (p *patience) Done() <-chan struct{} {
	p.once.Do(func() { p.ctx, p.stop = context.WithTimeout(context.Background(), saving) })
	return p.ctx.Done()
}

// Err gives the reason once the time is up.
func (p *patience) Err() error {
	if p.ctx == nil {
		return nil
	}
	return p.ctx.Err()
}

// Deadline gives none: it is not known before somebody waits.
func (p *patience) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value gives nothing.
func (p *patience) Value(any) any { return nil }

// end lets go of the clock.
func (p *patience) end() {
	if p.stop != nil {
		p.stop()
	}
}
