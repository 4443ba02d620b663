//go:build unix

package sqlite

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

// SQLite before 3.51.3 can lose writes when two connections reset the WAL at once.
func TestSQLiteIsNewEnough(t *testing.T) {
	s := openTest(t, Options{})
	var version string
	if err := s.readers.QueryRowContext(t.Context(), "SELECT sqlite_version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	var number int
	if err := s.readers.QueryRowContext(t.Context(), `SELECT 1000000 * substr(?1, 1, 1) + 1000 * substr(?1, 3, 2) + substr(?1, 6)`, version).Scan(&number); err != nil {
		t.Fatal(err)
	}
	if number < 3051003 {
		t.Errorf("SQLite is %s, want 3.51.3 or later", version)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "history.db")
	s := openTest(t, Options{Path: path})
	storetest.Put(t, s, storetest.NewMaker(1).Next())
	settleAll(t, s)
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) < 5 {
		t.Fatalf("the files are %v, %v", names, err)
	}
	for _, name := range append(names, filepath.Dir(path)) {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		want := fs.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), want)
		}
	}
}

// written makes a history of n exchanges and closes it.
func written(t *testing.T, n int) (path string, all []*inspector.Exchange) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "history.db")
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	maker := storetest.NewMaker(1)
	for range n {
		all = append(all, maker.Next())
	}
	storetest.Put(t, s, all...)
	closeStore(t, s)
	return path, all
}

func TestWhatWasClosedIsThereAgain(t *testing.T) {
	path, all := written(t, 300)
	s := openTest(t, Options{Path: path})
	for _, x := range all {
		got, err := s.Get(t.Context(), x.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := storetest.Diff(x, got); diff != "" {
			t.Fatalf("after closing and opening (-want +got):\n%s", diff)
		}
	}
	if info, err := os.Stat(segmentPath(path, 0, 0)); err != nil || info.Size() != 0 {
		t.Errorf("the log of a closed history has %d bytes, %v", info.Size(), err)
	}
}

func TestANewerFormatIsRefusedAndUntouched(t *testing.T) {
	path, _ := written(t, 3)
	db := connect(path, writing)
	if _, err := db.Exec("PRAGMA user_version = 7"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range [...]bool{false, true} {
		_, err := Open(t.Context(), Options{Path: path, ReadOnly: readOnly})
		var newer *FormatError
		if !errors.As(err, &newer) || newer.Have != 7 || newer.Want != format {
			t.Errorf("Open of format 7, read-only %v: %v, want a FormatError", readOnly, err)
		}
		if !strings.Contains(err.Error(), "format 7") || !strings.Contains(err.Error(), path) {
			t.Errorf("the error names neither number nor file: %v", err)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file of a newer format was changed, %v", err)
	}
}

func TestTheDatabaseOfAnotherProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "music.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE songs (title TEXT)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, errForeign) {
		t.Errorf("Open of another program's database: %v, want errForeign", err)
	}
}

// broken ways to find a database.
func breakages() map[string]func([]byte) []byte {
	return map[string]func([]byte) []byte{
		"garbage":             func([]byte) []byte { return []byte(strings.Repeat("this is no database. ", 500)) },
		"a few bytes":         func(b []byte) []byte { return b[:50] },
		"half of it":          func(b []byte) []byte { return b[:len(b)/2] },
		"a page is missing":   func(b []byte) []byte { return b[:len(b)-pageSize] },
		"only the first page": func(b []byte) []byte { return append(slices.Clone(b[:pageSize]), make([]byte, len(b)-pageSize)...) },
		"the schema is torn": func(b []byte) []byte {
			b = slices.Clone(b)
			clear(b[200:pageSize])
			return b
		},
	}
}

func TestABrokenDatabaseIsSetAsideAndNeverOverwritten(t *testing.T) {
	for name, breakIt := range breakages() {
		t.Run(name, func(t *testing.T) {
			path, _ := written(t, 200)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			damaged := breakIt(whole)
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			now := time.Date(2026, 11, 21, 21, 3, 0, 0, time.UTC)
			var notice *SetAside
			s := openTest(t, Options{Path: path, Now: func() time.Time { return now }, OnTrouble: func(err error) {
				if !errors.As(err, &notice) {
					t.Errorf("the trouble is %v, want a SetAside", err)
				}
			}})
			if notice == nil {
				t.Fatal("nobody was told")
			}
			if want := path + ".broken-20261121T210300Z"; notice.To != want || !strings.Contains(notice.Error(), want) {
				t.Errorf("it was set aside as %s, want %s: %v", notice.To, want, notice)
			}
			aside, err := os.ReadFile(notice.To)
			if err != nil || string(aside) != string(damaged) {
				t.Errorf("what was set aside is not what was there: %v", err)
			}
			x := storetest.NewMaker(2).Next()
			storetest.Put(t, s, x)
			settleAll(t, s)
			if _, err := s.Get(t.Context(), x.ID); err != nil {
				t.Errorf("the new history does not work: %v", err)
			}
		})
	}
}

func TestASecondBrokenDatabaseGetsANameOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	now := time.Date(2026, 11, 21, 21, 3, 0, 0, time.UTC)
	for range 3 {
		if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), Options{Path: path, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
	}
	names, err := filepath.Glob(path + ".broken-*")
	if err != nil || len(names) != 3 {
		t.Errorf("set aside: %v, %v, want 3 names", names, err)
	}
}

// A database that breaks while it is open is set aside too, and what is not in it yet goes
// into the new one.
func TestADatabaseThatBreaksInUseIsReplaced(t *testing.T) {
	path, old := written(t, 2000)
	told := make(chan error, 10)
	s := openTest(t, Options{Path: path, OnTrouble: func(err error) { told <- err }})
	indexAll(t, s)
	other := connect(path, writing)
	if _, err := other.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil { // now all of it is in the file
		t.Fatal(err)
	}
	other.Close()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(pageSize); at < info.Size(); at += pageSize { // every page but the first
		if _, err := f.WriteAt([]byte("\xffthis page was overwritten by something"), at); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	x := *old[1000] // on a page that is not in memory
	x.Fault = "changed"
	storetest.Put(t, s, &x)
	select {
	case err := <-told:
		if !errors.As(err, new(*SetAside)) {
			t.Errorf("told %v, want a SetAside", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the fold has not met the damage")
	}
	if page, err := s.List(t.Context(), inspector.Query{}); err != nil || len(page) != 1 {
		t.Errorf("the new history lists %d exchanges, %v, want 1", len(page), err)
	}
	closeStore(t, s)
	s = openTest(t, Options{Path: path})
	if got, err := s.Get(t.Context(), x.ID); err != nil || got.Fault != "changed" {
		t.Errorf("after it was replaced: %v, %v", got, err)
	}
}

func TestABrokenDatabaseIsNotSetAsideUnderAnotherProcess(t *testing.T) {
	path, _ := written(t, 10)
	other := openTest(t, Options{Path: path}) // a second lock, as another process has
	storetest.Put(t, other, storetest.NewMaker(9).Next())
	settleAll(t, other)
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 4000)), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(path + "-wal")
	_, err := Open(t.Context(), Options{Path: path})
	if err == nil || !strings.Contains(err.Error(), "another slackdev has it open") {
		t.Errorf("Open beside another process: %v", err)
	}
	if names, _ := filepath.Glob(path + ".broken-*"); len(names) != 0 {
		t.Errorf("it was set aside all the same: %v", names)
	}
	os.Remove(path)
	other.Close() // whatever that says
}

func TestLinksAreNotFollowed(t *testing.T) {
	for _, name := range [...]string{"history.db", "history.db.log-0a", "history.db.log-0b"} {
		dir := t.TempDir()
		target := filepath.Join(dir, "target")
		if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(t.Context(), Options{Path: filepath.Join(dir, "history.db")}); err == nil {
			s.Close()
			t.Errorf("Open went through the link %s", name)
		}
		if b, err := os.ReadFile(target); err != nil || string(b) != "precious" {
			t.Errorf("the target of the link %s is %q now, %v", name, b, err)
		}
	}
}

func TestAFolderThatCannotBeWrittenIsSaid(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file", "history.db")
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open below a file: %v", err)
	}
	if _, err := Open(t.Context(), Options{Path: dir}); err == nil {
		t.Error("a folder was opened as a history")
	}
	runChild(t, "read-only folder", t.TempDir())
}

func TestReadOnlyOfNothingIsNotExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	if _, err := Open(t.Context(), Options{Path: path, ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open for reading of nothing: %v, want ErrNotExist", err)
	}
	if names, _ := filepath.Glob(path + "*"); len(names) != 0 {
		t.Errorf("reading made %v", names)
	}
}

func TestReadOnlyRefusesChanges(t *testing.T) {
	path, all := written(t, 1)
	s := openTest(t, Options{Path: path, ReadOnly: true})
	if _, err := s.Get(t.Context(), all[0].ID); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"Put":    s.Put(t.Context(), all[0]),
		"Delete": s.Delete(t.Context(), all[0].ID),
		"Pin":    s.Pin(t.Context(), all[0].ID, true),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", name, err)
		}
	}
}

// While another program holds the database, putting goes on, reading too, and the
// fold comes when it lets go.
func TestALockedDatabaseDoesNotStopRecording(t *testing.T) {
	path, _ := written(t, 1)
	s := openTest(t, Options{Path: path})
	other := connect(path, writing)
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil) // IMMEDIATE: the write lock
	if err != nil {
		t.Fatal(err)
	}
	maker := storetest.NewMaker(2)
	for range 500 {
		storetest.Put(t, s, maker.Next())
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Exchanges != 501 {
		t.Errorf("while locked there are %+v, %v, want 501", u, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	settleAll(t, s)
	var n int
	if err := s.readers.QueryRowContext(t.Context(), "SELECT count(*) FROM exchange").Scan(&n); err != nil || n != 501 {
		t.Errorf("in the database are %d, %v, want 501", n, err)
	}
}

func TestPutAfterCloseFails(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "history.db")})
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	closeStore(t, s)
	maker := storetest.NewMaker(1)
	if err := s.Put(t.Context(), maker.Next()); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close: %v, want ErrClosed", err)
	}
	if err := s.Delete(t.Context(), maker.NextID()); !errors.Is(err, ErrClosed) {
		t.Errorf("Delete after Close: %v, want ErrClosed", err)
	}
	if _, err := s.List(t.Context(), inspector.Query{}); !errors.Is(err, ErrClosed) {
		t.Errorf("List after Close: %v, want ErrClosed", err)
	}
}

// A header that names more pages than there are is no damage while a WAL has them.
func TestAShortFileWithAWALIsWhole(t *testing.T) {
	path, _ := written(t, 10)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.BigEndian.AppendUint32(nil, 1<<20), 28); err != nil {
		t.Fatal(err)
	}
	if err := checkWhole(path); !errors.Is(err, errTruncated) {
		t.Errorf("without a WAL: %v, want errTruncated", err)
	}
	if err := os.WriteFile(path+"-wal", []byte("frames"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkWhole(path); err != nil {
		t.Errorf("with a WAL: %v", err)
	}
}
