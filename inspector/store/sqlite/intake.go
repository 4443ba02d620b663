package sqlite

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/slackdev/slackdev/inspector"
)

// An intake log is two files, the segments, beside the database. One takes the records;
// when it is long and all of the other one is folded, they change places, and the
// folded one is emptied. A segment begins with a magic number; a record is
//
//	length of head and tail (4 bytes) · CRC-32C of what follows (4) · sequence number (8) ·
//	length of the head (4) · head · tail
//
// with integers in little-endian order. Sequence numbers count up over both segments.
// Reading ends at the first record whose checksum is wrong: what a write left that did not
// come to its end. What lies behind the end of a segment that could not be emptied has
// lower numbers, and is folded already.
const (
	segmentMagic = "sdintak1" // the last character is the format
	segmentSize  = 4 << 20    // bytes after which a segment is left
	recordHead   = 20
	maxRecord    = 256 << 20 // bytes of head and tail
	maxSlots     = 64        // processes that have one history open for writing
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errLocked   = errors.New("another process holds it")
	errTooLarge = fmt.Errorf("a record of more than %d MiB", maxRecord>>20)
)

// segment is a file that takes records: an *os.File, or one that fails, in tests.
type segment interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// intake is the log of this process. The mutex of the Store guards it, but for
// path, slot and files.
type intake struct {
	path  string // of the database
	slot  int
	files [2]segment

	active int
	ends   [2]int64  // where the next record goes
	last   [2]uint64 // the number of the last record
	seq    uint64    // the last number that was given
}

// segmentPath names a segment: HISTORY.log-0a.
func segmentPath(path string, slot, i int) string {
	return fmt.Sprintf("%s.log-%d%c", path, slot, 'a'+i)
}

// openIntake takes the first log that no other process has. What is in it is
// not read: that is for recovery.
func openIntake(path string) (*intake, error) {
	for slot := range maxSlots {
		in, err := takeSlot(path, slot)
		if !errors.Is(err, errLocked) {
			return in, err
		}
	}
	return nil, fmt.Errorf("%d processes have it open", maxSlots)
}

func takeSlot(path string, slot int) (*intake, error) {
	in := &intake{path: path, slot: slot}
	for i := range in.files {
		f, err := openLocked(segmentPath(path, slot, i))
		if err != nil {
			return nil, errors.Join(err, in.close())
		}
		in.files[i] = f
	}
	return in, nil
}

// othersAlive reports whether another process has the history open for writing.
func (in *intake) othersAlive() bool {
	for slot := range maxSlots {
		if slot == in.slot {
			continue
		}
		if _, err := os.Lstat(segmentPath(in.path, slot, 0)); err != nil {
			continue
		}
		other, err := takeSlot(in.path, slot)
		if err != nil {
			return true
		}
		other.close()
	}
	return false
}

func (in *intake) close() error {
	var err error
	for _, f := range in.files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// appendRecord makes a record of x, with room for what append fills in.
func appendRecord(b []byte, x *inspector.Exchange) []byte {
	b = append(b, make([]byte, recordHead)...)
	start := len(b)
	b = appendHead(b, x)
	binary.LittleEndian.PutUint32(b[start-4:], uint32(len(b)-start))
	return appendTail(b, x)
}

// append writes a record and gives its number. After a failure nothing has changed: the
// next record goes where this one should have gone.
func (in *intake) append(record []byte) (uint64, error) {
	if len(record)-recordHead > maxRecord {
		return 0, errTooLarge
	}
	if other := 1 - in.active; in.ends[in.active] >= segmentSize && in.ends[other] == 0 {
		in.active = other
	}
	i := in.active
	end := in.ends[i]
	if end == 0 {
		if _, err := in.files[i].WriteAt([]byte(segmentMagic), 0); err != nil {
			return 0, err
		}
		end = int64(len(segmentMagic))
	}
	seq := in.seq + 1
	binary.LittleEndian.PutUint32(record, uint32(len(record)-recordHead))
	binary.LittleEndian.PutUint64(record[8:], seq)
	binary.LittleEndian.PutUint32(record[4:], crc32.Checksum(record[8:], castagnoli))
	if _, err := in.files[i].WriteAt(record, end); err != nil {
		return 0, err
	}
	in.seq, in.last[i], in.ends[i] = seq, seq, end+int64(len(record))
	return seq, nil
}

// release gives the segments of which all is folded; the records that come next go
// elsewhere. The caller empties them, without the lock, and then says emptied.
func (in *intake) release(folded uint64) []int {
	if a := in.active; in.ends[a] > 0 && in.last[a] <= folded && in.ends[1-a] == 0 {
		in.active = 1 - a
	}
	var idle []int
	for i := range in.files {
		if i != in.active && in.ends[i] > 0 && in.last[i] <= folded {
			idle = append(idle, i)
		}
	}
	return idle
}

func (in *intake) emptied(i int) { in.ends[i] = 0 }

// record is what a log holds: its number, the head and the tail.
type record struct {
	seq        uint64
	head, tail []byte
}

// load reads the log that this process took over, and gives its records in their
// order. New ones go behind them.
func (in *intake) load() ([]record, error) {
	var records []record
	for i := range in.files {
		more, end, err := readSegment(segmentPath(in.path, in.slot, i))
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			continue
		}
		in.ends[i], in.last[i] = end, more[len(more)-1].seq
		if in.last[i] > in.seq {
			in.seq, in.active = in.last[i], i
		}
		records = append(records, more...)
	}
	return sorted(records), nil
}

// readLog reads the records of a slot in their order, and changes nothing. A log
// that is not there has none.
func readLog(path string, slot int) ([]record, error) {
	var records []record
	for i := range 2 {
		more, _, err := readSegment(segmentPath(path, slot, i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		records = append(records, more...)
	}
	return sorted(records), nil
}

func sorted(records []record) []record {
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.seq, b.seq) })
	return records
}

// readSegment gives every whole record of a segment, and where the last one ends.
func readSegment(name string) ([]record, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, 0, err
	}
	records, end, err := readRecords(bufio.NewReaderSize(f, 256<<10), info.Size())
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", name, err)
	}
	return records, end, nil
}

// readRecords reads a segment of at most size bytes. Numbers count up; one that does
// not is from before the segment was last emptied.
func readRecords(r io.Reader, size int64) (records []record, end int64, err error) {
	magic := make([]byte, len(segmentMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return nil, 0, ended(err)
	}
	if kind := len(magic) - 1; string(magic[:kind]) != segmentMagic[:kind] {
		return nil, 0, nil // zeros, after the power went: nothing that was ever written whole
	} else if string(magic) != segmentMagic {
		return nil, 0, fmt.Errorf("made by a newer slackdev (log format %q; this one reads %q)", magic[kind:], segmentMagic[kind:])
	}
	end = int64(len(magic))
	var last uint64
	for {
		var h [recordHead]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return records, end, ended(err)
		}
		length := int64(binary.LittleEndian.Uint32(h[:]))
		head := int64(binary.LittleEndian.Uint32(h[16:]))
		if length > size-end-recordHead || length > maxRecord || head > length {
			return records, end, nil
		}
		b := make([]byte, length)
		if _, err := io.ReadFull(r, b); err != nil {
			return records, end, ended(err)
		}
		seq := binary.LittleEndian.Uint64(h[8:])
		sum := crc32.Update(crc32.Checksum(h[8:], castagnoli), castagnoli, b)
		if sum != binary.LittleEndian.Uint32(h[4:]) || seq <= last {
			return records, end, nil
		}
		last = seq
		end += recordHead + length
		records = append(records, record{seq, b[:head:head], b[head:]})
	}
}

// ended makes the end of a file, which may be in the middle of a record, no error.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
