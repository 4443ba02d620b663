package slack

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/slackdev/slackdev/inspector/near"
)

// Set is one change of a decoded payload.
type Set struct {
	// Path is dotted: text, event.text, view.state.values.b1.a1.value,
	// actions.0.value. A dot or backslash that belongs to a key has a backslash
	// before it. In a form it is a field's name, or a path in the field payload,
	// with or without the word payload before it.
	Path string
	// Value is taken as JSON when it is JSON, as a string otherwise. A field of a
	// form is always text, and where a string stands, a bare number or true or false
	// becomes a string too.
	Value string
}

// Edit changes values in a body and spells them as EncodeJSON and EncodeForm do;
// every other byte stays, inside the field payload as well. The changes are made in
// their order. A key that is not there yet is added at the end of its object, an
// index that is the length of its array at the end of that; a path whose parent is
// not there is an error that names what is. body itself is not changed.
func Edit(h http.Header, body []byte, sets []Set) ([]byte, error) {
	change := setJSON
	switch bodyShape(h, body) {
	case jsonShape:
	case formShape:
		change = setForm
	case emptyShape:
		return nil, errors.New("edit the body: it is empty")
	default:
		return nil, errors.New("edit the body: it is neither JSON nor a form")
	}
	for _, set := range sets {
		if set.Path == "" {
			return nil, errors.New("set a value: the path is empty")
		}
		changed, err := change(body, set)
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", set.Path, err)
		}
		body = changed
	}
	return body, nil
}

// splice gives body with the bytes of p in place of a part.
type splice struct {
	from, to int
	text     []byte
}

func (p splice) apply(body []byte) []byte {
	return slices.Concat(body[:p.from], p.text, body[p.to:])
}

func setJSON(doc []byte, set Set) ([]byte, error) {
	p, err := findJSON(doc, splitPath(set.Path), set.Value)
	if err != nil {
		return nil, err
	}
	return p.apply(doc), nil
}

// setForm changes a field, or a value in the field payload.
func setForm(body []byte, set Set) ([]byte, error) {
	var field, payload pair
	var names []string
	for f := (pairs{src: body, at: len(body) - len(trimStart(body))}); f.next(); {
		name := string(f.name())
		if name == set.Path {
			field = f.pair
		}
		if name == "payload" {
			payload = f.pair
		}
		if len(names) < maxNear {
			names = append(names, name)
		}
	}
	path := splitPath(set.Path)
	switch {
	case field.name.how != absent:
		value := []byte(set.Value)
		if set.Path == "payload" && checkJSON(value) == "" {
			value, _ = EncodeJSON(value)
		}
		return setField(body, field, value), nil
	case payload.name.how != absent:
		return setPayload(body, payload, path, set.Value)
	case len(path) > 1 && path[0] != "":
		return nil, fmt.Errorf("there is no field %s; there are %s", path[0], nearest(path[0], names))
	}
	added := EncodeForm([]Pair{{Name: set.Path, Value: set.Value}})
	if len(body) > 0 && body[len(body)-1] != '&' {
		added = append([]byte{'&'}, added...)
	}
	return slices.Concat(body, added), nil
}

func setField(body []byte, field pair, value []byte) []byte {
	text := appendField(nil, value)
	if field.value.from == field.name.to { // a name without =
		text = append([]byte{'='}, text...)
	}
	return splice{field.value.from, field.value.to, text}.apply(body)
}

// setPayload changes a value inside the field payload, and of the field's bytes
// only those that spell the value.
func setPayload(body []byte, field pair, path []string, value string) ([]byte, error) {
	if path[0] == "payload" {
		path = path[1:]
	}
	doc := decodedField(body, field.value)
	if problem := checkJSON(doc); problem != "" {
		return nil, fmt.Errorf("the field payload is not JSON: %s", problem)
	}
	p, err := findJSON(doc, path, value)
	if err != nil {
		return nil, err
	}
	raw := body[field.value.from:field.value.to]
	from := encodedLength(raw, p.from)
	to := from + encodedLength(raw[from:], p.to-p.from)
	return splice{field.value.from + from, field.value.from + to, appendField(nil, p.text)}.apply(body), nil
}

// splitPath takes a path apart at its dots.
func splitPath(path string) []string {
	var keys []string
	var key strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\'):
			i++
			key.WriteByte(path[i])
		case c == '.':
			keys = append(keys, key.String())
			key.Reset()
		default:
			key.WriteByte(c)
		}
	}
	return append(keys, key.String())
}

// findJSON finds the part of doc that path names and what takes its place.
func findJSON(doc []byte, path []string, value string) (splice, error) {
	if problem := checkJSON(doc); problem != "" {
		return splice{}, fmt.Errorf("the body is not JSON: %s", problem)
	}
	s := scanner{src: doc}
	for depth, key := range path {
		at, err := s.child(path, depth)
		if err != nil {
			return splice{}, err
		}
		if at < 0 { // not there, and may be added
			return s.addition(key, value), nil
		}
		s = scanner{src: doc, at: at}
	}
	old := s.peek()
	from := s.at
	s.skip()
	return splice{from, s.at, spellValue(old, value)}, nil
}

// child finds where the value of path[depth] begins in the value that the scanner
// stands on. It is -1 when it is not there but may be added, which only the last
// key of a path may.
func (s *scanner) child(path []string, depth int) (at int, err error) {
	parent, key, last := strings.Join(path[:depth], "."), path[depth], depth == len(path)-1
	walk, at := *s, -1
	switch s.peek() {
	case '{':
		var names []string
		for in := walk.object(); in; in = walk.more('}') {
			name := string(walk.key())
			if walk.peek(); name == key {
				at = walk.at
			}
			if len(names) < maxNear {
				names = append(names, name)
			}
			walk.skip()
		}
		if at < 0 && !last {
			return 0, fmt.Errorf("there is no %s%s", strings.Join(path[:depth+1], "."), has(parent, key, names))
		}
		return at, nil
	case '[':
		n := 0
		for in := walk.array(); in; in = walk.more(']') {
			if walk.peek(); strconv.Itoa(n) == key {
				at = walk.at
			}
			n++
			walk.skip()
		}
		if at < 0 && (!last || strconv.Itoa(n) != key) {
			if parent == "" {
				parent = "the payload"
			}
			return 0, fmt.Errorf("there is no %s; %s is an array of %d", strings.Join(path[:depth+1], "."), parent, n)
		}
		return at, nil
	}
	if depth == 0 {
		return 0, errors.New("the payload is neither an object nor an array")
	}
	return 0, fmt.Errorf("%s is neither an object nor an array, so it has no %s", parent, key)
}

// addition puts a new member at the end of the object or array on which the scanner stands.
func (s *scanner) addition(key, value string) splice {
	object := s.peek() == '{'
	at, empty := s.at+1, true
	walk := *s
	for in := walk.enter(s.src[s.at], closing(s.src[s.at])); in; in = walk.more(closing(s.src[s.at])) {
		if object {
			walk.key()
		}
		walk.skip()
		at, empty = walk.at, false
	}
	var text []byte
	if !empty {
		text = append(text, ',')
	}
	if object {
		text = append(appendString(text, []byte(key), slackStyle), ':')
	}
	return splice{at, at, append(text, spellValue(0, value)...)}
}

func closing(open byte) byte {
	if open == '{' {
		return '}'
	}
	return ']'
}

// spellValue spells a new value; old is the first byte of the one before it.
func spellValue(old byte, value string) []byte {
	spelled, err := EncodeJSON([]byte(value))
	if err != nil {
		return appendString(nil, []byte(value), slackStyle)
	}
	switch spelled[0] {
	case '{', '[', '"', 'n':
		return spelled
	}
	if old == '"' {
		return appendString(nil, []byte(value), slackStyle)
	}
	return spelled
}

// The most keys that an error looks at, and the most that it names.
const (
	maxNear  = 200
	maxNamed = 8
)

// has says what stands where a key was looked for.
func has(parent, key string, names []string) string {
	switch {
	case len(names) == 0 && parent == "":
		return "; the payload is empty"
	case len(names) == 0:
		return "; " + parent + " is empty"
	case parent == "":
		return "; there are " + nearest(key, names)
	}
	return "; " + parent + " has " + nearest(key, names)
}

// nearest lists names, those that are most like key first, escaped and cut.
func nearest(key string, names []string) string {
	slices.SortStableFunc(names, func(a, b string) int { return near.Distance(key, a) - near.Distance(key, b) })
	var b strings.Builder
	for i, name := range names[:min(len(names), maxNamed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		name = name[:cut([]byte(name), 64)]
		if quoted := strconv.QuoteToGraphic(name); quoted != `"`+name+`"` {
			name = quoted
		}
		b.WriteString(name)
	}
	if len(names) > maxNamed {
		b.WriteString(" …")
	}
	return b.String()
}
