package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// packageComments holds that each package has one comment, in the file that has its
// name, or in main.go.
func packageComments(t *Tree) []string {
	var found []string
	commented := map[string]bool{}
	for _, s := range t.goes {
		if s.test() {
			continue
		}
		name := s.file.Name.Name
		home := path.Base(s.path) == name+".go" || s.command() && path.Base(s.path) == path.Base(s.dir())+".go"
		if _, seen := commented[s.dir()]; !seen {
			commented[s.dir()] = false
		}
		if s.file.Doc == nil {
			continue
		}
		first, _, _ := strings.Cut(s.file.Doc.Text(), "\n")
		switch {
		case !home:
			found = append(found, t.say(s.file.Package, "the package's comment belongs into %s.go", name))
		case !s.command() && !strings.HasPrefix(first, "Package "+name+" "):
			found = append(found, t.say(s.file.Package, "the package's comment begins with  Package %s", name))
		}
		commented[s.dir()] = true
	}
	for dir, ok := range commented {
		if !ok {
			found = append(found, dir+": no file says what the package is for")
		}
	}
	slices.Sort(found)
	return found
}

// exportedComments holds that each exported name has a comment that begins with it, or
// stands in a group that has one. Commands export nothing.
func exportedComments(t *Tree) []string {
	var found []string
	for _, s := range t.goes {
		if s.test() || s.command() {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && !begins(d.Doc, d.Name.Name) {
					found = append(found, t.say(d.Pos(), "the comment of %s begins with its name", d.Name.Name))
				}
			case *ast.GenDecl:
				found = append(found, t.declarations(d)...)
			}
		}
	}
	return found
}

func (t *Tree) declarations(d *ast.GenDecl) []string {
	var found []string
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && !begins(spec.Doc, spec.Name.Name) && !begins(d.Doc, spec.Name.Name) {
				found = append(found, t.say(spec.Pos(), "the comment of %s begins with its name", spec.Name.Name))
			}
		case *ast.ValueSpec:
			name := spec.Names[0]
			group := d.Lparen.IsValid() && d.Doc != nil
			if name.IsExported() && !group && spec.Doc == nil && spec.Comment == nil && !begins(d.Doc, name.Name) {
				found = append(found, t.say(spec.Pos(), "%s has no comment, and neither has its group", name.Name))
			}
		}
	}
	return found
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	of := d.Recv.List[0].Type
	for {
		switch e := of.(type) {
		case *ast.StarExpr:
			of = e.X
		case *ast.IndexExpr:
			of = e.X
		case *ast.IndexListExpr:
			of = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}

func begins(doc *ast.CommentGroup, name string) bool {
	if doc == nil {
		return false
	}
	words := strings.Fields(doc.Text())
	if len(words) > 1 && slices.Contains([]string{"A", "An", "The"}, words[0]) {
		words = words[1:]
	}
	return len(words) > 0 && strings.TrimRight(words[0], ".,:'s") == strings.TrimRight(name, "s")
}

// sleeps finds time.Sleep, in tests too: what is awaited says when it is there.
func sleeps(t *Tree) []string {
	return t.calls(func(source) bool { return true }, "wait for what happens, or test in a synctest bubble", "time.Sleep")
}

// exits finds what ends the process. Defers do not run then, and nobody can test it.
func exits(t *Tree) []string {
	elsewhere := func(s source) bool {
		return !s.test() && s.path != "cmd/slackdev/main.go" && s.dir() != "cmd/internal/dev"
	}
	return t.calls(elsewhere, "return an error", "os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf", "log.Panicln", "syscall.Exit")
}

func environment(t *Tree) []string {
	elsewhere := func(s source) bool { return !s.test() && s.dir() != "cmd/internal/config" }
	return t.calls(elsewhere, "take it from a config.Env",
		"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "os.Setenv", "os.UserHomeDir", "os.UserConfigDir", "os.UserCacheDir", "os.Getwd")
}

// calls finds uses of functions of the standard library, called or not.
func (t *Tree) calls(where func(source) bool, instead string, names ...string) []string {
	var found []string
	for _, s := range t.goes {
		if !where(s) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if name := ""; ok {
				if name = x.Name + "." + sel.Sel.Name; slices.Contains(names, name) {
					found = append(found, t.say(sel.Pos(), "%s: %s", name, instead))
				}
			}
			return true
		})
	}
	return found
}

func initFunctions(t *Tree) []string {
	var found []string
	for _, s := range t.goes {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				found = append(found, t.say(f.Pos(), "init: let somebody call it who knows why"))
			}
		}
	}
	return found
}

// packageState finds variables of packages that somebody could change: everything but
// errors, embedded files, compiled expressions, and checks that a type fits an interface.
func packageState(t *Tree) []string {
	var found []string
	for _, s := range t.goes {
		if s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if !constant(g, v) {
					found = append(found, t.say(v.Pos(), "var %s: put it into a struct, a function, or make it a constant", v.Names[0].Name))
				}
			}
		}
	}
	return found
}

func constant(g *ast.GenDecl, v *ast.ValueSpec) bool {
	name := v.Names[0].Name
	if name == "_" || strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "err") {
		return true
	}
	for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	if len(v.Values) != 1 {
		return false
	}
	call, ok := v.Values[0].(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && slices.Contains([]string{"regexp.MustCompile", "errors.New", "strings.NewReplacer", "netip.MustParsePrefix", "netip.MustParseAddr", "crc32.MakeTable"}, x.Name+"."+sel.Sel.Name)
}

// Limits on length, in lines.
const (
	functionLimit = 100
	fileLimit     = 600
)

func lengths(t *Tree) []string {
	var found []string
	for _, s := range t.goes {
		if n := strings.Count(s.text, "\n"); n > fileLimit {
			found = append(found, fmt.Sprintf("%s: %d lines are two files (limit %d)", s.path, n, fileLimit))
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := t.fset.Position(f.End()).Line - t.fset.Position(f.Pos()).Line + 1; n > functionLimit {
				found = append(found, t.say(f.Pos(), "%s: %d lines (limit %d)", f.Name.Name, n, functionLimit))
			}
		}
	}
	return found
}
