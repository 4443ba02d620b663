package dial

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// What RFC 1928 and RFC 1929 call the bytes.
const (
	socksVersion      = 5
	socksNoLogin      = 0
	socksUserPassword = 2
	socksNoMethod     = 0xff
	socksConnect      = 1
	socksIPv4         = 1
	socksName         = 3
	socksIPv6         = 4
	loginVersion      = 1
)

// errBadSOCKS is for bytes that are no answer of SOCKS 5.
var errBadSOCKS = errors.New("what it answers is not SOCKS 5")

// socks asks a SOCKS proxy for a connection. It reads the answers to the byte, so
// that nothing is left over.
func socks(conn io.ReadWriter, p *Proxy, addr string) (rest []byte, err error) {
	target, err := socksTarget(addr)
	if err != nil {
		return nil, err
	}
	if err := socksLogin(conn, p); err != nil {
		return nil, err
	}
	if _, err := conn.Write(append([]byte{socksVersion, socksConnect, 0}, target...)); err != nil {
		return nil, err
	}
	code, err := readSOCKSReply(conn)
	if err != nil {
		return nil, err
	}
	return nil, socksRefusal(code, addr)
}

// socksLogin agrees on a way to log in, and logs in.
func socksLogin(conn io.ReadWriter, p *Proxy) error {
	hello := []byte{socksVersion, 1, socksNoLogin}
	if p.login != nil {
		hello = []byte{socksVersion, 2, socksNoLogin, socksUserPassword}
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	var chosen [2]byte
	if err := readSOCKS(conn, chosen[:]); err != nil {
		return err
	}
	switch {
	case chosen[0] != socksVersion:
		return errBadSOCKS
	case chosen[1] == socksNoLogin:
		return nil
	case chosen[1] == socksNoMethod:
		return p.notLetIn(nil, "")
	case chosen[1] != socksUserPassword || p.login == nil:
		return errBadSOCKS
	}
	l := p.login
	ask := append([]byte{loginVersion, byte(len(l.user))}, l.user...)
	ask = append(append(ask, byte(len(l.password))), l.password...)
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	var verdict [2]byte // of a version that proxies do not agree about, and a status
	if err := readSOCKS(conn, verdict[:]); err != nil {
		return err
	}
	if verdict[1] != 0 {
		return p.notLetIn(nil, "")
	}
	return nil
}

// socksTarget is addr as the proxy reads it: an address, or a name for it to resolve.
func socksTarget(addr string) ([]byte, error) {
	host, digits, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return nil, err
	}
	var target []byte
	switch ip, err := netip.ParseAddr(host); {
	case err != nil:
		target = append([]byte{socksName, byte(len(host))}, host...)
	case ip.Unmap().Is4():
		four := ip.Unmap().As4()
		target = append([]byte{socksIPv4}, four[:]...)
	default:
		sixteen := ip.As16()
		target = append([]byte{socksIPv6}, sixteen[:]...)
	}
	return append(target, byte(port>>8), byte(port)), nil
}

// readSOCKSReply reads the answer to a request, with the address that the proxy
// connects from, which is of no use here.
func readSOCKSReply(r io.Reader) (code byte, err error) {
	var head [4]byte
	if err := readSOCKS(r, head[:]); err != nil {
		return 0, err
	}
	if head[0] != socksVersion || head[2] != 0 {
		return 0, errBadSOCKS
	}
	var length int
	switch head[3] {
	case socksIPv4:
		length = 4
	case socksIPv6:
		length = 16
	case socksName:
		var n [1]byte
		if err := readSOCKS(r, n[:]); err != nil {
			return 0, err
		}
		length = int(n[0])
	default:
		return 0, errBadSOCKS
	}
	return head[1], readSOCKS(r, make([]byte, length+2)) // and a port
}

// readSOCKS fills p.
func readSOCKS(r io.Reader, p []byte) error {
	switch n, err := io.ReadFull(r, p); {
	case err == io.EOF && n == 0:
		return errHungUp
	case err == io.ErrUnexpectedEOF:
		return errors.New("it hangs up in the middle of its answer")
	default:
		return err
	}
}

// socksRefusal says in words why there is no connection; nil for code 0.
func socksRefusal(code byte, addr string) error {
	why := map[byte]string{
		1: "a failure that it does not explain", 3: "network unreachable", 4: "host unreachable", 5: "connection refused",
		6: "no answer in time", 7: "it does not know how", 8: "it does not know this kind of address",
	}[code]
	switch {
	case code == 0:
		return nil
	case code == 2:
		return refusal("go around it with  --proxy none", "it lets nobody connect to %s", addr)
	case why == "":
		why = fmt.Sprintf("code %d", code)
	}
	return fmt.Errorf("it cannot connect to %s: %s", addr, why)
}
