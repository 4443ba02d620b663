package main

import (
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/config"
)

func tunnelCommand(env config.Env) *cobra.Command {
	var o options
	var debug bool
	var passwordFD int
	cmd := &cobra.Command{
		Use:   "tunnel PORT|URL [NAME=PORT|URL]…",
		Short: "Give the app on this machine a public address, and record what arrives",
		Long: `tunnel gives the app that listens on PORT a public address, and stands between
Slack and the app: it checks signatures, records every request and its answer,
and shows them here and in the browser.

The signing secret comes from SLACK_SIGNING_SECRET in the environment or in the
project's .env, or from --signing-secret-file; several stand with commas between
them. Without one, signatures go unchecked.

An app is a port, an http or https URL, or unix:PATH for one that listens on a
socket. More apps, each with a name, get a public address of that name each. With
--route, what is below a path goes to another app whichever address it came to.
Everything is recorded in one history.`,
		Example: `  slackdev tunnel 3000
  slackdev tunnel 3000 --via embedded
  slackdev tunnel http://localhost:3000 --via ssh://me@host.example.org --enforce
  slackdev tunnel 3000 web=5173 --route /api=8080`,
		Args: args(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, given []string) error {
			typed := config.Given(cmd.Flags())
			if err := config.Arguments(typed, given); err != nil {
				return err
			}
			cfg, err := config.Load(env, typed)
			if err != nil {
				return err
			}
			if cfg.App == nil {
				return usage(errors.New("which app? no port was given"), "slackdev tunnel 3000")
			}
			rules, notice, err := accessRules(cfg)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("password-fd") {
				if o.password, err = readPassword(passwordFD); err != nil {
					return err
				}
			}
			o.log, o.access = logger(env, debug), rules
			a, err := newApp(cmd.Context(), env, cfg, o)
			if err != nil {
				return err
			}
			for _, warning := range cfg.Warnings {
				a.screen.notice(warning)
			}
			if notice != "" {
				a.screen.notice(notice)
			}
			return a.run(cmd.Context())
		},
	}
	config.AddFlags(cmd.Flags())
	_ = cmd.RegisterFlagCompletionFunc("via", completeVia(env)) // fails for a flag that is not there
	cmd.Flags().BoolVar(&o.json, "json", false, "print what happens as lines of JSON")
	cmd.Flags().StringVar(&o.pageDir, "webui-dir", "", "serve the page from a `folder`, while it is being changed")
	cmd.Flags().IntVar(&passwordFD, "password-fd", 0, "read the password for the SSH server from this `descriptor`: one line")
	cmd.Flags().BoolVar(&debug, "debug", false, "log to standard error what slackdev does")
	return cmd
}

// logger is silent unless somebody looks for a fault.
func logger(env config.Env, debug bool) *slog.Logger {
	if !debug {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
