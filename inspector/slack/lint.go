package slack

import (
	"net/http"
	"time"
)

// Severity orders findings.
type Severity uint8

// From a remark to what breaks the app.
const (
	Note Severity = iota
	Warning
	Failure
)

// String gives "note", "warning" or "failure".
func (s Severity) String() string { panic("slack: not yet") }

// Finding is one thing that Slack, or the person watching, would remark on.
type Finding struct {
	Code     string // stable, snake_case: slow_answer
	Severity Severity
	Pointer  string // JSON pointer into the answer, empty for all of it
	Text     string // one sentence
	Fix      string // one sentence, may be empty
}

// Answer is an app's answer as Slack sees it.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Whole  bool          // false: Body is only the beginning of what was sent
	Took   time.Duration // from the request's arrival to the end of the answer
}

// Deadline is how long Slack waits for an answer
// (docs.slack.dev/interactivity/handling-user-interaction).
const Deadline = 3 * time.Second

// Lint says what Slack would make of an answer to p, worst first.
func Lint(p Payload, a Answer) []Finding { panic("slack: not yet") }
