//go:build unix

package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

// seal fills in what append does, with whatever a record's checksum begins with.
func seal(record []byte, seed uint32, seq uint64) []byte {
	binary.LittleEndian.PutUint32(record, uint32(len(record)-recordHead))
	binary.LittleEndian.PutUint64(record[8:], seq)
	binary.LittleEndian.PutUint32(record[4:], crc32.Update(seed, castagnoli, record[8:]))
	return record
}

// smuggle makes an exchange whose record has the bytes inside, in a stranger's body, exactly
// as far from its beginning as the record of short is long.
func smuggle(t *testing.T, short *inspector.Exchange, inside []byte) *inspector.Exchange {
	t.Helper()
	want := len(appendRecord(nil, short))
	x := *short
	for pad := range want {
		body := append(make([]byte, pad), inside...)
		body = append(body, make([]byte, 1000)...)
		x.Request.Body = inspector.Body{Bytes: body, Size: int64(len(body))}
		if bytes.Index(appendRecord(nil, &x), inside) == want {
			return &x
		}
	}
	t.Fatal("no body puts the bytes in their place")
	return nil
}

// locked keeps everybody from folding until the test ends, or calls what it gives.
func locked(t *testing.T, path string) (unlock func()) {
	t.Helper()
	other := connect(path, writing)
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	unlock = func() {
		tx.Rollback()
		other.Close()
	}
	t.Cleanup(unlock)
	return unlock
}

// A stranger may send a body that has a whole record in it, at the very place where
// the next one would be. It lacks what only the segment's header knows.
func TestARecordInABodyIsNeverRead(t *testing.T) {
	unsalted := binary.LittleEndian.AppendUint64(append([]byte(segmentMagic), make([]byte, 8)...), 1)
	for _, tc := range [...]struct {
		name   string
		seed   uint32
		number uint64
	}{
		{"the next number", 0, 2},
		{"the largest number", 0, math.MaxUint64},
		{"the next number and a salt of zeros", seed(unsalted), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			maker := storetest.NewMaker(6)
			short := maker.Sized(3000)
			forged := seal(appendRecord(nil, maker.Next()), tc.seed, tc.number)
			long := smuggle(t, short, forged)

			t.Run("after a write that failed", func(t *testing.T) {
				in := newIntake(t)
				file := in.files[0]
				in.files[0] = &scripted{file, []func([]byte, int64) (int, error){nil, func(p []byte, at int64) (int, error) {
					n, _ := file.WriteAt(p[:len(p)-1], at)
					return n, syscall.ENOSPC
				}}}
				if _, err := in.append(appendRecord(nil, long)); !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("append to a full disk: %v, want ENOSPC", err)
				}
				add(t, in, short)
				if diff := storetest.Diff([]uint64{1}, numbers(t, in)); diff != "" {
					t.Errorf("the log (-want +got):\n%s", diff)
				}
			})
			t.Run("in a segment that could not be emptied", func(t *testing.T) {
				in := newIntake(t)
				add(t, in, long)
				in.ends[0], in.last[0], in.seq = 0, 0, 0
				add(t, in, short)
				if diff := storetest.Diff([]uint64{1}, numbers(t, in)); diff != "" {
					t.Errorf("the log (-want +got):\n%s", diff)
				}
			})
			t.Run("after a crash in the middle of a write", func(t *testing.T) {
				path, _ := written(t, 0)
				in, err := openIntake(path)
				if err != nil {
					t.Fatal(err)
				}
				add(t, in, long)
				if err := errors.Join(in.files[0].Truncate(in.ends[0]-1), in.close()); err != nil {
					t.Fatal(err)
				}
				s := openTest(t, Options{Path: path})
				locked(t, path)
				storetest.Put(t, s, short)
				if diff := storetest.Diff([]uint64{1}, numbers(t, s.intake)); diff != "" {
					t.Errorf("the log (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Opening takes away whatever is behind the last record, and all of what is folded.
func TestOpenLeavesNothingBehindTheEnd(t *testing.T) {
	maker := storetest.NewMaker(7)
	for _, tc := range [...]struct {
		name   string
		a, b   int   // records in the segments
		folded int64 // of them
		torn   int64 // bytes that the last record in each lacks
		want   [2]int
	}{
		{"nothing but a beginning", 1, 1, 0, 5, [2]int{0, 0}},
		{"a torn write", 3, 0, 0, 5, [2]int{2, 0}},
		{"a torn write in each", 3, 3, 0, 5, [2]int{2, 2}},
		{"the first is folded", 2, 2, 2, 0, [2]int{0, 2}},
		{"the first is folded, the second in part", 2, 2, 3, 0, [2]int{0, 2}},
		{"all is folded", 2, 2, 4, 0, [2]int{0, 0}},
		{"more is folded than there is", 2, 2, 9, 0, [2]int{0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path, _ := written(t, 0)
			in, err := openIntake(path)
			if err != nil {
				t.Fatal(err)
			}
			var ends [2][]int64
			for i, n := range [...]int{tc.a, tc.b} {
				in.active, ends[i] = i, []int64{0}
				for range n {
					add(t, in, maker.Next())
					ends[i] = append(ends[i], in.ends[i])
				}
				if n > 0 {
					if err := in.files[i].Truncate(in.ends[i] - tc.torn); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := in.close(); err != nil {
				t.Fatal(err)
			}
			foldedUpTo(t, path, tc.folded)
			unlock := locked(t, path) // a fold would empty them
			s, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, s)
			defer unlock()
			for i, n := range tc.want {
				info, err := os.Stat(segmentPath(path, 0, i))
				if err != nil || info.Size() != ends[i][n] {
					t.Errorf("segment %d has %d bytes, %v, want the %d of %d records", i, info.Size(), err, ends[i][n], n)
				}
			}
		})
	}
}

// foldedUpTo has the tables say that the records up to n of the first log are in them.
func foldedUpTo(t *testing.T, path string, n int64) {
	t.Helper()
	db := connect(path, writing)
	defer db.Close()
	if _, err := db.Exec("INSERT OR REPLACE INTO log VALUES (0, ?)", n); err != nil {
		t.Fatal(err)
	}
}

// After the power went the tables may know later records than the log. New ones
// come behind both, and are read again.
func TestNumbersGoOnBehindWhatIsFolded(t *testing.T) {
	path, _ := written(t, 0)
	in, err := openIntake(path)
	if err != nil {
		t.Fatal(err)
	}
	maker := storetest.NewMaker(8)
	for i := range in.files {
		in.active = i
		add(t, in, maker.Next())
	}
	if err := in.close(); err != nil {
		t.Fatal(err)
	}
	foldedUpTo(t, path, 9)
	s := openTest(t, Options{Path: path})
	locked(t, path)
	storetest.Put(t, s, maker.Next(), maker.Next())
	if diff := storetest.Diff([]uint64{10, 11}, numbers(t, s.intake)); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}

// Killed after a fold and before its segment is emptied, a process leaves records that
// are in the tables, and may since have been deleted there.
func TestAFoldedRecordIsNotFoldedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	maker := storetest.NewMaker(9)
	kept, deleted := maker.Next(), maker.Next()
	s.intake.files[0] = &unyielding{s.intake.files[0]}
	s.intake.files[1] = &unyielding{s.intake.files[1]}
	storetest.Put(t, s, kept, deleted)
	if err := s.Delete(t.Context(), deleted.ID); err != nil {
		t.Fatal(err)
	}
	if diff := storetest.Diff([]uint64{1, 2}, numbers(t, s.intake)); diff != "" {
		t.Fatalf("the log that was not emptied (-want +got):\n%s", diff)
	}
	closeStore(t, s)
	for _, readOnly := range [...]bool{true, false} {
		s := openTest(t, Options{Path: path, ReadOnly: readOnly})
		page, err := s.List(t.Context(), inspector.Query{})
		if err != nil || len(page) != 1 || page[0].ID != kept.ID {
			t.Errorf("read-only %v: %d are listed, %v, want the one that was not deleted", readOnly, len(page), err)
		}
	}
}

// unyielding is a segment that cannot be emptied.
type unyielding struct{ segment }

func (*unyielding) Truncate(int64) error { return syscall.EIO }

// A process that was killed leaves both segments; the later state of an exchange is
// in the second one, and counts.
func TestBothSegmentsOfADeadProcessAreFolded(t *testing.T) {
	path, _ := written(t, 0)
	in, err := openIntake(path)
	if err != nil {
		t.Fatal(err)
	}
	maker := storetest.NewMaker(10)
	old := maker.Next()
	changed := *old
	old.Fault, changed.Fault = "old", "new"
	in.active = 1
	add(t, in, old)
	in.active = 0 // which is read first
	add(t, in, &changed)
	if err := in.close(); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range [...]bool{true, false} {
		s := openTest(t, Options{Path: path, ReadOnly: readOnly})
		if !readOnly {
			settleAll(t, s)
		}
		got, err := s.Get(t.Context(), old.ID)
		if err != nil || got.Fault != "new" {
			t.Errorf("read-only %v: %+v, %v, want the later state", readOnly, got, err)
		}
	}
}

// Within a segment every number is the one before and one.
func TestANumberThatIsNotTheNextEndsTheLog(t *testing.T) {
	maker := storetest.NewMaker(11)
	for _, number := range [...]uint64{0, 1, 2, 4, 1 << 40, 1 << 63, math.MaxUint64} {
		in := newIntake(t)
		add(t, in, maker.Next())
		add(t, in, maker.Next())
		if _, err := in.files[0].WriteAt(seal(appendRecord(nil, maker.Next()), in.seeds[0], number), in.ends[0]); err != nil {
			t.Fatal(err)
		}
		if diff := storetest.Diff([]uint64{1, 2}, numbers(t, in)); diff != "" {
			t.Errorf("number %d after 2: the log (-want +got):\n%s", number, diff)
		}
	}
}
