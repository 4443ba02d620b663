package probe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newProbe makes one, and the server of a near end whose app would answer "app".
func newProbe(t *testing.T) (*Probe, *httptest.Server) {
	t.Helper()
	p, err := New(nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "app") })
	near := httptest.NewServer(p.Handler(app))
	t.Cleanup(near.Close)
	return p, near
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// through gives the URL of a carrier that changes requests and answers on their way.
func through(t *testing.T, near string, in func(*http.Request), out func(*http.Response) error) *url.URL {
	t.Helper()
	to := parse(t, near)
	carrier := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			if in != nil {
				in(r.Out)
			}
		},
		ModifyResponse: out,
	})
	t.Cleanup(carrier.Close)
	return parse(t, carrier.URL)
}

func TestAProbeComesThroughAndSaysWhereItsTimeWent(t *testing.T) {
	p, near := newProbe(t)
	asked := 0
	p.AskApp = func(context.Context) error { asked++; return nil }
	r, err := p.Send(t.Context(), parse(t, near.URL), "/slack/events")
	if err != nil {
		t.Fatal(err)
	}
	if asked != 1 || r.AppDown != "" {
		t.Errorf("the app was asked %d times, down: %q", asked, r.AppDown)
	}
	if r.Connect <= 0 || r.Total <= 0 || r.Total < r.Way+r.Inside+r.App || r.TLS != 0 || r.Peer != nil {
		t.Errorf("got %+v", r)
	}
}

func TestAProbeTellsThatTheAppIsDown(t *testing.T) {
	p, near := newProbe(t)
	p.AskApp = func(context.Context) error { return errors.New("connection refused") }
	r, err := p.Send(t.Context(), parse(t, near.URL), "/")
	if err != nil || r.AppDown != "connection refused" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestWhatIsNotOurProbePassesOn(t *testing.T) {
	p, near := newProbe(t)
	other, err := New(nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	late, err := New(nil, func() time.Time { return time.Now().Add(-time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	late.secret = p.secret
	for name, mark := range map[string]string{
		"a word":               "1",
		"nothing":              "",
		"another's probe":      "abc " + other.mark("abc"),
		"an old one":           "abc " + late.mark("abc"),
		"a mark of other text": "abc " + p.mark("abd"),
		"a very long one":      strings.Repeat("a", 10_000) + " " + p.mark("abc"),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, near.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header[Field] = []string{mark}
			res, err := near.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if text, _ := io.ReadAll(res.Body); string(text) != "app" || res.Header.Get(Field) != "" {
				t.Errorf("a stranger got %q, %q", text, res.Header.Get(Field))
			}
		})
	}
}

func TestAProbeSaysAtWhichStepItFailed(t *testing.T) {
	p, near := newProbe(t)
	say := func(status int, kind, text string, more ...string) *url.URL {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			for i := 0; i < len(more); i += 2 {
				w.Header().Set(more[i], more[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}))
		t.Cleanup(srv.Close)
		return parse(t, srv.URL)
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = nil
	replace := func(r *http.Request, from, to string) {
		text, _ := io.ReadAll(r.Body)
		text = bytes.ReplaceAll(text, []byte(from), []byte(to))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	}
	for name, tc := range map[string]struct {
		to   *url.URL
		step Step
		want string
	}{
		"no such host":               {parse(t, "http://no-such-host.invalid"), Resolve, "no-such-host.invalid"},
		"nobody listens":             {parse(t, closed.URL), Dial, "refused"},
		"an unknown certificate":     {parse(t, secure.URL), Secure, "certificate"},
		"a warning page":             {say(200, "text/html", "<html><title>You are about\nto visit …</title>"), Arrive, `somebody else answered in slackdev's place: 200 "You are about to visit …"`},
		"a line of text":             {say(404, "text/plain", "no tunnel here\n"), Arrive, `404 "no tunnel here"`},
		"a redirect":                 {say(302, "text/html", "", "Location", near.URL), Arrive, "302"},
		"the relay":                  {say(503, "text/plain", "x", "X-Slackdev-Relay", "tunnel-down"), Arrive, "the relay answered 503 tunnel-down"},
		"an echo":                    {say(200, "application/json", `{"verdict":"valid"}`, Field, "1 v0=00"), Intact, "answer was changed"},
		"an endless answer":          {say(200, "text/plain", strings.Repeat("x", 1<<20)), Arrive, "xxx…"},
		"the body is decoded":        {through(t, near.URL, func(r *http.Request) { replace(r, `a\/b`, `a/b`) }, nil), Intact, "mismatch"},
		"the line's end is mended":   {through(t, near.URL, func(r *http.Request) { replace(r, "\r\n", "\n") }, nil), Intact, "mismatch"},
		"the signature is taken off": {through(t, near.URL, func(r *http.Request) { r.Header.Del("X-Slack-Signature") }, nil), Intact, "m"},
		"the app's answer instead":   {through(t, near.URL, func(r *http.Request) { r.Header.Del(Field) }, nil), Arrive, `200 "app"`},
		"the answer is rewritten": {through(t, near.URL, nil, func(r *http.Response) error {
			text, err := io.ReadAll(r.Body)
			text = bytes.ReplaceAll(text, []byte(":"), []byte(": "))
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
			r.Header.Del("Content-Length")
			return err
		}), Intact, "answer was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Send(t.Context(), tc.to, "/")
			var failed *Error
			if !errors.As(err, &failed) || failed.Step != tc.step || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v at step %q, want %q at %q", err, stepOf(failed), tc.want, tc.step)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func stepOf(e *Error) Step {
	if e == nil {
		return ""
	}
	return e.Step
}

func TestAProbeThroughTLSGivesTheCertificate(t *testing.T) {
	p, _ := newProbe(t)
	srv := httptest.NewTLSServer(p.Handler(http.NotFoundHandler()))
	defer srv.Close()
	p.Route.Roots = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	r, err := p.Send(t.Context(), parse(t, srv.URL), "/")
	if err != nil || r.TLS <= 0 || r.Peer == nil || len(r.Peer.PeerCertificates) == 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestAProbeIsGivenUpWithItsContext(t *testing.T) {
	p, _ := newProbe(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody accepts
	why := errors.New("nobody waits any more")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	defer stop.Stop()
	if _, err := p.Send(ctx, parse(t, "http://"+l.Addr().String()), "/"); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
}

func TestANameUnderLocalhostNeedsNoResolver(t *testing.T) {
	p, near := newProbe(t)
	_, port, _ := net.SplitHostPort(parse(t, near.URL).Host)
	if _, err := p.Send(t.Context(), parse(t, "http://ana-todo.localhost:"+port), "/"); err != nil {
		t.Error(err)
	}
}
