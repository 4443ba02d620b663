package inspector_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
)

func TestHeaderKeepsOrderAndSpelling(t *testing.T) {
	h := inspector.Header{{Name: "x-slack-signature", Value: "v0=a"}, {Name: "Accept", Value: "a"}, {Name: "X-Slack-Signature", Value: "v0=b"}}
	if got := h.Get("X-SLACK-SIGNATURE"); got != "v0=a" {
		t.Errorf("the first value in any case is %q, want v0=a", got)
	}
	if got := h.Get("missing"); got != "" {
		t.Errorf("a missing one is %q", got)
	}
	want := http.Header{"X-Slack-Signature": {"v0=a", "v0=b"}, "Accept": {"a"}}
	if diff := cmp.Diff(want, h.HTTP()); diff != "" {
		t.Errorf("as net/http has it (-want +got):\n%s", diff)
	}
}

func TestHeaderOfSortsNamesAndKeepsTheOrderOfValues(t *testing.T) {
	got := inspector.HeaderOf(http.Header{"B": {"2", "1"}, "A": {"x"}, "C": nil})
	want := inspector.Header{{Name: "A", Value: "x"}, {Name: "B", Value: "2"}, {Name: "B", Value: "1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("HeaderOf (-want +got):\n%s", diff)
	}
	if h := inspector.HeaderOf(nil); h != nil {
		t.Errorf("of nothing: %v", h)
	}
}
