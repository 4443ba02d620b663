package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slackdev/slackdev/inspector"
)

// List implements inspector.Store. Without a text it walks the IDs downward; with
// one it walks the text index downward, and looks at the rows that are not in it
// themselves.
func (s *Store) List(ctx context.Context, q inspector.Query) ([]*inspector.Exchange, error) {
	page, err := s.list(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list the history: %w", err)
	}
	return page, nil
}

func (s *Store) list(ctx context.Context, q inspector.Query) ([]*inspector.Exchange, error) {
	f := newFilter(q.Where)
	if f.never {
		return nil, nil
	}
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	l := &lister{view: v, ctx: ctx, filter: f, matcher: inspector.NewMatcher(q.Where), before: q.Before, limit: q.PageSize()}
	if l.before.IsZero() {
		l.before = inspector.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	l.top = group(l.before)<<counter | groupMask
	l.addPending()
	switch {
	case f.words == "" && f.notWords == "":
		err = l.walkIDs("")
	case f.words == "":
		err = l.walkUnindexed()
		if err == nil {
			err = l.walkIDs(` AND e.n <= ? AND e.n NOT IN (SELECT n FROM todo)
				AND e.n NOT IN (SELECT rowid FROM words WHERE words MATCH ?)`, v.indexed, f.notWords)
		}
	default:
		err = l.walkText()
	}
	if err != nil {
		return nil, err
	}
	return l.page(), nil
}

// filter is the terms of a query for SQLite: conditions on the row e of exchange,
// and expressions for the text index. It agrees with inspector.Matcher.
type filter struct {
	never    bool // nothing can fit
	where    strings.Builder
	args     []any
	words    string // what the text must have
	notWords string // what it must not have
}

func newFilter(terms []inspector.Term) *filter {
	f := new(filter)
	var need, avoid []string
	for i := range terms {
		t := &terms[i]
		switch t.Key.Shape() {
		case inspector.ShapePhrases:
			expression, always := phrases(t.Values)
			switch {
			case always == t.Not && (always || expression == ""):
				f.never = true
			case always || expression == "":
			case t.Not:
				avoid = append(avoid, expression)
			default:
				need = append(need, "("+expression+")")
			}
		case inspector.ShapeNumbers:
			f.numbers(t)
		case inspector.ShapeFlag:
			f.open(t)
			if t.Key == inspector.KeyError {
				f.where.WriteString("e.fault = 1 OR e.status >= 400")
			} else {
				f.where.WriteString("e." + string(t.Key) + " = 1")
			}
			f.where.WriteByte(')')
		default:
			f.facet(t)
		}
	}
	f.notWords = strings.Join(avoid, " OR ")
	f.words = strings.Join(need, " AND ")
	if f.words != "" && f.notWords != "" {
		f.words = "(" + f.words + ") NOT (" + f.notWords + ")"
	}
	return f
}

// phrases spells phrases for the text index: any of them. A phrase without words is
// in every text. Words have nothing in them that would need to be escaped.
func phrases(values []string) (expression string, always bool) {
	var any []string
	for _, v := range values {
		words := inspector.AppendWords(nil, v)
		if len(words) == 0 {
			return "", true
		}
		any = append(any, `"`+string(words)+`" *`)
	}
	return strings.Join(any, " OR "), false
}

func (f *filter) open(t *inspector.Term) {
	f.where.WriteString(" AND ")
	if t.Not {
		f.where.WriteString("NOT ")
	}
	f.where.WriteByte('(')
}

func (f *filter) numbers(t *inspector.Term) {
	f.open(t)
	for i, r := range t.Spans() {
		if i > 0 {
			f.where.WriteString(" OR ")
		}
		f.where.WriteString("e." + string(t.Key) + " BETWEEN ? AND ?")
		f.args = append(f.args, r.Min, r.Max)
	}
	f.where.WriteByte(')')
}

// The column facets has \x1f KEY = VALUE for each facet, and \x1f at the end. A folded
// value has no control characters.
const facetMark = '\x1f'

func appendFacets(b []byte, x *inspector.Exchange) []byte {
	for key, value := range x.Facets() {
		b = append(append(append(b, facetMark), key...), '=')
		b = append(b, inspector.FoldFacet(value)...)
	}
	return append(b, facetMark)
}

func (f *filter) facet(t *inspector.Term) {
	f.open(t)
	f.where.WriteString("0")
	for _, v := range t.Values {
		folded, prefix := inspector.FoldValue(t.Key, v)
		needle := string(facetMark) + string(t.Key) + "=" + folded
		if !prefix {
			needle += string(facetMark)
		}
		f.where.WriteString(" OR instr(e.facets, ?)")
		f.args = append(f.args, needle)
	}
	f.where.WriteByte(')')
}

// lister gathers one page from several places.
type lister struct {
	*view
	ctx     context.Context
	filter  *filter
	matcher *inspector.Matcher
	before  inspector.ID
	limit   int
	top     int64 // the highest number that is still to be looked at
	found   []*inspector.Exchange
}

// addPending adds what fits of the pending exchanges, the newest first.
func (l *lister) addPending() {
	newestFirst := func(a, b inspector.ID) int { return b.Compare(a) }
	for _, id := range slices.SortedFunc(maps.Keys(l.pending), newestFirst) {
		if len(l.found) == l.limit || l.ctx.Err() != nil {
			return
		}
		if x := l.pending[id]; id.Compare(l.before) < 0 && l.matcher.Match(x) {
			l.found = append(l.found, x.Bare())
		}
	}
}

// page gives the newest of what was found.
func (l *lister) page() []*inspector.Exchange {
	slices.SortFunc(l.found, func(a, b *inspector.Exchange) int { return b.ID.Compare(a.ID) })
	return l.found[:min(len(l.found), l.limit)]
}

// walkIDs walks the exchanges from the newest on, under one more condition.
func (l *lister) walkIDs(and string, args ...any) error {
	return l.walk(walk{
		query: `SELECT c.n, c.id, e.pinned, c.head FROM exchange e CROSS JOIN content c ON c.n = e.n
			WHERE e.id < ?` + l.filter.where.String() + and + ` ORDER BY e.id DESC`,
		args: slices.Concat([]any{l.before[:]}, l.filter.args, args),
		byID: true,
	})
}

// walkText looks at the newest rows themselves while many of them fit: then there is
// a page of them soon, and what is common is what the index is slow with. The rest
// is left to the index.
func (l *lister) walkText() error {
	err := l.walk(walk{
		query: `SELECT c.n, c.id, e.pinned, c.head, c.tail FROM content c CROSS JOIN exchange e ON e.id = c.id
			WHERE c.n <= ? AND e.id < ? ORDER BY c.n DESC`,
		args:   []any{l.top, l.before[:]},
		match:  true,
		common: true,
	})
	if !errors.Is(err, errNotCommon) {
		return err
	}
	if err := l.walkUnindexed(); err != nil {
		return err
	}
	return l.walkWords()
}

// walkWords walks the text index from the newest row on.
func (l *lister) walkWords() error {
	return l.walk(walk{
		query: `SELECT c.n, c.id, e.pinned, c.head FROM words w CROSS JOIN content c ON c.n = w.rowid CROSS JOIN exchange e ON e.id = c.id
			WHERE words MATCH ? AND w.rowid <= ? AND e.id < ? AND w.rowid NOT IN (SELECT n FROM todo)` +
			l.filter.where.String() + ` ORDER BY w.rowid DESC`,
		args: append([]any{l.filter.words, l.top, l.before[:]}, l.filter.args...),
	})
}

// walkUnindexed walks the rows that the text index has not, or not as they are now.
func (l *lister) walkUnindexed() error {
	for _, which := range [...]string{"c.n > ?", "c.n <= ? AND c.n IN (SELECT n FROM todo)"} {
		err := l.walk(walk{
			query: `SELECT c.n, c.id, e.pinned, c.head, c.tail FROM content c CROSS JOIN exchange e ON e.id = c.id
				WHERE ` + which + ` AND c.n <= ? AND e.id < ?` + l.filter.where.String() + ` ORDER BY c.n DESC`,
			args:  append([]any{l.indexed, l.top, l.before[:]}, l.filter.args...),
			match: true,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// walk is a query that gives rows in their order, newest first.
type walk struct {
	query string
	args  []any
	byID  bool // in the order of IDs; else of numbers, where one millisecond has no order
	match bool // the rows have the tail too, and are to be matched here
	// common: end with errNotCommon, and lower top, when less than a quarter of the
	// rows match. That is judged from commonFrom rows on; after commonTo it ends in any case.
	common bool
}

const (
	commonFrom = 32
	commonTo   = 400
)

var errNotCommon = errors.New("few rows match")

type walkRow struct {
	n          int64
	id         sql.RawBytes
	pinned     bool
	head, tail sql.RawBytes
}

// walk adds what a query gives until there is a page of it.
func (l *lister) walk(w walk) error {
	rows, err := l.tx.QueryContext(l.ctx, w.query, w.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var r walkRow
	into := []any{&r.n, &r.id, &r.pinned, &r.head}
	if w.match {
		into = append(into, &r.tail)
	}
	seen, found, last := 0, 0, int64(-1)
	for rows.Next() {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if found >= l.limit && (w.byID || r.n>>counter != last) {
			break
		}
		if x := l.read(&r, w.match); x != nil {
			l.found = append(l.found, x)
			found, last = found+1, r.n>>counter
		}
		if seen++; w.common && seen >= commonFrom && (4*found < seen || seen >= commonTo) {
			l.top = r.n - 1
			return errNotCommon
		}
	}
	return rows.Err()
}

// read makes an exchange of a row; nil when its newest state is pending, and so was
// looked at already, or when it is to be matched and does not. One that cannot be
// understood says so, and does not hide the others.
func (l *lister) read(r *walkRow, match bool) *inspector.Exchange {
	var tail []byte
	if match {
		tail = nonNil(r.tail) // used up before the next row
	}
	x, err := decode(r.head, tail)
	if err != nil {
		x = &inspector.Exchange{ID: inspector.ID(r.id), Fault: "the record cannot be read: " + err.Error()}
	}
	x.Pinned = r.pinned
	if l.pending[x.ID] != nil || match && !l.matcher.Match(x) {
		return nil
	}
	return x.Bare()
}
