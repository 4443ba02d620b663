package relay

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

func TestMain(m *testing.M) {
	// A client that says goodbye while a channel is asked for leaves x/crypto/ssh waiting for
	// the answer for ever: see watchedConn, which rules that out for all other ends. If it
	// were a connection that we had not closed, more of its goroutines would be there.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("golang.org/x/crypto/ssh.(*mux).openChannel"))
}

// world is a relay that runs for one test.
type world struct {
	t     testing.TB
	relay *Relay
	s     *server
	ssh   string // address
	http  string
	https string       // with Relay.Certificate
	stop  func() error // and wait
}

// newSigner makes a key pair.
func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// start runs a relay for localhost until the test ends. change may set its fields before.
func start(t testing.TB, change func(*Relay)) *world {
	t.Helper()
	return startOn(t, listen(t), change)
}

// startOn is start with a listener of the test's own for SSH.
func startOn(t testing.TB, sshListener net.Listener, change func(*Relay)) *world {
	t.Helper()
	r := &Relay{Domain: "localhost", HostKey: newSigner(t)}
	if change != nil {
		change(r)
	}
	if r.Limits.Hold == 0 { // what most tests know to be down need not be waited for
		r.Limits.Hold = -1
	}
	on := Listeners{SSH: sshListener, HTTP: listen(t)}
	if r.Certificate != nil {
		on.HTTPS = listen(t)
	}
	return startBetween(t, on, r)
}

func startBetween(t testing.TB, on Listeners, r *Relay) *world {
	t.Helper()
	s, err := r.server(addrOf(on.HTTP), addrOf(on.HTTPS))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, relay: r, s: s, ssh: on.SSH.Addr().String(), http: on.HTTP.Addr().String()}
	if on.HTTPS != nil {
		w.https = on.HTTPS.Addr().String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, on) }()
	var once sync.Once
	w.stop = func() error {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	t.Cleanup(func() {
		defer func() {
			if held, kept := s.held.Load(), s.kept.Load(); held != 0 || kept != 0 {
				t.Errorf("%d requests are still counted as held, and %d bytes as kept", held, kept)
			}
		}()
		if err := w.stop(); err != nil {
			t.Errorf("the relay ended with %v", err)
		}
	})
	return w
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// far is a client of the relay and the listener at its end of the tunnel.
type far struct {
	t        testing.TB
	nc       net.Conn
	conn     ssh.Conn
	token    string        // of its hello, if it has said one
	asked    chan string   // global requests of the relay
	channels chan net.Conn // that the relay has opened
	come     chan come     // see busyApp
	opened   atomic.Int64
	opens    atomic.Pointer[wire.ForwardedOpen] // the last one
	refuse   atomic.Int32                       // refuse so many channels
	stall    atomic.Pointer[chan struct{}]      // closed with the first channel, which is not answered
	done     chan struct{}
}

// connect logs in with key. version is what the client calls itself.
func (w *world) connect(key ssh.Signer, version string) (*far, error) {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.ssh)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.connectOn(nc, key, version)
}

// connectOn is connect over a connection of the test's own.
func (w *world) connectOn(nc net.Conn, key ssh.Signer, version string) (*far, error) {
	w.t.Helper()
	conn, channels, requests, err := ssh.NewClientConn(nc, w.ssh, &ssh.ClientConfig{
		User: "x", ClientVersion: version,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(w.relay.HostKey.PublicKey()),
	})
	if err != nil {
		return nil, err
	}
	f := &far{t: w.t, nc: nc, conn: conn, asked: make(chan string, 1024), channels: make(chan net.Conn, 1024), come: make(chan come, 1024), done: make(chan struct{})}
	go func() {
		for r := range requests {
			select {
			case f.asked <- r.Type:
			default:
			}
			r.Reply(r.Type == "keepalive@openssh.com", nil)
		}
	}()
	go func() {
		var open sync.WaitGroup
		var conns []net.Conn
		for nc := range channels {
			if c := f.take(nc, &open); c != nil {
				conns = append(conns, c)
				f.channels <- c
			}
		}
		for _, c := range conns {
			c.Close()
		}
		open.Wait()
		close(f.done)
	}()
	w.t.Cleanup(f.end)
	return f, nil
}

// take accepts a channel, or gives nil.
func (f *far) take(nc ssh.NewChannel, open *sync.WaitGroup) net.Conn {
	if stall := f.stall.Swap(nil); stall != nil {
		close(*stall)
		return nil
	}
	if f.refuse.Add(-1) >= 0 {
		nc.Reject(ssh.Prohibited, "not yet")
		return nil
	}
	f.refuse.Store(0)
	var o wire.ForwardedOpen
	if err := ssh.Unmarshal(nc.ExtraData(), &o); err != nil || nc.ChannelType() != "forwarded-tcpip" {
		nc.Reject(ssh.UnknownChannelType, "no")
		return nil
	}
	f.opens.Store(&o)
	ch, requests, err := nc.Accept()
	if err != nil {
		return nil
	}
	f.opened.Add(1)
	c := newChannelConn(ch)
	open.Go(func() { ssh.DiscardRequests(requests) })
	open.Go(c.fill)
	return c
}

// end closes the connection and waits.
func (f *far) end() {
	f.conn.Close()
	<-f.done
}

func (f *far) Accept() (net.Conn, error) {
	select {
	case c := <-f.channels:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close does nothing: the tunnel outlives the server behind it.
func (f *far) Close() error   { return nil }
func (f *far) Addr() net.Addr { return f.conn.LocalAddr() }

// forward asks for a tunnel.
func (f *far) forward(addr string, port uint32) (bool, uint32) {
	f.t.Helper()
	ok, reply, err := f.conn.SendRequest("tcpip-forward", true, ssh.Marshal(wire.ForwardRequest{BindAddr: addr, BindPort: port}))
	if err != nil {
		f.t.Fatalf("tcpip-forward %q: %v", addr, err)
	}
	if ok && port == 0 {
		var r wire.ForwardReply
		if err := ssh.Unmarshal(reply, &r); err != nil {
			f.t.Fatalf("the reply to tcpip-forward %q is %q: %v", addr, reply, err)
		}
		port = r.BindPort
	}
	return ok, port
}

// session opens a shell and gives its standard output and error as lines.
func (f *far) session() (stdout, stderr <-chan string) {
	f.t.Helper()
	ch, requests, err := f.conn.OpenChannel("session", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	if ok, err := ch.SendRequest("shell", true, nil); !ok {
		f.t.Fatalf("shell: %v", err)
	}
	lines := func(r io.Reader) <-chan string {
		c := make(chan string, 100)
		go func() {
			defer close(c)
			for s := bufio.NewScanner(r); s.Scan(); {
				c <- s.Text()
			}
		}()
		return c
	}
	return lines(ch), lines(ch.Stderr())
}

// channelConn is a channel as the net.Conn that http.Server needs: its reads can
// be broken off by a deadline.
type channelConn struct {
	ssh.Channel
	mu     sync.Mutex // guards the rest
	more   *sync.Cond
	buf    []byte
	got    []byte // in buf, not yet read
	err    error
	closed bool
	late   bool
	timer  *time.Timer
}

func newChannelConn(ch ssh.Channel) *channelConn {
	c := &channelConn{Channel: ch, buf: make([]byte, 64<<10)}
	c.more = sync.NewCond(&c.mu)
	return c
}

// fill reads ahead until the channel ends.
func (c *channelConn) fill() {
	for {
		n, err := c.Channel.Read(c.buf)
		c.mu.Lock()
		if !c.closed {
			c.got, c.err = c.buf[:n], err
		}
		c.more.Broadcast()
		for len(c.got) > 0 {
			c.more.Wait()
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *channelConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.got) == 0 && c.err == nil && !c.late {
		c.more.Wait()
	}
	switch {
	case c.late:
		return 0, os.ErrDeadlineExceeded
	case len(c.got) == 0:
		return 0, c.err
	}
	n := copy(p, c.got)
	c.got = c.got[n:]
	c.more.Broadcast()
	return n, nil
}

func (c *channelConn) Close() error {
	err := c.Channel.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got, c.err, c.closed = nil, net.ErrClosed, true
	c.more.Broadcast()
	return err
}

func (c *channelConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.late = !t.IsZero() && !t.After(time.Now())
	if !t.IsZero() && !c.late {
		c.timer = time.AfterFunc(time.Until(t), func() { c.SetReadDeadline(t) })
	}
	c.more.Broadcast()
	return nil
}

func (c *channelConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *channelConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *channelConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *channelConn) SetWriteDeadline(time.Time) error { return nil }

// up connects a new key, asks for the tunnel name and serves h behind it.
func (w *world) up(name string, h http.Handler) *far {
	w.t.Helper()
	return w.upAs(newSigner(w.t), name, h)
}

func (w *world) upAs(key ssh.Signer, name string, h http.Handler) *far {
	w.t.Helper()
	f, err := w.connect(key, "SSH-2.0-slackdev_test")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.serveAs(f, name, h)
}

// serveAs asks for the tunnel name on a connection, and serves h behind it.
func (w *world) serveAs(f *far, name string, h http.Handler) *far {
	w.t.Helper()
	if ok, _ := f.forward(name, 80); !ok {
		w.t.Fatalf("the relay refuses the name %s", name)
	}
	if h != nil {
		srv := &http.Server{Handler: h, ErrorLog: nil}
		served := make(chan struct{})
		go func() { srv.Serve(f); close(served) }()
		w.t.Cleanup(func() { f.end(); <-served; srv.Close() })
	}
	return f
}

// visit sends raw bytes from a new connection of the public.
func (w *world) visit(raw string) *visit {
	w.t.Helper()
	c, err := net.Dial("tcp", w.http)
	if err != nil {
		w.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second)) // for tests that fail
	w.t.Cleanup(func() { c.Close() })
	v := &visit{t: w.t, TCPConn: c.(*net.TCPConn), r: bufio.NewReader(c)}
	v.send(raw)
	return v
}

type visit struct {
	t testing.TB
	*net.TCPConn
	r *bufio.Reader
}

func (v *visit) send(raw string) {
	v.t.Helper()
	if _, err := io.WriteString(v.TCPConn, raw); err != nil {
		v.t.Fatalf("send %.60q: %v", raw, err)
	}
}

// answer reads an answer, all of it, to a request of this method.
func (v *visit) answer(method string) (*http.Response, string) {
	v.t.Helper()
	resp, err := http.ReadResponse(v.r, &http.Request{Method: method})
	if err != nil {
		v.t.Fatalf("read the answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatalf("read the answer's body: %v", err)
	}
	return resp, string(body)
}

// ended fails the test unless the connection ends without another byte.
func (v *visit) ended() {
	v.t.Helper()
	if rest, err := io.ReadAll(v.r); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		v.t.Errorf("the connection goes on: %q, %v", rest, err)
	}
}

func get(name, path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + name + ".localhost\r\n\r\n"
}

func post(name, body string) string {
	return "POST / HTTP/1.1\r\nHost: " + name + ".localhost\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// echo answers with what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, body)
}

func TestARequestReachesTheAppAndItsAnswerComesBack(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", http.HandlerFunc(echo))
	v := w.visit(post("app", "hello"))
	if resp, body := v.answer("POST"); resp.StatusCode != 200 || body != "POST / hello" {
		t.Errorf("got %s %q", resp.Status, body)
	}
	if o := f.opens.Load(); o.Addr != "app" || o.Port != 80 || net.ParseIP(o.OriginAddr) == nil || o.OriginPort == 0 {
		t.Errorf("the channel was opened with %+v", o)
	}
	v.send(get("app", "/again?x=%41"))
	if resp, body := v.answer("GET"); resp.StatusCode != 200 || body != "GET /again?x=%41 " {
		t.Errorf("second request on the connection: got %s %q", resp.Status, body)
	}
}

func TestRunEndsWhenAskedTo(t *testing.T) {
	w := start(t, nil)
	w.up("app", http.HandlerFunc(echo))
	v := w.visit(get("app", "/"))
	v.answer("GET")
	begin := time.Now()
	if err := w.stop(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("an idle visitor keeps the relay for %v", took)
	}
	v.ended()
}

func TestRunFailsWithItsListener(t *testing.T) {
	r := &Relay{Domain: "localhost", HostKey: newSigner(t)}
	boom := errors.New("boom")
	err := r.Run(t.Context(), Listeners{SSH: listen(t), HTTP: brokenListener{listen(t), boom}})
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "serve http") {
		t.Errorf("got %v", err)
	}
	for name, r := range map[string]*Relay{
		"no domain":   {HostKey: newSigner(t)},
		"no host key": {Domain: "localhost"},
	} {
		if err := r.Run(t.Context(), Listeners{SSH: listen(t), HTTP: listen(t)}); err == nil {
			t.Errorf("%s: runs", name)
		}
	}
}

type brokenListener struct {
	net.Listener
	err error
}

func (l brokenListener) Accept() (net.Conn, error) { return nil, l.err }
