package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/dial"
	"golang.org/x/crypto/ssh"
)

// maxHops bounds a chain of jump hosts. Who names more goes round in a circle.
const maxHops = 8

// Hop is an SSH server on the way to another one.
type Hop struct {
	// Login says who logs in where, with which keys, and which host key is believed:
	// its Profile's Host, Port and User, its Keys and its Hosts. It opens no tunnel.
	Login *Provider
	// Via is how ssh_config says that this host is reached itself, in the words of
	// ParseJump; empty: as any other. It counts for the first of a chain alone, as
	// with OpenSSH.
	Via string
}

// addr is host:port of the server.
func (h Hop) addr() string { return h.Login.Profile.addr() }

// Jump reaches addresses through one or more SSH servers, as `ssh -J` does: by a
// login at the first, which connects to the second, and so on. Nothing is asked of
// the hops while a connection is silent: whoever is at its ends asks the other one.
//
// Its fields are not changed after the first call of DialContext, which is safe for
// use by many goroutines and logs in anew each time.
type Jump struct {
	Dial dial.Func    // reaches the first host; nil: a dial.Dialer, which goes directly
	Log  *slog.Logger // nil: silence

	hops []Hop
}

// NewJump makes a Jump of [USER@]HOST[:PORT][,…], the nearest host first. resolve
// says how each is logged in to; a user and a port in its Target were written and
// beat what a file says. "none" and nothing at all are no Jump, but nil.
func NewJump(text string, resolve func(Target) (Hop, error)) (*Jump, error) {
	hosts, err := ParseJump(text)
	if err != nil || len(hosts) == 0 {
		return nil, err
	}
	var hops []Hop
	for len(hosts) > 0 {
		chain := make([]Hop, len(hosts))
		for i, host := range hosts {
			if chain[i], err = resolve(host); err != nil {
				return nil, fmt.Errorf("jump host %s: %w", host.Host, err)
			}
		}
		hops = append(chain, hops...)
		if len(hops) > maxHops {
			return nil, fmt.Errorf("more than %d jump hosts, or a circle of them, lead to %s", maxHops, hops[len(hops)-1].addr())
		}
		if hosts, err = ParseJump(chain[0].Via); err != nil {
			return nil, fmt.Errorf("jump host %s: %w", chain[0].addr(), err)
		}
	}
	return &Jump{hops: hops}, nil
}

// ParseJump reads [USER@]HOST[:PORT][,…] or "none", as ssh -J and ssh_config's
// ProxyJump have it. Its errors say what is wrong with the text, for a person.
func ParseJump(text string) ([]Target, error) {
	text = strings.TrimSpace(text)
	if text == "" || strings.EqualFold(text, "none") {
		return nil, nil
	}
	var hosts []Target
	for host := range strings.SplitSeq(text, ",") {
		t, err := ParseTarget("ssh://" + strings.TrimPrefix(strings.TrimSpace(host), "ssh://"))
		if err != nil {
			return nil, fmt.Errorf("a jump host is written [USER@]HOST[:PORT]: %w", err)
		}
		hosts = append(hosts, t)
	}
	return hosts, nil
}

// First is the host:port of the first hop, which Dial has to reach.
func (j *Jump) First() string { return j.hops[0].addr() }

// Hops lists the hops as [USER@]HOST:PORT, the nearest first.
func (j *Jump) Hops() (list []string) {
	for _, hop := range j.hops {
		name := hop.addr()
		if user := hop.Login.Profile.User; user != "" {
			name = user + "@" + name
		}
		list = append(list, name)
	}
	return list
}

// DialContext connects to addr, a host:port as the last hop knows it. Its errors name
// the hop where it failed; one that refuses is a *tunnel.RefusedError. Closing the
// connection ends the logins in order, the farthest first.
func (j *Jump) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	near := j.Dial
	if near == nil {
		near = new(dial.Dialer).DialContext
	}
	out := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := near(ctx, network, addr)
		if err != nil {
			return nil, fmt.Errorf("jump host: %w", err)
		}
		return conn, nil
	}
	for _, hop := range j.hops {
		out = j.over(hop, out)
	}
	return out(ctx, network, addr)
}

// over is what can be reached from a hop, which itself can be reached by out.
func (j *Jump) over(hop Hop, out dial.Func) dial.Func {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := out(ctx, network, hop.addr())
		if err != nil {
			return nil, err
		}
		c := &jumped{hop: hop.addr(), link: newLink(conn), served: make(chan struct{})}
		stop := context.AfterFunc(ctx, func() { _ = c.link.Close() })
		err = c.connect(ctx, hop, addr, j.Log)
		if !stop() {
			err = context.Cause(ctx) // what it broke off says less
		}
		if err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("jump host %s: %w", c.hop, err)
		}
		return c, nil
	}
}

// jumped is a connection that a hop has made for us, and the login that carries it.
type jumped struct {
	*Conn // nil until there is one
	hop   string
	link  *link
	login *login // nil until there is one

	once   sync.Once
	work   sync.WaitGroup
	served chan struct{} // closed when both ends have closed the Conn
}

// connect logs in and has the hop connect to addr.
func (c *jumped) connect(ctx context.Context, hop Hop, addr string, log *slog.Logger) error {
	text := newTranscript(Announce{})
	in, err := hop.Login.login(ctx, c.link, text, stopwatchOf(ctx), nil)
	if log != nil {
		log.Debug("jump host", "host", c.hop, "says", text.takeNotices(), "err", err)
	}
	if err != nil {
		return err
	}
	c.login = in
	c.work.Go(func() { ssh.DiscardRequests(in.reqs) })
	c.work.Go(func() {
		for ch := range in.chans {
			_ = ch.Reject(ssh.Prohibited, "nothing is taken here") // or it has ended
		}
	})
	c.work.Go(c.hurry)
	host, digits, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return err
	}
	ch, reqs, err := in.conn.OpenChannel("direct-tcpip", ssh.Marshal(directOpen{
		Addr: host, Port: uint32(port), OriginAddr: "127.0.0.1", OriginPort: 65535, // as ssh -W says: from nowhere
	}))
	if err != nil {
		return notOpened(err, addr)
	}
	c.Conn = newConn(ch, textAddr(c.hop), textAddr(addr), c.lost)
	c.work.Go(func() {
		defer close(c.served)
		c.serve(reqs)
	})
	return nil
}

// hurry begins a session that does nothing, because sshd turns its Nagle algorithm off
// when one begins: see SSHD. Where a hop refuses it, small packets may wait there.
func (c *jumped) hurry() {
	ch, reqs, err := c.login.conn.OpenChannel("session", nil)
	if err != nil {
		return
	}
	defer ch.Close()
	var rest sync.WaitGroup
	defer rest.Wait()
	rest.Go(func() { ssh.DiscardRequests(reqs) })
	if ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"true"})); err == nil && ok {
		_, _ = io.Copy(io.Discard, ch) // until it has ended
	}
}

// directOpen is the extra data of a "direct-tcpip" channel, RFC 4254 section 7.2.
type directOpen struct {
	Addr       string
	Port       uint32
	OriginAddr string
	OriginPort uint32
}

// notOpened says why a hop does not connect to addr.
func notOpened(err error, addr string) error {
	var no *ssh.OpenChannelError
	if !errors.As(err, &no) {
		return fmt.Errorf("lost while it connects to %s: %w", addr, err)
	}
	said := printable(no.Message, maxNotice)
	switch no.Reason {
	case ssh.Prohibited, ssh.UnknownChannelType:
		return &tunnel.RefusedError{
			Op: "connect to " + addr, Err: fmt.Errorf("it lets nobody do that (%s)", said),
			Hint: "its sshd_config needs  AllowTcpForwarding yes  and no PermitOpen that leaves this host out",
		}
	}
	return fmt.Errorf("it cannot connect to %s: %s", addr, said)
}

// lost is why the connection ends when the hop's link has; nil before. Of several
// hops the nearest one is to blame: the others went with it.
func (c *jumped) lost() error {
	if nearer, ok := c.link.Conn.(*jumped); ok && nearer.lost() != nil {
		return nearer.lost()
	}
	if c.link.over.Load() {
		return fmt.Errorf("jump host %s: connection lost", c.hop)
	}
	return nil
}

// farewell is how long a hop may take to pass the last bytes on and to close its end.
// It is short because a dead one takes all of it.
const farewell = 250 * time.Millisecond

// Close sends what was written, closes the connection, then the login, and waits for
// its goroutines.
func (c *jumped) Close() error {
	c.once.Do(func() {
		if c.Conn != nil {
			_ = c.Conn.Close()
			late := time.NewTimer(farewell)
			defer late.Stop()
			select {
			case <-c.served:
			case <-late.C:
			}
		}
		if c.login != nil {
			_ = c.login.conn.Close() // it may have ended
		}
		_ = c.link.Close()
		c.work.Wait()
	})
	return nil
}
