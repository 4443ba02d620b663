package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/cmd/internal/doctor"
)

func doctorCommand(env config.Env) *cobra.Command {
	var asJSON, debug bool
	cmd := &cobra.Command{
		Use:   "doctor [PORT|URL]",
		Short: "Find out what keeps Slack's requests from the app, and what to do about it",
		Long: `doctor goes the way of a request, from the public address to the app, and looks at each
part of it: the project's configuration and signing secret, the app, the history, the
local port, and the tunnel, step by step. Then it sends a signed request through the
public URL and back, and says where its time went.

It opens a tunnel of its own, as --via says, and records nothing. Nothing reaches the
app but a connection that is closed again. It ends with 1 if anything failed.`,
		Example: `  slackdev doctor 3000
  slackdev doctor 3000 --via relay://relay.example.org
  slackdev doctor --json`,
		Args: args(few(0, 1, "")),
		RunE: func(cmd *cobra.Command, given []string) error {
			typed := config.Given(cmd.Flags())
			if len(given) == 1 {
				typed["app"] = given[0]
			}
			cfg, err := config.Load(env, typed)
			if err != nil {
				return err
			}
			d := &diagnosis{env: env, cfg: cfg, log: logger(env, debug)}
			failed, err := d.run(cmd.Context(), reporter(env, cfg, asJSON))
			if err == nil && failed > 0 {
				err = &console.Error{Err: fmt.Errorf("%s failed", count(failed, "check")), Hint: "each line with ✗ says what to do"}
			}
			if ended(cmd.Context(), err) {
				return errors.New("stopped before everything was checked")
			}
			return err
		},
	}
	config.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each check as a line of JSON")
	cmd.Flags().BoolVar(&debug, "debug", false, "log to standard error what slackdev does")
	return cmd
}

// reporter gives what shows a check: the answer to what was asked, so it goes to
// standard output.
func reporter(env config.Env, cfg *config.Config, asJSON bool) func(doctor.Check) error {
	if asJSON {
		return (&console.JSON{W: env.Stdout}).Check
	}
	return personal(env, cfg, env.Stdout).Check
}
