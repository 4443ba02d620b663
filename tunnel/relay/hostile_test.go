package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// newLazyConn is the connection of a client that reads nothing any more once it is told
// to, but goes on writing: it gives signs of life and answers nothing.
func newLazyConn(c net.Conn) *deafConn {
	lazy := newDeafConn(c)
	lazy.speaks = true
	return lazy
}

// rest has it read no more, and chatter until the test ends or the relay has had enough.
func (c *deafConn) rest(f *far) {
	c.goDeaf()
	over := make(chan struct{})
	f.t.Cleanup(func() { c.Close(); <-over })
	go func() {
		defer close(over)
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			if _, _, err := f.conn.SendRequest("chatter", false, nil); err != nil {
				return
			}
		}
	}()
}

// vacant says whether nobody is visiting, and no request of the name is under way.
func (w *world) vacant(label string) bool {
	w.s.mu.Lock()
	visitors := len(w.s.visitors)
	w.s.mu.Unlock()
	return visitors == 0 && w.s.names.find([]byte(label+".localhost")).busy.Load() == 0
}

// Whoever has a key could otherwise take all the seats that there are for visitors.
func TestAVisitorThatLeavesIsLetGoWhateverTheClientDoes(t *testing.T) {
	for name, tc := range map[string]struct {
		raw   string
		first func(f *far, lazy *deafConn)
	}{
		"it answers no close": {post("app", "hello"), func(f *far, lazy *deafConn) {
			f.busyApp()
			lazy.rest(f)
		}},
		"it takes no more of a body": {strings.Replace(post("app", strings.Repeat("x", 8<<20)), "\r\n\r\n", "\r\n\r\n", 1), func(f *far, lazy *deafConn) {
			f.busyApp()
			lazy.rest(f)
		}},
		"it ends what it says, and no more": {post("app", strings.Repeat("x", 8<<20)), func(f *far, lazy *deafConn) {
			a, _ := f.busyApp()
			lazy.rest(f)
			a.Conn.(*channelConn).CloseWrite()
		}},
		"it answers no keep-alive": {post("app", "hello"), func(f *far, lazy *deafConn) {
			a, _ := f.busyApp()
			a.Close()
			b, _ := f.busyApp()
			lazy.rest(f)
			b.Close()
		}},
		"it answers none after an answer that just ends": {get("app", "/"), func(f *far, lazy *deafConn) {
			a, _ := f.busyApp()
			lazy.rest(f)
			a.say("HTTP/1.1 200 OK\r\n\r\nhello")
			a.Close()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, short(Limits{KeepAlive: 50 * time.Millisecond, BodyIdle: 100 * time.Millisecond}))
			nc, err := net.Dial("tcp", w.ssh)
			if err != nil {
				t.Fatal(err)
			}
			lazy := newLazyConn(nc)
			f, err := w.connectOn(lazy, newSigner(t), "SSH-2.0-slackdev_test")
			if err != nil {
				t.Fatal(err)
			}
			f.hello("i").forward("app", 80)
			v := w.visit("")
			sent := make(chan struct{})
			go func() { io.WriteString(v.TCPConn, tc.raw); close(sent) }()
			tc.first(f, lazy)
			v.SetLinger(0)
			v.Close()
			<-sent
			until(t, "the visitor is let go", func() bool { return w.vacant("app") })
		})
	}
}

// The older connection is half open, and as much is on its way as the network takes.
func TestANameIsTakenOverFromAConnectionThatTakesNothing(t *testing.T) {
	for _, instance := range []string{"i", "j"} {
		t.Run(instance, func(t *testing.T) {
			l := deafListener{listen(t), make(chan *deafConn, 2)}
			w := startOn(t, l, func(r *Relay) {
				patient(r)
				r.Limits.KeepAlive, r.Limits.Probe = time.Hour, 50*time.Millisecond
			})
			key := newSigner(t)
			old := w.upHello(key, "app", "i")
			v := w.visit(post("app", "hello"))
			old.busyApp()
			name := w.s.names.find([]byte("app.localhost"))
			until(t, "a channel is there ahead of need", func() bool {
				name.mu.Lock()
				defer name.mu.Unlock()
				return len(name.live.Load().idle) > 0
			})
			(<-l.conns).goDeaf()
			f := w.upHello(key, "app", instance)
			a, _ := f.busyApp()
			a.say(done)
			if resp, _ := v.answer("POST"); resp.StatusCode != 200 {
				t.Errorf("got %s", resp.Status)
			}
		})
	}
}

// A connection may end with forwards in it that nobody has read yet. They must not get
// a name that nobody serves, nor one that a newer connection has by now.
func TestAForwardOfAConnectionThatHasEndedGetsNoName(t *testing.T) {
	w := start(t, nil)
	for i := range 100 {
		nc, err := net.Dial("tcp", w.ssh)
		if err != nil {
			t.Fatal(err)
		}
		f, err := w.connectOn(nc, newSigner(t), "SSH-2.0-OpenSSH_10.0")
		if err != nil {
			t.Fatal(err)
		}
		for j := range 8 {
			if _, _, err := f.conn.SendRequest(wire.ForwardName, false, ssh.Marshal(wire.ForwardRequest{BindAddr: fmt.Sprintf("n%d-%d", i, j), BindPort: 80})); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
		f.cut()
		<-f.done
	}
	until(t, "all clients are gone", func() bool {
		w.s.mu.Lock()
		defer w.s.mu.Unlock()
		return len(w.s.clients) == 0
	})
	w.s.names.mu.RLock()
	defer w.s.names.mu.RUnlock()
	for label, n := range w.s.names.names {
		if n.live.Load() != nil {
			t.Errorf("%s is up, and its client is gone", label)
		}
	}
	if len(w.s.names.names) == 0 {
		t.Error("no forward was ever read")
	}
}

// A request that an app may have acted on is not said to have reached nobody.
func TestARequestThatTheAppMayHaveHadIsNeverCalledUnreachable(t *testing.T) {
	for name, open := range map[string]time.Duration{"refused": 10 * time.Second, "not answered": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(r *Relay) { patient(r); r.Limits.Open = open })
			key := newSigner(t)
			f := w.upHello(key, "app", "i")
			v := w.visit(post("app", "hello"))
			f.busyApp()
			f.cut()
			w.holds(1)
			nc, err := net.Dial("tcp", w.ssh)
			if err != nil {
				t.Fatal(err)
			}
			lazy := newLazyConn(nc)
			g, err := w.connectOn(lazy, key, "SSH-2.0-slackdev_test")
			if err != nil {
				t.Fatal(err)
			}
			g.hello("i")
			if name == "refused" {
				g.refuse.Store(100)
			} else {
				lazy.rest(g)
			}
			g.conn.SendRequest(wire.ForwardName, false, ssh.Marshal(wire.ForwardRequest{BindAddr: "app", BindPort: 80}))
			resp, _ := v.answer("POST")
			if code := resp.Header.Get("X-Slackdev-Relay"); resp.StatusCode != http.StatusBadGateway || code != codeNoAnswer {
				t.Errorf("got %s, %s", resp.Status, code)
			}
		})
	}
}

// Everything at once: connections are cut, all of them protect the name, visitors come
// with and without TLS, some without the password, and some leave in the middle.
func TestRulesHoldWhileConnectionsAreCut(t *testing.T) {
	a := newAuthority(t)
	w := start(t, a.secure(a.files(1, "*.localhost"), Limits{Hold: 20 * time.Second, HoldRequests: 1000}))
	l, rules := newLedger(), password("ana", "word")
	rules.Networks = "127.0.0.0/8"
	l.rules = &rules
	ctx, cancel := context.WithCancel(t.Context())
	var client, visiting sync.WaitGroup
	up := make(chan struct{})
	var cuts, answered, refused atomic.Int64
	client.Go(func() {
		l.run(ctx, w, newSigner(t), up, func() (time.Duration, bool) {
			return time.Duration(rand.IntN(40)) * time.Millisecond, cuts.Add(1)%3 > 0
		})
	})
	<-up
	enough := func() bool { return t.Failed() || answered.Load() > 200 && refused.Load() > 50 && cuts.Load() > 20 }
	one := func(secure bool, raw string, leaves bool) (*http.Response, string, error) {
		addr := w.http
		if secure {
			addr = w.https
		}
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, "", err
		}
		defer nc.Close()
		c := nc
		if secure {
			c = tls.Client(nc, a.client("http/1.1"))
		}
		c.SetDeadline(time.Now().Add(30 * time.Second)) // for tests that fail
		if leaves {
			raw = raw[:rand.IntN(len(raw))]
		}
		if _, err := io.WriteString(c, raw); err != nil || leaves {
			return nil, "", err
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return nil, "", err
		}
		body, err := io.ReadAll(resp.Body)
		return resp, string(body), err
	}
	for i := range 30 {
		visiting.Go(func() {
			for j := 0; !enough(); j++ {
				body := fmt.Sprintf("%d of visitor %d", j, i)
				raw := with(post("app", body), basic("ana", "word"))
				if i%5 == 1 {
					raw = post("app", body)
				}
				resp, got, err := one(i%2 == 0, raw, i%5 == 2)
				switch {
				case i%5 == 2:
				case err != nil:
					t.Errorf("%s: %v", body, err)
				case i%5 == 1 && resp.StatusCode == http.StatusUnauthorized:
					refused.Add(1)
				case i%5 != 1 && resp.StatusCode == http.StatusOK && got == answerTo(body):
					answered.Add(1)
				default:
					t.Errorf("%s: got %s %.50q", body, resp.Status, got)
				}
			}
		})
	}
	visiting.Wait()
	cancel()
	client.Wait()
	if n := l.leaked.Load(); n > 0 || l.again.Load() == 0 {
		t.Errorf("%d requests came with the password, %d came again", n, l.again.Load())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for body, n := range l.ran {
		var j, i int
		if _, err := fmt.Sscanf(body, "%d of visitor %d", &j, &i); err != nil || n != 1 || i%5 == 1 {
			t.Errorf("the app had %s %d times", body, n)
		}
	}
}
