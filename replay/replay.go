// Package replay sends requests to the app again, and new ones like them: signed
// afresh, changed where that is asked for, one or many.
//
// It delivers to the same http.Handler that serves everybody else, so that what it
// sends is verified, recorded and shown like a request from Slack. It opens no
// connection, follows no redirect and keeps nothing.
package replay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// DefaultTimeout is how long an answer is waited for. Slack waits for three seconds;
// a person who stopped the app in a debugger wants longer.
const DefaultTimeout = 90 * time.Second

// Source is where the recorded requests are: a store.
type Source interface {
	Get(ctx context.Context, id inspector.ID) (*inspector.Exchange, error)
}

// Replayer sends requests. It is read-only after construction and safe for many
// goroutines.
type Replayer struct {
	Source  Source
	Handler http.Handler                // the proxy
	To      func(*url.URL) http.Handler // the same, in front of another app; nil: Options.To is refused
	// Secrets sign: the one that the original was signed with where it is known by
	// name, else the first. Without any, headers go as they were recorded.
	Secrets []slack.Secret
	Host    string // of requests that were made here; empty: localhost
	Now     func() time.Time
	NewID   func() inspector.ID
	Timeout time.Duration // zero: DefaultTimeout
}

// Options are the changes to make on the way. The zero Options make none but the
// signature.
type Options struct {
	Set  []slack.Set // changes of the decoded payload, after Body
	Body []byte      // a whole new body; nil: the recorded one
	To   *url.URL    // another app than the proxy's own: see IsApp
	// App is the name of one of the proxy's apps. Empty: the one that the recorded
	// request was for.
	App string
	// AsRetry, from 1, makes the request Slack's retry of that number; Reason is why
	// Slack would say that it retries, http_timeout when empty.
	AsRetry int
	Reason  string
}

// RefusedError says why a request cannot be sent, and what to do about it.
type RefusedError struct {
	Why string
	Fix string // what to type, may be empty
}

// Error is the reason.
func (e *RefusedError) Error() string { return e.Why }

// Hint is what to type.
func (e *RefusedError) Hint() string { return e.Fix }

// Replay sends a recorded request again: the recorded bytes, signed afresh. It
// returns when the answer has ended and gives the ID under which the new exchange is
// recorded; what the app answered, or why it did not, is in that exchange and is not
// an error here. Errors are inspector.ErrNotFound, *RefusedError, what the source and
// slack.Edit say, and the context's.
func (r *Replayer) Replay(ctx context.Context, id inspector.ID, o Options) (inspector.ID, error) {
	x, err := r.Source.Get(ctx, id)
	if err != nil {
		return inspector.ID{}, fmt.Errorf("replay %s: %w", id, err)
	}
	if err := replayable(x, o); err != nil {
		return inspector.ID{}, fmt.Errorf("replay %s: %w", id, err)
	}
	p := inspector.Provenance{Origin: inspector.Replay, Of: x.ID, Upstream: x.Upstream}
	sent, err := r.send(ctx, x.Request, r.secretFor(x), p, o)
	if err != nil {
		return sent, fmt.Errorf("replay %s: %w", id, err)
	}
	return sent, nil
}

// Send delivers a request that was made here, signed with the first secret. It
// returns as Replay does. A request without a host is for Host.
func (r *Replayer) Send(ctx context.Context, q inspector.Request, o Options) (inspector.ID, error) {
	if q.Host == "" {
		q.Host = r.Host
	}
	var secret *slack.Secret
	if len(r.Secrets) > 0 && signed(q.Method, "") {
		secret = &r.Secrets[0]
	}
	sent, err := r.send(ctx, q, secret, inspector.Provenance{Origin: inspector.Composed}, o)
	if err != nil {
		return sent, fmt.Errorf("send %s %s: %w", q.Method, q.Path(), err)
	}
	return sent, nil
}

// replayable refuses what was not recorded whole.
func replayable(x *inspector.Exchange, o Options) error {
	body := x.Request.Body
	switch {
	case x.Request.Upgraded:
		return &RefusedError{Why: "the connection was upgraded, and what went over it is not recorded"}
	case body.Truncated() && o.Body == nil:
		return &RefusedError{
			Why: fmt.Sprintf("only %d of the body's %d bytes were kept", len(body.Bytes), body.Size),
			Fix: fmt.Sprintf("slackdev tunnel PORT --keep %d", body.Size),
		}
	}
	return nil
}

// secretFor picks the secret for a replay; nil where the request goes as it is.
func (r *Replayer) secretFor(x *inspector.Exchange) *slack.Secret {
	if len(r.Secrets) == 0 || !signed(x.Request.Method, x.Slack.Kind) {
		return nil
	}
	named := slices.IndexFunc(r.Secrets, func(s slack.Secret) bool { return s.Name == x.Verdict.Secret })
	return &r.Secrets[max(named, 0)]
}

// signed reports whether Slack would sign such a request: all that it posts, and not
// the browser that it sends to the OAuth redirect.
func signed(method string, kind slack.Kind) bool {
	return method != http.MethodGet && method != http.MethodHead && kind != slack.OAuthRedirect
}

// send prepares q and delivers it under a new ID.
func (r *Replayer) send(ctx context.Context, q inspector.Request, secret *slack.Secret, p inspector.Provenance, o Options) (inspector.ID, error) {
	handler, err := r.handler(o)
	if err != nil {
		return inspector.ID{}, err
	}
	switch {
	case o.To != nil:
		p.Upstream = "" // it has but one
	case o.App != "":
		p.Upstream = o.App
	}
	q, err = prepared(q, o)
	if err != nil {
		return inspector.ID{}, err
	}
	if secret != nil {
		timestamp, signature := secret.Sign(r.Now(), q.Body.Bytes)
		q.Header = set(q.Header, "X-Slack-Signature", signature)
		q.Header = set(q.Header, "X-Slack-Request-Timestamp", timestamp)
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errGaveUp)
	defer cancel()
	p.ID, p.Header = r.NewID(), q.Header
	request, err := httpRequest(inspector.WithProvenance(ctx, p), q)
	if err != nil {
		return inspector.ID{}, err
	}
	if err := deliver(handler, request); err != nil {
		return p.ID, err
	}
	// Waiting for an answer in vain is the exchange's fault and is recorded there;
	// that somebody stopped us is the caller's to know.
	if err := context.Cause(ctx); err != nil && !errors.Is(err, errGaveUp) {
		return p.ID, err
	}
	return p.ID, nil
}

// errGaveUp is the cause of a context that ended because nobody answered in time.
var errGaveUp = errors.New("no answer in time")

func (r *Replayer) handler(o Options) (http.Handler, error) {
	switch {
	case o.To == nil:
		return r.Handler, nil
	case o.App != "":
		return nil, &RefusedError{Why: fmt.Sprintf("a request goes to %q or to %s, and not to both", o.App, o.To.Redacted())}
	case r.To == nil:
		return nil, &RefusedError{Why: "requests go to the tunnel's own app alone here"}
	case !IsApp(o.To):
		return nil, &RefusedError{Why: fmt.Sprintf("%q is not the address of an app", o.To.Redacted()), Fix: "--to http://localhost:3001"}
	}
	return r.To(o.To), nil
}

// IsApp reports whether u can be the address of an app: http or https with a host and
// without a user, or unix with the absolute path of a socket.
func IsApp(u *url.URL) bool {
	switch u.Scheme {
	case "http", "https":
		return u.Hostname() != "" && u.User == nil
	case "unix":
		return u.Host == "" && filepath.IsAbs(u.Path)
	}
	return false
}
