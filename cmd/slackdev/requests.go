package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/inspector/export"
)

func requestsCommand(env config.Env) *cobra.Command {
	var asJSON, follow bool
	var limit int
	cmd := &cobra.Command{
		Use:   "requests [QUERY]",
		Short: "List what was recorded, the newest last",
		Long: `requests lists what was recorded in this project, also when slackdev does not run.
QUERY narrows it: words to look for, and terms like kind:command status:5xx
user:ana -verdict:valid. docs/filter-language.md has all of them.`,
		Example: `  slackdev requests
  slackdev requests kind:command status:5xx
  slackdev requests --follow --json`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if limit < 1 {
				return usage(errors.New("--limit is a number from 1"), "slackdev requests --limit 20")
			}
			cfg, err := config.Load(env, config.Given(cmd.Flags()))
			if err != nil {
				return err
			}
			q := strings.Join(words, " ")
			if follow {
				return followRequests(cmd.Context(), env, cfg, q, asJSON)
			}
			h, err := openHistory(cmd.Context(), env, cfg)
			if err != nil {
				return err
			}
			lines, err := h.lines(cmd.Context(), q, limit)
			if err == nil {
				slices.Reverse(lines) // the newest stands where the eye is
				err = list(env, cfg, lines, asJSON)
			}
			return errors.Join(err, h.close())
		},
	}
	config.AddFlags(cmd.Flags(), "store", "color")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print lines of JSON")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what arrives from now on")
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "the `number` of requests to list at most")
	return cmd
}

func list(env config.Env, cfg *config.Config, lines []export.Line, asJSON bool) error {
	if !asJSON {
		personal(env, cfg, env.Stdout).List(lines)
		return nil
	}
	out := &console.JSON{W: env.Stdout}
	for _, l := range lines {
		if err := out.Exchange(l); err != nil {
			return err
		}
	}
	return nil
}

func followRequests(ctx context.Context, env config.Env, cfg *config.Config, q string, asJSON bool) error {
	c, err := running(ctx, env, cfg)
	if err != nil {
		return err
	}
	err = c.Follow(ctx, q, teller(env, cfg, asJSON))
	if ended(ctx, err) {
		return nil
	}
	return err
}

// teller prints each request that is done, for a person or a program.
func teller(env config.Env, cfg *config.Config, asJSON bool) func(export.Line) error {
	if asJSON {
		return (&console.JSON{W: env.Stdout}).Exchange
	}
	person := personal(env, cfg, env.Stdout)
	return func(l export.Line) error {
		person.Exchange(l, "")
		return nil
	}
}
