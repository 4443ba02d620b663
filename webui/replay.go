package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/replay"
	"github.com/slackdev/slackdev/replay/compose"
)

const (
	maxTimes       = 100_000
	maxConcurrency = 256
)

// set is one change of the payload on the wire.
type set struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// series is how often to send, and where to: what replay and send have in common.
type series struct {
	Set         []set  `json:"set"`
	To          string `json:"to"`
	App         string `json:"app"`
	Times       *int   `json:"times"`
	Concurrency *int   `json:"concurrency"`
}

// replay sends a recorded request again.
func (s *Server) replay(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		series
		ID      string  `json:"id"`
		Body    *string `json:"body"`
		AsRetry int     `json:"as_retry"`
		Reason  string  `json:"reason"`
	}
	if err := decode(r, &ask); err != nil {
		return err
	}
	o, err := ask.options()
	if err != nil {
		return err
	}
	o.Set = ask.sets()
	o.AsRetry, o.Reason = ask.AsRetry, ask.Reason
	if ask.Body != nil {
		o.Body = []byte(*ask.Body)
	}
	id, err := s.Journal.Store.Resolve(r.Context(), ask.ID)
	if err != nil {
		return err
	}
	return s.sendSeries(w, r, ask.series, func(ctx context.Context) (inspector.ID, error) {
		return s.Replayer.Replay(ctx, id, o)
	})
}

// send makes a request of a kind and sends it: a new one each time, as Slack would.
func (s *Server) send(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		series
		Kind string `json:"kind"`
		Path string `json:"path"`
	}
	if err := decode(r, &ask); err != nil {
		return err
	}
	o, err := ask.options()
	if err != nil {
		return err
	}
	return s.sendSeries(w, r, ask.series, func(ctx context.Context) (inspector.ID, error) {
		request, err := compose.Request(ask.Kind, compose.Options{Set: ask.sets(), Path: ask.Path, Now: time.Now})
		if err != nil {
			return inspector.ID{}, err
		}
		return s.Replayer.Send(ctx, request, o)
	})
}

// options checks what replay and send have in common.
func (a *series) options() (replay.Options, error) {
	var o replay.Options
	one := 1
	if a.Times == nil {
		a.Times = &one
	}
	if a.Concurrency == nil {
		a.Concurrency = &one
	}
	if *a.Times < 1 || *a.Times > maxTimes {
		return o, badRequest("times is %d, and must be from 1 to %d", *a.Times, maxTimes)
	}
	if *a.Concurrency < 1 || *a.Concurrency > maxConcurrency {
		return o, badRequest("concurrency is %d, and must be from 1 to %d", *a.Concurrency, maxConcurrency)
	}
	o.App = a.App
	if a.To == "" {
		return o, nil
	}
	to, err := url.Parse(a.To)
	if err != nil || !replay.IsApp(to) {
		return o, badRequest("to is %q, and must be an http or https URL without a password, or unix: and the path of a socket", a.To)
	}
	o.To = to
	return o, nil
}

func (a *series) sets() []slack.Set {
	sets := make([]slack.Set, len(a.Set))
	for i, one := range a.Set {
		sets[i] = slack.Set{Path: one.Path, Value: one.Value}
	}
	return sets
}

// sendSeries calls one as often as asked, and sends a line for each when it is done.
// An error before the first line is the answer; later ones are lines, and the series
// goes on. It ends early when the client leaves.
func (s *Server) sendSeries(w http.ResponseWriter, r *http.Request, a series, one func(context.Context) (inspector.ID, error)) error {
	if s.Replayer == nil {
		return &refusal{http.StatusServiceUnavailable, "nothing can be sent from here", ""}
	}
	out := newStream(w)
	err := s.whileServing(r.Context(), func(ctx context.Context) error {
		return replay.Series(ctx, *a.Times, *a.Concurrency, one, func(id inspector.ID, err error) error {
			if err != nil && id.IsZero() {
				err = unsent(err)
			}
			var x *inspector.Exchange
			if err == nil {
				x, err = s.recorded(ctx, id)
			}
			if err != nil {
				return out.problem(err)
			}
			return out.line(export.LineOf(x))
		})
	})
	if err != nil {
		return out.problem(err)
	}
	return nil
}

// recorded gives an exchange that was just done.
func (s *Server) recorded(ctx context.Context, id inspector.ID) (*inspector.Exchange, error) {
	x, err := s.Journal.Store.Get(ctx, id)
	if errors.Is(err, inspector.ErrNotFound) {
		return nil, fmt.Errorf("request %s was sent, and the store could not keep what became of it", id)
	}
	return x, err
}

// unsent is the answer to what could not even begin: something about it was wrong.
func unsent(err error) error {
	var hinted interface{ Hint() string }
	var unknown *compose.UnknownKindError
	switch {
	case errors.Is(err, inspector.ErrNotFound), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &hinted):
		return &refusal{http.StatusBadRequest, err.Error(), hinted.Hint()}
	case errors.As(err, &unknown):
		return &refusal{http.StatusBadRequest, err.Error(), "slackdev send --list"}
	default:
		return badRequest("%v", err)
	}
}

// listKinds says what send can make.
func (s *Server) listKinds(w http.ResponseWriter, _ *http.Request) error {
	answer := struct {
		Kinds []compose.Kind `json:"kinds"`
	}{compose.Kinds()}
	for i, k := range answer.Kinds {
		answer.Kinds[i].Fields = append([]string{}, k.Fields...) // never null
	}
	return reply(w, http.StatusOK, answer)
}
