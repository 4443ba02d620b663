package relay

import (
	"net/http"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// absent is how many names are kept that nobody has claimed; -1 when none will be again.
func (w *world) absent() int {
	w.s.names.mu.RLock()
	defer w.s.names.mu.RUnlock()
	if w.s.names.absent == nil {
		return -1
	}
	return len(w.s.names.absent)
}

func TestAFreshRelayHoldsRequestsUntilTheirNamesComeBack(t *testing.T) {
	w := start(t, patient)
	first, second, other := w.visit(get("app", "/1")), w.visit(post("APP", "hello")), w.visit(get("other", "/"))
	w.holds(3)
	w.up("app", http.HandlerFunc(echo))
	if resp, body := first.answer("GET"); body != "GET /1 " {
		t.Errorf("got %s %q", resp.Status, body)
	}
	if resp, body := second.answer("POST"); body != "POST / hello" {
		t.Errorf("got %s %q", resp.Status, body)
	}
	w.holds(1)
	w.up("other", http.HandlerFunc(echo))
	other.answer("GET")
	if n := w.absent(); n != 0 {
		t.Errorf("%d names that were claimed are still kept as absent", n)
	}
	if resp, _ := first.answerTo(get("app", "/2")); resp.StatusCode != 200 {
		t.Errorf("the connection does not go on: %s", resp.Status)
	}
}

// answerTo sends another request on the same connection.
func (v *visit) answerTo(raw string) (*http.Response, string) {
	v.t.Helper()
	v.send(raw)
	return v.answer("GET")
}

func TestWhoWaitsForAFreshRelaysNameIsJudgedByItsRules(t *testing.T) {
	w := start(t, patient)
	v := w.visit(get("app", "/"))
	w.holds(1)
	w.protect(newSigner(t), "app", wire.Access{Networks: "192.0.2.0/24"}, http.HandlerFunc(echo))
	v.wants("from elsewhere", 403, codeNotAllowed)
}

func TestWhatCannotBeANameIsNotHeld(t *testing.T) {
	w := start(t, patient)
	for name, host := range map[string]string{
		"reserved": "www.localhost", "malformed": "-a.localhost", "of another form": "xn--a.localhost",
		"of another domain": "app.example.com", "two labels": "a.b.localhost", "the domain itself": "localhost",
	} {
		resp, _ := w.visit("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n").answer("GET")
		if resp.StatusCode != 404 || resp.Header.Get("X-Slackdev-Relay") != codeUnknownName {
			t.Errorf("%s: got %s %v", name, resp.Status, resp.Header)
		}
	}
	if n := w.absent(); n != 0 {
		t.Errorf("%d names are kept", n)
	}
}

func TestANameThatDoesNotComeBackIsUnknownAndForgotten(t *testing.T) {
	const hold = 50 * time.Millisecond
	w := start(t, short(Limits{Hold: hold}))
	begin := time.Now()
	v := w.visit(get("app", "/"))
	if resp, _ := v.answer("GET"); resp.StatusCode != 404 || resp.Header.Get("X-Slackdev-Relay") != codeUnknownName || resp.Close {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
	until(t, "nothing is kept", func() bool { return w.absent() < 0 })
	if took := time.Since(begin); took < hold {
		t.Errorf("all was over after %v", took)
	}
	if resp, _ := v.answerTo(get("app", "/")); resp.StatusCode != 404 {
		t.Errorf("later: got %s", resp.Status)
	}
	w.holds(0)
}

func TestTheHoldOfAFreshRelayIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		limits Limits
		host   string
		want   int
		code   string
	}{
		"of a name":       {Limits{Hold: 20 * time.Second, HoldRequests: 1}, "app", 503, codeTunnelDown},
		"in all":          {Limits{Hold: 20 * time.Second, HoldTotal: 1}, "app", 503, codeTunnelDown},
		"in names":        {Limits{Hold: 20 * time.Second, HoldTotal: 1}, "other", 404, codeUnknownName},
		"where it is off": {Limits{Hold: -1}, "other", 404, codeUnknownName},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, short(tc.limits))
			if tc.limits.Hold > 0 {
				w.visit(get("app", "/"))
				w.holds(1)
			}
			resp, _ := w.visit(get(tc.host, "/")).answer("GET")
			if resp.StatusCode != tc.want || resp.Header.Get("X-Slackdev-Relay") != tc.code {
				t.Errorf("got %s %v", resp.Status, resp.Header)
			}
		})
	}
}

func TestAFreshRelayThatStopsTurnsAwayWhatItHolds(t *testing.T) {
	w := start(t, patient)
	v := w.visit(get("app", "/"))
	w.holds(1)
	stopped := w.stopping()
	v.draining("what was held")
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestANameThatComesBackAndGoesIsDownAndNotUnknown(t *testing.T) {
	w := start(t, short(Limits{Hold: 50 * time.Millisecond}))
	w.known("app")
	w.visit(get("app", "/")).wants("after its tunnel has gone", 503, codeTunnelDown)
}
