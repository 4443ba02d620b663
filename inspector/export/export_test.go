package export

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// Tokens in Slack's shape, put together here so that no scanner takes them for real.
const (
	botToken  = "xoxb-" + "100000000001-100000000002-notARealTokenAtAllxx"
	signature = "v0=4b825dc642cb6eb9a060e54bf8d69288fbee4904000000000000000000000000"
)

func id(t *testing.T, s string) inspector.ID {
	t.Helper()
	id, err := inspector.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func body(s string) inspector.Body { return inspector.Body{Bytes: []byte(s), Size: int64(len(s))} }

// command is a slash command with secrets in each place that can hold one.
func command(t *testing.T) *inspector.Exchange {
	return &inspector.Exchange{
		ID: id(t, "01K00000000000000000000001"), Origin: inspector.Replay, Of: id(t, "01K00000000000000000000000"),
		Started: time.Date(2026, 11, 21, 12, 4, 31, 250_000_000, time.UTC), Elapsed: 212_449_000,
		Request: inspector.Request{
			Method: "POST", Target: "/slack/events?debug=1", Host: "ana-todo.relay.example.org", Proto: "HTTP/1.1", Remote: "44.214.100.201:4711",
			Header: inspector.Header{
				{Name: "User-Agent", Value: "Slackbot 1.0 (+https://api.slack.com/robots)"},
				{Name: "authorization", Value: "Basic YW5hOnNlY3JldA=="},
				{Name: "Cookie", Value: "session=s3cret; theme=dark"},
				{Name: "Content-Type", Value: "application/x-www-form-urlencoded"},
			},
			Body: body("token=slackdevSendsThisToken24&command=%2Ftodo&text=" + botToken),
		},
		Response: &inspector.Response{
			Status: 200, By: inspector.ByApp,
			Header: inspector.Header{{Name: "Set-Cookie", Value: "id=s3cret; Path=/"}, {Name: "Content-Type", Value: "text/plain"}},
			Body:   body("Added <milk> with " + botToken),
		},
		Slack: slack.Payload{
			Kind: slack.SlashCommand, Name: "/todo", User: slack.Ref{ID: "U1", Name: "ana"},
			Channel: slack.Ref{ID: "C1", Name: "dev"}, Team: slack.Ref{ID: "T1"}, Text: botToken,
		},
		Verdict:  slack.Verdict{Status: slack.Valid, Secret: "SLACK_SIGNING_SECRET"},
		Findings: []slack.Finding{{Code: "slow_answer", Severity: slack.Warning, Pointer: "/text", Text: "Slow.", Fix: "Answer sooner."}},
	}
}

func spelled(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const maskedDetail = `{
 "type": "exchange",
 "id": "01K00000000000000000000001",
 "started": "2026-11-21T12:04:31.25Z",
 "origin": "replay",
 "of": "01K00000000000000000000000",
 "method": "POST",
 "path": "/slack/events",
 "kind": "slash_command",
 "name": "/todo",
 "user": "U1",
 "channel": "C1",
 "team": "T1",
 "verdict": "valid",
 "status": 200,
 "answered_by": "app",
 "elapsed_ms": 212.4,
 "retry_num": 0,
 "fault": "",
 "user_name": "ana",
 "channel_name": "dev",
 "text": "xoxb-…",
 "secret": "SLACK_SIGNING_SECRET",
 "done": true,
 "request": {
  "target": "/slack/events?debug=1",
  "host": "ana-todo.relay.example.org",
  "proto": "HTTP/1.1",
  "remote": "44.214.100.201:4711",
  "headers": [
   {
    "name": "User-Agent",
    "value": "Slackbot 1.0 (+https://api.slack.com/robots)"
   },
   {
    "name": "authorization",
    "value": "Basic …"
   },
   {
    "name": "Cookie",
    "value": "session=…; theme=…"
   },
   {
    "name": "Content-Type",
    "value": "application/x-www-form-urlencoded"
   }
  ],
  "body": "token=…&command=%2Ftodo&text=xoxb-…",
  "size": 103,
  "truncated": false
 },
 "response": {
  "status": 200,
  "headers": [
   {
    "name": "Set-Cookie",
    "value": "id=…; Path=/"
   },
   {
    "name": "Content-Type",
    "value": "text/plain"
   }
  ],
  "body": "Added <milk> with xoxb-…",
  "size": 69,
  "truncated": false
 },
 "slack": {
  "token": "…",
  "command": "/todo",
  "text": "xoxb-…"
 },
 "findings": [
  {
   "code": "slow_answer",
   "severity": "warning",
   "pointer": "/text",
   "text": "Slow.",
   "fix": "Answer sooner."
  }
 ]
}
`

func TestDetailIsExactlyThis(t *testing.T) {
	if diff := cmp.Diff(maskedDetail, spelled(t, DetailOf(command(t)))); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
}

func TestDetailHasOneKeyForFindings(t *testing.T) {
	if n := strings.Count(spelled(t, DetailOf(command(t))), `"findings"`); n != 1 {
		t.Errorf("findings stands %d times", n)
	}
}

const line = `{
 "type": "exchange",
 "id": "01K00000000000000000000001",
 "started": "2026-11-21T12:04:31.25Z",
 "origin": "replay",
 "of": "01K00000000000000000000000",
 "method": "POST",
 "path": "/slack/events",
 "kind": "slash_command",
 "name": "/todo",
 "user": "U1",
 "channel": "C1",
 "team": "T1",
 "verdict": "valid",
 "status": 200,
 "answered_by": "app",
 "elapsed_ms": 212.4,
 "retry_num": 0,
 "findings": [
  "slow_answer"
 ],
 "fault": "",
 "user_name": "ana",
 "channel_name": "dev",
 "text": "xoxb-…",
 "secret": "SLACK_SIGNING_SECRET",
 "done": true
}
`

func TestLineIsExactlyThis(t *testing.T) {
	if diff := cmp.Diff(line, spelled(t, LineOf(command(t)))); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestLineOfAnUnansweredRequestHasStatusZeroAndNoNulls(t *testing.T) {
	got := spelled(t, LineOf(&inspector.Exchange{Fault: "nothing listens on localhost:3000"}))
	for _, want := range []string{
		`"id": ""`, `"of": ""`, `"status": 0`, `"answered_by": ""`, `"findings": []`, `"done": true`, `"fault": "nothing listens on localhost:3000"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the line lacks %s:\n%s", want, got)
		}
	}
	if strings.Contains(got, "null") {
		t.Errorf("a null in a line:\n%s", got)
	}
}

func TestElapsedIsRoundedToTenths(t *testing.T) {
	for d, want := range map[time.Duration]float64{
		0: 0, 49 * time.Microsecond: 0, 50 * time.Microsecond: 0.1, 212_449_000: 212.4, 3 * time.Second: 3000, 2_890_040_000: 2890,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v: got %v ms, want %v", d, got, want)
		}
	}
}

func TestNoSecretLeavesUnlessAskedFor(t *testing.T) {
	x := command(t)
	secrets := []string{botToken, "slackdevSendsThisToken24", "s3cret", "YW5hOnNlY3JldA"}
	for name, text := range map[string]string{
		"detail": spelled(t, DetailOf(x)), "line": spelled(t, LineOf(x)), "curl": Curl(x), "raw": string(Raw(x.Request)),
	} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s tells %s:\n%s", name, secret, text)
			}
		}
	}
	for name, text := range map[string]string{
		"detail": spelled(t, UnmaskedDetailOf(x)), "curl": UnmaskedCurl(x), "raw": string(UnmaskedRaw(x.Request)),
	} {
		for _, secret := range secrets {
			if !strings.Contains(text, secret) {
				t.Errorf("unmasked, %s lacks %s:\n%s", name, secret, text)
			}
		}
	}
	if x.Request.Header[1].Value != "Basic YW5hOnNlY3JldA==" || !bytes.Contains(x.Response.Body.Bytes, []byte(botToken)) {
		t.Error("masking changed the exchange itself")
	}
}

func TestBodies(t *testing.T) {
	text := func(s string) *string { return &s }
	zipped := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return b.String()
	}
	long := zipped(strings.Repeat("a", 1000))
	for name, tc := range map[string]struct {
		body     string
		size     int64 // 0: all of it
		encoding string
		want     Message
	}{
		"none":                    {want: Message{Body: text("")}},
		"text":                    {body: "é", want: Message{Body: text("é"), Size: 2}},
		"bytes":                   {body: "\xff\x00", want: Message{BodyBase64: "/wA=", Size: 2}},
		"cut inside a rune":       {body: "a\xe2\x82", size: 4, want: Message{Body: text("a"), Size: 4, Truncated: true}},
		"not kept":                {size: 7, want: Message{Body: text(""), Size: 7, Truncated: true}},
		"compressed":              {body: zipped(botToken), encoding: "gzip", want: Message{Body: text("xoxb-…"), Size: int64(len(zipped(botToken))), Decoded: "gzip"}},
		"said to be compressed":   {body: "plain", encoding: "gzip", want: Message{Body: text("plain"), Size: 5}},
		"an encoding not known":   {body: "\xff", encoding: "br", want: Message{BodyBase64: "/w==", Size: 1}},
		"cut inside compression":  {body: long[:len(long)-9], size: 500, encoding: "GZIP", want: Message{Body: text(strings.Repeat("a", 1000)), Size: 500, Truncated: true, Decoded: "gzip"}},
		"half a deflate, garbled": {body: "\x00\xff", encoding: "deflate", want: Message{BodyBase64: "AP8=", Size: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			b := body(tc.body)
			b.Size = max(b.Size, tc.size)
			var h inspector.Header
			tc.want.Headers = []Field{}
			if tc.encoding != "" {
				h = inspector.Header{{Name: "content-encoding", Value: tc.encoding}}
				tc.want.Headers = []Field{{"content-encoding", tc.encoding}}
			}
			if diff := cmp.Diff(tc.want, messageOf(h, b, nil, slack.Redact)); diff != "" {
				t.Errorf("body %q (-want +got):\n%s", tc.body, diff)
			}
		})
	}
}

func TestPayloadThatCannotBeReadIsNullWithTheReason(t *testing.T) {
	for name, tc := range map[string]struct {
		request inspector.Request
		problem string
	}{
		"neither JSON nor a form": {
			request: inspector.Request{Method: "POST", Target: "/", Header: inspector.Header{{Name: "Content-Type", Value: "text/csv"}}, Body: body("a;b")},
			problem: "the body is neither JSON nor a form",
		},
		"cut off": {
			request: inspector.Request{
				Method: "POST", Target: "/", Header: inspector.Header{{Name: "Content-Type", Value: "application/json"}},
				Body: inspector.Body{Bytes: []byte(`{"type":`), Size: 2000},
			},
			problem: "only 8 of the body's 2000 bytes were kept",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := DetailOf(&inspector.Exchange{Request: tc.request})
			got := spelled(t, d)
			if !strings.Contains(got, `"slack": null`) || d.Problem != tc.problem {
				t.Errorf("got problem %q, want %q, and slack null in:\n%s", d.Problem, tc.problem, got)
			}
		})
	}
}

func TestRawIsARequestThatCanBeReadAgain(t *testing.T) {
	x := command(t)
	for name, text := range map[string][]byte{"masked": Raw(x.Request), "unmasked": UnmaskedRaw(x.Request)} {
		t.Run(name, func(t *testing.T) {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
			if err != nil {
				t.Fatalf("%v in:\n%s", err, text)
			}
			got, err := io.ReadAll(r.Body)
			if err != nil || !bytes.HasSuffix(text, append([]byte("\r\n\r\n"), got...)) {
				t.Errorf("the body is %q, %v; the text is\n%s", got, err, text)
			}
			if r.Host != x.Request.Host || r.RequestURI != x.Request.Target || len(r.Header["Cookie"]) != 1 {
				t.Errorf("got host %s, target %s, head %v", r.Host, r.RequestURI, r.Header)
			}
		})
	}
}

func TestRawKeepsHostileValuesOnTheirLine(t *testing.T) {
	r := inspector.Request{Method: "GET", Target: "/", Host: "h", Header: inspector.Header{{Name: "X", Value: "1\r\nX-Forged: 2"}}}
	if want, got := "GET / HTTP/1.1\r\nHost: h\r\nX: 1  X-Forged: 2\r\n\r\n", string(Raw(r)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// runCurl runs a command line through /bin/sh with a curl that notes its arguments
// and its standard input.
func runCurl(t *testing.T, commandLine string) (args []string, stdin string) {
	t.Helper()
	folder := t.TempDir()
	script := "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\0' \"$a\"; done >\"$OUT/args\"\ncat >\"$OUT/stdin\"\n"
	if err := os.WriteFile(filepath.Join(folder, "curl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-e")
	shell.Stdin = nil
	shell.Args = append(shell.Args, "-c", commandLine)
	if len(commandLine) > 100_000 {
		file := filepath.Join(folder, "command")
		if err := os.WriteFile(file, []byte(commandLine), 0o600); err != nil {
			t.Fatal(err)
		}
		shell.Args = []string{"/bin/sh", "-e", file}
	}
	shell.Dir = folder
	shell.Env = []string{"PATH=" + folder + ":/usr/bin:/bin", "OUT=" + folder}
	if out, err := shell.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("the shell says %v: %s\n%.2000s", err, out, commandLine)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatalf("%v: the shell ran something else:\n%s", err, commandLine)
		}
		return string(b)
	}
	return strings.Split(strings.TrimSuffix(read("args"), "\x00"), "\x00"), read("stdin")
}

func TestCurlIsExactlyThis(t *testing.T) {
	x := &inspector.Exchange{Request: inspector.Request{
		Method: "POST", Target: "/slack/events", Host: "ana-todo.relay.example.org",
		Header: inspector.Header{
			{Name: "User-Agent", Value: "Slackbot 1.0 (+https://api.slack.com/robots)"},
			{Name: "Accept-Encoding", Value: "gzip,deflate"},
			{Name: "Accept", Value: "application/json,*/*"},
			{Name: "X-Slack-Signature", Value: signature},
			{Name: "Content-Length", Value: "36"},
			{Name: "Content-Type", Value: "application/x-www-form-urlencoded"},
		},
		Body: body("text=it's+here&trigger_id=1.2.secret"),
	}}
	want := `curl --globoff \
  --url 'https://ana-todo.relay.example.org/slack/events' \
  --header 'User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)' \
  --compressed \
  --header 'Accept-Encoding: gzip,deflate' \
  --header 'Accept: application/json,*/*' \
  --header 'X-Slack-Signature: ` + signature + `' \
  --header 'Content-Type: application/x-www-form-urlencoded' \
  --header 'Expect:' \
  --data-raw 'text=it'\''s+here&trigger_id=…'
`
	if diff := cmp.Diff(want, Curl(x)); diff != "" {
		t.Errorf("curl (-want +got):\n%s", diff)
	}
}

func TestCurlSendsTheRecordedBytes(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, content := range map[string]string{
		"plain":              "text=add+milk",
		"quotes":             `it's "quoted" \'twice\' $HOME $(touch owned) ` + "`touch owned`",
		"newlines":           "a\n\nb\n",
		"a file's name":      "@/etc/passwd",
		"an option":          "--output owned",
		"every byte":         string(every),
		"octal in the text":  "\\0101 \\c stops \x07 here",
		"direction of text":  "abc\u202edef",
		"percent":            "%s%n%%",
		"history":            "wow!! !$",
		"longer than a word": strings.Repeat("long 'and' quoted\n", 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			x := &inspector.Exchange{Request: inspector.Request{Method: "POST", Target: "/", Host: "localhost:3000", Body: body(content)}}
			line := UnmaskedCurl(x)
			if !printable([]byte(line)) {
				t.Errorf("the command is not printable: %q", line)
			}
			args, stdin := runCurl(t, line)
			got := stdin
			if option, value := args[len(args)-2], args[len(args)-1]; option == "--data-raw" {
				got = value
			} else if option != "--data-binary" || value != "@-" {
				t.Fatalf("no body in %q", args)
			}
			if got != content {
				t.Errorf("got %.200q, want %.200q", got, content)
			}
		})
	}
}

func TestCurlHandsHostileHeadsOverAsWords(t *testing.T) {
	x := &inspector.Exchange{Request: inspector.Request{
		Method: "PUT; touch owned", Target: "/$(touch owned)'?q=[1-9]{a,b}", Host: "127.0.0.1:3000",
		Header: inspector.Header{
			{Name: "X-Quote", Value: `' ; touch owned; '`}, {Name: "X-Empty", Value: ""}, {Name: "@/etc/passwd", Value: "x"},
			{Name: "X-Bell", Value: "a\x1b[31mb\x00"}, {Name: "Connection", Value: "close"},
		},
	}}
	args, _ := runCurl(t, UnmaskedCurl(x))
	want := []string{
		"--globoff", "--request", "PUT; touch owned", "--url", "http://127.0.0.1:3000/$(touch owned)'?q=[1-9]{a,b}",
		"--header", "X-Quote: ' ; touch owned; '", "--header", "X-Empty;", "--header", "X-Bell: a\x1b[31mb",
		"--header", "Accept:", "--header", "User-Agent:",
	}
	if diff := cmp.Diff(want, args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

func TestCurlSaysThatTheBodyIsNotWhole(t *testing.T) {
	x := &inspector.Exchange{Request: inspector.Request{Method: "POST", Target: "/", Host: "h", Body: inspector.Body{Bytes: []byte("abc"), Size: 10}}}
	line := Curl(x)
	if !strings.HasPrefix(line, ": 'only 3 of the 10 bytes of the body were kept';\n") {
		t.Errorf("got %s", line)
	}
	runCurl(t, line)
}

func FuzzCurl(f *testing.F) {
	f.Add("/slack/events", "text/plain", []byte("it's"))
	f.Add("/'$(x)", "\x1b]0;", []byte{0, 0xff, '\'', '\\', '0'})
	f.Fuzz(func(t *testing.T, target, value string, content []byte) {
		x := &inspector.Exchange{Request: inspector.Request{
			Method: "POST", Target: target, Host: "h", Header: inspector.Header{{Name: "X", Value: value}}, Body: body(string(content)),
		}}
		if line := UnmaskedCurl(x); !printable([]byte(line)) {
			t.Errorf("not printable: %q", line)
		}
		d := DetailOf(x)
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("the detail is no JSON: %v", err)
		}
		u := UnmaskedDetailOf(x)
		if u.Request.Body == nil {
			got, err := base64.StdEncoding.DecodeString(u.Request.BodyBase64)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("got the body %q, %v", got, err)
			}
		} else if *u.Request.Body != string(content) {
			t.Errorf("got the body %q", *u.Request.Body)
		}
	})
}
