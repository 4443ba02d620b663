package dial_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel/dial"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what must come; nothing here waits for it to pass.
const patience = 20 * time.Second

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the test's patience is over"))
	t.Cleanup(cancel)
	return ctx
}

// serve runs a server on a loopback port until the test ends.
func serve(t testing.TB, f func(net.Conn)) (addr string) {
	t.Helper()
	addr, stop, err := tunneltest.Serve(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return addr
}

// greeting is how the far end of these tests begins.
const greeting = "SSH-2.0-test\r\n"

// farEnd greets as an SSH server does, then says again what it hears.
func farEnd(c net.Conn) {
	_, _ = io.WriteString(c, greeting)
	_, _ = io.Copy(c, c)
}

// wantFarEnd holds that a connection leads to the far end, with no byte lost or added.
func wantFarEnd(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	_, _ = io.WriteString(c, "are you there?\n")
	r := bufio.NewReader(c)
	for _, want := range []string{greeting, "are you there?\n"} {
		if got, err := r.ReadString('\n'); got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

// names is a DNS server that knows one name; its address may be given twice.
func names(t *testing.T, name string, addrs ...string) *net.Resolver {
	addr := serve(t, func(c net.Conn) {
		for {
			var length [2]byte
			if _, err := io.ReadFull(c, length[:]); err != nil {
				return
			}
			packet := make([]byte, int(length[0])<<8|int(length[1]))
			if _, err := io.ReadFull(c, packet); err != nil {
				return
			}
			answer := answerDNS(t, packet, name, addrs)
			_, _ = c.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...))
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}
}

func answerDNS(t *testing.T, packet []byte, name string, addrs []string) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		t.Error(err)
		return nil
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	q := m.Questions[0]
	if q.Name.String() != name+"." {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range addrs {
		ip := netip.MustParseAddr(text)
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		switch {
		case m.RCode != 0:
		case q.Type == dnsmessage.TypeA && ip.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}})
		case q.Type == dnsmessage.TypeAAAA && ip.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
	answer, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return answer
}

// legs collects what a trace tells.
type legs struct {
	mu   sync.Mutex
	list []dial.Leg
}

func (l *legs) trace(leg dial.Leg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, leg)
}

// steps gives the steps in order, with ! where one failed.
func (l *legs) steps(t *testing.T) (steps []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, leg := range l.list {
		text := string(leg.Step) + " " + leg.Peer
		if leg.Err != nil {
			text = "! " + text
		}
		if leg.Took <= 0 || leg.Took > patience {
			t.Errorf("%s took %v", text, leg.Took)
		}
		steps = append(steps, text)
	}
	return steps
}

func TestDirectStepsAreTold(t *testing.T) {
	addr := serve(t, farEnd)
	_, port, _ := net.SplitHostPort(addr)
	closed := tunneltest.Closed(t)
	for name, tc := range map[string]struct {
		addr  string
		steps []string
		err   string
	}{
		"a name":          {"relay.test:" + port, []string{"resolve relay.test:" + port, "connect relay.test:" + port}, ""},
		"an address":      {addr, []string{"connect " + addr}, ""},
		"nobody's name":   {"nobody.test:22", []string{"! resolve nobody.test:22"}, "look up nobody.test:22: no such host"},
		"nobody listens":  {closed, []string{"! connect " + closed}, "connect to " + closed + ": connection refused"},
		"no port":         {"relay.test", nil, "look up relay.test: this is not a host and a port"},
		"no number":       {"relay.test:ssh", nil, "look up relay.test:ssh: the port is not a number from 1 to 65535"},
		"no host":         {":22", nil, "look up :22: the host is empty or longer than 255 characters"},
		"a line in it":    {"a\r\nHost: b:22", nil, "look up aHost: b:22: this is not a host and a port"},
		"a hidden letter": {"rel\u00e4y.test:22", nil, "look up reläy.test:22: the host has a character that no host name has"},
	} {
		t.Run(name, func(t *testing.T) {
			var told legs
			d := &dial.Dialer{Resolver: names(t, "relay.test", "127.0.0.1"), Trace: told.trace}
			c, err := d.DialContext(soon(t), "tcp", tc.addr)
			if err == nil {
				wantFarEnd(t, c)
			}
			if got := text(err); got != tc.err {
				t.Errorf("got %s, want %s", got, tc.err)
			}
			if diff := cmp.Diff(tc.steps, told.steps(t)); diff != "" {
				t.Errorf("steps: -want +got\n%s", diff)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What ends a context is what a person reads, and what a program can ask for.
func TestTheContextSaysWhyItEnded(t *testing.T) {
	why := errors.New("somebody pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := new(dial.Dialer).DialContext(ctx, "tcp", "127.0.0.1:9")
	if !errors.Is(err, why) || err.Error() != "connect to 127.0.0.1:9: "+why.Error() {
		t.Errorf("got %v", err)
	}
}

// A name server that takes the question and is never heard of again.
func TestSilentNameServer(t *testing.T) {
	addr := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	d := &dial.Dialer{Timeout: 50 * time.Millisecond, Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}}
	_, err := d.DialContext(soon(t), "tcp", "relay.test:22")
	if got, want := text(err), "look up relay.test:22: no answer within 50ms"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// target is the far end, and the proxy's Hosts under which relay.test is it.
func target(t testing.TB) map[string]string {
	return map[string]string{"relay.test:2222": serve(t, farEnd)}
}

// by is a dialer for which every way leads through a proxy.
func by(t testing.TB, scheme, addr, login string) *dial.Dialer {
	t.Helper()
	p, err := dial.ParseProxy(scheme+"://"+login+addr, "HTTPS_PROXY")
	if err != nil {
		t.Fatal(err)
	}
	return &dial.Dialer{Proxy: func(string) *dial.Proxy { return p }}
}

func TestProxiesLeadToTheServer(t *testing.T) {
	certificate, roots := newAuthority(t).server(t, certOptions{})
	for name, tc := range map[string]struct {
		scheme string
		serve  func(*tunneltest.Proxy, net.Conn)
		steps  string
	}{
		"http":    {"http", (*tunneltest.Proxy).HTTP, "connect proxy"},
		"https":   {"https", (*tunneltest.Proxy).HTTPS, "connect tls proxy"},
		"socks5":  {"socks5", (*tunneltest.Proxy).SOCKS5, "connect proxy"},
		"socks5h": {"socks5h", (*tunneltest.Proxy).SOCKS5, "connect proxy"},
	} {
		for login, want := range map[string]*tunneltest.Proxy{"": {}, "ana:s3cr%40t@": {User: "ana", Password: "s3cr@t"}} {
			t.Run(name+" "+login, func(t *testing.T) {
				p := &tunneltest.Proxy{User: want.User, Password: want.Password, Hosts: target(t), TLS: serverTLS(certificate)}
				var told legs
				d := by(t, tc.scheme, serve(t, func(c net.Conn) { tc.serve(p, c) }), login)
				d.Roots, d.Trace = roots, told.trace
				c, err := d.DialContext(soon(t), "tcp", "relay.test:2222")
				if err != nil {
					t.Fatal(err)
				}
				wantFarEnd(t, c)
				if got := p.Asked(); !slices.Equal(got, []string{"relay.test:2222"}) {
					t.Errorf("the proxy was asked for %q: it resolves the names", got)
				}
				var steps []string
				for _, s := range told.steps(t) {
					steps = append(steps, strings.Fields(s)[0])
				}
				if got := strings.Join(steps, " "); got != tc.steps {
					t.Errorf("steps: got %s, want %s", got, tc.steps)
				}
			})
		}
	}
}

func TestSOCKSTakesAddresses(t *testing.T) {
	p := &tunneltest.Proxy{Hosts: map[string]string{"192.0.2.7:22": serve(t, farEnd), "[2001:db8::7]:22": serve(t, farEnd)}}
	d := by(t, "socks5", serve(t, p.SOCKS5), "")
	for _, addr := range []string{"192.0.2.7:22", "[2001:db8::7]:22"} {
		c, err := d.DialContext(soon(t), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		wantFarEnd(t, c)
	}
}

// script is a server that reads to the end of each piece it waits for, then answers.
// An answer of "hang" stays silent until the client leaves.
func script(turns ...string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for i := 0; i+1 < len(turns); i += 2 {
			var said strings.Builder
			for !strings.HasSuffix(said.String(), turns[i]) {
				b, err := r.ReadByte()
				if err != nil {
					return
				}
				said.WriteByte(b)
			}
			if turns[i+1] == "hang" {
				_, _ = io.Copy(io.Discard, r)
				return
			}
			_, _ = io.WriteString(c, turns[i+1])
		}
		if tcp, ok := c.(*net.TCPConn); ok { // or what is unread would turn the end into a reset
			_ = tcp.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, r)
	}
}

// fault is what a proxy does, and what a person reads of it.
type fault struct {
	serve   func(net.Conn)
	login   string
	want    string // PROXY and the proxy's address
	hint    string // a part of it; empty: there is none
	refused bool
}

func testFaults(t *testing.T, scheme string, faults map[string]fault) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, f.serve)
			d := by(t, scheme, addr, f.login)
			d.Timeout = 10 * time.Second
			if strings.Contains(f.want, "no answer within") {
				d.Timeout = 100 * time.Millisecond
			}
			c, err := d.DialContext(soon(t), "tcp", "relay.test:2222")
			var e *dial.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, %v, want an *Error", c, err)
			}
			got := strings.ReplaceAll(err.Error(), addr, "ADDR")
			if want := "the proxy " + scheme + "://ADDR: " + f.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if e.Step != dial.Ask || e.Refused != f.refused || !strings.Contains(e.Hint, f.hint) || (f.hint == "") != (e.Hint == "") {
				t.Errorf("got step %s, refused %v, hint %q; want proxy, %v, %q", e.Step, e.Refused, e.Hint, f.refused, f.hint)
			}
			for _, secret := range []string{"s3cret", "YW5h"} {
				if strings.Contains(fmt.Sprintf("%v %+v %#v %s", err, err, err, e.Hint), secret) {
					t.Errorf("the error holds the password")
				}
			}
		})
	}
}

func TestHTTPProxyFaults(t *testing.T) {
	const end = "\r\n\r\n"
	testFaults(t, "http", map[string]fault{
		"closes at once":              {serve: script("", ""), want: "it hangs up without an answer"},
		"closes after the request":    {serve: script(end, ""), want: "it hangs up without an answer"},
		"closes in the status line":   {serve: script(end, "HTTP/1.1 20"), want: "it hangs up in the middle of its answer"},
		"closes in the head":          {serve: script(end, "HTTP/1.1 200 OK\r\nVia: x\r\n"), want: "it hangs up in the middle of its answer"},
		"hangs at once":               {serve: script("never", ""), want: "no answer within 100ms"},
		"hangs in the head":           {serve: script(end, "HTTP/1.1 200 OK\r\n", "x", "hang"), want: "no answer within 100ms"},
		"speaks SSH":                  {serve: script(end, "SSH-2.0-OpenSSH_9.2\r\n"), want: "what it answers is not HTTP"},
		"speaks TLS":                  {serve: script(end, "\x15\x03\x01\x00\x02\x02\x28"), want: "what it answers is not HTTP"},
		"speaks HTTP/2":               {serve: script(end, "HTTP/2 200 OK"+end), want: "what it answers is not HTTP"},
		"a status of four digits":     {serve: script(end, "HTTP/1.1 2000 OK"+end), want: "what it answers is not HTTP"},
		"a status of letters":         {serve: script(end, "HTTP/1.1 2xx OK"+end), want: "what it answers is not HTTP"},
		"a folded line":               {serve: script(end, "HTTP/1.1 200 OK\r\nA: b\r\n c"+end), want: "what it answers is not HTTP"},
		"a line without a colon":      {serve: script(end, "HTTP/1.1 200 OK\r\nhello"+end), want: "what it answers is not HTTP"},
		"a space before the colon":    {serve: script(end, "HTTP/1.1 200 OK\r\nA : b"+end), want: "what it answers is not HTTP"},
		"a control character":         {serve: script(end, "HTTP/1.1 200 OK\r\nA: b\x00"+end), want: "what it answers is not HTTP"},
		"endless fields":              {serve: endless("HTTP/1.1 200 OK\r\n", "A: b\r\n"), want: "the head of its answer is longer than 16 KiB"},
		"an endless line":             {serve: endless("HTTP/1.1 200 ", "OK"), want: "the head of its answer is longer than 16 KiB"},
		"endless interim answers":     {serve: endless("", "HTTP/1.1 100 Continue\r\n\r\n"), want: "the head of its answer is longer than 16 KiB"},
		"refuses":                     {serve: script(end, "HTTP/1.1 403 Forbidden"+end), want: "it lets nobody connect to relay.test:2222 (403 Forbidden)", hint: "--via relay+tls://HOST", refused: true},
		"is a web server":             {serve: script(end, "HTTP/1.1 405 Method Not Allowed"+end), want: "it lets nobody connect to relay.test:2222 (405 Method Not Allowed)", hint: "--proxy none", refused: true},
		"cannot connect":              {serve: script(end, "HTTP/1.1 502 no route to host"+end), want: "it cannot connect to relay.test:2222 (502 no route to host)"},
		"says nothing else":           {serve: script(end, "HTTP/1.1 503"+end), want: "it cannot connect to relay.test:2222 (503 Service Unavailable)"},
		"speaks to the terminal":      {serve: script(end, "HTTP/1.1 504 \u009b2J\u202eevil\xff"+strings.Repeat("x", 100)+end), want: "it cannot connect to relay.test:2222 (504 2Jevil" + strings.Repeat("x", 74) + "…)"},
		"is a captive portal":         {serve: script(end, "HTTP/1.1 302 Found\r\nLocation: http://login.test/"+end), want: "it sends us elsewhere (302 Found): open a web page, this network may want you to log in"},
		"has too much to do":          {serve: script(end, "HTTP/1.1 429 Slow down"+end), want: "it does not connect to relay.test:2222 (429 Slow down)"},
		"wants credentials":           {serve: (&tunneltest.Proxy{User: "ana", Password: "s3cret"}).HTTP, want: `it wants a user and a password for "Example, \"Corp\""`, hint: "SLACKDEV_PROXY_USER", refused: true},
		"wants other credentials":     {serve: (&tunneltest.Proxy{User: "ana", Password: "other"}).HTTP, login: "ana:s3cret@", want: `it does not take the user and the password for "Example, \"Corp\"" that come from HTTPS_PROXY`, refused: true},
		"wants another way to log in": {serve: script(end, "HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM abc=="+end), login: "ana:s3cret@", want: "it wants a login by Negotiate or NTLM, and slackdev knows Basic alone", hint: "127.0.0.1", refused: true},
		"does not say how":            {serve: script(end, "HTTP/1.1 407 x"+end), want: "it wants a user and a password", hint: "HTTPS_PROXY=http://USER:PASSWORD@", refused: true},
	})
}

// endless repeats itself until the client leaves.
func endless(first, again string) func(net.Conn) {
	return func(c net.Conn) {
		_, err := io.WriteString(c, first)
		for err == nil {
			_, err = io.WriteString(c, again)
		}
	}
}

func TestSOCKSProxyFaults(t *testing.T) {
	// What the client says ends in these: no login; its two ways; the name's port.
	const hello, both, request = "\x05\x01\x00", "\x05\x02\x00\x02", "\x08\xae"
	reply := func(code string) string { return "\x05" + code + "\x00\x01\x00\x00\x00\x00\x00\x00" }
	testFaults(t, "socks5", map[string]fault{
		"closes at once":               {serve: script("", ""), want: "it hangs up without an answer"},
		"closes after the greeting":    {serve: script(hello, ""), want: "it hangs up without an answer"},
		"closes in the greeting":       {serve: script(hello, "\x05"), want: "it hangs up in the middle of its answer"},
		"closes after the request":     {serve: script(hello, "\x05\x00", request, ""), want: "it hangs up without an answer"},
		"closes in the reply":          {serve: script(hello, "\x05\x00", request, "\x05\x00\x00\x01\x00"), want: "it hangs up in the middle of its answer"},
		"closes in a name":             {serve: script(hello, "\x05\x00", request, "\x05\x00\x00\x03\xffabc"), want: "it hangs up in the middle of its answer"},
		"closes after the login":       {serve: script(both, "\x05\x02", "s3cret", ""), login: "ana:s3cret@", want: "it hangs up without an answer"},
		"hangs at once":                {serve: script("never", ""), want: "no answer within 100ms"},
		"hangs after the request":      {serve: script(hello, "\x05\x00", request, "hang"), want: "no answer within 100ms"},
		"hangs in the login":           {serve: script(both, "\x05\x02", "s3cret", "hang"), login: "ana:s3cret@", want: "no answer within 100ms"},
		"speaks HTTP":                  {serve: script(hello, "HTTP/1.1 400 Bad Request\r\n\r\n"), want: "what it answers is not SOCKS 5"},
		"speaks SOCKS 4":               {serve: script(hello, "\x00\x5b\x00\x00\x00\x00\x00\x00"), want: "what it answers is not SOCKS 5"},
		"chooses what was not offered": {serve: script(hello, "\x05\x02"), want: "what it answers is not SOCKS 5"},
		"an address of no kind":        {serve: script(hello, "\x05\x00", request, "\x05\x00\x00\x09\x00\x00\x00\x00\x00\x00"), want: "what it answers is not SOCKS 5"},
		"a reply of another version":   {serve: script(hello, "\x05\x00", request, "\x04\x00\x00\x01\x00\x00\x00\x00\x00\x00"), want: "what it answers is not SOCKS 5"},
		"refuses":                      {serve: script(hello, "\x05\x00", request, reply("\x02")), want: "it lets nobody connect to relay.test:2222", hint: "--proxy none", refused: true},
		"cannot connect":               {serve: script(hello, "\x05\x00", request, reply("\x05")), want: "it cannot connect to relay.test:2222: connection refused"},
		"does not know the name":       {serve: script(hello, "\x05\x00", request, reply("\x04")), want: "it cannot connect to relay.test:2222: host unreachable"},
		"does not know the code":       {serve: script(hello, "\x05\x00", request, reply("\x63")), want: "it cannot connect to relay.test:2222: code 99"},
		"wants credentials":            {serve: (&tunneltest.Proxy{User: "ana", Password: "s3cret"}).SOCKS5, want: "it wants a user and a password", hint: "HTTPS_PROXY=socks5://USER:PASSWORD@", refused: true},
		"wants other credentials":      {serve: (&tunneltest.Proxy{User: "ana", Password: "other"}).SOCKS5, login: "ana:s3cret@", want: "it does not take the user and the password that come from HTTPS_PROXY", refused: true},
		"wants another way to log in":  {serve: script(both, "\x05\xff"), login: "ana:s3cret@", want: "it does not take the user and the password that come from HTTPS_PROXY", refused: true},
	})
}

// A proxy that takes its time is not one that hangs.
func TestSlowHTTPProxyIsWaitedFor(t *testing.T) {
	for name, answer := range map[string]string{
		"byte by byte":              "HTTP/1.1 200 OK\r\nVia: 1.1 slow\r\n\r\n" + greeting,
		"with interim answers":      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\nHTTP/1.0 200 OK\r\n\r\n" + greeting,
		"no carriage returns":       "HTTP/1.0 200 Connection established\nVia: x\n\n" + greeting,
		"no reason":                 "HTTP/1.1 204\r\n\r\n" + greeting,
		"the longest head there is": "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 16<<10-len("HTTP/1.1 200 OK\r\nA: \r\n\r\n")) + "\r\n\r\n" + greeting,
	} {
		for _, piece := range []int{1, 7, len(answer)} {
			t.Run(fmt.Sprintf("%s by %d", name, piece), func(t *testing.T) {
				d := by(t, "http", serve(t, func(c net.Conn) {
					r := bufio.NewReader(c)
					for line := ""; line != "\r\n"; {
						var err error
						if line, err = r.ReadString('\n'); err != nil {
							return
						}
					}
					for part := range slices.Chunk([]byte(answer), piece) {
						_, _ = c.Write(part)
					}
					_, _ = io.Copy(c, c)
				}), "")
				c, err := d.DialContext(soon(t), "tcp", "relay.test:2222")
				if err != nil {
					t.Fatal(err)
				}
				wantFarEnd(t, c)
			})
		}
	}
}
