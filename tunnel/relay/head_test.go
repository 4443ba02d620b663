package relay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readRequest runs what the front runs on the bytes of a request: the head, and
// whatever of the body is there.
func readRequest(raw []byte) (q *request, head int, b body, taken int, err error) {
	var scan headScan
	head, err = scan.end(raw)
	if err != nil || head == 0 {
		return nil, 0, body{}, 0, err
	}
	q = new(request)
	if err := q.parse(raw[:head]); err != nil {
		return nil, 0, body{}, 0, err
	}
	b = q.body()
	taken, err = b.take(raw[head:])
	return q, head, b, taken, err
}

// smuggled are requests that two readers could understand differently, or that no
// client sends in good faith.
var smuggled = map[string]struct {
	raw  string
	want int
}{
	"content-length and transfer-encoding":  {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400},
	"transfer-encoding and content-length":  {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG", 400},
	"two lengths that differ":               {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
	"two lengths that agree":                {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
	"a list of lengths":                     {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5, 5\r\n\r\nhello", 400},
	"a length with a plus":                  {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: +5\r\n\r\nhello", 400},
	"a length with a minus":                 {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: -5\r\n\r\nhello", 400},
	"a length with a space":                 {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 5 5\r\n\r\nhello", 400},
	"a length in hexadecimal":               {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 0x5\r\n\r\nhello", 400},
	"a length with a leading zero":          {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 05\r\n\r\nhello", 400},
	"a length that overflows":               {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 18446744073709551621\r\n\r\nhello", 400},
	"an empty length":                       {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length:\r\n\r\nhello", 400},
	"a length with an underscore":           {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent_Length: 5\r\n\r\nhello", 400},
	"a coding with an underscore":           {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	"an unknown coding":                     {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
	"two codings":                           {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
	"chunked twice":                         {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	"chunked and identity":                  {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400},
	"a coding with a vertical tab":          {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 400},
	"an empty coding":                       {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", 400},
	"chunked in HTTP/1.0":                   {"POST / HTTP/1.0\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	"a folded line":                         {"GET / HTTP/1.1\r\nHost: app.localhost\r\nA: b\r\n c\r\n\r\n", 400},
	"a folded coding":                       {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
	"a first field that is folded":          {"GET / HTTP/1.1\r\n Host: app.localhost\r\nHost: app.localhost\r\n\r\n", 400},
	"a bare LF after the request line":      {"GET / HTTP/1.1\nHost: app.localhost\r\n\r\n", 400},
	"a bare LF in a field":                  {"GET / HTTP/1.1\r\nHost: app.localhost\r\nA: b\nContent-Length: 5\r\n\r\n", 400},
	"a bare LF at the end":                  {"GET / HTTP/1.1\r\nHost: app.localhost\r\n\n", 400},
	"a bare CR in a value":                  {"GET / HTTP/1.1\r\nHost: app.localhost\r\nA: b\rContent-Length: 5\r\n\r\n", 400},
	"two CRs":                               {"GET / HTTP/1.1\r\nHost: app.localhost\r\r\n\r\n", 400},
	"a bare CR in the request line":         {"GET /\r HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a space before the colon":              {"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length : 5\r\n\r\nhello", 400},
	"a tab before the colon":                {"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400},
	"a field without a name":                {"GET / HTTP/1.1\r\nHost: app.localhost\r\n: x\r\n\r\n", 400},
	"a field without a colon":               {"GET / HTTP/1.1\r\nHost: app.localhost\r\nnothing\r\n\r\n", 400},
	"NUL in a name":                         {"GET / HTTP/1.1\r\nHost: app.localhost\r\nA\x00: x\r\n\r\n", 400},
	"NUL in a value":                        {"GET / HTTP/1.1\r\nHost: app.localhost\r\nA: \x00\r\n\r\n", 400},
	"DEL in a value":                        {"GET / HTTP/1.1\r\nHost: app.localhost\r\nA: \x7f\r\n\r\n", 400},
	"an escape in a value":                  {"GET / HTTP/1.1\r\nHost: app.localhost\r\nA: \x1b[31m\r\n\r\n", 400},
	"a byte above 127 in a name":            {"GET / HTTP/1.1\r\nHost: app.localhost\r\n\xc3\xa4: x\r\n\r\n", 400},
	"no host":                               {"GET / HTTP/1.1\r\nA: b\r\n\r\n", 400},
	"an empty host":                         {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
	"no host in HTTP/1.0":                   {"GET / HTTP/1.0\r\n\r\n", 400},
	"two hosts":                             {"GET / HTTP/1.1\r\nHost: app.localhost\r\nHost: other.localhost\r\n\r\n", 400},
	"two hosts that agree":                  {"GET / HTTP/1.1\r\nHost: app.localhost\r\nHost: app.localhost\r\n\r\n", 400},
	"a host with a path":                    {"GET / HTTP/1.1\r\nHost: app.localhost/x\r\n\r\n", 400},
	"a host with a user":                    {"GET / HTTP/1.1\r\nHost: a@app.localhost\r\n\r\n", 400},
	"a host with a port that is no number":  {"GET / HTTP/1.1\r\nHost: app.localhost:8o\r\n\r\n", 400},
	"a host with spaces":                    {"GET / HTTP/1.1\r\nHost: app.localhost x\r\n\r\n", 400},
	"a target with another host":            {"GET http://other.localhost/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target with another port":            {"GET http://app.localhost:81/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target with a user":                  {"GET http://u@app.localhost/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target with an empty host":           {"GET http:/// HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target with another scheme":          {"GET file:///etc/passwd HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target that is a name":               {"GET app.localhost HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target with a space":                 {"GET /a b HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 505},
	"a target with a tab":                   {"GET /a\tb HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target with NUL":                     {"GET /\x00 HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target with a fragment":              {"GET /#x HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a target whose escapes are broken":     {"GET /%zz HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a star for GET":                        {"GET * HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"an empty target":                       {"GET  HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"no target":                             {"GET HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"no method":                             {" / HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a method with a colon":                 {"GE:T / HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"a method that never ends":              {strings.Repeat("G", 33) + " / HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"CONNECT":                               {"CONNECT app.localhost:80 HTTP/1.1\r\nHost: app.localhost:80\r\n\r\n", 405},
	"an empty line first":                   {"\r\nGET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400},
	"HTTP/0.9":                              {"GET /\r\n\r\n", 400},
	"HTTP/1.2":                              {"GET / HTTP/1.2\r\nHost: app.localhost\r\n\r\n", 505},
	"HTTP/2 with prior knowledge":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	"a version in lower case":               {"GET / http/1.1\r\nHost: app.localhost\r\n\r\n", 505},
	"a version with a space after it":       {"GET / HTTP/1.1 \r\nHost: app.localhost\r\n\r\n", 505},
	"connection lists content-length":       {"POST / HTTP/1.1\r\nHost: app.localhost\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello", 400},
	"connection lists host":                 {"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close, Host\r\n\r\n", 400},
	"connection is malformed":               {"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: a b\r\n\r\n", 400},
	"connection lists too much":             {"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: " + strings.Repeat("a,", 17) + "\r\n\r\n", 400},
	"too many fields":                       {"GET / HTTP/1.1\r\nHost: app.localhost\r\n" + strings.Repeat("A: b\r\n", 128) + "\r\n", 431},
	"a head that is too large":              {"GET / HTTP/1.1\r\nHost: app.localhost\r\nA: " + strings.Repeat("b", 64<<10) + "\r\n\r\n", 431},
	"a chunk without a size":                {chunkedPost + "\r\nhello\r\n0\r\n\r\n", 400},
	"a chunk with a negative size":          {chunkedPost + "-5\r\nhello\r\n0\r\n\r\n", 400},
	"a chunk with a plus":                   {chunkedPost + "+5\r\nhello\r\n0\r\n\r\n", 400},
	"a chunk with 0x":                       {chunkedPost + "0x5\r\nhello\r\n0\r\n\r\n", 400},
	"a chunk with a space after its size":   {chunkedPost + "5 \r\nhello\r\n0\r\n\r\n", 400},
	"a chunk with a space before its size":  {chunkedPost + " 5\r\nhello\r\n0\r\n\r\n", 400},
	"a chunk whose size overflows":          {chunkedPost + "fffffffffffffff5\r\nhello\r\n0\r\n\r\n", 400},
	"a chunk whose size has 17 digits":      {chunkedPost + "00000000000000005\r\nhello\r\n0\r\n\r\n", 400},
	"a chunk's size that ends with LF":      {chunkedPost + "5\nhello\r\n0\r\n\r\n", 400},
	"a chunk's size that ends with CR":      {chunkedPost + "5\rhello\r\n0\r\n\r\n", 400},
	"a chunk's extension that ends with LF": {chunkedPost + "5;a\nhello\r\n0\r\n\r\n", 400},
	"a chunk's extension with a bare CR":    {chunkedPost + "5;a\rb\r\nhello\r\n0\r\n\r\n", 400},
	"a chunk's extension that is too long":  {chunkedPost + "5;" + strings.Repeat("a", 300) + "\r\nhello\r\n0\r\n\r\n", 400},
	"many extensions of tiny chunks":        {chunkedPost + strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100) + "0\r\n\r\n", 400},
	"a chunk that is too long":              {chunkedPost + "5\r\nhelloX\r\n0\r\n\r\n", 400},
	"a chunk that ends with LF":             {chunkedPost + "5\r\nhello\n0\r\n\r\n", 400},
	"a last chunk that ends with LF":        {chunkedPost + "0\n\r\n", 400},
	"trailers that end with LF":             {chunkedPost + "0\r\n\n", 400},
	"a trailer that ends with LF":           {chunkedPost + "0\r\nA: b\n\r\n", 400},
	"a trailer that is folded":              {chunkedPost + "0\r\nA: b\r\n c\r\n\r\n", 400},
	"a trailer that frames":                 {chunkedPost + "0\r\nContent-Length: 5\r\n\r\n", 400},
	"a trailer that says who forwarded":     {chunkedPost + "0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", 400},
	"a trailer with a space before the colon": {
		chunkedPost + "0\r\nA : b\r\n\r\n", 400},
	"a trailer with control characters": {chunkedPost + "0\r\nA: \x00\r\n\r\n", 400},
	"trailers that are too long":        {chunkedPost + "0\r\n" + strings.Repeat("A: bbbbbbbbbbbbbbbbbbbbbbbbbb\r\n", 300) + "\r\n", 400},
}

const chunkedPost = "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	for name, tc := range smuggled {
		t.Run(name, func(t *testing.T) {
			q, _, _, _, err := readRequest([]byte(tc.raw))
			if err == nil {
				t.Fatalf("%.200q is accepted: %+v", tc.raw, q)
			}
			want := tc.want
			var r *refusal
			if errors.As(err, &r) && r.Status != want {
				t.Errorf("%.200q: got %d (%v), want %d", tc.raw, r.Status, err, want)
			}
		})
	}
}

func TestRequestsAreRewrittenOnlyWhereARelayMust(t *testing.T) {
	const stamps = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "
	for name, tc := range map[string]struct{ raw, want string }{
		"order, case and bytes stay": {
			"POST /a?b=%2f HTTP/1.1\r\nhOST: App.Localhost:80\r\nB:  x\t \r\na: \xff\"\r\nX-Slack-Signature: v0=1\r\ncontent-type: application/x-www-form-urlencoded\r\nb: y\r\nContent-Length: 5\r\n\r\n",
			"POST /a?b=%2f HTTP/1.1\r\nhOST: App.Localhost:80\r\nB:  x\t \r\na: \xff\"\r\nX-Slack-Signature: v0=1\r\ncontent-type: application/x-www-form-urlencoded\r\nb: y\r\nContent-Length: 5\r\n" + stamps + "App.Localhost:80\r\n\r\n",
		},
		"what ends at a hop is dropped": {
			"GET / HTTP/1.1\r\nHost: a.localhost\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: timeout=5\r\nX-mine: 1\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nProxy: evil\r\nTE: gzip\r\nA: b\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.localhost\r\nA: b\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"only the relay says who forwarded": {
			"GET / HTTP/1.1\r\nForwarded: for=1\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nx-forwarded-proto: https\r\nHost: a.localhost\r\nX-Forwarded-Prefix: /x\r\nX-Real-IP: 6.6.6.6\r\nX-Real_Ip: 6.6.6.6\r\nX-Slackdev-Relay: id\r\nX-Slackdev-Relay-Id: id\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.localhost\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"te: trailers passes": {
			"GET / HTTP/1.1\r\nHost: a.localhost\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.localhost\r\nTE: trailers\r\nConnection: TE\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"an upgrade passes": {
			"GET / HTTP/1.1\r\nHost: a.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.localhost\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"an upgrade that Connection does not list is dropped": {
			"GET / HTTP/1.1\r\nHost: a.localhost\r\nUpgrade: websocket\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.localhost\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"an upgrade with a body is dropped": {
			"POST / HTTP/1.1\r\nHost: a.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 1\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"h2c is off": {
			"GET / HTTP/1.1\r\nHost: a.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\nHTTP2-Settings: AAA\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.localhost\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"an absolute target becomes a path": {
			"GET HTTP://A.localhost/x?y HTTP/1.1\r\nHost: a.localhost\r\n\r\n",
			"GET /x?y HTTP/1.1\r\nHost: a.localhost\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"an absolute target without a path": {
			"GET https://a.localhost?y HTTP/1.1\r\nHost: a.localhost\r\n\r\n",
			"GET /?y HTTP/1.1\r\nHost: a.localhost\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"an absolute target for the whole server": {
			"OPTIONS http://a.localhost HTTP/1.1\r\nHost: a.localhost\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: a.localhost\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"HTTP/1.0 is carried in HTTP/1.1": {
			"GET / HTTP/1.0\r\nHost: a.localhost\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.localhost\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"expect passes": {
			"POST / HTTP/1.1\r\nHost: a.localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a.localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n" + stamps + "a.localhost\r\n\r\n",
		},
		"chunked has one spelling": {
			"POST / HTTP/1.1\r\nHost: a.localhost\r\nA: b\r\ntransfer-ENCODING:\tChunked \r\nC: d\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a.localhost\r\nA: b\r\ntransfer-ENCODING: chunked\r\nC: d\r\n" + stamps + "a.localhost\r\n\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			q, _, _, _, err := readRequest([]byte(tc.raw))
			if err != nil || q == nil {
				t.Fatalf("%q is refused: %v", tc.raw, err)
			}
			if diff := cmp.Diff(tc.want, string(q.appendTo(nil, stamps))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestAnswersThatMakeNoSenseAreRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"length and coding":         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"two lengths":               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"an unknown coding":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"chunked in HTTP/1.0":       "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a status of two digits":    "HTTP/1.1 20 OK\r\n\r\n",
		"a status of four digits":   "HTTP/1.1 2000 OK\r\n\r\n",
		"a status with a letter":    "HTTP/1.1 2x0 OK\r\n\r\n",
		"a status below 100":        "HTTP/1.1 099 OK\r\n\r\n",
		"no status":                 "HTTP/1.1\r\n\r\n",
		"another protocol":          "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"HTTP/2":                    "HTTP/2 200 OK\r\n\r\n",
		"a reason with an escape":   "HTTP/1.1 200 \x1b[31m\r\n\r\n",
		"a bare LF":                 "HTTP/1.1 200 OK\nA: b\r\n\r\n",
		"a folded field":            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"a space before the colon":  "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
		"NUL in a value":            "HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
		"connection lists a coding": "HTTP/1.1 200 OK\r\nConnection: transfer-encoding\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var scan headScan
			n, err := scan.end([]byte(raw))
			var a reply
			if err == nil {
				err = a.parse([]byte(raw)[:n])
			}
			if err == nil {
				t.Errorf("%q is accepted", raw)
			}
		})
	}
}

func TestAnswersAreRewrittenOnlyWhereARelayMust(t *testing.T) {
	for name, tc := range map[string]struct {
		raw, want string
		asked     asked
		keep      bool
		kind      bodyKind
	}{
		"order, case and bytes stay": {
			"HTTP/1.1 200 Fine \xff\r\nb: 1\r\nB:  2\r\nX-Forwarded-For: x\r\nContent-Length: 5\r\n\r\n",
			"HTTP/1.1 200 Fine \xff\r\nb: 1\r\nB:  2\r\nX-Forwarded-For: x\r\nContent-Length: 5\r\n\r\n",
			asked{minor: 1}, true, sized,
		},
		"what ends at a hop is dropped": {
			"HTTP/1.1 200 OK\r\nConnection: close, X-A\r\nX-A: 1\r\nKeep-Alive: x\r\nProxy-Authenticate: x\r\nUpgrade: h2\r\nX-Slackdev-Relay: tunnel-down\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			asked{minor: 1}, true, empty,
		},
		"the end is announced": {
			"HTTP/1.0 200 OK\r\n\r\n",
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
			asked{minor: 1}, false, untilClose,
		},
		"HTTP/1.0 keeps its connection": {
			"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n",
			"HTTP/1.1 200 \r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n",
			asked{minor: 0}, true, sized,
		},
		"HTTP/1.0 knows no chunks": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n",
			"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n",
			asked{minor: 0}, false, chunked,
		},
		"HEAD has a length and no body": {
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
			asked{minor: 1, head: true}, true, empty,
		},
		"304 has a length and no body": {
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
			asked{minor: 1}, true, empty,
		},
		"204 has neither": {
			"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
			"HTTP/1.1 204 No Content\r\n\r\n",
			asked{minor: 1}, true, empty,
		},
		"early hints": {
			"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
			asked{minor: 1}, true, empty,
		},
		"another protocol": {
			"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
			asked{minor: 1}, true, empty,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var a reply
			if err := a.parse([]byte(tc.raw)); err != nil {
				t.Fatalf("%q is refused: %v", tc.raw, err)
			}
			if diff := cmp.Diff(tc.want, string(a.appendTo(nil, tc.asked, tc.keep))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := a.body(tc.asked).kind; got != tc.kind {
				t.Errorf("body: got kind %v, want %v", got, tc.kind)
			}
		})
	}
}

func TestAHeadCanComeByteByByte(t *testing.T) {
	raw := []byte(get("app", "/"))
	var scan headScan
	for i := range raw {
		n, err := scan.end(raw[:i])
		if n != 0 || err != nil {
			t.Fatalf("after %d bytes: %d, %v", i, n, err)
		}
	}
	if n, err := scan.end(raw); n != len(raw) || err != nil {
		t.Errorf("got %d, %v, want %d", n, err, len(raw))
	}
}

// FuzzRequest holds the parser against net/http: whatever the relay passes on,
// net/http must understand in the same way.
func FuzzRequest(f *testing.F) {
	for _, tc := range smuggled {
		if len(tc.raw) < 4<<10 {
			f.Add([]byte(tc.raw))
		}
	}
	for _, raw := range []string{
		get("app", "/x?y=%41"), post("app", "hello"), chunkedPost + "5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\nGET",
		"GET http://app.localhost/x HTTP/1.1\r\nHost: APP.localhost\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, head, b, taken, err := readRequest(raw)
		if err != nil || q == nil || !b.done() {
			return
		}
		sent := append(q.appendTo(nil, "X-Forwarded-Host: "), raw[head:head+taken]...)
		original, originalBody := parseWithStd(t, raw, taken)
		passed, passedBody := parseWithStd(t, sent, taken)
		if q.prefix+string(q.target) != passed.RequestURI {
			t.Errorf("target: relay %q, net/http %q", q.target, passed.RequestURI)
		}
		for what, pair := range map[string][2]any{
			"method": {string(q.method), passed.Method},
			"host":   {string(q.host), passed.Host},
			"body":   {originalBody, passedBody},
			"size":   {original.ContentLength, passed.ContentLength},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: %q and %q", what, pair[0], pair[1])
			}
		}
		if diff := cmp.Diff(withoutHops(original.Header), withoutHops(passed.Header)); diff != "" {
			t.Errorf("fields (-in +out)\n%s", diff)
		}
	})
}

// parseWithStd reads a request as http.Server would, and fails the test unless it
// ends where the relay says it does.
func parseWithStd(t *testing.T, raw []byte, taken int) (*http.Request, string) {
	r := bufio.NewReader(bytes.NewReader(raw))
	q, err := http.ReadRequest(r)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", raw, err)
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		t.Fatalf("net/http refuses the body of %q: %v", raw, err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.Index(raw, []byte("\r\n\r\n")) + 4
	if got := len(raw) - len(rest); got != end+taken {
		t.Errorf("%q ends at %d for the relay and at %d for net/http", raw, end+taken, got)
	}
	return q, string(body)
}

// withoutHops leaves what a relay must not change.
func withoutHops(h http.Header) http.Header {
	out := http.Header{}
	for k, v := range h {
		switch kind, err := classify([]byte(k)); {
		case err != nil || kind != plain && kind != host && kind != length:
		case listedIn(h, k):
		default:
			out[k] = v
		}
	}
	return out
}

func listedIn(h http.Header, name string) bool {
	for _, v := range h["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), name) {
				return true
			}
		}
	}
	return false
}

// FuzzReply does the same for answers.
func FuzzReply(f *testing.F) {
	for _, raw := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0 204\r\n\r\n", "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhe",
	} {
		f.Add([]byte(raw), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		var scan headScan
		n, err := scan.end(raw)
		var a reply
		if err != nil || n == 0 || a.parse(raw[:n]) != nil || a.status == 101 {
			return
		}
		q := asked{minor: 1, head: head}
		b := a.body(q)
		taken, err := b.take(raw[n:])
		if err != nil || !b.done() && b.kind != untilClose {
			return
		}
		method := map[bool]string{false: "GET", true: "HEAD"}[head]
		r := bufio.NewReader(bytes.NewReader(append(a.appendTo(nil, q, true), raw[n:n+taken]...)))
		resp, err := http.ReadResponse(r, httptest.NewRequest(method, "/", nil))
		if err != nil {
			t.Fatalf("net/http refuses what is made of %q: %v", raw, err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Fatalf("net/http refuses the body of what is made of %q: %v", raw, err)
		}
		if rest, _ := io.ReadAll(r); len(rest) > 0 {
			t.Errorf("net/http stops %d bytes before the relay in %q", len(rest), raw)
		}
		if resp.StatusCode != a.status {
			t.Errorf("status: relay %d, net/http %d", a.status, resp.StatusCode)
		}
	})
}

// FuzzChunks holds that where a body is cut into reads changes nothing, and that
// its payload is what net/http finds.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 3)
	f.Add([]byte("5;ext=\"a\"\r\nhello\r\n00\r\nA: b\r\n\r\n"), 1)
	f.Add([]byte("1\r\nx\r\n1\r\ny\r\n0\r\n\r\nmore"), 7)
	f.Fuzz(func(t *testing.T, raw []byte, cut int) {
		if cut < 1 {
			return
		}
		whole := body{kind: chunked}
		n, err := whole.take(raw)
		parts := body{kind: chunked}
		var payload []byte
		taken := 0
		var partErr error
		for taken < len(raw) && !parts.done() && partErr == nil {
			piece := bytes.Clone(raw[taken:min(taken+cut, len(raw))])
			var m, p int
			if m, p, partErr = parts.unwrap(piece); partErr == nil {
				taken, payload = taken+m, append(payload, piece[:p]...)
			}
		}
		if (err == nil) != (partErr == nil) || whole.done() != parts.done() || err == nil && n != taken {
			t.Fatalf("%q in pieces of %d: %d, %v, %v; whole: %d, %v, %v", raw, cut, taken, parts.done(), partErr, n, whole.done(), err)
		}
		if err != nil || !whole.done() {
			return
		}
		q, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(chunkedPost), bytes.NewReader(raw[:n]))))
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(q.Body)
		if err != nil || !bytes.Equal(want, payload) {
			t.Errorf("%q: payload %q, net/http %q, %v", raw, payload, want, err)
		}
	})
}
