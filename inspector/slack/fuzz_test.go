package slack

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// What was not signed with the secret is never valid, and no verdict shows a MAC.
func FuzzVerify(f *testing.F) {
	s := secret(f, "S", "made-up")
	timestamp, signature := s.Sign(noon, []byte("text=hi"))
	f.Add(timestamp, signature, "text=hi")
	f.Add(timestamp, strings.ToUpper(signature), "text=hi")
	f.Add("", "v0=", "token=x")
	f.Add("99999999999999999999", "v0=v0=", "{")
	f.Fuzz(func(t *testing.T, timestamp, signature, body string) {
		h := http.Header{TimestampHeader: {timestamp}, SignatureHeader: {signature}}
		got := verifierOf(s).Verify(h, []byte(body))
		m := s.key.mac(timestamp, []byte(body))
		right := version + "=" + hexOf(m.sum)
		if fits := right == signature; !fits && (got.Status == Valid || got.Status == Stale) {
			t.Errorf("%q, %q, %q: %v", timestamp, signature, body, got.Status)
		}
		if got.Status == Unchecked || got.Detail == "" || strings.Contains(got.Detail, right[3:19]) {
			t.Errorf("%+v", got)
		}
	})
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// Parse keeps its promises on every input, and reads JSON as encoding/json does.
func FuzzParse(f *testing.F) {
	for _, body := range []string{commandBody, eventBody, string(actionsBody()), "ssl_check=1&command=/x", `{"type":"event_callback","event":{`, "payload=%7B%22type"} {
		f.Add("POST", "", body)
	}
	f.Add("GET", "/cb?code=x", "")
	f.Fuzz(func(t *testing.T, method, target, body string) {
		h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		p := Parse(method, target, h, []byte(body))
		if p.Kind == "" || len(p.Text) > maxText {
			t.Errorf("%+v", p)
		}
		for _, s := range []string{p.Name, p.User.ID, p.User.Name, p.Channel.ID, p.Team.ID, p.Text, p.View, p.Message, p.Challenge, p.Problem} {
			if !utf8.ValidString(s) || len(s) > 2*maxValue+1 {
				t.Errorf("%q", s)
			}
		}
		if trimmed := trimStart([]byte(body)); method == "POST" && len(trimmed) > 0 && trimmed[0] == '{' {
			if broken := !json.Valid([]byte(body)); broken != (checkJSON([]byte(body)) != "") && !strings.Contains(p.Problem, "too deep") {
				t.Errorf("%q: encoding/json says broken: %v; problem %q", body, broken, p.Problem)
			}
			if p.Kind == URLVerification && p.Problem == "" {
				var want struct{ Type string }
				if err := json.Unmarshal([]byte(body), &want); err != nil {
					t.Errorf("%q: %v", body, err)
				}
			}
		}
	})
}

// A form that is read and written again says the same as net/url thinks it says.
func FuzzDecode(f *testing.F) {
	f.Add(commandBody)
	f.Add(string(actionsBody()))
	f.Add("a=%&b=%4&payload=%7b")
	f.Add(eventBody)
	f.Fuzz(func(t *testing.T, body string) {
		doc, err := Decode(http.MethodPost, "/", formHead, []byte(body))
		if doc == nil {
			if err == nil {
				t.Error("neither a document nor an error")
			}
			return
		}
		if !json.Valid(doc) || !utf8.Valid(doc) {
			t.Fatalf("%q: not JSON: %q", body, doc)
		}
		once, err := EncodeJSON(doc)
		if err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		if again, err := EncodeJSON(once); err != nil || !bytes.Equal(once, again) {
			t.Errorf("%q: encoded again it is %q (%v)", once, again, err)
		}
		if want, err := url.ParseQuery(body); err == nil && !strings.HasPrefix(strings.TrimSpace(body), "{") && !strings.ContainsAny(body, " \t\r\n") {
			var got map[string]any
			if err := json.Unmarshal(doc, &got); err != nil {
				t.Fatal(err)
			}
			for name, values := range want {
				last := strings.ToValidUTF8(values[len(values)-1], "\uFFFD")
				if text, is := got[strings.ToValidUTF8(name, "\uFFFD")].(string); is && utf8.ValidString(name) && utf8.ValidString(values[len(values)-1]) && text != last {
					t.Errorf("%q: %s is %q, want %q", body, name, text, last)
				}
			}
		}
	})
}

// What was set can be read, and setting it a second time changes nothing.
func FuzzEdit(f *testing.F) {
	f.Add(eventBody, "event.text", "hé/llo")
	f.Add(string(actionsBody()), "actions.0.value", "2")
	f.Add(commandBody, "text", "a b")
	f.Add(`{"a":{}}`, `a.b\.c`, `[1]`)
	f.Add("payload={}", "payload.x", "true")
	f.Fuzz(func(t *testing.T, body, path, value string) {
		sets := []Set{{path, value}}
		once, err := Edit(formHead, []byte(body), sets)
		if err != nil {
			return
		}
		twice, err := Edit(formHead, once, sets)
		if err != nil {
			t.Fatalf("%q, %s = %q: %q, and then %v", body, path, value, once, err)
		}
		if index := strings.LastIndexByte(path, '.') + 1; !bytes.Equal(once, twice) && strings.Trim(path[index:], "0123456789") != "" {
			t.Errorf("%q, %s = %q: %q, and then %q", body, path, value, once, twice)
		}
		if checkJSON([]byte(body)) == "" && !json.Valid(once) {
			t.Errorf("%q, %s = %q: no longer JSON: %q", body, path, value, once)
		}
	})
}

// Nothing that looks like a token is left, masking is done once, and JSON stays JSON.
func FuzzRedact(f *testing.F) {
	f.Add("Bearer " + xox("b-123456789012-ABCdef"))
	f.Add(eventBody)
	f.Add(string(actionsBody()))
	f.Add(`{"token":"a\"b","u":"https:\/\/hooks.` + `slack.com\/services\/T0\/B0\/x"}`)
	f.Add(`{"s":"\"token\":\"a\\","x":"\\\"token\\\":\\\"b\\\\"}`)
	f.Add(`"token":"` + strings.Repeat(`\`, 20) + `"`)
	f.Fuzz(func(t *testing.T, in string) {
		for _, redact := range []func([]byte) []byte{Redact, RedactExport} {
			got := redact([]byte(in))
			if again := redact(got); !bytes.Equal(again, got) {
				t.Errorf("%q: once %q, twice %q", in, got, again)
			}
			for i := range got {
				n := tokenPrefix(got[i:])
				end := i + n
				for end < len(got) && isAlnum(got[end]) {
					end++
				}
				if n > 0 && end-i-n >= 8 {
					t.Errorf("%q: still there: %q", in, got)
				}
			}
			if json.Valid([]byte(in)) && !json.Valid(got) {
				t.Errorf("%q: no longer JSON: %q", in, got)
			}
		}
	})
}
