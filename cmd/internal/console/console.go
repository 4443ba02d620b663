// Package console is what a person watches in the terminal while slackdev works: the
// first screen, a line for every request, what becomes of the tunnel, and errors with
// what to type next. It also writes the same as NDJSON for programs.
//
// It only formats: what it shows is handed to it. Texts from strangers (Slack's
// users, the app, a tunnel service) are masked, stripped of everything that a
// terminal would obey, and bounded. It never moves the cursor, so that what it
// writes reads the same in a pipe.
package console

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"
	"golang.org/x/term"

	"github.com/slackdev/slackdev/inspector/slack"
)

// Console writes for a person. Fields are set before the first call; the methods are
// safe for many goroutines, and each writes whole lines. What cannot be written (the
// terminal was closed) is lost, and nothing fails for it.
type Console struct {
	Out     io.Writer
	Color   bool
	Width   int            // columns, 0 where nobody watches: then nothing is made to fit
	Zone    *time.Location // nil: time.Local
	Now     func() time.Time
	Forgets bool // nothing is kept: Totals names no command that would show it

	mu     sync.Mutex // guards the rest, and that lines are not mixed
	totals totals
	said   map[string]bool   // troubles and notices that need no repeating
	told   map[string]bool   // what services have said
	faults map[string]string // of each app, by name, the last one that was told with what to do
	lanes  map[string]*lane  // the tunnels, by name
	path   string            // where Slack posts, for a new URL
	ready  bool
}

// Width is the number of columns of the terminal behind a stream, 0 when there is none.
func Width(stream any) int {
	f, ok := stream.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Trouble says what is wrong and what can be done about it, once for each key until
// Healed is called with it. The hint may be empty.
func (c *Console) Trouble(key, text, hint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.once(key) {
		return
	}
	c.print(c.stamp() + "  " + c.paint(red, "! "+clean(text)) + "\n")
	if hint != "" {
		c.print(strings.Repeat(" ", titleColumn) + clean(hint) + "\n")
	}
}

// Healed says that a trouble is over, if it was told.
func (c *Console) Healed(key, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.said[key] {
		return
	}
	delete(c.said, key)
	c.print(c.stamp() + "  " + c.paint(green, "● "+clean(text)) + "\n")
}

// Notice says something that needs no answer; the same text only once.
func (c *Console) Notice(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notice(text)
}

// noticeLimit is how many different notices are told, of ours and of services: one
// that talks without end is not listened to.
const noticeLimit = 100

func (c *Console) notice(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\r\n")) {
		line = cut(strings.TrimSpace(clean(strings.TrimRight(line, "\r\n"))), 200)
		if line == "" || len(c.said) > noticeLimit || !c.once("notice "+line) {
			continue
		}
		c.print(strings.Repeat(" ", titleColumn) + c.paint(faint, line) + "\n")
	}
}

// Heard says what a tunnel's service has said, beside its Status.
func (c *Console) Heard(service, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard(service, text)
}

// heard says what a tunnel's service has said: each line begins with its name and has
// no more columns than the terminal, so that nothing of it can pass for a line of ours;
// the same line only once, and only so many.
func (c *Console) heard(service, text string) {
	limit := 200
	if c.Width > 0 {
		limit = max(1, min(limit, c.Width-titleColumn-1))
	}
	for line := range strings.Lines(strings.TrimRight(text, "\r\n")) {
		line = strings.TrimSpace(clean(masked(strings.TrimRight(line, "\r\n"))))
		said := cut(clean(service)+": "+line, limit)
		if line == "" || c.told[said] || len(c.told) >= noticeLimit {
			continue
		}
		if c.told == nil {
			c.told = map[string]bool{}
		}
		c.told[said] = true
		c.print(strings.Repeat(" ", titleColumn) + c.paint(faint, said) + "\n")
	}
}

func (c *Console) once(key string) bool {
	if c.said[key] {
		return false
	}
	if c.said == nil {
		c.said = map[string]bool{}
	}
	c.said[key] = true
	return true
}

func (c *Console) print(s string) {
	_, _ = io.WriteString(c.Out, s) // see the type's comment
}

func (c *Console) stamp() string { return c.clock(c.now()) }

func (c *Console) clock(t time.Time) string { return c.local(t).Format(time.TimeOnly) }

func (c *Console) local(t time.Time) time.Time {
	if c.Zone != nil {
		return t.In(c.Zone)
	}
	return t.Local()
}

func (c *Console) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

type tone = color.Attribute

const (
	red    = color.FgRed
	green  = color.FgGreen
	yellow = color.FgYellow
	cyan   = color.FgCyan
	faint  = color.Faint
	bold   = color.Bold
)

// paint colours s. The library decides by a global whether it colours; each object
// here is told.
func (c *Console) paint(as color.Attribute, s string) string {
	p := color.New(as)
	if c.Color {
		p.EnableColor()
	} else {
		p.DisableColor()
	}
	return p.Sprint(s)
}

// as gives what paints in a tone, nil for the zero tone: as the terminal is.
func (c *Console) as(t tone) func(string) string {
	if t == 0 {
		return nil
	}
	return func(s string) string { return c.paint(t, s) }
}

func masked(s string) string { return string(slack.Redact([]byte(s))) }
