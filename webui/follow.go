package webui

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/bus"
	"github.com/slackdev/slackdev/inspector/export"
)

const (
	followRoom   = 1024 // events that may wait for a slow client
	followMemory = 4096 // exchanges that a follower remembers to have sent
)

// follow sends a line for each exchange that is done from now on.
func (s *Server) follow(w http.ResponseWriter, r *http.Request) error {
	terms, err := termsOf(r.URL.Query().Get("q"))
	if err != nil {
		return err
	}
	out := newStream(w)
	f := &follower{store: s.Journal.Store, match: inspector.NewMatcher(terms), out: out, room: followRoom, memory: followMemory}
	err = s.whileServing(r.Context(), func(ctx context.Context) error {
		if err := f.run(ctx, &s.Journal.Events); ctx.Err() == nil {
			return err
		}
		return nil // one of us leaves, which breaks off what is being read
	})
	if err != nil {
		return out.problem(err)
	}
	return nil
}

// follower turns events into lines: one for each exchange, once it is done. Events
// are hints and tell nothing of that, so the follower remembers which exchanges are
// open. It goes by IDs, which sort by time, and never by a clock.
type follower struct {
	store  inspector.Store
	match  *inspector.Matcher
	out    *stream
	room   int
	memory int

	seen inspector.ID              // all exchanges up to this one are done with, unless open
	open map[inspector.ID]struct{} // were not done when last looked at
	sent map[inspector.ID]struct{} // newer than seen and done with; at most memory of them
}

func (f *follower) run(ctx context.Context, events *bus.Bus[inspector.Event]) error {
	sub := events.Subscribe(f.room)
	defer func() { sub.Close() }()
	if err := f.start(ctx); err != nil {
		return err
	}
	if err := f.out.begin(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-sub.C:
			if !ok { // cut off: the client reads more slowly than requests come
				sub = events.Subscribe(f.room)
				if err := f.catchUp(ctx); err != nil {
					return err
				}
				continue
			}
			if e.What != inspector.Saved {
				continue // gone, or never kept: nothing to show
			}
			if err := f.look(ctx, e.ID); err != nil {
				return err
			}
		}
	}
}

// start notes where the history stands: what is done already is not sent.
func (f *follower) start(ctx context.Context) error {
	newest, err := f.store.List(ctx, inspector.Query{Limit: 1})
	if err != nil {
		return err
	}
	if len(newest) > 0 {
		f.seen = newest[0].ID
	}
	waiting, err := f.store.List(ctx, inspector.Query{Limit: maxLimit, Where: []inspector.Term{
		{Key: inspector.KeyAnswered, Not: true},
		{Key: inspector.KeyFault, Not: true},
	}})
	if err != nil {
		return err
	}
	f.open, f.sent = make(map[inspector.ID]struct{}), make(map[inspector.ID]struct{})
	for _, x := range waiting {
		f.open[x.ID] = struct{}{}
	}
	return nil
}

// look sends the exchange if it is done, fits, and was not sent before.
func (f *follower) look(ctx context.Context, id inspector.ID) error {
	_, isOpen := f.open[id]
	_, isSent := f.sent[id]
	if isSent || !isOpen && id.Compare(f.seen) <= 0 {
		return nil // a pin, or the second event of what was done at the first
	}
	x, err := f.store.Get(ctx, id)
	switch {
	case errors.Is(err, inspector.ErrNotFound):
		delete(f.open, id)
		return nil
	case err != nil:
		return err
	case !x.Done():
		f.open[id] = struct{}{}
		return nil
	}
	delete(f.open, id)
	f.remember(id)
	if !f.match.Match(x) {
		return nil
	}
	return f.out.line(export.LineOf(x))
}

// remember notes that id is done with. What it forgets for that, it covers by seen.
func (f *follower) remember(id inspector.ID) {
	if id.Compare(f.seen) <= 0 {
		return
	}
	if len(f.sent) >= f.memory {
		old := slices.SortedFunc(maps.Keys(f.sent), inspector.ID.Compare)
		old = old[:len(old)/2+1]
		for _, id := range old {
			delete(f.sent, id)
		}
		f.seen = old[len(old)-1]
	}
	f.sent[id] = struct{}{}
}

// catchUp looks at everything that may have been done unseen, oldest first.
func (f *follower) catchUp(ctx context.Context) error {
	missed := slices.Collect(maps.Keys(f.open))
	for before := (inspector.ID{}); ; {
		page, err := f.store.List(ctx, inspector.Query{Before: before, Limit: maxLimit})
		if err != nil {
			return err
		}
		for _, x := range page {
			if x.ID.Compare(f.seen) > 0 {
				missed = append(missed, x.ID)
			}
		}
		if len(page) < maxLimit || page[len(page)-1].ID.Compare(f.seen) <= 0 {
			break
		}
		before = page[len(page)-1].ID
	}
	slices.SortFunc(missed, inspector.ID.Compare)
	for _, id := range slices.Compact(missed) {
		if err := f.look(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
