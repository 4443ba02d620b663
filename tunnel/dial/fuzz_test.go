package dial

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzAnswer holds that a head is bounded, that no byte behind it is lost or changed,
// that it does not matter in which pieces it comes, and that what a person reads of
// it is clean.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n", "HTTP/1.0 200\n\nx", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nrest",
		"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate, Basic realm=\"a \\\" b\", x=y\r\n\r\n", "HTTP/1.1 100 C\r\n\r\n\r\n\r\n", "\r\n\r\n", "\n\n",
		"HTTP/1.1 502 \x1b[2J\r\n\r\n", "SSH-2.0-x", "HTTP/1.1 301 \xe2\x80\xae\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	p, err := ParseProxy("http://ana:s3cret@proxy.test", "test")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		whole := bytes.NewReader(input)
		a, rest, err := readAnswer(whole)
		b, restB, errB := readAnswer(iotest.OneByteReader(bytes.NewReader(input)))
		if (err == nil) != (errB == nil) || a.status != b.status || a.reason != b.reason || len(a.challenges) != len(b.challenges) {
			t.Fatalf("at once: %+v, %v; byte by byte: %+v, %v", a, err, b, errB)
		}
		if err != nil {
			return
		}
		if len(restB) != 0 {
			t.Errorf("byte by byte, %q was read too much", restB)
		}
		unread, _ := io.ReadAll(whole)
		got := append(bytes.Clone(rest), unread...)
		if !bytes.HasSuffix(input, got) || !bytes.HasSuffix(input[:len(input)-len(got)], []byte("\n")) || len(input)-len(got) > maxHead {
			t.Errorf("behind the head: got %q of %q", got, input)
		}
		if a.status < 200 || a.status > 599 {
			t.Errorf("status %d", a.status)
		}
		if a.status >= 300 {
			wantClean(t, a.refusal(p, "relay.test:22").Error())
		}
	})
}

// wantClean holds that a text is fit for one line of a terminal, and short.
func wantClean(t *testing.T, s string) {
	t.Helper()
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' }) || len(s) > 1500 {
		t.Errorf("a person would read %q", s)
	}
}

// FuzzSOCKSReply holds that a reply is read to its last byte and no further.
func FuzzSOCKSReply(f *testing.F) {
	for _, s := range []string{"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x16SSH", "\x05\x05\x00\x03\x01a\x00\x16", "\x05\x00\x00\x04", "\x04", "\x05\x00\x00\x03\x00\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		r := bytes.NewReader(input)
		code, err := readSOCKSReply(r)
		if err != nil {
			return
		}
		want := map[byte]int{1: 10, 4: 22}[input[3]]
		if input[3] == 3 {
			want = 7 + int(input[4])
		}
		if got := len(input) - r.Len(); got != want || code != input[1] {
			t.Errorf("%q: read %d bytes and code %d, want %d and %d", input, got, code, want, input[1])
		}
		if err := socksRefusal(code, "relay.test:22"); (err == nil) != (code == 0) {
			t.Errorf("code %d: %v", code, err)
		}
	})
}

// FuzzGreeting holds that all that was read is given back, and only when a line
// begins as SSH does.
func FuzzGreeting(f *testing.F) {
	for _, s := range []string{"SSH-2.0-x\r\n", "hello\r\nSSH-2.0-x\r\nmore", "xSSH-2.0", "\nSSH-", "HTTP/1.1 400 Bad\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		r := bytes.NewReader(input)
		said, err := readGreeting(iotest.OneByteReader(r))
		if err != nil {
			wantClean(t, err.Error())
			return
		}
		if !bytes.HasPrefix(input, said) || len(input)-r.Len() != len(said) || len(said) > maxGreeting || !bytes.HasSuffix(said, []byte("SSH-")) {
			t.Errorf("%q: got %q", input, said)
		}
	})
}
