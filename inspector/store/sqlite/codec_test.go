package sqlite

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

func encode(x *inspector.Exchange) (head, tail []byte) {
	return appendHead(nil, x), appendTail([]byte{}, x)
}

func TestDecodeGivesWhatWasEncoded(t *testing.T) {
	maker := storetest.NewMaker(1)
	for range 500 {
		x := maker.Begun()
		if maker.IntN(2) == 0 {
			x = maker.Finish(x)
		}
		head, tail := encode(x)
		got, err := decode(head, tail)
		if err != nil {
			t.Fatal(err)
		}
		if diff := storetest.Diff(x, got); diff != "" {
			t.Fatalf("encoded and decoded (-want +got):\n%s", diff)
		}
		listed, err := decode(head, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := storetest.Diff(x.Bare(), listed); diff != "" {
			t.Fatalf("decoded without its tail (-want +got):\n%s", diff)
		}
	}
}

func TestDecodeKeepsTheExtremes(t *testing.T) {
	x := &inspector.Exchange{
		Started: time.Date(1, 2, 3, 4, 5, 6, 7, time.UTC), Elapsed: -1,
		Request:  inspector.Request{Header: inspector.Header{{}, {Name: "", Value: "\x00\xff"}}, Body: inspector.Body{Size: 1<<63 - 1}},
		Response: &inspector.Response{Status: -5},
		Slack:    slack.Payload{Retry: -1 << 31},
		Verdict:  slack.Verdict{Status: 255, Age: -1 << 63},
		Findings: []slack.Finding{{}},
	}
	got, err := decode(encode(x))
	if err != nil {
		t.Fatal(err)
	}
	if diff := storetest.Diff(x, got); diff != "" {
		t.Errorf("encoded and decoded (-want +got):\n%s", diff)
	}
}

// The bytes were written by hand, so that a change of the codec that loses what is on
// people's disks is noticed.
func TestDecodeReadsVersion1(t *testing.T) {
	head := []byte{0x01, // version
		0x01, 0x10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, // ID
		0x02, 0x05, 'l', 'o', 'c', 'a', 'l'} // origin
	head = append(head, 0x04, 0x02, 0x04, 0x07)                                  // started: 2 s and 7 ns after 1970
	head = append(head, 0x07, 0x04, 'P', 'O', 'S', 'T')                          // method
	head = append(head, 0x0c, 0x05, 0x01, 'A', 'b', 'c', 'd')                    // header A: bcd
	head = append(head, 0x0f, 0x02, 0x03, 0x05)                                  // body: 3 bytes of 5
	head = append(head, 0x10, 0x02, 0x90, 0x03)                                  // status 200
	head = append(head, 0x7f, 0x02, 0xff, 0xff)                                  // a tag of the future
	head = append(head, 0x28, 0x08, 0x01, 0x01, 'c', 0x00, 0x02, 't', 't', 0x00) // a finding
	got, err := decode(head, []byte("abc"))
	if err != nil {
		t.Fatal(err)
	}
	want := &inspector.Exchange{
		ID:     inspector.ID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		Origin: inspector.Local, Started: time.Unix(2, 7),
		Request: inspector.Request{
			Method: "POST", Header: inspector.Header{{Name: "A", Value: "bcd"}},
			Body: inspector.Body{Bytes: []byte("abc"), Size: 5},
		},
		Response: &inspector.Response{Status: 200},
		Findings: []slack.Finding{{Code: "c", Severity: slack.Warning, Text: "tt"}},
	}
	if diff := storetest.Diff(want, got); diff != "" {
		t.Errorf("a record of version 1 (-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	head, tail := encode(storetest.NewMaker(2).Next())
	for name, tc := range map[string]struct{ head, tail []byte }{
		"nothing":                     {nil, tail},
		"half a head":                 {head[:len(head)/2+1], tail},
		"a tail that is too short":    {head, tail[:len(tail)-1]},
		"a tail that is too long":     {head, append(bytes.Clone(tail), 0)},
		"a length beyond the end":     {[]byte{1, tagMethod, 200, 1, 'x'}, nil},
		"an ID that is too short":     {[]byte{1, tagID, 2, 1, 2}, nil},
		"a number without an end":     {[]byte{1, tagElapsed, 1, 0x80}, nil},
		"a finding without its texts": {[]byte{1, tagFinding, 2, 1, 9}, nil},
	} {
		if x, err := decode(tc.head, tc.tail); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v, %v, want errBroken", name, x, err)
		}
	}
	var newer *codecError
	if _, err := decode(append([]byte{codecVersion + 1}, head[1:]...), tail); !errors.As(err, &newer) || newer.version != codecVersion+1 {
		t.Errorf("a newer codec: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	maker := storetest.NewMaker(3)
	for range 5 {
		head, tail := encode(maker.Next())
		f.Add(head, tail)
	}
	f.Add([]byte{1, tagHeader, 1, 0}, []byte{})
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		x, err := decode(head, append([]byte{}, tail...))
		if err != nil {
			return
		}
		again, err := decode(encode(x))
		if err != nil {
			t.Fatalf("what was decoded is encoded to something broken: %v", err)
		}
		if diff := storetest.Diff(x, again); diff != "" {
			t.Errorf("once more (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	x := storetest.NewMaker(1).Sized(700)
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		if buffer = appendRecord(buffer[:0], x); len(buffer) < 700 {
			b.Fatal("nothing was encoded")
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	head, tail := encode(storetest.NewMaker(1).Sized(700))
	b.ReportAllocs()
	for b.Loop() {
		if x, err := decode(head, tail); err != nil || x.Request.Method == "" {
			b.Fatal(err)
		}
	}
}
