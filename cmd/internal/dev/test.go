package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// errFailed says that what failed was told already.
var errFailed = errors.New("not everything is well: see above")

// step is one part of the gate.
type step struct {
	name string
	do   func(context.Context) error
}

// test goes through all steps, also past one that failed, and sums up in the last
// line. Only without the tools there is nothing to go on with.
func (g *gate) test(ctx context.Context) error {
	if err := g.timed(ctx, step{"tools", g.install}); err != nil {
		return err
	}
	var failed []string
	for _, s := range []step{
		{"gofmt", g.formatted},
		{"go vet", g.vet},
		{"go mod tidy", g.tidy},
		{"page", g.pages},
		{"go test -race", g.goTest},
	} {
		if err := g.timed(ctx, s); err != nil {
			failed = append(failed, s.name)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return g.sumUp(failed)
}

// timed runs a step and says how long it took and why it failed.
func (g *gate) timed(ctx context.Context, s step) error {
	fmt.Fprintf(g.out, "── %s\n", s.name)
	start := time.Now()
	err := s.do(ctx)
	word := "ok"
	if err != nil {
		word = "FAILED: " + err.Error()
	}
	fmt.Fprintf(g.out, "── %s: %s (%.1f s)\n", s.name, word, time.Since(start).Seconds())
	return err
}

func (g *gate) sumUp(failed []string) error {
	t := g.totals
	if g.strict && len(t.skipped) > 0 {
		failed = append(failed, "skipped tests")
	}
	if len(t.skipped) > 0 {
		fmt.Fprintln(g.out, "\nskipped:")
		for _, s := range t.skipped {
			fmt.Fprintln(g.out, "  "+s)
		}
	}
	if len(failed) > 0 {
		fmt.Fprintln(g.out, "\nfailed: "+strings.Join(failed, ", "))
	}
	fmt.Fprintf(g.out, "\n%d passed, %d failed, %d skipped\n", t.passed, t.failed, len(t.skipped))
	if len(failed) > 0 {
		return errFailed
	}
	return nil
}

// formatted checks every Go file. It needs no gofmt on the machine.
func (g *gate) formatted(context.Context) error {
	var wrong []string
	err := filepath.WalkDir(g.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git" || e.Name() == "testdata") {
			return fs.SkipDir
		}
		if e.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		good, err := format.Source(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if !bytes.Equal(text, good) {
			rel, _ := filepath.Rel(g.root, path)
			wrong = append(wrong, rel)
		}
		return nil
	})
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("run  gofmt -w %s", strings.Join(wrong, " "))
	}
	return err
}

func (g *gate) vet(ctx context.Context) error {
	return g.run(ctx, command{dir: g.root, args: []string{"go", "vet", "./..."}, out: g.out})
}

func (g *gate) tidy(ctx context.Context) error {
	return g.run(ctx, command{dir: g.root, args: []string{"go", "mod", "tidy", "-diff"}, out: g.out})
}

// goTest runs all tests with the race detector. What passed before and has not changed
// is taken from Go's cache, unless the run is a strict one.
func (g *gate) goTest(ctx context.Context) error {
	args := []string{"go", "test", "-json", "-race", "-vet=off", "-timeout=12m"}
	if g.strict {
		args = append(args, "-count=1")
	}
	r := newReport(g.out)
	err := g.run(ctx, command{dir: g.root, args: append(args, "./..."), out: r})
	g.totals.add(r.finish())
	return err
}

// bench runs benchmarks and nothing else, so that nothing disturbs the figures.
func (g *gate) bench(ctx context.Context, pattern string, count int, packages []string) error {
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	args := []string{"go", "test", "-p=1", "-run=^$", "-benchmem", "-bench=" + pattern, fmt.Sprintf("-count=%d", count)}
	return g.run(ctx, command{dir: g.root, args: append(args, packages...), out: g.out})
}
