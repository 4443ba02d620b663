package tunnel

import "time"

// How long a Keeper waits between two tries. In the first minute somebody is
// watching the screen, and most losses heal in seconds; after it the far end is
// down for longer, and many clients wait for it. A refusal does not heal by
// itself, and services lock out who insists.
const (
	firstRetry   = 100 * time.Millisecond
	quickRetry   = 400 * time.Millisecond // at most, while the outage is younger than quickFor
	quickFor     = time.Minute
	slowRetry    = 15 * time.Second // at most, later
	refusedRetry = 30 * time.Second // at most, after a refusal
	steadyAfter  = 3 * time.Second  // a tunnel that lived less long does not end the outage
)

// retryPlan decides how long to wait. It is for one goroutine.
type retryPlan struct {
	jitter  func() float64
	since   time.Time // when the outage began
	upAt    time.Time
	tries   int // since the outage began
	slow    int // of them, after the first minute
	resumed bool
}

// up notes that a tunnel is open.
func (p *retryPlan) up(now time.Time) { p.upAt = now }

// down notes that it is lost. One that was steady begins a new outage, whose first
// try comes at once; one that was not belongs to the outage before it, or a service
// that takes us in and throws us out would be called without a pause.
func (p *retryPlan) down(now time.Time) {
	if now.Sub(p.upAt) >= steadyAfter {
		p.restart(now)
	}
}

// restart begins a new outage, whose first try comes at once.
func (p *retryPlan) restart(now time.Time) {
	p.since, p.tries, p.slow, p.resumed = now, 0, 0, true
}

// next is the pause before the next try, between half and the whole of its step.
func (p *retryPlan) next(now time.Time, refused bool) time.Duration {
	if p.resumed && !refused {
		p.resumed = false
		return 0
	}
	p.resumed = false
	step := min(firstRetry<<min(p.tries, 8), quickRetry)
	if now.Sub(p.since) >= quickFor {
		step = min(time.Second<<min(p.slow, 8), slowRetry)
		p.slow++
	}
	if refused {
		step = refusedRetry
	}
	p.tries++
	return step/2 + time.Duration(p.jitter()*float64(step/2))
}
