package mock

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMistakesHaveTheirPlaceTheirKeyAndTheWayOut(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want string // Error of the first
	}{
		"not YAML":                               {"rules:\n  - name: [a\n", `r.yaml:2:3: not YAML: did not find expected ',' or ']'`},
		"a tab":                                  {"rules:\n\t- name: a\n", `r.yaml:2:1: not YAML: found character that cannot start any token`},
		"a list at the top":                      {"- name: a\n", `r.yaml:1:1: the file is a list, and not keys with values: put the rules under the key  rules:`},
		"rules that are no list":                 {"rules:\n  name: a\n", `r.yaml:2:3: rules: a list is wanted, and this is a mapping: begin each rule with  - name:`},
		"rules twice":                            {"rules: []\nrules: []\n", `r.yaml:2:1: the key rules stands twice: put them under one`},
		"two documents":                          {"rules: []\n---\nrules: []\n", `r.yaml:2:1: the file holds more than one document: make it one document`},
		"a rule that is a word":                  {"rules: [todo]\n", `r.yaml:1:9: a rule is a text: write keys with values`},
		"an unknown key":                         {rule("mach: {any: true}"), `r.yaml:3:5: there is no key "mach": did you mean "match"?`},
		"an unknown key below":                   {rule("match: {any: true}", "answer:", "  stauts: 200"), `r.yaml:5:7: there is no key "answer.stauts": did you mean "status"?`},
		"a key like no other":                    {rule("match: {any: true}", "zzzzzz: 1"), `r.yaml:4:5: there is no key "zzzzzz": there are name, match, answer, times, off`},
		"a key twice":                            {rule("match: {any: true}", "times: 1", "times: 2"), `r.yaml:5:5: the key "times" stands twice: leave one of them out`},
		"no name":                                {"rules:\n  - match: {any: true}\n", `r.yaml:2:5: a rule needs a name: add  name: a-word`},
		"a name twice":                           {rule("match: {any: true}") + "  - {name: a, match: {any: true}}\n", `r.yaml:4:12: name: "a" is the name of the rule in line 2 too: give each rule a name of its own`},
		"no match":                               {rule("answer: {body: ok}"), `r.yaml:2:5: match: the rule does not say which requests it answers: add  match: {any: true}  to answer every request`},
		"an empty match":                         {rule("match: {}"), `r.yaml:3:12: match: the rule does not say which requests it answers: add  match: {any: true}  to answer every request`},
		"any, and a condition":                   {rule("match: {any: true, kind: shortcut}"), `r.yaml:3:18: match.any: every request fits, whatever the other conditions say: leave out any, or the others`},
		"an unknown kind":                        {rule("match: {kind: slash_comand}"), `r.yaml:3:19: match.kind: no kind is called "slash_comand": did you mean "slash_command"?`},
		"an event as kind":                       {rule("match: {kind: app_mention}"), `r.yaml:3:19: match.kind: no kind is called "app_mention": for an event write  kind: event_callback  and  name: app_mention`},
		"a kind by its beginning, that none has": {rule("match: {kind: qqqq*}"), `r.yaml:3:19: match.kind: no kind is called "qqqq*": for an event write  kind: event_callback  and  name: qqqq*`},
		"a path without a slash":                 {rule("match: {path: slack}"), `r.yaml:3:19: match.path: a path begins with /: write /slack`},
		"a list for a text":                      {rule("match: {name: [a]}"), `r.yaml:3:19: match.name: a text is wanted, and this is a list`},
		"a blank for a text":                     {rule("match: {name: }"), `r.yaml:3:19: match.name: a text is wanted, and this is a blank`},
		"a word for a number":                    {rule("match: {any: true}", "times: often"), `r.yaml:4:12: times: "often" is not a whole number`},
		"less than nothing":                      {rule("match: {any: true}", "times: -1"), `r.yaml:4:12: times: -1 is less than nothing: leave it out for no end`},
		"a word for a truth":                     {rule("match: {any: yes}"), `r.yaml:3:18: match.any: "yes" is neither true nor false: write true or false`},
		"a status that is none":                  {answer("status: 99"), `r.yaml:5:15: answer.status: 99 cannot be answered: 200 to 599`},
		"a body where none goes":                 {answer("status: 204", "body: ok"), `r.yaml:5:15: answer.status: 204 has no body: leave out the body, or answer 200`},
		"two bodies":                             {answer("body: ok", "json: {}"), `r.yaml:6:13: answer.json: there is a body already: leave out one of them`},
		"a delay without a unit":                 {answer("delay: 500"), `r.yaml:5:14: answer.delay: "500" is not a duration: write it like 500ms or 2s`},
		"a delay too long":                       {answer("delay: 61s"), `r.yaml:5:14: answer.delay: 1m1s is out of range: 0s to 1m0s`},
		"a delay before now":                     {answer("delay: -1s"), `r.yaml:5:14: answer.delay: -1s is out of range: 0s to 1m0s`},
		"an unknown fault":                       {answer("fault: timout"), `r.yaml:5:14: answer.fault: no fault is called "timout": did you mean "timeout"?`},
		"a fault with a body":                    {answer("fault: reset", "body: ok"), `r.yaml:5:14: answer.fault: reset plays a fault, and nothing is answered: leave out the rest of the answer`},
		"a header's name":                        {answer(`headers: {"X Y": 1}`), `r.yaml:5:24: answer.headers: "X Y" is not the name of a field: letters, digits and hyphens`},
		"a header's value":                       {answer(`headers: {X: "a\r\nSet-Cookie: b"}`), `r.yaml:5:20: answer.headers.X: a value is one line without control characters`},
		"a header of ours":                       {answer(`headers: {content-length: 3}`), `r.yaml:5:33: answer.headers.content-length: slackdev writes this field itself: leave it out`},
		"a bad template":                         {answer(`body: "{{.text"`), `r.yaml:5:13: answer.body: line 1: unclosed action`},
		"an unknown function":                    {answer(`body: "{{shout .text}}"`), `r.yaml:5:13: answer.body: line 1: function "shout" not defined`},
		"a template in JSON":                     {answer(`json: {a: ["{{if}}"]}`), `r.yaml:5:13: answer.json: line 1: missing value for if`},
		"a template of templates":                {answer(`body: '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}'`), `r.yaml:5:13: answer.body: a body is one template: define and block have no place in it`},
		"a template for another":                 {answer(`body: '{{template "b"}}'`), `r.yaml:5:13: answer.body: a body is one template: {{template}} has no place in it`},
		"no number in JSON":                      {answer(`json: .nan`), `r.yaml:5:13: answer.json: JSON has no number .nan: write it as text: ".nan"`},
		"a key twice in JSON":                    {answer(`json: {a: 1, a: 2}`), `r.yaml:5:20: answer.json: the key "a" stands twice: leave one of them out`},
		"a document in itself":                   {answer(`json: &a [*a]`), `r.yaml:5:13: nested more than 100 deep, or more than 200000 values`},
		"a file too large":                       {strings.Repeat("#", MaxFile+1), `r.yaml:1:1: the file has more than 1048576 bytes`},
		"two mistakes":                           {rule("match: {kind: x, txt: y}", "times: z"), `r.yaml:3:22: there is no key "match.txt": did you mean "text"?; r.yaml:4:12: times: "z" is not a whole number`},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := Parse([]byte(tc.file), "r.yaml")
			var mistakes Mistakes
			if !errors.As(err, &mistakes) || err.Error() != tc.want || rules != nil {
				t.Errorf("got  %v, %v\nwant %s\nin\n%.300s", rules, err, tc.want, tc.file)
			}
		})
	}
}

// rule is a file with a rule called a and these lines in it.
func rule(lines ...string) string {
	return "rules:\n  - name: a\n    " + strings.Join(lines, "\n    ") + "\n"
}

// answer is one with these lines in its answer.
func answer(lines ...string) string {
	return rule("match: {any: true}", "answer:", "  "+strings.Join(lines, "\n      "))
}

func TestABombOfAliasesIsRefused(t *testing.T) {
	bomb := "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 10), ",") + "]\n"
	}
	_, err := Parse([]byte(bomb+answer("json: *i")), "r.yaml")
	if err == nil || !strings.Contains(err.Error(), "more than 200000 values") {
		t.Errorf("got %v", err)
	}
}

func TestABombOfHeadersIsRefused(t *testing.T) {
	var file strings.Builder
	file.WriteString("h: &h\n")
	for i := range 20_000 {
		fmt.Fprintf(&file, "  X%d: 1\n", i)
	}
	file.WriteString("rules:\n")
	for i := range 10_000 {
		fmt.Fprintf(&file, "  - {name: r%d, match: {any: true}, answer: {headers: *h}}\n", i)
	}
	_, err := Parse([]byte(file.String()), "r.yaml")
	if err == nil || !strings.Contains(err.Error(), "more than 200000 values") {
		t.Errorf("got %v", err)
	}
}

const whole = `# project
path: /slack/events
rules:
  - name: todo
    match: {kind: slash_command, name: /todo, user: U1, channel: dev, team: T*, path: /slack/*, text: milk}
    answer:
      status: 201
      headers:
        X-Number: 7
      body: |
        Added {{.text}}
      delay: 1.5s
    times: 3
    off: true
  - name: modal
    match: {kind: view_submission}
    answer:
      json:
        response_action: errors
        errors: {item: "no <{{.view.id}}>", n: 1.50, big: 12345678901234567890, t: true, "null": null, hex: 0x10, date: 2026-11-21}
  - &dead
    name: dead
    match: {any: true}
    answer: {fault: timeout, delay: 2s}
`

func TestParseReadsEveryKey(t *testing.T) {
	got, err := Parse([]byte(whole), "slackdev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []Rule{
		{
			Name:   "todo",
			Match:  Match{Kind: "slash_command", Name: "/todo", User: "U1", Channel: "dev", Team: "T*", Path: "/slack/*", Text: "milk"},
			Answer: Answer{Status: 201, Headers: map[string]string{"X-Number": "7"}, Body: "Added {{.text}}\n", Delay: Duration(1500 * time.Millisecond)},
			Times:  3, Off: true,
		},
		{
			Name: "modal", Match: Match{Kind: "view_submission"},
			Answer: Answer{JSON: json.RawMessage(`{"response_action":"errors","errors":{"item":"no <{{.view.id}}>","n":1.50,"big":12345678901234567890,"t":true,"null":null,"hex":16,"date":"2026-11-21"}}`)},
		},
		{Name: "dead", Match: Match{Any: true}, Answer: Answer{Fault: "timeout", Delay: Duration(2 * time.Second)}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestFilesWithoutRules(t *testing.T) {
	for name, file := range map[string]string{
		"empty": "", "comments": "# nothing\n", "other keys": "name: ana\n", "null": "rules:\n", "empty list": "rules: []\n", "empty document": "---\n",
	} {
		if rules, err := Parse([]byte(file), "r.yaml"); len(rules) != 0 || err != nil {
			t.Errorf("%s: got %v, %v", name, rules, err)
		}
	}
}

func TestJSONOfARuleIsWhatTheFileSays(t *testing.T) {
	rules, err := Parse([]byte(whole), "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(Listed{Rule: rules[0], Hits: 2, Last: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"todo","match":{"kind":"slash_command","name":"/todo","user":"U1","channel":"dev","team":"T*","path":"/slack/*","text":"milk"},` +
		`"answer":{"status":201,"headers":{"X-Number":"7"},"body":"Added {{.text}}\n","delay":"1.5s"},"times":3,"off":true,` +
		`"hits":2,"last":"2026-11-21T12:00:00Z"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	var back Listed
	if err := json.Unmarshal(got, &back); err != nil || cmp.Diff(rules[0], back.Rule) != "" {
		t.Errorf("read back: %v, %+v", err, back)
	}
	if bare, err := json.Marshal(Listed{Rule: Rule{Name: "a", Match: Match{Any: true}}}); err != nil || string(bare) != `{"name":"a","match":{"any":true},"answer":{},"hits":0}` {
		t.Errorf("a bare rule is %s, %v", bare, err)
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(answer(`json: {a: ["x\u00e9\U0001F600", 1e400, -0, .5]}`)))
	f.Add([]byte("a: &a {b: *a}\nrules: [*a, {name: \"\\0\", match: {text: \" \\t\\n x\"}}]\n"))
	f.Add([]byte(answer(`body: "{{range .a}}{{.b.c}}{{end}}"`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Parse(data, "r.yaml")
		if err != nil {
			var mistakes Mistakes
			if !errors.As(err, &mistakes) || mistakes[0].Line < 1 || mistakes[0].Column < 1 || mistakes[0].Text == "" {
				t.Fatalf("an error without a place: %#v", err)
			}
			return
		}
		for _, rule := range rules {
			edited, err := apply(nil, change{with: &rule}, []Rule{rule})
			if err != nil {
				t.Fatalf("a rule that was read cannot be written: %v\n%+v\n%s", err, rule, edited)
			}
		}
	})
}

func TestThreeMistakesAreTold(t *testing.T) {
	var all Mistakes
	for i, want := range []string{"a", "a; b", "a; b; c", "a; b; c (and 1 more)", "a; b; c (and 2 more)"} {
		all = append(all, Mistake{Text: string(rune('a' + i))})
		if got := all.Error(); got != want {
			t.Errorf("%d mistakes: got %q, want %q", len(all), got, want)
		}
	}
}
