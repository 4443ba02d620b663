package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func secret(t *testing.T, name, value string) slack.Secret {
	t.Helper()
	s, err := slack.NewSecret(name, value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shelf is a Source.
type shelf map[inspector.ID]*inspector.Exchange

func (s shelf) Get(_ context.Context, id inspector.ID) (*inspector.Exchange, error) {
	if x, ok := s[id]; ok {
		return x, nil
	}
	return nil, inspector.ErrNotFound
}

// app is a handler that notes what it was given, as the proxy would see it.
type app struct {
	mu       sync.Mutex
	requests []seen
}

type seen struct {
	Method, Target, Host string
	Header               http.Header
	Ordered              inspector.Header
	Body                 string
	Length               int64
	Trailer              http.Header
	Provenance           inspector.Provenance
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	p := inspector.ProvenanceOf(r.Context())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, seen{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header, Ordered: p.Header,
		Body: string(body), Length: r.ContentLength, Trailer: r.Trailer, Provenance: p,
	})
	w.WriteHeader(http.StatusTeapot)
}

func (a *app) only(t *testing.T) seen {
	t.Helper()
	if len(a.requests) != 1 {
		t.Fatalf("the app was asked %d times, want once", len(a.requests))
	}
	return a.requests[0]
}

func number(n byte) inspector.ID { return inspector.ID{1, 15: n} }

// newReplayer is a Replayer over one recorded exchange with the ID number(1).
func newReplayer(h http.Handler, x *inspector.Exchange, secrets ...slack.Secret) *Replayer {
	var ids atomic.Uint32
	x.ID = number(1)
	return &Replayer{
		Source: shelf{x.ID: x}, Handler: h, Secrets: secrets, Now: noon,
		NewID: func() inspector.ID { return number(byte(100 + ids.Add(1))) },
	}
}

const form = "token=t&team_id=T1&command=%2Ftodo&text=add+milk"

// command is a recorded slash command that came through two proxies.
func command() *inspector.Exchange {
	return &inspector.Exchange{
		Request: inspector.Request{
			Method: "POST", Target: "/slack/events?a=%2F", Host: "ana.relay.example.org", Proto: "HTTP/1.1",
			Header: inspector.Header{
				{Name: "user-agent", Value: "Slackbot 1.0"},
				{Name: "X-Slack-Signature", Value: "v0=old"},
				{Name: "x-slack-request-timestamp", Value: "1"},
				{Name: "X-Slack-Signature", Value: "v0=older"},
				{Name: "X-Forwarded-For", Value: "44.214.100.201"},
				{Name: "x-forwarded-proto", Value: "https"},
				{Name: "Connection", Value: "close, X-Hop"},
				{Name: "X-Hop", Value: "1"},
				{Name: "Accept", Value: "application/json,*/*"},
				{Name: "content-length", Value: "48"},
				{Name: "Content-Type", Value: "application/x-www-form-urlencoded"},
			},
			Body: inspector.Body{Bytes: []byte(form), Size: int64(len(form))},
		},
		Slack:   slack.Payload{Kind: slack.SlashCommand},
		Verdict: slack.Verdict{Status: slack.Valid, Secret: "second"},
	}
}

func TestRefusals(t *testing.T) {
	elsewhere, err := url.Parse("http://localhost:3001")
	if err != nil {
		t.Fatal(err)
	}
	mail, err := url.Parse("mailto:ana@example.org")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change  func(*inspector.Exchange)
		options Options
		to      bool
		want    string
		hint    string
	}{
		"a body of which a part was kept": {
			change: func(x *inspector.Exchange) { x.Request.Body.Size = 5000 },
			want:   "only 48 of the body's 5000 bytes were kept", hint: "--keep 5000",
		},
		"an upgraded connection": {
			change: func(x *inspector.Exchange) { x.Request.Upgraded = true }, want: "upgraded",
		},
		"a path that is not there":         {options: Options{Set: []slack.Set{{Path: "event.text", Value: "x"}}}, want: "event"},
		"another app, where it may not be": {options: Options{To: elsewhere}, want: "the tunnel's own app alone"},
		"another app that is none":         {options: Options{To: mail}, to: true, want: "not the address of an app", hint: "--to http://"},
		"a socket without a path":          {options: Options{To: &url.URL{Scheme: "unix", Opaque: "app.sock"}}, to: true, want: "not the address of an app"},
		"two apps":                         {options: Options{To: elsewhere, App: "web"}, to: true, want: `to "web" or to http://localhost:3001, and not to both`},
		"a negative retry":                 {options: Options{AsRetry: -1}, want: "-1 is not the number of a retry", hint: "--as-retry"},
		"a reason that Slack does not give": {
			options: Options{AsRetry: 1, Reason: "bored\r\nX-Forged: 1"}, want: "Slack gives no retry reason", hint: "http_timeout",
		},
		"a reason without a retry": {options: Options{Reason: "http_error"}, want: "needs the retry's number", hint: "--as-retry"},
		"a target that cannot be": {
			change: func(x *inspector.Exchange) { x.Request.Target = "no/path" }, want: "read the request's target",
		},
	} {
		t.Run(name, func(t *testing.T) {
			x, a := command(), &app{}
			if tc.change != nil {
				tc.change(x)
			}
			r := newReplayer(a, x)
			if tc.to {
				r.To = func(*url.URL) http.Handler { return a }
			}
			_, err := r.Replay(t.Context(), x.ID, tc.options)
			if err == nil || !strings.Contains(err.Error(), tc.want) || len(a.requests) != 0 {
				t.Fatalf("got %v and %d requests, want %q and none", err, len(a.requests), tc.want)
			}
			var hinted interface{ Hint() string }
			if tc.hint != "" && (!errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tc.hint)) {
				t.Errorf("got %#v, want the hint %q", err, tc.hint)
			}
		})
	}
	t.Run("an id that is not there", func(t *testing.T) {
		if _, err := newReplayer(&app{}, command()).Replay(t.Context(), number(9), Options{}); !errors.Is(err, inspector.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestReplaySendsTheRecordedBytesSignedAfresh(t *testing.T) {
	a, x := &app{}, command()
	second := secret(t, "second", "b2")
	id, err := newReplayer(a, x, secret(t, "first", "a1"), second).Replay(t.Context(), x.ID, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := a.only(t)
	timestamp, signature := second.Sign(noon(), []byte(form))
	want := inspector.Header{
		{Name: "user-agent", Value: "Slackbot 1.0"},
		{Name: "X-Slack-Signature", Value: signature},
		{Name: "x-slack-request-timestamp", Value: timestamp},
		{Name: "Accept", Value: "application/json,*/*"},
		{Name: "content-length", Value: "48"},
		{Name: "Content-Type", Value: "application/x-www-form-urlencoded"},
	}
	if diff := cmp.Diff(want, got.Ordered); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.HTTP(), got.Header); diff != "" {
		t.Errorf("net/http's head (-want +got):\n%s", diff)
	}
	if got.Body != form || got.Length != 48 || got.Target != "/slack/events?a=%2F" || got.Host != "ana.relay.example.org" || got.Method != "POST" {
		t.Errorf("got %+v", got)
	}
	if p := got.Provenance; p.Origin != inspector.Replay || p.Of != x.ID || p.ID != id || id.IsZero() {
		t.Errorf("got the provenance %+v for id %s", p, id)
	}
	v := slack.Verifier{Secrets: []slack.Secret{second}, Now: noon}
	if verdict := v.Verify(got.Header, []byte(got.Body)); verdict.Status != slack.Valid {
		t.Errorf("the replay is %v: %s", verdict.Status, verdict.Detail)
	}
	if x.Request.Header[1].Value != "v0=old" {
		t.Error("the replay changed the recorded exchange")
	}
}

func TestSigning(t *testing.T) {
	first := secret(t, "first", "a1")
	_, fresh := first.Sign(noon(), []byte(form))
	for name, tc := range map[string]struct {
		secrets []slack.Secret
		change  func(*inspector.Exchange)
		want    string
	}{
		"without a secret the head stays":        {want: "v0=old"},
		"a secret that is gone: the first signs": {secrets: []slack.Secret{first}, want: fresh},
		"what a browser sent is not signed":      {secrets: []slack.Secret{first}, change: func(x *inspector.Exchange) { x.Request.Method = "GET" }, want: "v0=old"},
		"one that was never signed is signed now": {
			secrets: []slack.Secret{first}, want: fresh,
			change: func(x *inspector.Exchange) { x.Request.Header = x.Request.Header[10:] },
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, x := &app{}, command()
			if tc.change != nil {
				tc.change(x)
			}
			if _, err := newReplayer(a, x, tc.secrets...).Replay(t.Context(), x.ID, Options{}); err != nil {
				t.Fatal(err)
			}
			if got := a.only(t).Header.Get("X-Slack-Signature"); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestChanges(t *testing.T) {
	for name, tc := range map[string]struct {
		options Options
		change  func(*inspector.Exchange)
		body    string
		fields  map[string]string
	}{
		"a value": {
			options: Options{Set: []slack.Set{{Path: "text", Value: "buy bread"}}},
			body:    "token=t&team_id=T1&command=%2Ftodo&text=buy+bread", fields: map[string]string{"Content-Length": "49"},
		},
		"a whole body": {
			options: Options{Body: []byte("a=1")}, body: "a=1", fields: map[string]string{"Content-Length": "3"},
		},
		"an empty body": {
			options: Options{Body: []byte{}}, body: "", fields: map[string]string{"Content-Length": "0"},
		},
		"a whole body, and a value in it": {
			options: Options{Body: []byte("text=1&b="), Set: []slack.Set{{Path: "b", Value: "2"}}}, body: "text=1&b=2",
		},
		"a body in the place of one that was cut": {
			options: Options{Body: []byte("a=1")}, change: func(x *inspector.Exchange) { x.Request.Body.Size = 9999 }, body: "a=1",
		},
		"a retry": {
			options: Options{AsRetry: 2}, body: form,
			fields: map[string]string{"X-Slack-Retry-Num": "2", "X-Slack-Retry-Reason": "http_timeout"},
		},
		"a retry with a reason": {
			options: Options{AsRetry: 1, Reason: "ssl_error"}, body: form,
			fields: map[string]string{"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "ssl_error"},
		},
		"a body that came in chunks": {
			change: func(x *inspector.Exchange) {
				x.Request.Header = inspector.Header{{Name: "Transfer-Encoding", Value: "chunked"}}
			},
			body: form, fields: map[string]string{"Content-Length": "48", "Transfer-Encoding": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, x, s := &app{}, command(), secret(t, "s", "x")
			if tc.change != nil {
				tc.change(x)
			}
			if _, err := newReplayer(a, x, s).Replay(t.Context(), x.ID, tc.options); err != nil {
				t.Fatal(err)
			}
			got := a.only(t)
			if got.Body != tc.body || got.Length != int64(len(tc.body)) {
				t.Errorf("got %d bytes %q, want %q", got.Length, got.Body, tc.body)
			}
			for name, want := range tc.fields {
				if value := got.Header.Get(name); value != want || got.Ordered.Get(name) != want {
					t.Errorf("got %s: %q, want %q", name, value, want)
				}
			}
			if _, want := s.Sign(noon(), []byte(tc.body)); got.Header.Get("X-Slack-Signature") != want {
				t.Error("the signature is not that of the changed body")
			}
		})
	}
}

func TestTrailersFollowABodyInChunks(t *testing.T) {
	a, x := &app{}, command()
	x.Request.Trailer = inspector.Header{{Name: "X-Sum", Value: "1"}}
	if _, err := newReplayer(a, x).Replay(t.Context(), x.ID, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := a.only(t); got.Length != -1 || got.Header.Get("Content-Length") != "" || got.Trailer.Get("X-Sum") != "1" || got.Body != form {
		t.Errorf("got %+v", got)
	}
}

func TestAnotherAppGetsTheRequestThroughTheSameKindOfHandler(t *testing.T) {
	own, other, x := &app{}, &app{}, command()
	r := newReplayer(own, x)
	var asked string
	r.To = func(u *url.URL) http.Handler { asked = u.String(); return other }
	if _, err := r.Replay(t.Context(), x.ID, Options{To: &url.URL{Scheme: "http", Host: "localhost:3001"}}); err != nil {
		t.Fatal(err)
	}
	if other.only(t).Body != form || len(own.requests) != 0 || asked != "http://localhost:3001" {
		t.Errorf("asked for %q; own app got %d requests", asked, len(own.requests))
	}
}

func TestARequestGoesToTheAppThatItWasFor(t *testing.T) {
	socket := &url.URL{Scheme: "unix", Path: "/run/app.sock"}
	for name, tc := range map[string]struct {
		of      string
		options Options
		want    string
	}{
		"the first":                           {"", Options{}, ""},
		"another":                             {"web", Options{}, "web"},
		"another, and to one that is named":   {"web", Options{App: "/api"}, "/api"},
		"another, and to where somebody said": {"web", Options{To: socket}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			asked := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = append(got, inspector.ProvenanceOf(r.Context()).Upstream)
			})
			x := command()
			x.Upstream = tc.of
			r := newReplayer(asked, x)
			r.To = func(*url.URL) http.Handler { return asked }
			if _, err := r.Replay(t.Context(), x.ID, tc.options); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Send(t.Context(), x.Request, tc.options); err != nil {
				t.Fatal(err)
			}
			if len(got) != 2 || got[0] != tc.want || got[1] != tc.options.App {
				t.Errorf("went to %q, want %q, and what was made here to %q", got, tc.want, tc.options.App)
			}
		})
	}
}

func TestSendSignsAndMarksWhatWasComposed(t *testing.T) {
	a, first := &app{}, secret(t, "first", "a1")
	r := newReplayer(a, command(), first)
	q := inspector.Request{
		Method: "POST", Target: "/slack/events", Body: inspector.Body{Bytes: []byte("{}"), Size: 2},
		Header: inspector.Header{{Name: "Accept", Value: "*/*"}, {Name: "Content-Length", Value: "2"}, {Name: "Content-Type", Value: "application/json"}},
	}
	id, err := r.Send(t.Context(), q, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := a.only(t)
	timestamp, signature := first.Sign(noon(), []byte("{}"))
	want := inspector.Header{
		{Name: "Accept", Value: "*/*"}, {Name: "X-Slack-Signature", Value: signature}, {Name: "X-Slack-Request-Timestamp", Value: timestamp},
		{Name: "Content-Length", Value: "2"}, {Name: "Content-Type", Value: "application/json"},
	}
	if diff := cmp.Diff(want, got.Ordered); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	if p := got.Provenance; p.Origin != inspector.Composed || !p.Of.IsZero() || p.ID != id || got.Host != "localhost" {
		t.Errorf("got host %s, provenance %+v", got.Host, p)
	}
	if len(q.Header) != 3 {
		t.Error("Send changed the caller's head")
	}
}

func TestAHandlerThatPanicsIsSurvived(t *testing.T) {
	for name, tc := range map[string]struct {
		with any
		want string
	}{
		"an answer that is cut": {with: http.ErrAbortHandler},
		"the same, wrapped":     {with: fmt.Errorf("copy: %w", http.ErrAbortHandler)},
		"a bug":                 {with: "index out of range", want: "the handler panicked: index out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			x := command()
			r := newReplayer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(tc.with) }), x)
			id, err := r.Replay(t.Context(), x.ID, Options{})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) || id.IsZero() {
				t.Errorf("got %s, %v, want %q", id, err, tc.want)
			}
		})
	}
}

func TestAnswersOfAnySizeAreTakenAndNotKept(t *testing.T) {
	x, chunk := command(), bytes.Repeat([]byte("x"), 1<<20)
	r := newReplayer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusFound)
		for range 256 {
			if n, err := w.Write(chunk); n != len(chunk) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
		if _, ok := w.(http.Hijacker); ok {
			t.Error("there is no connection to hijack")
		}
		if r.Context().Value(http.ServerContextKey) == nil {
			t.Error("ReverseProxy would end a cut answer as if it were whole")
		}
	}), x)
	if allocated := testing.AllocsPerRun(1, func() {
		if _, err := r.Replay(t.Context(), x.ID, Options{}); err != nil {
			t.Error(err)
		}
	}); allocated > 1000 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestAnAppThatNeverAnswersIsLeftAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := command()
		r := newReplayer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), x)
		began := time.Now()
		if id, err := r.Replay(t.Context(), x.ID, Options{}); err != nil || id.IsZero() {
			t.Errorf("got %s, %v; the fault is in the record, and no error", id, err)
		}
		if took := time.Since(began); took != DefaultTimeout {
			t.Errorf("left after %v, want %v", took, DefaultTimeout)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if id, err := r.Replay(ctx, x.ID, Options{}); !errors.Is(err, context.Canceled) || id.IsZero() {
			t.Errorf("stopped by the caller: got %s, %v", id, err)
		}
	})
}
