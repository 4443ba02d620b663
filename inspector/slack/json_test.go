package slack

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestTheScannerIsAsStrictAsEncodingJSON(t *testing.T) {
	for _, doc := range []string{
		`{}`, `[]`, ` [ ] `, `"a"`, `0`, `-0`, `-0.5e+10`, `1E9`, `true`, `false`, `null`, `[1,2]`, `{"a":[{"b":null}]}`, `"\u00e9\n\/"`, `"é"`,
		``, ` `, `{`, `}`, `[`, `]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `[1,]`, `[,1]`, `[1 2]`, `{"a" 1}`, `{a:1}`, `{"a":1 "b":2}`,
		`01`, `-`, `+1`, `.5`, `1.`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`, `tru`, `truex`, `True`, `nul`, `'a'`,
		`"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\n\"", "\"\x01\"", "\"\x7f\"", `"a""b"`, `{} {}`, `[1]]`, "\ufeff{}", "[1\x00]", `[1}`, `{"a":1]`,
		`"\ud83d"`, `"\ud83d\ude00"`, "\"\xff\"", `// a`, `[1] // a`,
	} {
		problem := checkJSON([]byte(doc))
		if (problem == "") != json.Valid([]byte(doc)) {
			t.Errorf("%q: got %q, encoding/json says %v", doc, problem, json.Valid([]byte(doc)))
		}
	}
}

func TestTheScannerSaysWhere(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a":1,}`:   "byte 7: a member's name is missing",
		`{"a":`:      "byte 5: the document ends where a value should stand",
		`{"a":1`:     "byte 6: the document ends inside an object or array",
		`{"a" 1}`:    "byte 5: a colon is missing",
		`[1 2]`:      "byte 3: a comma or an end is missing",
		`["a\q"]`:    "byte 3: a backslash begins no escape",
		"[\"a\nb\"]": "byte 3: a control character stands in a string",
		`[1.]`:       "byte 1: a number is malformed",
		`[nil]`:      "byte 1: here is no value",
	} {
		if got := checkJSON([]byte(doc)); got != want {
			t.Errorf("%s\n got %s\nwant %s", doc, got, want)
		}
	}
}

func TestTheScannerHasABottom(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if problem := checkJSON([]byte(nest(maxDepth))); problem != "" {
		t.Errorf("%d deep: %s", maxDepth, problem)
	}
	for name, doc := range map[string]string{
		"one deeper":     nest(maxDepth + 1),
		"a million":      strings.Repeat("[", 1_000_000),
		"objects":        strings.Repeat(`{"a":`, 1_000_000),
		"one by another": strings.Repeat(`[{"a":`, 500_000),
	} {
		if problem := checkJSON([]byte(doc)); !strings.Contains(problem, "nested too deep") {
			t.Errorf("%s: got %q", name, problem)
		}
	}
}

func TestStringsAreReadAsEncodingJSONReadsThem(t *testing.T) {
	for _, quoted := range []string{
		`"plain"`, `"\"\\\/\b\f\n\r\t"`, `"\u0000\u001f"`, `"caf\u00e9"`, `"\ud83d\ude00"`, `"\uD83D\uDE00"`,
		`"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d\ude00"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ufffd"`, `"é€😀"`,
	} {
		var want string
		if err := json.Unmarshal([]byte(quoted), &want); err != nil {
			t.Fatal(err)
		}
		inside := []byte(quoted[1 : len(quoted)-1])
		if got := string(appendUnescaped(nil, inside, len(inside))); got != want {
			t.Errorf("%s: got %q, want %q", quoted, got, want)
		}
	}
}

func TestStringsAreWrittenSoThatTheyReadTheSame(t *testing.T) {
	for _, text := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é€😀\u2028", "<&>", "a\xffb"} {
		want := strings.ToValidUTF8(text, "\uFFFD")
		for _, in := range []alphabet{readable, slackStyle} {
			var got string
			quoted := appendString(nil, []byte(text), in)
			if err := json.Unmarshal(quoted, &got); err != nil || got != want {
				t.Errorf("%q as %s reads as %q (%v)", text, quoted, got, err)
			}
			if ascii := bytes.IndexFunc(quoted, func(r rune) bool { return r > 0x7F }) < 0; in == slackStyle && !ascii {
				t.Errorf("%q as %s is not ASCII", text, quoted)
			}
		}
	}
}
