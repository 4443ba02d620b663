package main

import (
	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/tunnel"
)

// screen is where a running slackdev is watched: by a person on standard error, and
// with --json by a program on standard output.
type screen struct {
	person  *console.Console
	program *console.JSON // nil without --json
}

func newScreen(env config.Env, cfg *config.Config, json bool) *screen {
	s := &screen{person: personal(env, cfg, env.Stderr)}
	s.person.Forgets = cfg.Store == "memory"
	if json {
		s.program = &console.JSON{W: env.Stdout}
	}
	return s
}

// personal makes the console for a stream that a person may watch.
func personal(env config.Env, cfg *config.Config, stream any) *console.Console {
	c := &console.Console{Color: cfg.UseColor(stream), Width: console.Width(stream), Now: env.Now}
	c.Out, _ = stream.(interface{ Write([]byte) (int, error) })
	return c
}

// What a program cannot be told any more, because it has left, is no reason to stop:
// Slack is still there.

// usable tells a program that requests can come through a tunnel.
func (s *screen) usable(r console.Ready) {
	if s.program != nil {
		r.App = shown(r.App)
		_ = s.program.Ready(r)
	}
}

// begin shows a person the first screen.
func (s *screen) begin(r console.Ready) { s.person.Ready(r) }

func (s *screen) tunnel(name string, t tunnel.Status) {
	s.person.Tunnel(name, t)
	if s.program != nil {
		_ = s.program.Tunnel(name, t)
	}
}

func (s *screen) exchange(x *inspector.Exchange) {
	l := export.LineOf(x)
	s.person.Exchange(l, console.Said(x))
	if s.program != nil {
		_ = s.program.Exchange(l)
	}
}

func (s *screen) heard(service, text string)     { s.person.Heard(service, text) }
func (s *screen) notice(text string)             { s.person.Notice(text) }
func (s *screen) trouble(key, text, hint string) { s.person.Trouble(key, text, hint) }
func (s *screen) healed(key, text string)        { s.person.Healed(key, text) }
func (s *screen) totals()                        { s.person.Totals() }
