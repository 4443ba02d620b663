package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAProviderIsReadAsItStands(t *testing.T) {
	w := newWorld(t, map[string]string{
		"todo/slackdev.yaml": "via: mine\n",
		".config/slackdev/config.yaml": `providers:
  home: {host: 192.0.2.7, session: none, public_url: 'https://{name}.home.example'}
  mine:
    host: tunnel.example.org
    port: 2200
    user: "{name}"
    bind: "{name}"
    bind_port: 8080
    pattern: 'Your URL: (\S+)'
    session: exec
    command: http --plain
    any_key: false
`,
	})
	c, err := Load(w.env(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"home", "mine"}, c.ProviderNames()); d != "" {
		t.Error(d)
	}
	mine := c.Providers["mine"]
	pattern := mine.Pattern.String()
	mine.Pattern = nil
	want := Provider{
		Name: "mine", Host: "tunnel.example.org", Port: 2200, User: "{name}", Bind: "{name}", BindPort: 8080,
		Session: SessionExec, Command: "http --plain", Where: w.home + "/.config/slackdev/config.yaml:3:3",
	}
	if d := cmp.Diff(want, mine); d != "" || pattern != `Your URL: (\S+)` {
		t.Errorf("pattern %q (-want +got):\n%s", pattern, d)
	}
	home := c.Providers["home"]
	if home.Port != 22 || home.BindPort != 80 || !home.AnyKey {
		t.Errorf("defaults: %+v", home)
	}
	if got := home.Address("ana-todo").String(); got != "https://ana-todo.home.example" {
		t.Errorf("address: %s", got)
	}
}

func TestMistakesInProvidersNameThePlaceAndTheWayOut(t *testing.T) {
	for name, tc := range map[string]struct{ file, where, problem, hint string }{
		"no mapping":                  {"providers: [a]\n", "1:12", "want  name: {host: …}, got a list", ""},
		"nothing":                     {"providers:\n", "1:11", "got nothing", ""},
		"one without a body":          {"providers:\n  mine: host\n", "2:9", "mine: want lines of  key: value, got a text", "host: HOST"},
		"unknown key":                 {"providers:\n  mine:\n    host: a.example\n    patern: x\n", "4:5", `mine: a provider has no "patern"`, "did you mean  pattern"},
		"flag's spelling":             {"providers:\n  mine: {host: a, bind-port: 80}\n", "2:19", `has no "bind-port"`, "did you mean  bind_port"},
		"twice in one":                {"providers:\n  mine: {host: a, host: b}\n", "2:19", `"host" stands here a second time`, ""},
		"no host":                     {"providers:\n  mine: {port: 22}\n", "2:3", "mine: there is no host", "host: tunnel"},
		"an option for a host":        {"providers:\n  mine: {host: -oProxyCommand=x}\n", "2:16", "is no host", "port:"},
		"port in the host":            {"providers:\n  mine: {host: 'a:22'}\n", "2:16", "is no host", "port:"},
		"port 0":                      {"providers:\n  mine: {host: a, port: 0}\n", "2:25", "mine: port: port 0 is not between 1", ""},
		"a list for a text":           {"providers:\n  mine: {host: [a]}\n", "2:16", "mine: host: want one value, got a list", ""},
		"a broken pattern":            {"providers:\n  mine: {host: a, pattern: 'x('}\n", "2:28", "mine: pattern: missing closing )", "pattern:"},
		"a pattern that goes back":    {"providers:\n  mine: {host: a, pattern: '(a)\\1'}\n", "2:28", "invalid escape sequence", ""},
		"an endless pattern":          {"providers:\n  mine: {host: a, pattern: " + strings.Repeat("a", maxPattern+1) + "}\n", "2:28", "1 to 500 characters", ""},
		"a session that is none":      {"providers:\n  mine: {host: a, session: shel}\n", "2:28", `mine: session: "shel"`, "did you mean  shell"},
		"exec without a command":      {"providers:\n  mine: {host: a, session: exec}\n", "2:3", "there is none", "command:"},
		"a command without exec":      {"providers:\n  mine: {host: a, command: x}\n", "2:3", "session: exec  alone", "session: exec"},
		"a pattern without a text":    {"providers:\n  mine: {host: a, session: none, pattern: x}\n", "2:3", "no text for the pattern", ""},
		"a URL twice":                 {"providers:\n  mine: {host: a, public_url: 'https://a.example', pattern: x}\n", "2:3", "known already", ""},
		"a URL that is none":          {"providers:\n  mine: {host: a, public_url: a.example}\n", "2:31", "mine: public_url: ", ""},
		"a blank in the bind":         {"providers:\n  mine: {host: a, bind: 'a b'}\n", "2:25", "mine: bind: ", ""},
		"a service's name":            {"providers:\n  pinggy: {host: a}\n", "2:3", "pinggy is what slackdev calls a service of its own", "another name"},
		"a name that nobody types":    {"providers:\n  'a b': {host: a}\n", "2:3", `"a b" is no name`, "small letters"},
		"neither true nor false":      {"providers:\n  mine: {host: a, any_key: perhaps}\n", "2:28", "neither true nor false", ""},
		"a via that nobody describes": {"via: mne\nproviders:\n  mine: {host: a}\n", "1:6", `via: "mne" is not a way to tunnel`, "did you mean  mine"},
		"a via with a slip":           {"via: embeded\n", "1:6", `via: "embeded" is not a way to tunnel`, "did you mean  embedded"},
		"a token in the file":         {"pinggy_token: abcdef0123\n", "1:1", "no option", "SLACKDEV_PINGGY_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"todo/slackdev.yaml": tc.file})
			_, err := Load(w.env(), nil)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%q: got %v, want an *Error", tc.file, err)
			}
			hint, exit := e.Explain()
			if want := w.dir + "/slackdev.yaml:" + tc.where; e.Where != want || exit != 2 {
				t.Errorf("%q: at %s (exit %d), want %s (exit 2)", tc.file, e.Where, exit, want)
			}
			if !strings.Contains(e.Problem, tc.problem) || !strings.Contains(hint, tc.hint) {
				t.Errorf("%q: got %q, hint %q; want %q, hint %q", tc.file, e.Problem, hint, tc.problem, tc.hint)
			}
			if strings.Contains(e.Error()+hint, "abcdef0123") {
				t.Errorf("the error repeats the token: %v", e)
			}
		})
	}
}

// A folder that was cloned must not turn what the user knows as his own into
// somebody else's server.
func TestAProjectCannotTakeTheNameOfTheUsersOwnProvider(t *testing.T) {
	w := newWorld(t, map[string]string{
		".config/slackdev/config.yaml": "providers:\n  mine: {host: mine.example}\n",
		"todo/slackdev.yaml":           "providers:\n  mine: {host: thief.example}\n",
	})
	_, err := Load(w.env(), nil)
	var e *Error
	if !errors.As(err, &e) || e.Where != w.dir+"/slackdev.yaml:2:3" || !strings.Contains(e.Problem, `"mine" already, at `+w.home) {
		t.Errorf("got %v", err)
	}
}

func TestTheNameInTheTunnelsAddressCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		file  string
		env   map[string]string
		given map[string]string
		want  string // or
		error string
	}{
		"over the default":           {given: map[string]string{"via": "relay://h/ana"}, want: "ana"},
		"sish's too":                 {given: map[string]string{"via": "sish://tuns.sh/ana"}, want: "ana"},
		"typed over the file's":      {file: "name: old\n", given: map[string]string{"via": "relay://h/ana"}, want: "ana"},
		"not over a typed one":       {file: "via: relay://h/ana\n", given: map[string]string{"name": "new"}, want: "new"},
		"not over the environment's": {file: "via: relay://h/ana\n", env: map[string]string{"SLACKDEV_NAME": "new"}, want: "new"},
		"both the same":              {given: map[string]string{"via": "relay://h/ana", "name": "ana"}, want: "ana"},
		"both typed, and not one":    {given: map[string]string{"via": "relay://h/ana", "name": "bob"}, error: "--via: the tunnel's address asks for the name ana, and --name for bob"},
		"both in a file":             {file: "via: relay://h/ana\nname: bob\n", error: "asks for the name ana, and "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"todo/slackdev.yaml": tc.file})
			for k, v := range tc.env {
				w.vars[k] = v
			}
			c, err := Load(w.env(), tc.given)
			if tc.error != "" {
				if err == nil || !strings.Contains(err.Error(), tc.error) {
					t.Errorf("got %v, want %s", err, tc.error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Name != tc.want || !c.Asked("name") {
				t.Errorf("got %s (%s), want %s", c.Name, c.Origin("name"), tc.want)
			}
		})
	}
}

func TestTheTokenForPinggyIsFoundAndNeverRepeated(t *testing.T) {
	const token = "AbC123-xyz"
	for name, tc := range map[string]struct {
		files map[string]string
		env   map[string]string
		want  string
		error string
	}{
		"none":                      {},
		"in the environment":        {env: map[string]string{PinggyVariable: token}, want: token},
		"in .env":                   {files: map[string]string{"todo/.env": PinggyVariable + "=" + token + "\n"}, want: token},
		"in a file":                 {files: map[string]string{"todo/slackdev.yaml": "pinggy_token_file: t\n", "todo/t": token + "\n"}, want: token},
		"a file that is not there":  {files: map[string]string{"todo/slackdev.yaml": "pinggy_token_file: t\n"}, error: "no such file"},
		"an empty file":             {files: map[string]string{"todo/slackdev.yaml": "pinggy_token_file: t\n", "todo/t": ""}, error: "no token of Pinggy's"},
		"two words":                 {env: map[string]string{PinggyVariable: token + " " + token}, error: "no token of Pinggy's"},
		"with an option":            {env: map[string]string{PinggyVariable: token + "+tcp"}, error: "no token of Pinggy's"},
		"a private key for a token": {files: map[string]string{"todo/slackdev.yaml": "pinggy_token_file: ../.ssh/id\n", ".ssh/id": "-----BEGIN OPENSSH PRIVATE KEY-----\n" + token + "\n"}, error: "no token of Pinggy's"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.files)
			for k, v := range tc.env {
				w.vars[k] = v
			}
			c, err := Load(w.env(), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.PinggyToken()
			var e *Error
			if tc.error != "" && (!errors.As(err, &e) || !strings.Contains(err.Error(), tc.error)) || tc.error == "" && err != nil {
				t.Fatalf("got %v, want %q", err, tc.error)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if err != nil && strings.Contains(err.Error()+e.Hint, token) {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}
