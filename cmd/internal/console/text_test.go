package console

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestATerminalNeverObeysAStranger(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"plain":             {"add milk, 牛乳 🥛", "add milk, 牛乳 🥛"},
		"escape sequence":   {"\x1b[2J\x1b]0;owned\a", `\u001b[2J\u001b]0;owned\u0007`},
		"C1":                {"\u009b31m", `\u009b31m`},
		"raw C1 byte":       {"a\x9bb", `a\x9bb`},
		"DEL":               {"a\x7f", `a\u007f`},
		"newlines":          {"a\nb\r\tc", `a\nb\r\tc`},
		"line separator":    {"a\u2028b", `a\u2028b`},
		"right to left":     {"\u202egpj.exe", `\u202egpj.exe`},
		"isolates":          {"\u2066a\u2069", `\u2066a\u2069`},
		"zero width":        {"a\u200bb\ufeff", `a\u200bb\ufeff`},
		"soft hyphen":       {"a\u00adb", `a\u00adb`},
		"tags":              {"a\U000e0041", `a\U000e0041`},
		"private use":       {"\ue000", `\ue000`},
		"replacement drawn": {"\ufffd", "\ufffd"},
		"cut UTF-8":         {"a\xe2\x82", `a\xe2\x82`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := clean(tc.text); got != tc.want {
				t.Errorf("%q: got %q, want %q", tc.text, got, tc.want)
			}
		})
	}
}

func TestCutCountsColumnsAndKeepsCharactersWhole(t *testing.T) {
	pile := "e" + strings.Repeat("\u0301", 50)
	for name, tc := range map[string]struct {
		text  string
		limit int
		want  string
	}{
		"fits":           {"abc", 3, "abc"},
		"too long":       {"abcd", 3, "ab…"},
		"wide":           {"日本語", 4, "日…"},
		"wide, odd":      {"日本語", 5, "日本…"},
		"wide, fits":     {"日本語", 6, "日本語"},
		"combined":       {"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
		"flag":           {"🇩🇪🇩🇪", 3, "🇩🇪…"},
		"nothing fits":   {"日", 1, "…"},
		"marks piled up": {pile + "x", 2, "e" + strings.Repeat("\u0301", 7) + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cut(tc.text, tc.limit); got != tc.want {
				t.Errorf("%q in %d: got %q, want %q", tc.text, tc.limit, got, tc.want)
			}
		})
	}
}

func FuzzCleanTextIsHarmlessAndBounded(f *testing.F) {
	for _, s := range []string{"add milk", "\x1b[2J", "\u202eabc", "日本", "a\xffb", "e\u0301\u0301"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 1 + max(0, limit%100)
		got := cut(clean(text), limit)
		if !utf8.ValidString(got) || width(got) > limit {
			t.Errorf("%q in %d: %q is %d wide", text, limit, got, width(got))
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("%q in %d: %q at %d", text, limit, got, i)
		}
	})
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 31: "31", 999: "999", 2890: "2 890", 1234567: "1 234 567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
