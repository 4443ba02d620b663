//go:build unix

package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/replay/mock"
)

const readme = "../../README.md"

// TestREADMESession runs the commands of README.md's console blocks, one after the
// other, and holds that they print what stands there; a line with … stands for the
// rest of an output. With -update it writes what they print.
func TestREADMESession(t *testing.T) {
	old, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	s := &readmeSession{rig: newRig(t, "")}
	clock := &shotClock{at: time.Now().UTC().Truncate(24 * time.Hour).Add(12*time.Hour + 4*time.Minute + 31*time.Second)}
	s.now = clock.now
	shots := make(chan shot, 5)
	for _, answer := range []shot{
		{took: 212 * time.Millisecond, status: 200, answer: `{"response_type":"ephemeral","text":"Added: milk"}`},
		{took: 31 * time.Millisecond, status: 500},
		{took: 38 * time.Millisecond, status: 200}, // mended
		{took: 35 * time.Millisecond, status: 200},
		{took: 33 * time.Millisecond, status: 200},
	} {
		shots <- answer
	}
	s.app.answers(func(w http.ResponseWriter, r *http.Request) { (<-shots).app(clock)(w, r) })
	got := regexp.MustCompile("(?ms)^```console\n(.*?)^```$").ReplaceAllStringFunc(string(old), func(block string) string {
		lines := strings.Split(strings.TrimSuffix(block, "\n```"), "\n")
		clock.pass(9 * time.Second)
		return s.replay(lines[1:])
	})
	if left := len(shots); left != 0 {
		t.Errorf("the app was asked for %d answers less than it has", left)
	}
	if *update {
		if err := os.WriteFile(readme, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(readmeWithoutChance(string(old)), readmeWithoutChance(got)); diff != "" {
		t.Errorf("README.md is not what the program prints; run  go test ./cmd/slackdev -run README -update\n%s", diff)
	}
}

// readmeSession is a person who types what the README says.
type readmeSession struct {
	*rig
	run *tunnelRun
}

// replay runs the commands of a block and gives the block as it should be.
func (s *readmeSession) replay(lines []string) string {
	s.Helper()
	var block strings.Builder
	block.WriteString("```console\n")
	for len(lines) > 0 {
		command, isCommand := strings.CutPrefix(lines[0], "$ ")
		if !isCommand {
			s.Fatalf("a console block begins with an output: %q", lines[0])
		}
		end := slices.IndexFunc(lines[1:], func(line string) bool { return strings.HasPrefix(line, "$ ") }) + 1
		if end == 0 {
			end = len(lines)
		}
		shown := lines[1:end]
		output := s.output(words(command)[1:])
		if n := len(shown); n > 0 && shown[n-1] == "…" {
			output = append(output[:min(len(output), max(n-1, 8))], "…")
		}
		block.WriteString(lines[0] + "\n")
		for _, line := range output {
			block.WriteString(line + "\n")
		}
		lines = lines[end:]
	}
	block.WriteString("```")
	return block.String()
}

// output runs a command and gives what it prints, with the ports and the token of no run
// in particular.
func (s *readmeSession) output(args []string) []string {
	s.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.app.url, "http://"), ":")
	var printed string
	if args[0] == "tunnel" {
		args[1] = port
		out, told := s.here(append(args, "--local", "127.0.0.1:0", "--json")...)
		s.run = &tunnelRun{out: out, err: told}
		s.firstScreen(s.run)
		printed = strings.TrimSpace(told.String())
	} else {
		printed = s.typed(args)
	}
	_, local, _ := strings.Cut(s.run.local, ":")
	for from, to := range map[string]string{local: "4040", s.run.public.Port(): "41873"} {
		printed = strings.ReplaceAll(printed, ":"+from, ":"+to)
	}
	printed = strings.ReplaceAll(printed, ":"+port+" ", ":3000 "+strings.Repeat(" ", len(port)-len("3000")))
	printed = strings.ReplaceAll(printed, port, "3000")
	printed = regexp.MustCompile(`#t=\S+`).ReplaceAllStringFunc(printed, func(token string) string {
		return "#t=…" + strings.Repeat(" ", len(token)-len("#t=x")) // what stands behind it stays in its column
	})
	if printed = strings.TrimRight(printed, "\n"); printed == "" {
		return nil
	}
	return strings.Split(printed, "\n")
}

// typed runs a command to its end, as in a second terminal.
func (s *readmeSession) typed(args []string) string {
	s.Helper()
	var printed bytes.Buffer
	root := newRoot(s.env(&printed, &printed))
	root.SetArgs(args)
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	err := root.ExecuteContext(ctx)
	if status := console.Exit(&printed, err); status > 1 {
		s.Errorf("slackdev %s: exit status %d\n%s", strings.Join(args, " "), status, &printed)
	}
	return printed.String()
}

// readmeWithoutChance takes out what is another each time: times, ids, and the spaces
// that depend on how long they are.
func readmeWithoutChance(text string) string {
	for pattern, with := range map[string]string{
		`\b\d\d:\d\d:\d\d(\.\d+)?\b`: "TIME", `\b\d{4}-\d\d-\d\d\b`: "DAY", `[+-]\d\d:\d\d\b`: "ZONE", `\b01[0-9A-HJKMNP-TV-Z]{24}\b`: "ID", `(?m)(^|show |of )[0-9A-HJKMNP-TV-Z]{6}\b`: "${1}ID",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
}

// TestREADMENamesWhatThereIs holds that README.md's other commands exist with their
// flags, that its rules can be read, and that its links lead somewhere.
func TestREADMENamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	var commands []string
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(line, " #")
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	for _, found := range regexp.MustCompile("`(slackdev [^`\n]*)`").FindAllStringSubmatch(page, -1) {
		commands = append(commands, found[1])
	}
	if len(commands) < 7 {
		t.Errorf("found only %q", commands)
	}
	for _, line := range commands {
		if !strings.HasPrefix(line, "SLACK_SIGNING_SECRET=") {
			checkREADMECommand(t, line)
		}
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(page, -1)
	for _, block := range blocks {
		if rules, err := mock.Parse([]byte(block[1]), "README.md"); err != nil || len(rules) == 0 {
			t.Errorf("%d rules, %v in\n%s", len(rules), err, block[1])
		}
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(blocks) == 0 || len(links) < 8 {
		t.Errorf("found %d blocks of rules and %d links", len(blocks), len(links))
	}
	for _, link := range links {
		if _, err := os.Stat(filepath.Join("../..", link[1]+link[2])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
}

// checkREADMECommand holds that a command exists and takes what it is given.
func checkREADMECommand(t *testing.T, line string) {
	t.Helper()
	args := words(line)
	if args[0] == "go" {
		if _, err := os.Stat(filepath.Join("../..", args[2])); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if args[1] != "run" || args[2] != "./cmd/slackdev" {
			return
		}
		args = args[2:]
	}
	root := commandTree()[0]
	cmd, rest, err := root.Find(args[1:])
	if err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	if len(args) > 1 && cmd == root {
		t.Errorf("%s: there is no such command", line)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}
