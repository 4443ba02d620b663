package sshtunnel

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestOwnKeyIsMadeOnceAndForUsAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a", "slackdev", "id_ed25519")
	var all sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		all.Go(func() {
			key, err := OwnKey(file)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = ssh.FingerprintSHA256(key.PublicKey())
		})
	}
	all.Wait()
	if slices.ContainsFunc(keys, func(k string) bool { return k != keys[0] }) {
		t.Errorf("eight at once have made %v", keys)
	}
	for name, want := range map[string]fs.FileMode{file: 0o600, filepath.Dir(file): 0o700 | fs.ModeDir} {
		info, err := os.Stat(name)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: got %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "-----BEGIN OPENSSH PRIVATE KEY-----\n") {
		t.Errorf("not in OpenSSH's format: %v", err)
	}
	pub, err := os.ReadFile(file + ".pub")
	if key, _, _, _, perr := ssh.ParseAuthorizedKey(pub); err != nil || perr != nil || ssh.FingerprintSHA256(key) != keys[0] {
		t.Errorf("the public half: %v, %v", err, perr)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOwnKeyRefusesAFile(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(file string) error
		text  string
		hint  string
	}{
		"that others can read": {func(f string) error { return os.Chmod(f, 0o644) }, "others can read it (mode 0644)", "chmod 600 "},
		"that is no key":       {func(f string) error { return os.WriteFile(f, []byte("nonsense"), 0o600) }, "load the key", "mv "},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			if _, err := OwnKey(file); err != nil {
				t.Fatal(err)
			}
			if err := tc.spoil(file); err != nil {
				t.Fatal(err)
			}
			_, err := OwnKey(file)
			refused := (*tunnel.RefusedError)(nil)
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tc.text) || !strings.HasPrefix(refused.Hint, tc.hint) {
				t.Errorf("got %v (%+v)", err, refused)
			}
		})
	}
	if _, err := OwnKey(t.TempDir()); err == nil {
		t.Error("a folder was taken for a key")
	}
}

// writeKey writes a private key as ssh-keygen does.
func writeKey(t *testing.T, file string, key any, passphrase string) ssh.PublicKey {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

// anybody is a desk at which somebody types always the same, and is counted.
func anybody(types string, asked *[]string) *desk {
	d := &desk{memory: new(memory), clock: &stopwatch{timer: time.NewTimer(time.Hour)}}
	if types != "" {
		d.ask = func(_ context.Context, q Question) (string, error) {
			if asked != nil {
				*asked = append(*asked, q.Text)
			}
			return types, nil
		}
	}
	return d
}

func fingerprints(list []offer) []string {
	var out []string
	for _, o := range list {
		kind := ""
		if strings.Contains(o.signer.PublicKey().Type(), "-cert-") {
			kind = " certificate"
		}
		out = append(out, ssh.FingerprintSHA256(plainKey(o.signer.PublicKey()))+kind)
	}
	return out
}

// keyRig is a folder of keys, certificates for some of them, and an agent. Its names are
// the fingerprints of keys.
type keyRig struct {
	dir, socket                string
	ec, rsa, named, agent, own string
}

func (r *keyRig) file(name string) string { return filepath.Join(r.dir, name) }

func newKeyRig(t *testing.T) *keyRig {
	t.Helper()
	r := &keyRig{dir: t.TempDir()}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, inAgent, _ := ed25519.GenerateKey(rand.Reader)
	_, named, _ := ed25519.GenerateKey(rand.Reader)
	r.ec = ssh.FingerprintSHA256(writeKey(t, r.file("id_ecdsa"), ec, "open sesame"))
	r.rsa = ssh.FingerprintSHA256(writeKey(t, r.file("id_rsa"), rsaKey, ""))
	namedPublic := writeKey(t, r.file("named"), named, "")
	r.named = ssh.FingerprintSHA256(namedPublic)
	agentSigner, err := ssh.NewSignerFromKey(inAgent)
	if err != nil {
		t.Fatal(err)
	}
	r.agent = ssh.FingerprintSHA256(agentSigner.PublicKey())
	writeText(t, r.file("agents.pub"), string(ssh.MarshalAuthorizedKey(agentSigner.PublicKey())))
	authority := newKey(t)
	certify := func(key ssh.PublicKey, change func(*ssh.Certificate)) string {
		cert := &ssh.Certificate{Key: key, CertType: ssh.UserCert, ValidPrincipals: []string{"x"}, ValidBefore: ssh.CertTimeInfinity}
		if change != nil {
			change(cert)
		}
		if err := cert.SignCert(rand.Reader, authority); err != nil {
			t.Fatal(err)
		}
		return string(ssh.MarshalAuthorizedKey(cert))
	}
	writeText(t, r.file("agent-cert.pub"), certify(agentSigner.PublicKey(), nil))
	writeText(t, r.file("old-cert.pub"), certify(namedPublic, func(c *ssh.Certificate) { c.ValidBefore = 1 }))
	writeText(t, r.file("host-cert.pub"), certify(namedPublic, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }))
	writeText(t, r.file("stray-cert.pub"), certify(newKey(t).PublicKey(), nil))
	writeKey(t, r.file("certified"), rsaKey, "")
	writeText(t, r.file("certified-cert.pub"), certify(mustPublic(t, rsaKey), nil))
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, r.file("small"), small, "")
	writeKey(t, r.file("open to all"), named, "")
	if err := os.Chmod(r.file("open to all"), 0o644); err != nil {
		t.Fatal(err)
	}
	own, err := OwnKey(r.file("own"))
	if err != nil {
		t.Fatal(err)
	}
	r.own = ssh.FingerprintSHA256(own.PublicKey())
	sk := base64.StdEncoding.EncodeToString(ssh.Marshal(struct{ Type, Key, Application string }{ssh.KeyAlgoSKED25519, strings.Repeat("k", 32), "ssh:"}))
	writeText(t, r.file("id_sk.pub"), ssh.KeyAlgoSKED25519+" "+sk+" me\n")
	writeText(t, r.file("id_sk"), "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
	writeText(t, r.file("nonsense"), "nonsense\n")
	r.socket = serveAgent(t, rsaKey, inAgent)
	return r
}

func TestKeysAreOfferedInOrder(t *testing.T) {
	r := newKeyRig(t)
	given := newKey(t)
	givenID := ssh.FingerprintSHA256(given.PublicKey())
	defaults := DefaultKeyFiles(r.dir)
	for name, tc := range map[string]struct {
		keys    Keys
		anyKey  bool
		types   string // what somebody would answer; empty: nobody is there
		want    []string
		skipped []string // parts of the texts
	}{
		"all of them, with nobody there": {
			keys: Keys{Signers: []ssh.Signer{given}, Agent: r.socket, Files: defaults, Own: r.file("own")},
			want: []string{givenID, r.rsa, r.agent, r.own}, skipped: []string{"id_ecdsa skipped: it is encrypted; add it to your agent with  ssh-add "},
		},
		"with somebody there":   {keys: Keys{Agent: r.socket, Files: defaults, Own: r.file("own")}, types: "x", want: []string{r.rsa, r.agent, r.ec, r.own}},
		"a named one is first":  {keys: Keys{Named: []string{r.file("named")}, Agent: r.socket, Files: defaults, Own: r.file("own")}, want: []string{r.named, r.rsa, r.agent, r.own}},
		"identities only":       {keys: Keys{Named: []string{r.file("named"), r.file("id_rsa")}, Agent: r.socket, Only: true, Files: defaults, Own: r.file("own")}, want: []string{r.named, r.rsa}},
		"only, but none named":  {keys: Keys{Agent: r.socket, Only: true, Files: defaults, Own: r.file("own")}, types: "x", want: []string{r.ec, r.rsa, r.own}},
		"a key of the agent":    {keys: Keys{Named: []string{r.file("agents.pub")}, Agent: r.socket, Only: true}, want: []string{r.agent}},
		"that, without .pub":    {keys: Keys{Named: []string{r.file("agents")}, Agent: r.socket, Only: true}, want: []string{r.agent}},
		"a public half alone":   {keys: Keys{Named: []string{r.file("agents.pub")}}, skipped: []string{"public half of a key that the agent does not have"}},
		"a certificate beside":  {keys: Keys{Named: []string{r.file("certified")}}, want: []string{r.rsa + " certificate", r.rsa}},
		"a certificate, named":  {keys: Keys{Certificates: []string{r.file("agent-cert.pub")}, Agent: r.socket}, want: []string{r.rsa, r.agent + " certificate", r.agent}},
		"one that has ended":    {keys: Keys{Named: []string{r.file("named")}, Certificates: []string{r.file("old-cert.pub")}}, want: []string{r.named}, skipped: []string{"the certificate ended at 1970-01-01"}},
		"one for hosts":         {keys: Keys{Named: []string{r.file("named")}, Certificates: []string{r.file("host-cert.pub")}}, want: []string{r.named}, skipped: []string{"not for users"}},
		"one of nobody":         {keys: Keys{Named: []string{r.file("named")}, Certificates: []string{r.file("stray-cert.pub")}}, want: []string{r.named}, skipped: []string{"its key is neither in a file nor in the agent"}},
		"a small RSA key":       {keys: Keys{Named: []string{r.file("small"), r.file("named")}}, want: []string{r.named}, skipped: []string{"an RSA key of 1024 bits is not safe"}},
		"a file open to others": {keys: Keys{Named: []string{r.file("open to all")}}, skipped: []string{"others can read it (mode 0644):  chmod 600 "}},
		"a key in hardware":     {keys: Keys{Named: []string{r.file("id_sk")}}, skipped: []string{"it needs a security key; let your agent use it:  ssh-add "}},
		"no key at all":         {keys: Keys{Named: []string{r.file("nonsense")}}, skipped: []string{"it cannot be read: no key found"}},
		"an absent agent":       {keys: Keys{Named: []string{r.file("named")}, Agent: r.file("no socket")}, want: []string{r.named}, skipped: []string{"the SSH agent skipped"}},
		"a service for anybody": {keys: Keys{Signers: []ssh.Signer{given}, Agent: r.socket, Files: defaults, Own: r.file("own")}, anyKey: true, want: []string{givenID, r.own}},
		"and a key named":       {keys: Keys{Named: []string{r.file("named")}, Agent: r.socket, Files: defaults, Own: r.file("own")}, anyKey: true, want: []string{r.named, r.own}},
		"none":                  {},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			list, skipped, done, err := tc.keys.offers(t.Context(), tc.anyKey, anybody(tc.types, &asked))
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			if d := cmp.Diff(tc.want, fingerprints(list)); d != "" {
				t.Errorf("keys (-want +got):\n%s", d)
			}
			if len(skipped) != len(tc.skipped) {
				t.Errorf("skipped: got %q, want %q", skipped, tc.skipped)
			}
			for i, want := range tc.skipped {
				if i < len(skipped) && !strings.Contains(skipped[i], want) {
					t.Errorf("skipped: got %q, want %q", skipped[i], want)
				}
			}
			if len(asked) != 0 {
				t.Errorf("asked before any server wanted a key: %q", asked)
			}
			for _, o := range list {
				if !strings.Contains(o.signer.PublicKey().Type(), "rsa") {
					continue
				}
				if multi, ok := o.signer.(ssh.MultiAlgorithmSigner); !ok || slices.Contains(multi.Algorithms(), ssh.KeyAlgoRSA) {
					t.Errorf("%s would sign with SHA-1", o)
				}
			}
		})
	}
}

func mustPublic(t *testing.T, key any) ssh.PublicKey {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveAgent is an SSH agent with some keys.
func serveAgent(t *testing.T, keys ...any) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	for _, key := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { _ = agent.ServeAgent(ring, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		work.Wait()
		_ = os.RemoveAll(dir)
	})
	return ln.Addr().String()
}

func TestLoginWithTheAgent(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s := newFakeServer(t)
	s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, shown ssh.PublicKey) (*ssh.Permissions, error) {
		if string(shown.Marshal()) != string(public.Marshal()) {
			return nil, errors.New("no")
		}
		return nil, nil
	}
	p := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), s.listen())
	p.Keys = Keys{Agent: serveAgent(t, key)}
	openTunnel(t, s, p)

	p.Keys = Keys{}
	_, err = p.Open(t.Context())
	if refused := (*tunnel.RefusedError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "no key to log in with") {
		t.Errorf("without it: got %v", err)
	}
}

func TestHostsRefuse(t *testing.T) {
	dir := t.TempDir()
	s := newFakeServer(t)
	port := s.listen()
	other := newKey(t).PublicKey()
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherKind, err := ssh.NewPublicKey(&ecKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	host := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), port).Profile.addr()
	known := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	bracketed := "[127.0.0.1]" + host[len("127.0.0.1"):]
	line := func(k ssh.PublicKey) string { return bracketed + " " + string(ssh.MarshalAuthorizedKey(k)) }
	right := s.key.PublicKey()
	changed := known("changed it is", "# a comment\n"+line(other))
	for name, tc := range map[string]struct {
		hosts Hosts
		want  []string // in the error; none: believed
		hint  string
	}{
		"the user knows it":                 {Hosts{Files: []string{known("right", line(right))}}, nil, ""},
		"another pinned key":                {Hosts{Pinned: other}, []string{"it must be " + ssh.FingerprintSHA256(other), "shows " + ssh.FingerprintSHA256(right)}, ""},
		"another key is known":              {Hosts{Files: []string{changed}, Own: filepath.Join(dir, "own1")}, []string{changed + ":2 has ssh-ed25519 " + ssh.FingerprintSHA256(other), "shows ssh-ed25519 " + ssh.FingerprintSHA256(right)}, "ssh-keygen -f '" + changed + "' -R '" + bracketed + "'"},
		"a key of another kind":             {Hosts{Files: []string{known("kind", line(otherKind))}, Own: filepath.Join(dir, "own2")}, []string{"kind:1 has ecdsa-sha2-nistp256"}, "ssh-keygen -f "},
		"a revoked key":                     {Hosts{Files: []string{known("revoked", "@revoked * "+string(ssh.MarshalAuthorizedKey(right)))}, Own: filepath.Join(dir, "own3")}, []string{"revoked"}, ""},
		"nothing known, nowhere to keep it": {Hosts{}, []string{"nothing is known of this host", ssh.FingerprintSHA256(right)}, "ssh-keyscan -p "},
	} {
		t.Run(name, func(t *testing.T) {
			p := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), port)
			p.Hosts = tc.hosts
			tun, err := p.Open(t.Context())
			if len(tc.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				_ = tun.Close()
				return
			}
			refused := (*tunnel.RefusedError)(nil)
			if !errors.As(err, &refused) || !strings.HasPrefix(refused.Hint, tc.hint) {
				t.Fatalf("got %v (%+v), want a refusal with the hint %s", err, refused, tc.hint)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want it to say %q", err, want)
				}
			}
			if tc.hosts.Own != "" {
				if _, err := os.Stat(tc.hosts.Own); !errors.Is(err, fs.ErrNotExist) {
					t.Error("a refused key was kept")
				}
			}
		})
	}
}

// A certificate of an authority that the user trusts is believed.
func TestHostsBelieveAnAuthority(t *testing.T) {
	authority := newKey(t)
	s := newFakeServer(t)
	cert := &ssh.Certificate{
		Key: s.key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	s.config.AddHostKey(signer)
	p := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), s.listen())
	file := filepath.Join(t.TempDir(), "known_hosts")
	text := "@cert-authority * " + string(ssh.MarshalAuthorizedKey(authority.PublicKey()))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Hosts = Hosts{Files: []string{file}}
	openTunnel(t, s, p)
}

// Nothing that is weak is offered, whatever x/crypto's defaults are.
func TestOnlyStrongAlgorithms(t *testing.T) {
	c := algorithms()
	for _, algo := range slices.Concat(c.KeyExchanges, c.Ciphers, c.MACs, preferKnown([]string{ssh.KeyAlgoRSA, ssh.CertAlgoRSAv01})) {
		if strings.Contains(algo, "sha1") || strings.Contains(algo, "cbc") || algo == ssh.KeyAlgoRSA || algo == ssh.CertAlgoRSAv01 {
			t.Errorf("%s is offered", algo)
		}
	}
	if c.Ciphers[0] != ssh.CipherAES128GCM {
		t.Errorf("the first cipher is %s", c.Ciphers[0])
	}
	if got := preferKnown([]string{ssh.KeyAlgoRSASHA512}); got[0] != ssh.KeyAlgoRSASHA512 || !slices.Contains(got, ssh.KeyAlgoED25519) {
		t.Errorf("for a host with a known RSA key: %v", got)
	}
}

// A server that has nothing of it is refused by name, not called again and again.
func TestWeakServerIsRefused(t *testing.T) {
	s := newFakeServer(t)
	s.config.Ciphers = []string{ssh.InsecureCipherAES128CBC}
	p := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), s.listen())
	_, err := p.Open(t.Context())
	if refused := (*tunnel.RefusedError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "agree on algorithms") {
		t.Errorf("got %v", err)
	}
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]Target{
		"ssh://host":                     {Host: "host"},
		"ssh://ana@host.example:2222":    {User: "ana", Host: "host.example", Port: 2222},
		"ssh://ana@[2001:db8::1]:22":     {User: "ana", Host: "2001:db8::1", Port: 22},
		"ssh://[::1]":                    {Host: "::1"},
		"ssh://token+force@a.service.io": {User: "token+force", Host: "a.service.io"},
		"ssh://host/":                    {Host: "host"},
	} {
		got, err := ParseTarget(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
			continue
		}
		if again, err := ParseTarget(got.String()); err != nil || again != want {
			t.Errorf("%s: written as %s, read as %+v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"":                       "is written ssh://",
		"host:22":                "is written ssh://",
		"http://host":            "is written ssh://",
		"ssh://":                 "host is missing",
		"ssh://ana@":             "host is missing",
		"ssh://@host":            "user's name is empty",
		"ssh://ana:secret@host":  "no password here",
		"ssh://host:":            "port must be a number",
		"ssh://host:0":           "port must be a number",
		"ssh://host:65536":       "port must be a number",
		"ssh://host:+22":         "port must be a number",
		"ssh://[::1]22":          "port must be a number",
		"ssh://::1":              "written in [ ]",
		"ssh://[host]":           "must hold an IPv6 address",
		"ssh://[::1":             "must hold an IPv6 address",
		"ssh://-oProxyCommand=x": "no host name",
		"ssh://host/path":        "no host name",
		"ssh://ho st":            "no host name",
		"ssh://h\x1bost":         "no host name",
	} {
		_, err := ParseTarget(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the password is in the error: %v", text, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{"ssh://a@b:1", "ssh://[::1]:22", "ssh://a:b@c", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTarget(text)
		if err != nil {
			return
		}
		if again, err := ParseTarget(got.String()); err != nil || again != got {
			t.Errorf("%q: %+v is written %q, read as %+v, %v", text, got, got, again, err)
		}
	})
}
