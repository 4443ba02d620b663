package slack

import "net/http"

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
type Payload struct {
	Kind Kind
	// Name is the command, the trigger word, type or type.subtype of the event,
	// the first action_id, or the callback_id, by Kind.
	Name       string
	User       Ref
	Channel    Ref
	Team       Ref
	Enterprise Ref
	App        string // api_app_id
	Text       string // what the user typed or pressed, for a list; at most 200 bytes, cut at a rune
	EventID    string // Ev…: the same in every retry of one event
	TriggerID  string
	View       string // view.id
	Message    string // ts of the message that it is about
	// Retry is X-Slack-Retry-Num, 0 for a first delivery; RetryReason its reason.
	Retry       int
	RetryReason string
	// Problem says where decoding stopped, empty when all of it was read.
	Problem string
}

// Parse reads what a request is about. It reads as far as it can: what cannot be
// decoded leaves Kind Unknown (or the kind, without its details) and a Problem.
// target is the request's path and query, used for OAuth redirects alone.
func Parse(method, target string, h http.Header, body []byte) Payload { panic("slack: not yet") }
