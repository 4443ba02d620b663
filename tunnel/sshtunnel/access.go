package sshtunnel

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// Access says who may use the public name: visitors from Networks (none: from
// anywhere) who know User and Password (none: nobody is asked). The relay keeps the
// rules and turns others away; the password itself never leaves this process.
type Access struct {
	Networks []netip.Prefix
	User     string // without a colon; empty: no password
	Password string
}

// String tells nothing: the password is in there.
func (*Access) String() string { return "access rules" }

// GoString tells as little.
func (*Access) GoString() string { return "access rules" }

// guardsHint is what to type where a server cannot protect names.
const guardsHint = "slackdev tunnel … --via relay://HOST   a relay of slackdev's, of this version or later"

// checkAccess refuses, before anything is dialled, to open a name without the
// protection that was asked for.
func (p *Provider) checkAccess() error {
	if p.Access == nil || p.Profile.Guards {
		return nil
	}
	return &tunnel.RefusedError{
		Op: "protect the name", Err: fmt.Errorf("%s cannot do that, and would let everybody in", p.Profile.Name), Hint: guardsHint,
	}
}

// protect has the server take the rules. They are in force when it returns nil, and no
// name may be asked for before.
func (t *Tunnel) protect() error {
	if t.access == nil {
		return nil
	}
	message, err := t.access.message()
	if err != nil {
		return err
	}
	ok, _, err := t.conn.SendRequest(wire.AccessName, true, ssh.Marshal(message))
	if err != nil {
		return fmt.Errorf("protect the name: %w", err)
	}
	if !ok {
		return &tunnel.RefusedError{Op: "protect the name", Err: errors.New("this server cannot protect names"), Hint: guardsHint}
	}
	return nil
}

// message has a salt of its own each time.
func (a *Access) message() (*wire.Access, error) {
	networks := make([]string, len(a.Networks))
	for i, n := range a.Networks {
		networks[i] = n.String()
	}
	m := &wire.Access{Networks: strings.Join(networks, ",")}
	if a.User == "" {
		return m, nil
	}
	var salt [16]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, fmt.Errorf("protect the name: make a salt: %w", err)
	}
	sum := sha256.Sum256([]byte(string(salt[:]) + a.User + ":" + a.Password))
	m.Salt, m.Sum = string(salt[:]), string(sum[:])
	return m, nil
}
