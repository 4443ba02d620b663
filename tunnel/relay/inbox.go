package relay

import (
	"io"
	"sync"
)

// Buffers: a small one for a connection that waits, so that thousands can; a large
// one from a pool, for a long head or a body, for as long as that takes.
const (
	smallBuffer = 4 << 10
	largeBuffer = 128 << 10 // holds maxHead; four SSH packets
)

// inbox is what was read from one side and not yet passed on. One goroutine uses it.
type inbox struct {
	pool  *sync.Pool // of *[largeBuffer]byte
	small []byte
	large *[largeBuffer]byte // in use if not nil
	r, w  int
}

func newInbox(pool *sync.Pool) inbox {
	return inbox{pool: pool, small: make([]byte, smallBuffer)}
}

func (b *inbox) buf() []byte {
	if b.large != nil {
		return b.large[:]
	}
	return b.small
}

// bytes gives what is there. It is good until the next read.
func (b *inbox) bytes() []byte { return b.buf()[b.r:b.w] }

func (b *inbox) empty() bool { return b.r == b.w }

// use takes n bytes off the front.
func (b *inbox) use(n int) {
	if b.r += n; b.r == b.w {
		b.r, b.w = 0, 0
	}
}

// enlarge changes to a large buffer.
func (b *inbox) enlarge() {
	if b.large == nil {
		large := b.pool.Get().(*[largeBuffer]byte)
		b.r, b.w = 0, copy(large[:], b.small[b.r:b.w])
		b.large = large
	}
}

// shrink gives a large buffer back that is not needed.
func (b *inbox) shrink() {
	if b.large != nil && b.w-b.r <= len(b.small) {
		large := b.large
		b.r, b.w = 0, copy(b.small, large[b.r:b.w])
		b.large = nil
		b.pool.Put(large)
	}
}

// read adds what one Read gives, and makes room for it. It is the caller's duty to
// stop when there is more than a message may have.
func (b *inbox) read(from io.Reader) error {
	if b.w == len(b.buf()) && b.r > 0 {
		b.w = copy(b.buf(), b.bytes())
		b.r = 0
	}
	if b.w == len(b.buf()) {
		b.enlarge()
	}
	n, err := from.Read(b.buf()[b.w:])
	b.w += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}
