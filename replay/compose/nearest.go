package compose

import (
	"slices"
	"strings"

	"github.com/slackdev/slackdev/inspector/near"
)

// nearest lists the kinds that may have been meant, best first; every kind when none
// is near.
func nearest(kind string, all []file) []string {
	type guess struct {
		kind string
		off  int
	}
	kind = strings.ToLower(kind)
	var guesses []guess
	var names []string
	for _, f := range all {
		names = append(names, f.kind)
		off := near.Distance(kind, f.kind)
		if _, last, two := strings.Cut(f.kind, " "); two {
			off = min(off, near.Distance(kind, last))
		}
		if kind != "" && strings.Contains(f.kind, kind) {
			off = 0
		}
		if off < len(kind)/3+2 {
			guesses = append(guesses, guess{f.kind, off})
		}
	}
	if len(guesses) == 0 {
		return names
	}
	slices.SortStableFunc(guesses, func(a, b guess) int { return a.off - b.off })
	names = names[:0]
	for _, g := range guesses[:min(len(guesses), 5)] {
		names = append(names, g.kind)
	}
	return names
}
