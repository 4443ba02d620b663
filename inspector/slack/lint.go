package slack

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Failure:
		return "failure"
	default:
		return "note"
	}
}

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
	Status int // 0: none
	Header http.Header
	Body   []byte
	Whole  bool          // false: Body is only the beginning of what was sent
	Took   time.Duration // from the request's arrival to the end of the answer

	Signed  bool   // whether the request that it answers carried a signature at all
	Verdict Status // what Verify said of that request
}

// Deadline is how long Slack waits for an answer
// (docs.slack.dev/interactivity/handling-user-interaction).
const Deadline = 3 * time.Second

// closeCall is when an answer in time is worth a warning.
const closeCall = 2500 * time.Millisecond

// rule looks at one thing. It gives nothing where that is in order, or does not
// apply. Each code belongs to one rule.
type rule func(p Payload, a Answer) []Finding

// Lint says what Slack would make of an answer to p, worst first. What is none of
// Slack's, and what a browser is shown after an installation, is not judged.
func Lint(p Payload, a Answer) []Finding {
	if p.Kind == Unknown || p.Kind == OAuthRedirect || p.Kind == "" {
		return nil
	}
	var all []Finding
	for _, look := range [...]rule{lintTime, lintStatus, lintRedirect, lintChallenge, lintViewAnswer, lintJSON} {
		all = append(all, look(p, a)...)
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
	return all
}

// lintTime: slow_answer, close_call.
func lintTime(p Payload, a Answer) []Finding {
	const later = "Answer 200 at once and do the work after that; use response_url or the Web API for the result."
	took := seconds(a.Took)
	switch {
	case a.Took > Deadline && p.Kind == EventCallback && p.Name == "function_executed":
		// Bolt's own comment: from 3 to 15 seconds depending on the function's context.
		return []Finding{{Code: "close_call", Severity: Warning,
			Text: "The answer took " + took + "; for a function Slack gives up somewhere between 3 s and 15 s.", Fix: later}}
	case a.Took > Deadline:
		return []Finding{{Code: "slow_answer", Severity: Failure,
			Text: "Slack gave up at 3 s: the answer took " + took + ".", Fix: later}}
	case a.Took > closeCall:
		return []Finding{{Code: "close_call", Severity: Warning,
			Text: "The answer came " + seconds(Deadline-a.Took) + " before Slack gives up.", Fix: later}}
	}
	return nil
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
}

// lintStatus: bad_status. Redirects have a rule of their own.
func lintStatus(p Payload, a Answer) []Finding {
	if a.Status == 0 || a.Status/100 == 2 || a.Status/100 == 3 {
		return nil
	}
	if refused := a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden; refused && !a.Signed {
		return []Finding{refusedUnsigned(a)}
	}
	f := Finding{Code: "bad_status", Severity: Failure,
		Text: "Slack takes " + strconv.Itoa(a.Status) + " for a failed delivery" + consequence(p.Kind) + "."}
	switch {
	case a.Status == http.StatusNotFound && a.Took > Deadline:
		f.Fix = "Bolt answers 404 after 3 s when no listener has called ack: call it first thing."
	case a.Status == http.StatusNotFound:
		f.Fix = "Check that the app serves this path (Bolt: /slack/events) and has a listener for this " + word(p.Kind) + "."
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		f.Fix = "The app refused the request: its signing secret is probably another one, or its clock is wrong."
	case a.Status == http.StatusMethodNotAllowed:
		f.Fix = "The path is there, but not for POST: Slack sends POST."
	case a.Status == http.StatusBadRequest || a.Status == http.StatusUnsupportedMediaType:
		f.Fix = "The app could not read the body: Slack sends " + sent(p.Kind) + "."
	case a.Status >= 500:
		f.Fix = "The app failed: look at its log for this moment."
	default:
		f.Fix = "Answer 200, and say in the answer's text what went wrong."
	}
	if p.Kind == EventCallback && a.Header.Get("X-Slack-No-Retry") == "1" {
		f.Severity = Warning
		f.Text = "Slack takes " + strconv.Itoa(a.Status) + " for a failed delivery, and X-Slack-No-Retry keeps it from sending the event again."
	}
	return []Finding{f}
}

// refusedUnsigned is about an app that does what it should: Slack signs all it sends.
func refusedUnsigned(a Answer) Finding {
	f := Finding{Code: "bad_status", Severity: Warning,
		Text: "The app refused an unsigned request with " + strconv.Itoa(a.Status) + ", as it should: Slack signs what it sends.",
		Fix:  "Send it with slackdev send or slackdev replay, which sign what they send."}
	if a.Verdict == Unchecked {
		f.Fix = "Put SLACK_SIGNING_SECRET into .env so that slackdev can sign what it sends."
	}
	return f
}

// consequence says what follows from a failed delivery.
func consequence(k Kind) string {
	switch k {
	case SlashCommand:
		return " and tells the user that the command failed (dispatch_failed)"
	case EventCallback, AppRateLimited:
		return " and sends the event again, up to three times"
	case URLVerification:
		return " and does not accept the Request URL"
	case OutgoingWebhook:
		return " and may send it again"
	case SSLCheck:
		return ""
	}
	return " and shows the user an error"
}

// sent says how a kind is sent.
func sent(k Kind) string {
	switch k {
	case EventCallback, URLVerification, AppRateLimited:
		return "JSON"
	case SlashCommand, OutgoingWebhook, SSLCheck:
		return "a form (application/x-www-form-urlencoded)"
	}
	return "a form (application/x-www-form-urlencoded) whose field payload holds JSON"
}

// word names a kind in a sentence.
func word(k Kind) string {
	switch k {
	case SlashCommand:
		return "command"
	case EventCallback:
		return "event"
	}
	return string(k)
}

// lintRedirect: redirect. The Events API follows two, nothing else is documented to.
func lintRedirect(p Payload, a Answer) []Finding {
	if a.Status/100 != 3 {
		return nil
	}
	f := Finding{Code: "redirect", Severity: Failure,
		Text: "The answer is a redirect, and Slack does not follow one here.",
		Fix:  "Enter the URL that the redirect leads to in the app's settings; often only a slash at the end or https is missing."}
	switch p.Kind {
	case EventCallback, URLVerification, AppRateLimited:
		f.Severity = Warning
		f.Text = "The answer is a redirect, of which Slack follows two at most for an event."
	}
	return []Finding{f}
}

// lintChallenge: no_challenge. The three forms are those of
// docs.slack.dev/reference/events/url_verification.
func lintChallenge(p Payload, a Answer) []Finding {
	if p.Kind != URLVerification || p.Challenge == "" || a.Status/100 != 2 || !a.readable() {
		return nil
	}
	if a.holds(p.Challenge) {
		return nil
	}
	return []Finding{{Code: "no_challenge", Severity: Failure,
		Text: "The answer does not hold the value of challenge, so Slack does not accept the Request URL.",
		Fix:  "Answer with the value alone as text/plain, with challenge=VALUE as a form, or with {\"challenge\":\"VALUE\"} as JSON."}}
}

// holds reports whether the answer gives the challenge back in one of the three
// accepted forms. Those who set no fitting content type are given the benefit of
// the doubt: which forms Slack tells apart by it is not documented.
func (a Answer) holds(challenge string) bool {
	body := bytes.TrimSpace(a.Body)
	if string(body) == challenge {
		return true
	}
	if len(body) > 0 && body[0] == '{' {
		var f facts
		f.readAll(body)
		g := summary{src: body}
		return f.problem == "" && string(g.text(f.challenge)) == challenge
	}
	for f := (pairs{src: body}); f.next(); {
		if string(f.name()) == "challenge" && string(decodedField(body, f.pair.value)) == challenge {
			return true
		}
	}
	return false
}

// lintViewAnswer: bad_view_answer. docs.slack.dev/interactivity/handling-user-interaction:
// the body must be empty, or a response_action.
func lintViewAnswer(p Payload, a Answer) []Finding {
	if p.Kind != ViewSubmission || a.Status/100 != 2 || !a.readable() || len(bytes.TrimSpace(a.Body)) == 0 {
		return nil
	}
	problem, pointer := responseAction(a.Body)
	if problem == "" {
		return nil
	}
	return []Finding{{Code: "bad_view_answer", Severity: Failure, Pointer: pointer,
		Text: "The modal stays open with an error: " + problem + ".",
		Fix:  "Answer with an empty body to close the modal, or with a JSON object that has response_action: update, push, clear or errors."}}
}

// responseAction says what is wrong with the answer to a submitted view.
func responseAction(body []byte) (problem, pointer string) {
	var action token
	var hasView, hasErrors bool
	s := scanner{src: body}
	object := s.peek() == '{'
	for in := s.object(); in; in = s.more('}') {
		switch string(s.key()) {
		case "response_action":
			action = s.value()
		case "view":
			hasView = s.peek() == '{'
			s.skip()
		case "errors":
			hasErrors = s.peek() == '{'
			s.skip()
		default:
			s.skip()
		}
	}
	s.end()
	g := summary{src: body}
	switch name := string(g.text(action)); {
	case s.fault != "":
		return "the body is neither empty nor JSON (" + s.problem() + ")", ""
	case !object:
		return "the body is JSON, but not an object", ""
	case action.empty():
		return "the body has no response_action", ""
	case name != "update" && name != "push" && name != "clear" && name != "errors":
		return "the response_action is none of update, push, clear and errors", "/response_action"
	case (name == "update" || name == "push") && !hasView:
		return "response_action " + name + " needs a view", "/view"
	case name == "errors" && !hasErrors:
		return "response_action errors needs an object errors with a text for each block_id", "/errors"
	}
	return "", ""
}

// lintJSON: not_json. A submitted view has a stricter rule of its own.
func lintJSON(p Payload, a Answer) []Finding {
	if p.Kind == ViewSubmission || a.Status/100 != 2 || !a.readable() || len(a.Body) == 0 ||
		!strings.EqualFold(mediaType(a.Header), "application/json") {
		return nil
	}
	problem := checkJSON(a.Body)
	if problem == "" {
		return nil
	}
	return []Finding{{Code: "not_json", Severity: Warning,
		Text: "The content type says JSON, but the body is not (" + problem + ").",
		Fix:  "Send JSON, or text/plain for a plain text, or nothing at all."}}
}

// readable reports whether the body is all there and not compressed.
func (a Answer) readable() bool {
	coding := a.Header.Get("Content-Encoding")
	return a.Whole && (coding == "" || strings.EqualFold(coding, "identity"))
}
