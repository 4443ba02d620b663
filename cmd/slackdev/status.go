package main

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"

	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/webui"
)

// describe says how everything is, for the page.
func (a *app) describe(ctx context.Context) webui.Status {
	a.mu.Lock()
	broken := a.broken
	var tunnels []webui.TunnelStatus
	for _, e := range a.entrances {
		tunnels = append(tunnels, e.describe())
	}
	a.mu.Unlock()
	apps := a.describeApps(ctx)
	s := webui.Status{
		Version: version(), PID: os.Getpid(), Project: a.cfg.Project.Dir, LocalURL: a.localURL(),
		AppURL: a.cfg.App.String(), Path: a.cfg.Path, Tunnel: tunnels[0], App: apps[0].AppStatus, Enforce: a.cfg.Enforce,
	}
	if len(tunnels) > 1 {
		s.Tunnels = tunnels
	}
	if len(apps) > 1 {
		s.Apps = apps
	}
	for _, secret := range a.secrets {
		s.Secrets = append(s.Secrets, secret.Name)
	}
	s.Store.Path, _ = a.cfg.Database()
	if a.cfg.Store == "memory" {
		s.Store.Path = "memory"
	}
	if broken == nil {
		broken = a.journal.Trouble()
	}
	if broken != nil {
		s.Store.Error = broken.Error()
	}
	return s
}

// describe says how an entrance is. The caller holds app.mu.
func (e *entrance) describe() webui.TunnelStatus {
	t := e.status
	s := webui.TunnelStatus{
		State: string(t.State), Provider: t.Provider, Name: e.name, Reachable: "local",
		RetryInMS: t.Retry.Milliseconds(), Notices: t.Notices,
	}
	switch {
	case e.front != nil:
		s.State, s.Provider, s.URL = "none", "none", e.address().String()
	case t.URL != nil:
		s.URL = t.URL.String()
		if t.Public {
			s.Reachable = "public"
		}
	}
	if t.Err != nil {
		s.Error = t.Err.Error()
	}
	return s
}

// describeApps says how each app is.
func (a *app) describeApps(ctx context.Context) []webui.NamedAppStatus {
	all := make([]webui.NamedAppStatus, len(a.apps))
	for i, err := range a.ask(ctx) {
		u := a.apps[i]
		all[i] = webui.NamedAppStatus{Name: u.Name, URL: u.URL.String(), AppStatus: webui.AppStatus{Up: err == nil}}
		if err != nil {
			all[i].Error = err.Error()
		}
	}
	return all
}

// ask asks all apps at the same time whether they are there.
func (a *app) ask(ctx context.Context) []error {
	answers := make([]error, len(a.apps))
	var asking sync.WaitGroup
	for i, u := range a.apps {
		asking.Go(func() { answers[i] = u.Ask(ctx) })
	}
	asking.Wait()
	return answers
}

// askAll tells a person which apps are not there.
func (a *app) askAll() {
	for i, err := range a.ask(context.Background()) {
		if err == nil {
			continue
		}
		hint := "" // the sentence says what to do
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			hint = startApp
		}
		a.screen.trouble(appKey(a.apps[i]), err.Error()+also(a.apps[i]), hint)
	}
}

// appKey is under which an app's trouble is told, and taken back.
func appKey(u proxy.Upstream) string { return "app " + u.Name }

// also says which of several apps it is.
func also(u proxy.Upstream) string {
	if u.Name == "" {
		return ""
	}
	return " (" + u.Name + ")"
}
