package webui

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/memory"
	"github.com/slackdev/slackdev/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "correct-horse"

// rig is a server on a real socket, with a proxy's stand-in that answers 200 to all.
type rig struct {
	*Server
	url  string
	ids  *inspector.IDs
	http *http.Client
}

// newRig starts a server. It and its Run end with the test.
func newRig(t testing.TB, change ...func(*Server)) *rig {
	t.Helper()
	g := &rig{ids: inspector.NewIDs(time.Now, inspector.ID{}), http: &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}}
	journal := &inspector.Journal{Store: newStore(t)}
	g.Server = &Server{Journal: journal, Token: token, Replayer: &replay.Replayer{
		Source: journal.Store, Now: time.Now, NewID: g.ids.Next,
		Handler: answering(journal),
		To:      nil,
	}}
	for _, c := range change {
		c(g.Server)
	}
	srv := httptest.NewServer(g.Handler())
	srv.Config.RegisterOnShutdown(g.Shutdown)
	g.url = srv.URL
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		g.http.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run ended with %v, want nil", err)
		}
		srv.Close()
	})
	return g
}

func newStore(t testing.TB) inspector.Store {
	t.Helper()
	return &memory.Store{}
}

// answering is the proxy's stand-in: it records the request, twice as the proxy does.
func answering(j *inspector.Journal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		p := inspector.ProvenanceOf(r.Context())
		x := &inspector.Exchange{ID: p.ID, Origin: p.Origin, Of: p.Of, Started: time.Now(), Slack: slack.Parse(r.Method, r.RequestURI, r.Header, body),
			Request: inspector.Request{Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: p.Header,
				Body: inspector.Body{Bytes: body, Size: int64(len(body))}}}
		if err := j.Save(r.Context(), x); err != nil {
			panic(err)
		}
		y := *x
		y.Elapsed = 41 * time.Millisecond
		y.Response = &inspector.Response{Status: http.StatusOK, By: inspector.ByApp}
		if err := j.Save(r.Context(), &y); err != nil {
			panic(err)
		}
		w.WriteHeader(http.StatusOK)
	})
}

// exchange makes one that is done, and not saved.
func (g *rig) exchange(name string) *inspector.Exchange {
	body := []byte("command=" + name + "&text=add+milk")
	h := inspector.Header{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}}
	return &inspector.Exchange{
		ID: g.ids.Next(), Origin: inspector.Tunnel, Started: time.Now(), Elapsed: 212 * time.Millisecond,
		Request: inspector.Request{Method: http.MethodPost, Target: "/slack/events", Host: "example.org", Proto: "HTTP/1.1",
			Header: h, Body: inspector.Body{Bytes: body, Size: int64(len(body))}},
		Response: &inspector.Response{Status: http.StatusOK, By: inspector.ByApp, Body: inspector.Body{Bytes: []byte("done"), Size: 4}},
		Slack:    slack.Payload{Kind: slack.SlashCommand, Name: name},
	}
}

// save saves one that is done.
func (g *rig) save(t testing.TB, name string) *inspector.Exchange {
	t.Helper()
	x := g.exchange(name)
	g.put(t, x)
	return x
}

func (g *rig) put(t testing.TB, x *inspector.Exchange) {
	t.Helper()
	if err := g.Journal.Save(t.Context(), x); err != nil {
		t.Fatal(err)
	}
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// request makes one that the front door lets in; changes spoil it.
func (g *rig) request(t testing.TB, method, path, body string, change ...func(*http.Request)) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range change {
		c(r)
	}
	return r
}

func (g *rig) do(t testing.TB, method, path, body string, change ...func(*http.Request)) answer {
	t.Helper()
	res, err := g.http.Do(g.request(t, method, path, body, change...))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, text.String()}
}

// within fails the test unless done happens soon; the time is for broken code alone.
func within[T any](t testing.TB, what string, done <-chan T) T {
	t.Helper()
	select {
	case v := <-done:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}
