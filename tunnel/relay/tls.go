package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// tlsConfig allows TLS 1.2 and later, with ciphers that also authenticate and keys
// that are forgotten. Session tickets are Go's own: their keys live in memory, and
// change every day.
func (r *Relay) tlsConfig() *tls.Config {
	return &tls.Config{
		GetCertificate: r.Certificate,
		NextProtos:     []string{wire.ALPN, "http/1.1"},
		MinVersion:     tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// serveTLS takes connections until the listener ends.
func (s *server) serveTLS(l net.Listener) error {
	return s.accept(l, func(c net.Conn) {
		if !s.admit(&s.handshakes, c) {
			c.Close()
			s.log.Warn("too many TLS handshakes", "from", c.RemoteAddr())
			return
		}
		s.tasks.Go(func() { s.greet(c) })
	})
}

// greet does the handshake and serves the connection as what it turns out to be.
func (s *server) greet(nc net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.Handshake)
	defer cancel()
	c, err := s.handshake(ctx, nc)
	switch {
	case err != nil:
		s.dismiss(&s.handshakes, nc)
		nc.Close()
		s.log.Info("no TLS", "from", nc.RemoteAddr(), "err", clip(err.Error()))
	case c.ConnectionState().NegotiatedProtocol == wire.ALPN:
		admitted := s.admit(&s.logins, c) // before it is dismissed: stop must find it
		s.dismiss(&s.handshakes, nc)
		if !admitted {
			c.Close()
			s.log.Warn("too many connections that are not logged in", "from", nc.RemoteAddr())
			return
		}
		s.login(c)
	default:
		s.receive(ctx, nc, c)
	}
}

// receive serves a visitor when there is a seat, if that is soon.
func (s *server) receive(ctx context.Context, nc net.Conn, c *tlsConn) {
	c.tcp.patience = s.limits.BodyIdle
	v := newVisitor(s, c)
	select {
	case s.seats <- struct{}{}:
		defer func() { <-s.seats }()
	case <-ctx.Done():
	case <-s.stopping:
	}
	seated := ctx.Err() == nil && s.seat(v)
	s.dismiss(&s.handshakes, nc)
	if !seated {
		c.Close()
		return
	}
	defer s.unseat(v)
	v.serve()
}

// handshake ends with ctx at the latest.
func (s *server) handshake(ctx context.Context, nc net.Conn) (*tlsConn, error) {
	by, _ := ctx.Deadline()
	nc.SetDeadline(by)
	tcp := &patientConn{Conn: nc}
	c := &tlsConn{Conn: tls.Server(tcp, s.tls), tcp: tcp, tasks: &s.tasks}
	if err := c.Handshake(); err != nil {
		var header tls.RecordHeaderError
		if errors.As(err, &header) && header.Conn != nil && speaksHTTP(header.RecordHeader) {
			s.explainTLS(nc)
		}
		return nil, err
	}
	nc.SetDeadline(time.Time{})
	return c, nil
}

// speaksHTTP says whether what should have been a handshake begins like a request.
func speaksHTTP(begin [5]byte) bool {
	switch string(begin[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO":
		return true
	}
	return false
}

// explainTLS answers a visitor that speaks plain HTTP, and gives it a moment to read that.
func (s *server) explainTLS(nc net.Conn) {
	if _, err := nc.Write(bad("This port speaks HTTPS: begin the address with https://").page(asked{}, &message{}, false)); err != nil {
		return
	}
	if c, ok := nc.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	nc.SetReadDeadline(time.Now().Add(linger))
	io.CopyN(io.Discard, nc, lingerBytes)
}

// tlsConn is a connection inside TLS that ends as one of TCP does, so that visitors
// need not know the difference: CloseWrite and Close do not wait for the other end,
// and what is closed without a CloseWrite looks cut short.
type tlsConn struct {
	*tls.Conn
	tcp   *patientConn
	tasks *sync.WaitGroup
}

// CloseWrite says that nothing more is written. It is said in the background: the
// other end may not be reading, and who calls this has other visitors to serve.
func (c *tlsConn) CloseWrite() error {
	c.tasks.Go(func() { c.Conn.CloseWrite() })
	return nil
}

// sayEnd says the same and waits until that is written: in TLS, what ends without it
// may have been cut short by anybody.
func sayEnd(c net.Conn) {
	if t, ok := c.(*tlsConn); ok {
		t.Conn.CloseWrite()
	}
}

// SetLinger is that of the TCP connection.
func (c *tlsConn) SetLinger(seconds int) error {
	if t, ok := c.tcp.Conn.(interface{ SetLinger(int) error }); ok {
		return t.SetLinger(seconds)
	}
	return nil
}

// Close ends the connection and says no more.
func (c *tlsConn) Close() error { return c.tcp.Close() }

// patientConn is what a tls.Conn writes to. A write that meets its deadline breaks a
// tls.Conn for good, however much of it has passed. So with patience deadlines do not
// come from above: a write here goes on for as long as the other end takes some of it
// now and then.
type patientConn struct {
	net.Conn
	patience time.Duration // 0: writes have the deadlines that are set; not changed while there are writes
}

// SetWriteDeadline sets a deadline where there is no patience.
func (c *patientConn) SetWriteDeadline(t time.Time) error {
	if c.patience > 0 {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (c *patientConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Write writes all of p.
func (c *patientConn) Write(p []byte) (int, error) {
	if c.patience == 0 {
		return c.Conn.Write(p)
	}
	for total := 0; ; {
		c.Conn.SetWriteDeadline(time.Now().Add(c.patience))
		n, err := c.Conn.Write(p[total:])
		if total += n; err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return total, err
		}
	}
}

// clip bounds a text for the log, of which strangers may have written a part.
func clip(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
