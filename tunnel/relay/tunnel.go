package relay

import (
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// secondOpen is how long after a client has refused its first channel it is asked
// again: it may not have been ready when the forward was granted.
const secondOpen = 100 * time.Millisecond

// tunnel is one forward of one client: where the requests of a name go. It keeps
// channels that are between requests and gives the one that was used last.
type tunnel struct {
	client *client
	bind   wire.ForwardRequest // as it was asked for
	name   *name
	rules  *rules // who may use it; nil: anybody

	mu      sync.Mutex // guards the rest, and every channel.serves
	ended   bool
	idle    []*channel // unused ones first, the one that was used last is last
	waiting []*waiter  // the one that has waited longest is first
	opening int
	opened  bool        // some channel was
	prune   *time.Timer // runs while there are idle channels
}

// waiter is an exchange that needs a channel.
type waiter struct {
	x     *exchange
	fresh bool          // not one that was used
	got   chan *channel // has room for one; nil: the client refuses
}

func (t *tunnel) closed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

// leave ends the tunnel and its hold on the name.
func (t *tunnel) leave() {
	t.client.s.names.leave(t)
	t.close()
}

// close takes no new exchanges. Those that are under way go on.
func (t *tunnel) close() {
	t.mu.Lock()
	idle, waiting := t.idle, t.waiting
	t.ended, t.idle, t.waiting = true, nil, nil
	if t.prune != nil {
		t.prune.Stop()
	}
	t.mu.Unlock()
	for _, w := range waiting {
		w.got <- nil
	}
	for _, c := range idle {
		c.Close()
	}
}

// warm opens channels ahead of need.
func (t *tunnel) warm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open()
}

// open begins to open the channels that are short: for those who wait, and to have
// some ahead. The caller holds t.mu, so that nothing is begun once t has ended.
func (t *tunnel) open() {
	n := len(t.waiting)
	if t.client.ahead {
		n += t.client.s.limits.ChannelsOpened
	}
	for !t.ended && t.opening+len(t.idle) < n {
		t.opening++
		t.client.tasks.Go(t.openOne)
	}
}

// acquire gives x a channel, an idle one or else the first that comes free or is
// opened.
func (t *tunnel) acquire(x *exchange) (*channel, *refusal) {
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return nil, tunnelDown()
	}
	var c *channel
	if last := len(t.idle) - 1; last >= 0 {
		c, t.idle = t.idle[last], t.idle[:last]
		c.give(x)
	}
	return t.await(&waiter{x: x}, c)
}

// acquireFresh gives x a channel that no request has used.
func (t *tunnel) acquireFresh(x *exchange) (*channel, *refusal) {
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return nil, tunnelDown()
	}
	w := &waiter{x: x, fresh: true}
	for i, c := range t.idle {
		if !c.used {
			t.idle = slices.Delete(t.idle, i, i+1)
			c.give(x)
			return t.await(w, c)
		}
	}
	return t.await(w, nil)
}

// await gives c, or what w gets if that is nil, and has opened what is short. The
// caller holds t.mu, which await releases.
func (t *tunnel) await(w *waiter, c *channel) (*channel, *refusal) {
	if c == nil {
		w.got = make(chan *channel, 1)
		t.waiting = append(t.waiting, w)
	}
	t.open()
	t.mu.Unlock()
	if c != nil {
		return c, nil
	}
	limit := time.NewTimer(t.client.s.limits.Open)
	defer limit.Stop()
	select {
	case c = <-w.got:
	case <-limit.C:
		if !t.giveUp(w) {
			c = <-w.got // it has just come
		}
	}
	if c == nil {
		return nil, noApp()
	}
	return c, nil
}

// giveUp takes w off the list. It reports whether w was still on it.
func (t *tunnel) giveUp(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.waiting {
		if t.waiting[i] == w {
			t.waiting = slices.Delete(t.waiting, i, i+1)
			return true
		}
	}
	return false
}

// openOne opens a channel and serves it until it is closed.
func (t *tunnel) openOne() {
	ch, requests, err := t.openChannel()
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) && refused.Reason != ssh.ConnectionFailed && t.neverOpened() {
		select {
		case <-time.After(secondOpen):
			ch, requests, err = t.openChannel()
		case <-t.client.gone:
		}
	}
	if err != nil {
		t.client.s.log.Info("no channel", "name", t.name.label, "err", err)
		t.openFailed()
		return
	}
	c := &channel{Channel: ch, tunnel: t, gone: make(chan struct{}), in: newInbox(&t.client.s.buffers)}
	t.client.tasks.Go(func() {
		ssh.DiscardRequests(requests) // until the channel is closed
		close(c.gone)
	})
	t.mu.Lock()
	t.opening--
	t.opened = true
	t.mu.Unlock()
	if !t.deliver(c) {
		c.Close()
		return
	}
	c.serve()
}

// openChannel opens one, or fails when the connection ends.
func (t *tunnel) openChannel() (ssh.Channel, <-chan *ssh.Request, error) {
	type opened struct {
		ch       ssh.Channel
		requests <-chan *ssh.Request
		err      error
	}
	done := make(chan opened, 1)
	origin := t.client.s.origin
	// Not waited for: OpenChannel has no deadline, and one that begins while the
	// connection ends may never return.
	go func() {
		var o opened
		o.ch, o.requests, o.err = t.client.conn.OpenChannel(wire.ForwardedChannel, ssh.Marshal(wire.ForwardedOpen{
			Addr: t.bind.BindAddr, Port: t.bind.BindPort,
			OriginAddr: origin.IP.String(), OriginPort: uint32(origin.Port),
		}))
		done <- o
	}()
	select {
	case o := <-done:
		return o.ch, o.requests, o.err
	case <-t.client.gone:
		return nil, nil, errors.New("the connection has ended")
	}
}

func (t *tunnel) neverOpened() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.opened
}

// openFailed tells one that waits, unless the openings under way are enough for all.
func (t *tunnel) openFailed() {
	t.mu.Lock()
	t.opening--
	var w *waiter
	if len(t.waiting) > t.opening {
		w, t.waiting = t.waiting[0], t.waiting[1:]
	}
	t.mu.Unlock()
	if w != nil {
		w.got <- nil
	}
}

// deliver gives c to the one that has waited longest, or keeps it. It reports
// false if c is not wanted.
func (t *tunnel) deliver(c *channel) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.serves = nil
	if t.ended {
		return false
	}
	for i, w := range t.waiting {
		if !w.fresh || !c.used {
			t.waiting = slices.Delete(t.waiting, i, i+1)
			c.give(w.x)
			w.got <- c
			return true
		}
	}
	c.since = time.Now()
	if c.used {
		t.idle = append(t.idle, c)
	} else {
		t.idle = slices.Insert(t.idle, 0, c)
	}
	switch {
	case len(t.idle) > 1: // it runs
	case t.prune == nil:
		t.prune = time.AfterFunc(t.client.s.limits.ChannelIdle, t.pruneIdle)
	default:
		t.prune.Reset(t.client.s.limits.ChannelIdle)
	}
	return true
}

// pruneIdle closes the channels that nobody has used for a while.
func (t *tunnel) pruneIdle() {
	keep := t.client.s.limits.ChannelIdle
	var old []*channel
	next := keep
	t.mu.Lock()
	t.idle = slices.DeleteFunc(t.idle, func(c *channel) bool {
		left := keep - time.Since(c.since)
		if left <= 0 {
			old = append(old, c)
			return true
		}
		next = min(next, left)
		return false
	})
	if len(t.idle) > 0 {
		t.prune.Reset(next)
	}
	t.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// channel is a connection to the app behind a tunnel. It carries one exchange at a
// time. A goroutine of its own reads from it; who holds it writes to it.
type channel struct {
	ssh.Channel
	tunnel *tunnel
	in     inbox         // the goroutine's
	gone   chan struct{} // closed when the channel is closed, and not only half
	used   bool          // some request has gone through

	serves *exchange // nil while it is idle; guarded by tunnel.mu
	since  time.Time // when it became idle; guarded by tunnel.mu
}

// give makes c the channel of x. The caller holds tunnel.mu.
func (c *channel) give(x *exchange) {
	c.serves = x
	x.give(c)
}

// serve reads until the channel ends. Bytes that come while it carries no exchange
// would be taken for the answer to the next: they end it.
func (c *channel) serve() {
	defer c.Close()
	for {
		err := c.in.read(c)
		x := c.exchange()
		if x == nil {
			return
		}
		if err != nil {
			x.lost(c)
			return
		}
		c.used = true
		if !x.answer(c) {
			return
		}
	}
}

// exchange gives the one that c carries. If there is none, c is never given to one.
func (c *channel) exchange() *exchange {
	t := c.tunnel
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.serves == nil {
		for i := range t.idle {
			if t.idle[i] == c {
				t.idle = slices.Delete(t.idle, i, i+1)
				break
			}
		}
	}
	return c.serves
}
