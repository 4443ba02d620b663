package mock

import (
	"fmt"
	"strings"

	"github.com/slackdev/slackdev/inspector/near"
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

// Error is the first three, and how many more there are.
func (m Mistakes) Error() string {
	const most = 3
	var texts []string
	for _, one := range m[:min(len(m), most)] {
		texts = append(texts, one.Error())
	}
	s := strings.Join(texts, "; ")
	if len(m) > most {
		s += fmt.Sprintf(" (and %d more)", len(m)-most)
	}
	return s
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
		if d := near.Distance(strings.ToLower(s), word); d < least {
			best, least = word, d
		}
	}
	return best
}

// didYouMean is a Fix: the near word, or all there are.
func didYouMean(s string, words []string) string {
	if word := nearest(s, words); word != "" {
		return fmt.Sprintf("did you mean %q?", word)
	}
	return "there are " + strings.Join(words, ", ")
}
