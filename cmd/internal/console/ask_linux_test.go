package console

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hasty answers a question as soon as it sees it, and looks whether that is shown.
type hasty struct {
	t      *testing.T
	person *os.File // the person's end of the terminal
	text   strings.Builder
	echoed bool
}

func (h *hasty) Write(p []byte) (int, error) {
	h.text.Write(p)
	if strings.HasSuffix(h.text.String(), "? ") {
		h.echoed = echoes(h.t, h.person)
		if _, err := h.person.WriteString("open sesame\n"); err != nil {
			h.t.Error(err)
		}
	}
	return len(p), nil
}

func echoes(t *testing.T, f *os.File) bool {
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// openTerminal gives a person's end and a program's end, pty(7).
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

// A secret is not shown, however soon it is typed, and what is no secret is; then the
// terminal is as it was.
func TestASecretIsNotShownHoweverSoonItIsTyped(t *testing.T) {
	for _, hidden := range []bool{true, false, true} {
		person, program := openTerminal(t)
		out := &hasty{t: t, person: person}
		got, err := NewAsker(program, out).Ask(t.Context(), []string{"before"}, "the word? ", hidden)
		if err != nil || got != "open sesame" {
			t.Errorf("hidden %v: got %q, %v", hidden, got, err)
		}
		if out.echoed == hidden {
			t.Errorf("hidden %v: shown: %v", hidden, out.echoed)
		}
		if !echoes(t, person) {
			t.Errorf("hidden %v: afterwards nothing is shown", hidden)
		}
	}
}

// Where the terminal is gone the next who asks is not held up.
func TestAskingWithoutATerminalFailsEachTime(t *testing.T) {
	_, program := openTerminal(t)
	a := NewAsker(program, new(strings.Builder))
	a.fd = -1
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		if _, err := a.Ask(ctx, nil, "? ", true); err == nil || ctx.Err() != nil {
			t.Fatalf("got %v", err)
		}
	}
}
