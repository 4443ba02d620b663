package inspector_test

import (
	"testing"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/store/storetest"
)

func BenchmarkMatchText(b *testing.B) {
	x := storetest.NewMaker(1).Sized(1400)
	m := inspector.NewMatcher([]inspector.Term{{Key: inspector.KeyText, Values: []string{"milk"}}})
	for b.Loop() {
		if !m.Match(x) {
			b.Fatal("it has milk")
		}
	}
}

func BenchmarkSearchText(b *testing.B) {
	x := storetest.NewMaker(1).Sized(1400)
	for b.Loop() {
		if inspector.SearchText(x) == "" {
			b.Fatal("no text")
		}
	}
}
