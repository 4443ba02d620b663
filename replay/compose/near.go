package compose

import (
	"slices"
	"strings"
)

// near lists the kinds that may have been meant, best first; every kind when none
// is near.
func near(kind string, all []file) []string {
	type guess struct {
		kind string
		off  int
	}
	kind = strings.ToLower(kind)
	var guesses []guess
	var names []string
	for _, f := range all {
		names = append(names, f.kind)
		off := distance(kind, f.kind)
		if _, last, two := strings.Cut(f.kind, " "); two {
			off = min(off, distance(kind, last))
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

// distance counts the letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
