package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/inspector/export"
)

func showCommand(env config.Env) *cobra.Command {
	var asJSON, raw, curl, secrets bool
	cmd := &cobra.Command{
		Use:   "show ID|last",
		Short: "Show one request with everything that was kept",
		Long: `show shows one recorded request and its answer, also when slackdev does not run.
ID may be the beginning or the end of one. Tokens are masked unless --with-secrets
is given.`,
		Example: `  slackdev show last
  slackdev show last --json
  slackdev show last --curl`,
		Args: args(few(1, 1, "which request? give an id, or last")),
		RunE: func(cmd *cobra.Command, given []string) error {
			cfg, err := config.Load(env, config.Given(cmd.Flags()))
			if err != nil {
				return err
			}
			h, err := openHistory(cmd.Context(), env, cfg)
			if err != nil {
				return err
			}
			if curl {
				err = showCurl(cmd.Context(), env, h, given[0], secrets)
				return errors.Join(err, h.close())
			}
			d, err := h.detail(cmd.Context(), given[0], secrets)
			switch {
			case err != nil:
			case asJSON:
				err = (&console.JSON{W: env.Stdout}).Detail(d)
			case raw:
				err = showRaw(env, d)
			default:
				personal(env, cfg, env.Stdout).Detail(d)
			}
			return errors.Join(err, h.close())
		},
	}
	config.AddFlags(cmd.Flags(), "store", "color")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&raw, "raw", false, "print the request's bytes as they arrived")
	cmd.Flags().BoolVar(&curl, "curl", false, "print a curl command that sends the same")
	cmd.Flags().BoolVar(&secrets, "with-secrets", false, "do not mask tokens")
	cmd.MarkFlagsMutuallyExclusive("json", "raw", "curl")
	return cmd
}

func showCurl(ctx context.Context, env config.Env, h history, id string, secrets bool) error {
	command, err := h.curl(ctx, id, secrets)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, command)
	return err
}

// showRaw writes a request as HTTP/1.1 has it: its very bytes for a file or a pipe. On a
// terminal, what a terminal would obey is spelled out.
func showRaw(env config.Env, d export.Detail) error {
	text, err := d.Raw()
	if err != nil {
		return err
	}
	if env.IsTerminal(env.Stdout) {
		var lines strings.Builder
		for line := range strings.Lines(string(text)) {
			lines.WriteString(console.Clean(strings.TrimRight(line, "\r\n")) + "\n")
		}
		text = []byte(lines.String())
	}
	_, err = env.Stdout.Write(text)
	return err
}
