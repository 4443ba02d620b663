package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/client"
	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/inspector/export"
)

// series are the flags of what sends requests.
type series struct {
	set         []string
	to          string
	app         string
	times       int
	concurrency int
	expect      string
	json        bool
}

func (s *series) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&s.set, "set", nil, "change a value of the payload, as `path=value`; may be repeated")
	f.StringVar(&s.to, "to", "", "send to this `URL` in place of the app")
	f.StringVar(&s.app, "app", "", "send to the app of this `name`: a tunnel's, or the path of a route")
	f.IntVar(&s.times, "times", 1, "send this `number` of them")
	f.IntVar(&s.concurrency, "concurrency", 1, "this `number` at the same time")
	f.StringVar(&s.expect, "expect", "2xx", "the `status` that counts as success: 200, 4xx, or any")
	f.BoolVar(&s.json, "json", false, "print lines of JSON")
	config.AddFlags(f, "color")
}

// changes reads the values of --set.
func (s *series) changes() ([]client.Change, error) {
	changes := make([]client.Change, 0, len(s.set))
	for _, text := range s.set {
		path, value, ok := strings.Cut(text, "=")
		if !ok || path == "" {
			return nil, usage(fmt.Errorf("--set %q has no value", text), "--set text=\"add milk\"")
		}
		changes = append(changes, client.Change{Path: path, Value: value})
	}
	return changes, nil
}

// check refuses what cannot be meant, before anything is sent. The path of a socket
// counts from here, and not from where the running slackdev was started.
func (s *series) check(env config.Env) error {
	if strings.HasPrefix(s.to, "unix:") {
		socket, err := config.ParseApp(env, s.to, "--to")
		if err != nil {
			return err
		}
		s.to = socket.String()
	}
	switch {
	case s.to != "" && s.app != "":
		return usage(errors.New("a request goes where --to says, or where --app does"), "leave one of the two out")
	case s.times < 1 || s.concurrency < 1:
		return usage(errors.New("--times and --concurrency are numbers from 1"), "--times 10 --concurrency 2")
	case s.expect != "any" && !expectable(s.expect):
		return usage(fmt.Errorf("--expect %q is not a status", s.expect), "--expect 200, --expect 2xx, or --expect any")
	default:
		return nil
	}
}

func expectable(text string) bool {
	if len(text) != 3 || text[0] < '1' || text[0] > '5' {
		return false
	}
	_, err := strconv.Atoi(text)
	return err == nil || text[1:] == "xx"
}

func (s *series) expected(status int) bool {
	digits := strconv.Itoa(status)
	return s.expect == "any" || digits == s.expect || s.expect[1:] == "xx" && digits[0] == s.expect[0] && status >= 100
}

// tell prints each answer and counts those that were not expected.
func (s *series) tell(env config.Env, cfg *config.Config, failed *[]export.Line) func(export.Line) error {
	print := teller(env, cfg, s.json)
	return func(l export.Line) error {
		if !s.expected(l.Status) {
			*failed = append(*failed, l)
		}
		return print(l)
	}
}

// verdict turns answers that were not expected into the exit status.
func verdict(ctx context.Context, failed []export.Line, err error) error {
	switch {
	case ended(ctx, err):
		return &console.Error{Err: errors.New("stopped before all were answered")}
	case err != nil:
		return err
	case len(failed) == 0:
		return nil
	}
	last := failed[len(failed)-1]
	problem := fmt.Errorf("the answer was %d", last.Status)
	switch {
	case last.Fault != "":
		problem = errors.New(last.Fault)
	case last.Status == 0:
		problem = errors.New("there was no answer")
	}
	if len(failed) > 1 {
		problem = fmt.Errorf("%d answers were not as expected, the last one: %w", len(failed), problem)
	}
	hint := "slackdev show " + last.ID
	switch {
	case strings.HasPrefix(last.Fault, "nothing listens on "):
		hint = startApp
	case strings.HasPrefix(last.Fault, "no app is called "):
		hint = "name one of those that  slackdev tunnel 3000 NAME=PORT --route PATH=PORT  was started with, or say where:  --to URL"
	}
	return &console.Error{Err: problem, Hint: hint}
}

func replayCommand(env config.Env) *cobra.Command {
	var s series
	var r client.Replay
	cmd := &cobra.Command{
		Use:   "replay ID|last|QUERY",
		Short: "Send a recorded request again, freshly signed",
		Long: `replay sends recorded requests to the app again: the same bytes, with a signature of
now. With --set a value of the payload is changed, in Slack's own spelling. A query
replays all that it finds, the oldest first. The exit status is 0 when every answer
was as --expect says.`,
		Example: `  slackdev replay last
  slackdev replay last --set text="buy bread"
  slackdev replay kind:command user:ana`,
		Args: args(few(1, math.MaxInt, "which request? give an id, last, or a query")),
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := s.check(env); err != nil {
				return err
			}
			var err error
			if r.Set, err = s.changes(); err != nil {
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
			r.To, r.App, r.Times, r.Concurrency = s.to, s.app, s.times, s.concurrency
			ids, err := replayed(cmd.Context(), c, given)
			if err != nil {
				return err
			}
			var failed []export.Line
			tell := s.tell(env, cfg, &failed)
			for _, r.ID = range ids {
				if err := c.Replay(cmd.Context(), r, tell); err != nil {
					return verdict(cmd.Context(), failed, err)
				}
			}
			return verdict(cmd.Context(), failed, nil)
		},
	}
	s.flags(cmd)
	cmd.Flags().IntVar(&r.AsRetry, "as-retry", 0, "as Slack's retry of this `number`")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "the `reason` of that retry: http_timeout, http_error, …")
	return cmd
}

// replayed gives the ids of what is to be sent: one that was named, or all that a
// query finds, the oldest first.
func replayed(ctx context.Context, c *client.Client, words []string) ([]string, error) {
	const most = 1000
	if len(words) == 1 && !strings.ContainsAny(words[0], ": ") {
		return words, nil
	}
	q := strings.Join(words, " ")
	found, err := live{c}.lines(ctx, q, most)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &console.Error{Err: fmt.Errorf("no request fits %q", q), Hint: "slackdev requests"}
	}
	ids := make([]string, len(found))
	for i, l := range found {
		ids[len(found)-1-i] = l.ID
	}
	return ids, nil
}
