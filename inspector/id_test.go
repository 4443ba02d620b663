package inspector_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

func TestIDsAreGreaterThanThoseBefore(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	clock := []time.Time{start, start, start.Add(-10 * time.Minute), start.Add(time.Second), start, start.Add(-time.Hour)}
	i := 0
	ids := inspector.NewIDs(func() time.Time { i++; return clock[i%len(clock)] }, inspector.ID{})
	last := inspector.ID{}
	for range 10_000 {
		id := ids.Next()
		if id.Compare(last) <= 0 || id.String() <= last.String() {
			t.Fatalf("%s comes after %s", id, last)
		}
		last = id
	}
	if age := last.Time().Sub(start); age < time.Second || age > time.Minute {
		t.Errorf("the last ID was made %v after the first; the clock went a second", age)
	}
}

func TestIDsGoOnAfterTheLastOfAnotherProcess(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	future := inspector.NewIDs(func() time.Time { return now.Add(time.Hour) }, inspector.ID{}).Next()
	id := inspector.NewIDs(func() time.Time { return now }, future).Next()
	if id.Compare(future) <= 0 {
		t.Errorf("%s does not sort after %s", id, future)
	}
}

func TestIDsAreUniqueAcrossGoroutines(t *testing.T) {
	ids := inspector.NewIDs(time.Now, inspector.ID{})
	var mu sync.Mutex
	seen := make(map[inspector.ID]bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				id := ids.Next()
				mu.Lock()
				if seen[id] {
					t.Errorf("%s was given twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestParseIDReadsWhatStringWrites(t *testing.T) {
	id := inspector.NewIDs(time.Now, inspector.ID{}).Next()
	for _, text := range [...]string{id.String(), strings.ToLower(id.String())} {
		if got, err := inspector.ParseID(text); err != nil || got != id {
			t.Errorf("ParseID(%q) = %s, %v, want %s", text, got, err, id)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "too short": id.String()[:25], "too long": id.String() + "0",
		"a letter that IDs have not": "U" + id.String()[1:], "more than 128 bits": "8" + id.String()[1:], "not ASCII": id.String()[:24] + "é",
	} {
		if got, err := inspector.ParseID(text); err == nil {
			t.Errorf("%s: ParseID(%q) = %s, want an error", name, text, got)
		}
	}
	if s := (inspector.ID{}).String(); s != "" || !(inspector.ID{}).IsZero() || id.IsZero() {
		t.Errorf("the zero ID is %q", s)
	}
}

func TestAbbreviations(t *testing.T) {
	a, err := inspector.ParseID("01M7YSR3FD040000Z930SJ1MY8")
	if err != nil {
		t.Fatal(err)
	}
	b := a
	b[15]++
	for text, want := range map[string]bool{
		"01m7": true, "01M7YSR3FD040000Z930SJ1MY8": true, "1my8": true, "8": true, "SJ1MY": false, "02": false, "0": true, "1": false,
	} {
		short, ok := inspector.ParseAbbreviation(text)
		if !ok || short.Match(a) != want {
			t.Errorf("%q: ok %v, Match = %v, want %v", text, ok, short.Match(a), want)
		}
		low, high := short.Range()
		inRange := low.Compare(a) <= 0 && a.Compare(high) <= 0
		if prefix := strings.HasPrefix(a.String(), strings.ToUpper(text)); inRange != prefix {
			t.Errorf("%q: in the range %s to %s: %v, want %v", text, low, high, inRange, prefix)
		}
		if tail := short.Tail(); strings.HasSuffix(a.String(), strings.ToUpper(text)) && string(a[16-len(tail):]) != string(tail) {
			t.Errorf("%q: the tail is %x, and the ID ends with %x", text, tail, a[16-len(tail):])
		}
	}
	for _, text := range [...]string{"", "u", "last", "é", "-", strings.Repeat("0", 27)} {
		if _, ok := inspector.ParseAbbreviation(text); ok {
			t.Errorf("%q was taken for a part of an ID", text)
		}
	}
	short, _ := inspector.ParseAbbreviation("01m7")
	if _, err := short.One(nil); !errors.Is(err, inspector.ErrNotFound) {
		t.Errorf("one of none: %v", err)
	}
	if id, err := short.One([]inspector.ID{a, a}); err != nil || id != a {
		t.Errorf("one that was found twice: %s, %v", id, err)
	}
	var ambiguous *inspector.AmbiguousError
	if _, err := short.One([]inspector.ID{a, b, a}); !errors.As(err, &ambiguous) || ambiguous.Matches[0] != b || !strings.Contains(err.Error(), a.String()) {
		t.Errorf("one of two: %v, want both, the newer one first", err)
	}
}
