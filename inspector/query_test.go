package inspector_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

func TestMatchByKey(t *testing.T) {
	x := &inspector.Exchange{
		Origin: inspector.Tunnel, Elapsed: 3_000_500_000,
		Request:  inspector.Request{Method: "POST", Target: "/slack/events?x=1"},
		Response: &inspector.Response{Status: 500, By: "rule Greeting"},
		Slack: slack.Payload{
			Kind: slack.EventCallback, Name: "app_mention", User: slack.Ref{ID: "U1", Name: "ana"}, Channel: slack.Ref{ID: "C1"},
			EventID: "Ev1", Retry: 2,
		},
		Verdict:  slack.Verdict{Status: slack.Stale},
		Findings: []slack.Finding{{Code: "slow_answer"}, {Code: "not_json"}},
	}
	for name, tc := range map[string]struct {
		term inspector.Term
		want bool
	}{
		"kind":                            {inspector.Term{Key: inspector.KeyKind, Values: []string{"EVENT_callback"}}, true},
		"not that kind":                   {inspector.Term{Key: inspector.KeyKind, Values: []string{"event"}}, false},
		"beginning of a kind":             {inspector.Term{Key: inspector.KeyKind, Values: []string{"event*"}}, true},
		"one of two names":                {inspector.Term{Key: inspector.KeyName, Values: []string{"message", "app_mention"}}, true},
		"user by ID":                      {inspector.Term{Key: inspector.KeyUser, Values: []string{"u1"}}, true},
		"user by name":                    {inspector.Term{Key: inspector.KeyUser, Values: []string{"ANA"}}, true},
		"a channel without a name":        {inspector.Term{Key: inspector.KeyChannel, Values: []string{""}}, false},
		"any channel":                     {inspector.Term{Key: inspector.KeyChannel, Values: []string{"*"}}, true},
		"any team, and it has none":       {inspector.Term{Key: inspector.KeyTeam, Values: []string{"*"}}, false},
		"verdict":                         {inspector.Term{Key: inspector.KeyVerdict, Values: []string{"stale"}}, true},
		"path without the query":          {inspector.Term{Key: inspector.KeyPath, Values: []string{"/slack/events?x"}}, false},
		"beginning of the path":           {inspector.Term{Key: inspector.KeyPath, Values: []string{"/SLACK"}}, true},
		"answered by":                     {inspector.Term{Key: inspector.KeyBy, Values: []string{"rule greeting"}}, true},
		"second finding":                  {inspector.Term{Key: inspector.KeyFinding, Values: []string{"not_json"}}, true},
		"made from nothing":               {inspector.Term{Key: inspector.KeyOf, Values: []string{"*"}}, false},
		"status in range":                 {inspector.Term{Key: inspector.KeyStatus, Min: 500, Max: 599}, true},
		"status at the end of a range":    {inspector.Term{Key: inspector.KeyStatus, Min: 400, Max: 500}, true},
		"ranges count before min and max": {inspector.Term{Key: inspector.KeyStatus, Min: 500, Max: 500, Ranges: []inspector.Range{{Min: 1, Max: 2}}}, false},
		"elapsed in whole milliseconds":   {inspector.Term{Key: inspector.KeyElapsed, Min: 3000, Max: 3000}, true},
		"retry":                           {inspector.Term{Key: inspector.KeyRetry, Min: 1, Max: 9}, true},
		"answered":                        {inspector.Term{Key: inspector.KeyAnswered}, true},
		"not answered":                    {inspector.Term{Key: inspector.KeyAnswered, Not: true}, false},
		"no fault":                        {inspector.Term{Key: inspector.KeyFault}, false},
		"an error by its status":          {inspector.Term{Key: inspector.KeyError}, true},
		"no values fit nothing":           {inspector.Term{Key: inspector.KeyKind}, false},
		"not of no values fits":           {inspector.Term{Key: inspector.KeyKind, Not: true}, true},
		"an unknown key fits nothing":     {inspector.Term{Key: "colour", Values: []string{"red"}}, false},
	} {
		q := inspector.Query{Where: []inspector.Term{tc.term}}
		if got := q.Match(x); got != tc.want {
			t.Errorf("%s: Match = %v, want %v", name, got, tc.want)
		}
	}
}

func TestEveryTermMustFit(t *testing.T) {
	x := &inspector.Exchange{Fault: "gone", Request: inspector.Request{Method: "GET"}}
	fault, get := inspector.Term{Key: inspector.KeyFault}, inspector.Term{Key: inspector.KeyMethod, Values: []string{"get"}}
	post := inspector.Term{Key: inspector.KeyMethod, Values: []string{"post"}}
	for _, tc := range [...]struct {
		where []inspector.Term
		want  bool
	}{{nil, true}, {[]inspector.Term{fault, get}, true}, {[]inspector.Term{fault, post}, false}} {
		q := inspector.Query{Where: tc.where}
		if got := q.Match(x); got != tc.want {
			t.Errorf("%v: Match = %v, want %v", tc.where, got, tc.want)
		}
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                nil,
		" .,!\x00\xff ":                   nil,
		"Add MILK, two-litre":             {"add", "milk", "two", "litre"},
		"app_mention":                     {"app", "mention"},
		"a1b2":                            {"a1b2"},
		"Straße ÜBUNG":                    {"straße", "übung"},
		"牛乳を買う now":                       {"牛", "乳", "を", "買", "う", "now"},
		"🎉🎉ok❤️":                          {"🎉", "🎉", "ok", "❤"},
		"e\u0301tude":                     {"e\u0301tude"},
		"\u0301x":                         {"x"},
		"don't":                           {"don", "t"},
		"K\u212A":                         {"kk"}, // the Kelvin sign is a K
		strings.Repeat("x", 100) + " y":   {strings.Repeat("x", inspector.MaxWord-4), "y"},
		strings.Repeat("é", 100) + "\xff": {strings.Repeat("é", inspector.MaxWord/2-2)},
	} {
		if diff := cmp.Diff(want, inspector.Words(text)); diff != "" {
			t.Errorf("Words(%q) (-want +got):\n%s", text, diff)
		}
	}
}

func TestPhrases(t *testing.T) {
	text := inspector.NewText("Please add MILK and bread; add-on")
	for phrase, want := range map[string]bool{
		"milk": true, "mil": true, "ilk": false, "add milk": true, "ADD, mil": true, "milk add": false,
		"please milk": false, "ad milk": false, "add on": true, "add only": false, "": true, "…": true,
	} {
		if got := text.Has(inspector.Words(phrase)); got != want {
			t.Errorf("Has(%q) = %v, want %v", phrase, got, want)
		}
	}
}

func jsonHeader() inspector.Header {
	return inspector.Header{{Name: "Content-Type", Value: "application/json"}}
}

func TestSearchTextHasWhatPeopleLookFor(t *testing.T) {
	form := inspector.Header{{Name: "content-type", Value: "application/x-www-form-urlencoded"}}
	body := func(s string) inspector.Body { return inspector.Body{Bytes: []byte(s), Size: int64(len(s))} }
	for name, tc := range map[string]struct {
		x    inspector.Exchange
		has  []string
		lack []string
	}{
		"an event": {
			x: inspector.Exchange{Request: inspector.Request{Target: "/slack/events", Header: jsonHeader(),
				Body: body(`{"token":"t0k","event":{"text":"caf\u00e9 \ud83c\udf89 a\/b \"q\"","n":-1.5e3},"event_id":"Ev1"}`)}},
			has:  []string{"slack events", "t0k", "café 🎉 a b q", "1 5e3", "ev1"},
			lack: []string{"token", "event id"},
		},
		"a form with a payload": {
			x: inspector.Exchange{Request: inspector.Request{Method: "POST", Header: form,
				Body: body("payload=" + "%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A%5B%7B%22value%22%3A%22gr%C3%BCn+rot%22%7D%5D%7D")}},
			has: []string{"block actions", "grün rot"},
		},
		"a form that is cut in an escape": {
			x:   inspector.Exchange{Request: inspector.Request{Method: "POST", Header: form, Body: body("command=%2Ftodo&text=add+milk%2")}},
			has: []string{"todo", "milk"},
		},
		"broken JSON": {
			x:   inspector.Exchange{Request: inspector.Request{Header: jsonHeader(), Body: body(`{"a":"milk","b":"\uZZZZ bread`)}},
			has: []string{"milk", "bread"},
		},
		"neither": {
			x:   inspector.Exchange{Request: inspector.Request{Body: body("plain milk")}},
			has: []string{"plain milk"},
		},
		"an answer and a fault": {
			x:   inspector.Exchange{Fault: "connection refused", Response: &inspector.Response{Body: body(`{"text":"Added milk"}`)}},
			has: []string{"connection refused", "added milk"}, lack: []string{"text"},
		},
		"an answer that is no text": {
			x:    inspector.Exchange{Response: &inspector.Response{Body: body("milk\xff\xfe")}},
			lack: []string{"milk"},
		},
	} {
		text := inspector.NewText(inspector.SearchText(&tc.x))
		for _, want := range tc.has {
			if !text.Has(inspector.Words(want)) {
				t.Errorf("%s: the text has no %q:\n%q", name, want, inspector.SearchText(&tc.x))
			}
		}
		for _, not := range tc.lack {
			if text.Has(inspector.Words(not)) {
				t.Errorf("%s: the text has %q:\n%q", name, not, inspector.SearchText(&tc.x))
			}
		}
	}
}

func TestSearchTextIsBoundedAndLeavesRoomForTheAnswer(t *testing.T) {
	long := []byte(`{"text":"` + strings.Repeat("é ", 100_000) + `"}`)
	x := &inspector.Exchange{
		Request:  inspector.Request{Target: strings.Repeat("/é", 1000), Header: jsonHeader(), Body: inspector.Body{Bytes: long, Size: int64(len(long))}},
		Response: &inspector.Response{Body: inspector.Body{Bytes: append([]byte("answer "), long...)}},
	}
	text := inspector.SearchText(x)
	if len(text) > inspector.MaxText || len(text) < inspector.MaxText-8 || !utf8.ValidString(text) {
		t.Errorf("the text has %d bytes, valid: %v, want at most %d", len(text), utf8.ValidString(text), inspector.MaxText)
	}
	if !inspector.NewText(text).Has([]string{"answer"}) {
		t.Error("the request leaves no room for the answer")
	}
}

func TestFoldedFacetsHaveNoControlCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"Ana": "ana", "": "", "a\x1fb\x00": "a b ", "ÄÖ\xff": "äö\uFFFD", "ſ": "s",
		strings.Repeat("A", 600): strings.Repeat("a", inspector.MaxFacet),
	} {
		if got := inspector.FoldFacet(in); got != want {
			t.Errorf("FoldFacet(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzSearchText(f *testing.F) {
	f.Add("application/json", []byte(`{"a":["\u00e9\ud83c\udf89",1]}`), "é")
	f.Add("application/x-www-form-urlencoded", []byte("payload=%7B%22a%22%3A%22b%22%7D"), "b")
	f.Add("text/plain", []byte("x \xf0\x9f"), "牛乳")
	f.Fuzz(func(t *testing.T, contentType string, body []byte, phrase string) {
		x := &inspector.Exchange{Request: inspector.Request{
			Method: "POST", Header: inspector.Header{{Name: "Content-Type", Value: contentType}}, Body: inspector.Body{Bytes: body},
		}, Response: &inspector.Response{Body: inspector.Body{Bytes: body}}}
		text := inspector.SearchText(x)
		if len(text) > inspector.MaxText {
			t.Errorf("the text has %d bytes", len(text))
		}
		words := inspector.Words(text)
		if again := inspector.Words(strings.Join(words, " ")); !slices.Equal(words, again) {
			t.Errorf("words of words differ: %q and %q", words, again)
		}
		if w := inspector.Words(phrase); len(w) > 0 && !inspector.NewText(phrase).Has(w) {
			t.Errorf("%q does not have its own words %q", phrase, w)
		}
	})
}

func BenchmarkMatchText(b *testing.B) {
	x := storetest.NewMaker(1).Sized(1400)
	m := inspector.NewMatcher([]inspector.Term{{Key: inspector.KeyText, Values: []string{"milk"}}})
	b.ReportAllocs()
	for b.Loop() {
		if !m.Match(x) {
			b.Fatal("it has milk")
		}
	}
}
