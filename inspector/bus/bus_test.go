package bus_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/slackdev/slackdev/inspector/bus"
)

func TestEverySubscriberGetsEveryValueInOrder(t *testing.T) {
	var b bus.Bus[int]
	subs := []*bus.Sub[int]{b.Subscribe(100), b.Subscribe(100)}
	for i := range 100 {
		b.Publish(i)
	}
	for n, s := range subs {
		s.Close()
		want := 0
		for v := range s.C {
			if v != want {
				t.Fatalf("subscriber %d got %d where %d should be", n, v, want)
			}
			want++
		}
		if want != 100 || s.Behind() {
			t.Errorf("subscriber %d got %d values, behind: %v", n, want, s.Behind())
		}
	}
}

func TestASlowSubscriberIsCutOffAndToldSo(t *testing.T) {
	var b bus.Bus[int]
	slow, fast := b.Subscribe(3), b.Subscribe(10)
	for i := range 5 {
		b.Publish(i)
	}
	got := 0
	for range slow.C { // closed: it ends
		got++
	}
	if got != 3 || !slow.Behind() {
		t.Errorf("the slow one got %d values, behind: %v, want 3 and true", got, slow.Behind())
	}
	fast.Close()
	if fast.Behind() || len(fast.C) != 5 {
		t.Errorf("the fast one has %d values, behind: %v, want 5 and false", len(fast.C), fast.Behind())
	}
	slow.Close()
	b.Publish(9) // to nobody
}

func TestRoomIsAtLeastOne(t *testing.T) {
	var b bus.Bus[string]
	s := b.Subscribe(-1)
	b.Publish("first")
	if got := <-s.C; got != "first" {
		t.Errorf("got %q", got)
	}
	s.Close()
	s.Close() // may be called again
	if _, open := <-s.C; open || s.Behind() {
		t.Error("a closed subscription is open, or says that it is behind")
	}
}

// Publish never waits: with every subscriber stuck, a publisher comes to its end.
func TestPublishNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bus.Bus[int]
		stuck := b.Subscribe(1)
		done := false
		go func() {
			for i := range 1000 {
				b.Publish(i)
			}
			done = true
		}()
		synctest.Wait()
		if !done {
			t.Fatal("Publish waits for a subscriber that does not read")
		}
		if !stuck.Behind() {
			t.Error("the stuck subscriber was not cut off")
		}
	})
}

func TestAllAtOnce(t *testing.T) {
	var b bus.Bus[int]
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				b.Publish(i)
			}
		})
		wg.Go(func() {
			for range 200 {
				s := b.Subscribe(4)
				for range 3 {
					select {
					case <-s.C:
					default:
					}
				}
				s.Close()
				s.Behind()
			}
		})
	}
	wg.Wait()
}

func BenchmarkPublishToTen(b *testing.B) {
	var bb bus.Bus[int]
	var wg sync.WaitGroup
	subs := make([]*bus.Sub[int], 10)
	for i := range subs {
		s := bb.Subscribe(1 << 16)
		subs[i] = s
		wg.Go(func() {
			for range s.C {
			}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		bb.Publish(1)
	}
	for _, s := range subs {
		s.Close()
	}
	wg.Wait()
}
