package relay

import (
	"bytes"
	"net"
	"net/netip"
)

// peer is the other end of a visitor's connection: the visitor itself, or a server
// that the operator has put in front of the relay.
type peer struct {
	addr    netip.Addr // not valid where the network does not tell
	proto   string
	trusted bool // see Relay.TrustedProxies
}

func (s *server) peerOf(c net.Conn) peer {
	p := peer{proto: s.plain}
	if a, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		p.addr = a.Addr().Unmap().WithZone("")
	}
	if _, ok := c.(*tlsConn); ok {
		p.proto = "https"
	}
	p.trusted = within(s.TrustedProxies, p.addr)
	return p
}

// within says whether ip is in one of the networks. What is no address is in none.
func within(networks []netip.Prefix, ip netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// locate says where the request in q comes from. Only what a trusted proxy says can
// make that another address than the connection's.
func (v *visitor) locate(q *request) {
	v.x.pass = pass{}
	if !v.peer.trusted {
		return
	}
	v.from = v.s.behind(v.peer.addr, q)
	proto := v.peer.proto
	if last := q.lastListed("X-Forwarded-Proto"); bytes.EqualFold(last, []byte("https")) || bytes.EqualFold(last, []byte("http")) {
		proto = string(bytes.ToLower(last))
	}
	v.stamp = stampOf(v.from, proto)
}

// stampOf gives the fields that tell the app where a request comes from.
func stampOf(from netip.Addr, proto string) string {
	text := "unknown"
	if from.IsValid() {
		text = from.String()
	}
	return "X-Forwarded-For: " + text + "\r\nX-Forwarded-Proto: " + proto + "\r\nX-Forwarded-Host: "
}

// behind gives the address for which the trusted proxy at peer has asked: the last
// one in X-Forwarded-For that is not a trusted proxy's, since each adds at the end
// whom it was asked by, and what stands before may be anybody's. Where it is no
// address the visitor has none either, and is in no network.
func (s *server) behind(peer netip.Addr, q *request) netip.Addr {
	at := peer
	for i := len(q.fields) - 1; i >= 0; i-- {
		f := &q.fields[i]
		// To the letter: a proxy may pass X_Forwarded_For on as it came.
		if f.kind != forwarded || !bytes.EqualFold(q.bytes(f.name), []byte("X-Forwarded-For")) {
			continue
		}
		for rest := q.bytes(f.value); ; {
			cut := bytes.LastIndexByte(rest, ',')
			at = hostAddr(string(bytes.Trim(rest[cut+1:], " \t")))
			if !within(s.TrustedProxies, at) {
				return at
			}
			if cut < 0 {
				break
			}
			rest = rest[:cut]
		}
	}
	return at
}

// hostAddr reads an address as proxies write it: alone, in brackets, or with a port.
func hostAddr(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil && len(text) > 2 && text[0] == '[' && text[len(text)-1] == ']' {
		a, err = netip.ParseAddr(text[1 : len(text)-1])
	}
	if err != nil {
		p, _ := netip.ParseAddrPort(text) // not valid on an error
		a = p.Addr()
	}
	return a.Unmap().WithZone("")
}

// lastListed gives the last value of the list that the fields of this name make.
func (q *request) lastListed(name string) []byte {
	for i := len(q.fields) - 1; i >= 0; i-- {
		if f := &q.fields[i]; bytes.EqualFold(q.bytes(f.name), []byte(name)) {
			list := q.bytes(f.value)
			return bytes.Trim(list[bytes.LastIndexByte(list, ',')+1:], " \t")
		}
	}
	return nil
}
