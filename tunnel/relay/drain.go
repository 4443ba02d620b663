package relay

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// telling is for how long a relay that has nothing else to do waits until its
// clients have read that it stops.
const telling = time.Second

// stop ends what Run has started. Nobody new is taken, what is held is turned away
// and idle visitors are sent away at once; the clients are told to move and keep
// their connections until all requests under way are finished, which may take
// Limits.Drain.
func (s *server) stop(on Listeners) {
	close(s.stopping)
	on.Close()
	s.mu.Lock()
	s.ended = true
	strangers := slices.AppendSeq(slices.Collect(maps.Keys(s.logins.in)), maps.Keys(s.handshakes.in))
	visitors, clients := slices.Collect(maps.Keys(s.visitors)), slices.Collect(maps.Keys(s.clients))
	s.mu.Unlock()
	limit := time.NewTimer(s.limits.Drain)
	defer limit.Stop()

	for _, c := range strangers {
		c.Close()
	}
	held, busy := s.names.endHold()
	s.log.Info("stopping", "clients", len(clients), "visitors", len(visitors), "held", held, "busy", busy, "drain", s.limits.Drain)
	for _, v := range visitors {
		v.nudge()
	}
	told, drained := make(chan struct{}), make(chan struct{})
	s.tasks.Go(func() { s.tell(clients); close(told) })
	s.tasks.Go(func() { s.visiting.Wait(); close(drained) })
	patience := time.NewTimer(telling)
	defer patience.Stop()
	select {
	case <-told:
	case <-patience.C:
	case <-limit.C:
		limit.Reset(0) // for the next
	}
	select {
	case <-drained:
	case <-limit.C:
	}

	_, busy = s.names.endHold()
	s.log.Info("stopped", "cut", busy)
	for _, v := range visitors {
		v.net.Close()
	}
	for _, c := range clients {
		c.conn.Close()
	}
	s.tasks.Wait()
}

// tell has the clients know that they should move. It waits until they have been
// told, or are gone.
func (s *server) tell(clients []*client) {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(c.tellToMove)
	}
	all.Wait()
}

func (c *client) tellToMove() {
	c.mu.Lock()
	hello := c.hello
	c.mu.Unlock()
	if hello != nil {
		c.conn.SendRequest(wire.MoveName, false, nil)
		return
	}
	last := c.note("notice: this relay is about to stop: connect again", true)
	c.mu.Lock()
	sessions := slices.Collect(maps.Keys(c.started))
	c.mu.Unlock()
	for _, s := range sessions {
		for shown := 0; shown < last; {
			select {
			case shown = <-s.at:
			case <-s.over:
				shown = last
			}
		}
	}
}
