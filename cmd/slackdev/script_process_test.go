//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// stream is what a program has printed so far, also as a file in $WORK.
type stream struct {
	mu    sync.Mutex // guards the rest
	text  []byte
	ended bool
	grown chan struct{} // closed, and made anew, when there is more
	file  *os.File
}

func newStream(path string) (*stream, error) {
	f, err := os.Create(path)
	return &stream{grown: make(chan struct{}), file: f}, err
}

// Write takes what came.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	close(s.grown)
	s.grown = make(chan struct{})
	return s.file.Write(p)
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	close(s.grown)
	s.grown = make(chan struct{})
	_ = s.file.Close()
}

// String gives all that came.
func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

// find waits until a pattern was printed that often, and gives its groups.
func (s *stream) find(ctx context.Context, pattern *regexp.Regexp, count int) ([]string, error) {
	for {
		s.mu.Lock()
		found := pattern.FindAllSubmatch(s.text, -1)
		ended, grown := s.ended, s.grown
		s.mu.Unlock()
		if len(found) >= count {
			var groups []string
			for _, group := range found[count-1] {
				groups = append(groups, string(group))
			}
			return groups, nil
		}
		if ended {
			return nil, fmt.Errorf("it ended without %s", pattern)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s did not come: %w", pattern, ctx.Err())
		}
	}
}

// program is a slackdev in the background.
type program struct {
	cmd      *exec.Cmd
	out, err *stream
	reader   *os.File      // our end of its stdout
	keys     *os.File      // of its terminal; nil: it has none
	ended    chan struct{} // closed when it has ended; status is known then
	status   error
}

// startProgram is
//
//	start [--early] NAME [VAR=value …] ARG…
//
// It runs slackdev ARG… in the background, and keeps what it prints in NAME.out and
// NAME.err. Where the command is tunnel or demo it waits (but with --early) for the first screen and
// sets URL and LOCAL (where Slack posts, without the path, and the local API), and
// NAME_URL and NAME_LOCAL; where it is relay, RELAY_SSH, RELAY_HTTP and RELAY_HTTPS.
func (s *stage) startProgram(ts *testscript.TestScript, args []string) error {
	early := len(args) > 0 && args[0] == "--early"
	if early {
		args = args[1:]
	}
	if len(args) < 2 {
		return errors.New("usage: start [--early] NAME [VAR=value …] ARG…")
	}
	name, args := args[0], args[1:]
	if s.running[name] != nil {
		return fmt.Errorf("there was a %s already", name)
	}
	env := passedOn(ts)
	for len(args) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(args[0]) {
		env, args = append(env, args[0]), args[1:]
	}
	p, err := s.launch(name, ts.MkAbs("."), env, args, nil)
	if err != nil {
		return err
	}
	s.running[name] = p
	s.then(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	if early {
		return nil
	}
	ctx, cancel := patiently()
	defer cancel()
	switch args[0] {
	case "tunnel", "demo":
		err = p.firstScreen(ctx, ts, name, slices.Contains(args, "--json"))
	case "relay":
		var line []string
		if line, err = p.err.find(ctx, regexp.MustCompile(`(?m)^slackdev relay for .*\n(?:host key .*\n)`), 1); err == nil {
			for _, door := range regexp.MustCompile(`(SSH|HTTPS?) on ([^\s,]+)`).FindAllStringSubmatch(line[0], -1) {
				ts.Setenv("RELAY_"+door[1], door[2])
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.err)
	}
	return nil
}

func passedOn(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range passedNames() {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// launch starts the program. It needs no more help: its streams fill, and ended closes.
// With a terminal it reads from that, and what a person would see there is in NAME.err.
func (s *stage) launch(name, dir string, env, args []string, tty *terminal) (*program, error) {
	path, err := exec.LookPath("slackdev")
	if err != nil {
		return nil, err
	}
	p := &program{cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, env
	if p.out, err = newStream(filepath.Join(s.dir, name+".out")); err != nil {
		return nil, err
	}
	if p.err, err = newStream(filepath.Join(s.dir, name+".err")); err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	p.reader = reader
	p.cmd.Stdout, p.cmd.Stderr = writer, p.err
	if tty != nil {
		tty.attach(p.cmd)
		p.keys = tty.ours
	}
	if err := p.cmd.Start(); err != nil {
		reader.Close()
		return nil, err
	}
	var copying sync.WaitGroup
	if tty != nil {
		_ = tty.theirs.Close() // now the program alone has it
		copying.Go(func() {
			_, _ = io.Copy(p.err, tty.ours) // it ends with the program
		})
	}
	copying.Go(func() {
		_, _ = io.Copy(p.out, reader) // it ends with the program, or with hang-up
		p.out.end()
	})
	go func() { // it has ended when p.ended is closed, which the script's end waits for
		p.status = p.cmd.Wait()
		copying.Wait()
		p.err.end()
		reader.Close()
		close(p.ended)
	}()
	return p, nil
}

// firstScreen waits for what a person is told first, and a program of the same tunnel.
func (p *program) firstScreen(ctx context.Context, ts *testscript.TestScript, name string, asJSON bool) error {
	screen, err := p.err.find(ctx, regexp.MustCompile(`(?s)slackdev\S* +(http\S+) +→.*Inspect\S* +(http://[^/]+)/#t=.*?\n\n`), 1)
	if err != nil {
		return err
	}
	url, local := screen[1], screen[2]
	if asJSON {
		line, err := p.out.find(ctx, regexp.MustCompile(`(?m)^\{"type":"ready","public_url":"`+regexp.QuoteMeta(url)+`".*\}$`), 1)
		if err != nil {
			return err
		}
		var ready struct {
			Local string `json:"local_url"`
		}
		if err := json.Unmarshal([]byte(line[0]), &ready); err != nil {
			return err
		}
		if ready.Local != local {
			return fmt.Errorf("people are told %s, programs %s", local, ready.Local)
		}
	}
	for _, prefix := range []string{"", strings.ToUpper(name) + "_"} {
		ts.Setenv(prefix+"URL", url)
		ts.Setenv(prefix+"LOCAL", local)
	}
	return nil
}

func (s *stage) program(name string) (*program, error) {
	p := s.running[name]
	if p == nil {
		return nil, fmt.Errorf("nothing called %s was started", name)
	}
	return p, nil
}

// wait waits until the program has ended, and checks its exit status.
func (p *program) wait(status int) error {
	ctx, cancel := patiently()
	defer cancel()
	select {
	case <-p.ended:
	case <-ctx.Done():
		return errors.New("it does not end")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		return fmt.Errorf("exit status %d (%v), want %d\n%s", got, p.cmd.ProcessState, status, p.err)
	}
	return nil
}

// endProgram is  end [--within 4s] NAME:  Ctrl-C, and then exit status 0, soon enough.
func (s *stage) endProgram(ts *testscript.TestScript, args []string) error {
	limit := patience
	if len(args) == 3 && args[0] == "--within" {
		d, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		limit, args = d, args[2:]
	}
	if len(args) != 1 {
		return errors.New("usage: end [--within TIME] NAME")
	}
	start := time.Now()
	if err := s.signalProgram(ts, []string{"INT", args[0]}); err != nil {
		return err
	}
	if err := s.exitedProgram(ts, []string{args[0], "0"}); err != nil {
		return err
	}
	if took := time.Since(start); took > limit {
		return fmt.Errorf("it took %v to end, want at most %v", took, limit)
	}
	return nil
}

// signalProgram is  signal INT|TERM|HUP NAME.
func (s *stage) signalProgram(_ *testscript.TestScript, args []string) error {
	signals := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	if len(args) != 2 || signals[args[0]] == nil {
		return errors.New("usage: signal INT|TERM|HUP NAME")
	}
	p, err := s.program(args[1])
	if err != nil {
		return err
	}
	return p.cmd.Process.Signal(signals[args[0]])
}

// killProgram is  kill9 NAME:  the end that nobody can prepare for.
func (s *stage) killProgram(_ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: kill9 NAME")
	}
	p, err := s.program(args[0])
	if err != nil {
		return err
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	return p.wait(-1)
}

// exitedProgram is  exited NAME STATUS:  it ends by itself. A program that a signal
// ended has status -1.
func (s *stage) exitedProgram(_ *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: exited NAME STATUS")
	}
	p, err := s.program(args[0])
	if err != nil {
		return err
	}
	status, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return p.wait(status)
}

// hangUp is  hang-up NAME:  whoever read its stdout has left.
func (s *stage) hangUp(_ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: hang-up NAME")
	}
	p, err := s.program(args[0])
	if err != nil {
		return err
	}
	return p.reader.Close()
}

// exits is  exits STATUS slackdev ARG…:  exec that wants one exit status and no other.
func (*stage) exits(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: exits STATUS PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var status *exec.ExitError
	switch {
	case errors.As(err, &status):
		got = status.ExitCode()
	case err != nil:
		return err
	}
	if got != want {
		return fmt.Errorf("exit status %d, want %d", got, want)
	}
	return nil
}

// keepOutput is  keep FILE slackdev ARG…:  exec whose stdout goes into a file and not
// into the log, for output that shows a token because it was asked to.
func (s *stage) keepOutput(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 || args[1] != "slackdev" {
		return errors.New("usage: keep FILE slackdev ARG…")
	}
	path, err := exec.LookPath("slackdev")
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), passedOn(ts)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, &stderr)
	}
	return os.WriteFile(ts.MkAbs(args[0]), stdout.Bytes(), 0o600)
}

// until is  until NAME.out|NAME.err REGEXP PROGRAM ARG…:  runs the program again and
// again until the background one has printed the pattern. It is for what begins
// without a word, as  requests --follow  does.
func (s *stage) until(ts *testscript.TestScript, args []string) error {
	if len(args) < 3 {
		return errors.New("usage: until FILE REGEXP PROGRAM ARG…")
	}
	from, err := s.stream(args[0])
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	ctx, cancel := patiently()
	defer cancel()
	for !pattern.MatchString(from.String()) {
		if err := ts.Exec(args[2], args[3:]...); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s did not come", pattern)
		}
	}
	return nil
}

// waitFor is  wait-for [--count N] NAME.out|NAME.err REGEXP:  waits until a program in
// the background has printed the pattern (that often).
func (s *stage) waitFor(_ *testscript.TestScript, args []string) error {
	count := 1
	if len(args) == 4 && args[0] == "--count" {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		count, args = n, args[2:]
	}
	if len(args) != 2 {
		return errors.New("usage: wait-for [--count N] FILE REGEXP")
	}
	from, err := s.stream(args[0])
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	ctx, cancel := patiently()
	defer cancel()
	if _, err = from.find(ctx, pattern, count); err != nil {
		return fmt.Errorf("%w\n%s", err, from)
	}
	return nil
}

// stream finds what a file in $WORK is filled from.
func (s *stage) stream(file string) (*stream, error) {
	name, which, _ := strings.Cut(file, ".")
	p, err := s.program(name)
	switch {
	case err != nil:
		return nil, err
	case which == "out":
		return p.out, nil
	case which == "err":
		return p.err, nil
	}
	return nil, fmt.Errorf("%s is neither %s.out nor %s.err", file, name, name)
}
