package near_test

import (
	"strings"
	"testing"

	"github.com/slackdev/slackdev/inspector/near"
)

func TestDistance(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		want int
	}{
		"the same":      {"status", "status", 0},
		"nothing":       {"", "", 0},
		"all of it":     {"", "kind", 4},
		"one more":      {"kinds", "kind", 1},
		"one less":      {"knd", "kind", 1},
		"one changed":   {"kimd", "kind", 1},
		"neighbours":    {"kidn", "kind", 1},
		"two apart":     {"tset", "test", 1},
		"another word":  {"kind", "status", 6},
		"far too long":  {strings.Repeat("x", 1<<20), "kind", near.Longest},
		"a known value": {"kitten", "sitting", 3},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pair := range [][2]string{{tc.a, tc.b}, {tc.b, tc.a}} {
				if got := near.Distance(pair[0], pair[1]); got != tc.want {
					t.Errorf("from %.20q to %.20q: got %d, want %d", pair[0], pair[1], got, tc.want)
				}
			}
		})
	}
}
