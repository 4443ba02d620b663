package export

import (
	"math"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// Line is an exchange as one line of NDJSON. Its fields are a contract with other
// programs: names and meanings stay, new ones come at the end.
type Line struct {
	Type       string           `json:"type"` // "exchange"
	ID         string           `json:"id"`
	Started    time.Time        `json:"started"`
	Origin     inspector.Origin `json:"origin"`
	Of         string           `json:"of"`
	Method     string           `json:"method"`
	Path       string           `json:"path"`
	Kind       slack.Kind       `json:"kind"`
	Name       string           `json:"name"`
	User       string           `json:"user"`
	Channel    string           `json:"channel"`
	Team       string           `json:"team"`
	Verdict    string           `json:"verdict"`
	Status     int              `json:"status"` // 0: not answered
	AnsweredBy string           `json:"answered_by"`
	ElapsedMS  float64          `json:"elapsed_ms"`
	RetryNum   int              `json:"retry_num"`
	Findings   []string         `json:"findings"` // codes
	Fault      string           `json:"fault"`

	UserName    string `json:"user_name,omitempty"`
	ChannelName string `json:"channel_name,omitempty"`
	Text        string `json:"text,omitempty"`
	RetryReason string `json:"retry_reason,omitempty"`
	Secret      string `json:"secret,omitempty"` // the name of the one that matched
	Detail      string `json:"verdict_detail,omitempty"`
	Pinned      bool   `json:"pinned,omitempty"`
	Upstream    string `json:"upstream,omitempty"` // the name of the app that it was for; "": the first
	Done        bool   `json:"done"`
}

// LineOf describes x, with tokens masked. Names and texts are Slack's users':
// escape before showing.
func LineOf(x *inspector.Exchange) Line { return lineOf(x, slack.Redact) }

func lineOf(x *inspector.Exchange, mask mask) Line {
	l := Line{
		Type: "exchange", ID: x.ID.String(), Started: x.Started, Origin: x.Origin, Of: x.Of.String(),
		Method: x.Request.Method, Path: mask.text(x.Request.Path()),
		Kind: x.Slack.Kind, Name: mask.text(x.Slack.Name), User: x.Slack.User.ID, Channel: x.Slack.Channel.ID, Team: x.Slack.Team.ID,
		Verdict: x.Verdict.Status.String(), ElapsedMS: milliseconds(x.Elapsed),
		RetryNum: x.Slack.Retry, Findings: make([]string, 0, len(x.Findings)), Fault: mask.text(x.Fault),
		UserName: x.Slack.User.Name, ChannelName: x.Slack.Channel.Name, Text: mask.text(x.Slack.Text), RetryReason: x.Slack.RetryReason,
		Secret: x.Verdict.Secret, Detail: x.Verdict.Detail, Pinned: x.Pinned, Upstream: x.Upstream, Done: x.Done(),
	}
	if x.Response != nil {
		l.Status, l.AnsweredBy = x.Response.Status, x.Response.By
	}
	for _, f := range x.Findings {
		l.Findings = append(l.Findings, f.Code)
	}
	return l
}

// milliseconds gives d to a tenth of a millisecond.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(100*time.Microsecond)) / 10
}
