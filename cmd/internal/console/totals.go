package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slackdev/slackdev/inspector/export"
)

// totals is what was seen since the start.
type totals struct {
	requests  int
	verdicts  map[string]int // by what is shown, without its mark
	statuses  map[int]int
	slowest   float64 // milliseconds
	slowTitle string
}

func (t *totals) count(l export.Line) {
	if t.requests == 0 {
		t.verdicts, t.statuses = map[string]int{}, map[int]int{}
	}
	t.requests++
	verdict, _ := verdictOf(l.Verdict)
	_, verdict, _ = strings.Cut(verdict, " ")
	t.verdicts[verdict]++
	t.statuses[l.Status]++
	if l.ElapsedMS > t.slowest {
		t.slowest, t.slowTitle = l.ElapsedMS, cut(titleOf(l), 40)
	}
}

// Totals sums up in one line what Exchange has shown, and says how to see it again.
func (c *Console) Totals() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.totals
	if t.requests == 0 {
		c.print("\nno requests\n")
		return
	}
	parts := []string{
		counted(int64(t.requests), "request"),
		most(t.verdicts, func(verdict string, n int) string { return grouped(int64(n)) + " " + verdict }),
		most(t.statuses, func(status, n int) string {
			if status == 0 {
				return grouped(int64(n)) + " without an answer"
			}
			return fmt.Sprintf("%s × %d", grouped(int64(n)), status)
		}),
		fmt.Sprintf("slowest %s ms (%s)", grouped(int64(t.slowest+0.5)), t.slowTitle),
	}
	again := ""
	if !c.Forgets {
		again = "   " + c.paint(cyan, "slackdev requests")
	}
	c.print("\n" + strings.Join(parts, "; ") + again + "\n")
}

// most lists counts, the greatest first.
func most[K cmp.Ordered](counts map[K]int, tell func(K, int) string) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = tell(k, counts[k])
	}
	return strings.Join(texts, ", ")
}
