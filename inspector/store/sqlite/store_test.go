package sqlite

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/memory"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

// The index, the rows that are not indexed, and what is pending must find the same
// as the plainest store, whatever is where.
func TestSQLiteAndMemoryAnswerAlike(t *testing.T) {
	s, plain := openTest(t, Options{}), new(memory.Store)
	maker := storetest.NewMaker(30)
	var all []*inspector.Exchange
	for i := range 900 {
		x := maker.Begun()
		if maker.IntN(4) > 0 {
			x = maker.Finish(x)
		}
		all = append(all, x)
		storetest.Put(t, s, x)
		storetest.Put(t, plain, x)
		switch i {
		case 300:
			indexAll(t, s)
		case 400: // some of the indexed ones change, and one goes
			for _, x := range all[:100] {
				y := maker.Finish(x)
				storetest.Put(t, s, y)
				storetest.Put(t, plain, y)
			}
			if err := errors.Join(s.Delete(t.Context(), all[50].ID), plain.Delete(t.Context(), all[50].ID)); err != nil {
				t.Fatal(err)
			}
			settleAll(t, s)
		case 600:
			indexAll(t, s)
		case 700:
			settleAll(t, s)
		}
	}
	for range 200 {
		q := maker.Query()
		if maker.IntN(2) == 0 {
			q.Before = all[maker.IntN(len(all))].ID
		}
		want, err := plain.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if diff := storetest.Diff(want, got); diff != "" {
			t.Fatalf("%+v (-memory +sqlite):\n%s", q, diff)
		}
	}
}

// What is common is found among the newest rows and what is rare in the index;
// between the two nothing may be lost or come twice.
func TestCommonAndRareWordsMeet(t *testing.T) {
	s := openTest(t, Options{})
	maker := storetest.NewMaker(31)
	want := make(map[string][]inspector.ID)
	for i := range 1500 {
		x := maker.Sized(100)
		x.Fault, x.Response = "", nil
		for word, every := range map[string]int{"alpha": 1, "beta": 3, "gamma": 5, "delta": 100} {
			if i%every == 0 || word == "gamma" && i > 1400 {
				x.Fault += word + " "
				want[word] = append([]inspector.ID{x.ID}, want[word]...)
			}
		}
		storetest.Put(t, s, x)
	}
	for _, settle := range [...]func(testing.TB, *Store){settleAll, indexAll} {
		settle(t, s)
		for word, ids := range want {
			for _, limit := range [...]int{1, 100, 450, 5000} {
				page, err := s.List(t.Context(), inspector.Query{Limit: limit, Where: []inspector.Term{{Key: inspector.KeyText, Values: []string{word}}}})
				if err != nil {
					t.Fatal(err)
				}
				var got []inspector.ID
				for _, x := range page {
					got = append(got, x.ID)
				}
				if !slices.Equal(got, ids[:min(limit, len(ids))]) {
					t.Errorf("%s, limit %d: %d exchanges, and not the newest of %d", word, limit, len(got), len(ids))
				}
			}
		}
	}
}

func TestTheOldestGoFirstAndPinnedOnesStay(t *testing.T) {
	s := openTest(t, Options{MaxExchanges: 200})
	maker := storetest.NewMaker(32)
	var all []*inspector.Exchange
	for range 100 {
		all = append(all, maker.Next())
	}
	storetest.Put(t, s, all...)
	for _, i := range [...]int{0, 7, 50} {
		if err := s.Pin(t.Context(), all[i].ID, true); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		x := maker.Next()
		all = append(all, x)
		storetest.Put(t, s, x)
		if len(all)%50 == 0 {
			indexAll(t, s)
		}
	}
	settleAll(t, s)
	u, err := s.Usage(t.Context())
	if err != nil || u.Exchanges > 200 || u.Exchanges < 190 {
		t.Errorf("with room for 200 there are %d, %v", u.Exchanges, err)
	}
	page, err := s.List(t.Context(), inspector.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	want := []inspector.ID{all[0].ID, all[7].ID, all[50].ID}
	for _, x := range all[len(all)-len(page)+3:] {
		want = append(want, x.ID)
	}
	var got []inspector.ID
	for _, x := range slices.Backward(page) {
		got = append(got, x.ID)
	}
	if !slices.Equal(want, got) {
		t.Errorf("left are %v, want the 3 pinned ones and the newest", got)
	}
	var orphans int
	err = s.readers.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM content WHERE n NOT IN (SELECT n FROM exchange))
		+ (SELECT count(*) FROM todo WHERE n NOT IN (SELECT n FROM exchange))
		+ (SELECT count(*) FROM words_docsize WHERE id NOT IN (SELECT n FROM exchange))`).Scan(&orphans)
	if err != nil || orphans != 0 {
		t.Errorf("%d rows of what went are left, %v", orphans, err)
	}
}

func TestSizeIsBounded(t *testing.T) {
	s := openTest(t, Options{MaxSize: 1 << 20})
	maker := storetest.NewMaker(33)
	for range 600 {
		storetest.Put(t, s, maker.Sized(10_000))
	}
	settleAll(t, s)
	u, err := s.Usage(t.Context())
	if err != nil || u.Bytes > 1<<20 || u.Bytes < 900_000 {
		t.Errorf("with room for 1 MiB there are %d bytes, %v", u.Bytes, err)
	}
}

// When the database takes nothing, Put waits for as long as its context allows and
// then says why; what waited is not lost.
func TestPutWaitsForRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := openTest(t, Options{Path: path})
	other := connect(path, writing)
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil) // now no fold can begin
	if err != nil {
		t.Fatal(err)
	}
	maker := storetest.NewMaker(34)
	body := maker.Bytes(1 << 20)
	put := func(ctx context.Context) error {
		x := maker.Next()
		x.Request.Body = inspector.Body{Bytes: body, Size: int64(len(body))}
		return s.Put(ctx, x)
	}
	kept := 0
	for ; ; kept++ {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := put(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) || s.failing() != nil {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if kept > 100 {
			t.Fatal("100 MiB are pending")
		}
	}
	waited := make(chan error, 1)
	go func() { waited <- put(t.Context()) }()
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil && s.failing() == nil {
		t.Errorf("Put that waited: %v", err)
	} else if err == nil {
		kept++
	}
	settleAll(t, s)
	if u, err := s.Usage(t.Context()); err != nil || u.Exchanges != kept {
		t.Errorf("%d are there, %v, want %d", u.Exchanges, err, kept)
	}
}

func (s *Store) failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// Two stores on one path hold two locks, and so are two processes. A reader must see
// what was put before it looked, while logs change places under it.
func TestTwoWriteAndOneReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	writers := [...]*Store{openTest(t, Options{Path: path}), openTest(t, Options{Path: path})}
	reader := openTest(t, Options{Path: path, ReadOnly: true})
	var mu sync.Mutex
	put := make(map[inspector.ID]bool)
	var wg sync.WaitGroup
	for w, s := range writers {
		wg.Go(func() {
			maker := storetest.NewMaker(40 + uint64(w))
			for range 700 {
				x := maker.Sized(20_000)
				if err := s.Put(t.Context(), x); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				put[x.ID] = true
				mu.Unlock()
			}
		})
	}
	wg.Go(func() {
		for range 40 {
			mu.Lock()
			before := make([]inspector.ID, 0, len(put))
			for id := range put {
				before = append(before, id)
			}
			mu.Unlock()
			page, err := reader.List(t.Context(), inspector.Query{Limit: 10_000})
			if err != nil {
				t.Error(err)
				return
			}
			seen := make(map[inspector.ID]bool, len(page))
			for _, x := range page {
				seen[x.ID] = true
			}
			for _, id := range before {
				if !seen[id] {
					t.Errorf("%s was put before the reader looked, and it did not see it", id)
					return
				}
			}
		}
	})
	wg.Wait()
	for _, s := range writers {
		settleAll(t, s)
	}
	for _, s := range [...]*Store{writers[0], writers[1], reader} {
		if u, err := s.Usage(t.Context()); err != nil || u.Exchanges != 1400 {
			t.Errorf("there are %d, %v, want 1400", u.Exchanges, err)
		}
	}
}

// IDs of one millisecond have numbers of their own, in whatever order they come, and so have those from
// outside the years that numbers have.
func TestNumbersSortLikeIDs(t *testing.T) {
	s := openTest(t, Options{})
	maker := storetest.NewMaker(35)
	id := func(ms uint64, n byte) (id inspector.ID) {
		for i := range 6 {
			id[i] = byte(ms >> (8 * (5 - i)))
		}
		id[15] = n
		return id
	}
	var ids []inspector.ID
	for _, ms := range [...]uint64{1, epoch, epoch + 1, epoch + 2, 1 << 47, 1<<48 - 1} {
		for n := range 10 {
			ids = append(ids, id(ms, byte(n)))
		}
	}
	shuffled := slices.Clone(ids)
	maker.Shuffle(len(ids), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for i, id := range shuffled {
		x := *maker.Next()
		x.ID, x.Fault = id, "findme"
		storetest.Put(t, s, &x)
		if i%7 == 0 {
			indexAll(t, s)
		}
	}
	slices.Reverse(ids)
	for _, where := range [][]inspector.Term{nil, {{Key: inspector.KeyText, Values: []string{"findme"}}}} {
		var got []inspector.ID
		q := inspector.Query{Limit: 7, Where: where}
		for {
			page, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, x := range page {
				got = append(got, x.ID)
			}
			q.Before = got[len(got)-1]
		}
		if diff := storetest.Diff(ids, got); diff != "" {
			t.Errorf("pages of %v (-want +got):\n%s", where, diff)
		}
	}
}

var updateFixture = flag.Bool("update-fixture", false, "write testdata of the newest format anew")

// The fixture is a history of format 1 with 12 exchanges, 2 of which are in the log
// only: made by makeFixture, once, and readable for ever.
func TestFormat1IsRead(t *testing.T) {
	if *updateFixture {
		makeFixture(t)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "history.db")
	unzip(t, "testdata/format1.db.gz", path)
	unzip(t, "testdata/format1.log.gz", segmentPath(path, 0, 0))
	s := openTest(t, Options{Path: path})
	page, err := s.List(t.Context(), inspector.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range page {
		status := 0
		if x.Response != nil {
			status = x.Response.Status
		}
		got = append(got, fmt.Sprint(x.ID, " ", x.Slack.Kind, " ", x.Slack.Name, " ", status, " ", x.Verdict.Status, " ", x.Pinned))
	}
	if diff := storetest.Diff(fixtureLines(), got); diff != "" {
		t.Errorf("format 1 (-want +got):\n%s", diff)
	}
	found, err := s.List(t.Context(), inspector.Query{Where: []inspector.Term{{Key: inspector.KeyText, Values: []string{"kept for ev"}}}})
	if err != nil || len(found) != 2 {
		t.Errorf("a phrase in two of them finds %d, %v", len(found), err)
	}
	whole, err := s.Get(t.Context(), page[3].ID)
	if err != nil || !bytes.Contains(whole.Request.Body.Bytes, []byte("token=invented")) && !bytes.Contains(whole.Request.Body.Bytes, []byte(`"token":"invented"`)) {
		t.Errorf("the body of one is %q, %v", whole.Request.Body.Bytes, err)
	}
}

func makeFixture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	maker := storetest.NewMaker(77)
	next := func(fault string) *inspector.Exchange {
		x := maker.Next()
		x.Fault = fault
		return x
	}
	s := openTest(t, Options{Path: path})
	for i := range 10 {
		x := next(map[int]string{4: "kept for ever"}[i])
		storetest.Put(t, s, x)
		if i == 6 {
			if err := s.Pin(t.Context(), x.ID, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	indexAll(t, s)
	closeStore(t, s)
	zip(t, path, "testdata/format1.db.gz")
	s = openTest(t, Options{Path: path})
	storetest.Put(t, s, next(""), next("kept for ever"))
	zip(t, segmentPath(path, 0, 0), "testdata/format1.log.gz")
}

func zip(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	z.Write(b)
	if err := errors.Join(z.Close(), os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func unzip(t *testing.T, from, to string) {
	t.Helper()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func fixtureLines() []string {
	return []string{
		"01M86XPW8C9M00000CG83J11HY event_callback message.bot_message 204 malformed false",
		"01M86XPVJM9M00000B40B0KXHK slash_command /todone 204 unchecked false",
		"01M86XPSPS9M00000AY6W8B6AH slash_command /Todo 200 token false",
		"01M86XPSD99M000009SDZFGZ74 slash_command /deploy 200 stale false",
		"01M86XPSD99M000008W9FEZBBJ event_callback message.bot_message 401 malformed false",
		"01M86XPSD99M000007S9DBH7AA slash_command /todone 200 missing true",
		"01M86XPSD99M000006P1B5N1D5 event_callback message 500 malformed false",
		"01M86XPPHB9M000005QDAMTY5G slash_command /todone 200 stale false",
		"01M86XPPHB9M000004QX6A658E slash_command /Todo 404 token false",
		"01M86XPM0N9M00000301SSGW54 event_callback message 401 token false",
		"01M86XPHCD9M0000027S1QSH3P event_callback message 401 mismatch false",
		"01M86XPFYK9M000001T1PAWC51 event_callback message 500 unchecked false",
	}
}
