package relay

import (
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestURLsAreThePublicOnes(t *testing.T) {
	for want, r := range map[string]*Relay{
		"http://a.localhost:4041":    {Domain: "localhost"},
		"http://a.example.org":       {Domain: "Example.org.", Port: 80},
		"https://a.example.org":      {Domain: "example.org", Scheme: "https", Port: 443},
		"https://a.example.org:8443": {Domain: "example.org", Scheme: "https", Port: 8443},
	} {
		r.HostKey = newSigner(t)
		s, err := r.server(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4041}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.url("a").String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
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
	limits := Limits{Names: 3, NamesPerKey: 2, NamesPerSource: 1, NameKept: time.Hour}
	g := newRegistry("localhost", &limits)
	claim := func(label, owner string) error {
		_, err := g.claim(label, owner, "", &tunnel{})
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

func TestASourceHasSoManyNamesWithHoweverManyKeys(t *testing.T) {
	limits := Limits{Names: 100, NamesPerKey: 100, NamesPerSource: 2, NameKept: time.Hour}
	g := newRegistry("localhost", &limits)
	for i, tc := range []struct {
		label, owner, source string
		want                 bool
	}{
		{"a", "k1", "1.2.3.4", true},
		{"b", "k2", "1.2.3.4", true},
		{"c", "k3", "1.2.3.4", false},
		{"c", "k3", "5.6.7.8", true},
		{"a", "k1", "1.2.3.4", true}, // its own again
		{"c", "k3", "1.2.3.4", true}, // its own from elsewhere
		{"d", "k1", "1.2.3.4", false},
		{"e", "k5", "", true}, // not counted
		{"f", "k6", "", true},
		{"g", "k7", "", true},
	} {
		_, err := g.claim(tc.label, tc.owner, tc.source, &tunnel{})
		if (err == nil) != tc.want {
			t.Errorf("%d: %s for %s from %q: got %v", i, tc.label, tc.owner, tc.source, err)
		}
	}
	g.leave(g.names["a"].live.Load())
	g.leave(g.names["c"].live.Load())
	if _, err := g.claim("d", "k4", "1.2.3.4", &tunnel{}); err == nil {
		t.Error("a name that went just now is forgotten")
	}
	limits.NameKept = -1
	if _, err := g.claim("d", "k4", "1.2.3.4", &tunnel{}); err != nil || g.names["a"] != nil || g.names["c"] == nil {
		t.Errorf("got %v; the source's own name makes room, and no other: %v", err, g.names)
	}
	if g.sources["1.2.3.4"] != 2 || g.sources["5.6.7.8"] != 1 || len(g.sources) != 2 {
		t.Errorf("counted: %v", g.sources)
	}
}

// distantListener says that whoever comes has another address.
type distantListener struct {
	net.Listener
	from net.Addr
}

func (l distantListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return distantConn{c, l.from}, err
}

type distantConn struct {
	net.Conn
	from net.Addr
}

func (c distantConn) RemoteAddr() net.Addr { return c.from }

func TestThrowAwayKeysGetNoMoreNames(t *testing.T) {
	for from, want := range map[string]bool{
		"203.0.113.7:1": false, "[2001:db8::1]:1": false, "[::ffff:203.0.113.7]:1": false,
		"127.0.0.1:1": true, "127.1.2.3:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
	} {
		t.Run(from, func(t *testing.T) {
			addr, err := net.ResolveTCPAddr("tcp", from)
			if err != nil {
				t.Fatal(err)
			}
			w := startOn(t, distantListener{listen(t), addr}, short(Limits{NamesPerSource: 2}))
			for i, name := range []string{"one", "two", "three", ""} {
				f, err := w.connect(newSigner(t), "SSH-2.0-x")
				if err != nil {
					t.Fatal(err)
				}
				if ok, _ := f.forward(name, 80); ok != (i < 2 || want) {
					t.Errorf("%q: got %v", name, ok)
				}
			}
		})
	}
}
