package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/memory"
)

func TestARestartKnowsWhatWasAnswered(t *testing.T) {
	for name, open := range histories {
		t.Run(name, func(t *testing.T) {
			app := newGate(say("added"))
			history := open(t)
			p := run(t, history(), app, nil)
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			answered := p.later(t.Context(), "answered", nil)
			late := p.later(ctx, "late", nil)
			<-app.reached
			<-app.reached
			hangUp()
			close(app.open)
			<-answered
			<-late
			p.killed.Store(true)

			q := run(t, history(), app, nil)
			q.at = p.at
			for _, id := range []string{"answered", "late"} {
				if g := q.send(t.Context(), id, nil); g.status != 200 || g.body != "added" {
					t.Errorf("%s: got %+v", id, g)
				}
			}
			if n := app.asked.Load(); n != 2 {
				t.Errorf("the app was asked %d times for two requests", n)
			}
			all := q.history(t)
			if len(all) != 2 || all[0].Fault != "" || all[1].Fault != "" {
				t.Errorf("the history has %d requests, with faults %q", len(all), all[0].Fault)
			}
		})
	}
}

func TestARestartDoesNotAskTheAppAgain(t *testing.T) {
	const fault = "slackdev ended before the app's answer came"
	for name, open := range histories {
		t.Run(name, func(t *testing.T) {
			app := newGate(say("added"))
			defer close(app.open)
			history := open(t)
			p := run(t, history(), app, nil)
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			p.later(ctx, "x1", nil)
			<-app.reached
			p.killed.Store(true)
			asked := p.only(t)

			q := run(t, history(), app, nil)
			q.at = p.at
			stream := func(r *http.Request) { r.ContentLength = proxy.MaxVerified + 1 }
			for name, change := range map[string]func(*http.Request){"half": tear, "streaming": stream} {
				p := run(t, snapshot(t, q.store), app, nil)
				p.at = q.at
				for _, change := range []func(*http.Request){change, nil} {
					if g := p.send(t.Context(), "x1", change); g.said() != "503 stopped" && change == nil {
						t.Errorf("after a body that came %s: got %+v", name, g)
					}
				}
				if x := p.only(t); x.Fault != fault || string(x.Request.Body.Bytes) != command {
					t.Errorf("after a body that came %s: recorded fault %q with %q", name, x.Fault, x.Request.Body.Bytes)
				}
			}
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if g := q.send(t.Context(), "x1", nil); g.said() != "503 stopped" || !strings.Contains(g.body, fault) {
						t.Errorf("got %+v", g)
					}
				})
			}
			all.Wait()
			x := q.only(t)
			if x.ID != asked.ID || x.Fault != fault || x.Response.Status != 503 || string(x.Request.Body.Bytes) != command || x.Verdict.Status != slack.Valid {
				t.Errorf("recorded %+v", x)
			}
			if n := app.asked.Load(); n != 1 {
				t.Errorf("the app was asked %d times", n)
			}
		})
	}
}

// snapshot copies a history.
func snapshot(t *testing.T, s inspector.Store) inspector.Store {
	t.Helper()
	copied := new(memory.Store)
	for _, x := range (&process{store: s}).history(t) {
		if err := copied.Put(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

func TestWhatCannotBeGivenAgainIsSaid(t *testing.T) {
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	huge := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(zeros{}, 2<<20))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	upgrade := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	for name, tc := range map[string]struct {
		app  http.Handler
		head string
		body string
		said string
		text string
	}{
		"a stream of events":        {stream, "", "", "502 app_answer_not_kept", "stream of events"},
		"a large answer":            {huge, "", "", "502 app_answer_not_kept", "too large"},
		"an upgrade":                {upgrade, "Connection: Upgrade\r\nUpgrade: echo\r\n", "", "502 app_answer_not_kept", "became something else"},
		"a request that streams":    {slow, "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n", "502 not_repeated", "streamed"},
		"a request without a end":   {slow, "Transfer-Encoding: chunked\r\n", "", "502 not_repeated", "streamed"},
		"a request that is too big": {slow, fmt.Sprintf("Content-Length: %d\r\n", proxy.MaxVerified+1), "ab", "502 not_repeated", "streamed"},
	} {
		t.Run(name, func(t *testing.T) {
			app := &count{}
			reached := make(chan struct{}, 10)
			app.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reached <- struct{}{}; tc.app.ServeHTTP(w, r) })
			p := run(t, new(memory.Store), app, nil)
			addr := stampedServer(t, p.Proxy)
			begin := func() net.Conn {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\n%s: %s.x1\r\n%s\r\n%s", stampField, token, tc.head, tc.body)
				return conn
			}
			begin()
			<-reached
			// The first one is under way, and stays so.
			res, body := answer(t, bufio.NewReader(begin()))
			if g := (got{status: res.StatusCode, body: body}); g.said() != tc.said || !strings.Contains(body, tc.text) {
				t.Errorf("got %d %s, want %s … %s …", res.StatusCode, body, tc.said, tc.text)
			}
			if n := app.asked.Load(); n != 1 {
				t.Errorf("the app was asked %d times", n)
			}
		})
	}
}

func TestAnAnswerThatIsNotWholeIsNotGivenAgain(t *testing.T) {
	for name, tc := range map[string]struct{ says, text string }{
		"it breaks off":    {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "broke off its answer after 4 bytes"},
		"larger than kept": {"HTTP/1.1 200 OK\r\nContent-Length: 1100000\r\n\r\n" + strings.Repeat("x", 1_100_000), "it had 1100000 bytes or more"},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", restarted: ", restart), func(t *testing.T) {
				asked := 0
				app, err := url.Parse(tcp(t, func(conn net.Conn, r *http.Request) {
					asked++
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(conn, tc.says)
					conn.Close()
				}))
				if err != nil {
					t.Fatal(err)
				}
				store := new(memory.Store)
				p := newProcess(t, store, func(q *proxy.Proxy) { q.App.URL = app })
				p.send(t.Context(), "x1", nil)
				p.Close()
				q := p
				if restart {
					q = newProcess(t, store, func(q *proxy.Proxy) { q.App.URL = app })
					q.at = p.at
				}
				if g := q.send(t.Context(), "x1", nil); g.said() != "502 app_answer_not_kept" || !strings.Contains(g.body, tc.text) {
					t.Errorf("got %d %.300s", g.status, g.body)
				}
				q.Close()
				if asked != 1 {
					t.Errorf("the app was asked %d times", asked)
				}
			})
		}
	}
}

func TestAnswersAreHeldLargerThanTheHistoryKeepsThem(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	app := &count{Handler: say(long)}
	p := run(t, new(memory.Store), app, func(q *proxy.Proxy) { q.Keep = 10 })
	for range 2 {
		if g := p.send(t.Context(), "x1", nil); g.status != 200 || g.body != long {
			t.Errorf("got %d with %d bytes", g.status, len(g.body))
		}
	}
	if x := p.only(t); string(x.Response.Body.Bytes) != "long long " || x.Response.Body.Size != 5000 || app.asked.Load() != 1 {
		t.Errorf("recorded %q of %d; asked %d times", x.Response.Body.Bytes, x.Response.Body.Size, app.asked.Load())
	}
}

func TestEverybodysAnswerIsGivenAgain(t *testing.T) {
	answered := 0
	play := func(a inspector.Answer) func(*proxy.Proxy) {
		a.By = "rule r"
		return func(p *proxy.Proxy) {
			p.Answers = rule(func(*inspector.Exchange) *inspector.Answer { answered++; return &a })
		}
	}
	for name, tc := range map[string]struct {
		change     func(*proxy.Proxy)
		send       func(*http.Request)
		said, then string
		fault      string // in the second answer
	}{
		"a rule":             {change: play(inspector.Answer{Response: &inspector.Response{Status: 202}}), said: "202", then: "202"},
		"a rule that resets": {change: play(inspector.Answer{Fault: inspector.FaultReset}), said: "cut", then: "502 app_answer_not_kept", fault: "rule r cut the connection"},
		"a rule that fails": {change: func(p *proxy.Proxy) {
			p.Answers = rule(func(*inspector.Exchange) *inspector.Answer { answered++; panic("a bug") })
		}, said: "500", then: "500"},
		"an app that is down":  {said: "502 app_down", then: "502 app_down"},
		"the guard":            {change: func(p *proxy.Proxy) { p.Refuse = 401 }, send: func(r *http.Request) { r.Header.Del("X-Slack-Signature") }, said: "401 refused", then: "401 refused"},
		"the guard, with 400":  {change: func(p *proxy.Proxy) { p.Refuse = 400 }, send: func(r *http.Request) { r.Header.Del("X-Slack-Signature") }, said: "400 refused", then: "400 refused"},
		"slackdev, to a probe": {send: func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("ssl_check=1")), 11 }, said: "200", then: "200"},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", restarted: ", restart), func(t *testing.T) {
				answered = 0
				store := new(memory.Store)
				p := newProcess(t, store, tc.change)
				defer p.Close()
				g := p.send(t.Context(), "x1", tc.send)
				if said := g.said(); said != tc.said && !(tc.said == "cut" && g.cut) {
					t.Errorf("first it was answered with %q, want %q", said, tc.said)
				}
				x := p.only(t)
				if restart {
					at := p.at
					p = newProcess(t, store, tc.change)
					p.at = at
					defer p.Close()
				}
				second := p.send(t.Context(), "x1", tc.send)
				if second.said() != tc.then || !strings.Contains(second.body, tc.fault) || second.cut || tc.fault == "" && second.body != g.body {
					t.Errorf("then with %+v, want %q", second, tc.then)
				}
				if diff := cmp.Diff(x, p.only(t)); diff != "" || answered > 1 {
					t.Errorf("%d rules answered; the record has changed:\n%s", answered, diff)
				}
			})
		}
	}
}

func TestAnotherRequestUnderTheSameIDIsNotAnsweredFromTheRecord(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restarted: ", restart), func(t *testing.T) {
			var app count
			store := new(memory.Store)
			p := run(t, store, &app, nil)
			p.send(t.Context(), "x1", nil)
			if restart {
				at := p.at
				p = run(t, store, &app, nil)
				p.at = at
			}
			for i, change := range []func(*http.Request){
				func(r *http.Request) { r.RequestURI = "/other" },
				func(r *http.Request) { r.Method = http.MethodPut },
				func(r *http.Request) { r.Host = "another.example.org" },
				func(r *http.Request) { r.Header.Set("X-Slack-Signature", "v0=0") },
			} {
				if g := p.send(t.Context(), "x1", change); g.body != fmt.Sprintf("answer %d", i+2) {
					t.Errorf("change %d got %+v", i, g)
				}
			}
			if g := p.send(t.Context(), "x1", nil); g.body != "answer 1" {
				t.Errorf("the first request got %+v", g)
			}
			if all := p.history(t); len(all) != 5 {
				t.Errorf("the history has %d requests, want 5", len(all))
			}
		})
	}
}

func TestSlacksOwnRetryIsAnotherRequest(t *testing.T) {
	var app count
	p := run(t, new(memory.Store), &app, nil)
	p.send(t.Context(), "x1", nil)
	g := p.send(t.Context(), "x2", func(r *http.Request) { r.Header.Set("X-Slack-Retry-Num", "1") })
	if all := p.history(t); g.body != "answer 2" || len(all) != 2 {
		t.Errorf("got %+v; the history has %d requests", g, len(all))
	}
}

// asked counts what a history is asked for.
type asked struct {
	inspector.Store
	lists, gets atomic.Int32
	err         error
}

func (s *asked) List(ctx context.Context, q inspector.Query) ([]*inspector.Exchange, error) {
	s.lists.Add(1)
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.List(ctx, q)
}

func (s *asked) Get(ctx context.Context, id inspector.ID) (*inspector.Exchange, error) {
	s.gets.Add(1)
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Get(ctx, id)
}

func TestTheHistoryIsReadOnceAndOnlyForDeliveries(t *testing.T) {
	var app count
	history := &asked{Store: new(memory.Store)}
	p := run(t, history.Store, &app, func(q *proxy.Proxy) { q.History = history })
	plain := func(r *http.Request) { r.Header.Del(stampField) }
	for range 10 {
		p.send(t.Context(), "", plain)
	}
	if n := history.lists.Load() + history.gets.Load(); n != 0 {
		t.Errorf("asked %d times before the first delivery", n)
	}
	for i := range 10 {
		p.send(t.Context(), fmt.Sprint("x", i), nil)
		p.send(t.Context(), fmt.Sprint("x", i), nil)
		p.send(t.Context(), "", plain)
	}
	if lists, gets := history.lists.Load(), history.gets.Load(); lists != 1 || gets != 0 || app.asked.Load() != 30 {
		t.Errorf("%d lists, %d gets, the app was asked %d times", lists, gets, app.asked.Load())
	}
}

func TestAHistoryThatFailsLosesNoAnswerThatIsInMemory(t *testing.T) {
	for name, change := range map[string]func(*proxy.Proxy){
		"it fails":     func(p *proxy.Proxy) { p.History = &asked{err: errors.New("disk broken")} },
		"there is non": func(p *proxy.Proxy) { p.History = nil },
	} {
		t.Run(name, func(t *testing.T) {
			var app count
			p := run(t, new(memory.Store), &app, change)
			p.killed.Store(true) // nothing is recorded either
			for range 2 {
				if g := p.send(t.Context(), "x1", nil); g.body != "answer 1" {
					t.Errorf("got %+v", g)
				}
			}
			p.Answers = rule(func(*inspector.Exchange) *inspector.Answer { return &inspector.Answer{Fault: inspector.FaultReset} })
			p.send(t.Context(), "x2", nil)
			if g := p.send(t.Context(), "x2", nil); g.said() != "502 app_answer_not_kept" || !strings.Contains(g.body, "history") {
				t.Errorf("what has no answer got %+v", g)
			}
		})
	}
}

func TestTheTableOfDeliveriesIsBoundedAndHasNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	const known = 4096
	var answered atomic.Int32
	hold, held := make(chan struct{}), make(chan struct{})
	p := newProcess(t, new(memory.Store), func(p *proxy.Proxy) {
		p.Keep = 100 // of the history; the table has all
		p.Answers = rule(func(x *inspector.Exchange) *inspector.Answer {
			if answered.Add(1) == 1 {
				close(held)
				<-hold
			}
			return &inspector.Answer{By: "rule r", Response: &inspector.Response{Status: 200, Body: inspector.Body{Bytes: make([]byte, 8000)}}}
		})
	})
	p.send(t.Context(), "under-way", tear) // it is over, and will be forgotten
	first := p.later(t.Context(), "under-way", nil)
	<-held
	for i := range known + 10 {
		p.send(t.Context(), fmt.Sprint("x", i), nil)
		<-p.done
	}
	joined := p.later(t.Context(), "under-way", nil)
	for id, want := range map[string]string{
		"x4105": "200", "x4000": "200", // 8,000 bytes each: what memory has, is whole
		"x10": "502 app_answer_not_kept", // known, and its answer made room for others
	} {
		if g := p.send(t.Context(), id, nil); g.said() != want || want == "200" && len(g.body) != 8000 {
			t.Errorf("%s got %s with %d bytes, want %s", id, g.said(), len(g.body), want)
		}
	}
	if n := answered.Load(); n != known+11 {
		t.Errorf("%d were processed, want %d", n, known+11)
	}
	if g := p.send(t.Context(), "x0", nil); g.status != 200 || answered.Load() != known+12 {
		t.Errorf("the oldest is not forgotten: got %+v", g.status)
	}
	close(hold)
	if a, b := <-first, <-joined; a.status != 200 || b.status != 200 || answered.Load() != known+12 {
		t.Errorf("what was under way all the time got %d and %d; %d were processed", a.status, b.status, answered.Load())
	}
	p.Close()
	goleak.VerifyNone(t, before)
}

func TestTheAppMayFinishForAsManyAsARelaySends(t *testing.T) {
	const senders = 200
	app := newGate(say("added"))
	app.reached = make(chan struct{}, senders)
	p := run(t, new(memory.Store), app, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	var firsts []<-chan got
	for i := range senders {
		firsts = append(firsts, p.later(ctx, fmt.Sprint("x", i), nil))
	}
	for range senders {
		<-app.reached
	}
	hangUp()
	var seconds []<-chan got
	for i := range senders {
		seconds = append(seconds, p.later(t.Context(), fmt.Sprint("x", i), nil))
	}
	close(app.open)
	for i := range senders {
		<-firsts[i]
		if g := <-seconds[i]; g.status != 200 || g.body != "added" {
			t.Errorf("%d got %+v", i, g)
		}
	}
	all := p.history(t)
	for _, x := range all {
		if x.Fault != "" {
			t.Errorf("recorded fault %q", x.Fault)
		}
	}
	if n := app.asked.Load(); n != senders || len(all) != senders {
		t.Errorf("the app was asked %d times; the history has %d requests", n, len(all))
	}
}

func TestWhatWasGivenUpIsNotRecordedAsAnswered(t *testing.T) {
	const senders, room = 520, 512
	app := newGate(say("added"))
	app.reached = make(chan struct{}, senders)
	p := run(t, new(memory.Store), app, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	for i := range senders {
		p.later(ctx, fmt.Sprint("x", i), nil)
	}
	for range senders {
		<-app.reached
	}
	hangUp()
	for range senders - room {
		x := p.last(t)
		if x.Response != nil || !strings.Contains(x.Fault, "did not answer in the time that was left to it") {
			t.Errorf("recorded %+v, fault %q", x.Response, x.Fault)
		}
		if g := p.send(t.Context(), x.Delivery, nil); g.said() != "502 app_answer_not_kept" || !strings.Contains(g.body, x.Fault) {
			t.Errorf("who comes again got %+v", g)
		}
	}
	close(app.open)
	for range room {
		if x := p.last(t); x.Response == nil {
			t.Errorf("recorded no answer, fault %q", x.Fault)
		}
	}
	if n := app.asked.Load(); n != senders {
		t.Errorf("the app was asked %d times", n)
	}
}

// noticing tells of the first Read.
type noticing struct {
	io.ReadCloser
	once  sync.Once
	first func()
}

// Read reads, and tells.
func (n *noticing) Read(p []byte) (int, error) {
	n.once.Do(n.first)
	return n.ReadCloser.Read(p)
}

func TestTheEndOfSlackdevIsSaidToThoseWhoWait(t *testing.T) {
	app := newGate(say("added"))
	p := run(t, new(memory.Store), app, nil)
	first := p.later(t.Context(), "x1", nil)
	<-app.reached
	// Close is for when nobody new comes: the second is there once its body is asked for.
	came := make(chan struct{})
	second := p.later(t.Context(), "x1", func(r *http.Request) {
		r.Body = &noticing{ReadCloser: r.Body, first: func() { close(came) }}
	})
	<-came
	p.Close()
	for _, c := range []<-chan got{first, second} {
		if g := <-c; g.said() != "503 stopped" {
			t.Errorf("got %+v", g)
		}
	}
	if x := p.only(t); !strings.Contains(x.Fault, "slackdev was stopped") || app.asked.Load() != 1 {
		t.Errorf("recorded fault %q; the app was asked %d times", x.Fault, app.asked.Load())
	}
	close(app.open)
}
