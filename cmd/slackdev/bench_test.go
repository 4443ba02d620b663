package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/sqlite"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/relay"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// The benchmarks here compare ways to one app that take turns within one run, because
// the machine is never the same twice. All handlers have the same connections to the
// app; what is recorded is counted.

// round is how many requests one side answers before it is the next one's turn.
const round = 4000

// BenchmarkProxy compares the recording, verifying proxy, with its history on disk, to
// a bare httputil.ReverseProxy. It reports
//
//	share      our requests/s as a part of the bare proxy's
//	added-p50  our added median latency as a multiple of the bare proxy's
func BenchmarkProxy(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			f := newFixture(b)
			direct := &side{addr: f.app.Host}
			bare := &side{addr: f.serve(b, f.bare())}
			ours := &side{addr: f.serve(b, f.recording)}
			for b.Loop() {
				request := example(b, "ana-todo.example.org", f.secret)
				for _, s := range []*side{direct, bare, ours} {
					s.load(b, conns, round, request)
				}
			}
			f.check(b, ours.sent)
			b.ReportMetric(ours.rate()/bare.rate(), "share")
			b.ReportMetric(float64(ours.p50()-direct.p50())/float64(bare.p50()-direct.p50()), "added-p50")
			b.ReportMetric(ours.rate(), "req/s")
			b.ReportMetric(float64(ours.p50().Microseconds()), "p50-µs")
			b.ReportMetric(float64(bare.p50().Microseconds()), "bare-p50-µs")
		})
	}
}

// BenchmarkChain compares whole chains: the relay's HTTP front, SSH, a handler, the app.
// It reports our requests/s
//
//	share       as a part of a chain whose handler is a bare ReverseProxy
//	per-channel as a multiple of a chain that opens a channel for each request
func BenchmarkChain(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			f := newFixture(b)
			once := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close") // the channel's; the visitor's goes on
				f.recording.ServeHTTP(w, r)
			})
			hosts, sides := make([]string, 3), make([]*side, 3)
			for i, h := range []http.Handler{f.recording, f.bare(), once} {
				u := f.chain(b, h)
				hosts[i], sides[i] = u.Host, &side{addr: "127.0.0.1:" + u.Port()}
			}
			for b.Loop() {
				for i, s := range sides {
					s.load(b, conns, round, example(b, hosts[i], f.secret))
				}
			}
			ours, bare, perChannel := sides[0], sides[1], sides[2]
			f.check(b, ours.sent+perChannel.sent)
			b.ReportMetric(ours.rate()/bare.rate(), "share")
			b.ReportMetric(ours.rate()/perChannel.rate(), "per-channel")
			b.ReportMetric(ours.rate(), "req/s")
			b.ReportMetric(float64(ours.p50().Microseconds()), "p50-µs")
		})
	}
}

// BenchmarkTransfer sends bodies of 1 GiB through the whole chain, and reports MB/s and
// the growth of the live heap and of all memory taken from the system, in MiB.
func BenchmarkTransfer(b *testing.B) {
	const size = 1 << 30
	for _, direction := range []string{"upload", "download"} {
		b.Run(direction, func(b *testing.B) {
			f := newFixture(b)
			u := f.chain(b, f.recording)
			b.SetBytes(size)
			b.ReportAllocs()
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				transfer(b, u, direction, size)
			}
			runtime.ReadMemStats(&after)
			f.check(b, b.N)
			b.ReportMetric(float64(after.HeapSys-before.HeapSys)/(1<<20), "heap-MiB")
			b.ReportMetric(float64(after.Sys-before.Sys)/(1<<20), "sys-MiB")
		})
	}
}

// transfer moves one body and checks that all of it arrived.
func transfer(b *testing.B, u *url.URL, direction string, size int64) {
	b.Helper()
	var body io.Reader
	want := int64(len("1073741824"))
	if direction == "upload" {
		body = io.LimitReader(zeros{}, size)
	} else {
		want = size
	}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://127.0.0.1:"+u.Port()+"/"+direction, body)
	if err != nil {
		b.Fatal(err)
	}
	r.Host = u.Host
	if body != nil {
		r.ContentLength = size
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{res.Body}, make([]byte, 256<<10))
	if err != nil || got != want || res.StatusCode != http.StatusOK {
		b.Fatalf("%s: %d, %d bytes of %d: %v", direction, res.StatusCode, got, want, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// fixture is an app, and a proxy in front of it that records into a file.
type fixture struct {
	app       *url.URL
	secret    slack.Secret
	store     *sqlite.Store
	recording *proxy.Proxy
}

func newFixture(b *testing.B) *fixture {
	b.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/upload":
			fmt.Fprint(w, n)
		case "/download":
			w.Header().Set("Content-Length", fmt.Sprint(1<<30))
			_, _ = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(zeros{}, 1<<30), make([]byte, 256<<10))
		default:
			_, _ = io.WriteString(w, "ok")
		}
	}))
	b.Cleanup(app.Close)
	target, err := url.Parse(app.URL)
	if err != nil {
		b.Fatal(err)
	}
	secret, err := slack.NewSecret("benchmark", "a secret for benchmarks")
	if err != nil {
		b.Fatal(err)
	}
	store, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "history.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	f := &fixture{app: target, secret: secret, store: store}
	f.recording = &proxy.Proxy{
		App: proxy.Upstream{URL: target}, Verifier: &slack.Verifier{Secrets: []slack.Secret{secret}, Now: time.Now},
		Recorder: &inspector.Journal{Store: store}, Keep: 1 << 20, Now: time.Now,
		NewID: inspector.NewIDs(time.Now, inspector.ID{}).Next,
	}
	b.Cleanup(f.recording.Close)
	return f
}

func (f *fixture) bare() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(f.app); pr.SetXForwarded() },
		Transport: &http.Transport{MaxIdleConnsPerHost: 1 << 10, DisableCompression: true},
	}
}

// serve serves h on a port of its own and gives the address.
func (f *fixture) serve(b *testing.B, h http.Handler) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	f.serveOn(b, l, h)
	return l.Addr().String()
}

func (f *fixture) serveOn(b *testing.B, l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ConnContext: proxy.ConnContext, ReadHeaderTimeout: 10 * time.Second}
	var g errgroup.Group
	g.Go(func() error { return serve(srv, proxy.Listener{Listener: l}) })
	b.Cleanup(func() { _ = srv.Close(); _ = g.Wait() })
}

// chain puts a relay and an SSH tunnel in front of h and gives the public URL.
func (f *fixture) chain(b *testing.B, h http.Handler) *url.URL {
	b.Helper()
	host, user := newSigner(b), newSigner(b)
	listeners := make([]net.Listener, 2)
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			b.Fatal(err)
		}
	}
	r := &relay.Relay{Domain: "localhost", HostKey: host}
	provider := &sshtunnel.Provider{
		Profile: sshtunnel.Relay("benchmark", "127.0.0.1", listeners[0].Addr().(*net.TCPAddr).Port, "ana-todo"),
		Keys:    sshtunnel.Keys{Signers: []ssh.Signer{user}}, Hosts: sshtunnel.Hosts{Pinned: host.PublicKey()},
	}
	keeper := &tunnel.Keeper{Provider: provider}
	up := make(chan *url.URL, 1)
	keeper.OnStatus(func(s tunnel.Status) {
		if s.State == tunnel.Up {
			up <- s.URL
		}
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	var g errgroup.Group
	g.Go(func() error { return r.Run(ctx, relay.Listeners{SSH: listeners[0], HTTP: listeners[1]}) })
	g.Go(func() error { return keeper.Run(ctx) })
	b.Cleanup(func() { cancel(); _ = g.Wait() })
	f.serveOn(b, keeper, h)
	select {
	case u := <-up:
		return u
	case <-time.After(10 * time.Second):
		b.Fatal("the tunnel did not come up")
		return nil
	}
}

func newSigner(b *testing.B) ssh.Signer {
	b.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		b.Fatal(err)
	}
	return signer
}

// check counts what was recorded, and looks at the newest.
func (f *fixture) check(b *testing.B, sent int) {
	b.Helper()
	usage, err := f.store.Usage(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if want := min(sent, sqlite.DefaultMaxExchanges); usage.Exchanges != want {
		b.Fatalf("%d requests passed, and %d were recorded", want, usage.Exchanges)
	}
	page, err := f.store.List(b.Context(), inspector.Query{Limit: 50})
	if err != nil {
		b.Fatal(err)
	}
	for _, x := range page {
		if x.Response == nil || x.Response.Status != http.StatusOK || x.Slack.Kind == slack.SlashCommand && x.Verdict.Status != slack.Valid {
			b.Fatalf("recorded %v, answer %+v, fault %q", x.Verdict, x.Response, x.Fault)
		}
	}
}
