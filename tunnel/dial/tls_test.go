package dial_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/dial"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// protocol is what the relays of these tests speak.
const protocol = "test-ssh"

// authority vouches for servers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

type certOptions struct {
	names      []string // default: relay.test
	begin, end time.Time
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test \u202e\x1b[2JAuthority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

// server makes a certificate, and the pool that it can be checked with.
func (a *authority) server(t testing.TB, o certOptions) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: o.names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: o.begin, NotAfter: o.end,
	}
	if o.names == nil {
		template.DNSNames = []string{"relay.test"}
	}
	if o.end.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func serverTLS(c tls.Certificate, protocols ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: protocols}
}

// inside serves f inside TLS.
func inside(config *tls.Config, f func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		secured := tls.Server(c, config)
		if secured.Handshake() == nil {
			f(secured)
		}
	}
}

// leadTo gives a Func that reaches one server, whatever the name.
func leadTo(addr string) dial.Func {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(dial.Dialer).DialContext(ctx, network, addr)
	}
}

func TestTLSLeadsToTheServer(t *testing.T) {
	certificate, roots := newAuthority(t).server(t, certOptions{})
	for name, tc := range map[string]struct {
		config *tls.Config
		steps  string
	}{
		"our relay":             {serverTLS(certificate, "http/1.1", protocol), "tls"},
		"another program's TLS": {serverTLS(certificate), "tls greet"},
		"TLS 1.2":               {&tls.Config{Certificates: []tls.Certificate{certificate}, MaxVersion: tls.VersionTLS12, NextProtos: []string{protocol}}, "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			var told legs
			d := &dial.TLS{Dial: leadTo(serve(t, inside(tc.config, farEnd))), Protocol: protocol, Roots: roots, Trace: told.trace}
			c, err := d.DialContext(soon(t), "tcp", "relay.test:443")
			if err != nil {
				t.Fatal(err)
			}
			wantFarEnd(t, c)
			if got := strings.ReplaceAll(strings.Join(told.steps(t), " "), " relay.test:443", ""); got != tc.steps {
				t.Errorf("steps: got %s, want %s", got, tc.steps)
			}
		})
	}
}

func TestTLSThroughProxies(t *testing.T) {
	certificate, roots := newAuthority(t).server(t, certOptions{})
	relay := serve(t, inside(serverTLS(certificate, protocol), farEnd))
	p := &tunneltest.Proxy{Hosts: map[string]string{"relay.test:443": relay}, TLS: serverTLS(certificate), User: "ana", Password: "s3cret"}
	for scheme, f := range map[string]func(net.Conn){"http": p.HTTP, "https": p.HTTPS, "socks5": p.SOCKS5} {
		t.Run(scheme, func(t *testing.T) {
			out := by(t, scheme, serve(t, f), "ana:s3cret@")
			out.Roots = roots
			c, err := (&dial.TLS{Dial: out.DialContext, Protocol: protocol, Roots: roots}).DialContext(soon(t), "tcp", "relay.test:443")
			if err != nil {
				t.Fatal(err)
			}
			wantFarEnd(t, c)
		})
	}
}

func TestTLSFaults(t *testing.T) {
	a := newAuthority(t)
	certificate, roots := a.server(t, certOptions{})
	elsewhere, _ := a.server(t, certOptions{names: []string{"a.test", "b.test", "c.test", "d.test", "e.test"}})
	begin := time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)
	expired, _ := a.server(t, certOptions{begin: begin, end: begin.AddDate(0, 0, 90)})
	early, _ := a.server(t, certOptions{begin: begin.AddDate(200, 0, 0), end: begin.AddDate(200, 0, 90)})
	const hello, greets = "TLS with relay.test:443: ", "look for SSH at relay.test:443: "
	for name, tc := range map[string]struct {
		serve   func(net.Conn)
		roots   *x509.CertPool
		want    string
		hint    string
		refused bool
	}{
		"unknown authority":      {inside(serverTLS(certificate, protocol), farEnd), x509.NewCertPool(), hello + "its certificate is from an authority that is not known here (CN=Test [2JAuthority)", "--relay-ca", true},
		"another name":           {inside(serverTLS(elsewhere, protocol), farEnd), roots, hello + "its certificate is for a.test, b.test, c.test, d.test and others and not for relay.test", "", true},
		"expired":                {inside(serverTLS(expired, protocol), farEnd), roots, hello + "its certificate is good from 2020-01-02 to 2020-04-01 alone", "clocks", true},
		"not yet good":           {inside(serverTLS(early, protocol), farEnd), roots, hello + "its certificate is good from 2220-01-02 to 2220-04-01 alone", "clocks", true},
		"other protocols alone":  {inside(serverTLS(certificate, "h2", "http/1.1"), farEnd), roots, hello + "it does not speak test-ssh: this is not a slackdev relay, or an older one", "", true},
		"wants a certificate":    {inside(&tls.Config{Certificates: []tls.Certificate{certificate}, MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}, farEnd), roots, hello + "it refuses: tls: handshake failure", "", false},
		"TLS 1.1":                {inside(&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, farEnd), roots, hello + "it refuses: tls: protocol version not supported", "", false},
		"SSH without TLS":        {farEnd, roots, hello + "it speaks SSH, without TLS", "relay://", true},
		"HTTP without TLS":       {script("\x00", "HTTP/1.0 400 Bad Request\r\n\r\n"), roots, hello + "it speaks HTTP, without TLS", "", true},
		"something else":         {script("\x00", "220 mail.test ESMTP\r\n"), roots, hello + "what it answers is not TLS", "", false},
		"hangs up":               {script("\x00", ""), roots, hello + "it hangs up", "", false},
		"is silent":              {script("never", "hang"), roots, hello + "no answer within 200ms", "", false},
		"a web server":           {inside(serverTLS(certificate), func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad\x1b[2J Request\r\n\r\n") }), roots, greets + `it says "HTTP/1.1 400 Bad[2J Request"`, "", false},
		"TLS, and then nothing":  {inside(serverTLS(certificate), func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), roots, greets + "no answer within 200ms", "", false},
		"TLS, and then the end":  {inside(serverTLS(certificate), func(net.Conn) {}), roots, greets + "it hangs up without a word", "", false},
		"TLS, and then no end":   {inside(serverTLS(certificate), endless("", "a\r\n")), roots, greets + `it says "a"`, "", false},
		"TLS, and then no words": {inside(serverTLS(certificate), endless("", "\x00\n")), roots, greets + "it says something else", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &dial.TLS{Dial: leadTo(serve(t, tc.serve)), Protocol: protocol, Roots: tc.roots}
			if strings.HasSuffix(tc.want, "no answer within 200ms") {
				d.Timeout = 200 * time.Millisecond
			}
			_, err := d.DialContext(soon(t), "tcp", "relay.test:443")
			var e *dial.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Error() != tc.want || e.Refused != tc.refused || !strings.Contains(e.Hint, tc.hint) || (tc.hint == "") != (e.Hint == "") {
				t.Errorf("got  %s (refused %v, hint %q)\nwant %s (%v, %q)", e, e.Refused, e.Hint, tc.want, tc.refused, tc.hint)
			}
		})
	}
}

// A proxy that is reached by https is another matter than the relay: no --relay-ca
// helps there.
func TestHTTPSProxyFaults(t *testing.T) {
	certificate, roots := newAuthority(t).server(t, certOptions{names: []string{"elsewhere.test"}})
	certificate.Certificate = certificate.Certificate[:1]
	for name, tc := range map[string]struct {
		serve func(net.Conn)
		roots *x509.CertPool
		want  string
	}{
		"unknown authority": {inside(serverTLS(certificate), farEnd), x509.NewCertPool(), "its certificate is from an authority that is not known here (CN=Test [2JAuthority)"},
		"HTTP alone":        {script("\x00", "HTTP/1.0 400 Bad Request\r\n\r\n"), roots, "it speaks HTTP, without TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, tc.serve)
			d := by(t, "https", addr, "")
			d.Roots = tc.roots
			_, err := d.DialContext(soon(t), "tcp", "relay.test:22")
			var e *dial.Error
			if !errors.As(err, &e) || e.Error() != "TLS with the proxy https://"+addr+": "+tc.want || e.Step != dial.Secure || !e.Refused || !strings.HasSuffix(e.Hint, "http://"+addr) {
				t.Errorf("got %v (%+v)", err, e)
			}
		})
	}
}
