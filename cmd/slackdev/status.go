package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/webui"
)

// describe says how everything is, for the page.
func (a *app) describe(ctx context.Context) webui.Status {
	a.mu.Lock()
	t, broken := a.status, a.broken
	a.mu.Unlock()
	s := webui.Status{
		Version: version(), PID: os.Getpid(), Project: a.cfg.Project.Dir, LocalURL: a.localURL(),
		AppURL: a.cfg.App.String(), Path: a.cfg.Path, Tunnel: a.describeTunnel(t), Enforce: a.cfg.Enforce,
		App: webui.AppStatus{Up: true},
	}
	for _, secret := range a.secrets {
		s.Secrets = append(s.Secrets, secret.Name)
	}
	if err := a.askApp(ctx); err != nil {
		s.App = webui.AppStatus{Error: "nothing listens on " + a.cfg.App.Host}
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

func (a *app) describeTunnel(t tunnel.Status) webui.TunnelStatus {
	s := webui.TunnelStatus{
		State: string(t.State), Provider: t.Provider, Name: a.cfg.Name, Reachable: "local",
		RetryInMS: t.Retry.Milliseconds(), Notices: t.Notices,
	}
	switch {
	case a.keeper == nil:
		s.State, s.Provider, s.URL = "none", "none", "http://"+a.front.Addr().String()
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

// askApp reports whether somebody listens where the app should.
func (a *app) askApp(ctx context.Context) error {
	host := a.cfg.App.Host
	if a.cfg.App.Port() == "" {
		host = net.JoinHostPort(strings.Trim(host, "[]"), map[string]string{"http": "80", "https": "443"}[a.cfg.App.Scheme])
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return fmt.Errorf("ask the app: %w", err)
	}
	return conn.Close()
}
