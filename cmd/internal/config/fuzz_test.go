package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzAFileOfOptionsIsReadOrPlaced(f *testing.F) {
	for _, s := range []string{
		"", "# only\n", "---\n", "...\n", "keep: 1MiB\nhosts: [a.example]\n", "a: &a [*a]\nb: *a\n", "<<: {keep: 1k}\n", "keep: !!binary aGk=\n",
		"\tkeep: x\n", "? [a]\n: b\n", "keep: 1\n---\nkeep: 2\n", "rules:\n- {}\n", "providers:\n  a: {host: b, pattern: '('}\n  b: &x {host: c}\n  c: *x\n", "\xef\xbb\xbfvia: none\n", "\xff",
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &Config{origins: map[string]Origin{}, places: map[string]string{}, layers: map[string]int{}}
		path := filepath.Join(dir, projectFile)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		err := c.loadYAML(path, true)
		var e *Error
		if err != nil && (!errors.As(err, &e) || !strings.HasPrefix(e.Where, path)) {
			t.Errorf("%q: got %v, want an *Error with a place", text, err)
		}
	})
}

func FuzzADotenvIsReadOrPlacedAndNotRepeated(f *testing.F) {
	for _, s := range []string{"A=1\n", "A='x\n", "export A=\"b\n c\"\n", "=x\n", "A B=1\n", "#", "\xff=1", "A=${A}${B}\n", "A"} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), dotenvFile)
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readDotenv(path)
		var e *Error
		if err != nil && (!errors.As(err, &e) || !strings.HasPrefix(e.Where, path) || e.Problem != "not of the form  NAME=value") {
			t.Errorf("%q: got %v, want an *Error with a place", text, err)
		}
	})
}
