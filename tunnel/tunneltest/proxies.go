package tunneltest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Serve gives each connection to a new loopback port to serve, in a goroutine of its
// own. stop closes the port and the connections, and waits until all have returned.
func Serve(serve func(net.Conn)) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var mu sync.Mutex // guards open
	open := make(map[net.Conn]bool)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			work.Go(func() {
				defer c.Close()
				serve(c)
				mu.Lock()
				defer mu.Unlock()
				delete(open, c)
			})
		}
	})
	return l.Addr().String(), func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		work.Wait()
	}, nil
}

// Closed gives a loopback address at which nobody listens, and which nobody else can
// take before the test ends: an outgoing connection has it.
func Closed(t testing.TB) (addr string) {
	t.Helper()
	to, stop, err := Serve(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}

// Proxy is a proxy that does its work, and takes nothing from its client that the
// protocol does not have. Its methods serve one connection each, and are for Serve.
type Proxy struct {
	User, Password string            // who may use it; empty: anybody
	Hosts          map[string]string // host:port that it knows under another name: what to connect to
	TLS            *tls.Config       // for HTTPS

	mu    sync.Mutex // guards what follows
	asked []string
}

// Asked lists what clients have wanted to connect to, as they spelled it.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// target connects to what a client wants.
func (p *Proxy) target(addr string) (net.Conn, error) {
	p.mu.Lock()
	p.asked = append(p.asked, addr)
	p.mu.Unlock()
	if known := p.Hosts[addr]; known != "" {
		addr = known
	}
	return net.Dial("tcp", addr)
}

// HTTPS is HTTP inside TLS.
func (p *Proxy) HTTPS(c net.Conn) { p.HTTP(tls.Server(c, p.TLS)) }

// HTTP serves one CONNECT.
func (p *Proxy) HTTP(c net.Conn) {
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	answer := func(status string, fields string) { fmt.Fprintf(c, "HTTP/1.1 %s\r\n%s\r\n", status, fields) }
	for name := range req.Header {
		if name != "User-Agent" && name != "Proxy-Authorization" {
			answer("400 Bad Request", "")
			return
		}
	}
	if req.Method != http.MethodConnect || req.Proto != "HTTP/1.1" || req.Host != req.RequestURI || r.Buffered() > 0 {
		answer("400 Bad Request", "")
		return
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.User+":"+p.Password))
	if p.User != "" && req.Header.Get("Proxy-Authorization") != want {
		answer("407 Proxy Authentication Required", "Proxy-Authenticate: Negotiate, Basic realm=\"Example, \\\"Corp\\\"\"\r\nContent-Length: 4\r\n")
		_, _ = io.WriteString(c, "no.\n")
		return
	}
	to, err := p.target(req.RequestURI)
	if err != nil {
		answer("502 Bad Gateway", "")
		return
	}
	answer("200 Connection established", "Via: 1.1 test\r\n")
	splice(c, to)
}

// SOCKS5 serves one connection of SOCKS 5.
func (p *Proxy) SOCKS5(c net.Conn) {
	if p.greet(c) != nil {
		return
	}
	addr, err := socksRequest(c)
	if err != nil {
		return
	}
	to, err := p.target(addr)
	if err != nil {
		_, _ = c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	_, _ = c.Write([]byte{5, 0, 0, 3, 4, 't', 'e', 's', 't', 0, 80}) // it may tell a name
	splice(c, to)
}

// greet lets a client in.
func (p *Proxy) greet(c net.Conn) error {
	offers, err := counted(c, 5)
	if err != nil {
		return err
	}
	way := byte(0)
	if p.User != "" {
		way = 2
	}
	if !slices.Contains(offers, way) {
		_, _ = c.Write([]byte{5, 0xff})
		return errors.New("no way to log in")
	}
	if _, err := c.Write([]byte{5, way}); err != nil || way == 0 {
		return err
	}
	user, err := counted(c, 1)
	if err != nil {
		return err
	}
	password, err := counted(c)
	if err != nil {
		return err
	}
	if string(user) != p.User || string(password) != p.Password {
		_, _ = c.Write([]byte{1, 1})
		return errors.New("wrong password")
	}
	_, err = c.Write([]byte{1, 0})
	return err
}

// counted reads the bytes that must come, a length, and as many bytes.
func counted(c net.Conn, must ...byte) ([]byte, error) {
	head := make([]byte, len(must)+1)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	if !slices.Equal(head[:len(must)], must) {
		return nil, errors.New("malformed")
	}
	p := make([]byte, head[len(must)])
	_, err := io.ReadFull(c, p)
	return p, err
}

// socksRequest reads what a client wants to connect to.
func socksRequest(c net.Conn) (string, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return "", err
	}
	var host string
	ip := make(net.IP, map[byte]int{1: 4, 4: 16}[head[3]])
	switch head[3] {
	case 1, 4:
		if _, err := io.ReadFull(c, ip); err != nil {
			return "", err
		}
		host = ip.String()
	case 3:
		name, err := counted(c)
		if err != nil {
			return "", err
		}
		host = string(name)
	}
	port := make([]byte, 2)
	if _, err := io.ReadFull(c, port); err != nil {
		return "", err
	}
	if !slices.Equal(head[:3], []byte{5, 1, 0}) || host == "" {
		return "", errors.New("malformed")
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1]))), nil
}

// splice passes bytes both ways until one side ends, then closes both.
func splice(a, b net.Conn) {
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = a.Close()
		_ = b.Close()
	}
	both.Go(func() { pass(a, b) })
	both.Go(func() { pass(b, a) })
	both.Wait()
}
