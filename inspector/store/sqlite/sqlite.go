// Package sqlite keeps exchanges in a SQLite database, and in front of it an intake
// log that makes Put fast.
//
// A Put appends one record to the log and holds the exchange in memory; that is all
// that a request waits for, a few microseconds. One goroutine folds what has
// gathered into the database, many exchanges in one transaction, and the first and
// the last state of one exchange into one row. A second step fills the text index
// behind that. Reading sees memory, rows and index as one: what Put returned for is
// in the next List.
//
// What survives: a record is in the operating system's hands when Put returns, so
// the death of the process, however it comes, loses nothing; Open folds what a dead
// process left. The power going may lose the last seconds and never harms the
// rest: the database is in WAL mode with synchronous=NORMAL, and a record that was torn
// is recognised by its checksum.
//
// Several processes may have one database open. Each writes a log of its own and
// holds a lock on it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

// The limits where Options does not say its own.
const (
	DefaultMaxExchanges = 100_000
	DefaultMaxSize      = 2 << 30
)

// ErrClosed says that the store was closed.
var ErrClosed = errors.New("the history is closed")

// ErrReadOnly says that the store was opened for reading.
var ErrReadOnly = errors.New("the history is open for reading only")

// Options says what to open.
type Options struct {
	Path         string // of the database; its folder is made (0700) where it is missing
	MaxExchanges int    // 0: DefaultMaxExchanges. The oldest that are not pinned go first
	MaxSize      int64  // bytes of heads and bodies; 0: DefaultMaxSize

	// ReadOnly opens what is there and writes nothing. The store shows what other
	// processes write, and what dead ones left. Open gives fs.ErrNotExist where
	// there is no history yet.
	ReadOnly bool

	Log *slog.Logger // nil: silence
	// OnTrouble is called when folding into the database begins to fail, with nil when it
	// works again, and with *SetAside when a broken database was set aside. Calls
	// come one after the other, from one goroutine, and must not call the store.
	OnTrouble func(error)
	Now       func() time.Time // nil: time.Now; for the name of what is set aside
}

// Store is an inspector.Store in a file. It is safe for many goroutines.
type Store struct {
	o       Options
	path    string
	buffers buffers

	replace sync.RWMutex // held by every read, and by the writer while it replaces readers
	readers *sql.DB

	first    chan struct{} // the first exchange after a fold is pending
	full     chan struct{} // enough is pending for a fold
	requests chan *request
	closing  chan struct{}
	stopped  chan struct{} // closed when the writer has ended
	closeErr error         // of the writer, before stopped closes

	mu      sync.Mutex // guards what follows
	closed  bool
	intake  *intake // nil when ReadOnly
	pending pending
	trouble error         // why folding fails at the moment
	room    chan struct{} // closed, and made anew, when pending gets smaller or trouble changes
}

var _ inspector.Store = (*Store)(nil)

// Open opens or makes a history, folds what dead processes left, and starts the
// goroutine that folds; Close ends it. The errors: *FormatError for a history of a
// newer slackdev, fs.ErrPermission for a folder that cannot be written. A file that
// is broken, or is cut short, is set aside and a new one begun.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.MaxExchanges <= 0 {
		o.MaxExchanges = DefaultMaxExchanges
	}
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnTrouble == nil {
		o.OnTrouble = func(error) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open the history %s: %w", o.Path, err)
	}
	return s, nil
}

func open(ctx context.Context, o Options) (*Store, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	s := &Store{
		o: o, path: path,
		first: make(chan struct{}, 1), full: make(chan struct{}, 1),
		requests: make(chan *request), closing: make(chan struct{}), stopped: make(chan struct{}),
		room: make(chan struct{}),
	}
	if o.ReadOnly {
		close(s.stopped)
		return s, s.openReader(ctx)
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if s.intake, err = openIntake(path); err != nil {
		return nil, err
	}
	w := &writer{s: s}
	if err := w.open(ctx); err != nil {
		return nil, errors.Join(err, w.close(), s.intake.close())
	}
	s.readers = connect(path, reading)
	go w.run() // Close waits for it
	return s, nil
}

// openReader opens a history that other processes write.
func (s *Store) openReader(ctx context.Context) error {
	if err := checkFile(s.path); err != nil {
		return err
	}
	s.readers = connect(s.path, reading)
	if err := checkFormat(ctx, s.readers, s.path); err != nil {
		return errors.Join(err, s.readers.Close())
	}
	return nil
}

// Close folds what is pending and lets go of the files. Where folding fails, the
// log keeps it for the next Open, and the error says why. Close may be called twice.
func (s *Store) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.makeRoom() // who waits for it learns that there is none
	s.mu.Unlock()
	if again {
		<-s.stopped
		return nil
	}
	close(s.closing)
	<-s.stopped
	err := errors.Join(s.closeErr, s.readers.Close())
	if s.intake != nil {
		err = errors.Join(err, s.intake.close())
	}
	if err != nil {
		return fmt.Errorf("close the history %s: %w", s.path, err)
	}
	return nil
}

func makeFolder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

// checkFile refuses what is not a plain file. Nothing here follows a link: whoever
// wants a history elsewhere says its real path.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link; name the real file")
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	}
	return nil
}
