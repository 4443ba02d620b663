package relay

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

const (
	maxNotes    = 64 // that a session which comes late can still read
	maxSessions = 4  // of one client at once
	maxBindAddr = 255
	defaultPort = 80 // for those who leave the port to the relay
	madeUpTries = 8
)

// client is a connection that has logged in.
type client struct {
	s       *server
	conn    *ssh.ServerConn
	watched *watchedConn
	key     ssh.PublicKey
	id      string // the key's fingerprint
	source  string // that its names are counted for; "" if they are not
	// ahead says that channels may be opened to this client before there is a
	// request for them. An app of its own behind `ssh -R` may serve one
	// connection at a time, and would wait for ever on one that stays silent.
	ahead    bool
	gone     chan struct{} // closed when the connection has ended
	probes   chan struct{} // has room for one; see probe
	asking   sync.Mutex    // held while alive asks
	tasks    sync.WaitGroup
	sessions atomic.Int32
	rules    *rules // of the forwards that follow; takeRequests alone uses it

	mu       sync.Mutex  // guards the rest
	hello    *wire.Hello // nil: it has said none
	started  map[*session]bool
	forwards map[wire.ForwardRequest]*tunnel
	notes    []note
	noted    chan struct{} // closed, and made anew, with each note
}

// note is a line that the client's sessions show: a URL on standard output, what
// went wrong on standard error.
type note struct {
	n    int // counts from 1
	text string
	bad  bool
}

// newClient takes the identity from the connection's permissions.
func (s *server) newClient(conn *ssh.ServerConn, watched *watchedConn) (*client, error) {
	key, err := ssh.ParsePublicKey([]byte(conn.Permissions.Extensions[extKey]))
	if err != nil {
		return nil, fmt.Errorf("read the client's key: %w", err)
	}
	return &client{
		s: s, conn: conn, watched: watched,
		key: key, id: conn.Permissions.Extensions[extFingerprint],
		source:   nameSource(watched),
		ahead:    strings.HasPrefix(string(conn.ClientVersion()), wire.ClientVersion),
		gone:     make(chan struct{}),
		probes:   make(chan struct{}, 1),
		started:  map[*session]bool{},
		forwards: map[wire.ForwardRequest]*tunnel{},
		noted:    make(chan struct{}),
	}, nil
}

// serve blocks until the connection has ended and everything that came of it.
func (c *client) serve(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	c.s.log.Info("client connected", "from", c.conn.RemoteAddr(), "key", c.id)
	c.tasks.Go(c.keepAlive)
	c.tasks.Go(func() { c.takeRequests(requests) })
	for nc := range channels {
		c.takeChannel(nc)
	}
	close(c.gone)
	c.mu.Lock()
	tunnels := make([]*tunnel, 0, len(c.forwards))
	for _, t := range c.forwards {
		tunnels = append(tunnels, t)
	}
	c.mu.Unlock()
	for _, t := range tunnels {
		t.leave()
	}
	c.tasks.Wait()
	c.s.log.Info("client gone", "from", c.conn.RemoteAddr(), "key", c.id)
}

// takeRequests answers the global requests.
func (c *client) takeRequests(requests <-chan *ssh.Request) {
	for req := range requests {
		switch req.Type {
		case wire.HelloName:
			req.Reply(c.takeHello(req), nil)
		case wire.ForwardName:
			c.takeForward(req)
		case wire.CancelForwardName:
			var bind wire.ForwardRequest
			err := ssh.Unmarshal(req.Payload, &bind)
			req.Reply(err == nil && c.cancel(bind), nil)
		case wire.AccessName:
			c.takeAccess(req)
		case wire.KeepAliveName:
			req.Reply(true, nil)
		default:
			req.Reply(false, nil)
		}
	}
}

func (c *client) takeForward(req *ssh.Request) {
	var bind wire.ForwardRequest
	err := ssh.Unmarshal(req.Payload, &bind)
	var payload []byte
	if err == nil && bind.BindPort == 0 {
		bind.BindPort = defaultPort
		payload = ssh.Marshal(wire.ForwardReply{BindPort: defaultPort})
	}
	var t *tunnel
	if err == nil {
		t, err = c.forward(bind)
	}
	if err != nil {
		c.s.log.Info("forward refused", "key", c.id, "err", err)
		req.Reply(false, nil)
		c.note(wire.ErrorPrefix+err.Error(), true)
		return
	}
	c.s.log.Info("tunnel up", "name", t.name.label, "key", c.id)
	req.Reply(true, payload)
	c.note(wire.URLPrefix+c.s.url(t.name.label).String(), false)
	t.warm()
}

// forward makes a tunnel of what the client asked for. The errors are for its owner.
func (c *client) forward(bind wire.ForwardRequest) (*tunnel, error) {
	if len(bind.BindAddr) > maxBindAddr || bind.BindPort > 65535 {
		return nil, errors.New("the forward is malformed")
	}
	if c.hasEnded() { // requests that it sent before are still read
		return nil, errEnded
	}
	if c.s.isStopping() {
		return nil, errors.New("the relay is stopping")
	}
	if c.s.Allow != nil && !c.s.Allow(c.key) {
		return nil, errors.New("this key may no longer use this relay")
	}
	c.mu.Lock()
	held := map[string]bool{}
	for b, t := range c.forwards {
		if t.closed() { // a newer connection has the name
			delete(c.forwards, b)
			continue
		}
		held[t.name.label] = true
	}
	_, twice := c.forwards[bind]
	c.mu.Unlock()
	if twice {
		return nil, errors.New("this connection has this forward already")
	}
	if len(held) >= c.s.limits.Forwards {
		return nil, fmt.Errorf("this connection has %d forwards already", len(held))
	}
	t := c.newTunnel(bind)
	t.rules = c.rules
	before, err := c.claim(t, held)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.forwards[bind] = t
	c.mu.Unlock()
	if c.hasEnded() { // and serve may have looked at forwards before
		t.leave()
		return nil, errEnded
	}
	if before != nil {
		t.takeOver(before)
	}
	return t, nil
}

// errEnded is why nothing comes of what a connection asked for just before its end.
var errEnded = errors.New("the connection has ended")

func (c *client) hasEnded() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// claim finds a name for t: the one that is wanted, or one that is made up.
func (c *client) claim(t *tunnel, held map[string]bool) (before *tunnel, err error) {
	label := c.s.names.wanted(t.bind.BindAddr)
	if held[label] {
		return nil, fmt.Errorf("this connection has the name %s already", label)
	}
	if label != "" {
		return c.s.names.claim(label, c.id, c.source, t)
	}
	for nth := range madeUpTries + len(held) {
		if label = madeUp(c.id, nth); held[label] {
			continue
		}
		if before, err = c.s.names.claim(label, c.id, c.source, t); err == nil {
			break
		}
	}
	return before, err
}

func (c *client) cancel(bind wire.ForwardRequest) bool {
	if bind.BindPort == 0 {
		bind.BindPort = defaultPort
	}
	c.mu.Lock()
	t := c.forwards[bind]
	delete(c.forwards, bind)
	c.mu.Unlock()
	if t == nil {
		return false
	}
	t.leave()
	c.s.log.Info("tunnel down", "name", t.name.label, "key", c.id)
	return true
}

// note adds a line for the sessions, and gives its number.
func (c *client) note(text string, bad bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 1
	if len(c.notes) > 0 {
		n = c.notes[len(c.notes)-1].n + 1
	}
	if len(c.notes) == maxNotes {
		c.notes = append(c.notes[:0], c.notes[1:]...)
	}
	c.notes = append(c.notes, note{n: n, text: text, bad: bad})
	close(c.noted)
	c.noted = make(chan struct{})
	return n
}

// notesAfter gives the lines after the nth, and what is closed when there are more.
func (c *client) notesAfter(n int) ([]note, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := 0
	for i < len(c.notes) && c.notes[i].n <= n {
		i++
	}
	return append([]note(nil), c.notes[i:]...), c.noted
}
