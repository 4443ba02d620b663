//go:build unix

package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/commands.md, the outputs in README.md and the pictures anew")

// TestCommandsPageIsInStep holds that docs/commands.md says what the program's own
// help says. With -update it writes the page.
func TestCommandsPageIsInStep(t *testing.T) {
	const file = "../../docs/commands.md"
	want := commandsPage()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/commands.md is not in step; run  go test ./cmd/slackdev -run CommandsPage -update\n%s", diff)
	}
}

// commandsPage makes the page from the commands.
func commandsPage() string {
	var page strings.Builder
	page.WriteString(`# Commands

This page is made from the program, by ` + "`go test ./cmd/slackdev -run CommandsPage -update`" + `. Each text here is one that
` + "`slackdev COMMAND --help`" + ` prints.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing runs or can be reached, 4 refused (a key, a host key). A command that failed says
what, why, and in a line that begins with ` + "`hint:`" + ` what to type next.

Options of ` + "`tunnel`" + ` can also stand in the project's ` + "`slackdev.yaml`" + ` and in the user's ` + "`config.yaml`" + ` (` + "`max_size: 1GiB`" + `), and in
the environment or the project's ` + "`.env`" + ` (` + "`SLACKDEV_MAX_SIZE=1GiB`" + `). What was typed beats the environment, that beats ` + "`.env`" + `, that
beats the project's file, and that the user's.
`)
	for _, c := range commandTree() {
		if c.HasParent() && !c.Parent().HasParent() && !cobrasOwn(c) {
			writeCommand(&page, c)
			for _, sub := range c.Commands() {
				writeCommand(&page, sub)
			}
		}
	}
	page.WriteString(`
## slackdev completion

Prints a script that completes commands, flags and kinds in a shell: bash, zsh, fish, or powershell. How to load it says
` + "`slackdev completion SHELL --help`" + `.
`)
	writeContract(&page)
	return page.String()
}

// writeContract describes the lines of --json.
func writeContract(page *strings.Builder) {
	page.WriteString(`
## Lines of JSON

With ` + "`--json`" + `, ` + "`tunnel`" + ` and ` + "`demo`" + ` print a line for each thing that happens, ` + "`requests`, `replay` and `send`" + ` one for each request.
Keys and meanings stay, in this order; new keys come at the end. ` + "`show --json`" + ` prints an exchange with ` + "`request`, `response`, `slack`" + ` (the
decoded payload) and, in place of codes, ` + "`findings`" + ` with their texts.
`)
	for _, kind := range []string{"ready", "tunnel", "exchange"} {
		fmt.Fprintf(page, "\n| key | what |\n|---|---|\n")
		for _, f := range contract()[kind] {
			what := f.what
			if f.key == "type" {
				what = "`" + kind + "`"
			}
			fmt.Fprintf(page, "| `%s` | %s |\n", f.key, what)
		}
	}
}

func writeCommand(page *strings.Builder, c *cobra.Command) {
	c.InitDefaultHelpFlag()
	fmt.Fprintf(page, "\n%s slackdev %s\n\n%s.\n", strings.Repeat("#", 1+strings.Count(c.CommandPath(), " ")), strings.TrimPrefix(c.CommandPath(), "slackdev "), c.Short)
	if c.Long != "" {
		fmt.Fprintf(page, "\n```text\n%s\n```\n", strings.TrimSpace(c.Long))
	}
	if c.Runnable() {
		fmt.Fprintf(page, "\n    %s\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(page, "\nFor example:\n\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	var rows []string
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !f.Hidden {
			rows = append(rows, flagRow(f))
		}
	})
	if len(rows) > 0 {
		fmt.Fprintf(page, "\n| flag | what |\n|---|---|\n%s", strings.Join(rows, ""))
	}
}

func flagRow(f *pflag.Flag) string {
	name, usage := pflag.UnquoteUsage(f)
	spelled := "--" + f.Name
	if f.Shorthand != "" {
		spelled = "-" + f.Shorthand + ", " + spelled
	}
	if name != "" {
		spelled += " " + strings.ToUpper(name)
	}
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
	default:
		usage += " (default: " + f.DefValue + ")"
	}
	return fmt.Sprintf("| `%s` | %s |\n", spelled, strings.ReplaceAll(usage, "|", `\|`))
}
