package relay

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// password gives the rules that ask for it.
func password(user, word string) wire.Access {
	const salt = "sixteen bytes of"
	sum := sha256.Sum256([]byte(salt + user + ":" + word))
	return wire.Access{Salt: salt, Sum: string(sum[:])}
}

// basic is the field that knows it.
func basic(user, word string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+word)) + "\r\n"
}

// access asks for rules.
func (f *far) access(rules wire.Access) bool {
	f.t.Helper()
	ok, _, err := f.conn.SendRequest(wire.AccessName, true, ssh.Marshal(rules))
	if err != nil {
		f.t.Fatal(err)
	}
	return ok
}

// protect opens the tunnel name under rules and serves h behind it.
func (w *world) protect(key ssh.Signer, name string, rules wire.Access, h http.Handler) *far {
	w.t.Helper()
	f, err := w.connect(key, "SSH-2.0-slackdev_test")
	if err != nil {
		w.t.Fatal(err)
	}
	if !f.access(rules) {
		w.t.Fatalf("the relay refuses the rules %q", rules)
	}
	return w.serveAs(f, name, h)
}

// with gives a request with more fields.
func with(raw string, fields ...string) string {
	return strings.Replace(raw, "\r\n\r\n", "\r\n"+strings.Join(fields, "")+"\r\n", 1)
}

func via(addresses string) string { return "X-Forwarded-For: " + addresses + "\r\n" }

// trusting lets a test say where a request comes from, as a TLS front would.
func trusting(networks ...string) func(*Relay) {
	return func(r *Relay) {
		for _, n := range networks {
			r.TrustedProxies = append(r.TrustedProxies, netip.MustParsePrefix(n))
		}
	}
}

// wants fails the test unless the answer has that status and code.
func (v *visit) wants(what string, status int, code string) *http.Response {
	v.t.Helper()
	resp, body := v.answer("GET")
	if resp.StatusCode != status || resp.Header.Get("X-Slackdev-Relay") != code {
		v.t.Errorf("%s: got %s %v %q, want %d %s", what, resp.Status, resp.Header, body, status, code)
	}
	return resp
}

// count answers with the size of what it has read.
func count(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, n)
}

func TestVisitorsFromOtherNetworksAreTurnedAway(t *testing.T) {
	w := start(t, trusting("127.0.0.0/8"))
	f := w.protect(newSigner(t), "app", wire.Access{Networks: "192.0.2.0/24,2001:db8:1::/48,::ffff:198.51.100.0/120"}, http.HandlerFunc(count))
	for from, want := range map[string]bool{
		"192.0.2.1": true, "192.0.3.1": false, "2001:db8:1:2::3": true, "2001:db8:2::1": false,
		"::ffff:192.0.2.9": true, "[2001:db8:1::5]:4711": true, "198.51.100.7:80": true, "198.51.101.7": false,
		"unknown": false, "192.0.2.1x": false, "127.0.0.1": false, "": false, "192.0.2.1, 192.0.3.1": false,
	} {
		v := w.visit(with(get("app", "/"), via(from)))
		if want {
			v.wants(from, 200, "")
		} else {
			v.wants(from, 403, codeNotAllowed)
		}
		v.send(get("nobody", "/")) // and the connection goes on
		v.wants("after "+from, 404, codeUnknownName)
	}
	if f.opened.Load() > 4 { // two ahead and two of them used
		t.Errorf("%d channels were opened", f.opened.Load())
	}
	plain := start(t, nil)
	plain.protect(newSigner(t), "app", wire.Access{Networks: "192.0.2.0/24"}, nil)
	for _, raw := range []string{get("app", "/"), with(get("app", "/"), via("192.0.2.1")), with(get("app", "/"), "X-Real-IP: 192.0.2.1\r\n", "Forwarded: for=192.0.2.1\r\n")} {
		plain.visit(raw).wants("where no proxy is trusted", 403, codeNotAllowed)
	}
}

func TestAVisitorIsWhereTheTrustedProxiesSay(t *testing.T) {
	for name, tc := range map[string]struct {
		peer   string
		fields []string
		want   string // the fields that the app gets
	}{
		"of no proxy":                 {"192.0.2.1", []string{via("198.51.100.1"), "X-Forwarded-Proto: https\r\n"}, "192.0.2.1 http"},
		"of a proxy":                  {"10.0.0.1", []string{via("198.51.100.1"), "X-Forwarded-Proto: HTTPS\r\n"}, "198.51.100.1 https"},
		"of several":                  {"10.0.0.1", []string{via("198.51.100.1, 10.9.9.9"), via("10.2.2.2")}, "198.51.100.1 http"},
		"with what it claims itself":  {"10.0.0.1", []string{via("127.0.0.1,10.0.0.7"), via("198.51.100.1")}, "198.51.100.1 http"},
		"with underscores":            {"10.0.0.1", []string{via("198.51.100.1"), "X_Forwarded_For: 127.0.0.1\r\n", "X_Forwarded_Proto: https\r\n"}, "198.51.100.1 http"},
		"the proxy itself":            {"10.0.0.1", nil, "10.0.0.1 http"},
		"proxies alone":               {"10.0.0.1", []string{via("10.0.0.3,10.0.0.2")}, "10.0.0.3 http"},
		"IPv6":                        {"fd00::1", []string{via("[2001:db8::1]:5")}, "2001:db8::1 http"},
		"a mapped proxy":              {"::ffff:10.0.0.1", []string{via("::ffff:198.51.100.1")}, "198.51.100.1 http"},
		"nobody's address":            {"10.0.0.1", []string{via("198.51.100.1, _hidden")}, "unknown http"},
		"an empty list":               {"10.0.0.1", []string{via("")}, "unknown http"},
		"a scheme that is none":       {"10.0.0.1", []string{via("198.51.100.1"), "X-Forwarded-Proto: https, gopher\r\n"}, "198.51.100.1 http"},
		"the last scheme of a list":   {"10.0.0.1", []string{via("198.51.100.1"), "X-Forwarded-Proto: gopher,https\r\n"}, "198.51.100.1 https"},
		"a line break in disguise":    {"10.0.0.1", []string{via("198.51.100.1%0d%0aHost: x")}, "unknown http"},
		"a zone, which means only us": {"10.0.0.1", []string{via("fe80::1%eth0")}, "fe80::1 http"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Relay{Domain: "localhost", HostKey: newSigner(t)}
			trusting("10.0.0.0/8", "fd00::/8")(r)
			s, err := r.server(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			v := newVisitor(s, &fromConn{addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(tc.peer), 5))})
			if err := v.x.q.parse([]byte(with(get("app", "/"), tc.fields...))); err != nil {
				t.Fatal(err)
			}
			v.locate(&v.x.q)
			from, proto, _ := strings.Cut(tc.want, " ")
			if want := "X-Forwarded-For: " + from + "\r\nX-Forwarded-Proto: " + proto + "\r\nX-Forwarded-Host: "; v.stamp != want {
				t.Errorf("got %q, want %q", v.stamp, want)
			}
			if v.from.IsValid() != (from != "unknown") {
				t.Errorf("the address is %v", v.from)
			}
		})
	}
}

func TestOnlyThoseWhoKnowThePasswordComeIn(t *testing.T) {
	w := start(t, nil)
	f := w.protect(newSigner(t), "app", password("ana", "täglich:neu"), nil)
	for what, fields := range map[string][]string{
		"nothing":              nil,
		"a wrong password":     {basic("ana", "taglich:neu")},
		"a wrong user":         {basic("Ana", "täglich:neu")},
		"nothing in it":        {"Authorization: Basic\r\n"},
		"not base64":           {"Authorization: Basic YW5hO\r\n"},
		"another scheme":       {"Authorization: Bearer YW5h\r\n"},
		"two, the right first": {basic("ana", "täglich:neu"), basic("bob", "x")},
		"listed as a hop":      {"Connection: authorization\r\n", basic("ana", "täglich:neu")},
	} {
		v := w.visit(with(post("app", "hello"), fields...))
		if resp := v.wants(what, 401, codeNoPassword); !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), `Basic realm="`) {
			t.Errorf("%s: asked with %q", what, resp.Header["Www-Authenticate"])
		}
	}
	v := w.visit(with(post("app", "hello"), "A: 1\r\n", basic("ana", "täglich:neu"), "B: 2\r\n"))
	a, q := f.busyApp()
	if q.Header.Get("Authorization") != "" || q.Header.Get("A") != "1" || q.Header.Get("B") != "2" || q.ContentLength != 5 {
		t.Errorf("the app gets %v", q.Header)
	}
	a.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	v.wants("the right one", 200, "")
	v.send(get("app", "/"))
	v.wants("the same connection without one", 401, codeNoPassword)
	v.send(with(get("app", "/"), strings.Replace(basic("ana", "täglich:neu"), "Basic ", "bAsIC  ", 1)))
	if q := a.request(); q.Header.Get("Authorization") != "" {
		t.Errorf("the app gets %v", q.Header)
	}
}

func TestAnAppsOwnAuthorizationPassesWhereTheRelayAsksForNone(t *testing.T) {
	w := start(t, nil)
	f := w.protect(newSigner(t), "app", wire.Access{Networks: "127.0.0.0/8,::1/128"}, nil)
	w.visit(with(get("app", "/"), "Authorization: Bearer x\r\n"))
	if _, q := f.busyApp(); q.Header.Get("Authorization") != "Bearer x" {
		t.Errorf("the app gets %v", q.Header)
	}
}

func TestPasswordsCannotBeTriedForLong(t *testing.T) {
	w := start(t, trusting("127.0.0.0/8"))
	key := newSigner(t)
	f := w.protect(key, "app", password("ana", "right"), http.HandlerFunc(count))
	if ok, _ := f.forward("other", 80); !ok {
		t.Fatal("no second name")
	}
	try := func(name, from, word string) *visit {
		return w.visit(with(get(name, "/"), via(from), basic("ana", word)))
	}
	for range 2 * maxGuesses { // asks, and does not guess
		w.visit(with(get("app", "/"), via("2001:db8::1"))).wants("without a password", 401, codeNoPassword)
	}
	for i := range maxGuesses {
		try("app", "2001:db8::"+strconv.Itoa(i), strconv.Itoa(i)).wants("a guess", 401, codeNoPassword)
	}
	resp := try("app", "2001:db8::ffff:1", "another").wants("one too many", 429, codeTooMany)
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
		t.Errorf("Retry-After is %v", resp.Header["Retry-After"])
	}
	try("app", "2001:db8::1", "right").wants("the right one now", 429, codeTooMany)
	try("app", "2001:db8:0:1::1", "right").wants("from another network", 200, "")
	try("other", "2001:db8::1", "right").wants("at another name", 200, "")
}

func TestGuessesAreForgottenAndBounded(t *testing.T) {
	var g guesses
	now, ana := time.Unix(0, 0), guesser{"app", "192.0.2.1"}
	for i := range maxGuesses {
		if wait := g.count(ana, now.Add(time.Duration(i)*time.Second), false); wait != 0 {
			t.Errorf("guess %d has to wait %v", i+1, wait)
		}
		g.count(ana, now, true)
	}
	late := now.Add(guessesFor - time.Second)
	for _, right := range []bool{true, false} {
		if wait := g.count(ana, late, right); wait != time.Second {
			t.Errorf("after too many, right %v: got %v, want 1s", right, wait)
		}
	}
	if wait := g.count(ana, now.Add(guessesFor), true); wait != 0 || len(g.order) != 0 || len(g.wrong) != 0 {
		t.Errorf("after a minute: %v; %d are remembered", wait, len(g.wrong))
	}
	for i := range 2 * maxGuessers {
		g.count(guesser{"app", strconv.Itoa(i)}, now, false)
	}
	if len(g.wrong) != maxGuessers || len(g.order) != maxGuessers {
		t.Errorf("%d are remembered, and %d in order", len(g.wrong), len(g.order))
	}
	if _, there := g.wrong[guesser{"app", strconv.Itoa(2*maxGuessers - 1)}]; !there {
		t.Error("the newest is forgotten")
	}
}

func TestMalformedRulesCloseTheName(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat("192.0.2.0/24,", maxNetworks+1), ",")
	for name, tc := range map[string]struct {
		payload []byte
		want    string
	}{
		"no message":             {[]byte("x"), "SSH message"},
		"more than a message":    {append(ssh.Marshal(wire.Access{Networks: "::1/128"}), 0), "SSH message"},
		"an address":             {ssh.Marshal(wire.Access{Networks: "192.0.2.1"}), "ADDRESS/BITS"},
		"an empty network":       {ssh.Marshal(wire.Access{Networks: "192.0.2.0/24,"}), "ADDRESS/BITS"},
		"a space":                {ssh.Marshal(wire.Access{Networks: "192.0.2.0/24, ::1/128"}), "ADDRESS/BITS"},
		"a zone":                 {ssh.Marshal(wire.Access{Networks: "fe80::1%eth0/64"}), "ADDRESS/BITS"},
		"too many bits":          {ssh.Marshal(wire.Access{Networks: "192.0.2.0/33"}), "ADDRESS/BITS"},
		"all of IPv4 and more":   {ssh.Marshal(wire.Access{Networks: "::ffff:0.0.0.0/90"}), "IPv4"},
		"too many networks":      {ssh.Marshal(wire.Access{Networks: long}), "too many"},
		"too long":               {ssh.Marshal(wire.Access{Networks: strings.Repeat("x", maxAccess)}), "too long"},
		"a sum without salt":     {ssh.Marshal(wire.Access{Sum: strings.Repeat("x", 32)}), "belong together"},
		"a salt without sum":     {ssh.Marshal(wire.Access{Salt: "x"}), "belong together"},
		"a salt that is long":    {ssh.Marshal(wire.Access{Salt: strings.Repeat("x", 65), Sum: strings.Repeat("x", 32)}), "salt is too long"},
		"a sum of another kind":  {ssh.Marshal(wire.Access{Salt: "x", Sum: strings.Repeat("x", 20)}), "SHA-256"},
		"a network and half sum": {ssh.Marshal(wire.Access{Networks: "::/0", Sum: "x"}), "belong together"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, nil)
			f, err := w.connect(newSigner(t), "SSH-2.0-x")
			if err != nil {
				t.Fatal(err)
			}
			if ok, _, err := f.conn.SendRequest(wire.AccessName, true, tc.payload); ok || err != nil {
				t.Fatalf("the relay says %v, %v", ok, err)
			}
			_, stderr := f.session()
			if line := <-stderr; !strings.HasPrefix(line, "error: the access rules are malformed: ") || !strings.Contains(line, tc.want) {
				t.Errorf("its owner is told %q, want …%s…", line, tc.want)
			}
			w.serveAs(f, "app", http.HandlerFunc(echo)) // whoever goes on nevertheless
			w.visit(get("app", "/")).wants("a visitor", 403, codeNotAllowed)
		})
	}
}

func TestRulesHoldForTheForwardsThatFollow(t *testing.T) {
	w := start(t, nil)
	f := w.up("open", http.HandlerFunc(count))
	if !f.access(wire.Access{Networks: "192.0.2.0/24"}) {
		t.Fatal("rules are refused")
	}
	if ok, _ := f.forward("closed", 80); !ok {
		t.Fatal("no forward")
	}
	if !f.access(wire.Access{}) {
		t.Fatal("to have none is refused")
	}
	if ok, _ := f.forward("again", 80); !ok {
		t.Fatal("no forward")
	}
	w.visit(get("open", "/")).wants("before them", 200, "")
	w.visit(get("closed", "/")).wants("after them", 403, codeNotAllowed)
	w.visit(get("again", "/")).wants("after they were taken back", 200, "")
}

func TestTheRulesOfTheNewestTunnelAreInForce(t *testing.T) {
	w := start(t, nil)
	key := newSigner(t)
	w.upAs(key, "app", http.HandlerFunc(count))
	w.visit(get("app", "/")).wants("without rules", 200, "")
	newer := w.protect(key, "app", password("ana", "word"), http.HandlerFunc(count))
	w.visit(get("app", "/")).wants("with those of a newer connection", 401, codeNoPassword)
	w.visit(with(get("app", "/"), basic("ana", "word"))).wants("with its password", 200, "")
	newer.end()
	for end := time.Now().Add(20 * time.Second); ; {
		if resp, _ := w.visit(with(get("app", "/"), basic("ana", "word"))).answer("GET"); resp.StatusCode == 503 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the tunnel never goes down")
		}
	}
	w.visit(get("app", "/")).wants("while that is down", 401, codeNoPassword)
	w.upAs(key, "app", http.HandlerFunc(count))
	w.visit(get("app", "/")).wants("with one that has none", 200, "")
}

// A request that is under way to a tunnel when another takes its place goes to that
// one only if its rules allow it.
func TestARequestThatMovesIsJudgedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		before, after wire.Access
		fields        string
		status        int
		code          string
	}{
		"allowed nowhere now":       {wire.Access{}, wire.Access{Networks: "192.0.2.0/24"}, "", 403, codeNotAllowed},
		"without a password":        {wire.Access{}, password("ana", "word"), "", 401, codeNoPassword},
		"with the password already": {wire.Access{}, password("ana", "word"), basic("ana", "word"), 200, ""},
		"with the same password":    {password("ana", "word"), password("ana", "word"), basic("ana", "word"), 200, ""},
		"with another password":     {password("ana", "word"), password("ana", "new"), basic("ana", "word"), 401, codeNoPassword},
		"allowed everywhere now":    {password("ana", "word"), wire.Access{}, basic("ana", "word"), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, nil)
			key := newSigner(t)
			old := w.protect(key, "app", tc.before, nil)
			v := w.visit(with(get("app", "/first"), tc.fields)) // so that the channel has been used
			a, _ := old.busyApp()
			a.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			v.wants("the first", 200, "")
			v.send(with(get("app", "/second"), tc.fields))
			a.request()
			newer := w.protect(key, "app", tc.after, nil)
			a.Close()
			if tc.status == 200 {
				b, q := newer.busyApp()
				if q.URL.Path != "/second" || q.Header.Get("Authorization") != "" {
					t.Errorf("the newer app gets %s %v", q.URL, q.Header)
				}
				b.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			v.wants("the second", tc.status, tc.code)
		})
	}
}

func FuzzAccess(f *testing.F) {
	for _, a := range []wire.Access{{}, {Networks: "192.0.2.0/24,2001:db8::/32"}, password("ana", "word"), {Networks: "::ffff:1.2.3.4/128", Salt: "s"}} {
		f.Add(ssh.Marshal(a))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := parseAccess(payload)
		if err != nil {
			if r != nil || strings.ContainsFunc(err.Error(), func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%q: got %v with %v", payload, r, err)
			}
			return
		}
		var a wire.Access
		if err := ssh.Unmarshal(payload, &a); err != nil {
			t.Fatalf("%q is taken: %v", payload, err)
		}
		if (r == nil) != (a == wire.Access{}) {
			t.Fatalf("%+v: got %+v", a, r)
		}
		if r == nil {
			return
		}
		if (len(r.networks) > 0) != (a.Networks != "") || r.sum != a.Sum || r.salt != a.Salt {
			t.Errorf("%+v: got %+v", a, r)
		}
		for i, text := range strings.Split(a.Networks, ",") {
			if a.Networks == "" {
				break
			}
			want := netip.MustParsePrefix(text)
			if !within(r.networks[i:i+1], want.Addr().Unmap()) {
				t.Errorf("%q does not hold its own address: %v", text, r.networks[i])
			}
		}
	})
}

func FuzzBasic(f *testing.F) {
	for _, s := range []string{"Basic YW5hOndvcmQ=", "basic  YTpi", "Basic YTpi\tx", "Bearer x", "Basic", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got := parseBasic(value)
		r := http.Request{Header: http.Header{"Authorization": {string(value)}}}
		if scheme, rest, ok := strings.Cut(string(value), " "); ok { // RFC 7235 allows more than one space
			r.Header["Authorization"][0] = scheme + " " + strings.TrimLeft(rest, " ")
		}
		user, word, ok := r.BasicAuth()
		switch {
		case got != "" && (!ok || got != user+":"+word):
			t.Errorf("%q: got %q, net/http %q %q %v", value, got, user, word, ok)
		case got == "" && ok && len(user)+len(word) < 100 && isCanonical(value):
			t.Errorf("%q: got nothing, net/http %q %q", value, user, word)
		}
	})
}

// isCanonical says whether the base64 in value is what an encoder writes.
func isCanonical(value []byte) bool {
	_, encoded, _ := strings.Cut(string(value), " ")
	p, err := base64.StdEncoding.DecodeString(encoded)
	return err == nil && base64.StdEncoding.EncodeToString(p) == encoded
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "10.0.0.1, [2001:db8::1]:5", "unknown,", "fe80::1%eth0", "::ffff:10.0.0.1"} {
		f.Add(s)
	}
	r := &Relay{Domain: "localhost", HostKey: newSigner(f)}
	trusting("10.0.0.0/8")(r)
	s, err := r.server(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, list string) {
		var q request
		if q.parse([]byte(with(get("app", "/"), via(list), via("10.0.0.9")))) != nil {
			return
		}
		got := s.behind(peer, &q)
		if got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q: got %v", list, got)
		}
		if parts := strings.Split(list, ","); within(s.TrustedProxies, got) != !slices.ContainsFunc(parts, func(p string) bool {
			return !within(s.TrustedProxies, hostAddr(strings.Trim(p, " \t")))
		}) {
			t.Errorf("%q: got %v, which is trusted: %v", list, got, within(s.TrustedProxies, got))
		}
	})
}

// BenchmarkAdmit is what rules cost a request.
func BenchmarkAdmit(b *testing.B) {
	s, err := (&Relay{Domain: "localhost", HostKey: newSigner(b)}).server(nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	networks := wire.Access{Networks: strings.Repeat("2001:db8::/32,", 9) + "192.0.2.0/24"}
	for what, a := range map[string]wire.Access{"none": {}, "ten networks": networks, "password": password("ana", "word")} {
		b.Run(what, func(b *testing.B) {
			r, err := parseAccess(ssh.Marshal(a))
			if err != nil {
				b.Fatal(err)
			}
			v := newVisitor(s, &fromConn{addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}})
			raw, x, n := []byte(with(get("app", "/"), basic("ana", "word"))), &v.x, &name{label: "app"}
			if err := x.q.parse(raw); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				v.locate(&x.q)
				x.out = append(x.out[:0], raw...)
				if why := x.admit(n, r); why != nil {
					b.Fatal(why)
				}
				if strings.Contains(string(x.out), "Authorization") != (r == nil || r.sum == "") {
					b.Fatalf("sent would be %q", x.out)
				}
			}
		})
	}
}
