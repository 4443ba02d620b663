package console

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Clean makes a stranger's text fit for one line of a terminal: masked, and without
// anything that a terminal would obey.
func Clean(s string) string { return clean(masked(s)) }

// clean makes a text from a stranger harmless for a terminal, and one line: what is
// not drawn (C0, C1, DEL, line separators, zero widths, marks that turn the direction
// of writing, private and unassigned characters, bytes that are no UTF-8) is spelled
// out. A clean text stays as it is.
func clean(s string) string {
	i := 0
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if hostile(r, n) {
			break
		}
		i += n
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if hostile(r, n) {
			b.WriteString(spelled(r, s[i]))
		} else {
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

func hostile(r rune, size int) bool {
	return r == utf8.RuneError && size == 1 || !unicode.IsGraphic(r)
}

func spelled(r rune, first byte) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r == utf8.RuneError:
		return fmt.Sprintf(`\x%02x`, first)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// cleanLines is clean for a text of several lines, which keep their indentation.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		lines[i] = clean(strings.ReplaceAll(line, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// width is the number of columns that a clean text takes.
func width(s string) int { return uniseg.StringWidth(s) }

// cut shortens a clean text to at most limit columns, the last of them an ellipsis
// where something is missing. It never parts what is drawn as one character, and
// leaves out marks that are piled on one beyond reason.
func cut(s string, limit int) string {
	if len(s) <= limit { // no character has more columns than bytes
		return s
	}
	const pile = 8 // code points in one character; a family of four has seven
	var b strings.Builder
	used, state, fits := 0, -1, 0
	for rest := s; rest != ""; {
		var cluster string
		var wide int
		cluster, rest, wide, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if utf8.RuneCountInString(cluster) > pile {
			cluster = string([]rune(cluster)[:pile])
		}
		if used+wide > limit {
			return b.String()[:fits] + "…"
		}
		b.WriteString(cluster)
		if used += wide; used <= limit-1 {
			fits = b.Len()
		}
	}
	return b.String()
}

// grouped spells a number with thin groups of three, as in 2 890.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// counted spells a number of things: 1 block, 2 890 blocks.
func counted(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return grouped(n) + " " + noun
}

// line builds a text in columns.
type line struct {
	text strings.Builder
	col  int
	last int // where the last text ended
}

// at goes to a column; when that is taken, two columns further than the last text.
func (l *line) at(col int) *line {
	if l.last > 0 {
		col = max(col, l.last+2)
	}
	l.text.WriteString(strings.Repeat(" ", max(0, col-l.col)))
	l.col = max(col, l.col)
	return l
}

// put writes a clean text in a colour (or as it is, where paint is nil).
func (l *line) put(s string, paint func(string) string) *line {
	l.col += width(s)
	l.last = l.col
	if paint != nil {
		s = paint(s)
	}
	l.text.WriteString(s)
	return l
}

// end gives the line, without blanks at its end.
func (l *line) end() string { return strings.TrimRight(l.text.String(), " ") + "\n" }
