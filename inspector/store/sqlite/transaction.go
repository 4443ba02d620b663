package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"github.com/slackdev/slackdev/inspector"
)

// Rows of content, and so of the text index, have numbers that sort like the IDs:
// the milliseconds of the ID since 2020 and, in the lower bits, a counter of the IDs
// of that millisecond in the order in which they came.
const (
	epoch     = 1577836800000 // 2020-01-01 in milliseconds
	counter   = 22            // bits of the counter
	groupMask = 1<<counter - 1
	maxGroup  = 1<<(63-counter) - 1
)

// group gives the number of an ID's millisecond. IDs from before 2020 are in the first
// one, those from after 2089 in the last.
func group(id inspector.ID) int64 {
	return min(max(id.Time().UnixMilli()-epoch, 0), maxGroup)
}

// transaction is one change of the tables. Its errors are SQLite's.
type transaction struct {
	ctx context.Context
	w   *writer

	exchanges, bytes, indexed int64 // totals
	lastN                     int64 // the highest number
	lastID                    []byte
	buffer                    []byte
}

// transact runs do in a transaction.
func (w *writer) transact(ctx context.Context, do func(*transaction) error) (err error) {
	if w.conn == nil {
		if err := w.connect(ctx); err != nil {
			return err
		}
	}
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			_, err = w.conn.ExecContext(ctx, "COMMIT")
		}
		if err != nil {
			w.conn.ExecContext(ctx, "ROLLBACK") // after some errors SQLite has done it already
		}
	}()
	tx := &transaction{ctx: ctx, w: w}
	err = tx.row(`SELECT exchanges, bytes, indexed, (SELECT max(id) FROM exchange), coalesce((SELECT max(n) FROM content), -1)
		FROM totals`).Scan(&tx.exchanges, &tx.bytes, &tx.indexed, &tx.lastID, &tx.lastN)
	if err != nil {
		return err
	}
	before := *tx
	if err := do(tx); err != nil {
		return err
	}
	if tx.exchanges == before.exchanges && tx.bytes == before.bytes && tx.indexed == before.indexed {
		return nil
	}
	return tx.exec("UPDATE totals SET exchanges = ?, bytes = ?, indexed = ?", tx.exchanges, tx.bytes, tx.indexed)
}

// stmt prepares a statement once for the life of the connection.
func (tx *transaction) stmt(query string) (*sql.Stmt, error) {
	if stmt, ok := tx.w.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := tx.w.conn.PrepareContext(tx.ctx, query)
	if err == nil {
		tx.w.stmts[query] = stmt
	}
	return stmt, err
}

func (tx *transaction) exec(query string, args ...any) error {
	_, err := tx.affect(query, args...)
	return err
}

// affect gives the number of rows that a statement changed.
func (tx *transaction) affect(query string, args ...any) (int64, error) {
	stmt, err := tx.stmt(query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(tx.ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (tx *transaction) row(query string, args ...any) *sql.Row {
	stmt, err := tx.stmt(query)
	if err != nil {
		return tx.w.conn.QueryRowContext(tx.ctx, query, args...) // which has the same error
	}
	return stmt.QueryRowContext(tx.ctx, args...)
}

// find gives the number and the size of an exchange.
func (tx *transaction) find(id inspector.ID) (n, size int64, found bool, err error) {
	if bytes.Compare(id[:], tx.lastID) > 0 {
		return 0, 0, false, nil
	}
	err = tx.row("SELECT n, bytes FROM exchange WHERE id = ?", id[:]).Scan(&n, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, false, nil
	}
	return n, size, err == nil, err
}

// put adds or replaces an exchange.
func (tx *transaction) put(x *inspector.Exchange) error {
	n, oldSize, found, err := tx.find(x.ID)
	if err != nil {
		return err
	}
	b := appendHead(tx.buffer[:0], x)
	split := len(b)
	b = appendTail(b, x)
	size := int64(len(b))
	b = appendFacets(b, x)
	if cap(b) <= 1<<20 {
		tx.buffer = b
	}
	head, tail, facets := b[:split], b[split:size], string(b[size:])
	row := []any{n, size, x.Number(inspector.KeyStatus), x.Number(inspector.KeyElapsed), x.Number(inspector.KeyRetry),
		x.Is(inspector.KeyFault), x.Is(inspector.KeyAnswered), facets, x.ID[:]}
	if found {
		err = errors.Join(
			tx.exec(`UPDATE exchange SET n = ?, bytes = ?, status = ?, elapsed = ?, retry = ?, fault = ?, answered = ?, facets = ?
				WHERE id = ?`, row...),
			tx.exec("UPDATE content SET head = ?, tail = ? WHERE n = ?", head, tail, n))
	} else {
		if n, err = tx.number(x.ID); err != nil {
			return err
		}
		row[0] = n
		err = errors.Join(
			tx.exec(`INSERT INTO exchange (n, bytes, status, elapsed, retry, fault, answered, facets, id)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, row...),
			tx.exec("INSERT INTO content (n, id, head, tail) VALUES (?, ?, ?, ?)", n, x.ID[:], head, tail))
		tx.exchanges++
	}
	if err != nil {
		return err
	}
	tx.bytes += size - oldSize
	if n > tx.lastN {
		tx.lastN = n
	}
	if bytes.Compare(x.ID[:], tx.lastID) > 0 {
		tx.lastID = bytes.Clone(x.ID[:])
	}
	if n <= tx.indexed {
		return tx.exec("INSERT OR IGNORE INTO todo VALUES (?)", n)
	}
	return nil
}

// number gives a free number for an ID. Should a millisecond have more IDs than the
// counter has numbers, the rest take those of the next one.
func (tx *transaction) number(id inspector.ID) (int64, error) {
	for g := group(id); ; g++ {
		first, last := g<<counter, g<<counter|groupMask
		if first > tx.lastN {
			return first, nil
		}
		highest := tx.lastN // right when it is in the group
		if highest > last {
			var n sql.NullInt64
			if err := tx.row("SELECT max(n) FROM content WHERE n BETWEEN ? AND ?", first, last).Scan(&n); err != nil {
				return 0, err
			}
			if !n.Valid {
				return first, nil
			}
			highest = n.Int64
		}
		if highest < last {
			return highest + 1, nil
		}
	}
}

// remove deletes an exchange that has the number n.
func (tx *transaction) remove(id []byte, n, size int64) error {
	err := errors.Join(
		tx.exec("DELETE FROM exchange WHERE id = ?", id),
		tx.exec("DELETE FROM content WHERE n = ?", n))
	if err == nil && n <= tx.indexed {
		err = errors.Join(
			tx.exec("DELETE FROM words WHERE rowid = ?", n),
			tx.exec("DELETE FROM todo WHERE n = ?", n))
	}
	tx.exchanges--
	tx.bytes -= size
	return err
}

// evict removes the oldest exchanges that are not pinned while there are too many,
// and then some more, so that it need not be done for every one that comes.
func (tx *transaction) evict(maxExchanges int, maxSize int64) error {
	if tx.exchanges <= int64(maxExchanges) && tx.bytes <= maxSize {
		return nil
	}
	lowExchanges := int64(maxExchanges - min(maxExchanges/100, foldPending))
	lowSize := maxSize - maxSize/100
	for tx.exchanges > lowExchanges || tx.bytes > lowSize {
		old, err := tx.oldest(foldPending)
		if err != nil || len(old) == 0 {
			return err
		}
		for _, o := range old {
			if tx.exchanges <= lowExchanges && tx.bytes <= lowSize {
				return nil
			}
			if err := tx.remove(o.id, o.n, o.size); err != nil {
				return err
			}
		}
	}
	return nil
}

type oldRow struct {
	id      []byte
	n, size int64
}

func (tx *transaction) oldest(limit int) ([]oldRow, error) {
	stmt, err := tx.stmt("SELECT id, n, bytes FROM exchange WHERE pinned = 0 ORDER BY id LIMIT ?")
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(tx.ctx, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var old []oldRow
	for rows.Next() {
		var o oldRow
		if err := rows.Scan(&o.id, &o.n, &o.size); err != nil {
			return nil, err
		}
		old = append(old, o)
	}
	return old, rows.Err()
}
