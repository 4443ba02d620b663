package sshtunnel

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// randomConfig writes a small ssh_config that has a bit of everything we heed.
func randomConfig(r *rand.Rand, folder string) string {
	of := func(words ...string) string { return words[r.IntN(len(words))] }
	hosts := func() string {
		var list []string
		for range 1 + r.IntN(3) {
			list = append(list, of("web", "w?b", "*", "!web", "db", "WEB", "*.example.org", "!db", "web.*", "inner", "we*b", "!*.org", `"web"`, "127.0.0.1"))
		}
		return strings.Join(list, of(" ", "  ", "\t"))
	}
	line := func() string {
		keyword, value := of("Port", "port", "PORT"), of("22", "2222", "65535", "1", `"23"`, "0022")
		switch r.IntN(22) {
		case 0, 1:
			keyword, value = "HostName", of("web.example.org", "inner", "%h.example.org", "%%h", "10.0.0.1", `"inner"`, "INNER", "::1", "%h%h")
		case 2, 3:
			keyword, value = "User", of("deploy", "root", `"a b"`, "'me'", `a\"b`, "x#y", "ana # comment", `"ana"bel`)
		case 4:
			keyword, value = "IdentityFile", of("~/.ssh/one", "/k/%h", "%d/two", "none", `"~/a b"`, "rel/key", "~/%r@%h:%p", "${OUR_FOLDER}/k", "/k/%%", "~/.ssh/one")
		case 5:
			keyword, value = "CertificateFile", of("~/c1", "/c/%h", "~/c1", "none")
		case 6:
			keyword, value = "IdentitiesOnly", of("yes", "no", "true", "FALSE")
		case 7:
			keyword, value = "IdentityAgent", of("none", "SSH_AUTH_SOCK", "~/agent", "/a/%h")
		case 8, 9:
			keyword, value = "ProxyJump", of("none", "bastion", "me@bastion:2222", "a,b,c", "ssh://b:7", "[::1]:9", "bastion # not me", "%h.example.org")
		case 10:
			keyword, value = "ProxyCommand", of("none", "nc %h %p", `sh -c "x y"`, "NONE")
		case 11:
			keyword, value = "UserKnownHostsFile", of("~/a ~/b", "none", "/dev/null", "/k/%h")
		case 12:
			keyword, value = "GlobalKnownHostsFile", of("/g", "none", "/g /h")
		case 13:
			keyword, value = "HostKeyAlias", of("real", "Real.Name")
		case 14:
			keyword, value = "StrictHostKeyChecking", of("yes", "no", "ask", "accept-new", "off", "YES")
		case 15:
			keyword, value = "ServerAliveInterval", of("0", "5", "1m", "1m30s", "2h", "1M")
		case 16:
			keyword, value = "ServerAliveCountMax", of("0", "1", "3", "99999", "007")
		case 17:
			keyword, value = "ConnectTimeout", of("5", "90", "1m", "0")
		case 18:
			keyword, value = of("BatchMode", "PasswordAuthentication", "PubkeyAuthentication", "KbdInteractiveAuthentication", "ChallengeResponseAuthentication"), of("yes", "no", "true", "false")
		case 19:
			return "Include " + of(folder+"/*.conf", folder+"/one.conf", folder+"/absent", `"`+folder+`/one.conf"`, folder+"/one.conf "+folder+"/two.conf")
		}
		return keyword + of(" ", "=", " = ", "\t", "  ", "= ") + value + of("", "", "", " ", "\r", " # more", "\t#x")
	}
	var text strings.Builder
	for range 2 + r.IntN(9) {
		indent := of("", " ", "\t", "    ")
		switch r.IntN(6) {
		case 0, 1:
			fmt.Fprintf(&text, "%s%s%s%s\n", indent, of("Host", "host", "HOST"), of(" ", "=", "\t"), hosts())
		case 2:
			fmt.Fprintf(&text, "%sMatch %s\n", indent, of("all", "host web", "host web,db", "!host web", "originalhost web", "user deploy", "!user root", "host inner user *",
				"final", "final host inner", "final all", "canonical", "canonical all", "host=web", "originalhost WEB", "host INNER", "localuser nobody-here", "host \"web,db\" user deploy", "user !root,*"))
		default:
			text.WriteString(indent + line() + "\n")
			text.WriteString(of("", "", "\n", "# a comment\n", " \t\n"))
		}
	}
	return text.String()
}

// What nobody has thought of is read as `ssh -G` reads it, too. What ssh refuses we
// may refuse or read.
func TestRandomSSHConfigsAreReadAsSSHReadsThem(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("no ssh here (Debian: openssh-client)")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	base, err := askSSH(t, me.HomeDir, "/dev/null", Query{Host: "x"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	c := SSHConfig{File: file, System: "/etc/ssh", Home: me.HomeDir, User: me.Username, Getenv: func(name string) string {
		return map[string]string{"OUR_FOLDER": "/ours"}[name]
	}}
	queries := []Query{{Host: "web"}, {Host: "web", User: "deploy", Port: 5555}, {Host: "db", User: "root"}, {Host: "WEB"}, {Host: "web.example.org"}}
	for seed := range uint64(randomConfigs) {
		r := rand.New(rand.NewPCG(seed, 1))
		writeText(t, filepath.Join(dir, "one.conf"), randomConfig(r, filepath.Join(dir, "none")))
		writeText(t, filepath.Join(dir, "two.conf"), randomConfig(r, filepath.Join(dir, "none")))
		text := randomConfig(r, dir)
		writeText(t, file, text)
		q := queries[r.IntN(len(queries))]
		want, err := askSSH(t, me.HomeDir, file, q)
		if err != nil {
			continue
		}
		if want.Batch { // Debian's ssh has an interval of its own then
			want.AliveInterval = 0
		}
		h, err := c.Lookup(q)
		if err != nil {
			t.Errorf("seed %d, %+v: ssh takes what we refuse: %v\n%s", seed, q, err, text)
			continue
		}
		got := asSSHWould(h, base)
		got.ProxyJump = strings.ReplaceAll(got.ProxyJump, "ssh://", "")     // which it leaves out
		want.ProxyJump = strings.ReplaceAll(want.ProxyJump, "%h", got.Host) // when it uses it
		if want.Batch {
			got.AliveInterval = 0
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("seed %d, %+v (-ssh +ours):\n%s\n%s", seed, q, d, text)
		}
	}
}

// randomConfigs is how many are compared: each takes ssh some milliseconds.
const randomConfigs = 200
