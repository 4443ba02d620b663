// Package near tells how far a word is from one that may have been meant, for errors
// that say "did you mean". It has no state and is safe for many goroutines.
package near

// Longest is how many bytes of a word are looked at; what a stranger sends may be
// longer than any word that we know.
const Longest = 64

// Distance counts the bytes to insert, drop, change, or swap with their neighbour to
// make one word the other (optimal string alignment). It takes time in proportion to
// the product of the lengths, and allocates nothing.
func Distance(a, b string) int {
	a, b = a[:min(len(a), Longest)], b[:min(len(b), Longest)]
	// The last two rows of the table, and the one that is being filled.
	var rows [3][Longest + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
