package proxy

import (
	"bytes"
	"net/http"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

// capture is the ResponseWriter that everybody answers through. It hands on what is
// written, and keeps the beginning.
type capture struct {
	http.ResponseWriter
	c       *call
	started bool // the head was written
	cut     bool // the answer ended before its end
	gone    bool // the sender is not there any more
	late    bool // the sender had left before the head was written
	by      string
	status  int
	wire    inspector.Header // the app's fields as it sent them; nil: what is in Header
	trailer http.Header      // filled in by the end of the answer
	body    []byte
	size    int64
	slow    bool // a write deadline is set
}

// Unwrap is for http.ResponseController: flushing, deadlines, hijacking.
func (w *capture) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the head.
func (w *capture) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.head(status)
	}
	if status >= 200 && !w.c.in.over() {
		// Perhaps nobody reads the rest, and net/http cannot go on behind a body that was
		// left unread in full duplex: the next request on the connection would be lost.
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// head notes that the answer has begun.
func (w *capture) head(status int) {
	if !w.started {
		w.started, w.status, w.late = true, status, w.c.hungUp()
	}
}

// Write sends a part of the body. When the sender has hung up, it goes on taking
// what the record still has room for.
func (w *capture) Write(p []byte) (int, error) {
	if !w.started {
		w.WriteHeader(http.StatusOK)
	}
	limit := w.limit()
	room := limit - int64(len(w.body))
	w.body = keep(w.body, p, limit)
	w.size += int64(len(p))
	if int64(len(p)) > room {
		w.c.unrepeatable(whyTooLarge)
	}
	if w.gone {
		return w.unheard(p, room)
	}
	if w.size > large {
		// What fits into the buffers on the way needs no deadline.
		w.slow = true
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(idle))
	}
	if _, err := w.ResponseWriter.Write(p); err != nil {
		w.gone = true
		return w.unheard(p, room)
	}
	return len(p), nil
}

// limit is how much of the answer is kept until its end. A delivery's may be wanted
// again, and one that is given again is on record.
func (w *capture) limit() int64 {
	switch {
	case w.c.delivery == nil:
		return w.c.p.Keep
	case w.c.found == foundEarlier:
		return 0
	default:
		return max(w.c.p.Keep, maxAnswer)
	}
}

func (w *capture) unheard(p []byte, room int64) (int, error) {
	if int64(len(p)) <= room {
		return len(p), nil
	}
	return 0, http.ErrHandlerTimeout
}

// end lets go of a deadline that the next answer on the connection must not inherit.
func (w *capture) end() {
	if w.slow {
		control := http.NewResponseController(w.ResponseWriter)
		_ = control.Flush() // while the deadline still holds
		_ = control.SetWriteDeadline(time.Time{})
	}
}

// response gives the answer as it is recorded, nil when there is none.
func (w *capture) response() *inspector.Response {
	if !w.started {
		return nil
	}
	if w.wire == nil {
		w.wire = inspector.HeaderOf(w.Header())
	}
	body := w.body
	if int64(len(body)) > w.c.p.Keep {
		body = bytes.Clone(body[:w.c.p.Keep]) // not a slice of it: the record must not hold the large array
	}
	return &inspector.Response{
		Status: w.status, Header: w.wire, Trailer: inspector.HeaderOf(w.trailer), By: w.by,
		Body: inspector.Body{Bytes: body, Size: w.size},
	}
}
