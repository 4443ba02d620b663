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
//
// slackdev's own client and relay agree on more, in requests that others ignore or
// refuse: see HelloName, AccessName and MoveName.
package wire

// What slackdev's client and relay say to each other besides. All are global requests.
const (
	// HelloName comes from the client, before its first forward and without wanting
	// a reply: that would cost a round trip. Its payload is a Hello.
	HelloName = "hello@slackdev"
	// AccessName comes from the client before a forward and wants a reply: a server
	// that does not say yes does not protect the name. Its payload is an Access,
	// which holds for the forwards that follow on this connection.
	AccessName = "access@slackdev"
	// MoveName comes from a relay that is about to stop, and wants no reply: the
	// client should open a new connection, and may use the old one meanwhile.
	MoveName = "move@slackdev"
)

// ALPN is what a client offers (RFC 7301) in a TLS handshake with a relay's HTTPS port
// when SSH is to follow inside. Everybody else speaks HTTP there.
const ALPN = "slackdev-ssh"

// RequestIDField is the field of a request's head in which a relay that got a Hello
// gives the request's ID: the Hello's Token, a full stop, and the ID. The ID stays
// the same when the relay sends the request again, on whichever connection. Without
// the token that was given in the same SSH connection the field means nothing: it
// may be a stranger's. A relay drops what came under this name from outside.
const RequestIDField = "X-Slackdev-Relay-Id"

// Hello introduces a client that keeps a history, and can tell a request that it
// has had before.
type Hello struct {
	// Instance is made up by each process (or each Provider in it). A relay may
	// close an older connection of the same key and the same instance at once: its
	// client would not be here if it still lived.
	Instance string
	// Token is made up for each connection: 16 to 64 characters, letters and digits.
	Token string
}

// Access says who may use the names of the forwards that follow.
type Access struct {
	// Networks are prefixes as netip.ParsePrefix reads them, with commas between
	// them, that visitors must come from. Empty: from anywhere.
	Networks string
	// Salt and Sum are for HTTP's basic authentication: Sum is the SHA-256 of Salt
	// and "user:password". Both empty: nobody is asked.
	Salt, Sum string
}

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
