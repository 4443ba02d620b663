package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

// linger is how long an exchange waits in memory for company. A fold that failed is
// tried again after retryFirst, then twice that, up to retryLast.
const (
	linger     = 200 * time.Millisecond
	retryFirst = 100 * time.Millisecond
	retryLast  = 2 * time.Second
)

// writer folds, indexes, and makes the changes that are not a Put. One goroutine
// owns it.
type writer struct {
	s     *Store
	db    *sql.DB
	conn  *sql.Conn // the only connection of db
	stmts map[string]*sql.Stmt

	timer *time.Timer   // of the next fold
	armed bool          // it runs
	retry time.Duration // after a fold that failed; 0 while all is well
	busy  bool          // the last fold was large: not the time to index
	tail  bool          // there may be rows that are not indexed
}

// request is a change for the writer to make after everything that is pending.
type request struct {
	change func(context.Context, *transaction) error
	done   chan error
}

// change has the writer make a change in one transaction with the fold of what is
// pending, so that the change is the later of the two.
func (s *Store) change(ctx context.Context, change func(context.Context, *transaction) error) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	r := &request{change: change, done: make(chan error, 1)}
	select {
	case s.requests <- r:
		return <-r.done
	case <-s.stopped:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run works until Close. Its context has no end: Close waits for the last fold.
func (w *writer) run() {
	defer close(w.s.stopped)
	ctx := context.Background()
	w.timer = time.NewTimer(linger)
	defer w.timer.Stop()
	w.armed, w.tail = true, true
	always := make(chan struct{})
	close(always)
	for {
		var idle chan struct{} // nil is never ready
		if w.tail && !w.busy && w.retry == 0 {
			idle = always
		}
		select {
		case <-w.s.closing:
			w.s.closeErr = errors.Join(w.foldAll(ctx, nil), w.close())
			return
		case r := <-w.s.requests:
			r.done <- w.foldAll(ctx, r.change)
		case <-w.s.first:
		case <-w.s.full:
			if w.retry == 0 {
				w.fold(ctx)
			}
		case <-w.timer.C:
			w.armed = false
			w.fold(ctx)
		case <-idle:
			w.index(ctx)
		}
		w.arm()
	}
}

// arm sees to it that the next fold comes.
func (w *writer) arm() {
	w.s.mu.Lock()
	waiting := len(w.s.pending.queue) > 0
	if w.s.pending.worthFolding() {
		wake(w.s.full)
	}
	w.s.mu.Unlock()
	if w.armed || !waiting && !w.busy {
		return
	}
	w.timer.Reset(max(linger, w.retry))
	w.armed = true
}

// fold folds a batch, and keeps what that says about the state of the disk.
func (w *writer) fold(ctx context.Context) {
	_, err := w.foldBatch(ctx, nil)
	if isCorrupt(err) {
		err = w.startOver(ctx, err)
	}
	w.report(err)
}

// foldAll folds everything, and makes a change with the last batch.
func (w *writer) foldAll(ctx context.Context, change func(context.Context, *transaction) error) error {
	for {
		more, err := w.foldBatch(ctx, change)
		if err != nil || !more {
			w.report(err)
			return err
		}
	}
}

// report tells of trouble when it begins and when it ends.
func (w *writer) report(err error) {
	switch {
	case err == nil && w.retry == 0:
		return
	case err == nil:
		w.retry = 0
	case w.retry == 0:
		w.retry = retryFirst
	default:
		w.retry = min(2*w.retry, retryLast)
	}
	w.s.mu.Lock()
	began := (w.s.trouble == nil) != (err == nil)
	w.s.trouble = err
	w.s.makeRoom()
	w.s.mu.Unlock()
	if !began {
		return
	}
	if err != nil {
		err = fmt.Errorf("write the history %s: %w", w.s.path, err)
		w.s.o.Log.Warn("history cannot be written", "path", w.s.path, "err", err)
	} else {
		w.s.o.Log.Info("history can be written again", "path", w.s.path)
	}
	w.s.o.OnTrouble(err)
}

// makeRoom wakes those that wait for room. The caller holds mu.
func (s *Store) makeRoom() {
	close(s.room)
	s.room = make(chan struct{})
}

// foldBatch folds what is pending, at most one batch of it, and reports whether more is. A
// change is made when nothing more is.
func (w *writer) foldBatch(ctx context.Context, change func(context.Context, *transaction) error) (more bool, err error) {
	s := w.s
	s.mu.Lock()
	batch, upTo := s.pending.batch()
	queue := s.pending.queue
	more = len(queue) > 0 && queue[len(queue)-1].seq > upTo
	s.mu.Unlock()
	w.busy = len(batch) >= foldPending/2
	if more {
		change = nil
	}
	if upTo == 0 && change == nil {
		return false, nil
	}
	// In the order of their IDs, rows are added at the end.
	slices.SortFunc(batch, func(a, b waiting) int { return a.x.ID.Compare(b.x.ID) })
	err = w.transact(ctx, func(tx *transaction) error {
		for _, p := range batch {
			if err := tx.put(p.x); err != nil {
				return fmt.Errorf("fold %s: %w", p.x.ID, err)
			}
		}
		if upTo > 0 {
			if err := tx.exec("INSERT OR REPLACE INTO log VALUES (?, ?)", s.intake.slot, int64(upTo)); err != nil {
				return err
			}
		}
		if change != nil {
			if err := change(ctx, tx); err != nil {
				return err
			}
		}
		return tx.evict(s.o.MaxExchanges, s.o.MaxSize)
	})
	if err != nil {
		return more, err
	}
	w.tail = w.tail || len(batch) > 0
	w.release(batch, upTo)
	return more, nil
}

// release forgets what is in the tables now, and empties the segments that had it.
func (w *writer) release(batch []waiting, upTo uint64) {
	s := w.s
	s.mu.Lock()
	s.pending.drop(batch, upTo)
	idle := s.intake.release(upTo)
	s.makeRoom()
	s.mu.Unlock()
	for _, i := range idle {
		if err := s.intake.files[i].Truncate(0); err != nil {
			// Harmless: what is in it is folded, and does not fit the next header.
			s.o.Log.Warn("intake log not emptied", "path", s.path, "err", err)
		}
		s.mu.Lock()
		s.intake.emptied(i)
		s.mu.Unlock()
	}
}

// open opens the database, folds what dead processes left, and takes over the log
// of our own slot.
func (w *writer) open(ctx context.Context) error {
	err := w.connect(ctx)
	if isCorrupt(err) {
		err = w.startOver(ctx, err)
	}
	if err != nil {
		return err
	}
	if err := w.adopt(ctx); err != nil {
		return err
	}
	w.foldOrphans(ctx)
	return nil
}

func (w *writer) connect(ctx context.Context) (err error) {
	if w.db, err = openDatabase(ctx, w.s.path); err != nil {
		return err
	}
	w.stmts = make(map[string]*sql.Stmt)
	w.conn, err = w.db.Conn(ctx)
	return err
}

func (w *writer) close() error {
	if w.db == nil {
		return nil
	}
	var err error
	for _, stmt := range w.stmts {
		err = errors.Join(err, stmt.Close())
	}
	if w.conn != nil {
		err = errors.Join(err, w.conn.Close())
	}
	err = errors.Join(err, w.db.Close())
	w.db, w.conn, w.stmts = nil, nil, nil
	return err
}

// startOver sets a broken database aside and begins a new one, unless another
// process has it open too.
func (w *writer) startOver(ctx context.Context, cause error) error {
	s := w.s
	if s.intake.othersAlive() {
		return fmt.Errorf("it is broken, and another slackdev has it open: %w", cause)
	}
	s.replace.Lock()
	defer s.replace.Unlock()
	if s.readers != nil {
		s.readers.Close() // nobody reads now; what it says is about a broken file
		defer func() { s.readers = connect(s.path, reading) }()
	}
	w.close()
	aside, err := setAside(s.path, s.o.Now())
	if err != nil {
		return errors.Join(cause, err)
	}
	s.o.Log.Warn("history set aside", "path", s.path, "to", aside, "err", cause)
	s.o.OnTrouble(&SetAside{Path: s.path, To: aside, Cause: cause})
	return w.connect(ctx)
}

// adopt makes pending what our log has and the tables do not, and leaves nothing else
// in the log.
func (w *writer) adopt(ctx context.Context) error {
	s := w.s
	records, err := s.intake.load()
	if err != nil {
		return err
	}
	folded, err := w.folded(ctx, s.intake.slot)
	if err != nil {
		return err
	}
	if err := s.intake.trim(folded); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		if x := w.decode(r); x != nil && r.seq > folded {
			s.pending.add(x, r.seq, int64(len(r.head)+len(r.tail)))
		}
	}
	return nil
}

// foldOrphans folds the logs that other processes left when they died. One that
// cannot be folded now is left for the next time.
func (w *writer) foldOrphans(ctx context.Context) {
	for slot := range maxSlots {
		if slot == w.s.intake.slot || !logged(w.s.path, slot) {
			continue
		}
		orphan, err := takeSlot(w.s.path, slot)
		if errors.Is(err, errLocked) {
			continue
		}
		if err == nil {
			err = errors.Join(w.foldOrphan(ctx, orphan), orphan.close())
		}
		if err != nil {
			w.s.o.Log.Warn("log of a dead process not folded", "path", segmentPath(w.s.path, slot, 0), "err", err)
		}
	}
}

func (w *writer) foldOrphan(ctx context.Context, orphan *intake) error {
	records, err := orphan.load()
	if err != nil {
		return err
	}
	folded, err := w.folded(ctx, orphan.slot)
	if err != nil {
		return err
	}
	err = w.transact(ctx, func(tx *transaction) error {
		for _, r := range records {
			if r.seq <= folded {
				continue
			}
			if x := w.decode(r); x != nil {
				if err := tx.put(x); err != nil {
					return err
				}
			}
			folded = r.seq
		}
		return tx.exec("INSERT OR REPLACE INTO log VALUES (?, ?)", orphan.slot, int64(folded))
	})
	if err != nil {
		return err
	}
	return errors.Join(orphan.files[0].Truncate(0), orphan.files[1].Truncate(0))
}

// decode reads a record. One that cannot be read would stop every fold after it,
// and is passed over.
func (w *writer) decode(r record) *inspector.Exchange {
	x, err := decode(r.head, r.tail)
	if err != nil {
		w.s.o.Log.Warn("record not understood", "path", w.s.path, "seq", r.seq, "err", err)
		return nil
	}
	return x
}

func (w *writer) folded(ctx context.Context, slot int) (uint64, error) {
	var folded int64
	err := w.conn.QueryRowContext(ctx, "SELECT folded FROM log WHERE slot = ?", slot).Scan(&folded)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return uint64(folded), err
}
