package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// tcp starts an app that speaks raw bytes: it reads a head (and body of length n
// when the head says so) and hands the connection over.
func tcp(t *testing.T, then func(net.Conn, *http.Request)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					then(conn, r)
					if r.Header.Get("X-Then") == "close" {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// closed gives an address where nothing listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func TestAppDownIsA502ThatNamesIt(t *testing.T) {
	addr := closed(t)
	f := serveURL(t, "http://"+addr, nil)
	status, body := do(t, f.signed(t, command))
	var said struct{ Error, Message, ID string }
	if err := json.Unmarshal([]byte(body), &said); err != nil || status != http.StatusBadGateway {
		t.Fatalf("got %d %q (%v)", status, body, err)
	}
	x := f.last(t)
	if want := "nothing listens on " + addr; said.Error != "app_down" || said.Message != want || x.Fault != want || said.ID != x.ID.String() {
		t.Errorf("answer %+v, fault %q, want %q", said, x.Fault, want)
	}
	if x.Response.Status != 502 || x.Response.By != inspector.BySlackdev {
		t.Errorf("recorded %+v", x.Response)
	}
}

func TestHandshakeIsAnsweredWhileTheAppIsDown(t *testing.T) {
	const handshake = `{"token":"gone","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`
	for name, tc := range map[string]struct {
		forged  bool
		secrets bool
		status  int
	}{
		"signed":              {secrets: true, status: 200},
		"forged":              {secrets: true, forged: true, status: 502},
		"nobody can check it": {forged: true, status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			f := serveURL(t, "http://"+closed(t), nil)
			if !tc.secrets {
				f.Verifier.Secrets = nil
			}
			r := f.signed(t, handshake)
			r.Header.Set("Content-Type", "application/json")
			if tc.forged {
				r.Header.Set("X-Slack-Signature", "v0="+strings.Repeat("0", 64))
			}
			status, body := do(t, r)
			if status != tc.status || (status == 200) != (body == "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P") {
				t.Errorf("got %d %q, want %d", status, body, tc.status)
			}
			if x := f.last(t); x.Response.By != inspector.BySlackdev || x.Slack.Kind != slack.URLVerification {
				t.Errorf("recorded %+v", x)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, tc := range map[string]struct {
		says  string
		fault string
	}{
		"nothing":         {"", "gave no answer: it closed the connection"},
		"garbage":         {"I am not HTTP\r\n\r\n", "malformed HTTP"},
		"status 099":      {"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", "status 99"},
		"half a head":     {"HTTP/1.1 200 OK\r\nContent-", "gave no answer"},
		"two lengths":     {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "gave no answer"},
		"upgrade unasked": {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tea\r\n\r\n", "was not asked to"},
	} {
		t.Run(name, func(t *testing.T) {
			app := tcp(t, func(conn net.Conn, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, tc.says)
				conn.Close()
			})
			f := serveURL(t, app, nil)
			status, body := do(t, f.signed(t, command))
			x := f.last(t)
			if status != 502 || !strings.Contains(body, "app_failed") || !strings.Contains(x.Fault, tc.fault) {
				t.Errorf("got %d %q, fault %q, want 502 and a fault with %q", status, body, x.Fault, tc.fault)
			}
			if x.Response == nil || x.Response.Status != 502 || x.Response.By != inspector.BySlackdev || x.Request.Upgraded {
				t.Errorf("recorded %+v", x.Response)
			}
		})
	}
}

func TestAnswerThatBreaksOffNeverLooksWhole(t *testing.T) {
	for name, says := range map[string]string{
		"with a length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunked":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			app := tcp(t, func(conn net.Conn, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, says)
				conn.Close()
			})
			f := serveURL(t, app, nil)
			res, err := http.DefaultClient.Do(f.signed(t, command))
			if err == nil {
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err == nil {
					t.Errorf("the sender got %q and thinks that this is all", body)
				}
			}
			x := f.last(t)
			if x.Response == nil || string(x.Response.Body.Bytes) != "half" || !strings.Contains(x.Fault, "broke off its answer after 4 bytes") {
				t.Errorf("recorded %+v, fault %q", x.Response, x.Fault)
			}
		})
	}
}

func TestRecordSurvivesSlackHangingUp(t *testing.T) {
	asked, gone := make(chan struct{}), make(chan struct{})
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(asked)
		<-gone
		_, _ = io.WriteString(w, "too late")
	}), nil)
	ctx, cancel := context.WithCancel(t.Context())
	r := f.signed(t, command).WithContext(ctx)
	failed := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(r)
		failed <- err
	}()
	<-asked
	cancel()
	if err := <-failed; err == nil {
		t.Error("the sender did not hang up")
	}
	// The server notices on its own time; whether before or after the answer, it is recorded.
	close(gone)
	x := f.last(t)
	if x.Response == nil || string(x.Response.Body.Bytes) != "too late" {
		t.Errorf("recorded %+v, fault %q", x.Response, x.Fault)
	}
}

func TestAppMayAnswerBeforeItHasReadEverything(t *testing.T) {
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}), nil)
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", 12<<20)))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err == nil {
		res.Body.Close()
	}
	x := f.last(t)
	if x.Response == nil || (x.Response.Status != http.StatusRequestEntityTooLarge && x.Response.Status != http.StatusBadGateway) {
		t.Errorf("recorded %+v, fault %q (%v)", x.Response, x.Fault, err)
	}
}

func TestSenderThatBreaksOffIsToldFromTheApp(t *testing.T) {
	f := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the app was asked") }), nil)
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\":")
	conn.(*net.TCPConn).CloseWrite()
	x := f.last(t)
	conn.Close()
	if !strings.Contains(x.Fault, "the sender hung up 5 bytes into a body of 100") || string(x.Request.Body.Bytes) != `{"a":` {
		t.Errorf("fault %q, body %q", x.Fault, x.Request.Body.Bytes)
	}
}

func TestSlowSenderIsServed(t *testing.T) {
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}), nil)
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, b := range []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none\nbyte\n") {
		<-tick.C
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if res, body := answer(t, bufio.NewReader(conn)); res.StatusCode != 200 || body != "one\nbyte\n" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
}

func TestMalformedRequestsAreRecordedAndForwarded(t *testing.T) {
	for name, tc := range map[string]struct{ contentType, body string }{
		"json cut short":   {"application/json", `{"type":"event_callback","event":{"type":"app_men`},
		"not json":         {"application/json", `<xml/>`},
		"bad percent":      {"application/x-www-form-urlencoded", `payload=%7B%2&command=%`},
		"payload not json": {"application/x-www-form-urlencoded", `payload=hello`},
		"nul bytes":        {"application/x-www-form-urlencoded", "command=%00\x00\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = string(body)
			}), nil)
			r := f.signed(t, tc.body)
			r.Header.Set("Content-Type", tc.contentType)
			if status, _ := do(t, r); status != 200 || got != tc.body {
				t.Errorf("got %d; the app got %q, want %q", status, got, tc.body)
			}
			if x := f.last(t); string(x.Request.Body.Bytes) != tc.body || x.Verdict.Status != slack.Valid {
				t.Errorf("recorded %q, verdict %v", x.Request.Body.Bytes, x.Verdict.Status)
			}
		})
	}
}

func TestWhatIsUnderWayAtTheEndIsRecorded(t *testing.T) {
	asked, forever := make(chan struct{}), make(chan struct{})
	defer close(forever)
	f := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-forever
	}), nil)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if res, err := http.DefaultClient.Do(f.signed(t, command)); err == nil {
			res.Body.Close()
		}
	}()
	<-asked
	f.Proxy.Close()
	// Close has waited for the record.
	if saved := f.records.all(); len(saved) != 2 || !strings.Contains(saved[1].Fault, "slackdev was stopped") {
		t.Errorf("after Close the history holds %+v", saved)
	}
	<-answered
}

func TestAnAnswerThatIsGivenUpIsNotTheAppsFault(t *testing.T) {
	const senders, room = 70, 64
	half := make(chan struct{}, 2*senders)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		half <- struct{}{}
		<-r.Context().Done()
	})
	f := serve(t, app, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			w := &told{ResponseRecorder: httptest.NewRecorder(), got: half}
			defer func() { _ = recover() }() // the answer is cut
			f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
		})
	}
	for range 2 * senders { // the app has said half of it, and the sender has it
		<-half
	}
	hangUp()
	for range senders - room {
		x := f.last(t)
		if want := "the sender hung up, and 4 bytes of the app's answer came in the time that was left to it"; x.Fault != want {
			t.Errorf("recorded fault %q, want %q", x.Fault, want)
		}
	}
	f.Proxy.Close()
	for range room {
		x := f.last(t)
		if want := "slackdev was stopped 4 bytes into the app's answer"; x.Fault != want || string(x.Response.Body.Bytes) != "half" {
			t.Errorf("recorded fault %q, want %q", x.Fault, want)
		}
	}
	all.Wait()
}

// told is a sender that says when it gets something.
type told struct {
	*httptest.ResponseRecorder
	got chan<- struct{}
}

func (w *told) Write(p []byte) (int, error) {
	n, err := w.ResponseRecorder.Write(p)
	w.got <- struct{}{}
	return n, err
}
