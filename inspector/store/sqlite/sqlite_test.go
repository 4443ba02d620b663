package sqlite

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

func openTest(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "history.db")
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// settleAll folds everything.
func settleAll(t testing.TB, s *Store) {
	t.Helper()
	if err := s.change(t.Context(), func(context.Context, *transaction) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// indexAll waits until the text index has everything.
func indexAll(t testing.TB, s *Store) {
	t.Helper()
	for {
		var left bool
		err := s.change(t.Context(), func(_ context.Context, tx *transaction) error {
			return tx.row("SELECT EXISTS (SELECT 1 FROM content WHERE n > ?) OR EXISTS (SELECT 1 FROM todo)", tx.indexed).Scan(&left)
		})
		if err != nil {
			t.Fatal(err)
		}
		if !left {
			return
		}
		runtime.Gosched()
	}
}

func TestStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) inspector.Store { return openTest(t, Options{}) })
}
