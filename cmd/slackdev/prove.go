package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/probe"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/dial"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// What is done to find out whether requests come through a tunnel that is up.
const (
	doubtAfter = 3 * time.Second // then a person is told that none has yet
	firstAgain = 200 * time.Millisecond
	lastAgain  = 15 * time.Second
)

// prove tells of a tunnel that is up, once a request has come through it: only then is
// it live. Where none does for a while it is told all the same, with the reason, and
// tried on until ctx ends.
func (a *app) prove(ctx context.Context, e *entrance, s tunnel.Status) {
	began, doubted := time.Now(), false
	tell := func(p proof) {
		if a.tellTunnel(ctx, e, s, &p) {
			a.askAll()
		}
	}
	for again := firstAgain; ; again = min(2*again, lastAgain) {
		r, err := a.probe.Send(ctx, s.URL, a.cfg.Path)
		var failed *probe.Error
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			tell(proof{took: r.Total})
			return
		case errors.As(err, &failed) && failed.Step == probe.Barred:
			tell(proof{})
			return
		case failed != nil && failed.Step == probe.Intact, time.Since(began) >= doubtAfter:
			if !doubted {
				doubted = true
				tell(proof{doubt: err})
			}
		}
		pause := time.NewTimer(again)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// proof is what came of the probes through a tunnel.
type proof struct {
	took  time.Duration // of the one that came through; 0: it was not measured
	doubt error         // why none has come through yet
}

// doubts tells a person that no request comes through, or that one has.
func (a *app) doubts(e *entrance, p proof) {
	key, name := "probe "+e.name, a.called(e)
	if name != "" {
		name = " of " + name
	}
	if p.doubt == nil {
		a.screen.healed(key, fmt.Sprintf("live: a request came through the public URL%s", name))
		return
	}
	a.screen.trouble(key, fmt.Sprintf("no request comes through the public URL%s: %v", name, p.doubt), "slackdev doctor   looks at every part of the way")
}

// route is how the public side is reached from here: through the proxy that everything
// goes through, with the authority that --relay-ca names beside the system's, and with
// the password that visitors need.
func route(cfg *config.Config, rules *sshtunnel.Access) (r probe.Route, err error) {
	proxies, err := cfg.Proxies()
	if err != nil {
		return probe.Route{}, err
	}
	r.Dial = (&dial.Dialer{Proxy: proxies.For}).DialContext
	if cfg.RelayCA != "" {
		if r.Roots, err = authorities(cfg); err != nil {
			return probe.Route{}, err
		}
	}
	if rules != nil {
		r.User, r.Password = rules.User, rules.Password
	}
	return r, nil
}

// overSSH measures the way there and back over a tunnel's own connection, the best of
// a few; 0 where that cannot be asked.
func overSSH(ctx context.Context, t tunnel.Tunnel) (best time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, doubtAfter)
	defer cancel()
	asked, ok := t.(interface {
		Latency(ctx context.Context) (time.Duration, error)
	})
	if !ok {
		return 0
	}
	for range 3 {
		took, err := asked.Latency(ctx)
		if err != nil {
			return best
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return best
}
