package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/slackdev/slackdev/inspector"
)

// view is a consistent look at everything: what was pending, taken first, and then
// a snapshot of the tables. What is folded between the two is in both, and the
// pending state counts.
type view struct {
	tx      *sql.Tx
	indexed int64                                // see totals
	pending map[inspector.ID]*inspector.Exchange // complete, with bodies; Pinned is right
	release func()
}

func (s *Store) look(ctx context.Context) (_ *view, err error) {
	s.replace.RLock()
	v := &view{release: s.replace.RUnlock}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	if !s.o.ReadOnly {
		if err := v.takePending(s); err != nil {
			return nil, err
		}
		if err := v.begin(ctx, s.readers); err != nil {
			return nil, err
		}
		return v, v.pin(ctx)
	}
	// A log can change places with its other half between two reads; then numbers are
	// missing. Where they still are after a few times, they were lost.
	for range 4 {
		logs, err := readLogs(s.path)
		if err != nil {
			return nil, err
		}
		if err := v.begin(ctx, s.readers); err != nil {
			return nil, err
		}
		if whole, err := v.takeLogs(ctx, logs); err != nil {
			return nil, err
		} else if whole {
			break
		}
	}
	return v, v.pin(ctx)
}

// begin takes the snapshot, in place of an earlier one.
func (v *view) begin(ctx context.Context, db *sql.DB) (err error) {
	if v.tx != nil {
		v.tx.Rollback()
	}
	if v.tx, err = db.BeginTx(ctx, nil); err != nil {
		return err
	}
	return v.tx.QueryRowContext(ctx, "SELECT indexed FROM totals").Scan(&v.indexed)
}

func (v *view) close() {
	if v.tx != nil {
		v.tx.Rollback() // it only read
	}
	v.release()
}

func (v *view) takePending(s *Store) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	v.pending = make(map[inspector.ID]*inspector.Exchange, len(s.pending.exchanges))
	for id, w := range s.pending.exchanges {
		v.pending[id] = w.x
	}
	return nil
}

// logged reports whether a slot was ever in use.
func logged(path string, slot int) bool {
	_, err := os.Lstat(segmentPath(path, slot, 0))
	return err == nil
}

// readLogs reads the logs of all processes.
func readLogs(path string) (map[int][]record, error) {
	logs := make(map[int][]record)
	for slot := range maxSlots {
		if !logged(path, slot) {
			continue
		}
		records, err := readLog(path, slot)
		if err != nil {
			return nil, err
		}
		if len(records) > 0 {
			logs[slot] = records
		}
	}
	return logs, nil
}

// takeLogs makes pending what the logs had and the snapshot has not, and reports
// whether no number is missing.
func (v *view) takeLogs(ctx context.Context, logs map[int][]record) (whole bool, err error) {
	v.pending = make(map[inspector.ID]*inspector.Exchange)
	whole = true
	for slot, records := range logs {
		var folded int64
		err := v.tx.QueryRowContext(ctx, "SELECT folded FROM log WHERE slot = ?", slot).Scan(&folded)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
		last := uint64(folded)
		for _, r := range records {
			if r.seq <= last {
				continue
			}
			whole = whole && r.seq == last+1
			last = r.seq
			if x, err := decode(r.head, r.tail); err == nil { // else the writer says so
				v.pending[x.ID] = x
			}
		}
	}
	return whole, nil
}

// pin sets Pinned in what is pending: only the tables know.
func (v *view) pin(ctx context.Context) error {
	if len(v.pending) == 0 {
		return nil
	}
	var oldest inspector.ID
	for id, x := range v.pending {
		if oldest.IsZero() || id.Compare(oldest) < 0 {
			oldest = id
		}
		if x.Pinned { // as the caller of Put had it, which does not count
			v.pending[id] = pinned(x, false)
		}
	}
	rows, err := v.tx.QueryContext(ctx, "SELECT id FROM exchange WHERE pinned = 1 AND id >= ?", oldest[:])
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id sql.RawBytes
		if err := rows.Scan(&id); err != nil {
			return err
		}
		if x := v.pending[inspector.ID(id)]; x != nil {
			v.pending[x.ID] = pinned(x, true)
		}
	}
	return rows.Err()
}

func pinned(x *inspector.Exchange, on bool) *inspector.Exchange {
	y := *x
	y.Pinned = on
	return &y
}

// Get implements inspector.Store.
func (s *Store) Get(ctx context.Context, id inspector.ID) (*inspector.Exchange, error) {
	x, err := s.get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", id, err)
	}
	return x, nil
}

func (s *Store) get(ctx context.Context, id inspector.ID) (*inspector.Exchange, error) {
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	if x := v.pending[id]; x != nil {
		return x, nil
	}
	var head, tail []byte
	var pinned bool
	err = v.tx.QueryRowContext(ctx, "SELECT c.head, c.tail, e.pinned FROM exchange e JOIN content c ON c.n = e.n WHERE e.id = ?", id[:]).
		Scan(&head, &tail, &pinned)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, inspector.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	x, err := decode(head, nonNil(tail))
	if err != nil {
		return nil, err
	}
	x.Pinned = pinned
	return x, nil
}

// Delete implements inspector.Store. What is deleted leaves the log too, as soon as
// that is folded.
func (s *Store) Delete(ctx context.Context, ids ...inspector.ID) error {
	if len(ids) == 0 {
		return nil
	}
	err := s.change(ctx, func(_ context.Context, tx *transaction) error {
		for _, id := range ids {
			n, size, found, err := tx.find(id)
			if err == nil && found {
				err = tx.remove(id[:], n, size)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete from the history: %w", err)
	}
	return nil
}

// Pin implements inspector.Store.
func (s *Store) Pin(ctx context.Context, id inspector.ID, pinned bool) error {
	var changed int64
	err := s.change(ctx, func(_ context.Context, tx *transaction) (err error) {
		changed, err = tx.affect("UPDATE exchange SET pinned = ? WHERE id = ?", pinned, id[:])
		return err
	})
	if err == nil && changed == 0 {
		err = inspector.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("pin %s: %w", id, err)
	}
	return nil
}

// Usage implements inspector.Store.
func (s *Store) Usage(ctx context.Context) (inspector.Usage, error) {
	u, err := s.usage(ctx)
	if err != nil {
		return u, fmt.Errorf("measure the history: %w", err)
	}
	return u, nil
}

func (s *Store) usage(ctx context.Context) (u inspector.Usage, err error) {
	v, err := s.look(ctx)
	if err != nil {
		return u, err
	}
	defer v.close()
	if err := v.tx.QueryRowContext(ctx, "SELECT exchanges, bytes FROM totals").Scan(&u.Exchanges, &u.Bytes); err != nil {
		return u, err
	}
	old, err := v.tx.PrepareContext(ctx, "SELECT bytes FROM exchange WHERE id = ?")
	if err != nil {
		return u, err
	}
	defer old.Close()
	var buffer []byte
	for id, x := range v.pending {
		buffer = appendTail(appendHead(buffer[:0], x), x)
		var replaced int64
		switch err := old.QueryRowContext(ctx, id[:]).Scan(&replaced); {
		case errors.Is(err, sql.ErrNoRows):
			u.Exchanges++
		case err != nil:
			return u, err
		}
		u.Bytes += int64(len(buffer)) - replaced
	}
	return u, nil
}

// Resolve implements inspector.Store.
func (s *Store) Resolve(ctx context.Context, text string) (inspector.ID, error) {
	id, err := s.resolve(ctx, text)
	if err != nil {
		return inspector.ID{}, fmt.Errorf("find %q: %w", text, err)
	}
	return id, nil
}

func (s *Store) resolve(ctx context.Context, text string) (inspector.ID, error) {
	v, err := s.look(ctx)
	if err != nil {
		return inspector.ID{}, err
	}
	defer v.close()
	if text == "last" {
		return v.newest(ctx)
	}
	a, ok := inspector.ParseAbbreviation(text)
	if !ok {
		return inspector.ID{}, inspector.ErrNotFound
	}
	var found []inspector.ID
	for id := range v.pending {
		if a.Match(id) {
			found = append(found, id)
		}
	}
	// The beginning is looked up; the end is compared with every ID, by SQLite in
	// whole bytes and then here.
	low, high := a.Range()
	tail := a.Tail()
	for _, q := range [...]struct {
		query string
		args  []any
	}{
		{"SELECT id FROM exchange WHERE id BETWEEN ? AND ? ORDER BY id DESC", []any{low[:], high[:]}},
		{"SELECT id FROM exchange WHERE ?1 = 0 OR substr(id, -?1) = ?2 ORDER BY id DESC", []any{len(tail), nonNil(tail)}},
	} {
		more, err := v.matching(ctx, a, q.query, q.args...)
		if err != nil {
			return inspector.ID{}, err
		}
		found = append(found, more...)
	}
	return a.One(found)
}

func (v *view) newest(ctx context.Context) (inspector.ID, error) {
	var newest []byte
	if err := v.tx.QueryRowContext(ctx, "SELECT max(id) FROM exchange").Scan(&newest); err != nil {
		return inspector.ID{}, err
	}
	var id inspector.ID
	copy(id[:], newest)
	for other := range v.pending {
		if other.Compare(id) > 0 {
			id = other
		}
	}
	if id.IsZero() {
		return id, inspector.ErrNotFound
	}
	return id, nil
}

// matching gives the newest IDs of a query that fit.
func (v *view) matching(ctx context.Context, a inspector.Abbreviation, query string, args ...any) ([]inspector.ID, error) {
	rows, err := v.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []inspector.ID
	for len(found) < inspector.EnoughMatches && rows.Next() {
		var id sql.RawBytes
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		if a.Match(inspector.ID(id)) {
			found = append(found, inspector.ID(id))
		}
	}
	return found, rows.Err()
}
