package tunneltest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Direction is a way through a Fault; Both is the sum of the two.
type Direction uint8

// The directions.
const (
	Out  Direction = 1 << iota // from who has dialled, to the target
	Back                       // from the target
	Both = Out | Back
)

// Line is how a Fault's line carries bytes, each way. The zero Line is as good as
// loopback. What comes in order goes out in order, however the delays fall.
type Line struct {
	Delay  time.Duration // of each piece, one way: half a round trip
	Jitter time.Duration // at most, on top of it, evenly spread
	// Loss is the share of pieces that are "lost", from 0 to 1. TCP sends them again,
	// so that what is seen of it is a pause: everything behind waits for Repeat, which
	// is 200 ms where it is 0 (the least that Linux waits).
	Loss   float64
	Repeat time.Duration
}

// Fault is a TCP proxy on loopback that does what networks do: it cuts, goes quiet,
// refuses, delays. It passes bytes of any protocol, and half-closes. Its methods
// are safe for use by many goroutines and return at once. What chance decides is
// decided by the seed, as far as the kernel cuts the bytes into the same pieces.
type Fault struct {
	tb     testing.TB
	ln     net.Listener
	target string
	seed   uint64
	work   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	line     Line
	quiet    Direction     // which nothing passes
	changed  chan struct{} // closed, and made anew, when quiet is
	refusing bool
	over     bool
	passed   uint64 // connections so far
	conns    map[*faultConn]struct{}
}

// StartFault starts a proxy in front of target (host:port), which need not listen yet.
// It ends with the test, and every connection with it.
func StartFault(tb testing.TB, target string, seed uint64) *Fault {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("start a fault proxy: %v", err)
	}
	f := &Fault{tb: tb, ln: ln, target: target, seed: seed, changed: make(chan struct{}), conns: map[*faultConn]struct{}{}}
	f.work.Go(f.accept)
	tb.Cleanup(func() {
		_ = ln.Close()
		f.mu.Lock()
		f.over = true
		f.mu.Unlock()
		f.Cut()
		f.work.Wait()
	})
	return f
}

// Addr is where the proxy listens, host:port.
func (f *Fault) Addr() string { return f.ln.Addr().String() }

// Port is where the proxy listens on 127.0.0.1.
func (f *Fault) Port() int { return f.ln.Addr().(*net.TCPAddr).Port }

// Conns is how many connections pass through it.
func (f *Fault) Conns() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

// Cut resets every connection (RST, to both ends) and gives their number.
func (f *Fault) Cut() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.conns)
	for c := range f.conns {
		c.cut()
	}
	return n
}

// Stall lets nothing pass in a direction, neither bytes nor ends, in connections old
// and new. What is sent meanwhile passes after Heal. With one direction the line is
// half-open.
func (f *Fault) Stall(d Direction) { f.set(func() { f.quiet |= d }) }

// Forget makes every connection that there is quiet for good, as a middlebox does that
// has lost its table: neither end hears anything more, not even the end. New ones pass.
func (f *Fault) Forget() {
	f.set(func() {
		for c := range f.conns {
			c.forgotten = true
		}
	})
}

// Refuse resets new connections as soon as they come, until Heal.
func (f *Fault) Refuse() { f.set(func() { f.refusing = true }) }

// Heal ends Stall and Refuse. The Line stays.
func (f *Fault) Heal() { f.set(func() { f.quiet, f.refusing = 0, false }) }

// SetLine changes how bytes are carried from now on.
func (f *Fault) SetLine(l Line) {
	if l.Repeat == 0 {
		l.Repeat = 200 * time.Millisecond
	}
	f.set(func() { f.line = l })
}

// SetTarget makes new connections go to another address.
func (f *Fault) SetTarget(target string) { f.set(func() { f.target = target }) }

// set changes the state and tells everybody who waits for that.
func (f *Fault) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// accept takes connections until the listener is closed.
func (f *Fault) accept() {
	for {
		c, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.work.Go(func() { f.serve(c.(*net.TCPConn)) })
	}
}

// serve carries one connection until its end. It is one that faults are for before the
// target hears of it: who sees it arrive there may do to it what they like.
func (f *Fault) serve(near *net.TCPConn) {
	c := &faultConn{fault: f, near: near, done: make(chan struct{})}
	f.mu.Lock()
	refusing, target := f.refusing || f.over, f.target
	if !refusing {
		f.conns[c] = struct{}{}
	}
	f.mu.Unlock()
	if refusing {
		reset(near)
		return
	}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, c)
	}()
	dialled, err := net.Dial("tcp", target)
	if err != nil {
		c.cut()
		return
	}
	if !c.reached(dialled.(*net.TCPConn)) {
		return
	}
	f.mu.Lock()
	out := &faultPipe{conn: c, way: Out, from: c.near, to: c.far, room: newRoom(), rng: rand.New(rand.NewPCG(f.seed, f.passed))}
	back := &faultPipe{conn: c, way: Back, from: c.far, to: c.near, room: newRoom(), rng: rand.New(rand.NewPCG(^f.seed, f.passed))}
	f.passed++
	f.mu.Unlock()
	var pipes sync.WaitGroup
	pipes.Go(out.read)
	pipes.Go(back.read)
	pipes.Go(out.write)
	pipes.Go(back.write)
	pipes.Wait()
	c.end(func(c *net.TCPConn) { _ = c.Close() }) // what was passed on is still delivered
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // an error says that it is closed already
	_ = c.Close()
}

// faultConn is one connection through a Fault.
type faultConn struct {
	fault     *Fault
	near      *net.TCPConn
	forgotten bool // guarded by fault.mu

	once sync.Once
	done chan struct{} // closed when it is over

	mu  sync.Mutex   // guards far while it is dialled
	far *net.TCPConn // nil before
}

// reached takes the other end, or resets it and gives false if the connection is over.
func (c *faultConn) reached(far *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		reset(far)
		return false
	default:
		c.far = far
		return true
	}
}

// cut resets both ends.
func (c *faultConn) cut() { c.end(reset) }

// end closes both ends, once.
func (c *faultConn) end(closing func(*net.TCPConn)) {
	c.once.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.done)
		closing(c.near)
		if c.far != nil {
			closing(c.far)
		}
	})
}

// faultPipe is one direction of a connection.
type faultPipe struct {
	conn     *faultConn
	way      Direction
	from, to *net.TCPConn
	room     *room
	rng      *rand.Rand // of read
	last     time.Time  // when the newest piece is due; of read
}

// read takes bytes off the one end until its end, and writes down when they are due.
func (p *faultPipe) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := p.from.Read(buf)
		if n > 0 && !p.room.put(piece{append([]byte(nil), buf[:n]...), p.due(), nil}, p.conn.done) {
			return
		}
		if err != nil {
			p.room.put(piece{nil, p.due(), err}, p.conn.done)
			return
		}
	}
}

// due decides when a piece that has just come is to arrive.
func (p *faultPipe) due() time.Time {
	p.conn.fault.mu.Lock()
	line := p.conn.fault.line
	p.conn.fault.mu.Unlock()
	at := time.Now().Add(line.Delay)
	if line.Jitter > 0 {
		at = at.Add(time.Duration(p.rng.Int64N(int64(line.Jitter))))
	}
	if line.Loss > 0 && p.rng.Float64() < line.Loss {
		at = at.Add(line.Repeat)
	}
	if at.After(p.last) {
		p.last = at
	}
	return p.last
}

// write brings pieces to the other end when they are due and the way is open.
func (p *faultPipe) write() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, ok := p.room.take(p.conn.done)
		if !ok {
			return
		}
		if wait := time.Until(next.due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-p.conn.done:
				return
			}
		}
		if !p.open() {
			return
		}
		switch {
		case errors.Is(next.err, io.EOF):
			_ = p.to.CloseWrite() // the other direction finds out if it is gone
			return
		case next.err != nil: // a reset is passed on
			p.conn.cut()
			return
		}
		if _, err := p.to.Write(next.bytes); err != nil {
			p.conn.cut()
			return
		}
	}
}

// open waits until bytes may pass; false: the connection is over.
func (p *faultPipe) open() bool {
	for {
		p.conn.fault.mu.Lock()
		shut := p.conn.fault.quiet&p.way != 0 || p.conn.forgotten
		changed := p.conn.fault.changed
		p.conn.fault.mu.Unlock()
		if !shut {
			return true
		}
		select {
		case <-changed:
		case <-p.conn.done:
			return false
		}
	}
}

// piece is what one read gave, or the end of the stream.
type piece struct {
	bytes []byte
	due   time.Time
	err   error
}

// roomSize bounds what one direction holds: 50 ms at more than loopback carries here,
// or what a stalled line's sender has in flight.
const roomSize = 16 << 20

// room is a bounded queue between one reader and one writer.
type room struct {
	mu    sync.Mutex // guards what follows
	queue []piece
	held  int
	more  chan struct{} // has one element when there may be something to take
	less  chan struct{} // has one element when there may be room
}

func newRoom() *room { return &room{more: make(chan struct{}, 1), less: make(chan struct{}, 1)} }

// put waits for room; false: it is over.
func (r *room) put(p piece, over <-chan struct{}) bool {
	for {
		r.mu.Lock()
		if r.held < roomSize {
			r.queue = append(r.queue, p)
			r.held += len(p.bytes)
			r.mu.Unlock()
			signal(r.more)
			return true
		}
		r.mu.Unlock()
		select {
		case <-r.less:
		case <-over:
			return false
		}
	}
}

// take waits for a piece; false: it is over.
func (r *room) take(over <-chan struct{}) (piece, bool) {
	for {
		r.mu.Lock()
		if len(r.queue) > 0 {
			p := r.queue[0]
			r.queue = r.queue[1:]
			r.held -= len(p.bytes)
			r.mu.Unlock()
			signal(r.less)
			return p, true
		}
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-over:
			return piece{}, false
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
