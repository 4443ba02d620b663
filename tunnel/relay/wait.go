package relay

import (
	"slices"
	"time"
)

// A request whose channel is not there yet waits in the queue of its name, in the
// order in which the requests came. If the name has a tunnel, that one's next
// channel is for the first that can use it. If it has none the requests are held,
// for Limits.Hold at the most, and the tunnel that takes the name finds them there.
// Nobody blocks meanwhile: the visitor's goroutine goes on reading its connection.

// take gives x a channel of n's tunnel, or neither if x waits.
func (n *name) take(x *exchange) (*channel, *refusal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.live.Load()
	switch {
	case x.isAborted():
		return nil, noAnswer() // to nobody
	case t == nil:
		if r := n.hold(x); r != nil {
			return nil, r
		}
	case x.barredFrom(t):
		return nil, noAnswer()
	default:
		if r := x.admit(n, t.rules); r != nil { // they may have changed on the way
			return nil, r
		}
		c := t.idleFor(x)
		if c != nil {
			c.give(x)
			t.open()
			return c, nil
		}
		x.until = time.Now().Add(t.client.s.limits.Open)
		if t.agreed() {
			x.retain() // before more of it comes
		}
	}
	at := len(n.waiting)
	for at > 0 && n.waiting[at-1].seq > x.seq {
		at--
	}
	n.waiting = slices.Insert(n.waiting, at, x)
	x.waits = true
	n.arm()
	if t != nil {
		t.open()
	}
	return nil, nil
}

// hold finds room for x, which waits, or is about to, while there is no tunnel. The
// caller holds mu.
func (n *name) hold(x *exchange) *refusal {
	s := x.v.s
	now := time.Now()
	if x.heldFrom.IsZero() {
		x.heldFrom = now
	}
	x.until = x.heldFrom.Add(s.limits.Hold)
	switch {
	case s.isStopping():
		return x.unless(stopping())
	case !now.Before(x.until): // or nothing is held
		return x.unless(n.absent(max(0, s.limits.Hold)))
	case n.held >= s.limits.HoldRequests, !x.retain():
		return x.unless(holdFull())
	case s.held.Add(1) > int64(s.limits.HoldTotal):
		s.held.Add(-1)
		return x.unless(holdFull())
	}
	n.held++
	x.held = true
	return nil
}

// absent is what is said of a request that was held for so long. The caller holds mu.
func (n *name) absent(held time.Duration) *refusal {
	if !n.claimed {
		return unknownName()
	}
	return tunnelDown(held)
}

// vacate frees the place of x among those that are held, though it may still wait:
// its visitor has ended its side, and may have left.
func (n *name) vacate(x *exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unhold(x)
}

// unhold is the opposite of hold. The caller holds mu.
func (n *name) unhold(x *exchange) {
	if x.held {
		x.held = false
		n.held--
		x.v.s.held.Add(-1)
	}
}

// remove takes x off the queue. It reports false if it was not there, and so is
// somebody else's. The caller holds mu.
func (n *name) remove(x *exchange) bool {
	if !x.waits {
		return false
	}
	x.waits = false
	n.unhold(x)
	i := slices.Index(n.waiting, x)
	n.waiting = slices.Delete(n.waiting, i, i+1)
	if len(n.waiting) == 0 {
		n.timer.Stop()
	}
	return true
}

// withdraw takes x off the queue if it is there, and still the exchange of that number.
func (n *name) withdraw(x *exchange, number int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	x.mu.Lock()
	same := x.number == number
	x.mu.Unlock()
	return same && n.remove(x)
}

// next takes the first off the queue that can use c. The caller holds mu.
func (n *name) next(c *channel) *exchange {
	for _, x := range n.waiting {
		if !x.fresh || !c.used {
			n.remove(x)
			return x
		}
	}
	return nil
}

// turnAway ends those in the queue for which why gives a reason. The caller holds mu.
func (n *name) turnAway(why func(*exchange) *refusal) (away int) {
	for _, x := range slices.Clone(n.waiting) {
		if r := why(x); r != nil {
			n.remove(x)
			x.v.s.tasks.Go(func() { x.fail(nil, r) })
			away++
		}
	}
	return away
}

// arm has expire called when the first has waited long enough. The caller holds mu.
func (n *name) arm() {
	if len(n.waiting) == 0 {
		return
	}
	first := slices.MinFunc(n.waiting, func(a, b *exchange) int { return a.until.Compare(b.until) })
	if n.timer == nil {
		n.timer = time.AfterFunc(time.Until(first.until), n.expire)
	} else {
		n.timer.Reset(time.Until(first.until))
	}
}

// expire turns away those that have waited long enough.
func (n *name) expire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, down := time.Now(), n.live.Load() == nil
	n.turnAway(func(x *exchange) *refusal {
		switch {
		case now.Before(x.until):
			return nil
		case down:
			return x.unless(n.absent(x.v.s.limits.Hold))
		}
		return x.unless(noApp())
	})
	n.arm()
}

// up makes t the tunnel of n, and gives the one before. Those that wait do so for
// channels of t, once it is ready.
func (n *name) up(t *tunnel) (before *tunnel) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, n.claimed = n.live.Swap(t), true
	n.turnAway(func(x *exchange) *refusal {
		if x.barredFrom(t) {
			return noAnswer()
		}
		if r := x.admit(n, t.rules); r != nil {
			return r
		}
		n.unhold(x)
		x.until = time.Now().Add(t.client.s.limits.Open)
		return nil
	})
	n.arm()
	return before
}

// down ends t's hold on n. It reports false if n has another tunnel. Those that wait
// are held.
func (n *name) down(t *tunnel) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.live.CompareAndSwap(t, nil) {
		return false
	}
	n.turnAway(n.hold)
	n.arm()
	return true
}

// endHold turns away those that are held: the relay stops.
func (n *name) endHold() (away int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.live.Load() != nil {
		return 0
	}
	return n.turnAway(func(x *exchange) *refusal { return x.unless(stopping()) })
}

// retain is keep for one that waits.
func (x *exchange) retain() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.keep()
}

// unless gives r, or what is said of a request that the app may have acted on, and
// that nobody should be asked to send again.
func (x *exchange) unless(r *refusal) *refusal {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.taken && !x.idempotent {
		return noAnswer()
	}
	return r
}
