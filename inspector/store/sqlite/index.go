package sqlite

import (
	"context"

	"github.com/slackdev/slackdev/inspector"
)

// indexBatch is how many rows are indexed in one transaction: long enough to be
// worth its commit, short enough for a fold to wait.
const indexBatch = 128

// index adds the next rows to the text index: those that changed since they were
// added, then those that come after the last one.
func (w *writer) index(ctx context.Context) {
	more := false
	err := w.transact(ctx, func(tx *transaction) error {
		changed, err := tx.unindexed(`SELECT t.n, c.head, c.tail FROM todo t LEFT JOIN content c ON c.n = t.n ORDER BY t.n LIMIT ?`, indexBatch)
		if err != nil {
			return err
		}
		for _, row := range changed {
			if err := tx.index(row, w); err != nil {
				return err
			}
			if err := tx.exec("DELETE FROM todo WHERE n = ?", row.n); err != nil {
				return err
			}
		}
		next, err := tx.unindexed(`SELECT n, head, tail FROM content WHERE n > ? ORDER BY n LIMIT ?`, tx.indexed, indexBatch-len(changed))
		if err != nil {
			return err
		}
		for _, row := range next {
			if err := tx.index(row, w); err != nil {
				return err
			}
			tx.indexed = row.n
		}
		more = len(changed)+len(next) == indexBatch
		return nil
	})
	w.tail = more
	if err != nil {
		w.s.o.Log.Warn("history not indexed", "path", w.s.path, "err", err)
		// Searching looks at the rows themselves meanwhile. The next fold sets tail again.
		w.tail = false
	}
}

type indexRow struct {
	n          int64
	head, tail []byte
}

func (tx *transaction) unindexed(query string, args ...any) ([]indexRow, error) {
	stmt, err := tx.stmt(query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(tx.ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []indexRow
	for rows.Next() {
		var r indexRow
		if err := rows.Scan(&r.n, &r.head, &r.tail); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// index adds the words of a row to the index, in place of those it had.
func (tx *transaction) index(row indexRow, w *writer) error {
	if row.head == nil { // deleted since
		return nil
	}
	x, err := decode(row.head, nonNil(row.tail))
	if err != nil {
		w.s.o.Log.Warn("row not understood", "path", w.s.path, "n", row.n, "err", err)
		return nil
	}
	words := inspector.AppendWords(nil, inspector.SearchText(x))
	return tx.exec("INSERT OR REPLACE INTO words (rowid, spelled) VALUES (?, ?)", row.n, string(words))
}

// nonNil makes the empty tail that SQLite gives as nil one that says: no bytes.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
