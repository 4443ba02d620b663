package slack

import "net/http"

// Decode opens a body for reading: the JSON of an event, or the form's fields as
// an object in which payload is opened in place. Keys keep Slack's order, of a
// key that stands twice the last counts. The error says where it stopped.
func Decode(method, target string, h http.Header, body []byte) ([]byte, error) {
	panic("slack: not yet")
}

// Set is one change of a decoded payload.
type Set struct {
	Path  string // dotted: text, event.text, view.state.values.b1.a1.value, actions.0.value
	Value string // taken as JSON when it is JSON, as a string otherwise
}

// Edit changes values in a body and spells it as Slack would (protocol Appendix D):
// what is not changed keeps its bytes. A path whose parent is not there is an error.
func Edit(h http.Header, body []byte, sets []Set) ([]byte, error) { panic("slack: not yet") }

// Pair is one field of a form.
type Pair struct{ Name, Value string }

// EncodeForm spells a form as Slack does: in this order, empty values kept.
func EncodeForm(pairs []Pair) []byte { panic("slack: not yet") }

// EncodeJSON spells a JSON document as Slack does: compact, keys in their order,
// / as \/, and every rune above 0x7F as \uXXXX.
func EncodeJSON(doc []byte) ([]byte, error) { panic("slack: not yet") }

// Redact gives a copy of b in which tokens and webhook URLs are masked, in plain
// and in escaped spellings. It gives b itself when there are none.
func Redact(b []byte) []byte { panic("slack: not yet") }
