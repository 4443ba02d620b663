package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
)

// Main runs one command and gives its exit status: 0 done, 1 failed, 2 wrong usage,
// 3 nothing runs or can be reached, 4 refused.
func Main(args []string) int {
	env, err := config.FromOS()
	if err != nil {
		fmt.Fprintln(os.Stderr, "slackdev:", err)
		return console.Failed
	}
	signal.Ignore(syscall.SIGPIPE) // whoever reads our output may leave; Slack is still there
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once

	root := newRoot(env)
	root.SetArgs(queryLast(args))
	err = root.ExecuteContext(ctx)
	if leftEarly(err) {
		return console.Done
	}
	return console.Exit(env.Stderr, err)
}

// leftEarly reports whether err only says that whoever read our output has seen enough:
// slackdev requests | head -1.
func leftEarly(err error) bool {
	var write *fs.PathError
	return errors.As(err, &write) && write.Path == os.Stdout.Name() && errors.Is(write.Err, syscall.EPIPE)
}

// newRoot makes the tree of commands. It reads nothing and starts nothing.
func newRoot(env config.Env) *cobra.Command {
	root := &cobra.Command{
		Version: version(),
		Use:     "slackdev",
		Short:   "A public address, a recorder and a replayer for the Slack app on your laptop",
		Long: `slackdev gives the Slack app on your laptop a public address. It checks Slack's
signatures, keeps every request and its answer, shows them in the terminal and in
the browser, and sends any of them again, freshly signed.`,
		Example: `  slackdev tunnel 3000
  slackdev demo`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknown,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(badFlag(err), cmd.CommandPath()+" --help")
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(
		tunnelCommand(env), demoCommand(env), requestsCommand(env), showCommand(env), replayCommand(env),
		sendCommand(env), mockCommand(env), relayCommand(env), doctorCommand(env), versionCommand(env),
	)
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil { // cobra's own shrugs at a shell that it does not know
		completion.Args, completion.RunE = unknown, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	return root
}

// queryLast puts the conditions of a query that are turned around (-status:5xx) behind
// everything else, where they are not taken for flags. A query has no order.
func queryLast(args []string) []string {
	if len(args) == 0 || args[0] != "requests" && args[0] != "replay" || slices.Contains(args, "--") {
		return args
	}
	turned := func(word string) bool {
		key, _, found := strings.Cut(word, ":")
		return found && len(key) > 1 && key[0] == '-' && key[1] != '-' && !strings.Contains(key, "=")
	}
	at := slices.IndexFunc(args, turned)
	if at < 0 {
		return args
	}
	rest := slices.DeleteFunc(slices.Clone(args), turned)
	rest = append(rest, "--")
	for _, word := range args[at:] {
		if turned(word) {
			rest = append(rest, word)
		}
	}
	return rest
}

// usage makes an error that ends with exit status 2.
func usage(err error, hint string) error {
	return &console.Error{Err: err, Hint: hint, Code: console.Usage}
}

// args wraps a check of arguments so that it fails as wrong usage does, and so do flags
// that exclude each other.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		err := check(cmd, given)
		if err == nil {
			err = cmd.ValidateFlagGroups()
		}
		if err != nil {
			return usage(err, cmd.CommandPath()+" --help")
		}
		return nil
	}
}

// few checks that there are from least to most arguments; missing asks for the first.
func few(least, most int, missing string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		switch {
		case len(given) < least:
			return errors.New(missing)
		case len(given) > most:
			return fmt.Errorf("%s does not know what to do with %q", cmd.CommandPath(), given[most])
		}
		return nil
	}
}

// badFlag says which flag has a value that it cannot take, in other words than Go's.
func badFlag(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	kinds := map[string]string{"int": "a number", "bool": "true or false", "duration": "a time like 500ms or 2s"}
	kind, known := kinds[bad.GetFlag().Value.Type()]
	if !known {
		return err
	}
	return fmt.Errorf("--%s %q is not %s", bad.GetFlag().Name, bad.GetValue(), kind)
}

// unknown refuses a word that is no command, and says which one may have been meant.
func unknown(cmd *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help"
	cmd.SuggestionsMinimumDistance = 2 // letters; cobra's own value is set elsewhere
	if near := cmd.SuggestionsFor(given[0]); len(near) > 0 {
		hint = "did you mean  " + cmd.CommandPath() + " " + near[0]
	}
	return usage(fmt.Errorf("unknown command %q for %q", given[0], cmd.CommandPath()), hint)
}

// ended reports whether err only says that somebody asked to stop.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
