// Package tunnel says what a tunnel is: a net.Listener with a public address. It
// has the Provider that opens one and the Keeper that keeps one open. It knows no
// HTTP, no Slack and no SSH.
package tunnel

import (
	"context"
	"net"
	"net/url"
	"strings"
	"time"
)

// Tunnel is a listener whose connections come from a public address. Accept fails
// once the tunnel is lost; Close is safe at any time, also twice.
type Tunnel interface {
	net.Listener
	// URL is the public address, without a path.
	URL() *url.URL
}

// Noticer is a Tunnel that passes on what its service says besides the URL.
type Noticer interface {
	// Notices gives what has been said since the last call, oldest first: hostile
	// text, bounded, without control characters.
	Notices() []string
}

// Prober is a Tunnel that can be asked whether it still lives.
type Prober interface {
	// Probe returns nil at the far end's first sign of life, and an error when there
	// is none within about a second (longer, where the link is known to be slow),
	// when the tunnel ends, and when the context does. It may be called at any time.
	Probe(ctx context.Context) error
}

// Mover is a Tunnel whose far end may ask its clients to open another one, because
// it is about to stop. The tunnel serves on.
type Mover interface {
	// Moving is closed when the far end asks. It is the same channel each time.
	Moving() <-chan struct{}
}

// Withdrawer is a Tunnel whose far end can keep what comes for the next tunnel of the
// name.
type Withdrawer interface {
	// Withdraw asks the far end to bring nothing more, and returns nil when it has
	// agreed, or when it is not one that could keep anything. Connections live on. It
	// fails when the far end refuses, when the tunnel ends, and when the context does.
	Withdraw(ctx context.Context) error
}

// Provider opens tunnels of one kind.
type Provider interface {
	// Name is the word that --via takes: embedded, pinggy, ssh://…
	Name() string
	// Open blocks until the tunnel is live or the context ends. The tunnel outlives the context.
	Open(ctx context.Context) (Tunnel, error)
}

// RefusedError says that the far end (or its host key) refused: trying again
// without a change will not help, or, with Later, not soon. Hint can be typed, or is
// empty.
type RefusedError struct {
	Op    string
	Err   error
	Hint  string
	Later bool // it passes by itself, as a limit that is reached and a service under repair do
}

// Error gives the operation and the reason.
func (e *RefusedError) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap gives the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// State is where a Keeper is.
type State string

// The states.
const (
	Connecting State = "connecting"
	Up         State = "up"
	Down       State = "down"    // just lost
	Waiting    State = "waiting" // will try again after Status.Retry
)

// Status is announced at every change.
type Status struct {
	State    State
	Provider string
	URL      *url.URL      // the live URL, or the last one; nil before the first
	Changed  bool          // Up, and URL differs from the last one
	Public   bool          // others than this machine can reach URL
	Err      error         // Down, Waiting: why
	Retry    time.Duration // Waiting: until the next try
	Outage   time.Duration // Connecting, Waiting: for how long there has been no tunnel; Up: for how long there was none, 0 at first and after a move
	Notices  []string      // what the service says besides, hostile text
}

// Token gives what the far end of a tunnel puts in front of the IDs that it stamps
// requests with, or "" where it has not agreed to do that. It looks through
// everything around the tunnel's connection that has a NetConn method.
func Token(c net.Conn) string {
	for c != nil {
		if t, ok := c.(interface{ Token() string }); ok {
			return t.Token()
		}
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ""
		}
		c = inner.NetConn()
	}
	return ""
}

// Public reports whether machines other than this one can reach u: whether its
// host is neither a loopback address nor a name under localhost (RFC 6761).
func Public(u *url.URL) bool {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}
