// Package storetest is the contract of inspector.Store as a test suite, and makes
// the invented exchanges that stores are tested and measured with.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slackdev/slackdev/inspector"
)

// Run holds a Store to its contract. open gives an empty one that nobody else uses;
// it closes it through t.Cleanup. The store must have room for 2,000 exchanges and 32 MiB.
func Run(t *testing.T, open func(t *testing.T) inspector.Store) {
	for _, claim := range [...]struct {
		name string
		test func(*testing.T, inspector.Store)
	}{
		{"what was put comes back whole", comesBackWhole},
		{"a newer state replaces the older one", replaces},
		{"what is not there is not found", notFound},
		{"a list is newest first and has no bodies", listsNewestFirst},
		{"pages follow each other without gap or overlap", pages},
		{"every key filters, and its opposite too", filters},
		{"random queries find what Query.Match says", agreesWithMatch},
		{"deleted is gone, and the rest stays", deletes},
		{"a pin is kept through later states", pins},
		{"an ID is found by its beginning and its end", resolves},
		{"usage follows what is kept", usage},
		{"bodies of any size and length come back", bodies},
		{"many goroutines put, read and delete at once", concurrent},
		{"what a store gave stays as it was", givenStays},
		{"a context that has ended ends a list", endedContext},
	} {
		t.Run(strings.ReplaceAll(claim.name, " ", "_"), func(t *testing.T) { claim.test(t, open(t)) })
	}
}

// Diff compares exchanges as people would: nil and empty are the same.
func Diff(want, got any) string {
	// Bytes are compared as a whole: element by element a megabyte takes seconds.
	some := func(a, b []byte) bool { return len(a)+len(b) > 0 }
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.FilterValues(some, cmp.Comparer(bytes.Equal)))
}

// Put puts exchanges one after the other.
func Put(t testing.TB, s inspector.Store, xs ...*inspector.Exchange) {
	t.Helper()
	for _, x := range xs {
		if err := s.Put(t.Context(), x); err != nil {
			t.Fatalf("Put(%s): %v", x.ID, err)
		}
	}
}

func get(t testing.TB, s inspector.Store, id inspector.ID) *inspector.Exchange {
	t.Helper()
	x, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get(%s): %v", id, err)
	}
	return x
}

func list(t testing.TB, s inspector.Store, q inspector.Query) []*inspector.Exchange {
	t.Helper()
	xs, err := s.List(t.Context(), q)
	if err != nil {
		t.Fatalf("List(%+v): %v", q, err)
	}
	return xs
}

func ids(xs []*inspector.Exchange) []string {
	out := make([]string, 0, len(xs))
	for _, x := range xs {
		out = append(out, x.ID.String())
	}
	return out
}

func comesBackWhole(t *testing.T, s inspector.Store) {
	maker := NewMaker(1)
	for range 50 {
		x := maker.Next()
		Put(t, s, x)
		if diff := Diff(x, get(t, s, x.ID)); diff != "" {
			t.Fatalf("put and got differ (-put +got):\n%s", diff)
		}
	}
	empty := &inspector.Exchange{ID: maker.NextID()}
	Put(t, s, empty)
	if diff := Diff(empty, get(t, s, empty.ID)); diff != "" {
		t.Errorf("an exchange of which nothing is known (-put +got):\n%s", diff)
	}
}

func replaces(t *testing.T, s inspector.Store) {
	maker := NewMaker(2)
	older, other := maker.Begun(), maker.Next()
	newer := maker.Finish(older)
	Put(t, s, older, other, newer)
	if diff := Diff(newer, get(t, s, older.ID)); diff != "" {
		t.Errorf("the newer state (-want +got):\n%s", diff)
	}
	if diff := Diff(ids([]*inspector.Exchange{other, newer}), ids(list(t, s, inspector.Query{}))); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
}

func notFound(t *testing.T, s inspector.Store) {
	maker := NewMaker(3)
	Put(t, s, maker.Next())
	missing := maker.NextID()
	if _, err := s.Get(t.Context(), missing); !errors.Is(err, inspector.ErrNotFound) {
		t.Errorf("Get of a missing ID: %v, want ErrNotFound", err)
	}
	if err := s.Pin(t.Context(), missing, true); !errors.Is(err, inspector.ErrNotFound) {
		t.Errorf("Pin of a missing ID: %v, want ErrNotFound", err)
	}
	if err := s.Delete(t.Context(), missing); err != nil {
		t.Errorf("Delete of a missing ID: %v, want nil", err)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Errorf("Delete of nothing: %v, want nil", err)
	}
}

func listsNewestFirst(t *testing.T, s inspector.Store) {
	if got := list(t, s, inspector.Query{}); len(got) != 0 {
		t.Fatalf("an empty store lists %d exchanges", len(got))
	}
	maker := NewMaker(4)
	var want []*inspector.Exchange
	for range 30 {
		want = append(want, maker.Next())
	}
	shuffled := slices.Clone(want)
	maker.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	Put(t, s, shuffled...)
	for i, x := range want {
		want[i] = x.Bare()
	}
	slices.Reverse(want)
	if diff := Diff(want, list(t, s, inspector.Query{})); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
}

func pages(t *testing.T, s inspector.Store) {
	maker := NewMaker(5)
	var all []*inspector.Exchange
	for range 2*inspector.DefaultLimit + 7 {
		x := maker.Next()
		all = append(all, x)
		Put(t, s, x)
	}
	slices.Reverse(all)
	if got := len(list(t, s, inspector.Query{})); got != inspector.DefaultLimit {
		t.Errorf("a query without a limit gave %d, want %d", got, inspector.DefaultLimit)
	}
	for _, where := range [][]inspector.Term{
		nil,
		{{Key: inspector.KeyText, Values: []string{"milk"}}},
		{{Key: inspector.KeyText, Values: []string{"milk"}, Not: true}},
		{{Key: inspector.KeyMethod, Values: []string{"post"}}},
	} {
		q := inspector.Query{Limit: 7, Where: where}
		var want, got []string
		for _, x := range all {
			if q.Match(x) {
				want = append(want, x.ID.String())
			}
		}
		for {
			page := list(t, s, q)
			if len(page) == 0 {
				break
			}
			got = append(got, ids(page)...)
			q.Before = page[len(page)-1].ID
		}
		if len(want) < 10 {
			t.Fatalf("%v: the test has only %d matches", where, len(want))
		}
		if diff := Diff(want, got); diff != "" {
			t.Errorf("pages of %v (-want +got):\n%s", where, diff)
		}
	}
}

func deletes(t *testing.T, s inspector.Store) {
	maker := NewMaker(6)
	var all []*inspector.Exchange
	for range 20 {
		all = append(all, maker.Next())
	}
	Put(t, s, all...)
	gone := []inspector.ID{all[0].ID, all[7].ID, all[19].ID}
	if err := s.Delete(t.Context(), gone...); err != nil {
		t.Fatal(err)
	}
	for _, id := range gone {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, inspector.ErrNotFound) {
			t.Errorf("Get(%s) after Delete: %v, want ErrNotFound", id, err)
		}
	}
	if got := len(list(t, s, inspector.Query{})); got != 17 {
		t.Errorf("%d exchanges are left of 20 after 3 were deleted", got)
	}
	Put(t, s, all[7])
	if diff := Diff(all[7], get(t, s, all[7].ID)); diff != "" {
		t.Errorf("put again after it was deleted (-want +got):\n%s", diff)
	}
}

func pins(t *testing.T, s inspector.Store) {
	maker := NewMaker(7)
	begun := maker.Begun()
	Put(t, s, begun, maker.Next())
	pinned := inspector.Query{Where: []inspector.Term{{Key: inspector.KeyPinned}}}
	if err := s.Pin(t.Context(), begun.ID, true); err != nil {
		t.Fatal(err)
	}
	if diff := Diff([]string{begun.ID.String()}, ids(list(t, s, pinned))); diff != "" {
		t.Errorf("the pinned ones (-want +got):\n%s", diff)
	}
	Put(t, s, maker.Finish(begun)) // which does not say Pinned
	if !get(t, s, begun.ID).Pinned || len(list(t, s, pinned)) != 1 {
		t.Error("the pin went with the newer state")
	}
	if err := s.Pin(t.Context(), begun.ID, false); err != nil {
		t.Fatal(err)
	}
	if get(t, s, begun.ID).Pinned || len(list(t, s, pinned)) != 0 {
		t.Error("the pin is still there after it was taken off")
	}
	claims := *maker.Next()
	claims.Pinned = true
	Put(t, s, &claims)
	if get(t, s, claims.ID).Pinned || len(list(t, s, pinned)) != 0 {
		t.Error("Put pinned an exchange; only Pin may")
	}
}

func resolves(t *testing.T, s inspector.Store) {
	if _, err := s.Resolve(t.Context(), "last"); !errors.Is(err, inspector.ErrNotFound) {
		t.Errorf("the last of none: %v, want ErrNotFound", err)
	}
	maker := NewMaker(8)
	var all []*inspector.Exchange
	for range 40 {
		all = append(all, maker.Next())
	}
	Put(t, s, all...)
	text := all[3].ID.String()
	for _, tc := range [...]struct {
		text string
		want inspector.ID
	}{
		{text, all[3].ID},
		{strings.ToLower(text), all[3].ID},
		{text[:25], all[3].ID},
		{text[16:], all[3].ID},
		{strings.ToLower(text[13:]), all[3].ID},
		{"last", all[39].ID},
	} {
		if got, err := s.Resolve(t.Context(), tc.text); err != nil || got != tc.want {
			t.Errorf("Resolve(%q) = %s, %v, want %s", tc.text, got, err, tc.want)
		}
	}
	for _, text := range [...]string{"", "8", "zzzz", "not an id", "ÿ", strings.Repeat("0", 27), text + "0", "%", maker.NextID().String()} {
		if got, err := s.Resolve(t.Context(), text); !errors.Is(err, inspector.ErrNotFound) {
			t.Errorf("Resolve(%q) = %s, %v, want ErrNotFound", text, got, err)
		}
	}
	_, err := s.Resolve(t.Context(), text[:2])
	var ambiguous *inspector.AmbiguousError
	if !errors.As(err, &ambiguous) {
		t.Fatalf("Resolve(%q): %v, want an AmbiguousError", text[:2], err)
	}
	want := ids(all[30:])
	slices.Reverse(want)
	got := make([]string, 0, 10)
	for _, id := range ambiguous.Matches {
		got = append(got, id.String())
	}
	if diff := Diff(want, got); diff != "" {
		t.Errorf("the ten newest matches (-want +got):\n%s", diff)
	}
}

func usage(t *testing.T, s inspector.Store) {
	measure := func() inspector.Usage {
		t.Helper()
		u, err := s.Usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := measure(); u != (inspector.Usage{}) {
		t.Errorf("an empty store uses %+v", u)
	}
	maker := NewMaker(9)
	begun := maker.Begun()
	begun.Request.Body = inspector.Body{Bytes: make([]byte, 10_000), Size: 10_000}
	Put(t, s, begun)
	one := measure()
	if one.Exchanges != 1 || one.Bytes < 10_000 || one.Bytes > 20_000 {
		t.Errorf("one exchange of 10,000 bytes uses %+v", one)
	}
	Put(t, s, begun)
	if again := measure(); again != one {
		t.Errorf("the same exchange again: %+v, want %+v", again, one)
	}
	next := maker.Next()
	Put(t, s, next)
	if two := measure(); two.Exchanges != 2 || two.Bytes <= one.Bytes {
		t.Errorf("two exchanges use %+v, one %+v", two, one)
	}
	if err := s.Delete(t.Context(), begun.ID, next.ID); err != nil {
		t.Fatal(err)
	}
	if u := measure(); u != (inspector.Usage{}) {
		t.Errorf("a store of which all was deleted uses %+v", u)
	}
}

func bodies(t *testing.T, s inspector.Store) {
	maker := NewMaker(10)
	for name, size := range map[string]int{"none": 0, "one byte": 1, "a page": 4096, "a segment": 5 << 20} {
		for _, passed := range [...]int64{int64(size), int64(size) + 1, 1 << 40} {
			x := maker.Next()
			x.Request.Body = inspector.Body{Bytes: maker.Bytes(size), Size: passed}
			x.Response = &inspector.Response{Status: 200, Body: inspector.Body{Bytes: maker.Bytes(size / 2), Size: passed}}
			Put(t, s, x)
			got := get(t, s, x.ID)
			if Diff(x, got) != "" {
				t.Errorf("%s, %d passed: put and got differ", name, passed)
			}
			if got.Request.Body.Truncated() != (passed > int64(size)) {
				t.Errorf("%s, %d passed: Truncated() = %v", name, passed, got.Request.Body.Truncated())
			}
			listed := list(t, s, inspector.Query{Limit: 1})[0]
			if listed.Request.Body.Size != passed || listed.Response.Body.Size != passed || listed.Request.Body.Bytes != nil {
				t.Errorf("%s: in a list it has %d bytes and a size of %d", name, len(listed.Request.Body.Bytes), listed.Request.Body.Size)
			}
		}
	}
}

func concurrent(t *testing.T, s inspector.Store) {
	const writers, each = 8, 60
	ctx := t.Context()
	var wg sync.WaitGroup
	kept := make([][]*inspector.Exchange, writers)
	for w := range writers {
		wg.Go(func() {
			maker := NewMaker(100 + uint64(w))
			for i := range each {
				begun := maker.Begun()
				done := maker.Finish(begun)
				for _, x := range [...]*inspector.Exchange{begun, done} {
					if err := s.Put(ctx, x); err != nil {
						t.Errorf("Put: %v", err)
						return
					}
					if got, err := s.Get(ctx, x.ID); err != nil || (got.Response == nil) != (x.Response == nil) {
						t.Errorf("Get right after Put: %v", err)
						return
					}
				}
				if i%10 == 9 {
					if err := s.Delete(ctx, begun.ID); err != nil {
						t.Errorf("Delete: %v", err)
					}
					continue
				}
				kept[w] = append(kept[w], done)
			}
		})
		wg.Go(func() { readAll(t, ctx, s) })
	}
	wg.Wait()
	want := slices.Concat(kept...)
	slices.SortFunc(want, func(a, b *inspector.Exchange) int { return b.ID.Compare(a.ID) })
	if diff := Diff(ids(want), ids(list(t, s, inspector.Query{Limit: 10_000}))); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

// readAll reads in every way while others write, and checks what always holds.
func readAll(t *testing.T, ctx context.Context, s inspector.Store) {
	for i := range 15 {
		q := inspector.Query{Limit: 50}
		if i%3 == 1 {
			q.Where = []inspector.Term{{Key: inspector.KeyText, Values: []string{"milk"}}}
		}
		xs, err := s.List(ctx, q)
		if err != nil {
			t.Errorf("List: %v", err)
		}
		if !slices.IsSortedFunc(xs, func(a, b *inspector.Exchange) int { return b.ID.Compare(a.ID) }) {
			t.Error("a list is out of order")
		}
		if len(slices.Compact(ids(xs))) != len(xs) {
			t.Error("a list has an exchange twice")
		}
		if _, err := s.Usage(ctx); err != nil {
			t.Errorf("Usage: %v", err)
		}
		if _, err := s.Resolve(ctx, "last"); err != nil && !errors.Is(err, inspector.ErrNotFound) {
			t.Errorf("Resolve: %v", err)
		}
	}
}

func givenStays(t *testing.T, s inspector.Store) {
	maker := NewMaker(11)
	begun := maker.Begun()
	Put(t, s, begun)
	before := get(t, s, begun.ID)
	copied := *before
	Put(t, s, maker.Finish(begun))
	if err := s.Pin(t.Context(), begun.ID, true); err != nil {
		t.Fatal(err)
	}
	if diff := Diff(&copied, before); diff != "" {
		t.Errorf("an exchange that was read before a newer state came (-then +now):\n%s", diff)
	}
	if begun.Response != nil || begun.Pinned {
		t.Error("the store changed an exchange that was put")
	}
}

func endedContext(t *testing.T, s inspector.Store) {
	maker := NewMaker(12)
	for range 10 {
		Put(t, s, maker.Next())
	}
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := s.List(ctx, inspector.Query{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("List with a context that has ended: %v, want DeadlineExceeded", err)
	}
}

func describe(q inspector.Query) string { return fmt.Sprintf("%+v", q.Where) }
