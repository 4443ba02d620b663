package relay

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAnAnswerThatIsCutShortNeverLooksWhole(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	for name, tc := range map[string]struct{ version, head, rest string }{
		"by length":   {"1.1", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", ""},
		"chunked":     {"1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ""},
		"in a chunk":  {"1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", ""},
		"in trailers": {"1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b", ""},
		"a bad chunk": {"1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "xyz\r\n"},
		"to HTTP/1.0": {"1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := w.visit(strings.Replace(get("app", "/"), "1.1", tc.version, 1))
			a, _ := f.busyApp()
			a.say(tc.head)
			v.r.Peek(1) // the head has passed
			a.say(tc.rest)
			a.Close()
			v.reset()
		})
	}
	v := w.visit(get("app", "/")) // would end with its connection
	a, _ := f.busyApp()
	a.say("HTTP/1.1 200 OK\r\n\r\nhello")
	v.r.Peek(1)
	f.end()
	v.reset()
}

// reset fails the test unless the connection is cut.
func (v *visit) reset() {
	v.t.Helper()
	if got, err := io.ReadAll(v.r); !errors.Is(err, syscall.ECONNRESET) {
		v.t.Errorf("the connection is not cut: %q, %v", got, err)
	}
}

func TestBadAnswersBecomeA502(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	for name, tc := range map[string]struct{ said, code string }{
		"not HTTP":           {"SSH-2.0-x\r\n\r\n", codeBadAnswer},
		"a bare LF":          {"HTTP/1.1 200 OK\n\n", codeBadAnswer},
		"half a head":        {"HTTP/1.1 200 OK\r\nA:", codeNoAnswer},
		"nothing":            {"", codeNoAnswer},
		"an upgrade unasked": {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", codeBadAnswer},
		"a bad chunk":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", codeBadAnswer},
		"a head too large":   {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 64<<10) + "\r\n\r\n", codeBadAnswer},
		"endless 1xx":        {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 17), codeBadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			v := w.visit(get("app", "/"))
			a, _ := f.busyApp()
			_, _ = io.WriteString(a, tc.said) // the relay may have heard enough before its end
			a.Close()
			resp, _ := v.answer("GET")
			for resp.StatusCode == 102 {
				resp, _ = v.answer("GET")
			}
			if resp.StatusCode != 502 || resp.Header.Get("X-Slackdev-Relay") != tc.code {
				t.Errorf("got %s %v, want 502 %s", resp.Status, resp.Header, tc.code)
			}
			v.send(get("nobody", "/")) // the visitor's connection is still good
			if resp, _ := v.answer("GET"); resp.StatusCode != 404 {
				t.Errorf("after that: %s", resp.Status)
			}
		})
	}
}

func TestEarlyAnswersAreForwarded(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit("POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000000000\r\n\r\n")
	sending := make(chan struct{})
	go func() { // a visitor that sends all the while, and an app that never reads it
		defer close(sending)
		for block := make([]byte, 64<<10); ; {
			if _, err := v.TCPConn.Write(block); err != nil {
				return
			}
		}
	}()
	a, _ := f.busyApp()
	a.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!")
	if resp, body := v.answer("POST"); resp.StatusCode != 413 || body != "no!" {
		t.Errorf("got %s %q", resp.Status, body)
	}
	io.Copy(io.Discard, v.r)
	v.Close()
	<-sending
}

func TestBadChunksFurtherOnEndTheRequest(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit(chunkedPost + "5\r\nhello\r\n")
	_, q := f.busyApp()
	if _, err := io.ReadFull(q.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	v.send("5 \r\nhello\r\n0\r\n\r\n")
	if rest, err := io.ReadAll(q.Body); len(rest) > 0 || err == nil {
		t.Errorf("the app takes the request for whole: %q", rest)
	}
	if resp, _ := v.answer("POST"); resp.StatusCode != 400 {
		t.Errorf("got %s", resp.Status)
	}
	v.ended()
}

func TestSlowVisitorsAreSentAway(t *testing.T) {
	w := start(t, short(Limits{Head: 50 * time.Millisecond, Idle: 100 * time.Millisecond, BodyIdle: 50 * time.Millisecond}))
	w.up("app", http.HandlerFunc(echo))
	w.visit("").ended()
	for name, raw := range map[string]string{
		"half a head": "GET / HTTP/1.1\r\nHost:",
		"half a body": "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 10\r\n\r\nhello",
	} {
		v := w.visit(raw)
		if resp, _ := v.answer("POST"); resp.StatusCode != 408 {
			t.Errorf("%s: got %s", name, resp.Status)
		}
		v.ended()
	}
	v := w.visit(get("app", "/"))
	v.answer("GET")
	begin := time.Now()
	v.ended()
	if took := time.Since(begin); took < 80*time.Millisecond {
		t.Errorf("an idle connection is closed after %v", took)
	}
}

func TestVisitorsThatTakeNothingAreCut(t *testing.T) {
	w := start(t, short(Limits{BodyIdle: 100 * time.Millisecond}))
	stopped := make(chan struct{})
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(stopped)
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	w.visit(get("app", "/"))
	<-stopped
}

func TestAppsThatTakeNothingAreGivenUp(t *testing.T) {
	w := start(t, short(Limits{BodyIdle: 100 * time.Millisecond}))
	f := w.up("app", nil)
	v := w.visit("POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000000000\r\n\r\n")
	go func() {
		for block := make([]byte, 64<<10); ; {
			if _, err := v.TCPConn.Write(block); err != nil {
				return
			}
		}
	}()
	f.busyApp()
	if resp, _ := v.answer("POST"); resp.StatusCode != 504 || resp.Header.Get("X-Slackdev-Relay") != codeAppStuck {
		t.Errorf("got %s", resp.Status)
	}
}

func TestAppsThatFallSilentAreCut(t *testing.T) {
	w := start(t, short(Limits{StreamIdle: 50 * time.Millisecond}))
	f := w.up("app", nil)
	v := w.visit(get("app", "/"))
	a, _ := f.busyApp()
	a.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
	if _, err := io.ReadAll(v.r); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	a.ended()
}

func TestTooManyRequestsOfANameAreTurnedAway(t *testing.T) {
	w := start(t, short(Limits{Requests: 2}))
	f := w.up("app", nil)
	first, second := w.visit(get("app", "/")), w.visit(get("app", "/"))
	a, _ := f.busyApp()
	b, _ := f.busyApp()
	third := w.visit(get("app", "/"))
	resp, _ := third.answer("GET")
	if resp.StatusCode != 503 || resp.Header.Get("X-Slackdev-Relay") != codeBusy || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
	a.say("HTTP/1.1 204 No Content\r\n\r\n")
	b.say("HTTP/1.1 204 No Content\r\n\r\n")
	first.answer("GET")
	second.answer("GET")
	third.send(get("app", "/"))
	go func() {
		for _, c := range []*appConn{a, b} {
			go func() {
				if _, err := http.ReadRequest(c.r); err == nil {
					io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
				}
			}()
		}
	}()
	if resp, _ := third.answer("GET"); resp.StatusCode != 204 {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

func TestVisitorsWaitForASeat(t *testing.T) {
	w := start(t, short(Limits{Visitors: 1}))
	w.up("app", http.HandlerFunc(echo))
	first := w.visit(get("app", "/"))
	first.answer("GET")
	second := w.visit(get("app", "/second"))
	first.send(get("app", "/"))
	first.answer("GET")
	first.Close()
	if _, body := second.answer("GET"); body != "GET /second " {
		t.Errorf("got %q", body)
	}
}

func TestRequestsUnderWayAreFinishedWhenTheRelayStops(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit(get("app", "/"))
	a, _ := f.busyApp()
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	for { // until the relay takes no more visitors
		c, err := net.Dial("tcp", w.http)
		if err != nil {
			break
		}
		c.Close()
	}
	a.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	if resp, body := v.answer("GET"); body != "ok" || !resp.Close {
		t.Errorf("got %q %v", body, resp.Header)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAnUploadUnderWayIsFinishedWhenTheRelayStops(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit("POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 10\r\n\r\nhello")
	a, q := f.busyApp()
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	for {
		c, err := net.Dial("tcp", w.http)
		if err != nil {
			break
		}
		c.Close()
	}
	v.send("again")
	if body, err := io.ReadAll(q.Body); string(body) != "helloagain" || err != nil {
		t.Errorf("the app reads %q, %v", body, err)
	}
	a.say("HTTP/1.1 204 No Content\r\n\r\n")
	if resp, _ := v.answer("POST"); resp.StatusCode != 204 {
		t.Errorf("got %s", resp.Status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestTheRelayDoesNotWaitForAnAppThatHangs(t *testing.T) {
	w := start(t, short(Limits{Drain: 50 * time.Millisecond}))
	f := w.up("app", nil)
	v := w.visit(get("app", "/"))
	f.busyApp()
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(v.r); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(rest), "200") {
		t.Errorf("got %q, %v", rest, err)
	}
}
