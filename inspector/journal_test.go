package inspector_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/memory"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

// full is a store that takes nothing.
type full struct{ memory.Store }

var errFull = errors.New("no space left")

func (*full) Put(context.Context, *inspector.Exchange) error { return errFull }

func (*full) Delete(context.Context, ...inspector.ID) error { return errFull }

func TestJournalSavesThenAnnounces(t *testing.T) {
	store := new(memory.Store)
	j := &inspector.Journal{Store: store}
	sub := j.Events.Subscribe(10)
	defer sub.Close()
	maker := storetest.NewMaker(1)
	a, b := maker.Begun(), maker.Next()
	for _, x := range [...]*inspector.Exchange{a, b} {
		if err := j.Save(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Pin(t.Context(), a.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := j.Delete(t.Context(), a.ID, b.ID); err != nil {
		t.Fatal(err)
	}
	want := []inspector.Event{
		{Seq: 1, What: inspector.Saved, ID: a.ID}, {Seq: 2, What: inspector.Saved, ID: b.ID, Final: true}, {Seq: 3, What: inspector.Saved, ID: a.ID},
		{Seq: 4, What: inspector.Deleted, ID: a.ID}, {Seq: 5, What: inspector.Deleted, ID: b.ID},
	}
	for _, w := range want {
		if diff := cmp.Diff(w, <-sub.C); diff != "" {
			t.Errorf("the event (-want +got):\n%s", diff)
		}
	}
	if j.Seq() != 5 {
		t.Errorf("Seq = %d, want 5", j.Seq())
	}
}

func TestJournalAnnouncesWhatIsLost(t *testing.T) {
	j := &inspector.Journal{Store: new(full)}
	sub := j.Events.Subscribe(10)
	defer sub.Close()
	x := storetest.NewMaker(1).Next()
	if err := j.Save(t.Context(), x); !errors.Is(err, errFull) {
		t.Errorf("Save into a full store: %v, want its error", err)
	}
	if diff := cmp.Diff(inspector.Event{Seq: 1, What: inspector.Lost, ID: x.ID}, <-sub.C); diff != "" {
		t.Errorf("the event (-want +got):\n%s", diff)
	}
	if err := j.Trouble(); !errors.Is(err, errFull) {
		t.Errorf("Trouble: %v, want the error of the last Save", err)
	}
	if err := j.Delete(t.Context(), x.ID); !errors.Is(err, errFull) {
		t.Errorf("Delete: %v", err)
	}
	if err := j.Pin(t.Context(), x.ID, true); !errors.Is(err, inspector.ErrNotFound) {
		t.Errorf("Pin: %v", err)
	}
	if j.Seq() != 1 {
		t.Errorf("what failed was announced: Seq = %d, want 1", j.Seq())
	}
}

func TestJournalNumbersWithoutGapsInTheOrderOfPublishing(t *testing.T) {
	const goroutines, each = 8, 200
	j := &inspector.Journal{Store: new(memory.Store)}
	sub := j.Events.Subscribe(goroutines * each)
	defer sub.Close()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			maker := storetest.NewMaker(uint64(g))
			for range each {
				if err := j.Save(t.Context(), maker.Begun()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for want := uint64(1); want <= goroutines*each; want++ {
		e := <-sub.C
		if e.Seq != want {
			t.Fatalf("event %d comes where %d should", e.Seq, want)
		}
		if _, err := j.Store.Get(t.Context(), e.ID); err != nil {
			t.Fatalf("it was announced before it was saved: %v", err)
		}
	}
}
