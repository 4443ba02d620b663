//go:build unix

package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

// Some faults need a process of their own. The test binary runs itself with one of
// these as its job, in a folder; what the job prints is for the test.
const jobVariable = "SLACKDEV_SQLITE_TEST_JOB"

func TestMain(m *testing.M) {
	job := map[string]func(dir string) error{
		"put until killed": putUntilKilled,
		"put and wait":     putAndWait,
		"full disk":        fullDisk,
		"read-only folder": readOnlyFolder,
		"use":              use,
	}[os.Getenv(jobVariable)]
	if job == nil {
		os.Exit(m.Run())
	}
	if err := job(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t testing.TB, job, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), jobVariable+"="+job)
	cmd.Stderr = os.Stderr
	return cmd
}

// runChild runs a job to its end, and fails with it.
func runChild(t *testing.T, job, dir string) {
	t.Helper()
	if out, err := child(t, job, dir).Output(); err != nil {
		t.Errorf("%s: %v\n%s", job, err, out)
	}
}

// putUntilKilled puts from many goroutines, and prints every ID for which Put returned.
func putUntilKilled(dir string) error {
	s, err := Open(context.Background(), Options{Path: filepath.Join(dir, "history.db")})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			maker := storetest.NewMaker(uint64(os.Getpid()%1000*16 + g))
			for {
				begun := maker.Begun()
				if err := s.Put(context.Background(), begun); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				mu.Lock()
				fmt.Println(begun.ID, "begun")
				mu.Unlock()
				if err := s.Put(context.Background(), maker.Finish(begun)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				mu.Lock()
				fmt.Println(begun.ID, "done")
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

// killAfter starts a child that puts, and kills it when it has printed n lines. It
// gives the last thing that was printed of each ID.
func killAfter(t testing.TB, dir string, n int) map[string]string {
	t.Helper()
	cmd := child(t, "put until killed", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(map[string]string)
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		if i == n {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL; what is in the pipe was put before
				t.Fatal(err)
			}
		}
		if id, state, ok := strings.Cut(lines.Text(), " "); ok && len(id) == 26 && (state == "done" || state == "begun") {
			said[id] = state
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child was not killed")
	}
	return said
}

func TestKilledAtAnyMomentEverythingIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "history.db")
	all := make(map[string]string)
	for round, n := range [...]int{1, 40, 700, 5000, 20000} {
		for id, state := range killAfter(t, dir, n) {
			all[id] = state
		}
		reader := openTest(t, Options{Path: path, ReadOnly: true})
		checkAll(t, reader, all)
		if round%2 == 0 {
			continue // the next child folds what this one left
		}
		s, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		checkAll(t, s, all)
		settleAll(t, s)
		checkAll(t, s, all)
		var verdict string
		if err := s.readers.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity check: %s, %v", verdict, err)
		}
		closeStore(t, s)
	}
}

func checkAll(t *testing.T, s *Store, said map[string]string) {
	t.Helper()
	there := make(map[string]bool)
	page, err := s.List(t.Context(), inspector.Query{Limit: 200_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range page {
		there[x.ID.String()] = x.Elapsed > 0
	}
	for id, state := range said {
		done, ok := there[id]
		switch {
		case !ok:
			t.Fatalf("%s was put, and is not there; %d of %d are", id, len(there), len(said))
		case state == "done" && !done:
			t.Fatalf("the last state of %s is not there", id)
		}
	}
}

// putAndWait puts 300 exchanges that are not folded, says so, and waits to be killed.
func putAndWait(dir string) error {
	s, err := Open(context.Background(), Options{Path: filepath.Join(dir, "history.db")})
	if err != nil {
		return err
	}
	tx, err := connect(s.path, writing).Begin() // nobody folds
	if err != nil {
		return err
	}
	defer tx.Rollback()
	maker := storetest.NewMaker(uint64(os.Getpid()))
	for range 300 {
		x := maker.Next()
		if err := s.Put(context.Background(), x); err != nil {
			return err
		}
		fmt.Println(x.ID)
	}
	fmt.Println("ready")
	_, err = os.Stdin.Read(make([]byte, 1))
	return err
}

// A dead process's log is folded by whoever comes next, also when that one has
// another log, and a reader sees it without folding.
func TestWhatADeadProcessLeftIsFolded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "history.db")
	first := openTest(t, Options{Path: path}) // has log 0, the child log 1
	cmd := child(t, "put and wait", dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(map[string]string)
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		said[lines.Text()] = "begun"
	}
	if len(said) != 300 {
		t.Fatalf("the child put %d", len(said))
	}
	reader := openTest(t, Options{Path: path, ReadOnly: true})
	checkAll(t, reader, said) // while its writer lives
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	checkAll(t, reader, said) // and when it is dead
	if page, err := first.List(t.Context(), inspector.Query{}); err != nil || len(page) != 0 {
		t.Fatalf("a store with another log has %d, %v", len(page), err)
	}
	third := openTest(t, Options{Path: path}) // folds what it finds
	if third.intake.slot == first.intake.slot {
		t.Error("two stores have one log")
	}
	settleAll(t, third)
	checkAll(t, first, said)
}

// fullDisk lets no file grow beyond a limit, which is what a full disk is to a
// process, and takes the limit away again.
func fullDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	told := make(chan error, 100)
	s, err := Open(ctx, Options{Path: filepath.Join(dir, "history.db"), OnTrouble: func(err error) { told <- err }})
	if err != nil {
		return err
	}
	maker := storetest.NewMaker(1)
	kept := make(map[inspector.ID]bool)
	put := func(n int) (failed int) {
		for range n {
			x := maker.Sized(4000)
			if err := s.Put(ctx, x); err != nil {
				failed++
			} else {
				kept[x.ID] = true
			}
		}
		return failed
	}
	if failed := put(100); failed > 0 {
		return fmt.Errorf("%d of 100 failed with room on the disk", failed)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: old.Max}); err != nil {
		return err
	}
	if failed := put(3000); failed == 0 {
		return errors.New("3,000 records of 4 KB went onto a disk with room for 2 MiB")
	}
	select {
	case err := <-told:
		if err == nil || errors.As(err, new(*SetAside)) {
			return fmt.Errorf("told %v when the disk is full", err)
		}
	case <-time.After(20 * time.Second):
		return errors.New("nobody was told that the disk is full")
	}
	if err := check(ctx, s, kept); err != nil {
		return fmt.Errorf("while the disk is full: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	// The next fold that works says so, and then there is room for everything.
	for deadline := time.Now().Add(20 * time.Second); put(1) > 0; {
		if time.Now().After(deadline) {
			return errors.New("still nothing can be put when the disk has room again")
		}
	}
	if err := <-told; err != nil {
		return fmt.Errorf("told %w when the disk has room again", err)
	}
	if failed := put(1000); failed > 0 {
		return fmt.Errorf("%d of 1000 failed when the disk had room again", failed)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(ctx, Options{Path: filepath.Join(dir, "history.db")}); err != nil {
		return err
	}
	defer s.Close()
	return check(ctx, s, kept)
}

func check(ctx context.Context, s *Store, kept map[inspector.ID]bool) error {
	for id := range kept {
		if _, err := s.Get(ctx, id); err != nil {
			return fmt.Errorf("of %d that were put: %w", len(kept), err)
		}
	}
	u, err := s.Usage(ctx)
	if err == nil && u.Exchanges != len(kept) {
		err = fmt.Errorf("%d are there, %d were put", u.Exchanges, len(kept))
	}
	return err
}

func TestAFullDiskLosesNothingThatWasPut(t *testing.T) {
	runChild(t, "full disk", t.TempDir())
}

// readOnlyFolder opens a history in a folder that its user cannot write. Root can
// write everything, so it becomes somebody else; the working directory stays.
func readOnlyFolder(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := os.Mkdir("locked", 0o555); err != nil {
		return err
	}
	if err := os.Chdir("locked"); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	_, err := Open(context.Background(), Options{Path: "history.db"})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "history.db") {
		return fmt.Errorf("Open in a folder that cannot be written: %v, want ErrPermission", err)
	}
	return nil
}

// use does what slackdev does when it starts, and prints how long that took and the most
// memory that it needed.
func use(dir string) error {
	ctx := context.Background()
	begin := time.Now()
	s, err := Open(ctx, Options{Path: filepath.Join(dir, "history.db")})
	if err != nil {
		return err
	}
	defer s.Close()
	if page, err := s.List(ctx, inspector.Query{}); err != nil || len(page) != inspector.DefaultLimit {
		return fmt.Errorf("the first page has %d, %w", len(page), err)
	}
	took := time.Since(begin)
	for _, word := range [...]string{"zebra", "milk", "w", "xylophone"} {
		if _, err := s.List(ctx, inspector.Query{Where: []inspector.Term{{Key: inspector.KeyText, Values: []string{word}}}}); err != nil {
			return err
		}
	}
	if _, err := s.List(ctx, inspector.Query{Where: []inspector.Term{{Key: inspector.KeyUser, Values: []string{"nobody"}}}}); err != nil {
		return err
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	_, err = fmt.Println(took.Nanoseconds(), u.Maxrss)
	return err
}

// BenchmarkStart measures opening and listing 100,000 exchanges in a new process,
// after one that was killed while it put.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	fill(b, filepath.Join(dir, "history.db"), 100_000)
	var total, peak int64
	n := 0
	for b.Loop() {
		killAfter(b, dir, 3000)
		out, err := child(b, "use", dir).Output()
		if err != nil {
			b.Fatal(err)
		}
		var took, rss int64
		if _, err := fmt.Sscan(string(out), &took, &rss); err != nil {
			b.Fatal(err)
		}
		total, peak = total+took, max(peak, rss)
		n++
	}
	b.ReportMetric(float64(total)/float64(n)/1e6, "ms-to-list")
	b.ReportMetric(float64(peak)/1024, "MiB-peak") // ru_maxrss is in KiB on Linux
}
