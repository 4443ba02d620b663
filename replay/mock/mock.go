// Package mock answers in the app's place, by rules from a YAML file.
//
// The rules stand under the key rules, in slackdev.yaml or in a file of their own.
// The first rule that fits a request answers it. Matching reads memory alone, takes no
// lock and costs nothing where there are no rules; a file with a mistake is told and
// changes nothing. Rules are the developer's own words, payloads are a stranger's:
// what a payload can make a rule's template do is bounded in size and in time.
package mock

import (
	"encoding/json"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

// Rule says which requests it answers, and how.
type Rule struct {
	Name   string `json:"name"` // one of its kind in a file
	Match  Match  `json:"match"`
	Answer Answer `json:"answer"`
	Times  int    `json:"times,omitzero"` // answers this many requests and is spent then; 0: no end
	Off    bool   `json:"off,omitzero"`   // answers none
}

// Match is the conditions of a rule; a request must meet all that are not empty.
// One that ends in * fits what begins with the rest. Kind, User, Channel and Team
// compare without regard to case, and so does Name for what people type (commands and
// trigger words); ids that the app chose, and paths, compare exactly.
type Match struct {
	Kind    string `json:"kind,omitzero"`    // Slack's word: slash_command
	Name    string `json:"name,omitzero"`    // the command, trigger word, event type, action_id or callback_id
	User    string `json:"user,omitzero"`    // ID or name
	Channel string `json:"channel,omitzero"` // ID or name
	Team    string `json:"team,omitzero"`    // ID or domain
	Path    string `json:"path,omitzero"`    // the request's path, without its query
	Text    string `json:"text,omitzero"`    // is part of what the user typed, in any case
	Any     bool   `json:"any,omitzero"`     // every request; stands alone
}

// Answer is what a rule answers: 200 and an empty body when nothing is said. Body
// and JSON exclude each other, and Fault excludes both.
type Answer struct {
	Status  int               `json:"status,omitzero"` // 200 to 599; 0: 200
	Headers map[string]string `json:"headers,omitempty"`
	// Body is a text/template over the decoded payload: {{.text}}, {{.event.user}}.
	// What the payload has not is empty. Functions besides text/template's: json,
	// default, upper, lower, trim, replace, contains, join.
	Body string `json:"body,omitzero"`
	// JSON is a document whose strings are such templates, each escaped as JSON wants it.
	JSON  json.RawMessage `json:"json,omitempty"`
	Delay Duration        `json:"delay,omitzero"` // waited first, at most MaxDelay
	Fault string          `json:"fault,omitzero"` // timeout or reset
}

// Limits of a rule.
const (
	MaxDelay  = time.Minute
	MaxFile   = 1 << 20     // bytes of a rules file
	MaxAnswer = 1 << 20     // bytes of a rendered body
	MaxRender = time.Second // for rendering one
)

// Duration is a time.Duration that text spells as people do: 1.5s.
type Duration time.Duration

// MarshalText gives 1.5s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// By is what Response.By says of an answer from the rule of that name.
func By(name string) string { return "rule " + name }

// compiled is a rule, ready to answer.
type compiled struct {
	rule  Rule
	match matcher
	body  *body
	// ready is the whole answer where nothing of it depends on the request.
	ready *inspector.Answer
}
