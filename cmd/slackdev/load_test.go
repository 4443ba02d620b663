package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector/slack"
)

// command is what a slash command looks like, as far as it matters here.
const command = "token=gone&team_id=T1&team_domain=example&channel_id=C1&channel_name=dev&user_id=U1&user_name=ana&command=%2Ftodo&text=add+milk"

// example is a signed command of a usual size for a host.
func example(b *testing.B, host string, secret slack.Secret) []byte {
	b.Helper()
	body := []byte(command + "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1%2F1%2Fx&trigger_id=1.2." + strings.Repeat("f", 420))
	at, signature := secret.Sign(time.Now(), body)
	var r bytes.Buffer
	fmt.Fprintf(&r, "POST /slack/events HTTP/1.1\r\nHost: %s\r\nUser-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\n"+
		"Accept-Encoding: gzip,deflate\r\nAccept: application/json,*/*\r\nX-Slack-Signature: %s\r\nX-Slack-Request-Timestamp: %s\r\n"+
		"Content-Length: %d\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n%s", host, signature, at, len(body), body)
	return r.Bytes()
}

// side is one way to the app.
type side struct {
	addr  string // to connect to
	sent  int
	turns []float64 // requests a second
	calls []time.Duration
}

// settle is how long the machine is left alone between two turns. What one side leaves
// to be done behind its requests (the index for searching) must not slow the next.
const settle = 600 * time.Millisecond

// load sends n requests over as many connections as told, and notes what it took.
func (s *side) load(b *testing.B, conns, n int, request []byte) {
	b.Helper()
	<-time.After(settle)
	var left atomic.Int64
	left.Store(int64(n))
	var mu sync.Mutex
	var wg sync.WaitGroup
	started := time.Now()
	for range conns {
		wg.Go(func() {
			calls, err := visit(s.addr, &left, request)
			mu.Lock()
			defer mu.Unlock()
			s.calls = append(s.calls, calls...)
			if err != nil {
				b.Errorf("load: %v", err)
			}
		})
	}
	wg.Wait()
	s.turns = append(s.turns, float64(n)/time.Since(started).Seconds())
	s.sent += n
}

// visit sends requests on one connection while there are any left, and gives the time
// that each took.
func visit(addr string, left *atomic.Int64, request []byte) (calls []time.Duration, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for left.Add(-1) >= 0 {
		started := time.Now()
		if _, err := conn.Write(request); err != nil {
			return calls, err
		}
		line, err := br.ReadSlice('\n')
		if err != nil || !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return calls, fmt.Errorf("answer %q: %w", line, err)
		}
		for len(line) > len("\r\n") {
			if line, err = br.ReadSlice('\n'); err != nil {
				return calls, err
			}
		}
		if _, err := br.Discard(len("ok")); err != nil {
			return calls, err
		}
		calls = append(calls, time.Since(started))
	}
	return calls, nil
}

// rate is requests a second in the median turn: one in which the machine was busy with
// something else counts no more than another.
func (s *side) rate() float64 {
	slices.Sort(s.turns)
	return s.turns[len(s.turns)/2]
}

func (s *side) p50() time.Duration {
	slices.Sort(s.calls)
	return s.calls[len(s.calls)/2]
}
