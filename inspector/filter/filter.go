// Package filter reads the search language of the page and of slackdev requests:
//
//	kind:command status:5xx -user:ana "add milk"
//
// Words that stand beside each other must all fit. docs/filter-language.md is its
// description for people; this package, with inspector.Matcher, is what it means.
// Parse is a pure function and safe for many goroutines.
package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/near"
)

// The limits of a query: nobody types more.
const (
	MaxLength = 4096 // bytes
	MaxTerms  = 64
)

// Error says what in a query is not understood, and where.
type Error struct {
	Offset, Length int    // in bytes of the query
	Problem        string // names the thing
	Fix            string // what to write instead; may be empty
}

// Error gives problem and fix on one line.
func (e *Error) Error() string {
	if e.Fix == "" {
		return e.Problem
	}
	return e.Problem + "; " + e.Fix
}

// Parse reads a query. An empty one has no terms, which everything fits. The error is
// an *Error.
func Parse(query string) ([]inspector.Term, error) {
	if len(query) > MaxLength {
		return nil, &Error{Offset: MaxLength, Length: len(query) - MaxLength, Problem: fmt.Sprintf("the query is longer than %d bytes", MaxLength)}
	}
	var terms []inspector.Term
	p := &parser{query: query}
	for {
		t, found, err := p.next()
		if err != nil {
			return nil, err
		}
		if !found {
			return terms, nil
		}
		if len(terms) == MaxTerms {
			return nil, &Error{Offset: p.start, Length: p.at - p.start, Problem: fmt.Sprintf("the query has more than %d conditions", MaxTerms)}
		}
		terms = append(terms, t)
	}
}

// parser reads one condition after the other.
type parser struct {
	query string
	at    int // what comes next
	start int // of the condition
}

// value is one of the values of a condition, and where it stands.
type value struct {
	text   string
	quoted bool
	at     int
	length int
}

func (p *parser) next() (t inspector.Term, found bool, err error) {
	for p.at < len(p.query) && isSpace(p.query[p.at]) {
		p.at++
	}
	if p.start = p.at; p.at == len(p.query) {
		return t, false, nil
	}
	if p.query[p.at] == '-' && p.at+1 < len(p.query) && !isSpace(p.query[p.at+1]) {
		t.Not = true
		p.at++
	}
	if key := p.key(); key != "" {
		return p.keyed(key, t)
	}
	v, err := p.value("")
	if err != nil {
		return t, false, err
	}
	return t, true, p.plain(v, &t)
}

// key reads a word with a colon behind it. The colon of http://… is none, and
// neither is one behind digits: 12:04 is a text.
func (p *parser) key() string {
	rest := p.query[p.at:]
	end := 0
	for end < len(rest) && (isLetter(rest[end]) || end > 0 && rest[end] == '_') {
		end++
	}
	if end == 0 || end == len(rest) || rest[end] != ':' || strings.HasPrefix(rest[end:], "://") {
		return ""
	}
	return rest[:end]
}

// keyed reads KEY:VALUE,VALUE.
func (p *parser) keyed(key string, t inspector.Term) (inspector.Term, bool, error) {
	at := p.at
	p.at += len(key) + 1
	read, ok := readers(strings.ToLower(key))
	if !ok {
		return t, false, &Error{
			Offset: at, Length: len(key), Problem: fmt.Sprintf("there is no key %q", key),
			Fix: suggest(strings.ToLower(key), keyNames(), "the keys are "+strings.Join(keyNames(), ", ")) +
				fmt.Sprintf(`; to search for the text, quote it: "%s…"`, key+":"),
		}
	}
	t.Key = read.key
	for {
		v, err := p.value(",")
		if err != nil {
			return t, false, err
		}
		if v.text == "" && !v.quoted || v.text == "" && read.key != inspector.KeyText {
			return t, false, &Error{Offset: at, Length: p.at - at, Problem: key + ": has no value", Fix: "write " + read.example}
		}
		if err := read.value(v, &t); err != nil {
			err.Offset, err.Length = v.at, v.length
			return t, false, err
		}
		if p.at == len(p.query) || p.query[p.at] != ',' {
			return t, true, nil
		}
		p.at++
	}
}

// value reads up to a space, or one of the bytes of stop. Quotes may stand around
// all of it, and hold anything; a quote in them is written as \".
func (p *parser) value(stop string) (value, error) {
	v := value{at: p.at}
	if p.at == len(p.query) || p.query[p.at] != '"' {
		for p.at < len(p.query) && !isSpace(p.query[p.at]) && strings.IndexByte(stop, p.query[p.at]) < 0 {
			p.at++
		}
		v.text, v.length = p.query[v.at:p.at], p.at-v.at
		return v, nil
	}
	v.quoted = true
	var b strings.Builder
	for p.at++; p.at < len(p.query); p.at++ {
		switch c := p.query[p.at]; {
		case c == '\\' && p.at+1 < len(p.query) && strings.IndexByte(`"\`, p.query[p.at+1]) >= 0:
			p.at++
			b.WriteByte(p.query[p.at])
		case c == '"':
			p.at++
			v.text, v.length = b.String(), p.at-v.at
			if p.at < len(p.query) && !isSpace(p.query[p.at]) && strings.IndexByte(stop, p.query[p.at]) < 0 {
				return v, &Error{Offset: p.at, Length: 1, Problem: "something follows the quote without a space", Fix: "put a space behind it"}
			}
			return v, nil
		default:
			b.WriteByte(c)
		}
	}
	return v, &Error{Offset: v.at, Length: p.at - v.at, Problem: "a quote is not closed", Fix: `write " at its end`}
}

// plain makes a condition of what has no key. /todo is the beginning of a name,
// which is how commands begin; /slack/events that of a path. Anything else, and all
// that is quoted, is looked for in the text.
func (p *parser) plain(v value, t *inspector.Term) error {
	t.Key, t.Values = inspector.KeyText, []string{v.text}
	switch {
	case v.quoted || !strings.HasPrefix(v.text, "/") || v.text == "/":
	case strings.Contains(v.text[1:], "/"):
		t.Key = inspector.KeyPath
		return nil
	default:
		t.Key, t.Values = inspector.KeyName, []string{strings.TrimRight(v.text, "*") + "*"}
		return nil
	}
	if len(inspector.AppendWords(nil, v.text)) == 0 {
		return &Error{Offset: p.start, Length: p.at - p.start, Problem: fmt.Sprintf("%q has no word to search for", v.text), Fix: "words are letters and digits"}
	}
	return nil
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// suggest gives what was likely meant, or else.
func suggest(word string, of []string, otherwise string) string {
	best, distance := "", 1+utf8.RuneCountInString(word)/3
	for _, candidate := range of {
		if d := near.Distance(word, candidate); d <= distance && (best == "" || d < distance) {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s?", best)
}
