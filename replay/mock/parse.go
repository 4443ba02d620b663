package mock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Parse reads the rules of a YAML document: the list under its key rules. The other
// keys are somebody else's, and a document without that key has no rules. The error
// is Mistakes, each with its place in the file and what to write instead.
func Parse(data []byte, file string) ([]Rule, error) {
	compiled, err := compileFile(data, file)
	if err != nil {
		return nil, err
	}
	rules := make([]Rule, len(compiled))
	for i, c := range compiled {
		rules[i] = c.rule
	}
	return rules, nil
}

func compileFile(data []byte, file string) ([]*compiled, error) {
	p := parser{file: file, budget: maxNodes}
	root := p.document(data)
	var rules []*compiled
	if list := p.ruleList(root); list != nil {
		names := map[string]int{}
		for i, item := range list.Content {
			if rule := p.rule(item, i, names); rule != nil {
				rules = append(rules, rule)
			}
		}
	}
	if len(p.mistakes) > 0 {
		slices.SortStableFunc(p.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
		return nil, p.mistakes
	}
	return rules, nil
}

// maxNodes bounds what the aliases of a small file can grow to.
const maxNodes = 200_000

// parser turns nodes into rules and notes every mistake with its place.
type parser struct {
	file     string
	mistakes Mistakes
	places   map[string]*yaml.Node // of the rule that is read: path → value, for the checks that come after
	budget   int                   // nodes that may still be visited
	overrun  bool                  // that there were too many is said
}

func (p *parser) wrong(n *yaml.Node, fix, format string, args ...any) {
	line, column := 1, 1
	if n != nil && n.Line > 0 {
		line, column = n.Line, n.Column
	}
	p.mistakes = append(p.mistakes, Mistake{File: p.file, Line: line, Column: column, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// maxDepth bounds documents, and ends aliases that hold themselves.
const maxDepth = 100

// spend reports whether n more nodes may be visited at this depth, and says it once
// when they may not.
func (p *parser) spend(at *yaml.Node, n, depth int) bool {
	if p.budget -= n; p.budget >= 0 && depth <= maxDepth {
		return true
	}
	if p.budget = 0; !p.overrun {
		p.overrun = true
		p.wrong(at, "", "nested more than %d deep, or more than %d values", maxDepth, maxNodes)
	}
	return false
}

// document gives the root of the only document in data; nil when there is none.
func (p *parser) document(data []byte) *yaml.Node {
	if len(data) > MaxFile {
		p.wrong(nil, "", "the file has more than %d bytes", MaxFile)
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := d.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			p.syntax(data, err)
		}
		return nil
	}
	if err := d.Decode(&second); err == nil {
		p.wrong(&second, "make it one document", "the file holds more than one document")
		return nil
	} else if !errors.Is(err, io.EOF) {
		p.syntax(data, err)
		return nil
	}
	return p.resolve(doc.Content[0])
}

// syntax notes an error of the YAML reader, which tells the line and not the column.
func (p *parser) syntax(data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := &yaml.Node{Line: 1, Column: 1}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, message, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			text, at.Line = message, line
			// The library counts from 1 where it splits words, and from 0 where it puts them together.
			if strings.HasPrefix(text, "did not find expected") || strings.Contains(text, "directive") {
				at.Line++
			}
		}
	}
	lines := bytes.Split(data, []byte("\n"))
	if at.Line <= len(lines) {
		line := lines[at.Line-1]
		at.Column = len(line) - len(bytes.TrimLeft(line, " ")) + 1
	}
	p.wrong(at, "", "not YAML: %s", text)
}

// resolve follows an alias.
func (p *parser) resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func (p *parser) ruleList(root *yaml.Node) *yaml.Node {
	if root == nil || null(root) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		p.wrong(root, "put the rules under the key  rules:", "the file is a %s, and not keys with values", shape(root))
		return nil
	}
	var list *yaml.Node
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "rules" {
			continue
		}
		if list != nil {
			p.wrong(root.Content[i], "put them under one", "the key rules stands twice")
			return nil
		}
		list = p.resolve(root.Content[i+1])
	}
	if list == nil || null(list) {
		return nil
	}
	if list.Kind != yaml.SequenceNode {
		p.wrong(list, "begin each rule with  - name:", "rules: a list is wanted, and this is a %s", shape(list))
		return nil
	}
	return list
}

func (p *parser) rule(n *yaml.Node, i int, names map[string]int) *compiled {
	p.places = map[string]*yaml.Node{"": n}
	before := len(p.mistakes)
	var r Rule
	fields := p.fields(n, "", "name", "match", "answer", "times", "off")
	r.Name = p.text(fields["name"], "name")
	r.Times = p.number(fields["times"], "times")
	r.Off = p.truth(fields["off"], "off")

	match := p.fields(fields["match"], "match", "kind", "name", "user", "channel", "team", "path", "text", "any")
	for key, field := range map[string]*string{
		"kind": &r.Match.Kind, "name": &r.Match.Name, "user": &r.Match.User, "channel": &r.Match.Channel,
		"team": &r.Match.Team, "path": &r.Match.Path, "text": &r.Match.Text,
	} {
		*field = p.text(match[key], "match."+key)
	}
	r.Match.Any = p.truth(match["any"], "match.any")

	r.Answer = p.answer(fields["answer"])
	if len(p.mistakes) > before {
		return nil
	}
	if line, twice := names[r.Name]; twice && r.Name != "" {
		p.wrong(p.places["name"], "give each rule a name of its own", "name: %q is the name of the rule in line %d too", r.Name, line)
		return nil
	}
	names[r.Name] = n.Line

	c, problems := compile(r)
	for _, problem := range problems {
		p.wrong(p.place(problem.path), problem.fix, "%s", problem.text)
	}
	return c
}

func (p *parser) answer(n *yaml.Node) Answer {
	var a Answer
	fields := p.fields(n, "answer", "status", "headers", "body", "json", "delay", "fault")
	a.Status = p.number(fields["status"], "answer.status")
	a.Body = p.text(fields["body"], "answer.body")
	a.Fault = p.text(fields["fault"], "answer.fault")
	a.Delay = p.duration(fields["delay"], "answer.delay")
	if doc := fields["json"]; doc != nil {
		a.JSON = p.json(nil, doc, 0)
	}
	if headers := p.resolve(fields["headers"]); headers != nil {
		for name, value := range p.fields(headers, "answer.headers") {
			if a.Headers == nil {
				a.Headers = map[string]string{}
			}
			a.Headers[name] = p.text(value, "answer.headers."+name)
		}
	}
	return a
}

// place finds where a path was written, or what it would have been written in.
func (p *parser) place(path string) *yaml.Node {
	for {
		if n := p.places[path]; n != nil {
			return n
		}
		dot := strings.LastIndexByte(path, '.')
		path = path[:max(dot, 0)]
	}
}

// fields reads a mapping, which may be absent. Without known keys every key is known.
func (p *parser) fields(n *yaml.Node, path string, known ...string) map[string]*yaml.Node {
	n = p.resolve(n)
	if n == nil {
		return nil
	}
	prefix := path
	if path != "" {
		p.places[path] = n
		prefix += "."
	}
	if n.Kind != yaml.MappingNode {
		p.wrong(n, "write keys with values", "%s is a %s", or(path, "a rule"), shape(n))
		return nil
	}
	if !p.spend(n, len(n.Content), 0) {
		return nil
	}
	fields := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := p.resolve(n.Content[i]), n.Content[i+1]
		switch _, twice := fields[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			p.wrong(key, "", "%s: a key is a word, and this is a %s", or(path, "a rule"), shape(key))
		case len(known) > 0 && !slices.Contains(known, key.Value):
			p.wrong(key, didYouMean(key.Value, known), "there is no key %q", prefix+key.Value)
		case twice:
			p.wrong(key, "leave one of them out", "the key %q stands twice", prefix+key.Value)
		default:
			fields[key.Value] = value
			p.places[prefix+key.Value] = value
		}
	}
	return fields
}

func (p *parser) scalar(n *yaml.Node, path, want string) (*yaml.Node, bool) {
	if n = p.resolve(n); n == nil {
		return nil, false
	}
	if n.Kind != yaml.ScalarNode || null(n) {
		p.wrong(n, "", "%s: %s is wanted, and this is a %s", path, want, shape(n))
		return nil, false
	}
	return n, true
}

// text takes any scalar as it is written: text: 404 is the text 404.
func (p *parser) text(n *yaml.Node, path string) string {
	n, ok := p.scalar(n, path, "a text")
	if !ok {
		return ""
	}
	return n.Value
}

func (p *parser) number(n *yaml.Node, path string) int {
	n, ok := p.scalar(n, path, "a number")
	if !ok {
		return 0
	}
	var number int
	if n.ShortTag() != "!!int" || n.Decode(&number) != nil {
		p.wrong(n, "", "%s: %q is not a whole number", path, n.Value)
	}
	return number
}

func (p *parser) truth(n *yaml.Node, path string) bool {
	n, ok := p.scalar(n, path, "true or false")
	if !ok {
		return false
	}
	var truth bool
	if n.ShortTag() != "!!bool" || n.Decode(&truth) != nil {
		p.wrong(n, "write true or false", "%s: %q is neither true nor false", path, n.Value)
	}
	return truth
}

func (p *parser) duration(n *yaml.Node, path string) Duration {
	n, ok := p.scalar(n, path, "a duration")
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil {
		p.wrong(n, "write it like 500ms or 2s", "%s: %q is not a duration", path, n.Value)
	}
	return Duration(d)
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// shape says what a node is, in words.
func shape(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "mapping"
	case n.Kind == yaml.SequenceNode:
		return "list"
	case null(n):
		return "blank"
	}
	return "text"
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
