//go:build unix

package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestPasswordIsOneLineOfADescriptor(t *testing.T) {
	for name, tc := range map[string]struct{ text, want, wrong string }{
		"a line":              {"open sesame\n", "open sesame", ""},
		"nothing behind it":   {"open sesame\nanother", "open sesame", ""},
		"of DOS":              {"open sesame\r\n", "open sesame", ""},
		"blanks belong":       {" open sesame \n", " open sesame ", ""},
		"an empty line":       {"\nopen sesame\n", "", "there is no password"},
		"a line that is long": {strings.Repeat("x", maxPassword+1) + "\n", "", "longer than 1024 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close() // it stays open: the end of the line is enough
			if _, err := w.WriteString(tc.text); err != nil {
				t.Fatal(err)
			}
			fd, err := syscall.Dup(int(r.Fd())) // as it would be handed over
			if err != nil {
				t.Fatal(err)
			}
			got, err := readPassword(fd)
			if got != tc.want || (err != nil) != (tc.wrong != "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("got %q, %v, want %q, %q", got, err, tc.want, tc.wrong)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error has it: %v", err)
			}
			if err := syscall.Close(fd); err == nil {
				t.Error("the descriptor was left open")
			}
		})
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := readPassword(int(r.Fd())); err == nil { // one of our own
		t.Error("a descriptor that nobody handed over was read")
	}
}
