package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAVisitorThatHalfClosesGetsItsAnswer(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	for name, raw := range map[string]string{
		"without a body": get("app", "/"),
		"with a body":    post("app", "hello"),
		"HTTP/1.0":       strings.Replace(get("app", "/"), "HTTP/1.1", "HTTP/1.0", 1),
	} {
		t.Run(name, func(t *testing.T) {
			v := w.visit(raw)
			v.CloseWrite()
			a, q := f.busyApp()
			io.Copy(io.Discard, q.Body)
			other := w.visit(get("nobody", "/")) // the relay has had time to see the end
			other.answer("GET")
			a.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhe")
			v.r.Peek(1)
			a.say("llo")
			if resp, body := v.answer("GET"); resp.StatusCode != 200 || body != "hello" {
				t.Errorf("got %s %q", resp.Status, body)
			}
			v.ended()
			a.ended()
		})
	}
}

func TestAHalfClosedVisitorMaySwitchProtocols(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit("GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	v.CloseWrite()
	a, _ := f.busyApp()
	a.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello")
	if resp, err := http.ReadResponse(v.r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("got %v, %v", resp, err)
	}
	a.ended() // the visitor's end has passed
	a.Close()
	if rest, err := io.ReadAll(v.r); string(rest) != "hello" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestHalfClosedVisitorsWaitAsLongAsSomethingComes(t *testing.T) {
	const limit = 300 * time.Millisecond
	w := start(t, short(Limits{HalfClosed: limit}))
	f := w.up("app", nil)
	v := w.visit(get("app", "/"))
	v.CloseWrite()
	a, _ := f.busyApp()
	a.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	resp, err := http.ReadResponse(v.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	for begin := time.Now(); time.Since(begin) < 3*limit; {
		a.say("1\r\nx\r\n")
		if _, err := io.ReadFull(resp.Body, one); err != nil {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
	}
	if _, err := io.ReadFull(resp.Body, one); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an app that falls silent then is waited for: %v", err)
	}
	a.ended()
}

// hang is an app that answers nothing until its visitor has left.
func hang(come, left chan<- struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		come <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}
}

func TestAVisitorThatLeavesIsNoticed(t *testing.T) {
	for name, tc := range map[string]struct {
		limit time.Duration // 0: 30 s, which is longer than the test waits
		leave func(*visit)
	}{
		"with a reset":   {0, func(v *visit) { v.SetLinger(0); v.Close() }},
		"with an end":    {50 * time.Millisecond, func(v *visit) { v.Close() }},
		"half, for good": {50 * time.Millisecond, func(v *visit) { v.CloseWrite(); v.reset() }},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, short(Limits{HalfClosed: tc.limit}))
			come, left := make(chan struct{}, 1), make(chan struct{}, 1)
			w.up("app", hang(come, left))
			v := w.visit(post("app", "hello"))
			<-come
			tc.leave(v)
			select {
			case <-left:
			case <-time.After(20 * time.Second):
				t.Error("the app still has the request")
			}
		})
	}
}

func TestAVisitorThatLeavesIsFoundByWritingToIt(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	v := w.visit(get("app", "/"))
	a, _ := f.busyApp()
	v.Close()
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		io.WriteString(a, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for chunk := "1000\r\n" + strings.Repeat("x", 1<<12) + "\r\n"; ; {
			if _, err := io.WriteString(a, chunk); err != nil {
				return
			}
		}
	}()
	select {
	case <-failed:
	case <-time.After(20 * time.Second):
		t.Error("an answer goes on to nobody")
	}
}

func TestAThousandAbortedRequestsHoldNothing(t *testing.T) {
	const requests, slots = 1000, 20
	w := start(t, short(Limits{Requests: slots, Visitors: 2 * slots, HalfClosed: 5 * time.Millisecond}))
	come, left := make(chan struct{}, requests), make(chan struct{}, requests)
	hanging := hang(come, left)
	var all sync.WaitGroup
	all.Add(slots)
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.WriteHeader(http.StatusEarlyHints) // it is here
			hanging(w, r)
			return
		}
		all.Done()
		all.Wait() // until there is a request in every slot
		fmt.Fprint(w, "ok")
	}))
	var visitors sync.WaitGroup
	for i := range slots {
		visitors.Go(func() {
			for j := range requests / slots {
				if err := w.abortOne((i + j) % 3); err != nil {
					t.Error(err)
				}
			}
		})
	}
	visitors.Wait()
	for range slots {
		visitors.Go(func() {
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
				v := w.visit(get("app", "/all"))
				resp, body := v.answer("GET")
				v.Close()
				if resp.StatusCode == 200 && body == "ok" {
					return
				}
			}
			t.Error("a slot is held")
		})
	}
	visitors.Wait()
	for range requests {
		select {
		case <-left:
		case <-time.After(20 * time.Second):
			t.Fatal("the app still has some of the requests")
		}
	}
}

// abortOne makes a request that nobody answers and, when the app has it, leaves in
// one of three ways. It tries again while the relay is busy.
func (w *world) abortOne(how int) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		nc, err := net.Dial("tcp", w.http)
		if err != nil {
			return err
		}
		c, r := nc.(*net.TCPConn), bufio.NewReader(nc)
		c.SetDeadline(end)
		io.WriteString(c, post("app", "hello"))
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusEarlyHints {
			c.Close()
			continue
		}
		switch how {
		case 0:
			c.SetLinger(0)
		case 1:
			c.CloseWrite()
			if _, err := http.ReadResponse(r, nil); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				c.Close()
				return fmt.Errorf("a request that hangs is not given up: %v", err)
			}
		}
		return c.Close()
	}
	return errors.New("the relay stays busy")
}
