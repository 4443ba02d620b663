package mock

import (
	"fmt"
	"strings"
)

// Mistake is one thing in a rules file that cannot be meant.
type Mistake struct {
	File         string // empty where the rule does not come from a file
	Line, Column int    // from 1; 0 without a file
	Text         string // names the key and what is wrong with it
	Fix          string // what to write instead, may be empty
}

// Error is the place, the mistake and the way out, in one line.
func (m Mistake) Error() string {
	var s strings.Builder
	if m.File != "" {
		fmt.Fprintf(&s, "%s:%d:%d: ", m.File, m.Line, m.Column)
	}
	s.WriteString(m.Text)
	if m.Fix != "" {
		s.WriteString(": " + m.Fix)
	}
	return s.String()
}

// Mistakes are all that were found, in the order of the file; at least one.
type Mistakes []Mistake

// Error is the first, and how many more there are.
func (m Mistakes) Error() string {
	if len(m) == 1 {
		return m[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", m[0].Error(), len(m)-1)
}

// Unwrap gives each.
func (m Mistakes) Unwrap() []error {
	errs := make([]error, len(m))
	for i := range m {
		errs[i] = m[i]
	}
	return errs
}

// nearest gives the word that was probably meant by s, or "".
func nearest(s string, words []string) string {
	best, least := "", len(s)/3+2 // closer than this, or it is another word
	for _, word := range words {
		if d := distance(strings.ToLower(s), word); d < least {
			best, least = word, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace, or swap with a neighbour.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// didYouMean is a Fix: the near word, or all there are.
func didYouMean(s string, words []string) string {
	if word := nearest(s, words); word != "" {
		return fmt.Sprintf("did you mean %q?", word)
	}
	return "there are " + strings.Join(words, ", ")
}
