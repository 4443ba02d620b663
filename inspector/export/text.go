package export

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// Raw gives a request as HTTP/1.1 text, with tokens, webhook URLs, credentials and
// cookies masked. Content-Length follows the masked body, so that the text is a
// whole message; of a truncated body it tells what the whole one had.
func Raw(r inspector.Request) []byte { return raw(r, slack.Redact) }

// UnmaskedRaw is Raw with every byte as it came.
func UnmaskedRaw(r inspector.Request) []byte { return raw(r, nil) }

// Raw gives the request of a detail as HTTP/1.1 text. What is masked in the detail is
// masked here. It fails on a body that is not base64 where it should be.
func (d Detail) Raw() ([]byte, error) {
	m := d.Request
	r := inspector.Request{Method: d.Method, Target: m.Target, Host: m.Host, Body: inspector.Body{Size: m.Size}}
	for _, f := range m.Headers {
		r.Header = append(r.Header, inspector.Field(f))
	}
	if m.Body != nil {
		r.Body.Bytes = []byte(*m.Body)
	} else {
		var err error
		if r.Body.Bytes, err = base64.StdEncoding.DecodeString(m.BodyBase64); err != nil {
			return nil, fmt.Errorf("read the body of %s: %w", d.ID, err)
		}
	}
	if !m.Truncated {
		r.Body.Size = int64(len(r.Body.Bytes)) // masked, or opened
	}
	return raw(r, nil), nil
}

func raw(r inspector.Request, mask mask) []byte {
	body := mask.bytes(r.Body.Bytes)
	length := strconv.FormatInt(r.Body.Size+int64(len(body)-len(r.Body.Bytes)), 10)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", oneLine(r.Method), oneLine(mask.text(r.Target)), oneLine(r.Host))
	framed := false
	for _, f := range mask.header(r.Header) {
		switch strings.ToLower(f.Name) {
		case "host", "transfer-encoding": // said above; and the body here is not in chunks
			continue
		case "content-length":
			framed, f.Value = true, length
		}
		fmt.Fprintf(&b, "%s: %s\r\n", oneLine(f.Name), oneLine(f.Value))
	}
	if !framed && length != "0" {
		fmt.Fprintf(&b, "Content-Length: %s\r\n", length)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// oneLine keeps a recorded value from being read as more than one line of a head.
func oneLine(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }

// maxArgument is the longest argument that is handed to curl on its command line;
// Linux allows 128 KiB for one (MAX_ARG_STRLEN). A longer body goes through a pipe.
const maxArgument = 100 << 10

// Curl gives a command for a POSIX shell that sends the request of x again, with
// tokens, webhook URLs, credentials and cookies masked. Whatever the request holds, the shell sees words
// and nothing to run, and a terminal sees printable text. The signature is the
// recorded one: it fits the unmasked body alone, and only for five minutes.
func Curl(x *inspector.Exchange) string { return curl(x, slack.RedactExport) }

// UnmaskedCurl is Curl with every secret in it that the request has.
func UnmaskedCurl(x *inspector.Exchange) string { return curl(x, nil) }

func curl(x *inspector.Exchange, mask mask) string {
	r := &x.Request
	body := mask.bytes(r.Body.Bytes)
	words := []string{"curl --globoff" + method(r.Method, len(body) > 0)}
	words = append(words, "--url "+quote(address(r.Host, x.Origin)+mask.text(r.Target)))
	words = append(words, headerWords(mask.header(r.Header), len(body) > 0)...)

	piped := len(body) > maxArgument || !printable(body)
	switch {
	case len(body) == 0:
	case piped:
		words = append(words, "--data-binary @-")
	default:
		words = append(words, "--data-raw "+quote(string(body))) // --data would read a file where the body begins with @
	}

	command := strings.Join(words, " \\\n  ")
	if piped {
		command = "printf %b " + octal(body) + " |\n  " + command
	}
	if r.Body.Truncated() {
		command = fmt.Sprintf(": 'only %d of the %d bytes of the body were kept';\n", len(r.Body.Bytes), r.Body.Size) + command
	}
	return command + "\n"
}

// method spells a method that curl would not choose by itself.
func method(name string, body bool) string {
	switch {
	case name == "HEAD" && !body:
		return " --head"
	case name == "GET" && !body, name == "POST" && body:
		return ""
	}
	return " --request " + quote(name)
}

// address guesses how the host was reached: a public name by TLS, this machine without.
func address(host string, origin inspector.Origin) string {
	name, _, _ := strings.Cut(host, ":")
	local := origin == inspector.Local || name == "localhost" || strings.HasSuffix(name, ".localhost") ||
		strings.HasPrefix(name, "127.") || strings.HasPrefix(host, "[::1]")
	switch {
	case host == "":
		return "http://localhost"
	case local:
		return "http://" + host
	}
	return "https://" + host
}

// headerWords gives the options that make curl send these fields and no others.
func headerWords(h inspector.Header, body bool) []string {
	added := []string{"Accept", "User-Agent"} // what curl says when it is told nothing
	if body {
		added = append(added, "Content-Type", "Expect")
	}
	var words []string
	for _, f := range h {
		switch strings.ToLower(f.Name) {
		case "host", "content-length", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
			continue // curl's own business
		case "accept-encoding":
			words = append(words, "--compressed")
		}
		if !token(f.Name) {
			continue // @name would be read as a file
		}
		field := f.Name + ": " + f.Value
		if f.Value == "" {
			field = f.Name + ";" // curl's spelling of an empty value
		}
		words = append(words, "--header "+quote(field))
		added = slices.DeleteFunc(added, func(name string) bool { return strings.EqualFold(name, f.Name) })
	}
	for _, name := range added {
		words = append(words, "--header "+quote(name+":")) // not to be sent
	}
	return words
}

// token reports whether s is a field name by RFC 9110, 5.6.2.
func token(s string) bool {
	for _, r := range s {
		if r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("!#$%&'*+-.^_`|~", r)) {
			return false
		}
	}
	return s != ""
}

// quote makes one word of s for a POSIX shell. NUL bytes cannot be in a word; they are left out.
func quote(s string) string {
	if s = strings.ReplaceAll(s, "\x00", ""); printable([]byte(s)) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return `"$(printf %b ` + octal([]byte(s)) + `)"`
}

// printable reports whether a terminal shows b as it is, so that it can be copied:
// no control characters but the newline, nothing that turns the direction of text.
func printable(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 || r != '\n' && !unicode.IsPrint(r) {
			return false
		}
		b = b[n:]
	}
	return true
}

// octal spells b as the argument of printf %b.
func octal(b []byte) string {
	var s strings.Builder
	s.WriteByte('\'')
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\'':
			s.WriteString(`'\''`)
		case r == '\\':
			s.WriteString(`\\`)
		case r == utf8.RuneError && n == 1 || !unicode.IsPrint(r):
			for _, c := range b[:n] {
				fmt.Fprintf(&s, `\0%03o`, c)
			}
		default:
			s.Write(b[:n])
		}
		b = b[n:]
	}
	s.WriteByte('\'')
	return s.String()
}
