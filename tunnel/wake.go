package tunnel

import "time"

// slept is by how much the wall clock must have jumped for the machine to have been
// asleep.
const slept = 5 * time.Second

// wakeWatch notices that the machine was asleep: its wall clock went on, and the
// monotonic one, by which tickers go, did not. It also notices a process that was
// stopped, and a clock that was set: whoever asks must bear with either. It is for
// one goroutine.
type wakeWatch struct {
	wall func() time.Time
	last time.Time
}

// woken is called at every tick and reports whether more than that has passed.
func (w *wakeWatch) woken() bool {
	now := w.wall()
	gone := now.Round(0).Sub(w.last.Round(0)) // without the monotonic reading
	w.last = now
	return gone > ticking+slept
}
