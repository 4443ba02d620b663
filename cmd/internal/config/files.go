package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
	"go.yaml.in/yaml/v3"

	"github.com/slackdev/slackdev/inspector/near"
)

// fileLimit bounds every file that is read here. Nobody writes a megabyte of options.
const fileLimit = 1 << 20

// readBounded reads a small file; a larger one is an *Error.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > fileLimit {
		return nil, &Error{Where: path, Problem: "the file is larger than 1 MiB"}
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil
}

// loadYAML reads one file of options. One that is not there changes nothing.
func (c *Config) loadYAML(path string, project bool) error {
	text, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	root, err := parseYAML(path, text)
	if err != nil || root == nil {
		return err
	}
	y := yamlFile{config: c, path: path, project: project, seen: map[string]bool{}}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if err := y.entry(root.Content[i], root.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// parseYAML gives the mapping that a file holds, nil when it holds nothing.
func parseYAML(path string, text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, yamlError(path, err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, &Error{Where: place(path, root), Problem: "want lines of  key: value, got " + kindOf(root)}
	}
	return root, nil
}

// yamlError moves the line that the library writes into its text to where a person,
// and an editor, looks for it.
func yamlError(path string, err error) *Error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): (.*)`).FindStringSubmatch(text); m != nil {
		return &Error{Where: path + ":" + m[1], Problem: m[2]}
	}
	return &Error{Where: path, Problem: text}
}

type yamlFile struct {
	config  *Config
	path    string
	project bool
	seen    map[string]bool
}

func (y *yamlFile) entry(key, value *yaml.Node) error {
	if y.seen[key.Value] {
		return &Error{Where: place(y.path, key), Problem: fmt.Sprintf("%q stands here a second time", clip(key.Value))}
	}
	y.seen[key.Value] = true
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	if key.Value == keyRules && (value.Kind != yaml.ScalarNode || value.Tag == "!!null") {
		if !y.project {
			return &Error{Where: place(y.path, key), Problem: "rules belong to a project", Hint: "move them to the project's slackdev.yaml"}
		}
		return nil // the rules themselves: package mock reads them
	}
	if key.Value == keyProviders {
		return y.loadProviders(value)
	}
	for _, o := range options() {
		if o.key != key.Value {
			continue
		}
		if y.project {
			if err := o.mineAlone(place(y.path, key)); err != nil {
				return err
			}
		}
		return y.set(o, value)
	}
	return &Error{Where: place(y.path, key), Problem: fmt.Sprintf("there is no option %q", clip(key.Value)), Hint: hintForKey(key.Value)}
}

func (y *yamlFile) set(o option, value *yaml.Node) error {
	where := place(y.path, value)
	text := value.Value
	switch {
	case value.Kind == yaml.SequenceNode && o.list:
		var all []string
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return &Error{Where: place(y.path, item), Problem: fmt.Sprintf("%s: want a text, got %s", o.key, kindOf(item))}
			}
			all = append(all, item.Value)
		}
		text = strings.Join(all, listSeparator)
	case value.Kind == yaml.MappingNode && o.pairs:
		var all []string
		for i := 0; i+1 < len(value.Content); i += 2 {
			item := value.Content[i+1]
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return &Error{Where: place(y.path, item), Problem: fmt.Sprintf("%s: want a text, got %s", o.key, kindOf(item))}
			}
			all = append(all, value.Content[i].Value+"="+item.Value)
		}
		text = strings.Join(all, listSeparator)
	case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
		return &Error{Where: where, Problem: fmt.Sprintf("%s: want one value, got %s", o.key, kindOf(value))}
	}
	if err := o.set(y.config, text, filepath.Dir(y.path)); err != nil {
		e := located(err, where)
		e.Problem = o.key + ": " + e.Problem
		return e
	}
	if y.project {
		if err := y.config.inProject(o, where); err != nil {
			return err
		}
	}
	y.config.came(o.key, Origin(fmt.Sprintf("%s:%d", y.path, value.Line)), where)
	return nil
}

func hintForKey(key string) string {
	if strings.Contains(strings.ToLower(key), "secret") && near.Distance(clip(key), "signing_secret_file") > 3 {
		return "secrets stay out of this file: put  SLACK_SIGNING_SECRET=…  into .env, or name a file with  signing_secret_file"
	}
	if strings.Contains(strings.ToLower(key), "token") && near.Distance(clip(key), "pinggy_token_file") > 3 {
		return "tokens stay out of this file: put  " + PinggyVariable + "=…  into .env, or name a file with  pinggy_token_file"
	}
	var keys []string
	for _, o := range options() {
		keys = append(keys, o.key)
	}
	keys = append(keys, keyProviders)
	return didYouMean(strings.ReplaceAll(key, "-", "_"), keys)
}

func place(path string, n *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column)
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Tag == "!!null":
		return "nothing"
	}
	return "a text"
}

// readDotenv reads the project's .env. The library's error texts repeat the line, and
// the line may hold a secret: only its number is said.
func readDotenv(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("read .env: %w", err)
	}
	values, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return nil, &Error{Where: path + badLine(text), Problem: "not of the form  NAME=value", Hint: "quote values that hold quotes or line breaks"}
	}
	return values, nil
}

// badLine finds the first line that cannot be read, as ":N", or "" in a file too long
// to try. Whatever is whole before the mistake can be read by itself.
func badLine(text []byte) string {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) > 1000 {
		return ""
	}
	whole, end := 0, 0
	for i, line := range lines {
		end += len(line)
		if _, err := godotenv.UnmarshalBytes(text[:end]); err == nil {
			whole = i + 1
		}
	}
	for whole < len(lines) && len(bytes.TrimSpace(lines[whole])) == 0 {
		whole++
	}
	return fmt.Sprintf(":%d", min(whole+1, len(lines)))
}
