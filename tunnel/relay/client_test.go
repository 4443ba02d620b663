package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// dial logs in as far as config lets it.
func dial(t *testing.T, addr string, config *ssh.ClientConfig) error {
	t.Helper()
	config.User, config.HostKeyCallback = "x", ssh.InsecureIgnoreHostKey()
	c, err := ssh.Dial("tcp", addr, config)
	if err == nil {
		c.Close()
	}
	return err
}

func TestOnlyAllowedKeysLogIn(t *testing.T) {
	good := newSigner(t)
	w := start(t, func(r *Relay) {
		r.Allow = func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), good.PublicKey().Marshal()) }
	})
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this Go makes no weak keys")
	}
	weakSigner, err := ssh.NewSignerFromKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: good.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, newSigner(t)); err != nil {
		t.Fatal(err)
	}
	certSigner, err := ssh.NewCertSigner(cert, good)
	if err != nil {
		t.Fatal(err)
	}
	for name, auth := range map[string]ssh.AuthMethod{
		"another key":   ssh.PublicKeys(newSigner(t)),
		"a short key":   ssh.PublicKeys(weakSigner),
		"a certificate": ssh.PublicKeys(certSigner),
		"a password":    ssh.Password(""),
		"questions":     ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return nil, nil }),
	} {
		if err := dial(t, w.ssh, &ssh.ClientConfig{Auth: []ssh.AuthMethod{auth}}); err == nil {
			t.Errorf("%s logs in", name)
		}
	}
	if err := dial(t, w.ssh, &ssh.ClientConfig{}); err == nil {
		t.Error("nothing at all logs in")
	}
	if err := dial(t, w.ssh, &ssh.ClientConfig{Auth: []ssh.AuthMethod{ssh.PublicKeys(good)}}); err != nil {
		t.Errorf("the right key: %v", err)
	}
}

func TestOldAlgorithmsAreNotOffered(t *testing.T) {
	w := start(t, nil)
	auth := []ssh.AuthMethod{ssh.PublicKeys(newSigner(t))}
	for name, config := range map[string]ssh.Config{
		"key exchange with SHA-1": {KeyExchanges: []string{ssh.InsecureKeyExchangeDH14SHA1}},
		"key exchange in a group": {KeyExchanges: []string{ssh.KeyExchangeDH14SHA256}},
		"CBC":                     {Ciphers: []string{ssh.InsecureCipherAES128CBC}},
		"RC4":                     {Ciphers: []string{ssh.InsecureCipherRC4256}},
		"a MAC with SHA-1":        {Ciphers: []string{ssh.CipherAES128CTR}, MACs: []string{ssh.HMACSHA1}},
		"a short MAC with SHA-1":  {Ciphers: []string{ssh.CipherAES128CTR}, MACs: []string{ssh.InsecureHMACSHA196}},
	} {
		if err := dial(t, w.ssh, &ssh.ClientConfig{Config: config, Auth: auth}); err == nil {
			t.Errorf("%s is agreed on", name)
		}
	}
	if list := ciphers(true); list[0] != ssh.CipherAES128GCM || slices.Contains(list, ssh.CipherChaCha20Poly1305) {
		t.Errorf("with AES hardware: %v", list)
	}
	if list := ciphers(false); list[0] != ssh.CipherChaCha20Poly1305 {
		t.Errorf("without: %v", list)
	}
}

func TestAnRSAHostKeySignsWithSHA2Only(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, func(r *Relay) { r.HostKey = signer })
	auth := []ssh.AuthMethod{ssh.PublicKeys(newSigner(t))}
	if err := dial(t, w.ssh, &ssh.ClientConfig{HostKeyAlgorithms: []string{ssh.KeyAlgoRSA}, Auth: auth}); err == nil {
		t.Error("ssh-rsa is agreed on")
	}
	if err := dial(t, w.ssh, &ssh.ClientConfig{HostKeyAlgorithms: []string{ssh.KeyAlgoRSASHA512}, Auth: auth}); err != nil {
		t.Error(err)
	}
}

func TestStrangersAreFewAndHurried(t *testing.T) {
	w := start(t, short(Limits{StrangersEach: 2, Login: 300 * time.Millisecond}))
	var open []net.Conn
	banner := func() error {
		c, err := net.Dial("tcp", w.ssh)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = io.ReadFull(c, make([]byte, 4))
		return err
	}
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	if err := errors.Join(banner(), banner()); err != nil {
		t.Fatal(err)
	}
	if err := banner(); err == nil {
		t.Error("a third stranger from the same address is let in")
	}
	if rest, err := io.ReadAll(open[0]); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stranger can stay: %q", rest)
	}
	io.Copy(io.Discard, open[1])
	if _, err := w.connect(newSigner(t), "SSH-2.0-x"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestStrangersAreCountedBySource(t *testing.T) {
	s := &server{logins: newLobby(3, 2)}
	from := func(addr string) net.Conn {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return &fromConn{addr: a}
	}
	first := from("[2001:db8::1]:5")
	for i, tc := range []struct {
		c    net.Conn
		want bool
	}{
		{first, true},
		{from("[2001:db8::ffff]:6"), true},
		{from("[2001:db8::2]:7"), false},    // the same /64
		{from("[2001:db8:0:1::1]:5"), true}, // another
		{from("192.0.2.1:5"), false},        // but all are there
	} {
		if got := s.admit(&s.logins, tc.c); got != tc.want {
			t.Errorf("%d, %v: got %v", i, tc.c.RemoteAddr(), got)
		}
	}
	s.dismiss(&s.logins, first)
	if !s.admit(&s.logins, from("[::ffff:192.0.2.1]:5")) || s.logins.bySource["192.0.2.1"] != 1 {
		t.Errorf("by source: %v", s.logins.bySource)
	}
}

type fromConn struct {
	net.Conn
	addr net.Addr
}

func (c *fromConn) RemoteAddr() net.Addr { return c.addr }

func TestClientsOfOneKeyAreCounted(t *testing.T) {
	w := start(t, short(Limits{ClientsEach: 1}))
	key := newSigner(t)
	f := w.upAs(key, "app", nil)
	second, err := w.connect(key, "SSH-2.0-x")
	if err == nil {
		_, _, err = second.conn.SendRequest("tcpip-forward", true, nil)
	}
	if err == nil {
		t.Error("a second client with the key is served")
	}
	if _, err := w.connect(newSigner(t), "SSH-2.0-x"); err != nil {
		t.Errorf("another key: %v", err)
	}
	if ok, _ := f.forward("other", 80); !ok {
		t.Error("the first is no longer served")
	}
}

func TestAClientCanOnlyForward(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	type target struct {
		Addr       string
		Port       uint32
		OriginAddr string
		OriginPort uint32
	}
	host, port, _ := net.SplitHostPort(w.http)
	var n uint32
	fmt.Sscan(port, &n)
	for _, kind := range []string{"direct-tcpip", "forwarded-tcpip", "direct-streamlocal@openssh.com", "x11", "auth-agent@openssh.com", "tun@openssh.com"} {
		if _, _, err := f.conn.OpenChannel(kind, ssh.Marshal(target{host, n, "127.0.0.1", 1})); err == nil {
			t.Errorf("a channel %s is opened", kind)
		}
	}
	for kind, want := range map[string]bool{
		"keepalive@openssh.com":                  true,
		"streamlocal-forward@openssh.com":        false,
		"cancel-streamlocal-forward@openssh.com": false,
		"no-more-sessions@openssh.com":           false,
		"hostkeys-prove-00@openssh.com":          false,
		"cancel-tcpip-forward":                   false, // malformed
		"tcpip-forward":                          false,
	} {
		if got, _, err := f.conn.SendRequest(kind, true, []byte("\x00\x00")); got != want || err != nil {
			t.Errorf("%s: got %v, %v", kind, got, err)
		}
	}
	ch, requests, err := f.conn.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	for _, tc := range []struct {
		kind string
		want bool
	}{
		{"env", false}, {"subsystem", false}, {"x11-req", false}, {"auth-agent-req@openssh.com", false},
		{"pty-req", true}, {"shell", true}, {"exec", false},
	} {
		if got, err := ch.SendRequest(tc.kind, true, ssh.Marshal(struct{ S string }{"sftp"})); got != tc.want || err != nil {
			t.Errorf("%s: got %v, %v", tc.kind, got, err)
		}
	}
	for range maxSessions - 1 {
		if _, requests, err := f.conn.OpenChannel("session", nil); err != nil {
			t.Error(err)
		} else {
			go ssh.DiscardRequests(requests)
		}
	}
	if _, _, err := f.conn.OpenChannel("session", nil); err == nil {
		t.Error("another session is opened")
	}
}

func TestSessionsShowWhatBecameOfForwards(t *testing.T) {
	w := start(t, nil)
	w.up("taken", nil)
	key := newSigner(t)
	f := w.upAs(key, "early", nil)
	stdout, stderr := f.session()
	f.forward("late", 8080)
	f.forward("taken", 80)
	f.forward("Not_A_Name", 80)
	_, port, _ := net.SplitHostPort(w.http)
	for _, want := range []string{"URL: http://early.localhost:" + port, "URL: http://late.localhost:" + port} {
		if got := <-stdout; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, want := range []string{"error: the name taken belongs to another key", "error: a name has the letters"} {
		if got := <-stderr; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	w.upAs(key, "early", nil)
	if got, want := <-stderr, "notice: early has moved to a newer connection of this key"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCtrlCEndsASession(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	ch, requests, err := f.conn.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	ch.SendRequest("shell", true, nil)
	io.WriteString(ch, "hello\x03")
	status := ""
	for r := range requests {
		status += r.Type
	}
	if status != "exit-status" {
		t.Errorf("got %q", status)
	}
}

func TestASilentClientIsDropped(t *testing.T) {
	w := start(t, short(Limits{KeepAlive: 30 * time.Millisecond}))
	nc, err := net.Dial("tcp", w.ssh)
	if err != nil {
		t.Fatal(err)
	}
	stalled := &stallConn{Conn: nc}
	conn, channels, requests, err := ssh.NewClientConn(stalled, w.ssh, &ssh.ClientConfig{
		User: "x", HostKeyCallback: ssh.InsecureIgnoreHostKey(), Auth: []ssh.AuthMethod{ssh.PublicKeys(newSigner(t))},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &far{t: t, conn: conn}
	go func() {
		for r := range requests {
			r.Reply(false, nil)
		}
	}()
	f.forward("app", 80)
	for range 10 { // it answers keep-alives, and stays
		if resp, _ := w.visit("GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n").answer("GET"); resp.StatusCode != 404 {
			t.Fatal(resp.Status)
		}
	}
	stalled.mu.Lock() // from now on nothing is sent
	waitDown(t, w, "app")
	stalled.mu.Unlock()
	conn.Close()
	for range channels {
	}
}

// stallConn writes only while nobody holds its lock.
type stallConn struct {
	net.Conn
	mu sync.Mutex
}

func (c *stallConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn.Write(p)
}
