package sshtunnel

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
)

// OwnKey loads slackdev's own key, and makes it when there is none: ed25519, in
// OpenSSH's format, 0600 in a 0700 folder, with its public half in FILE.pub for
// ssh-copy-id. A file that others can read is refused with a *tunnel.RefusedError.
// Two processes that make it at the same time end with the same key.
func OwnKey(file string) (ssh.Signer, error) {
	op := "load the key " + file
	text, _, err := readKeyFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(file); err != nil {
			return nil, fmt.Errorf("make the key %s: %w", file, err)
		}
		text, _, err = readKeyFile(file)
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
