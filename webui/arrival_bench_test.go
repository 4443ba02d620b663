package webui

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/sqlite"
)

// BenchmarkArrival measures, in a quiet time, from before a request is sent to the
// proxy to the moment at which a browser has read that there is one: reading, judging
// and recording it on disk are on the way, the app's answer is not. ns/op is the median.
func BenchmarkArrival(b *testing.B) {
	g := newRig(b)
	store, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "history.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	g.Journal.Store = store
	answer := make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-answer
	}))
	defer app.Close()
	target, err := url.Parse(app.URL)
	if err != nil {
		b.Fatal(err)
	}
	p := &proxy.Proxy{
		App: proxy.Upstream{URL: target}, Verifier: &slack.Verifier{Now: time.Now}, Recorder: g.Journal, Keep: 1 << 20, Now: time.Now,
		NewID: inspector.NewIDs(time.Now, inspector.ID{}).Next,
	}
	defer p.Close()
	front := httptest.NewServer(p)
	defer front.Close()

	heard := make(chan message, 1)
	leave := g.watch(b, 1, func(m message) { heard <- m })
	<-heard // hello
	var took []time.Duration
	for b.Loop() {
		<-time.After(frameTime + 4*time.Millisecond) // until it is quiet
		answered := make(chan error, 1)
		begin := time.Now()
		go func() {
			res, err := http.Post(front.URL, "application/x-www-form-urlencoded", strings.NewReader("command=%2Ftodo&text="+strings.Repeat("x", 600)))
			if err == nil {
				res.Body.Close()
			}
			answered <- err
		}()
		if m := <-heard; m.Type != "events" || len(m.Events) != 1 {
			b.Fatalf("got %v, want the event", m)
		}
		took = append(took, time.Since(begin))
		answer <- struct{}{}
		if err := <-answered; err != nil {
			b.Fatal(err)
		}
		<-heard // that it was answered
	}
	leave()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "ns/op")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}
