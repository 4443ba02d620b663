// Package archtest holds the rules of the house that a tool can check: who may import
// whom (the table of docs/architecture.md), what must be said of every exported name,
// and what no file may do. Its tests run them over the whole repository, so that
// breaking one fails `go test ./...` with the file, the line and the way out.
//
// A rule is a pure function over a parsed Tree and gives one sentence for each place
// that breaks it.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// Module is the import path of the repository's root.
const Module = "github.com/slackdev/slackdev"

// Tree is a repository, read once.
type Tree struct {
	fset  *token.FileSet
	goes  []source          // Go files
	texts map[string]string // other texts, by path: pages, scripts, documents
	tops  []string          // the folders at the top that are not hidden
}

// source is one Go file.
type source struct {
	path string // from the root, with slashes
	text string
	file *ast.File
}

func (s source) dir() string   { return path.Dir(s.path) }
func (s source) test() bool    { return strings.HasSuffix(s.path, "_test.go") }
func (s source) command() bool { return s.file.Name.Name == "main" }

// Load reads and parses a repository. Folders of version control, of other people's
// modules and of test data are left out.
func Load(root fs.FS) (*Tree, error) {
	t := &Tree{fset: token.NewFileSet(), texts: map[string]string{}}
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return t.folder(name)
		}
		return t.read(root, name)
	})
	if err != nil {
		return nil, fmt.Errorf("read the repository: %w", err)
	}
	return t, nil
}

func (t *Tree) folder(name string) error {
	base := path.Base(name)
	switch {
	case name == ".":
		return nil
	case base == "node_modules", base == "testdata", base == ".git":
		return fs.SkipDir
	}
	if !strings.Contains(name, "/") && !strings.HasPrefix(name, ".") {
		t.tops = append(t.tops, name)
	}
	return nil
}

func (t *Tree) read(root fs.FS, name string) error {
	switch path.Ext(name) {
	case ".go", ".js", ".mjs", ".ts", ".html", ".css", ".md", ".json", ".yaml", ".yml", ".sh":
	default:
		if path.Dir(name) != ".ci" {
			return nil
		}
	}
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	if path.Ext(name) != ".go" {
		t.texts[name] = string(text)
		return nil
	}
	file, err := parser.ParseFile(t.fset, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	t.goes = append(t.goes, source{path: name, text: string(text), file: file})
	return nil
}

// at gives file:line of a node.
func (t *Tree) at(pos token.Pos) string {
	p := t.fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// say makes one finding.
func (t *Tree) say(pos token.Pos, format string, args ...any) string {
	return t.at(pos) + ": " + fmt.Sprintf(format, args...)
}

// Rule is one thing that must hold.
type Rule struct {
	Claim string // of the test that holds it
	Check func(*Tree) []string
}

// Rules lists all of them.
func Rules() []Rule {
	return []Rule{
		{"the import table holds", imports},
		{"the top has only the folders of the plan", topFolders},
		{"packages are named for what they hold", packageNames},
		{"every package says what it is for, once", packageComments},
		{"every exported name says what it is", exportedComments},
		{"nobody sleeps", sleeps},
		{"nothing happens on import", initFunctions},
		{"packages keep no state", packageState},
		{"only main ends the process", exits},
		{"only config reads the environment", environment},
		{"functions fit a screen or two, files a morning", lengths},
		{"what is left to do names its issue", todos},
		{"the websocket library stays in one file", websocket},
		{"tests' tools stay in tests", testTools},
		{"the page makes elements, never markup", markup},
		{"links lead somewhere", links},
		{"no file names a registry", registries},
	}
}
