// Package memory keeps exchanges in memory, bounded by their number and their size:
// what --store memory says. It is the plainest implementation of inspector.Store, and
// what the others are compared with.
package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/slackdev/slackdev/inspector"
)

// The limits where a Store does not say its own.
const (
	DefaultMaxExchanges = 10_000
	DefaultMaxSize      = 256 << 20
)

// Store is an inspector.Store that ends with the process. The zero Store is ready
// for use; the limits are read-only after the first call.
type Store struct {
	MaxExchanges int   // 0: DefaultMaxExchanges. The oldest that are not pinned go first
	MaxSize      int64 // bytes of heads and bodies; 0: DefaultMaxSize

	mu        sync.RWMutex // guards what follows
	exchanges map[inspector.ID]kept
	order     []inspector.ID // oldest first
	bytes     int64
	evictable int // from here on order may have IDs that are not pinned
}

type kept struct {
	x    *inspector.Exchange // Pinned is right
	size int64
}

var _ inspector.Store = (*Store)(nil)

// Put implements inspector.Store. It survives nothing.
func (s *Store) Put(_ context.Context, x *inspector.Exchange) error {
	size := sizeOf(x)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exchanges == nil {
		s.exchanges = make(map[inspector.ID]kept)
	}
	old, replaces := s.exchanges[x.ID]
	pinned := replaces && old.x.Pinned
	if x.Pinned != pinned {
		x = withPin(x, pinned)
	}
	s.exchanges[x.ID] = kept{x, size}
	s.bytes += size - old.size
	if !replaces {
		at, _ := slices.BinarySearchFunc(s.order, x.ID, inspector.ID.Compare)
		s.order = slices.Insert(s.order, at, x.ID)
		s.evictable = min(s.evictable, at)
	}
	s.evict()
	return nil
}

// evict removes the oldest exchanges that are not pinned while there are too many.
func (s *Store) evict() {
	maxExchanges, maxSize := s.MaxExchanges, s.MaxSize
	if maxExchanges <= 0 {
		maxExchanges = DefaultMaxExchanges
	}
	if maxSize <= 0 {
		maxSize = DefaultMaxSize
	}
	for (len(s.order) > maxExchanges || s.bytes > maxSize) && s.evictable < len(s.order) {
		if id := s.order[s.evictable]; s.exchanges[id].x.Pinned {
			s.evictable++
		} else {
			s.remove(id)
		}
	}
}

func (s *Store) remove(id inspector.ID) {
	old, ok := s.exchanges[id]
	if !ok {
		return
	}
	delete(s.exchanges, id)
	s.bytes -= old.size
	at, _ := slices.BinarySearchFunc(s.order, id, inspector.ID.Compare)
	if at == 0 {
		s.order = s.order[1:] // the oldest, most of the time: nothing moves
	} else {
		s.order = slices.Delete(s.order, at, at+1)
	}
	if at < s.evictable {
		s.evictable--
	}
}

// Get implements inspector.Store.
func (s *Store) Get(_ context.Context, id inspector.ID) (*inspector.Exchange, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.exchanges[id]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", id, inspector.ErrNotFound)
	}
	return k.x, nil
}

// List implements inspector.Store.
func (s *Store) List(ctx context.Context, q inspector.Query) ([]*inspector.Exchange, error) {
	s.mu.RLock()
	end := len(s.order)
	if !q.Before.IsZero() {
		end, _ = slices.BinarySearchFunc(s.order, q.Before, inspector.ID.Compare)
	}
	candidates := make([]*inspector.Exchange, 0, end)
	for _, id := range s.order[:end] {
		candidates = append(candidates, s.exchanges[id].x)
	}
	s.mu.RUnlock() // matching takes its time, and needs only what nobody changes

	m := inspector.NewMatcher(q.Where)
	var page []*inspector.Exchange
	for _, x := range slices.Backward(candidates) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("list the history: %w", err)
		}
		if len(page) == q.PageSize() {
			break
		}
		if m.Match(x) {
			page = append(page, x.Bare())
		}
	}
	return page, nil
}

// Delete implements inspector.Store.
func (s *Store) Delete(_ context.Context, ids ...inspector.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.remove(id)
	}
	return nil
}

// Pin implements inspector.Store.
func (s *Store) Pin(_ context.Context, id inspector.ID, pinned bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.exchanges[id]
	if !ok {
		return fmt.Errorf("pin %s: %w", id, inspector.ErrNotFound)
	}
	k.x = withPin(k.x, pinned)
	s.exchanges[id] = k
	s.evictable = 0
	return nil
}

// Resolve implements inspector.Store.
func (s *Store) Resolve(_ context.Context, text string) (inspector.ID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, err := s.resolve(text)
	if err != nil {
		return id, fmt.Errorf("find %q: %w", text, err)
	}
	return id, nil
}

func (s *Store) resolve(text string) (inspector.ID, error) {
	if text == "last" && len(s.order) > 0 {
		return s.order[len(s.order)-1], nil
	}
	a, ok := inspector.ParseAbbreviation(text)
	if !ok {
		return inspector.ID{}, inspector.ErrNotFound
	}
	var found []inspector.ID
	for _, id := range slices.Backward(s.order) {
		if len(found) == inspector.EnoughMatches {
			break
		}
		if a.Match(id) {
			found = append(found, id)
		}
	}
	return a.One(found)
}

// Usage implements inspector.Store.
func (s *Store) Usage(context.Context) (inspector.Usage, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return inspector.Usage{Exchanges: len(s.order), Bytes: s.bytes}, nil
}

// Close does nothing; it is there so that every store has one.
func (s *Store) Close() error { return nil }

func withPin(x *inspector.Exchange, pinned bool) *inspector.Exchange {
	y := *x
	y.Pinned = pinned
	return &y
}

// sizeOf is about what an exchange takes: its texts, and what holds them together.
func sizeOf(x *inspector.Exchange) int64 {
	const fixed, field = 600, 40
	n := fixed + len(x.Request.Target) + len(x.Request.Body.Bytes) + len(x.Slack.Text) + len(x.Fault)
	heads := []inspector.Header{x.Request.Header, x.Request.Trailer}
	if x.Response != nil {
		n += len(x.Response.Body.Bytes)
		heads = append(heads, x.Response.Header, x.Response.Trailer)
	}
	for _, h := range heads {
		for _, f := range h {
			n += field + len(f.Name) + len(f.Value)
		}
	}
	for i := range x.Findings {
		n += 80 + len(x.Findings[i].Text) + len(x.Findings[i].Fix)
	}
	return int64(n)
}
