package inspector

import (
	"context"
	"sync"

	"github.com/slackdev/slackdev/inspector/bus"
)

// Change is what happened to an exchange.
type Change string

// The changes.
const (
	Saved   Change = "saved" // new, or newer than before
	Deleted Change = "deleted"
	Lost    Change = "lost" // it passed, and the store could not keep it
)

// Event announces a change. It is a hint: the store is the truth. Seq counts
// from 1 without gaps for as long as the process lives.
type Event struct {
	Seq   uint64
	What  Change
	ID    ID
	Final bool // Saved: this was the last version, the answer has ended
}

// Journal is the one place that saves, then announces. It is safe for many goroutines.
type Journal struct {
	Store  Store
	Events bus.Bus[Event]

	mu      sync.Mutex // guards the rest, and that events are published in the order of seq
	seq     uint64
	trouble error
}

var _ Recorder = (*Journal)(nil)

// Save keeps x and announces it. What could not be kept is announced as Lost, and
// the error says why.
func (j *Journal) Save(ctx context.Context, x *Exchange) error {
	err := j.Store.Put(ctx, x)
	e := Event{What: Saved, ID: x.ID, Final: x.Done() && x.Elapsed > 0}
	if err != nil {
		e = Event{What: Lost, ID: x.ID}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trouble = err
	j.announce(e)
	return err
}

// Trouble says why the last Save failed; nil when it did not.
func (j *Journal) Trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.trouble
}

// Delete forgets exchanges and announces each.
func (j *Journal) Delete(ctx context.Context, ids ...ID) error {
	if err := j.Store.Delete(ctx, ids...); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range ids {
		j.announce(Event{What: Deleted, ID: id})
	}
	return nil
}

// Pin says whether an exchange stays when the store makes room, and announces it.
func (j *Journal) Pin(ctx context.Context, id ID, pinned bool) error {
	if err := j.Store.Pin(ctx, id, pinned); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.announce(Event{What: Saved, ID: id})
	return nil
}

// Seq is the number of the last event that was announced.
func (j *Journal) Seq() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

// announce counts and publishes. The caller holds mu.
func (j *Journal) announce(e Event) {
	j.seq++
	e.Seq = j.seq
	j.Events.Publish(e)
}
