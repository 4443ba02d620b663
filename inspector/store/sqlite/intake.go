package sqlite

import (
	"bufio"
	"cmp"
	"crypto/rand"
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
// folded one is emptied. A segment begins with a header, new each time:
//
//	magic number (8 bytes) · salt (8) · sequence number of the first record (8)
//
// and a record is
//
//	length of head and tail (4) · CRC-32C of the header and what follows (4) ·
//	sequence number (8) · length of the head (4) · head · tail
//
// with integers in little-endian order. Sequence numbers count up by one, also from
// segment to segment. Reading ends at the first record that has a wrong checksum or is not
// the next one: what a write left that did not come to its end.
//
// Behind that end may lie bytes of strangers: of a longer write that failed, or from before
// the segment was emptied in vain. A stranger can put a whole record in a body, but not
// the checksum, which begins with a salt that nobody outside knows.
const (
	segmentMagic = "sdintak1" // the last character is the format
	segmentSize  = 4 << 20    // bytes after which a segment is left
	segmentHead  = 24
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
	ends   [2]int64  // where the next record goes; 0: behind a new header
	last   [2]uint64 // the number of the last record
	seeds  [2]uint32 // what the checksums begin with, see seed
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
		if err := in.start(i); err != nil {
			return 0, err
		}
		end = segmentHead
	}
	seq := in.seq + 1
	binary.LittleEndian.PutUint32(record, uint32(len(record)-recordHead))
	binary.LittleEndian.PutUint64(record[8:], seq)
	binary.LittleEndian.PutUint32(record[4:], crc32.Update(in.seeds[i], castagnoli, record[8:]))
	if _, err := in.files[i].WriteAt(record, end); err != nil {
		return 0, err
	}
	in.seq, in.last[i], in.ends[i] = seq, seq, end+int64(len(record))
	return seq, nil
}

// start writes the header of an empty segment, with a salt of its own.
func (in *intake) start(i int) error {
	h := append(make([]byte, 0, segmentHead), segmentMagic...)
	h = h[:segmentHead]
	rand.Read(h[8:16]) // never fails
	binary.LittleEndian.PutUint64(h[16:], in.seq+1)
	if _, err := in.files[i].WriteAt(h, 0); err != nil {
		return err
	}
	in.seeds[i] = seed(h)
	return nil
}

// seed is the checksum of a header; those of the segment's records go on from it.
func seed(header []byte) uint32 { return crc32.Checksum(header, castagnoli) }

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
// order. It changes no file.
func (in *intake) load() ([]record, error) {
	var records []record
	for i := range in.files {
		c, err := readSegment(segmentPath(in.path, in.slot, i))
		if err != nil {
			return nil, err
		}
		if len(c.records) == 0 {
			continue
		}
		in.ends[i], in.last[i], in.seeds[i] = c.end, c.records[len(c.records)-1].seq, c.seed
		if in.last[i] > in.seq {
			in.seq, in.active = in.last[i], i
		}
		records = append(records, c.records...)
	}
	return sorted(records), nil
}

// trim prepares what was loaded for new records. It empties the segments of which all is
// folded, and cuts the others behind their last record. Where more is folded than
// was found, both are empty then, and numbers go on behind what is folded.
func (in *intake) trim(folded uint64) error {
	in.seq = max(in.seq, folded)
	for i, f := range in.files {
		if in.last[i] <= folded {
			in.ends[i] = 0
		}
		if err := f.Truncate(in.ends[i]); err != nil {
			return fmt.Errorf("cut %s: %w", segmentPath(in.path, in.slot, i), err)
		}
	}
	return nil
}

// readLog reads the records of a slot in their order, and changes nothing. A log
// that is not there has none.
func readLog(path string, slot int) ([]record, error) {
	var records []record
	for i := range 2 {
		c, err := readSegment(segmentPath(path, slot, i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		records = append(records, c.records...)
	}
	return sorted(records), nil
}

func sorted(records []record) []record {
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.seq, b.seq) })
	return records
}

// contents is what a segment has: its whole records, where the last one ends, and
// what their checksums begin with.
type contents struct {
	records []record
	end     int64
	seed    uint32
}

func readSegment(name string) (contents, error) {
	f, err := os.Open(name)
	if err != nil {
		return contents{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return contents{}, err
	}
	c, err := readRecords(bufio.NewReaderSize(f, 256<<10), info.Size())
	if err != nil {
		return contents{}, fmt.Errorf("read %s: %w", name, err)
	}
	return c, nil
}

// readRecords reads a segment of at most size bytes, up to the first record that is
// not whole or not the next one.
func readRecords(r io.Reader, size int64) (contents, error) {
	header, kind := make([]byte, segmentHead), len(segmentMagic)-1
	if _, err := io.ReadFull(r, header[:kind+1]); err != nil {
		return contents{}, ended(err)
	}
	magic := string(header[:kind+1])
	if magic[:kind] != segmentMagic[:kind] {
		return contents{}, nil // zeros, after the power went: nothing that was ever written whole
	} else if magic != segmentMagic {
		return contents{}, fmt.Errorf("made by a newer slackdev (log format %q; this one reads %q)", magic[kind:], segmentMagic[kind:])
	}
	if _, err := io.ReadFull(r, header[kind+1:]); err != nil {
		return contents{}, ended(err)
	}
	c := contents{end: segmentHead, seed: seed(header)}
	for next := binary.LittleEndian.Uint64(header[16:]); ; next++ {
		var h [recordHead]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return c, ended(err)
		}
		length := int64(binary.LittleEndian.Uint32(h[:]))
		seq := binary.LittleEndian.Uint64(h[8:])
		head := int64(binary.LittleEndian.Uint32(h[16:]))
		if seq != next || length > size-c.end-recordHead || length > maxRecord || head > length {
			return c, nil
		}
		b := make([]byte, length)
		if _, err := io.ReadFull(r, b); err != nil {
			return c, ended(err)
		}
		sum := crc32.Update(crc32.Update(c.seed, castagnoli, h[8:]), castagnoli, b)
		if sum != binary.LittleEndian.Uint32(h[4:]) {
			return c, nil
		}
		c.end += recordHead + length
		c.records = append(c.records, record{seq, b[:head:head], b[head:]})
	}
}

// ended makes the end of a file, which may be in the middle of a record, no error.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
