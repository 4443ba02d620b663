package relay

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// stopping asks w to stop and waits until it has begun to.
func (w *world) stopping() (stopped <-chan error) {
	w.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- w.stop() }()
	until(w.t, "the relay stops", func() bool {
		c, err := net.Dial("tcp", w.http)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	return ended
}

// draining fails the test unless the answer says that the relay stops.
func (v *visit) draining(what string) {
	v.t.Helper()
	resp, _ := v.answer("GET")
	if resp.StatusCode != 503 || resp.Header.Get("X-Slackdev-Relay") != codeStopping || resp.Header.Get("Retry-After") == "" || !resp.Close {
		v.t.Errorf("%s: got %s %v", what, resp.Status, resp.Header)
	}
	v.ended()
}

func TestADrainFinishesWhatItHasAndTakesNothingNew(t *testing.T) {
	w := start(t, func(r *Relay) { patient(r); r.Limits.Drain = 20 * time.Second })
	w.known("down")
	f, g := w.upHello(newSigner(t), "app", "i"), w.up("plain", nil)
	_, notices := g.session()
	idle, fresh := w.visit(get("www", "/")), w.visit("")
	idle.answer("GET")
	first, second := w.visit(post("app", "hello")), w.visit(post("plain", "hello"))
	a, _ := f.busyApp()
	b, _ := g.busyApp()
	held := w.visit(get("down", "/"))
	w.holds(1)
	half := w.visit(get("www", "/") + "GET / HTTP/1.1\r\nHo")
	half.answer("GET")         // so that the relay has the rest, too
	half.send("st: app.local") // which is no whole head either
	until(t, "all have come", func() bool {
		w.s.mu.Lock()
		defer w.s.mu.Unlock()
		return len(w.s.visitors) == 6
	})

	stopped := w.stopping()
	for asked := ""; asked != wire.MoveName; asked = <-f.asked {
	}
	if got := <-notices; !strings.HasPrefix(got, "notice: this relay is about to stop") {
		t.Errorf("a plain client reads %q", got)
	}
	held.draining("what was held")
	half.draining("half a head")
	idle.ended()
	fresh.ended()
	if ok, _ := f.forward("late", 80); ok {
		t.Error("a forward is granted")
	}
	if _, err := net.Dial("tcp", w.ssh); err == nil {
		t.Error("a client can connect")
	}
	select {
	case <-f.done:
		t.Error("the client is sent away")
	case <-g.done:
		t.Error("the plain client is sent away")
	case err := <-stopped:
		t.Errorf("the relay ends with %v", err)
	default:
	}
	first.send(get("app", "/more")) // pipelined, and too late
	a.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
	if resp, body := first.answer("POST"); body != "done" || !resp.Close {
		t.Errorf("got %q %v", body, resp.Header)
	}
	first.ended()
	b.say(done)
	second.answer("POST")
	second.ended()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	<-f.done
	<-g.done
}

func TestARequestThatComesDuringTheDrainIsRefusedAtOnce(t *testing.T) {
	r := &Relay{Domain: "localhost", HostKey: newSigner(t)}
	s, err := r.server(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.names.claim("app", "k", "", &tunnel{client: &client{s: s}}); err != nil {
		t.Fatal(err)
	}
	near, distant := net.Pipe()
	near.SetDeadline(time.Now().Add(20 * time.Second))
	var serving sync.WaitGroup
	serving.Go(newVisitor(s, distant).serve)
	io.WriteString(near, get("nobody", "/")+get("app", "/"))
	begun := make([]byte, 1) // of the first answer, whose rest nobody has taken; the second request was read before it
	if _, err := io.ReadFull(near, begun); err != nil {
		t.Fatal(err)
	}
	close(s.stopping)
	v := &visit{t: t, r: bufio.NewReader(io.MultiReader(bytes.NewReader(begun), near))}
	if resp, _ := v.answer("GET"); resp.StatusCode != 404 {
		t.Errorf("got %s", resp.Status)
	}
	resp, _ := v.answer("GET")
	if resp.StatusCode != 503 || resp.Header.Get("X-Slackdev-Relay") != codeStopping || resp.Header.Get("Retry-After") == "" || !resp.Close {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
	near.Close()
	serving.Wait()
}

func TestAConnectionThatEndsDuringTheDrainIsNotWaitedFor(t *testing.T) {
	w := start(t, func(r *Relay) { patient(r); r.Limits.Drain = 20 * time.Second })
	f := w.upHello(newSigner(t), "app", "i")
	v := w.visit(post("app", "hello"))
	f.busyApp()
	stopped := w.stopping()
	f.cut()
	resp, _ := v.answer("POST")
	if resp.StatusCode != 502 || resp.Header.Get("X-Slackdev-Relay") != codeNoAnswer || !resp.Close {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// deafListener takes connections that can be stopped.
type deafListener struct {
	net.Listener
	conns chan *deafConn
}

func (l deafListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	deaf := newDeafConn(c)
	deaf.full = true
	l.conns <- deaf
	return deaf, nil
}

func TestADrainDoesNotWaitLongForAClientThatTakesNothing(t *testing.T) {
	for name, hello := range map[string]bool{"with a hello": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			l := deafListener{listen(t), make(chan *deafConn, 1)}
			w := startOn(t, l, func(r *Relay) { patient(r); r.Limits.Drain = time.Hour })
			f, err := w.connect(newSigner(t), "SSH-2.0-x")
			if err != nil {
				t.Fatal(err)
			}
			if hello {
				f.hello("i")
			}
			f.forward("app", 80)
			stdout, _ := f.session()
			<-stdout
			(<-l.conns).goDeaf()
			if err := w.stop(); err != nil { // or the test hangs
				t.Error(err)
			}
		})
	}
}
