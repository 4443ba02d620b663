//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// tableBegins and tableEnds stand around what the test writes.
func tableBegins(name string) string {
	return "<!-- " + name + ", made by  go test ./cmd/slackdev -run TunnelsPage -update -->\n"
}

const tableEnds = "<!-- end -->\n"

// describedTunnels are the rows of the table: what is typed, and what besides.
func describedTunnels() []struct{ via, note, token, public string } {
	return []struct{ via, note, token, public string }{
		{via: "relay://relay.example.org"},
		{via: "ssh://you@host.example.org"},
		{via: "sish://sish.example.org"},
		{via: "sish://tuns.sh"},
		{via: "pinggy"},
		{via: "pinggy", note: "with a token", token: "T0ken"},
		{via: "pinggy://eu", note: "with a token", token: "T0ken"},
		{via: "localhost.run"},
		{via: "nokey@localhost.run"},
		{via: "localhost.run", note: "`--public-url https://dev.example.org`", public: "https://dev.example.org"},
		{via: "serveo"},
		{via: "mine", note: "of the example below"},
	}
}

// TestTunnelsPageIsInStep holds that docs/tunnels.md shows the ssh commands that the
// ways to tunnel equal, asked of the program, and the refusals that it knows. With
// -update it writes them.
func TestTunnelsPageIsInStep(t *testing.T) {
	const file = "../../docs/tunnels.md"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	yaml := yamlIn(t, string(page), "One of your own")
	want := withTable(t, string(page), "commands", commandsTable(t, yaml))
	want = withTable(t, want, "refusals", refusalsTable(t, yaml))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(page)); diff != "" {
		t.Errorf("docs/tunnels.md is not in step; run  go test ./cmd/slackdev -run TunnelsPage -update\n%s", diff)
	}
}

// withTable puts a table in its place.
func withTable(t *testing.T, page, name, table string) string {
	before, rest, found := strings.Cut(page, tableBegins(name))
	_, after, closed := strings.Cut(rest, tableEnds)
	if !found || !closed {
		t.Fatalf("docs/tunnels.md has no place for the table of %s", name)
	}
	return before + tableBegins(name) + table + tableEnds + after
}

// yamlIn is the slackdev.yaml of a part of docs/tunnels.md.
func yamlIn(t *testing.T, page, part string) string {
	_, rest, found := strings.Cut(page, "## "+part+"\n")
	_, rest, begun := strings.Cut(rest, "```yaml\n")
	text, _, closed := strings.Cut(rest, "```\n")
	if !found || !begun || !closed {
		t.Fatalf("docs/tunnels.md has no example of a slackdev.yaml under %q", part)
	}
	return text
}

func TestTunnelsPagesFileSaysWhatItsCommandSays(t *testing.T) {
	page, err := os.ReadFile("../../docs/tunnels.md")
	if err != nil {
		t.Fatal(err)
	}
	cfg := providersFor(t, yamlIn(t, string(page), "In a file"), "relay://relay.example.org", "", "").cfg
	socket := filepath.Join(cfg.Project.Dir, "run/admin.sock")
	got := fmt.Sprintln(cfg.App, cfg.Tunnels[0].Name, cfg.Tunnels[0].URL, cfg.Routes[0].Name, cfg.Routes[0].URL, cfg.Routes[1].Name, cfg.Routes[1].URL, cfg.Name, cfg.KeepAlive, cfg.AllowIP)
	if want := fmt.Sprintln("http://localhost:3000", "web", "http://localhost:5173", "/api", "http://localhost:8080", "/admin", "unix:"+socket, "ana-todo", "10s", "[203.0.113.0/24 2001:db8::/32]"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// refusalsTable has what a service's words mean, first its own, then those of all.
func refusalsTable(t *testing.T, yaml string) string {
	var table strings.Builder
	table.WriteString("| service | words, in any case | means | then |\n|---|---|---|---|\n")
	row := func(service string, r sshtunnel.Refusal) {
		then := "tries again, slowly"
		if r.Final {
			then = "ends with status 4"
		}
		fmt.Fprintf(&table, "| %s | `%s` | %s | %s |\n", service, r.Contains, r.Means, then)
	}
	common := sshtunnel.CommonRefusals()
	for _, via := range []string{"pinggy", "localhost.run", "serveo", "sish://sish.example.org"} {
		profile, err := providersFor(t, yaml, via, "", "").profile()
		if err != nil {
			t.Fatal(err)
		}
		own := profile.Announce.Refusals[:len(profile.Announce.Refusals)-len(common)]
		for _, r := range own {
			row("`"+via+"`", r)
		}
	}
	for _, r := range common {
		row("all but relays and sshd", r)
	}
	return table.String()
}

// commandsTable asks the program for each row.
func commandsTable(t *testing.T, yaml string) string {
	var table strings.Builder
	table.WriteString("| `--via` | equals |\n|---|---|\n")
	for _, row := range describedTunnels() {
		p := providersFor(t, yaml, row.via, row.token, row.public)
		profile, err := p.profile()
		if err != nil {
			t.Fatalf("--via %s: %v", row.via, err)
		}
		what := "`" + row.via + "`"
		if row.note != "" {
			what += ", " + row.note
		}
		fmt.Fprintf(&table, "| %s | `%s` |\n", what, profile.Command("localhost:3000"))
	}
	return table.String()
}

// providersFor is the program's choice of a tunnel, in a project of its own.
func providersFor(t *testing.T, yaml, via, token, public string) *providers {
	home := t.TempDir()
	dir := filepath.Join(home, "todo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "slackdev.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"HOME": home, config.PinggyVariable: token}
	env := config.Env{
		OS: "linux", Dir: dir, User: "you",
		Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
	}
	given := map[string]string{"via": via}
	if public != "" {
		given["public_url"] = public
	}
	cfg, err := config.Load(env, given)
	if err != nil {
		t.Fatalf("--via %s: %v", via, err)
	}
	return &providers{env: env, cfg: cfg, notice: func(string) {}, warn: func(string, string, string) {}}
}

func TestTheVariableOfATokenIsOne(t *testing.T) {
	if config.PinggyVariable != sshtunnel.TokenVariable {
		t.Errorf("%s is read, %s is told", config.PinggyVariable, sshtunnel.TokenVariable)
	}
}

func TestTunnelsAreChosenAsTyped(t *testing.T) {
	for name, tc := range map[string]struct {
		via, token, public string
		check              func(p sshtunnel.Profile) bool
	}{
		"auto tries pinggy": {via: "auto", check: func(p sshtunnel.Profile) bool {
			return p.Name == "pinggy" && p.Host == "free.pinggy.io" && p.Port == 443 && p.AltPort == 80
		}},
		"auto with a token":             {via: "auto", token: "T0ken", check: func(p sshtunnel.Profile) bool { return p.Host == "pro.pinggy.io" && p.Token == "T0ken" }},
		"a region, and options":         {via: "pinggy://qr@ap", check: func(p sshtunnel.Profile) bool { return p.Host == "ap.free.pinggy.io" && p.User == "http+qr" }},
		"a relay's name in its address": {via: "relay://[2001:db8::1]/ana", check: func(p sshtunnel.Profile) bool { return p.Host == "2001:db8::1" && p.Port == 2222 && p.Bind == "ana" }},
		"sish's port, user and name": {via: "sish://ana@h:22/app", check: func(p sshtunnel.Profile) bool {
			return p.Host == "h" && p.Port == 22 && p.User == "ana" && p.Bind == "app"
		}},
		"serveo falls back to 443":     {via: "serveo", check: func(p sshtunnel.Profile) bool { return p.AltPort == 443 && p.Bind == "you-todo" && p.Named }},
		"a custom domain is asked for": {via: "serveo", public: "https://dev.example.org", check: func(p sshtunnel.Profile) bool { return p.Bind == "dev.example.org" && p.Announce.URL == nil }},
		"a public URL elsewhere is a fact": {via: "sish://h", public: "https://dev.example.org", check: func(p sshtunnel.Profile) bool {
			return p.Bind == "you-todo" && p.Announce.URL.Host == "dev.example.org"
		}},
		"one's own, without a session": {via: "bare", check: func(p sshtunnel.Profile) bool {
			return p.Session == sshtunnel.SessionNone && p.Announce.Forward && p.User == "" && !p.AnyKey // the ssh_config says who, or it is you
		}},
		"one's own, with a known address": {via: "known", check: func(p sshtunnel.Profile) bool {
			return p.Announce.URL.String() == "https://you-todo.example.org" && p.User == "slackdev" && p.AnyKey
		}},
	} {
		t.Run(name, func(t *testing.T) {
			const yaml = "providers:\n  bare: {host: h, session: none, any_key: false, bind_port: 0}\n  known: {host: h, public_url: 'https://{name}.example.org'}\n"
			p, err := providersFor(t, yaml, tc.via, tc.token, tc.public).profile()
			if err != nil {
				t.Fatal(err)
			}
			if !tc.check(p) {
				t.Errorf("%+v", p)
			}
		})
	}
}
