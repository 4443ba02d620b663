package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slackdev/slackdev/cmd/internal/client"
	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/cmd/internal/probe"
	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/memory"
	"github.com/slackdev/slackdev/inspector/store/sqlite"
	"github.com/slackdev/slackdev/replay"
	"github.com/slackdev/slackdev/replay/mock"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
	"github.com/slackdev/slackdev/webui"
)

// startApp is what to do while the app is down.
const startApp = `start your app, or answer in its place with  slackdev mock add --any --text "ok"`

// drain is how long requests may go on after somebody asked to stop.
const drain = 5 * time.Second

// app is a running slackdev: everything that `slackdev tunnel` starts. It is built
// by newApp, which starts nothing that outlives an error, and run once.
type app struct {
	env     config.Env
	cfg     *config.Config
	log     *slog.Logger
	screen  *screen
	secrets []slack.Secret
	access  *sshtunnel.Access // who may use the public name; nil: everybody

	password string                                                    // for the SSH server, or empty
	person   func(context.Context, sshtunnel.Question) (string, error) // a person at the terminal; nil: nobody is there

	store   closingStore
	journal *inspector.Journal
	rules   *mock.Rules
	proxy   *proxy.Proxy
	probe   *probe.Probe
	token   string
	local   net.Listener  // the local API and page
	live    chan struct{} // closed when the first request can come
	mistake string        // the key of what was said about the rules; of whoever reads them

	entrances []*entrance      // the first one first
	apps      []proxy.Upstream // those of the entrances, then those of the routes

	telling sync.Mutex // held while a change of a tunnel is told
	mu      sync.Mutex // guards the rest, and what the entrances say
	broken  error      // why the history does not keep what passes
	began   bool       // the first screen was shown
	page    *webui.Server
}

// closingStore is a Store that holds files.
type closingStore interface {
	inspector.Store
	Close() error
}

// options are what `tunnel` and `demo` decide besides the configuration.
type options struct {
	json     bool
	pageDir  string // serve the page from this folder
	log      *slog.Logger
	secrets  []slack.Secret // in place of the configured ones
	access   *sshtunnel.Access
	password string // for the SSH server; empty: it is asked for
}

// newApp makes the parts and joins them. It opens the history and the local port.
func newApp(ctx context.Context, env config.Env, cfg *config.Config, o options) (_ *app, err error) {
	a := &app{env: env, cfg: cfg, log: o.log, secrets: o.secrets, access: o.access, password: o.password, person: asker(env), screen: newScreen(env, cfg, o.json), live: make(chan struct{}), entrances: entrances(cfg)}
	a.apps = upstreams(cfg, a.entrances)
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.secrets == nil {
		if a.secrets, err = cfg.Secrets(); err != nil {
			return nil, err
		}
	}
	if cfg.Enforce && len(a.secrets) == 0 {
		return nil, usage(errors.New("--enforce needs a signing secret to check with"), "export SLACK_SIGNING_SECRET=…, or put it into .env")
	}
	a.token, err = env.Token()
	if errors.Is(err, config.ErrNoHome) {
		a.token, err = env.NewToken()
	}
	if err != nil {
		return nil, fmt.Errorf("make a token for the local API: %w", err)
	}
	if a.probe, err = probe.New(env.Random, env.Now); err != nil {
		return nil, err
	}
	if a.probe.Route, err = route(cfg, a.access); err != nil {
		return nil, err
	}
	if err := a.openStore(ctx); err != nil {
		return nil, err
	}
	a.journal = &inspector.Journal{Store: a.store}
	if err := a.listen(ctx); err != nil {
		return nil, err
	}
	a.join(ctx, o)
	return a, nil
}

// openStore opens the project's history.
func (a *app) openStore(ctx context.Context) error {
	if a.cfg.Store == "memory" {
		store := &memory.Store{MaxExchanges: a.cfg.MaxExchanges}
		if a.cfg.Asked("max_size") { // the default is meant for a disk
			store.MaxSize = a.cfg.MaxSize
		}
		a.store = store
		return nil
	}
	path, err := a.cfg.Database()
	if err != nil {
		return err
	}
	store, err := sqlite.Open(ctx, sqlite.Options{
		Path: path, MaxExchanges: a.cfg.MaxExchanges, MaxSize: a.cfg.MaxSize, Log: a.log, OnTrouble: a.storeTrouble, Now: a.env.Now,
	})
	if err != nil {
		return &console.Error{Err: fmt.Errorf("open the history: %w", err), Hint: "slackdev tunnel … --store memory   works without one"}
	}
	a.store = store
	return nil
}

// storeTrouble hears from the store when it cannot keep up with its promise.
func (a *app) storeTrouble(err error) {
	var aside *sqlite.SetAside
	if errors.As(err, &aside) {
		a.screen.notice(aside.Error())
		return
	}
	a.mu.Lock()
	a.broken = err
	a.mu.Unlock()
	if err != nil {
		a.screen.trouble("history", "requests are not being recorded: "+err.Error(), "traffic goes on; make room on the disk, and recording resumes by itself")
	} else {
		a.screen.healed("history", "requests are recorded again")
	}
	a.refresh(webui.StatusChanged)
}

// refresh tells the browsers to read again, once there is a page.
func (a *app) refresh(h webui.Hint) {
	a.mu.Lock()
	page := a.page
	a.mu.Unlock()
	if page != nil {
		page.Refresh(h)
	}
}

// listen takes the local port: the one that was asked for, or the next that is free.
func (a *app) listen(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.cfg.Local)
	host, digits, _ := net.SplitHostPort(a.cfg.Local)
	port, _ := strconv.Atoi(digits)
	if errors.Is(err, syscall.EADDRINUSE) && !a.cfg.Asked("local") {
		for next := port + 1; next <= port+100 && errors.Is(err, syscall.EADDRINUSE); next++ {
			l, err = lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(next)))
		}
		if err == nil {
			a.screen.notice(fmt.Sprintf("port %d is taken; the inspector is on %s", port, l.Addr()))
		}
	}
	if err != nil {
		return &console.Error{Err: fmt.Errorf("listen on %s: %w", a.cfg.Local, plain(err)), Hint: "slackdev tunnel … --local 127.0.0.1:0   takes any free port"}
	}
	a.local = l
	return nil
}

// plain takes the layers off a network error that repeat what the caller says.
func plain(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err
	}
	return err
}

// join makes the handlers.
func (a *app) join(ctx context.Context, o options) {
	ids := inspector.NewIDs(a.env.Now, newest(ctx, a.store))
	a.rules = &mock.Rules{File: a.cfg.Rules, Now: a.env.Now}
	if err := a.rules.Reload(); err != nil {
		a.rulesTrouble(err, "no rule answers until the file is mended")
	} else if _, err := os.Stat(a.cfg.Rules); err != nil && a.cfg.Asked("rules") {
		a.screen.notice(a.cfg.Rules + " is not there yet; its rules are in force as soon as it is")
	}
	refuse := 0
	if a.cfg.Enforce {
		refuse = a.cfg.RefuseStatus
	}
	a.proxy = &proxy.Proxy{
		App: a.apps[0], More: a.apps[1:], Verifier: &slack.Verifier{Secrets: a.secrets, Now: a.env.Now}, Recorder: a.journal, History: a.store, Answers: a.rules,
		Keep: a.cfg.Keep, Refuse: refuse, OAuthPath: a.cfg.OAuthPath, Public: a.public, Now: a.env.Now, NewID: ids.Next, Log: a.log,
	}
	page := &webui.Server{
		Journal: a.journal, Rules: a.rules, Status: a.describe, Token: a.token, Hosts: a.cfg.Hosts, Dir: o.pageDir, Log: a.log,
		Replayer: &replay.Replayer{
			Source: a.store, Handler: a.proxy, Host: a.cfg.App.Host, Secrets: a.secrets, Now: a.env.Now, NewID: ids.Next,
			To: func(u *url.URL) http.Handler { return a.proxy.To(upstream(a.cfg, "", u)) },
		},
	}
	a.mu.Lock()
	a.page = page
	a.mu.Unlock()
}

func newest(ctx context.Context, s inspector.Store) inspector.ID {
	id, err := s.Resolve(ctx, "last")
	if err != nil {
		return inspector.ID{} // an empty history
	}
	return id
}

// run serves until ctx ends, then lets what is under way finish.
func (a *app) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.close()) }()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, life := errgroup.WithContext(life)
	withdraw, err := a.announce()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, withdraw()) }()
	if err := a.open(life, g); err != nil {
		return err
	}

	requests := a.server(a.probe.Handler(a.proxy))
	requests.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return proxy.WithDeliveries(proxy.ConnContext(ctx, conn), wire.RequestIDField, tunnel.Token(conn))
	}
	requests.BaseContext = func(l net.Listener) context.Context {
		return inspector.WithProvenance(life, l.(arrivals).from.provenance())
	}
	local := a.server(a.page.Handler())
	local.MaxHeaderBytes = 16 << 10
	local.RegisterOnShutdown(a.page.Shutdown)

	for _, e := range a.entrances {
		g.Go(func() error {
			l := proxy.Listener{Listener: e.listener(), Idle: requests.IdleTimeout, Head: requests.ReadHeaderTimeout}
			return serve(requests, arrivals{l, e})
		})
	}
	g.Go(func() error { return serve(local, a.local) })
	g.Go(func() error { return a.page.Run(life) })
	g.Go(func() error { return a.watchRules(life) })
	g.Go(func() error { return a.watchRequests(life) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-life.Done():
		}
		a.shutdown(requests, local)
		end()
		return nil
	})
	a.beginWithoutTunnels()
	err = g.Wait()
	if a.hasBegun() {
		a.screen.totals()
	}
	return err
}

// server makes an http.Server with the limits that strangers meet.
func (a *app) server(h http.Handler) *http.Server {
	srv := &http.Server{
		DisableGeneralOptionsHandler: true, // OPTIONS * is a request like any other: recorded, or refused
		Handler:                      h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	closeUnused(srv)
	return srv
}

// serve serves until somebody shuts the server down.
func serve(srv *http.Server, l net.Listener) error {
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// shutdown stops accepting and waits for what is under way.
func (a *app) shutdown(servers ...*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	told := time.AfterFunc(drain/10, func() {
		a.screen.notice(fmt.Sprintf("waiting up to %v for requests that are under way; Ctrl-C again ends at once", drain))
	})
	defer told.Stop()
	a.withdraw(ctx)
	var g errgroup.Group
	for _, srv := range servers {
		g.Go(func() error {
			if err := srv.Shutdown(ctx); err != nil {
				return srv.Close() // the time is up
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		a.log.Warn("shut down", "err", err)
	}
}

func (a *app) localURL() string { return "http://" + a.local.Addr().String() }

// announce lets the commands in a second terminal find this process.
func (a *app) announce() (withdraw func() error, err error) {
	dir, err := a.env.RunDir()
	if errors.Is(err, config.ErrNoHome) {
		a.screen.notice("commands in a second terminal cannot find this slackdev: " + err.Error())
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	project := a.cfg.Project.Dir
	if runs, err := client.Runs(dir); err == nil {
		for _, other := range runs {
			if other.Project == project {
				a.screen.notice(fmt.Sprintf("slackdev runs here already (pid %d, http://%s); both record into one history, and commands in a second terminal talk to this one", other.PID, other.Address))
			}
		}
	}
	return client.Announce(dir, client.Run{
		Address: a.local.Addr().String(), PID: os.Getpid(), Token: a.token, Project: project, Started: a.env.Now(),
	})
}

// close lets go of everything that newApp opened.
func (a *app) close() error {
	var errs []error
	listeners := []net.Listener{a.local}
	for _, e := range a.entrances {
		listeners = append(listeners, e.front)
	}
	for _, l := range listeners {
		if l != nil {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if a.proxy != nil {
		a.proxy.Close()
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	return errors.Join(errs...)
}
