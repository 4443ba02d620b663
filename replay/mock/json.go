package mock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"
)

// json appends a YAML value as compact JSON, its keys in their order.
func (p *parser) json(b []byte, n *yaml.Node, depth int) []byte {
	n = p.resolve(n)
	if !p.spend(n, 1, depth) {
		return append(b, "null"...)
	}
	switch n.Kind {
	case yaml.MappingNode:
		return p.jsonObject(b, n, depth)
	case yaml.SequenceNode:
		b = append(b, '[')
		for i, item := range n.Content {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.json(b, item, depth+1)
		}
		return append(b, ']')
	}
	return p.jsonScalar(b, n)
}

func (p *parser) jsonObject(b []byte, n *yaml.Node, depth int) []byte {
	b = append(b, '{')
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := p.resolve(n.Content[i])
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			p.wrong(key, "write the keys out", "answer.json: a key is a word")
			continue
		case seen[key.Value]:
			p.wrong(key, "leave one of them out", "answer.json: the key %q stands twice", key.Value)
			continue
		}
		seen[key.Value] = true
		if len(seen) > 1 {
			b = append(b, ',')
		}
		b = append(append(b, quoteJSON(key.Value)...), ':')
		b = p.json(b, n.Content[i+1], depth+1)
	}
	return append(b, '}')
}

func (p *parser) jsonScalar(b []byte, n *yaml.Node) []byte {
	switch n.ShortTag() {
	case "!!null":
		return append(b, "null"...)
	case "!!bool", "!!int", "!!float":
		if json.Valid([]byte(n.Value)) { // 1.50 stays 1.50
			return append(b, n.Value...)
		}
		var v any
		if err := n.Decode(&v); err != nil {
			p.wrong(n, "", "answer.json: %q cannot be read", n.Value)
			return append(b, "null"...)
		}
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			p.wrong(n, `write it as text: "`+n.Value+`"`, "answer.json: JSON has no number %s", n.Value)
			return append(b, "null"...)
		}
		return append(b, spellJSON(v)...)
	}
	return append(b, quoteJSON(n.Value)...)
}

// documentNode opens JSON into YAML's blocks. YAML would read most JSON by itself,
// but not the escapes of runes above U+FFFF.
func documentNode(doc []byte) (*yaml.Node, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(doc, &whole); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(whole))
	d.UseNumber()
	return valueNode(d, 0)
}

func valueNode(d *json.Decoder, depth int) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch t := token.(type) {
	case nil:
		n.Tag, n.Value = "!!null", "null"
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case json.Number:
		n.Value = t.String()
	case string:
		return textNode(t), nil
	case json.Delim:
		if depth > maxDepth {
			return nil, fmt.Errorf("nested more than %d deep", maxDepth)
		}
		n.Kind = yaml.SequenceNode
		if t == '{' {
			n.Kind = yaml.MappingNode
		}
		for d.More() { // of an object, the keys come as values too
			child, err := valueNode(d, depth+1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err = d.Token()
	}
	return n, err
}

// canonicalJSON spells a document as one from a rules file is spelled, so that rules
// can be compared.
func canonicalJSON(doc []byte) ([]byte, error) {
	n, err := documentNode(doc)
	if err != nil {
		return nil, err
	}
	p := parser{budget: maxNodes}
	spelled := p.json(nil, n, 0)
	if len(p.mistakes) > 0 {
		return nil, errors.New(strings.TrimPrefix(p.mistakes[0].Text, "answer.json: "))
	}
	return spelled, nil
}
