package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
)

// patience is how long a server that has refused a forward may take to say why.
const patience = time.Second

// session is the session of a tunnel: where a service talks to its user.
type session struct {
	tunnel *Tunnel
	ended  chan struct{} // closed when all of its text is in the transcript
	err    error         // set before ended is closed: why there was no session
}

// run opens the session and reads it until it ends. The end of a shell is the end
// of the tunnel, as it would be for `ssh -R`.
func (s *session) run() {
	s.err = s.talk()
	close(s.ended)
	t := s.tunnel
	if t.profile.Session != SessionShell || t.link.over.Load() {
		return // what ended the link says why
	}
	if s.err != nil {
		t.end(s.err)
		return
	}
	t.end(withWords(fmt.Errorf("%s has ended the session", t.profile.addr()), t.text))
}

// talk reads the session until its end. The two streams end together.
func (s *session) talk() error {
	t := s.tunnel
	ch, reqs, err := t.conn.OpenChannel("session", nil)
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	var rest, streams sync.WaitGroup
	rest.Go(func() { ssh.DiscardRequests(reqs) }) // until the server closes the channel, too
	defer rest.Wait()
	defer streams.Wait()
	defer ch.Close()
	streams.Go(func() { s.read(0, ch) })
	streams.Go(func() { s.read(1, ch.Stderr()) })
	if err := s.start(ch); err != nil {
		return err // the deferred close ends the streams
	}
	streams.Wait()
	return nil
}

// start asks for the shell or the command.
func (s *session) start(ch ssh.Channel) error {
	p := s.tunnel.profile
	request, payload := "shell", []byte(nil)
	if p.Session == SessionExec {
		request, payload = "exec", ssh.Marshal(struct{ Command string }{p.Command})
	}
	ok, err := ch.SendRequest(request, true, payload)
	switch {
	case err != nil:
		return fmt.Errorf("begin a session: %w", err)
	case !ok:
		return &tunnel.RefusedError{Op: "begin a session", Err: errors.New("the server refuses it")}
	}
	return nil
}

// read passes one stream's text on.
func (s *session) read(stream int, r io.Reader) {
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			s.tunnel.text.write(stream, buf[:n])
		}
		if err != nil {
			s.tunnel.text.end(stream)
			return
		}
	}
}

// awaitURL waits until the session has said the URL.
func (s *session) awaitURL(ctx context.Context) (*url.URL, error) {
	text := s.tunnel.text
	select {
	case <-text.found:
		return text.result(), nil
	case <-s.ended:
	}
	text.settled() // nothing better will come
	select {
	case <-text.found:
		return text.result(), nil
	default:
	}
	if s.err != nil {
		return nil, s.err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, withWords(errors.New("the session ended before it told the URL"), text)
}

// explain adds to a refusal what the session says about it.
func (s *session) explain(err error) error {
	var refused *tunnel.RefusedError
	if !errors.As(err, &refused) || s.tunnel.profile.Session != SessionShell {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.tunnel.text.refused:
	case <-s.ended:
	case <-timer.C:
	}
	refused.Err = withWords(refused.Err, s.tunnel.text)
	return refused
}

// withWords adds the service's last words to an error.
func withWords(err error, text *transcript) error {
	if words := text.words(); words != "" {
		return fmt.Errorf("%w; it says: %s", err, words)
	}
	return err
}
