package archtest

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tableDoc is the page whose table says who may import whom, and tableHead the head of
// that table.
const (
	tableDoc  = "docs/architecture.md"
	tableHead = "| package | ours | others |"
)

// row is what one package, or all packages of a pattern, may import besides the
// standard library.
type row struct {
	pattern      string
	ours, others []string
	used         bool
}

// parseTable reads the table: names of packages stand in backquotes, everything else
// in a cell is for people. "everything" allows all of ours.
func parseTable(page string) ([]*row, error) {
	_, table, found := strings.Cut(page, tableHead+"\n")
	if !found {
		return nil, fmt.Errorf("%s has no table that begins with  %s", tableDoc, tableHead)
	}
	var rows []*row
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 {
			break
		}
		ours, others := quoted(cells[1]), quoted(cells[2])
		if strings.Contains(cells[1], "everything") {
			ours = append(ours, "**")
		}
		for _, pattern := range quoted(cells[0]) {
			rows = append(rows, &row{pattern: pattern, ours: ours, others: others})
		}
	}
	return rows, nil
}

func quoted(cell string) []string {
	var names []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}

// imports holds every package against its row, in code that is not a test's. Since
// every package has a row, what holds for direct imports holds for indirect ones.
func imports(t *Tree) []string {
	rows, err := parseTable(t.texts[tableDoc])
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	missing := map[string]bool{}
	for _, s := range t.goes {
		r := rowOf(rows, s.dir())
		if r == nil {
			if !missing[s.dir()] {
				found = append(found, fmt.Sprintf("%s: the package has no row in the table of %s: give it one, or a better place", s.dir(), tableDoc))
			}
			missing[s.dir()] = true
			continue
		}
		r.used = true
		if s.test() {
			continue
		}
		for _, spec := range s.file.Imports {
			if name, err := strconv.Unquote(spec.Path.Value); err == nil && !r.allows(s.dir(), name) {
				found = append(found, t.say(spec.Pos(), "%s may not import %s (%s)", s.dir(), name, tableDoc))
			}
		}
	}
	for _, r := range rows {
		if !r.used {
			found = append(found, fmt.Sprintf("%s: the table has a row for %s, and there is no such package", tableDoc, r.pattern))
		}
	}
	return found
}

// rowOf finds the row of a folder: its own, else that of a pattern.
func rowOf(rows []*row, dir string) *row {
	for _, r := range rows {
		if r.pattern == dir {
			return r
		}
	}
	for _, r := range rows {
		if matches(r.pattern, dir) {
			return r
		}
	}
	return nil
}

func (r *row) allows(dir, name string) bool {
	if inside, ok := strings.CutPrefix(name, Module+"/"); ok {
		return slices.ContainsFunc(r.ours, func(p string) bool { return matches(p, inside) })
	}
	first, _, _ := strings.Cut(name, "/")
	if !strings.Contains(first, ".") { // the standard library
		return true
	}
	return slices.ContainsFunc(r.others, func(p string) bool { return name == p || strings.HasPrefix(name, p+"/") })
}

// matches knows * for one folder, and ** at the end for any, or none, below.
func matches(pattern, dir string) bool {
	if parent, ok := strings.CutSuffix(pattern, "**"); ok {
		parent = strings.TrimSuffix(parent, "/")
		return parent == "" || dir == parent || strings.HasPrefix(dir, parent+"/")
	}
	ok, err := path.Match(pattern, dir)
	return ok && err == nil
}

// topFolders holds the layout: Go code in five folders.
func topFolders(t *Tree) []string {
	allowed := []string{"cmd", "tunnel", "inspector", "replay", "webui", "docs"}
	var found []string
	for _, dir := range t.tops {
		if !slices.Contains(allowed, dir) {
			found = append(found, fmt.Sprintf("%s: the folders at the top are %s", dir, strings.Join(allowed, ", ")))
		}
	}
	for _, s := range t.goes {
		if top, _, nested := strings.Cut(s.path, "/"); !nested || !slices.Contains(allowed[:5], top) {
			found = append(found, fmt.Sprintf("%s: Go code lives in %s", s.path, strings.Join(allowed[:5], ", ")))
		}
	}
	return found
}

func packageNames(t *Tree) []string {
	vague := []string{"util", "utils", "common", "helper", "helpers", "shared", "types", "misc", "base", "lib", "manager"}
	var found []string
	for _, s := range t.goes {
		if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(vague, name) || strings.ContainsAny(name, "_ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			found = append(found, t.say(s.file.Name.Pos(), "package %s: one lower-case word that says what it holds", name))
		}
	}
	return found
}

// websocket holds the third-party websocket library in one file, so that leaving it
// means changing one file.
func websocket(t *Tree) []string {
	return onlyIn(t, "github.com/gorilla/websocket", func(s source) bool { return s.path == "webui/live.go" || s.test() })
}

// testTools holds that what is made for tests is not in the program.
func testTools(t *Tree) []string {
	var found []string
	for _, tool := range []string{"testing", "net/http/httptest", "github.com/google/go-cmp", "go.uber.org/goleak", "github.com/rogpeppe/go-internal/testscript", "github.com/chromedp/chromedp"} {
		found = append(found, onlyIn(t, tool, func(s source) bool { return s.test() || strings.HasSuffix(s.dir(), "test") })...)
	}
	for _, s := range t.goes {
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			ours := err == nil && strings.HasPrefix(name, Module+"/") && strings.HasSuffix(name, "test")
			if ours && !s.test() && !strings.HasSuffix(s.dir(), "test") {
				found = append(found, t.say(spec.Pos(), "%s is for tests", name))
			}
		}
	}
	return found
}

func onlyIn(t *Tree, library string, allowed func(source) bool) []string {
	var found []string
	for _, s := range t.goes {
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err == nil && (name == library || strings.HasPrefix(name, library+"/")) && !allowed(s) {
				found = append(found, t.say(spec.Pos(), "%s does not belong here", library))
			}
		}
	}
	return found
}
