package sshtunnel

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// Hosts says which host keys are believed: those in the user's known_hosts, those
// in our own file, and, on first use, one of a host that neither knows, which is
// then kept in our own file. A host that shows another key than the known one is
// refused. The files are read at each login, so that a correction needs no restart.
//
// It is safe for use by many goroutines and processes: our file is only appended
// to, a line at a time.
type Hosts struct {
	Files    []string       // the user's known_hosts files, never written; missing ones are skipped
	Own      string         // our own, made on first use (0600 in 0700); empty: a new host is refused
	FirstUse func(FirstUse) // hears of a host that is believed for the first time; may be nil
	Pinned   ssh.PublicKey  // if set: this key and no other, whatever the files say
}

// FirstUse is a host key that was believed because nothing was known of its host.
type FirstUse struct {
	Host        string // host:port as dialled
	Type        string // ssh-ed25519 …
	Fingerprint string // SHA256:…, as ssh-keygen -l prints it
	File        string // where it is kept now
}

// checker gives the callback for one login and the algorithms to ask for.
func (h *Hosts) checker(addr string) (ssh.HostKeyCallback, []string, error) {
	if h.Pinned != nil {
		return h.checkPinned, forKey(h.Pinned), nil
	}
	var files []string
	for _, name := range append(slices.Clone(h.Files), h.Own) {
		if name == "" {
			continue
		}
		if _, err := os.Stat(name); err == nil {
			files = append(files, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("read known hosts: %w", err)
		}
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		// A line that cannot be read may be the one that would have refused.
		return nil, nil, &tunnel.RefusedError{Op: "read known hosts", Err: err}
	}
	check := db.HostKeyCallback()
	return func(host string, remote net.Addr, key ssh.PublicKey) error {
		return h.judge(host, key, check(host, remote, key))
	}, preferKnown(db.HostKeyAlgorithms(addr)), nil
}

// judge turns what the files say about a key into a refusal, or learns the key.
func (h *Hosts) judge(host string, key ssh.PublicKey, said error) error {
	if said == nil {
		return nil
	}
	op := "check the host key of " + host
	var known *xknownhosts.KeyError
	switch {
	case !errors.As(said, &known): // revoked, or a certificate of nobody we know
		return &tunnel.RefusedError{Op: op, Err: said}
	case len(known.Want) > 0:
		return changedKey(op, host, key, known.Want)
	case h.Own == "":
		return &tunnel.RefusedError{
			Op:   op,
			Err:  fmt.Errorf("nothing is known of this host; it shows %s %s", key.Type(), ssh.FingerprintSHA256(key)),
			Hint: "ssh-keyscan " + scanArgs(host) + " >> ~/.ssh/known_hosts",
		}
	}
	if err := h.learn(host, key); err != nil {
		return fmt.Errorf("keep the host key of %s: %w", host, err)
	}
	if h.FirstUse != nil {
		h.FirstUse(FirstUse{Host: host, Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key), File: h.Own})
	}
	return nil
}

// changedKey names both keys, and the line that would have to go.
func changedKey(op, host string, key ssh.PublicKey, want []xknownhosts.KnownKey) error {
	old := want[0]
	for _, k := range want {
		if k.Key.Type() == key.Type() {
			old = k
		}
	}
	return &tunnel.RefusedError{
		Op: op,
		Err: fmt.Errorf("it has changed: %s:%d has %s %s, the server shows %s %s",
			old.Filename, old.Line, old.Key.Type(), ssh.FingerprintSHA256(old.Key), key.Type(), ssh.FingerprintSHA256(key)),
		Hint: "ssh-keygen -f " + shellQuote(old.Filename) + " -R " + shellQuote(knownhosts.Normalize(host)),
	}
}

// checkPinned believes one key.
func (h *Hosts) checkPinned(host string, _ net.Addr, key ssh.PublicKey) error {
	if string(key.Marshal()) == string(h.Pinned.Marshal()) {
		return nil
	}
	return &tunnel.RefusedError{
		Op: "check the host key of " + host,
		Err: fmt.Errorf("it must be %s, the server shows %s",
			ssh.FingerprintSHA256(h.Pinned), ssh.FingerprintSHA256(key)),
	}
}

// learn appends one line to our own file, in one write.
func (h *Hosts) learn(host string, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(h.Own), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(h.Own, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(knownhosts.Line([]string{host}, key) + "\n")
	return errors.Join(err, f.Close())
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
