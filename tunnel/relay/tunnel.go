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
	hello  *wire.Hello         // nil if the client has not said it before
	idHead string              // see appendID
	name   *name
	rules  *rules // who may use it; nil: anybody

	// Guarded by name.mu.
	ready   bool // the client knows that it has the forward
	ended   bool
	idle    []*channel // unused ones first, the one that was used last is last
	opening int
	opened  bool        // some channel was
	prune   *time.Timer // runs while there are idle channels
}

// agreed says whether the far end knows requests by their IDs.
func (t *tunnel) agreed() bool { return t.hello != nil }

// isLive says whether t takes exchanges. A newer tunnel of the name may have those that
// wait before t is closed. The caller holds name.mu.
func (t *tunnel) isLive() bool { return !t.ended && t.name.live.Load() == t }

func (t *tunnel) closed() bool {
	t.name.mu.Lock()
	defer t.name.mu.Unlock()
	return t.ended
}

// leave ends the tunnel and its hold on the name. It may be called more than once.
func (t *tunnel) leave() {
	t.close()
	t.client.s.names.leave(t)
}

// close takes no new exchanges. Those that are under way go on.
func (t *tunnel) close() {
	t.name.mu.Lock()
	idle := t.idle
	t.ended, t.idle = true, nil
	if t.prune != nil {
		t.prune.Stop()
	}
	t.name.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

// warm opens channels for those who wait, and some ahead of need. It is called when
// the client was told that it has the forward.
func (t *tunnel) warm() {
	t.name.mu.Lock()
	defer t.name.mu.Unlock()
	t.ready = true
	t.open()
}

// open begins to open the channels that are short: for those who wait, and to have
// some ahead. The caller holds name.mu, so that nothing is begun once t has ended.
func (t *tunnel) open() {
	waiting, ahead := len(t.name.waiting), 0
	if t.client.ahead {
		ahead = t.client.s.limits.ChannelsOpened
	}
	if !t.ready || !t.isLive() {
		return
	}
	// While somebody waits nothing is idle that they could use.
	for t.opening < waiting || t.opening+len(t.idle) < waiting+ahead {
		t.opening++
		t.client.tasks.Go(t.openOne)
	}
}

// idleFor takes an idle channel for x, or gives nil. The caller holds name.mu.
func (t *tunnel) idleFor(x *exchange) *channel {
	last := len(t.idle) - 1
	if last < 0 {
		return nil
	}
	at := last
	if x.fresh {
		at = 0
	}
	c := t.idle[at]
	if x.fresh && c.used {
		return nil
	}
	t.idle = slices.Delete(t.idle, at, at+1)
	return c
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
		if !errors.As(err, &refused) {
			t.leave() // the connection has ended, and this is the first to know
		}
		t.openFailed()
		return
	}
	c := &channel{Channel: ch, tunnel: t, gone: make(chan struct{}), in: newInbox(&t.client.s.buffers)}
	t.client.tasks.Go(func() {
		ssh.DiscardRequests(requests) // until the channel is closed
		close(c.gone)
	})
	t.name.mu.Lock()
	t.opening--
	t.opened = true
	wanted := t.put(c)
	t.name.mu.Unlock()
	if wanted {
		c.serve()
	} else {
		c.Channel.Close()
	}
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
	// Not waited for: OpenChannel has no deadline.
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
		return nil, nil, errEnded
	}
}

func (t *tunnel) neverOpened() bool {
	t.name.mu.Lock()
	defer t.name.mu.Unlock()
	return !t.opened
}

// openFailed turns away the first that waits, unless the openings under way are
// enough for all, or another tunnel is for them to wait for.
func (t *tunnel) openFailed() {
	n := t.name
	n.mu.Lock()
	defer n.mu.Unlock()
	t.opening--
	if !t.isLive() || len(n.waiting) <= t.opening {
		return
	}
	first := n.waiting[0]
	n.turnAway(func(x *exchange) *refusal {
		if x != first {
			return nil
		}
		return x.unless(noApp())
	})
}

// deliver takes c back when it has carried an exchange. It reports false if c is not
// wanted any more.
func (t *tunnel) deliver(c *channel) bool {
	t.name.mu.Lock()
	defer t.name.mu.Unlock()
	c.serves = nil
	return t.put(c)
}

// put gives c to the first that waits for one like it, or keeps it. It reports false
// if c is not wanted. The caller holds name.mu.
func (t *tunnel) put(c *channel) bool {
	if !t.isLive() {
		return false
	}
	if x := t.name.next(c); x != nil {
		c.give(x)
		t.client.tasks.Go(func() { x.moveTo(c) })
		return true
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
	t.name.mu.Lock()
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
	t.name.mu.Unlock()
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

	serves *exchange // nil while it is idle; guarded by name.mu
	since  time.Time // when it became idle; guarded by name.mu

	closing sync.Once
	late    *time.Timer // ends the connection if the far end does not let serve return
}

// Close asks the far end to close the channel, too: until it does, reads and writes go
// on waiting for it. One that leaves a request waiting so for Limits.BodyIdle loses its
// connection, or it could take a visitor's seat for as long as it likes.
func (c *channel) Close() error {
	c.closing.Do(func() {
		c.late = time.AfterFunc(c.tunnel.client.s.limits.BodyIdle, c.tunnel.client.hangUp)
	})
	return c.Channel.Close()
}

// give makes c the channel of x. The caller holds name.mu, and sees to it that
// x.moveTo is called.
func (c *channel) give(x *exchange) {
	c.serves = x
	x.give(c)
}

// serve reads until the channel ends. Bytes that come while it carries no exchange
// would be taken for the answer to the next: they end it.
func (c *channel) serve() {
	defer func() {
		c.Close()
		c.late.Stop()
	}()
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
	t.name.mu.Lock()
	defer t.name.mu.Unlock()
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
