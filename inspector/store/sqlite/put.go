package sqlite

import (
	"context"
	"fmt"
	"sync"

	"github.com/slackdev/slackdev/inspector"
)

// How much may wait in memory for its fold, and how much is enough for one. The
// larger a fold, the more exchanges begin and end within it and become one row.
const (
	maxPending      = 8192
	maxPendingBytes = 32 << 20
	foldPending     = 1024
	foldBytes       = 4 << 20
)

// pending is what the log has and the tables do not: the newest state of each
// exchange. The queue has their records in order; those that a newer one of the
// same exchange replaced are passed over when they come up.
type pending struct {
	exchanges map[inspector.ID]waiting
	bytes     int64
	queue     []ticket
}

type waiting struct {
	x    *inspector.Exchange
	seq  uint64
	size int64
}

type ticket struct {
	seq uint64
	id  inspector.ID
}

func (p *pending) add(x *inspector.Exchange, seq uint64, size int64) {
	if p.exchanges == nil {
		p.exchanges = make(map[inspector.ID]waiting)
	}
	p.bytes += size - p.exchanges[x.ID].size
	p.exchanges[x.ID] = waiting{x, seq, size}
	p.queue = append(p.queue, ticket{seq, x.ID})
}

func (p *pending) hasRoom() bool {
	return len(p.exchanges) == 0 || len(p.exchanges) < maxPending && p.bytes < maxPendingBytes && len(p.queue) < 4*maxPending
}

func (p *pending) worthFolding() bool {
	return len(p.exchanges) >= foldPending || p.bytes >= foldBytes || len(p.queue) >= 4*foldPending
}

// batch gives the exchanges of one fold, oldest record first, and the number up to
// which every record is in it, or replaced by one that comes later.
func (p *pending) batch() (batch []waiting, upTo uint64) {
	var bytes int64
	for _, t := range p.queue {
		if len(batch) >= foldPending || bytes >= foldBytes {
			break
		}
		upTo = t.seq
		if w := p.exchanges[t.id]; w.seq == t.seq {
			batch = append(batch, w)
			bytes += w.size
		}
	}
	return batch, upTo
}

// drop forgets what was folded.
func (p *pending) drop(batch []waiting, upTo uint64) {
	for _, w := range batch {
		if p.exchanges[w.x.ID].seq == w.seq {
			delete(p.exchanges, w.x.ID)
			p.bytes -= w.size
		} // else a newer state came during the fold; it stays, and so does its size
	}
	n := 0
	for n < len(p.queue) && p.queue[n].seq <= upTo {
		n++
	}
	p.queue = append(p.queue[:0], p.queue[n:]...)
}

// buffers are where Put makes its records.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	return new([]byte)
}

// put keeps a buffer for the next record, but not one that a large body needed.
func (b *buffers) put(p *[]byte, record []byte) {
	if cap(record) <= 64<<10 {
		*p = record[:0]
		b.pool.Put(p)
	}
}

// Put implements inspector.Store. It waits while the disk is behind by more than
// the memory set aside for that, and fails at once when the disk takes nothing.
func (s *Store) Put(ctx context.Context, x *inspector.Exchange) error {
	if err := s.put(ctx, x); err != nil {
		return fmt.Errorf("record %s: %w", x.ID, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, x *inspector.Exchange) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	buffer := s.buffers.get()
	record := appendRecord((*buffer)[:0], x)
	defer s.buffers.put(buffer, record)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.waitForRoom(ctx); err != nil {
		return err
	}
	seq, err := s.intake.append(record)
	if err != nil {
		return err
	}
	s.pending.add(x, seq, int64(len(record)-recordHead))
	switch {
	case s.pending.worthFolding():
		wake(s.full)
	case len(s.pending.exchanges) == 1:
		wake(s.first)
	}
	return nil
}

// waitForRoom waits until something may be added. The caller holds mu, which is not
// held while it waits.
func (s *Store) waitForRoom(ctx context.Context) error {
	for {
		switch {
		case s.closed:
			return ErrClosed
		case s.pending.hasRoom():
			return nil
		case s.trouble != nil:
			return fmt.Errorf("%d requests wait for the database: %w", len(s.pending.exchanges), s.trouble)
		}
		room := s.room
		s.mu.Unlock()
		var err error
		select {
		case <-room:
		case <-ctx.Done():
			err = fmt.Errorf("wait for the database: %w", context.Cause(ctx))
		}
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// wake says something that need not be said twice.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
