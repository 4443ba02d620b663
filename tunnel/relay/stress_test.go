package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
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

// ledger is what the far end of a tunnel knows: each request that its app had, by
// ID, and the answer.
type ledger struct {
	mu      sync.Mutex
	records map[string]*record
	ran     map[string]int // by body: how often the app had it
	again   atomic.Int64   // requests that came again
	leaked  atomic.Int64   // requests that had credentials with them
	rules   *wire.Access   // that each connection asks for; nil: none
}

type record struct {
	done   chan struct{}
	answer string
}

func newLedger() *ledger {
	return &ledger{records: map[string]*record{}, ran: map[string]int{}}
}

// handler serves the channels of one connection.
func (l *ledger) handler(token string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the app never saw all of it
		}
		id, ok := strings.CutPrefix(r.Header.Get(wire.RequestIDField), token+".")
		if !ok {
			http.Error(w, "no ID", http.StatusTeapot)
			return
		}
		if r.Header["Authorization"] != nil {
			l.leaked.Add(1)
		}
		l.mu.Lock()
		x := l.records[id]
		if x == nil {
			x = &record{done: make(chan struct{})}
			l.records[id] = x
			l.ran[string(body)]++
			go func() { // the app, which goes on whoever leaves
				<-time.After(time.Duration(rand.IntN(4000)) * time.Microsecond)
				x.answer = answerTo(string(body))
				close(x.done)
			}()
		} else {
			l.again.Add(1)
		}
		l.mu.Unlock()
		<-x.done
		w.Header().Set("Content-Length", fmt.Sprint(len(x.answer)))
		io.WriteString(w, x.answer)
	}
}

// answerTo is what the app makes of a body: sometimes more than is passed whole.
func answerTo(body string) string {
	n := 1
	if strings.HasSuffix(body, "7") {
		n = wholeAnswer/len(body) + 1000
	}
	return strings.Repeat("<"+body+">", n)
}

// run is a client that keeps the tunnel app, with one connection after the other,
// until ctx ends. Between connections next says how long the one lives, and whether
// it is cut before there is another.
func (l *ledger) run(ctx context.Context, w *world, key ssh.Signer, up chan<- struct{}, next func() (time.Duration, bool)) {
	var serving sync.WaitGroup
	defer serving.Wait()
	var last *far
	for {
		if ctx.Err() != nil {
			return
		}
		nc, err := net.Dial("tcp", w.ssh)
		if err != nil {
			continue
		}
		f, err := w.connectOn(nc, key, "SSH-2.0-slackdev_test")
		if err != nil {
			continue
		}
		f.hello("one process")
		if l.rules != nil {
			f.conn.SendRequest(wire.AccessName, false, ssh.Marshal(*l.rules))
		}
		srv := &http.Server{Handler: l.handler(f.token), ErrorLog: log.New(io.Discard, "", 0)}
		serving.Go(func() { srv.Serve(f); srv.Close() })
		if ok, _, err := f.conn.SendRequest(wire.ForwardName, true, ssh.Marshal(wire.ForwardRequest{BindAddr: "app", BindPort: 80})); err != nil || !ok {
			f.end()
			continue
		}
		if last != nil {
			last.cut()
			last = nil
		}
		if up != nil {
			close(up)
			up = nil
		}
		life, before := next()
		select {
		case <-ctx.Done():
			f.end()
			return
		case <-f.done:
		case <-time.After(life):
		}
		if last = f; before {
			f.cut()
		}
	}
}

func TestNothingIsLostOrDoubledWhenConnectionsAreCut(t *testing.T) {
	const visitors = 50
	w := start(t, patient)
	l := newLedger()
	ctx, cancel := context.WithCancel(t.Context())
	var client, visiting sync.WaitGroup
	up := make(chan struct{})
	cuts := 0
	client.Go(func() {
		l.run(ctx, w, newSigner(t), up, func() (time.Duration, bool) {
			cuts++
			return time.Duration(rand.IntN(40)) * time.Millisecond, cuts%3 > 0
		})
	})
	<-up
	end := time.Now().Add(2 * time.Second)
	var sent atomic.Int64
	for i := range visitors {
		visiting.Go(func() {
			v := w.visit("")
			v.SetDeadline(end.Add(30 * time.Second))
			for j := 0; time.Now().Before(end); j++ {
				body := fmt.Sprintf("%d of visitor %d", j, i)
				raw := post("app", body)
				if j%5 == 0 { // in two pieces, of a size that takes its time
					body += strings.Repeat(" and more", 3000) + fmt.Sprint(j)
					raw = chunkedPost + fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
					v.send(raw)
					raw = "0\r\n\r\n"
				}
				v.send(raw)
				sent.Add(1)
				resp, err := http.ReadResponse(v.r, nil)
				if err != nil {
					t.Errorf("%.30s is lost: %v", body, err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != 200 || string(got) != answerTo(body) {
					t.Errorf("%.30s is lost: %s %.50q, %v", body, resp.Status, got, err)
					return
				}
			}
		})
	}
	visiting.Wait()
	cancel()
	client.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for body, n := range l.ran {
		if n != 1 {
			t.Errorf("the app had %.30s %d times", body, n)
		}
	}
	if len(l.ran) != int(sent.Load()) || cuts < 10 || l.again.Load() == 0 {
		t.Errorf("%d requests were sent and the app had %d; %d connections, %d sent again", sent.Load(), len(l.ran), cuts, l.again.Load())
	}
	t.Logf("%d requests over %d connections, %d came again", sent.Load(), cuts, l.again.Load())
}

// A relay is asked to stop while requests arrive, and another one takes its place.
// What the first accepted is answered, and nothing is asked of the app twice.
func TestARestartLosesNothingThatWasAccepted(t *testing.T) {
	host, key := newSigner(t), newSigner(t)
	begin := func(sshListener, httpListener net.Listener) *world {
		r := &Relay{Domain: "localhost", HostKey: host}
		patient(r)
		return startBetween(t, Listeners{SSH: sshListener, HTTP: httpListener}, r)
	}
	w := begin(listen(t), listen(t))
	l := newLedger()
	visiting, enough := context.WithCancel(t.Context())
	defer enough()
	var all sync.WaitGroup
	one := func(w *world) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		up := make(chan struct{})
		var client sync.WaitGroup
		client.Go(func() { l.run(ctx, w, key, up, func() (time.Duration, bool) { return time.Hour, false }) })
		<-up
		return func() { cancel(); client.Wait() }
	}
	leave := one(w)
	var answered atomic.Int64
	for i := range 20 {
		all.Go(func() {
			for j := 0; visiting.Err() == nil; j++ {
				status, err := askOnce(w.http, fmt.Sprintf("%d of visitor %d", j, i))
				switch {
				case err != nil: // it was not accepted: see below
				case status == 200:
					answered.Add(1)
				case status == 503 || status == 404: // nor was this
				default:
					t.Errorf("got %d", status)
				}
				if err != nil {
					l.mu.Lock()
					if n := l.ran[fmt.Sprintf("%d of visitor %d", j, i)]; n > 0 {
						t.Errorf("the app had a request that is lost: %v", err)
					}
					l.mu.Unlock()
				}
			}
		})
	}
	until(t, "some are answered", func() bool { return answered.Load() > 100 })
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	leave()
	sshListener, err := net.Listen("tcp", w.ssh)
	if err != nil {
		t.Fatal(err)
	}
	httpListener, err := net.Listen("tcp", w.http)
	if err != nil {
		t.Fatal(err)
	}
	next := begin(sshListener, httpListener)
	leave = one(next)
	before := answered.Load()
	until(t, "some are answered again", func() bool { return answered.Load() > before+100 })
	enough()
	all.Wait()
	leave()
	l.mu.Lock()
	defer l.mu.Unlock()
	for body, n := range l.ran {
		if n != 1 {
			t.Errorf("the app had %s %d times", body, n)
		}
	}
}

// askOnce sends one request on a connection of its own.
func askOnce(addr, body string) (status int, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, post("app", body)); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == 200 && string(got) != answerTo(body) {
		err = errors.New("another answer")
	}
	return resp.StatusCode, err
}
