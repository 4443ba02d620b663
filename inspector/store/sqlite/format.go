package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// format is the number of the tables' layout, kept as user_version; application
// marks the file as ours.
const (
	format      = 1
	application = 0x534c4456 // SLDV
)

// pageSize fits several exchanges with bodies of some kilobytes: with less, pages
// stay half empty, and more is written.
const pageSize = 16384

// schema makes the tables of the newest format.
//
//   - exchange has what lists are filtered by, in rows that are small: a filter that
//     fits nothing reads all of them. facets is Exchange.Facets, folded.
//   - content has what is shown: the head, and the bodies behind it, which a list does
//     not read. n sorts like the ID, see numbers.
//   - words is the text index, filled behind everything else: rows up to totals.indexed
//     are in it, but for those that changed since, which stand in todo.
//   - log says up to which record each intake log is in the tables.
const schema = `
CREATE TABLE exchange (
	id       BLOB PRIMARY KEY,
	n        INTEGER NOT NULL,
	bytes    INTEGER NOT NULL,
	pinned   INTEGER NOT NULL DEFAULT 0,
	status   INTEGER NOT NULL,
	elapsed  INTEGER NOT NULL,
	retry    INTEGER NOT NULL,
	fault    INTEGER NOT NULL,
	answered INTEGER NOT NULL,
	facets   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX exchange_pinned ON exchange (id) WHERE pinned = 1;
CREATE TABLE content (
	n    INTEGER PRIMARY KEY,
	id   BLOB NOT NULL,
	head BLOB NOT NULL,
	tail BLOB NOT NULL
) STRICT;
CREATE VIRTUAL TABLE words USING fts5 (spelled, content = '', contentless_delete = 1, tokenize = 'ascii');
CREATE TABLE todo (n INTEGER PRIMARY KEY) STRICT;
CREATE TABLE log (slot INTEGER PRIMARY KEY, folded INTEGER NOT NULL) STRICT;
CREATE TABLE totals (
	one       INTEGER PRIMARY KEY CHECK (one = 1),
	exchanges INTEGER NOT NULL,
	bytes     INTEGER NOT NULL,
	indexed   INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 0, 0, -1);
`

// converters take a database from one format to the next: converters[0] from 1 to
// 2. Each runs in the transaction that writes the new number.
func converters() []func(context.Context, *sql.Tx) error { return nil }

// FormatError says that a history was made by a newer slackdev.
type FormatError struct {
	Path       string
	Have, Want int // the format of the file, and the newest that is understood
}

// Error names both numbers.
func (e *FormatError) Error() string {
	return fmt.Sprintf("it was made by a newer slackdev (format %d; this one reads up to %d)", e.Have, e.Want)
}

// SetAside says that a database was broken and now has another name.
type SetAside struct {
	Path, To string
	Cause    error
}

// Error names the new name.
func (e *SetAside) Error() string {
	return fmt.Sprintf("the history %s is broken and was set aside as %s; a new one was begun: %v", e.Path, e.To, e.Cause)
}

// Unwrap gives the cause.
func (e *SetAside) Unwrap() error { return e.Cause }

var (
	errForeign   = errors.New("it is the database of another program")
	errTruncated = errors.New("the file is cut short")
)

// isCorrupt reports whether a file is broken, as opposed to unreadable for now.
func isCorrupt(err error) bool {
	if errors.Is(err, errTruncated) {
		return true
	}
	code := sqliteCode(err)
	return code == lib.SQLITE_CORRUPT || code == lib.SQLITE_NOTADB
}

func isBusy(err error) bool {
	code := sqliteCode(err)
	return code == lib.SQLITE_BUSY || code == lib.SQLITE_LOCKED
}

// sqliteCode gives the primary code of an error of SQLite, 0 for others.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

type purpose int

const (
	reading purpose = iota
	writing
)

// connect prepares connections to a database that exists. Cache sizes keep a
// process with a full history small.
func connect(path string, p purpose) *sql.DB {
	pragmas := []string{"busy_timeout(5000)", "temp_store(memory)", "trusted_schema(0)"}
	v := url.Values{"mode": {"rw"}}
	connections := 4
	switch p {
	case reading:
		pragmas = append(pragmas, "query_only(1)", "cache_size(-2048)")
	case writing:
		pragmas = append(pragmas, "synchronous(normal)", fmt.Sprintf("page_size(%d)", pageSize), "cache_size(-8192)", "wal_autocheckpoint(256)", "journal_size_limit(8388608)", "secure_delete(fast)")
		v.Set("_txlock", "immediate")
		connections = 1
	}
	v["_pragma"] = pragmas
	name := filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/…
	}
	u := url.URL{Scheme: "file", Path: name, RawQuery: v.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		panic("sqlite: the driver is linked in: " + err.Error())
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// openDatabase opens the database for writing and leaves it in the newest format.
func openDatabase(ctx context.Context, path string) (*sql.DB, error) {
	f, err := createFile(path)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err := checkWhole(path); err != nil {
		return nil, err
	}
	db := connect(path, writing)
	if err := settle(ctx, db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// settle brings the database to the newest format. Switching to WAL does not wait for
// another process that does the same, so it is tried again.
func settle(ctx context.Context, db *sql.DB, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		err := convert(ctx, db, path)
		if !isBusy(err) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("it is locked by another program: %w", err)
		}
	}
}

func convert(ctx context.Context, db *sql.DB, path string) error {
	old := checkFormat(ctx, db, path)
	if old != nil && !errors.Is(old, errOld) {
		return old // and the file is as it was
	}
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = wal"); err != nil {
		return err
	}
	if old == nil {
		return probe(ctx, db)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := upgrade(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// upgrade makes or converts the tables, unless another process was faster.
func upgrade(ctx context.Context, tx *sql.Tx) error {
	var have int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	switch {
	case have == format:
		return nil
	case have == 0:
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
	default:
		for i, step := range converters()[have-1:] {
			if err := step(ctx, tx); err != nil {
				return fmt.Errorf("convert from format %d: %w", have+i, err)
			}
		}
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", format, application))
	return err
}

// errOld says that a database is empty, or of an older format.
var errOld = errors.New("an older format")

// checkFormat looks whose the file is and which format it has.
func checkFormat(ctx context.Context, db *sql.DB, path string) error {
	var have, app, tables int
	err := db.QueryRowContext(ctx, `SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_user_version, pragma_application_id`).Scan(&have, &app, &tables)
	switch {
	case err != nil:
		return err
	case app == 0 && have == 0 && tables == 0:
		return errOld
	case app != application:
		return errForeign
	case have > format:
		return &FormatError{Path: path, Have: have, Want: format}
	case have < format:
		return errOld
	}
	return nil
}

// probe reads along both ends of the tables, to meet damage now and not later.
func probe(ctx context.Context, db *sql.DB) error {
	var n sql.NullInt64
	return db.QueryRowContext(ctx, `SELECT (SELECT exchanges FROM totals)
		+ coalesce((SELECT length(head) FROM content ORDER BY n LIMIT 1), 0)
		+ coalesce((SELECT length(head) FROM content ORDER BY n DESC LIMIT 1), 0)
		+ coalesce((SELECT length(facets) FROM exchange ORDER BY id LIMIT 1), 0)
		+ coalesce((SELECT length(facets) FROM exchange ORDER BY id DESC LIMIT 1), 0)
		+ (SELECT count(*) FROM log) + EXISTS (SELECT 1 FROM todo)`).Scan(&n)
}

// createFile makes sure that there is a plain file with mode 0600; SQLite gives its
// companions the same mode.
func createFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if err := checkFile(path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// checkWhole compares the file's length with the one that its header names. While
// there is a WAL the header may be ahead of the file.
func checkWhole(path string) error {
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	var h [100]byte
	if _, err := io.ReadFull(f, h[:]); err != nil {
		return fmt.Errorf("%w: %d bytes", errTruncated, info.Size())
	}
	page := int64(binary.BigEndian.Uint16(h[16:]))
	if page == 1 {
		page = 1 << 16
	}
	want := page * int64(binary.BigEndian.Uint32(h[28:]))
	if strings.HasPrefix(string(h[:]), "SQLite format 3\x00") && info.Size() < want {
		return fmt.Errorf("%w: %d bytes of %d", errTruncated, info.Size(), want)
	}
	return nil
}

// setAside gives a database and its companions a name with the time, and never one
// that is taken.
func setAside(path string, now time.Time) (string, error) {
	base := path + ".broken-" + now.UTC().Format("20060102T150405Z")
	aside := base
	for i := 2; ; i++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
		aside = fmt.Sprintf("%s-%d", base, i)
	}
	for _, suffix := range [...]string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !(suffix != "" && errors.Is(err, fs.ErrNotExist)) {
			return "", err
		}
	}
	return aside, nil
}
