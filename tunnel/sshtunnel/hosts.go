package sshtunnel

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
)

// Hosts says which host keys are believed: those in the user's known_hosts, those
// in our own file, certificates of an authority that one of them names, and, on first
// use, the key of a host of which nothing is known, which is then kept in our own
// file. A host that shows another key than the known one is refused. The files are
// read at each login, so that a correction needs no restart.
//
// It is safe for use by many goroutines and processes: our file is only appended
// to, a line at a time.
type Hosts struct {
	Files    []string       // the user's known_hosts files, never written; missing ones are skipped
	Own      string         // our own, made on first use (0600 in 0700); empty: a new host is refused
	FirstUse func(FirstUse) // hears of a host that is believed for the first time; may be nil
	Pinned   ssh.PublicKey  // if set: this key and no other, whatever the files say

	Alias      string // the name to look for, and of certificates, in place of the host's; empty: the host's
	Strict     bool   // a host of which nothing is known is refused
	Algorithms string // to ask the host for, as HostKeyAlgorithms has them; empty: all that we take, those of known keys first
}

// FirstUse is a host key that was believed because nothing was known of its host.
type FirstUse struct {
	Host        string // host:port as dialled, or the alias
	Type        string // ssh-ed25519 …
	Fingerprint string // SHA256:…, as ssh-keygen -l prints it
	File        string // where it is kept now
}

// checker gives the callback for one login and the algorithms to ask for.
func (h *Hosts) checker(addr string) (ssh.HostKeyCallback, []string, error) {
	if h.Pinned != nil {
		return h.checkPinned, forKey(h.Pinned.Type()), nil
	}
	known, err := readKnownHosts(append(slices.Clone(h.Files), h.Own))
	if err != nil {
		return nil, nil, err
	}
	c := &hostCheck{hosts: h, known: known, addr: addr, name: knownName(addr)}
	host, _, _ := net.SplitHostPort(addr) // ours: it has a port
	c.principal = strings.ToLower(host)
	if c.principal != c.name {
		c.portless = c.principal
	}
	if h.Alias != "" {
		alias := strings.ToLower(h.Alias)
		c.name, c.portless, c.principal = alias, "", alias
	}
	algos := preferKnown(c.types())
	if h.Algorithms != "" {
		if algos, err = chooseAlgorithms(h.Algorithms, algos); err != nil {
			return nil, nil, c.refuse(fmt.Errorf("HostKeyAlgorithms %w", err), "")
		}
	}
	return func(_ string, _ net.Addr, key ssh.PublicKey) error { return c.judge(key) }, algos, nil
}

// checkPinned believes one key.
func (h *Hosts) checkPinned(host string, _ net.Addr, key ssh.PublicKey) error {
	if bytes.Equal(key.Marshal(), h.Pinned.Marshal()) {
		return nil
	}
	return &tunnel.RefusedError{
		Op: "check the host key of " + host,
		Err: fmt.Errorf("it must be %s, the server shows %s",
			ssh.FingerprintSHA256(h.Pinned), ssh.FingerprintSHA256(key)),
	}
}

// hostCheck judges the key that one host shows.
type hostCheck struct {
	hosts     *Hosts
	known     knownHosts
	addr      string // as dialled
	name      string // to look for
	portless  string // to look for where nothing is known under name; empty: nothing. Such a line can only be believed
	principal string // that a certificate must be for
}

// types is the algorithms of the keys that are known for the host. A line with an
// authority says nothing of the kind of key that it certifies.
func (c *hostCheck) types() []string {
	var types []string
	for _, name := range []string{c.name, c.portless} {
		if name == "" || len(types) > 0 {
			continue
		}
		if len(c.known.with(markAuthority, name)) > 0 {
			types = certAlgorithms()
		}
		for _, l := range c.known.with("", name) {
			types = append(types, forKey(blobType(l.blob))...)
		}
	}
	return types
}

// judge believes a key, refuses it, or learns it.
func (c *hostCheck) judge(key ssh.PublicKey) error {
	cert, certified := key.(*ssh.Certificate)
	shown := []ssh.PublicKey{key}
	if certified {
		shown = []ssh.PublicKey{cert.Key, cert.SignatureKey}
	}
	for _, k := range shown {
		if l, ok := c.known.revoked(k.Marshal()); ok {
			return c.revoked(l, k)
		}
		if bits := rsaBits(k); bits > 0 && bits < minRSABits {
			return c.refuse(fmt.Errorf("its RSA key has %d bits, and fewer than %d are not safe", bits, minRSABits), "")
		}
	}
	if !certified {
		return c.judgePlain(key)
	}
	authority, ok := c.authority(cert.SignatureKey)
	if !ok { // of nobody that we know: what counts is the key in it
		return c.judgePlain(cert.Key)
	}
	if err := checkHostCert(cert, c.principal); err != nil {
		if c.believed(cert.Key) {
			return nil
		}
		return c.refuse(fmt.Errorf("its certificate, by the authority in %s, is not good: %w", authority.place(), err), "")
	}
	return nil
}

// authority finds the line that trusts a signer for this host.
func (c *hostCheck) authority(signer ssh.PublicKey) (knownLine, bool) {
	blob := signer.Marshal()
	if l, ok := c.known.with(markAuthority, c.name).having(blob); ok || c.portless == "" {
		return l, ok
	}
	return c.known.with(markAuthority, c.portless).having(blob)
}

// believed reports whether a line has this key for this host. What is known of the
// host without its port counts where nothing is known with it: the key of another
// server on the same machine is a changed key.
func (c *hostCheck) believed(key ssh.PublicKey) bool {
	lines := c.known.with("", c.name)
	if len(lines) == 0 && c.portless != "" {
		lines = c.known.with("", c.portless)
	}
	_, ok := lines.having(key.Marshal())
	return ok
}

// judgePlain judges a key that no authority vouches for.
func (c *hostCheck) judgePlain(key ssh.PublicKey) error {
	if c.believed(key) {
		return nil
	}
	lines := c.known.with("", c.name)
	if l, ok := lines.unreadable(); ok {
		return c.refuse(fmt.Errorf("%s is about this host and cannot be read; it shows %s %s",
			l.place(), key.Type(), ssh.FingerprintSHA256(key)), c.forget(l))
	}
	if len(lines) > 0 {
		return c.changed(key, lines)
	}
	authorities := c.known.with(markAuthority, c.name)
	if c.portless != "" {
		authorities = append(authorities, c.known.with(markAuthority, c.portless)...)
	}
	if len(authorities) > 0 {
		return c.refuse(fmt.Errorf("%s names an authority for this host, and it shows no certificate of it, but %s %s",
			authorities[0].place(), key.Type(), ssh.FingerprintSHA256(key)), "")
	}
	if c.hosts.Own == "" || c.hosts.Strict {
		return c.refuse(fmt.Errorf("nothing is known of this host; it shows %s %s", key.Type(), ssh.FingerprintSHA256(key)),
			"ssh-keyscan "+scanArgs(c.addr)+" >> "+c.userFile())
	}
	return c.learn(key)
}

// changed names both keys, and the line that would have to go.
func (c *hostCheck) changed(key ssh.PublicKey, lines knownHosts) error {
	old := lines[0]
	for _, l := range lines {
		if blobType(l.blob) == key.Type() {
			old = l
		}
	}
	return c.refuse(fmt.Errorf("it has changed: %s has %s %s, the server shows %s %s",
		old.place(), blobType(old.blob), old.fingerprint(), key.Type(), ssh.FingerprintSHA256(key)), c.forget(old))
}

// revoked refuses for a line that revokes.
func (c *hostCheck) revoked(l knownLine, key ssh.PublicKey) error {
	if l.blob == nil {
		return c.refuse(fmt.Errorf("%s revokes a key that cannot be read, which may be the one that the server shows, %s %s",
			l.place(), key.Type(), ssh.FingerprintSHA256(key)), "")
	}
	return c.refuse(fmt.Errorf("%s %s has been revoked: %s", key.Type(), ssh.FingerprintSHA256(key), l.place()), "")
}

func (c *hostCheck) refuse(err error, hint string) error {
	return &tunnel.RefusedError{Op: "check the host key of " + c.addr, Err: err, Hint: hint}
}

// forget is what takes a line about this host away.
func (c *hostCheck) forget(l knownLine) string {
	return "ssh-keygen -f " + shellQuote(l.file) + " -R " + shellQuote(c.name)
}

// userFile is where a person would add a key.
func (c *hostCheck) userFile() string {
	if len(c.hosts.Files) == 0 {
		return "~/.ssh/known_hosts"
	}
	return shellQuote(c.hosts.Files[0])
}

// learn appends one line to our own file, in one write. The file was read when the
// login began: whoever has learnt a key of this host since then was first.
func (c *hostCheck) learn(key ssh.PublicKey) error {
	own, err := readKnownHosts([]string{c.hosts.Own})
	if err != nil {
		return err
	}
	if lines := own.with("", c.name); len(lines) > 0 {
		c.known = append(c.known, lines...)
		return c.judgePlain(key)
	}
	line := c.name + " " + string(ssh.MarshalAuthorizedKey(key))
	if err := appendLine(c.hosts.Own, line); err != nil {
		return fmt.Errorf("keep the host key of %s: %w", c.addr, err)
	}
	if c.hosts.FirstUse != nil {
		host := c.addr
		if c.hosts.Alias != "" {
			host = c.name
		}
		c.hosts.FirstUse(FirstUse{Host: host, Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key), File: c.hosts.Own})
	}
	return nil
}

// appendLine adds a line, and ends the one before it where somebody has not: two in
// one would be the first alone, and what is learnt would be new each time.
func appendLine(file, line string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	var last [1]byte
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end > 0 {
		if _, err := f.ReadAt(last[:], end-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}

// checkHostCert checks a host's certificate: its kind, time, names, options, and the
// signature of its authority. Names in it may be patterns; none means any host.
func checkHostCert(cert *ssh.Certificate, host string) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("it is not for hosts")
	}
	if !slices.Contains(hostKeyAlgorithms(), cert.Signature.Format) {
		return fmt.Errorf("it is signed with %s", cert.Signature.Format)
	}
	principal := host
	for _, p := range cert.ValidPrincipals {
		if matchPattern(host, strings.ToLower(p)) {
			principal = p
		}
	}
	return new(ssh.CertChecker).CheckCert(principal, cert)
}

// rsaBits is the size of an RSA key, 0 of any other.
func rsaBits(key ssh.PublicKey) int {
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		if public, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok {
			return public.N.BitLen()
		}
	}
	return 0
}

// scanArgs is host:port as ssh-keyscan takes it.
func scanArgs(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return shellQuote(hostport)
	}
	return "-p " + shellQuote(port) + " " + shellQuote(host)
}

// shellQuote makes s one word of a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./-_", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
