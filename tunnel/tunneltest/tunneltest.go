// Package tunneltest is the contract of tunnel.Provider as tests: whatever opens
// tunnels passes Run. It is for tests only.
package tunneltest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel"
)

// Fixture is a provider and the way to its public side.
type Fixture struct {
	Provider tunnel.Provider
	// Dial reaches the public address, as the internet would, and speaks TLS where
	// that is https. If nil, the URL's host is dialled, with a name under localhost as
	// 127.0.0.1.
	Dial func(ctx context.Context, public *url.URL) (net.Conn, error)
}

// patience is for what must come; nothing here waits for it to pass.
const patience = 10 * time.Second

// Run tests the contract. newFixture is called once for each test.
func Run(t *testing.T, newFixture func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, *public){
		"URL is an address and nothing else": testURL,
		"a connection serves many requests":  testKeepAlive,
		"many connections at once":           testMany,
		"an answer streams":                  testStream,
		"a large body passes each way":       testLarge,
		"an upgrade passes and half-closes":  testUpgrade,
		"a read deadline ends a read":        testDeadline,
		"Close ends Accept and connections":  testClose,
		"the same address again":             testAgain,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			test(t, open(t, f))
		})
	}
	t.Run("Open obeys its context", func(t *testing.T) { testContext(t, newFixture(t)) })
}

// public is an open tunnel, seen from the internet.
type public struct {
	Fixture
	tunnel tunnel.Tunnel
}

// open opens a tunnel and cancels the context that it was opened with: the tunnel
// outlives it.
func open(t *testing.T, f Fixture) *public {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tun, err := f.Provider.Open(ctx)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := tun.Close(); err != nil {
			t.Errorf("close again, at the end: %v", err)
		}
	})
	return &public{f, tun}
}

// serve serves h on the tunnel until the test ends.
func (p *public) serve(t *testing.T, h http.HandlerFunc) {
	t.Helper()
	srv := &http.Server{Handler: h}
	var served sync.WaitGroup
	served.Go(func() {
		if err := srv.Serve(p.tunnel); !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		_ = srv.Close()
		served.Wait()
	})
}

// dial opens a connection to the public address.
func (p *public) dial(ctx context.Context) (net.Conn, error) {
	u := p.tunnel.URL()
	if p.Dial != nil {
		return p.Dial(ctx, u)
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = u.Scheme
	}
	if strings.HasSuffix(host, "localhost") {
		host = "127.0.0.1"
	}
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
}

// client is an HTTP client that reaches the tunnel and counts its connections.
func (p *public) client(t *testing.T) (client *http.Client, dials func() int) {
	var mu sync.Mutex
	n := 0
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		mu.Lock()
		n++
		mu.Unlock()
		return p.dial(ctx)
	}
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// echo answers with the request's body.
func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

// post sends a body and wants it back.
func post(t *testing.T, c *http.Client, u *url.URL, body string) {
	t.Helper()
	resp, err := c.Post(u.String()+"/echo", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Errorf("POST: %v", err)
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || string(got) != body {
		t.Errorf("POST %.40q: got %d %.40q, %v", body, resp.StatusCode, got, err)
	}
}

func testURL(t *testing.T, p *public) {
	u := p.tunnel.URL()
	if u == nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Path != "" || u.User != nil {
		t.Errorf("URL: got %v, want http(s)://host[:port]", u)
	}
	if p.Provider.Name() == "" {
		t.Error("the provider has no name")
	}
	if a := p.tunnel.Addr(); a == nil || a.Network() == "" || a.String() == "" {
		t.Errorf("Addr: got %v", a)
	}
}

func testKeepAlive(t *testing.T, p *public) {
	var mu sync.Mutex
	peers := make(map[string]bool)
	p.serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		peers[r.RemoteAddr] = true
		mu.Unlock()
		echo(w, r)
	})
	c, dials := p.client(t)
	for i := range 5 {
		post(t, c, p.tunnel.URL(), fmt.Sprintf("request %d", i))
	}
	if n := dials(); n != 1 {
		t.Errorf("5 requests took %d public connections, want 1", n)
	}
	mu.Lock()
	defer mu.Unlock()
	for peer := range peers {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			t.Errorf("RemoteAddr %q is not host:port: %v", peer, err)
		}
	}
}

func testMany(t *testing.T, p *public) {
	p.serve(t, echo)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			c, _ := p.client(t)
			for range 4 {
				post(t, c, p.tunnel.URL(), strings.Repeat(fmt.Sprint(i), 1000))
			}
		})
	}
	all.Wait()
}

func testStream(t *testing.T, p *public) {
	more := make(chan struct{})
	p.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "second")
	})
	c, _ := p.client(t)
	resp, err := c.Get(p.tunnel.URL().String())
	if err != nil {
		close(more)
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, len("first"))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first" {
		t.Errorf("before the answer is complete: got %q, %v", first, err)
	}
	close(more)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("then: got %q, %v", rest, err)
	}
}

func testLarge(t *testing.T, p *public) {
	const size = 8 << 20 // several times what any buffer on the way holds
	p.serve(t, echo)
	c, _ := p.client(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	resp, err := c.Post(p.tunnel.URL().String(), "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes came back of %d, equal %v, %v", len(got), size, bytes.Equal(got, body), err)
	}
}

// testUpgrade speaks a protocol of its own after the upgrade, and ends it one half
// at a time: the server answers only when it has seen the end of the client's half.
func testUpgrade(t *testing.T, p *public) {
	p.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		said, err := io.ReadAll(rw)
		fmt.Fprintf(conn, "you said %q, %v", said, err)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", p.tunnel.URL().Host)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: got %v, %v", resp, err)
	}
	_, _ = io.WriteString(conn, "hello, and ")
	_, _ = io.WriteString(conn, "good bye")
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	const want = `you said "hello, and good bye", <nil>`
	if got, err := io.ReadAll(r); err != nil || string(got) != want {
		t.Errorf("after the half-close: got %q, %v, want %q", got, err, want)
	}
}

// testDeadline is what net/http needs to take a connection back from its
// background read.
func testDeadline(t *testing.T, p *public) {
	result := make(chan error, 1)
	p.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			result <- err
			return
		}
		defer conn.Close()
		if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			result <- err
			return
		}
		_, err = conn.Read(make([]byte, 1))
		result <- err
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", p.tunnel.URL().Host)
	select {
	case err := <-result:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
	case <-ctx.Done():
		t.Error("the read is still waiting")
	}
}

func testClose(t *testing.T, p *public) {
	reading := make(chan struct{})
	ended := make(chan error, 1)
	p.serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reading)
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\nhalf of it", p.tunnel.URL().Host)
	select {
	case <-reading:
	case <-ctx.Done():
		t.Fatal("the request did not come")
	}
	for range 2 {
		if err := p.tunnel.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a body that was cut off looks whole")
		}
	case <-ctx.Done():
		t.Error("a connection outlives its tunnel")
	}
	if c, err := p.tunnel.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: got %v, %v, want %v", c, err, net.ErrClosed)
	}
}

// testAgain closes the tunnel and opens it again. A server may need a moment to see
// that the first one is gone; it says so with an error that is no refusal.
func testAgain(t *testing.T, p *public) {
	first := p.tunnel.URL().String()
	if err := p.tunnel.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		again, err := p.Provider.Open(ctx)
		if refused := (*tunnel.RefusedError)(nil); err != nil && (ctx.Err() != nil || errors.As(err, &refused)) {
			t.Fatalf("open again: %v", err)
		}
		if err != nil {
			continue
		}
		defer again.Close()
		if got := again.URL().String(); got != first {
			t.Errorf("the second tunnel is %s, the first was %s", got, first)
		}
		p.tunnel = again
		p.serve(t, echo)
		c, _ := p.client(t)
		post(t, c, again.URL(), "again")
		return
	}
}

func testContext(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tun, err := f.Provider.Open(ctx)
	if err == nil {
		_ = tun.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
