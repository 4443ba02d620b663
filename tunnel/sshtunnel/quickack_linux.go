package sshtunnel

import (
	"net"
	"syscall"
)

// acker turns delayed acknowledgements off. The kernel turns them on again by
// itself, so that it has to be done after each read.
type acker struct{ raw syscall.RawConn }

// newAcker gives an acker that does nothing where c is not a TCP connection, and does
// not lead to one by NetConn methods, as one inside TLS does.
func newAcker(c net.Conn) acker {
	tcp, ok := c.(*net.TCPConn)
	for !ok {
		outer, wraps := c.(interface{ NetConn() net.Conn })
		if !wraps {
			return acker{}
		}
		c = outer.NetConn()
		tcp, ok = c.(*net.TCPConn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return acker{}
	}
	return acker{raw}
}

// now acknowledges what has come. It is a hint: a failure costs time, nothing else.
func (a acker) now() {
	if a.raw != nil {
		_ = a.raw.Control(acknowledge)
	}
}

func acknowledge(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
}
