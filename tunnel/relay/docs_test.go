package relay

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDocumentedLimitsAreTheDefaults holds that docs/relay-protocol.md names every
// default, and that the flags which set some of them have the same.
func TestDocumentedLimitsAreTheDefaults(t *testing.T) {
	l := Limits{}.withDefaults()
	documented := map[string]string{
		"Login":          lasting(l.Login) + " to log in",
		"Strangers":      fmt.Sprintf("%s connections that are not logged in", many(l.Strangers)),
		"StrangersEach":  fmt.Sprintf("not logged in, %s from one address", many(l.StrangersEach)),
		"Clients":        fmt.Sprintf("%s clients", many(l.Clients)),
		"ClientsEach":    fmt.Sprintf("clients, %s with one key", many(l.ClientsEach)),
		"Forwards":       fmt.Sprintf("%s forwards and", many(l.Forwards)),
		"Names":          fmt.Sprintf("%s in all. A name", many(l.Names)),
		"NamesPerKey":    fmt.Sprintf("%s names a key", many(l.NamesPerKey)),
		"NamesPerSource": fmt.Sprintf("%s that were first asked for from one address", many(l.NamesPerSource)),
		"NameKept":       "down for " + lasting(l.NameKept),
		"KeepAlive":      fmt.Sprintf("asks after %s without a byte, and closes the connection after %s", lasting(l.KeepAlive), lasting(silentFor*l.KeepAlive)),
		"Probe":          "no byte comes within " + lasting(l.Probe),
		"Open":           "takes longer than " + lasting(l.Open) + " to open",
		"ChannelIdle":    "not used for " + lasting(l.ChannelIdle),
		"ChannelsOpened": fmt.Sprintf("%d channels ahead of need", l.ChannelsOpened),
		"Handshake":      lasting(l.Handshake) + " for a handshake",
		"Handshakes":     fmt.Sprintf("%s under way", many(l.Handshakes)),
		"HandshakesEach": fmt.Sprintf("under way, %s from one address", many(l.HandshakesEach)),
		"Visitors":       fmt.Sprintf("requests of a name at once; %s connections", many(l.Visitors)),
		"Requests":       fmt.Sprintf("%s requests of a name at once", many(l.Requests)),
		"Head":           lasting(l.Head) + " for a head",
		"Idle":           fmt.Sprintf("%.0f s between requests", l.Idle.Seconds()),
		"BodyIdle":       lasting(l.BodyIdle) + " for which a body may stand still",
		"HalfClosed":     fmt.Sprintf("for %s after the end is given up", lasting(l.HalfClosed)),
		"StreamIdle":     lasting(l.StreamIdle) + " of silence of an app",
		"Drain":          fmt.Sprintf("have %s to finish", lasting(l.Drain)),
		"Hold":           fmt.Sprintf("its requests wait, for %s each", lasting(l.Hold)),
		"HoldRequests":   fmt.Sprintf("At most %s requests of a name wait so", many(l.HoldRequests)),
		"HoldTotal":      fmt.Sprintf("wait so, and %s in all", many(l.HoldTotal)),
		"Replay":         fmt.Sprintf("up to %d KiB, head and body", l.Replay>>10),
		"ReplayTotal":    fmt.Sprintf("no more than %d MiB", l.ReplayTotal>>20),
	}
	page := read(t, "relay-protocol.md")
	for field := range reflect.TypeFor[Limits]().Fields() {
		switch text, ok := documented[field.Name]; {
		case !ok:
			t.Errorf("Limits.%s is new: document it", field.Name)
		case !strings.Contains(page, text):
			t.Errorf("docs/relay-protocol.md does not say %q", text)
		}
	}

	commands, guide := read(t, "commands.md"), read(t, "relay.md")
	for flag, value := range map[string]time.Duration{"hold": l.Hold, "drain": l.Drain, "keepalive": l.KeepAlive} {
		wantDefault(t, commands, guide, flag, value.String(), lasting(value))
	}
	wantDefault(t, commands, guide, "max-requests", strconv.Itoa(l.Requests), many(l.Requests))
}

// wantDefault looks for a flag's default in what the program prints, and in the guide.
func wantDefault(t *testing.T, commands, guide, flag, printed, told string) {
	t.Helper()
	_, relay, _ := strings.Cut(commands, "## slackdev relay")
	_, row, _ := strings.Cut(relay, "| `--"+flag+" ")
	row, _, _ = strings.Cut(row, ") |")
	if want := "(default: " + printed; !strings.HasSuffix(row, want) {
		t.Errorf("docs/commands.md, --%s: %q does not end in %q", flag, row, want)
	}
	if want := "| `--" + flag + "` | " + told + " |"; !strings.Contains(guide, want) {
		t.Errorf("docs/relay.md does not say %q", want)
	}
}

// read gives a page with single blanks for all white space.
func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// many writes a number as the pages do.
func many(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// lasting writes a duration as the pages do.
func lasting(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%g h", d.Hours())
	case d >= 5*time.Minute:
		return fmt.Sprintf("%g min", d.Minutes())
	}
	return fmt.Sprintf("%g s", d.Seconds())
}
