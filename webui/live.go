package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/bus"
)

// The pace of the websockets, and their limits.
const (
	frameTime   = 16 * time.Millisecond // between two messages under load: one frame of a 60 Hz screen
	frameEvents = 1024                  // in one message; more than that is a resync
	busRoom     = 4096                  // events that wait while the hub is at work
	queueRoom   = 64                    // messages that wait for one browser: a second of full load
	maxBrowsers = 128
	pingTime    = 30 * time.Second
	pongTime    = 75 * time.Second // two pings and some
	writeTime   = 10 * time.Second // what one message may take to leave
	byeTime     = time.Second      // what is left for a write at shutdown
	readLimit   = 64 << 10
)

// hub tells every browser what the journal announces. One goroutine, run, makes each
// message once for all browsers. It puts messages into bounded queues and never waits
// for a browser: one that reads too slowly loses its queue, and gets a resync once it
// reads again.
type hub struct {
	journal *inspector.Journal
	log     *slog.Logger
	quit    <-chan struct{}
	wake    chan struct{} // there are hints; room for one
	room    int           // messages that wait for one browser

	attending sync.WaitGroup // the goroutines of the browsers

	mu       sync.Mutex // guards the rest, and behind of every browser
	closed   bool
	browsers map[*browser]struct{}
	last     uint64 // the number of the last event that went into the queues
	hints    []Hint // to go out with the next frame, each once
}

// browser is one websocket.
type browser struct {
	conn   *websocket.Conn
	queue  chan *websocket.PreparedMessage
	gone   chan struct{} // closed when nothing more can be read from it
	behind bool          // the queue was full; nothing is put into it until it was told
	cut    *time.Timer   // closes the connection soon after shutdown; guarded by hub.mu
}

// message is what goes over the wire.
type message struct {
	Type   string  `json:"type"`
	Seq    *uint64 `json:"seq,omitempty"`
	Events []event `json:"events,omitempty"`
}

// event is an inspector.Event on the wire.
type event struct {
	Seq  uint64           `json:"seq"`
	What inspector.Change `json:"what"`
	ID   string           `json:"id"`
}

func newHub(j *inspector.Journal, log *slog.Logger, quit <-chan struct{}) *hub {
	return &hub{
		journal: j, log: log, quit: quit, room: queueRoom,
		wake: make(chan struct{}, 1), browsers: make(map[*browser]struct{}),
	}
}

// run announces until the context ends.
func (h *hub) run(ctx context.Context) {
	for ctx.Err() == nil {
		sub := h.journal.Events.Subscribe(busRoom)
		h.resync(h.journal.Seq())
		h.relay(ctx, sub)
		sub.Close()
	}
}

// relay sends frames until the context ends, or the bus cuts the subscription off.
// What comes in a quiet time goes out at once; what comes within a frame of that
// waits for the frame's end.
func (h *hub) relay(ctx context.Context, sub *bus.Sub[inspector.Event]) {
	var (
		pending []inspector.Event
		hinted  bool
		frame   <-chan time.Time // nil in a quiet time
	)
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-sub.C:
			if !ok {
				return
			}
			pending = append(pending, e)
		case <-h.wake:
			hinted = true
		case <-frame:
			frame = nil
		}
		switch {
		case len(pending) > frameEvents:
			h.resync(pending[len(pending)-1].Seq)
			pending = pending[:0]
			frame = time.After(frameTime)
		case frame == nil && (len(pending) > 0 || hinted):
			h.announce(pending)
			pending, hinted = pending[:0], false
			frame = time.After(frameTime)
		}
	}
}

// announce puts events, and the hints that are due, into every queue.
func (h *hub) announce(events []inspector.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(events) > 0 && events[0].Seq <= h.last {
		events = events[1:] // from before the last resync: it is in what the browsers read after that
	}
	hints := h.hints
	h.hints = nil
	if len(events) > 0 {
		h.last = events[len(events)-1].Seq
	}
	if len(h.browsers) == 0 {
		return
	}
	if len(events) > 0 {
		m := message{Type: "events", Events: make([]event, len(events))}
		for i, e := range events {
			m.Events[i] = event{e.Seq, e.What, e.ID.String()}
		}
		h.tell(m)
	}
	for _, hint := range hints {
		h.tell(message{Type: string(hint)})
	}
}

// tell puts m into every queue that has room. The caller holds mu; nothing here waits.
func (h *hub) tell(m message) {
	prepared, err := prepare(m)
	if err != nil {
		h.log.Error("websocket message not made", "err", err)
		return
	}
	for b := range h.browsers {
		if b.behind {
			continue
		}
		select {
		case b.queue <- prepared:
		default:
			b.behind = true
		}
	}
}

// resync has every browser read everything again. Events after seq will follow.
func (h *hub) resync(seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = seq
	h.tell(message{Type: "resync", Seq: &seq})
}

// hint makes known that something is to be read again.
func (h *hub) hint(hint Hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.hints, hint) {
		h.hints = append(h.hints, hint)
	}
	select {
	case h.wake <- struct{}{}:
	default: // run knows already
	}
}

// hurry leaves the browsers a moment for what is being written to them. A deadline would
// not do: the write that comes next sets its own.
func (h *hub) hurry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for b := range h.browsers {
		if b.cut != nil {
			continue
		}
		b.cut = time.AfterFunc(byeTime, func() { _ = b.conn.Close() })
	}
}

// join gives a browser its place, with hello in its queue; false: there is none left.
func (h *hub) join(b *browser) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.browsers) >= maxBrowsers {
		return false
	}
	hello, err := prepare(message{Type: "hello", Seq: &h.last})
	if err != nil {
		return false
	}
	b.queue <- hello // the queue is new and empty
	h.browsers[b] = struct{}{}
	h.attending.Add(1)
	return true
}

func (h *hub) leave(b *browser) {
	h.mu.Lock()
	delete(h.browsers, b)
	if b.cut != nil {
		b.cut.Stop()
	}
	h.mu.Unlock()
	h.attending.Done()
}

// serveLive keeps one browser up to date until it leaves.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) error {
	up := websocket.Upgrader{
		HandshakeTimeout: writeTime,
		ReadBufferSize:   1 << 10,                                  // clients send nothing but pongs
		WriteBufferSize:  1 << 10,                                  // prepared messages pass it by
		CheckOrigin:      func(*http.Request) bool { return true }, // guard has done so, more strictly
		Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
			s.fail(w, r, &refusal{status, reason.Error(), ""})
		},
	}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return nil // Error has answered, or nobody can
	}
	defer conn.Close()
	b := &browser{conn: conn, queue: make(chan *websocket.PreparedMessage, s.live.room), gone: make(chan struct{})}
	if !s.live.join(b) {
		bye(conn, websocket.CloseTryAgainLater, "no room")
		return nil
	}
	defer s.live.leave(b)
	var reading sync.WaitGroup
	reading.Go(b.read)
	if err := s.live.serve(b); err != nil {
		s.Log.Debug("websocket lost", "remote", r.RemoteAddr, "err", err)
	}
	_ = conn.Close() // ends read
	reading.Wait()
	return nil
}

// read waits for the end of what a browser sends, which means nothing to us.
func (b *browser) read() {
	defer close(b.gone)
	alive := func(string) error { return b.conn.SetReadDeadline(time.Now().Add(pongTime)) }
	b.conn.SetReadLimit(readLimit)
	b.conn.SetPongHandler(alive)
	if alive("") != nil {
		return
	}
	for {
		_, words, err := b.conn.NextReader()
		if err == nil {
			_, err = io.Copy(io.Discard, words) // unread, they would not count for the limit
		}
		if err != nil {
			return
		}
	}
}

// serve writes what is in the queue of b, and pings, until either side ends it.
func (h *hub) serve(b *browser) error {
	ping := time.NewTicker(pingTime)
	defer ping.Stop()
	for {
		select {
		case <-h.quit:
			bye(b.conn, websocket.CloseGoingAway, "slackdev is shutting down")
			return nil
		case <-b.gone:
			return nil
		case <-ping.C:
			if err := b.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTime)); err != nil {
				return fmt.Errorf("ping a browser: %w", err)
			}
		case m := <-b.queue:
			m, err := h.current(b, m)
			if err != nil {
				return err
			}
			if err := b.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
				return fmt.Errorf("write to a browser: %w", err)
			}
			if err := b.conn.WritePreparedMessage(m); err != nil {
				return fmt.Errorf("write to a browser: %w", err)
			}
		}
	}
}

// current gives m, or for a browser that fell behind a resync in place of all that is
// in its queue. From there on its queue fills again.
func (h *hub) current(b *browser, m *websocket.PreparedMessage) (*websocket.PreparedMessage, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !b.behind {
		return m, nil
	}
	for len(b.queue) > 0 {
		<-b.queue
	}
	b.behind = false
	return prepare(message{Type: "resync", Seq: &h.last})
}

// bye says why the connection closes. It closes either way.
func bye(conn *websocket.Conn, code int, why string) {
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(byeTime))
}

func prepare(m message) (*websocket.PreparedMessage, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("marshal a websocket message: %w", err)
	}
	prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, text)
	if err != nil {
		return nil, fmt.Errorf("prepare a websocket message: %w", err)
	}
	return prepared, nil
}
