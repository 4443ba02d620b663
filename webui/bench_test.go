package webui

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/slackdev/slackdev/inspector"
)

// BenchmarkAnnounce measures, in a quiet time, from before a request is saved to the
// moment at which the last of the browsers has read that. ns/op is the median.
func BenchmarkAnnounce(b *testing.B) {
	for _, browsers := range []int{1, 20} {
		b.Run(fmt.Sprintf("browsers=%d", browsers), func(b *testing.B) {
			g := newRig(b)
			heard := make(chan message, browsers)
			leave := g.watch(b, browsers, func(m message) { heard <- m })
			for range browsers {
				<-heard // hello
			}
			x := g.exchange("/todo")
			var took []time.Duration
			for b.Loop() {
				<-time.After(frameTime + 4*time.Millisecond) // until it is quiet
				begin := time.Now()
				if err := g.Journal.Save(b.Context(), x); err != nil {
					b.Fatal(err)
				}
				for range browsers {
					if m := <-heard; m.Type != "events" || len(m.Events) != 1 || m.Events[0].ID != x.ID.String() {
						b.Fatalf("got %v, want the event", m)
					}
				}
				took = append(took, time.Since(begin))
			}
			leave()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "ns/op")
			b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
		})
	}
}

// BenchmarkFanOut measures one message of ten events, from the hub to the last of 20
// browsers having read it, without waiting for frames.
func BenchmarkFanOut(b *testing.B) {
	const browsers = 20
	g := newRig(b)
	heard := make(chan message, browsers)
	leave := g.watch(b, browsers, func(m message) { heard <- m })
	for range browsers {
		<-heard // hello
	}
	events := make([]inspector.Event, 10)
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range events {
			seq++
			events[i] = inspector.Event{Seq: seq, What: inspector.Saved, ID: g.ids.Next()}
		}
		g.live.announce(events)
		for range browsers {
			if m := <-heard; m.Type != "events" || len(m.Events) != len(events) || m.Events[9].Seq != seq {
				b.Fatalf("got %v, want ten events up to %d", m, seq)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/browsers, "ns/delivery")
	leave()
}

// BenchmarkListByIDs reads what a frame of the page asks for.
func BenchmarkListByIDs(b *testing.B) {
	g := newRig(b)
	var ids []inspector.ID
	for range 1000 {
		ids = append(ids, g.save(b, "/todo").ID)
	}
	ids = ids[len(ids)-20:]
	b.ReportAllocs()
	for b.Loop() {
		xs, err := g.some(b.Context(), ids)
		if err != nil || len(xs) != len(ids) {
			b.Fatalf("got %d, %v; want %d", len(xs), err, len(ids))
		}
	}
}

// watch opens that many browsers, each with a goroutine that reads, until leave is called.
func (g *rig) watch(b *testing.B, browsers int, hear func(message)) (leave func()) {
	b.Helper()
	var reading sync.WaitGroup
	var open []*websocket.Conn
	for range browsers {
		ws, _, err := websocket.DefaultDialer.DialContext(b.Context(), "ws"+g.url[len("http"):]+"/api/v1/live", bearer())
		if err != nil {
			b.Fatal(err)
		}
		open = append(open, ws)
		reading.Go(func() {
			for {
				var m message
				if err := ws.ReadJSON(&m); err != nil {
					return
				}
				hear(m)
			}
		})
	}
	return func() {
		for _, ws := range open {
			_ = ws.Close()
		}
		reading.Wait()
	}
}
