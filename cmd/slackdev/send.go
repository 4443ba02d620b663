package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/client"
	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/replay/compose"
)

func sendCommand(env config.Env) *cobra.Command {
	var s series
	var listKinds bool
	cmd := &cobra.Command{
		Use:   "send KIND",
		Short: "Send the app a request like Slack's, signed",
		Long: `send makes a request of a kind in Slack's own spelling, signs it, and sends it to the
app through the same proxy that Slack's requests pass. It needs no Slack and no
tunnel. --list shows the kinds and the values that can be set.`,
		Example: `  slackdev send slash_command --set text="add milk"
  slackdev send event_callback app_mention --set event.text="hello"
  slackdev send --list`,
		Args: args(few(0, 2, "")),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, k := range compose.Kinds() {
				names = append(names, k.Name+"\t"+k.Summary)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, given []string) error {
			if listKinds {
				return printKinds(env, s.json)
			}
			if len(given) == 0 {
				return usage(errors.New("which kind of request?"), "slackdev send --list")
			}
			if err := s.check(env); err != nil {
				return err
			}
			changes, err := s.changes()
			if err != nil {
				return err
			}
			cfg, err := config.Load(env, config.Given(cmd.Flags()))
			if err != nil {
				return err
			}
			c, err := running(cmd.Context(), env, cfg)
			if err != nil {
				return err
			}
			var failed []export.Line
			err = c.Send(cmd.Context(), client.Send{
				Kind: strings.Join(given, " "), Set: changes, Path: cfg.Path, To: s.to, App: s.app, Times: s.times, Concurrency: s.concurrency,
			}, s.tell(env, cfg, &failed))
			return verdict(cmd.Context(), failed, err)
		},
	}
	s.flags(cmd)
	cmd.Flags().BoolVar(&listKinds, "list", false, "list the kinds")
	config.AddFlags(cmd.Flags(), "path")
	return cmd
}

func printKinds(env config.Env, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(env.Stdout)
		for _, k := range compose.Kinds() {
			if err := out.Encode(k); err != nil {
				return err
			}
		}
		return nil
	}
	out := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	for _, k := range compose.Kinds() {
		fmt.Fprintf(out, "%s\t%s\n", k.Name, k.Summary)
		// What is drawn rather than told is long, and --json has it.
		fields := slices.DeleteFunc(slices.Clone(k.Fields), func(path string) bool {
			return strings.Contains(path, "blocks.") || strings.Contains(path, "authorizations.")
		})
		for some := range slices.Chunk(fields, 6) {
			fmt.Fprintf(out, "\t--set %s\n", strings.Join(some, " "))
		}
	}
	return out.Flush()
}
