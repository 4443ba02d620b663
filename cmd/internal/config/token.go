package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tokenBytes of chance are more than anybody can try.
const tokenBytes = 32

// Token gives the secret that the local API asks for: one per user, in a file of the
// state folder that only the user can read, made on first use. A file that others
// could read, or that does not hold a token, is replaced. Safe against a second
// process that does the same at the same time.
func (e Env) Token() (string, error) {
	state, err := e.StateDir()
	if err != nil {
		return "", fmt.Errorf("keep the local API's token: %w", err)
	}
	if err := MakePrivate(state); err != nil {
		return "", fmt.Errorf("keep the local API's token: %w", err)
	}
	path := filepath.Join(state, "token")
	if token, ok := readToken(path); ok {
		return token, nil
	}
	token, err := e.NewToken()
	if err != nil {
		return "", err
	}
	temp, err := writeTemp(state, token+"\n")
	if err != nil {
		return "", fmt.Errorf("keep the local API's token: %w", err)
	}
	defer os.Remove(temp)
	// A link never takes the place of a file: of two processes one wins, both read its token.
	if err := os.Link(temp, path); err == nil {
		return token, nil
	} else if errors.Is(err, fs.ErrExist) {
		if other, ok := readToken(path); ok {
			return other, nil
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return "", fmt.Errorf("keep the local API's token: %w", err)
	}
	return token, nil
}

// NewToken makes a token that is kept nowhere, for where there is no state folder.
func (e Env) NewToken() (string, error) {
	chance := make([]byte, tokenBytes)
	if _, err := io.ReadFull(e.Random, chance); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(chance), nil
}

func readToken(path string) (string, bool) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 1024 || exposed(info) {
		return "", false
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", false
	}
	token := strings.TrimSpace(string(text))
	raw, err := base64.RawURLEncoding.DecodeString(token)
	return token, err == nil && len(raw) == tokenBytes
}

func writeTemp(dir, text string) (path string, err error) {
	f, err := os.CreateTemp(dir, ".token-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}
