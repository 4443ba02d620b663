// Package doctor judges what `slackdev doctor` has found: a measurement goes in, and
// out comes a Check with a mark, a sentence and, where something is wrong, what to do
// about it. It measures nothing itself, and holds no state.
package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slackdev/slackdev/cmd/internal/probe"
)

// Mark is the outcome of a Check.
type Mark string

// The marks, as --json has them.
const (
	Good    Mark = "ok"
	Warning Mark = "warning" // it works, or may; a person should know
	Bad     Mark = "failed"  // it does not: doctor exits with status 1
)

// Check is one line of the doctor's report. Text and Fix may quote strangers: whoever
// shows them cleans them.
type Check struct {
	Name string // one word: dns, tcp, auth …
	Mark Mark
	Text string
	Fix  string        // what to type or to do; "" where nothing is wrong
	Took time.Duration // 0: not measured
}

// Slack's limits that a way must keep to.
const (
	// deadline is how long Slack waits for an answer
	// (docs.slack.dev/apis/events-api, "Responding to events").
	deadline = 3 * time.Second
	// slow is the share of it that should stay with the app.
	slow = time.Second
	// skew is how old a signature may be, or how far ahead
	// (docs.slack.dev/authentication/verifying-requests-from-slack).
	skew = 5 * time.Minute
)

// Way judges a probe that came through.
func Way(r *probe.Result) Check {
	c := Check{Name: "probe", Mark: Good, Took: r.Total}
	c.Text = "a signed request went through the public URL and back: " + Legs(r)
	switch {
	case r.Total > deadline:
		c.Mark, c.Fix = Bad, "Slack gives up after 3 s; take a tunnel that is nearer:  slackdev tunnel … --via …"
	case r.Total > slow:
		c.Mark, c.Fix = Warning, "of Slack's 3 s this takes a third or more; a tunnel that is nearer would leave your app more time"
	}
	return c
}

// Legs spells where a probe's time went.
func Legs(r *probe.Result) string {
	var legs []string
	for _, leg := range []struct {
		name string
		took time.Duration
	}{
		{"DNS", r.DNS}, {"connect", r.Connect}, {"TLS", r.TLS}, {"relay", r.Relay()}, {"SSH", r.SSH}, {"slackdev", r.Inside}, {"app", r.App},
	} {
		if leg.took > 0 || leg.name == "relay" && r.Way > 0 {
			legs = append(legs, leg.name+" "+Millis(leg.took))
		}
	}
	return strings.Join(legs, ", ")
}

// Millis spells a time in milliseconds or, under one, in microseconds, with as many
// digits as mean something.
func Millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// Stuck judges a probe that did not come through.
func Stuck(err error) Check {
	c := Check{Name: "probe", Mark: Bad, Text: "no request comes through the public URL: " + err.Error()}
	var failed *probe.Error
	if !errors.As(err, &failed) {
		return c
	}
	switch failed.Step {
	case probe.Barred:
		c.Mark, c.Text = Warning, "not tried: "+err.Error()
		c.Fix = "--allow-ip  says so; try from an address that it names"
	case probe.Resolve:
		c.Fix = "the URL's name is not known here; a new name can take a minute, and a relay needs a DNS record for *.ITS-DOMAIN"
	case probe.Dial:
		c.Fix = "nobody answers at the URL's address: is a firewall between, or the relay's HTTP port another one?"
	case probe.Secure:
		c.Fix = "Slack refuses such a certificate too; it needs one of a public authority for the URL's name"
	case probe.Intact:
		c.Fix = "take another tunnel:  slackdev tunnel … --via relay://HOST  passes every byte as it came"
	case probe.Arrive:
		c.Fix = "open the URL in a browser to see who answers"
	}
	return c
}

// Certificate judges the public side's certificate.
func Certificate(state *tls.ConnectionState, now time.Time) Check {
	c := Check{Name: "certificate", Mark: Good}
	if state == nil || len(state.PeerCertificates) == 0 {
		c.Mark, c.Text = Warning, "the public URL is plain http: Slack takes https only"
		c.Fix = "give the relay a certificate:  slackdev relay --https :443 --cert FILE --key FILE"
		return c
	}
	leaf := state.PeerCertificates[0]
	left := leaf.NotAfter.Sub(now)
	c.Text = fmt.Sprintf("%s, by %s, for %s more", strings.Join(names(leaf), " "), issuer(leaf), days(left))
	if left < 7*24*time.Hour {
		c.Mark, c.Fix = Warning, "it ends soon: renew it"
	}
	return c
}

// names are those that a certificate is for, a few of them.
func names(leaf *x509.Certificate) []string {
	const most = 3
	if len(leaf.DNSNames) > most {
		return append(leaf.DNSNames[:most:most], "…")
	}
	return leaf.DNSNames
}

func issuer(leaf *x509.Certificate) string {
	if len(leaf.Issuer.Organization) > 0 {
		return leaf.Issuer.Organization[0]
	}
	return leaf.Issuer.CommonName
}

func days(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); n {
	case 0:
		return d.Round(time.Minute).String()
	case 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}

// Clock judges how far this machine's clock is ahead of somebody's who says the time
// to the second. Slack's signatures are 5 minutes old at most.
func Clock(ahead time.Duration, whose string) Check {
	c := Check{Name: "clock", Mark: Good}
	off := ahead.Abs()
	side := "ahead of"
	if ahead < 0 {
		side = "behind"
	}
	switch {
	case off <= 2*time.Second:
		c.Text = "right, by " + whose
		return c
	case off < skew/10:
		c.Mark = Good
	case off < skew:
		c.Mark, c.Fix = Warning, "set it:  timedatectl set-ntp true"
	default:
		c.Mark, c.Fix = Bad, "every signature of Slack's looks stale; set the clock:  timedatectl set-ntp true"
	}
	c.Text = fmt.Sprintf("your clock is %v %s %s", off.Round(time.Second), side, whose)
	return c
}
