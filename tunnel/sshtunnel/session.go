package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
)

// patience is how long a server that has refused a forward may take to say why.
const patience = time.Second

// opening is what fails when a service refuses in its session, not the forward.
const opening = "open a tunnel"

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
	t.end(t.text.because(fmt.Errorf("%s has ended the session", t.profile.addr())))
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
		request, payload = "exec", ssh.Marshal(struct{ Command string }{p.Exec})
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

// read passes one stream's text on. What a command of ours prints is for us: a server
// that cannot run it says nothing that a person needs.
func (s *session) read(stream int, r io.Reader) {
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		switch {
		case n == 0:
		case s.tunnel.parent == nil:
			s.tunnel.text.write(stream, buf[:n])
			if u := s.tunnel.text.newAddress(); u != nil {
				s.tunnel.end(fmt.Errorf("%s has given the tunnel another address, %s", s.tunnel.profile.addr(), u))
			}
		case stream == 0:
			s.tunnel.parent.write(buf[:n])
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
	case <-text.hopeless:
		return nil, text.refusedTo(opening, errors.New("no URL came"))
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
	return nil, text.refusedTo(opening, errors.New("the session ended before it told the URL"))
}

// explain adds to err, why there is no forward, what the session says about it. A
// session that has ended already has ended the tunnel, and may know better why.
func (s *session) explain(err error) error {
	if s.tunnel.profile.Session != SessionShell {
		return err
	}
	var refused *tunnel.RefusedError
	if !errors.As(err, &refused) {
		select {
		case <-s.ended:
			return s.tunnel.text.refusedTo(opening, err)
		default:
			return err
		}
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.tunnel.text.refused:
	case <-s.ended:
	case <-timer.C:
	}
	if known, _ := s.tunnel.text.known(); known != nil {
		return s.tunnel.text.refusedTo(refused.Op, refused.Err)
	}
	refused.Err = withWords(refused.Err, s.tunnel.text)
	return refused
}

// refusedTo makes err, why op failed, a refusal when the service's words are known to
// be one. Otherwise it adds them.
func (t *transcript) refusedTo(op string, err error) error {
	r, line := t.known()
	if r == nil {
		return withWords(err, t)
	}
	return &tunnel.RefusedError{Op: op, Err: fmt.Errorf("%s; it says: %s", r.Means, quoted(line)), Hint: r.Hint, Later: !r.Final}
}

// because adds to err, why a tunnel ended, what the service's words mean. It is no
// refusal: the next tunnel may well open.
func (t *transcript) because(err error) error {
	if r, line := t.known(); r != nil {
		return fmt.Errorf("%w: %s; it says: %s", err, r.Means, quoted(line))
	}
	return withWords(err, t)
}

// withWords adds the service's last words to an error.
func withWords(err error, text *transcript) error {
	if words := text.words(); words != "" {
		return fmt.Errorf("%w; it says: %s", err, quoted(words))
	}
	return err
}

// quoted marks where a stranger's words begin and end.
func quoted(words string) string { return `"` + strings.ReplaceAll(words, `"`, "'") + `"` }
