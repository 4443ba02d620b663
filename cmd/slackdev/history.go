package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/slackdev/slackdev/cmd/internal/client"
	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/inspector/filter"
	"github.com/slackdev/slackdev/inspector/store/sqlite"
)

// history is where `requests` and `show` read: a running slackdev, or the file that
// one has left.
type history interface {
	lines(ctx context.Context, q string, limit int) ([]export.Line, error)
	detail(ctx context.Context, id string, secrets bool) (export.Detail, error)
	curl(ctx context.Context, id string, secrets bool) (string, error)
	close() error
}

// running finds the slackdev of this project.
func running(ctx context.Context, env config.Env, cfg *config.Config) (*client.Client, error) {
	dir, err := env.RunDir()
	if err != nil {
		return nil, err
	}
	return client.Find(ctx, dir, cfg.Project.Dir)
}

// openHistory prefers a running slackdev: it knows what was not written yet.
func openHistory(ctx context.Context, env config.Env, cfg *config.Config) (history, error) {
	c, err := running(ctx, env, cfg)
	switch {
	case err == nil && !cfg.Asked("store"):
		return live{c}, nil
	case err != nil && !errors.Is(err, client.ErrNothingRuns):
		return nil, err
	}
	nothing := err
	path, err := cfg.Database()
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, nothing
	}
	store, err := sqlite.Open(ctx, sqlite.Options{Path: path, ReadOnly: true, Now: env.Now})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &console.Error{Err: errors.New("nothing was recorded in this project yet"), Hint: "slackdev tunnel 3000", Code: console.Unreachable}
	}
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	return kept{store}, nil
}

// live is the history of a running slackdev.
type live struct{ *client.Client }

func (h live) lines(ctx context.Context, q string, limit int) ([]export.Line, error) {
	var lines []export.Line
	before := ""
	for {
		page, err := h.Exchanges(ctx, q, before, min(limit-len(lines), 500))
		if err != nil {
			return nil, err
		}
		lines = append(lines, page.Exchanges...)
		before = page.Next
		if before == "" || len(lines) >= limit {
			return lines, nil
		}
	}
}

func (h live) detail(ctx context.Context, id string, secrets bool) (export.Detail, error) {
	if secrets {
		return h.UnmaskedExchange(ctx, id)
	}
	return h.Exchange(ctx, id)
}

func (h live) curl(ctx context.Context, id string, secrets bool) (string, error) {
	if secrets {
		return h.UnmaskedCurl(ctx, id)
	}
	return h.Curl(ctx, id)
}

func (live) close() error { return nil }

// kept is the history on disk.
type kept struct{ *sqlite.Store }

func (h kept) lines(ctx context.Context, q string, limit int) ([]export.Line, error) {
	where, err := filter.Parse(q)
	if err != nil {
		return nil, usage(err, "see docs/filter-language.md")
	}
	found, err := h.List(ctx, inspector.Query{Where: where, Limit: limit})
	if err != nil {
		return nil, err
	}
	lines := make([]export.Line, len(found))
	for i, x := range found {
		lines[i] = export.LineOf(x)
	}
	return lines, nil
}

func (h kept) get(ctx context.Context, text string) (*inspector.Exchange, error) {
	id, err := h.Resolve(ctx, text)
	if err != nil {
		return nil, unresolved(text, err)
	}
	return h.Get(ctx, id)
}

// unresolved says what is wrong with an id, and how to find a right one.
func unresolved(text string, err error) error {
	var ambiguous *inspector.AmbiguousError
	switch {
	case errors.As(err, &ambiguous):
		return &console.Error{Err: err, Hint: "give more of the id: slackdev show " + ambiguous.Matches[0].String()}
	case errors.Is(err, inspector.ErrNotFound):
		return &console.Error{Err: fmt.Errorf("%w: %s", err, text), Hint: "slackdev requests"}
	default:
		return err
	}
}

func (h kept) detail(ctx context.Context, id string, secrets bool) (export.Detail, error) {
	x, err := h.get(ctx, id)
	switch {
	case err != nil:
		return export.Detail{}, err
	case secrets:
		return export.UnmaskedDetailOf(x), nil
	default:
		return export.DetailOf(x), nil
	}
}

func (h kept) curl(ctx context.Context, id string, secrets bool) (string, error) {
	x, err := h.get(ctx, id)
	switch {
	case err != nil:
		return "", err
	case secrets:
		return export.UnmaskedCurl(x), nil
	default:
		return export.Curl(x), nil
	}
}

func (h kept) close() error { return h.Close() }
