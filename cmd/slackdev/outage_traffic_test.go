//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// perSecond is how many requests come while things break.
const perSecond = 50

// traffic is a steady stream of signed requests, each with a number of its own, and an
// app that remembers which numbers it got.
type traffic struct {
	front  string // host:port where the public arrives
	host   string // the public name
	secret string
	dialer func(ctx context.Context, network, addr string) (net.Conn, error) // nil: from here

	mu    sync.Mutex // guards the rest
	seen  map[string]int
	calls []call
}

// call is one request and what became of it, as Slack saw it.
type call struct {
	id    string
	began time.Time
	took  time.Duration
	err   error // not answered by the app, with this request's number
}

func newTraffic(secret string) *traffic { return &traffic{secret: secret, seen: map[string]int{}} }

// ServeHTTP is the app: it takes its time, and answers with the request's number; some
// answers are large, so that a connection can break within one.
func (t *traffic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the whole of it may come again
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(w, "no form", http.StatusBadRequest)
		return
	}
	id := form.Get("text")
	t.mu.Lock()
	t.seen[id]++
	t.mu.Unlock()
	n, _ := strconv.Atoi(id)
	if n%10 == 0 {
		work := time.NewTimer(time.Duration(n%7) * 50 * time.Millisecond)
		defer work.Stop()
		<-work.C
	}
	answer := []byte(id + "\n" + strings.Repeat("x", n%100/98*200_000))
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer)
}

// run sends until ctx ends, and returns when the last is answered.
func (t *traffic) run(ctx context.Context) {
	keeping := &http.Transport{DialContext: t.dial}
	closing := &http.Transport{DialContext: t.dial, DisableKeepAlives: true}
	defer keeping.CloseIdleConnections()
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	var sent sync.WaitGroup
	defer sent.Wait()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		transport := closing
		if n%2 == 0 {
			transport = keeping
		}
		sent.Go(func() {
			c := call{id: strconv.Itoa(n), began: time.Now()}
			c.err = t.send(transport, c.id)
			c.took = time.Since(c.began)
			t.mu.Lock()
			defer t.mu.Unlock()
			t.calls = append(t.calls, c)
		})
	}
}

func (t *traffic) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if t.dialer != nil {
		return t.dialer(ctx, network, t.front)
	}
	return new(net.Dialer).DialContext(ctx, network, t.front)
}

// send sends one request and reports why it was not answered, if it was not. Slack would
// give up after 3 s; what is looked for here is whether an answer comes at all.
func (t *traffic) send(transport http.RoundTripper, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	n, _ := strconv.Atoi(id)
	body := []byte(url.Values{"command": {"/todo"}, "text": {id}, "padding": {strings.Repeat("p", n%50/49*100_000)}}.Encode())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.host+"/slack/events", bytes.NewReader(body))
	if err != nil {
		return err
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Slack-Request-Timestamp", timestamp)
	r.Header.Set("X-Slack-Signature", signature(t.secret, timestamp, body))
	r.GetBody = nil // or net/http would send it again by itself, and hide what is looked for
	res, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%d %s", res.StatusCode, bytes.TrimSpace(text[:min(len(text), 200)]))
	case !bytes.HasPrefix(text, []byte(id+"\n")):
		return fmt.Errorf("the answer to another request: %.20q", text)
	}
	return nil
}

// outcome is what became of all requests.
type outcome struct {
	sent, lost, doubled int
	slowest             time.Duration
	reasons             map[string]int
}

// outcome counts the requests that have been answered, or have failed.
func (t *traffic) outcome() outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := outcome{reasons: map[string]int{}}
	for _, c := range t.calls {
		o.sent++
		o.slowest = max(o.slowest, c.took)
		if c.err != nil {
			o.lost++
			o.reasons[clipped(c.err)]++
		}
		if t.seen[c.id] > 1 {
			o.doubled++
		}
	}
	return o
}

func clipped(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Sprintf("%.160s", err)
}
