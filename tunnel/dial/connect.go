package dial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxHead bounds what a proxy may say before the tunnel begins.
const maxHead = 16 << 10

// connect asks an HTTP proxy for a tunnel (RFC 9110, section 9.3.6), and gives what
// the server said behind the proxy's answer.
func connect(conn io.ReadWriter, p *Proxy, addr string) (rest []byte, err error) {
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: slackdev\r\n"
	if auth := p.basic(); auth != "" {
		request += "Proxy-Authorization: " + auth + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return nil, err
	}
	a, rest, err := readAnswer(conn)
	if err != nil {
		return nil, err
	}
	if a.status/100 == 2 {
		return rest, nil
	}
	return nil, a.refusal(p, addr)
}

// answer is what a proxy says to CONNECT.
type answer struct {
	status     int    // 100 to 599
	reason     string // as it came
	challenges []string
}

// errBadAnswer is for bytes that are no answer of HTTP/1.
var errBadAnswer = errors.New("what it answers is not HTTP")

// readAnswer reads the head of an answer and gives what came behind it. Interim
// answers are passed over; all heads together may have 16 KiB. It reads no more than
// it must to see the head's end: what it gives as the rest came in the same packet.
func readAnswer(r io.Reader) (a answer, rest []byte, err error) {
	buf := make([]byte, 0, 1<<10)
	begin, from := 0, 0 // of this head; where its end has not been looked for
	for {
		if end := headEnd(buf, from); end >= 0 {
			if a, err = parseHead(buf[begin:end]); err != nil || a.status >= 200 {
				return a, buf[end:], err
			}
			begin, from = end, end
			continue
		}
		if !plausible(buf[begin:]) {
			return answer{}, nil, errBadAnswer
		}
		if len(buf) >= maxHead {
			return answer{}, nil, fmt.Errorf("the head of its answer is longer than %d KiB", maxHead>>10)
		}
		from = max(begin, len(buf)-3) // the end may have come in pieces
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, len(buf))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), maxHead)])
		buf = buf[:len(buf)+n]
		switch {
		case err == nil || n > 0:
		case err == io.EOF && len(buf) == begin:
			return answer{}, nil, errHungUp
		case err == io.EOF:
			return answer{}, nil, errors.New("it hangs up in the middle of its answer")
		default:
			return answer{}, nil, err
		}
	}
}

// headEnd finds where a head ends: behind the first empty line that ends at or after
// from. -1: not yet. RFC 9112 lets a line end without its carriage return.
func headEnd(buf []byte, from int) int {
	for i := from; i < len(buf); i++ {
		if buf[i] != '\n' {
			continue
		}
		if line := buf[:i]; bytes.HasSuffix(line, []byte("\n")) || bytes.HasSuffix(line, []byte("\n\r")) {
			return i + 1
		}
	}
	return -1
}

// plausible reports whether a head that has begun so can be one: whoever speaks
// something else is told apart at once, and not when the time is up.
func plausible(head []byte) bool {
	const prefix = "HTTP/1."
	n := min(len(head), len(prefix))
	return string(head[:n]) == prefix[:n]
}

// parseHead reads a status line and fields, as RFC 9112 has them, without folded lines.
func parseHead(head []byte) (answer, error) {
	lines := strings.Split(strings.TrimSuffix(string(head), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
		if strings.ContainsFunc(lines[i], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return answer{}, errBadAnswer
		}
	}
	a, ok := parseStatus(lines[0])
	if !ok {
		return answer{}, errBadAnswer
	}
	for _, line := range lines[1 : len(lines)-1] { // the last one is empty
		name, value, found := strings.Cut(line, ":")
		if !found || name == "" || strings.ContainsAny(name, " \t\"(),/;<=>?@[\\]{}") {
			return answer{}, errBadAnswer
		}
		if strings.EqualFold(name, "Proxy-Authenticate") {
			a.challenges = append(a.challenges, strings.TrimSpace(value))
		}
	}
	return a, nil
}

// parseStatus reads HTTP/1.1 200 Connection established, of which the last part may
// be missing.
func parseStatus(line string) (answer, bool) {
	version, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	if version != "HTTP/1.1" && version != "HTTP/1.0" || len(code) != 3 {
		return answer{}, false
	}
	status := 0
	for _, c := range []byte(code) {
		if c < '0' || c > '9' {
			return answer{}, false
		}
		status = 10*status + int(c-'0')
	}
	return answer{status: status, reason: reason}, status >= 100 && status < 600
}

// refusal says in words why there is no tunnel.
func (a answer) refusal(p *Proxy, addr string) error {
	reason := clean(a.reason, 80)
	if reason == "" {
		reason = http.StatusText(a.status)
	}
	said := strings.TrimSpace(fmt.Sprintf("%d %s", a.status, reason))
	switch a.status {
	case http.StatusProxyAuthRequired:
		offers, realm := schemes(a.challenges)
		return p.notLetIn(offers, realm)
	case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		hint := "go around it with  --proxy none"
		if !strings.HasSuffix(addr, ":443") {
			hint = "many proxies let nothing but port 443 pass: a relay with TLS is there (--via relay+tls://HOST); or " + hint
		}
		return refusal(hint, "it lets nobody connect to %s (%s)", addr, said)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("it cannot connect to %s (%s)", addr, said)
	}
	if a.status/100 == 3 {
		return fmt.Errorf("it sends us elsewhere (%s): open a web page, this network may want you to log in", said)
	}
	return fmt.Errorf("it does not connect to %s (%s)", addr, said)
}

// schemes reads the ways to log in from challenges (RFC 9110, section 11.6), of which
// a line may have several, and the first realm. What it cannot read it passes over.
func schemes(challenges []string) (offers []string, realm string) {
	for _, line := range challenges {
		for _, part := range splitQuoted(line) {
			first, rest, _ := strings.Cut(part, " ")
			if first != "" && !strings.Contains(first, "=") {
				offers = append(offers, clean(first, 20))
				part = strings.TrimSpace(rest)
			}
			name, value, found := strings.Cut(part, "=")
			if found && realm == "" && strings.EqualFold(strings.TrimSpace(name), "realm") {
				realm = unquoted(strings.TrimSpace(value))
			}
		}
	}
	return offers, realm
}

// unquoted takes the quotes and the backslashes off a quoted string.
func unquoted(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return strings.ReplaceAll(s[1:len(s)-1], `\`, "")
}

// splitQuoted splits at commas that are not in quotes.
func splitQuoted(s string) []string {
	var parts []string
	quoted, escaped, begin := false, false, 0
	for i, c := range []byte(s) {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			parts = append(parts, strings.TrimSpace(s[begin:i]))
			begin = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[begin:]))
}
