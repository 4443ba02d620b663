package slack

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The bodies of the benchmarks, in Slack's field order and about as long as the real ones.
const (
	commandBody = "token=Zm9vYmFyYmF6cXV4MTIzNA&team_id=T0MADEUP01&team_domain=ana-and-friends&channel_id=C0MADEUP02" +
		"&channel_name=dev&user_id=U0MADEUP03&user_name=ana&command=%2Ftodo&text=add+milk%2C+eggs+and+%3C%40U0MADEUP04%7Cbob%3E" +
		"+to+the+list+for+friday+and+remind+everyone+in+%3C%23C0MADEUP05%7Ckitchen%3E+at+nine%2C+please%21+and+do+not+forget" +
		"+that+the+shop+at+the+corner+closes+early+on+the+last+friday+of+the+month&api_app_id=A0MADEUP06&is_enterprise_install=false" +
		"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT0MADEUP01%2F1234567890123%2FabcdefghijklmnopqrstuvwX" +
		"&trigger_id=1234567890123.1234567890.0123456789abcdef0123456789abcdef"
	eventBody = `{"token":"Zm9vYmFyYmF6cXV4MTIzNA","team_id":"T0MADEUP01","context_team_id":"T0MADEUP01","context_enterprise_id":null,` +
		`"api_app_id":"A0MADEUP06","event":{"user":"U0MADEUP03","type":"app_mention","ts":"1700000000.000100",` +
		`"client_msg_id":"00000000-1111-2222-3333-444444444444","text":"<@U0MADEUP07> what is on the list for friday?","team":"T0MADEUP01",` +
		`"blocks":[{"type":"rich_text","block_id":"b1","elements":[{"type":"rich_text_section","elements":[{"type":"user","user_id":"U0MADEUP07"},` +
		`{"type":"text","text":" what is on the list for friday?"}]}]}],"channel":"C0MADEUP02","event_ts":"1700000000.000100"},` +
		`"type":"event_callback","event_id":"Ev0MADEUP08","event_time":1700000000,"authorizations":[{"enterprise_id":null,"team_id":"T0MADEUP01",` +
		`"user_id":"U0MADEUP07","is_bot":true,"is_enterprise_install":false}],"is_ext_shared_channel":false,` +
		`"event_context":"4-eyJldCI6ImFwcF9tZW50aW9uIiwidGlkIjoiVDBNQURFVVAwMSIsImFpZCI6IkEwTUFERVVQMDYiLCJjaWQiOiJDME1BREVVUDAyIn0"}`
	actionsPayload = `{"type":"block_actions","user":{"id":"U0MADEUP03","username":"ana","name":"ana","team_id":"T0MADEUP01"},` +
		`"api_app_id":"A0MADEUP06","token":"Zm9vYmFyYmF6cXV4MTIzNA","container":{"type":"message","message_ts":"1700000000.000200",` +
		`"channel_id":"C0MADEUP02","is_ephemeral":false},"trigger_id":"1234567890123.1234567890.0123456789abcdef0123456789abcdef",` +
		`"team":{"id":"T0MADEUP01","domain":"ana-and-friends"},"enterprise":null,"is_enterprise_install":false,` +
		`"channel":{"id":"C0MADEUP02","name":"dev"},"message":{"bot_id":"B0MADEUP09","type":"message","text":"Milk (caf\u00e9 *au lait*)",` +
		`"user":"U0MADEUP07","ts":"1700000000.000200","app_id":"A0MADEUP06","blocks":[{"type":"section","block_id":"s1","text":{"type":"mrkdwn",` +
		`"text":"*Milk* <https:\/\/example.org\/milk|more>","verbatim":false}},{"type":"actions","block_id":"a1","elements":[{"type":"button",` +
		`"action_id":"done","text":{"type":"plain_text","text":"Done","emoji":true},"style":"primary","value":"item-17"},{"type":"button",` +
		`"action_id":"drop","text":{"type":"plain_text","text":"Drop \ud83d\uddd1","emoji":true},"value":"item-17"}]}],"team":"T0MADEUP01"},` +
		`"state":{"values":{}},"response_url":"https:\/\/hooks.slack.com\/actions\/T0MADEUP01\/1234567890123\/abcdefghijklmnopqrstuvwX",` +
		`"actions":[{"action_id":"done","block_id":"a1","text":{"type":"plain_text","text":"Done","emoji":true},"value":"item-17",` +
		`"style":"primary","type":"button","action_ts":"1700000001.000300"}]}`
)

var (
	formHead = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	jsonHead = http.Header{"Content-Type": {"application/json"}}
)

func actionsBody() []byte { return EncodeForm([]Pair{{"payload", actionsPayload}}) }

func BenchmarkVerify(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	for _, n := range []int{1, 4} {
		b.Run(strconv.Itoa(n)+"_secrets", func(b *testing.B) {
			v := &Verifier{Now: func() time.Time { return now.Add(2 * time.Second) }}
			for i := range n {
				v.Secrets = append(v.Secrets, secret(b, "S"+strconv.Itoa(i), "value of secret "+strconv.Itoa(i)))
			}
			body := []byte(commandBody)
			h := signedWith(v.Secrets[n-1], now, body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if got := v.Verify(h, body); got.Status != Valid {
					b.Fatal(got)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bc := range []struct {
		name string
		h    http.Header
		body []byte
		kind Kind
		text string
	}{
		{"slash_command", formHead, []byte(commandBody), SlashCommand, "/todo"},
		{"event", jsonHead, []byte(eventBody), EventCallback, "app_mention"},
		{"block_actions", formHead, actionsBody(), BlockActions, "done"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.SetBytes(int64(len(bc.body)))
			b.ReportAllocs()
			for b.Loop() {
				p := Parse(http.MethodPost, "/slack/events", bc.h, bc.body)
				if p.Kind != bc.kind || p.Name != bc.text || p.User.ID != "U0MADEUP03" || p.Problem != "" {
					b.Fatalf("%+v", p)
				}
			}
		})
	}
}

func BenchmarkRedact(b *testing.B) {
	clean := []byte(strings.ReplaceAll(strings.Repeat(actionsPayload, 1), `"token":`, `"tokens":`))
	dirty := bytes.ReplaceAll(clean, []byte("item-17"), []byte("xox"+"b-123456789012-abcdefghijkl"))
	for _, bc := range []struct {
		name string
		body []byte
		want int // masks
	}{{"nothing", clean, 0}, {"tokens", dirty, 3}} {
		b.Run(bc.name, func(b *testing.B) {
			b.SetBytes(int64(len(bc.body)))
			b.ReportAllocs()
			for b.Loop() {
				if got := bytes.Count(Redact(bc.body), []byte(mask)); got != bc.want {
					b.Fatalf("%d masks", got)
				}
			}
		})
	}
}
