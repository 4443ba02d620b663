package memory_test

import (
	"testing"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/memory"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

func TestStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) inspector.Store { return new(memory.Store) })
}

func left(t *testing.T, s *memory.Store) map[inspector.ID]bool {
	t.Helper()
	page, err := s.List(t.Context(), inspector.Query{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[inspector.ID]bool)
	for _, x := range page {
		ids[x.ID] = true
	}
	return ids
}

func TestTheOldestGoFirstAndPinnedOnesStay(t *testing.T) {
	s := &memory.Store{MaxExchanges: 50}
	maker := storetest.NewMaker(1)
	var all []*inspector.Exchange
	for i := range 200 {
		x := maker.Next()
		all = append(all, x)
		storetest.Put(t, s, x)
		if i == 0 || i == 20 {
			if err := s.Pin(t.Context(), x.ID, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := left(t, s)
	for i, x := range all {
		if want := i == 0 || i == 20 || i >= 152; got[x.ID] != want {
			t.Errorf("exchange %d of 200 is there: %v, want %v", i, got[x.ID], want)
		}
	}
	if err := s.Pin(t.Context(), all[0].ID, false); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, maker.Next())
	if got := left(t, s); got[all[0].ID] || !got[all[20].ID] || len(got) != 50 {
		t.Errorf("after the pin was taken off the oldest one: it is there: %v; %d in all", got[all[0].ID], len(got))
	}
}

func TestOnlyPinnedOnesAreLeftWhenThereIsNoRoom(t *testing.T) {
	s := &memory.Store{MaxExchanges: 5}
	maker := storetest.NewMaker(2)
	for range 5 {
		x := maker.Next()
		storetest.Put(t, s, x)
		if err := s.Pin(t.Context(), x.ID, true); err != nil {
			t.Fatal(err)
		}
	}
	x := maker.Next()
	storetest.Put(t, s, x)
	if got := left(t, s); len(got) != 5 || got[x.ID] {
		t.Errorf("%d are left, the new one: %v, want the 5 pinned ones", len(got), got[x.ID])
	}
}

func TestSizeIsBounded(t *testing.T) {
	s := &memory.Store{MaxSize: 1 << 20}
	maker := storetest.NewMaker(3)
	for range 300 {
		storetest.Put(t, s, maker.Sized(10_000))
	}
	u, err := s.Usage(t.Context())
	if err != nil || u.Bytes > 1<<20 || u.Exchanges < 80 {
		t.Errorf("with room for 1 MiB: %+v, %v", u, err)
	}
}
