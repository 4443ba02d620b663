package relay

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// authority makes certificates for a test.
type authority struct {
	t     testing.TB
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, roots: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's own"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	var der []byte
	a.key, der = a.sign(template, template)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(a.cert)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate) (*ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	by := a.key
	if template == parent {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, der
}

// issue makes a certificate for name and its key, in PEM.
func (a *authority) issue(serial int64, name string, from, until time.Time) (cert, key []byte) {
	a.t.Helper()
	private, der := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{name}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert)
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// files makes a certificate that is good now, and gives it unloaded.
func (a *authority) files(serial int64, name string) *Certificate {
	a.t.Helper()
	dir := a.t.TempDir()
	c := &Certificate{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	cert, key := a.issue(serial, name, time.Now().Add(-time.Minute), time.Now().Add(time.Minute))
	write(a.t, c.CertFile, cert)
	write(a.t, c.KeyFile, key)
	return c
}

func write(t testing.TB, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFilesThatAreNoCertificateAreExplained(t *testing.T) {
	a, now := newAuthority(t), time.Now()
	for name, tc := range map[string]struct {
		spoil     func(c *Certificate)
		want, fix string
	}{
		"no certificate": {func(c *Certificate) { os.Remove(c.CertFile) }, "read the certificate: open ", "docs/relay.md"},
		"no key":         {func(c *Certificate) { os.Remove(c.KeyFile) }, "read the key: open ", "docs/relay.md"},
		"a folder":       {func(c *Certificate) { c.CertFile = filepath.Dir(c.CertFile) }, "is a directory", "docs/relay.md"},
		"not PEM":        {func(c *Certificate) { write(t, c.CertFile, []byte("hello")) }, "failed to find any PEM data", "fullchain.pem"},
		"the key twice":  {func(c *Certificate) { c.CertFile = c.KeyFile }, "failed to find certificate PEM data", "fullchain.pem"},
		"too large":      {func(c *Certificate) { write(t, c.KeyFile, make([]byte, maxPEM+1)) }, "larger than 1 MiB", "docs/relay.md"},
		"another's key": {func(c *Certificate) {
			_, key := a.issue(2, "*.localhost", now, now.Add(time.Hour))
			write(t, c.KeyFile, key)
		}, "private key does not match public key", "of one certificate"},
		"expired": {func(c *Certificate) {
			cert, key := a.issue(2, "*.localhost", now.Add(-2*time.Hour), now.Add(-time.Hour))
			write(t, c.CertFile, cert)
			write(t, c.KeyFile, key)
		}, "has expired on " + now.Add(-time.Hour).UTC().Format(time.DateOnly), "renew it"},
		"not yet": {func(c *Certificate) {
			cert, key := a.issue(2, "*.localhost", now.Add(48*time.Hour), now.Add(72*time.Hour))
			write(t, c.CertFile, cert)
			write(t, c.KeyFile, key)
		}, "begins on " + now.Add(48*time.Hour).UTC().Format(time.DateOnly), "clock"},
	} {
		t.Run(name, func(t *testing.T) {
			c := a.files(1, "*.localhost")
			if err := c.Load(); err != nil {
				t.Fatal(err)
			}
			before := c.Leaf()
			tc.spoil(c)
			err := c.Load()
			var wrong *CertificateError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want …%s…", err, tc.want)
			}
			if fix, exit := wrong.Explain(); !strings.Contains(fix, tc.fix) || exit != 2 {
				t.Errorf("the fix is %q, exit status %d", fix, exit)
			}
			if c.Leaf() != before {
				t.Error("the certificate that was loaded is gone")
			}
		})
	}
}

func TestACertificateCoversTheNamesUnderItsDomain(t *testing.T) {
	a := newAuthority(t)
	for name, tc := range map[string]struct{ domain, want string }{
		"*.relay.example.org": {"Relay.Example.org.", ""},
		"relay.example.org":   {"relay.example.org", "it is for relay.example.org"},
		"*.example.org":       {"relay.example.org", "it is for *.example.org"},
	} {
		c := a.files(1, name)
		if err := c.Load(); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := c.Covers(tc.domain); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s for %s: got %q, want %q", name, tc.domain, got, tc.want)
		}
	}
}

func TestACertificateIsReadAgainWhenItsFilesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := newAuthority(t)
		c := a.files(1, "*.localhost")
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		if _, err := c.Get(nil); err == nil {
			t.Error("there is a certificate before one was loaded")
		}
		if err := c.Load(); err != nil {
			t.Fatal(err)
		}
		serial := func(want int64, when string) {
			t.Helper()
			pair, err := c.Get(nil)
			if err != nil || pair.Leaf.SerialNumber.Int64() != want {
				t.Errorf("%s: got %v, %v, want number %d", when, pair.Leaf.SerialNumber, err, want)
			}
		}
		cert, key := a.issue(2, "*.localhost", time.Now(), time.Now().Add(time.Minute))
		write(t, c.CertFile, append(cert, '\n')) // its time may be that of the one before: see version
		<-time.After(lookEvery - 1)
		serial(1, "within a second")
		<-time.After(1)
		serial(1, "with the key of the one before")
		<-time.After(lookEvery)
		serial(1, "still with that")
		if n := strings.Count(log.String(), "of no use"); n != 1 {
			t.Errorf("that was said %d times:\n%s", n, &log)
		}
		write(t, c.KeyFile, key)
		<-time.After(lookEvery)
		serial(2, "with both files")
		os.Remove(c.CertFile)
		<-time.After(lookEvery)
		serial(2, "without its file")

		log.Reset()
		<-time.After(2 * time.Minute)
		serial(2, "expired")
		<-time.After(lookEvery)
		serial(2, "expired, later")
		if n := strings.Count(log.String(), "has expired"); n != 1 {
			t.Errorf("the expiry was said %d times:\n%s", n, &log)
		}
	})
}
