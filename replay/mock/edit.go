package mock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// ErrNoRule says that no rule has that name.
var ErrNoRule = errors.New("no such rule")

// Add writes a rule to the end of the file, or in place of the one that has its
// name, and puts it to use with a new count. A rule without a name gets one. The rest of the file stays
// as it is, comments too; the file is made where there is none. The error is
// Mistakes where the rule, or what is in the file already, has some.
func (r *Rules) Add(rule Rule) error {
	return r.edit(func(rules []Rule) ([]Rule, change, error) {
		if rule.Name == "" {
			rule.Name = freeName(rule.Match, rules)
		}
		compiled, problems := compile(rule)
		if len(problems) > 0 {
			mistakes := make(Mistakes, len(problems))
			for i, p := range problems {
				mistakes[i] = Mistake{Text: p.text, Fix: p.fix}
			}
			return nil, change{}, mistakes
		}
		rule = compiled.rule
		c := change{at: named(rules, rule.Name), with: &rule, fresh: rule.Name}
		if c.at < 0 {
			c.at = len(rules)
			return append(rules, rule), c, nil
		}
		rules[c.at] = rule
		return rules, c, nil
	})
}

// Remove takes the rule of that name out of the file and out of use; ErrNoRule.
func (r *Rules) Remove(name string) error {
	return r.edit(func(rules []Rule) ([]Rule, change, error) {
		at := named(rules, name)
		if at < 0 {
			return nil, change{}, fmt.Errorf("remove rule %q: %w", name, ErrNoRule)
		}
		return slices.Delete(rules, at, at+1), change{at: at}, nil
	})
}

func named(rules []Rule, name string) int {
	return slices.IndexFunc(rules, func(r Rule) bool { return r.Name == name })
}

// freeName names a rule for what it answers.
func freeName(m Match, rules []Rule) string {
	name := "any"
	for _, s := range []string{m.Name, m.Kind, m.Text, m.Path, m.User, m.Channel, m.Team} {
		if s != "" {
			name = s
			break
		}
	}
	free := name
	for n := 2; named(rules, free) >= 0; n++ {
		free = fmt.Sprintf("%s %d", name, n)
	}
	return free
}

// change is an edit of a file: what stands at a place is replaced, added after the
// last, or taken out.
type change struct {
	at    int
	with  *Rule  // nil: taken out
	fresh string // the rule that begins to count anew
}

// edit changes the file and puts the outcome to use. What is written is read back
// first: an edit that would say anything but what was asked for is not made.
func (r *Rules) edit(do func([]Rule) ([]Rule, change, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.File == "" {
		return errors.New("there is no rules file to write to")
	}
	data, err := r.read()
	if err != nil {
		return err
	}
	rules, err := Parse(data, r.File)
	if err != nil {
		return err
	}
	want, change, err := do(slices.Clone(rules))
	if err != nil {
		return err
	}
	edited, err := apply(data, change, want)
	if err != nil {
		return fmt.Errorf("edit %s: %w", r.File, err)
	}
	if err := replaceFile(r.File, edited); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	r.err = r.install(edited, change.fresh)
	return r.err
}

// apply gives data with the change: in the lines that it concerns where that can be
// done, else with the whole document written anew.
func apply(data []byte, c change, want []Rule) ([]byte, error) {
	for _, edit := range []func([]byte, change) ([]byte, error){splice, rewrite} {
		edited, err := edit(data, c)
		if err != nil {
			continue
		}
		got, err := Parse(edited, "")
		if err == nil && slices.EqualFunc(got, want, func(a, b Rule) bool { return reflect.DeepEqual(a, b) }) {
			return edited, nil
		}
	}
	return nil, errors.New("the file is written in a way that only a person can edit")
}

// rewrite makes the change in the document's tree. Comments stay, blank lines do not.
func rewrite(data []byte, c change) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	list := valueOfKey(&doc, "rules")
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, errors.New("no list of rules")
	}
	switch {
	case c.with == nil:
		list.Content = slices.Delete(list.Content, c.at, c.at+1)
	case c.at == len(list.Content):
		list.Content = append(list.Content, nodeOf(*c.with))
	default:
		node := nodeOf(*c.with)
		node.HeadComment, node.FootComment = list.Content[c.at].HeadComment, list.Content[c.at].FootComment
		list.Content[c.at] = node
	}
	list.Style = 0
	return encode(&doc)
}

func valueOfKey(doc *yaml.Node, key string) *yaml.Node {
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	fields := doc.Content[0].Content
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i].Value == key {
			return fields[i+1]
		}
	}
	return nil
}

func encode(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// replaceFile writes to a temporary file beside name and renames it, so that a
// reader finds the old file or the new one. The mode stays as it is; a new file is
// its owner's alone. A link stays a link.
func replaceFile(name string, data []byte) (err error) {
	mode := fs.FileMode(0o600)
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	if info, err := os.Stat(name); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
