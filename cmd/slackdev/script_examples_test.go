//go:build unix

package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/config"
)

// commandTree is every command that a user can type, the root first.
func commandTree() []*cobra.Command {
	root := newRoot(config.Env{})
	root.InitDefaultHelpCmd()
	all := []*cobra.Command{root}
	for i := 0; i < len(all); i++ {
		for _, sub := range all[i].Commands() {
			if !sub.Hidden {
				all = append(all, sub)
			}
		}
	}
	return all
}

// cobrasOwn reports whether cobra made the command: its texts are not ours.
func cobrasOwn(c *cobra.Command) bool {
	return c.Name() == "help" || strings.Contains(c.CommandPath(), " completion")
}

// words splits a command line as a shell does, as far as examples need it: quotes
// of both sorts, no variables.
func words(line string) []string {
	var all []string
	var word strings.Builder
	quote, begun := rune(0), false
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && r == ' ':
			if begun {
				all = append(all, word.String())
			}
			begun = false
			word.Reset()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	return all
}

// ran lists the arguments of every slackdev that a script runs.
func ran(t *testing.T) [][]string {
	t.Helper()
	scripts, err := filepath.Glob("testdata/script/*/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var all [][]string
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(archive.Comment)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "#") {
				continue
			}
			args := words(line)
			at := slices.Index(args, "slackdev")
			if at < 0 && len(args) > 2 && args[0] == "start" {
				at = 1
				for len(args) > at+1 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(args[at+1]) {
					at++
				}
			}
			if at >= 0 {
				all = append(all, args[at+1:])
			}
		}
	}
	return all
}

// plainArgs makes arguments comparable: a port of this machine is like any other.
func plainArgs(args []string) string {
	plain := make([]string, len(args))
	for i, arg := range args {
		plain[i] = regexp.MustCompile(`^(127\.0\.0\.1)?:\d+$`).ReplaceAllString(arg, ":PORT")
	}
	return strings.Join(plain, "\x00")
}

// flagsOf are the names of the flags among arguments.
func flagsOf(args []string) []string {
	var names []string
	for _, arg := range args {
		if strings.HasPrefix(arg, "--") && arg != "--" {
			name, _, _ := strings.Cut(arg, "=")
			names = append(names, name)
		}
	}
	return names
}

// TestEveryCommandHasAnExampleThatAScriptRuns also holds that every other example is
// one that its command takes, with flags that some script runs.
func TestEveryCommandHasAnExampleThatAScriptRuns(t *testing.T) {
	scripts := ran(t)
	for _, c := range commandTree() {
		t.Run(strings.ReplaceAll(c.CommandPath(), " ", "_"), func(t *testing.T) {
			if cobrasOwn(c) {
				if path := strings.TrimPrefix(c.CommandPath(), "slackdev "); path != "help" && path != "completion" && !runs(scripts, strings.Fields(path), nil) {
					t.Error("no script runs it")
				}
				return
			}
			if c.Short == "" {
				t.Error("it has no summary")
			}
			if c.Example == "" && !c.HasSubCommands() {
				t.Error("it has no example")
			}
			asItStands := c.Example == ""
			for line := range strings.Lines(c.Example) {
				args := words(strings.TrimSpace(line))
				if len(args) < 2 || args[0] != "slackdev" {
					t.Fatalf("an example that is no command line: %q", line)
				}
				checkExample(t, args[1:], scripts)
				asItStands = asItStands || slices.ContainsFunc(scripts, func(script []string) bool {
					return plainArgs(script) == plainArgs(args[1:])
				})
			}
			if !asItStands {
				t.Errorf("no script runs one of its examples as it stands:\n%s", c.Example)
			}
		})
	}
}

// checkExample holds that an example's command takes it, and that scripts run the same
// command with each of its flags.
func checkExample(t *testing.T, args []string, scripts [][]string) {
	t.Helper()
	c, rest, err := newRoot(config.Env{}).Find(args)
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if err != nil {
		t.Errorf("slackdev %s: %v", strings.Join(args, " "), err)
		return
	}
	path := strings.Fields(c.CommandPath())[1:]
	for _, flag := range flagsOf(rest) {
		if !runs(scripts, path, []string{flag}) {
			t.Errorf("slackdev %s: no script runs it with %s", strings.Join(args, " "), flag)
		}
	}
}

// runs reports whether a script runs a command with these flags.
func runs(scripts [][]string, path, flags []string) bool {
	return slices.ContainsFunc(scripts, func(args []string) bool {
		if len(args) < len(path) || !slices.Equal(args[:len(path)], path) {
			return false
		}
		has := flagsOf(args)
		return !slices.ContainsFunc(flags, func(flag string) bool { return !slices.Contains(has, flag) })
	})
}
