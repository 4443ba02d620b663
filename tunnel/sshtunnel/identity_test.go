package sshtunnel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
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

func TestKeysAreOfferedInOrder(t *testing.T) {
	dir := t.TempDir()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecPublic := writeKey(t, filepath.Join(dir, "id_ecdsa"), ec, "open sesame")
	rsaPublic := writeKey(t, filepath.Join(dir, "id_rsa"), rsaKey, "")
	own, err := OwnKey(filepath.Join(dir, "own"))
	if err != nil {
		t.Fatal(err)
	}
	socket := serveAgent(t, rsaKey)
	given := newKey(t)
	all := Keys{Signers: []ssh.Signer{given}, Agent: socket, Files: DefaultKeyFiles(dir), Own: filepath.Join(dir, "own")}
	sesame := all
	sesame.Passphrase = func(string) ([]byte, error) { return []byte("open sesame"), nil }
	wrong := all
	wrong.Passphrase = func(string) ([]byte, error) { return []byte("wrong"), nil }
	dead := all
	dead.Agent = filepath.Join(dir, "no such socket")

	for name, tc := range map[string]struct {
		keys    Keys
		anyKey  bool
		want    []ssh.PublicKey
		notices int
	}{
		"a service that takes any key":   {all, true, []ssh.PublicKey{given.PublicKey(), own.PublicKey()}, 0},
		"an encrypted file is named":     {all, false, []ssh.PublicKey{given.PublicKey(), rsaPublic, own.PublicKey()}, 1},
		"a passphrase opens it":          {sesame, false, []ssh.PublicKey{given.PublicKey(), rsaPublic, ecPublic, own.PublicKey()}, 0},
		"a wrong passphrase does not":    {wrong, false, []ssh.PublicKey{given.PublicKey(), rsaPublic, own.PublicKey()}, 1},
		"an agent that is gone is named": {dead, false, []ssh.PublicKey{given.PublicKey(), rsaPublic, own.PublicKey()}, 2},
		"no key at all":                  {Keys{}, false, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			list, notices, done, err := tc.keys.signers(t.Context(), tc.anyKey)
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			var got, want []string
			for _, s := range list {
				got = append(got, ssh.FingerprintSHA256(s.PublicKey()))
			}
			for _, k := range tc.want {
				want = append(want, ssh.FingerprintSHA256(k))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("keys (-want +got):\n%s", d)
			}
			if len(notices) != tc.notices {
				t.Errorf("notices: got %q, want %d", notices, tc.notices)
			}
			for _, s := range list {
				if s.PublicKey().Type() != ssh.KeyAlgoRSA {
					continue
				}
				if multi, ok := s.(ssh.MultiAlgorithmSigner); !ok || slices.Contains(multi.Algorithms(), ssh.KeyAlgoRSA) {
					t.Error("an RSA key would sign with SHA-1")
				}
			}
		})
	}
}

// serveAgent is an SSH agent with one key.
func serveAgent(t *testing.T, key any) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
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
		"a file that cannot be read":        {Hosts{Files: []string{known("broken", "host ssh-ed25519 !!!\n")}, Own: filepath.Join(dir, "own4")}, []string{"read known hosts", "broken:1"}, ""},
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
