package console

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/slackdev/slackdev/cmd/internal/doctor"
)

func TestACheckIsOneLineWithItsFix(t *testing.T) {
	down := doctor.Check{Name: "app", Mark: doctor.Bad, Text: "nothing listens on localhost:3000", Fix: "start your app"}
	for name, tc := range map[string]struct {
		width int
		check doctor.Check
		want  string
	}{
		"good":            {0, doctor.Check{Name: "dns", Mark: doctor.Good, Text: "relay.example.org is 192.0.2.7", Took: 12 * time.Millisecond}, "✓ dns           relay.example.org is 192.0.2.7  (12 ms)\n"},
		"bad":             {0, down, "✗ app           nothing listens on localhost:3000  → start your app\n"},
		"bad, and narrow": {60, down, "✗ app           nothing listens on localhost:3000\n                → start your app\n"},
		"of a stranger":   {0, doctor.Check{Name: "ssh", Mark: doctor.Warning, Text: "SSH-2.0-\x1b[2Jx\nxoxb-1234567890-abcdefghij"}, "! ssh           SSH-2.0-\\u001b[2Jx\\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			c := Console{Out: &out, Width: tc.width}
			if err := c.Check(tc.check); err != nil || !strings.HasPrefix(out.String(), tc.want) || strings.Contains(out.String(), "abcdefghij") {
				t.Errorf("got\n%q, want\n%q (%v)", out.String(), tc.want, err)
			}
		})
	}
}

func TestACheckAsJSONHasAllItsKeys(t *testing.T) {
	var out bytes.Buffer
	j := JSON{W: &out}
	if err := j.Check(doctor.Check{Name: "dns", Mark: doctor.Good, Text: "found", Took: 1234567 * time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"check","name":"dns","mark":"ok","text":"found","fix":"","took_ms":1.23}` + "\n"; out.String() != want {
		t.Errorf("got %s, want %s", out.String(), want)
	}
}
