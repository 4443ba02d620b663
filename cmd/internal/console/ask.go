package console

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/term"
)

// Asker puts questions to the person at a terminal, one at a time, and is safe for many
// goroutines. What it shows of a question is cleaned and bounded.
type Asker struct {
	in   io.Reader
	fd   int
	out  io.Writer
	turn chan struct{} // holds a token while nobody asks
}

// maxAnswer is how many bytes of a line are read; a terminal's own limit is not larger.
const maxAnswer = 4096

// NewAsker makes one that reads from a terminal, and writes its questions to out. It
// gives nil where in is none.
func NewAsker(in io.Reader, out io.Writer) *Asker {
	f, ok := in.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	a := &Asker{in: in, fd: int(f.Fd()), out: out, turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	return a
}

// Ask shows the lines of intro and the text, and gives the line that is typed; hidden:
// without showing it. When ctx ends, the terminal is as it was before.
func (a *Asker) Ask(ctx context.Context, intro []string, text string, hidden bool) (string, error) {
	select {
	case <-a.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	before, err := term.GetState(a.fd)
	if err == nil && hidden {
		err = hush(a.fd) // before the question shows, for people and programs that answer at once
	}
	if err != nil {
		a.turn <- struct{}{}
		return "", fmt.Errorf("ask at the terminal: %w", err)
	}
	for _, line := range intro {
		fmt.Fprintln(a.out, cut(clean(line), 200))
	}
	fmt.Fprint(a.out, cut(clean(text), 300))
	type answer struct {
		text string
		err  error
	}
	// Nothing frees a read of a terminal but a line. When ctx ends the program does, and
	// this goroutine with it; until then it keeps the turn, so that no second one reads.
	typed := make(chan answer, 1)
	go func() {
		line, err := a.read(hidden)
		if hidden {
			err = errors.Join(err, term.Restore(a.fd, before))
		}
		typed <- answer{line, err}
		a.turn <- struct{}{}
	}()
	select {
	case got := <-typed:
		if hidden {
			fmt.Fprintln(a.out)
		}
		return got.text, got.err
	case <-ctx.Done():
		err := term.Restore(a.fd, before)
		fmt.Fprintln(a.out)
		return "", errors.Join(ctx.Err(), err)
	}
}

func (a *Asker) read(hidden bool) (string, error) {
	if hidden {
		line, err := term.ReadPassword(a.fd) // leaves Ctrl-C what it is
		return string(line), err
	}
	return readLine(a.in)
}

// readLine reads a line byte by byte: what follows it is not ours.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return string(line), nil
		case n == 1 && b[0] != '\r' && len(line) < maxAnswer:
			line = append(line, b[0])
		case err == io.EOF && len(line) > 0:
			return string(line), nil
		case err != nil:
			return "", err
		}
	}
}
