package mock

import (
	"encoding/json"
	"strings"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// kinds are the words that match.kind knows.
func kinds() []string {
	all := []slack.Kind{
		slack.SlashCommand, slack.OutgoingWebhook, slack.EventCallback, slack.URLVerification, slack.AppRateLimited,
		slack.BlockActions, slack.BlockSuggestion, slack.ViewSubmission, slack.ViewClosed, slack.Shortcut, slack.MessageAction,
		slack.InteractiveMessage, slack.DialogSubmission, slack.DialogCancellation, slack.DialogSuggestion,
		slack.WorkflowStepEdit, slack.SSLCheck, slack.OAuthRedirect, slack.Unknown,
	}
	words := make([]string, len(all))
	for i, kind := range all {
		words[i] = string(kind)
	}
	return words
}

// pattern is one condition. The zero pattern fits everything.
type pattern struct {
	text        string
	set, prefix bool
}

func patternOf(s string) pattern {
	text, prefix := strings.CutSuffix(s, "*")
	return pattern{text: text, set: s != "", prefix: prefix}
}

func (p pattern) exactly(s string) bool {
	switch {
	case !p.set:
		return true
	case p.prefix:
		return strings.HasPrefix(s, p.text)
	}
	return s == p.text
}

func (p pattern) inAnyCase(s string) bool {
	switch {
	case !p.set:
		return true
	case p.prefix:
		return len(s) >= len(p.text) && strings.EqualFold(s[:len(p.text)], p.text)
	}
	return strings.EqualFold(s, p.text)
}

func (p pattern) fitsRef(r slack.Ref) bool {
	return !p.set || p.inAnyCase(r.ID) || r.Name != "" && p.inAnyCase(r.Name)
}

// matcher is a Match, ready to be asked.
type matcher struct {
	kind, name, user, channel, team, path pattern
	text                                  string // lower case
}

func matcherOf(m Match) matcher {
	return matcher{
		kind: patternOf(strings.ToLower(m.Kind)), name: patternOf(m.Name), user: patternOf(m.User), channel: patternOf(m.Channel),
		team: patternOf(m.Team), path: patternOf(m.Path), text: strings.ToLower(m.Text),
	}
}

func (m *matcher) fits(x *inspector.Exchange) bool {
	p := &x.Slack
	if !m.kind.exactly(string(p.Kind)) || !m.path.exactly(x.Request.Path()) {
		return false
	}
	if p.Kind == slack.SlashCommand || p.Kind == slack.OutgoingWebhook {
		if !m.name.inAnyCase(p.Name) {
			return false
		}
	} else if !m.name.exactly(p.Name) {
		return false
	}
	return m.user.fitsRef(p.User) && m.channel.fitsRef(p.Channel) && m.team.fitsRef(p.Team) &&
		(m.text == "" || m.inText(x))
}

// summaryCut is the length from which Payload.Text may be a beginning only: it is
// cut at 200 bytes, and at a whole rune.
const summaryCut = 197

func (m *matcher) inText(x *inspector.Exchange) bool {
	if strings.Contains(strings.ToLower(x.Slack.Text), m.text) {
		return true
	}
	if len(x.Slack.Text) < summaryCut {
		return false
	}
	r := &x.Request
	doc, err := slack.Decode(r.Method, r.Target, r.Header.HTTP(), r.Body.Bytes)
	if err != nil {
		return false
	}
	var whole struct {
		Text  string
		Value string
		Event struct{ Text string }
	}
	if json.Unmarshal(doc, &whole) != nil {
		return false
	}
	return strings.Contains(strings.ToLower(whole.Text+"\n"+whole.Event.Text+"\n"+whole.Value), m.text)
}
