package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/relay"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// publicWithin is how long --via auto looks for a public service before the tunnel
// on this machine has to do.
const publicWithin = 5 * time.Second

// providers makes the tunnel.Provider that the configuration asks for.
type providers struct {
	env    config.Env
	cfg    *config.Config
	log    *slog.Logger
	start  func(run func(context.Context) error) // runs an embedded relay until the program ends
	notice func(string)                          // tells a person
	heard  func(service, text string)            // tells a person what a service says
	warn   func(key, text, hint string)          // tells a person what is not as it was asked for
	access *sshtunnel.Access                     // who may use the name; nil: everybody

	ask      func(context.Context, sshtunnel.Question) (string, error) // asks a person; nil: nobody is there
	password string                                                    // from --password-fd, or empty

	trace func(sshtunnel.Step) // hears of each step of opening a tunnel; nil: nobody does

	// What the tunnels of one process have in common.
	relay  *relayHere
	choice *choice
	rename string // what to type for another name
}

// named gives the same for a tunnel with another name.
func (p providers) named(name, rename string) *providers {
	cfg := *p.cfg
	cfg.Name = name
	p.cfg, p.rename = &cfg, "ask for another name:  slackdev tunnel … "+rename
	return &p
}

// choose gives the provider, or nil for none.
func (p *providers) choose() (tunnel.Provider, error) {
	via := p.cfg.Via
	if via == "none" || via == "embedded" {
		p.idle("nothing leaves this machine", "proxy", "jump", "relay_ca")
		if via == "none" {
			return nil, nil
		}
		return p.embedded(), nil
	}
	profile, err := p.profile()
	if err != nil {
		return nil, err
	}
	public, err := p.ssh(profile)
	if err != nil {
		return nil, err
	}
	if via == "auto" {
		return &auto{public: public, local: p.embedded(), notice: p.notice, choice: p.choice}, nil
	}
	return public, nil
}

// ssh gives the provider of a profile.
func (p *providers) ssh(profile sshtunnel.Profile) (tunnel.Provider, error) {
	provider, jump, err := p.client(profile)
	if err != nil {
		return nil, err
	}
	provider.Access, provider.Password = p.access, p.password
	return provider, p.leave(provider, jump)
}

// client logs in with this user's keys, known hosts and ssh_config, which may say that
// the way leads through other hosts.
func (p *providers) client(profile sshtunnel.Profile) (_ *sshtunnel.Provider, jump string, err error) {
	provider := &sshtunnel.Provider{
		Profile:   profile,
		KeepAlive: sshtunnel.KeepAlive{Idle: p.cfg.KeepAlive},
		Trace:     p.trace,
		Log:       p.log,
		Renamed:   p.renamed,
		Heard:     func(line string) { p.heard(profile.Name, line) },
	}
	if jump, err = p.identify(provider); err != nil {
		return nil, "", err
	}
	if p.cfg.Asked("keepalive") { // which the ssh_config may have another idea of
		provider.KeepAlive = sshtunnel.KeepAlive{Idle: p.cfg.KeepAlive}
	}
	return provider, jump, nil
}

// embedded gives a provider whose relay runs in this process.
func (p *providers) embedded() tunnel.Provider { return &embedded{providers: p} }

// embedded is the relay and its client in one process: the same two that meet over
// the internet, on two ports of this machine. The relay starts with the first Open.
type embedded struct {
	*providers

	mu     sync.Mutex // guards client
	client *sshtunnel.Provider
}

// Name is what --via takes.
func (e *embedded) Name() string { return "embedded" }

// Open opens a tunnel to the relay.
func (e *embedded) Open(ctx context.Context) (tunnel.Tunnel, error) {
	client, err := e.begin()
	if err != nil {
		return nil, err
	}
	return client.Open(ctx)
}

// begin makes the client, once. The relay is the same for all.
func (e *embedded) begin() (*sshtunnel.Provider, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil {
		return e.client, nil
	}
	if err := e.relay.begin(e.providers); err != nil {
		return nil, fmt.Errorf("start the embedded relay: %w", err)
	}
	profile := sshtunnel.Relay(e.Name(), "127.0.0.1", e.relay.port, e.cfg.Name)
	profile.Hint = e.rename
	e.client = &sshtunnel.Provider{
		Profile:   profile,
		Keys:      sshtunnel.Keys{Signers: []ssh.Signer{e.relay.user}},
		Hosts:     sshtunnel.Hosts{Pinned: e.relay.host},
		KeepAlive: sshtunnel.KeepAlive{Idle: e.cfg.KeepAlive},
		Access:    e.access,
		Trace:     e.trace,
		Log:       e.log,
	}
	return e.client, nil
}

// relayHere is the relay of this process, with keys that nobody else has.
type relayHere struct {
	mu   sync.Mutex // guards the rest, which stays as it is once port is set
	port int
	host ssh.PublicKey
	user ssh.Signer
}

// begin starts the relay, once.
func (h *relayHere) begin(p *providers) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.port != 0 {
		return nil
	}
	host, err := p.newKey()
	if err != nil {
		return err
	}
	user, err := p.newKey()
	if err != nil {
		return err
	}
	sshListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		sshListener.Close()
		return err
	}
	mine := string(user.PublicKey().Marshal())
	r := &relay.Relay{
		Domain: "localhost", HostKey: host, Log: p.log,
		Allow: func(key ssh.PublicKey) bool { return string(key.Marshal()) == mine },
	}
	p.start(func(ctx context.Context) error { return r.Run(ctx, relay.Listeners{SSH: sshListener, HTTP: front}) })
	h.host, h.user, h.port = host.PublicKey(), user, sshListener.Addr().(*net.TCPAddr).Port
	return nil
}

func (p *providers) newKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(p.env.Random)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return ssh.NewSignerFromKey(key)
}

// auto takes the public service where it can be reached, and else the relay of this
// process. Once one has answered, it stays with that one: a URL that was pasted into
// Slack must not change behind a person's back. All tunnels of a process go one way.
type auto struct {
	public, local tunnel.Provider
	notice        func(string)
	choice        *choice
}

// choice is which of the two it is. The first who opens a tunnel makes it, and others
// wait for that.
type choice struct {
	turn chan struct{} // has room for one: who makes it

	mu     sync.Mutex // guards the rest
	made   bool
	public bool
}

func newChoice() *choice { return &choice{turn: make(chan struct{}, 1)} }

// Name is the name of whoever carries the traffic.
func (a *auto) Name() string {
	if chosen := a.chosen(); chosen != nil {
		return chosen.Name()
	}
	return "auto"
}

// chosen gives the one that was chosen, nil before that.
func (a *auto) chosen() tunnel.Provider {
	a.choice.mu.Lock()
	defer a.choice.mu.Unlock()
	switch {
	case !a.choice.made:
		return nil
	case a.choice.public:
		return a.public
	}
	return a.local
}

// Open opens a tunnel through the one that was chosen, or chooses.
func (a *auto) Open(ctx context.Context) (tunnel.Tunnel, error) {
	t, err := a.choose(ctx)
	if t != nil || err != nil {
		return t, err
	}
	return a.chosen().Open(ctx)
}

// choose makes the choice by opening a tunnel; it gives none where it was made before.
func (a *auto) choose(ctx context.Context) (tunnel.Tunnel, error) {
	select {
	case a.choice.turn <- struct{}{}:
		defer func() { <-a.choice.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.chosen() != nil {
		return nil, nil
	}
	soon, cancel := context.WithTimeout(ctx, publicWithin)
	defer cancel()
	t, err := a.public.Open(soon)
	public := err == nil
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		a.notice(fmt.Sprintf("%s cannot be reached (%s): the tunnel ends on this machine", a.public.Name(), cause(err)))
		if t, err = a.local.Open(ctx); err != nil {
			return nil, err
		}
	}
	a.choice.mu.Lock()
	a.choice.made, a.choice.public = true, public
	a.choice.mu.Unlock()
	return t, nil
}

// cause shortens a failed open to what a person can act on.
func cause(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", publicWithin)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s is not known here; is there a network?", dns.Name) // it may be a proxy's
	case errors.As(err, &op):
		return op.Err.Error()
	default:
		return err.Error()
	}
}

// plainly keeps an error of the network, and says it as a person would.
func plainly(provider string, err error) error {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		return err
	}
	return fmt.Errorf("%s cannot be reached (%s)", provider, cause(err))
}

// shown spells a URL as programs read it: of this machine by its address.
func shown(u *url.URL) *url.URL {
	if u == nil || u.Hostname() != "localhost" {
		return u
	}
	v := *u
	v.Host = "127.0.0.1"
	if port := u.Port(); port != "" {
		v.Host = net.JoinHostPort("127.0.0.1", port)
	}
	return &v
}
