package mock

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// rulesOf puts a file to use.
func rulesOf(t testing.TB, file string) *Rules {
	t.Helper()
	r := &Rules{File: filepath.Join(t.TempDir(), "slackdev.yaml"), Now: noon}
	write(t, r.File, file)
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// exchange is a request that was read as slackdev reads it.
func exchange(contentType, body string) *inspector.Exchange {
	x := &inspector.Exchange{Request: inspector.Request{
		Method: "POST", Target: "/slack/events?x=1", Header: inspector.Header{{Name: "Content-Type", Value: contentType}},
		Body: inspector.Body{Bytes: []byte(body), Size: int64(len(body))},
	}}
	x.Slack = slack.Parse(x.Request.Method, x.Request.Target, x.Request.Header.HTTP(), x.Request.Body.Bytes)
	return x
}

func command(text string) *inspector.Exchange {
	return exchange("application/x-www-form-urlencoded", "token=t&team_id=T1&team_domain=example&channel_id=C1&channel_name=dev"+
		"&user_id=U1&user_name=ana&command=%2Ftodo&text="+url.QueryEscape(text))
}

func press() *inspector.Exchange {
	return exchange("application/x-www-form-urlencoded", "payload="+url.QueryEscape(
		`{"type":"block_actions","user":{"id":"U1"},"team":{"id":"T1"},"actions":[{"action_id":"Done","value":"milk","n":3},{"value":null}]}`))
}

func mention() *inspector.Exchange {
	return exchange("application/json",
		`{"type":"event_callback","team_id":"T1","event":{"type":"app_mention","user":"U1","channel":"C1","text":"<@U2> \"hi\""},"event_time":1795262400}`)
}

func TestMatching(t *testing.T) {
	for name, tc := range map[string]struct {
		match string
		x     *inspector.Exchange
		want  bool
	}{
		"any":                           {"any: true", command(""), true},
		"kind":                          {"kind: slash_command", command(""), true},
		"kind in capitals":              {"kind: SLASH_COMMAND", command(""), true},
		"another kind":                  {"kind: slash_command", press(), false},
		"kinds that begin so":           {"kind: block_*", press(), true},
		"command":                       {"name: /todo", command(""), true},
		"command in capitals":           {"name: /ToDo", command(""), true},
		"commands that begin so":        {"name: /TO*", command(""), true},
		"another command":               {"name: /tod", command(""), false},
		"action":                        {"name: Done", press(), true},
		"action in another case":        {"name: done", press(), false},
		"event":                         {"kind: event_callback, name: app_mention", mention(), true},
		"user by id":                    {"user: u1", command(""), true},
		"user by name":                  {"user: Ana", command(""), true},
		"another user":                  {"user: bob", command(""), false},
		"channel by name":               {"channel: dev", command(""), true},
		"team by domain's beginning":    {"team: exam*", command(""), true},
		"somebody, and nobody is named": {"channel: dev", press(), false},
		"path":                          {"path: /slack/events", command(""), true},
		"path in another case":          {"path: /Slack/events", command(""), false},
		"paths that begin so":           {"path: /slack/*", command(""), true},
		"part of the text":              {"text: MILK", command("add milk now"), true},
		"not in the text":               {"text: bread", command("add milk now"), false},
		"far into a long text":          {"text: end", command(strings.Repeat("a ", 150) + "end"), true},
		"far into a long event":         {"text: end", exchange("application/json", `{"type":"event_callback","event":{"type":"message","text":"`+strings.Repeat("é", 150)+`end"}}`), true},
		"all must fit":                  {"kind: slash_command, user: bob", command(""), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := rulesOf(t, rule("match: {"+tc.match+"}"))
			if _, got := r.Respond(tc.x); got != tc.want {
				t.Errorf("%s on %+v: got %v, want %v", tc.match, tc.x.Slack, got, tc.want)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	field := func(name, value string) inspector.Field { return inspector.Field{Name: name, Value: value} }
	text, document := field("Content-Type", "text/plain; charset=utf-8"), field("Content-Type", "application/json")
	for name, tc := range map[string]struct {
		answer []string
		x      *inspector.Exchange
		status int
		body   string
		header inspector.Header
	}{
		"nothing said": {answer: []string{"{}"}, x: command(""), status: 200},
		"a text":       {answer: []string{"body: ok"}, x: command(""), status: 200, body: "ok", header: inspector.Header{text}},
		"a document":   {answer: []string{`body: '{"a": 1}'`}, x: command(""), status: 200, body: `{"a": 1}`, header: inspector.Header{document}},
		"almost one":   {answer: []string{`body: '{"a": '`}, x: command(""), status: 200, body: `{"a": `, header: inspector.Header{text}},
		"a type that is said": {
			answer: []string{"status: 503", "headers: {content-type: text/html, A: b}", "body: '[]'"}, x: command(""),
			status: 503, body: "[]", header: inspector.Header{field("A", "b"), field("content-type", "text/html")},
		},
		"a status without a body": {answer: []string{"status: 204"}, x: command(""), status: 204},
		"a field of the form":     {answer: []string{"body: 'Added {{.text}}'"}, x: command("milk"), status: 200, body: "Added milk", header: inspector.Header{text}},
		"a field of the event":    {answer: []string{"body: 'hi <@{{.event.user}}>, {{.event_time}}'"}, x: mention(), status: 200, body: "hi <@U1>, 1795262400", header: inspector.Header{text}},
		"a field of the payload":  {answer: []string{"body: '{{.user.id}} {{.payload.user.id}}'"}, x: press(), status: 200, body: "U1 U1", header: inspector.Header{text}},
		"what is not there": {
			answer: []string{`body: '[{{.a}}{{.b.c.d}}{{(index .actions 9).value}}{{(index .actions 1).value.x}}{{with .e}}x{{end}}{{range .f.g}}x{{end}}{{if eq .h "x"}}x{{end}}{{len .i}}]'`},
			x:      press(), status: 200, body: "[0]", header: inspector.Header{document},
		},
		"lists and variables": {
			answer: []string{`body: "{{range $i, $a := .actions}}{{$i}}={{$a.value}}/{{$.user.id}};{{end}}{{(index .actions 0).n}}"`},
			x:      press(), status: 200, body: "0=milk/U1;1=/U1;3", header: inspector.Header{text},
		},
		"functions": {
			answer: []string{`body: '{{.text | upper}} {{lower .text}} {{.nobody | default "nobody"}} {{default "x" .user_name}} {{trim .text}} {{replace "i" "u" .text}} {{contains "il" .text}} {{printf "%03d" 7}} {{ne .text "x"}}'`},
			x:      command("Milk"), status: 200, body: "MILK milk nobody ana Milk Mulk true 007 true", header: inspector.Header{text},
		},
		"containers print as JSON": {
			answer: []string{`body: '{{.event}} {{json .event.text}}'`}, x: mention(), status: 200, header: inspector.Header{text},
			body: `{"channel":"C1","text":"<@U2> \"hi\"","type":"app_mention","user":"U1"} "<@U2> \"hi\""`,
		},
		"templates inside JSON are escaped": {
			answer: []string{`json: {response_type: ephemeral, text: "say {{.event.text}}", "{{.key}}": ["{{upper .event.user}}"]}`}, x: mention(), status: 200,
			body: `{"response_type":"ephemeral","text":"say <@U2> \"hi\"","{{.key}}":["U1"]}`, header: inspector.Header{document},
		},
		"JSON that is a text": {answer: []string{`json: "a {{.text}}"`}, x: command("b"), status: 200, body: `"a b"`, header: inspector.Header{document}},
		"a payload that cannot be read": {
			answer: []string{`body: "got {{.text}}"`}, x: exchange("text/csv", "a;b"), status: 200, body: "got ", header: inspector.Header{text},
		},
		"a template that fails": {
			answer: []string{`body: "{{len 7}}{{.text}}"`}, x: command(""), status: 500, header: inspector.Header{text},
			body: "slackdev: rule a: line 1:2: executing \"body\" at <len 7>: error calling len: len of type int\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			lines := answer(tc.answer...)
			if tc.answer[0] == "{}" {
				lines = rule("match: {any: true}")
			}
			a, ok := rulesOf(t, lines).Respond(tc.x)
			if !ok || a.Response == nil {
				t.Fatalf("got %+v, %v", a, ok)
			}
			want := &inspector.Answer{By: "rule a", Response: &inspector.Response{
				Status: tc.status, Header: tc.header, By: "rule a", Body: inspector.Body{Bytes: a.Response.Body.Bytes, Size: int64(len(tc.body))},
			}}
			if got := string(a.Response.Body.Bytes); got != tc.body {
				t.Errorf("body: got %s, want %s", got, tc.body)
			}
			if diff := cmp.Diff(want, a); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultsAndDelays(t *testing.T) {
	r := rulesOf(t, rule("match: {kind: slash_command}", "answer: {fault: timeout, delay: 20ms}")+
		"  - {name: b, match: {any: true}, answer: {delay: 3s, body: '{{.x}}'}}\n")
	a, _ := r.Respond(command(""))
	if diff := cmp.Diff(&inspector.Answer{Fault: inspector.FaultTimeout, Delay: 20 * time.Millisecond, By: "rule a"}, a); diff != "" {
		t.Errorf("fault (-want +got):\n%s", diff)
	}
	if b, _ := r.Respond(press()); b.Delay != 3*time.Second || b.Response.Status != 200 {
		t.Errorf("got %+v", b)
	}
}

func TestFirstRuleThatFitsAnswers(t *testing.T) {
	r := rulesOf(t, `rules:
  - {name: off, match: {any: true}, off: true}
  - {name: other, match: {kind: shortcut}}
  - {name: twice, match: {kind: slash_command}, times: 2}
  - {name: rest, match: {any: true}}
`)
	var by []string
	for range 3 {
		a, _ := r.Respond(command(""))
		by = append(by, a.By)
	}
	if diff := cmp.Diff([]string{"rule twice", "rule twice", "rule rest"}, by); diff != "" {
		t.Errorf("answered by (-want +got):\n%s", diff)
	}
	type row struct {
		Name  string
		Hits  int64
		Spent bool
		Used  bool
	}
	var rows []row
	for _, l := range r.List() {
		rows = append(rows, row{l.Name, l.Hits, l.Spent, l.Last.Equal(noon())})
	}
	want := []row{{Name: "off"}, {Name: "other"}, {"twice", 2, true, true}, {"rest", 1, false, true}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestTimesHoldsForManyAtOnce(t *testing.T) {
	r := rulesOf(t, rule("match: {any: true}", "times: 100"))
	var answered atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range 50 {
				if _, ok := r.Respond(command("")); ok {
					answered.Add(1)
				}
				if i%10 == 0 {
					r.List()
					if err := r.Reload(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	workers.Wait()
	if answered.Load() != 100 {
		t.Errorf("answered %d requests, want 100", answered.Load())
	}
}

func TestReload(t *testing.T) {
	r := rulesOf(t, rule("match: {any: true}", "times: 1")+"  - {name: b, match: {any: true}, times: 1}\n")
	for range 2 {
		if _, ok := r.Respond(command("")); !ok {
			t.Fatal("no rule answered")
		}
	}

	t.Run("with a mistake keeps the old rules and says why", func(t *testing.T) {
		write(t, r.File, "rules:\n  - nam: a\n")
		err := r.Reload()
		if want := r.File + `:2:5: there is no key "nam": did you mean "name"?`; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if diff := cmp.Diff(fmt.Sprint(err), fmt.Sprint(r.Err())); diff != "" || len(r.List()) != 2 {
			t.Errorf("kept %v and %d rules", r.Err(), len(r.List()))
		}
	})
	t.Run("leaves what is spent spent, where the rule is the same", func(t *testing.T) {
		write(t, r.File, "rules:\n  - {name: b, match: {any: true}, times: 1}\n  - {name: a, match: {any: true}, times: 2}\n")
		if err := r.Reload(); err != nil || r.Err() != nil {
			t.Fatal(err, r.Err())
		}
		if l := r.List(); !l[0].Spent || l[1].Hits != 0 {
			t.Errorf("got %+v", l)
		}
		if a, _ := r.Respond(command("")); a == nil || a.By != "rule a" {
			t.Errorf("got %+v, want the changed rule to begin anew", a)
		}
	})
	t.Run("of a file that is gone leaves none", func(t *testing.T) {
		if err := os.Remove(r.File); err != nil {
			t.Fatal(err)
		}
		if err := r.Reload(); err != nil || len(r.List()) != 0 {
			t.Errorf("got %v, %v", err, r.List())
		}
	})
	t.Run("of what is no file keeps the rules", func(t *testing.T) {
		write(t, r.File, rule("match: {any: true}"))
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(r.File); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(r.File, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := r.Reload(); err == nil || len(r.List()) != 1 {
			t.Errorf("got %v, %d rules", err, len(r.List()))
		}
	})
}

func TestHostilePayloadsAreBoundedInSizeAndTime(t *testing.T) {
	big := `{"type":"event_callback","event":{"type":"message","text":"` + strings.Repeat("%999999d", 500) + `","l":[` + strings.Repeat("1,", 20_000) + `1]}}`
	for name, tc := range map[string]struct{ body, want string }{
		"loops in loops":     {`{{range .event.l}}{{range $.event.l}}{{range $.event.l}}{{end}}{{end}}{{end}}`, "runs longer than 1s"},
		"loops that write":   {`{{range .event.l}}{{$.event.text}}{{end}}`, "writes more than 1048576 bytes"},
		"a count as loop":    {`{{range 1000000000000}}{{end}}`, "runs longer than 1s"},
		"a format":           {`{{printf .event.text 1}}`, "widths end at 999"},
		"a star in a format": {`{{printf "%*d" 100000000 1}}`, "widths end at 999"},
		"a replacement":      {`{{replace "9" .event.text .event.text}}`, "writes more than"},
		"a separator":        {`{{join .event.text .event.l}}`, "writes more than"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			a, _ := rulesOf(t, answer("body: '"+tc.body+"'")).Respond(exchange("application/json", big))
			if got := string(a.Response.Body.Bytes); a.Response.Status != 500 || !strings.Contains(got, tc.want) {
				t.Errorf("got %d %.200s, want %s", a.Response.Status, got, tc.want)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func FuzzTemplate(f *testing.F) {
	template := "'{{.text}}{{.event.user.id}}{{range .actions}}{{.value}}{{join \",\" .}}{{end}}{{json .}}{{(index .event.blocks 0).x | upper}}{{printf .text .n}}'"
	compiled, problems := compile(Rule{Name: "a", Match: Match{Any: true}, Answer: Answer{Body: template}})
	inside, more := compile(Rule{Name: "b", Match: Match{Any: true}, Answer: Answer{JSON: []byte(`{"a":"{{.text}}","b":["{{.event}}"]}`)}})
	if len(problems)+len(more) > 0 {
		f.Fatal(problems, more)
	}
	f.Add("application/json", []byte(`{"text":"%!","event":[1,{"user":null}],"actions":{"a":[]},"n":1e999}`))
	f.Add("application/x-www-form-urlencoded", []byte(`payload=%7B%22text%22%3A%22%5C%22%7D&text=%ff`))
	f.Fuzz(func(t *testing.T, contentType string, content []byte) {
		x := exchange(contentType, string(content))
		if a := compiled.respond(x); len(a.Response.Body.Bytes) > MaxAnswer {
			t.Errorf("%d bytes", len(a.Response.Body.Bytes))
		}
		a := inside.respond(x)
		if a.Response.Status == 200 && !json.Valid(a.Response.Body.Bytes) {
			t.Errorf("a payload broke the document: %s", a.Response.Body.Bytes)
		}
	})
}

func BenchmarkRespond(b *testing.B) {
	for _, n := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			file := "rules:\n"
			for i := 1; i < n; i++ {
				file += fmt.Sprintf("  - {name: r%d, match: {kind: slash_command, name: /other%d}, answer: {body: other}}\n", i, i)
			}
			if n > 0 {
				file += "  - {name: last, match: {kind: slash_command, name: /todo}, answer: {body: ok}}\n"
			}
			r, x := rulesOf(b, file), command("milk")
			b.ReportAllocs()
			for b.Loop() {
				a, ok := r.Respond(x)
				if ok != (n > 0) || ok && a.By != "rule last" {
					b.Fatalf("answered %v by %+v", ok, a)
				}
			}
		})
	}
	b.Run("template", func(b *testing.B) {
		r, x := rulesOf(b, answer(`json: {text: "Added {{.text}} for {{.user_name}}"}`)), command("milk")
		b.ReportAllocs()
		for b.Loop() {
			if a, _ := r.Respond(x); string(a.Response.Body.Bytes) != `{"text":"Added milk for ana"}` {
				b.Fatalf("answered %s", a.Response.Body.Bytes)
			}
		}
	})
}
