package relay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// known makes a name known whose tunnel is down, and gives its key.
func (w *world) known(name string) ssh.Signer {
	w.t.Helper()
	key := newSigner(w.t)
	w.upAs(key, name, nil).end()
	until(w.t, name+" is down", func() bool { return w.s.names.find([]byte(name+".localhost")).live.Load() == nil })
	return key
}

func TestRequestsWaitForTheirTunnelInTheOrderInWhichTheyCame(t *testing.T) {
	w := start(t, patient)
	key := w.known("app")
	var visits []*visit
	for i := range 5 {
		visits = append(visits, w.visit(get("app", fmt.Sprint("/", i))))
		w.holds(int64(i + 1))
	}
	// A client that opens one channel and no other, so that the order can be seen.
	nc, err := net.Dial("tcp", w.ssh)
	if err != nil {
		t.Fatal(err)
	}
	conn, channels, requests, err := ssh.NewClientConn(nc, w.ssh, &ssh.ClientConfig{
		User: "x", HostKeyCallback: ssh.InsecureIgnoreHostKey(), Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	if ok, _, err := conn.SendRequest(wire.ForwardName, true, ssh.Marshal(wire.ForwardRequest{BindAddr: "app", BindPort: 80})); !ok {
		t.Fatalf("forward: %v", err)
	}
	ch, more, err := (<-channels).Accept()
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(more)
	r := bufio.NewReader(ch)
	for i, v := range visits {
		q, err := http.ReadRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint("/", i); q.URL.Path != want {
			t.Errorf("request %d is %s", i, q.URL.Path)
		}
		io.WriteString(ch, done)
		if _, body := v.answer("GET"); body != "done" {
			t.Errorf("visitor %d got %q", i, body)
		}
	}
	w.holds(0)
	conn.Close()
	for c := range channels {
		c.Reject(ssh.ConnectionFailed, "")
	}
}

func TestBeyondTheHoldARequestIsRefusedAndToldSo(t *testing.T) {
	w := start(t, short(Limits{Hold: 50 * time.Millisecond}))
	w.known("app")
	for accept, want := range map[string]string{
		"text/html":        "<p>The tunnel of this name is down, and did not come back while the request was held, for 50ms.",
		"text/plain":       "slackdev relay: The tunnel of this name is down, and did not come back while the request was held, for 50ms.",
		"application/json": "",
	} {
		begin := time.Now()
		v := w.visit("")
		for range 2 { // the connection goes on
			v.send("GET / HTTP/1.1\r\nHost: app.localhost\r\nAccept: " + accept + "\r\n\r\n")
			resp, body := v.answer("GET")
			if resp.StatusCode != 503 || resp.Header.Get("X-Slackdev-Relay") != codeTunnelDown || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, want) {
				t.Errorf("%s: got %s %v %q", accept, resp.Status, resp.Header, body)
			}
			var r struct {
				Held int `json:"held_ms"`
			}
			if err := json.Unmarshal([]byte(body), &r); want == "" && (err != nil || r.Held != 50) {
				t.Errorf("%s: got %q, %v", accept, body, err)
			}
		}
		if took := time.Since(begin); took < 2*50*time.Millisecond {
			t.Errorf("%s: two requests were held for %v", accept, took)
		}
	}
	v := w.visit(post("app", "hello")[:len(post("app", "hello"))-2]) // its end has not come
	if resp, _ := v.answer("POST"); resp.StatusCode != 503 || !resp.Close {
		t.Errorf("in its body: got %s %v", resp.Status, resp.Header)
	}
	v.ended()
	if resp, _ := w.visit(get("nobody", "/")).answer("GET"); resp.StatusCode != 404 {
		t.Errorf("nobody's name: got %s", resp.Status)
	}
}

func TestARequestThatMovedIsHeldNoLongerThanOthers(t *testing.T) {
	w := start(t, short(Limits{Hold: 50 * time.Millisecond}))
	f := w.upHello(newSigner(t), "app", "i")
	v := w.visit(post("app", "hello"))
	f.busyApp()
	f.cut()
	resp, _ := v.answer("POST") // the app may have acted on it: no invitation to try again
	if resp.StatusCode != 502 || resp.Header.Get("X-Slackdev-Relay") != codeNoAnswer {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
}

func TestTheHoldIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		limits Limits
		raw    string
		other  int // of another name's request
	}{
		"of a name": {Limits{HoldRequests: 1}, get("app", "/"), 0},
		"in all":    {Limits{HoldTotal: 1}, get("app", "/"), 503},
		"in bytes":  {Limits{ReplayTotal: 3000}, post("app", strings.Repeat("x", 2000)), 503},
		"to none":   {Limits{Hold: -1}, "", 503},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(r *Relay) {
				if r.Limits = tc.limits; r.Limits.Hold == 0 {
					patient(r)
				}
			})
			key := w.known("app")
			w.known("other")
			full := func(name string) {
				t.Helper()
				resp, body := w.visit(strings.Replace(tc.raw, "app", name, 1)).answer("GET")
				if resp.StatusCode != 503 || resp.Header.Get("X-Slackdev-Relay") != codeTunnelDown || resp.Header.Get("Retry-After") == "" ||
					!strings.Contains(body, "as many requests as there is room for") {
					t.Errorf("got %s %v %q", resp.Status, resp.Header, body)
				}
			}
			if tc.raw == "" {
				if resp, _ := w.visit(get("app", "/")).answer("GET"); resp.StatusCode != 503 {
					t.Errorf("got %s", resp.Status)
				}
				return
			}
			v := w.visit(tc.raw)
			w.holds(1)
			full("app")
			if tc.other != 0 {
				full("other")
			}
			v.SetLinger(0) // leaves, and leaves room
			v.Close()
			w.holds(0)
			v = w.visit(tc.raw)
			w.holds(1)
			f := w.upAs(key, "app", nil)
			a, _ := f.busyApp()
			a.say(done)
			v.answer("GET")
		})
	}
}

func TestAVisitorThatEndsItsSideLeavesItsPlaceAndMayGetItsAnswer(t *testing.T) {
	w := start(t, func(r *Relay) { patient(r); r.Limits.HoldRequests = 1 })
	key := w.known("app")
	first := w.visit(get("app", "/1"))
	w.holds(1)
	first.CloseWrite()
	w.holds(0)
	second := w.visit(get("app", "/2"))
	w.holds(1)
	f := w.upAs(key, "app", http.HandlerFunc(echo))
	for i, v := range []*visit{first, second} {
		if _, body := v.answer("GET"); body != fmt.Sprintf("GET /%d ", i+1) {
			t.Errorf("got %q", body)
		}
	}
	f.end()
}

func TestAVisitorThatLeavesInItsBodyLeavesTheHold(t *testing.T) {
	w := start(t, patient)
	w.known("app")
	v := w.visit("POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 10\r\n\r\nhello")
	w.holds(1)
	v.Close()
	w.holds(0)
	until(t, "it is no longer under way", func() bool { return w.s.names.find([]byte("app.localhost")).busy.Load() == 0 })
}

func TestABodyGoesOnComingWhileItsRequestIsHeld(t *testing.T) {
	for name, size := range map[string]int{"within what is kept": 8 << 10, "beyond it": 300 << 10} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(r *Relay) { patient(r); r.Limits.Replay = 64 << 10 })
			key := w.known("app")
			body := strings.Repeat("0123456789abcdef", size/16)
			for what, raw := range map[string]string{
				"sized":   post("app", body),
				"chunked": chunkedPost + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body),
			} {
				v := w.visit(raw[:200])
				w.holds(1)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for rest := raw[200:]; rest != ""; {
						n := min(len(rest), 5000)
						io.WriteString(v.TCPConn, rest[:n])
						rest = rest[n:]
					}
				}()
				until(t, "more of it is kept", func() bool { return w.s.kept.Load() > 4000 || size > w.s.limits.Replay })
				f := w.upHello(key, "app", "i")
				a, q := f.busyApp()
				if got, err := io.ReadAll(q.Body); string(got) != body || err != nil {
					t.Errorf("%s: the app reads %d bytes, %v", what, len(got), err)
				}
				a.say(done)
				if resp, _ := v.answer("POST"); resp.StatusCode != 200 {
					t.Errorf("%s: got %s", what, resp.Status)
				}
				<-sent
				f.end()
				until(t, "it is down", func() bool { return w.s.names.find([]byte("app.localhost")).live.Load() == nil })
			}
		})
	}
}

func TestARequestThatWaitsForAChannelOutlivesTheConnection(t *testing.T) {
	w := start(t, patient)
	key := newSigner(t)
	f, err := w.connect(key, "SSH-2.0-OpenSSH_9.2") // nothing ahead
	if err != nil {
		t.Fatal(err)
	}
	stall := make(chan struct{})
	f.stall.Store(&stall)
	f.forward("app", 80)
	v := w.visit(post("app", "hello"))
	<-stall // a channel was asked for, and is never opened
	f.cut()
	w.holds(1)
	w.upAs(key, "app", http.HandlerFunc(echo))
	if resp, body := v.answer("POST"); body != "POST / hello" {
		t.Errorf("got %s %q", resp.Status, body)
	}
}
