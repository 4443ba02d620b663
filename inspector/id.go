package inspector

import (
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// ID names an exchange: a ULID, so that IDs sort by time as bytes and as text.
// The zero ID names nothing.
type ID [16]byte

// String gives the 26 characters that people see, and "" for the zero ID.
func (id ID) String() string {
	if id == (ID{}) {
		return ""
	}
	return ulid.ULID(id).String()
}

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Time is when the ID was made, to the millisecond.
func (id ID) Time() time.Time { return ulid.Time(ulid.ULID(id).Time()) }

// ParseID reads the 26 characters of String, in either case.
func ParseID(s string) (ID, error) {
	u, err := ulid.ParseStrict(s)
	if err != nil {
		return ID{}, fmt.Errorf("parse id %q: %w", s, err)
	}
	return ID(u), nil
}

// IDs makes IDs, each greater than the one before, also within a millisecond and
// when the clock goes back. It is safe for many goroutines.
type IDs struct {
	now func() time.Time

	mu      sync.Mutex // guards the rest
	last    ID
	entropy io.Reader
}

// NewIDs makes IDs that sort after last, which may be zero.
func NewIDs(now func() time.Time, last ID) *IDs {
	return &IDs{now: now, last: last, entropy: ulid.Monotonic(rand.Reader, 0)}
}

// Next gives an ID that was never given before.
func (g *IDs) Next() ID {
	g.mu.Lock()
	defer g.mu.Unlock()
	ms := max(ulid.Timestamp(g.now()), ulid.ULID(g.last).Time())
	id, err := ulid.New(ms, g.entropy)
	for err != nil || ID(id).String() <= g.last.String() {
		// 2^80 IDs in one millisecond, or a last ID of another process: the next millisecond is free.
		ms++
		id, err = ulid.New(ms, g.entropy)
	}
	g.last = ID(id)
	return g.last
}
