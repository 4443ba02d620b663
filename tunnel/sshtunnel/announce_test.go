package sshtunnel

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel/wire"
)

// hear gives a transcript some text on one stream, in pieces of a size, and the end.
func hear(a Announce, text string, piece int) *transcript {
	a.Settle = time.Hour // the end settles
	t := newTranscript(a)
	for len(text) > 0 {
		n := min(piece, len(text))
		t.write(0, []byte(text[:n]))
		text = text[n:]
	}
	t.end(0)
	t.settled()
	t.stop()
	return t
}

func TestAnnounce(t *testing.T) {
	ignoring := Announce{Ignore: []string{"service.example"}}
	for name, tc := range map[string]struct {
		announce Announce
		text     string
		want     string
		notices  []string
	}{
		"sish":                         {text: "Starting SSH Forwarding service for \x1b[33mhttp:80\x1b[0m.\r\nHTTP: http://myapp.tuns.example\r\nHTTPS: https://myapp.tuns.example\r\n", want: "https://myapp.tuns.example", notices: []string{"Starting SSH Forwarding service for http:80.", "HTTP: http://myapp.tuns.example", "HTTPS: https://myapp.tuns.example"}},
		"localhost.run":                {announce: ignoring, text: "docs: https://service.example/docs/forever\nabc.lhr.example tunneled with tls termination, https://abc.lhr.example\n", want: "https://abc.lhr.example", notices: []string{"docs: https://service.example/docs/forever", "abc.lhr.example tunneled with tls termination, https://abc.lhr.example"}},
		"the service's own page":       {announce: ignoring, text: "https://service.example\nhttp://a.example\n", want: "http://a.example", notices: []string{"https://service.example"}},
		"a link with a path":           {text: "https://a.example/upgrade http://b.example", want: "http://b.example", notices: []string{"https://a.example/upgrade http://b.example"}},
		"alone beats among words":      {text: "follow us: https://words.example\nhttps://alone.example\n", want: "https://alone.example", notices: []string{"follow us: https://words.example"}},
		"in brackets, upper case":      {text: "<HTTPS://A.Example:8443>.\n", want: "https://a.example:8443", notices: []string{"<HTTPS://A.Example:8443>."}},
		"an IPv6 address":              {text: "http://[2001:db8::1]:8080", want: ""}, // the brackets end the word: no service does it
		"with a user":                  {text: "https://user:password@a.example", notices: []string{"https://user:password@a.example"}},
		"another scheme":               {text: "javascript://a.example tcp://a.example:80", notices: []string{"javascript://a.example tcp://a.example:80"}},
		"a host that is none":          {text: "https://-a.example https://a..b https://" + strings.Repeat("a", 64) + ".example", notices: []string{"https://-a.example https://a..b https://" + strings.Repeat("a", 64) + ".example"}},
		"a colour inside the URL":      {text: "https://a\x1b[1m.exam\x1b[0mple\r\n", want: "https://a.example"},
		"a title, a link, a clear":     {text: "\x1b]0;title https://no.example\x07\x1b]8;;https://no.example\x1b\\https://a.example\x1b]8;;\x1b\\\x1b[2J", want: "https://a.example"},
		"a string that nobody ends":    {text: "\x1b]0;title\nhttps://a.example\n", want: "https://a.example"},
		"invisible and turned text":    {text: "https://a.ex\u200bam\u202eple\u0085\n\xff\xfe", want: "https://a.example"},
		"a prefix, and nothing else":   {announce: Announce{Prefix: wire.URLPrefix}, text: "https://no.example\r\nURL: http://a.localhost:80\r\nURL: https://b.example\r\n", want: "http://a.localhost:80", notices: []string{"https://no.example"}},
		"a flood without a URL before": {text: strings.Repeat("x\n", maxText) + "https://late.example\n", notices: strings.Fields(strings.Repeat("x ", maxNotices))},
		"one endless line":             {text: strings.Repeat("x", 3*maxLine) + "\nhttps://a.example\n", want: "https://a.example", notices: []string{strings.Repeat("x", maxNotice) + "…"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{1, 7, len(tc.text)} {
				got := hear(tc.announce, tc.text, piece)
				address := ""
				if got.url != nil {
					address = got.url.String()
				}
				if address != tc.want {
					t.Errorf("in pieces of %d: URL %q, want %q", piece, address, tc.want)
				}
				if tc.want == "" && tc.notices == nil {
					continue
				}
				if d := cmp.Diff(tc.notices, got.takeNotices()); d != "" {
					t.Errorf("in pieces of %d: notices (-want +got):\n%s", piece, d)
				}
			}
		})
	}
}

// The URL in halves, in two packets: the first half is a URL, too.
func TestAnnounceWaitsForTheWholeURL(t *testing.T) {
	tr := newTranscript(Announce{Settle: time.Hour})
	defer tr.stop()
	tr.write(0, []byte("https://a.exam"))
	select {
	case <-tr.found:
		t.Fatalf("decided for %v", tr.result())
	default:
	}
	tr.write(1, []byte("a word on the other stream\n"))
	tr.write(0, []byte("ple\r"))
	<-tr.found
	if got := tr.result().String(); got != "https://a.example" {
		t.Errorf("got %s", got)
	}
}

// FuzzAnnounce: from whatever bytes, in whatever pieces, come the same URL and text
// that a terminal can take.
func FuzzAnnounce(f *testing.F) {
	f.Add("You are not authenticated.\r\nhttp://a.example\r\nhttps://a.example\r\n", uint8(3))
	f.Add("\x1b]0;x\x07\x1b[1;31mURL: https://a.example\x1b[0m", uint8(1))
	f.Add("error: \xe2\x80\xaeno\u009b31m", uint8(2))
	f.Fuzz(func(t *testing.T, text string, piece uint8) {
		whole := hear(Announce{}, text, max(len(text), 1))
		parts := hear(Announce{}, text, max(int(piece), 1))
		if len(text) < maxText {
			if d := cmp.Diff(whole.url, parts.url); d != "" {
				t.Errorf("in pieces of %d:\n%s", piece, d)
			}
		}
		if u := whole.url; u != nil && (u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Path != "") {
			t.Errorf("URL %q", u)
		}
		said := whole.takeNotices()
		if len(said) > maxNotices {
			t.Errorf("%d notices", len(said))
		}
		for _, line := range append(said, whole.words()) {
			if len([]rune(line)) > maxNotice+1 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("notice %q", line)
			}
		}
	})
}
