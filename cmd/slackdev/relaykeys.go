package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/cmd/internal/console"
)

// maxKeys bounds an authorized_keys file, in bytes.
const maxKeys = 4 << 20

// allowed reads an authorized_keys file. Without one, every key is welcome.
func allowed(file string) (func(ssh.PublicKey) bool, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, &console.Error{Err: fmt.Errorf("read the keys: %w", err), Code: console.Usage}
	}
	defer f.Close()
	rest, err := io.ReadAll(io.LimitReader(f, maxKeys))
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	known := map[string]bool{}
	for len(bytes.TrimSpace(rest)) > 0 {
		key, _, _, next, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			break // what follows has no key in it
		}
		known[string(key.Marshal())] = true
		rest = next
	}
	if len(known) == 0 {
		return nil, usage(fmt.Errorf("%s has no key in it", file), "its lines are those of ~/.ssh/id_ed25519.pub")
	}
	return func(key ssh.PublicKey) bool { return known[string(key.Marshal())] }, nil
}
