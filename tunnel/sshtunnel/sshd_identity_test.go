//go:build unix

package sshtunnel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// configure adds lines to the server's configuration. In sshd_config the first value
// counts.
func (s *sshd) configure(lines ...string) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "config"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("config", strings.Join(lines, "\n")+"\n"+string(text))
}

// run runs one of OpenSSH's programs.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// keygen makes a key as people do.
func keygen(t testing.TB, file string, args ...string) string {
	t.Helper()
	// One round in place of sixteen: nobody attacks these.
	run(t, "ssh-keygen", append([]string{"-q", "-f", file, "-C", "test", "-a", "1", "-N"}, args...)...)
	return file
}

// allow lets the keys of these files in.
func (s *sshd) allow(files ...string) {
	s.t.Helper()
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file + ".pub")
		if err != nil {
			s.t.Fatal(err)
		}
		all.Write(text)
	}
	s.write("authorized_keys", all.String())
}

// realAgent is OpenSSH's own, with some keys.
func realAgent(t testing.TB, files ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	// The agent lives as long as the command that it starts, and that as its input.
	cmd := exec.Command("ssh-agent", "-a", socket, "sh", "-c", "echo ready; cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no ssh-agent here (Debian: openssh-client): %v", err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		add := exec.CommandContext(t.Context(), "ssh-add", "-q", file)
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("ssh-add: %v: %s", err, out)
		}
	}
	return socket
}

// asked is somebody who types always the same.
type asked struct {
	mu    sync.Mutex
	types []string // the last one again and again
	texts []string
}

func (a *asked) ask(_ context.Context, q sshtunnel.Question) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.texts = append(a.texts, q.Text)
	answer := a.types[0]
	if len(a.types) > 1 {
		a.types = a.types[1:]
	}
	return answer, nil
}

func opens(t *testing.T, p *sshtunnel.Provider) {
	t.Helper()
	tun, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = tun.Close()
}

func TestOpenSSHTakesEveryKindOfKey(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"ed25519":      {"", "-t", "ed25519"},
		"ecdsa 256":    {"", "-t", "ecdsa", "-b", "256"},
		"ecdsa 384":    {"", "-t", "ecdsa", "-b", "384"},
		"ecdsa 521":    {"", "-t", "ecdsa", "-b", "521"},
		"rsa":          {"", "-t", "rsa", "-b", "2048"},
		"rsa as PEM":   {"", "-t", "rsa", "-b", "2048", "-m", "PEM"},
		"ecdsa PKCS8":  {"", "-t", "ecdsa", "-m", "PKCS8"},
		"locked":       {"open sesame", "-t", "ed25519"},
		"locked rsa":   {"open sesame", "-t", "rsa", "-b", "2048"},
		"locked PEM":   {"open sesame", "-t", "rsa", "-b", "2048", "-m", "PEM"},
		"locked ECPEM": {"open sesame", "-t", "ecdsa", "-m", "PEM"},
	} {
		file := keygen(t, filepath.Join(dir, strings.ReplaceAll(name, " ", "_")), args...)
		s.allow(file)
		for _, withPublic := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, its public half there: %v", name, withPublic), func(t *testing.T) {
				if !withPublic {
					if err := os.Remove(file + ".pub"); err != nil {
						t.Fatal(err)
					}
				}
				who := &asked{types: []string{"wrong", args[0]}}
				fresh := &sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Named: []string{file}}, Ask: who.ask}
				opens(t, fresh)
				want := 0
				if args[0] != "" {
					want = 2
				}
				if len(who.texts) != want {
					t.Errorf("asked %q, want %d questions", who.texts, want)
				}
				for _, text := range who.texts {
					if text != "Passphrase of "+file+": " {
						t.Errorf("asked %q", text)
					}
				}
				opens(t, fresh) // the open key is remembered
				if len(who.texts) != want {
					t.Errorf("asked again: %q", who.texts)
				}
			})
		}
	}
}

// Nobody is asked to open a key that the server would not take.
func TestOpenSSHLockedKeyIsOpenedOnlyWhereItIsTaken(t *testing.T) {
	s, p := sshdProvider(t)
	dir := t.TempDir()
	other := keygen(t, filepath.Join(dir, "other"), "secret of another", "-t", "ed25519")
	right := keygen(t, filepath.Join(dir, "right"), "open sesame", "-t", "ed25519")
	s.allow(right)
	s.start()
	who := &asked{types: []string{"open sesame"}}
	p.Keys, p.Ask = sshtunnel.Keys{Named: []string{other, right}}, who.ask
	opens(t, p)
	if len(who.texts) != 1 || !strings.Contains(who.texts[0], right) {
		t.Errorf("asked %q, want the passphrase of %s alone", who.texts, right)
	}
}

// A key that nobody opens is passed over, and the next one tried.
func TestOpenSSHKeyThatIsNotOpenedIsPassedOver(t *testing.T) {
	s, p := sshdProvider(t)
	dir := t.TempDir()
	locked := keygen(t, filepath.Join(dir, "locked"), "open sesame", "-t", "ed25519")
	plain := keygen(t, filepath.Join(dir, "plain"), "", "-t", "ed25519")
	s.allow(locked, plain)
	s.start()
	for name, tc := range map[string]struct {
		types []string
		want  int
	}{"wrong three times": {[]string{"wrong"}, 3}, "nothing typed": {[]string{""}, 1}} {
		t.Run(name, func(t *testing.T) {
			who := &asked{types: tc.types}
			opens(t, &sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Named: []string{locked, plain}}, Ask: who.ask})
			if len(who.texts) != tc.want {
				t.Errorf("asked %d times, want %d", len(who.texts), tc.want)
			}
		})
	}
	// A certificate and its key are one to the person.
	authority := keygen(t, filepath.Join(dir, "ca"), "", "-t", "ed25519")
	run(t, "ssh-keygen", "-q", "-s", authority, "-I", "test", "-n", s.user, locked+".pub")
	s.configure("TrustedUserCAKeys " + authority + ".pub")
	s.stop()
	s.start()
	who := &asked{types: []string{"wrong"}}
	opens(t, &sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Named: []string{locked, plain}}, Ask: who.ask})
	if len(who.texts) != 3 {
		t.Errorf("with a certificate: asked %d times, want 3", len(who.texts))
	}
	// Where nobody is there it says how it can be done.
	_, err := (&sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Named: []string{locked}}}).Open(t.Context())
	wantRefused(t, err, "key "+locked+" skipped: it is encrypted; add it to your agent with  ssh-add "+locked, "")
}

func TestOpenSSHTakesCertificates(t *testing.T) {
	s, p := sshdProvider(t)
	dir := t.TempDir()
	authority := keygen(t, filepath.Join(dir, "ca"), "", "-t", "ed25519")
	sign := func(file string, more ...string) {
		run(t, "ssh-keygen", append(append([]string{"-q", "-s", authority, "-I", "test", "-n", s.user}, more...), file+".pub")...)
	}
	s.write("authorized_keys", "")
	s.configure("TrustedUserCAKeys " + authority + ".pub")
	s.start()
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		for _, phrase := range []string{"", "open sesame"} {
			t.Run("beside a key, "+kind+phrase, func(t *testing.T) {
				file := keygen(t, filepath.Join(t.TempDir(), "key"), phrase, "-t", kind)
				sign(file)
				opens(t, &sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Named: []string{file}}, Ask: (&asked{types: []string{phrase}}).ask})
			})
		}
		t.Run("in the agent, "+kind, func(t *testing.T) {
			file := keygen(t, filepath.Join(t.TempDir(), "key"), "", "-t", kind)
			sign(file)
			opens(t, &sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Agent: realAgent(t, file)}})
		})
		t.Run("elsewhere, for a key in the agent, "+kind, func(t *testing.T) {
			dir := t.TempDir()
			file := keygen(t, filepath.Join(dir, "key"), "", "-t", kind)
			socket := realAgent(t, file) // which has no certificate
			sign(file)
			moved := filepath.Join(dir, "certificate")
			if err := os.Rename(file+"-cert.pub", moved); err != nil {
				t.Fatal(err)
			}
			opens(t, &sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Agent: socket, Certificates: []string{moved}}})
		})
	}
	for name, tc := range map[string]struct {
		more []string
		want string
	}{
		"one that has ended":         {[]string{"-V", "20200101:20200102"}, "the certificate ended at 2020-01-02"},
		"one for somebody else":      {[]string{"-n", "somebody-else"}, "none of the 2 keys that it was shown"},
		"one from somewhere else":    {[]string{"-O", "source-address=192.0.2.1/32"}, "none of the 2 keys"},
		"one that is only for hosts": {[]string{"-h"}, "the certificate is not for users"},
	} {
		t.Run(name, func(t *testing.T) {
			file := keygen(t, filepath.Join(t.TempDir(), "key"), "", "-t", "ed25519")
			sign(file, tc.more...)
			_, err := (&sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Named: []string{file}}}).Open(t.Context())
			wantRefused(t, err, tc.want, "")
		})
	}
}

func TestOpenSSHTakesTheAgentsKeys(t *testing.T) {
	s, p := sshdProvider(t)
	dir := t.TempDir()
	var files []string
	for i := range 8 {
		files = append(files, keygen(t, filepath.Join(dir, fmt.Sprint("key", i)), "", "-t", "ed25519"))
	}
	s.allow(files[7])
	s.start()
	socket := realAgent(t, files...)
	with := func(k sshtunnel.Keys) *sshtunnel.Provider {
		return &sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: k}
	}
	// The server hangs up after six keys, and the error says which ones.
	_, err := with(sshtunnel.Keys{Agent: socket}).Open(t.Context())
	wantRefused(t, err, "none of the 6 keys that it was shown: SHA256:", "--identity FILE")
	if n := strings.Count(err.Error(), "(the agent)"); n != 6 {
		t.Errorf("named %d keys, want 6: %v", n, err)
	}
	if err := os.Remove(files[7]); err != nil { // its public half names it
		t.Fatal(err)
	}
	opens(t, with(sshtunnel.Keys{Agent: socket, Named: []string{files[7]}}))
	opens(t, with(sshtunnel.Keys{Agent: socket, Named: []string{files[7] + ".pub"}, Only: true}))
	_, err = with(sshtunnel.Keys{Agent: socket, Named: []string{files[6]}, Only: true}).Open(t.Context())
	wantRefused(t, err, "and not the key SHA256:", "")
}

// Two steps: a key, and then another one.
func TestOpenSSHWantsTwoKeys(t *testing.T) {
	s, p := sshdProvider(t)
	dir := t.TempDir()
	one := keygen(t, filepath.Join(dir, "one"), "", "-t", "ed25519")
	two := keygen(t, filepath.Join(dir, "two"), "open sesame", "-t", "ecdsa")
	s.allow(one, two)
	s.configure("AuthenticationMethods publickey,publickey")
	s.start()
	who := &asked{types: []string{"open sesame"}}
	opens(t, &sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Named: []string{one, two}}, Ask: who.ask})
	_, err := (&sshtunnel.Provider{Profile: p.Profile, Hosts: p.Hosts, Keys: sshtunnel.Keys{Named: []string{one}}}).Open(t.Context())
	wantRefused(t, err, "log in as", "")
}

// A known_hosts file makes us believe what it makes ssh believe. Where we refuse what
// ssh believes, that is said.
func TestOpenSSHHostKeysAreBelievedAsSSHDoes(t *testing.T) {
	s, p := sshdProvider(t)
	dir := t.TempDir()
	authority := keygen(t, filepath.Join(dir, "ca"), "", "-t", "ecdsa")
	host := filepath.Join(s.dir, "host_key")
	run(t, "ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", "127.0.0.1,web.example.org", host+".pub")
	other := keygen(t, filepath.Join(dir, "other"), "", "-t", "ed25519")
	s.configure("HostCertificate " + host + "-cert.pub")
	s.start()
	key := func(file string) string {
		text, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(text))[:2], " ") + "\n"
	}
	name := fmt.Sprintf("[127.0.0.1]:%d ", s.port)
	hashed := filepath.Join(dir, "hashed")
	if err := os.WriteFile(hashed, []byte(name+key(host)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "ssh-keygen", "-q", "-H", "-f", hashed)
	hashedText, err := os.ReadFile(hashed)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		known    string
		alias    string
		stricter bool
	}{
		"nothing":                       {},
		"the key":                       {known: name + key(host)},
		"hashed":                        {known: string(hashedText)},
		"another":                       {known: name + key(other)},
		"another, then the right one":   {known: name + key(other) + name + key(host)},
		"without the port":              {known: "127.0.0.1 " + key(host)},
		"another without the port":      {known: "127.0.0.1 " + key(other)},
		"a pattern":                     {known: "127.0.0.* " + key(host)},
		"a pattern with an exception":   {known: "*,!127.0.0.1 " + key(host)},
		"an authority":                  {known: "@cert-authority 127.0.0.1 " + key(authority)},
		"an authority with the port":    {known: "@cert-authority " + name + key(authority)},
		"an authority of others":        {known: "@cert-authority 127.0.0.2 " + key(authority)},
		"another authority":             {known: "@cert-authority * " + key(other)},
		"the authority as a key":        {known: name + key(authority)},
		"the key as an authority":       {known: "@cert-authority * " + key(host)},
		"revoked":                       {known: name + key(host) + "@revoked * " + key(host)},
		"the authority is revoked":      {known: "@cert-authority * " + key(authority) + "@revoked * " + key(authority)},
		"revoked beside an authority":   {known: "@cert-authority * " + key(authority) + "@revoked * " + key(host)},
		"revoked for others":            {known: name + key(host) + "@revoked 192.0.2.1 " + key(host), stricter: true},
		"something unreadable revoked":  {known: name + key(host) + "@revoked * ssh-ed25519 !!\n", stricter: true},
		"unreadable lines before it":    {known: "nonsense\n\n# x\n127.0.0.1 ssh-ed25519 !!\n@nothing x y z\n" + name + key(host)},
		"an alias":                      {known: "real-name " + key(host), alias: "real-name"},
		"an alias that is not there":    {known: name + key(host), alias: "real-name"},
		"an alias in a certificate":     {known: "@cert-authority * " + key(authority), alias: "web.example.org"},
		"an alias not in a certificate": {known: "@cert-authority * " + key(authority), alias: "db.example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "known_hosts")
			if err := os.WriteFile(file, []byte(tc.known), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none", "-o", "UpdateHostKeys=no",
				"-o", "UserKnownHostsFile=" + file, "-o", "PubkeyAuthentication=no", "-p", fmt.Sprint(s.port)}
			if tc.alias != "" {
				args = append(args, "-o", "HostKeyAlias="+tc.alias)
			}
			// It may not log in: whether it wanted to says what it thinks of the host.
			out, _ := exec.CommandContext(t.Context(), "ssh", append(args, s.user+"@127.0.0.1", "true")...).CombinedOutput()
			sshTakes := strings.Contains(string(out), "Permission denied")
			if !sshTakes && !strings.Contains(string(out), "ost key") {
				t.Fatalf("ssh: %s", out)
			}
			fresh := &sshtunnel.Provider{Profile: p.Profile, Keys: p.Keys, Hosts: sshtunnel.Hosts{Files: []string{file}, Alias: tc.alias, Own: filepath.Join(dir, "own"), Strict: true}}
			tun, err := fresh.Open(t.Context())
			if err == nil {
				_ = tun.Close()
			}
			if want := sshTakes && !tc.stricter; (err == nil) != want {
				t.Errorf("ssh: %v (%s), stricter on purpose: %v, and we: %v", sshTakes, out, tc.stricter, err)
			}
			if refused := (*tunnel.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
				t.Errorf("not a refusal: %v", err)
			}
		})
	}
}

// A key that changes while slackdev runs is refused, again and again, slowly.
func TestOpenSSHHostKeyThatChangesLaterIsRefusedSlowly(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	ctx, states := kept(t, p)
	await(t, ctx, states, tunnel.Up)
	s.stop()
	s.newHostKey()
	s.start()
	for {
		st := await(t, ctx, states, tunnel.Waiting)
		refused := (*tunnel.RefusedError)(nil)
		if !errors.As(st.Err, &refused) {
			continue // it was not back yet
		}
		if !strings.Contains(st.Err.Error(), "it has changed") || refused.Hint == "" || st.Retry < 10*time.Second {
			t.Errorf("got %v, hint %q, again after %v", st.Err, refused.Hint, st.Retry)
		}
		return
	}
}

// What ssh_config says of a host is done, from the name to the key.
func TestOpenSSHByItsNameInSSHConfig(t *testing.T) {
	s, _ := sshdProvider(t)
	dir := t.TempDir()
	key := keygen(t, filepath.Join(dir, "deploy"), "", "-t", "ed25519")
	s.allow(key)
	s.start()
	config := filepath.Join(dir, "config")
	text := fmt.Sprintf("Host web\n HostName 127.0.0.1\n Port %d\n User %s\n IdentityFile %%d/deploy\n UserKnownHostsFile %%d/known\n HostKeyAlias web-alias\n ServerAliveInterval 4\n", s.port, s.user)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	hostKey, err := os.ReadFile(filepath.Join(s.dir, "host_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "known"), []byte("web-alias "+string(hostKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := (&sshtunnel.SSHConfig{File: config, Home: dir, User: "nobody"}).Lookup(sshtunnel.Query{Host: "web"})
	if err != nil {
		t.Fatal(err)
	}
	p := &sshtunnel.Provider{Profile: sshtunnel.SSHD("ssh://web", sshtunnel.Target{Host: "web"})}
	notices, err := h.Apply(p)
	if err != nil || len(notices) != 0 {
		t.Fatalf("%v, %q", err, notices)
	}
	p.Hosts.Strict = true
	opens(t, p)
	if p.KeepAlive.Idle != 4*time.Second || p.KeepAlive.Answer != 12*time.Second {
		t.Errorf("keep-alive: %+v", p.KeepAlive)
	}
}
