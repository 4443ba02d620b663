package relay

import (
	"strings"

	"golang.org/x/crypto/ssh"
)

// takeChannel accepts sessions and refuses all else: a relay forwards from the
// public to its clients and never the other way.
func (c *client) takeChannel(nc ssh.NewChannel) {
	if nc.ChannelType() != "session" {
		nc.Reject(ssh.Prohibited, "only sessions and remote forwards are allowed here")
		return
	}
	if c.sessions.Add(1) > maxSessions {
		c.sessions.Add(-1)
		nc.Reject(ssh.ResourceShortage, "too many sessions")
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		c.sessions.Add(-1)
		return
	}
	c.tasks.Go(func() {
		defer c.sessions.Add(-1)
		s := &session{client: c, Channel: ch, hangUp: make(chan struct{}), at: make(chan int), over: make(chan struct{})}
		c.tasks.Go(s.readInput)
		s.serve(requests)
		c.mu.Lock()
		delete(c.started, s)
		c.mu.Unlock()
		close(s.over)
	})
}

// session is what a person with `ssh -R` sees: the URLs, until they press Ctrl-C.
// Nothing is ever executed.
type session struct {
	ssh.Channel
	client  *client
	hangUp  chan struct{} // closed when they have
	started bool
	shown   int           // notes
	at      chan int      // gives shown, whenever somebody asks
	over    chan struct{} // closed when nothing more will be shown
}

// serve blocks until the channel is closed.
func (s *session) serve(requests <-chan *ssh.Request) {
	hangUp := s.hangUp
	for {
		var noted <-chan struct{}
		if s.started {
			noted = s.show()
		}
		select {
		case s.at <- s.shown:
		case req, ok := <-requests:
			if !ok {
				return
			}
			req.Reply(s.take(req), nil)
		case <-noted:
		case <-hangUp:
			hangUp = nil
			s.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
			s.Close()
		}
	}
}

func (s *session) take(req *ssh.Request) bool {
	switch req.Type {
	case "pty-req":
		return true
	case "shell", "exec":
		first := !s.started
		s.started = true
		s.client.mu.Lock()
		defer s.client.mu.Unlock()
		s.client.started[s] = true
		return first
	}
	return false
}

// show writes the notes that are new, and gives what is closed when there are more.
func (s *session) show() <-chan struct{} {
	notes, more := s.client.notesAfter(s.shown)
	for _, n := range notes {
		s.shown = n.n
		out := s.Channel.Write
		if n.bad {
			out = s.Stderr().Write
		}
		if _, err := out([]byte(n.text + "\r\n")); err != nil {
			return more
		}
	}
	return more
}

// readInput waits for Ctrl-C, or Ctrl-D. The end of input is neither: it comes at
// once where standard input is not a terminal.
func (s *session) readInput() {
	var buf [64]byte
	for {
		n, err := s.Read(buf[:])
		if strings.ContainsAny(string(buf[:n]), "\x03\x04") {
			close(s.hangUp)
			return
		}
		if err != nil {
			return
		}
	}
}
