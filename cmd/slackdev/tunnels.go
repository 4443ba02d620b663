package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/webui"
)

// entrance is one way in: a public name, the tunnel that has it, and the app behind.
// All entrances lead to one proxy, one history and one inspector.
type entrance struct {
	name     string // the public name that is asked for
	upstream string // what its requests carry as the name of their app: "" for the first
	app      *url.URL
	keeper   *tunnel.Keeper // nil: no tunnel
	front    net.Listener   // where requests arrive when there is no tunnel

	// Guarded by app.mu.
	status  tunnel.Status
	came    bool  // it was up, and that was told
	settled bool  // or it is known to have to wait
	told    bool  // that it is up now
	proof   proof // of the last time it was up

	unproved context.CancelFunc // ends the proof under way; the keeper's goroutine alone uses it
}

// entrances gives those that the configuration asks for, the first of them first.
func entrances(cfg *config.Config) []*entrance {
	all := []*entrance{{name: cfg.Name, app: cfg.App}}
	for _, t := range cfg.Tunnels {
		all = append(all, &entrance{name: t.Name, upstream: t.Name, app: t.URL})
	}
	return all
}

// upstream gives the app at u as the configuration wants it to be reached.
func upstream(cfg *config.Config, name string, u *url.URL) proxy.Upstream {
	return proxy.Upstream{Name: name, URL: u, Insecure: cfg.InsecureUpstream, KeepHost: cfg.KeepHost}
}

// upstreams gives all apps: those of the entrances, then those of the routes.
func upstreams(cfg *config.Config, doors []*entrance) []proxy.Upstream {
	var all []proxy.Upstream
	for _, e := range doors {
		all = append(all, upstream(cfg, e.called(doors), e.app))
	}
	for _, r := range cfg.Routes {
		all = append(all, upstream(cfg, r.Name, r.URL))
	}
	return all
}

// called is what tells an entrance from the others: "" where there are none.
func (e *entrance) called(among []*entrance) string {
	if len(among) == 1 {
		return ""
	}
	return e.name
}

func (a *app) called(e *entrance) string { return e.called(a.entrances) }

// arrivals is where the requests of one entrance arrive.
type arrivals struct {
	proxy.Listener
	from *entrance
}

// open opens the entrances, and keeps a tunnel open behind each.
func (a *app) open(ctx context.Context, g *errgroup.Group) error {
	p := providers{
		env: a.env, cfg: a.cfg, log: a.log, notice: a.screen.notice, warn: a.screen.trouble, heard: a.screen.heard, access: a.access, ask: a.person, password: a.password,
		relay: &relayHere{}, choice: newChoice(),
		start: func(run func(context.Context) error) { g.Go(func() error { return run(ctx) }) },
	}
	for i, e := range a.entrances {
		rename := "--name NAME"
		if i > 0 {
			rename = "NAME=APP"
		}
		provider, err := p.named(e.name, rename).choose()
		if err != nil {
			return a.of(e, err)
		}
		if provider == nil {
			var lc net.ListenConfig
			if e.front, err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
				return err
			}
			continue
		}
		e.keeper = &tunnel.Keeper{Provider: provider, GiveUp: a.cfg.GiveUp, Log: a.log}
		e.keeper.OnStatus(func(s tunnel.Status) { a.tunnelChanged(ctx, g, e, s) })
	}
	for _, e := range a.entrances {
		if e.keeper != nil {
			g.Go(func() error { return a.of(e, e.keeper.Run(ctx)) })
		}
	}
	return nil
}

// of says which tunnel an error is about, where there are several.
func (a *app) of(e *entrance, err error) error {
	if name := a.called(e); err != nil && name != "" {
		return fmt.Errorf("tunnel %s: %w", name, err)
	}
	return err
}

// withdrawing is how long a relay may take to say that it keeps what comes.
const withdrawing = time.Second

// withdraw has relays keep the requests that come from now on: the next slackdev will
// get them.
func (a *app) withdraw(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, withdrawing)
	defer cancel()
	var all sync.WaitGroup
	for _, e := range a.entrances {
		if e.keeper == nil {
			continue
		}
		all.Go(func() {
			if err := e.keeper.Withdraw(ctx); err != nil {
				a.log.Info("the name is not taken back", "name", e.name, "err", err)
			}
		})
	}
	all.Wait()
}

// listener is what the public server serves.
func (e *entrance) listener() net.Listener {
	if e.keeper == nil {
		return e.front
	}
	return e.keeper
}

// provenance is what every request has that comes through the entrance.
func (e *entrance) provenance() inspector.Provenance {
	p := inspector.Provenance{Origin: inspector.Tunnel, Upstream: e.upstream}
	if e.keeper == nil {
		p.Origin = inspector.Local
	}
	return p
}

// public is the address that senders use whose requests name an app so; nil before
// there is one. What names a route came through the first, as far as anybody knows.
func (a *app) public(upstream string) *url.URL {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.entrances[1:] {
		if e.upstream == upstream {
			return e.status.URL
		}
	}
	return a.entrances[0].status.URL
}

// tunnelChanged hears from the keepers. That a tunnel is up is told when a request has
// come through it; one that is back where it was has done that before, and is told at once.
func (a *app) tunnelChanged(ctx context.Context, g *errgroup.Group, e *entrance, s tunnel.Status) {
	if e.unproved != nil {
		e.unproved()
		e.unproved = nil
	}
	a.mu.Lock()
	back := e.came && !s.Changed
	e.status, e.told = s, false // requests may come before it is told
	a.mu.Unlock()
	if s.State != tunnel.Up || back {
		if a.tellTunnel(ctx, e, s, nil) {
			a.askAll()
		}
	}
	if s.State == tunnel.Up {
		ctx, e.unproved = context.WithCancel(ctx)
		g.Go(func() error { a.prove(ctx, e, s); return nil })
	}
}

// tellTunnel tells of a change, one at a time, and reports whether it was the one that
// the first screen waited for. p is what came of the probes, nil before any has ended.
func (a *app) tellTunnel(ctx context.Context, e *entrance, s tunnel.Status, p *proof) (began bool) {
	a.telling.Lock()
	defer a.telling.Unlock()
	if ctx.Err() != nil { // it is past
		return false
	}
	s.Err = plainly(s.Provider, s.Err)
	a.mu.Lock()
	news := s.State == tunnel.Up && !e.came
	again := e.told
	if p != nil {
		e.proof = *p
	}
	e.status, e.told, e.came = s, s.State == tunnel.Up, e.came || news
	e.settled = e.settled || s.State == tunnel.Up || s.State == tunnel.Waiting
	a.mu.Unlock()
	if news {
		a.screen.usable(a.ready(e))
	}
	began = a.begin()
	if s.State == tunnel.Waiting && !a.hasBegun() {
		a.screen.notice("meanwhile the inspector is on " + a.localURL() + "/#t=" + a.token + "  and  slackdev send  reaches the app")
	}
	if !again {
		a.screen.tunnel(a.called(e), s)
	}
	if p != nil {
		a.doubts(e, *p)
	}
	a.refresh(webui.StatusChanged)
	return began
}

// ready is what is known of an entrance that can be used.
func (a *app) ready(e *entrance) console.Ready {
	a.mu.Lock()
	s, p := e.status, e.proof
	a.mu.Unlock()
	r := console.Ready{
		Public: s.URL, App: e.app, Path: a.cfg.Path, Local: a.localURL(), Inspect: a.localURL() + "/#t=" + a.token,
		Provider: s.Provider, Carrier: carrier(a.cfg), Name: e.name, Doubt: p.doubt != nil,
	}
	if s.Public { // how far away one's own machine is says nothing
		r.Latency = p.took
	}
	if e.keeper == nil {
		r.Provider = "none"
		r.Front = e.address()
	}
	return r
}

// address is where the requests of an entrance without a tunnel arrive.
func (e *entrance) address() *url.URL {
	return &url.URL{Scheme: "http", Host: e.front.Addr().String()}
}

// begin shows the first screen, once: as soon as one entrance can be used, and of the
// others is known whether they can. It reports whether it did.
func (a *app) begin() bool {
	a.mu.Lock()
	usable, settled := false, true
	for _, e := range a.entrances {
		usable = usable || e.came || e.front != nil
		settled = settled && (e.settled || e.front != nil)
	}
	first := !a.began && usable && settled
	a.began = a.began || first
	a.mu.Unlock()
	if !first {
		return false
	}
	r := a.ready(a.entrances[0])
	for _, e := range a.entrances[1:] {
		other := a.ready(e)
		r.Others = append(r.Others, console.Way{Name: e.name, Public: other.Public, Front: other.Front, App: e.app, Doubt: other.Doubt})
	}
	for _, route := range a.cfg.Routes {
		r.Others = append(r.Others, console.Way{Name: route.Name, Route: true, App: route.URL})
	}
	for _, secret := range a.secrets {
		r.Secrets = append(r.Secrets, secret.Name)
	}
	if a.cfg.Via == "auto" && r.Provider == "embedded" {
		r.Failed = "pinggy"
	}
	if a.cfg.Store == "memory" {
		r.Warnings = append(r.Warnings, "the history is kept in memory and ends with slackdev")
	}
	for _, u := range a.apps {
		if u.Insecure && u.URL.Scheme == "https" {
			r.Warnings = append(r.Warnings, "--insecure-upstream: nobody checks that "+u.Addr()+" is your app, any certificate is taken")
		}
	}
	a.screen.begin(r)
	if a.cfg.Enforce {
		a.screen.notice(fmt.Sprintf("--enforce: what is not signed by Slack gets %d, and does not reach the app", a.cfg.RefuseStatus))
	}
	close(a.live)
	return true
}

// beginWithoutTunnels begins where nothing has to be waited for.
func (a *app) beginWithoutTunnels() {
	for _, e := range a.entrances {
		if e.keeper != nil {
			return
		}
		a.screen.usable(a.ready(e))
	}
	if a.begin() {
		a.askAll()
	}
}

// hasBegun reports whether the first screen was shown.
func (a *app) hasBegun() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.began
}
