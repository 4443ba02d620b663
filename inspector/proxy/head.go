package proxy

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

// net/http keeps a head as a map, and a developer who compares two requests wants
// the lines as they were sent. A tapConn remembers the bytes of the head that is
// being read; the handler finds its own request among them. Each line is checked
// against what net/http understood, so that the worst that a confusing sender
// achieves is the order of the alphabet.

// Listener gives connections whose heads a Proxy can show in wire order. The
// server's ConnContext must be the function of that name.
type Listener struct {
	net.Listener
	// Idle is how long a new connection may wait for its first byte, and Head how long
	// the rest of the first head may take; 0: as the server says. A server has one
	// limit for both, and a relay opens connections ahead of need.
	Idle, Head time.Duration
}

// Accept waits for the next connection.
func (l Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tapConn{Conn: conn, on: true, idle: l.Idle, head: l.Head}, nil
}

type tapKey struct{}

// ConnContext tells the handler about a connection that a Listener accepted.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if tap, ok := conn.(*tapConn); ok {
		return context.WithValue(ctx, tapKey{}, tap)
	}
	return ctx
}

func tapOf(ctx context.Context) *tapConn {
	tap, _ := ctx.Value(tapKey{}).(*tapConn)
	return tap
}

// maxTapped bounds what a tap remembers: the largest head that a server accepts.
const maxTapped = 68 << 10

// tapConn is a net.Conn that remembers what was read while it listens.
type tapConn struct {
	net.Conn
	idle, head time.Duration // for the first head; 0 once it has begun

	mu   sync.Mutex // guards the rest: net/http reads ahead in a goroutine of its own
	on   bool
	seen []byte
}

// Read reads from the connection.
func (t *tapConn) Read(p []byte) (int, error) {
	if t.idle > 0 {
		_ = t.SetReadDeadline(time.Now().Add(t.idle))
	}
	n, err := t.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	if t.idle > 0 {
		t.idle = 0
		_ = t.SetReadDeadline(time.Now().Add(t.head)) // the server takes it away after the head
	}
	t.mu.Lock()
	switch {
	case t.on && len(t.seen) < maxTapped:
		t.seen = append(t.seen, p[:min(n, maxTapped-len(t.seen))]...)
	case !t.on && len(p) == 1:
		// net/http waits for the sender to hang up by reading a byte. When one comes,
		// it is the first of the next head.
		t.seen = append(t.seen[:0], p[0])
	}
	t.mu.Unlock()
	return n, err
}

// NetConn is the connection that is tapped.
func (t *tapConn) NetConn() net.Conn { return t.Conn }

// CloseWrite ends the sending side, where the connection below can.
func (t *tapConn) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return t.Conn.Close()
}

// listen starts remembering: a head comes next.
func (t *tapConn) listen() {
	t.mu.Lock()
	t.on = true
	t.mu.Unlock()
}

// reset forgets, and starts remembering.
func (t *tapConn) reset() {
	t.mu.Lock()
	t.on, t.seen = true, t.seen[:0]
	t.mu.Unlock()
}

// lines gives the lines of the head that begins with start, without that line, and
// how many bytes have come behind it, and stops listening. Empty: it is not there.
func (t *tapConn) lines(start ...string) (lines string, behind int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	raw := t.seen
	t.on, t.seen = false, t.seen[:0]
	begin := lineAt(raw, start)
	if begin < 0 {
		return "", 0
	}
	raw = raw[begin:]
	end := bytes.Index(raw, []byte("\r\n\r\n"))
	if end < 0 {
		return "", 0
	}
	_, rest, _ := bytes.Cut(raw[:end+2], []byte("\r\n"))
	return string(rest), len(raw) - end - len("\r\n\r\n")
}

// lineAt finds the last line of raw that begins with the parts, one after another.
// Bytes of a body may stand in front of it.
func lineAt(raw []byte, parts []string) int {
	if beginsWith(raw, parts) {
		return 0
	}
	for end := len(raw); ; {
		i := bytes.LastIndex(raw[:end], []byte("\n"))
		if i < 0 {
			return -1
		}
		if beginsWith(raw[i+1:], parts) {
			return i + 1
		}
		end = i
	}
}

func beginsWith(raw []byte, parts []string) bool {
	for _, part := range parts {
		if len(raw) < len(part) || string(raw[:len(part)]) != part {
			return false
		}
		raw = raw[len(part):]
	}
	return true
}

// requestHead gives the head of r as it was sent, where the tap knows it, and how much
// of the body came with it.
func requestHead(tap *tapConn, r *http.Request) (inspector.Header, int64) {
	if tap != nil {
		lines, behind := tap.lines(r.Method, " ", r.RequestURI, " ", r.Proto, "\r\n")
		if h, ok := inWireOrder(lines, r.Header, framing{r.Host, r.TransferEncoding, r.Trailer}); ok {
			return h, int64(behind)
		}
	}
	h := inspector.HeaderOf(r.Header)
	if r.Host != "" {
		h = append(inspector.Header{{Name: "Host", Value: r.Host}}, h...)
	}
	return h, 0
}

// responseHead gives the head of an answer as it was sent, where the tap knows it.
func responseHead(tap *tapConn, res *http.Response) inspector.Header {
	if tap != nil {
		lines, _ := tap.lines("HTTP/", strconv.Itoa(res.ProtoMajor), ".", strconv.Itoa(res.ProtoMinor), " ", strconv.Itoa(res.StatusCode))
		if h, ok := inWireOrder(lines, res.Header, framing{"", res.TransferEncoding, res.Trailer}); ok {
			return h
		}
	}
	return inspector.HeaderOf(res.Header)
}

// framing is what net/http takes out of a head, having understood it.
type framing struct {
	host     string // empty: there is none
	transfer []string
	trailer  http.Header // its names
}

// inWireOrder splits lines into fields, and reports whether they are those that
// net/http understood: all of h and of the framing, and nothing else.
func inWireOrder(lines string, h http.Header, f framing) (inspector.Header, bool) {
	if lines == "" {
		return nil, false
	}
	fields := make(inspector.Header, 0, strings.Count(lines, "\n"))
	expected := len(f.transfer)
	for _, values := range h {
		expected += len(values)
	}
	if f.host != "" {
		expected++
	}
	announced := 0 // trailers
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\r\n"), "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, false
		}
		value = strings.Trim(value, " \t")
		fields = append(fields, inspector.Field{Name: name, Value: value})
		switch key := http.CanonicalHeaderKey(name); key {
		case "Host":
			ok = value == f.host
		case "Transfer-Encoding":
			ok = slices.ContainsFunc(f.transfer, func(coding string) bool { return strings.EqualFold(coding, value) })
		case "Trailer":
			announced += f.announced(value)
			expected++ // however many lines they stand on
		default:
			ok = slices.Contains(h[key], value)
		}
		if !ok {
			return nil, false
		}
	}
	return fields, len(fields) == expected && announced == len(f.trailer)
}

// announced counts the trailers that the value of a Trailer field names.
func (f framing) announced(value string) int {
	n := 0
	for name := range strings.SplitSeq(value, ",") {
		if _, ok := f.trailer[http.CanonicalHeaderKey(strings.Trim(name, " \t"))]; ok {
			n++
		} else {
			return -len(f.trailer) - 1 // another message's
		}
	}
	return n
}
