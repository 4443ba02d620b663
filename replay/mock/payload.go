package mock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// What a template sees of a payload: strings, booleans, int64, json.Number for other
// numbers, and these.
type (
	object map[string]any // prints as JSON
	list   []any          // prints as JSON
	none   []any          // null, and what is not there: prints as nothing, is false, has length 0
)

func (o object) String() string { return string(spellJSON(o)) }
func (l list) String() string   { return string(spellJSON(l)) }
func (none) String() string     { return "" }

// MarshalJSON gives null.
func (none) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// payloadOf decodes a request for a template: the JSON of an event or an
// interaction, or the fields of a form. What cannot be decoded is empty.
func payloadOf(x *inspector.Exchange) any {
	r := &x.Request
	doc, err := slack.Decode(r.Method, r.Target, r.Header.HTTP(), r.Body.Bytes)
	if err != nil {
		return object{}
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return object{}
	}
	root := valueOf(v)
	if interaction, ok := get(root, "payload").(object); ok {
		return interaction
	}
	return root
}

func valueOf(v any) any {
	switch v := v.(type) {
	case nil:
		return none(nil)
	case map[string]any:
		o := make(object, len(v))
		for name, member := range v {
			o[name] = valueOf(member)
		}
		return o
	case []any:
		l := make(list, len(v))
		for i, member := range v {
			l[i] = valueOf(member)
		}
		return l
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
	}
	return v
}

// functions are what a body can call. Those that text/template has too are kinder
// here: what is missing is no error.
func functions() template.FuncMap {
	return template.FuncMap{
		"get":      get,
		"index":    index,
		"json":     func(v any) string { return string(spellJSON(v)) },
		"default":  func(otherwise, v any) any { return either(v, otherwise) },
		"upper":    func(v any) string { return strings.ToUpper(fmt.Sprint(v)) },
		"lower":    func(v any) string { return strings.ToLower(fmt.Sprint(v)) },
		"trim":     func(v any) string { return strings.TrimSpace(fmt.Sprint(v)) },
		"replace":  replace,
		"contains": func(part string, v any) bool { return strings.Contains(fmt.Sprint(v), part) },
		"join":     join,
		"eq":       equal,
		"ne":       func(a, b any) bool { return fmt.Sprint(a) != fmt.Sprint(b) },
		"printf":   printf,
	}
}

// get follows a path. The word payload at its beginning may be left out or written,
// as in slack.Edit.
func get(v any, path ...string) any {
	for i, name := range path {
		o, ok := v.(object)
		if !ok {
			return none(nil)
		}
		member, ok := o[name]
		switch {
		case ok:
			v = member
		case i > 0 || name != "payload":
			return none(nil)
		}
	}
	return v
}

func index(v any, keys ...any) any {
	for _, key := range keys {
		switch holder := v.(type) {
		case object:
			v = get(holder, fmt.Sprint(key))
		case list:
			i, err := strconv.Atoi(fmt.Sprint(key))
			if err != nil || i < 0 || i >= len(holder) {
				return none(nil)
			}
			v = holder[i]
		default:
			return none(nil)
		}
	}
	return v
}

func either(v, otherwise any) any {
	if truth, _ := template.IsTrue(v); truth {
		return v
	}
	return otherwise
}

func equal(a any, others ...any) bool {
	for _, b := range others {
		if fmt.Sprint(a) == fmt.Sprint(b) {
			return true
		}
	}
	return false
}

// replace and join bound what they make: a payload chooses how often the old text
// occurs in it.
func replace(old, with string, v any) (string, error) {
	text := fmt.Sprint(v)
	if n := strings.Count(text, old); n*len(with) > MaxAnswer {
		return "", errLarge
	}
	return strings.ReplaceAll(text, old, with), nil
}

func join(separator string, v any) (string, error) {
	l, ok := v.(list)
	if !ok {
		return fmt.Sprint(v), nil
	}
	if len(l)*len(separator) > MaxAnswer {
		return "", errLarge
	}
	texts := make([]string, len(l))
	for i, member := range l {
		texts[i] = fmt.Sprint(member)
	}
	return strings.Join(texts, separator), nil
}

// printf refuses widths that would fill memory before anything is written: its
// format may come from a payload.
func printf(format string, args ...any) (string, error) {
	digits, wide := 0, 0
	for _, c := range format {
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if c == '%' {
			wide++
		}
		if c == '*' || digits > 3 || wide > 100 {
			return "", errors.New("printf: widths end at 999, and a format at 100 verbs")
		}
	}
	return fmt.Sprintf(format, args...), nil
}

// spellJSON writes v as people expect it in a body: compact, and < as it is.
func spellJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // what comes from a payload can be spelled
		return []byte("null")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func quoteJSON(s string) []byte { return spellJSON(s) }
