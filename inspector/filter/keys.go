package filter

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// reader reads the values of one key into a term, one after the other.
type reader struct {
	key     inspector.Key
	example string
	value   func(value, *inspector.Term) *Error // without the position
}

// keyNames are the keys that people write, in the order in which help lists them.
func keyNames() []string {
	return []string{"kind", "name", "status", "verdict", "user", "channel", "team", "path", "method", "elapsed", "by", "origin", "event", "of", "finding", "text", "is"}
}

func readers(key string) (reader, bool) {
	switch key {
	case "kind":
		return reader{inspector.KeyKind, "kind:command", kind}, true
	case "verdict":
		return reader{inspector.KeyVerdict, "verdict:valid", oneOf("verdict", verdicts(), nil)}, true
	case "origin":
		return reader{inspector.KeyOrigin, "origin:replay", oneOf("origin", origins(), map[string]string{"sent": "composed", "send": "composed"})}, true
	case "status":
		return reader{inspector.KeyStatus, "status:200, status:5xx or status:>=400", status}, true
	case "elapsed":
		return reader{inspector.KeyElapsed, "elapsed:>2s", elapsed}, true
	case "is":
		return reader{"", "is:slow", is}, true
	case "text":
		return reader{inspector.KeyText, `text:milk or text:"add milk"`, text}, true
	case "name":
		return reader{inspector.KeyName, "name:/todo or name:app_mention", asItIs}, true
	case "user":
		return reader{inspector.KeyUser, "user:ana or user:U012AB3CD", without("@")}, true
	case "channel":
		return reader{inspector.KeyChannel, "channel:dev or channel:C012AB3CD", without("#")}, true
	case "team":
		return reader{inspector.KeyTeam, "team:T012AB3CD", asItIs}, true
	case "path":
		return reader{inspector.KeyPath, "path:/slack/events", asItIs}, true
	case "method":
		return reader{inspector.KeyMethod, "method:post", asItIs}, true
	case "by":
		return reader{inspector.KeyBy, "by:app, by:slackdev or by:rule", by}, true
	case "event":
		return reader{inspector.KeyEvent, "event:Ev012AB3CD", asItIs}, true
	case "of":
		return reader{inspector.KeyOf, "of:01K2", of}, true
	case "finding":
		return reader{inspector.KeyFinding, "finding:slow_answer", asItIs}, true
	}
	return reader{}, false
}

func asItIs(v value, t *inspector.Term) *Error {
	t.Values = append(t.Values, v.text)
	return nil
}

// without takes the mark away that people and Slack put before a name.
func without(mark string) func(value, *inspector.Term) *Error {
	return func(v value, t *inspector.Term) *Error {
		t.Values = append(t.Values, strings.TrimPrefix(v.text, mark))
		return nil
	}
}

func text(v value, t *inspector.Term) *Error {
	if len(inspector.AppendWords(nil, v.text)) == 0 {
		return &Error{Problem: fmt.Sprintf("%q has no word to search for", v.text), Fix: "words are letters and digits"}
	}
	return asItIs(v, t)
}

// by takes the name of a rule with or without the word before it.
func by(v value, t *inspector.Term) *Error {
	switch word := strings.ToLower(v.text); {
	case word == "rule" || word == "rules":
		t.Values = append(t.Values, "rule *")
	case word == inspector.ByApp || word == inspector.BySlackdev || strings.HasPrefix(word, "rule ") || strings.HasSuffix(word, "*"):
		t.Values = append(t.Values, v.text)
	default:
		t.Values = append(t.Values, "rule "+v.text)
	}
	return nil
}

// of takes a whole ID, or its beginning.
func of(v value, t *inspector.Term) *Error {
	a := strings.TrimSuffix(v.text, "*")
	if _, ok := inspector.ParseAbbreviation(a); a != "" && !ok {
		return &Error{Problem: fmt.Sprintf("%q is not the beginning of an ID", v.text), Fix: "IDs are 26 digits and letters: 01K2…"}
	}
	t.Values = append(t.Values, a+"*")
	return nil
}

// kinds are Slack's own words.
func kinds() []string {
	return []string{
		string(slack.SlashCommand), string(slack.OutgoingWebhook), string(slack.EventCallback), string(slack.URLVerification),
		string(slack.AppRateLimited), string(slack.BlockActions), string(slack.BlockSuggestion), string(slack.ViewSubmission),
		string(slack.ViewClosed), string(slack.Shortcut), string(slack.MessageAction), string(slack.InteractiveMessage),
		string(slack.DialogSubmission), string(slack.DialogCancellation), string(slack.DialogSuggestion),
		string(slack.WorkflowStepEdit), string(slack.SSLCheck), string(slack.OAuthRedirect), string(slack.Unknown),
	}
}

// kindAliases are shorter words, and words for several kinds.
func kindAliases() map[string][]slack.Kind {
	return map[string][]slack.Kind{
		"command":     {slack.SlashCommand},
		"event":       {slack.EventCallback},
		"webhook":     {slack.OutgoingWebhook},
		"challenge":   {slack.URLVerification},
		"action":      {slack.BlockActions},
		"actions":     {slack.BlockActions},
		"button":      {slack.BlockActions},
		"suggestion":  {slack.BlockSuggestion, slack.DialogSuggestion},
		"options":     {slack.BlockSuggestion, slack.DialogSuggestion},
		"submission":  {slack.ViewSubmission, slack.DialogSubmission},
		"view":        {slack.ViewSubmission, slack.ViewClosed},
		"modal":       {slack.ViewSubmission, slack.ViewClosed},
		"dialog":      {slack.DialogSubmission, slack.DialogCancellation, slack.DialogSuggestion},
		"oauth":       {slack.OAuthRedirect},
		"ssl":         {slack.SSLCheck},
		"rate":        {slack.AppRateLimited},
		"interactive": {slack.BlockActions, slack.BlockSuggestion, slack.ViewSubmission, slack.ViewClosed, slack.Shortcut, slack.MessageAction, slack.InteractiveMessage, slack.DialogSubmission, slack.DialogCancellation, slack.DialogSuggestion, slack.WorkflowStepEdit},
	}
}

func kind(v value, t *inspector.Term) *Error {
	word := strings.ToLower(v.text)
	for _, k := range kindAliases()[word] {
		t.Values = append(t.Values, string(k))
	}
	if len(kindAliases()[word]) > 0 {
		return nil
	}
	names := kinds()
	for alias := range kindAliases() {
		names = append(names, alias)
	}
	slices.Sort(names[len(kinds()):])
	return oneOf("kind", names, nil)(v, t)
}

func verdicts() []string {
	var words []string
	for s := slack.Unchecked; s <= slack.TokenOnly; s++ {
		words = append(words, s.String())
	}
	return words
}

func origins() []string {
	return []string{string(inspector.Tunnel), string(inspector.Local), string(inspector.Replay), string(inspector.Composed), string(inspector.Outgoing)}
}

// oneOf takes one of some words, or the beginning of one with a star.
func oneOf(what string, words []string, aliases map[string]string) func(value, *inspector.Term) *Error {
	return func(v value, t *inspector.Term) *Error {
		word := strings.ToLower(v.text)
		if full, ok := aliases[word]; ok {
			word = full
		}
		beginning, star := strings.CutSuffix(word, "*")
		if !slices.ContainsFunc(words, func(w string) bool { return w == word || star && strings.HasPrefix(w, beginning) }) {
			return &Error{
				Problem: fmt.Sprintf("there is no %s %q", what, v.text),
				Fix:     suggest(beginning, words, "one of "+some(words)),
			}
		}
		t.Values = append(t.Values, word)
		return nil
	}
}

// some lists words, and of many the first ten.
func some(words []string) string {
	const most = 10
	if len(words) <= most {
		return strings.Join(words, ", ")
	}
	return strings.Join(words[:most], ", ") + ", …"
}

func status(v value, t *inspector.Term) *Error {
	if c := v.text; len(c) == 3 && '1' <= c[0] && c[0] <= '5' && strings.EqualFold(c[1:], "xx") {
		class := int64(c[0]-'0') * 100
		t.Ranges = append(t.Ranges, inspector.Range{Min: class, Max: class + 99})
		return nil
	}
	return span(v, t, "status", "a number, a class like 5xx, a range like 200..299, or >=400", func(s string) (int64, bool) {
		n, err := strconv.ParseUint(s, 10, 16)
		return int64(n), err == nil && n <= 999
	})
}

func elapsed(v value, t *inspector.Term) *Error {
	return span(v, t, "duration", "a duration like 300ms or 2s, with > or < before it, or a range like 1s..3s", func(s string) (int64, bool) {
		if n, err := strconv.ParseUint(s, 10, 31); err == nil { // milliseconds
			return int64(n), true
		}
		d, err := time.ParseDuration(strings.ToLower(s))
		return d.Milliseconds(), err == nil && d >= 0
	})
}

// span reads N, N..M, N.., ..M, >N, >=N, <N or <=N.
func span(v value, t *inspector.Term, what, form string, number func(string) (int64, bool)) *Error {
	r := inspector.Range{Min: 0, Max: math.MaxInt64}
	var ok bool
	from, to, isRange := strings.Cut(v.text, "..")
	switch {
	case strings.HasPrefix(v.text, ">="):
		r.Min, ok = number(v.text[2:])
	case strings.HasPrefix(v.text, "<="):
		r.Max, ok = number(v.text[2:])
	case strings.HasPrefix(v.text, ">"):
		r.Min, ok = number(v.text[1:])
		r.Min++
	case strings.HasPrefix(v.text, "<"):
		r.Max, ok = number(v.text[1:])
		r.Max--
	case isRange:
		ok = from != "" || to != ""
		if ok && from != "" {
			r.Min, ok = number(from)
		}
		if ok && to != "" {
			r.Max, ok = number(to)
		}
	default:
		r.Min, ok = number(v.text)
		r.Max = r.Min
	}
	if !ok {
		return &Error{Problem: fmt.Sprintf("%q is not a %s", v.text, what), Fix: "write " + form}
	}
	if r.Min > r.Max {
		return &Error{Problem: fmt.Sprintf("%s is an empty range", v.text), Fix: "put the smaller one first"}
	}
	t.Ranges = append(t.Ranges, r)
	return nil
}

// is takes a word for a state. It is a condition of its own, so that there is one
// only: is:slow is:retry, and not is:slow,retry.
func is(v value, t *inspector.Term) *Error {
	if t.Key != "" {
		return &Error{Problem: "is: has one word", Fix: "write is: once more for the next one"}
	}
	words := map[string]inspector.Term{
		"slow":     {Key: inspector.KeyElapsed, Min: slack.Deadline.Milliseconds(), Max: math.MaxInt64},
		"retry":    {Key: inspector.KeyRetry, Min: 1, Max: math.MaxInt64},
		"fault":    {Key: inspector.KeyFault},
		"pinned":   {Key: inspector.KeyPinned},
		"answered": {Key: inspector.KeyAnswered},
		"error":    {Key: inspector.KeyError},
		"replay":   {Key: inspector.KeyOf, Values: []string{"*"}},
	}
	found, ok := words[strings.ToLower(v.text)]
	if !ok {
		names := []string{"slow", "retry", "fault", "error", "answered", "pinned", "replay"}
		return &Error{Problem: fmt.Sprintf("there is no is:%s", v.text), Fix: suggest(strings.ToLower(v.text), names, "one of "+strings.Join(names, ", "))}
	}
	found.Not = t.Not
	*t = found
	return nil
}
