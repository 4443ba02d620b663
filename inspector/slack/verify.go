package slack

import (
	"net/http"
	"time"
)

// MaxAge is how far a request's timestamp may lie from now, either way, before it
// is stale. Slack's documentation says five minutes
// (docs.slack.dev/authentication/verifying-requests-from-slack).
const MaxAge = 5 * time.Minute

// Secret is a signing secret and the name that a person knows it by. The value
// can be used and not read: no verb of package fmt prints it.
type Secret struct {
	Name string
	key  []byte
}

// NewSecret refuses an empty or blank value: an empty key is a valid HMAC key, and
// whoever verifies with it accepts every forgery.
func NewSecret(name, value string) (Secret, error) { panic("slack: not yet") }

// Sign returns the values of X-Slack-Request-Timestamp and X-Slack-Signature for
// body, sent at the given time.
func (s Secret) Sign(at time.Time, body []byte) (timestamp, signature string) {
	panic("slack: not yet")
}

// Status is the outcome of a verification. None of them is an error: in a
// developer's tool a wrong signature is information.
type Status uint8

// The outcomes.
const (
	Unchecked Status = iota // there is no secret to check with, or the body was too large to check
	Valid                   // signed with a known secret, and fresh
	Missing                 // no signature or no timestamp
	Malformed               // a signature or a timestamp that Slack cannot have sent
	Stale                   // signed with a known secret, too long ago or too far in the future
	Mismatch                // signed with another secret, or the body was changed on the way
	TokenOnly               // unsigned, with a legacy verification token
)

// String gives the word that JSON and the search language use.
func (s Status) String() string { panic("slack: not yet") }

// Verdict is what a verification found.
type Verdict struct {
	Status Status
	Secret string        // the name of the secret that matched
	Age    time.Duration // now minus the request's timestamp; negative when that lies in the future
	Detail string        // one sentence that names the cause; never a MAC
}

// Verifier checks signatures, version v0. It is read-only after construction.
type Verifier struct {
	Secrets []Secret
	MaxAge  time.Duration // zero: the constant MaxAge
	Now     func() time.Time
}

// Verify judges a request by its headers and the raw bytes of its body.
func (v *Verifier) Verify(h http.Header, body []byte) Verdict { panic("slack: not yet") }
