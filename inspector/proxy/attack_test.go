package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
)

func TestBodyCannotForgeTheRecordedHead(t *testing.T) {
	f := serve(t, say("ok"), nil)
	for name, forged := range map[string]string{
		"another host":     "Host: evil\r\nContent-Length: %d\r\n",
		"another length":   "Host: a\r\nContent-Length: 7\r\n",
		"two lengths":      "Host: a\r\nContent-Length: %d\r\nContent-Length: %[1]d\r\n",
		"no host":          "Content-Length: %d\r\n",
		"another encoding": "Host: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n",
		"a connection":     "Host: a\r\nContent-Length: %d\r\nConnection: close\r\n",
		"a trailer":        "Host: a\r\nContent-Length: %d\r\nTrailer: X-Sum\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			br := bufio.NewReader(conn)
			// The server reads 4096 bytes at once: all of the first request and the beginning
			// of the second, whose body has all of its head again that net/http keeps, and more.
			const length, ahead = 300, 20
			body := "\r\nPOST /a HTTP/1.1\r\nA: 1\r\n" + fmt.Sprintf(strings.ReplaceAll(forged, "%d", "%[1]d"), length) + "\r\n"
			body += strings.Repeat("x", length-len(body))
			first := "GET /1 HTTP/1.1\r\nHost: a\r\nPad: \r\n\r\n"
			first = strings.Replace(first, "Pad: ", "Pad: "+strings.Repeat("x", 4096-ahead-len(first)), 1)
			fmt.Fprintf(conn, "%sPOST /a HTTP/1.1\r\nHost: a\r\nA: 1\r\nContent-Length: %d\r\n\r\n%s", first, length, body)
			answer(t, br)
			f.last(t)
			answer(t, br)
			h := f.last(t).Request.Header
			want := inspector.Header{{Name: "Host", Value: "a"}, {Name: "A", Value: "1"}, {Name: "Content-Length", Value: fmt.Sprint(length)}}
			if diff := cmp.Diff(want, h); diff != "" {
				t.Errorf("the record's head (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForwardingFieldsOfStrangersDoNotReachTheApp(t *testing.T) {
	var got http.Header
	f := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }), nil)
	r := f.signed(t, command)
	forged := []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Ssl",
		"X-Forwarded", "Forwarded", "X-Real-Ip", "X_forwarded_for", "X-Forwarded_host", "X_real_ip",
	}
	for _, name := range forged {
		r.Header[name] = []string{"forged"}
	}
	do(t, r)
	for name, values := range got {
		for _, value := range values {
			if strings.Contains(value, "forged") {
				t.Errorf("the app got %s: %s", name, value)
			}
		}
	}
	if x := f.last(t); x.Request.Header.Get("X-Forwarded-Port") != "forged" {
		t.Errorf("the record lacks what came: %q", x.Request.Header)
	}
}

func TestBodyThatNobodyReadIsNotRecordedAsWhole(t *testing.T) {
	const size = proxy.MaxVerified + 1
	refuse := func(p *proxy.Proxy) { p.Refuse = http.StatusUnauthorized }
	mock := func(p *proxy.Proxy) {
		p.Answers = rule(func(*inspector.Exchange) *inspector.Answer {
			return &inspector.Answer{By: "rule r", Response: &inspector.Response{Status: 200}}
		})
	}
	for name, tc := range map[string]struct {
		change func(*proxy.Proxy)
		head   string
		least  int64
	}{
		"refused":                         {refuse, fmt.Sprintf("Content-Length: %d\r\n", size), size},
		"answered by a rule":              {mock, fmt.Sprintf("Content-Length: %d\r\n", size), size},
		"without a length, unsigned":      {mock, "Transfer-Encoding: chunked\r\n", 1},
		"without a length, and too large": {refuse, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", size + 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the app was asked") }), tc.change)
			conn, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() { // the answer may come first
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", tc.head)
				if strings.Contains(tc.head, "chunked") {
					fmt.Fprintf(conn, "%x\r\n", size)
				}
				_, _ = io.Copy(conn, io.LimitReader(zeros{}, size))
			}()
			x := f.last(t)
			if b := x.Request.Body; !b.Truncated() || b.Size < tc.least {
				t.Errorf("recorded %d of %d bytes, want less than all of %d (answer %+v)", len(b.Bytes), b.Size, tc.least, x.Response)
			}
		})
	}
}

func TestNoRequestIsLostBehindABodyThatNobodyRead(t *testing.T) {
	app := tcp(t, func(conn net.Conn, _ *http.Request) {
		_, _ = io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		conn.Close()
	})
	for name, change := range map[string]func(*proxy.Proxy){
		"answered by the app": nil,
		"refused":             func(p *proxy.Proxy) { p.Refuse = http.StatusUnauthorized },
	} {
		t.Run(name, func(t *testing.T) { testUnread(t, serveURL(t, app, change)) })
	}
}

func testUnread(t *testing.T, f *fixture) {
	var said lines
	rests := make(chan struct{}, 8) // the connection waits for its next request, or has ended
	srv := &http.Server{
		Handler: f.Proxy, ErrorLog: log.New(&said, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateIdle || state == http.StateClosed {
				rests <- struct{}{}
			}
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	fmt.Fprint(conn, "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	res, _ := answer(t, br)
	fmt.Fprint(conn, "5\r\nhello\r\n0\r\n\r\n")
	<-rests
	fmt.Fprint(conn, "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	if next, err := http.ReadResponse(br, nil); err == nil {
		next.Body.Close()
	} else if !res.Close {
		t.Errorf("the connection was said to go on, and the next request got %v", err)
	}
	if text := said.String(); text != "" {
		t.Errorf("the server says %s", text)
	}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestBodyThatBrokeOffIsNotRecordedAsWhole(t *testing.T) {
	for name, head := range map[string]string{
		"with a length": "Content-Length: 100\r\n\r\n{\"a\":",
		"chunked":       "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, say("ok"), nil)
			conn, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"+head)
			_ = conn.(*net.TCPConn).CloseWrite()
			x := f.last(t)
			if b := x.Request.Body; string(b.Bytes) != `{"a":` || !b.Truncated() || x.Fault == "" {
				t.Errorf("recorded %q of %d bytes, fault %q", b.Bytes, b.Size, x.Fault)
			}
		})
	}
}

func TestPromisedBodiesCostNothing(t *testing.T) {
	const senders = 64
	f := serve(t, say("ok"), nil)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range senders {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// The answer 100 comes when the proxy reads the body.
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 262144\r\n\r\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "100") {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / senders; each > 64<<10 {
		t.Errorf("a body of which no byte has come takes %d KiB", each>>10)
	}
}

func TestOnlyAPlainGETComesBackFromOAuth(t *testing.T) {
	for name, request := range map[string]string{
		"with a body":         "GET /back?code=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
		"with a chunked body": "GET /back?code=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"to another protocol": "GET /back?code=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"to another path":     "GET /admin?code=1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"as another method":   "GET /back?code=1 HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the app was asked") }),
				func(p *proxy.Proxy) { p.Refuse, p.OAuthPath = http.StatusUnauthorized, "/back" })
			if res, _ := raw(t, f.addr, request); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("got %d", res.StatusCode)
			}
			if x := f.last(t); x.Slack.Kind != slack.OAuthRedirect {
				t.Errorf("recorded as %s", x.Slack.Kind)
			}
		})
	}
}

func TestSendersThatHangUpDoNotFillTheMachine(t *testing.T) {
	const senders, least = 100, 36 // 64 answers are waited for
	asked := make(chan struct{}, senders)
	f := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}), nil)
	var conns []net.Conn
	for range senders {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		conns = append(conns, conn)
	}
	for range senders {
		<-asked
	}
	for _, conn := range conns {
		conn.Close()
	}
	for range least {
		if x := f.last(t); !strings.Contains(x.Fault, "hung up") {
			t.Errorf("recorded fault %q, answer %+v", x.Fault, x.Response)
		}
	}
}

func TestSSLCheckDoesNotReachARuleUnverified(t *testing.T) {
	f := serve(t, say("the app"), func(p *proxy.Proxy) {
		p.Refuse = http.StatusUnauthorized
		p.Answers = rule(func(*inspector.Exchange) *inspector.Answer {
			return &inspector.Answer{By: "rule r", Response: &inspector.Response{Status: 202}}
		})
	})
	r := f.signed(t, "ssl_check=1&"+command)
	r.Header.Del("X-Slack-Signature")
	if status, body := do(t, r); status != 200 || body != "" {
		t.Errorf("unsigned, it got %d %q", status, body)
	}
	if status, _ := do(t, f.signed(t, "ssl_check=1&"+command)); status != 202 {
		t.Errorf("signed, it got %d, want the rule's answer", status)
	}
}
