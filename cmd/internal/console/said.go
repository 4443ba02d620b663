package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// Said tells in a few words what an answer makes Slack show: → ephemeral "Added".
// It gives "" for an answer that shows nothing, or none.
func Said(x *inspector.Exchange) string {
	const most = 64 << 10 // a longer answer is told by what it is, not by what it says
	r := x.Response
	if r == nil || r.Status >= 300 || len(r.Body.Bytes) == 0 || len(r.Body.Bytes) > most || r.Body.Truncated() {
		return ""
	}
	var answer struct {
		ResponseType string            `json:"response_type"`
		Text         string            `json:"text"`
		Blocks       []json.RawMessage `json:"blocks"`
		Action       string            `json:"response_action"`
		Challenge    string            `json:"challenge"`
		Options      []json.RawMessage `json:"options"`
	}
	body := bytes.TrimSpace(r.Body.Bytes)
	if len(body) == 0 {
		return ""
	}
	if body[0] != '{' || json.Unmarshal(body, &answer) != nil {
		return saidPlain(x, string(body))
	}
	switch {
	case answer.Challenge != "":
		return "→ challenge"
	case answer.Action != "":
		return "→ " + answer.Action
	case len(answer.Options) > 0:
		return "→ " + counted(int64(len(answer.Options)), "option")
	case answer.Text == "" && len(answer.Blocks) == 0:
		return ""
	}
	return strings.Join(strings.Fields("→ "+visibility(x, answer.ResponseType)+" "+content(answer.Text, len(answer.Blocks))), " ")
}

// saidPlain tells a text answer, which Slack shows for a command alone.
func saidPlain(x *inspector.Exchange, text string) string {
	switch x.Slack.Kind {
	case slack.URLVerification:
		return "→ challenge"
	case slack.SlashCommand:
		return fmt.Sprintf("→ ephemeral %s", content(text, 0))
	}
	return ""
}

// visibility is who sees the message. Of a command's answer it is the user alone
// unless the app says otherwise (docs.slack.dev/interactivity/implementing-slash-commands).
func visibility(x *inspector.Exchange, asked string) string {
	if asked == "" && x.Slack.Kind == slack.SlashCommand {
		return "ephemeral"
	}
	return asked
}

func content(text string, blocks int) string {
	if text == "" {
		return counted(int64(blocks), "block")
	}
	return `"` + cut(strings.Join(strings.Fields(text), " "), 40) + `"`
}
