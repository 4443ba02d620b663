//go:build unix

package sshtunnel_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/dial"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
	"github.com/slackdev/slackdev/tunnel/wire"
)

// listen runs a server on a loopback port until the test ends.
func listen(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	addr, stop, err := tunneltest.Serve(serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return addr
}

// throughProxy makes p go through a proxy, which alone knows what relay.test is.
func throughProxy(t testing.TB, p *sshtunnel.Provider, scheme, login string) *dial.Dialer {
	t.Helper()
	end := net.JoinHostPort(p.Profile.Host, strconv.Itoa(p.Profile.Port))
	proxy := &tunneltest.Proxy{User: "ana", Password: "s3cret", Hosts: map[string]string{"relay.test:" + strconv.Itoa(p.Profile.Port): end}}
	serve := proxy.HTTP
	if scheme == "socks5" {
		serve = proxy.SOCKS5
	}
	named, err := dial.ParseProxy(scheme+"://"+login+listen(t, serve), "HTTPS_PROXY")
	if err != nil {
		t.Fatal(err)
	}
	p.Profile.Host = "relay.test"
	d := &dial.Dialer{Proxy: dial.Proxies{Proxy: named}.For}
	p.Dial = d.DialContext
	return d
}

func TestTunnelsThroughProxiesKeepTheContract(t *testing.T) {
	for _, scheme := range []string{"http", "socks5"} {
		t.Run(scheme+" to sshd", func(t *testing.T) {
			tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture {
				s, p := sshdProvider(t)
				s.start()
				throughProxy(t, p, scheme, "ana:s3cret@")
				return tunneltest.Fixture{Provider: p, Dial: func(ctx context.Context, public *url.URL) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+public.Port())
				}}
			})
		})
	}
}

// A proxy that does not let us in is final, and says so without the password.
func TestProxyRefusalIsFinal(t *testing.T) {
	_, p := sshdProvider(t)
	throughProxy(t, p, "http", "ana:wr0ng@")
	_, err := p.Open(t.Context())
	wantRefused(t, err, "there is no way: the proxy http://127.0.0.1:", "")
	if strings.Contains(err.Error(), "wr0ng") || !strings.Contains(err.Error(), "HTTPS_PROXY") {
		t.Errorf("got %v", err)
	}
}

// insideTLS puts TLS in front of p's server, and makes p go through it.
func insideTLS(t testing.TB, p *sshtunnel.Provider, protocols ...string) {
	t.Helper()
	end := net.JoinHostPort(p.Profile.Host, strconv.Itoa(p.Profile.Port))
	certificate, roots := selfSignedFor(t)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: protocols}
	front := listen(t, func(c net.Conn) {
		secured := tls.Server(c, config)
		if secured.Handshake() != nil {
			return
		}
		to, err := net.Dial("tcp", end)
		if err != nil {
			return
		}
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(to, secured); _ = to.Close() })
		_, _ = io.Copy(secured, to)
		_ = c.Close()
		both.Wait()
	})
	setAddr(t, p, front)
	p.Profile.TLS, p.Roots = true, roots
}

// selfSignedFor is a certificate for loopback, and who vouches for it.
func selfSignedFor(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestTunnelsInsideTLSKeepTheContract(t *testing.T) {
	for name, protocols := range map[string][]string{"agreed": {wire.ALPN, "h2"}, "by another program": nil} {
		t.Run(name, func(t *testing.T) {
			tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture {
				p := startRelay(t, "ana")
				insideTLS(t, p, protocols...)
				return tunneltest.Fixture{Provider: p}
			})
		})
	}
}

// A certificate says who owns the name, and not that this is the relay of before.
func TestTheHostKeyIsCheckedInsideTLS(t *testing.T) {
	p := startRelay(t, "ana")
	insideTLS(t, p, wire.ALPN)
	p.Hosts = startRelay(t, "bo").Hosts
	_, err := p.Open(t.Context())
	wantRefused(t, err, ": it must be SHA256:", "")
}

// TLS, a jump host and a proxy are layers: each carries the next.
func TestAllWaysAtOnce(t *testing.T) {
	p := startRelay(t, "ana")
	insideTLS(t, p, wire.ALPN)
	hop := startHops(t, 1)[0]
	proxy := throughProxy(t, hop, "socks5", "ana:s3cret@")
	throughHops(t, p, hop).Dial = proxy.DialContext
	tun, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	if got := tun.URL().Hostname(); got != "ana.localhost" {
		t.Errorf("got %s", got)
	}
}

func portIn(t testing.TB, addr string) int {
	t.Helper()
	to, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return to.Port
}

func TestThePortThatAnswersIsUsed(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	open := p.Profile.Port
	closed := portIn(t, tunneltest.Closed(t))
	web := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	other := portIn(t, web)
	for name, ports := range map[string][2]int{
		"the first": {open, closed},
		"the second, because the first is closed":     {closed, open},
		"the second, because the first is not SSH":    {other, open},
		"the first, and the second is there, as well": {open, open},
	} {
		t.Run(name, func(t *testing.T) {
			profile := p.Profile
			profile.Port, profile.AltPort = ports[0], ports[1]
			each := &sshtunnel.Provider{Profile: profile, Keys: p.Keys, Hosts: p.Hosts}
			tun, err := each.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = tun.Close()
		})
	}
	profile := p.Profile
	profile.Port, profile.AltPort = closed, other
	_, err := (&sshtunnel.Provider{Profile: profile, Keys: p.Keys, Hosts: p.Hosts}).Open(t.Context())
	want := "connect to 127.0.0.1:" + strconv.Itoa(closed) + ": connection refused; look for SSH at " + web + `: it says "HTTP/1.1 400 Bad Request"`
	if refused := (*tunnel.RefusedError)(nil); err == nil || errors.As(err, &refused) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// BenchmarkWays is a whole Open at our own relay, to the URL, by each way on loopback:
// what a way adds to a reconnect where the network itself costs nothing.
func BenchmarkWays(b *testing.B) {
	for name, take := range map[string]func(*sshtunnel.Provider){
		"direct":     func(*sshtunnel.Provider) {},
		"HTTP proxy": func(p *sshtunnel.Provider) { throughProxy(b, p, "http", "ana:s3cret@") },
		"SOCKS":      func(p *sshtunnel.Provider) { throughProxy(b, p, "socks5", "ana:s3cret@") },
		"TLS":        func(p *sshtunnel.Provider) { insideTLS(b, p, wire.ALPN) },
		"jump host":  func(p *sshtunnel.Provider) { throughHops(b, p, startHops(b, 1)...) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			p := startRelay(b, "ana")
			take(p)
			for b.Loop() {
				tun, err := p.Open(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if got := tun.URL().Hostname(); got != "ana.localhost" {
					b.Fatal(got)
				}
				_ = tun.Close()
			}
		})
	}
}

// Who types the port of a web server sees what is wrong, and a try later may find SSH there.
func TestAServerThatHangsUpIsAskedForItsPort(t *testing.T) {
	for name, says := range map[string]string{"without a word": "", "as a web server": "HTTP/1.1 400 Bad Request\r\n\r\n", "as TLS does": "\x15\x03\x03\x00\x02\x02\x16"} {
		t.Run(name, func(t *testing.T) {
			host, port, _ := net.SplitHostPort(listen(t, func(c net.Conn) {
				_, _ = bufio.NewReader(c).ReadString('\n')
				_, _ = io.WriteString(c, says)
			}))
			number, _ := strconv.Atoi(port)
			p := &sshtunnel.Provider{Profile: sshtunnel.Relay("relay", host, number, "app")}
			_, err := p.Open(t.Context())
			var final *tunnel.RefusedError
			if err == nil || errors.As(err, &final) || !strings.Contains(err.Error(), "it hangs up before a login; is this the port of its SSH") {
				t.Errorf("got %v", err)
			}
		})
	}
}
