package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"
)

// Env is everything that slackdev takes from outside without being told: what main
// finds, or what a test makes up. Its fields are read-only.
type Env struct {
	OS         string                                    // whose folders: a GOOS
	Lookup     func(name string) (value string, ok bool) // the environment
	Dir        string                                    // the working directory, absolute
	User       string                                    // the login name, may be empty
	Stdin      io.Reader
	Stdout     io.Writer
	Stderr     io.Writer
	IsTerminal func(stream any) bool // of one of the three
	Now        func() time.Time
	Random     io.Reader // fit for secrets
}

// FromOS is the real outside. It fails only where there is no working directory.
func FromOS() (Env, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Env{}, fmt.Errorf("find the working directory: %w", err)
	}
	e := Env{
		OS: runtime.GOOS, Lookup: os.LookupEnv, Dir: dir,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		IsTerminal: isTerminal, Now: time.Now, Random: rand.Reader,
	}
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if e.User = e.Getenv(name); e.User != "" {
			return e, nil
		}
	}
	if u, err := user.Current(); err == nil { // a container's user may have no name; that is fine
		e.User = u.Username
	}
	return e, nil
}

func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// Getenv gives a variable's value, "" when it is not set.
func (e Env) Getenv(name string) string {
	if e.Lookup == nil {
		return ""
	}
	value, _ := e.Lookup(name)
	return value
}

func (e Env) terminal(stream any) bool { return e.IsTerminal != nil && e.IsTerminal(stream) }

// ErrNoHome says that the folders of the user cannot be told: neither the home nor
// the variable that names the folder is set to an absolute path.
var ErrNoHome = errors.New("the home folder is not known")

// Home is the user's home folder, "" when it is not known.
func (e Env) Home() string {
	name := "HOME"
	if e.OS == "windows" {
		name = "USERPROFILE"
	}
	return absolute(e.Getenv(name))
}

// ConfigDir is where the user's config.yaml is looked for. It is not made.
func (e Env) ConfigDir() (string, error) {
	return e.folder("XDG_CONFIG_HOME", "APPDATA", ".config", "Library/Application Support")
}

// DataDir holds what a person would not want to lose: the history, keys. It is not made.
func (e Env) DataDir() (string, error) {
	return e.folder("XDG_DATA_HOME", "LOCALAPPDATA", ".local/share", "Library/Application Support")
}

// StateDir holds what can be made anew: the token, who runs. It is not made.
func (e Env) StateDir() (string, error) {
	return e.folder("XDG_STATE_HOME", "LOCALAPPDATA", ".local/state", "Library/Application Support")
}

// folder follows the XDG base directory specification wherever its variable is set
// (relative values are to be ignored, it says), and else the custom of the system.
func (e Env) folder(xdg, windows, unix, darwin string) (string, error) {
	if dir := absolute(e.Getenv(xdg)); dir != "" {
		return filepath.Join(dir, "slackdev"), nil
	}
	if e.OS == "windows" {
		if dir := absolute(e.Getenv(windows)); dir != "" {
			return filepath.Join(dir, "slackdev"), nil
		}
		return "", fmt.Errorf("%%%s%% is not set: %w", windows, ErrNoHome)
	}
	home := e.Home()
	if home == "" {
		return "", fmt.Errorf("neither $%s nor $HOME is set: %w", xdg, ErrNoHome)
	}
	if e.OS == "darwin" {
		return filepath.Join(home, darwin, "slackdev"), nil
	}
	return filepath.Join(home, unix, "slackdev"), nil
}

// RunDir is the folder in which running slackdevs announce themselves. It is not made.
func (e Env) RunDir() (string, error) {
	state, err := e.StateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "run"), nil
}

func absolute(dir string) string {
	if dir = strings.TrimSpace(dir); !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Clean(dir)
}

// MakePrivate makes a folder, and what is missing above it, that only its user can
// enter; one that stands already is closed to others.
func MakePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make a private folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("make a private folder: %w", err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close a folder to others: %w", err)
	}
	return nil
}
