//go:build unix

package main

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // so that a script can make a history from the future
)

// writeFile is  write FILE LINE…:  a file with what testscript does not expand in an archive.
func (*stage) writeFile(ts *testscript.TestScript, args []string) error {
	if len(args) < 1 {
		return errors.New("usage: write FILE LINE…")
	}
	path := ts.MkAbs(args[0])
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Join(args[1:], "\n")+"\n"), 0o600)
}

// takePort is  take-port ADDRESS:  somebody listens there until the script is over: we, or
// whoever does already.
func (s *stage) takePort(_ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: take-port ADDRESS")
	}
	l, err := net.Listen("tcp", args[0])
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil
	case err != nil:
		return err
	}
	s.then(func() { _ = l.Close() })
	return nil
}

// newerFormat is  newer-format FILE:  the history looks like one of a slackdev that is not
// written yet.
func (*stage) newerFormat(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: newer-format FILE")
	}
	path := ts.MkAbs(args[0])
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	_, err = db.Exec("PRAGMA user_version = 99")
	return errors.Join(err, db.Close())
}

// checkPrivate is  private FOLDER:  nobody but the user can read what is in there.
func (*stage) checkPrivate(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: private FOLDER")
	}
	seen := 0
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if seen++; info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("%s has the mode %v", path, info.Mode())
		}
		return nil
	})
	if err == nil && seen < 2 {
		err = errors.New("the folder is empty")
	}
	return err
}
