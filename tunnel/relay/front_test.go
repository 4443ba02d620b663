package relay

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// app gives the next channel that the relay opens, as an app of the test's own.
func (f *far) app() *appConn {
	f.t.Helper()
	select {
	case c := <-f.channels:
		return &appConn{t: f.t, Conn: c, r: bufio.NewReader(c)}
	case <-time.After(20 * time.Second):
		f.t.Fatal("the relay opens no channel")
		return nil
	}
}

// come is a channel on which a request has come, and the request's head.
type come struct {
	a *appConn
	q *http.Request
}

// busyApp gives the next of those. It leaves alone what it has given once: the
// test then reads from it itself.
func (f *far) busyApp() (*appConn, *http.Request) {
	f.t.Helper()
	for {
		select {
		case c := <-f.channels:
			go func() {
				a := &appConn{t: f.t, Conn: c, r: bufio.NewReader(c)}
				if q, err := http.ReadRequest(a.r); err == nil {
					f.come <- come{a, q}
				}
			}()
		case x := <-f.come:
			return x.a, x.q
		case <-time.After(20 * time.Second):
			f.t.Fatal("no request comes")
		}
	}
}

type appConn struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (a *appConn) request() *http.Request {
	a.t.Helper()
	q, err := http.ReadRequest(a.r)
	if err != nil {
		a.t.Fatalf("read a request: %v", err)
	}
	return q
}

func (a *appConn) say(raw string) {
	a.t.Helper()
	if _, err := io.WriteString(a, raw); err != nil {
		a.t.Fatalf("say %.60q: %v", raw, err)
	}
}

func (a *appConn) ended() {
	a.t.Helper()
	if rest, _ := io.ReadAll(a.r); len(rest) > 0 {
		a.t.Errorf("the channel goes on: %.80q", rest)
	}
}

func short(l Limits) func(*Relay) { return func(r *Relay) { r.Limits = l } }

func TestRefusedRequestsReachNobody(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	for name, tc := range smuggled {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(tc.raw, chunkedPost) && len(tc.raw) > 4<<10 {
				return // more than is looked at before the app gets some: see the test of bad chunks further on
			}
			v := w.visit(tc.raw)
			resp, _ := v.answer("POST")
			if resp.StatusCode != tc.want || resp.Header.Get("X-Slackdev-Relay") != codeBadRequest || !resp.Close {
				t.Errorf("got %s, %v", resp.Status, resp.Header)
			}
			v.ended()
		})
	}
	if f.conn.Close(); f.opened.Load() > 2 { // those that are opened ahead
		t.Errorf("%d channels were opened", f.opened.Load())
	}
}

func TestNamesWithoutATunnelAreExplained(t *testing.T) {
	w := start(t, nil)
	w.up("down", nil).end()
	waitDown(t, w, "down")
	for name, tc := range map[string]struct {
		host, accept string
		status       int
		code, kind   string
		has          string
	}{
		"unknown, curl":        {"nobody.localhost", "*/*", 404, codeUnknownName, "text/plain; charset=utf-8", "no tunnel of this name"},
		"unknown, browser":     {"nobody.localhost", "text/html,application/xhtml+xml,*/*;q=0.8", 404, codeUnknownName, "text/html; charset=utf-8", "<h1>404 Not Found</h1>"},
		"unknown, JSON":        {"nobody.localhost", "application/json", 404, codeUnknownName, "application/json", `"code":"unknown-name"`},
		"down, browser":        {"down.localhost", "text/html", 503, codeTunnelDown, "text/html; charset=utf-8", "tunnel of this name is down"},
		"down, JSON":           {"down.localhost", "application/json, text/html", 503, codeTunnelDown, "application/json", `"retry_after":5`},
		"down, other spelling": {"DOWN.LocalHost.:8080", "", 404, codeBadRequest, "", ""},
		"the domain":           {"localhost", "", 404, codeUnknownName, "text/plain; charset=utf-8", ""},
		"an address":           {"127.0.0.1", "", 404, codeUnknownName, "text/plain; charset=utf-8", ""},
		"two labels":           {"x.down.localhost", "", 404, codeUnknownName, "text/plain; charset=utf-8", ""},
		"another domain":       {"down.example.org", "", 404, codeUnknownName, "text/plain; charset=utf-8", ""},
		"a domain that ends the same way": {
			"downlocalhost", "", 404, codeUnknownName, "text/plain; charset=utf-8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "down, other spelling" {
				tc.status, tc.code, tc.kind = 503, codeTunnelDown, "text/plain; charset=utf-8"
			}
			v := w.visit("GET /<script> HTTP/1.1\r\nHost: " + tc.host + "\r\nAccept: " + tc.accept + "\r\n\r\n")
			for range 2 { // the connection goes on
				resp, body := v.answer("GET")
				if resp.StatusCode != tc.status || resp.Header.Get("X-Slackdev-Relay") != tc.code ||
					resp.Header.Get("Content-Type") != tc.kind || !strings.Contains(body, tc.has) {
					t.Errorf("got %s %v %q", resp.Status, resp.Header, body)
				}
				if got := resp.Header.Get("Retry-After"); (got != "") != (tc.status == 503) {
					t.Errorf("Retry-After: %q", got)
				}
				if strings.Contains(body, "<script") || strings.Contains(body, "nobody") {
					t.Errorf("what came is reflected: %q", body)
				}
				v.send("GET / HTTP/1.1\r\nHost: " + tc.host + "\r\nAccept: " + tc.accept + "\r\n\r\n")
			}
		})
	}
}

// waitDown waits until the relay knows that the tunnel of name is gone.
func waitDown(t testing.TB, w *world, name string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		resp, _ := w.visit("HEAD / HTTP/1.1\r\nHost: " + name + ".localhost\r\n\r\n").answer("HEAD")
		if resp.Header.Get("X-Slackdev-Relay") == codeTunnelDown {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the tunnel %s never goes down: %s", name, resp.Status)
		}
		runtime.Gosched()
	}
}

func TestChannelsAreUsedAgain(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", http.HandlerFunc(echo))
	v := w.visit("")
	for i := range 100 {
		body := fmt.Sprint("request ", i)
		v.send(post("app", body))
		if _, got := v.answer("POST"); got != "POST / "+body {
			t.Fatalf("got %q", got)
		}
	}
	if n := f.opened.Load(); n < 1 || n > 4 {
		t.Errorf("100 requests took %d channels", n)
	}
	for range 100 { // visitors that come and go; some come before the channel of the last is free again
		v := w.visit(get("app", "/"))
		v.answer("GET")
		v.Close()
	}
	if n := f.opened.Load(); n > 25 {
		t.Errorf("100 visitors, one by one, took %d channels", n)
	}
}

func TestOnlySlackdevGetsChannelsAhead(t *testing.T) {
	w := start(t, nil)
	for version, want := range map[string]int64{"SSH-2.0-OpenSSH_9.2": 1, "SSH-2.0-slackdev_1": 3} {
		f, err := w.connect(newSigner(t), version)
		if err != nil {
			t.Fatal(err)
		}
		name := map[int64]string{1: "plain", 3: "ahead"}[want]
		f.forward(name, 80)
		v := w.visit(get(name, "/"))
		a, _ := f.busyApp()
		a.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		v.answer("GET")
		if n := f.opened.Load(); n < 1 || n > want {
			t.Errorf("%s: %d channels for a request, want %d at most", version, n, want)
		}
	}
}

func TestAChannelThatSpeaksUnaskedIsDropped(t *testing.T) {
	w := start(t, nil)
	f, err := w.connect(newSigner(t), "SSH-2.0-OpenSSH_9.2")
	if err != nil {
		t.Fatal(err)
	}
	f.forward("app", 80)
	v := w.visit(get("app", "/"))
	a := f.app()
	a.request()
	a.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
	if _, body := v.answer("GET"); body != "ok" {
		t.Errorf("got %q", body)
	}
	a.ended()

	v.send(get("app", "/"))
	b := f.app()
	b.request()
	b.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	v.answer("GET")
	b.say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
	b.ended()
	v.send(get("app", "/"))
	c := f.app()
	c.request()
	c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")
	if _, body := v.answer("GET"); body != "fine" {
		t.Errorf("got %q", body)
	}
}

func TestAClientThatIsNotReadyIsAskedAgain(t *testing.T) {
	w := start(t, nil)
	f, err := w.connect(newSigner(t), "SSH-2.0-OpenSSH_9.2")
	if err != nil {
		t.Fatal(err)
	}
	f.refuse.Store(1)
	f.forward("app", 80)
	v := w.visit(get("app", "/"))
	a := f.app()
	a.request()
	a.say("HTTP/1.1 204 No Content\r\n\r\n")
	if resp, _ := v.answer("GET"); resp.StatusCode != 204 {
		t.Errorf("got %s", resp.Status)
	}
	f.refuse.Store(1)
	v.send(get("app", "/")) // takes the kept channel
	a.request()
	if resp, _ := w.visit(get("app", "/")).answer("GET"); resp.StatusCode != 502 || resp.Header.Get("X-Slackdev-Relay") != codeNoApp {
		t.Errorf("an app that is down: got %s", resp.Status)
	}
	a.say("HTTP/1.1 204 No Content\r\n\r\n")
	v.answer("GET")
}

func TestAnAppCannotSpeakAsTheRelay(t *testing.T) {
	w := start(t, nil)
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Slackdev-Relay", codeTunnelDown)
		fmt.Fprint(w, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"], r.Header["X-Forwarded-Proto"])
	}))
	v := w.visit("GET / HTTP/1.1\r\nHost: APP.localhost:1\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n")
	resp, body := v.answer("GET")
	if got := resp.Header.Get("X-Slackdev-Relay"); got != "" {
		t.Errorf("X-Slackdev-Relay: %q", got)
	}
	if body != "[127.0.0.1] [APP.localhost:1] [http]" {
		t.Errorf("the app sees %s", body)
	}
}

func TestExpectContinueAndHintsPass(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit("POST / HTTP/1.1\r\nHost: app.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	a, q := f.busyApp()
	if q.Header.Get("Expect") != "100-continue" {
		t.Errorf("the app sees %v", q.Header)
	}
	a.say("HTTP/1.1 100 Continue\r\n\r\n")
	if resp, _ := v.answer("POST"); resp.StatusCode != 100 {
		t.Fatalf("got %s", resp.Status)
	}
	v.send("hello")
	if body, _ := io.ReadAll(q.Body); string(body) != "hello" {
		t.Errorf("the app reads %q", body)
	}
	a.say("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	if resp, _ := v.answer("POST"); resp.StatusCode != 103 || resp.Header.Get("Link") != "</x>" {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
	if resp, body := v.answer("POST"); resp.StatusCode != 200 || body != "ok" {
		t.Errorf("got %s %q", resp.Status, body)
	}
	v.send(get("app", "/")) // both connections go on
	q = a.request()
	a.say("HTTP/1.1 204 No Content\r\n\r\n")
	v.answer("GET")
}

func TestAnswersWithoutBodiesLeaveTheConnectionInStep(t *testing.T) {
	w := start(t, nil)
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(304)
		default:
			io.WriteString(w, "hello")
		}
	}))
	v := w.visit(get("app", "/204"))
	if resp, _ := v.answer("GET"); resp.StatusCode != 204 {
		t.Errorf("got %s", resp.Status)
	}
	v.send(get("app", "/304"))
	if resp, _ := v.answer("GET"); resp.StatusCode != 304 || resp.Header.Get("ETag") == "" {
		t.Errorf("got %s", resp.Status)
	}
	v.send(strings.Replace(get("app", "/"), "GET", "HEAD", 1))
	if resp, _ := v.answer("HEAD"); resp.StatusCode != 200 || resp.ContentLength != 5 {
		t.Errorf("got %s, length %d", resp.Status, resp.ContentLength)
	}
	v.send(get("app", "/"))
	if resp, body := v.answer("GET"); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("got %s %q", resp.Status, body)
	}
}

func TestHTTP10IsServed(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit("GET / HTTP/1.0\r\nHost: app.localhost\r\nConnection: keep-alive\r\n\r\n")
	a, q := f.busyApp()
	if q.Proto != "HTTP/1.1" {
		t.Errorf("the app sees %s", q.Proto)
	}
	a.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	if resp, body := v.answer("GET"); resp.StatusCode != 200 || body != "ok" || resp.Header.Get("Connection") != "keep-alive" {
		t.Errorf("got %s %q %v", resp.Status, body, resp.Header)
	}
	v.send("GET / HTTP/1.0\r\nHost: app.localhost\r\n\r\n")
	a.request()
	a.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n")
	a.say("6\r\n world\r\n0\r\nA: b\r\n\r\n")
	resp, body := v.answer("GET")
	if body != "hello world" || len(resp.TransferEncoding) > 0 || !resp.Close {
		t.Errorf("got %q %v", body, resp.Header)
	}
	v.ended()
	v = w.visit(get("app", "/")) // the channel is as good as before
	a.request()
	a.say("HTTP/1.1 204 No Content\r\n\r\n")
	v.answer("GET")
}

func TestAnAnswerThatEndsWithItsConnection(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit(get("app", "/"))
	a, _ := f.busyApp()
	a.say("HTTP/1.0 200 OK\r\n\r\nhello")
	a.say(" world")
	a.Close()
	resp, body := v.answer("GET")
	if body != "hello world" || !resp.Close {
		t.Errorf("got %q %v", body, resp.Header)
	}
	v.ended()
}

func TestTrailersPassBothWays(t *testing.T) {
	w := start(t, nil)
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "B")
		fmt.Fprintf(w, "%s %s", body, r.Trailer.Get("A"))
		w.(http.Flusher).Flush()
		w.Header().Set("B", "2")
	}))
	v := w.visit("POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n5\r\nhello\r\n0\r\nA: 1\r\n\r\n" + get("app", "/"))
	if resp, body := v.answer("POST"); body != "hello 1" || resp.Trailer.Get("B") != "2" {
		t.Errorf("got %q %v", body, resp.Trailer)
	}
	if resp, _ := v.answer("GET"); resp.StatusCode != 200 { // pipelined
		t.Errorf("got %s", resp.Status)
	}
}

func TestUpgradesPassBothWaysAndEndHalfByHalf(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	const ask = "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	v := w.visit(ask)
	a, q := f.busyApp()
	if q.Header.Get("Upgrade") != "echo" || q.Header.Get("Connection") != "Upgrade" {
		t.Errorf("the app sees %v", q.Header)
	}
	a.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst")
	resp, err := http.ReadResponse(v.r, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "echo" {
		t.Fatalf("got %v, %v", resp, err)
	}
	expect := func(r io.Reader, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	expect(v.r, "first")
	v.send("\x00\xff no HTTP \r\n\r\n")
	expect(a.r, "\x00\xff no HTTP \r\n\r\n")
	v.CloseWrite()
	if rest, err := io.ReadAll(a.r); len(rest) > 0 || err != nil {
		t.Errorf("the app reads %q, %v", rest, err)
	}
	a.say("still here")
	expect(v.r, "still here")
	a.Close()
	v.ended()

	v = w.visit(ask) // refused
	b, _ := f.busyApp()
	b.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
	if resp, body := v.answer("GET"); resp.StatusCode != 403 || body != "no" {
		t.Errorf("got %s %q", resp.Status, body)
	}
	v.send(ask) // and then the other half first
	b.request()
	b.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	http.ReadResponse(v.r, nil)
	b.Conn.(*channelConn).CloseWrite()
	v.ended()
	v.send("late")
	expect(b.r, "late")
	v.Close()
	b.ended()
}

func TestLargeBodiesPassInLittleMemory(t *testing.T) {
	const size = 64 << 20
	w := start(t, nil)
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		w.Header().Set("Sum", fmt.Sprintf("%x", h.Sum(nil)))
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		io.Copy(w, io.LimitReader(zeros{}, size))
	}))
	sum := sha256.New()
	io.Copy(sum, io.LimitReader(zeros{}, size))
	want := fmt.Sprintf("%x", sum.Sum(nil))

	runtime.GC() // what other tests have left is not counted
	var peak uint64
	sampled, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	for _, path := range []string{"/sized", "/chunked"} {
		v := w.visit("")
		v.SetDeadline(time.Now().Add(2 * time.Minute))
		q, _ := http.NewRequest("POST", "http://app.localhost"+path, io.LimitReader(zeros{}, size))
		if path == "/sized" {
			q.ContentLength = size
		}
		var sending sync.WaitGroup
		sending.Go(func() {
			if err := q.Write(v.TCPConn); err != nil {
				t.Errorf("%s: send: %v", path, err)
			}
		})
		resp, err := http.ReadResponse(v.r, q)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		sending.Wait()
		if n != size || err != nil || resp.Header.Get("Sum") != want {
			t.Errorf("%s: got %d bytes, %v, sum %s", path, n, err, resp.Header.Get("Sum"))
		}
	}
	close(stop)
	<-sampled
	if peak > 64<<20 { // both ends, and the app
		t.Errorf("%d MiB of heap in use", peak>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestManyVisitorsAtOnceGetTheirOwnAnswers(t *testing.T) {
	w := start(t, nil)
	w.up("app", http.HandlerFunc(echo))
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			v := w.visit("")
			for j := range 50 {
				body := strings.Repeat(fmt.Sprintf("%d-%d ", i, j), 1+i*j)
				v.send(post("app", body))
				if _, got := v.answer("POST"); got != "POST / "+body {
					t.Errorf("got %.40q, want %.40q", got, body)
					return
				}
			}
		})
	}
	all.Wait()
}
