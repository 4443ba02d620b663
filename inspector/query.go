package inspector

import (
	"iter"
	"strings"
)

// Query asks for a page of exchanges.
type Query struct {
	Before ID  // only older ones than this; zero: from the newest
	Limit  int // at most this many; 0: DefaultLimit
	Where  []Term
}

// DefaultLimit is the size of a page that does not say its own.
const DefaultLimit = 100

// PageSize is the limit that counts: Limit, or DefaultLimit where that is not positive.
func (q *Query) PageSize() int {
	if q.Limit > 0 {
		return q.Limit
	}
	return DefaultLimit
}

// Term is one condition; an exchange must meet every term of a Query. Which of
// the values counts is said at each Key.
type Term struct {
	Key      Key
	Not      bool
	Values   []string // any of them fits
	Min, Max int64    // both inclusive
	Ranges   []Range  // where there are any: in place of Min and Max, any of them fits
}

// Range is the numbers from Min to Max, both included.
type Range struct{ Min, Max int64 }

// Key is what a Term looks at.
type Key string

// The keys. Those with Values compare without regard to case, in full unless said
// otherwise; a value that ends in * fits what begins with the rest. What an
// exchange does not have fits no value, not even "" or "*".
const (
	KeyKind     Key = "kind"
	KeyName     Key = "name"     // Slack.Name
	KeyUser     Key = "user"     // ID or name
	KeyChannel  Key = "channel"  // ID or name
	KeyTeam     Key = "team"     // ID or name
	KeyVerdict  Key = "verdict"  // the words of slack.Status
	KeyOrigin   Key = "origin"   //
	KeyMethod   Key = "method"   //
	KeyPath     Key = "path"     // the path fits when it begins with the value
	KeyBy       Key = "by"       // Response.By: app, slackdev, "rule NAME"
	KeyEvent    Key = "event"    // Slack.EventID
	KeyOf       Key = "of"       // the ID that it was made from
	KeyFinding  Key = "finding"  // a finding's code
	KeyText     Key = "text"     // each value is a phrase, see Words: its words stand side by side in SearchText
	KeyStatus   Key = "status"   // Min, Max; an exchange without an answer has 0
	KeyElapsed  Key = "elapsed"  // Min, Max in milliseconds
	KeyRetry    Key = "retry"    // Min, Max of Slack.Retry
	KeyFault    Key = "fault"    // no values: there is a fault
	KeyPinned   Key = "pinned"   // no values
	KeyAnswered Key = "answered" // no values: there is a response
	KeyError    Key = "error"    // no values: there is a fault, or a status of 400 and above
)

// MaxFacet is how many bytes of a facet are compared; what is longer is cut.
const MaxFacet = 512

// Facets gives what the keys with Values look at, but for KeyText: every value
// that x has, in its own spelling, and no empty one.
func (x *Exchange) Facets() iter.Seq2[Key, string] {
	return func(yield func(Key, string) bool) {
		fixed := [...]struct {
			key   Key
			value string
		}{
			{KeyKind, string(x.Slack.Kind)}, {KeyName, x.Slack.Name},
			{KeyUser, x.Slack.User.ID}, {KeyUser, x.Slack.User.Name},
			{KeyChannel, x.Slack.Channel.ID}, {KeyChannel, x.Slack.Channel.Name},
			{KeyTeam, x.Slack.Team.ID}, {KeyTeam, x.Slack.Team.Name},
			{KeyVerdict, x.Verdict.Status.String()}, {KeyOrigin, string(x.Origin)},
			{KeyMethod, x.Request.Method}, {KeyPath, x.Request.Path()},
			{KeyEvent, x.Slack.EventID}, {KeyOf, x.Of.String()},
		}
		for i := range fixed {
			if fixed[i].value != "" && !yield(fixed[i].key, fixed[i].value) {
				return
			}
		}
		if x.Response != nil && x.Response.By != "" && !yield(KeyBy, x.Response.By) {
			return
		}
		for _, f := range x.Findings {
			if f.Code != "" && !yield(KeyFinding, f.Code) {
				return
			}
		}
	}
}

// Bare gives x without the bytes of its bodies, as it stands in a list.
func (x *Exchange) Bare() *Exchange {
	if x.Request.Body.Bytes == nil && (x.Response == nil || x.Response.Body.Bytes == nil) {
		return x
	}
	y := *x
	y.Request.Body.Bytes = nil
	if x.Response != nil {
		r := *x.Response
		r.Body.Bytes = nil
		y.Response = &r
	}
	return &y
}

// Number gives what the keys with Min and Max look at.
func (x *Exchange) Number(key Key) int64 {
	switch {
	case key == KeyStatus && x.Response != nil:
		return int64(x.Response.Status)
	case key == KeyElapsed:
		return x.Elapsed.Milliseconds()
	case key == KeyRetry:
		return int64(x.Slack.Retry)
	}
	return 0
}

// Is gives what the keys without values look at.
func (x *Exchange) Is(key Key) bool {
	switch key {
	case KeyFault:
		return x.Fault != ""
	case KeyPinned:
		return x.Pinned
	case KeyAnswered:
		return x.Response != nil
	case KeyError:
		return x.Fault != "" || x.Number(KeyStatus) >= 400
	}
	return false
}

// Match reports whether x meets every term of q; Before and Limit say nothing
// about one exchange. It is what every Store's List agrees with. To match many
// exchanges, make one Matcher.
func (q *Query) Match(x *Exchange) bool { return NewMatcher(q.Where).Match(x) }

// Matcher is the terms of a query, made ready. It is safe for many goroutines.
type Matcher struct {
	terms []term
	text  bool // one of them needs the text
}

type term struct {
	Term
	folded  []string   // of Values, without *
	prefix  []bool     // folded[i] fits what begins with it
	phrases [][]string // of Values, for KeyText
}

// NewMatcher makes terms ready.
func NewMatcher(where []Term) *Matcher {
	m := &Matcher{terms: make([]term, 0, len(where))}
	for _, w := range where {
		t := term{Term: w}
		for _, v := range w.Values {
			if w.Key == KeyText {
				m.text = true
				t.phrases = append(t.phrases, Words(v))
				continue
			}
			folded, prefix := FoldValue(w.Key, v)
			t.folded, t.prefix = append(t.folded, folded), append(t.prefix, prefix)
		}
		m.terms = append(m.terms, t)
	}
	return m
}

// NeedsText reports whether one of the terms looks at the text, for which the
// bodies are needed.
func (m *Matcher) NeedsText() bool { return m.text }

// Match reports whether x meets every term.
func (m *Matcher) Match(x *Exchange) bool {
	var text *Text // made once, when first needed
	for i := range m.terms {
		t := &m.terms[i]
		var fits bool
		switch t.Key.Shape() {
		case ShapePhrases:
			if text == nil {
				text = NewText(SearchText(x))
			}
			fits = text.hasAny(t.phrases)
		case ShapeNumbers:
			fits = t.fitsNumber(x.Number(t.Key))
		case ShapeFlag:
			fits = x.Is(t.Key)
		default:
			fits = t.fitsFacet(x)
		}
		if fits == t.Not {
			return false
		}
	}
	return true
}

// Shape is which fields of a Term a key uses.
type Shape uint8

// The shapes.
const (
	ShapeFacet   Shape = iota // Values, compared with Exchange.Facets
	ShapePhrases              // Values, looked for in the text
	ShapeNumbers              // Min and Max, or Ranges
	ShapeFlag                 // nothing
)

// Shape says which fields of a Term the key uses.
func (k Key) Shape() Shape {
	switch k {
	case KeyText:
		return ShapePhrases
	case KeyStatus, KeyElapsed, KeyRetry:
		return ShapeNumbers
	case KeyFault, KeyPinned, KeyAnswered, KeyError:
		return ShapeFlag
	}
	return ShapeFacet
}

// FoldValue gives a term's value as it is compared with a folded facet, and
// whether the facet need only begin with it.
func FoldValue(key Key, value string) (folded string, prefix bool) {
	value, star := strings.CutSuffix(value, "*")
	return FoldFacet(value), star || key == KeyPath
}

// FoldFacet gives the spelling in which facets are compared: at most MaxFacet bytes.
func FoldFacet(s string) string { return cut(Fold(cut(s, MaxFacet)), MaxFacet) }

// Spans gives the ranges of a term whose key has Numbers.
func (t *Term) Spans() []Range {
	if len(t.Ranges) > 0 {
		return t.Ranges
	}
	return []Range{{t.Min, t.Max}}
}

func (t *term) fitsNumber(n int64) bool {
	for _, r := range t.Spans() {
		if r.Min <= n && n <= r.Max {
			return true
		}
	}
	return false
}

func (t *term) fitsFacet(x *Exchange) bool {
	for key, value := range x.Facets() {
		if key != t.Key {
			continue
		}
		value = FoldFacet(value)
		for i, want := range t.folded {
			if value == want || t.prefix[i] && strings.HasPrefix(value, want) {
				return true
			}
		}
	}
	return false
}
