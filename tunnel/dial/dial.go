// Package dial finds a way out of the network that a developer happens to be in:
// directly over IPv4 or IPv6, through an HTTP or a SOCKS proxy, inside TLS, or on a
// second port where the first is closed. It knows nothing of tunnels; what it gives
// is a net.Conn to an SSH server.
//
// The pieces are layers that fit together: a Dialer reaches an address, TLS wraps
// what any Func reaches, First chooses between addresses. Each waits for as long as
// its context lives and never longer than a limit of its own. What proxies and
// servers say is read up to a limit, checked, and cleaned before it is repeated. A
// failure is an *Error, which says at which step it happened.
package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Func makes a connection, as net.Dialer.DialContext does.
type Func func(ctx context.Context, network, addr string) (net.Conn, error)

// Dialer reaches addresses directly or through a proxy. Its zero value goes directly.
// Its fields are not changed after its first use; DialContext is safe for use by many
// goroutines.
type Dialer struct {
	Proxy    func(addr string) *Proxy // the proxy that leads to a host:port (see Proxies.For); nil, or a nil result: none
	Resolver *net.Resolver            // nil: the system's
	Roots    *x509.CertPool           // who may vouch for a proxy that is reached by https; nil: the system's
	Timeout  time.Duration            // for each step; 0: 10 s
	Trace    Trace                    // hears of each step; may be nil
}

// DialContext connects to addr, a host:port. IPv4 and IPv6 are raced as RFC 8305
// says, so that a dead one costs 300 ms. A proxy resolves the name itself.
//
// What it gives is a *net.TCPConn, or leads to one by NetConn methods.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := checkAddr(addr); err != nil {
		return nil, &Error{Step: Resolve, Peer: clean(addr, 100), Err: err}
	}
	if d.Proxy != nil {
		if p := d.Proxy(addr); p != nil {
			return d.through(ctx, network, p, addr)
		}
	}
	return d.direct(ctx, network, addr, addr)
}

// direct connects without a proxy. peer is what errors call addr.
func (d *Dialer) direct(ctx context.Context, network, addr, peer string) (net.Conn, error) {
	ctx, cancel := limit(ctx, d.Timeout)
	defer cancel()
	var mu sync.Mutex // guards both: nobody promises that a trace is over with the call
	var asked bool
	var resolved time.Time
	begin := time.Now()
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) {
			mu.Lock()
			defer mu.Unlock()
			asked = true
		},
		DNSDone: func(info httptrace.DNSDoneInfo) {
			mu.Lock()
			defer mu.Unlock()
			if info.Err == nil && resolved.IsZero() {
				resolved = time.Now()
			}
		},
	})
	conn, err := insistent((&net.Dialer{Resolver: d.Resolver}).DialContext)(traced, network, addr)
	end := time.Now()
	mu.Lock()
	defer mu.Unlock()

	step, dns := Connect, (*net.DNSError)(nil)
	if errors.As(err, &dns) || err != nil && asked && resolved.IsZero() {
		step = Resolve
	}
	err = failed(ctx, step, peer, err)
	if step == Resolve {
		d.Trace.tell(Resolve, peer, end.Sub(begin), err)
		return nil, err
	}
	if !resolved.IsZero() { // an address needs no resolving
		d.Trace.tell(Resolve, peer, resolved.Sub(begin), nil)
		begin = resolved
	}
	d.Trace.tell(Connect, peer, end.Sub(begin), err)
	return conn, err
}

// through connects to addr by way of a proxy.
func (d *Dialer) through(ctx context.Context, network string, p *Proxy, addr string) (net.Conn, error) {
	peer := "the proxy " + p.String()
	conn, err := d.direct(ctx, network, p.Addr, peer)
	if err != nil {
		return nil, err
	}
	if p.Scheme == "https" {
		if conn, err = d.secure(ctx, conn, p, peer); err != nil {
			return nil, err
		}
	}
	ask := connect
	if p.socks() {
		ask = socks
	}
	var rest []byte
	w := walk{Ask, peer, d.Timeout, d.Trace}
	err = w.with(ctx, conn, func(context.Context) (err error) {
		rest, err = ask(conn, p, addr)
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) { // it had not read what we asked
			err = errHungUp
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return withRest(conn, rest), nil
}

// secure agrees with a proxy on TLS, over which both speak HTTP as without.
func (d *Dialer) secure(ctx context.Context, conn net.Conn, p *Proxy, peer string) (net.Conn, error) {
	config := &tls.Config{ServerName: strings.TrimSuffix(hostOf(p.Addr), "."), RootCAs: d.Roots, MinVersion: tls.VersionTLS12}
	secured, err := walk{Secure, peer, d.Timeout, d.Trace}.handshake(ctx, conn, config)
	if refused := (*Error)(nil); errors.As(err, &refused) && refused.Refused {
		refused.Hint = "a proxy that is named https:// needs a certificate that this machine trusts; one without TLS is named  http://" + p.Addr
	}
	if err != nil {
		return nil, err
	}
	return secured, nil
}

// errHungUp is for a proxy that ends the connection in place of an answer.
var errHungUp = errors.New("it hangs up without an answer")

// checkAddr holds that addr is a host and a port that can be put into a request.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("this is not a host and a port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("the port is not a number from 1 to 65535")
	}
	if host == "" || len(host) > 255 {
		return errors.New("the host is empty or longer than 255 characters")
	}
	for _, c := range []byte(host) {
		if c <= ' ' || c > '~' {
			return errors.New("the host has a character that no host name has")
		}
	}
	return nil
}

// hostOf is the host of a host:port that was checked.
func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// withRest puts bytes that were read too early in front of a connection.
func withRest(conn net.Conn, rest []byte) net.Conn {
	if len(rest) == 0 {
		return conn
	}
	return &ahead{Conn: conn, rest: rest}
}

// ahead is a connection of which something was read ahead of its reader.
type ahead struct {
	net.Conn

	mu   sync.Mutex // guards rest
	rest []byte
}

// Read gives what was read ahead, then what comes.
func (a *ahead) Read(p []byte) (int, error) {
	a.mu.Lock()
	if len(a.rest) > 0 {
		defer a.mu.Unlock()
		n := copy(p, a.rest)
		a.rest = a.rest[n:]
		return n, nil
	}
	a.mu.Unlock()
	return a.Conn.Read(p)
}

// NetConn is the connection itself.
func (a *ahead) NetConn() net.Conn { return a.Conn }
