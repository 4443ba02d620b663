//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/tunnel"
)

// proving is an app whose tunnel is up, and whose public side can be cut off from here.
type proving struct {
	*app
	told   *stream
	public *url.URL
	cut    atomic.Bool
}

func newProving(t *testing.T) *proving {
	t.Helper()
	r := newRig(t, "")
	told, err := newStream(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(told.end)
	env := r.env(io.Discard, told)
	cfg, err := config.Load(env, map[string]string{"app": r.app.url, "store": "memory", "local": "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	p := &proving{told: told}
	if p.app, err = newApp(t.Context(), env, cfg, options{log: logger(env, false)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.close() })
	p.entrances[0].keeper = &tunnel.Keeper{} // which has a tunnel
	near := httptest.NewServer(p.probe.Handler(http.NotFoundHandler()))
	t.Cleanup(near.Close)
	p.public = &url.URL{Scheme: "http", Host: "ana-todo.example.org"}
	p.probe.Route.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if p.cut.Load() {
			return nil, errors.New("there is no way")
		}
		return new(net.Dialer).DialContext(ctx, network, near.Listener.Addr().String())
	}
	return p
}

// says waits for a line.
func (p *proving) says(t *testing.T, pattern string) {
	t.Helper()
	ctx, cancel := patiently()
	defer cancel()
	if _, err := p.told.find(ctx, regexp.MustCompile(pattern), 1); err != nil {
		t.Fatalf("%v\n%s", err, p.told)
	}
}

func TestATunnelIsLiveWhenARequestHasComeThrough(t *testing.T) {
	p := newProving(t)
	p.prove(t.Context(), p.entrances[0], tunnel.Status{State: tunnel.Up, URL: p.public, Public: true, Provider: "pinggy"})
	p.says(t, `slackdev +http://ana-todo\.example\.org .*● live +\(pinggy, \d+ ms\)`)
}

func TestADoubtIsTakenBackWhenARequestHasComeThrough(t *testing.T) {
	p := newProving(t)
	p.cut.Store(true)
	proved := make(chan struct{})
	go func() {
		defer close(proved)
		p.prove(t.Context(), p.entrances[0], tunnel.Status{State: tunnel.Up, URL: p.public, Public: true, Provider: "pinggy"})
	}()
	p.says(t, `slackdev +http://ana-todo\.example\.org .*○ no request came through yet`)
	p.says(t, `! no request comes through the public URL: there is no way`)
	p.cut.Store(false)
	p.says(t, `● live: a request came through the public URL`)
	<-proved
}

func TestATunnelThatIsBackIsToldBeforeItIsProved(t *testing.T) {
	p := newProving(t)
	up := tunnel.Status{State: tunnel.Up, URL: p.public, Public: true, Provider: "pinggy"}
	ctx, cancel := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	defer func() {
		cancel()
		_ = g.Wait() // no proof fails
	}()
	p.tunnelChanged(ctx, g, p.entrances[0], up)
	p.says(t, `● live`)
	p.cut.Store(true)
	p.tunnelChanged(ctx, g, p.entrances[0], tunnel.Status{State: tunnel.Down, URL: p.public, Provider: "pinggy", Err: errors.New("it has hung up")})
	p.tunnelChanged(ctx, g, p.entrances[0], up)
	if told := p.told.String(); !strings.Contains(told, "the tunnel is lost: it has hung up") || !strings.Contains(told, "● the tunnel is back") || strings.Contains(told, "no request comes") {
		t.Errorf("said\n%s", told)
	}
	p.says(t, `! no request comes through the public URL: there is no way`)
}

func TestAProofThatIsPastSaysNothing(t *testing.T) {
	p := newProving(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.prove(ctx, p.entrances[0], tunnel.Status{State: tunnel.Up, URL: p.public})
	if p.tellTunnel(ctx, p.entrances[0], tunnel.Status{State: tunnel.Up, URL: p.public}, &proof{took: time.Millisecond}) || p.told.String() != "" {
		t.Errorf("said\n%s", p.told)
	}
}
