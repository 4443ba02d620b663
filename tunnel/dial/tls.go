package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// TLS reaches SSH servers inside TLS, for networks that let nothing else out. The
// certificate says that the far end has the name; whether it is the right SSH server
// is for its host key to say. Its fields are not changed after its first use;
// DialContext is safe for use by many goroutines.
type TLS struct {
	Dial     Func           // reaches the server's port; nil: a zero Dialer
	Protocol string         // what the server should agree to speak (ALPN)
	Roots    *x509.CertPool // who may vouch for the server; nil: the system's
	Timeout  time.Duration  // for each step; 0: 10 s
	Trace    Trace          // hears of the steps that are taken here; may be nil
}

// DialContext connects to addr, a host:port, and agrees on TLS 1.2 or later. A server
// that agrees on no protocol, because another program does the TLS in front of it,
// must begin to speak SSH by itself.
func (t *TLS) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := t.Dial
	if dial == nil {
		dial = new(Dialer).DialContext
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		ServerName: strings.TrimSuffix(hostOf(addr), "."), RootCAs: t.Roots,
		MinVersion: tls.VersionTLS12, NextProtos: []string{t.Protocol},
	}
	secured, err := walk{Secure, addr, t.Timeout, t.Trace}.handshake(ctx, conn, config)
	if err != nil {
		return nil, err
	}
	if secured.ConnectionState().NegotiatedProtocol == t.Protocol {
		return secured, nil
	}
	return greeted(ctx, secured, walk{Greet, addr, min(orStep(t.Timeout), greetTimeout), t.Trace})
}

// handshake is the step that agrees on TLS. It takes conn over.
func (w walk) handshake(ctx context.Context, conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	secured := tls.Client(conn, config)
	err := w.with(ctx, conn, func(ctx context.Context) error {
		if err := secured.HandshakeContext(ctx); err != nil {
			return explainTLS(err, config)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return secured, nil
}

// alertNoProtocol is the TLS alert of a server that speaks none of the protocols that
// it was asked for (RFC 7301, section 3.2).
const alertNoProtocol = tls.AlertError(120)

// explainTLS says in words why a handshake failed. What the server would have to
// change is a refusal.
func explainTLS(err error, config *tls.Config) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var header tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &unknown):
		return refusal("if it is your own, name the certificate of its authority:  --relay-ca FILE", "its certificate is from an authority that is not known here%s", issuer(unknown.Cert))
	case errors.As(err, &name):
		return refusal("", "its certificate is for %s and not for %s", names(name.Certificate), config.ServerName)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return refusal("compare the clocks, then renew the server's certificate", "its certificate is good %s", validity(invalid.Cert))
	case errors.As(err, &invalid):
		return refusal("", "its certificate is not good: %s", clean(invalid.Error(), 200))
	case errors.As(err, &header):
		return notTLS(header.RecordHeader[:])
	case errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == alertNoProtocol.Error():
		return refusal("", "it does not speak %s: this is not a slackdev relay, or an older one", strings.Join(config.NextProtos, " or "))
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("it refuses: %w", op.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it hangs up")
	}
	return err
}

// notTLS is for a server that began with something else.
func notTLS(head []byte) error {
	switch {
	case strings.HasPrefix(string(head), "SSH-"):
		return refusal("SSH without TLS is  relay://HOST:PORT", "it speaks SSH, without TLS")
	case strings.HasPrefix(string(head), "HTTP/"):
		return refusal("", "it speaks HTTP, without TLS")
	}
	return errors.New("what it answers is not TLS")
}

func issuer(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	by := clean(c.Issuer.String(), 80)
	if by == "" {
		return ""
	}
	return " (" + by + ")"
}

// names lists who a certificate is for.
func names(c *x509.Certificate) string {
	const most = 4
	list := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	more := ""
	if len(list) > most {
		list, more = list[:most], " and others"
	}
	if len(list) == 0 {
		return "nobody by name"
	}
	return clean(strings.Join(list, ", "), 150) + more
}

// validity says which days a certificate is good for.
func validity(c *x509.Certificate) string {
	return fmt.Sprintf("from %s to %s alone", c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
}
