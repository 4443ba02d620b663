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
	Seq  uint64
	What Change
	ID   ID
}

// Journal is the one place that saves, then announces. It is safe for many goroutines.
type Journal struct {
	Store  Store
	Events bus.Bus[Event]

	mu  sync.Mutex // guards seq, and that events are published in its order
	seq uint64
}

var _ Recorder = (*Journal)(nil)

// Save keeps x and announces it. What could not be kept is announced as Lost, and
// the error says why.
func (j *Journal) Save(ctx context.Context, x *Exchange) error {
	err := j.Store.Put(ctx, x)
	if err != nil {
		j.announce(Lost, x.ID)
		return err
	}
	j.announce(Saved, x.ID)
	return nil
}

// Delete forgets exchanges and announces each.
func (j *Journal) Delete(ctx context.Context, ids ...ID) error {
	if err := j.Store.Delete(ctx, ids...); err != nil {
		return err
	}
	for _, id := range ids {
		j.announce(Deleted, id)
	}
	return nil
}

// Pin says whether an exchange stays when the store makes room, and announces it.
func (j *Journal) Pin(ctx context.Context, id ID, pinned bool) error {
	if err := j.Store.Pin(ctx, id, pinned); err != nil {
		return err
	}
	j.announce(Saved, id)
	return nil
}

// Seq is the number of the last event that was announced.
func (j *Journal) Seq() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

func (j *Journal) announce(what Change, id ID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	j.Events.Publish(Event{Seq: j.seq, What: what, ID: id})
}
