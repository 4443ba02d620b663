//go:build unix

package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

// cpu is the processor time of the process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// onDisk is the length of the database and its companions.
func onDisk(b *testing.B, path string) (n int64) {
	names, err := filepath.Glob(path + "*")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			n += info.Size()
		}
	}
	return n
}

// BenchmarkPut puts an exchange as the proxy does: when it has begun, and when all
// of it is known. cpu/op is the processor time of both and of folding them, but for the index.
func BenchmarkPut(b *testing.B) {
	for _, size := range [...]int{700, 4096} {
		for _, goroutines := range [...]int{1, 64} {
			b.Run(fmt.Sprintf("body=%d/goroutines=%d", size, goroutines), func(b *testing.B) {
				s := openTest(b, Options{})
				maker := storetest.NewMaker(1)
				begun, done := maker.Sized(size), maker.Sized(size)
				begun.Response, begun.Fault = nil, ""
				ids := inspector.NewIDs(time.Now, inspector.ID{})
				b.SetParallelism((goroutines + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
				b.ReportAllocs()
				var puts atomic.Int64
				put := func() {
					id := ids.Next()
					x, y := *begun, *done
					x.ID, y.ID = id, id
					if err := s.Put(b.Context(), &x); err != nil {
						b.Error(err)
					}
					if err := s.Put(b.Context(), &y); err != nil {
						b.Error(err)
					}
					puts.Add(1)
				}
				before := cpu(b)
				if goroutines == 1 {
					for b.Loop() {
						put()
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							put()
						}
					})
				}
				b.StopTimer()
				if err := s.Delete(b.Context(), inspector.ID{1}); err != nil { // which folds everything
					b.Fatal(err)
				}
				n := puts.Load()
				b.ReportMetric(float64(cpu(b)-before)/float64(n), "cpu-ns/op")
				u, err := s.Usage(b.Context())
				if err != nil || int64(u.Exchanges) != min(n, int64(u.Exchanges)) || u.Exchanges == 0 {
					b.Fatalf("%d were put, %d are there: %v", n, u.Exchanges, err)
				}
			})
		}
	}
}

// fill makes a history of n exchanges, all of them folded and indexed.
func fill(b testing.TB, path string, n int) {
	s, err := Open(b.Context(), Options{Path: path, MaxExchanges: 2 * n})
	if err != nil {
		b.Fatal(err)
	}
	maker := storetest.NewMaker(1)
	for i := range n {
		x := maker.Sized(400 + 2*(i%1000))
		x.Request.Method = "POST"
		if i%(n/20) == 7 {
			x.Request.Body.Bytes = append(x.Request.Body.Bytes, "&note=zebra+crossing"...)
		}
		storetest.Put(b, s, x)
	}
	indexAll(b, s)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHistory measures what a person waits for, with 100,000 exchanges.
func BenchmarkHistory(b *testing.B) {
	const n = 100_000
	path := filepath.Join(b.TempDir(), "history.db")
	fill(b, path, n)
	b.Logf("%d bytes on disk for each exchange", onDisk(b, path)/n)
	s := openTest(b, Options{Path: path})
	text := func(values ...string) (terms []inspector.Term) {
		for _, v := range values {
			terms = append(terms, inspector.Term{Key: inspector.KeyText, Values: []string{v}})
		}
		return terms
	}
	for _, bc := range [...]struct {
		name  string
		where []inspector.Term
		want  int
	}{
		{"first page", nil, 100},
		{"rare word", text("zebra"), 20},
		{"rare phrase", text("zebra cross"), 20},
		{"common word", text("milk"), 100},
		{"common beginning", text("w"), 100},
		{"two common words", text("bread", "eggs"), 100},
		{"no such word", text("xylophone"), 0},
		{"without a rare word", []inspector.Term{{Key: inspector.KeyText, Values: []string{"zebra"}, Not: true}}, 100},
		{"without a common word", []inspector.Term{{Key: inspector.KeyText, Values: []string{"milk"}, Not: true}}, -1},
		{"common kind", []inspector.Term{{Key: inspector.KeyKind, Values: []string{"slash_command"}}}, 100},
		{"no such user", []inspector.Term{{Key: inspector.KeyUser, Values: []string{"nobody"}}}, 0},
		{"no such status", []inspector.Term{{Key: inspector.KeyStatus, Min: 599, Max: 599}}, 0},
	} {
		b.Run(bc.name, func(b *testing.B) {
			for b.Loop() {
				page, err := s.List(b.Context(), inspector.Query{Where: bc.where})
				if err != nil || len(page) != bc.want && bc.want >= 0 {
					b.Fatalf("%d exchanges, %v, want %d", len(page), err, bc.want)
				}
			}
		})
	}
	page, err := s.List(b.Context(), inspector.Query{Limit: n / 2})
	if err != nil {
		b.Fatal(err)
	}
	middle := page[len(page)-1].ID
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Get(b.Context(), middle); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("resolve the end of an ID", func(b *testing.B) {
		for b.Loop() {
			if id, err := s.Resolve(b.Context(), middle.String()[18:]); err != nil || id != middle {
				b.Fatal(id, err)
			}
		}
	})
	b.Run("a page in the middle", func(b *testing.B) {
		for b.Loop() {
			if page, err := s.List(b.Context(), inspector.Query{Before: middle, Where: text("milk")}); err != nil || len(page) != 100 {
				b.Fatal(len(page), err)
			}
		}
	})
}
