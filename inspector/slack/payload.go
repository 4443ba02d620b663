package slack

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind says what a request is, in Slack's own word for it. The zero Kind is not
// valid; a request that is none of Slack's is Unknown.
type Kind string

// The kinds of request that reach an app.
const (
	SlashCommand       Kind = "slash_command"
	OutgoingWebhook    Kind = "outgoing_webhook"
	EventCallback      Kind = "event_callback"
	URLVerification    Kind = "url_verification"
	AppRateLimited     Kind = "app_rate_limited"
	BlockActions       Kind = "block_actions"
	BlockSuggestion    Kind = "block_suggestion"
	ViewSubmission     Kind = "view_submission"
	ViewClosed         Kind = "view_closed"
	Shortcut           Kind = "shortcut"
	MessageAction      Kind = "message_action"
	InteractiveMessage Kind = "interactive_message"
	DialogSubmission   Kind = "dialog_submission"
	DialogCancellation Kind = "dialog_cancellation"
	DialogSuggestion   Kind = "dialog_suggestion"
	WorkflowStepEdit   Kind = "workflow_step_edit"
	SSLCheck           Kind = "ssl_check"
	OAuthRedirect      Kind = "oauth_redirect"
	Unknown            Kind = "unknown"
)

// Ref names a user, channel, team or enterprise. Slack gives the name only in
// some kinds; either part may be empty.
type Ref struct{ ID, Name string }

// Payload is the summary of one request: what it is and whom it is about. Every
// field but Kind may be empty. It does not hold the body: Decode opens that again.
// Texts are a stranger's and not escaped, but valid UTF-8 and short: 1 KiB at most
// where nothing else is said, cut at a rune.
type Payload struct {
	Kind Kind
	// Carries is, for an ssl_check alone, the kind that its other fields would make.
	// Slack's own check carries nothing; believe these only when the signature is valid
	// (ssl_check=1&payload=… was a way past the verification of several SDKs).
	Carries Kind
	// Name is the command, the trigger word, type or type.subtype of the event,
	// the first action_id, or the callback_id, by Kind. For Unknown it is the type
	// that the payload names.
	Name string
	// User is a bot (B…) where no person is named.
	User    Ref
	Channel Ref
	// Team is, where Slack names no team (an app installed for a whole organisation),
	// the team of the user, else the enterprise.
	Team       Ref
	Enterprise Ref
	App        string // api_app_id
	Text       string // what the user typed or pressed, for a list; at most 200 bytes
	EventID    string // Ev…: the same in every retry of one event
	TriggerID  string
	View       string // view.id
	Message    string // ts of the message that it is about
	// Retry is X-Slack-Retry-Num, 0 for a first delivery; RetryReason its reason.
	Retry       int
	RetryReason string
	// Challenge is what the answer to a url_verification must hold.
	Challenge string
	// Problem says where decoding stopped, empty when all of it was read.
	Problem string
}

// The lengths to which values are cut, in bytes.
const (
	maxText  = 200
	maxValue = 1 << 10 // an action_id has up to 255 characters, a challenge 52
)

// Parse reads what a request is about, in one pass and in the order that keeps the
// kinds apart: a JSON body is an event, a form with payload an interaction, one with
// command a slash command, one with a trigger word (or the fields of a hook that is
// bound to a channel) an outgoing webhook. It reads as far as it can: what cannot be
// decoded leaves Kind Unknown (or the kind, without its details) and a Problem.
// target is the request's path and query, used for OAuth redirects alone. Of the
// body it copies no more than the decoded payload field and the values in the summary.
func Parse(method, target string, h http.Header, body []byte) Payload {
	var p Payload
	switch shapeOf(method, h, body) {
	case queryShape:
		p = parseRedirect(target)
	case jsonShape:
		p = parseEvent(body)
	case formShape:
		p = parseForm(body)
	case emptyShape:
		p = Payload{Kind: Unknown, Problem: "the body is empty"}
	default:
		p = Payload{Kind: Unknown}
	}
	p.Retry, p.RetryReason = retryOf(h)
	return p
}

// shape is how a request carries its fields.
type shape uint8

const (
	otherShape shape = iota // nothing that Slack sends
	queryShape              // a browser's GET
	jsonShape
	formShape
	emptyShape // a POST without a body
)

// shapeOf decides by the media type, except that a body which begins with { is JSON
// (Bolt for Python reads it so) and that one without any type is taken for a form.
func shapeOf(method string, h http.Header, body []byte) shape {
	switch {
	case method == http.MethodGet:
		return queryShape
	case method != http.MethodPost:
		return otherShape
	}
	return bodyShape(h, body)
}

func bodyShape(h http.Header, body []byte) shape {
	body = trimStart(body)
	media := mediaType(h)
	switch {
	case len(body) == 0:
		return emptyShape
	case body[0] == '{' || strings.EqualFold(media, "application/json"):
		return jsonShape
	case media == "" || strings.EqualFold(media, "application/x-www-form-urlencoded"):
		return formShape
	}
	return otherShape
}

// mediaType is the content type without its parameters.
func mediaType(h http.Header) string {
	values := h["Content-Type"]
	if len(values) == 0 {
		return ""
	}
	media, _, _ := strings.Cut(values[0], ";")
	return strings.TrimSpace(media)
}

func trimStart(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// retryOf reads the headers of a repeated delivery (docs.slack.dev/apis/events-api).
func retryOf(h http.Header) (n int, reason string) {
	if len(h["X-Slack-Retry-Num"]) == 0 {
		return 0, ""
	}
	n, err := strconv.Atoi(h["X-Slack-Retry-Num"][0])
	if err != nil || n < 0 {
		return 0, ""
	}
	if len(h["X-Slack-Retry-Reason"]) > 0 {
		reason = strings.ToValidUTF8(h["X-Slack-Retry-Reason"][0], "\uFFFD")
	}
	if len(reason) > maxText {
		reason = strings.Clone(reason[:cut([]byte(reason), maxText)])
	}
	return n, reason
}

// parseRedirect reads the browser's GET at the end of an installation. It is the
// only GET that belongs to an app; the code itself is a secret and not in the summary.
func parseRedirect(target string) Payload {
	_, query, _ := strings.Cut(target, "?")
	g := summary{src: []byte(query)}
	p := Payload{Kind: Unknown}
	var code, problem token
	for f := (pairs{src: g.src}); f.next(); {
		switch string(f.name()) {
		case "code":
			code = f.pair.value
		case "error":
			problem = f.pair.value
		}
	}
	if !code.empty() || !problem.empty() {
		p.Kind = OAuthRedirect
		p.Problem = checkForm(g.src)
	}
	g.set(textOf, problem)
	g.fill(&p)
	return p
}

// hasToken reports whether an unsigned request carries a legacy verification token.
func hasToken(h http.Header, body []byte) bool {
	switch bodyShape(h, body) {
	case jsonShape:
		var f facts
		f.readAll(body)
		return !f.token.empty()
	case formShape:
		outer := readFields(body)
		if outer.payload.empty() {
			return !outer.token.empty()
		}
		var inner facts
		inner.readAll(decodedField(body, outer.payload))
		return !outer.token.empty() || !inner.token.empty()
	}
	return false
}

// detail is a string of a Payload.
type detail int

const (
	nameOf detail = iota
	userID
	userName
	channelID
	channelName
	teamID
	teamName
	enterpriseID
	enterpriseName
	appID
	textOf
	eventID
	triggerID
	viewID
	messageTS
	challenge
	details // how many there are
)

// summary collects which values of a source become the strings of a Payload. It
// decodes them all at the end, so that they share one allocation.
type summary struct {
	src     []byte
	chosen  [details]token
	subtype token // of an event: behind the name and a dot
}

// set makes d the first of the choices that has a text. When none has, d stays as it is.
func (g *summary) set(d detail, choices ...token) {
	for _, t := range choices {
		if !t.empty() {
			g.chosen[d] = t
			return
		}
	}
}

// fill makes the strings and puts each in its place.
func (g *summary) fill(p *Payload) {
	size := g.subtype.to - g.subtype.from + 1
	for d, t := range g.chosen {
		size += min(t.to-t.from, detail(d).limit())
	}
	var all strings.Builder
	all.Grow(size)
	var ends [details]int
	// One byte more than asked for shows cut that something is left out; a decoded
	// rune may bring three more.
	var room [maxValue + 4]byte
	for d, t := range g.chosen {
		all.Write(g.decode(room[:0], t, detail(d).limit()))
		if detail(d) == nameOf && !t.empty() && !g.subtype.empty() {
			all.WriteByte('.')
			all.Write(g.decode(room[:0], g.subtype, maxValue))
		}
		ends[d] = all.Len()
	}
	p.share(all.String(), &ends)
}

// share cuts all at its ends, one part for each detail.
func (p *Payload) share(all string, ends *[details]int) {
	of := func(d detail) string {
		if d == 0 {
			return all[:ends[0]]
		}
		return all[ends[d-1]:ends[d]]
	}
	p.Name = of(nameOf)
	p.User = Ref{of(userID), of(userName)}
	p.Channel = Ref{of(channelID), of(channelName)}
	p.Team = Ref{of(teamID), of(teamName)}
	p.Enterprise = Ref{of(enterpriseID), of(enterpriseName)}
	p.App = of(appID)
	p.Text = of(textOf)
	p.EventID = of(eventID)
	p.TriggerID = of(triggerID)
	p.View = of(viewID)
	p.Message = of(messageTS)
	p.Challenge = of(challenge)
}

// limit is the most bytes that a Payload promises for d.
func (d detail) limit() int {
	if d == textOf {
		return maxText
	}
	return maxValue
}

// decode gives at most limit bytes of the value of t, in room if they must be made.
func (g *summary) decode(room []byte, t token, limit int) []byte {
	if t.empty() {
		return nil
	}
	value := g.src[t.from:t.to]
	switch t.how {
	case escaped:
		value = appendUnescaped(room, value, limit+1)
	case encoded:
		value = appendDecoded(room, value, limit+1)
	}
	value = value[:cut(value, limit)]
	if !utf8.Valid(value) {
		value = bytes.ToValidUTF8(value, []byte("\uFFFD"))
		value = value[:cut(value, limit)]
	}
	return value
}

// text is the decoded value of t, whole.
func (g *summary) text(t token) []byte {
	if t.how == escaped {
		return appendUnescaped(nil, g.src[t.from:t.to], int(t.to-t.from))
	}
	return g.src[t.from:t.to]
}

// cut is the length to which b is cut so that it has at most limit bytes and ends
// with a whole rune.
func cut(b []byte, limit int) int {
	if len(b) <= limit {
		return len(b)
	}
	n := limit
	for n > limit-utf8.UTFMax && n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return n
}
