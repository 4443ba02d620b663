//go:build unix

package sshtunnel_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// A connection that a middlebox forgot is alive for the server, which keeps its port.
// Whoever comes back ends that process and has the port, whatever the login shell is.
func TestOpenSSHPortIsTakenOverFromADeadConnection(t *testing.T) {
	for _, shell := range []string{"", "sh", "dash", "bash", "busybox sh", "csh", "fish", "zsh", "ksh"} {
		name, _, _ := strings.Cut(shell, " ")
		if _, err := exec.LookPath(name); name != "" && err != nil {
			continue // TestShellCommandsAreReadAlikeByEveryShell has an eye on those that are not here
		}
		t.Run("login shell "+shell, func(t *testing.T) {
			s, p := sshdProvider(t)
			if shell != "" {
				s.config(`ForceCommand exec ` + shell + ` -c "$SSH_ORIGINAL_COMMAND"`)
			}
			took := takeOver(t, s, p)
			t.Logf("taken over in %v", took)
		})
	}
}

// takeOver opens a tunnel, loses it without the server's knowing, and opens it again:
// at the same port, or the test fails. It gives the time that this took.
func takeOver(t testing.TB, s *sshd, p *sshtunnel.Provider) time.Duration {
	t.Helper()
	s.start()
	fault := tunneltest.StartFault(t, fmt.Sprintf("127.0.0.1:%d", s.port), 1)
	p.Profile.Port = fault.Port()
	p.KeepAlive = sshtunnel.KeepAlive{Idle: 500 * time.Millisecond, Answer: 500 * time.Millisecond}
	first, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	<-sshtunnel.SessionEnded(first)
	fault.Forget()
	if c, err := first.Accept(); err == nil {
		t.Fatalf("accepted %v from a dead connection", c)
	}
	began := time.Now()
	second, err := p.Open(t.Context())
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	defer second.Close()
	if first.URL().String() != second.URL().String() {
		t.Errorf("the second tunnel is %s, the first was %s", second.URL(), first.URL())
	}
	return time.Since(began)
}

// Where the process cannot be ended, nothing else happens: the port is refused, and
// heals when the server notices.
func TestOpenSSHPortIsNotTakenOver(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		forge  func(t *testing.T) string // what is told in place of the parent; nil: the truth
	}{
		"a forced command":            {config: "ForceCommand echo no shell here"},
		"a command that is not found": {config: "ForceCommand /nonexistent"},
		"another process's number": {forge: func(t *testing.T) string {
			cmd := exec.CommandContext(t.Context(), "sleep", "100")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if cmd.Process.Kill() != nil {
					t.Error("a process that is no sshd was ended")
				}
				_ = cmd.Wait()
			})
			return fmt.Sprintf("slackdev-parent %d 0", cmd.Process.Pid)
		}},
		"a number that was used again": {forge: func(*testing.T) string { return `slackdev-parent $(ps -o ppid= -p $PPID | tr -d " ") 1` }},
		"init":                         {forge: func(*testing.T) string { return "slackdev-parent 1 0" }},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := sshdProvider(t)
			if tc.forge != nil {
				s.write("forged", `case $SSH_ORIGINAL_COMMAND in *slackdev-parent*) echo "`+tc.forge(t)+`" ;; *) exec sh -c "$SSH_ORIGINAL_COMMAND" ;; esac`)
				tc.config = "ForceCommand exec sh " + filepath.Join(s.dir, "forged")
			}
			s.config(tc.config)
			s.start()
			fault := tunneltest.StartFault(t, fmt.Sprintf("127.0.0.1:%d", s.port), 1)
			p.Profile.Port = fault.Port()
			first, err := p.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			<-sshtunnel.SessionEnded(first)
			if said := first.(*sshtunnel.Tunnel).Notices(); len(said) != 0 {
				t.Errorf("a person is told %q", said)
			}
			fault.Forget()
			_ = first.Close()
			if second, err := p.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "the server refuses to forward it") {
				_ = second.Close()
				t.Errorf("open again: got %v, want the port refused", err)
			}
		})
	}
}

// BenchmarkOpenSSHTakeOver is Open while a dead connection holds the port, to the URL.
func BenchmarkOpenSSHTakeOver(b *testing.B) {
	total := time.Duration(0)
	for b.Loop() {
		s, p := sshdProvider(b)
		total += takeOver(b, s, p)
		s.stop()
	}
	b.ReportMetric(0, "ns/op") // it is mostly the waiting for the keep-alive
	b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/takeover")
}
