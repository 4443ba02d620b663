package relay

import (
	"bytes"
	"errors"
)

// reply is the head of an answer.
type reply struct {
	message
	status int
	line   []byte // from the status on: "200 OK"
}

// parse reads a whole head.
func (a *reply) parse(p []byte) error {
	first, err := a.message.parse(p)
	if err != nil {
		return err
	}
	version, line, ok := bytes.Cut(first, []byte(" "))
	switch {
	case !ok:
		return errors.New("malformed status line")
	case string(version) == "HTTP/1.1":
		a.minor = 1
	case string(version) == "HTTP/1.0":
		a.minor = 0
	default:
		return errors.New("an answer that is not HTTP/1")
	}
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' || !isText(line) {
		return errors.New("malformed status line")
	}
	a.status = 0
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return errors.New("malformed status")
		}
		a.status = a.status*10 + int(c-'0')
	}
	if a.status < 100 {
		return errors.New("malformed status")
	}
	a.line = line
	if a.chunked && a.minor == 0 {
		return errors.New("Transfer-Encoding in HTTP/1.0")
	}
	return nil
}

// persistent says whether the channel can carry another request after this answer.
func (a *reply) persistent() bool {
	return !a.close && (a.minor == 1 || a.keepAlive)
}

// bodiless says that nothing follows a head with this status, whatever it says.
func (a *reply) bodiless() bool {
	return a.status < 200 || a.status == 204 || a.status == 304
}

// body gives what follows the head in answer to q.
func (a *reply) body(q asked) body {
	switch {
	case a.bodiless() || q.head:
		return body{}
	case a.chunked:
		return body{kind: chunked}
	case a.sized && a.size > 0:
		return body{kind: sized, left: a.size}
	case a.sized:
		return body{}
	}
	return body{kind: untilClose}
}

// appendTo appends the head as the visitor that sent q gets it. keep says whether
// its connection stays open after this answer.
func (a *reply) appendTo(dst []byte, q asked, keep bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, a.line...)
	if len(a.line) == 3 {
		dst = append(dst, ' ')
	}
	dst = append(dst, "\r\n"...)
	dst = a.appendFields(dst, func(f *field) bool {
		switch f.kind {
		case connection, hop, mark:
			return false
		case upgrade:
			return a.status == 101
		case transfer:
			return q.minor == 1 && (!a.bodiless() || a.status == 304)
		case length:
			return !a.bodiless() || a.status == 304
		}
		return true
	})
	switch {
	case a.status == 101:
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case a.status < 200:
	case !keep:
		dst = append(dst, "Connection: close\r\n"...)
	case q.minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}
