package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// The bounds of one tunnel. What is beyond them is refused at the server.
const (
	maxWaiting = 512  // connections that nobody has accepted: a relay brings at once what it has held, which can be 500
	maxConns   = 2048 // connections in all
)

// Tunnel is one SSH connection and the forward that it carries. Connections are
// *Conn. All methods are safe for use by many goroutines.
type Tunnel struct {
	profile Profile
	link    *link
	conn    ssh.Conn
	text    *transcript
	session *session
	log     *slog.Logger
	access  *Access  // nil: everybody's
	steps   *tracer  // while it is established
	url     *url.URL // set by establish
	port    int      // that the server gave, set by establish

	hello     *wire.Hello // nil: the server is not slackdev's relay
	move      sync.Once
	moving    chan struct{} // closed when the server asks us to move
	parent    *parent       // nil: the profile does not ask for it
	keepAlive KeepAlive     // set by watch
	asking    atomic.Bool   // whether a question waits for its answer
	poke      chan struct{} // has one element when a question is wanted at once

	once sync.Once
	over chan struct{} // closed when the tunnel has ended
	why  error         // set before over is closed

	work sync.WaitGroup
	wait chan net.Conn // that nobody has accepted

	mu    sync.Mutex         // guards conns
	conns map[*Conn]struct{} // whose pumps run
}

var (
	_ tunnel.Tunnel  = (*Tunnel)(nil)
	_ tunnel.Noticer = (*Tunnel)(nil)
)

// newTunnel takes a login over. Its goroutines end when the link does.
func newTunnel(profile Profile, l *link, in *login, text *transcript, hello *wire.Hello, log *slog.Logger) *Tunnel {
	t := &Tunnel{
		profile: profile, link: l, conn: in.conn, text: text, hello: hello, log: log, moving: make(chan struct{}), poke: make(chan struct{}, 1),
		over: make(chan struct{}), wait: make(chan net.Conn, maxWaiting), conns: make(map[*Conn]struct{}),
	}
	t.session = &session{tunnel: t, ended: make(chan struct{})}
	if profile.TakeOver {
		t.parent = new(parent)
	}
	t.work.Go(func() { t.requests(in.reqs) })
	t.work.Go(func() { t.channels(in.chans) })
	return t
}

// URL is the public address.
func (t *Tunnel) URL() *url.URL { return t.url }

// Addr is the public address.
func (t *Tunnel) Addr() net.Addr { return textAddr(t.url.String()) }

// Notices gives what the server said besides the URL since the last call.
func (t *Tunnel) Notices() []string { return t.text.takeNotices() }

// Accept waits for a connection. When the tunnel is lost it says why, as far as the
// server did; after Close it returns net.ErrClosed.
func (t *Tunnel) Accept() (net.Conn, error) {
	select {
	case <-t.over: // first, so that nothing is accepted after the end
		return nil, t.why
	default:
	}
	select {
	case c := <-t.wait:
		return c, nil
	case <-t.over:
		return nil, t.why
	}
}

// parting is how long Close waits for what closed connections still have to send.
const parting = time.Second

// Close ends the tunnel and all of its connections, and waits for its goroutines.
// What was written to connections that are closed already is sent first, if the
// server takes it within a second.
func (t *Tunnel) Close() error {
	t.part()
	t.end(net.ErrClosed)
	t.work.Wait()
	return nil
}

// part waits until closed connections have sent everything.
func (t *Tunnel) part() {
	t.mu.Lock()
	var closed []*Conn
	for c := range t.conns {
		if c.isClosed() {
			closed = append(closed, c)
		}
	}
	t.mu.Unlock()
	late := time.NewTimer(parting)
	defer late.Stop()
	for _, c := range closed {
		select {
		case <-c.sent:
		case <-t.over: // there is nobody to send to
			return
		case <-late.C:
			return
		}
	}
}

// end makes why the reason, if there is none yet, and frees everything that waits
// for the server.
func (t *Tunnel) end(why error) {
	t.once.Do(func() {
		t.why = why
		close(t.over)
	})
	if err := t.link.Close(); err != nil {
		t.log.Debug("link closed", "err", err)
	}
	t.text.stop()
}

// lost is why connections end, once the link has; nil before.
func (t *Tunnel) lost() error {
	if t.link.over.Load() {
		return ErrLost
	}
	return nil
}

// channels takes what the server opens until the connection ends.
func (t *Tunnel) channels(chans <-chan ssh.NewChannel) {
	for c := range chans {
		t.accept(c)
	}
	err := fmt.Errorf("lost the connection to %s: %w", t.profile.addr(), t.conn.Wait())
	<-t.session.ended // its last words are worth waiting for, and at hand
	t.end(t.text.because(err))
	t.mu.Lock()
	conns := make([]*Conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	for _, c := range conns {
		c.abort(ErrLost)
	}
}

// accept takes one channel. The tunnel has one forward, so that every forwarded
// channel is its: what address and port a server names in it differs from server to
// server (a host name, the port that was asked for or the one that was given).
func (t *Tunnel) accept(c ssh.NewChannel) {
	if c.ChannelType() != wire.ForwardedChannel {
		t.reject(c, ssh.UnknownChannelType, "only forwarded connections are taken here")
		return
	}
	open, err := parseForwardedOpen(c.ExtraData())
	if err != nil {
		t.log.Warn("forwarded connection refused", "err", err)
		t.reject(c, ssh.ConnectionFailed, "malformed request")
		return
	}
	t.mu.Lock()
	full := len(t.conns) >= maxConns
	t.mu.Unlock()
	if full || len(t.wait) == cap(t.wait) { // only this goroutine adds to either
		t.reject(c, ssh.ResourceShortage, "too many connections")
		return
	}
	ch, reqs, err := c.Accept()
	if err != nil {
		return // the connection is ending
	}
	conn := newConn(ch, textAddr(t.profile.addr()), originAddr(open), t.lost)
	conn.token = t.token()
	t.mu.Lock()
	t.conns[conn] = struct{}{}
	t.mu.Unlock()
	t.work.Go(func() {
		conn.serve(reqs)
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.conns, conn)
	})
	t.wait <- conn
}

func (t *Tunnel) reject(c ssh.NewChannel, why ssh.RejectionReason, text string) {
	if err := c.Reject(why, text); err != nil {
		t.log.Debug("channel rejected", "err", err)
	}
}

// establish asks for the forward and for a session in one flight, and waits until
// the URL is known. The forward goes out first: services look at what is forwarded
// when the session begins. A refusal is asked about again when inTheWay is a command
// that makes way.
func (t *Tunnel) establish(ctx context.Context, inTheWay string) error {
	if err := t.introduce(); err != nil {
		return err
	}
	granted := make(chan error, 1)
	sent := t.link.nextWrite()
	t.work.Go(func() { granted <- t.forward() })
	select {
	case <-sent:
	case <-t.over:
	case <-ctx.Done():
	}
	if t.profile.Session == SessionNone {
		close(t.session.ended)
	} else {
		t.work.Go(t.session.run)
	}
	err := <-granted // comes in any case: when ctx ends, it closes the link
	if refused := (*tunnel.RefusedError)(nil); errors.As(err, &refused) && inTheWay != "" {
		if failed := t.takeOver(ctx, inTheWay); failed != nil {
			t.log.Info("the last tunnel's server process cannot be ended", "err", failed)
		} else {
			err = t.forward()
		}
	}
	if err != nil {
		return t.session.explain(err)
	}
	t.steps.done(StepURL, describe(wire.ForwardRequest{BindAddr: t.profile.Bind, BindPort: uint32(t.port)}))
	switch {
	case t.profile.Announce.URL != nil:
		t.url = t.profile.Announce.URL
	case t.profile.Announce.Forward:
		t.url = forwardURL(t.profile.Host, t.port)
	default:
		u, err := t.session.awaitURL(ctx)
		if err != nil {
			return err
		}
		t.url = u
	}
	t.steps.done("", t.url.String())
	return nil
}

// forward sends tcpip-forward, when the name is protected, and sets the port.
func (t *Tunnel) forward() error {
	if err := t.protect(); err != nil {
		return err
	}
	ask := t.wanted()
	ok, reply, err := t.conn.SendRequest(wire.ForwardName, true, ssh.Marshal(&ask))
	if err != nil {
		return fmt.Errorf("ask for a forward: %w", err)
	}
	if !ok {
		return &tunnel.RefusedError{
			Op:  "ask for " + describe(ask),
			Err: errors.New("the server refuses to forward it"), Hint: t.profile.Hint,
		}
	}
	t.port = t.profile.BindPort
	var got wire.ForwardReply
	if t.port == 0 && ssh.Unmarshal(reply, &got) == nil {
		t.port = int(got.BindPort & 0xffff)
	}
	if t.port == 0 && t.profile.Announce.Forward {
		return errors.New("ask for a forward: the server does not say which port it gave")
	}
	return nil
}

// wanted is the forward that is asked for.
func (t *Tunnel) wanted() wire.ForwardRequest {
	return wire.ForwardRequest{BindAddr: t.profile.Bind, BindPort: uint32(t.profile.BindPort)}
}

// describe names a forward for a person.
func describe(r wire.ForwardRequest) string {
	port := strconv.FormatUint(uint64(r.BindPort), 10)
	switch {
	case r.BindAddr == "" && r.BindPort == 0:
		return "a port"
	case r.BindAddr == "":
		return "port " + port
	}
	return net.JoinHostPort(r.BindAddr, port)
}

// parseForwardedOpen reads the extra data of a forwarded-tcpip channel.
func parseForwardedOpen(extra []byte) (wire.ForwardedOpen, error) {
	var open wire.ForwardedOpen
	if len(extra) > 4<<10 {
		return open, errors.New("forwarded channel: addresses too long")
	}
	if err := ssh.Unmarshal(extra, &open); err != nil {
		return open, fmt.Errorf("forwarded channel: %w", err)
	}
	return open, nil
}

// originAddr is the public peer's address. A server may say anything here; what is
// no address is cleaned and shortened, for it ends in logs.
func originAddr(open wire.ForwardedOpen) net.Addr {
	port := int(open.OriginPort & 0xffff)
	if ip := net.ParseIP(open.OriginAddr); ip != nil {
		return &net.TCPAddr{IP: ip, Port: port}
	}
	host := "unknown"
	if hostName(open.OriginAddr) {
		host = open.OriginAddr
	}
	return textAddr(net.JoinHostPort(host, strconv.Itoa(port)))
}

// textAddr is an address on the far side of an SSH server.
type textAddr string

func (textAddr) Network() string  { return "ssh" }
func (a textAddr) String() string { return string(a) }
