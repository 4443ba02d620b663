package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// linger is for how long the relay still reads from a visitor whose connection
	// it ends, so that the last answer is not lost to a reset.
	linger      = time.Second
	lingerBytes = 1 << 20
)

// visitor is a connection of the public. Its goroutine reads requests and sends
// them into channels; the answer to each is written by the channel's goroutine.
// So a request costs no goroutine, and one whose visitor leaves is noticed, because
// the visitor is read from all the time.
type visitor struct {
	s       *server
	net     net.Conn
	in      inbox
	peer    peer       // who is at the other end of net
	from    netip.Addr // where the request comes from: see locate
	stamp   string     // see request.appendTo
	x       exchange
	pending bool // x is under way
	armed   bool // some read deadline is set
	seen    int  // requests
	// writeBy is the write deadline. Who writes owns it: the channel's goroutine
	// while x is under way, else the visitor's.
	writeBy time.Time

	idling atomic.Bool // waits for a request
	wrote  atomic.Bool // something was written; see outlast

	mu     sync.Mutex
	ending bool // the read deadline is final; guarded by mu
}

func newVisitor(s *server, c net.Conn) *visitor {
	v := &visitor{s: s, net: c, in: newInbox(&s.buffers), peer: s.peerOf(c)}
	v.from, v.stamp = v.peer.addr, stampOf(v.peer.addr, v.peer.proto)
	v.x.v, v.x.done, v.x.turn.L = v, make(chan bool, 1), &v.x.mu
	return v
}

// serveHTTP takes visitors until the listener ends.
func (s *server) serveHTTP(l net.Listener) error {
	return s.accept(l, func(c net.Conn) {
		v := newVisitor(s, c)
		if !s.seat(v) {
			c.Close()
			return
		}
		s.seats <- struct{}{}
		s.tasks.Go(func() {
			defer func() { <-s.seats }()
			defer s.unseat(v)
			v.serve()
		})
	})
}

func (s *server) seat(v *visitor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.visitors[v] = true
	s.visiting.Add(1)
	return true
}

func (s *server) unseat(v *visitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.visitors, v)
	s.visiting.Done()
}

func (s *server) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// serve blocks until the visitor has left or is sent away.
func (v *visitor) serve() {
	defer v.close()
	for {
		if v.in.empty() && !v.idle() {
			return
		}
		if !v.settle() {
			return
		}
		n, err := v.readHead()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			v.refuse(tooSlow(), asked{}, &message{}, false)
			return
		default:
			var r *refusal
			if errors.As(err, &r) {
				v.refuse(r, asked{}, &message{}, false)
			}
			return
		}
		if !v.handle(n) {
			return
		}
	}
}

// close ends the connection. If that was the relay's wish, what still comes is
// read first, for a while.
func (v *visitor) close() {
	v.mu.Lock()
	ending := v.ending
	v.mu.Unlock()
	for total := 0; ending && total < lingerBytes; total += len(v.in.bytes()) {
		v.in.use(len(v.in.bytes()))
		if v.in.read(v.net) != nil {
			break
		}
	}
	v.in.use(len(v.in.bytes()))
	v.in.shrink()
	sayEnd(v.net)
	v.net.Close()
}

// idle waits for the first bytes of a request. The one before may be under way
// all the while.
func (v *visitor) idle() bool {
	v.in.shrink()
	v.idling.Store(true) // before stopping is looked at: see nudge
	defer v.idling.Store(false)
	if !v.armed {
		v.armed = true
		v.readWithin(v.s.limits.Head) // of a new connection; later ones come here with a deadline
	}
	for {
		if v.s.isStopping() { // and has nudged: nobody will wake this goroutine again
			v.settle()
			return false
		}
		err := v.in.read(v.net)
		switch {
		case err == nil, v.switched():
			return true
		case errors.Is(err, io.EOF):
			return v.outlast()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			v.abandon()
			return false
		}
		if left := v.idleLeft(); left > 0 {
			v.readWithin(left)
		} else {
			return false
		}
	}
}

// idleLeft looks at the clock when a read deadline has passed. Deadlines are not
// moved with every request, so it may be early.
func (v *visitor) idleLeft() time.Duration {
	if v.pending {
		select {
		case keep := <-v.x.done:
			v.pending = false
			if !keep {
				return 0
			}
		default:
			return v.s.limits.Idle
		}
	}
	if v.seen == 0 {
		return 0
	}
	return v.s.limits.Idle - time.Since(v.x.ended)
}

// outlast waits for the end of the exchange of a visitor that has ended its side of
// the connection. It may have gone, or have said all that it has to say: the
// network does not tell until something is written. So as long as that works the
// exchange goes on, and for Limits.HalfClosed without. It reports whether the
// protocol has changed.
func (v *visitor) outlast() bool {
	if !v.pending {
		return false
	}
	v.wrote.Store(false)
	v.x.name.vacate(&v.x)
	ticks := time.NewTicker(v.s.limits.HalfClosed)
	defer ticks.Stop()
	for {
		select {
		case <-v.x.switches:
			return true
		case <-v.x.done:
			v.pending = false
			return false
		case <-ticks.C:
			if !v.wrote.Swap(false) {
				v.abandon()
				return false
			}
		}
	}
}

// abandon ends the exchange of a visitor that has left.
func (v *visitor) abandon() {
	if v.pending {
		v.x.abort(v.x.number, nil)
		v.cut() // or the answer could wait for a visitor that does not read
		<-v.x.done
		v.pending = false
	}
}

// settle waits for the end of the exchange that is under way, and says whether the
// connection goes on.
func (v *visitor) settle() bool {
	if !v.pending {
		return true
	}
	defer func() { v.pending = false }()
	select {
	case <-v.x.switches:
		v.pump()
		<-v.x.done
		return false
	case keep := <-v.x.done:
		return keep
	}
}

// readHead gives the length of the head at the front of the inbox.
func (v *visitor) readHead() (int, error) {
	var scan headScan
	for first := true; ; first = false {
		n, err := scan.end(v.in.bytes())
		if n > 0 || err != nil {
			return n, err
		}
		if first {
			v.readWithin(v.s.limits.Head)
		}
		v.idling.Store(true) // before stopping is looked at: see nudge
		stops := v.s.isStopping()
		if !stops {
			err = v.in.read(v.net)
		}
		v.idling.Store(false)
		switch {
		case stops, err != nil && v.s.isStopping():
			return 0, stopping()
		case err != nil:
			return 0, err
		}
	}
}

// handle sends the request whose head has n bytes on its way, or answers it. It
// reports whether the connection goes on.
func (v *visitor) handle(n int) bool {
	x := &v.x
	v.seen++
	if err := x.q.parse(v.in.bytes()[:n]); err != nil {
		return v.refuse(asRefusal(err), asked{}, &x.q.message, false)
	}
	b := x.q.body()
	m, err := b.take(v.in.bytes()[n:])
	if err != nil {
		return v.refuse(bad(err.Error()), x.q.asked(), &x.q.message, false)
	}
	v.locate(&x.q)
	x.begin(&b, v.in.bytes()[n:n+m])
	v.in.use(n + m)
	if r := v.s.route(x); r != nil {
		x.ended = time.Now()
		keep := b.done() && x.persistent && !v.s.isStopping()
		return v.refuse(r, x.asked, &x.q.message, keep)
	}
	v.pending = true
	x.place()
	if !b.done() {
		v.sendBody(&b)
	}
	return true
}

// route finds the name that x is for, which counts it until its end.
func (s *server) route(x *exchange) *refusal {
	if s.isStopping() {
		return stopping()
	}
	n := s.names.find(x.q.host)
	if n == nil {
		return unknownName()
	}
	if r := x.admit(n, n.rules.Load()); r != nil {
		return r
	}
	if int(n.busy.Add(1)) > s.limits.Requests {
		n.busy.Add(-1)
		return busy()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.name = n
	return nil
}

// sendBody sends the rest of a body as it comes.
func (v *visitor) sendBody(b *body) {
	x, number, limit := &v.x, v.x.number, v.s.limits.BodyIdle
	stuck := time.AfterFunc(limit, func() { x.abort(number, appStuck()) })
	stuck.Stop()
	v.in.enlarge()
	for !b.done() {
		if v.in.empty() {
			v.readWithin(limit)
			if err := v.in.read(v.net); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					x.abort(number, tooSlow())
				} else {
					x.abort(number, nil)
				}
				return
			}
		}
		n, err := b.take(v.in.bytes())
		if err != nil {
			x.abort(number, bad(err.Error()))
			return
		}
		if !x.push(v.in.bytes()[:n], stuck) {
			return
		}
		v.in.use(n)
	}
	x.pushed()
}

// pump passes what comes after an upgrade.
func (v *visitor) pump() {
	x := &v.x
	defer close(x.pumped)
	c := x.channel()
	if c == nil {
		return
	}
	v.in.enlarge()
	v.readWithin(0)
	for {
		if !v.in.empty() {
			if _, err := c.Write(v.in.bytes()); err != nil {
				return
			}
			v.in.use(len(v.in.bytes()))
			x.watch.Reset(v.s.limits.StreamIdle)
		}
		switch err := v.in.read(v.net); {
		case errors.Is(err, io.EOF):
			c.CloseWrite()
			return
		case err != nil:
			c.Close()
			return
		}
	}
}

// switched says whether the connection now speaks another protocol.
func (v *visitor) switched() bool {
	if !v.pending || v.x.switches == nil {
		return false
	}
	select {
	case <-v.x.switches:
		return true
	default:
		return false
	}
}

// refuse answers in the app's place. keep says whether the connection goes on.
func (v *visitor) refuse(r *refusal, q asked, fields *message, keep bool) bool {
	if v.write(r.page(q, fields, keep)) != nil {
		return false
	}
	if !keep {
		v.end()
	}
	return keep
}

// readWithin sets the read deadline, or none where d is 0, unless the connection
// is about to end.
func (v *visitor) readWithin(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ending {
		return
	}
	var by time.Time
	if d > 0 {
		by = time.Now().Add(d)
	}
	v.net.SetReadDeadline(by)
}

// nudge wakes a visitor's goroutine that waits for a request, for it to see that
// the relay stops.
func (v *visitor) nudge() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.ending && v.idling.Load() {
		v.net.SetReadDeadline(time.Now())
	}
}

// end says that nothing more is written, and gives the visitor a moment to leave.
func (v *visitor) end() {
	v.mu.Lock()
	v.ending = true
	v.net.SetReadDeadline(time.Now().Add(linger))
	v.mu.Unlock()
	v.closeWrite()
}

func (v *visitor) closeWrite() {
	if c, ok := v.net.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}

// cut ends the connection so that the visitor sees that something is missing.
func (v *visitor) cut() {
	if c, ok := v.net.(interface{ SetLinger(int) error }); ok {
		c.SetLinger(0) // a reset
	}
	v.net.Close()
}

// write writes all of p, for as long as the visitor takes some of it now and then.
func (v *visitor) write(p []byte) error {
	limit := v.s.limits.BodyIdle
	for {
		if now := time.Now(); v.writeBy.Sub(now) < limit-limit/4 {
			v.writeBy = now.Add(limit)
			v.net.SetWriteDeadline(v.writeBy)
		}
		n, err := v.net.Write(p)
		p = p[n:]
		if n > 0 && !v.wrote.Load() {
			v.wrote.Store(true)
		}
		if err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		v.writeBy = time.Time{}
	}
}
