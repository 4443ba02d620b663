package webui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// lineWait is how long one line may take to go out before the client counts as gone.
const lineWait = 30 * time.Second

// stream answers with NDJSON, each line at once. It is safe for many goroutines.
type stream struct {
	to *http.ResponseController

	mu    sync.Mutex // guards the rest, and keeps lines whole
	w     http.ResponseWriter
	begun bool
}

// newStream frees the connection of the server's deadlines, which are for short answers.
func newStream(w http.ResponseWriter) *stream {
	to := http.NewResponseController(w)
	_ = to.SetReadDeadline(time.Time{}) // not every ResponseWriter has deadlines; one without needs none cleared
	_ = to.SetWriteDeadline(time.Time{})
	return &stream{to: to, w: w}
}

// begin sends the head, so that the client knows it is being served.
func (s *stream) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(nil)
}

// line sends v.
func (s *stream) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(append(text, '\n'))
}

// problem tells of an error: by returning it while there is still a status to say it
// with, else as a line.
func (s *stream) problem(err error) error {
	s.mu.Lock()
	begun := s.begun
	s.mu.Unlock()
	if !begun {
		return err
	}
	_ = s.line(struct {
		Type  string `json:"type"`
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}{"error", err.Error(), problem(err).hint}) // where lines no longer arrive, neither does this one
	return nil
}

// send writes and flushes. The caller holds mu.
func (s *stream) send(text []byte) error {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.w.WriteHeader(http.StatusOK)
	}
	_ = s.to.SetWriteDeadline(time.Now().Add(lineWait)) // as in newStream
	if _, err := s.w.Write(text); err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	if err := s.to.Flush(); err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	_ = s.to.SetWriteDeadline(time.Time{}) // the next line may be hours off
	return nil
}
