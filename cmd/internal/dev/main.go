// Dev is the gate of this repository, and what a developer needs around it:
//
//	go run ./cmd/internal/dev test     install what the tests need, then check and test everything
//	go run ./cmd/internal/dev install  only install
//	go run ./cmd/internal/dev bench    run the benchmarks, one package after the other
//
// The exit status is 0 when all is well, 1 when something failed, 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/slackdev/slackdev/cmd/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env, err := config.FromOS()
	if err == nil {
		err = run(ctx, env, os.Args[1:])
	}
	stop()
	var wrong *usageError
	switch {
	case err == nil:
	case errors.As(err, &wrong):
		fmt.Fprintln(os.Stderr, wrong)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// usageError is a command that cannot be understood.
type usageError struct{ problem string }

// Error gives the problem and the commands there are.
func (e *usageError) Error() string {
	return "dev: " + e.problem + "\nhint: go run ./cmd/internal/dev test [--strict] | install | bench [--bench REGEXP] [PACKAGE …]"
}

func run(ctx context.Context, env config.Env, args []string) error {
	if len(args) == 0 {
		return &usageError{"what to do?"}
	}
	root, err := findRoot(env.Dir)
	if err != nil {
		return err
	}
	g := &gate{root: root, out: env.Stdout, look: lookPath, run: execute, admin: os.Geteuid() == 0}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	switch args[0] {
	case "test":
		flags.BoolVar(&g.strict, "strict", truth(env.Getenv("CI")), "")
		if err := parse(flags, args[1:], 0); err != nil {
			return err
		}
		return g.test(ctx)
	case "install":
		if err := parse(flags, args[1:], 0); err != nil {
			return err
		}
		return g.install(ctx)
	case "bench":
		pattern := flags.String("bench", ".", "")
		count := flags.Int("count", 1, "")
		if err := parse(flags, args[1:], -1); err != nil {
			return err
		}
		return g.bench(ctx, *pattern, *count, flags.Args())
	}
	return &usageError{fmt.Sprintf("there is no command %q", args[0])}
}

// parse reads flags, and refuses more arguments than most; -1: any number is fine.
func parse(flags *flag.FlagSet, args []string, most int) error {
	if err := flags.Parse(args); err != nil {
		return &usageError{err.Error()}
	}
	if most >= 0 && flags.NArg() > most {
		return &usageError{fmt.Sprintf("what is %q?", flags.Arg(most))}
	}
	return nil
}

func truth(s string) bool { return s != "" && s != "0" && !strings.EqualFold(s, "false") }

// findRoot goes up to the folder of go.mod.
func findRoot(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not in the repository: no go.mod above it", dir)
		}
	}
}

// gate is one run. What it does to the machine goes through its functions.
type gate struct {
	root   string
	out    io.Writer
	strict bool // a skipped test is a failure
	admin  bool // may install without sudo
	look   func(name string) (path string, err error)
	run    func(ctx context.Context, c command) error

	totals totals
}

// command is something to run.
type command struct {
	dir  string
	args []string
	env  []string // besides the environment
	out  io.Writer
}

// execute runs a command; it is interrupted when the context ends, and killed when it
// then does not end within five seconds.
func execute(ctx context.Context, c command) error {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, c.out, c.out
	cmd.Env = append(cmd.Environ(), c.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w", strings.Join(c.args[:min(len(c.args), 3)], " "), err)
	}
	return nil
}

// lookPath finds a program, also where only the administrator's PATH looks.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	return path, err
}
