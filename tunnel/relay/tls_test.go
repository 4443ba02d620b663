package relay

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// secure lets a relay have a certificate.
func (a *authority) secure(c *Certificate, l Limits) func(*Relay) {
	return func(r *Relay) {
		if err := c.Load(); err != nil {
			a.t.Fatal(err)
		}
		r.Certificate, r.Limits = c.Get, l
	}
}

func (a *authority) client(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: a.roots, ServerName: "app.localhost", NextProtos: protocols}
}

// startTLS runs a relay that speaks TLS, too.
func startTLS(t testing.TB, l Limits) (*world, *authority) {
	t.Helper()
	a := newAuthority(t)
	return start(t, a.secure(a.files(1, "*.localhost"), l)), a
}

// tlsVisit is a visitor inside TLS.
type tlsVisit struct {
	*visit
	tls *tls.Conn
}

// visitTLS sends raw bytes inside TLS.
func (w *world) visitTLS(config *tls.Config, raw string) *tlsVisit {
	w.t.Helper()
	c, err := net.Dial("tcp", w.https)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	inner := tls.Client(c, config)
	inner.SetDeadline(time.Now().Add(20 * time.Second)) // for tests that fail
	if err := inner.Handshake(); err != nil {
		w.t.Fatal(err)
	}
	v := &tlsVisit{&visit{t: w.t, TCPConn: c.(*net.TCPConn), r: bufio.NewReader(inner)}, inner}
	v.say(raw)
	return v
}

func (v *tlsVisit) say(raw string) {
	v.t.Helper()
	if _, err := io.WriteString(v.tls, raw); err != nil {
		v.t.Fatal(err)
	}
}

// whole fails the test unless what comes is want and then the end that TLS says aloud.
func (v *tlsVisit) whole(want string) {
	v.t.Helper()
	if rest, err := io.ReadAll(v.r); string(rest) != want || err != nil {
		v.t.Errorf("got %.80q, %v, want %q and the end", rest, err, want)
	}
}

func TestVisitorsAreServedInTLS(t *testing.T) {
	w, a := startTLS(t, Limits{})
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s from %s: %s", r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-For"], body)
	}))
	const want = "[https] from [127.0.0.1]: hello"
	for name, config := range map[string]*tls.Config{
		"without ALPN":       a.client(),
		"http/1.1":           a.client("http/1.1"),
		"also other methods": a.client("h2", "http/1.1"),
		"TLS 1.2":            {RootCAs: a.roots, ServerName: "x.localhost", MaxVersion: tls.VersionTLS12},
	} {
		v := w.visitTLS(config, post("app", "hello"))
		if resp, body := v.answer("POST"); resp.StatusCode != 200 || body != want {
			t.Errorf("%s: got %s %q", name, resp.Status, body)
		}
		v.say(strings.Replace(post("app", "hello"), "\r\n", "\r\nX-Forwarded-Proto: gopher\r\nConnection: close\r\n", 1))
		if resp, body := v.answer("POST"); resp.StatusCode != 200 || body != want {
			t.Errorf("%s, again: got %s %q", name, resp.Status, body)
		}
		v.whole("")
	}
	v := w.visit(post("app", "hello"))
	if _, body := v.answer("POST"); body != strings.Replace(want, "https", "http", 1) {
		t.Errorf("without TLS: got %q", body)
	}
}

func TestPublicURLsAreOfTheTLSListener(t *testing.T) {
	tcp := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	for name, tc := range map[string]struct {
		relay         Relay
		plain, secure net.Addr
		want          string
	}{
		"both":                 {Relay{}, tcp(8080), tcp(8443), "https://a.localhost:8443"},
		"alone, on 443":        {Relay{}, nil, tcp(443), "https://a.localhost"},
		"another port outside": {Relay{Port: 443}, tcp(8080), tcp(8443), "https://a.localhost"},
		"http is wanted":       {Relay{Scheme: "http"}, tcp(8080), tcp(8443), "http://a.localhost:8080"},
	} {
		tc.relay.Domain, tc.relay.HostKey = "localhost", newSigner(t)
		tc.relay.Certificate = new(Certificate).Get
		s, err := tc.relay.server(tc.plain, tc.secure)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.url("a").String(); got != tc.want || s.plain != "http" {
			t.Errorf("%s: got %s, and %s without TLS; want %s", name, got, s.plain, tc.want)
		}
	}
	s, err := (&Relay{Domain: "localhost", HostKey: newSigner(t), Scheme: "https"}).server(tcp(80), nil)
	if err != nil || s.plain != "https" { // something in front ends TLS
		t.Errorf("got %v, %v", s, err)
	}
	if _, err := (&Relay{Domain: "localhost", HostKey: newSigner(t)}).server(nil, tcp(443)); err == nil {
		t.Error("HTTPS without a certificate")
	}
}

func TestOldAndForeignTLSIsRefused(t *testing.T) {
	w, a := startTLS(t, Limits{})
	for name, tc := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"TLS 1.1":         {&tls.Config{RootCAs: a.roots, ServerName: "a.localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version"},
		"HTTP/2 alone":    {a.client("h2"), "no application protocol"},
		"an unknown ALPN": {a.client("slackdev-ssh2"), "no application protocol"},
		"a cipher without authentication": {&tls.Config{RootCAs: a.roots, ServerName: "a.localhost", MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, "handshake failure"},
	} {
		c, err := tls.Dial("tcp", w.https, tc.config)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want …%s…", name, err, tc.want)
		}
	}
}

func TestPlainHTTPToTheTLSPortIsExplained(t *testing.T) {
	w, _ := startTLS(t, Limits{})
	w.http = w.https
	v := w.visit(get("app", "/"))
	if resp, body := v.answer("GET"); resp.StatusCode != 400 || resp.Header.Get("X-Slackdev-Relay") != codeBadRequest || !strings.Contains(body, "https://") {
		t.Errorf("got %s %q", resp.Status, body)
	}
	v.ended()
	w.visit("SSH-2.0-OpenSSH_10.0\r\n").CloseWrite() // is of no use either, but nobody waits for it
}

func TestSlowHandshakesAreFewAndHoldNobodyUp(t *testing.T) {
	const limit = 300 * time.Millisecond
	w, a := startTLS(t, Limits{Handshake: limit, HandshakesEach: 3})
	w.up("app", http.HandlerFunc(echo))
	https := *w
	https.http = w.https
	begin := time.Now()
	slow := []*visit{https.visit(""), https.visit("\x16\x03\x01")}
	v := w.visitTLS(a.client(), get("app", "/"))
	if resp, _ := v.answer("GET"); resp.StatusCode != 200 {
		t.Errorf("meanwhile: %s", resp.Status)
	}
	for _, v := range append(slow, https.visit(""), https.visit("")) {
		v.ended()
	}
	if took := time.Since(begin); took < limit {
		t.Errorf("a slow handshake is given up after %v", took)
	}
	v = w.visitTLS(a.client(), get("app", "/")) // the places are free again
	v.answer("GET")
}

func TestHandshakesAreCounted(t *testing.T) {
	w, _ := startTLS(t, Limits{HandshakesEach: 2, Handshake: time.Minute})
	w.http = w.https
	w.visit("")
	w.visit("")
	w.visit("").ended() // the third is not waited for
}

func TestAnAnswerThatIsCutShortInTLSNeverLooksWhole(t *testing.T) {
	w, a := startTLS(t, Limits{})
	f := w.up("app", nil)
	for _, tc := range []struct {
		name, said string
		end        func(*appConn)
	}{
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", func(a *appConn) { a.Close() }},
		{"to the end of a connection that is lost", "HTTP/1.1 200 OK\r\n\r\nhello", func(*appConn) { f.end() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := w.visitTLS(a.client(), get("app", "/"))
			app, _ := f.busyApp()
			app.say(tc.said)
			v.r.Peek(1) // the head has passed
			tc.end(app)
			v.reset()
		})
	}
}

func TestHalvesOfATLSConnectionEndEachOnItsOwn(t *testing.T) {
	w, a := startTLS(t, Limits{})
	f := w.up("app", nil)
	v := w.visitTLS(a.client(), get("app", "/"))
	v.tls.CloseWrite()
	app, _ := f.busyApp()
	app.say("HTTP/1.1 200 OK\r\n\r\nhello") // ends with its connection
	app.Close()
	if resp, body := v.answer("GET"); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("half-closed: got %s %q", resp.Status, body)
	}
	v.whole("")

	v = w.visitTLS(a.client(), "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	app, _ = f.busyApp()
	app.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello")
	if resp, err := http.ReadResponse(v.r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("got %v, %v", resp, err)
	}
	v.say("from the visitor")
	v.tls.CloseWrite()
	if got, err := io.ReadAll(app.r); string(got) != "from the visitor" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	app.say(" again")
	app.Close()
	v.whole("hello again")
}

func TestATLSVisitorThatLeavesIsNoticed(t *testing.T) {
	for name, tc := range map[string]struct {
		limit time.Duration // 0: 30 s, which is longer than the test waits
		leave func(*tlsVisit)
	}{
		"with a reset":      {0, func(v *tlsVisit) { v.SetLinger(0); v.TCPConn.Close() }},
		"with a bad record": {0, func(v *tlsVisit) { v.TCPConn.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }},
		"without goodbye":   {50 * time.Millisecond, func(v *tlsVisit) { v.TCPConn.Close() }},
		"half, in TCP":      {50 * time.Millisecond, func(v *tlsVisit) { v.TCPConn.CloseWrite() }},
		"half, in TLS":      {50 * time.Millisecond, func(v *tlsVisit) { v.tls.CloseWrite() }},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := startTLS(t, Limits{HalfClosed: tc.limit})
			come, left := make(chan struct{}, 1), make(chan struct{}, 1)
			w.up("app", hang(come, left))
			v := w.visitTLS(a.client(), post("app", "hello"))
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

func TestTLSVisitorsThatTakeNothingAreCut(t *testing.T) {
	w, a := startTLS(t, Limits{BodyIdle: 100 * time.Millisecond})
	stopped := make(chan struct{})
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(stopped)
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	w.visitTLS(a.client(), get("app", "/"))
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Error("an answer goes on to nobody")
	}
}

// slowConn takes a byte with each write, too late.
type slowConn struct {
	net.Conn
	got  []byte
	most int
}

func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slowConn) Write(p []byte) (int, error) {
	if len(c.got) == c.most {
		return 0, os.ErrDeadlineExceeded
	}
	c.got = append(c.got, p[0])
	if len(p) == 1 {
		return 1, nil
	}
	return 1, os.ErrDeadlineExceeded
}

func TestASlowWriteInTLSGoesOnWhileSomeOfItPasses(t *testing.T) {
	slow := &slowConn{most: 8}
	c := &patientConn{Conn: slow, patience: time.Second}
	if n, err := c.Write([]byte("hello")); n != 5 || err != nil || string(slow.got) != "hello" {
		t.Errorf("got %d, %v: %q", n, err, slow.got)
	}
	if n, err := c.Write([]byte("world")); n != 3 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("to one that takes nothing more: %d, %v", n, err)
	}
}

func TestARunningRelayTakesANewCertificate(t *testing.T) {
	a := newAuthority(t)
	c := a.files(1, "*.localhost")
	w := start(t, a.secure(c, Limits{}))
	w.up("app", http.HandlerFunc(echo))
	before := w.visitTLS(a.client(), get("app", "/"))
	before.answer("GET")
	cert, key := a.issue(2, "*.localhost", time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	write(t, c.CertFile, cert)
	write(t, c.KeyFile, key)
	for end := time.Now().Add(20 * time.Second); ; {
		v := w.visitTLS(a.client(), get("app", "/"))
		v.answer("GET")
		serial := v.tls.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
		v.TCPConn.Close()
		if serial == 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the old certificate is still given")
		}
	}
	before.say(get("app", "/still"))
	if _, body := before.answer("GET"); body != "GET /still " {
		t.Errorf("the connection of before: got %q", body)
	}
}

// connectTLS logs in inside TLS.
func (w *world) connectTLS(a *authority, key ssh.Signer) (*far, error) {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.https, a.client(wire.ALPN))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.NetConn().Close() })
	return w.connectOn(c, key, "SSH-2.0-slackdev_test")
}

func TestTunnelsAreOpenedInsideTLS(t *testing.T) {
	w, a := startTLS(t, Limits{Visitors: 1})
	sitting := w.visitTLS(a.client(), "") // has the only seat: clients need none
	f, err := w.connectTLS(a, newSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	w.serveAs(f, "app", http.HandlerFunc(echo))
	stdout, _ := f.session()
	if got, want := <-stdout, "URL: https://app.localhost"+w.https[strings.LastIndex(w.https, ":"):]; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	waiting := w.visitTLS(a.client(), get("app", "/"))
	sitting.say(get("app", "/first"))
	if _, body := sitting.answer("GET"); body != "GET /first " {
		t.Errorf("got %q", body)
	}
	sitting.tls.Close()
	if _, body := waiting.answer("GET"); body != "GET / " {
		t.Errorf("after a wait for a seat: got %q", body)
	}
}

func TestStrangersInsideTLSAreFewAndHurried(t *testing.T) {
	w, a := startTLS(t, Limits{StrangersEach: 1, Login: 200 * time.Millisecond})
	first := w.visitTLS(a.client(wire.ALPN), "SSH-2.0-x\r\n")
	if line, _ := first.r.ReadString('\n'); !strings.HasPrefix(line, "SSH-2.0-") {
		t.Errorf("got %q", line)
	}
	second := w.visitTLS(a.client(wire.ALPN), "")
	if got, err := io.ReadAll(second.r); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a second stranger from one address: %q, %v", got, err)
	}
	if _, err := io.ReadAll(first.r); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a stranger may stay")
	}
	if _, err := w.connectTLS(a, newSigner(t)); err != nil {
		t.Errorf("when they have gone: %v", err)
	}
}

func TestARelayWithTLSEndsWhenAskedTo(t *testing.T) {
	w, a := startTLS(t, Limits{Visitors: 1, Handshake: time.Minute})
	w.up("app", http.HandlerFunc(echo))
	idle := w.visitTLS(a.client(), get("app", "/"))
	idle.answer("GET")
	waiting := w.visitTLS(a.client(), get("app", "/"))
	silent, err := net.Dial("tcp", w.https)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	begin := time.Now()
	if err := w.stop(); err != nil {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("that took %v", took)
	}
	idle.whole("")
	if _, err := waiting.r.ReadByte(); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one that waits for a seat: %v", err)
	}
}

// BenchmarkTLS is a request through the front, in TLS: on a connection that is kept,
// on a new one each, and on a new one that resumes a session.
func BenchmarkTLS(b *testing.B) {
	w, a := startTLS(b, Limits{})
	w.up("app", http.HandlerFunc(count))
	ask := func(b *testing.B, v *tlsVisit) {
		v.say(post("app", "hello"))
		if resp, body := v.answer("POST"); resp.StatusCode != 200 || body != "5" {
			b.Fatalf("got %s %q", resp.Status, body)
		}
	}
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		v := w.visitTLS(a.client(), "")
		for b.Loop() {
			ask(b, v)
		}
	})
	for name, cache := range map[string]tls.ClientSessionCache{"new": nil, "resumed": tls.NewLRUClientSessionCache(1)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			config := a.client()
			config.ClientSessionCache = cache
			resumed := 0
			for b.Loop() {
				v := w.visitTLS(config, "")
				ask(b, v)
				if v.tls.ConnectionState().DidResume {
					resumed++
				}
				v.TCPConn.Close()
			}
			if (resumed > 0) != (cache != nil && b.N > 1) {
				b.Errorf("%d of %d resumed", resumed, b.N)
			}
		})
	}
}
