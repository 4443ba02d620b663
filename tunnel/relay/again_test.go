package relay

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// patient is a relay whose hold no test outlasts.
func patient(r *Relay) { r.Limits.Hold = 20 * time.Second }

// hello has f introduce itself.
func (f *far) hello(instance string) *far {
	f.t.Helper()
	f.token = rand.Text()
	if _, _, err := f.conn.SendRequest(wire.HelloName, false, ssh.Marshal(wire.Hello{Instance: instance, Token: f.token})); err != nil {
		f.t.Fatal(err)
	}
	return f
}

// upHello is upAs for a client that knows IDs, with an app of the test's own.
func (w *world) upHello(key ssh.Signer, name, instance string) *far {
	w.t.Helper()
	f, err := w.connect(key, "SSH-2.0-slackdev_test")
	if err != nil {
		w.t.Fatal(err)
	}
	if ok, _ := f.hello(instance).forward(name, 80); !ok {
		w.t.Fatalf("the relay refuses the name %s", name)
	}
	return f
}

// cut resets the connection below SSH.
func (f *far) cut() {
	f.nc.(*net.TCPConn).SetLinger(0)
	f.nc.Close()
}

// id is the ID that f can read in q's head. It fails the test if there is none.
func (f *far) id(q *http.Request) string {
	f.t.Helper()
	got := q.Header[http.CanonicalHeaderKey(wire.RequestIDField)]
	if len(got) != 1 || !strings.HasPrefix(got[0], f.token+".") {
		f.t.Fatalf("the request's ID is %q, and the token %s", got, f.token)
	}
	id := strings.TrimPrefix(got[0], f.token+".")
	if !regexp.MustCompile(`^[a-zA-Z0-9-]{1,40}$`).MatchString(id) {
		f.t.Fatalf("the request's ID is %q", id)
	}
	return id
}

// until waits for something that the relay does of its own.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// holds waits until n requests are held.
func (w *world) holds(n int64) {
	w.t.Helper()
	until(w.t, fmt.Sprintf("%d requests are held", n), func() bool { return w.s.held.Load() == n })
}

const done = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"

func TestOnlyClientsThatSaidHelloGetIDs(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, tc := range map[string]struct {
		hello any // nil: none
		want  bool
	}{
		"none":                 {nil, false},
		"a good one":           {wire.Hello{Instance: "i", Token: long(16)}, true},
		"the longest":          {wire.Hello{Instance: long(128), Token: long(64)}, true},
		"without an instance":  {wire.Hello{Token: long(16)}, true},
		"a short token":        {wire.Hello{Instance: "i", Token: long(15)}, false},
		"a long token":         {wire.Hello{Instance: "i", Token: long(65)}, false},
		"a long instance":      {wire.Hello{Instance: long(129), Token: long(16)}, false},
		"a token with a break": {wire.Hello{Instance: "i", Token: long(16) + "\r\n"}, false},
		"a token with a stop":  {wire.Hello{Instance: "i", Token: long(16) + ".x"}, false},
		"malformed":            {struct{ S string }{"x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, nil)
			f, err := w.connect(newSigner(t), "SSH-2.0-slackdev_test")
			if err != nil {
				t.Fatal(err)
			}
			if tc.hello != nil {
				ok, _, err := f.conn.SendRequest(wire.HelloName, true, ssh.Marshal(tc.hello))
				if ok != tc.want || err != nil {
					t.Errorf("the hello is answered with %v, %v", ok, err)
				}
				f.token = "yyyyyyyyyyyyyyyyyy"
				if again, _, _ := f.conn.SendRequest(wire.HelloName, true, ssh.Marshal(wire.Hello{Token: f.token})); again == tc.want {
					t.Errorf("and another one with %v", again)
				}
				if tc.want {
					f.token = tc.hello.(wire.Hello).Token
				}
			}
			f.forward("app", 80)
			v := w.visit(get("app", "/"))
			a, q := f.busyApp()
			if tc.hello != nil {
				f.id(q)
			} else if _, ok := q.Header[http.CanonicalHeaderKey(wire.RequestIDField)]; ok {
				t.Errorf("the app sees %v", q.Header)
			}
			a.say(done)
			v.answer("GET")
		})
	}
}

func TestIDsDifferAndComeFromTheRelayAlone(t *testing.T) {
	w := start(t, nil)
	f := w.upHello(newSigner(t), "app", "i")
	seen := map[string]bool{}
	for _, field := range []string{"", "X-Slackdev-Relay-Id: " + f.token + ".1\r\n", "x_slackdev_relay_id: " + f.token + ".1\r\n",
		"X-SLACKDEV-RELAY-ID:\t" + f.token + ".1\r\nConnection: x-slackdev-relay-id\r\n", "X-Slackdev-Relay: x\r\n"} {
		v := w.visit("GET / HTTP/1.1\r\nHost: app.localhost\r\n" + field + "\r\n")
		a, q := f.busyApp()
		id := f.id(q)
		if seen[id] || id == "1" {
			t.Errorf("the ID %s comes again", id)
		}
		seen[id] = true
		for k := range q.Header {
			if strings.HasPrefix(strings.ReplaceAll(strings.ToLower(k), "_", "-"), "x-slackdev") && k != "X-Slackdev-Relay-Id" {
				t.Errorf("%s passes", k)
			}
		}
		a.say("HTTP/1.1 200 OK\r\nX-Slackdev-Relay-Id: " + f.token + "." + id + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		if resp, _ := v.answer("GET"); resp.Header.Get(wire.RequestIDField) != "" {
			t.Errorf("the visitor sees %v", resp.Header)
		}
	}
	v := w.visit(chunkedPost + "0\r\nX-Slackdev-Relay-Id: " + f.token + ".1\r\n\r\n")
	if resp, _ := v.answer("POST"); resp.StatusCode != 400 {
		t.Errorf("in a trailer: %s", resp.Status)
	}
	other := start(t, nil)
	g := other.upHello(newSigner(t), "app", "i")
	other.visit(get("app", "/"))
	_, q := g.busyApp()
	if run, _, _ := strings.Cut(g.id(q), "-"); len(run) != runLength || run == w.s.run {
		t.Errorf("another relay's IDs begin with %q, too", run)
	}
}

// A connection is cut in each phase of a request, and the next one of the key has it.
func TestARequestMovesToTheNextConnection(t *testing.T) {
	const body, half = "helloagain", 5
	big := strings.Repeat("0123456789", wholeAnswer/5)
	bigHead := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(big))
	read := func(t *testing.T, q *http.Request, n int) {
		if got, err := io.ReadAll(io.LimitReader(q.Body, int64(n))); len(got) != n || err != nil {
			t.Fatalf("the app reads %q, %v", got, err)
		}
	}
	for name, tc := range map[string]struct {
		sent   int // of the body before the cut
		first  func(t *testing.T, v *visit, a *appConn, q *http.Request)
		second string // what is answered then
		want   string // "": the visitor is cut
	}{
		"before it was read":      {len(body), nil, done, "done"},
		"before its body":         {0, func(*testing.T, *visit, *appConn, *http.Request) {}, done, "done"},
		"in its body":             {half, func(t *testing.T, _ *visit, _ *appConn, q *http.Request) { read(t, q, half) }, done, "done"},
		"after its body":          {len(body), func(t *testing.T, _ *visit, _ *appConn, q *http.Request) { read(t, q, len(body)) }, done, "done"},
		"after a 1xx":             {len(body), say("HTTP/1.1 103 Early Hints\r\n\r\n"), done, "done"},
		"in the head":             {len(body), say("HTTP/1.1 200 O"), done, "done"},
		"after the head":          {len(body), say("HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n"), done, "done"},
		"in the answer":           {len(body), say("HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nhello"), done, "done"},
		"in a large one":          {len(body), passOnly(bigHead + big[:4321]), bigHead + big, big},
		"of another length then":  {len(body), passOnly(bigHead + big[:4321]), done, ""},
		"of another status then":  {len(body), passOnly(bigHead + big[:4321]), strings.Replace(bigHead, "200 OK", "201 Created", 1) + big, ""},
		"with other bytes then":   {len(body), passOnly(bigHead + big[:4321]), bigHead + strings.Replace(big, "0", "1", 1), ""},
		"of no length then":       {len(body), passOnly(bigHead + big[:4321]), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
		"in one without a length": {len(body), passOnly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "", ""},
		"in one that just ends":   {len(body), passOnly("HTTP/1.1 200 OK\r\n\r\nhello"), "", ""},
	} {
		for _, rest := range []string{"at once", "later"} { // what is left of the body comes
			t.Run(name+", "+rest, func(t *testing.T) {
				w := start(t, patient)
				key := newSigner(t)
				f := w.upHello(key, "app", "i")
				raw := post("app", body)
				cutAt := len(raw) - len(body) + tc.sent
				v := w.visit(raw[:cutAt])
				id := ""
				if tc.first != nil {
					a, q := f.busyApp()
					id = f.id(q)
					tc.first(t, v, a, q)
					f.conn.SendRequest(wire.KeepAliveName, true, nil) // the relay has it
				} else {
					until(t, "the request is sent", func() bool { return w.s.kept.Load() > 0 })
				}
				f.cut()
				if rest == "at once" && cutAt < len(raw) {
					v.send(raw[cutAt:])
				}
				if tc.second == "" {
					v.reset()
					return
				}
				w.holds(1)
				g := w.upHello(key, "app", "i")
				b, q := g.busyApp()
				if got := g.id(q); id != "" && got != id {
					t.Errorf("the ID is %s, and was %s", got, id)
				}
				if rest == "later" {
					v.send(raw[cutAt:])
				}
				read(t, q, len(body))
				if tc.want == "" {
					_, _ = io.WriteString(b, tc.second) // of which the head is enough
					v.reset()
					return
				}
				b.say(tc.second)
				resp, got := v.answer("POST")
				for resp.StatusCode == 103 {
					resp, got = v.answer("POST")
				}
				if resp.StatusCode != 200 || got != tc.want {
					t.Fatalf("got %s %.50q", resp.Status, got)
				}
				g.cut() // between two
				v.send(raw)
				h := w.upHello(key, "app", "i")
				c, q := h.busyApp()
				if got := h.id(q); got == id {
					t.Errorf("another request has the same ID %s", id)
				}
				c.say(done)
				v.answer("POST")
			})
		}
	}
}

// say has the app say something that the visitor does not get.
func say(raw string) func(*testing.T, *visit, *appConn, *http.Request) {
	return func(t *testing.T, v *visit, a *appConn, q *http.Request) {
		a.say(raw)
	}
}

// pass has the app say something of which the visitor gets some.
func passOnly(raw string) func(*testing.T, *visit, *appConn, *http.Request) {
	return func(t *testing.T, v *visit, a *appConn, q *http.Request) {
		a.say(raw)
		v.r.Peek(1)
	}
}

func TestATunnelThatLivesIsAskedOnceMore(t *testing.T) {
	w := start(t, nil)
	f := w.upHello(newSigner(t), "app", "i")
	v := w.visit(post("app", "hello"))
	a, q := f.busyApp()
	id := f.id(q)
	a.Close()
	b, q := f.busyApp()
	if got := f.id(q); got != id {
		t.Errorf("the ID is %s, and was %s", got, id)
	}
	b.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel")
	b.Close()
	resp, _ := v.answer("POST")
	if resp.StatusCode != 502 || resp.Header.Get("X-Slackdev-Relay") != codeNoAnswer {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
	v.send(get("app", "/")) // would come after it if it came again
	c, q := f.busyApp()
	if q.Method != "GET" {
		t.Errorf("the app gets a %s", q.Method)
	}
	c.say(done)
	v.answer("GET")
}

func TestAClientWithoutAHelloGetsNothingAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		before, after bool // with a hello
		method        string
		want          int
	}{
		"a POST from plain to plain": {false, false, "POST", 502},
		"a POST from plain":          {false, true, "POST", 502},
		"a POST to plain":            {true, false, "POST", 502},
		"a GET to plain":             {true, false, "GET", 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, patient)
			key := newSigner(t)
			up := func(hello bool) *far {
				if hello {
					return w.upHello(key, "app", "i")
				}
				return w.upAs(key, "app", nil)
			}
			f := up(tc.before)
			v := w.visit(strings.Replace(post("app", "hello"), "POST", tc.method, 1))
			f.busyApp()
			f.cut()
			if tc.before {
				w.holds(1)
				g := up(tc.after)
				if tc.want == 200 {
					a, q := g.busyApp()
					if q.Header.Get(wire.RequestIDField) != "" {
						t.Errorf("the app sees %v", q.Header)
					}
					a.say(done)
				}
			}
			if resp, _ := v.answer(tc.method); resp.StatusCode != tc.want {
				t.Errorf("got %s %v", resp.Status, resp.Header)
			}
		})
	}
}

func TestRequestsThatAreTooLargeToKeep(t *testing.T) {
	large := strings.Repeat("0123456789", 1000)
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	head := "POST / HTTP/1.1\r\nHost: app.localhost\r\n"
	sized := fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, len(large)) + large
	chunked := head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(large[:3000]) + chunk(large[3000:6000]) + chunk(large[6000:]) + "0\r\n\r\n"
	for name, tc := range map[string]struct {
		raw         string
		each, total int
		again       bool
	}{
		"sized":                    {sized, 4000, 1 << 20, false},
		"chunked":                  {chunked, 4000, 1 << 20, false},
		"no room in all, sized":    {sized, 1 << 20, 4000, false},
		"no room in all, chunked":  {chunked, 1 << 20, 4000, false},
		"room for all of it":       {sized, 1 << 20, 1 << 20, true},
		"room for all its chunks":  {chunked, 1 << 20, 1 << 20, true},
		"just enough, with a head": {sized, len(sized) + 200, len(sized) + 200, true},
	} {
		for _, pieces := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in pieces: %v", name, pieces), func(t *testing.T) {
				w := start(t, func(r *Relay) {
					patient(r)
					r.Limits.Replay, r.Limits.ReplayTotal = tc.each, tc.total
				})
				key := newSigner(t)
				f := w.upHello(key, "app", "i")
				v := w.visit("")
				send := func() {
					for raw := tc.raw; raw != ""; {
						n := len(raw)
						if pieces {
							n = min(n, 700)
						}
						v.send(raw[:n])
						raw = raw[n:]
					}
				}
				send()
				a, q := f.busyApp()
				if body, err := io.ReadAll(q.Body); string(body) != large || err != nil {
					t.Fatalf("the app reads %d bytes, %v", len(body), err)
				}
				f.cut()
				if !tc.again {
					resp, _ := v.answer("POST")
					if resp.StatusCode != 502 {
						t.Errorf("got %s", resp.Status)
					}
					if resp.Close { // the cut came before the relay had noted the body's end
						v = w.visit("")
					}
				} else {
					w.holds(1)
				}
				a.Close()
				g := w.upHello(key, "app", "i")
				if !tc.again {
					send()
				}
				b, q := g.busyApp()
				if body, err := io.ReadAll(q.Body); string(body) != large || err != nil {
					t.Fatalf("the next app reads %d bytes, %v", len(body), err)
				}
				b.say(done)
				v.answer("POST")
			})
		}
	}
}
