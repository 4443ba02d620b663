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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
)

// records is a Recorder that remembers every version that was saved.
type records struct {
	mu    sync.Mutex
	saved []*inspector.Exchange
	err   error
	done  chan *inspector.Exchange // each finished one
}

func (r *records) Save(_ context.Context, x *inspector.Exchange) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		if x.Done() {
			r.done <- x
		}
		return r.err
	}
	r.saved = append(r.saved, x)
	if x.Done() {
		r.done <- x
	}
	return nil
}

func (r *records) all() []*inspector.Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.saved)
}

// fixture is a proxy in front of an app, with everything real but the history.
type fixture struct {
	*proxy.Proxy
	records *records
	url     string
	addr    string
	secret  slack.Secret
}

// serve starts a proxy in front of app. change may be nil.
func serve(t testing.TB, app http.Handler, change func(*proxy.Proxy)) *fixture {
	t.Helper()
	upstream := httptest.NewServer(app)
	t.Cleanup(upstream.Close)
	return serveURL(t, upstream.URL, change)
}

func serveURL(t testing.TB, app string, change func(*proxy.Proxy)) *fixture {
	t.Helper()
	target, err := url.Parse(app)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := slack.NewSecret("test", "a secret for tests")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{secret: secret, records: &records{done: make(chan *inspector.Exchange, 1000)}}
	f.Proxy = &proxy.Proxy{
		App:      proxy.Upstream{URL: target},
		Verifier: &slack.Verifier{Secrets: []slack.Secret{secret}, Now: time.Now},
		Recorder: f.records, Keep: 1 << 20, Now: time.Now, NewID: inspector.NewIDs(time.Now, inspector.ID{}).Next,
	}
	if change != nil {
		change(f.Proxy)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: f.Proxy, ConnContext: proxy.ConnContext, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context {
			return inspector.WithProvenance(context.Background(), inspector.Provenance{Origin: inspector.Tunnel})
		},
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(proxy.Listener{Listener: l}) }()
	t.Cleanup(func() { _ = srv.Close(); <-served; f.Proxy.Close() })
	f.addr = l.Addr().String()
	f.url = "http://" + f.addr
	return f
}

// last waits for the next finished exchange.
func (f *fixture) last(t testing.TB) *inspector.Exchange {
	t.Helper()
	patience, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case x := <-f.records.done:
		return x
	case <-patience.Done():
		t.Fatal("no exchange was finished")
		return nil
	}
}

const command = "token=gone&team_id=T1&channel_id=C1&channel_name=dev&user_id=U1&user_name=ana&command=%2Ftodo&text=add+milk"

// signed makes a slash command as Slack would send it.
func (f *fixture) signed(t testing.TB, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/slack/events", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	at, signature := f.secret.Sign(time.Now(), []byte(body))
	r.Header.Set("X-Slack-Request-Timestamp", at)
	r.Header.Set("X-Slack-Signature", signature)
	return r
}

// do sends r and gives the status and the body of the answer.
func do(t testing.TB, r *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return res.StatusCode, string(body)
}

// say answers everything with text.
func say(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text) })
}

func TestRequestIsRecordedBeforeTheAppSeesIt(t *testing.T) {
	var f *fixture
	f = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		saved := f.records.all()
		if len(saved) != 1 || saved[0].Slack.Name != "/todo" || saved[0].Verdict.Status != slack.Valid || saved[0].Done() {
			t.Errorf("when the app was asked, the history held %+v", saved)
		}
		_, _ = io.WriteString(w, "added")
	}), nil)
	if status, body := do(t, f.signed(t, command)); status != 200 || body != "added" {
		t.Fatalf("got %d %q", status, body)
	}
	x := f.last(t)
	if saved := f.records.all(); len(saved) != 2 || saved[1].ID != saved[0].ID {
		t.Errorf("want two versions of one exchange, got %d", len(saved))
	}
	if x.Response.By != inspector.ByApp || string(x.Response.Body.Bytes) != "added" || x.Response.Status != 200 || x.Fault != "" {
		t.Errorf("recorded answer: %+v, fault %q", x.Response, x.Fault)
	}
	if x.Origin != inspector.Tunnel || string(x.Request.Body.Bytes) != command || x.Elapsed <= 0 {
		t.Errorf("recorded request: %+v, elapsed %v, origin %s", x.Request, x.Elapsed, x.Origin)
	}
}

func TestAppGetsTheBytesThatSlackSigned(t *testing.T) {
	odd := "payload=%7B%22a%22%3A%22%5C%2F%22%7D&x=%zz&=&&a=b=c&x=1"
	var got *http.Request
	var body []byte
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}), nil)
	r := f.signed(t, odd)
	r.URL.RawQuery = "a=%zz;b&c"
	r.Header.Set("X-Forwarded-For", "6.6.6.6")
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("X-Forwarded-Proto", "gopher")
	r.Header.Set("Forwarded", "for=6.6.6.6")
	r.Header.Set("Connection", "X-Private")
	r.Header.Set("X-Private", "for the next hop alone")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Host = "ana-todo.example.org"
	do(t, r)
	if string(body) != odd {
		t.Errorf("body: got %q, want %q", body, odd)
	}
	if got.URL.RawQuery != "a=%zz;b&c" {
		t.Errorf("query: got %q", got.URL.RawQuery)
	}
	for name, want := range map[string]string{
		"X-Slack-Signature": r.Header.Get("X-Slack-Signature"),
		"Content-Type":      "application/x-www-form-urlencoded; charset=utf-8",
		"X-Forwarded-Host":  "ana-todo.example.org",
		"X-Forwarded-Proto": "http",
		"X-Forwarded-For":   "127.0.0.1",
		"X-Private":         "",
		"Forwarded":         "",
	} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got.Host != f.App.URL.Host {
		t.Errorf("Host: got %q, want the app's own, %q", got.Host, f.App.URL.Host)
	}
	if x := f.last(t); x.Verdict.Status != slack.Valid || x.Request.Header.Get("X-Forwarded-For") != "6.6.6.6" {
		t.Errorf("the record has verdict %v (%s) and %q", x.Verdict.Status, x.Verdict.Detail, x.Request.Header)
	}
}

func TestNothingInARequestChoosesTheTarget(t *testing.T) {
	secretly := httptest.NewServer(say("the inspector"))
	t.Cleanup(secretly.Close)
	other := strings.TrimPrefix(secretly.URL, "http://")
	f := serve(t, say("the app"), nil)
	for name, request := range map[string]string{
		"host":               "GET / HTTP/1.1\r\nHost: " + other + "\r\n\r\n",
		"absolute form":      "GET http://" + other + "/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"authority in path":  "GET //" + other + "/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"user info":          "GET http://a@" + other + "/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"forwarding headers": "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: " + other + "\r\nX-Original-URL: " + secretly.URL + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, body := raw(t, f.addr, request); body != "the app" {
				t.Errorf("%q was answered by %q", request, body)
			}
		})
	}
	t.Run("connect", func(t *testing.T) {
		if res, _ := raw(t, f.addr, "CONNECT "+other+" HTTP/1.1\r\nHost: "+other+"\r\n\r\n"); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("CONNECT got %d", res.StatusCode)
		}
	})
}

// raw sends bytes on a connection of their own and reads one answer.
func raw(t testing.TB, addr, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return answer(t, bufio.NewReader(conn))
}

func answer(t testing.TB, br *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("read an answer: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read the body of an answer: %v", err)
	}
	return res, string(body)
}

func TestVerdictsAreShownAndTheRequestGoesOn(t *testing.T) {
	f := serve(t, say("ok"), nil)
	other, err := slack.NewSecret("other", "another app's secret")
	if err != nil {
		t.Fatal(err)
	}
	sign := func(s slack.Secret, at time.Time) func(http.Header) {
		return func(h http.Header) {
			ts, sig := s.Sign(at, []byte(command))
			h.Set("X-Slack-Request-Timestamp", ts)
			h.Set("X-Slack-Signature", sig)
		}
	}
	for name, tc := range map[string]struct {
		change func(http.Header)
		want   slack.Status
	}{
		"fresh":            {sign(f.secret, time.Now()), slack.Valid},
		"six minutes old":  {sign(f.secret, time.Now().Add(-6*time.Minute)), slack.Stale},
		"another secret":   {sign(other, time.Now()), slack.Mismatch},
		"garbage":          {func(h http.Header) { h.Set("X-Slack-Signature", "v0=zzz") }, slack.Malformed},
		"timestamp of now": {func(h http.Header) { h.Set("X-Slack-Request-Timestamp", "now") }, slack.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.signed(t, command)
			tc.change(r.Header)
			if status, body := do(t, r); status != 200 || body != "ok" {
				t.Errorf("got %d %q, want the app's answer", status, body)
			}
			if x := f.last(t); x.Verdict.Status != tc.want || x.Verdict.Detail == "" {
				t.Errorf("verdict %v %q, want %v with a sentence", x.Verdict.Status, x.Verdict.Detail, tc.want)
			}
		})
	}
}

func TestRefusalKeepsRequestsFromTheApp(t *testing.T) {
	var asked []string
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.Path) })
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			asked = nil
			f := serve(t, app, func(p *proxy.Proxy) { p.Refuse, p.OAuthPath = status, "/slack/oauth_redirect" })
			bad := f.signed(t, command)
			bad.Header.Set("X-Slack-Signature", "v0="+strings.Repeat("0", 64))
			if got, body := do(t, bad); got != status || !strings.Contains(body, "not verified") {
				t.Errorf("a forged request got %d %q", got, body)
			}
			if x := f.last(t); x.Response.By != inspector.BySlackdev || x.Response.Status != status || len(x.Findings) > 0 {
				t.Errorf("recorded: %+v, with findings that the app cannot mend: %+v", x.Response, x.Findings)
			}
			if got, _ := do(t, f.signed(t, command)); got != 200 {
				t.Errorf("a signed request got %d", got)
			}
			if res, err := http.Get(f.url + "/slack/oauth_redirect?code=1&state=2"); err != nil || res.StatusCode != 200 {
				t.Errorf("a browser that comes back from OAuth got %v, %v", res, err)
			}
			if want := []string{"/slack/events", "/slack/oauth_redirect"}; !slices.Equal(asked, want) {
				t.Errorf("the app was asked for %q, want %q", asked, want)
			}
		})
	}
}

func TestAFindingTellsAnUnsignedRequestFromAWrongSecret(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	for name, tc := range map[string]struct {
		secret, signed bool
		fix            string
	}{
		"signed":                     {true, true, "is probably another one"},
		"signed, no secret to check": {false, true, "is probably another one"},
		"unsigned":                   {true, false, "slackdev send"},
		"unsigned, no secret":        {false, false, "SLACK_SIGNING_SECRET"},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, app, nil)
			r := f.signed(t, command)
			if !tc.secret {
				f.Verifier.Secrets = nil
			}
			if !tc.signed {
				r.Header.Del("X-Slack-Signature")
			}
			do(t, r)
			if x := f.last(t); len(x.Findings) != 1 || !strings.Contains(x.Findings[0].Fix, tc.fix) {
				t.Errorf("got %+v, want a fix with … %s …", x.Findings, tc.fix)
			}
		})
	}
}

func TestSSLCheckDoesNotSmuggleACommand(t *testing.T) {
	f := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the app was asked") }), nil)
	r := f.signed(t, "ssl_check=1&"+command)
	r.Header.Del("X-Slack-Signature")
	if status, body := do(t, r); status != 200 || body != "" {
		t.Errorf("got %d %q", status, body)
	}
	if x := f.last(t); x.Slack.Kind != slack.SSLCheck || x.Response.By != inspector.BySlackdev {
		t.Errorf("recorded %v by %v", x.Slack.Kind, x.Response.By)
	}
}

func TestHistoryThatFailsDoesNotStopTraffic(t *testing.T) {
	f := serve(t, say("ok"), nil)
	f.records.err = errors.New("disk full")
	if status, body := do(t, f.signed(t, command)); status != 200 || body != "ok" {
		t.Errorf("got %d %q", status, body)
	}
}

// rule answers everything in one way.
type rule func(*inspector.Exchange) *inspector.Answer

func (r rule) Respond(x *inspector.Exchange) (*inspector.Answer, bool) { return r(x), true }

func TestRuleAnswersInTheAppsPlace(t *testing.T) {
	f := serveURL(t, "http://127.0.0.1:1", func(p *proxy.Proxy) {
		p.Answers = rule(func(x *inspector.Exchange) *inspector.Answer {
			return &inspector.Answer{By: "rule deploy", Response: &inspector.Response{
				Status: 202, Header: inspector.Header{{Name: "X-Rule", Value: x.Slack.Name}}, Body: inspector.Body{Bytes: []byte("mocked"), Size: 6},
			}}
		})
	})
	if status, body := do(t, f.signed(t, command)); status != 202 || body != "mocked" {
		t.Errorf("got %d %q", status, body)
	}
	if x := f.last(t); x.Response.By != "rule deploy" || x.Response.Header.Get("X-Rule") != "/todo" || x.Fault != "" {
		t.Errorf("recorded %+v, fault %q", x.Response, x.Fault)
	}
}

func TestRulePlaysAReset(t *testing.T) {
	f := serve(t, say("ok"), func(p *proxy.Proxy) {
		p.Answers = rule(func(*inspector.Exchange) *inspector.Answer {
			return &inspector.Answer{By: "rule r", Fault: inspector.FaultReset}
		})
	})
	if res, err := http.DefaultClient.Do(f.signed(t, command)); err == nil {
		t.Errorf("got %v, want a connection that is cut", res.Status)
	}
	if x := f.last(t); x.Response != nil || !strings.Contains(x.Fault, "rule r cut the connection") {
		t.Errorf("recorded %+v, fault %q", x.Response, x.Fault)
	}
}

func TestPanicIsA500ThatIsRecorded(t *testing.T) {
	f := serve(t, say("ok"), func(p *proxy.Proxy) {
		p.Answers = rule(func(*inspector.Exchange) *inspector.Answer { panic("a bug") })
	})
	if status, _ := do(t, f.signed(t, command)); status != 500 {
		t.Errorf("got %d", status)
	}
	if x := f.last(t); !strings.Contains(x.Fault, "a bug") || x.Response.Status != 500 {
		t.Errorf("recorded %+v, fault %q", x.Response, x.Fault)
	}
	if status, _ := do(t, f.signed(t, command)); status != 500 {
		t.Error("the process does not live on")
	}
}

func TestAnotherAppAnswersWhatIsSentToIt(t *testing.T) {
	other := httptest.NewServer(say("the other"))
	t.Cleanup(other.Close)
	target, err := url.Parse(other.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, say("the app"), func(p *proxy.Proxy) {
		p.Refuse = http.StatusUnauthorized
		p.Answers = rule(func(*inspector.Exchange) *inspector.Answer {
			return &inspector.Answer{By: "rule r", Response: &inspector.Response{Status: 200}}
		})
	})
	for range 3 {
		w := httptest.NewRecorder()
		f.To(proxy.Upstream{URL: target}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(command)))
		if x := f.last(t); w.Body.String() != "the other" || x.Response.By != inspector.ByApp || x.Origin != inspector.Local {
			t.Errorf("got %q; recorded %+v", w.Body, x.Response)
		}
	}
}
