package sshtunnel

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// The room of one direction of a connection: what a small request needs at first,
// and two packets once the flow fills it.
const (
	halfFirst = 4 << 10
	halfMost  = 64 << 10
)

// half is one direction of a Conn: a bounded run of bytes between a caller who has
// deadlines (read or write) and a pump that has none, because an ssh.Channel has
// none. The pump works on the buffer in place: it fills what lend gives, or sends
// what peek gives, without the lock.
//
// The ring has a length that is a power of two; r and w count bytes for ever and
// index it modulo that length.
type half struct {
	mu       sync.Mutex
	readable sync.Cond // more bytes, or sealed
	writable sync.Cond // more room, or broken

	ring []byte
	r, w uint64
	grow bool // the pump filled all that it was lent: lend more next time

	sealed   error // no more bytes will come: what a drained reader gets
	broken   error // no more bytes are taken: what a writer gets
	readErr  error // reading is over on our side, whatever is left
	deadline deadline
}

func newHalf() *half {
	h := new(half)
	h.readable.L = &h.mu
	h.writable.L = &h.mu
	return h
}

// read is Conn.Read. A passed deadline comes before waiting bytes, as with TCP.
func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readErr != nil:
			return 0, h.readErr
		case h.deadline.passed:
			return 0, os.ErrDeadlineExceeded
		case h.r != h.w:
			n := 0
			for n < len(p) && h.r != h.w {
				got := copy(p[n:], h.filledRun())
				n += got
				h.r += uint64(got)
			}
			h.writable.Broadcast()
			return n, nil
		case h.sealed != nil:
			return 0, h.sealed
		case len(p) == 0:
			return 0, nil
		}
		h.readable.Wait()
	}
}

// write is Conn.Write: it returns when p is in the ring, as a socket's does when it
// is in the kernel. An n below len(p) comes with the reason.
func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.sealed != nil: // by ourselves, which the peer's end does not change
			return n, net.ErrClosed
		case h.broken != nil:
			return n, h.broken
		case h.deadline.passed:
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		h.reserve(len(p))
		for len(p) > 0 && h.free() > 0 {
			put := copy(h.freeRun(), p)
			h.w += uint64(put)
			n, p = n+put, p[put:]
		}
		h.readable.Broadcast()
		if len(p) == 0 {
			return n, nil
		}
		h.writable.Wait()
	}
}

// lend gives the pump room to fill, waiting for it; nil when no more is wanted.
func (h *half) lend() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.broken != nil || h.sealed != nil || h.readErr != nil:
			return nil
		case len(h.ring) == 0:
			h.reserve(1)
		case h.free() == 0 || h.grow:
			h.grow = false
			h.reserve(len(h.ring) + 1)
		}
		if h.r == h.w {
			h.r, h.w = 0, 0 // all of the ring in one run
		}
		if h.free() > 0 {
			return h.freeRun()
		}
		h.writable.Wait()
	}
}

// filled says how much of the lent room the pump has filled.
func (h *half) filled(n, lent int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.w += uint64(n)
	h.grow = n == lent
	h.readable.Broadcast()
}

// peek gives the pump bytes to send, waiting for them, or the seal when there will
// be none. They stay in place until taken.
func (h *half) peek() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.broken != nil:
			return nil, h.broken
		case h.r != h.w:
			return h.filledRun(), nil
		case h.sealed != nil:
			return nil, h.sealed
		}
		h.readable.Wait()
	}
}

// taken says how many of the peeked bytes the pump has sent.
func (h *half) taken(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.r += uint64(n)
	if h.r == h.w {
		h.r, h.w = 0, 0
	}
	h.writable.Broadcast()
}

// seal ends the run of bytes: readers and the pump get err once they have drained
// it. The first seal holds, except that net.ErrClosed follows io.EOF: Close after
// CloseWrite.
func (h *half) seal(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sealed == nil || (h.sealed == io.EOF && err == net.ErrClosed) {
		h.sealed = err
	}
	h.wake()
}

// breakOff says that nobody takes the bytes any more.
func (h *half) breakOff(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken == nil {
		h.broken = err
	}
	h.wake()
}

// stopReading makes every read fail with err, and tells the pump to stop.
func (h *half) stopReading(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readErr == nil {
		h.readErr = err
	}
	h.wake()
}

// awaitClose waits, after an io.EOF seal, for the harder one or a break.
func (h *half) awaitClose() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.broken == nil && (h.sealed == nil || h.sealed == io.EOF) {
		h.readable.Wait()
	}
}

// setDeadline is SetReadDeadline or SetWriteDeadline.
func (h *half) setDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline.set(t, h.expire)
	if h.deadline.passed {
		h.wake()
	}
}

// expire is the deadline's timer. A timer that fires for a deadline that has been
// moved meanwhile finds a later time and does nothing: it has been set again.
func (h *half) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deadline.due() {
		h.deadline.passed = true
		h.wake()
	}
}

// forget stops the timer.
func (h *half) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline.stop()
}

// wake lets everybody look again. The lock is held.
func (h *half) wake() {
	h.readable.Broadcast()
	h.writable.Broadcast()
}

func (h *half) free() int { return len(h.ring) - int(h.w-h.r) }

// filledRun is the first run of bytes in one piece.
func (h *half) filledRun() []byte {
	at := int(h.r & uint64(len(h.ring)-1))
	return h.ring[at:min(at+int(h.w-h.r), len(h.ring))]
}

// freeRun is the first run of room in one piece.
func (h *half) freeRun() []byte {
	at := int(h.w & uint64(len(h.ring)-1))
	return h.ring[at:min(at+h.free(), len(h.ring))]
}

// reserve makes the ring larger, within its bound, until it has room for n more. A
// pump that still sends from the old ring does so undisturbed: nothing is written
// there any more.
func (h *half) reserve(n int) {
	size := max(len(h.ring), halfFirst)
	for size < halfMost && size-int(h.w-h.r) < n {
		size <<= 2
	}
	if size == len(h.ring) {
		return
	}
	ring := make([]byte, size)
	for at := h.r; at != h.w; {
		from := h.ring[at&uint64(len(h.ring)-1):]
		from = from[:min(uint64(len(from)), h.w-at)]
		to := ring[at&uint64(size-1):]
		at += uint64(copy(to, from))
	}
	h.ring = ring
}

// deadline is a time after which waiting fails. The lock of its half guards it.
type deadline struct {
	at     time.Time
	timer  *time.Timer
	passed bool
}

// set moves the deadline; the zero time means none.
func (d *deadline) set(t time.Time, expire func()) {
	d.stop()
	d.at = t
	d.passed = d.due()
	if t.IsZero() || d.passed {
		return
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(t), expire)
		return
	}
	d.timer.Reset(time.Until(t))
}

func (d *deadline) due() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
