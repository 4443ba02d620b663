package filter

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page for people and this package must not drift apart: every key, state and
// short kind is on it, and every example parses.
func TestDocumentationIsInStep(t *testing.T) {
	page, err := os.ReadFile("../../docs/filter-language.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keyNames() {
		if !strings.Contains(string(page), "`"+key+":") {
			t.Errorf("docs/filter-language.md does not have the key %s:", key)
		}
	}
	for alias := range kindAliases() {
		if !strings.Contains(string(page), "`"+alias+"`") {
			t.Errorf("docs/filter-language.md does not have the kind %s", alias)
		}
	}
	examples := regexp.MustCompile("`(-?(?:"+strings.Join(keyNames(), "|")+"):[^`]+)`").FindAllStringSubmatch(string(page), -1)
	if len(examples) < 20 {
		t.Fatalf("found only %d examples", len(examples))
	}
	for _, e := range examples {
		if _, err := Parse(e[1]); err != nil {
			t.Errorf("the example %s: %v", e[1], err)
		}
	}
}
