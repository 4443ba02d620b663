package relay

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// A client offers another's public key first, cannot sign with it, and then logs in
// with its own: it is known by its own (CVE-2024-45337).
func TestAKeyThatWasOnlyOfferedGivesNothing(t *testing.T) {
	dir := t.TempDir()
	thief := makeKey(t, dir, "thief", "")
	owners := makeKey(t, dir, "owner", "a passphrase that the thief does not know")
	pub, err := os.ReadFile(owners + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	owner, _, _, _, err := ssh.ParseAuthorizedKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 16)
	w := start(t, func(r *Relay) {
		r.Allow = func(k ssh.PublicKey) bool { asked <- ssh.FingerprintSHA256(k); return true }
	})

	_, port, _ := net.SplitHostPort(w.ssh)
	out, err := exec.Command("ssh", "-F", "none", "-N", "-i", owners, "-i", thief, "-p", port, "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile="+filepath.Join(dir, "known"), "-o", "IdentityAgent=none",
		"-o", "ExitOnForwardFailure=yes", "-R", "www:80:localhost:1", "x@127.0.0.1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "remote port forwarding failed") {
		t.Fatalf("got %v: %s", err, out)
	}
	var last string
	offered := false
	for len(asked) > 0 {
		last = <-asked
		offered = offered || last == ssh.FingerprintSHA256(owner)
	}
	if !offered || last == ssh.FingerprintSHA256(owner) {
		t.Errorf("the owner's key was offered: %v; the forward was checked for %s", offered, last)
	}
}

// makeKey makes a key pair for the OpenSSH client, and skips the test without one.
func makeKey(t *testing.T, dir, name, passphrase string) string {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("there is no ssh")
	}
	key := filepath.Join(dir, name)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return key
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
	s := &server{limits: Limits{Strangers: 3, StrangersEach: 2}, strangers: map[net.Conn]bool{}, bySource: map[string]int{}}
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
		if got := s.admit(tc.c); got != tc.want {
			t.Errorf("%d, %v: got %v", i, tc.c.RemoteAddr(), got)
		}
	}
	s.dismiss(first)
	if !s.admit(from("[::ffff:192.0.2.1]:5")) || s.bySource["192.0.2.1"] != 1 {
		t.Errorf("by source: %v", s.bySource)
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

func TestURLsAreThePublicOnes(t *testing.T) {
	for want, r := range map[string]*Relay{
		"http://a.localhost:4041":    {Domain: "localhost"},
		"http://a.example.org":       {Domain: "Example.org.", Port: 80},
		"https://a.example.org":      {Domain: "example.org", Scheme: "https", Port: 443},
		"https://a.example.org:8443": {Domain: "example.org", Scheme: "https", Port: 8443},
	} {
		r.HostKey = newSigner(t)
		s, err := r.server(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4041})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.url("a").String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
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

func TestANameBelongsToTheKeyThatAskedFirst(t *testing.T) {
	w := start(t, short(Limits{Forwards: 2}))
	owner, other := newSigner(t), newSigner(t)
	f := w.upAs(owner, "app", nil)
	g, err := w.connect(other, "SSH-2.0-x")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(why, name string) {
		t.Helper()
		if ok, _ := g.forward(name, 80); ok {
			t.Errorf("%s: another key gets %s", why, name)
		}
	}
	refused("while it is up", "app")
	refused("in another spelling", "APP")
	refused("with the domain", "app.localhost")
	f.end()
	waitDown(t, w, "app")
	refused("while it is down", "app")
	again := w.upAs(owner, "app", nil)
	refused("when it is back", "app")
	for _, tc := range []struct {
		name string
		port uint32
		want bool
	}{{"app", 80, false}, {"app", 81, false}, {"two", 80, true}, {"three", 80, false}} {
		if ok, _ := again.forward(tc.name, tc.port); ok != tc.want {
			t.Errorf("%s:%d beside app:80, of two: got %v", tc.name, tc.port, ok)
		}
	}
}

func TestTheNewestConnectionHasTheName(t *testing.T) {
	w := start(t, nil)
	key := newSigner(t)
	old := w.upAs(key, "app", nil)
	v := w.visit(get("app", "/"))
	a, _ := old.busyApp()
	w.upAs(key, "app", nil).end()
	waitDown(t, w, "app")
	newer := w.upAs(key, "app", nil)

	other := w.visit(get("app", "/"))
	b, _ := newer.busyApp()
	b.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
	if _, body := other.answer("GET"); body != "new" {
		t.Errorf("got %q", body)
	}
	other.send(get("nobody", "/")) // by when the channel is free again
	other.answer("GET")
	a.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold") // what was under way goes on
	if _, body := v.answer("GET"); body != "old" {
		t.Errorf("got %q", body)
	}
	v.send(get("app", "/"))
	b.request() // on the channel that was used last
	b.say("HTTP/1.1 204 No Content\r\n\r\n")
	if resp, _ := v.answer("GET"); resp.StatusCode != 204 {
		t.Errorf("got %s", resp.Status)
	}
	old.end() // takes nothing away
	v.send(get("app", "/"))
	b.request()
	b.say("HTTP/1.1 204 No Content\r\n\r\n")
	v.answer("GET")
}

func TestAForwardCanBeCancelled(t *testing.T) {
	w := start(t, nil)
	f := w.up("app", nil)
	cancel := func() bool {
		ok, _, err := f.conn.SendRequest("cancel-tcpip-forward", true, ssh.Marshal(struct {
			Addr string
			Port uint32
		}{"app", 80}))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !cancel() || cancel() {
		t.Error("a forward can be cancelled once")
	}
	if resp, _ := w.visit(get("app", "/")).answer("GET"); resp.StatusCode != 503 {
		t.Errorf("got %s", resp.Status)
	}
	if ok, _ := f.forward("app", 80); !ok {
		t.Error("and asked for again")
	}
}

func TestMadeUpNamesStay(t *testing.T) {
	w := start(t, nil)
	key := newSigner(t)
	f, err := w.connect(key, "SSH-2.0-x")
	if err != nil {
		t.Fatal(err)
	}
	stdout, _ := f.session()
	var urls []string
	for i, addr := range []string{"", "localhost", "*"} {
		if ok, port := f.forward(addr, uint32(8080*i)); !ok || i == 0 && port != 80 {
			t.Fatalf("%q: got %v, port %d", addr, ok, port)
		}
		urls = append(urls, <-stdout)
	}
	if slices.Sort(urls); len(slices.Compact(urls)) != 3 {
		t.Errorf("got %v", urls)
	}
	readable := regexp.MustCompile(`^URL: http://[a-z]+-[a-z]+-[a-z2-7]{4}\.localhost:\d+$`)
	for _, u := range urls {
		if !readable.MatchString(u) {
			t.Errorf("got %q", u)
		}
	}
	f.end()
	again, err := w.connect(key, "SSH-2.0-x")
	if err != nil {
		t.Fatal(err)
	}
	stdout, _ = again.session()
	again.forward("0.0.0.0", 0)
	if got := <-stdout; got != "URL: "+"http://"+madeUp(ssh.FingerprintSHA256(key.PublicKey()), 0)+".localhost:"+w.http[strings.LastIndex(w.http, ":")+1:] {
		t.Errorf("after a reconnect: %q, before: %v", got, urls)
	}
	if n := len(strings.Fields(adjectives)); n != 32 {
		t.Errorf("%d adjectives", n)
	}
	if n := len(strings.Fields(animals)); n != 32 {
		t.Errorf("%d animals", n)
	}
}

func TestLabels(t *testing.T) {
	for label, want := range map[string]bool{
		"a": true, "a1": true, "my-app": true, "0": true, strings.Repeat("a", 63): true,
		"": false, "A": false, "-a": false, "a-": false, "a.b": false, "a_b": false, "a b": false, "ä": false, "a\x00": false,
		"xn--x": false, "ab--c": false, "www": false, "admin": false, "api": false, "relay": false, "localhost": false,
		strings.Repeat("a", 64): false,
	} {
		if got := checkLabel(label) == nil; got != want {
			t.Errorf("%q: got %v, want %v", label, got, want)
		}
	}
}

func TestTheRegistryIsBounded(t *testing.T) {
	limits := Limits{Names: 3, NamesPerKey: 2, NameKept: time.Hour}
	g := newRegistry("localhost", &limits)
	claim := func(label, owner string) error {
		_, err := g.claim(label, owner, &tunnel{})
		return err
	}
	if err := errors.Join(claim("a", "k"), claim("b", "k"), claim("a", "k")); err != nil {
		t.Fatal(err)
	}
	if claim("c", "k") == nil {
		t.Error("a key gets a third name of two")
	}
	if claim("c", "l") != nil || claim("d", "l") == nil {
		t.Error("three names in all")
	}
	g.leave(g.names["a"].live.Load())
	if claim("d", "l") == nil {
		t.Error("a name that went just now is forgotten")
	}
	limits.NameKept = -1
	if claim("d", "l") != nil || g.names["a"] != nil || g.owned["k"] != 1 {
		t.Errorf("a name that is long gone is kept: %v", g.names)
	}
	if claim("e", "l") == nil {
		t.Error("a name that is live is forgotten")
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

// TestThePlainSSHClientWorks runs the OpenSSH client as its users do.
func TestThePlainSSHClientWorks(t *testing.T) {
	dir := t.TempDir()
	key := makeKey(t, dir, "key", "")
	w := start(t, nil)
	w.up("taken", nil)
	app := listen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := app.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				echoOn(c)
			})
		}
	})
	defer serving.Wait()
	defer app.Close()
	host, port, _ := net.SplitHostPort(w.ssh)
	_, httpPort, _ := net.SplitHostPort(w.http)
	to := ":" + strings.Replace(app.Addr().String(), "127.0.0.1", "localhost", 1)
	ctx := t.Context()
	cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-T", "-i", key, "-p", port,
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile="+filepath.Join(dir, "known"), "-o", "IdentityAgent=none",
		"-R", "myname:80"+to, "-R", "0"+to, "-R", "taken:80"+to, "x@"+host)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &lines{seen: make(chan string, 100)}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"URL: http://myname.localhost:" + httpPort:          true,
		"error: the name taken belongs to another key":      true,
		"Allocated port 80 for remote forward to localhost": true,
		"remote port forwarding failed for listen port 80":  true,
		"-": true, // of the name that is made up
	}
	for len(want) > 0 {
		select {
		case line := <-out.seen:
			for w := range want {
				if strings.Contains(line, w) && (w != "-" || strings.HasPrefix(line, "URL:")) {
					delete(want, w)
				}
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("ssh never says %v", want)
		}
	}
	for range 3 {
		v := w.visit(post("myname", "hello"))
		if resp, body := v.answer("POST"); resp.StatusCode != 200 || body != "hello" {
			t.Errorf("got %s %q", resp.Status, body)
		}
		v.Close()
	}
	app.Close() // an app that is down
	for {
		resp, _ := w.visit(get("myname", "/")).answer("GET")
		if resp.StatusCode == 502 && resp.Header.Get("X-Slackdev-Relay") == codeNoApp {
			break
		}
	}
	io.WriteString(in, "\x03")
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// echoOn answers each request on c with its body, and closes after the second.
func echoOn(c net.Conn) {
	r := bufio.NewReader(c)
	for range 2 {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// lines hands over what is written, line by line.
type lines struct {
	buf  []byte
	seen chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	for {
		i := bytes.IndexByte(l.buf, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.seen <- string(l.buf[:i])
		l.buf = l.buf[i+1:]
	}
}
