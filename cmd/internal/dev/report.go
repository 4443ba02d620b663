package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// totals is how many tests there were. A test with parts does not count, its parts do.
type totals struct {
	passed, failed int
	skipped        []string // with their reasons
}

func (t *totals) add(more totals) {
	t.passed += more.passed
	t.failed += more.failed
	t.skipped = append(t.skipped, more.skipped...)
}

// report reads what `go test -json` writes, shows a line for each package and all that
// a failed test said, and counts.
type report struct {
	out   io.Writer
	rest  []byte              // the beginning of a line
	tests map[testName]string // what became of each
	said  map[testName][]string
}

type testName struct{ pkg, test string }

func (n testName) String() string { return shortened(n.pkg) + " " + n.test }

// event is a line of go test -json (see go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

func newReport(out io.Writer) *report {
	return &report{out: out, tests: map[testName]string{}, said: map[testName][]string{}}
}

// Write takes a part of the stream.
func (r *report) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, found := bytes.Cut(r.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		r.line(line)
		r.rest = rest
	}
}

// line takes one line. What is not JSON comes from the go command itself.
func (r *report) line(line []byte) {
	var e event
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil {
		fmt.Fprintf(r.out, "%s\n", line)
		return
	}
	name := testName{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.said[name] = append(r.said[name], e.Output)
	case "pass", "fail", "skip":
		r.ended(name, e)
	}
}

func (r *report) ended(name testName, e event) {
	if name.test != "" {
		r.tests[name] = e.Action
	}
	switch {
	case e.Action == "fail":
		if name.test == "" {
			r.unended(name.pkg)
		}
		fmt.Fprintf(r.out, "--- FAIL: %s (%.1f s)\n%s", name, e.Elapsed, strings.Join(r.said[name], ""))
	case name.test == "" && e.Action == "pass":
		fmt.Fprintf(r.out, "ok    %s (%.1f s)\n", shortened(name.pkg), e.Elapsed)
	}
	if e.Action != "skip" {
		delete(r.said, name)
	}
}

// unended shows what the tests of a package said that had not ended when it did: the
// stacks of a panic or of a time that was up are among that.
func (r *report) unended(pkg string) {
	for _, name := range slices.SortedFunc(maps.Keys(r.said), func(a, b testName) int { return strings.Compare(a.String(), b.String()) }) {
		if name.pkg != pkg || name.test == "" || r.tests[name] != "" {
			continue
		}
		fmt.Fprintf(r.out, "--- UNENDED: %s\n%s", name, strings.Join(r.said[name], ""))
		delete(r.said, name)
	}
}

// finish counts, after the last Write.
func (r *report) finish() totals {
	if len(r.rest) > 0 {
		r.line(r.rest)
	}
	parents := map[testName]bool{}
	for name := range r.tests {
		for i := range len(name.test) {
			if name.test[i] == '/' {
				parents[testName{name.pkg, name.test[:i]}] = true
			}
		}
	}
	var t totals
	for _, name := range slices.SortedFunc(maps.Keys(r.tests), func(a, b testName) int { return strings.Compare(a.String(), b.String()) }) {
		switch result := r.tests[name]; {
		case result == "skip":
			t.skipped = append(t.skipped, name.String()+": "+reason(r.said[name]))
		case parents[name]:
		case result == "pass":
			t.passed++
		case result == "fail":
			t.failed++
		}
	}
	return t
}

// reason finds what a skipped test said, among the lines of the testing package.
func reason(lines []string) string {
	var said []string
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}

// shortened is a package without the module's path.
func shortened(pkg string) string {
	if _, inside, found := strings.Cut(pkg, "github.com/slackdev/slackdev/"); found {
		return inside
	}
	return pkg
}
