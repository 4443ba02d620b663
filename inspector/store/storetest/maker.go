package storetest

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// Maker makes invented exchanges, the same ones for the same seed. They vary in
// everything that a store keeps. One goroutine uses it.
type Maker struct {
	*rand.Rand
	seed uint64
	now  time.Time
	made uint64
}

// NewMaker makes a Maker whose IDs differ from those of every other seed.
func NewMaker(seed uint64) *Maker {
	return &Maker{
		Rand: rand.New(rand.NewPCG(seed, 1)), seed: seed,
		now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC).Add(time.Duration(seed) * time.Hour),
	}
}

// NextID gives an ID that is greater than those before. Some have their millisecond
// in common.
func (m *Maker) NextID() inspector.ID {
	if m.made++; m.IntN(3) > 0 {
		m.now = m.now.Add(time.Duration(m.IntN(3000)) * time.Millisecond)
	}
	var id inspector.ID
	ms := uint64(m.now.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	id[6] = byte(m.seed)
	for i := range 4 {
		id[7+i] = byte(m.made >> (8 * (3 - i)))
	}
	for i := 11; i < 16; i++ {
		id[i] = byte(m.Uint32())
	}
	return id
}

// Bytes gives n bytes of every value.
func (m *Maker) Bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	return b
}

func pick[T any](m *Maker, of ...T) T { return of[m.IntN(len(of))] }

// words have every class of character that matters to a search.
func (m *Maker) words(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(pick(m, "milk", "Milky", "add", "ADD", "bread", "straße", "STRASSE", "Übung", "übung", "deploy-7", "x_y",
			"牛乳を買う", "牛", "🎉🎉", "e\u0301tude", "٣٤", "O'Neil", "a.b@example.com", "İstanbul", "ſalt", strings.Repeat("long", 30)))
		b.WriteString(pick(m, " ", " ", " ", ", ", "\n", "/", "—"))
	}
	return b.String()
}

// Begun makes an exchange that has no answer yet.
func (m *Maker) Begun() *inspector.Exchange {
	id := m.NextID()
	x := &inspector.Exchange{
		ID: id, Origin: pick(m, inspector.Tunnel, inspector.Tunnel, inspector.Local, inspector.Replay, inspector.Composed),
		Started:  m.now.Add(time.Duration(m.IntN(1e6))),
		Delivery: "k2f7-" + id.String()[20:], Upstream: []string{"", "web"}[id[15]%2], // by no dice: the others' throws stay as they are
		Verdict: slack.Verdict{
			Status: slack.Status(m.IntN(int(slack.TokenOnly) + 1)), Secret: pick(m, "", "SLACK_SIGNING_SECRET"),
			Age: time.Duration(m.IntN(4e9)) - time.Second, Detail: pick(m, "", "signed with another app's secret?"),
		},
		Slack: slack.Payload{
			User:       slack.Ref{ID: fmt.Sprintf("U%04d", m.IntN(9)), Name: pick(m, "ana", "Ana", "bob", "", "zoë")},
			Channel:    slack.Ref{ID: fmt.Sprintf("C%04d", m.IntN(5)), Name: pick(m, "dev", "ops", "", "a\x1fb=\"c\"")},
			Team:       slack.Ref{ID: "T0001", Name: pick(m, "", "example")},
			Enterprise: slack.Ref{ID: pick(m, "", "E0001")},
			App:        "A0001", TriggerID: pick(m, "", "1.2.abc"), View: pick(m, "", "V0001"), Message: pick(m, "", "1531420618.000100"),
			Text: strings.ToValidUTF8(m.words(2), ""), Problem: pick(m, "", "", "", "the form ends early"),
		},
		Request: inspector.Request{
			Method: pick(m, "POST", "POST", "POST", "GET"), Host: "ana-todo.relay.example.org", Proto: "HTTP/1.1",
			Remote: fmt.Sprintf("203.0.113.%d:%d", m.IntN(256), 1024+m.IntN(60000)), Upgraded: m.IntN(20) == 0,
		},
	}
	if x.Origin == inspector.Replay {
		x.Of = id
		x.Of[15]++
	}
	if m.IntN(2) == 0 {
		m.command(x)
	} else {
		m.event(x)
	}
	x.Request.Body.Size = int64(len(x.Request.Body.Bytes))
	if m.IntN(10) == 0 {
		x.Request.Trailer = inspector.Header{{Name: "X-Checksum", Value: "abc"}}
	}
	return x
}

func (m *Maker) head(contentType string, size int) inspector.Header {
	return inspector.Header{
		{Name: "User-Agent", Value: "Slackbot 1.0 (+https://api.slack.com/robots)"}, {Name: "Accept-Encoding", Value: "gzip,deflate"},
		{Name: "Accept", Value: "application/json,*/*"}, {Name: "X-Slack-Signature", Value: fmt.Sprintf("v0=%064x", m.Uint64())},
		{Name: "X-Slack-Request-Timestamp", Value: fmt.Sprint(m.now.Unix())},
		{Name: "Content-Type", Value: contentType}, {Name: "Content-Length", Value: fmt.Sprint(size)},
	}
}

func (m *Maker) command(x *inspector.Exchange) {
	x.Slack.Kind, x.Slack.Name = slack.SlashCommand, pick(m, "/todo", "/Todo", "/deploy", "/todone")
	form := "token=invented&team_id=T0001&team_domain=example&channel_id=" + x.Slack.Channel.ID +
		"&channel_name=" + url.QueryEscape(x.Slack.Channel.Name) + "&user_id=" + x.Slack.User.ID + "&user_name=" + url.QueryEscape(x.Slack.User.Name) +
		"&command=" + url.QueryEscape(x.Slack.Name) + "&text=" + url.QueryEscape(m.words(1+m.IntN(8))) + "&api_app_id=A0001"
	x.Request.Target = pick(m, "/slack/events", "/slack/Commands?a=b", "/")
	x.Request.Body.Bytes = []byte(form)
	x.Request.Header = m.head("application/x-www-form-urlencoded", len(form))
}

func (m *Maker) event(x *inspector.Exchange) {
	x.Slack.Kind, x.Slack.Name = slack.EventCallback, pick(m, "app_mention", "message.bot_message", "message")
	x.Slack.EventID = fmt.Sprintf("Ev%06d", m.IntN(200))
	x.Slack.Retry = pick(m, 0, 0, 0, 1, 2, 3)
	if x.Slack.Retry > 0 {
		x.Slack.RetryReason = "http_timeout"
	}
	doc := fmt.Sprintf(`{"token":"invented","team_id":"T0001","api_app_id":"A0001","event":{"type":%q,"user":%q,"text":%q,"n":%d},"type":"event_callback","event_id":%q}`,
		x.Slack.Name, x.Slack.User.ID, strings.ToValidUTF8(m.words(1+m.IntN(12)), ""), m.IntN(1000), x.Slack.EventID)
	x.Request.Target = "/slack/events"
	x.Request.Body.Bytes = []byte(doc)
	x.Request.Header = m.head("application/json", len(doc))
}

// Finish makes the state of x in which all is known.
func (m *Maker) Finish(x *inspector.Exchange) *inspector.Exchange {
	y := *x
	y.Elapsed = time.Duration(m.IntN(4_000_000)) * time.Microsecond
	if m.IntN(8) == 0 {
		y.Fault = pick(m, "nothing listens on localhost:3000", "the app closed the connection")
	}
	if y.Fault == "" || m.IntN(2) == 0 {
		body := pick(m, "", `{"response_type":"ephemeral","text":"Added `+m.word()+`"}`, "plain "+m.word(), "\xff\xfe\x00")
		y.Response = &inspector.Response{
			Status: pick(m, 200, 200, 200, 204, 302, 401, 404, 500, 502), By: pick(m, inspector.ByApp, inspector.BySlackdev, "rule Greeting"),
			Header: inspector.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Date", Value: "Sat, 21 Nov 2026 09:00:00 GMT"}},
			Body:   inspector.Body{Bytes: []byte(body), Size: int64(len(body))},
		}
	}
	if m.IntN(3) == 0 {
		y.Findings = append(y.Findings, slack.Finding{Code: "slow_answer", Severity: slack.Warning, Text: "It took long.", Fix: "Answer first."})
	}
	if m.IntN(4) == 0 {
		y.Findings = append(y.Findings, slack.Finding{Code: "slow", Severity: slack.Note, Pointer: "/text", Text: "A remark."})
	}
	return &y
}

func (m *Maker) word() string { return pick(m, "milk", "bread", "eggs") }

// Next makes an exchange of which all is known.
func (m *Maker) Next() *inspector.Exchange { return m.Finish(m.Begun()) }

// Sized makes an exchange of a slash command whose body has about n bytes.
func (m *Maker) Sized(n int) *inspector.Exchange {
	x := m.Next()
	m.command(x)
	if room := n - len(x.Request.Body.Bytes); room > 0 {
		var filler strings.Builder
		for filler.Len() < room {
			fmt.Fprintf(&filler, "&field%d=word%d+%s", m.IntN(40), m.IntN(5000), m.word())
		}
		x.Request.Body.Bytes = append(x.Request.Body.Bytes, filler.String()[:room]...)
	}
	x.Request.Body.Size = int64(len(x.Request.Body.Bytes))
	return x
}
