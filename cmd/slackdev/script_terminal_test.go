//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// terminal is a terminal of its own for one program, and the keyboard and the screen
// of whoever sits at it.
type terminal struct {
	theirs *os.File
	ours   *os.File
}

func (t *terminal) close() {
	_ = t.theirs.Close()
	_ = t.ours.Close()
}

// attach makes the terminal the program's own: Ctrl-C there is a signal to it.
func (t *terminal) attach(cmd *exec.Cmd) {
	cmd.Stdin, cmd.Stderr = t.theirs, t.theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
}

// startOnTerminal is  terminal NAME ARG…:  it runs slackdev ARG… as start --early does,
// but at a terminal. What stands there is in NAME.err.
func (s *stage) startOnTerminal(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: terminal NAME ARG…")
	}
	name := args[0]
	if s.running[name] != nil {
		return fmt.Errorf("there was a %s already", name)
	}
	tty, err := newTerminal()
	if err != nil {
		return err
	}
	p, err := s.launch(name, ts.MkAbs("."), passedOn(ts), args[1:], tty)
	if err != nil {
		tty.close()
		return err
	}
	s.running[name] = p
	s.then(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		_ = tty.ours.Close()
	})
	return nil
}

// checkEcho is  echoes NAME:  what somebody types at NAME's terminal is shown there, also
// when NAME has ended.
func (s *stage) checkEcho(_ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: echoes NAME")
	}
	p, err := s.program(args[0])
	if err != nil {
		return err
	}
	if on, err := echo(p.keys); err != nil || !on {
		return fmt.Errorf("echo is on: %v, %w", on, err)
	}
	return nil
}

// typeKeys is  type NAME TEXT:  a line that somebody types at NAME's terminal, or ^C.
func (s *stage) typeKeys(_ *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: type NAME TEXT")
	}
	p, err := s.program(args[0])
	if err != nil {
		return err
	}
	if p.keys == nil {
		return fmt.Errorf("%s has no terminal", args[0])
	}
	text := strings.ReplaceAll(args[1]+"\n", "^C\n", "\x03")
	_, err = p.keys.WriteString(text)
	return err
}
