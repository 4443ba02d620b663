package dial_test

import (
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/dial"
)

// blackHole takes a port on which no connection is made and none refused, as behind a
// firewall that drops: the queue of a socket that nobody accepts from is full, and
// the kernel drops what comes then.
func blackHole(t *testing.T, host string, port int) {
	t.Helper()
	family, addr := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if host == "::1" {
		family, addr = syscall.AF_INET6, &syscall.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, addr); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 3 { // until one is dropped
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), 200*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the queue does not fill")
}

// listenOn is the far end on an address and any port.
func listenOn(t *testing.T, host string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("no %s on this machine: %v", host, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			farEnd(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

// The dialer may take minutes for a step, so that only a race brings the test to its
// end before its patience is over.
func TestIPv4AndIPv6AreRaced(t *testing.T) {
	for name, tc := range map[string]struct {
		addrs       []string
		alive, dead string
	}{
		"IPv6 is dropped on the way": {[]string{"::1", "127.0.0.1"}, "127.0.0.1", "::1"},
		"IPv4 is dropped on the way": {[]string{"127.0.0.1", "::1"}, "::1", "127.0.0.1"},
		"IPv6 is refused":            {[]string{"::1", "127.0.0.1"}, "127.0.0.1", ""},
		"IPv4 is refused":            {[]string{"127.0.0.1", "::1"}, "::1", ""},
		"no IPv6 at all":             {[]string{"127.0.0.1"}, "127.0.0.1", ""},
		"no IPv4 at all":             {[]string{"::1"}, "::1", ""},
		"IPv6 leads nowhere":         {[]string{"100::1", "127.0.0.1"}, "127.0.0.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			port := listenOn(t, tc.alive)
			if tc.dead != "" {
				blackHole(t, tc.dead, port)
			}
			d := &dial.Dialer{Resolver: names(t, "relay.test", tc.addrs...), Timeout: 10 * time.Minute}
			c, err := d.DialContext(soon(t), "tcp", net.JoinHostPort("relay.test", strconv.Itoa(port)))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.RemoteAddr().(*net.TCPAddr).IP.String(); got != tc.alive {
				t.Errorf("connected to %s, want %s", got, tc.alive)
			}
			wantFarEnd(t, c)
		})
	}
}
