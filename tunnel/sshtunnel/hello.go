package sshtunnel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

var (
	_ tunnel.Mover      = (*Tunnel)(nil)
	_ tunnel.Withdrawer = (*Tunnel)(nil)
)

// hello introduces us to a server that is slackdev's relay; nil for any other. The
// instance stays the Provider's, the token is new.
func (p *Provider) hello() *wire.Hello {
	if !p.Profile.Hello {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.instance == "" {
		p.instance = rand.Text()
	}
	return &wire.Hello{Instance: p.instance, Token: rand.Text()}
}

// introduce sends the hello, ahead of the forward and in its flight: no answer is
// wanted.
func (t *Tunnel) introduce() error {
	if t.hello == nil {
		return nil
	}
	if _, _, err := t.conn.SendRequest(wire.HelloName, false, ssh.Marshal(t.hello)); err != nil {
		return fmt.Errorf("introduce ourselves: %w", err)
	}
	return nil
}

// token is what our relay puts in front of the IDs of requests; "" elsewhere.
func (t *Tunnel) token() string {
	if t.hello == nil {
		return ""
	}
	return t.hello.Token
}

// Token is what the relay puts in front of the IDs that it stamps the requests of this
// connection with, or "" where the server is not slackdev's relay. See tunnel.Token.
func (c *Conn) Token() string { return c.token }

// Moving is closed when our relay asks its clients to open a new connection. No other
// server can ask.
func (t *Tunnel) Moving() <-chan struct{} { return t.moving }

// Withdraw takes the name back from our relay, which then holds its requests until
// somebody asks for the name again. No other server is known to hold any.
func (t *Tunnel) Withdraw(ctx context.Context) error {
	if t.hello == nil {
		return nil
	}
	done := make(chan error, 1)
	t.work.Go(func() { // SendRequest takes no context: the end of the tunnel frees it
		ok, _, err := t.conn.SendRequest(wire.CancelForwardName, true, ssh.Marshal(t.wanted()))
		if err == nil && !ok {
			err = errors.New("the relay does not know it")
		}
		done <- err
	})
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("take back %s: %w", describe(t.wanted()), err)
		}
		return nil
	case <-t.over:
		return t.why
	case <-ctx.Done():
		return ctx.Err()
	}
}

// requests answers the server's global requests until the connection ends: with no,
// which is all that a keep-alive wants.
func (t *Tunnel) requests(reqs <-chan *ssh.Request) {
	for r := range reqs {
		if r.Type == wire.MoveName && t.hello != nil {
			t.move.Do(func() { close(t.moving) })
		}
		if !r.WantReply {
			continue
		}
		if err := r.Reply(false, nil); err != nil {
			t.log.Debug("request refused", "type", r.Type, "err", err)
		}
	}
}
