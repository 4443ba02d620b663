package slack

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for name, tc := range map[string]struct {
		h          http.Header
		body, want string
	}{
		"a form keeps its order":     {formHead, "z=1&a=%2Fx&m=", `{"z":"1","a":"/x","m":""}`},
		"plus and percent":           {formHead, "a=1+2%2B3+%C3%A9", `{"a":"1 2+3 é"}`},
		"the last of two counts":     {formHead, "a=1&b=2&a=3", `{"b":"2","a":"3"}`},
		"the payload is opened":      {formHead, "payload=%7B%22a%22%3A%5B1%5D%7D&x=y", `{"payload":{"a":[1]},"x":"y"}`},
		"a name without a value":     {formHead, "a&b=", `{"a":"","b":""}`},
		"empty pieces":               {formHead, "&&a=1&", `{"a":"1"}`},
		"a broken escape stays":      {formHead, "a=100%&b=%zz%4", `{"a":"100%","b":"%zz%4"}`},
		"quotes and control bytes":   {formHead, "a=%22%5C%00%0A", `{"a":"\"\\\u0000\n"}`},
		"bytes that are not UTF-8":   {formHead, "a=%FF", "{\"a\":\"\uFFFD\"}"},
		"an event stays as it is":    {jsonHead, " {\"z\": 1, \"a\":\"\\/\"} \n", "{\"z\": 1, \"a\":\"\\/\"}"},
		"an event that is not UTF-8": {jsonHead, "{\"a\":\"\xff\"}", "{\"a\":\"\uFFFD\"}"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(http.MethodPost, "/", tc.h, []byte(tc.body))
			if err != nil || string(got) != tc.want {
				t.Errorf("%s\n got %s (%v)\nwant %s", tc.body, got, err, tc.want)
			}
		})
	}
	got, err := Decode(http.MethodGet, "/cb?code=1&state=x", nil, nil)
	if want := `{"code":"1","state":"x"}`; err != nil || string(got) != want {
		t.Errorf("a redirect: got %s (%v), want %s", got, err, want)
	}
}

func TestDecodeSaysWhereItStopped(t *testing.T) {
	for name, tc := range map[string]struct {
		media, body string
		want, says  string
	}{
		"broken JSON":       {"application/json", `{"a":`, "", "decode the JSON body: byte 5"},
		"no body":           {"application/json", "", "", "the body is empty"},
		"an image":          {"image/png", "\x89PNG", "", "neither JSON nor a form"},
		"a broken payload":  {"application/x-www-form-urlencoded", "a=1&payload=%7B%22a%22", `{"a":"1","payload":"{\"a\""}`, "decode the field payload: byte 4"},
		"too many fields":   {"application/x-www-form-urlencoded", strings.Repeat("a=&", maxFields+1), "", "more than 10000 fields"},
		"too much of it":    {"application/x-www-form-urlencoded", "a=" + strings.Repeat("\x01", 3<<20), "", "more than 16 MiB"},
		"a payload of text": {"application/x-www-form-urlencoded", "payload=", `{"payload":""}`, "decode the field payload: byte 0"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Content-Type": {tc.media}}
			got, err := Decode(http.MethodPost, "/", h, []byte(tc.body))
			if err == nil || !strings.Contains(err.Error(), tc.says) || string(got) != tc.want {
				t.Errorf("got %s and %v, want %s and … %s …", got, err, tc.want, tc.says)
			}
		})
	}
}

func TestEncodeFormAsPHPDoes(t *testing.T) {
	got := EncodeForm([]Pair{{"text", ""}, {"a b", "*'()! ~-_."}, {"u", "é<&>=+/"}, {"text", "again"}})
	if want := "text=&a+b=%2A%27%28%29%21+%7E-_.&u=%C3%A9%3C%26%3E%3D%2B%2F&text=again"; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := EncodeForm(nil); len(got) != 0 {
		t.Errorf("no pairs: got %s", got)
	}
}

func TestEncodeJSONAsPHPDoes(t *testing.T) {
	for doc, want := range map[string]string{
		` { "z" : 1 , "a" : [ 1.50 , -2e+3 , true , null , { } , [ ] ] } `: `{"z":1,"a":[1.50,-2e+3,true,null,{},[]]}`,
		`"https://e.org/<a>&'b'"`:          `"https:\/\/e.org\/<a>&'b'"`,
		`"\u0041\u002f\/\u00E9é"`:          `"A\/\/\u00e9\u00e9"`,
		`"😀\ud83d\uDE00"`:                  `"\ud83d\ude00\ud83d\ude00"`,
		`"\ud83d \ude00"`:                  `"\ud83d \ude00"`,
		`"\b\f\n\r\t\u0008\u001f\"\\"`:     `"\b\f\n\r\t\b\u001f\"\\"`,
		"\"\x7f\u2028\"":                   "\"\x7f\\u2028\"",
		"\"\xff\"":                         `"\ufffd"`,
		`{"a":1,"a":2}`:                    `{"a":1,"a":2}`,
		`{"\u0061\/é":"\u0062"}`:           `{"a\/\u00e9":"b"}`,
		`123456789012345678901234567890.1`: `123456789012345678901234567890.1`,
	} {
		got, err := EncodeJSON([]byte(doc))
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s (%v)\nwant %s", doc, got, err, want)
		}
	}
	for _, doc := range []string{"", "{", `{"a":1,}`, `{"a":}`, "[1,,2]", "x", `{} 1`} {
		if got, err := EncodeJSON([]byte(doc)); err == nil {
			t.Errorf("%s: got %s", doc, got)
		}
	}
}

// captured gives the bodies of the samples that came over the wire as they are.
func captured(t *testing.T) map[string][]byte {
	bodies := map[string][]byte{}
	for _, s := range samples(t) {
		switch {
		case s.form == "raw-body" && s.direction == "Slack to app" && !strings.Contains(s.features, "unencoded-chars"):
			bodies[s.file] = bytes.TrimRight(s.data, "\n")
		case s.form == "capture":
			var gateway struct{ Body string }
			if err := json.Unmarshal(s.data, &gateway); err != nil {
				t.Fatal(err)
			}
			body, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(gateway.Body, "="))
			if err != nil {
				t.Fatal(err)
			}
			bodies[s.file] = body
		}
	}
	return bodies
}

func TestCapturedBodiesComeOutByteForByte(t *testing.T) {
	payloads, plain := 0, 0
	for file, body := range captured(t) {
		var pairs []Pair
		for piece := range strings.SplitSeq(string(body), "&") {
			name, value, _ := strings.Cut(piece, "=")
			value, err := url.QueryUnescape(value)
			if err != nil {
				t.Fatal(err)
			}
			if name == "payload" {
				// Through readable, indented JSON, so that no old escape survives.
				var indented bytes.Buffer
				if err := json.Indent(&indented, readableJSON(t, []byte(value)), "", "  "); err != nil {
					t.Fatal(err)
				}
				encoded, err := EncodeJSON(indented.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				value = string(encoded)
				payloads++
			}
			pairs = append(pairs, Pair{name, value})
		}
		plain++
		if got := EncodeForm(pairs); !bytes.Equal(got, body) {
			t.Errorf("%s\n got %s\nwant %s", file, got, body)
		}
	}
	t.Logf("%d payloads in %d forms", payloads, plain)
}

// readableJSON writes every string of a document anew without needless escapes.
func readableJSON(t *testing.T, doc []byte) []byte {
	var out []byte
	for s := (scanner{src: doc}); s.at < len(doc); {
		if doc[s.at] != '"' {
			out = append(out, doc[s.at])
			s.at++
			continue
		}
		token := s.string()
		out = appendString(out, appendUnescaped(nil, doc[token.from:token.to], len(doc)), readable)
		if s.fault != "" {
			t.Fatal(s.problem())
		}
	}
	return out
}
