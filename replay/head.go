package replay

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// reasons are the words of X-Slack-Retry-Reason (docs.slack.dev/apis/events-api).
func reasons() []string {
	return []string{"http_timeout", "too_many_redirects", "connection_failed", "ssl_error", "http_error", "unknown_error"}
}

// prepared gives a copy of q with the changes of o, everything but the signature.
func prepared(q inspector.Request, o Options) (inspector.Request, error) {
	q.Header = cleaned(q.Header)
	body := q.Body.Bytes
	if o.Body != nil {
		body = o.Body
	}
	if len(o.Set) > 0 {
		edited, err := slack.Edit(q.Header.HTTP(), body, o.Set)
		if err != nil {
			return q, fmt.Errorf("change the payload: %w", err)
		}
		body = edited
	}
	q.Body = inspector.Body{Bytes: body, Size: int64(len(body))}

	if len(q.Trailer) > 0 { // trailers follow a body in chunks, which has no length ahead
		q.Header = without(q.Header, "Content-Length")
	} else if len(body) > 0 || q.Header.Get("Content-Length") != "" {
		q.Header = set(q.Header, "Content-Length", strconv.Itoa(len(body)))
	}
	return asRetry(q, o)
}

func asRetry(q inspector.Request, o Options) (inspector.Request, error) {
	switch {
	case o.AsRetry < 0:
		return q, &RefusedError{Why: fmt.Sprintf("%d is not the number of a retry", o.AsRetry), Fix: "--as-retry 1"}
	case o.AsRetry == 0 && o.Reason != "":
		return q, &RefusedError{Why: "a reason for a retry needs the retry's number", Fix: "--as-retry 1"}
	case o.AsRetry == 0:
		return q, nil
	case o.Reason == "":
		o.Reason = reasons()[0]
	case !slices.Contains(reasons(), o.Reason):
		return q, &RefusedError{
			Why: fmt.Sprintf("Slack gives no retry reason %q", o.Reason), Fix: "one of " + strings.Join(reasons(), ", "),
		}
	}
	q.Header = set(q.Header, "X-Slack-Retry-Num", strconv.Itoa(o.AsRetry))
	q.Header = set(q.Header, "X-Slack-Retry-Reason", o.Reason)
	return q, nil
}

// cleaned gives a copy of a head without what belonged to the connections that the
// request came over: the hop-by-hop fields (RFC 9110, 7.6.1) and what proxies on
// the old path added about it.
func cleaned(h inspector.Header) inspector.Header {
	gone := []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Expect", "Host", "Forwarded", "Via", "X-Real-Ip",
	}
	for _, f := range h {
		if strings.EqualFold(f.Name, "Connection") {
			for name := range strings.SplitSeq(f.Value, ",") {
				gone = append(gone, strings.TrimSpace(name))
			}
		}
	}
	kept := make(inspector.Header, 0, len(h)+2)
	for _, f := range h {
		name := http.CanonicalHeaderKey(f.Name)
		drop := strings.HasPrefix(name, "X-Forwarded-") ||
			slices.ContainsFunc(gone, func(g string) bool { return strings.EqualFold(g, name) })
		if !drop {
			kept = append(kept, f)
		}
	}
	return kept
}

// set gives h with one field of that name: in the place and the spelling of the
// first that it had; a new one stands before Content-Length and Content-Type, which Slack's
// client writes last.
func set(h inspector.Header, name, value string) inspector.Header {
	at := slices.IndexFunc(h, named(name))
	if at >= 0 {
		h[at].Value = value
		rest := slices.DeleteFunc(h[at+1:], named(name))
		return h[:at+1+len(rest)]
	}
	at = len(h)
	for at > 0 && (named("Content-Length")(h[at-1]) || named("Content-Type")(h[at-1])) {
		at--
	}
	if named("Content-Length")(inspector.Field{Name: name}) {
		at = len(h)
	}
	return slices.Insert(h, at, inspector.Field{Name: name, Value: value})
}

func without(h inspector.Header, name string) inspector.Header {
	return slices.DeleteFunc(h, named(name))
}

func named(name string) func(inspector.Field) bool {
	return func(f inspector.Field) bool { return strings.EqualFold(f.Name, name) }
}
