package console

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

func TestNobodyIsAskedWhereThereIsNoTerminal(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, in := range map[string]io.Reader{"a buffer": new(bytes.Buffer), "a file": file} {
		if NewAsker(in, io.Discard) != nil {
			t.Errorf("%s was taken for a terminal", name)
		}
	}
}

func TestALineIsReadAndNothingBehindIt(t *testing.T) {
	for name, tc := range map[string]struct{ text, want, rest string }{
		"a line":           {"red\nmore", "red", "more"},
		"an empty one":     {"\nmore", "", "more"},
		"of DOS":           {"red\r\n", "red", ""},
		"without its end":  {"red", "red", ""},
		"longer than that": {strings.Repeat("x", maxAnswer+7) + "\nmore", strings.Repeat("x", maxAnswer), "more"},
	} {
		r := strings.NewReader(tc.text)
		got, err := readLine(r)
		rest, _ := io.ReadAll(r)
		if err != nil || got != tc.want || string(rest) != tc.rest {
			t.Errorf("%s: got %q, %v, and %q is left", name, got, err, rest)
		}
	}
	if _, err := readLine(strings.NewReader("")); err != io.EOF {
		t.Errorf("nothing: got %v", err)
	}
}
