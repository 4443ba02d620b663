package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/cmd/internal/doctor"
	"github.com/slackdev/slackdev/cmd/internal/probe"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/dial"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// tunnel opens one, step by step, and sends a probe through it.
func (d *diagnosis) tunnel(ctx context.Context) {
	life, end := context.WithCancel(ctx)
	var g errgroup.Group
	defer func() {
		end()
		if err := g.Wait(); err != nil {
			d.log.Debug("embedded relay", "err", err)
		}
	}()
	told := d.failed
	d.good("via", "%s (%s)", d.cfg.Via, d.cfg.Origin("via"))
	rules, notice, err := accessRules(d.cfg)
	if err != nil {
		d.bad("tunnel", err.Error(), console.Hint(err))
		return
	}
	if notice != "" {
		d.warn("tunnel", notice, "")
	}
	p := providers{
		env: d.env, cfg: d.cfg, log: d.log, access: rules, ask: asker(d.env), trace: d.step,
		notice: func(text string) { d.say(doctor.Check{Name: "tunnel", Mark: doctor.Good, Text: text}) },
		warn:   func(_, text, hint string) { d.warn("tunnel", text, hint) },
		heard:  func(string, string) {},
		start:  func(run func(context.Context) error) { g.Go(func() error { return run(life) }) },
		relay:  &relayHere{}, choice: newChoice(),
	}
	provider, err := p.named(d.name(), "--name NAME").choose()
	switch {
	case err != nil:
		d.bad("tunnel", err.Error(), console.Hint(err))
		return
	case provider == nil:
		d.good("tunnel", "none, as --via none says")
		return
	}
	t, err := provider.Open(ctx)
	if err != nil {
		if d.failed == told { // no step has said it
			d.bad("tunnel", err.Error(), console.Hint(err))
		}
		return
	}
	defer t.Close()
	d.public(t)
	d.probe(ctx, t, rules)
}

// name is the public name to ask for: that of the project, unless a running slackdev
// has it. It would lose it for a moment, and requests with it.
func (d *diagnosis) name() string {
	for _, run := range d.running() {
		if run.Project == d.cfg.Project.Dir {
			d.good("tunnel", "slackdev runs here already (pid %d): this one goes by another name", run.PID)
			return ""
		}
	}
	return d.cfg.Name
}

// step reports a part of opening the tunnel.
func (d *diagnosis) step(s sshtunnel.Step) {
	name := s.Name
	if known := map[string]string{string(dial.Resolve): "dns", string(dial.Connect): "tcp", string(dial.Greet): sshtunnel.StepSSH}[name]; known != "" {
		name = known
	}
	switch {
	case s.Err == nil && s.Name == sshtunnel.StepURL: // whom it serves is said with it
		return
	case s.Err == nil:
		d.say(doctor.Check{Name: name, Mark: doctor.Good, Text: s.Text, Took: s.Took})
		return
	}
	fix := console.Hint(s.Err)
	if fix == "" {
		fix = fixOf(s)
	}
	d.say(doctor.Check{Name: name, Mark: doctor.Bad, Text: s.Err.Error(), Fix: fix, Took: s.Took})
}

// fixOf is what to do about a step that failed.
func fixOf(s sshtunnel.Step) string {
	const proxy = "HTTPS_PROXY and ALL_PROXY say which proxy, NO_PROXY for whom there is none;  --proxy none  goes without"
	switch {
	case strings.HasPrefix(s.Text, "the proxy "):
		return proxy
	case errors.Is(s.Err, syscall.ECONNREFUSED):
		return "does the server run, and is that its port? A firewall may answer so, too:  --via relay+tls://HOST  passes most"
	}
	return map[string]string{
		string(dial.Resolve): "is there a network, and is the name spelled right?",
		string(dial.Connect): "a firewall may be between: try  --proxy URL, or a relay on port 443:  --via relay+tls://HOST",
		string(dial.Ask):     proxy,
		string(dial.Secure):  "--relay-ca FILE  names the authority of a relay with a certificate of its own",
		string(dial.Greet):   "is it an SSH server that answers there?",
		sshtunnel.StepSSH:    "is it an SSH server that answers there?",
		sshtunnel.StepURL:    "with  --public-url URL  the service need not say it",
	}[s.Name]
}

// public says who can reach the tunnel's URL.
func (d *diagnosis) public(t tunnel.Tunnel) {
	if tunnel.Public(t.URL()) {
		d.good("url", "%s", t.URL())
		return
	}
	d.warn("url", fmt.Sprintf("%s: only this machine can reach it, Slack cannot", t.URL()), "slackdev tunnel … --via pinggy, or --via relay://HOST")
}

// probe sends a signed request through the public URL, and judges its certificate.
func (d *diagnosis) probe(ctx context.Context, t tunnel.Tunnel, rules *sshtunnel.Access) {
	p, err := probe.New(d.env.Random, d.env.Now)
	if err != nil {
		d.bad("probe", err.Error(), "")
		return
	}
	if d.cfg.App != nil {
		p.AskApp = upstreams(d.cfg, entrances(d.cfg))[0].Ask
	}
	if p.Route, err = route(d.cfg, rules); err != nil {
		d.bad("probe", err.Error(), console.Hint(err))
		return
	}
	srv := &http.Server{Handler: p.Handler(http.NotFoundHandler()), ReadHeaderTimeout: 10 * time.Second}
	var g errgroup.Group
	g.Go(func() error { return serve(srv, t) })
	defer func() {
		if err := errors.Join(srv.Close(), g.Wait()); err != nil {
			d.log.Debug("serve the probe", "err", err)
		}
	}()
	r, err := p.Send(ctx, t.URL(), d.cfg.Path)
	if err != nil {
		d.say(doctor.Stuck(err))
		return
	}
	r.SSH = overSSH(ctx, t)
	d.say(doctor.Way(r))
	if tunnel.Public(t.URL()) {
		d.say(doctor.Certificate(r.Peer, d.env.Now()))
	}
}
