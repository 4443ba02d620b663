package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slackdev/slackdev/cmd/internal/probe"
)

func TestTheClockIsJudgedByWhatSlackSignaturesBear(t *testing.T) {
	for name, tc := range map[string]struct {
		ahead time.Duration
		mark  Mark
		text  string
	}{
		"right":                     {800 * time.Millisecond, Good, "right, by slack.com"},
		"some seconds":              {-12 * time.Second, Good, "your clock is 12s behind slack.com"},
		"a minute":                  {time.Minute, Warning, "your clock is 1m0s ahead of slack.com"},
		"more than a signature may": {-11 * time.Minute, Bad, "your clock is 11m0s behind slack.com"},
	} {
		t.Run(name, func(t *testing.T) {
			c := Clock(tc.ahead, "slack.com")
			if c.Mark != tc.mark || c.Text != tc.text || (c.Mark == Good) != (c.Fix == "") {
				t.Errorf("%v ahead: got %+v", tc.ahead, c)
			}
		})
	}
}

func TestAWayIsJudgedByWhatItLeavesOfSlacksThreeSeconds(t *testing.T) {
	for total, want := range map[time.Duration]Mark{
		40 * time.Millisecond: Good, 1200 * time.Millisecond: Warning, 3100 * time.Millisecond: Bad,
	} {
		if c := Way(&probe.Result{Total: total}); c.Mark != want || (want == Good) != (c.Fix == "") {
			t.Errorf("a probe of %v: got %+v, want %s", total, c, want)
		}
	}
}

func TestLegsNameWhatWasMeasured(t *testing.T) {
	r := &probe.Result{Connect: 2 * time.Millisecond, Way: 41 * time.Millisecond, SSH: 11 * time.Millisecond, Inside: 240 * time.Microsecond}
	if got, want := Legs(r), "connect 2.0 ms, relay 30 ms, SSH 11 ms, slackdev 240 µs"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEachStepOfAStuckProbeHasAFix(t *testing.T) {
	for _, step := range []probe.Step{probe.Resolve, probe.Dial, probe.Secure, probe.Arrive, probe.Intact} {
		c := Stuck(&probe.Error{Step: step, Err: errors.New("that is why")})
		if c.Mark != Bad || c.Fix == "" || !strings.HasSuffix(c.Text, "that is why") {
			t.Errorf("%s: got %+v", step, c)
		}
	}
}

func TestACertificateIsJudgedByItsEnd(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	state := func(left time.Duration) *tls.ConnectionState {
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{
			DNSNames: []string{"*.relay.example.org", "relay.example.org"}, NotAfter: now.Add(left), Issuer: pkix.Name{Organization: []string{"An Authority"}},
		}}}
	}
	for name, tc := range map[string]struct {
		state *tls.ConnectionState
		mark  Mark
		text  string
	}{
		"none":           {nil, Warning, "plain http"},
		"for long":       {state(60 * 24 * time.Hour), Good, "*.relay.example.org relay.example.org, by An Authority, for 60 days more"},
		"for a few days": {state(30 * time.Hour), Warning, "for 1 day more"},
		"for some hours": {state(3 * time.Hour), Warning, "for 3h0m0s more"},
	} {
		t.Run(name, func(t *testing.T) {
			if c := Certificate(tc.state, now); c.Mark != tc.mark || !strings.Contains(c.Text, tc.text) {
				t.Errorf("got %+v", c)
			}
		})
	}
}
