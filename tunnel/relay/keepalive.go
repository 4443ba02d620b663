package relay

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// silentFor is after how many intervals of silence a connection is dead. At the end
// of the first it is asked for a sign of life, and then has two to give one.
const silentFor = 3

// watchedConn notes when the other end was last heard, on a clock that nobody sets.
type watchedConn struct {
	net.Conn
	since time.Time
	heard atomic.Int64 // nanoseconds after since
}

func newWatchedConn(c net.Conn) *watchedConn { return &watchedConn{Conn: c, since: time.Now()} }

// Read notes the time of what it reads, and closes the connection when there is no more.
// Or x/crypto/ssh could still send the request for a channel between its forgetting all
// channels and its closing the connection, and wait for the answer for ever.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(int64(time.Since(c.since)))
	}
	if err != nil {
		_ = c.Close() // and again by who owns it
	}
	return n, err
}

// lastHeard is when the last byte came.
func (c *watchedConn) lastHeard() time.Time { return c.since.Add(time.Duration(c.heard.Load())) }

// keepAlive asks for a sign of life when there is none, and closes a connection
// that stays silent. Any byte is a sign.
func (c *client) keepAlive() {
	every, patience := c.s.limits.KeepAlive, c.s.limits.Probe
	timer := time.NewTimer(every)
	defer timer.Stop()
	var asking atomic.Bool
	var probed time.Time // since when somebody waits for a sign; zero: nobody does
	for {
		select {
		case <-c.gone:
			return
		case <-c.probes:
			if probed.IsZero() {
				probed = time.Now()
			}
		case <-timer.C:
		}
		heard, now := c.watched.lastHeard(), time.Now()
		if heard.After(probed) {
			probed = time.Time{}
		}
		silence, next := now.Sub(heard), every
		if silence >= silentFor*every || !probed.IsZero() && now.Sub(probed) >= patience {
			c.s.log.Warn("client is silent", "key", c.id, "for", silence)
			c.conn.Close()
			return
		}
		if next = every - silence%every; !probed.IsZero() {
			next = min(next, probed.Add(patience).Sub(now))
		}
		timer.Reset(next)
		if (silence >= every || !probed.IsZero()) && asking.CompareAndSwap(false, true) {
			// SendRequest has no deadline: only Close ends it.
			c.tasks.Go(func() {
				c.conn.SendRequest(wire.KeepAliveName, true, nil)
				asking.Store(false)
			})
		}
	}
}

// probe has keepAlive close the connection unless a sign of life comes soon.
func (c *client) probe() {
	select {
	case c.probes <- struct{}{}:
	default: // it is about to
	}
}

// alive asks whether the connection is still there: an end of a channel that came
// with the end of the connection was not the app's.
// Of a client that says other things and does not answer this, requests would wait for
// ever: it is given as long as a silent one.
func (c *client) alive() bool {
	c.asking.Lock() // so that the time that others take is not counted
	defer c.asking.Unlock()
	late := time.AfterFunc(silentFor*c.s.limits.KeepAlive, c.hangUp)
	defer late.Stop()
	_, _, err := c.conn.SendRequest(wire.KeepAliveName, true, nil)
	return err == nil
}

// hangUp closes the connection of a client that does not do its part.
func (c *client) hangUp() {
	c.s.log.Warn("client does not answer", "key", c.id)
	c.conn.Close()
}
