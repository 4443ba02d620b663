package archtest

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestTheHouseRulesHold runs every rule over this repository.
func TestTheHouseRulesHold(t *testing.T) {
	tree, err := Load(os.DirFS("../../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.goes) < 50 || tree.texts[tableDoc] == "" {
		t.Fatalf("only %d Go files, and %s has %d bytes: is this the repository?", len(tree.goes), tableDoc, len(tree.texts[tableDoc]))
	}
	for _, rule := range Rules() {
		t.Run(strings.ReplaceAll(rule.Claim, " ", "_"), func(t *testing.T) {
			for _, found := range rule.Check(tree) {
				t.Error(found)
			}
		})
	}
}

const page = tableHead + "\n|---|---|---|\n" +
	"| `cmd/slackdev` | everything | `github.com/spf13/cobra` |\n" +
	"| `cmd/internal/*` | by need: `inspector/**` | |\n" +
	"| `inspector` | `inspector/slack` | std, an id library: `github.com/oklog/ulid/v2` |\n" +
	"| `inspector/slack`, `tunnel` | nothing | std |\n" +
	"| `webui` | `inspector/**` | `github.com/gorilla/websocket` |\n\nMore text.\n"

// good is a small repository that breaks no rule.
func good() map[string]string {
	return map[string]string{
		tableDoc:                        page,
		"cmd/slackdev/main.go":          "// Slackdev is a command.\npackage main\n\nimport (\n\t\"os\"\n\n\t\"github.com/spf13/cobra\"\n\n\t\"" + Module + "/cmd/internal/config\"\n)\n\nfunc main() { os.Exit(config.Run(cobra.Command{})) }\n",
		"cmd/internal/config/config.go": "// Package config is.\npackage config\n\nimport \"os\"\n\n// Home is.\nfunc Home() string { return os.Getenv(\"HOME\") }\n",
		"inspector/inspector.go":        "// Package inspector holds.\npackage inspector\n\nimport (\n\t\"errors\"\n\n\t\"github.com/oklog/ulid/v2\"\n\n\t\"" + Module + "/inspector/slack\"\n)\n\n// ErrGone is.\nvar ErrGone = errors.New(\"gone\")\n\n// The kinds.\nconst (\n\tA = 1\n\tB = 2\n)\n\n// An ID is.\ntype ID ulid.ULID\n\n// Of gives.\nfunc (ID) Of() slack.Kind { return 0 }\n\ntype hidden int\n\nfunc (hidden) Exported() {}\n\nvar _ = ID{}\n",
		"inspector/more.go":             "package inspector\n",
		"inspector/inspector_test.go":   "package inspector\n\nimport (\n\t\"testing\"\n\n\t\"example.org/anything\"\n)\n\nvar state = map[string]int{}\n\nfunc TestX(t *testing.T) { anything.Do() }\n",
		"inspector/slack/slack.go":      "// Package slack has.\npackage slack\n\n// Kind is.\ntype Kind int // TODO(#3): more\n",
		"tunnel/tunnel.go":              "// Package tunnel is.\npackage tunnel\n",
		"webui/webui.go":                "// Package webui is.\npackage webui\n\nimport _ \"embed\"\n\n//go:embed webui.go\nvar static string\n",
		"webui/live.go":                 "package webui\n\nimport _ \"github.com/gorilla/websocket\"\n",
		"webui/static/js/dom.js":        "// never innerhtml\nel.textContent = text\n",
		"README.md":                     "[plan](docs/architecture.md) [code](webui) [site](https://example.org) [part](docs/architecture.md#x)\n",
	}
}

func TestGoodCodeBreaksNoRule(t *testing.T) {
	tree := load(t, good())
	for _, rule := range Rules() {
		if found := rule.Check(tree); len(found) > 0 {
			t.Errorf("%s: %q", rule.Claim, found)
		}
	}
}

func load(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tree, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestEachRuleFindsWhatBreaksIt puts one wrong file into the good repository, or in the
// place of one of its files, and wants that rule, and no other, to say so.
func TestEachRuleFindsWhatBreaksIt(t *testing.T) {
	const tunnel = "// Package tunnel is.\npackage tunnel\n\n"
	for name, tc := range map[string]struct{ file, text, claim, want string }{
		"a foreign library":       {"tunnel/tunnel.go", tunnel + "import _ \"example.org/x\"\n", "the import table holds", "tunnel/tunnel.go:4: tunnel may not import example.org/x"},
		"one of ours":             {"tunnel/tunnel.go", tunnel + "import _ \"" + Module + "/inspector\"\n", "the import table holds", "tunnel may not import " + Module + "/inspector"},
		"a longer name":           {"inspector/more.go", "package inspector\n\nimport _ \"github.com/oklog/ulid/v2x\"\n", "the import table holds", "may not import"},
		"a package without a row": {"replay/replay.go", "// Package replay is.\npackage replay\n", "the import table holds", "replay: the package has no row"},
		"a row without a package": {tableDoc, strings.Replace(page, "| `webui` |", "| `webui`, `gone` |", 1), "the import table holds", "a row for gone"},
		"no table":                {tableDoc, "text\n", "the import table holds", "has no table"},
		"a new folder":            {"pkg/README.md", "", "the top has only the folders of the plan", "pkg: the folders at the top"},
		"code at the top":         {"inspector/more_test.go", "package inspector_TEST\n", "packages are named for what they hold", "one lower-case word"},
		"no comment":              {"tunnel/tunnel.go", "package tunnel\n", "every package says what it is for, once", "tunnel: no file says"},
		"a comment elsewhere":     {"inspector/more.go", "// Package inspector too.\npackage inspector\n", "every package says what it is for, once", "belongs into inspector.go"},
		"another beginning":       {"tunnel/tunnel.go", "// This is.\npackage tunnel\n", "every package says what it is for, once", "begins with  Package tunnel"},
		"a bare function":         {"tunnel/tunnel.go", tunnel + "func Open() {}\n", "every exported name says what it is", "the comment of Open"},
		"another name":            {"tunnel/tunnel.go", tunnel + "// Opens it.\nfunc Open() {}\n\n// Close it.\nfunc Shut() {}\n", "every exported name says what it is", "the comment of Shut"},
		"a bare method":           {"tunnel/tunnel.go", tunnel + "// T is.\ntype T[X any] struct{}\n\nfunc (*T[X]) Open() {}\n", "every exported name says what it is", "the comment of Open"},
		"a bare type":             {"tunnel/tunnel.go", tunnel + "type T int\n", "every exported name says what it is", "the comment of T"},
		"a bare constant":         {"tunnel/tunnel.go", tunnel + "const (\n\tA = 1\n)\n", "every exported name says what it is", "A has no comment"},
		"a sleep in a test":       {"tunnel/tunnel_test.go", "package tunnel\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", "nobody sleeps", "tunnel/tunnel_test.go:5: time.Sleep"},
		"a sleep as a value":      {"tunnel/tunnel.go", tunnel + "import \"time\"\n\nfunc f() func(time.Duration) { return time.Sleep }\n", "nobody sleeps", "time.Sleep"},
		"an init":                 {"tunnel/tunnel.go", tunnel + "func init() {}\n", "nothing happens on import", "init"},
		"a map":                   {"tunnel/tunnel.go", tunnel + "var known = map[string]int{}\n", "packages keep no state", "var known"},
		"a number":                {"tunnel/tunnel.go", tunnel + "var count int\n", "packages keep no state", "var count"},
		"a mutex in a group":      {"tunnel/tunnel.go", tunnel + "import \"sync\"\n\nvar (\n\t_  = 1\n\tmu sync.Mutex\n)\n", "packages keep no state", "var mu"},
		"an exit":                 {"tunnel/tunnel.go", tunnel + "import \"os\"\n\nfunc f() { os.Exit(1) }\n", "only main ends the process", "os.Exit"},
		"a fatal log":             {"cmd/slackdev/root.go", "package main\n\nimport \"log\"\n\nfunc f() { log.Fatalf(\"\") }\n", "only main ends the process", "log.Fatalf"},
		"the environment":         {"tunnel/tunnel.go", tunnel + "import \"os\"\n\nfunc f() string { return os.Getenv(\"X\") }\n", "only config reads the environment", "os.Getenv"},
		"a long function":         {"tunnel/tunnel.go", tunnel + "func f() {\n" + strings.Repeat("\tprintln()\n", 99) + "}\n", "functions fit a screen or two, files a morning", "f: 101 lines"},
		"a long file":             {"tunnel/tunnel.go", tunnel + strings.Repeat("// x\n", 600), "functions fit a screen or two, files a morning", "two files"},
		"a nameless mark":         {"tunnel/tunnel.go", tunnel + "// TODO: later\n", "what is left to do names its issue", "tunnel/tunnel.go:4: TODO"},
		"a websocket elsewhere":   {"webui/more.go", "package webui\n\nimport _ \"github.com/gorilla/websocket\"\n", "the websocket library stays in one file", "webui/more.go:3"},
		"a test's tool":           {"tunnel/tunnel.go", tunnel + "import _ \"net/http/httptest\"\n", "tests' tools stay in tests", "net/http/httptest"},
		"markup":                  {"webui/static/js/dom.js", "el.innerHTML = x\n", "the page makes elements, never markup", "webui/static/js/dom.js:1: innerHTML"},
		"a handler in markup":     {"webui/static/index.html", "<a onclick=\"x()\">\n", "the page makes elements, never markup", "onclick"},
		"code from a text":        {"webui/static/js/dom.js", "setTimeout('x()', 1)\n", "the page makes elements, never markup", "setTimeout"},
		"a dead link":             {"README.md", "[x](docs/gone.md)\n", "links lead somewhere", "docs/gone.md leads nowhere"},
		"a registry":              {"webui/check/package-lock.json", "{\"resolved\": \"https://registry.example.org/x\"}\n", "no file names a registry", "names a registry"},
	} {
		t.Run(name, func(t *testing.T) {
			files := good()
			files[tc.file] = tc.text
			tree := load(t, files)
			for _, rule := range Rules() {
				found := strings.Join(rule.Check(tree), "\n")
				switch {
				case rule.Claim == tc.claim && !strings.Contains(found, tc.want):
					t.Errorf("%q: got %q, want %q", rule.Claim, found, tc.want)
				case rule.Claim != tc.claim && found != "":
					t.Errorf("%q says %q too", rule.Claim, found)
				}
			}
		})
	}
}

func TestPatternsOfTheTable(t *testing.T) {
	for _, tc := range []struct {
		pattern, dir string
		want         bool
	}{
		{"inspector/store/*", "inspector/store/sqlite", true},
		{"inspector/store/*", "inspector/store", false},
		{"inspector/store/*", "inspector/store/a/b", false},
		{"inspector/**", "inspector", true},
		{"inspector/**", "inspector/store/a/b", true},
		{"inspector/**", "inspectorx", false},
		{"**", "anything/at/all", true},
		{"tunnel", "tunnel/wire", false},
	} {
		if got := matches(tc.pattern, tc.dir); got != tc.want {
			t.Errorf("%s for %s: %v", tc.pattern, tc.dir, got)
		}
	}
}
