package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/client"
	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/replay/mock"
)

func mockCommand(env config.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mock",
		Short: "Answer in the app's place, by rules",
		Long: `mock edits the rules that answer in the app's place. They stand in the project's
slackdev.yaml (or in the file that --rules names), and a running slackdev takes
every change at once. The first rule that fits a request answers it.`,
		Args: unknown,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(mockAddCommand(env), mockListCommand(env), mockRemoveCommand(env), mockCheckCommand(env))
	return cmd
}

// ruleSet is the rules of a running slackdev, or those of the file when none runs.
// Either way they end up in the file.
type ruleSet struct {
	client *client.Client
	file   *mock.Rules
}

func openRules(cmd *cobra.Command, env config.Env) (*ruleSet, *config.Config, error) {
	typed := config.Given(cmd.Flags())
	maps.DeleteFunc(typed, func(key, _ string) bool { return key != "rules" }) // --name and --path are a rule's here
	cfg, err := config.Load(env, typed)
	if err != nil {
		return nil, nil, err
	}
	c, err := running(cmd.Context(), env, cfg)
	switch {
	case err == nil && !cfg.Asked("rules"):
		return &ruleSet{client: c}, cfg, nil
	case err != nil && !errors.Is(err, client.ErrNothingRuns):
		return nil, nil, err
	}
	rules := &mock.Rules{File: cfg.Rules, Now: env.Now}
	if err := rules.Reload(); err != nil {
		return nil, nil, usage(err, "mend the file, then try again")
	}
	return &ruleSet{file: rules}, cfg, nil
}

// fit are the flags that say which requests a rule answers, and how.
type fit struct {
	rule    mock.Rule
	headers []string
	text    string
	json    string
	delay   time.Duration
}

func mockAddCommand(env config.Env) *cobra.Command {
	var f fit
	cmd := &cobra.Command{
		Use:   "add [NAME]",
		Short: "Add a rule, or replace the one of that name",
		Example: `  slackdev mock add --any --text "ok"
  slackdev mock add deploy --kind slash_command --name /deploy --json '{"response_type":"in_channel","text":"on it"}'
  slackdev mock add slow --kind view_submission --delay 4s --times 1`,
		Args: args(few(0, 1, "")),
		RunE: func(cmd *cobra.Command, given []string) error {
			rules, _, err := openRules(cmd, env)
			if err != nil {
				return err
			}
			if len(given) == 1 {
				f.rule.Name = given[0]
			}
			rule, err := f.build()
			if err != nil {
				return err
			}
			if rules.client != nil {
				_, err = rules.client.AddRule(cmd.Context(), rule)
			} else {
				err = rules.file.Add(rule)
			}
			var mistakes mock.Mistakes
			if errors.As(err, &mistakes) {
				return usage(err, mistakes[0].Fix)
			}
			return err
		},
	}
	m, a, flags := &f.rule.Match, &f.rule.Answer, cmd.Flags()
	flags.BoolVar(&m.Any, "any", false, "every request")
	flags.StringVar(&m.Kind, "kind", "", "requests of this `kind`: slash_command, block_actions, …")
	flags.StringVar(&m.Name, "name", "", "the command, event type, action_id or callback_id; a `name` that ends in * fits what begins so")
	flags.StringVar(&m.User, "user", "", "the `user`'s id or name")
	flags.StringVar(&m.Channel, "channel", "", "the `channel`'s id or name")
	flags.StringVar(&m.Team, "team", "", "the `team`'s id or domain")
	flags.StringVar(&m.Path, "path", "", "the request's `path`")
	flags.StringVar(&m.Text, "contains", "", "`text` that is part of what the user typed")
	flags.IntVar(&a.Status, "status", 0, "answer with this `status` (default 200)")
	flags.StringVar(&f.text, "text", "", "answer with this `text`; {{.text}} and the like stand for values of the payload")
	flags.StringVar(&f.json, "json", "", "answer with this `JSON`; its strings may hold {{.text}} and the like")
	flags.StringArrayVar(&f.headers, "header", nil, "a header of the answer, as `Name: value`; may be repeated")
	flags.DurationVar(&f.delay, "delay", 0, "wait for this `time` first")
	flags.StringVar(&a.Fault, "fault", "", "in place of an answer this `fault`: timeout or reset")
	flags.IntVar(&f.rule.Times, "times", 0, "answer this `number` of requests, then let the app answer again")
	config.AddFlags(flags, "rules")
	cmd.MarkFlagsMutuallyExclusive("text", "json", "fault")
	return cmd
}

// build makes the rule that the flags tell.
func (f *fit) build() (mock.Rule, error) {
	r := f.rule
	r.Answer.Body, r.Answer.Delay = f.text, mock.Duration(f.delay)
	if f.json != "" {
		if !json.Valid([]byte(f.json)) {
			return r, usage(errors.New("--json is not JSON"), `--json '{"text":"ok"}'`)
		}
		r.Answer.JSON = json.RawMessage(f.json)
	}
	for _, line := range f.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return r, usage(fmt.Errorf("--header %q has no colon", line), `--header "Content-Type: text/plain"`)
		}
		if r.Answer.Headers == nil {
			r.Answer.Headers = map[string]string{}
		}
		r.Answer.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return r, nil
}

func mockListCommand(env config.Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the rules, in the order in which they are asked", Args: args(few(0, 0, "")),
		Example: "  slackdev mock list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			rules, _, err := openRules(cmd, env)
			if err != nil {
				return err
			}
			listed, problem, err := rules.list(cmd)
			if err != nil {
				return err
			}
			if problem != "" {
				fmt.Fprintln(env.Stderr, "slackdev: the rules from before are in force:", console.Clean(problem))
			}
			if asJSON {
				return printRulesJSON(env.Stdout, listed)
			}
			return printRules(env.Stdout, listed)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print lines of JSON")
	config.AddFlags(cmd.Flags(), "rules")
	return cmd
}

// list gives the rules, and why the file as it stands is not in force.
func (s *ruleSet) list(cmd *cobra.Command) (listed []mock.Listed, problem string, err error) {
	if s.client == nil {
		return s.file.List(), "", nil
	}
	set, err := s.client.Rules(cmd.Context())
	if err != nil {
		return nil, "", err
	}
	listed = make([]mock.Listed, len(set.Rules))
	for i, r := range set.Rules {
		if err := json.Unmarshal(r.JSON, &listed[i]); err != nil {
			return nil, "", fmt.Errorf("read rule %q: %w", r.Name, err)
		}
	}
	return listed, set.Error, nil
}

func printRulesJSON(w io.Writer, rules []mock.Listed) error {
	out := json.NewEncoder(w)
	for _, r := range rules {
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func printRules(w io.Writer, rules []mock.Listed) error {
	if len(rules) == 0 {
		_, err := fmt.Fprintln(w, `no rules; one is made with  slackdev mock add --any --text "ok"`)
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rules {
		state := fmt.Sprintf("%d hits", r.Hits)
		if r.Hits == 1 {
			state = "1 hit"
		}
		switch {
		case r.Off:
			state = "off"
		case r.Spent:
			state += ", spent"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", console.Clean(r.Name), console.Clean(matched(r.Match)), console.Clean(answered(r.Answer)), state)
	}
	return out.Flush()
}

// matched says in the language of the flags what a rule fits.
func matched(m mock.Match) string {
	if m.Any {
		return "any"
	}
	var parts []string
	for _, p := range []struct{ key, value string }{
		{"kind", m.Kind}, {"name", m.Name}, {"user", m.User}, {"channel", m.Channel}, {"team", m.Team}, {"path", m.Path}, {"text", m.Text},
	} {
		if p.value != "" {
			parts = append(parts, p.key+":"+p.value)
		}
	}
	return strings.Join(parts, " ")
}

// answered says in short what a rule answers.
func answered(a mock.Answer) string {
	text := strconv.Itoa(cmp.Or(a.Status, http.StatusOK))
	if a.Fault != "" {
		text = a.Fault
	}
	if a.Delay > 0 {
		text = time.Duration(a.Delay).String() + ", then " + text
	}
	body := a.Body + string(a.JSON)
	if len(body) > 40 {
		body = strings.ToValidUTF8(body[:40], "") + "…"
	}
	return strings.TrimSpace(text + " " + body)
}

func mockRemoveCommand(env config.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm NAME", Short: "Remove a rule", Args: args(few(1, 1, "which rule? give its name")),
		Example: "  slackdev mock rm deploy",
		RunE: func(cmd *cobra.Command, given []string) error {
			rules, _, err := openRules(cmd, env)
			if err != nil {
				return err
			}
			if rules.client != nil {
				_, err = rules.client.RemoveRule(cmd.Context(), given[0])
				return err
			}
			if err := rules.file.Remove(given[0]); err != nil {
				return &console.Error{Err: fmt.Errorf("%w: %s", err, given[0]), Hint: "slackdev mock list"}
			}
			return nil
		},
	}
	config.AddFlags(cmd.Flags(), "rules")
	return cmd
}

func mockCheckCommand(env config.Env) *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Look for mistakes in a file of rules", Args: args(few(1, 1, "which file?")),
		Example: "  slackdev mock check slackdev.yaml",
		RunE: func(_ *cobra.Command, given []string) error {
			data, err := os.ReadFile(given[0])
			if err != nil {
				return usage(err, "slackdev mock check slackdev.yaml")
			}
			rules, err := mock.Parse(data, given[0])
			var mistakes mock.Mistakes
			if errors.As(err, &mistakes) && len(mistakes) > 1 {
				for _, m := range mistakes {
					fmt.Fprintln(env.Stderr, console.Clean(m.Error()))
				}
				return usage(fmt.Errorf("%s has %s", given[0], count(len(mistakes), "mistake")), "")
			}
			if err != nil {
				return usage(err, "")
			}
			_, err = fmt.Fprintf(env.Stdout, "%s: %s, no mistakes\n", given[0], count(len(rules), "rule"))
			return err
		},
	}
}
