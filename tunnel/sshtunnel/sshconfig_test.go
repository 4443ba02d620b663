package sshtunnel

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// asSSHSays is what `ssh -G` prints of what we heed, in our words.
type asSSHSays struct {
	Host, User       string
	Port             int
	IdentityFiles    []string
	CertificateFiles []string
	IdentitiesOnly   bool
	IdentityAgent    string
	ProxyJump        string
	ProxyCommand     string
	UserKnownHosts   []string
	GlobalKnownHosts []string
	HostKeyAlias     string
	Strict           bool
	AliveInterval    time.Duration
	AliveCountMax    int
	ConnectTimeout   time.Duration
	Without          []string
	Batch            bool
}

// askSSH runs the real one. Home folders are the one that the password file has.
func askSSH(t *testing.T, home, file string, q Query) (got asSSHSays, err error) {
	t.Helper()
	args := []string{"-G", "-F", file}
	if q.User != "" {
		args = append(args, "-l", q.User)
	}
	if q.Port != 0 {
		args = append(args, "-p", strconv.Itoa(q.Port))
	}
	cmd := exec.CommandContext(t.Context(), "ssh", append(args, "--", q.Host)...)
	cmd.Env = append(os.Environ(), "OUR_FOLDER=/ours")
	text, err := cmd.Output()
	if err != nil {
		return got, err
	}
	expand := func(names ...string) []string {
		var out []string
		for _, name := range names {
			if name == "none" {
				continue
			}
			if rest, ok := strings.CutPrefix(name, "~"); ok {
				name = home + rest
			}
			name, err := expandTokens(strings.ReplaceAll(name, "${OUR_FOLDER}", "/ours"), map[byte]string{'d': home, 'h': got.Host, 'r': got.User, 'p': strconv.Itoa(got.Port), 'u': "me", 'n': q.Host})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, name)
		}
		return out
	}
	seconds := func(s string) time.Duration {
		n, _ := strconv.Atoi(s) // "none" is 0
		return time.Duration(n) * time.Second
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "hostname":
			got.Host = value
		case "user":
			got.User = value
		case "port":
			got.Port, _ = strconv.Atoi(value)
		}
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "identityfile":
			got.IdentityFiles = append(got.IdentityFiles, expand(value)...)
		case "certificatefile":
			got.CertificateFiles = append(got.CertificateFiles, expand(value)...)
		case "identitiesonly":
			got.IdentitiesOnly = value == "yes"
		case "identityagent":
			switch value {
			case "SSH_AUTH_SOCK": // where we are told of it
			case "none":
				got.IdentityAgent = value
			default:
				got.IdentityAgent = expand(value)[0]
			}
		case "proxyjump":
			if value != "none" {
				got.ProxyJump = value
			}
		case "proxycommand":
			if value != "none" {
				got.ProxyCommand = value
			}
		case "userknownhostsfile":
			got.UserKnownHosts = expand(strings.Fields(value)...)
		case "globalknownhostsfile":
			got.GlobalKnownHosts = expand(strings.Fields(value)...)
		case "hostkeyalias":
			got.HostKeyAlias = value
		case "stricthostkeychecking":
			got.Strict = value == "true"
		case "serveraliveinterval":
			got.AliveInterval = seconds(value)
		case "serveralivecountmax":
			got.AliveCountMax, _ = strconv.Atoi(value)
		case "connecttimeout":
			got.ConnectTimeout = seconds(value)
		case "batchmode":
			got.Batch = value == "yes"
		case "pubkeyauthentication", "passwordauthentication", "kbdinteractiveauthentication":
			if value == "no" || value == "false" {
				got.Without = append(got.Without, map[string]string{"pubkeyauthentication": methodKey, "passwordauthentication": methodPassword, "kbdinteractiveauthentication": methodQuestions}[key])
			}
		}
	}
	slices.Sort(got.Without)
	return got, nil
}

// sameConfigs are small files that `ssh -G` and we must read alike. DIR is a folder
// with included files.
func sameConfigs() map[string]string {
	return map[string]string{
		"nothing":                           "",
		"comments and blanks":               "# one\n\n   \t\n  # two\nPort 2200 # three\n",
		"HostName":                          "Host web\n HostName web.example.org\n",
		"HostName with a token":             "Host *\n HostName %h.example.org\n",
		"HostName with a percent":           "Host web\n HostName web%%x\n",
		"the first value wins":              "Host web\n Port 1001\nHost *\n Port 1002\n User root\nHost web\n User late\n",
		"before the first Host":             "User early\nHost web\n User late\n Port 44\n",
		"wildcards":                         "Host w?b\n Port 1\nHost *\n User star\nHost web?\n User no\n",
		"a question mark is one":            "Host web?\n Port 1\nHost we?\n Port 2\n",
		"negation":                          "Host * !web\n Port 1\nHost !other *\n User u\n",
		"negation alone":                    "Host !other\n Port 1\n",
		"several patterns":                  "Host a b web\n Port 7\n",
		"a comma does not part":             "Host a,web\n Port 7\n",
		"quotes":                            "Host \"web\"\n HostName \"web.example.org\"\n User 'me too'\n IdentityFile \"~/a b\"\n",
		"an equals sign":                    "Host=web\n HostName = web.example.org\n Port=12\n User= x\n",
		"tabs and capitals":                 "HOST\tweb\n\tHOSTNAME\tweb.example.org\n\tpOrT\t99\n",
		"line ends of DOS":                  "Host web\r\n Port 12\r\n User x\r\n",
		"identities add up":                 "Host web\n IdentityFile ~/.ssh/one\n IdentityFile %d/two\nHost *\n IdentityFile /three/%r@%h:%p\n IdentityFile ~/.ssh/one\n",
		"an identity of a variable":         "IdentityFile ${OUR_FOLDER}/key\n",
		"no identity":                       "IdentityFile none\n",
		"certificates":                      "CertificateFile ~/c1\nCertificateFile ~/c2\nIdentityFile ~/k\nIdentitiesOnly yes\n",
		"an agent":                          "IdentityAgent ~/agent.sock\n",
		"no agent":                          "IdentityAgent none\n",
		"an agent of the environment":       "IdentityAgent SSH_AUTH_SOCK\n",
		"a jump":                            "Host web\n ProxyJump me@bastion:2222,second\nHost *\n ProxyJump no\n",
		"no jump":                           "Host web\n ProxyJump none\nHost *\n ProxyJump bastion\n",
		"a jump with a comment":             "Host web\n ProxyJump bastion # over there\nHost *\n ProxyJump none\t#x\n",
		"no jump, but a command":            "ProxyJump none\nProxyCommand nc %h %p\nProxyJump bastion\n",
		"a command before a jump":           "ProxyCommand nc %h %p\nProxyJump bastion\n",
		"a jump before a command":           "ProxyJump bastion\nProxyCommand nc %h %p\n",
		"a command with quotes":             "ProxyCommand sh -c \"exec nc %h %p\" # all of it\n",
		"no command":                        "Host web\n ProxyCommand none\nHost *\n ProxyCommand x\n",
		"known hosts":                       "UserKnownHostsFile ~/a ~/b\nGlobalKnownHostsFile /c /d\nUserKnownHostsFile ~/e\n",
		"known hosts per host":              "UserKnownHostsFile ~/known/%h ${OUR_FOLDER}/k\n",
		"no known hosts":                    "UserKnownHostsFile none\nGlobalKnownHostsFile /dev/null\n",
		"an alias":                          "HostKeyAlias real-name\n",
		"strict":                            "StrictHostKeyChecking yes\n",
		"not strict":                        "StrictHostKeyChecking no\n",
		"accept new":                        "StrictHostKeyChecking accept-new\n",
		"alive":                             "ServerAliveInterval 1m30s\nServerAliveCountMax 5\n",
		"alive for ever":                    "ServerAliveInterval 60\nServerAliveCountMax 99999999\n",
		"alive in seconds":                  "ServerAliveInterval 20\n",
		"connect timeout":                   "ConnectTimeout 2m\n",
		"an alias in capitals":              "HostKeyAlias Real-Name\n",
		"ways in":                           "PasswordAuthentication no\nChallengeResponseAuthentication no\nPubkeyAuthentication no\nBatchMode yes\nServerAliveInterval 7\n",
		"Include":                           "Host web\n Include DIR/port.conf\n Port 5\n",
		"Include below another Host":        "Host other\n Include DIR/port.conf\nHost web\n Port 5\n",
		"Include with Hosts in it":          "Include DIR/hosts.conf\nPort 5\n",
		"Include of a glob":                 "Include DIR/*.conf\n",
		"Include of several":                "Include DIR/absent DIR/hosts.conf DIR/port.conf\nUser behind\n",
		"a Host in an Include ends":         "Include DIR/other.conf\nUser behind\n",
		"Include below a Host that has one": "Host other\n Include DIR/hosts.conf\nHost *\n Port 9\n",
		"Match all":                         "Match all\n Port 31\n",
		"Match host":                        "Match host web,db\n Port 31\nMatch host !web,*\n Port 32\n",
		"Match host after HostName":         "Host web\n HostName inner.example.org\nMatch host inner.example.org\n Port 33\nMatch host web\n User no\n",
		"Match originalhost":                "Host web\n HostName inner\nMatch originalhost web\n Port 34\n",
		"Match negated":                     "Match !host web\n Port 1\nMatch !host db\n Port 2\n",
		"Match user":                        "Match user deploy\n Port 3\nMatch user *\n User someone\n",
		"Match user set before":             "User deploy\nMatch user deploy\n Port 3\n",
		"Match several":                     "Match host web user deploy\n Port 1\nMatch host web !user deploy\n Port 2\n",
		"Match final":                       "Host web\n HostName inner.example.org\nMatch final host inner.example.org\n Port 35\n IdentityFile ~/f\n",
		"Match final all":                   "Match final all\n Port 36\nHost *\n User x\n",
		"Host on the second pass":           "Match final all\n Port 36\nHost web\n HostName inner\nHost inner\n User second\n",
		"Match canonical":                   "Match canonical\n Port 37\n",
		"Match false exec":                  "Match host other exec \"true\"\n Port 1\n",
		"settings that are not ours":        "SendEnv LANG LC_*\nForwardAgent yes\nLocalForward 1 b:2\nControlMaster auto\nControlPath ~/x/%C\nHashKnownHosts yes\n",
		"IgnoreUnknown":                     "IgnoreUnknown Foo*,Bar\nFooBaz 1\nbar 2\nPort 8\n",
		"a global default in the back":      "Host web\n User a\nHost *\n User b\n Port 77\n IdentityFile ~/.ssh/all\n",
	}
}

func TestSSHConfigIsReadAsSSHReadsIt(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("no ssh here (Debian: openssh-client)")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"port.conf": "Port 4001\nUser included\n", "hosts.conf": "Host web\n Port 4002\n IdentityFile ~/inc\nHost *\n ServerAliveInterval 9\n",
		"other.conf": "Host other\n User other\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base, err := askSSH(t, me.HomeDir, "/dev/null", Query{Host: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range sameConfigs() {
		for how, q := range map[string]Query{
			"web": {Host: "web"}, "deploy@web:5555": {Host: "web", User: "deploy", Port: 5555}, "WEB": {Host: "WEB"}, "web.example.org": {Host: "web.example.org"},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				file := filepath.Join(t.TempDir(), "config")
				text := strings.ReplaceAll(text, "DIR", dir)
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				want, err := askSSH(t, me.HomeDir, file, q)
				if err != nil {
					t.Fatalf("ssh -G: %v", err)
				}
				c := SSHConfig{File: file, System: "/etc/ssh", Home: me.HomeDir, User: me.Username, Getenv: func(name string) string {
					return map[string]string{"OUR_FOLDER": "/ours"}[name]
				}}
				h, err := c.Lookup(q)
				if err != nil {
					t.Fatalf("%q: %v", text, err)
				}
				if d := cmp.Diff(want, asSSHWould(h, base), cmpopts.EquateEmpty()); d != "" {
					t.Errorf("%q (-ssh +ours):\n%s", text, d)
				}
				if len(h.Notices) != 0 {
					t.Errorf("notices: %q", h.Notices)
				}
			})
		}
	}
}

// asSSHWould puts ssh's defaults where nothing was said, as ssh -G does.
func asSSHWould(h *HostConfig, base asSSHSays) asSSHSays {
	got := asSSHSays{
		Host: h.Host, User: h.User, Port: h.Port, IdentityFiles: h.IdentityFiles, CertificateFiles: h.CertificateFiles,
		IdentitiesOnly: h.IdentitiesOnly, IdentityAgent: h.IdentityAgent, ProxyJump: h.ProxyJump, ProxyCommand: h.ProxyCommand,
		UserKnownHosts: h.UserKnownHosts, GlobalKnownHosts: h.GlobalKnownHosts, HostKeyAlias: h.HostKeyAlias, Strict: h.Strict,
		AliveInterval: h.AliveInterval, AliveCountMax: h.AliveCountMax, ConnectTimeout: h.ConnectTimeout, Without: h.Without, Batch: h.Batch,
	}
	if got.IdentityFiles == nil {
		got.IdentityFiles = base.IdentityFiles
	}
	return got
}

func TestSSHConfigSaysWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"no value":                    {"Host web\n  Port\n", "FILE:2: nothing stands behind \"Port\""},
		"no value behind an equals":   {"Port =\n", "FILE:1: nothing stands behind \"Port\""},
		"an equals sign alone":        {"=x\n", "FILE:1: "},
		"a bad port":                  {"# one\nPort abc\n", "FILE:2: Port: \"abc\" is not a number from 1 to 65535"},
		"a bad port of another host":  {"Host other\n Port 0\n", "FILE:2: Port"},
		"two ports":                   {"Port 1 2\n", "FILE:1: Port takes one value, and \"2\" is a second one"},
		"an open quote":               {"User \"me\n", "FILE:1: a \" without its end"},
		"neither yes nor no":          {"IdentitiesOnly maybe\n", "FILE:1: IdentitiesOnly: \"maybe\" is none of yes"},
		"no such checking":            {"StrictHostKeyChecking sometimes\n", "FILE:1: StrictHostKeyChecking"},
		"no time":                     {"ServerAliveInterval soon\n", "FILE:1: ServerAliveInterval: \"soon\" is no time"},
		"too long a time":             {"ConnectTimeout 99999999999999999999w\n", "FILE:1: ConnectTimeout"},
		"a token that is not":         {"IdentityFile ~/%Q\n", "FILE:1: the token %Q means nothing here"},
		"a token of another place":    {"HostName %p\n", "FILE:1: HostName: the token %p"},
		"half a token":                {"IdentityFile ~/x%\n", "FILE:1: "},
		"a variable that is not set":  {"IdentityFile ${NOTHING}/x\n", "FILE:1: the variable NOTHING is not set"},
		"half a variable":             {"IdentityFile ${X\n", "FILE:1: "},
		"the home of somebody else":   {"IdentityFile ~root/x\n", "FILE:1: ~root/x: the homes of other users"},
		"a host that is none":         {"HostName -oProxyCommand=x\n", "FILE:1: \"-oproxycommand=x\" is no host name"},
		"a host with a line in it":    {"HostName \"a b\"\n", "FILE:1: \"a b\" is no host name"},
		"an alias with patterns":      {"HostKeyAlias *\n", "FILE:1: HostKeyAlias"},
		"a jump that is a comment":    {"ProxyJump # none\n", "FILE:1: nothing stands behind ProxyJump"},
		"no algorithm that we take":   {"HostKeyAlgorithms ssh-rsa,ssh-dss\n", "FILE:1: HostKeyAlgorithms: \"ssh-rsa,ssh-dss\" leaves none of what slackdev takes: ssh-ed25519-cert"},
		"Match without a condition":   {"Match\n", "FILE:1: "},
		"Match without a value":       {"Match host\n", "FILE:1: Match: nothing stands behind \"host\""},
		"Match of something else":     {"Match moon full\n", "FILE:1: Match: there is no condition \"moon\""},
		"Match all and more":          {"Match all host web\n", "FILE:1: Match: \"all\" stands alone"},
		"a file that includes itself": {"Include FILE\n", "FILE:1: Include: more than 16 files deep"},
		"a mistake in an Include":     {"Include FILE.part\n", "FILE.part:1: Port: "},
		"one below another host":      {"Host other\n Include FILE.part\n", "FILE.part:1: Port: "},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			writeText(t, file, strings.ReplaceAll(tc.text, "FILE", file))
			writeText(t, file+".part", "Port x\n")
			h, err := (&SSHConfig{File: file, Home: "/home/me", User: "me"}).Lookup(Query{Host: "web"})
			mistake := (*ConfigError)(nil)
			if !errors.As(err, &mistake) || !strings.HasPrefix(err.Error(), strings.ReplaceAll(tc.want, "FILE", file)) {
				t.Fatalf("got %+v, %v, want %q", h, err, tc.want)
			}
			if hint, exit := mistake.Explain(); exit != 2 || hint == "" {
				t.Errorf("exit %d, hint %q", exit, hint)
			}
		})
	}
}

func TestSSHConfigFiles(t *testing.T) {
	home, system := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".ssh", "conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(home, ".ssh", "config")
	writeText(t, users, "Include conf.d/*\nPort 1\n")
	writeText(t, filepath.Join(home, ".ssh", "conf.d", "a"), "IdentityFile ~/a\n")
	writeText(t, filepath.Join(home, ".ssh", "conf.d", "b"), "IdentityFile ~/b\nHost other\n")
	writeText(t, filepath.Join(system, "ssh_config"), "Include sub\nPort 2\nUser sys\n")
	writeText(t, filepath.Join(system, "sub"), "ConnectTimeout 7\n")
	c := &SSHConfig{Home: home, System: system, User: "me"}
	h, err := c.Lookup(Query{Host: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if h.Port != 1 || h.User != "sys" || h.ConnectTimeout != 7*time.Second ||
		!slices.Equal(h.IdentityFiles, []string{filepath.Join(home, "a"), filepath.Join(home, "b")}) {
		t.Errorf("both: %+v", h)
	}
	if last := h.Used[len(h.Used)-1]; last != (HostSetting{"user", "sys", filepath.Join(system, "ssh_config") + ":3"}) {
		t.Errorf("the last that counted: %+v", last)
	}
	marked := &SSHConfig{File: filepath.Join(home, "marked")}
	writeText(t, marked.File, "\ufeffHost other\r\n Port 7\r\n") // as editors of Windows begin a file
	if h, err := marked.Lookup(Query{Host: "web"}); err != nil || h.Port != 22 || h.Notices != nil {
		t.Errorf("a file with a byte order mark: %+v, %v", h, err)
	}
	none := &SSHConfig{File: "none", Home: home, System: system, User: "me"}
	if h, err := none.Lookup(Query{Host: "web"}); err != nil || h.Port != 22 || h.User != "me" || h.Used != nil {
		t.Errorf("none: %+v, %v", h, err)
	}
	absent := &SSHConfig{File: filepath.Join(home, "absent"), Home: home}
	if _, err := absent.Lookup(Query{Host: "web"}); err == nil || !strings.Contains(err.Error(), "absent: the ssh configuration cannot be read: no such file") {
		t.Errorf("a file that was named and is absent: %v", err)
	}
	bare := &SSHConfig{Home: t.TempDir(), System: t.TempDir(), User: "me"}
	if _, err := bare.Lookup(Query{Host: "web"}); err != nil {
		t.Errorf("no files: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(users, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lookup(Query{Host: "web"}); err == nil || !strings.Contains(err.Error(), "others can write to it") {
		t.Errorf("a file that others can write to: %v", err)
	}
}

// What is not done is said, with its line; what does not concern us is not.
func TestSSHConfigTellsWhatItDoesNotHeed(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
		port int
	}{
		"Match exec":                 {"Match exec \"touch /tmp/x\"\n Port 1\nHost *\n Port 2\n", []string{"FILE:1: Match exec is not heeded by slackdev: the lines below it do not count"}, 2},
		"Match not exec":             {"Match !exec false\n Port 1\n", []string{"FILE:1: Match exec is not heeded"}, 22},
		"Match exec of another host": {"Match host other exec true\n Port 1\n", nil, 22},
		"Match localnetwork":         {"Match localnetwork 10.0.0.0/8\n Port 1\n", []string{"FILE:1: Match localnetwork"}, 22},
		"a keyword that nobody has":  {"Prot 23\n", []string{"FILE:1: \"Prot\" is no keyword that slackdev knows"}, 22},
		"for another host":           {"Host other\n Prot 23\n", nil, 22},
		"that shall be ignored":      {"IgnoreUnknown Pr*\nProt 23\n", nil, 22},
		"what changes the way":       {"BindAddress 10.0.0.1\nCanonicalizeHostname yes\nRevokedHostKeys /x\n", []string{"FILE:1: BindAddress is not heeded by slackdev", "FILE:2: CanonicalizeHostname", "FILE:3: RevokedHostKeys"}, 22},
		"that, switched off":         {"CanonicalizeHostname no\nVerifyHostKeyDNS no\nAddressFamily any\n", nil, 22},
		"what does not concern us":   {"ForwardX11 yes\nSendEnv X\nUseKeychain yes\nAddKeysToAgent yes\n", nil, 22},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			writeText(t, file, tc.text)
			h, err := (&SSHConfig{File: file, User: "me"}).Lookup(Query{Host: "web"})
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Notices) != len(tc.want) || h.Port != tc.port {
				t.Fatalf("got %q, port %d, want %q, port %d", h.Notices, h.Port, tc.want, tc.port)
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(h.Notices[i], strings.ReplaceAll(want, "FILE", file)) {
					t.Errorf("got %q, want %q", h.Notices[i], want)
				}
			}
		})
	}
}

func TestSSHConfigIsApplied(t *testing.T) {
	h := &HostConfig{
		Host: "inner", User: "deploy", Port: 2200, IdentityFiles: []string{"/k"}, CertificateFiles: []string{"/c"}, IdentitiesOnly: true,
		IdentityAgent: "/agent", ProxyOrigin: "f:1", UserKnownHosts: []string{"/u"}, GlobalKnownHosts: []string{"/g"}, HostKeyAlias: "alias", Algorithms: "ssh-ed25519",
		Strict: true, AliveInterval: time.Minute, AliveCountMax: 3, ConnectTimeout: 3 * time.Second, Without: []string{methodPassword}, Batch: true,
		Used: []HostSetting{{"serveraliveinterval", "60", "f:9"}},
	}
	ask := func(context.Context, Question) (string, error) { return "", nil }
	p := &Provider{Profile: SSHD("ssh://web", Target{Host: "web"}), Keys: Keys{Named: []string{"/given"}, Files: []string{"/default"}, Agent: "/env", Own: "/own"}, Ask: ask}
	notices, err := h.Apply(p)
	if err != nil || len(notices) != 1 || !strings.HasPrefix(notices[0], "f:9: with ServerAliveInterval a dead link is noticed after 4m0s only") {
		t.Errorf("%q, %v", notices, err)
	}
	if d := cmp.Diff(Keys{Named: []string{"/given", "/k"}, Certificates: []string{"/c"}, Agent: "/agent", Only: true, Own: "/own", Without: []string{methodPassword}}, p.Keys); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	if d := cmp.Diff(Hosts{Files: []string{"/u", "/g"}, Alias: "alias", Strict: true, Algorithms: "ssh-ed25519"}, p.Hosts); d != "" {
		t.Errorf("hosts (-want +got):\n%s", d)
	}
	if p.Profile.addr() != "inner:2200" || p.Profile.User != "deploy" || p.Ask != nil || p.ConnectTimeout != 3*time.Second {
		t.Errorf("%+v", p.Profile)
	}

	for count, want := range map[int]time.Duration{0: time.Minute, 1: time.Minute, 2: 2 * time.Minute, 1 << 30: maxAlive} {
		h, p := *h, &Provider{}
		h.AliveCountMax = count
		if _, err := h.Apply(p); err != nil || p.KeepAlive != (KeepAlive{Idle: time.Minute, Answer: want}) {
			t.Errorf("ServerAliveCountMax %d: %+v, %v", count, p.KeepAlive, err)
		}
	}

	typed := &Provider{Profile: SSHD("ssh://root@web:22", Target{User: "root", Host: "web", Port: 22})}
	if _, err := h.Apply(typed); err != nil || typed.Profile.User != "root" || typed.Profile.Port != 22 {
		t.Errorf("what was typed gave way: %+v, %v", typed.Profile, err)
	}

	// A service that takes anybody learns nothing of the user's other keys.
	h.ProxyJump = "bastion"
	public := &Provider{Profile: Pinggy("", ""), Keys: Keys{Files: []string{"/default"}, Own: "/own"}, Ask: ask}
	notices, err = h.Apply(public)
	if err != nil || len(notices) != 1 || !strings.HasPrefix(notices[0], "f:1: what stands between is not heeded for pinggy") {
		t.Errorf("%q, %v", notices, err)
	}
	if d := cmp.Diff(Keys{Files: []string{"/default"}, Own: "/own"}, public.Keys); d != "" {
		t.Errorf("keys of a public service (-want +got):\n%s", d)
	}
	if public.KeepAlive != (KeepAlive{}) {
		t.Errorf("ServerAliveInterval is for one's own servers: %+v", public.KeepAlive)
	}
	if public.Profile.addr() != "inner:443" || public.Profile.User != "http" || public.Hosts.Alias != "alias" {
		t.Errorf("%+v", public.Profile)
	}

	h.ProxyJump, h.ProxyCommand = "", "nc %h %p"
	if _, err := h.Apply(&Provider{Profile: SSHD("ssh://web", Target{Host: "web"})}); err == nil || !strings.HasPrefix(err.Error(), "f:1: ProxyCommand is not run") {
		t.Errorf("ProxyCommand: %v", err)
	}
}

func FuzzSSHConfig(f *testing.F) {
	for _, text := range sameConfigs() {
		f.Add(text, "web")
	}
	f.Fuzz(func(t *testing.T, text, host string) {
		if strings.Contains(strings.ToLower(text), "include") { // of whatever this machine has
			return
		}
		l := &lookup{config: &SSHConfig{Home: "/home/me", User: "me"}, query: Query{Host: host}, host: host, values: map[string][]configValue{}, told: map[string]bool{}}
		r := &configReader{lookup: l, keywords: keywords(), active: true}
		if err := r.lines("f", []byte(text), 0, true, true); err != nil {
			return
		}
		h, err := l.finish()
		if err != nil {
			return
		}
		if h.Port < 1 || h.Port > 65535 || strings.ContainsAny(h.Host, " \n,*[") || strings.ContainsAny(h.HostKeyAlias, " \n,*[") {
			t.Errorf("%q: %+v", text, h)
		}
	})
}
