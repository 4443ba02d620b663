package relay

import "bytes"

// request is the head of a request, read strictly: what it says can be
// understood in one way only.
type request struct {
	message
	method []byte
	prefix string // stands before target: "/" where an absolute target has no path
	target []byte
	host   []byte // as Host has it, with the port
	// switching says that the client wants another protocol and that the relay
	// lets it ask.
	switching bool
}

// parse reads a whole head.
func (q *request) parse(p []byte) error {
	first, err := q.message.parse(p)
	if err != nil {
		return err
	}
	if err := q.parseLine(first); err != nil {
		return err
	}
	if err := q.parseHost(); err != nil {
		return err
	}
	if q.chunked && q.minor == 0 {
		return bad("Transfer-Encoding in HTTP/1.0")
	}
	q.switching = q.upgrade && q.minor == 1 && !q.hasBody() && q.has(upgrade) && !q.wantsHTTP2()
	return nil
}

// parseLine reads "METHOD target HTTP/1.x".
func (q *request) parseLine(line []byte) error {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(method) == 0 || len(method) > maxMethod {
		return bad("the request line is malformed")
	}
	for _, c := range method {
		if !isToken(c) {
			return bad("the method is malformed")
		}
	}
	target, version, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return bad("the request line is malformed")
	}
	switch string(version) {
	case "HTTP/1.1":
		q.minor = 1
	case "HTTP/1.0":
		q.minor = 0
	default:
		return &refusal{Status: 505, Code: codeBadRequest, Detail: "only HTTP/1.1 and HTTP/1.0 are spoken here"}
	}
	if string(method) == "CONNECT" {
		return &refusal{Status: 405, Code: codeBadRequest, Detail: "this is not a forward proxy"}
	}
	q.method, q.prefix, q.target, q.host = method, "", target, nil
	return q.parseTarget()
}

// parseTarget checks the target and cuts scheme and authority off an absolute
// one: what is behind the tunnel is an origin server.
func (q *request) parseTarget() error {
	t := q.target
	for _, c := range t {
		if c <= ' ' || c == 0x7f || c == '#' {
			return bad("the target has characters that none may have")
		}
	}
	switch {
	case len(t) == 0:
		return bad("the target is missing")
	case t[0] == '/':
		return checkPath(t)
	case string(t) == "*" && string(q.method) == "OPTIONS":
		return nil
	}
	rest := t
	switch {
	case len(t) > 7 && bytes.EqualFold(t[:7], []byte("http://")):
		rest = t[7:]
	case len(t) > 8 && bytes.EqualFold(t[:8], []byte("https://")):
		rest = t[8:]
	default:
		return bad("the target is neither a path nor a URL")
	}
	n := bytes.IndexAny(rest, "/?")
	if n < 0 {
		n = len(rest)
	}
	q.host, q.target = rest[:n], rest[n:]
	switch {
	case len(q.target) == 0 && string(q.method) == "OPTIONS":
		q.prefix = "*"
	case len(q.target) == 0 || q.target[0] == '?':
		q.prefix = "/"
	}
	return checkPath(q.target)
}

// checkPath refuses a path whose percent-encoding is broken: servers disagree on it.
func checkPath(p []byte) error {
	for i, c := range p {
		if c == '?' {
			return nil
		}
		if c == '%' && (i+2 >= len(p) || !isHex(p[i+1]) || !isHex(p[i+2])) {
			return bad("the path's percent-encoding is broken")
		}
	}
	return nil
}

// parseHost finds the one Host, which must agree with an absolute target.
func (q *request) parseHost() error {
	authority := q.host
	q.host = nil
	for i := range q.fields {
		if q.fields[i].kind != host {
			continue
		}
		if q.host != nil {
			return bad("Host is there twice")
		}
		q.host = q.bytes(q.fields[i].value)
	}
	switch {
	case len(q.host) == 0:
		return bad("Host is missing")
	case !isAuthority(q.host):
		return bad("Host is malformed")
	case authority != nil && !bytes.EqualFold(authority, q.host):
		return bad("Host and the target's authority differ")
	}
	return nil
}

// isAuthority accepts name, name:port, [address] and [address]:port. It is
// stricter than RFC 3986: no name that a relay can route has anything else in it.
func isAuthority(p []byte) bool {
	name, port := p, []byte(nil)
	if i := bytes.LastIndexByte(p, ':'); i >= 0 && bytes.IndexByte(p[i:], ']') < 0 {
		name, port = p[:i], p[i+1:]
		if len(port) == 0 || len(port) > 5 {
			return false
		}
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	inBrackets := len(name) > 2 && name[0] == '[' && name[len(name)-1] == ']'
	if inBrackets {
		name = name[1 : len(name)-1]
	}
	for _, c := range name {
		switch {
		case inBrackets && !isHex(c) && c != ':' && c != '.':
			return false
		case !inBrackets && !isAlnum(c) && c != '-' && c != '.' && c != '_':
			return false
		}
	}
	return len(name) > 0
}

func (q *request) hasBody() bool { return q.chunked || q.size > 0 }

// wantsHTTP2 says whether Upgrade asks for h2c: a connection whose requests the
// relay could not see.
func (q *request) wantsHTTP2() bool {
	for i := range q.fields {
		if q.fields[i].kind == upgrade && bytes.Contains(bytes.ToLower(q.bytes(q.fields[i].value)), []byte("h2c")) {
			return true
		}
	}
	return false
}

// persistent says whether the client keeps its connection for another request.
func (q *request) persistent() bool {
	return !q.close && (q.minor == 1 || q.keepAlive)
}

// idempotent says whether the app may get the request twice (RFC 9110, section 9.2.2).
func (q *request) idempotent() bool {
	switch string(q.method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// asked is what an answer must know of its request.
type asked struct {
	head  bool // the method is HEAD
	minor byte // of HTTP/1.minor
}

func (q *request) asked() asked {
	return asked{head: string(q.method) == "HEAD", minor: q.minor}
}

// body gives what follows the head.
func (q *request) body() body {
	switch {
	case q.chunked:
		return body{kind: chunked}
	case q.size > 0:
		return body{kind: sized, left: q.size}
	}
	return body{}
}

// appendTo appends the head as the app gets it: in HTTP/1.1, without what ends at
// this hop and what only the relay may say, and with stamp, which ends before the
// value of X-Forwarded-Host.
func (q *request) appendTo(dst []byte, stamp string) []byte {
	dst = append(dst, q.method...)
	dst = append(dst, ' ')
	dst = append(dst, q.prefix...)
	dst = append(dst, q.target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	trailers := false
	dst = q.appendFields(dst, func(f *field) bool {
		switch f.kind {
		case connection, hop, forwarded, mark:
			return false
		case upgrade:
			return q.switching
		case te:
			pass := !trailers && q.te && sameName(q.bytes(f.value), "trailers")
			trailers = trailers || pass
			return pass
		case expect:
			return q.minor == 1
		}
		return true
	})
	switch {
	case q.switching && trailers:
		dst = append(dst, "Connection: Upgrade, TE\r\n"...)
	case q.switching:
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case trailers:
		dst = append(dst, "Connection: TE\r\n"...)
	}
	dst = append(dst, stamp...)
	dst = append(dst, q.host...)
	return append(dst, "\r\n\r\n"...)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
