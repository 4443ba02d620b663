package sshtunnel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
)

// hostRig is a host with a key, another key, and an authority.
type hostRig struct {
	right, other, authority ssh.Signer
}

func (r hostRig) line(names string, key ssh.Signer) string {
	return names + " " + string(ssh.MarshalAuthorizedKey(key.PublicKey()))
}

// cert is a certificate of the authority, as change leaves it.
func (r hostRig) cert(t *testing.T, change func(*ssh.Certificate)) ssh.PublicKey {
	t.Helper()
	c := &ssh.Certificate{Key: r.right.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"web.example.org"}, ValidBefore: ssh.CertTimeInfinity}
	if change != nil {
		change(c)
	}
	if err := c.SignCert(rand.Reader, r.authority); err != nil {
		t.Fatal(err)
	}
	return c
}

// judgedKey is what a host shows to whom the files say something.
type judgedKey struct {
	known string
	addr  string // default web.example.org:22
	alias string
	key   ssh.PublicKey
	want  string // empty: believed; "new": learnt; otherwise part of the refusal
}

// judgedKeys are the cases.
func judgedKeys(t *testing.T) map[string]judgedKey {
	rig := hostRig{right: newKey(t), other: newKey(t), authority: newKey(t)}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ssh.NewPublicKey(&small.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	plain := rig.right.PublicKey()
	const ca = "@cert-authority "
	broken := " ssh-ed25519 !!!\n"
	return map[string]judgedKey{
		"a stranger":                            {"", "", "", plain, "new"},
		"known":                                 {rig.line("web.example.org", rig.right), "", "", plain, ""},
		"known in capitals":                     {rig.line("WEB.example.org", rig.right), "Web.Example.org:22", "", plain, ""},
		"known among others":                    {rig.line("a,web.example.org,10.0.0.1", rig.right), "", "", plain, ""},
		"known by a pattern":                    {rig.line("*.example.org,!bad.example.org", rig.right), "", "", plain, ""},
		"excepted from a pattern":               {rig.line("*.example.org,!web.example.org", rig.other), "", "", plain, "new"},
		"changed":                               {rig.line("web.example.org", rig.other), "", "", plain, "it has changed: FILE:1 has ssh-ed25519 " + ssh.FingerprintSHA256(rig.other.PublicKey()) + ", the server shows"},
		"two keys, one right":                   {rig.line("web.example.org", rig.other) + rig.line("web.example.org", rig.right), "", "", plain, ""},
		"another port":                          {rig.line("web.example.org", rig.other), "web.example.org:2222", "", plain, "new"},
		"the port":                              {rig.line("[web.example.org]:2222", rig.other), "web.example.org:2222", "", plain, "it has changed"},
		"the right key, without the port":       {rig.line("web.example.org", rig.right), "web.example.org:2222", "", plain, ""},
		"another key, right without the port":   {rig.line("web.example.org", rig.right) + rig.line("[web.example.org]:2222", rig.other), "web.example.org:2222", "", plain, "it has changed: FILE:2 has"},
		"any host and port":                     {rig.line("*", rig.other), "web.example.org:2222", "", plain, "it has changed"},
		"an address":                            {rig.line("[2001:db8::1]:2222", rig.right), "[2001:db8::1]:2222", "", plain, ""},
		"an alias":                              {rig.line("alias", rig.right) + rig.line("[web.example.org]:2222", rig.other), "web.example.org:2222", "alias", plain, ""},
		"an alias with another key":             {rig.line("alias", rig.other), "", "Alias", plain, "it has changed"},
		"a broken line of another host":         {"other" + broken + rig.line("web.example.org", rig.right), "", "", plain, ""},
		"a broken line of another host, new":    {"other" + broken + "nonsense\n@marker web.example.org x y\n|1|x|y ssh-ed25519 AAAA\n", "", "", plain, "new"},
		"a broken line of this host":            {"web.example.org" + broken, "", "", plain, "FILE:1 is about this host and cannot be read"},
		"a broken line, and the right one":      {"web.example.org" + broken + rig.line("web.example.org", rig.right), "", "", plain, ""},
		"a line of this host that is cut off":   {"web.example.org ssh-ed25519\n", "", "", plain, "FILE:1 is about this host and cannot be read"},
		"a key that calls itself another":       {"web.example.org ssh-rsa " + strings.Fields(rig.line("x", rig.right))[2] + "\n", "", "", plain, "cannot be read"},
		"a kind of key that nobody knows":       {"web.example.org ssh-xmss@openssh.com " + base64.StdEncoding.EncodeToString(ssh.Marshal(struct{ A, B string }{"ssh-xmss@openssh.com", "x"})) + "\n", "", "", plain, "it has changed: FILE:1 has ssh-xmss@openssh.com"},
		"revoked":                               {rig.line("web.example.org", rig.right) + rig.line("@revoked *", rig.right), "", "", plain, "has been revoked: FILE:2"},
		"revoked on another host":               {rig.line("@revoked elsewhere", rig.right), "", "", plain, "has been revoked"},
		"another key is revoked":                {rig.line("web.example.org", rig.right) + rig.line("@revoked *", rig.other), "", "", plain, ""},
		"something is revoked":                  {rig.line("web.example.org", rig.right) + "@revoked *" + broken, "", "", plain, "FILE:2 revokes a key that cannot be read"},
		"revoked, and cut off":                  {"@revoked\n", "", "", plain, "FILE:1 revokes a key that cannot be read"},
		"a weak key":                            {"web.example.org " + string(ssh.MarshalAuthorizedKey(weak)), "", "", weak, "its RSA key has 1024 bits"},
		"a certificate":                         {rig.line(ca+"*.example.org", rig.authority), "", "", rig.cert(t, nil), ""},
		"a certificate on another port":         {rig.line(ca+"*.example.org", rig.authority), "web.example.org:2222", "", rig.cert(t, nil), ""},
		"a certificate for another name":        {rig.line(ca+"*", rig.authority), "", "", rig.cert(t, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"db.example.org"} }), `its certificate, by the authority in FILE:1, is not good: ssh: principal "web.example.org" not in`},
		"a certificate for a pattern":           {rig.line(ca+"*", rig.authority), "", "", rig.cert(t, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"db", "*.example.org"} }), ""},
		"a certificate for the alias":           {rig.line(ca+"real", rig.authority), "", "real", rig.cert(t, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"real"} }), ""},
		"a certificate for the host, not alias": {rig.line(ca+"real", rig.authority), "", "real", rig.cert(t, nil), "is not good"},
		"a certificate that has ended":          {rig.line(ca+"*", rig.authority), "", "", rig.cert(t, func(c *ssh.Certificate) { c.ValidBefore = 1 }), "expired"},
		"a certificate that begins later":       {rig.line(ca+"*", rig.authority), "", "", rig.cert(t, func(c *ssh.Certificate) { c.ValidAfter = uint64(time.Now().Add(time.Hour).Unix()) }), "not yet valid"},
		"a certificate for users":               {rig.line(ca+"*", rig.authority), "", "", rig.cert(t, func(c *ssh.Certificate) { c.CertType = ssh.UserCert }), "it is not for hosts"},
		"a certificate with a condition":        {rig.line(ca+"*", rig.authority), "", "", rig.cert(t, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"only-then": "x"} }), "unsupported critical option"},
		"a bad certificate, but a known key":    {rig.line(ca+"*", rig.authority) + rig.line("web.example.org", rig.right), "", "", rig.cert(t, func(c *ssh.Certificate) { c.ValidBefore = 1 }), ""},
		"of an authority for another host":      {rig.line(ca+"db.example.org", rig.authority), "", "", rig.cert(t, nil), "new"},
		"of an unknown authority, changed":      {rig.line("web.example.org", rig.other), "", "", rig.cert(t, nil), "it has changed"},
		"of a revoked authority":                {rig.line(ca+"*", rig.authority) + rig.line("@revoked *", rig.authority), "", "", rig.cert(t, nil), "has been revoked: FILE:2"},
		"with a revoked key":                    {rig.line(ca+"*", rig.authority) + rig.line("@revoked *", rig.right), "", "", rig.cert(t, nil), "has been revoked: FILE:2"},
		"no certificate, where one is due":      {rig.line(ca+"*.example.org", rig.authority), "", "", plain, "FILE:1 names an authority for this host, and it shows no certificate"},
		"the authority's own key":               {rig.line(ca+"*.example.org", rig.authority), "", "", rig.authority.PublicKey(), "FILE:1 names an authority for this host"},
	}
}

func TestHostKeysAreJudged(t *testing.T) {
	for name, tc := range judgedKeys(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "known_hosts")
			writeText(t, file, tc.known)
			var learnt []FirstUse
			h := Hosts{Files: []string{file, "/dev/null", filepath.Join(dir, "absent")}, Own: filepath.Join(dir, "own", "known_hosts"), Alias: tc.alias, FirstUse: func(f FirstUse) { learnt = append(learnt, f) }}
			addr := tc.addr
			if addr == "" {
				addr = "web.example.org:22"
			}
			judge := func() error {
				check, _, err := h.checker(addr)
				if err != nil {
					t.Fatal(err)
				}
				return check(addr, nil, tc.key)
			}
			err := judge()
			refused := (*tunnel.RefusedError)(nil)
			switch {
			case tc.want == "" && (err != nil || learnt != nil):
				t.Errorf("got %v, %v, want it believed", err, learnt)
			case tc.want == "new" && (err != nil || len(learnt) != 1):
				t.Errorf("got %v, %v, want it learnt", err, learnt)
			case tc.want == "" || tc.want == "new":
			case !errors.As(err, &refused) || !strings.Contains(err.Error(), strings.ReplaceAll(tc.want, "FILE", file)):
				t.Errorf("got %v, want a refusal that says %q", err, tc.want)
			case learnt != nil:
				t.Error("a refused key was kept")
			}
			if tc.want != "new" {
				return
			}
			if err := judge(); err != nil || len(learnt) != 1 { // now it is known
				t.Errorf("the second time: %v, %v", err, learnt)
			}
			h.Strict, h.Own = true, ""
			if err := judge(); !errors.As(err, &refused) || !strings.Contains(err.Error(), "nothing is known of this host") {
				t.Errorf("StrictHostKeyChecking: got %v", err)
			}
		})
	}
}

// What is learnt is found again, also behind a line that somebody has not ended.
func TestWhatIsLearntStandsOnALineOfItsOwn(t *testing.T) {
	rig := hostRig{right: newKey(t), other: newKey(t)}
	own := filepath.Join(t.TempDir(), "known_hosts")
	writeText(t, own, strings.TrimSuffix(rig.line("db.example.org", rig.other), "\n"))
	learnt := 0
	h := Hosts{Own: own, FirstUse: func(FirstUse) { learnt++ }}
	for _, tc := range []struct {
		addr string
		key  ssh.Signer
	}{{"web.example.org:22", rig.right}, {"web.example.org:22", rig.right}, {"db.example.org:22", rig.other}} {
		check, _, err := h.checker(tc.addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(tc.addr, nil, tc.key.PublicKey()); err != nil {
			t.Error(err)
		}
	}
	if learnt != 1 {
		t.Errorf("learnt %d keys, want 1", learnt)
	}
}

// Two that see a host for the first time, at the same time, believe one key.
func TestTheFirstToLearnAKeyIsRight(t *testing.T) {
	rig := hostRig{right: newKey(t), other: newKey(t)}
	learnt := 0
	h := Hosts{Own: filepath.Join(t.TempDir(), "known_hosts"), FirstUse: func(FirstUse) { learnt++ }}
	const addr = "web.example.org:22"
	var checks []ssh.HostKeyCallback // of logins that began before anything was known
	for range 3 {
		check, _, err := h.checker(addr)
		if err != nil {
			t.Fatal(err)
		}
		checks = append(checks, check)
	}
	if err := checks[0](addr, nil, rig.right.PublicKey()); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := checks[1](addr, nil, rig.right.PublicKey()); err != nil {
		t.Errorf("the same key again: %v", err)
	}
	if err := checks[2](addr, nil, rig.other.PublicKey()); err == nil || !strings.Contains(err.Error(), "it has changed") {
		t.Errorf("another key: %v", err)
	}
	if learnt != 1 {
		t.Errorf("learnt %d keys, want 1", learnt)
	}
}

// Names that ssh-keygen has hashed are found, and it finds the lines that we find.
func TestKnownHostsAreFoundAsSSHFindsThem(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no ssh-keygen here (Debian: openssh-client)")
	}
	rig := hostRig{right: newKey(t)}
	for name, tc := range map[string]struct {
		text   string
		hashed bool
	}{
		"plain":  {rig.line("web", rig.right) + rig.line("[web]:2222,db", rig.right) + rig.line("[::1]:22", rig.right) + rig.line("::1", rig.right), false},
		"hashed": {rig.line("web", rig.right) + rig.line("[web]:2222,db", rig.right) + rig.line("::1", rig.right), true},
		"patterns": {rig.line("w?b,!wxb", rig.right) + rig.line("*:2222", rig.right) + rig.line("!web,*", rig.right) + "# web\n\n" + rig.line("*.org", rig.right) +
			"web broken\n" + "@revoked web x y\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			writeText(t, file, tc.text)
			if tc.hashed {
				if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-H", "-f", file).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "web") {
					t.Fatalf("not hashed: %v %s", err, text)
				}
			}
			known, err := readKnownHosts([]string{file})
			if err != nil {
				t.Fatal(err)
			}
			for _, host := range []string{"web", "WEB", "wxb", "wb", "db", "[web]:2222", "[db]:2222", "::1", "[::1]:22", "a.org", "org"} {
				out, _ := exec.CommandContext(t.Context(), "ssh-keygen", "-F", host, "-f", file).Output() // fails where nothing is found
				if tc.hashed && host == "WEB" {
					continue // ssh writes a name in lower case before it looks for it; ssh-keygen does not
				}
				var want, got []string
				for line := range strings.Lines(string(out)) {
					if _, number, ok := strings.Cut(line, "found: line "); ok {
						want = append(want, strings.Fields(number)[0])
					}
				}
				for _, l := range known {
					if l.about(strings.ToLower(host)) && l.blob != nil {
						got = append(got, strings.TrimPrefix(l.place(), file+":"))
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s (-ssh-keygen +ours):\n%s", host, d)
				}
			}
		})
	}
}

func TestKnownHostsTooLargeAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(maxKnownHosts+1), f.Close()); err != nil {
		t.Fatal(err)
	}
	h := Hosts{Files: []string{file}}
	if _, _, err := h.checker("web:22"); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("got %v", err)
	}
}

// A server is asked first for what can be checked.
func TestKnownKeysAreAskedForFirst(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecSigner, err := ssh.NewSignerFromKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	rig := hostRig{right: newKey(t)}
	for name, tc := range map[string]struct {
		known, spec, addr string
		want              []string // what comes first
		never             string
	}{
		"nothing":            {"", "", "", []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256}, "-cert-"},
		"an ECDSA key":       {rig.line("web", ecSigner), "", "", []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoED25519}, "-cert-"},
		"an authority":       {rig.line("@cert-authority web", ecSigner), "", "", certAlgorithms(), ""},
		"without the port":   {rig.line("web", ecSigner), "", "web:2222", []string{ssh.KeyAlgoECDSA256}, ""},
		"a list":             {rig.line("web", ecSigner), "rsa-sha2-256,ssh-rsa,ssh-dss", "", []string{ssh.KeyAlgoRSASHA256}, "ed25519"},
		"a list to begin":    {rig.line("web", ecSigner), "^rsa-sha2-256", "", []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoECDSA256, ssh.KeyAlgoED25519}, ""},
		"a list to add":      {rig.line("web", ecSigner), "+ssh-rsa", "", []string{ssh.KeyAlgoECDSA256}, "ssh-rsa"},
		"a list to take off": {rig.line("web", ecSigner), "-ssh-ed*,rsa-*", "", []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384}, "ed25519"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			writeText(t, file, tc.known)
			h := Hosts{Files: []string{file}, Algorithms: tc.spec}
			addr := "web:22"
			if tc.addr != "" {
				addr = tc.addr
			}
			_, got, err := h.checker(addr)
			if err != nil || !slices.Equal(got[:min(len(got), len(tc.want))], tc.want) {
				t.Errorf("got %v, %v, want at first %v", got, err, tc.want)
			}
			if tc.never != "" && strings.Contains(strings.Join(got, " "), tc.never) {
				t.Errorf("got %v, want nothing of %s", got, tc.never)
			}
		})
	}
	for _, spec := range []string{"ssh-rsa", "ssh-dss,nonsense", "-*", "+-ssh-rsa", "^^x"} {
		if got, err := chooseAlgorithms(spec, preferKnown(nil)); err == nil {
			t.Errorf("%s: got %v, want an error", spec, got)
		}
	}
}

// Nothing is offered that the OpenSSH of this machine has not enabled by itself, except
// the one key exchange that newer ones have.
func TestAlgorithmsAreThoseOfOpenSSH(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "ssh", "-G", "-F", "none", "host").Output()
	if err != nil {
		t.Skipf("no ssh here (Debian: openssh-client): %v", err)
	}
	c := algorithms()
	ours := map[string][]string{
		"kexalgorithms": c.KeyExchanges, "ciphers": c.Ciphers, "macs": c.MACs, "hostkeyalgorithms": append(certAlgorithms(), hostKeyAlgorithms()...),
		"casignaturealgorithms": hostKeyAlgorithms(),
	}
	checked := 0
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, algo := range ours[key] {
			if !slices.Contains(strings.Split(value, ","), algo) && algo != ssh.KeyExchangeMLKEM768X25519 {
				t.Errorf("%s: %s is not on in OpenSSH", key, algo)
			}
		}
		if ours[key] != nil {
			checked++
		}
	}
	if checked != len(ours) {
		t.Errorf("ssh -G has %d of the %d lists", checked, len(ours))
	}
}

func FuzzKnownHosts(f *testing.F) {
	for _, text := range []string{"web ssh-ed25519 AAAA", "@revoked * x", "|1|a|b ssh-rsa x", "!web,* k v", "# x", "@cert-authority *.x a b c"} {
		f.Add(text, "web")
	}
	f.Fuzz(func(t *testing.T, text, host string) {
		l, ok := parseKnownLine(text)
		if ok && l.marker == "" && l.hosts == "" {
			t.Errorf("%q is about nobody", text)
		}
		l.about(host)
	})
}

func FuzzMatchPattern(f *testing.F) {
	f.Add("web.example.org", "*.ex?mple.*")
	f.Add("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "*a*a*a*a*a*a*a*a*c")
	f.Fuzz(func(t *testing.T, s, pattern string) {
		if len(s) > 12 || len(pattern) > 12 {
			matchPattern(s[:min(len(s), 2000)], pattern[:min(len(pattern), 2000)]) // ends
			return
		}
		if got, want := matchPattern(s, pattern), slowMatch(s, pattern); got != want {
			t.Errorf("%q against %q: got %v, want %v", s, pattern, got, want)
		}
	})
}

// slowMatch is the definition.
func slowMatch(s, p string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return slowMatch(s, p[1:]) || s != "" && slowMatch(s[1:], p)
	}
	return s != "" && (p[0] == '?' || p[0] == s[0]) && slowMatch(s[1:], p[1:])
}
