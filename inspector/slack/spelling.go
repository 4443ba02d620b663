package slack

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// The most that Decode makes of a body.
const (
	maxDecoded = 16 << 20 // bytes; a control character takes six
	maxFields  = 10_000   // fields of a form
)

// Decode opens a body for reading: the JSON of an event, or the form's fields as
// an object in which payload is opened in place. Keys keep Slack's order; of a field
// that stands twice the last counts, as does the last of a key for whoever reads the
// JSON. A GET gives the fields of its query.
//
// The error says where it stopped, and what could be read comes with it: a payload
// that is no JSON is a string then. The result is JSON, or nil, and may be a part of
// body. It has at most 16 MiB.
func Decode(method, target string, h http.Header, body []byte) ([]byte, error) {
	switch shapeOf(method, h, body) {
	case queryShape:
		_, query, _ := strings.Cut(target, "?")
		return decodeForm([]byte(query))
	case jsonShape:
		body = bytes.TrimSpace(body)
		if problem := checkJSON(body); problem != "" {
			return nil, fmt.Errorf("decode the JSON body: %s", problem)
		}
		if !utf8.Valid(body) {
			body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
		}
		return body, nil
	case formShape:
		return decodeForm(trimStart(body))
	case emptyShape:
		return nil, errors.New("the body is empty")
	}
	return nil, errors.New("the body is neither JSON nor a form")
}

// decodeForm writes the fields of a form as an object.
func decodeForm(src []byte) ([]byte, error) {
	last, err := lastFields(src)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(src)+len(src)/4), '{')
	for f := (pairs{src: src}); f.next(); {
		name := f.name()
		if last[string(name)] != f.pair.name.from {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(appendString(out, name, readable), ':')
		value := decodedField(src, f.pair.value)
		if string(name) == "payload" {
			problem := checkJSON(value)
			if problem == "" {
				out = append(out, bytes.ToValidUTF8(bytes.TrimSpace(value), []byte("\uFFFD"))...)
				continue
			}
			err = fmt.Errorf("decode the field payload: %s", problem)
		}
		out = appendString(out, value, readable)
		if len(out) > maxDecoded {
			return nil, fmt.Errorf("decode the form: it has more than %d MiB when decoded", maxDecoded>>20)
		}
	}
	return append(out, '}'), err
}

// lastFields says where the last field of each name begins.
func lastFields(src []byte) (map[string]int, error) {
	last, n := make(map[string]int), 0
	for f := (pairs{src: src}); f.next(); n++ {
		if n == maxFields {
			return nil, fmt.Errorf("decode the form: it has more than %d fields", maxFields)
		}
		last[string(f.name())] = f.pair.name.from
	}
	return last, nil
}

// Pair is one field of a form.
type Pair struct{ Name, Value string }

// EncodeForm spells a form as Slack does: in this order, empty values kept, a space
// as +, and everything but A-Za-z0-9-_. as % and upper-case digits.
func EncodeForm(pairs []Pair) []byte {
	var out []byte
	for i, p := range pairs {
		if i > 0 {
			out = append(out, '&')
		}
		out = appendField(out, []byte(p.Name))
		out = append(out, '=')
		out = appendField(out, []byte(p.Value))
	}
	return out
}

// EncodeJSON spells a JSON document as Slack does: compact, keys in their order,
// / as \/, and every rune above 0x7F as \uXXXX. Numbers keep their digits. The error
// says where doc is not JSON.
func EncodeJSON(doc []byte) ([]byte, error) {
	s := scanner{src: doc}
	out := encodeValue(make([]byte, 0, len(doc)), &s)
	s.end()
	if problem := s.problem(); problem != "" {
		return nil, fmt.Errorf("encode JSON: %s", problem)
	}
	return out, nil
}

// encodeValue writes the scanner's next value in Slack's spelling.
func encodeValue(out []byte, s *scanner) []byte {
	switch s.peek() {
	case '{':
		out = append(out, '{')
		for in := s.object(); in; in = s.more('}') {
			out = separate(out, '{')
			out = encodeString(out, s.src, s.keyToken())
			out = encodeValue(append(out, ':'), s)
		}
		return append(out, '}')
	case '[':
		out = append(out, '[')
		for in := s.array(); in; in = s.more(']') {
			out = encodeValue(separate(out, '['), s)
		}
		return append(out, ']')
	case '"':
		return encodeString(out, s.src, s.value())
	}
	t := s.value()
	return append(out, s.src[t.from:t.to]...)
}

// separate writes a comma, except behind the bracket that opened the list.
func separate(out []byte, open byte) []byte {
	if out[len(out)-1] == open {
		return out
	}
	return append(out, ',')
}

// encodeString spells a string again. Escapes are taken one by one, so that half of
// a surrogate pair, which stands for nothing, still comes through.
func encodeString(out, src []byte, t token) []byte {
	if t.how != escaped {
		return appendString(out, src[t.from:t.to], slackStyle)
	}
	out = append(out, '"')
	for raw := src[t.from:t.to]; len(raw) > 0; {
		switch {
		case raw[0] == '\\' && raw[1] == 'u':
			unit, _ := hex4(raw[2:])
			if unit < utf8.RuneSelf {
				out = appendASCII(out, byte(unit), slackStyle)
			} else {
				out = appendUnit(out, unit)
			}
			raw = raw[6:]
		case raw[0] == '\\':
			decoded := appendUnescaped(nil, raw[:2], 1)
			out = appendASCII(out, decoded[0], slackStyle)
			raw = raw[2:]
		case raw[0] < utf8.RuneSelf:
			out = appendASCII(out, raw[0], slackStyle)
			raw = raw[1:]
		default:
			r, n := utf8.DecodeRune(raw)
			out = appendRune(out, r, slackStyle)
			raw = raw[n:]
		}
	}
	return append(out, '"')
}
