package relay

import (
	"errors"
	"sync"
	"time"
)

const (
	maxInformational = 16 // answers of status 1xx before the answer
	keptScratch      = 16 << 10
	// grace is for how long an answer that is complete waits for the end of its
	// request, before the relay takes it for an answer that did not need it.
	grace = 250 * time.Millisecond
)

// exchange is a request and its answer on their way. A visitor has one, which it
// uses again and again.
//
// The visitor's goroutine begins it and then leaves the answer, all writing to the
// visitor, and the end to the goroutine of the channel that it was given. That one
// sends to done exactly once, and touches nothing after that. While a goroutine
// writes the request into a channel, the end of that channel is its business.
type exchange struct {
	v          *visitor
	q          request // the visitor's goroutine only
	asked      asked
	persistent bool
	switching  bool
	name       *name
	pass       pass   // of those who need one: see admit
	out        []byte // what was sent at once; kept to be sent again
	whole      bool   // that is all of the request
	number     int    // of the visitor's exchanges
	idempotent bool   // may be sent again
	moves      int    // to channels after the first
	began      bool   // something of the answer was written
	reply      reply  // the channel's goroutine only, like began
	scratch    []byte

	done     chan bool     // says whether the visitor's connection goes on
	ended    time.Time     // when that was sent
	wrote    chan struct{} // has room for one: sent with each change of writing to false
	sent     chan struct{} // closed when the request is sent; nil if whole
	switches chan struct{} // closed when the protocol has changed; nil if that cannot be
	pumped   chan struct{} // closed when the visitor has nothing more to say, then
	watch    *time.Timer   // ends it when both ends are silent, then

	mu      sync.Mutex // guards the rest, and number
	on      *channel   // nil when it is over, and between two channels
	writing bool       // the request, or its beginning, into on
	heard   bool       // some of an answer has come on it
	dead    bool       // it has ended while writing, and nothing has come
	aborted bool
	why     *refusal // of the abort; nil: the visitor has left
}

// begin makes x the exchange of the request in x.q. body is what of its body is
// there already, and whole says that this is all.
func (x *exchange) begin(whole bool, body []byte) {
	x.asked, x.persistent, x.switching = x.q.asked(), x.q.persistent(), x.q.switching
	x.out = append(x.q.appendTo(x.out[:0], x.v.stamp), body...)
	x.idempotent = x.q.idempotent()
	x.whole, x.moves, x.began = whole, 0, false
	x.sent, x.switches, x.pumped = nil, nil, nil
	if !whole {
		x.sent = make(chan struct{})
	}
	if x.switching {
		x.switches, x.pumped = make(chan struct{}), make(chan struct{})
	}
	x.mu.Lock()
	x.number++
	x.aborted, x.why, x.on = false, nil, nil
	x.mu.Unlock()
}

// give makes c the channel of x. Whoever calls for it must call moveTo.
func (x *exchange) give(c *channel) {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.wrote: // of the channel before
	default:
	}
	x.on, x.writing, x.heard, x.dead = c, true, false, false
}

// moveTo sends the request, or its beginning, into c, or into another channel if c
// has ended. It gives the channel that took it, or nil if it has ended the exchange.
func (x *exchange) moveTo(c *channel) *channel {
	for c != nil {
		n := 0
		if !x.isAborted() {
			n, _ = c.Write(x.out)
		}
		if !x.wroteTo(n) {
			break
		}
		c = x.moveOn(c, n > 0)
	}
	return c
}

// wroteTo ends the writing, of which n bytes were taken. It says whether that
// was in vain and is the caller's to mend: if not, it is that of the channel's
// goroutine, now or when it sees the end.
func (x *exchange) wroteTo(n int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing = false
	x.wrote <- struct{}{}
	if x.heard || n > 0 && !x.dead {
		return false
	}
	x.on = nil
	return true
}

// lost is called by c's goroutine when c has ended before anything of the answer
// was there.
func (x *exchange) lost(c *channel) {
	c.Close()
	x.mu.Lock()
	theirs := x.on != c || x.writing
	x.dead = x.dead || x.on == c
	x.mu.Unlock()
	if !theirs {
		x.moveTo(x.moveOn(c, true))
	}
}

// moveOn gives x a new channel after c, which has ended, or ends it. If nothing of
// the request was taken any request can be sent again. Otherwise a channel that
// was kept may have been closed by the app just then, but it may also have acted on
// the request: one of which everything is at hand is sent again, once, if getting
// it twice does no harm.
func (x *exchange) moveOn(c *channel, taken bool) *channel {
	c.Close()
	again := x.moves <= x.v.s.limits.ChannelsOpened+1 // or a client could keep it moving for ever
	if taken {
		again = again && x.idempotent && x.whole && c.used
	}
	if !again || x.isAborted() {
		x.fail(nil, noAnswer())
		return nil
	}
	x.moves++
	next, r := x.name.acquire(x, (*tunnel).acquireFresh)
	if r != nil {
		x.fail(nil, r)
	}
	return next
}

func (x *exchange) channel() *channel {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.on
}

// abort ends the exchange of that number, if it is still under way: nobody will
// answer it but the relay with r, or nobody at all if r is nil.
func (x *exchange) abort(number int, r *refusal) {
	x.mu.Lock()
	if x.number != number || x.aborted {
		x.mu.Unlock()
		return
	}
	x.aborted, x.why = true, r
	c := x.on
	x.mu.Unlock()
	if c != nil {
		c.Close()
	}
}

// fail ends the exchange with r, or, if some of an answer was written already,
// with a cut.
func (x *exchange) fail(c *channel, r *refusal) {
	if c != nil {
		c.Close()
	}
	x.mu.Lock()
	aborted := x.aborted
	if aborted {
		r = x.why
	}
	x.mu.Unlock()
	keep := false
	switch {
	case r == nil || x.began:
		x.v.cut()
	default:
		keep = x.whole && x.persistent && !aborted && !x.v.s.isStopping()
		var q request
		q.parse(x.out[:headLength(x.out)]) // x.q may have moved
		keep = x.v.write(r.page(x.asked, &q.message, keep)) == nil && keep
	}
	x.finish(keep)
}

// headLength is the length of a head that the relay has written itself.
func headLength(p []byte) int {
	var scan headScan
	n, _ := scan.end(p)
	return n
}

// finish gives the exchange back to the visitor.
func (x *exchange) finish(keep bool) {
	x.mu.Lock()
	writing := x.writing
	x.mu.Unlock()
	if writing { // the channel is closed: it takes no time
		<-x.wrote
	}
	x.mu.Lock()
	x.on = nil
	x.mu.Unlock()
	x.name.busy.Add(-1)
	if cap(x.out) > keptScratch {
		x.out = nil
	}
	if cap(x.scratch) > keptScratch {
		x.scratch = nil
	}
	x.ended = time.Now()
	if !keep {
		x.v.end()
	}
	x.done <- keep
}

// answer passes the answer that has begun to arrive on c. It reports whether c can
// carry another exchange, which it then may do already.
func (x *exchange) answer(c *channel) bool {
	if !x.hear(c) {
		return false
	}
	n, err := x.readReply(c)
	if err != nil {
		x.fail(c, asReplyRefusal(err))
		return false
	}
	if x.reply.status == 101 {
		x.switchProtocols(c, n)
		return false
	}
	b := x.reply.body(x.asked)
	endless := b.kind == untilClose || b.kind == chunked && x.asked.minor == 0
	keep := x.persistent && !endless && !x.v.s.isStopping()
	if err := x.passReply(c, n, &b, keep); err != nil {
		x.fail(c, asReplyRefusal(err))
		return false
	}
	sent := x.isSent()
	again := sent && x.reply.persistent() && b.kind != untilClose && c.in.empty()
	if again {
		c.in.shrink()
		again = c.tunnel.deliver(c)
	}
	if !again {
		c.Close() // also wakes a visitor's goroutine that still sends
	}
	x.finish(keep && sent)
	return again
}

// hear says that some of an answer has come on c. It reports false if x has moved on.
func (x *exchange) hear(c *channel) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.heard = x.heard || x.on == c
	return x.on == c
}

// asReplyRefusal says in the app's place what went wrong with its answer.
func asReplyRefusal(err error) *refusal {
	if errors.Is(err, errCut) {
		return noAnswer()
	}
	return badAnswer()
}

// errCut is an answer that ended too soon.
var errCut = errors.New("the answer was cut short")

// readReply reads heads until that of the answer proper, and gives its length.
// Those of status 1xx are passed at once.
func (x *exchange) readReply(c *channel) (int, error) {
	for range maxInformational {
		n, err := x.readReplyHead(c)
		if err != nil {
			return 0, err
		}
		if x.reply.status >= 200 || x.reply.status == 101 {
			return n, nil
		}
		if x.asked.minor == 1 {
			x.scratch = x.reply.appendTo(x.scratch[:0], x.asked, true)
			if err := x.v.write(x.scratch); err != nil {
				return 0, errCut
			}
		}
		c.in.use(n)
	}
	return 0, errors.New("too many answers of status 1xx")
}

func (x *exchange) readReplyHead(c *channel) (int, error) {
	var scan headScan
	for {
		n, err := scan.end(c.in.bytes())
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return n, x.reply.parse(c.in.bytes()[:n])
		}
		if err := c.in.read(c); err != nil {
			return 0, errCut
		}
	}
}

// passReply passes the answer whose head has n bytes.
func (x *exchange) passReply(c *channel, n int, b *body, keep bool) error {
	head := x.reply.appendTo(x.scratch[:0], x.asked, keep)
	c.in.use(n)
	m, payload, err := x.take(b, c.in.bytes())
	if err != nil {
		return err
	}
	head = append(head, c.in.bytes()[:payload]...)
	c.in.use(m)
	x.scratch, x.began = head, true
	if err := x.v.write(head); err != nil || b.done() {
		return err
	}

	number, limit := x.number, x.v.s.limits.StreamIdle
	silent := time.AfterFunc(limit, func() { x.abort(number, noAnswer()) })
	defer silent.Stop()
	c.in.enlarge()
	for !b.done() {
		silent.Reset(limit)
		if c.in.read(c) != nil {
			if b.kind == untilClose && !x.isAborted() && c.tunnel.client.alive() {
				return nil
			}
			return errCut
		}
		if m, payload, err = x.take(b, c.in.bytes()); err != nil {
			return err
		}
		if err := x.v.write(c.in.bytes()[:payload]); err != nil {
			return err
		}
		c.in.use(m)
	}
	return nil
}

// take says how many of the bytes in p, which come next, belong to the body, and
// how many at the front of p are then to be written.
func (x *exchange) take(b *body, p []byte) (taken, payload int, err error) {
	if x.asked.minor == 0 {
		return b.unwrap(p)
	}
	taken, err = b.take(p)
	return taken, taken, err
}

func (x *exchange) isAborted() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.aborted
}

// isSent says whether all of the request was sent. An app may have read it all and
// answered before the visitor's goroutine can say so.
func (x *exchange) isSent() bool {
	over := x.sent
	if x.whole {
		x.mu.Lock()
		writing := x.writing
		x.mu.Unlock()
		if !writing {
			return true
		}
		over = x.wrote
	}
	select {
	case <-over:
		return true
	default:
	}
	limit := time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-over:
		return true
	case <-limit.C:
		return false
	}
}

// switchProtocols passes the answer 101, whose head has n bytes, and then whatever
// comes, until both ends have had their say.
func (x *exchange) switchProtocols(c *channel, n int) {
	if !x.switching {
		x.fail(c, badAnswer())
		return
	}
	limit, v := x.v.s.limits.StreamIdle, x.v
	x.watch = time.AfterFunc(limit, func() { v.net.Close(); c.Close() })
	defer x.watch.Stop()
	x.began = true
	x.scratch = x.reply.appendTo(x.scratch[:0], x.asked, true)
	c.in.use(n)
	err := v.write(x.scratch)
	close(x.switches)
	for err == nil {
		if !c.in.empty() {
			err = v.write(c.in.bytes())
			c.in.use(len(c.in.bytes()))
			x.watch.Reset(limit)
			continue
		}
		if c.in.read(c) != nil {
			break
		}
	}
	v.closeWrite()
	if err == nil {
		select {
		case <-x.pumped:
		case <-c.gone:
		}
	}
	c.Close()
	x.finish(false)
}
