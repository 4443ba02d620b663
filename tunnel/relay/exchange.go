package relay

import (
	"bytes"
	"slices"
	"sync"
	"time"
)

const (
	keptScratch = 16 << 10
	// maxMoves is how often a request goes to another channel, so that a client
	// cannot keep it moving for ever.
	maxMoves = 16
)

// exchange is a request and its answer on their way. A visitor has one, which it
// uses again and again.
//
// One goroutine at a time owns it. The visitor's begins it, and places it: from then
// on it belongs to the goroutine of the channel that it was given, or to the queue
// of its name, and so to whoever takes it off that. The owner alone answers the
// visitor, moves the exchange to another channel, and ends it: it sends to done
// exactly once, and touches nothing after that.
//
// Whoever sets writing writes the request into the channel. All the while the
// visitor's goroutine adds to the request what still comes of its body.
type exchange struct {
	v          *visitor
	q          request // the visitor's goroutine only
	asked      asked
	persistent bool
	switching  bool
	pass       pass   // of those who need one: see admit; the visitor's goroutine's, then name.mu's
	idempotent bool   // may be sent again to an app that has seen it
	large      bool   // it says itself that Limits.Replay has no room for it
	seq        uint64 // which of the relay's requests it is

	// The owner's.
	moves   int     // to channels after the first
	fresh   bool    // needs a channel that no request has used
	heard   bool    // some of an answer has come on the channel
	began   bool    // and was passed to the visitor
	passed  passed  // how much
	diedOn  *tunnel // whose channel has ended with the request on it
	reply   reply
	scratch []byte

	// Guarded by name.mu.
	waits    bool      // is in the queue
	held     bool      // and counted there: there is no tunnel
	heldFrom time.Time // since when; zero if it has not been held since it last had a channel
	until    time.Time // for how long it waits

	done     chan bool     // says whether the visitor's connection goes on
	ended    time.Time     // when that was sent
	switches chan struct{} // closed when the protocol has changed; nil if that cannot be
	pumped   chan struct{} // closed when the visitor has nothing more to say, then
	watch    *time.Timer   // ends it when both ends are silent, then

	mu      sync.Mutex // guards the rest
	turn    sync.Cond  // with mu: on, writing or over has changed
	number  int        // of the visitor's exchanges
	name    *name      // nil until it is found
	out     []byte     // the request as it is sent, as far as it has come; or only its head, if dropped
	id      span       // where in out the field is, or would be, that has its ID
	sent    int        // of out, into on
	whole   bool       // nothing more of the request will come
	dropped bool       // out has no longer all that was sent
	kept    bool       // out has, and is counted for it
	counted int        // bytes of out that are in server.kept
	on      *channel   // nil when it is over, and between two channels
	writing bool       // somebody writes into on, or is about to
	taken   bool       // some channel has taken a byte of the request
	over    bool
	aborted bool
	why     *refusal // of the abort; nil: the visitor has left
}

// begin makes x the exchange of the request in x.q. b is what is still to come of
// its body, and body what is there already.
func (x *exchange) begin(b *body, body []byte) {
	x.asked, x.persistent, x.switching, x.idempotent = x.q.asked(), x.q.persistent(), x.q.switching, x.q.idempotent()
	x.seq = x.v.s.requests.Add(1)
	x.heldFrom, x.pass = time.Time{}, pass{}
	x.moves, x.fresh, x.heard, x.began, x.passed, x.diedOn = 0, false, false, false, passed{}, nil
	x.switches, x.pumped = nil, nil
	if x.switching {
		x.switches, x.pumped = make(chan struct{}), make(chan struct{})
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out = x.q.appendTo(x.out[:0], x.v.stamp)
	x.id.from = int32(len(x.out)) - 2
	x.id.to = x.id.from
	x.out = append(x.out, body...)
	x.large = b.kind == sized && b.left > int64(x.v.s.limits.Replay-len(x.out))
	x.number++
	x.name, x.on, x.sent, x.whole = nil, nil, 0, b.done()
	x.dropped, x.kept, x.taken, x.over, x.aborted, x.why = false, false, false, false, false, nil
}

// head is the head of the request as it is sent. The caller holds mu.
func (x *exchange) head() []byte { return x.out[:x.id.to+2] }

// place gives x to a channel, or to the queue of its name, or ends it.
func (x *exchange) place() {
	switch c, r := x.name.take(x); {
	case c != nil:
		x.moveTo(c)
	case r != nil:
		x.fail(nil, r)
	}
}

// give is the exchange's part of channel.give.
func (x *exchange) give(c *channel) {
	x.heldFrom = time.Time{}
	x.mu.Lock()
	x.on, x.writing, x.sent = c, true, 0
	x.mu.Unlock()
	x.turn.Broadcast()
}

// moveTo sends what there is of the request into c, which it was given. If that
// fails, c's goroutine will find out.
func (x *exchange) moveTo(c *channel) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c.tunnel.agreed() {
		x.keep()
	}
	var room [maxIDField]byte
	id := c.tunnel.appendID(room[:0], x.seq)
	x.out = slices.Replace(x.out, int(x.id.from), int(x.id.to), id...)
	x.id.to = x.id.from + int32(len(id))
	x.send(c)
}

// send sends what is in out and was not sent. The caller has set writing, which
// send unsets, and holds mu, which send lets go while it writes.
func (x *exchange) send(c *channel) {
	var err error
	if x.aborted {
		err = errCut
	}
	for err == nil && x.sent < len(x.out) {
		n, rest := 0, x.out[x.sent:]
		x.mu.Unlock()
		n, err = c.Write(rest)
		x.mu.Lock()
		x.sent += n
		x.taken = x.taken || n > 0
	}
	x.endWriting(c, err)
}

// endWriting lets the next one write. The caller holds mu.
func (x *exchange) endWriting(c *channel, err error) {
	x.writing = false
	x.turn.Broadcast()
	if err != nil {
		x.mu.Unlock()
		c.Close()
		x.mu.Lock()
	}
}

// push adds p, which is the next of the body, to the request. What is kept is sent
// by whoever writes just then, or gives x a channel; what cannot be kept waits for
// a channel here. stuck is set while the channel may be what push waits for. It
// reports false if no more is needed.
func (x *exchange) push(p []byte, stuck *time.Timer) bool {
	limit := x.v.s.limits.BodyIdle
	defer stuck.Stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.grow(p) {
		if x.on != nil && !x.writing {
			x.writing = true
			stuck.Reset(limit)
			x.send(x.on)
		}
		return !x.over
	}
	for !x.over && x.on == nil {
		x.turn.Wait()
	}
	stuck.Reset(limit)
	for !x.over && (x.on == nil || x.writing || x.sent < len(x.out)) {
		x.turn.Wait()
	}
	if x.over {
		return false
	}
	x.drop()
	x.writing = true
	c := x.on
	x.mu.Unlock()
	_, err := c.Write(p)
	x.mu.Lock()
	x.endWriting(c, err)
	return err == nil // else c's goroutine knows, or will
}

// pushed says that nothing more of the request will come.
func (x *exchange) pushed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.whole = true
	x.turn.Broadcast()
}

// lost is called by the owner, c's goroutine, when c has ended before the answer was
// complete: x goes to another channel, or ends.
func (x *exchange) lost(c *channel) {
	c.Close()
	x.mu.Lock()
	for x.writing { // into a channel that has ended: it takes no time
		x.turn.Wait()
	}
	x.on = nil
	x.mu.Unlock()
	if x.isAborted() || !x.mayMove(c) {
		x.fail(nil, noAnswer())
		return
	}
	x.moves++
	x.fresh, x.heard = true, false
	x.place()
}

// mayMove says whether x can be sent again after c has ended. If no channel has
// taken a byte of it any request can. If some has, the app may have acted on it.
//
// A far end with which IDs are agreed tells a request that it has had before, so
// that any can be sent again that was kept, unless the visitor has some of an answer
// that does not say how long it is. It goes once to a tunnel that lives: it may be
// the request that ends the channel.
//
// With others, a channel that was kept may have been closed by the app just then: a
// request of which everything is at hand is sent again, once, if getting it twice
// does no harm.
func (x *exchange) mayMove(c *channel) bool {
	x.mu.Lock()
	taken, kept, all := x.taken, x.kept, x.whole && !x.dropped
	x.mu.Unlock()
	switch t := c.tunnel; {
	case x.moves == maxMoves:
		return false
	case !taken:
		return !x.heard
	case t.agreed() && kept && (!x.began || x.passed.size > 0):
		if x.diedOn == t {
			if t.client.alive() {
				return false
			}
			t.leave() // the connection has ended, and this is the first to know
		}
		x.diedOn = t
		return true
	}
	return x.idempotent && all && c.used && !x.heard
}

// barredFrom says whether x must not go to t: it was sent to another tunnel, and t
// could not know.
func (x *exchange) barredFrom(t *tunnel) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.taken && !t.agreed() && (!x.idempotent || x.began)
}

func (x *exchange) channel() *channel {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.on
}

func (x *exchange) isAborted() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.aborted
}

// abort ends the exchange of that number, if it is still under way: nobody will
// answer it but the relay with r, or nobody at all if r is nil.
func (x *exchange) abort(number int, r *refusal) {
	x.mu.Lock()
	if x.number != number || x.aborted || x.over {
		x.mu.Unlock()
		return
	}
	x.aborted, x.why = true, r
	c, n := x.on, x.name
	x.mu.Unlock()
	switch {
	case c != nil:
		c.Close()
	case n.withdraw(x, number):
		x.fail(nil, r)
	} // else it is between the two, and will see that it is aborted
}

// fail ends the exchange with r, or, if some of an answer was written already,
// with a cut.
func (x *exchange) fail(c *channel, r *refusal) {
	if c != nil {
		c.Close()
	}
	x.mu.Lock()
	aborted, whole, head := x.aborted, x.whole, x.head()
	if aborted {
		r = x.why
	}
	x.mu.Unlock()
	keep := false
	if r == nil || x.began {
		x.v.cut()
	} else {
		keep = whole && x.persistent && !aborted && !x.v.s.isStopping()
		var q request
		q.parse(head) // x.q may have moved
		keep = x.v.write(r.page(x.asked, &q.message, keep)) == nil && keep
	}
	x.finish(keep)
}

// finish gives the exchange back to the visitor.
func (x *exchange) finish(keep bool) {
	x.mu.Lock()
	for x.writing { // the channel is closed: it takes no time
		x.turn.Wait()
	}
	x.on, x.over = nil, true
	x.forget()
	if cap(x.out) > keptScratch {
		x.out = nil
	}
	x.mu.Unlock()
	x.turn.Broadcast()
	x.name.busy.Add(-1)
	if cap(x.scratch) > keptScratch {
		x.scratch = nil
	}
	x.ended = time.Now()
	if !keep {
		x.v.end()
	}
	x.done <- keep
}

// keep counts what there is of the request, so that it can be sent again until it is
// answered. It reports false if there is no room. The caller holds mu.
func (x *exchange) keep() bool {
	if x.counted == 0 && !x.count(len(x.out)) {
		return false
	}
	x.kept = !x.large && !x.dropped && len(x.out) <= x.v.s.limits.Replay
	return true
}

// grow adds p to a request that is kept. If there is no room the request is no
// longer kept, and grow reports false. The caller holds mu.
func (x *exchange) grow(p []byte) bool {
	x.kept = x.kept && !x.over && len(x.out)+len(p) <= x.v.s.limits.Replay && x.count(len(p))
	if x.kept {
		x.out = append(x.out, p...)
	}
	return x.kept
}

func (x *exchange) count(n int) bool {
	s := x.v.s
	if s.kept.Add(int64(n)) > int64(s.limits.ReplayTotal) {
		s.kept.Add(-int64(n))
		return false
	}
	x.counted += n
	return true
}

// forget counts the request no longer.
func (x *exchange) forget() {
	if x.counted > 0 {
		x.v.s.kept.Add(-int64(x.counted))
		x.counted, x.kept = 0, false
	}
}

// drop lets go of all but the head, before more is sent than is kept. The caller
// holds mu.
func (x *exchange) drop() {
	if !x.dropped {
		x.dropped = true
		x.forget()
		x.out = bytes.Clone(x.head())
		x.sent = len(x.out)
	}
}
