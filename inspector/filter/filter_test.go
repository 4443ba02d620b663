package filter

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
)

func TestParse(t *testing.T) {
	type terms = []inspector.Term
	text := func(s string) inspector.Term { return inspector.Term{Key: inspector.KeyText, Values: []string{s}} }
	values := func(k inspector.Key, v ...string) inspector.Term { return inspector.Term{Key: k, Values: v} }
	ranges := func(k inspector.Key, r ...inspector.Range) inspector.Term { return inspector.Term{Key: k, Ranges: r} }
	not := func(t inspector.Term) inspector.Term { t.Not = true; return t }
	for query, want := range map[string]terms{
		"":                           nil,
		" \t\n":                      nil,
		"milk":                       {text("milk")},
		"add milk":                   {text("add"), text("milk")},
		`"add milk"`:                 {text("add milk")},
		`-"add milk" -bread`:         {not(text("add milk")), not(text("bread"))},
		`"say \"hi\" \\o/"`:          {text(`say "hi" \o/`)},
		"https://example.com/a":      {text("https://example.com/a")},
		"12:04":                      {text("12:04")},
		"牛乳":                         {text("牛乳")},
		"/todo":                      {values(inspector.KeyName, "/todo*")},
		"-/todo*":                    {not(values(inspector.KeyName, "/todo*"))},
		"/slack/events":              {values(inspector.KeyPath, "/slack/events")},
		`"/todo"`:                    {text("/todo")},
		"kind:command":               {values(inspector.KeyKind, "slash_command")},
		"KIND:Event,shortcut":        {values(inspector.KeyKind, "event_callback", "shortcut")},
		"kind:dialog":                {values(inspector.KeyKind, "dialog_submission", "dialog_cancellation", "dialog_suggestion")},
		"kind:view_*":                {values(inspector.KeyKind, "view_*")},
		"-kind:url_verification":     {not(values(inspector.KeyKind, "url_verification"))},
		"status:200":                 {ranges(inspector.KeyStatus, inspector.Range{Min: 200, Max: 200})},
		"status:404,5xx":             {ranges(inspector.KeyStatus, inspector.Range{Min: 404, Max: 404}, inspector.Range{Min: 500, Max: 599})},
		"status:200..299":            {ranges(inspector.KeyStatus, inspector.Range{Min: 200, Max: 299})},
		"status:>=500":               {ranges(inspector.KeyStatus, inspector.Range{Min: 500, Max: math.MaxInt64})},
		"status:<400":                {ranges(inspector.KeyStatus, inspector.Range{Min: 0, Max: 399})},
		"elapsed:>2s":                {ranges(inspector.KeyElapsed, inspector.Range{Min: 2001, Max: math.MaxInt64})},
		"elapsed:<=300ms":            {ranges(inspector.KeyElapsed, inspector.Range{Min: 0, Max: 300})},
		"elapsed:1.5s..":             {ranges(inspector.KeyElapsed, inspector.Range{Min: 1500, Max: math.MaxInt64})},
		"elapsed:..1M":               {ranges(inspector.KeyElapsed, inspector.Range{Min: 0, Max: 60_000})},
		"elapsed:250":                {ranges(inspector.KeyElapsed, inspector.Range{Min: 250, Max: 250})},
		"verdict:stale,token":        {values(inspector.KeyVerdict, "stale", "token")},
		"origin:sent":                {values(inspector.KeyOrigin, "composed")},
		"user:@ana channel:#dev":     {values(inspector.KeyUser, "ana"), values(inspector.KeyChannel, "dev")},
		`user:"Ana, B.",U1`:          {values(inspector.KeyUser, "Ana, B.", "U1")},
		"team:T1 method:post path:/": {values(inspector.KeyTeam, "T1"), values(inspector.KeyMethod, "post"), values(inspector.KeyPath, "/")},
		"by:app,rule,greeting":       {values(inspector.KeyBy, "app", "rule *", "rule greeting")},
		`by:"rule greeting"`:         {values(inspector.KeyBy, "rule greeting")},
		"event:Ev1 of:01k2":          {values(inspector.KeyEvent, "Ev1"), values(inspector.KeyOf, "01k2*")},
		"finding:slow_*":             {values(inspector.KeyFinding, "slow_*")},
		"name:app_mention":           {values(inspector.KeyName, "app_mention")},
		`text:milk,"two eggs"`:       {values(inspector.KeyText, "milk", "two eggs")},
		"is:slow":                    {{Key: inspector.KeyElapsed, Min: 3000, Max: math.MaxInt64}},
		"-is:retry":                  {{Key: inspector.KeyRetry, Not: true, Min: 1, Max: math.MaxInt64}},
		"is:fault is:error":          {{Key: inspector.KeyFault}, {Key: inspector.KeyError}},
		"is:pinned -is:answered":     {{Key: inspector.KeyPinned}, {Key: inspector.KeyAnswered, Not: true}},
		"is:replay":                  {values(inspector.KeyOf, "*")},
	} {
		t.Run(query, func(t *testing.T) {
			got, err := Parse(query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", query, diff)
			}
		})
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	for query, want := range map[string]struct {
		at      string // the part of the query that the error points to
		problem string
		fix     string
	}{
		"milk stat:200":                      {"stat", `there is no key "stat"`, "did you mean status?"},
		"usre:ana":                           {"usre", `there is no key "usre"`, "did you mean user?"},
		"wholly:other":                       {"wholly", `there is no key "wholly"`, `to search for the text, quote it: "wholly:…"`},
		"kind:comand":                        {"comand", `there is no kind "comand"`, "did you mean command?"},
		"kind:event,zzz":                     {"zzz", `there is no kind "zzz"`, "one of slash_command, outgoing_webhook, event_callback, url_verification, app_rate_limited, block_actions, block_suggestion, view_submission, view_closed, shortcut, …"},
		"kind:zzz*":                          {"zzz*", `there is no kind "zzz*"`, ""},
		"verdict:vaild":                      {"vaild", `there is no verdict "vaild"`, "did you mean valid?"},
		"origin:moon":                        {"moon", `there is no origin "moon"`, "tunnel"},
		"is:slwo":                            {"slwo", "there is no is:slwo", "did you mean slow?"},
		"is:slow,retry":                      {"retry", "is: has one word", "once more"},
		"a status:":                          {"status:", "status: has no value", "write status:200"},
		"user:,b":                            {"user:", "user: has no value", "write user:ana"},
		`user:""`:                            {`user:""`, "user: has no value", ""},
		"status:abc":                         {"abc", `"abc" is not a status`, "5xx"},
		"status:6xx":                         {"6xx", `"6xx" is not a status`, ""},
		"status:..":                          {"..", `".." is not a status`, ""},
		"status:500..400":                    {"500..400", "500..400 is an empty range", "smaller one first"},
		"status:<0":                          {"<0", "<0 is an empty range", ""},
		"elapsed:fast":                       {"fast", `"fast" is not a duration`, "2s"},
		"elapsed:-2s":                        {"-2s", `"-2s" is not a duration`, ""},
		"of:ILO!":                            {"ILO!", `"ILO!" is not the beginning of an ID`, "26"},
		`milk "bread`:                        {`"bread`, "a quote is not closed", `write "`},
		`"milk"bread`:                        {"b", "something follows the quote without a space", "space"},
		"milk --":                            {"--", `"-" has no word to search for`, "letters and digits"},
		"-":                                  {"-", `"-" has no word to search for`, ""},
		"text:…":                             {"…", `"…" has no word to search for`, ""},
		"\"\"":                               {`""`, `"" has no word to search for`, ""},
		"x" + strings.Repeat(" a", MaxTerms): {"a", "the query has more than 64 conditions", ""},
		strings.Repeat("é", MaxLength):       {strings.Repeat("é", MaxLength/2), "the query is longer than 4096 bytes", ""},
	} {
		t.Run(query[:min(len(query), 20)], func(t *testing.T) {
			_, err := Parse(query)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Parse(%q): %v, want an *Error", query, err)
			}
			if at := query[e.Offset : e.Offset+e.Length]; at != want.at {
				t.Errorf("Parse(%q) points to %q, want %q", query, at, want.at)
			}
			if e.Problem != want.problem || !strings.Contains(e.Fix, want.fix) {
				t.Errorf("Parse(%q):\n got %q; %q\nwant %q; %q", query, e.Problem, e.Fix, want.problem, want.fix)
			}
		})
	}
}

// Every key that is listed must be readable, and its example too.
func TestEveryKeyHasAnExampleThatParses(t *testing.T) {
	for _, name := range keyNames() {
		r, ok := readers(name)
		if !ok {
			t.Errorf("there is no reader for %s", name)
			continue
		}
		for _, example := range strings.FieldsFunc(r.example, func(c rune) bool { return c == ' ' }) {
			if example = strings.Trim(example, ","); !strings.HasPrefix(example, name+":") || strings.Contains(example, `"`) {
				continue
			}
			if _, err := Parse(example); err != nil {
				t.Errorf("the example of %s: %v", name, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"kind:command status:5xx -user:ana \"add milk\"", "elapsed:1s..2s /todo", "is:slow", "a:b,\"c\\\"\",,", "-\"", "статус:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		terms, err := Parse(query)
		var e *Error
		if errors.As(err, &e) {
			if e.Offset < 0 || e.Length < 1 || e.Offset+e.Length > len(query) || e.Problem == "" {
				t.Errorf("Parse(%q): the error %+v does not point into the query", query, e)
			}
			return
		}
		if err != nil {
			t.Fatalf("Parse(%q): %v is not an *Error", query, err)
		}
		q := inspector.Query{Where: terms}
		q.Match(&inspector.Exchange{})
		again, err := Parse(" " + query + " ")
		if diff := cmp.Diff(terms, again); err != nil || diff != "" {
			t.Errorf("spaces around %q change its meaning: %v\n%s", query, err, diff)
		}
	})
}
