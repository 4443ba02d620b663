package archtest

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// each calls look with every line of the texts that are wanted, and collects what it says.
func (t *Tree) each(wanted func(name string) bool, look func(line string) string) []string {
	var found []string
	all := maps.Clone(t.texts)
	for _, s := range t.goes {
		all[s.path] = s.text
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !wanted(name) {
			continue
		}
		n := 0
		for line := range strings.Lines(all[name]) {
			n++
			if said := look(line); said != "" {
				found = append(found, fmt.Sprintf("%s:%d: %s", name, n, said))
			}
		}
	}
	return found
}

// todos finds what is left to do without an issue that says so: write  TODO(#12): …
func todos(t *Tree) []string {
	mark := regexp.MustCompile(`(?://|/\*|#).*\bTODO\b`)
	named := regexp.MustCompile(`\bTODO\(#\d+\)`)
	ours := func(name string) bool {
		return slices.Contains([]string{".go", ".js", ".mjs", ".css", ".ts"}, path.Ext(name)) && path.Dir(name) != "cmd/internal/archtest"
	}
	return t.each(ours, func(line string) string {
		if mark.MatchString(line) && !named.MatchString(line) {
			return "TODO without an issue: write  TODO(#12): …"
		}
		return ""
	})
}

// markup finds what turns text into elements or code in the page. A payload is a
// stranger's text.
func markup(t *Tree) []string {
	danger := regexp.MustCompile(`\b(innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|createContextualFragment|DOMParser|document\.write|eval\s*\(|new Function\b|javascript:)|\son[a-z]+\s*=\s*["']|(setTimeout|setInterval)\(\s*["'` + "`" + `]`)
	page := func(name string) bool {
		return strings.HasPrefix(name, "webui/static/") && slices.Contains([]string{".js", ".html", ".mjs"}, path.Ext(name))
	}
	return t.each(page, func(line string) string {
		if found := danger.FindString(line); found != "" {
			return strings.TrimSpace(found) + ": make elements with dom.js, texts as text nodes"
		}
		return ""
	})
}

// links finds links in documents to files that are not there.
func links(t *Tree) []string {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	there := map[string]bool{}
	for name := range t.texts {
		there[name] = true
	}
	for _, s := range t.goes {
		there[s.path] = true
	}
	for name := range maps.Clone(there) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			there[dir] = true
		}
	}
	var found []string
	for _, name := range slices.Sorted(maps.Keys(t.texts)) {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(t.texts[name], -1) {
			target, _, _ := strings.Cut(m[1], "#")
			known := slices.Contains([]string{".go", ".js", ".md", ".json", ".yaml", ".yml", ""}, path.Ext(target))
			if target == "" || strings.Contains(target, ":") || !known || path.Base(target) == "LICENSE" {
				continue
			}
			if full := path.Join(path.Dir(name), target); !there[full] {
				found = append(found, fmt.Sprintf("%s: the link to %s leads nowhere", name, target))
			}
		}
	}
	return found
}

// registries finds addresses of package registries: which one is used is the business
// of the machine, and of those who run it.
func registries(t *Tree) []string {
	address := regexp.MustCompile(`https?://[^\s"']*(registry\.|proxy\.golang|pypi\.org|/npm/)|GOPROXY\s*=|registry\s*=\s*https?:`)
	all := func(name string) bool { return path.Dir(name) != "cmd/internal/archtest" }
	return t.each(all, func(line string) string {
		if found := address.FindString(line); found != "" {
			return found + " names a registry"
		}
		return ""
	})
}
