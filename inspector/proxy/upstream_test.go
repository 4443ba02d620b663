package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
)

// overTLS starts an app with a certificate that nobody has signed, which would rather
// speak HTTP/2.
func overTLS(t *testing.T, app http.Handler) *url.URL {
	t.Helper()
	srv := httptest.NewUnstartedServer(app)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return target(t, srv.URL)
}

// onSocket starts an app that listens on a unix socket.
func onSocket(t *testing.T, app http.Handler) *url.URL {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(app)
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return &url.URL{Scheme: "unix", Path: path}
}

func target(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// through starts a proxy in front of app and more.
func through(t *testing.T, app proxy.Upstream, more ...proxy.Upstream) *fixture {
	t.Helper()
	return serveURL(t, "http://nobody.invalid", func(p *proxy.Proxy) { p.App, p.More = app, more })
}

// mirror answers with the request line, the Host and who forwarded it, and with fields
// in an order that is not the alphabet's.
func mirror(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %s host=%s proto=%s", name, r.Proto, r.RequestURI, r.Host, r.Header.Get("X-Forwarded-Host"))
	})
}

func TestEveryKindOfAppIsReached(t *testing.T) {
	plain := httptest.NewServer(mirror("plain"))
	t.Cleanup(plain.Close)
	secure, socket := overTLS(t, mirror("secure")), onSocket(t, mirror("socket"))
	for name, tc := range map[string]struct {
		app  proxy.Upstream
		want string
	}{
		"http":                 {proxy.Upstream{URL: target(t, plain.URL)}, "plain HTTP/1.1 /a?b host=" + plain.Listener.Addr().String()},
		"http below a path":    {proxy.Upstream{URL: target(t, plain.URL+"/base")}, "plain HTTP/1.1 /base/a?b host=" + plain.Listener.Addr().String()},
		"http, the Host kept":  {proxy.Upstream{URL: target(t, plain.URL), KeepHost: true}, "plain HTTP/1.1 /a?b host=ana-todo.example.org"},
		"https":                {proxy.Upstream{URL: secure, Insecure: true}, "secure HTTP/1.1 /a?b host=" + secure.Host},
		"https, the Host kept": {proxy.Upstream{URL: secure, Insecure: true, KeepHost: true}, "secure HTTP/1.1 /a?b host=ana-todo.example.org"},
		"socket":               {proxy.Upstream{URL: socket}, "socket HTTP/1.1 /a?b host=localhost"},
		"socket, Host kept":    {proxy.Upstream{URL: socket, KeepHost: true}, "socket HTTP/1.1 /a?b host=ana-todo.example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			f := through(t, tc.app)
			if err := tc.app.Ask(t.Context()); err != nil {
				t.Errorf("asked whether it is there: %v", err)
			}
			r := f.signed(t, command)
			r.URL.Path, r.URL.RawQuery, r.Host = "/a", "b", "ana-todo.example.org"
			status, body := do(t, r)
			if want := tc.want + " proto=ana-todo.example.org"; status != http.StatusOK || body != want {
				t.Errorf("got %d %q, want %q", status, body, want)
			}
			x := f.last(t)
			if x.Response == nil || x.Response.By != inspector.ByApp || x.Upstream != "" || x.Verdict.Status != slack.Valid {
				t.Fatalf("recorded %+v, %q", x, x.Fault)
			}
			var fields []string
			for _, field := range x.Response.Header {
				fields = append(fields, field.Name)
			}
			if diff := cmp.Diff([]string{"Date", "Content-Length", "Content-Type"}, fields); diff != "" {
				t.Errorf("fields of the answer, not as they were sent: -want +got\n%s", diff)
			}
		})
	}
}

func TestAppsThatCannotBeAskedAreFaultsInWords(t *testing.T) {
	secure := overTLS(t, mirror("secure"))
	plain := httptest.NewServer(mirror("plain"))
	t.Cleanup(plain.Close)
	missing := filepath.Join(t.TempDir(), "no.sock")
	abandoned := onSocket(t, mirror("gone"))
	forgotten, err := net.Listen("unix", abandoned.Path+"2")
	if err != nil {
		t.Fatal(err)
	}
	forgotten.(*net.UnixListener).SetUnlinkOnClose(false)
	forgotten.Close()
	rude := tcp(t, func(conn net.Conn, _ *http.Request) { conn.Close() })
	nobody := "http://" + closed(t)
	for name, tc := range map[string]struct {
		app        *url.URL
		code, want string
		is         error
	}{
		"nobody listens":              {target(t, nobody), "app_down", "nothing listens on " + target(t, nobody).Host, syscall.ECONNREFUSED},
		"nobody listens for TLS":      {target(t, strings.Replace(nobody, "http:", "https:", 1)), "app_down", "nothing listens on " + target(t, nobody).Host, syscall.ECONNREFUSED},
		"a socket that is not there":  {&url.URL{Scheme: "unix", Path: missing}, "app_down", "nothing listens on unix:" + missing, syscall.ENOENT},
		"a socket that was left":      {&url.URL{Scheme: "unix", Path: abandoned.Path + "2"}, "app_down", "nothing listens on unix:" + abandoned.Path + "2", syscall.ECONNREFUSED},
		"a folder for a socket":       {&url.URL{Scheme: "unix", Path: t.TempDir()}, "app_down", "", nil},
		"a certificate of its own":    {secure, "app_untrusted", "the certificate of " + secure.Host + " is not trusted (certificate signed by unknown authority); --insecure-upstream takes any", nil},
		"TLS where there is none":     {target(t, strings.Replace(plain.URL, "http:", "https:", 1)), "app_failed", plain.Listener.Addr().String() + " does not speak TLS; is it http://" + plain.Listener.Addr().String() + "?", nil},
		"one that hangs up":           {target(t, strings.Replace(rude, "http:", "https:", 1)), "app_failed", "the app at " + target(t, rude).Host + " gave no answer: it closed the connection", nil},
		"a certificate for who knows": {target(t, strings.Replace(secure.String(), "127.0.0.1", "localhost", 1)), "app_untrusted", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			up := proxy.Upstream{URL: tc.app}
			f := through(t, up)
			status, body := do(t, f.signed(t, command))
			x := f.last(t)
			if status != http.StatusBadGateway || !strings.Contains(body, fmt.Sprintf("%q", tc.code)) {
				t.Errorf("got %d %s, want a 502 with %s", status, body, tc.code)
			}
			if x.Fault == "" || tc.want != "" && x.Fault != tc.want {
				t.Errorf("recorded %q, want %q", x.Fault, tc.want)
			}
			err := up.Ask(t.Context())
			if err == nil || err.Error() != x.Fault || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("asked: %v; want the words of the fault, %q", err, x.Fault)
			}
		})
	}
}

func TestUpgradesPassToEveryKindOfApp(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	})
	for name, app := range map[string]proxy.Upstream{
		"https":  {URL: overTLS(t, echo), Insecure: true},
		"socket": {URL: onSocket(t, echo)},
	} {
		t.Run(name, func(t *testing.T) {
			f := through(t, app)
			conn, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			br := bufio.NewReader(conn)
			fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			res, err := http.ReadResponse(br, nil)
			if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("got %v, %v", res, err)
			}
			fmt.Fprint(conn, "hello\n")
			if line, err := br.ReadString('\n'); line != "hello\n" {
				t.Errorf("got %q, %v", line, err)
			}
			if x := f.last(t); !x.Request.Upgraded {
				t.Errorf("recorded %+v", x)
			}
		})
	}
}

// named starts an app that says its name and the path that it got.
func named(t *testing.T, name string) proxy.Upstream {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s got %s", name, r.RequestURI)
	}))
	t.Cleanup(srv.Close)
	return proxy.Upstream{Name: name, URL: target(t, srv.URL)}
}

func TestThePathAsItWasSentChoosesTheApp(t *testing.T) {
	first := named(t, "")
	f := through(t, first, named(t, "web"), named(t, "/api"), named(t, "/api/v2"), named(t, "/a%20b"))
	for path, want := range map[string]string{
		"/":                    "",
		"/api":                 "/api",
		"/api/":                "/api",
		"/api?x=/api/v2":       "/api",
		"/api/x":               "/api",
		"/api/v2":              "/api/v2",
		"/api/v2/x":            "/api/v2",
		"/api/v22":             "/api",
		"/api//v2":             "/api",
		"/apix":                "",
		"/API":                 "",
		"/api;v=1":             "",
		"/web":                 "",
		"//api":                "",
		"//api/v2":             "",
		"/./api":               "",
		"/x/../api/y":          "",
		"/%61pi":               "",
		"/api%2fx":             "",
		"/api%2f..":            "",
		"/api%2f..%2fadmin":    "",
		"/api/..":              "",
		"/api/../x":            "",
		"/api/./x":             "/api",
		"/api/%2e%2e/x":        "",
		"/api/.%2E/x":          "",
		"/api/v2/../x":         "",
		"/api/x%2f..%2f..%2fy": "",
		"/api/..%5cx":          "",
		"/api/..;/x":           "",
		"/api/..x":             "/api",
		"/api/x..":             "/api",
		"/api/...":             "/api",
		"/api/%252e%252e/x":    "/api",
		"/a%20b/c":             "/a%20b",
		"/a b":                 "", // not a request at all
	} {
		t.Run(path, func(t *testing.T) {
			res, body := raw(t, f.addr, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
			if res.StatusCode == http.StatusBadRequest {
				return
			}
			if got := want + " got " + path; body != got {
				t.Errorf("answered by %q, want %q", body, got)
			}
			if x := f.last(t); x.Upstream != want || x.Request.Target != path {
				t.Errorf("recorded %s for %q, want %q", x.Request.Target, x.Upstream, want)
			}
		})
	}
	t.Run("absolute form", func(t *testing.T) {
		if _, body := raw(t, f.addr, "GET http://b/api/x HTTP/1.1\r\nHost: a\r\n\r\n"); body != "/api got /api/x" {
			t.Errorf("answered by %q", body)
		}
	})
}

func TestTheNameThatComesWithARequestChoosesTheApp(t *testing.T) {
	first := named(t, "")
	first.Name = "todo"
	f := through(t, first, named(t, "web"), named(t, "/api"))
	for name, tc := range map[string]struct{ of, path, want, upstream string }{
		"the first":                        {"", "/x", " got /x", ""},
		"the first, by its name":           {"todo", "/x", " got /x", ""},
		"the first, but below a route":     {"", "/api/x", "/api got /api/x", "/api"},
		"a tunnel's":                       {"web", "/x", "web got /x", "web"},
		"a tunnel's, but below a route":    {"web", "/api/x", "/api got /api/x", "/api"},
		"a route's":                        {"/api", "/api/x", "/api got /api/x", "/api"},
		"a route's, and below it no more":  {"/api", "/x", "/api got /x", "/api"},
		"one that is not there":            {"old", "/x", "", "old"},
		"a route that is not there":        {"/old", "/api/x", "", "/old"},
		"a name that is like a route only": {"api", "/api/x", "", "api"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(
				inspector.WithProvenance(t.Context(), inspector.Provenance{Origin: inspector.Replay, Upstream: tc.of}), http.MethodGet, tc.path, nil)
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			x := f.last(t)
			if x.Upstream != tc.upstream {
				t.Errorf("recorded for %q, want %q", x.Upstream, tc.upstream)
			}
			if want := fmt.Sprintf("no app is called %q here", tc.of); tc.want == "" && (w.Code != http.StatusBadGateway || x.Fault != want) {
				t.Errorf("got %d, %q; want a 502, %q", w.Code, x.Fault, want)
			} else if tc.want != "" && w.Body.String() != tc.want {
				t.Errorf("got %d %q, want %q", w.Code, w.Body, tc.want)
			}
		})
	}
}

func TestTheSchemeIsThatOfTheTunnelTheRequestCameThrough(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(app.Close)
	f := serveURL(t, app.URL, func(p *proxy.Proxy) {
		p.More = []proxy.Upstream{{Name: "web", URL: p.App.URL}, {Name: "/api", URL: p.App.URL}}
		p.Public = func(upstream string) *url.URL {
			return map[string]*url.URL{"": {Scheme: "https", Host: "a.example"}, "web": {Scheme: "http", Host: "b.example"}}[upstream]
		}
	})
	for of, want := range map[string]string{"": "https", "web": "http", "/api": "http"} {
		for _, path := range []string{"/x", "/api/x"} {
			ctx := inspector.WithProvenance(context.Background(), inspector.Provenance{Upstream: of})
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
			if w.Body.String() != want {
				t.Errorf("through %q to %s: got %q, want %q", of, path, w.Body, want)
			}
		}
	}
}

func TestWhatIsSentElsewhereGoesToEveryKindOfApp(t *testing.T) {
	f := through(t, named(t, ""), named(t, "/api"))
	for name, app := range map[string]proxy.Upstream{
		"https":  {URL: overTLS(t, say("elsewhere")), Insecure: true},
		"socket": {URL: onSocket(t, say("elsewhere"))},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second on the first one's connection
				w := httptest.NewRecorder()
				f.To(app).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/x", nil))
				if x := f.last(t); w.Body.String() != "elsewhere" || x.Upstream != "" {
					t.Errorf("got %d %q, recorded for %q", w.Code, w.Body, x.Upstream)
				}
			}
		})
	}
}
