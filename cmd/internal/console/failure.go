package console

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/slackdev/slackdev/tunnel"
)

// Exit statuses.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2 // wrong usage: flags, arguments, configuration
	Unreachable = 3 // nothing is running, or nothing can be reached
	Refused     = 4 // auth, host key, signature
)

// Error is an error with what to type next and an exit status.
type Error struct {
	Err  error
	Hint string // may be empty
	Code int    // 0: as the error inside says, or Failed
}

// Error gives the text of the error inside.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the error inside.
func (e *Error) Unwrap() error { return e.Err }

// explainer is an error that knows its hint and its exit status itself.
type explainer interface {
	error
	Explain() (hint string, exit int)
}

// Exit prints why a command failed and what to type next, and gives its exit status.
// For nil it prints nothing and gives Done.
func Exit(w io.Writer, err error) int {
	if err == nil {
		return Done
	}
	hint, code := explain(err)
	fmt.Fprintln(w, "slackdev: "+cut(sentence(err), 1000))
	if hint != "" {
		fmt.Fprintln(w, "hint: "+clean(hint))
	}
	return code
}

// Hint is what to type next after err, "" where nobody knows.
func Hint(err error) string {
	hint, _ := explain(err)
	return hint
}

// sentence spells an error in one line. Errors of several parts have one a line.
func sentence(err error) string {
	lines := strings.FieldsFunc(masked(err.Error()), func(r rune) bool { return r == '\n' || r == '\r' })
	for i, line := range lines {
		lines[i] = clean(strings.TrimSpace(line))
	}
	return strings.Join(lines, "; ")
}

// explain finds the outermost hint and the outermost exit status, which need not be
// of the same error.
func explain(err error) (hint string, code int) {
	var own *Error
	if errors.As(err, &own) {
		hint, code = own.Hint, own.Code
	}
	var other explainer
	var refused *tunnel.RefusedError
	var innerHint string
	var innerCode int
	switch {
	case errors.As(err, &other):
		innerHint, innerCode = other.Explain()
	case errors.As(err, &refused):
		innerHint, innerCode = refused.Hint, Refused
	}
	if hint == "" {
		hint = innerHint
	}
	if code == Done {
		code = innerCode
	}
	if code == Done {
		code = Failed
	}
	return hint, code
}
