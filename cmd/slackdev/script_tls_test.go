//go:build unix

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// authority signs the certificates of one script. Slack, there, trusts it alone.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a script's own"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key, roots: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.roots.AddCert(a.cert)
	return a, nil
}

// makeCertificate is
//
//	certificate [--name '*.localhost'] [--serial 2] [--lasts 720h] CERT KEY
//
// It writes a certificate and its key, in PEM; a negative time makes one that has
// expired. KEY is readable by its owner alone. Who has signed it stands in
// $WORK/authority.pem.
func (s *stage) makeCertificate(ts *testscript.TestScript, args []string) error {
	flags := flag.NewFlagSet("certificate", flag.ContinueOnError)
	name := flags.String("name", "*.localhost", "")
	serial := flags.Int64("serial", 2, "")
	lasts := flags.Duration("lasts", 720*time.Hour, "")
	if err := flags.Parse(args); err != nil || flags.NArg() != 2 {
		return fmt.Errorf("usage: certificate [FLAGS] CERT KEY: %v", err)
	}
	if s.authority == nil {
		var err error
		if s.authority, err = newAuthority(); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	until := time.Now().Add(*lasts)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(*serial), DNSNames: []string{*name}, NotBefore: until.Add(-1000 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}, s.authority.cert, key.Public(), s.authority.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "authority.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.cert.Raw}), 0o644),
		os.WriteFile(ts.MkAbs(flags.Arg(0)), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(ts.MkAbs(flags.Arg(1)), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// awaitCertificate is  await-certificate ADDRESS SERIAL:  shakes hands until that
// certificate is shown.
func (s *stage) awaitCertificate(_ *testscript.TestScript, args []string) error {
	if len(args) != 2 || s.authority == nil {
		return errors.New("usage: await-certificate ADDRESS SERIAL, of a certificate")
	}
	ctx, cancel := patiently()
	defer cancel()
	for {
		got, err := s.shownSerial(ctx, args[0])
		if err != nil {
			return fmt.Errorf("wait for certificate %s: %w", args[1], err)
		}
		if got == args[1] {
			return nil
		}
	}
}

// shakeUntil is  shake-until NAME.out|NAME.err REGEXP ADDRESS:  shakes hands again and
// again until a program has printed the pattern.
func (s *stage) shakeUntil(_ *testscript.TestScript, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: shake-until FILE REGEXP ADDRESS")
	}
	from, err := s.stream(args[0])
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	ctx, cancel := patiently()
	defer cancel()
	for !pattern.MatchString(from.String()) {
		if _, err := s.shownSerial(ctx, args[2]); err != nil {
			return fmt.Errorf("wait for %s: %w", pattern, err)
		}
	}
	return nil
}

func (s *stage) shownSerial(ctx context.Context, addr string) (string, error) {
	conn, err := (&tls.Dialer{Config: s.tlsConfig("any.localhost")}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return strconv.FormatInt(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64(), 10), nil
}

// tlsConfig trusts the script's authority, and where there is none the system's.
func (s *stage) tlsConfig(name string) *tls.Config {
	config := &tls.Config{ServerName: name}
	if s.authority != nil {
		config.RootCAs = s.authority.roots
	}
	return config
}

// speakTLS is  speak-tls ADDRESS PROTOCOL:  offers one protocol by ALPN, and fails where
// the handshake does.
func (s *stage) speakTLS(_ *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: speak-tls ADDRESS PROTOCOL")
	}
	ctx, cancel := patiently()
	defer cancel()
	var plain net.Dialer
	conn, err := plain.DialContext(ctx, "tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	config := s.tlsConfig("any.localhost")
	config.NextProtos = []string{args[1]}
	c := tls.Client(conn, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	if got := c.ConnectionState().NegotiatedProtocol; got != args[1] {
		return fmt.Errorf("the server chose %q", got)
	}
	return nil
}
