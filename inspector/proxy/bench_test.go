package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
)

// discard is a Recorder that counts.
type discard struct{ saved int }

func (d *discard) Save(context.Context, *inspector.Exchange) error { d.saved++; return nil }

// sink is a ResponseWriter for one benchmark.
type sink struct {
	h      http.Header
	status int
	size   int
}

func (s *sink) Header() http.Header               { return s.h }
func (s *sink) WriteHeader(status int)            { s.status = status }
func (s *sink) Write(p []byte) (int, error)       { s.size += len(p); return len(p), nil }
func (s *sink) SetReadDeadline(_ time.Time) error { return nil }
func (s *sink) EnableFullDuplex() error           { return nil }

// benchmarkHandler measures the handler alone: a rule answers, nothing is kept. stamp
// makes the n-th request's stamp, which may be nil; saves is how often each is recorded.
func benchmarkHandler(b *testing.B, ctx context.Context, stamp func(n int) string, saves int) {
	kept := new(discard)
	f := serve(b, say("ok"), func(p *proxy.Proxy) {
		p.Recorder = kept
		res := &inspector.Response{Status: 200, Body: inspector.Body{Bytes: []byte("added")}}
		p.Answers = rule(func(*inspector.Exchange) *inspector.Answer { return &inspector.Answer{By: "rule r", Response: res} })
	})
	signed := f.signed(b, command).WithContext(ctx)
	signed.RequestURI = "/slack/events"
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		r := *signed
		r.Body = io.NopCloser(strings.NewReader(command))
		if stamp != nil {
			r.Header.Set(stampField, stamp(n))
		}
		w := &sink{h: make(http.Header, 4)}
		f.ServeHTTP(w, &r)
		if w.status != 200 || w.size != len("added") {
			b.Fatalf("answered with %d and %d bytes", w.status, w.size)
		}
		n++
	}
	if want := saves * n; saves > 0 && kept.saved != want || saves == 0 && kept.saved > 2 {
		b.Fatalf("%d requests were recorded %d times", n, kept.saved)
	}
}

// BenchmarkHandler shows what a delivery costs beside a request without an ID.
func BenchmarkHandler(b *testing.B) {
	relay := proxy.WithDeliveries(b.Context(), stampField, token)
	b.Run("no ID", func(b *testing.B) { benchmarkHandler(b, b.Context(), nil, 2) })
	b.Run("first", func(b *testing.B) {
		benchmarkHandler(b, relay, func(n int) string { return fmt.Sprint(token, ".", n) }, 2)
	})
	b.Run("again", func(b *testing.B) {
		benchmarkHandler(b, relay, func(int) string { return token + ".x1" }, 0)
	})
}

// benchmarkWire measures a request over a connection that is kept open, app included.
func benchmarkWire(b *testing.B, addr string, field func(n int) string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		fmt.Fprintf(conn, "POST /slack/events HTTP/1.1\r\nHost: a\r\n%sContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", field(n), len(command), command)
		if res, body := answer(b, br); res.StatusCode != 200 || body != "added" {
			b.Fatalf("got %d %q", res.StatusCode, body)
		}
		n++
	}
}

// BenchmarkWire is the same with everything around the handler.
func BenchmarkWire(b *testing.B) {
	f := serve(b, say("added"), func(p *proxy.Proxy) { p.Recorder = new(discard) })
	relay := stampedServer(b, f.Proxy)
	b.Run("no ID", func(b *testing.B) { benchmarkWire(b, f.addr, func(int) string { return "" }) })
	b.Run("first", func(b *testing.B) {
		benchmarkWire(b, relay, func(n int) string { return fmt.Sprintf("%s: %s.%d-%d\r\n", stampField, token, b.N, n) })
	})
	b.Run("again", func(b *testing.B) {
		benchmarkWire(b, relay, func(int) string { return stampField + ": " + token + ".x1\r\n" })
	})
}
