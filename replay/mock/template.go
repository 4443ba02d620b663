package mock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// body is what an answer's body is made of, in order.
type body struct {
	parts []part
	json  bool
}

// part is literal text, or a template; a quoted one renders the inside of a JSON string.
type part struct {
	text     []byte
	template *template.Template
	quoted   bool
}

// textBody compiles a body that is one template.
func textBody(text string) (*body, error) {
	if !strings.Contains(text, "{{") {
		return &body{parts: []part{{text: []byte(text)}}}, nil
	}
	t, err := compileTemplate(text)
	return &body{parts: []part{{template: t}}}, err
}

// jsonBody compiles a compact document whose string values are templates.
func jsonBody(doc []byte) (*body, error) {
	b := &body{json: true}
	literal := 0 // where the text begins that is not in parts yet
	for i := 0; i < len(doc); i++ {
		if doc[i] != '"' {
			continue
		}
		end := i + 1
		for doc[end] != '"' {
			if doc[end] == '\\' {
				end++
			}
			end++
		}
		end++
		key := end < len(doc) && doc[end] == ':'
		if raw := doc[i:end]; !key && bytes.Contains(raw, []byte("{{")) {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, err
			}
			t, err := compileTemplate(text)
			if err != nil {
				return nil, err
			}
			b.parts = append(b.parts, part{text: doc[literal:i]}, part{template: t, quoted: true})
			literal = end
		}
		i = end - 1
	}
	b.parts = append(b.parts, part{text: doc[literal:]})
	return b, nil
}

// static reports whether the body is the same for every request.
func (b *body) static() bool { return len(b.parts) == 1 && b.parts[0].template == nil }

// render makes the body for a payload. A template that runs too long, writes too
// much, or fails on what it finds is an error.
func (b *body) render(data any) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), MaxRender, errSlow)
	defer cancel()
	w := &boundedWriter{ctx: ctx, room: MaxAnswer}
	for _, p := range b.parts {
		switch {
		case p.template == nil:
			if _, err := w.Write(p.text); err != nil {
				return nil, err
			}
		case p.quoted:
			inside := &boundedWriter{ctx: ctx, room: w.room}
			if err := p.template.Execute(inside, data); err != nil {
				return nil, templateError(err)
			}
			if _, err := w.Write(quoteJSON(inside.String())); err != nil {
				return nil, err
			}
		default:
			if err := p.template.Execute(w, data); err != nil {
				return nil, templateError(err)
			}
		}
	}
	return w.Bytes(), nil
}

var (
	errSlow  = fmt.Errorf("the template runs longer than %v", MaxRender)
	errLarge = fmt.Errorf("the template writes more than %d bytes", MaxAnswer)
)

// boundedWriter collects what a template writes. A template passes here at least
// once in each turn of a loop (see bound), so this is where it is stopped.
type boundedWriter struct {
	bytes.Buffer
	ctx  context.Context
	room int
}

// Write refuses what is too much, and everything when time is over.
func (w *boundedWriter) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	if w.room -= len(p); w.room < 0 {
		return 0, errLarge
	}
	return w.Buffer.Write(p)
}

// compileTemplate reads a template and rewrites it so that any payload is safe for it:
// a field that is not there is empty instead of an error, and every loop can be stopped.
func compileTemplate(text string) (*template.Template, error) {
	t, err := template.New("body").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, templateError(err)
	}
	if len(t.Templates()) > 1 || t.Tree == nil {
		return nil, errors.New("a body is one template: define and block have no place in it")
	}
	r := rewriter{tree: t.Tree}
	r.list(t.Tree.Root)
	return t, r.err
}

// templateError takes text/template's own preface off.
func templateError(err error) error {
	text, ok := strings.CutPrefix(err.Error(), "template: body:")
	if !ok {
		return err
	}
	return errors.New("line " + text)
}

// rewriter replaces each field access by a call of get. text/template reads a missing field of a missing
// field as an error, and prints a missing one as <no value>.
type rewriter struct {
	tree *parse.Tree
	err  error
}

func (r *rewriter) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			r.pipe(n.Pipe)
		case *parse.IfNode:
			r.branch(&n.BranchNode)
		case *parse.WithNode:
			r.branch(&n.BranchNode)
		case *parse.RangeNode:
			r.branch(&n.BranchNode)
			bound(n.List)
		case *parse.TemplateNode:
			r.err = errors.New("a body is one template: {{template}} has no place in it")
		}
	}
}

func (r *rewriter) branch(b *parse.BranchNode) {
	r.pipe(b.Pipe)
	r.list(b.List)
	r.list(b.ElseList)
}

// bound makes each turn of a loop write at least nothing: that is when the writer
// looks at the clock.
func bound(l *parse.ListNode) {
	nothing := &parse.TextNode{NodeType: parse.NodeText, Pos: l.Pos}
	l.Nodes = append([]parse.Node{nothing}, l.Nodes...)
}

func (r *rewriter) pipe(p *parse.PipeNode) {
	for _, command := range p.Cmds {
		for i, arg := range command.Args {
			command.Args[i] = r.node(arg)
		}
	}
}

func (r *rewriter) node(n parse.Node) parse.Node {
	switch n := n.(type) {
	case *parse.PipeNode:
		r.pipe(n)
	case *parse.FieldNode:
		return r.get(n.Pos, &parse.DotNode{NodeType: parse.NodeDot, Pos: n.Pos}, n.Ident)
	case *parse.ChainNode:
		return r.get(n.Pos, r.node(n.Node), n.Field)
	case *parse.VariableNode:
		if len(n.Ident) > 1 {
			name := &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: n.Ident[:1]}
			return r.get(n.Pos, name, n.Ident[1:])
		}
	}
	return n
}

// get spells (get OF "a" "b").
func (r *rewriter) get(pos parse.Pos, of parse.Node, path []string) parse.Node {
	args := []parse.Node{parse.NewIdentifier("get").SetPos(pos).SetTree(r.tree), of}
	for _, name := range path {
		args = append(args, &parse.StringNode{NodeType: parse.NodeString, Pos: pos, Quoted: strconv.Quote(name), Text: name})
	}
	command := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: args}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Cmds: []*parse.CommandNode{command}}
}

// contentType says what a rendered body is, for an answer that does not say it.
func (b *body) contentType(text []byte) string {
	document := len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid(text)
	if b.json || document {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}
