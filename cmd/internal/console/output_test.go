package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/tunnel"
)

func TestJSONLinesAreToTheLetter(t *testing.T) {
	var out strings.Builder
	j := &JSON{W: &out}
	if err := errors.Join(
		j.Ready(Ready{Public: mustURL(t, "http://ana-todo.localhost:5000"), App: mustURL(t, "http://127.0.0.1:3000"), Local: "http://127.0.0.1:4040", Inspect: "http://127.0.0.1:4040/#t=secret", Provider: "embedded", Name: "ana-todo"}),
		j.Ready(Ready{Public: mustURL(t, "https://a.example")}),
		j.Ready(Ready{Front: mustURL(t, "http://127.0.0.1:5000"), Provider: "none"}),
		j.Tunnel("", tunnel.Status{State: tunnel.Waiting, URL: mustURL(t, "http://a.localhost"), Err: errors.New("gone <&>"), Retry: 1200 * time.Millisecond}),
		j.Exchange(with(func(l *export.Line) { l.Text, l.Findings = "\u202e\u009b\x7f<&>\U000e0041", []string{} })),
	); err != nil {
		t.Fatal(err)
	}
	diff(t, out.String(), `
{"type":"ready","public_url":"http://ana-todo.localhost:5000","local_url":"http://127.0.0.1:4040","app_url":"http://127.0.0.1:3000","provider":"embedded","name":"ana-todo","reachable":"local"}
{"type":"ready","public_url":"https://a.example","local_url":"","app_url":"","provider":"","name":"","reachable":"public"}
{"type":"ready","public_url":"http://127.0.0.1:5000","local_url":"","app_url":"","provider":"none","name":"","reachable":"local"}
{"type":"tunnel","state":"waiting","url":"http://a.localhost","error":"gone <&>","retry_in_ms":1200}
{"type":"exchange","id":"01K9ZX6V7QFGH3M8N2P4T7QX5C","started":"2026-11-21T12:04:31Z","origin":"tunnel","of":"","method":"POST","path":"/slack/events","kind":"slash_command","name":"/todo","user":"U1","channel":"C1","team":"","verdict":"valid","status":200,"answered_by":"app","elapsed_ms":212.4,"retry_num":0,"findings":[],"fault":"","user_name":"ana","channel_name":"dev","text":"\u202e\u009b\u007f<&>\udb40\udc41","done":true}
`[1:])
	last := strings.Split(strings.TrimSpace(out.String()), "\n")[4]
	var back export.Line
	if err := json.Unmarshal([]byte(last), &back); err != nil || back.Text != "\u202e\u009b\x7f<&>\U000e0041" {
		t.Errorf("read back: %q, %v", back.Text, err)
	}
}

type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) { b.writes++; return 0, errors.New("broken pipe") }

func TestJSONStopsWhenNobodyReads(t *testing.T) {
	b := &broken{}
	j := &JSON{W: b}
	for range 3 {
		if err := j.Exchange(command()); err == nil || err.Error() != "broken pipe" {
			t.Errorf("got %v", err)
		}
	}
	if b.writes != 1 {
		t.Errorf("%d writes", b.writes)
	}
}

type known struct{}

func (known) Error() string          { return "keep: want one value" }
func (known) Explain() (string, int) { return "did you mean  keep", Usage }

func TestErrorsSayWhatToTypeNext(t *testing.T) {
	refused := &tunnel.RefusedError{Op: "open a tunnel through relay.example.org", Err: errors.New("the host key has changed"), Hint: "run  ssh-keygen -R relay.example.org"}
	for name, tc := range map[string]struct {
		err  error
		want string
		code int
	}{
		"none":            {nil, "", 0},
		"plain":           {errors.New("disk full"), "slackdev: disk full\n", 1},
		"with a hint":     {&Error{Err: errors.New("nothing listens on localhost:3000"), Hint: "start your app"}, "slackdev: nothing listens on localhost:3000\nhint: start your app\n", 1},
		"usage":           {&Error{Err: errors.New("unknown flag"), Code: Usage}, "slackdev: unknown flag\n", 2},
		"knows itself":    {fmt.Errorf("load: %w", known{}), "slackdev: load: keep: want one value\nhint: did you mean  keep\n", 2},
		"outer hint wins": {&Error{Err: known{}, Hint: "outer"}, "slackdev: keep: want one value\nhint: outer\n", 2},
		"outer code wins": {&Error{Err: known{}, Code: Unreachable}, "slackdev: keep: want one value\nhint: did you mean  keep\n", 3},
		"refused":         {fmt.Errorf("tunnel: %w", refused), "slackdev: tunnel: open a tunnel through relay.example.org: the host key has changed\nhint: run  ssh-keygen -R relay.example.org\n", 4},
		"several":         {errors.Join(errors.New("a"), errors.New("b")), "slackdev: a; b\n", 1},
		"hostile":         {errors.New("banner: \x1b[2J\u202e"), "slackdev: banner: \\u001b[2J\\u202e\n", 1},
		"a token":         {errors.New("auth.test with xoxb-" + strings.Repeat("1", 12) + "-abcdefghijklmnopqrstuvwx"), "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if code := Exit(&out, tc.err); code != tc.code {
				t.Errorf("exit %d, want %d", code, tc.code)
			}
			if name == "a token" {
				if strings.Contains(out.String(), "abcdefghijklmnop") {
					t.Errorf("the webhook is repeated: %s", out.String())
				}
				return
			}
			diff(t, out.String(), tc.want)
		})
	}
}

func TestTheDetailShowsEverything(t *testing.T) {
	body, answer := "token=x&text=add+milk", `{"text":"Added","n":[1,2]}`
	d := export.Detail{
		Line: with(func(l *export.Line) {
			l.Secret, l.Started, l.Verdict, l.Detail = "SLACK_SIGNING_SECRET (.env)", day.Add(123*time.Millisecond), "stale", "signed 6 minutes ago"
		}),
		Request: export.Message{
			Target: "/slack/events?x=\x1b[2J", Proto: "HTTP/1.1", Host: "a.example", Size: int64(len(body)), Body: &body,
			Headers: []export.Field{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}, {Name: "X-\u202eOdd", Value: "a\r\nb"}},
		},
		Response: &export.Message{Status: 200, Headers: []export.Field{{Name: "Content-Type", Value: "application/json"}}, Body: &answer, Size: 2000, Truncated: true},
		Slack:    json.RawMessage(`{"text":"add milk","x":"` + "\u202e" + `"}`),
		Findings: []export.Finding{{Code: "bad_json", Severity: "failure", Pointer: "/n", Text: "n is not known.", Fix: "Leave it out."}},
	}
	c, out := screen()
	c.Detail(d)
	diff(t, out.String(), `
/todo add milk
id         01K9ZX6V7QFGH3M8N2P4T7QX5C
kind       slash_command
received   2026-11-21 12:04:31.123 +00:00, through the tunnel
who        ana (U1)  #dev (C1)
signature  ✗ stale with SLACK_SIGNING_SECRET (.env)
           signed 6 minutes ago
answer     200 by app in 212 ms  ▓░░░░░

findings
  ! bad_json at /n  n is not known.
    Leave it out.

request
POST /slack/events?x=\u001b[2J HTTP/1.1
Host: a.example
Content-Type: application/x-www-form-urlencoded
X-\u202eOdd: a\r\nb

payload
{
  "text": "add milk",
  "x": "\u202e"
}

response
200
Content-Type: application/json

{
  "text": "Added",
  "n": [
    1,
    2
  ]
}
only the beginning of 2 000 bytes was kept
`[1:])
}

func TestADetailWithoutAnAnswerOrTextIsShownToo(t *testing.T) {
	long := strings.Repeat("é", bodyLimit)
	c, out := screen()
	c.Detail(export.Detail{
		Line: with(func(l *export.Line) {
			l.Kind, l.Status, l.AnsweredBy, l.Fault, l.Verdict = slack.Unknown, 0, "", "nothing listens on localhost:3000", "unchecked"
		}),
		Request: export.Message{Size: 3, BodyBase64: "gICA"}, Problem: "not a form",
	})
	for _, want := range []string{"POST /slack/events", "fault      nothing listens", "3 bytes, not text", "not a form"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	out.Reset()
	c.Detail(export.Detail{Line: command(), Request: export.Message{Size: int64(len(long)), Body: &long}})
	if !strings.Contains(out.String(), "… 32 768 more bytes, with  --raw") || out.Len() > bodyLimit+1000 {
		t.Errorf("%d bytes: %q", out.Len(), out.String()[out.Len()-200:])
	}
}

func TestWhatTheAnswerMakesSlackShow(t *testing.T) {
	for name, tc := range map[string]struct {
		kind   slack.Kind
		status int
		body   string
		want   string
	}{
		"command, JSON":        {slack.SlashCommand, 200, `{"text":"Added"}`, `→ ephemeral "Added"`},
		"command, to all":      {slack.SlashCommand, 200, ` {"response_type":"in_channel","text":"Added\n two"}`, `→ in_channel "Added two"`},
		"command, plain":       {slack.SlashCommand, 200, "Added\n", `→ ephemeral "Added"`},
		"command, empty":       {slack.SlashCommand, 200, "", ""},
		"command, blank":       {slack.SlashCommand, 200, " \n", ""},
		"command, blocks":      {slack.SlashCommand, 200, `{"blocks":[{},{}]}`, "→ ephemeral 2 blocks"},
		"command, broken JSON": {slack.SlashCommand, 200, `{"text":`, `→ ephemeral "{"text":"`},
		"webhook":              {slack.OutgoingWebhook, 200, `{"text":"hi"}`, `→ "hi"`},
		"event, plain":         {slack.EventCallback, 200, "ok", ""},
		"view":                 {slack.ViewSubmission, 200, `{"response_action":"errors","errors":{}}`, "→ errors"},
		"options":              {slack.BlockSuggestion, 200, `{"options":[{},{}]}`, "→ 2 options"},
		"challenge, JSON":      {slack.URLVerification, 200, `{"challenge":"abc"}`, "→ challenge"},
		"challenge, plain":     {slack.URLVerification, 200, "abc", "→ challenge"},
		"an error":             {slack.SlashCommand, 500, "oops", ""},
		"long":                 {slack.SlashCommand, 200, strings.Repeat("x", 100), `→ ephemeral "` + strings.Repeat("x", 39) + `…"`},
	} {
		t.Run(name, func(t *testing.T) {
			x := &inspector.Exchange{Slack: slack.Payload{Kind: tc.kind}, Response: &inspector.Response{
				Status: tc.status, Body: inspector.Body{Bytes: []byte(tc.body), Size: int64(len(tc.body))},
			}}
			if d := cmp.Diff(tc.want, Said(x)); d != "" {
				t.Errorf("%s: -want +got\n%s", tc.body, d)
			}
		})
	}
	if got := Said(&inspector.Exchange{}); got != "" {
		t.Errorf("no answer: %q", got)
	}
}

func TestTheHostIsShownOnce(t *testing.T) {
	for name, headers := range map[string][]export.Field{
		"recorded":     {{Name: "Accept", Value: "*/*"}, {Name: "host", Value: "a.example"}},
		"not recorded": {{Name: "Accept", Value: "*/*"}},
	} {
		c, out := screen()
		c.Detail(export.Detail{Line: command(), Request: export.Message{Target: "/", Proto: "HTTP/1.1", Host: "a.example", Headers: headers}})
		if n := strings.Count(strings.ToLower(out.String()), "host: a.example"); n != 1 {
			t.Errorf("%s: the host stands there %d times:\n%s", name, n, out)
		}
	}
}

func TestOneIsNotMany(t *testing.T) {
	for n, want := range map[int64]string{0: "0 blocks", 1: "1 block", 2890: "2 890 blocks"} {
		if got := counted(n, "block"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
