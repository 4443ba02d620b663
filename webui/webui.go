// Package webui serves the local API, the live websocket and the page, on one
// address of this machine and to its user alone. docs/local-api.md says what goes
// over the wire; the page in static and the commands in a second terminal are the
// two clients.
//
// Everything passes the front door in guard.go first. What is shown comes from
// strangers: it leaves here as JSON or as an attachment, and never as HTML.
package webui

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/replay"
	"github.com/slackdev/slackdev/replay/mock"
)

// Server answers the local API and serves the page. Fill in the fields before the
// first call of a method and leave them alone after it; the methods are safe for
// many goroutines. Serve Handler, run Run beside it, and give Shutdown to
// http.Server.RegisterOnShutdown.
type Server struct {
	Journal  *inspector.Journal               // required
	Replayer *replay.Replayer                 // nil: replay and send are refused
	Rules    *mock.Rules                      // nil: there are none, and none can be added
	Status   func(ctx context.Context) Status // nil: only what the server knows itself
	Token    string                           // what a client must show; empty lets nobody in
	Hosts    []string                         // names beside the loopback ones that Host may have, with or without a port
	Dir      string                           // serve the page from this folder; empty: from the program itself
	Log      *slog.Logger                     // nil: silence

	begin sync.Once
	live  *hub          // made by start
	quit  chan struct{} // closed by Shutdown
	end   sync.Once
}

// Handler gives the whole server behind its front door.
func (s *Server) Handler() http.Handler {
	s.start()
	mux := http.NewServeMux()
	methods := make(map[string]endpoint)
	for _, r := range s.routes() {
		if methods[r.path] == nil {
			methods[r.path] = make(endpoint)
		}
		methods[r.path][r.method] = r
	}
	for path, e := range methods {
		mux.Handle(path, s.admit(e))
	}
	mux.Handle("/api/", s.admit(endpoint{}))
	mux.HandleFunc("/", s.page)
	return s.guard(mux)
}

// routes is the table of the API: what is not here does not exist.
func (s *Server) routes() []route {
	return []route{
		{http.MethodPost, "/api/v1/session", s.openSession, open},
		{http.MethodGet, "/api/v1/status", s.readStatus, closed},
		{http.MethodGet, "/api/v1/exchanges", s.listExchanges, closed},
		{http.MethodGet, "/api/v1/exchanges/{id}", s.readExchange, closed},
		{http.MethodGet, "/api/v1/exchanges/{id}/body/{side}", s.readBody, closed},
		{http.MethodGet, "/api/v1/exchanges/{id}/curl", s.readCurl, closed},
		{http.MethodPost, "/api/v1/exchanges/delete", s.deleteExchanges, closed},
		{http.MethodPost, "/api/v1/exchanges/{id}/pin", s.pinExchange, closed},
		{http.MethodGet, "/api/v1/follow", s.follow, closed},
		{http.MethodPost, "/api/v1/replay", s.replay, closed},
		{http.MethodPost, "/api/v1/send", s.send, closed},
		{http.MethodGet, "/api/v1/kinds", s.listKinds, closed},
		{http.MethodGet, "/api/v1/rules", s.listRules, closed},
		{http.MethodPost, "/api/v1/rules", s.addRule, closed},
		{http.MethodPost, "/api/v1/rules/delete", s.deleteRule, closed},
		{http.MethodGet, "/api/v1/live", s.serveLive, closed},
	}
}

// Run tells the browsers what happens, until the context ends. When it returns,
// nil, every websocket is closed and its goroutines have ended.
func (s *Server) Run(ctx context.Context) error {
	s.start()
	s.live.run(ctx)
	s.Shutdown()
	s.live.attending.Wait()
	return nil
}

// Shutdown ends what would otherwise never end: websockets and streams of lines.
// It does not wait for them, and may be called more than once.
func (s *Server) Shutdown() {
	s.start()
	s.end.Do(func() { close(s.quit) })
	s.live.hurry()
}

// Hint is what a browser is told to read again.
type Hint string

// The hints, in the words of the websocket.
const (
	StatusChanged Hint = "status"
	RulesChanged  Hint = "rules"
)

// Refresh tells every browser to read h again. It never waits; hints of one kind
// that come close together go out as one.
func (s *Server) Refresh(h Hint) {
	s.start()
	s.live.hint(h)
}

func (s *Server) start() {
	s.begin.Do(func() {
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		s.quit = make(chan struct{})
		s.live = newHub(s.Journal, s.Log, s.quit)
	})
}

// whileServing calls do with a context that ends with ctx, and with Shutdown.
func (s *Server) whileServing(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.quit:
			cancel()
		case <-ctx.Done():
		}
	})
	defer watch.Wait()
	defer cancel()
	return do(ctx)
}
