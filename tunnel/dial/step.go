package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
	"unicode"
)

// Step is a part of the way to a server.
type Step string

// The steps, in the order in which they are taken.
const (
	Resolve Step = "resolve" // find the address of a name
	Connect Step = "connect" // open a TCP connection, to the server or to a proxy
	Ask     Step = "proxy"   // have a proxy connect to the server
	Secure  Step = "tls"     // agree on TLS, with a proxy or with the server
	Greet   Step = "greet"   // see the line that an SSH server begins with
)

// Error says which step failed, and with whom. Its text is for a person and holds no
// credentials; what others said in it is clean and short.
type Error struct {
	Step    Step
	Peer    string // a host:port, or "the proxy " and a URL
	Err     error
	Refused bool   // trying again without a change will not help
	Hint    string // what to type or to change, may be empty
}

// Error gives the step, the peer and the reason.
func (e *Error) Error() string {
	var doing string
	switch e.Step {
	case Resolve:
		doing = "look up "
	case Connect:
		doing = "connect to "
	case Secure:
		doing = "TLS with "
	case Greet:
		doing = "look for SSH at "
	}
	return doing + e.Peer + ": " + reason(e.Err)
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// reason spells an error without what the caller has said already.
func reason(err error) string {
	var dns *net.DNSError
	var sys *os.SyscallError
	switch {
	case errors.As(err, &dns) && dns.IsTimeout:
		return "the name server does not answer"
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &sys):
		return sys.Err.Error()
	}
	return err.Error()
}

// Leg is a step that was taken, or failed.
type Leg struct {
	Step Step
	Peer string
	Took time.Duration
	Err  error // an *Error, or nil
}

// Trace hears of each step when it is over, in order. It is called by whoever dials,
// so by several goroutines where several dial, and does not block.
type Trace func(Leg)

func (t Trace) tell(step Step, peer string, took time.Duration, err error) {
	if t != nil {
		t(Leg{step, peer, took, err})
	}
}

// orStep is a step's limit where nobody has named another.
func orStep(most time.Duration) time.Duration {
	if most <= 0 {
		return 10 * time.Second
	}
	return most
}

// limit bounds a step.
func limit(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	most = orStep(most)
	return context.WithTimeoutCause(ctx, most, fmt.Errorf("no answer within %v", most))
}

// failed makes err the failure of a step; nil stays nil. Where the context has ended,
// that is the reason, and what it broke off says less.
func failed(ctx context.Context, step Step, peer string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok { // it knows what it means, and not yet where
		e.Step, e.Peer = step, peer
		return e
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &Error{Step: step, Peer: peer, Err: err}
}

// refusal is what will not change by itself.
func refusal(hint, format string, args ...any) *Error {
	return &Error{Err: fmt.Errorf(format, args...), Refused: true, Hint: hint}
}

// walk is a step that is taken on an open connection.
type walk struct {
	step    Step
	peer    string
	timeout time.Duration
	trace   Trace
}

// with takes the step within its limit: f talks on conn, which is closed when the
// time is up, and when the step fails.
func (w walk) with(ctx context.Context, conn net.Conn, f func(context.Context) error) error {
	ctx, cancel := limit(ctx, w.timeout)
	defer cancel()
	begin := time.Now()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := f(ctx)
	if !stop() && err == nil {
		err = context.Cause(ctx) // conn is closed
	}
	err = failed(ctx, w.step, w.peer, err)
	if err != nil {
		_ = conn.Close() // twice where the time was up
	}
	w.trace.tell(w.step, w.peer, time.Since(begin), err)
	return err
}

// clean makes what a stranger said fit for one line of a terminal: what does not
// print is dropped, and so is what is beyond the most characters.
func clean(s string, most int) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "") {
		if !unicode.IsPrint(r) {
			continue
		}
		if most--; most < 0 {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
