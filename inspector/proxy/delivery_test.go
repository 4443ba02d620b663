package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/memory"
	"github.com/slackdev/slackdev/inspector/store/sqlite"
)

const (
	stampField = "X-Slackdev-Relay-Id"
	token      = "kq3v9x1m5t7b2n8c4z6l0s"
)

// process is a slackdev: a proxy over a history that outlives it.
type process struct {
	*proxy.Proxy
	store  inspector.Store
	secret slack.Secret
	at     time.Time // when Slack signed: one that is sent again has the same signature
	killed atomic.Bool
	done   chan *inspector.Exchange // each finished one
}

// Save records, until the process is killed.
func (p *process) Save(ctx context.Context, x *inspector.Exchange) error {
	if p.killed.Load() {
		return errors.New("dead")
	}
	if err := p.store.Put(ctx, x); err != nil {
		return err
	}
	if x.Done() {
		p.done <- x
	}
	return nil
}

// run starts a process in front of app, over a history. change may be nil.
func run(t testing.TB, store inspector.Store, app http.Handler, change func(*proxy.Proxy)) *process {
	t.Helper()
	upstream := httptest.NewServer(app)
	t.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, store, func(q *proxy.Proxy) {
		q.App.URL = target
		if change != nil {
			change(q)
		}
	})
	t.Cleanup(p.Close)
	return p
}

// newProcess makes one whose app is nowhere.
func newProcess(t testing.TB, store inspector.Store, change func(*proxy.Proxy)) *process {
	t.Helper()
	secret, err := slack.NewSecret("test", "a secret for tests")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{store: store, secret: secret, at: time.Now(), done: make(chan *inspector.Exchange, 10_000)}
	p.Proxy = &proxy.Proxy{
		App: proxy.Upstream{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}, Verifier: &slack.Verifier{Secrets: []slack.Secret{secret}, Now: time.Now},
		Recorder: p, History: store, Keep: 1 << 20, Now: time.Now, NewID: inspector.NewIDs(time.Now, inspector.ID{}).Next,
	}
	if change != nil {
		change(p.Proxy)
	}
	return p
}

// last waits for the next finished exchange.
func (p *process) last(t testing.TB) *inspector.Exchange {
	t.Helper()
	return (&fixture{records: &records{done: p.done}}).last(t)
}

// got is an answer.
type got struct {
	status int
	body   string
	cut    bool // the connection, before the answer's end
}

// said is the status, and the code of a problem.
func (g got) said() string {
	if _, rest, ok := strings.Cut(g.body, `"error":"`); ok {
		code, _, _ := strings.Cut(rest, `"`)
		return fmt.Sprint(g.status, " ", code)
	}
	return fmt.Sprint(g.status)
}

// send delivers a slash command under an ID, as the relay does, and waits for the
// answer. change may be nil.
func (p *process) send(ctx context.Context, id string, change func(*http.Request)) got {
	w := httptest.NewRecorder()
	cut := p.sendTo(w, ctx, id, change)
	return got{w.Code, w.Body.String(), cut}
}

// sendTo is send with another ResponseWriter.
func (p *process) sendTo(w http.ResponseWriter, ctx context.Context, id string, change func(*http.Request)) (cut bool) {
	r := httptest.NewRequest(http.MethodPost, "/slack/events", strings.NewReader(command))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	at, signature := p.secret.Sign(p.at, []byte(command))
	r.Header.Set("X-Slack-Request-Timestamp", at)
	r.Header.Set("X-Slack-Signature", signature)
	r.Header.Set(stampField, token+"."+id)
	if change != nil {
		change(r)
	}
	defer func() { cut = recover() != nil }()
	p.ServeHTTP(w, r.WithContext(proxy.WithDeliveries(ctx, stampField, token)))
	return false
}

// later sends without waiting.
func (p *process) later(ctx context.Context, id string, change func(*http.Request)) <-chan got {
	c := make(chan got, 1)
	go func() { c <- p.send(ctx, id, change) }()
	return c
}

// history gives all of it, whole.
func (p *process) history(t testing.TB) (all []*inspector.Exchange) {
	t.Helper()
	page, err := p.store.List(t.Context(), inspector.Query{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range page {
		whole, err := p.store.Get(t.Context(), x.ID)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, whole)
	}
	return all
}

// only gives the one exchange that there is.
func (p *process) only(t testing.TB) *inspector.Exchange {
	t.Helper()
	all := p.history(t)
	if len(all) != 1 {
		t.Fatalf("the history has %d requests, want one: %+v", len(all), all)
	}
	return all[0]
}

// histories are the stores that everything must hold with. Each gives a function that
// opens the same history again, as the next process does.
var histories = map[string]func(t testing.TB) func() inspector.Store{
	"memory": func(testing.TB) func() inspector.Store {
		store := new(memory.Store)
		return func() inspector.Store { return store }
	},
	"sqlite": func(t testing.TB) func() inspector.Store {
		path := filepath.Join(t.TempDir(), "history.db")
		var last *sqlite.Store
		t.Cleanup(func() { _ = last.Close() })
		return func() inspector.Store {
			if last != nil {
				_ = last.Close()
			}
			var err error
			if last, err = sqlite.Open(context.Background(), sqlite.Options{Path: path}); err != nil {
				t.Fatal(err)
			}
			return last
		}
	},
}

// count is an app that counts.
type count struct {
	asked atomic.Int32
	http.Handler
}

func (c *count) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := c.asked.Add(1)
	if c.Handler != nil {
		c.Handler.ServeHTTP(w, r)
		return
	}
	fmt.Fprintf(w, "answer %d", n)
}

// gate is an app that answers when it is told to.
type gate struct {
	count
	reached, open chan struct{}
}

func newGate(answer http.Handler) *gate {
	g := &gate{reached: make(chan struct{}, 100), open: make(chan struct{})}
	g.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		g.reached <- struct{}{}
		<-g.open
		answer.ServeHTTP(w, r)
	})
	return g
}

func TestTheStampOfTheRelayIsTakenOut(t *testing.T) {
	var app http.Header
	f := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { app = r.Header }), nil)
	addr := stampedServer(t, f.Proxy)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for i := range 3 {
		fmt.Fprintf(conn, "GET /%d HTTP/1.1\r\nzulu: 1\r\nHOST: a\r\nx-SLACKDEV-relay-id: %s.id-%d\r\nX-Slackdev-Relay: 1\r\nAlpha: 2\r\n\r\n", i, token, i)
		answer(t, br)
		x := f.last(t)
		want := inspector.Header{{Name: "zulu", Value: "1"}, {Name: "HOST", Value: "a"}, {Name: "X-Slackdev-Relay", Value: "1"}, {Name: "Alpha", Value: "2"}}
		if diff := cmp.Diff(want, x.Request.Header); diff != "" {
			t.Errorf("the recorded head (-want +got):\n%s", diff)
		}
		if x.Delivery != fmt.Sprintf("id-%d", i) {
			t.Errorf("recorded as delivery %q", x.Delivery)
		}
		if app.Get(stampField) != "" || app.Get("X-Slackdev-Relay") != "1" || app.Get("Alpha") != "2" {
			t.Errorf("the app got %v", app)
		}
	}
}

// stampedServer serves on a port where everybody is the relay.
func stampedServer(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
		return proxy.WithDeliveries(proxy.ConnContext(ctx, conn), stampField, token)
	}}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(proxy.Listener{Listener: l}) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	return l.Addr().String()
}

func TestNobodyElsesStampIsBelieved(t *testing.T) {
	for name, tc := range map[string]struct {
		token  string // of the connection
		stamps []string
	}{
		"another token":             {token, []string{strings.Repeat("x", len(token)) + ".id"}},
		"half of the token":         {token, []string{token[:9] + ".id"}},
		"the token without its end": {token, []string{token + "id"}},
		"no token":                  {token, []string{"id"}},
		"no token, full stop":       {token, []string{".id"}},
		"no ID":                     {token, []string{token + "."}},
		"an empty one":              {token, []string{""}},
		"an ID of 65 letters":       {token, []string{token + "." + strings.Repeat("a", 65)}},
		"an ID with a full stop":    {token, []string{token + ".a.b"}},
		"an ID with a space":        {token, []string{token + ".a b"}},
		"an ID of other letters":    {token, []string{token + ".é"}},
		"two stamps":                {token, []string{token + ".id", token + ".id"}},
		"one of two stamps":         {token, []string{token + ".id", "x.id"}},
		"nothing was agreed":        {"", []string{".id"}},
		"a foreign server":          {"", []string{token + ".id"}},
	} {
		t.Run(name, func(t *testing.T) {
			var app count
			var seen []string
			app.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header[stampField] })
			p := run(t, new(memory.Store), &app, nil)
			p.send(t.Context(), "id", nil) // there is an old answer to be read
			stamped := func(r *http.Request) { r.Header[stampField] = tc.stamps }
			for i := range 2 {
				r := httptest.NewRequest(http.MethodPost, "/slack/events", strings.NewReader(command))
				stamped(r)
				p.ServeHTTP(httptest.NewRecorder(), r.WithContext(proxy.WithDeliveries(t.Context(), stampField, tc.token)))
				if diff := cmp.Diff(tc.stamps, seen); diff != "" || app.asked.Load() != int32(2+i) {
					t.Errorf("asked %d times; the app got other fields (-want +got):\n%s", app.asked.Load(), diff)
				}
			}
			for _, x := range p.history(t)[:2] {
				var kept []string
				for _, f := range x.Request.Header {
					if f.Name == stampField {
						kept = append(kept, f.Value)
					}
				}
				if diff := cmp.Diff(tc.stamps, kept); diff != "" || x.Delivery != "" {
					t.Errorf("recorded as delivery %q with other fields (-want +got):\n%s", x.Delivery, diff)
				}
			}
		})
	}
}

func TestManyAttemptsAtOnceAskTheAppOnce(t *testing.T) {
	for name, open := range histories {
		for _, attempts := range []int{2, 50} {
			t.Run(fmt.Sprint(name, " ", attempts), func(t *testing.T) {
				app := newGate(say("added"))
				p := run(t, open(t)(), app, nil)
				addr := stampedServer(t, p.Proxy)
				secret := &fixture{url: "http://" + addr, secret: p.secret}
				r := secret.signed(t, command)
				r.Header.Set(stampField, token+".x1")
				var all sync.WaitGroup
				for range attempts {
					all.Go(func() {
						again := r.Clone(t.Context())
						again.Body, _ = r.GetBody()
						if status, body := do(t, again); status != 200 || body != "added" {
							t.Errorf("got %d %q", status, body)
						}
					})
				}
				<-app.reached
				close(app.open)
				all.Wait()
				if n := app.asked.Load(); n != 1 {
					t.Errorf("the app was asked %d times", n)
				}
				if x := p.only(t); x.Delivery != "x1" || x.Fault != "" || string(x.Response.Body.Bytes) != "added" || x.Verdict.Status != slack.Valid {
					t.Errorf("recorded %+v", x)
				}
			})
		}
	}
}

func TestWhoComesAgainGetsTheAnswerThatTheFirstDidNotWaitFor(t *testing.T) {
	for name, open := range histories {
		for when, joins := range map[string]bool{"while it is made": true, "when it is there": false} {
			t.Run(name+" "+when, func(t *testing.T) {
				app := newGate(say("added"))
				p := run(t, open(t)(), app, nil)
				ctx, hangUp := context.WithCancel(t.Context())
				first := p.later(ctx, "x1", nil)
				<-app.reached
				hangUp()
				var second <-chan got
				if joins {
					second = p.later(t.Context(), "x1", nil)
					close(app.open)
					<-first
				} else {
					close(app.open)
					<-first
					if x := p.only(t); x.Fault != "the sender had hung up before the answer came" || string(x.Response.Body.Bytes) != "added" {
						t.Errorf("before somebody has the answer, the record says %q with %+v", x.Fault, x.Response)
					}
					second = p.later(t.Context(), "x1", nil)
				}
				if g := <-second; g.status != 200 || g.body != "added" || g.cut {
					t.Errorf("got %+v", g)
				}
				if x := p.only(t); x.Fault != "" || string(x.Response.Body.Bytes) != "added" || x.Elapsed <= 0 || x.Verdict.Status != slack.Valid {
					t.Errorf("the record was not mended: fault %q, answer %+v, elapsed %v", x.Fault, x.Response, x.Elapsed)
				}
				if n := app.asked.Load(); n != 1 {
					t.Errorf("the app was asked %d times", n)
				}
			})
		}
	}
}

func TestARecordIsNotMendedForWhoHangsUpToo(t *testing.T) {
	app := newGate(say("added"))
	p := run(t, new(memory.Store), app, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	first := p.later(ctx, "x1", nil)
	<-app.reached
	hangUp()
	close(app.open)
	<-first
	p.send(ctx, "x1", nil)
	p.sendTo(&deaf{httptest.NewRecorder()}, t.Context(), "x1", nil)
	if x := p.only(t); x.Fault == "" {
		t.Error("nobody has the answer, and the record says nothing of it")
	}
	p.send(t.Context(), "x1", nil)
	if x := p.only(t); x.Fault != "" {
		t.Errorf("somebody has the answer, and the record says %q", x.Fault)
	}
}

// deaf is a sender that hangs up as soon as it gets something.
type deaf struct{ http.ResponseWriter }

func (*deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestADeletedRecordDoesNotComeBack(t *testing.T) {
	app := newGate(say("added"))
	p := run(t, new(memory.Store), app, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	first := p.later(ctx, "x1", nil)
	<-app.reached
	hangUp()
	close(app.open)
	<-first
	if err := p.store.Delete(t.Context(), p.only(t).ID); err != nil {
		t.Fatal(err)
	}
	if g := p.send(t.Context(), "x1", nil); g.body != "added" {
		t.Errorf("got %+v", g)
	}
	if all := p.history(t); len(all) != 0 {
		t.Errorf("the history has %+v", all[0])
	}
}

func TestAnAnswerIsTheSameTheSecondTime(t *testing.T) {
	app := tcp(t, func(conn net.Conn, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/trailers":
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\nDate: then\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")
		case "/head":
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nDate: then\r\n\r\n")
		case "/none":
			fmt.Fprint(conn, "HTTP/1.1 204 No Content\r\nDate: then\r\n\r\n")
		default:
			fmt.Fprint(conn, "HTTP/1.1 207 Odd\r\nset-cookie: b\r\nDate: then\r\nSet-Cookie: a\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\n"+
				"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x00\xff\r\n\x01")
		}
	})
	target, err := url.Parse(app)
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, new(memory.Store), func(q *proxy.Proxy) { q.App.URL = target })
	t.Cleanup(p.Close)
	addr := stampedServer(t, p.Proxy)
	for name, request := range map[string]string{
		"fields and bytes": "GET /a HTTP/1.1", "trailers": "GET /trailers HTTP/1.1", "no body": "HEAD /head HTTP/1.1", "nothing": "GET /none HTTP/1.1",
	} {
		t.Run(name, func(t *testing.T) {
			var answers [2]string
			for i := range answers {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprintf(conn, "%s\r\nHost: a\r\nConnection: close\r\n%s: %s.%s\r\n\r\n", request, stampField, token, strings.ReplaceAll(name, " ", "-"))
				all, err := io.ReadAll(conn)
				if err != nil {
					t.Fatal(err)
				}
				answers[i] = string(all)
			}
			if diff := cmp.Diff(answers[0], answers[1]); diff != "" || !strings.Contains(answers[0], "Date: then") {
				t.Errorf("on the wire (-first +second):\n%s", diff)
			}
			p.last(t)
		})
	}
	if all := p.history(t); len(all) != 4 {
		t.Errorf("the history has %d requests, want 4", len(all))
	}
}

// torn is a body that breaks off.
type torn struct {
	io.Reader
	at   chan struct{} // closed when it is read to the break; nil: nobody asks
	hold chan struct{} // the break comes when it is closed; nil: at once
}

func (b *torn) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		if b.at != nil {
			close(b.at)
			<-b.hold
		}
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *torn) Close() error { return nil }

func tear(r *http.Request) { r.Body = &torn{Reader: strings.NewReader(command[:20])} }

func TestABodyThatBrokeOffIsFollowedByTheWholeOne(t *testing.T) {
	for name, open := range histories {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", restarted: ", restart), func(t *testing.T) {
				var app count
				history := open(t)
				p := run(t, history(), &app, nil)
				for range 2 {
					if g := p.send(t.Context(), "x1", tear); g.status != 400 {
						t.Errorf("half a body got %+v", g)
					}
				}
				broken := p.only(t)
				if !strings.Contains(broken.Fault, "hung up 20 bytes into a body") || app.asked.Load() != 0 {
					t.Errorf("recorded fault %q; the app was asked %d times", broken.Fault, app.asked.Load())
				}
				if restart {
					at := p.at
					p = run(t, history(), &app, nil)
					p.at = at
				}
				for range 2 {
					if g := p.send(t.Context(), "x1", nil); g.status != 200 || g.body != "answer 1" {
						t.Errorf("the whole body got %+v", g)
					}
				}
				if x := p.only(t); x.ID != broken.ID || x.Fault != "" || string(x.Request.Body.Bytes) != command || x.Verdict.Status != slack.Valid {
					t.Errorf("recorded %+v under %s, want it under %s", x, x.ID, broken.ID)
				}
				p.send(t.Context(), "x1", tear) // what comes too late changes nothing
				if x := p.only(t); x.Fault != "" {
					t.Errorf("then the record says %q", x.Fault)
				}
			})
		}
	}
}

func TestABodyThatHangsDoesNotKeepTheWholeOneWaiting(t *testing.T) {
	var app count
	p := run(t, new(memory.Store), &app, nil)
	body := &torn{Reader: strings.NewReader(command[:20]), at: make(chan struct{}), hold: make(chan struct{})}
	first := p.later(t.Context(), "x1", func(r *http.Request) { r.Body = body })
	<-body.at
	if g := p.send(t.Context(), "x1", nil); g.body != "answer 1" {
		t.Errorf("the whole body got %+v", g)
	}
	close(body.hold)
	if g := <-first; g.status != 400 {
		t.Errorf("half a body got %+v", g)
	}
	if x := p.only(t); x.Fault != "" || app.asked.Load() != 1 {
		t.Errorf("recorded fault %q; the app was asked %d times", x.Fault, app.asked.Load())
	}
}

func TestHalfABodyDoesNotWaitForTheWholeOne(t *testing.T) {
	app := newGate(say("added"))
	p := run(t, new(memory.Store), app, nil)
	first := p.later(t.Context(), "x1", nil)
	<-app.reached
	if g := p.send(t.Context(), "x1", tear); g.status != 400 {
		t.Errorf("half a body got %+v", g)
	}
	close(app.open)
	<-first
	if x := p.only(t); x.Fault != "" || string(x.Response.Body.Bytes) != "added" {
		t.Errorf("recorded %+v, fault %q", x.Response, x.Fault)
	}
}
