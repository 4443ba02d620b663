package inspector

import (
	"strings"
	"time"

	"github.com/slackdev/slackdev/inspector/slack"
)

// Exchange is a request and what became of it. A stored Exchange is never changed;
// a newer one with the same ID replaces it.
type Exchange struct {
	ID      ID
	Origin  Origin
	Of      ID // the exchange that this one was made from, or the zero ID
	Started time.Time
	Elapsed time.Duration // from Started to the last byte of the answer; 0 until then
	// Delivery is the relay's ID of the request, where it gave one: a request that
	// comes a second time under the same ID is the same request.
	Delivery string
	// Upstream is the name of the app that the request was for, where there are
	// several; "" for the first.
	Upstream string

	Request  Request
	Response *Response // nil until answered, and for ever where Fault says why
	Fault    string    // why there is no answer, or no whole one. A fault is not a response

	Slack    slack.Payload
	Verdict  slack.Verdict
	Findings []slack.Finding

	Pinned bool // kept when the store makes room; set through Store.Pin, ignored by Put
}

// Done reports whether all that will ever be known is known.
func (x *Exchange) Done() bool { return x.Response != nil || x.Fault != "" }

// Origin says by which way a request came.
type Origin string

// The ways.
const (
	Tunnel   Origin = "tunnel"   // through the public URL
	Local    Origin = "local"    // straight to the proxy on this machine
	Replay   Origin = "replay"   // a recorded request, sent again
	Composed Origin = "composed" // made here: slackdev send
	Outgoing Origin = "outgoing" // from the app to Slack
)

// Request is what arrived, as it arrived: header values and body are the sender's bytes.
type Request struct {
	Method   string
	Target   string // path and query, as in the request line
	Host     string
	Proto    string // HTTP/1.1
	Remote   string // the address of the connection's other end; in a tunnel, as the SSH server tells it
	Header   Header
	Body     Body
	Trailer  Header
	Upgraded bool // the connection became something else (a websocket); bodies are not recorded
}

// Response is what was answered.
type Response struct {
	Status  int
	Header  Header
	Body    Body
	Trailer Header
	// By says who answered: App, Slackdev, or "rule NAME".
	By string
}

// Who answers, besides rules.
const (
	ByApp      = "app"
	BySlackdev = "slackdev"
)

// Body is the part of a body that was kept, and how long all of it was.
type Body struct {
	Bytes []byte
	Size  int64 // bytes that passed
}

// Truncated reports whether Bytes is only the beginning.
func (b Body) Truncated() bool { return int64(len(b.Bytes)) < b.Size }

// Answer is what a rule gives in the app's place.
type Answer struct {
	Response *Response     // nil where Fault says what happens instead
	Delay    time.Duration // waited before anything else happens
	Fault    string        // "", FaultTimeout or FaultReset
	By       string        // "rule NAME"
}

// The faults that a rule can play.
const (
	FaultTimeout = "timeout" // no answer until the sender gives up
	FaultReset   = "reset"   // the connection is cut
)

// Path is the target without its query.
func (r *Request) Path() string {
	path, _, _ := strings.Cut(r.Target, "?")
	return path
}
