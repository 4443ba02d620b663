package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

// intake is a request's body. Where a signature can be checked it is read as a
// whole before anything else happens; where not, it streams to the app, and the
// intake keeps the beginning of what passes.
type intake struct {
	c        *call
	whole    bool   // buffered is all of it
	why      string // not whole: the reason
	fault    string // the sender's body broke off or broke the rules; there is nothing to forward
	missing  int64  // with a fault: how much more there should have been, as far as that is known
	buffered []byte // what was read in advance; the app gets it first
	next     int    // of buffered, where Read goes on
	room     bool   // holds a place in Proxy.largeRoom
	arrived  int64  // of the body, with the head
	waited   bool   // a read deadline was set
	control  *http.ResponseController

	mu     sync.Mutex // guards the rest, which is for bodies that stream
	keep   []byte     // the beginning of what passed
	size   int64      // how much passed
	broken string     // why it ended early
	ended  bool       // all of it passed
	closed bool       // nothing more is recorded
}

// open reads the body as far as that is sensible.
func (in *intake) open(c *call) {
	in.c = c
	r := c.r
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		in.whole = true
		return
	}
	in.control = http.NewResponseController(c.out.ResponseWriter)
	switch {
	case r.ContentLength > MaxVerified:
		in.stream(fmt.Sprintf("the body has %d bytes, and a signature is checked up to %d", r.ContentLength, MaxVerified))
	case r.ContentLength < 0 && !fromSlack(r.Header):
		// Nobody knows how long it is, and it is nothing of Slack's: an upload, or a
		// conversation that wants its answer before its end.
		in.stream("a body without a length, and without a signature, streams to the app unread")
	default:
		in.read()
	}
}

// fromSlack reports whether a request may be one that Slack signed.
func fromSlack(h http.Header) bool {
	if h.Get("X-Slack-Signature") != "" || h.Get("X-Slack-Request-Timestamp") != "" {
		return true
	}
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return media == "application/json" || media == "application/x-www-form-urlencoded"
}

// stream leaves the body to be read while it is forwarded, and says why.
func (in *intake) stream(why string) {
	in.why = why
	// Otherwise net/http takes the rest of the body away once the answer begins.
	_ = in.control.EnableFullDuplex()
}

// read reads all of the body, or finds that it is too large for that.
func (in *intake) read() {
	r := in.c.r
	expected := r.ContentLength
	// A length is only a promise: the room for it grows as the bytes come.
	buf := make([]byte, 0, min(max(expected, 512), promised)+1)
	for {
		buf = grow(buf, 1, MaxVerified+1)
		if len(buf) > large && !in.room && !in.reserve() {
			in.buffered = buf
			in.stream("too many large bodies arrived at once to check every signature")
			return
		}
		// What came with the head is not waited for, and most bodies did.
		if expected < 0 || expected > in.arrived {
			in.setDeadline()
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > MaxVerified:
			in.buffered = buf
			in.stream(fmt.Sprintf("the body has more than %d bytes, and a signature is checked up to there", MaxVerified))
			return
		case err == io.EOF:
			if in.waited {
				in.clearDeadline()
			}
			in.buffered, in.whole = buf, true
			return
		case err != nil:
			in.buffered, in.whole = buf, true
			in.missing = max(1, expected-int64(len(buf)))
			in.fault = readFault(err, len(buf), expected)
			return
		}
	}
}

// grow makes room for n more bytes, up to a limit, by doubling: the runtime's own
// steps for large slices would allocate three times as much on the way.
func grow(buf []byte, n, limit int) []byte {
	if cap(buf)-len(buf) >= n {
		return buf
	}
	return append(make([]byte, 0, max(min(2*cap(buf), limit), len(buf)+n)), buf...)
}

// keep adds to kept what limit leaves room for.
func keep(kept, p []byte, limit int64) []byte {
	p = p[:max(0, min(limit-int64(len(kept)), int64(len(p))))]
	if len(p) == 0 {
		return kept
	}
	return append(grow(kept, len(p), int(limit)), p...)
}

// readFault says why a body ended early.
func readFault(err error, got int, expected int64) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("the sender sent nothing for %v, %d bytes into its body", idle, got)
	case errors.Is(err, io.ErrUnexpectedEOF) && expected >= 0:
		return fmt.Sprintf("the sender hung up %d bytes into a body of %d", got, expected)
	default:
		return fmt.Sprintf("the sender's body broke off after %d bytes: %v", got, err)
	}
}

func (in *intake) setDeadline() {
	// A writer that cannot (a replay's) has its bytes in memory.
	in.waited = true
	_ = in.control.SetReadDeadline(time.Now().Add(idle))
}

func (in *intake) clearDeadline() { _ = in.control.SetReadDeadline(time.Time{}) }

// reserve takes a place among the large bodies, if there is one.
func (in *intake) reserve() bool {
	select {
	case in.c.p.largeRoom <- struct{}{}:
		in.room = true
		return true
	default:
		return false
	}
}

// release gives the place back. What nobody has read of the body has a moment to
// arrive, so that the answer is not lost to a reset; the connection ends then.
func (in *intake) release() {
	if in.control != nil && !in.over() {
		_ = in.control.SetReadDeadline(time.Now().Add(linger))
	}
	in.leave()
}

// forget lets go of a whole body that nobody will need.
func (in *intake) forget() {
	in.buffered = nil
	in.leave()
}

func (in *intake) leave() {
	if in.room {
		in.room = false
		<-in.c.p.largeRoom
	}
}

// kept gives the body as it is recorded. One that nobody read to its end is never
// recorded as a whole one: a replay would send the beginning as if it were all.
func (in *intake) kept() inspector.Body {
	limit := in.c.p.Keep
	if !in.whole {
		in.mu.Lock()
		defer in.mu.Unlock()
		body := inspector.Body{Bytes: in.keep, Size: in.size}
		if ahead := int64(len(in.buffered)); body.Size < ahead { // read, and not passed on
			body = inspector.Body{Bytes: bytes.Clone(in.buffered[:min(ahead, limit)]), Size: ahead}
		}
		if !in.ended {
			body.Size = max(body.Size+1, in.c.r.ContentLength) // one more at least, and maybe many
		}
		return body
	}
	size := int64(len(in.buffered))
	if size <= limit {
		return inspector.Body{Bytes: in.buffered, Size: size + in.missing}
	}
	// Not a slice of it: the record must not hold the large array.
	return inspector.Body{Bytes: bytes.Clone(in.buffered[:limit]), Size: size + in.missing}
}

// Read gives the body to the app: first what was read in advance, then the rest as
// it arrives. net/http reads in a goroutine of its own, which may go on for a
// moment after the app has answered.
func (in *intake) Read(p []byte) (n int, err error) {
	if in.next < len(in.buffered) {
		n = copy(p, in.buffered[in.next:])
		in.next += n
		in.pass(p[:n], nil)
		return n, nil
	}
	if in.whole {
		return 0, io.EOF
	}
	in.setDeadline()
	n, err = in.c.r.Body.Read(p)
	in.pass(p[:n], err)
	if err != nil {
		in.clearDeadline()
	}
	return n, err
}

// pass keeps the beginning of a body that streams, and the reason why it broke off.
func (in *intake) pass(p []byte, err error) {
	if in.whole {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return
	}
	in.size += int64(len(p))
	in.keep = keep(in.keep, p, in.c.p.Keep)
	switch {
	case err == io.EOF:
		in.ended = true
	case err != nil:
		in.broken = readFault(err, int(in.size), in.c.r.ContentLength)
	}
}

// trailer gives what came after a body that has ended.
func (in *intake) trailer() inspector.Header {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.whole && !in.ended {
		return nil // it may be written to
	}
	return inspector.HeaderOf(in.c.r.Trailer)
}

// over reports whether all of the body has passed.
func (in *intake) over() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.whole || in.ended
}

// problem says why the body broke off while it streamed, or "".
func (in *intake) problem() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.broken
}

// Close ends the body: what is read after this is not recorded.
func (in *intake) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	return nil
}

// rewind gives the body from its beginning, for a second try on another connection.
func (in *intake) rewind() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(in.buffered)), nil
}
