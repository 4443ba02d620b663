package relay

import (
	"errors"
	"hash/crc32"
	"time"
)

const (
	maxInformational = 16 // answers of status 1xx before the answer
	// wholeAnswer is how long an answer may be for the relay to pass it only when it
	// is complete, where one that is cut can be asked for again. With its head it
	// fits into an inbox.
	wholeAnswer = 64 << 10
	// grace is for how long an answer that is complete waits for the end of its
	// request, before the relay takes it for an answer that did not need it.
	grace = 250 * time.Millisecond
)

// passed is what the visitor has of an answer that says how long it is.
type passed struct {
	status int
	size   int64  // of the whole; 0: it does not say, or nothing was passed
	n      int64  // so much of it was passed
	sum    uint32 // of these
	again  uint32 // the same, of what came of them a second time
}

// errAnother is an answer that is not the one of which the visitor has a part.
var errAnother = errors.New("another answer than the one that was cut")

// errCut is an answer whose channel ended too soon.
var errCut = errors.New("the answer was cut short")

// answer passes the answer that has begun to arrive on c. It reports whether c can
// carry another exchange, which it then may do already.
func (x *exchange) answer(c *channel) bool {
	x.heard = true
	n, err := x.readReply(c)
	if err == nil && x.reply.status == 101 {
		x.switchProtocols(c, n)
		return false
	}
	var b body
	var keep, endless bool
	if err == nil {
		b = x.reply.body(x.asked)
		endless = b.kind == untilClose || b.kind == chunked && x.asked.minor == 0
		keep = x.persistent && !endless && !x.v.s.isStopping()
		err = x.passReply(c, n, &b, keep)
	}
	switch {
	case errors.Is(err, errCut):
		x.lost(c)
		return false
	case err != nil:
		x.fail(c, badAnswer())
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
		if x.asked.minor == 1 && !x.began {
			x.scratch = x.reply.appendTo(x.scratch[:0], x.asked, true)
			if err := x.v.write(x.scratch); err != nil {
				return 0, err
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

// passReply passes the answer whose head has n bytes, or the rest of it if the
// visitor has some already.
func (x *exchange) passReply(c *channel, n int, b *body, keep bool) error {
	if x.began && (x.reply.status != x.passed.status || b.kind != sized || b.left != x.passed.size) {
		return errAnother
	}
	x.passed.again = 0
	x.scratch = x.reply.appendTo(x.scratch[:0], x.asked, keep)
	c.in.use(n)
	least := int64(0)
	if b.kind == sized && b.left <= wholeAnswer && x.repeatable(c) {
		least = b.left
	}
	if err := x.passSome(c, b, least); err != nil || b.done() {
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
		if err := x.passSome(c, b, least); err != nil {
			return err
		}
	}
	return nil
}

// passSome passes what has come of the body, after the head in scratch if that was
// not passed. It waits with both until so many bytes have come.
func (x *exchange) passSome(c *channel, b *body, least int64) error {
	if int64(len(c.in.bytes())) < least && !x.began {
		return nil
	}
	left := b.left
	taken, payload, err := x.take(b, c.in.bytes())
	if err != nil {
		return err
	}
	p := c.in.bytes()[:payload]
	if b.kind == sized {
		x.passed.status, x.passed.size = x.reply.status, max(x.passed.size, left)
		if p = x.passed.rest(p, x.passed.size-left); p == nil {
			return errAnother
		}
	}
	if !x.began {
		x.scratch, x.began = append(x.scratch, p...), true
		p = x.scratch
	}
	if len(p) > 0 {
		err = x.v.write(p)
	}
	c.in.use(taken)
	return err
}

// rest gives what the visitor has not yet of p, which stands at that place in the answer,
// and counts it; nil if what it has is not what has come again. The sum finds other
// answers, not forgeries: both are of the same far end.
func (a *passed) rest(p []byte, at int64) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	if had := min(int64(len(p)), max(0, a.n-at)); had > 0 {
		a.again = crc32.Update(a.again, table, p[:had])
		if at+had == a.n && a.again != a.sum {
			return nil
		}
		p = p[had:]
	}
	a.n += int64(len(p))
	a.sum = crc32.Update(a.sum, table, p)
	return p
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

// repeatable says whether x can be sent again if its answer on c is cut.
func (x *exchange) repeatable(c *channel) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.kept && c.tunnel.agreed()
}

// isSent says whether all of the request was sent. An app may have read it all and
// answered before who has sent it can say so.
func (x *exchange) isSent() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	sent := func() bool { return x.whole && !x.writing && x.sent == len(x.out) }
	if sent() {
		return true
	}
	late := false
	limit := time.AfterFunc(grace, func() {
		x.mu.Lock()
		late = true
		x.mu.Unlock()
		x.turn.Broadcast()
	})
	defer limit.Stop()
	for !sent() && !late {
		x.turn.Wait()
	}
	return sent()
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
