package inspector

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotFound says that no exchange has that ID.
var ErrNotFound = errors.New("no such request")

// AmbiguousError says that several exchanges match a shortened ID.
type AmbiguousError struct {
	Text    string
	Matches []ID // at most ten, newest first
}

// Error names the text and how many it fits.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q fits %d requests or more: %s, %s …", e.Text, len(e.Matches), e.Matches[0], e.Matches[1])
}

// Store keeps exchanges. Every method is safe for many goroutines, and what a
// method returned is the caller's to read and nobody's to change.
type Store interface {
	// Put keeps x, in place of an older one with the same ID. When it returns nil,
	// x survives the death of the process. It may wait for room; the context bounds that.
	Put(ctx context.Context, x *Exchange) error
	// Get gives the whole exchange, or ErrNotFound.
	Get(ctx context.Context, id ID) (*Exchange, error)
	// List gives what q asks for, newest first. The exchanges come without the bytes
	// of their bodies (Body.Size is right).
	List(ctx context.Context, q Query) ([]*Exchange, error)
	// Delete forgets exchanges. IDs that are not there are skipped.
	Delete(ctx context.Context, ids ...ID) error
	// Pin says whether an exchange stays when the store makes room; ErrNotFound.
	Pin(ctx context.Context, id ID, pinned bool) error
	// Resolve finds the one ID that text is a prefix or a suffix of, in either case;
	// "last" is the newest. ErrNotFound, or *AmbiguousError.
	Resolve(ctx context.Context, text string) (ID, error)
	// Usage says how much is kept.
	Usage(ctx context.Context) (Usage, error)
}

// Usage is how much a store keeps.
type Usage struct {
	Exchanges int
	Bytes     int64 // heads and bodies; what the disk holds is more
}

// Recorder is what records an exchange: the Journal.
type Recorder interface {
	Save(ctx context.Context, x *Exchange) error
}
