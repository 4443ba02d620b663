// Package wire has the SSH messages that both ends of a tunnel speak: the global
// requests of RFC 4254 section 7 and the opening of a forwarded channel.
package wire

// ForwardRequest is the payload of "tcpip-forward" and "cancel-tcpip-forward".
type ForwardRequest struct {
	BindAddr string
	BindPort uint32
}

// ForwardReply is the payload of the answer to a "tcpip-forward" that asked for port 0.
type ForwardReply struct {
	BindPort uint32
}

// ForwardedOpen is the extra data of the "forwarded-tcpip" channel. Addr and Port
// are those that were asked for, as the server tells them: OpenSSH gives the bind
// address, sish a name. OriginAddr and OriginPort are the public peer's.
type ForwardedOpen struct {
	Addr       string
	Port       uint32
	OriginAddr string
	OriginPort uint32
}
