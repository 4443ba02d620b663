package sshtunnel_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/relay"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
	"github.com/slackdev/slackdev/tunnel/wire"
)

// selfSigned is a certificate for *.localhost, and the configuration of those who trust it.
func selfSigned(t testing.TB) (tls.Certificate, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"*.localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, &tls.Config{RootCAs: roots, ServerName: "relay.localhost"}
}

// startTLSRelay runs a relay that listens for HTTPS alone, and gives a provider whose
// SSH goes through that, and a way to the public side.
func startTLSRelay(t testing.TB, name string) tunneltest.Fixture {
	t.Helper()
	dir := t.TempDir()
	host, err := sshtunnel.OwnKey(filepath.Join(dir, "host"))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, trusting := selfSigned(t)
	r := &relay.Relay{Domain: "localhost", HostKey: host, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := r.Run(ctx, relay.Listeners{HTTPS: ln}); err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); run.Wait() })
	inside := trusting.Clone()
	inside.NextProtos = []string{wire.ALPN}
	return tunneltest.Fixture{
		Provider: &sshtunnel.Provider{
			Profile: sshtunnel.Relay("relay", "127.0.0.1", ln.Addr().(*net.TCPAddr).Port, name),
			Keys:    sshtunnel.Keys{Own: filepath.Join(dir, "home", "id_ed25519")},
			Hosts:   sshtunnel.Hosts{Pinned: host.PublicKey()},
			Dial:    (&tls.Dialer{Config: inside}).DialContext,
		},
		Dial: func(ctx context.Context, public *url.URL) (net.Conn, error) {
			if public.Scheme != "https" {
				return nil, fmt.Errorf("the public URL is %s", public)
			}
			return (&tls.Dialer{Config: trusting}).DialContext(ctx, "tcp", "127.0.0.1:"+public.Port())
		},
	}
}

func TestARelayInsideTLSKeepsTheContract(t *testing.T) {
	tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture { return startTLSRelay(t, "ana") })
}

// visit asks the public side of a tunnel for a page.
func visit(t *testing.T, tun tunnel.Tunnel, change func(*http.Request)) (status int, code, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:"+tun.URL().Port()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = tun.URL().Host
	change(r)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("X-Slackdev-Relay"), string(text)
}

func TestTheRelayKeepsStrangersOut(t *testing.T) {
	anybody := func(*http.Request) {}
	knowing := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	there := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	here := append(there[:2:2], netip.MustParsePrefix("127.0.0.0/8"))
	for name, tc := range map[string]struct {
		access *sshtunnel.Access
		as     func(*http.Request)
		status int
		code   string
	}{
		"none":                       {nil, anybody, 200, ""},
		"rules for nobody":           {&sshtunnel.Access{}, anybody, 200, ""},
		"from here":                  {&sshtunnel.Access{Networks: here}, anybody, 200, ""},
		"from elsewhere":             {&sshtunnel.Access{Networks: there}, anybody, 403, "not-allowed"},
		"who claims to be elsewhere": {&sshtunnel.Access{Networks: there}, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, 403, "not-allowed"},
		"without the password":       {&sshtunnel.Access{User: "ana", Password: "a:b"}, anybody, 401, "unauthorized"},
		"with another":               {&sshtunnel.Access{User: "ana", Password: "a:b"}, knowing("ana", "a"), 401, "unauthorized"},
		"with it":                    {&sshtunnel.Access{User: "ana", Password: "a:b"}, knowing("ana", "a:b"), 200, ""},
		"with it, from elsewhere":    {&sshtunnel.Access{User: "ana", Password: "a:b", Networks: there}, knowing("ana", "a:b"), 403, "not-allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startRelay(t, "ana")
			p.Access = tc.access
			tun, err := p.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "app %q", r.Header["Authorization"])
			})}
			var run sync.WaitGroup
			run.Go(func() { _ = srv.Serve(tun) })
			defer run.Wait()
			defer srv.Close()
			status, code, body := visit(t, tun, tc.as)
			if status != tc.status || code != tc.code || (body == "app []") != (tc.status == 200) {
				t.Errorf("got %d %q %q, want %d %q", status, code, body, tc.status, tc.code)
			}
		})
	}
}

func TestAServerThatCannotProtectANameIsNotDialled(t *testing.T) {
	p := &sshtunnel.Provider{
		Profile: sshtunnel.Pinggy("", ""), Access: &sshtunnel.Access{User: "ana", Password: "word"},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("it is dialled")
			return nil, errors.New("no")
		},
	}
	_, err := p.Open(t.Context())
	refused := (*tunnel.RefusedError)(nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "pinggy cannot do that") || !strings.Contains(refused.Hint, "--via relay://") {
		t.Errorf("got %v, hint %+v", err, refused)
	}
}

func TestAPasswordIsNeverPrinted(t *testing.T) {
	p := &sshtunnel.Provider{Access: &sshtunnel.Access{User: "ana", Password: "word"}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, p.Access) + fmt.Sprintf(format, struct{ A *sshtunnel.Access }{p.Access}); strings.Contains(got, "word") {
			t.Errorf("%s prints %s", format, got)
		}
	}
}
