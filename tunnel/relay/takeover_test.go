package relay

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
)

func TestTheSameInstanceTakesOverAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		old, newer string
		closed     bool
	}{
		"the same":        {"i", "i", true},
		"another":         {"i", "j", false},
		"none, both":      {"", "", false},
		"in another case": {"i", "I", false},
	} {
		t.Run(name, func(t *testing.T) {
			const probe = 50 * time.Millisecond
			w := start(t, func(r *Relay) { patient(r); r.Limits.Probe = probe })
			key := newSigner(t)
			old := w.upHello(key, "app", tc.old)
			v := w.visit(post("app", "hello"))
			a, q := old.busyApp()
			id := old.id(q)
			f := w.upHello(key, "app", tc.newer)
			if tc.closed {
				<-old.done
				if a, q = f.busyApp(); f.id(q) != id {
					t.Errorf("the ID was %s, and is %s", id, f.id(q))
				}
			} else {
				for asked := ""; asked != wire.KeepAliveName; asked = <-old.asked {
				}
				select { // it has answered, and stays
				case <-old.done:
					t.Error("it is closed")
				case <-time.After(3 * probe):
				}
			}
			a.say(done)
			if resp, _ := v.answer("POST"); resp.StatusCode != 200 {
				t.Errorf("got %s", resp.Status)
			}
			v.send(get("app", "/"))
			if tc.closed {
				a.request() // on the channel that was used last
			} else {
				a, _ = f.busyApp()
			}
			a.say(done)
			v.answer("GET")
		})
	}
}

// deafConn is a connection whose other end hears nothing more once it is stopped,
// and is not heard: half open, as after a change of networks.
type deafConn struct {
	net.Conn
	stop, ended sync.Once
	stopped     chan struct{}
	closed      chan struct{}
	full        bool // nothing can be written then
	speaks      bool // everything can, and arrives
}

func newDeafConn(c net.Conn) *deafConn {
	return &deafConn{Conn: c, stopped: make(chan struct{}), closed: make(chan struct{})}
}

// goDeaf stops it.
func (c *deafConn) goDeaf() { c.stop.Do(func() { close(c.stopped) }) }

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.stopped:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *deafConn) Write(p []byte) (int, error) {
	if c.speaks {
		return c.Conn.Write(p)
	}
	select {
	case <-c.stopped:
		if c.full {
			<-c.closed
			return 0, net.ErrClosed
		}
		return len(p), nil // on its way, for ever
	default:
		return c.Conn.Write(p)
	}
}

func (c *deafConn) Close() error {
	c.ended.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestAnOldConnectionThatGivesNoSignOfLifeIsClosed(t *testing.T) {
	w := start(t, func(r *Relay) {
		patient(r)
		r.Limits.Probe, r.Limits.KeepAlive = 50*time.Millisecond, time.Hour
	})
	key := newSigner(t)
	nc, err := net.Dial("tcp", w.ssh)
	if err != nil {
		t.Fatal(err)
	}
	deaf := newDeafConn(nc)
	old, err := w.connectOn(deaf, key, "SSH-2.0-slackdev_test")
	if err != nil {
		t.Fatal(err)
	}
	old.hello("i").forward("app", 80)
	v := w.visit(post("app", "hello"))
	_, q := old.busyApp()
	id := old.id(q)
	deaf.goDeaf()
	before := w.s.kept.Load()
	other := w.visit(post("app", "other")) // into the void
	until(t, "it is sent", func() bool { return w.s.kept.Load() > before })
	f := w.upHello(key, "app", "another process")
	for range 2 {
		a, q := f.busyApp()
		if q.ContentLength == 5 && f.id(q) == id {
			id = ""
		}
		a.say(done)
	}
	for _, v := range []*visit{v, other} {
		if resp, body := v.answer("POST"); body != "done" {
			t.Errorf("got %s %q", resp.Status, body)
		}
	}
	if id != "" {
		t.Errorf("the request %s is not among those that moved", id)
	}
}

func TestKeepAlivesEndASilentConnectionOnTime(t *testing.T) {
	if l := (Limits{}).withDefaults(); l.KeepAlive != 2*time.Second || l.Probe != time.Second || l.Hold != 2500*time.Millisecond {
		t.Errorf("by default: %v, %v, %v", l.KeepAlive, l.Probe, l.Hold)
	}
	const every = 50 * time.Millisecond
	w := start(t, func(r *Relay) { patient(r); r.Limits.KeepAlive = every })
	nc, err := net.Dial("tcp", w.ssh)
	if err != nil {
		t.Fatal(err)
	}
	key := newSigner(t)
	deaf := newDeafConn(nc)
	old, err := w.connectOn(deaf, key, "SSH-2.0-slackdev_test")
	if err != nil {
		t.Fatal(err)
	}
	old.hello("i").forward("app", 80)
	v := w.visit(post("app", "hello"))
	old.busyApp()
	for range 3 { // it is asked, and stays
		if asked := <-old.asked; asked != wire.KeepAliveName {
			t.Errorf("the relay asks for %s", asked)
		}
	}
	begin := time.Now()
	deaf.goDeaf()
	w.holds(1)
	if took := time.Since(begin); took < every {
		t.Errorf("it is given up after %v", took)
	}
	a, _ := w.upHello(key, "app", "i").busyApp()
	a.say(done)
	v.answer("POST")
}
