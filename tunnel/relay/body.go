package relay

import "errors"

// bodyKind says how the end of a body is known.
type bodyKind uint8

const (
	empty bodyKind = iota
	sized
	chunked
	untilClose // answers only
)

// body follows a message's body through the buffers that it passes in, so that
// its end is known and its framing is checked. It keeps nothing of it.
type body struct {
	kind   bodyKind
	left   int64 // sized: bytes to come
	chunks chunks
}

// done says whether nothing is to come.
func (b *body) done() bool {
	switch b.kind {
	case sized:
		return b.left == 0
	case chunked:
		return b.chunks.state == chunksDone
	}
	return b.kind == empty
}

// take says how many of the bytes in p, which come next, belong to the body.
func (b *body) take(p []byte) (int, error) {
	switch b.kind {
	case sized:
		n := int(min(b.left, int64(len(p))))
		b.left -= int64(n)
		return n, nil
	case chunked:
		n := 0
		for n < len(p) && b.chunks.state != chunksDone {
			step, _, err := b.chunks.step(p[n:])
			if err != nil {
				return 0, err
			}
			n += step
		}
		return n, nil
	case untilClose:
		return len(p), nil
	}
	return 0, nil
}

// unwrap is take for a reader that knows no chunks: it moves the payload to the
// front of p and also gives its length.
func (b *body) unwrap(p []byte) (taken, payload int, err error) {
	if b.kind != chunked {
		n, err := b.take(p)
		return n, n, err
	}
	for taken < len(p) && b.chunks.state != chunksDone {
		n, data, err := b.chunks.step(p[taken:])
		if err != nil {
			return 0, 0, err
		}
		if data {
			payload += copy(p[payload:], p[taken:taken+n])
		}
		taken += n
	}
	return taken, payload, nil
}

// What chunked bodies may have besides payload (RFC 9112, section 7.1).
const (
	maxChunkDigits    = 16
	maxChunkExtension = 256
	maxTrailers       = 8 << 10
	maxOverhead       = 8 << 10 // framing beyond what payload accounts for
)

// chunks is a strict reader of the chunked coding, one byte of framing at a time.
type chunks struct {
	state    chunkState
	left     int64 // of the chunk's data
	count    int   // digits, bytes of extension or bytes of trailers so far
	overhead int64
	name     [24]byte // the start of a trailer's name
	named    int
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerName
	trailerValue
	trailerLF
	trailersLF
	chunksDone
)

// step reads a run of payload or some framing from p, which is not empty, and says
// how much that was, and whether it was payload.
func (c *chunks) step(p []byte) (n int, payload bool, err error) {
	if c.state == chunkData {
		n := int(min(c.left, int64(len(p))))
		if c.left -= int64(n); c.left == 0 {
			c.state = chunkDataCR
		}
		return n, true, nil
	}
	for n < len(p) && c.state != chunkData && c.state != chunksDone {
		if c.state < trailerStart {
			err = c.frame(p[n])
		} else {
			err = c.trailer(p[n])
		}
		if err != nil {
			return 0, false, err
		}
		n++
	}
	return n, false, nil
}

// frame reads a byte of a chunk's framing.
func (c *chunks) frame(b byte) error {
	switch c.state {
	case chunkSize:
		return c.sizeByte(b)
	case chunkExtension:
		switch c.count++; {
		case b == '\r':
			c.state = chunkSizeLF
		case c.count > maxChunkExtension:
			return errors.New("a chunk's extension is too long")
		case b < ' ' && b != '\t' || b == 0x7f:
			return errors.New("a chunk's extension has control characters")
		}
	case chunkSizeLF:
		if b != '\n' {
			return errors.New("a chunk's size does not end with CR LF")
		}
		if c.state = chunkData; c.left == 0 {
			c.state = trailerStart
		}
		c.count = 0
	case chunkDataCR:
		if b != '\r' {
			return errors.New("a chunk is longer than its size")
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return errors.New("a chunk does not end with CR LF")
		}
		c.state = chunkSize
	}
	return c.spend()
}

// sizeByte reads a byte of a chunk's size, or what comes after it.
func (c *chunks) sizeByte(b byte) error {
	switch {
	case isHex(b):
		if c.count++; c.count > maxChunkDigits || c.left >= 1<<58 {
			return errors.New("a chunk's size is too large")
		}
		digit := b - '0'
		if b > '9' {
			digit = b | 0x20 - 'a' + 10
		}
		c.left = c.left<<4 | int64(digit)
	case c.count == 0:
		return errors.New("a chunk's size is missing")
	case b == ';':
		c.state, c.count = chunkExtension, 0
	case b == '\r':
		c.state = chunkSizeLF
	default:
		return errors.New("a chunk's size is malformed")
	}
	return c.spend()
}

// spend counts a byte of framing. A little comes with every chunk; a body that is
// mostly framing costs more than it is worth.
func (c *chunks) spend() error {
	if c.overhead++; c.state == chunkData {
		c.overhead = max(0, c.overhead-16-2*c.left)
	}
	if c.overhead > maxOverhead {
		return errors.New("too much framing for so little payload")
	}
	return nil
}

// trailer reads a byte of what comes after the last chunk.
func (c *chunks) trailer(b byte) error {
	if c.count++; c.count > maxTrailers {
		return errors.New("the trailers are too long")
	}
	switch c.state {
	case trailerStart:
		if b == '\r' {
			c.state = trailersLF
			return nil
		}
		c.state, c.named = trailerName, 0
		fallthrough
	case trailerName:
		switch {
		case b == ':' && c.named > 0:
			if k, err := classify(c.name[:c.named]); k != plain || err != nil {
				return errors.New("a trailer has a name that only a head may have")
			}
			c.state = trailerValue
		case !isToken(b):
			return errors.New("a trailer's name is malformed or the line is folded")
		case c.named < len(c.name):
			c.name[c.named] = b
			c.named++
		}
	case trailerValue:
		switch {
		case b == '\r':
			c.state = trailerLF
		case b < ' ' && b != '\t' || b == 0x7f:
			return errors.New("a trailer's value has control characters")
		}
	case trailerLF, trailersLF:
		if b != '\n' {
			return errors.New("a trailer does not end with CR LF")
		}
		if c.state == trailersLF {
			c.state = chunksDone
		} else {
			c.state = trailerStart
		}
	}
	return nil
}
