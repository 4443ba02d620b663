package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/replay/compose"
)

func demoCommand(env config.Env) *cobra.Command {
	var o options
	var once, debug bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See all of it on this machine: a sample app, a tunnel, and signed traffic",
		Long: `demo starts a sample Slack app, opens a tunnel to it through a relay in the same
process, and sends signed requests like Slack's through the public side. Nothing
leaves this machine, and nothing is kept when it ends.`,
		Example: `  slackdev demo`,
		Args:    args(few(0, 0, "")),
		RunE: func(cmd *cobra.Command, _ []string) error {
			random := make([]byte, 16)
			if _, err := io.ReadFull(env.Random, random); err != nil {
				return fmt.Errorf("make a signing secret: %w", err)
			}
			secret, err := slack.NewSecret("the demo's own secret", hex.EncodeToString(random))
			if err != nil {
				return err
			}
			var lc net.ListenConfig
			l, err := lc.Listen(cmd.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				return fmt.Errorf("start the sample app: %w", err)
			}
			typed := config.Given(cmd.Flags())
			typed["app"], typed["via"], typed["store"] = "http://"+l.Addr().String(), "embedded", "memory"
			cfg, err := config.Load(env, typed)
			if err != nil {
				l.Close()
				return err
			}
			cfg.Tunnels, cfg.Routes = nil, nil // the project's apps have no part in it
			o.log, o.secrets = logger(env, debug), []slack.Secret{secret}
			a, err := newApp(cmd.Context(), env, cfg, o)
			if err != nil {
				l.Close()
				return err
			}
			return runDemo(cmd.Context(), a, l, secret, once)
		},
	}
	config.AddFlags(cmd.Flags(), "local", "color", "name")
	cmd.Flags().BoolVar(&o.json, "json", false, "print what happens as lines of JSON")
	cmd.Flags().BoolVar(&once, "once", false, "end when the traffic was answered")
	cmd.Flags().BoolVar(&debug, "debug", false, "log to standard error what slackdev does")
	return cmd
}

// runDemo runs slackdev, the sample app behind it, and Slack's part in front of it.
func runDemo(ctx context.Context, a *app, l net.Listener, secret slack.Secret, once bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sample := a.server(&sampleApp{verifier: &slack.Verifier{Secrets: []slack.Secret{secret}, Now: a.env.Now}})
	var g errgroup.Group
	g.Go(func() error { return serve(sample, l) })
	g.Go(func() error {
		defer sample.Close()
		defer stop()
		return a.run(ctx)
	})
	g.Go(func() error {
		err := a.traffic(ctx, secret)
		if ended(ctx, err) {
			return nil
		}
		if once || err != nil {
			stop()
		} else {
			a.screen.notice("try   slackdev send slash_command --set text=\"add milk\"   in a second terminal, or replay a request on the page")
		}
		return err
	})
	return g.Wait()
}

// traffic sends one request of each kind to the public address, as Slack would.
func (a *app) traffic(ctx context.Context, secret slack.Secret) error {
	select {
	case <-a.live:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, kind := range compose.Kinds() {
		q, err := compose.Request(kind.Name, compose.Options{Path: a.cfg.Path, Now: a.env.Now, Rand: a.env.Random})
		if err != nil {
			return err
		}
		if err := a.post(ctx, q, secret); err != nil {
			return fmt.Errorf("send a %s: %w", kind.Name, err)
		}
	}
	return nil
}

// post sends q through the front of the relay. Slack finds the public name by DNS; here
// everything under localhost is this machine (RFC 6761), also where the resolver
// does not know it.
func (a *app) post(ctx context.Context, q inspector.Request, secret slack.Secret) error {
	public := a.public("")
	r, err := http.NewRequestWithContext(ctx, q.Method, "http://127.0.0.1:"+public.Port()+q.Target, bytes.NewReader(q.Body.Bytes))
	if err != nil {
		return err
	}
	r.Host, r.Header = public.Host, q.Header.HTTP()
	at, signature := secret.Sign(a.env.Now(), q.Body.Bytes)
	r.Header.Set("X-Slack-Request-Timestamp", at)
	r.Header.Set("X-Slack-Signature", signature)
	slackSide := http.Client{Timeout: slack.Deadline}
	res, err := slackSide.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode >= 500 {
		err = errors.New(res.Status)
	}
	return err
}

// sampleApp is a small to-do app, written as a Slack app should be: it verifies, answers
// within three seconds, and says to Slack what Slack understands.
type sampleApp struct{ verifier *slack.Verifier }

// ServeHTTP answers one request.
func (s *sampleApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if v := s.verifier.Verify(r.Header, body); v.Status != slack.Valid {
		http.Error(w, "not from Slack", http.StatusUnauthorized)
		return
	}
	p := slack.Parse(r.Method, r.URL.RequestURI(), r.Header, body)
	switch p.Kind {
	case slack.SlashCommand:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"response_type":"ephemeral","text":%q}`, "Added: "+strings.TrimPrefix(p.Text, "add "))
	case slack.URLVerification:
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, p.Challenge)
	case slack.OutgoingWebhook:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"text":"On it."}`)
	case slack.BlockActions:
		think(r.Context(), 120*time.Millisecond) // so that the bars on the page differ
	}
}

// think waits, or stops waiting when nobody does any more.
func think(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
