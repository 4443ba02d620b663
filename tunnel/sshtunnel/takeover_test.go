package sshtunnel

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

func TestParentIsBelievedInItsOwnWordsAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		said string
		pid  uint64
		born uint64
	}{
		"a Linux machine":              {"slackdev-parent 4711 998877\n", 4711, 998877},
		"no times there":               {"slackdev-parent 4711 0\r\n", 4711, 0},
		"after a login's own words":    {"motd\nslackdev-parent 4711 1\n", 4711, 1},
		"half a number":                {"slackdev-parent 4711 99", 0, 0},
		"another program's number":     {"4711\n", 0, 0},
		"a forced command":             {"fatal: unrecognized command\n", 0, 0},
		"a number that is none":        {"slackdev-parent 4711;reboot 1\n", 0, 0},
		"a negative number":            {"slackdev-parent -1 1\n", 0, 0},
		"everybody":                    {"slackdev-parent 0 1\n", 0, 0},
		"a number that no process has": {"slackdev-parent 9999999999 1\n", 0, 0},
		"a flood":                      {strings.Repeat("x", 1000) + "\nslackdev-parent 4711 1\n", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			whole, split := new(parent), new(parent)
			whole.write([]byte(tc.said))
			for _, c := range []byte(tc.said) {
				split.write([]byte{c})
			}
			for how, p := range map[string]*parent{"at once": whole, "byte by byte": split} {
				want := ""
				if tc.pid != 0 {
					want = fmt.Sprintf(endCommand, tc.pid, tc.born)
				}
				if got := p.command(); got != want {
					t.Errorf("%s: got %q, want %q", how, got, want)
				}
			}
		})
	}
}

// FuzzParent: whatever a server says, two numbers are all of it that gets into a
// command.
func FuzzParent(f *testing.F) {
	f.Add([]byte("slackdev-parent 4711 998877\n"))
	f.Add([]byte("slackdev-parent 1 1\nslackdev-parent 2 2\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		p := new(parent)
		p.write(said)
		command := p.command()
		if command == "" {
			return
		}
		var pid, born uint64
		if n, err := fmt.Sscanf(command, "exec sh -c 'p=%d; t=%d;", &pid, &born); n != 2 || err != nil || pid <= 1 || command != fmt.Sprintf(endCommand, pid, born) {
			t.Errorf("%q became %q", said, command)
		}
	})
}

func TestShellCommandsAreReadAlikeByEveryShell(t *testing.T) {
	for _, command := range []string{parentCommand, fmt.Sprintf(endCommand, 4711, 998877)} {
		script, ok := strings.CutPrefix(command, "exec sh -c '")
		script, ok2 := strings.CutSuffix(script, "'")
		// What is left stands in single quotes, where csh still reads an exclamation
		// mark, fish a backslash before a quote, and csh no line's end.
		if !ok || !ok2 || strings.ContainsAny(script, "'!\\\n") {
			t.Errorf("not for every shell: %s", command)
		}
	}
}

func TestPortThatADeadConnectionHoldsIsTakenOver(t *testing.T) {
	for name, tc := range map[string]struct {
		said  string
		exit  uint32
		alive bool // the first tunnel still is
		runs  bool // the command is run
		works bool
	}{
		"the process is ended":      {said: "slackdev-parent 4711 5\n", runs: true, works: true},
		"it cannot be ended":        {said: "slackdev-parent 4711 5\n", exit: 7, runs: true},
		"it is not known":           {said: "welcome\n"},
		"the first tunnel is alive": {said: "slackdev-parent 4711 5\n", alive: true},
	} {
		t.Run(name, func(t *testing.T) {
			var held, ran atomic.Bool
			s := newFakeServer(t)
			s.forward = func(wire.ForwardRequest) (bool, uint32) { return !held.Swap(true), 4711 }
			s.session = func(ch ssh.Channel, command string) {
				if command == parentCommand {
					_, _ = ch.Write([]byte(tc.said))
					_ = ch.Close()
					return
				}
				if want := fmt.Sprintf(endCommand, 4711, 5); command != want {
					t.Errorf("ran %q, want %q", command, want)
				}
				ran.Store(true)
				held.Store(tc.exit != 0)
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{tc.exit}))
				_ = ch.Close()
			}
			p := providerFor(t, s, SSHD("ssh://x", Target{User: "x"}), s.listen())
			first, _ := openTunnel(t, s, p)
			<-first.session.ended
			if !tc.alive {
				_ = first.Close()
			}
			second, err := p.Open(t.Context())
			if (err == nil) != tc.works || ran.Load() != tc.runs {
				t.Fatalf("open: %v; ran %v: want success %v, run %v", err, ran.Load(), tc.works, tc.runs)
			}
			if err == nil {
				_ = second.Close()
			}
		})
	}
}
