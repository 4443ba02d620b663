package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
)

func TestHeadsAreRecordedInWireOrder(t *testing.T) {
	app := tcp(t, func(conn net.Conn, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nzulu: 1\r\nCONTENT-LENGTH: 2\r\nAlpha: 2\r\nalpha: 1\r\n\r\nok")
	})
	f := serveURL(t, app, nil)
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for i := range 3 { // the second and third on a connection that is kept alive
		// The body looks like a head, with other values.
		body := "x\r\nPOST /a HTTP/1.1\r\nHost: evil\r\nzz-last: forged\r\n\r\n"
		fmt.Fprintf(conn, "POST /a HTTP/1.1\r\nzz-last: %d\r\nHOST: a\r\nx-Slack-Signature:  v0=1 \r\nContent-length: %d\r\nAa: 2\r\nAa: 1\r\n\r\n%s", i, len(body), body)
		answer(t, br)
		x := f.last(t)
		want := inspector.Header{
			{Name: "zz-last", Value: fmt.Sprint(i)}, {Name: "HOST", Value: "a"}, {Name: "x-Slack-Signature", Value: "v0=1"},
			{Name: "Content-length", Value: fmt.Sprint(len(body))}, {Name: "Aa", Value: "2"}, {Name: "Aa", Value: "1"},
		}
		if diff := cmp.Diff(want, x.Request.Header); diff != "" {
			t.Errorf("request %d (-want +got):\n%s", i, diff)
		}
		want = inspector.Header{{Name: "zulu", Value: "1"}, {Name: "CONTENT-LENGTH", Value: "2"}, {Name: "Alpha", Value: "2"}, {Name: "alpha", Value: "1"}}
		if diff := cmp.Diff(want, x.Response.Header); diff != "" {
			t.Errorf("answer %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestPipelinedRequestsKeepTheirOwnHeads(t *testing.T) {
	f := serve(t, say("ok"), nil)
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	fmt.Fprint(conn, "GET /1 HTTP/1.1\r\nHost: a\r\nN: 1\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nN: 2\r\n\r\n")
	for _, want := range []string{"1", "2"} {
		answer(t, br)
		if x := f.last(t); x.Request.Target != "/"+want || x.Request.Header.Get("N") != want || x.Request.Header.Get("Host") != "a" {
			t.Errorf("recorded %s with %v", x.Request.Target, x.Request.Header)
		}
	}
}

func TestLargeBodiesStreamAndTheBeginningIsKept(t *testing.T) {
	const size = 64 << 20
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if n != size || err != nil {
			t.Errorf("the app read %d bytes, %v", n, err)
		}
		_, _ = io.Copy(w, io.LimitReader(zeros{}, size))
	}), nil)
	for name, length := range map[string]int64{"with a length": size, "chunked": -1} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url, io.LimitReader(zeros{}, size))
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = length
			r.Header.Set("X-Slack-Signature", "v0="+strings.Repeat("0", 64))
			r.Header.Set("X-Slack-Request-Timestamp", "1")
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, res.Body)
			res.Body.Close()
			runtime.ReadMemStats(&after)
			if n != size || err != nil {
				t.Errorf("got %d bytes, %v", n, err)
			}
			x := f.last(t)
			for side, body := range map[string]inspector.Body{"in": x.Request.Body, "out": x.Response.Body} {
				if len(body.Bytes) != 1<<20 || body.Size != size || !body.Truncated() {
					t.Errorf("%s: kept %d of %d, fault %q", side, len(body.Bytes), body.Size, x.Fault)
				}
			}
			if x.Verdict.Status != slack.Unchecked || !strings.Contains(x.Verdict.Detail, "8388608") {
				t.Errorf("verdict %v %q", x.Verdict.Status, x.Verdict.Detail)
			}
			// Everything that was ever allocated, whether or not it was freed.
			if total := after.TotalAlloc - before.TotalAlloc; total > size/2 {
				t.Errorf("allocated %d MiB for %d", total>>20, size>>20)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTrailersPassBothWays(t *testing.T) {
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "ok")
		w.Header().Set("X-Sum", r.Trailer.Get("X-In"))
	}), nil)
	for name, head := range map[string]string{
		"read as a whole": "Content-Type: application/json\r\n",
		"streamed":        "",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\n%sTE: trailers\r\nTrailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-In: 7\r\n\r\n", head)
			res, body := answer(t, bufio.NewReader(conn))
			if body != "ok" || res.Trailer.Get("X-Sum") != "7" {
				t.Errorf("got %q with trailer %v", body, res.Trailer)
			}
			x := f.last(t)
			if x.Request.Trailer.Get("X-In") != "7" || x.Response.Trailer.Get("X-Sum") != "7" {
				t.Errorf("recorded trailers %v and %v", x.Request.Trailer, x.Response.Trailer)
			}
		})
	}
}

func TestUpgradedConnectionsPass(t *testing.T) {
	app := tcp(t, func(conn net.Conn, r *http.Request) {
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, conn)
		conn.Close()
	})
	f := serveURL(t, app, nil)
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
		t.Fatalf("got %q, %v", line, err)
	}
	x := f.last(t) // saved when the conversation begins
	if !x.Request.Upgraded || x.Response.Status != 101 {
		t.Errorf("recorded %+v", x.Response)
	}
	conn.Close()
	if x := f.last(t); !x.Request.Upgraded || x.Response.Status != 101 || x.Elapsed == 0 {
		t.Errorf("at its end: %+v", x)
	}
}

func TestAnswersStreamWhileTheyAreWritten(t *testing.T) {
	step := make(chan struct{})
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "one\n")
		_ = http.NewResponseController(w).Flush()
		<-step
		fmt.Fprint(w, "two\n")
	}), nil)
	res, err := http.Get(f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	br := bufio.NewReader(res.Body)
	if line, err := br.ReadString('\n'); line != "one\n" {
		t.Fatalf("got %q, %v before the end of the answer", line, err)
	}
	close(step)
	if rest, err := io.ReadAll(br); string(rest) != "two\n" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestConnectionOpenedAheadMayWaitLongerThanAHead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const head = 50 * time.Millisecond
	srv := &http.Server{Handler: say("ok"), ReadHeaderTimeout: head}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(proxy.Listener{Listener: l, Idle: time.Minute, Head: head})
	}()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	waiting, stalled := dial(), dial()
	fmt.Fprint(stalled, "GET / HT") // begins, and does not end
	if n, err := io.Copy(io.Discard, stalled); err != nil {
		t.Errorf("a head that does not end got %d bytes, %v, want the end of the connection", n, err)
	}
	// By now the other one has waited for longer than a head may take.
	fmt.Fprint(waiting, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, body := answer(t, bufio.NewReader(waiting)); res.StatusCode != 200 || body != "ok" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
}
