package sshtunnel

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// What is kept of a session's text, which comes from a stranger.
const (
	maxText    = 64 << 10 // bytes that are searched for the URL
	maxLine    = 2 << 10  // bytes of a line; the rest of it is dropped
	maxNotices = 20       // lines that are kept, the newest
	maxNotice  = 200      // characters of a line that are kept
)

// The scores of a URL in a session's text. Services print both schemes and links to
// their own pages; the URL that is meant stands alone on its line more often than not.
const (
	scoreFound = 1
	scoreHTTPS = 2
	scoreAlone = 1
	scoreBest  = scoreFound + scoreHTTPS + scoreAlone
)

// transcript reads a session's two streams: it finds the public URL, and keeps what
// else is said. It is safe for use by the goroutines of both streams.
type transcript struct {
	announce Announce
	secret   string        // what may not be repeated: a token. Set before the first text
	found    chan struct{} // closed when url is decided
	refused  chan struct{} // closed when a reason has been given
	hopeless chan struct{} // closed when a known refusal, and then nothing, has come in place of a URL

	mu      sync.Mutex // guards what follows
	streams [2]lineReader
	read    int
	url     *url.URL // the best so far
	score   int
	decided bool
	stopped bool
	settle  *time.Timer
	notices []string
	heard   func(string) // gets the notices, once the tunnel is open; nil: they wait
	reason  string       // the last line that began with wire.ErrorPrefix
	last    string       // the last line
	refusal *Refusal     // the last that a line held
	refuser string       // that line
	told    bool         // refused is closed
	given   bool         // hopeless is closed
	moved   *url.URL     // the address that the service has given since
}

func newTranscript(a Announce) *transcript {
	if a.Settle == 0 {
		a.Settle = 300 * time.Millisecond
	}
	return &transcript{announce: a, found: make(chan struct{}), refused: make(chan struct{}), hopeless: make(chan struct{})}
}

// write takes what one of the streams (0: output, 1: errors) said. A line counts
// when it is complete, or when nothing follows for the time of Settle: half a URL is
// a URL, too.
func (t *transcript) write(stream int, p []byte) {
	defer t.pass()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.decided { // a flood that has no URL in its first 64 KiB has none
		p = p[:min(len(p), maxText-t.read)]
		t.read += len(p)
	}
	if len(p) == 0 {
		return
	}
	t.streams[stream].write(p, t.line)
	switch {
	case t.stopped:
	case t.settle == nil:
		t.settle = time.AfterFunc(t.announce.Settle, t.settled)
	default:
		t.settle.Reset(t.announce.Settle)
	}
}

// end says that a stream has ended: its last line is complete.
func (t *transcript) end(stream int) {
	defer t.pass()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams[stream].flush(t.line)
}

// settled is called when the session has been silent.
func (t *transcript) settled() {
	defer t.pass()
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.streams {
		t.streams[i].flush(t.line)
	}
	switch {
	case t.url != nil:
		t.decide()
	case t.refusal != nil && !t.given:
		t.given = true
		close(t.hopeless)
	}
}

// stop ends the timer.
func (t *transcript) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.settle != nil {
		t.settle.Stop()
	}
}

// decide takes the best URL so far. The lock is held.
func (t *transcript) decide() {
	if !t.decided {
		t.decided = true
		close(t.found)
	}
}

// line takes one clean line. The lock is held.
func (t *transcript) line(line string) {
	line = strings.Join(strings.Fields(line), " ") // a picture of blanks could pass for another line
	if t.secret != "" {
		line = strings.ReplaceAll(line, t.secret, "…")
	}
	if line == "" || drawn(line) {
		return
	}
	before := t.last
	t.last = clip(line, maxNotice)
	if reason, ok := strings.CutPrefix(line, wire.ErrorPrefix); ok && reason != "" {
		t.reason = clip(reason, maxNotice)
		t.tell()
	}
	if r := t.announce.refusal(line); r != nil {
		t.refusal, t.refuser = r, t.last
		t.tell()
	}
	if t.candidates(line) {
		t.last = before // an address is no reason for an end
		return
	}
	t.notices = append(t.notices, t.last)
	if len(t.notices) > maxNotices {
		t.notices = t.notices[1:]
	}
}

// tell says that a reason has been given. The lock is held.
func (t *transcript) tell() {
	if !t.told {
		t.told = true
		close(t.refused)
	}
}

// refusal finds what a line means, nil for nothing in particular.
func (a Announce) refusal(line string) *Refusal {
	line = strings.ToLower(line)
	for i, r := range a.Refusals {
		if r.Contains != "" && strings.Contains(line, r.Contains) {
			return &a.Refusals[i]
		}
	}
	return nil
}

// drawn reports a line without a letter or a digit: the edge of a box, a row of a QR
// code.
func drawn(line string) bool {
	return !strings.ContainsFunc(line, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// candidates looks for a URL in a line, and reports whether the line is nothing but
// the announcement. The lock is held.
func (t *transcript) candidates(line string) bool {
	text, score := t.announce.where(line)
	only := false
	for _, word := range strings.FieldsFunc(text, between) {
		u := publicURL(word)
		if u == nil || slices.Contains(t.announce.Ignore, u.Hostname()) {
			continue
		}
		got := score
		if u.Scheme == "https" {
			got += scoreHTTPS
		}
		if strings.TrimFunc(text, between) == word {
			got += scoreAlone
			only = true
		}
		t.candidate(u, min(got, scoreBest), line)
	}
	return only && t.url != nil
}

// candidate takes one URL. The lock is held.
func (t *transcript) candidate(u *url.URL, score int, line string) {
	switch {
	case !t.decided:
		if score > t.score {
			t.url, t.score = u, score
		}
		if score == scoreBest {
			t.decide()
		}
	case t.announce.Moved != "" && strings.Contains(line, t.announce.Moved) && u.Hostname() != t.url.Hostname():
		t.moved = u
	}
}

// where gives the part of a line in which a URL is looked for, and the score of one
// that is found there.
func (a Announce) where(line string) (text string, score int) {
	switch {
	case a.Prefix != "":
		text, ok := strings.CutPrefix(line, a.Prefix)
		if !ok {
			return "", 0
		}
		return text, scoreBest
	case a.Pattern != nil:
		found := a.Pattern.FindStringSubmatch(line)
		if found == nil {
			return "", 0
		}
		text = found[0]
		if len(found) > 1 && found[1] != "" {
			text = found[1]
		}
		if !strings.Contains(text, "://") { // a host
			text = "https://" + text
		}
		return text, scoreFound
	}
	return line, scoreFound
}

// between reports what stands between words, and around them: blanks, brackets, the
// lines of a box.
func between(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`"'<>()[]{}|,;`, r) || r >= 0x2500 && r <= 0x259f
}

// publicURL reads the address of a tunnel: http or https, a host that is a name or
// an address, nothing of a user, path, query or fragment. Otherwise nil.
func publicURL(word string) *url.URL {
	if len(word) > 300 {
		return nil
	}
	u, err := url.Parse(strings.TrimRight(word, ".!"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Opaque != "" ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	if !hostName(host) && net.ParseIP(host) == nil {
		return nil
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}
}

// hostName reports whether s can be a name in the DNS.
func hostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// result gives the URL, once found is closed.
func (t *transcript) result() *url.URL {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.url
}

// takeNotices gives what was said since the last call, without the announcement.
func (t *transcript) takeNotices() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := t.notices
	t.notices = nil
	return said
}

// passOn has what is said from now on given to f, which may be nil.
func (t *transcript) passOn(f func(string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = f
}

// pass gives away what has been said, where somebody wants it at once. The lock is
// not held.
func (t *transcript) pass() {
	t.mu.Lock()
	heard, said := t.heard, []string(nil)
	if heard != nil {
		said, t.notices = t.notices, nil
	}
	t.mu.Unlock()
	for _, line := range said {
		heard(line)
	}
}

// note adds a line of our own, or a banner.
func (t *transcript) note(text string) {
	var r lineReader
	t.mu.Lock()
	defer t.mu.Unlock()
	r.write([]byte(text), t.line)
	r.flush(t.line)
}

// newAddress gives the address that the service has moved the tunnel to, or nil.
func (t *transcript) newAddress() *url.URL {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moved
}

// known gives what the service's words mean, and the words; nil where they mean
// nothing in particular.
func (t *transcript) known() (*Refusal, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refusal, t.refuser
}

// words is why the service ended or refused, as far as it said so.
func (t *transcript) words() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reason != "" {
		return t.reason
	}
	return t.last
}

// clip shortens s to n characters.
func clip(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i] + "…"
		}
		n--
	}
	return s
}

// lineReader turns a terminal's bytes into lines of printable text. It drops escape
// sequences; one that moves the cursor ends the line. It drops control characters
// (C0, DEL, C1), what changes the direction of text, and what is not UTF-8.
type lineReader struct {
	buf   []byte // of the line so far, clean
	part  []byte // a character whose bytes are not complete
	state escape
}

// escape is where a lineReader is in an escape sequence (ECMA-48).
type escape int

const (
	plain  escape = iota
	esc           // after ESC
	csi           // after ESC [, until a final byte
	str           // after ESC ] (and P, X, ^, _), until BEL or ESC \
	strEsc        // in str, after ESC
)

func (l *lineReader) write(p []byte, emit func(string)) {
	for _, c := range p {
		switch l.state {
		case plain:
			l.plain(c, emit)
		case esc:
			l.state = plain
			switch c {
			case '[':
				l.state = csi
			case ']', 'P', 'X', '^', '_':
				l.state = str
			case 'D', 'E', 'M', 'c': // index, next line, reverse index, reset
				l.flush(emit)
			}
		case csi:
			if c >= 0x40 && c <= 0x7e {
				l.state = plain
				if strings.IndexByte("ABEFHJSTdf", c) >= 0 {
					l.flush(emit)
				}
			} else if c < 0x20 || c > 0x7e { // not a sequence after all
				l.state = plain
				l.plain(c, emit)
			}
		case str:
			switch c {
			case 0x07:
				l.state = plain
			case 0x1b:
				l.state = strEsc
			case '\n': // a string that nobody ended must not swallow the rest
				l.state = plain
				l.flush(emit)
			}
		case strEsc:
			l.state = plain
			if c != '\\' {
				l.state = esc
				l.write([]byte{c}, emit)
			}
		}
	}
}

// plain takes a byte outside of escape sequences.
func (l *lineReader) plain(c byte, emit func(string)) {
	switch {
	case c == 0x1b:
		l.part = l.part[:0]
		l.state = esc
	case c == '\n' || c == '\r':
		l.flush(emit)
	case c == '\t':
		l.add(' ')
	case c < utf8.RuneSelf:
		l.part = l.part[:0]
		l.add(rune(c))
	default:
		l.part = append(l.part, c)
		if !utf8.FullRune(l.part) {
			return
		}
		r, size := utf8.DecodeRune(l.part)
		if r != utf8.RuneError || size > 1 {
			l.add(r)
		}
		l.part = l.part[:0]
	}
}

// add appends a character that prints.
func (l *lineReader) add(r rune) {
	if len(l.buf) < maxLine && unicode.IsPrint(r) {
		l.buf = utf8.AppendRune(l.buf, r)
	}
}

// flush ends the line.
func (l *lineReader) flush(emit func(string)) {
	if len(l.buf) > 0 {
		emit(string(l.buf))
		l.buf = l.buf[:0]
	}
	l.part = l.part[:0]
}
