package mock

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// errShape says that the file is written in a way that cannot be edited by lines.
var errShape = errors.New("not a list with one rule a paragraph")

// splice makes the change in the lines that it concerns and leaves every other byte
// of the file alone.
func splice(data []byte, c change) ([]byte, error) {
	f, err := layoutOf(data)
	if err != nil {
		return nil, err
	}
	var text []string
	if c.with != nil {
		list := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{nodeOf(*c.with)}}
		encoded, err := encode(list)
		if err != nil {
			return nil, err
		}
		text = indented(encoded, f.indent)
	}
	begin, end := f.end, f.end
	if c.at < len(f.items) {
		begin, end = f.item(c.at, c.with == nil)
	}
	return []byte(strings.Join(slices.Replace(f.lines, begin, end, text...), "")), nil
}

// layout is where the rules stand in a file. Line numbers count from 0 here.
type layout struct {
	lines  []string // each with its line break
	items  []int    // the line of each rule's dash
	end    int      // the line after the last one of the list
	indent int      // of the dashes
}

func layoutOf(data []byte) (*layout, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	f := &layout{lines: strings.SplitAfter(string(data), "\n"), indent: 2}
	if last := len(f.lines) - 1; f.lines[last] == "" {
		f.lines = f.lines[:last]
	} else {
		f.lines[last] += "\n"
	}
	if len(doc.Content) > 0 && doc.Content[0].Kind == yaml.MappingNode && doc.Content[0].Style&yaml.FlowStyle != 0 {
		return nil, errShape
	}
	list := valueOfKey(&doc, "rules")
	if list == nil {
		return f.withKey(), nil
	}
	f.end = f.sectionEnd(&doc)
	if len(list.Content) == 0 {
		return f, f.emptied(list)
	}
	return f, f.dashes(list)
}

// withKey adds the key to a file that has none.
func (f *layout) withKey() *layout {
	if n := len(f.lines); n > 0 && strings.TrimSpace(f.lines[n-1]) != "" {
		f.lines = append(f.lines, "\n")
	}
	f.lines = append(f.lines, "rules:\n")
	f.end = len(f.lines)
	return f
}

// emptied turns  rules: []  into  rules:  so that a list can follow.
func (f *layout) emptied(list *yaml.Node) error {
	if null(list) && list.Value == "" {
		return nil
	}
	line := f.lines[list.Line-1]
	if list.Kind != yaml.SequenceNode || !strings.HasPrefix(line[list.Column-1:], "[]") {
		return errShape
	}
	f.lines[list.Line-1] = strings.TrimRight(line[:list.Column-1], " ") + line[list.Column+1:]
	return nil
}

// dashes finds the line on which each rule begins.
func (f *layout) dashes(list *yaml.Node) error {
	for _, item := range list.Content {
		line := f.lines[item.Line-1]
		text := strings.TrimLeft(line, " ")
		if !strings.HasPrefix(text, "-") {
			return errShape
		}
		f.indent = len(line) - len(text)
		f.items = append(f.items, item.Line-1)
	}
	return nil
}

// sectionEnd gives the line after the last of the list's: before the next key, and
// before the blank lines and comments at the margin that stand above it.
func (f *layout) sectionEnd(doc *yaml.Node) int {
	fields := doc.Content[0].Content
	end, begin := len(f.lines), 0
	for i := 0; i < len(fields); i += 2 {
		if fields[i].Value == "rules" {
			begin = fields[i].Line
			if i+2 < len(fields) {
				end = fields[i+2].Line - 1
			}
		}
	}
	return f.before(end, begin, 0)
}

// before goes up from a line over blank lines and comments that are not indented
// by more than margin.
func (f *layout) before(line, first, margin int) int {
	for line > first {
		text := strings.TrimLeft(f.lines[line-1], " ")
		comment := strings.HasPrefix(text, "#") && len(f.lines[line-1])-len(text) <= margin
		if strings.TrimSpace(text) != "" && !comment {
			break
		}
		line--
	}
	return line
}

// item gives the lines of a rule, with the comment right above it where asked for.
func (f *layout) item(i int, comment bool) (begin, end int) {
	begin, end = f.items[i], f.end
	if i+1 < len(f.items) {
		end = f.items[i+1]
	}
	end = f.before(end, begin+1, f.indent)
	for comment && begin > 0 && strings.HasPrefix(strings.TrimSpace(f.lines[begin-1]), "#") {
		begin--
	}
	return begin, end
}

func indented(text []byte, by int) []string {
	var lines []string
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) > 0 {
			line = append(bytes.Repeat([]byte(" "), by), line...)
		}
		lines = append(lines, string(line))
	}
	return lines
}

// nodeOf writes a rule as a person would: keys in their order, none that says nothing.
func nodeOf(r Rule) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	add(n, "name", textNode(r.Name))
	match := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	m := r.Match
	for _, f := range [][2]string{
		{"kind", m.Kind}, {"name", m.Name}, {"user", m.User}, {"channel", m.Channel}, {"team", m.Team}, {"path", m.Path}, {"text", m.Text},
	} {
		if f[1] != "" {
			add(match, f[0], textNode(f[1]))
		}
	}
	if m.Any {
		add(match, "any", plain(true))
	}
	add(n, "match", match)
	if answer := answerNode(r.Answer); len(answer.Content) > 0 {
		add(n, "answer", answer)
	}
	if r.Times != 0 {
		add(n, "times", plain(r.Times))
	}
	if r.Off {
		add(n, "off", plain(true))
	}
	return n
}

func answerNode(a Answer) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if a.Status != 0 {
		add(n, "status", plain(a.Status))
	}
	if len(a.Headers) > 0 {
		add(n, "headers", plain(a.Headers))
	}
	if a.Body != "" {
		add(n, "body", textNode(a.Body))
	}
	if len(a.JSON) > 0 {
		doc, err := documentNode(a.JSON)
		if err != nil {
			doc = textNode(string(a.JSON)) // cannot be: compile has read it
		}
		add(n, "json", doc)
	}
	if a.Delay != 0 {
		text, _ := a.Delay.MarshalText() // has no error
		add(n, "delay", textNode(string(text)))
	}
	if a.Fault != "" {
		add(n, "fault", textNode(a.Fault))
	}
	return n
}

func add(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
}

// textNode is a string, quoted where YAML would take it for something else.
func textNode(s string) *yaml.Node {
	if !strings.Contains(s, "\n") {
		return plain(s)
	}
	var n yaml.Node
	n.SetString(s) // a block
	if strings.ContainsAny(s, "\r\t\x00") || strings.Contains(s, " \n") || strings.HasPrefix(strings.TrimLeft(s, "\n"), " ") {
		n.Style = yaml.DoubleQuotedStyle // a block would lose some of it
	}
	return &n
}

// plain is a value that the YAML writer spells.
func plain(v any) *yaml.Node {
	var n yaml.Node
	if err := n.Encode(v); err != nil {
		n.SetString(fmt.Sprint(v)) // cannot be: v is a text, a number, a truth or a map of texts
	}
	return &n
}
