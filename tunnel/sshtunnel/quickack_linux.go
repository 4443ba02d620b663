package sshtunnel

import (
	"net"
	"syscall"
)

// acker turns delayed acknowledgements off. The kernel turns them on again by
// itself, so that it has to be done after each read.
type acker struct{ raw syscall.RawConn }

// newAcker gives an acker that does nothing where c is not a TCP connection.
func newAcker(c net.Conn) acker {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return acker{}
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
