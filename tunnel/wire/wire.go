// Package wire has what both ends of a tunnel say to each other: the SSH messages
// of RFC 4254 section 7, and the two kinds of line that a relay writes into the
// session of its client. It holds no state and does no I/O.
//
// The protocol is the one that `ssh -R NAME:80:localhost:3000 RELAY` speaks, so
// that any SSH client is a client of the relay:
//
//   - the client sends ForwardName with the wanted name as BindAddr; the relay
//     answers yes (with a ForwardReply where port 0 was asked for) or no;
//   - the client opens a session; the relay writes URLPrefix and the public URL
//     into its standard output, or ErrorPrefix and a reason into its standard error;
//   - the relay opens a ForwardedChannel for each connection. Its Addr is the
//     BindAddr exactly as it was asked for, its Port the one that was answered.
package wire

// The names of RFC 4254 section 7, and OpenSSH's for a request whose only point is
// that it gets an answer.
const (
	ForwardName       = "tcpip-forward"
	CancelForwardName = "cancel-tcpip-forward"
	ForwardedChannel  = "forwarded-tcpip"
	KeepAliveName     = "keepalive@openssh.com"
)

// ClientVersion is how slackdev's client introduces itself, without the line's end.
// A relay may open channels ahead of need to a client whose version begins so: an
// ssh client would dial its app for each.
const ClientVersion = "SSH-2.0-slackdev"

// What a relay's lines in the session begin with. Each line ends with "\r\n".
const (
	URLPrefix   = "URL: "
	ErrorPrefix = "error: "
)

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
