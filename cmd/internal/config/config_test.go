package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// world is a home with one project in it: /…/home/todo.
type world struct {
	home, dir string
	vars      map[string]string
}

// newWorld writes files, given by their path below home.
func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{home: home, dir: filepath.Join(home, "todo"), vars: map[string]string{"HOME": home}}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) env() Env {
	return Env{
		OS: "linux", Dir: w.dir, User: "Ana", Random: bytes.NewReader(bytes.Repeat([]byte{7}, 4096)),
		Lookup:     func(name string) (string, bool) { v, ok := w.vars[name]; return v, ok },
		IsTerminal: func(any) bool { return false },
	}
}

func TestEachLayerBeatsTheOneBelow(t *testing.T) {
	layers := []struct {
		name  string
		apply func(w *world, given map[string]string)
		want  string
		from  string
	}{
		{"defaults", func(*world, map[string]string) {}, "1MiB", "default"},
		{"user file", func(w *world, _ map[string]string) { write(t, w.home, ".config/slackdev/config.yaml", "keep: 2MiB\n") }, "2MiB", "HOME/.config/slackdev/config.yaml:1"},
		{"project file", func(w *world, _ map[string]string) { write(t, w.home, "todo/slackdev.yaml", "\nkeep: 3MiB\n") }, "3MiB", "HOME/todo/slackdev.yaml:2"},
		{".env", func(w *world, _ map[string]string) { write(t, w.home, "todo/.env", "SLACKDEV_KEEP=4MiB\n") }, "4MiB", "SLACKDEV_KEEP (.env)"},
		{"environment", func(w *world, _ map[string]string) { w.vars["SLACKDEV_KEEP"] = "5MiB" }, "5MiB", "SLACKDEV_KEEP"},
		{"flag", func(_ *world, given map[string]string) { given["keep"] = "6MiB" }, "6MiB", "--keep"},
	}
	w, given := newWorld(t, nil), map[string]string{}
	for _, layer := range layers {
		layer.apply(w, given)
		c, err := Load(w.env(), given)
		if err != nil {
			t.Fatalf("%s: %v", layer.name, err)
		}
		if got := sizeText(c.Keep); got != layer.want {
			t.Errorf("%s: keep is %s, want %s", layer.name, got, layer.want)
		}
		if got := strings.ReplaceAll(string(c.Origin("keep")), w.home, "HOME"); got != layer.from {
			t.Errorf("%s: keep comes from %q, want %q", layer.name, got, layer.from)
		}
		if c.Asked("keep") != (layer.name != "defaults") {
			t.Errorf("%s: Asked is %v", layer.name, c.Asked("keep"))
		}
	}
}

func write(t *testing.T, home, name, text string) {
	t.Helper()
	path := filepath.Join(home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultsAreThoseOfTheDocumentation(t *testing.T) {
	w := newWorld(t, nil)
	c, err := Load(w.env(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range c.Settings() {
		got[s.Key] = strings.ReplaceAll(s.Value, w.home, "HOME")
		if s.Origin != Default {
			t.Errorf("%s comes from %q", s.Key, s.Origin)
		}
	}
	want := map[string]string{
		"app": "", "tunnels": "", "routes": "", "keep_host": "false", "insecure_upstream": "false", "via": "auto", "name": "ana-todo", "path": "/slack/events", "oauth_path": "/slack/oauth_redirect", "local": "127.0.0.1:4040", "enforce": "false",
		"refuse_status": "401", "rules": "HOME/todo/slackdev.yaml", "store": "", "keep": "1MiB", "max_exchanges": "100000",
		"max_size": "2GiB", "color": "auto", "public_url": "", "proxy": "", "jump": "", "relay_ca": "", "hosts": "", "signing_secret_file": "", "pinggy_token_file": "",
		"allow_ip": "", "basic_auth_file": "", "ssh_config": "", "identity": "", "keepalive": "2s", "give_up": "never",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestMistakesInFilesNameThePlaceAndTheWayOut(t *testing.T) {
	for name, tc := range map[string]struct{ file, where, problem, hint string }{
		"unknown key":          {"via: none\nkep: 1MiB\n", "2:1", `no option "kep"`, "did you mean  keep"},
		"flag's spelling":      {"max-size: 1GiB\n", "1:1", `no option "max-size"`, "did you mean  max_size"},
		"nothing like it":      {"frobnicate: 1\n", "1:1", `no option "frobnicate"`, "one of app, tunnels"},
		"a secret":             {"signing_secret: 0123456789abcdef\n", "1:1", "no option", "SLACK_SIGNING_SECRET"},
		"a list for a text":    {"keep:\n  - 1MiB\n", "2:3", "keep: want one value, got a list", ""},
		"a mapping for a text": {"via: {a: b}\n", "1:6", "via: want one value, got a mapping", ""},
		"nothing":              {"name:\n", "1:6", "name: want one value, got nothing", ""},
		"wrong number":         {"max_exchanges: many\n", "1:16", `max_exchanges: "many" is not a number`, ""},
		"wrong truth":          {"enforce: perhaps\n", "1:10", `enforce: "perhaps" is neither true nor false`, ""},
		"twice":                {"keep: 1k\nkeep: 2k\n", "2:1", `"keep" stands here a second time`, ""},
		"no mapping":           {"- keep\n", "1:1", "want lines of  key: value, got a list", ""},
		"no YAML":              {"keep: [1\nvia: x\n", "1", "did not find expected", ""},
		"list in a list":       {"hosts: [a.example, [b]]\n", "1:20", "hosts: want a text, got a list", ""},
		"bad port of the app":  {"app: 70000\n", "1:6", "app: port 70000 is not between", "1 to 65535"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"todo/slackdev.yaml": tc.file})
			_, err := Load(w.env(), nil)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%q: got %v, want an *Error", tc.file, err)
			}
			hint, exit := e.Explain()
			if want := filepath.Join(w.dir, "slackdev.yaml") + ":" + tc.where; !strings.HasPrefix(e.Where, want) || exit != 2 {
				t.Errorf("%q: at %s (exit %d), want %s (exit 2)", tc.file, e.Where, exit, want)
			}
			if !strings.Contains(e.Error(), tc.problem) || !strings.Contains(hint, tc.hint) {
				t.Errorf("%q: got %q, hint %q; want %q, hint %q", tc.file, e, hint, tc.problem, tc.hint)
			}
			if strings.Contains(e.Error()+hint, "0123456789abcdef") {
				t.Errorf("the error repeats the secret: %v", e)
			}
		})
	}
}

func TestMistakesElsewhereNameTheVariableOrTheFlag(t *testing.T) {
	w := newWorld(t, map[string]string{"todo/.env": "SLACKDEV_COLOR=allways\n"})
	if _, err := Load(w.env(), nil); err == nil || err.Error() != `SLACKDEV_COLOR (.env): "allways" is none of auto, always, never` {
		t.Errorf("from .env: %v", err)
	}
	w.vars["SLACKDEV_COLOR"] = "never"
	_, err := Load(w.env(), map[string]string{"refuse_status": "404"})
	if err == nil || !strings.HasPrefix(err.Error(), "--refuse-status: ") {
		t.Errorf("from a flag: %v", err)
	}
	_, err = Load(w.env(), map[string]string{"app": "abc"})
	if err == nil || err.Error() != `"abc" is not a port, and as an address it has none` {
		t.Errorf("from the argument: %v", err)
	}
}

func TestRulesInTheProjectFileAreLeftToWhoReadsRules(t *testing.T) {
	w := newWorld(t, map[string]string{"todo/slackdev.yaml": "rules:\n- name: a\n  anything: {goes: here}\nvia: none\n"})
	c, err := Load(w.env(), nil)
	if err != nil || c.Via != "none" {
		t.Fatalf("got %v, %v", c, err)
	}
	write(t, w.home, "todo/slackdev.yaml", "rules:\n")
	if _, err := Load(w.env(), nil); err != nil {
		t.Errorf("none left: %v", err)
	}
	write(t, w.home, ".config/slackdev/config.yaml", "rules: []\n")
	if _, err := Load(w.env(), nil); err == nil || !strings.Contains(err.Error(), "rules belong to a project") {
		t.Errorf("rules in the user's file: %v", err)
	}
}

func TestPathsCountFromWhereTheyAreWritten(t *testing.T) {
	w := newWorld(t, map[string]string{
		".config/slackdev/config.yaml": "store: all.db\n",
		"todo/slackdev.yaml":           "rules: answers.yaml\n",
		"todo/src/x":                   "",
	})
	w.dir = filepath.Join(w.dir, "src")
	c, err := Load(w.env(), map[string]string{"signing_secret_file": "../s"})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string][2]string{
		"store": {c.Store, ".config/slackdev/all.db"},
		"rules": {c.Rules, "todo/answers.yaml"},
		"typed": {c.SecretFile, "todo/s"},
	} {
		if row[0] != filepath.Join(w.home, row[1]) {
			t.Errorf("%s: got %s, want HOME/%s", name, row[0], row[1])
		}
	}
}

func TestALocalAddressThatOthersReachNeedsNamedHosts(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := Load(w.env(), map[string]string{"local": "0.0.0.0:4040"}); err == nil || !strings.HasPrefix(err.Error(), "--local: ") {
		t.Errorf("0.0.0.0: got %v, want a refusal", err)
	}
	if _, err := Load(w.env(), map[string]string{"local": "0.0.0.0:4040", "hosts": "Dev.Example.org"}); err != nil {
		t.Errorf("with a host: %v", err)
	}
	for _, local := range []string{"4040", ":4040", "localhost:0", "[::1]:4040"} {
		if _, err := Load(w.env(), map[string]string{"local": local}); err != nil {
			t.Errorf("--local %s: %v", local, err)
		}
	}
}

func TestFlagsAreThoseOfTheOptions(t *testing.T) {
	flags := pflag.NewFlagSet("tunnel", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse([]string{"--enforce", "--max-size", "1GiB", "--hosts=a.example,b.example", "--via="}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"enforce": "true", "max_size": "1GiB", "hosts": "a.example,b.example", "via": ""}
	if diff := cmp.Diff(want, Given(flags)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	some := pflag.NewFlagSet("requests", pflag.ContinueOnError)
	AddFlags(some, "store", "color")
	if some.Lookup("store") == nil || some.Lookup("color") == nil || some.Lookup("via") != nil {
		t.Errorf("flags by key: got %s", some.FlagUsages())
	}
}

func TestColorIsForTerminalsUnlessSomebodySaysOtherwise(t *testing.T) {
	for name, tc := range map[string]struct {
		terminal bool
		vars     map[string]string
		color    string
		want     bool
	}{
		"terminal":             {true, nil, "auto", true},
		"pipe":                 {false, nil, "auto", false},
		"NO_COLOR":             {true, map[string]string{"NO_COLOR": "1"}, "auto", false},
		"NO_COLOR, but empty":  {true, map[string]string{"NO_COLOR": ""}, "auto", true},
		"dumb terminal":        {true, map[string]string{"TERM": "dumb"}, "auto", false},
		"always, into a pipe":  {false, map[string]string{"NO_COLOR": "1"}, "always", true},
		"never, on a terminal": {true, nil, "never", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			for k, v := range tc.vars {
				w.vars[k] = v
			}
			env := w.env()
			env.IsTerminal = func(any) bool { return tc.terminal }
			c, err := Load(env, map[string]string{"color": tc.color})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.UseColor(nil); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestWithoutAHomeThereIsNoHistoryButAWayOut(t *testing.T) {
	w := newWorld(t, nil)
	delete(w.vars, "HOME")
	c, err := Load(w.env(), nil)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	_, err = c.Database()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, "--store memory") {
		t.Errorf("got %v", err)
	}
	c, err = Load(w.env(), map[string]string{"store": "memory"})
	if err != nil {
		t.Fatal(err)
	}
	if path, err := c.Database(); path != "" || err != nil {
		t.Errorf("in memory: %q, %v", path, err)
	}
	if _, err := w.env().Token(); !errors.Is(err, ErrNoHome) {
		t.Errorf("token: %v", err)
	}
}

func TestAnUnreadableFileIsNotTakenForNone(t *testing.T) {
	if os.Geteuid() == 0 { // reads everything: a folder in the file's place fails for everybody
		w := newWorld(t, map[string]string{".config/slackdev/config.yaml/x": ""})
		if _, err := Load(w.env(), nil); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a folder as config.yaml: %v", err)
		}
		return
	}
	w := newWorld(t, map[string]string{"todo/slackdev.yaml": "via: none\n"})
	if err := os.Chmod(filepath.Join(w.dir, "slackdev.yaml"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(w.env(), nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}
