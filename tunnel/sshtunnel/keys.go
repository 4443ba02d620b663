package sshtunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Keys are the keys that a login may use, in the order in which they are offered:
// given ones, the agent's, the files', our own. A Profile that takes any key gets
// the given ones and our own alone: who else the user is, is not its business.
type Keys struct {
	Signers    []ssh.Signer                      // given as they are
	Agent      string                            // socket of an SSH agent; empty: none
	Files      []string                          // private keys; missing ones are skipped
	Own        string                            // slackdev's own ed25519 key, made on first use; empty: none
	Passphrase func(file string) ([]byte, error) // opens an encrypted file; nil: such files are skipped, with a notice
}

// maxKeyFile bounds what is read of a key file.
const maxKeyFile = 64 << 10

// DefaultKeyFiles are the files in an .ssh folder that OpenSSH tries by itself.
func DefaultKeyFiles(folder string) []string {
	return []string{
		filepath.Join(folder, "id_ed25519"),
		filepath.Join(folder, "id_ecdsa"),
		filepath.Join(folder, "id_rsa"),
	}
}

// signers collects the keys for one login. Keys that cannot be used are named in
// the notices and skipped; our own key must work. The agent's keys work until done
// is called.
func (k *Keys) signers(ctx context.Context, anyKey bool) (list []ssh.Signer, notices []string, done func(), err error) {
	done = func() {}
	list = slices.Clone(k.Signers)
	if !anyKey && k.Agent != "" {
		fromAgent, closeAgent, err := agentSigners(ctx, k.Agent)
		if err != nil {
			notices = append(notices, "SSH agent skipped: "+err.Error())
		} else {
			list, done = append(list, fromAgent...), closeAgent
		}
	}
	if !anyKey {
		for _, file := range k.Files {
			signer, err := k.load(file)
			switch {
			case err == nil:
				list = append(list, signer)
			case !errors.Is(err, fs.ErrNotExist):
				notices = append(notices, "key "+file+" skipped: "+err.Error())
			}
		}
	}
	if k.Own != "" {
		own, err := OwnKey(k.Own)
		if err != nil {
			done()
			return nil, nil, nil, err
		}
		list = append(list, own)
	}
	if list, err = usable(list); err != nil {
		done()
		return nil, nil, nil, err
	}
	return list, notices, done, nil
}

// usable drops keys that come twice and keeps RSA keys from signing with SHA-1.
func usable(list []ssh.Signer) ([]ssh.Signer, error) {
	seen := make(map[string]bool)
	var out []ssh.Signer
	for _, s := range list {
		id := string(s.PublicKey().Marshal())
		if seen[id] {
			continue
		}
		seen[id] = true
		if algos, ok := s.(ssh.AlgorithmSigner); ok && s.PublicKey().Type() == ssh.KeyAlgoRSA {
			sha2, err := ssh.NewSignerWithAlgorithms(algos, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
			if err != nil {
				return nil, fmt.Errorf("use an RSA key: %w", err)
			}
			s = sha2
		}
		out = append(out, s)
	}
	return out, nil
}

// agentSigners asks an agent for its keys. The context bounds the whole talk, so
// that an agent that does not answer cannot hold a login.
func agentSigners(ctx context.Context, socket string) ([]ssh.Signer, func(), error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	done := func() {
		if stop() {
			_ = conn.Close()
		}
	}
	list, err := agent.NewClient(conn).Signers()
	if err != nil {
		done()
		return nil, nil, err
	}
	return list, done, nil
}

// load reads one of the user's keys.
func (k *Keys) load(file string) (ssh.Signer, error) {
	text, err := readKeyFile(file)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if locked := (*ssh.PassphraseMissingError)(nil); !errors.As(err, &locked) {
		return signer, err
	}
	if k.Passphrase == nil {
		return nil, errors.New("it is encrypted; add it to your agent with  ssh-add " + shellQuote(file))
	}
	phrase, err := k.Passphrase(file)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKeyWithPassphrase(text, phrase)
}

// OwnKey loads slackdev's own key, and makes it when there is none: ed25519, in
// OpenSSH's format, 0600 in a 0700 folder, with its public half in FILE.pub for
// ssh-copy-id. A file that others can read is refused with a *tunnel.RefusedError.
// Two processes that make it at the same time end with the same key.
func OwnKey(file string) (ssh.Signer, error) {
	op := "load the key " + file
	text, err := readKeyFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(file); err != nil {
			return nil, fmt.Errorf("make the key %s: %w", file, err)
		}
		text, err = readKeyFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, &tunnel.RefusedError{
			Op:   op,
			Err:  fmt.Errorf("others can read it (mode %04o)", mode),
			Hint: "chmod 600 " + shellQuote(file),
		}
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, &tunnel.RefusedError{Op: op, Err: err, Hint: "mv " + shellQuote(file) + " " + shellQuote(file+".broken")}
	}
	return signer, nil
}

// readKeyFile reads a regular file of a bounded size.
func readKeyFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, errors.New("not a key file")
	}
	return os.ReadFile(file)
}

// makeKey writes a new key under a temporary name first, and gives it its name only
// if nobody else has taken that meanwhile.
func makeKey(file string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "slackdev")
	if err != nil {
		return err
	}
	sshPublic, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	temp, err := writeTemp(file, pem.EncodeToMemory(block))
	if err != nil {
		return err
	}
	defer os.Remove(temp) // gone already where it was renamed
	switch err := os.Link(temp, file); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil: // a file system without links
		if err := os.Rename(temp, file); err != nil {
			return err
		}
	}
	pub, err := writeTemp(file, ssh.MarshalAuthorizedKey(sshPublic))
	if err != nil {
		return err
	}
	return os.Rename(pub, file+".pub")
}

// writeTemp writes a file that only the user can read, beside the one that it will become.
func writeTemp(file string, text []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
