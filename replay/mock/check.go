package mock

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slackdev/slackdev/inspector"
)

// problem is a mistake of a rule whose place in a file is not known yet.
type problem struct {
	path      string // match.kind
	text, fix string
}

// checker compiles one rule and collects what is wrong with it.
type checker struct {
	problems []problem
}

func (c *checker) wrong(path, fix, format string, args ...any) {
	c.problems = append(c.problems, problem{path: path, text: fmt.Sprintf(format, args...), fix: fix})
}

// compile makes a rule ready to answer. It is usable where there are no problems.
func compile(r Rule) (*compiled, []problem) {
	var c checker
	c.rule(r)
	c.match(r.Match)
	c.answer(&r.Answer)
	body := c.body(&r.Answer)
	rule := &compiled{rule: r, match: matcherOf(r.Match), body: body}
	if len(c.problems) == 0 && rule.body.static() {
		if ready, err := rule.answer(nil); err == nil {
			rule.ready = ready
		} else {
			c.wrong("answer.body", "", "answer.body: %v", err)
		}
	}
	return rule, c.problems
}

func (c *checker) rule(r Rule) {
	switch {
	case r.Name == "":
		c.wrong("name", "add  name: a-word", "a rule needs a name")
	case len(r.Name) > 100 || strings.ContainsFunc(r.Name, unprintable):
		c.wrong("name", "", "name: at most 100 bytes, printable")
	}
	if r.Times < 0 {
		c.wrong("times", "leave it out for no end", "times: %d is less than nothing", r.Times)
	}
}

func (c *checker) match(m Match) {
	conditions := []string{m.Kind, m.Name, m.User, m.Channel, m.Team, m.Path, m.Text}
	some := slices.ContainsFunc(conditions, func(s string) bool { return s != "" })
	switch {
	case !some && !m.Any:
		c.wrong("match", "add  match: {any: true}  to answer every request", "match: the rule does not say which requests it answers")
	case some && m.Any:
		c.wrong("match.any", "leave out any, or the others", "match.any: every request fits, whatever the other conditions say")
	}
	known := slices.ContainsFunc(kinds(), func(kind string) bool { return patternOf(m.Kind).inAnyCase(kind) })
	if !known {
		fix := "for an event write  kind: event_callback  and  name: " + m.Kind
		if near := nearest(m.Kind, kinds()); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		c.wrong("match.kind", fix, "match.kind: no kind is called %q", m.Kind)
	}
	if m.Path != "" && !strings.HasPrefix(m.Path, "/") && m.Path != "*" {
		c.wrong("match.path", "write /"+m.Path, "match.path: a path begins with /")
	}
	for i, s := range conditions {
		if !utf8.ValidString(s) {
			c.wrong("match", "", "match: condition %d is not UTF-8", i+1)
		}
	}
}

func (c *checker) answer(a *Answer) {
	if a.Status != 0 && (a.Status < 200 || a.Status > 599) {
		c.wrong("answer.status", "200 to 599", "answer.status: %d cannot be answered", a.Status)
	}
	for name, value := range a.Headers {
		c.header(name, value)
	}
	if d := time.Duration(a.Delay); d < 0 || d > MaxDelay {
		c.wrong("answer.delay", "0s to "+MaxDelay.String(), "answer.delay: %v is out of range", d)
	}
	empty := a.Body == "" && len(a.JSON) == 0
	switch a.Fault {
	case "":
		if bodyless := a.Status == http.StatusNoContent || a.Status == http.StatusNotModified; bodyless && !empty {
			c.wrong("answer.status", "leave out the body, or answer 200", "answer.status: %d has no body", a.Status)
		}
	case inspector.FaultTimeout, inspector.FaultReset:
		if a.Status != 0 || len(a.Headers) > 0 || !empty {
			c.wrong("answer.fault", "leave out the rest of the answer", "answer.fault: %s plays a fault, and nothing is answered", a.Fault)
		}
	default:
		c.wrong("answer.fault", didYouMean(a.Fault, []string{inspector.FaultTimeout, inspector.FaultReset}),
			"answer.fault: no fault is called %q", a.Fault)
	}
}

func (c *checker) header(name, value string) {
	path := "answer.headers." + name
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer", "te", "date":
		c.wrong(path, "leave it out", "%s: slackdev writes this field itself", path)
	}
	if !token(name) {
		c.wrong(path, "letters, digits and hyphens", "answer.headers: %q is not the name of a field", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		c.wrong(path, "", "%s: a value is one line without control characters", path)
	}
}

// body compiles what is answered, and puts JSON into its normal form first.
func (c *checker) body(a *Answer) *body {
	b, err := &body{}, error(nil)
	switch {
	case a.Body != "" && len(a.JSON) > 0:
		c.wrong("answer.json", "leave out one of them", "answer.json: there is a body already")
	case len(a.JSON) > 0:
		if a.JSON, err = canonicalJSON(a.JSON); err == nil {
			b, err = jsonBody(a.JSON)
		}
		if err != nil {
			c.wrong("answer.json", "", "answer.json: %v", err)
		}
	case !utf8.ValidString(a.Body):
		c.wrong("answer.body", "", "answer.body: not UTF-8")
	case a.Body != "":
		if b, err = textBody(a.Body); err != nil {
			c.wrong("answer.body", "", "answer.body: %v", err)
		}
	}
	return b
}

// token reports whether s is a field name by RFC 9110, 5.6.2.
func token(s string) bool {
	for _, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) {
			return false
		}
	}
	return s != ""
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }
