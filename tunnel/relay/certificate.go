package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxPEM     = 1 << 20     // bytes of a file
	lookEvery  = time.Second // at the files, at most
	dateLayout = time.DateOnly
)

// Certificate is a certificate chain and its key in two PEM files, which may be
// replaced while it is used. Load it, then give its Get to a Relay. Get and Leaf are
// for many goroutines.
type Certificate struct {
	CertFile, KeyFile string
	// Log is told what becomes of a replacement. Nil means silence.
	Log *slog.Logger

	current atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // guards the rest; held by the one who looks
	looked time.Time
	seen   [2]version // when they were looked at
	broken bool       // and could not be used then
	late   bool       // that the current one has expired was said
}

// version tells two contents of a file apart.
type version struct {
	changed time.Time
	size    int64
}

// CertificateError says why files do not make a certificate, and how to mend that.
type CertificateError struct {
	Err error
	Fix string
}

// Error gives the reason.
func (e *CertificateError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *CertificateError) Unwrap() error { return e.Err }

// Explain gives the fix, and the exit status 2: wrong usage.
func (e *CertificateError) Explain() (hint string, exit int) { return e.Fix, 2 }

// Load reads the files. Where they are of no use it fails with a *CertificateError, and
// what was loaded before stays.
func (c *Certificate) Load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = time.Now()
	return c.load(c.versions())
}

// Get gives the certificate, and looks whether the files have changed if nobody has
// for a second. Of those that cannot be used, Log hears once; the old ones stay.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.current.Load() == nil {
		return nil, errors.New("no certificate is loaded")
	}
	if c.mu.TryLock() {
		if now := time.Now(); now.Sub(c.looked) >= lookEvery {
			c.looked = now
			c.look(now)
		}
		c.mu.Unlock()
	}
	return c.current.Load(), nil
}

// Leaf gives the certificate itself, which must have been loaded.
func (c *Certificate) Leaf() *x509.Certificate { return c.current.Load().Leaf }

// Covers says, if the names under domain are not among those of the certificate, which
// it is for.
func (c *Certificate) Covers(domain string) error {
	leaf := c.Leaf()
	if leaf.VerifyHostname("name."+strings.ToLower(strings.Trim(domain, "."))) == nil {
		return nil
	}
	const most = 5
	names := leaf.DNSNames
	switch {
	case len(names) == 0:
		return errors.New("it is for no DNS name")
	case len(names) > most:
		names = append(slices.Clone(names[:most]), "…")
	}
	return fmt.Errorf("it is for %s", strings.Join(names, ", "))
}

// look reads the files if they have changed. While they cannot be used it tries each
// time: two changes may be too close for the clock of the files. The caller holds c.mu.
func (c *Certificate) look(now time.Time) {
	if found := c.versions(); c.broken || found != c.seen {
		known := c.broken && found == c.seen
		switch err := c.load(found); {
		case err == nil:
			c.late = false
			c.logger().Info("certificate read again", "until", c.Leaf().NotAfter.Format(dateLayout))
		case !known:
			c.logger().Error("the new certificate is of no use, the old one stays", "err", err)
		}
	}
	if leaf := c.Leaf(); !c.late && now.After(leaf.NotAfter) {
		c.late = true
		c.logger().Error("the certificate has expired", "file", c.CertFile, "on", leaf.NotAfter.Format(dateLayout))
	}
}

func (c *Certificate) logger() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// versions looks at the files. One that is not there has the zero version.
func (c *Certificate) versions() (v [2]version) {
	for i, file := range []string{c.CertFile, c.KeyFile} {
		if info, err := os.Stat(file); err == nil {
			v[i] = version{info.ModTime(), info.Size()}
		}
	}
	return v
}

// load reads the files, which had these versions before. The caller holds c.mu.
func (c *Certificate) load(v [2]version) error {
	pair, err := c.read()
	c.seen, c.broken = v, err != nil
	if err == nil {
		c.current.Store(pair)
	}
	return err
}

func (c *Certificate) read() (*tls.Certificate, error) {
	const both = "give the chain and the key of one certificate:  --cert fullchain.pem --key privkey.pem"
	chain, err := readPEM("certificate", c.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := readPEM("key", c.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, &CertificateError{Err: fmt.Errorf("use %s with %s: %w", c.CertFile, c.KeyFile, err), Fix: both}
	}
	switch now, leaf := time.Now(), pair.Leaf; {
	case now.After(leaf.NotAfter):
		return nil, &CertificateError{Fix: "renew it (docs/relay.md says how), then start the relay again",
			Err: fmt.Errorf("the certificate in %s has expired on %s", c.CertFile, leaf.NotAfter.Format(dateLayout))}
	case now.Before(leaf.NotBefore):
		return nil, &CertificateError{Fix: "check the clock of this machine",
			Err: fmt.Errorf("the certificate in %s begins on %s", c.CertFile, leaf.NotBefore.Format(dateLayout))}
	}
	return &pair, nil
}

func readPEM(what, file string) ([]byte, error) {
	fix := "name a PEM file with  --cert  and one with  --key;  docs/relay.md says how to get them"
	f, err := os.Open(file)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			fix = "let the user that the relay runs as read it:  chgrp slackdev " + file + " && chmod 640 " + file
		}
		return nil, &CertificateError{Err: fmt.Errorf("read the %s: %w", what, err), Fix: fix}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	switch {
	case err != nil:
		return nil, &CertificateError{Err: fmt.Errorf("read the %s: %w", what, err), Fix: fix}
	case len(text) > maxPEM:
		return nil, &CertificateError{Err: fmt.Errorf("read the %s: %s is larger than 1 MiB", what, file), Fix: fix}
	}
	return text, nil
}
