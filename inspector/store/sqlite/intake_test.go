package sqlite

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

// scripted is a segment that does what it is told with the next writes.
type scripted struct {
	segment
	writes []func(p []byte, at int64) (int, error) // nil: as it should
}

func (s *scripted) WriteAt(p []byte, at int64) (int, error) {
	if len(s.writes) == 0 {
		return s.segment.WriteAt(p, at)
	}
	next := s.writes[0]
	s.writes = s.writes[1:]
	if next == nil {
		return s.segment.WriteAt(p, at)
	}
	return next(p, at)
}

// diskFull writes the first half of what it is given.
func diskFull(s segment) func([]byte, int64) (int, error) {
	return func(p []byte, at int64) (int, error) {
		n, _ := s.WriteAt(p[:len(p)/2], at)
		return n, syscall.ENOSPC
	}
}

func newIntake(t *testing.T) *intake {
	t.Helper()
	in, err := openIntake(filepath.Join(t.TempDir(), "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.close() })
	return in
}

func add(t *testing.T, in *intake, x *inspector.Exchange) uint64 {
	t.Helper()
	seq, err := in.append(appendRecord(nil, x))
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func numbers(t *testing.T, in *intake) (seqs []uint64) {
	t.Helper()
	records, err := readLog(in.path, in.slot)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		seqs = append(seqs, r.seq)
	}
	return seqs
}

func TestAFailedAppendLeavesTheLogAsItWas(t *testing.T) {
	in := newIntake(t)
	maker := storetest.NewMaker(1)
	file := in.files[0]
	in.files[0] = &scripted{file, []func([]byte, int64) (int, error){nil, nil, diskFull(file), diskFull(file)}}
	add(t, in, maker.Next())
	for range 2 {
		if _, err := in.append(appendRecord(nil, maker.Sized(5000))); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("append to a full disk: %v, want ENOSPC", err)
		}
		if diff := storetest.Diff([]uint64{1}, numbers(t, in)); diff != "" {
			t.Errorf("the log after a failed append (-want +got):\n%s", diff)
		}
	}
	add(t, in, maker.Next())
	if diff := storetest.Diff([]uint64{1, 2}, numbers(t, in)); diff != "" {
		t.Errorf("the log after the disk has room again (-want +got):\n%s", diff)
	}
}

func TestATornLogIsReadUpToTheTear(t *testing.T) {
	in := newIntake(t)
	maker := storetest.NewMaker(2)
	var ends []int64
	for range 5 {
		add(t, in, maker.Next())
		ends = append(ends, in.ends[0])
	}
	whole, err := os.ReadFile(segmentPath(in.path, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range int64(len(whole)) + 1 {
		want := 0
		for _, end := range ends {
			if end <= cut {
				want++
			}
		}
		c, err := readRecords(bytes.NewReader(whole[:cut]), cut)
		if err != nil || len(c.records) != want {
			t.Fatalf("cut after %d bytes: %d records, %v, want %d", cut, len(c.records), err, want)
		}
		if want > 0 && c.end != ends[want-1] {
			t.Fatalf("cut after %d bytes: the next record would go to %d, want %d", cut, c.end, ends[want-1])
		}
	}
	for at := int64(len(segmentMagic)); at < int64(len(whole)); at += 7 {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 0x40
		c, err := readRecords(bytes.NewReader(flipped), int64(len(whole)))
		if err != nil {
			t.Fatalf("a bit flipped at %d: %v", at, err)
		}
		for i := range c.records {
			if ends[i] > at {
				t.Fatalf("a bit flipped at %d: record %d, which has it, was read", at, i)
			}
		}
	}
}

func TestALogOfAnotherFormatIsRefused(t *testing.T) {
	if _, err := readRecords(bytes.NewReader([]byte("sdintak2........")), 16); err == nil {
		t.Error("a segment with the magic of another format was read")
	}
}

func TestALogThatThePowerTookIsEmpty(t *testing.T) {
	in := newIntake(t)
	if err := os.WriteFile(segmentPath(in.path, 0, 0), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if records, err := in.load(); err != nil || len(records) != 0 {
		t.Errorf("a segment of zeros has %d records, %v", len(records), err)
	}
	add(t, in, storetest.NewMaker(1).Next())
	if diff := storetest.Diff([]uint64{1}, numbers(t, in)); diff != "" {
		t.Errorf("after the next append (-want +got):\n%s", diff)
	}
}

func TestSegmentsChangePlaces(t *testing.T) {
	in := newIntake(t)
	maker := storetest.NewMaker(3)
	big := maker.Sized(1 << 20)
	for in.active == 0 {
		add(t, in, big)
	}
	if got := in.release(in.seq - 2); len(got) != 0 {
		t.Errorf("segments %v are released while a record of each is not folded", got)
	}
	before := in.seq
	idle := in.release(before - 1) // all but the one in the second segment
	if diff := storetest.Diff([]int{0}, idle); diff != "" {
		t.Fatalf("released (-want +got):\n%s", diff)
	}
	if err := in.files[0].Truncate(0); err != nil {
		t.Fatal(err)
	}
	in.emptied(0)
	if diff := storetest.Diff([]uint64{before}, numbers(t, in)); diff != "" {
		t.Errorf("left in the log (-want +got):\n%s", diff)
	}
	for in.active == 1 {
		add(t, in, big)
	}
	if in.seq < before+4 {
		t.Errorf("back in the first segment after %d records", in.seq-before)
	}
	if got := numbers(t, in); len(got) != int(in.seq-before)+1 {
		t.Errorf("the log has the records %v, want %d to %d", got, before, in.seq)
	}
}

// What lies behind the end, from before a segment was emptied in vain, must not come
// back to life.
func TestOldRecordsBehindTheEndAreNotRead(t *testing.T) {
	in := newIntake(t)
	maker := storetest.NewMaker(4)
	x := maker.Next()
	for range 4 {
		add(t, in, x)
	}
	in.ends[0], in.last[0] = 0, 0 // emptied, but for Truncate, which failed
	add(t, in, x)
	if diff := storetest.Diff([]uint64{5}, numbers(t, in)); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}

func FuzzReadRecords(f *testing.F) {
	in, err := openIntake(filepath.Join(f.TempDir(), "history.db"))
	if err != nil {
		f.Fatal(err)
	}
	defer in.close()
	maker := storetest.NewMaker(5)
	for range 3 {
		if _, err := in.append(appendRecord(nil, maker.Next())); err != nil {
			f.Fatal(err)
		}
	}
	whole, err := os.ReadFile(segmentPath(in.path, 0, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(append(bytes.Clone(whole[:segmentHead]), "\xff\xff\xff\xff\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readRecords(io.MultiReader(bytes.NewReader(b)), int64(len(b)))
		if err == nil && c.end > int64(len(b)) {
			t.Errorf("%d records end at %d of %d bytes", len(c.records), c.end, len(b))
		}
		for _, r := range c.records {
			decode(r.head, r.tail)
		}
	})
}
