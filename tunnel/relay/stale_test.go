package relay

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestARequestIsSentAgainOnlyIfTheMethodAllowsIt(t *testing.T) {
	w := start(t, nil)
	for method, again := range map[string]bool{
		"POST": false, "PATCH": false, "get": false, "PURGE": false,
		"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true,
	} {
		t.Run(method, func(t *testing.T) {
			f, err := w.connect(newSigner(t), "SSH-2.0-OpenSSH_9.2") // nothing ahead
			if err != nil {
				t.Fatal(err)
			}
			name := "app-" + strings.ToLower(method)
			if method == "get" {
				name = "app-small"
			}
			f.forward(name, 80)
			v := w.visit(get(name, "/"))
			a := f.app()
			a.request()
			a.say("HTTP/1.1 204 No Content\r\n\r\n")
			v.answer("GET")

			v.send(strings.Replace(post(name, "two"), "POST", method, 1))
			a.request()
			a.Close() // on the request that it has kept its channel for
			channels := int64(1)
			if again {
				channels = 2
				b := f.app()
				if body, _ := io.ReadAll(b.request().Body); string(body) != "two" {
					t.Errorf("sent again: %q", body)
				}
				b.Close() // a new channel is no stale one
			}
			resp, _ := v.answer(method)
			if resp.StatusCode != 502 || resp.Header.Get("X-Slackdev-Relay") != codeNoAnswer {
				t.Errorf("got %s %v", resp.Status, resp.Header)
			}
			if n := f.opened.Load(); n != channels {
				t.Errorf("%d channels, want %d", n, channels)
			}
		})
	}
}

// fakeChannel is a channel whose far end is the test's.
type fakeChannel struct {
	ssh.Channel
	// dead: nothing can be written any more. noticed: and the reader of the channel
	// finds that out first.
	dead, noticed bool
	takes         bool // a write, all the same: its bytes crossed the end on the way
	end           sync.Once
	ended         chan struct{}
	closed        chan struct{}
	closing       sync.Once
	toApp         *io.PipeWriter
	fromApp       *io.PipeReader
}

func (c *fakeChannel) Write(p []byte) (int, error) {
	if !c.dead {
		return c.toApp.Write(p)
	}
	if c.noticed {
		c.end.Do(func() { close(c.ended) })
		<-c.closed
	}
	if c.takes {
		return len(p), nil
	}
	return 0, io.EOF
}

func (c *fakeChannel) Read(p []byte) (int, error) {
	if !c.dead {
		return c.fromApp.Read(p)
	}
	<-c.ended
	return 0, io.EOF
}

func (c *fakeChannel) Close() error {
	c.closing.Do(func() { close(c.closed) })
	c.end.Do(func() { close(c.ended) })
	if !c.dead {
		c.toApp.Close()
		c.fromApp.Close()
	}
	return nil
}

func TestAChannelThatTookNoByteIsReplacedForAnyMethod(t *testing.T) {
	for name, tc := range map[string]struct {
		dead    int // of the channels that were opened ahead
		noticed bool
		takes   bool
		pieces  []string
		want    int
	}{
		"at once":                  {1, false, false, []string{post("app", "helloagain")}, 200},
		"noticed first":            {1, true, false, []string{post("app", "helloagain")}, 200},
		"all ahead":                {2, false, false, []string{post("app", "helloagain")}, 200},
		"all ahead, noticed":       {2, true, false, []string{post("app", "helloagain")}, 200},
		"in pieces":                {2, false, false, strings.SplitAfter(post("app", "helloagain"), "hello"), 200},
		"in pieces, noticed first": {2, true, false, strings.SplitAfter(post("app", "helloagain"), "hello"), 200},
		"after it took the bytes":  {1, true, true, []string{post("app", "helloagain")}, 502},
		"without end":              {20, true, false, []string{post("app", "helloagain")}, 502},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Relay{Domain: "localhost", HostKey: newSigner(t)}
			s, err := r.server(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, nil)
			if err != nil {
				t.Fatal(err)
			}
			tun := &tunnel{client: &client{s: s, gone: make(chan struct{})}}
			if _, err := s.names.claim("app", "k", "", tun); err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			add := func(f *fakeChannel) {
				f.ended, f.closed = make(chan struct{}), make(chan struct{})
				c := &channel{Channel: f, tunnel: tun, gone: make(chan struct{}), in: newInbox(&s.buffers)}
				tun.idle = append(tun.idle, c)
				serving.Go(c.serve)
			}
			appIn, toApp := io.Pipe()
			fromApp, appOut := io.Pipe()
			for range tc.dead {
				add(&fakeChannel{dead: true, noticed: tc.noticed, takes: tc.takes})
			}
			add(&fakeChannel{toApp: toApp, fromApp: fromApp})
			// The last one is taken first, and then from the front: dead ones all.
			tun.idle[tc.dead-1], tun.idle[tc.dead] = tun.idle[tc.dead], tun.idle[tc.dead-1]
			serving.Go(func() {
				q, err := http.ReadRequest(bufio.NewReader(appIn))
				if err != nil {
					return
				}
				body, _ := io.ReadAll(q.Body)
				io.WriteString(appOut, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"+string(body))
			})
			near, distant := net.Pipe()
			near.SetDeadline(time.Now().Add(20 * time.Second))
			serving.Go(newVisitor(s, distant).serve)
			serving.Go(func() {
				for _, p := range tc.pieces {
					io.WriteString(near, p)
				}
			})
			resp, err := http.ReadResponse(bufio.NewReader(near), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(resp.Body); resp.StatusCode != tc.want || tc.want == 200 && string(body) != "helloagain" {
				t.Errorf("got %s %q", resp.Status, body)
			}
			near.Close()
			tun.close()
			serving.Wait()
			if n := tun.name.busy.Load(); n != 0 {
				t.Errorf("%d requests are still counted", n)
			}
		})
	}
}

func TestARequestThatIsSentAgainWaitsForNoChannelThatWasUsed(t *testing.T) {
	w := start(t, short(Limits{Open: time.Hour}))
	f, err := w.connect(newSigner(t), "SSH-2.0-OpenSSH_9.2") // nothing ahead
	if err != nil {
		t.Fatal(err)
	}
	f.forward("app", 80)
	first, second := w.visit(get("app", "/")), w.visit(get("app", "/"))
	a, b := f.app(), f.app()
	a.request()
	b.request()
	a.say(done)
	b.say(done)
	first.answer("GET")
	second.answer("GET")
	until(t, "both channels are idle", func() bool {
		n := w.s.names.find([]byte("app.localhost"))
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.live.Load().idle) == 2
	})
	first.send(get("app", "/"))
	closed := make(chan struct{}, 2)
	for _, c := range []*appConn{a, b} {
		go func() { // whichever it comes on
			if _, err := http.ReadRequest(c.r); err == nil {
				c.Close()
			}
			closed <- struct{}{}
		}()
	}
	<-closed
	c := f.app()
	c.request()
	c.say(done)
	if resp, _ := first.answer("GET"); resp.StatusCode != 200 {
		t.Errorf("got %s", resp.Status)
	}
}
