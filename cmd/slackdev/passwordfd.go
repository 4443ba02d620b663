package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxPassword bounds what is read of a password.
const maxPassword = 1024

// readPassword reads one line from a descriptor that slackdev was started with, and
// closes it: a password is nowhere that others could look.
func readPassword(fd int) (string, error) {
	hint := "slackdev tunnel … --password-fd 3 3<FILE"
	if fd == 1 || fd == 2 || fd < 0 || !inherited(fd) {
		return "", usage(fmt.Errorf("--password-fd %d: slackdev was not started with such an input", fd), hint)
	}
	f := os.NewFile(uintptr(fd), "password")
	line, err := firstLine(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", usage(fmt.Errorf("--password-fd %d: %w", fd, err), hint)
	}
	switch {
	case line == "":
		return "", usage(fmt.Errorf("--password-fd %d: there is no password", fd), hint)
	case len(line) > maxPassword:
		return "", usage(fmt.Errorf("--password-fd %d: the line is longer than %d bytes", fd, maxPassword), hint)
	}
	return line, nil
}

// firstLine reads to the end of a line and no further: who writes need not stop there.
func firstLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= maxPassword; {
		n, err := r.Read(b)
		switch {
		case n == 1 && b[0] == '\n', err == io.EOF:
			return strings.TrimSuffix(string(line), "\r"), nil
		case n == 1:
			line = append(line, b[0])
		case err != nil:
			return "", err
		}
	}
	return string(line), nil
}
