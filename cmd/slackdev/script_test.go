//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// patience is how long a script waits for what it was told will happen. It is for a
// machine that is busy with everything else; nothing here takes a tenth of it.
const patience = 30 * time.Second

// TestMain lets the test binary be the program as well: in a script, slackdev is this
// file under another name, so that what runs is what was compiled, race detector
// included.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"slackdev": func() { os.Exit(Main(os.Args[1:])) },
	})
}

// TestScripts runs what a user sees: each file below testdata/script makes one claim,
// and its folder is the command that the claim is about.
//
// A script works in a folder of its own ($WORK), with a home ($HOME) and a signing
// secret ($SECRET, and another app's: $OTHER_SECRET) that nobody else has. It meets
// no network but loopback: the tunnel is the embedded one unless it asks for
// another. Besides testscript's own commands there are:
//
//   - app, port, app-saw, app-request: a Slack app (script_app_test.go)
//   - start, end, kill9, signal, exited, hang-up, exits, keep, until, wait-for: the
//     program (script_process_test.go)
//   - slack-post, answer, trickle, trickle-end, flood-headers: Slack, and those who
//     are not Slack (script_slack_test.go)
//   - json, json-get, json-contract: lines of JSON (script_json_test.go)
//   - sshd, sshd-allow, sshd-rekey: a real OpenSSH server (script_sshd_test.go)
//   - certificate, await-certificate, shake-until, speak-tls: TLS in front (script_tls_test.go)
//   - proxy, proxy-asked, tls: what stands between (script_ways_test.go)
//   - service, service-asked: a public tunnel service (script_service_test.go)
//   - terminal, type, echoes: a person at a terminal (script_terminal_test.go)
//   - write, take-port, newer-format, private: files and ports (script_files_test.go)
func TestScripts(t *testing.T) {
	folders, err := filepath.Glob("testdata/script/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no folders of scripts: %v", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			deadline, _ := t.Deadline()
			testscript.RunT(&witness{T: t}, testscript.Params{
				Dir: folder, Setup: setUpStage, Cmds: scriptCommands(), Condition: scriptCondition, Deadline: deadline,
				RequireExplicitExec: true, RequireUniqueNames: true,
			})
		})
	}
}

// A scriptCommand is what a line of a script calls. An error fails the script, or is
// what the script wants where the line begins with !.
type scriptCommand func(s *stage, ts *testscript.TestScript, args []string) error

// scriptCommands are all commands besides testscript's own.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	commands := map[string]func(*testscript.TestScript, bool, []string){}
	for name, run := range map[string]scriptCommand{
		"app": (*stage).startApp, "port": (*stage).reservePort, "app-saw": (*stage).appSaw, "app-request": (*stage).appRequest, "app-release": (*stage).appRelease,
		"start": (*stage).startProgram, "end": (*stage).endProgram, "kill9": (*stage).killProgram, "signal": (*stage).signalProgram, "exited": (*stage).exitedProgram,
		"hang-up": (*stage).hangUp, "exits": (*stage).exits, "keep": (*stage).keepOutput, "until": (*stage).until, "wait-for": (*stage).waitFor,
		"terminal": (*stage).startOnTerminal, "type": (*stage).typeKeys, "echoes": (*stage).checkEcho,
		"slack-post": (*stage).slackPost, "answer": (*stage).awaitAnswer, "trickle": (*stage).trickle, "trickle-end": (*stage).trickleEnd, "flood-headers": (*stage).floodHeaders,
		"json": (*stage).matchJSON, "json-get": (*stage).getJSON, "json-contract": (*stage).checkContract,
		"sshd": (*stage).startSSHD, "sshd-allow": (*stage).allowKey, "sshd-rekey": (*stage).changeHostKey,
		"certificate": (*stage).makeCertificate, "await-certificate": (*stage).awaitCertificate, "shake-until": (*stage).shakeUntil, "speak-tls": (*stage).speakTLS,
		"proxy": (*stage).startProxy, "proxy-asked": (*stage).proxyAsked, "tls": (*stage).startTLS,
		"service": (*stage).startService, "service-asked": (*stage).serviceAsked,
		"write": (*stage).writeFile, "take-port": (*stage).takePort, "newer-format": (*stage).newerFormat, "private": (*stage).checkPrivate,
	} {
		commands[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			err := run(ts.Value(stageKey{}).(*stage), ts, args)
			switch {
			case err != nil && !neg:
				ts.Fatalf("%s: %v", name, err)
			case err == nil && neg:
				ts.Fatalf("%s: this should have failed", name)
			case err != nil:
				ts.Logf("[%v]", err)
			}
		}
	}
	return commands
}

// scriptCondition knows [sshd]: there is an OpenSSH server on this machine, and
// [terminals]: a test can make one.
func scriptCondition(name string) (bool, error) {
	switch name {
	case "terminals":
		tty, err := newTerminal()
		if err == nil {
			tty.close()
		}
		return err == nil, nil
	case "sshd":
	default:
		return false, fmt.Errorf("there is no condition %q", name)
	}
	_, err := sshdPath()
	return err == nil, nil
}

// stage is everything around one script. The script's own goroutine uses it alone;
// what runs beside it has locks of its own.
type stage struct {
	dir       string // $WORK
	home      string // $HOME
	secrets   []string
	apps      map[string]*scriptApp
	ports     map[string]*reserved
	running   map[string]*program
	posts     map[string]*post
	slow      map[string]*slowPost
	servers   map[string]*sshServer
	proxies   map[string]*tunneltest.Proxy
	services  map[string]*scriptService
	authority *authority // nil before the first certificate
	closers   []func()   // called in reverse when the script is over
}

type stageKey struct{}

// passedNames are the variables that the program gets from the script, by name, since a
// script's whole environment cannot be asked for. start can set others.
func passedNames() []string {
	return []string{
		"HOME", "PATH", "TMPDIR", "USER", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "SSH_AUTH_SOCK", "GORACE", "GOCOVERDIR",
		"SLACKDEV_LOCAL", "SLACKDEV_VIA", "SLACK_SIGNING_SECRET", "NO_COLOR", "TERM", "SSL_CERT_FILE",
	}
}

// setUpStage gives a script its home, its secrets and its end.
func setUpStage(env *testscript.Env) error {
	s := &stage{
		dir: env.WorkDir, home: filepath.Join(env.WorkDir, ".home"),
		apps: map[string]*scriptApp{}, ports: map[string]*reserved{}, running: map[string]*program{},
		posts: map[string]*post{}, slow: map[string]*slowPost{}, servers: map[string]*sshServer{}, proxies: map[string]*tunneltest.Proxy{}, services: map[string]*scriptService{},
	}
	for _, name := range []string{"SECRET", "OTHER_SECRET"} {
		s.secrets = append(s.secrets, strings.ToLower(rand.Text()))
		env.Setenv(name, s.secrets[len(s.secrets)-1])
	}
	if err := os.MkdirAll(s.home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", s.home)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(s.home, "config"))
	env.Setenv("XDG_DATA_HOME", filepath.Join(s.home, "data"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(s.home, "state"))
	env.Setenv("USER", "ana")
	env.Setenv("TERM", "xterm")
	env.Setenv("SLACKDEV_VIA", "embedded")      // nobody reaches the internet because he forgot to say so
	env.Setenv("SLACKDEV_LOCAL", "127.0.0.1:0") // many run at once
	env.Setenv("GORACE", "atexit_sleep_ms=0")   // the race detector's second of leave-taking, for each command
	env.Values[stageKey{}] = s
	w := env.T().(*witness)
	w.stage = s
	env.Defer(func() {
		for i := len(s.closers) - 1; i >= 0; i-- {
			s.closers[i]()
		}
		for _, found := range s.leaks() {
			w.Error(found)
		}
	})
	return nil
}

// then calls f when the script is over, the last one first.
func (s *stage) then(f func()) { s.closers = append(s.closers, f) }

// patiently gives a context for what must not take long.
func patiently() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// slackTokens finds what redaction must have masked. Scripts put such tokens into payloads.
func slackTokens() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(xox[a-z]|xapp|xwfp)-[a-z0-9-]{8,}`)
}

// leaks looks for what may not be there: in all that the program printed in the
// background, and in all that it keeps in the user's home. (What it printed in the
// foreground is in the script's log: see witness.)
func (s *stage) leaks() []string {
	var found []string
	for name, p := range s.running {
		for what, text := range map[string]string{"out": p.out.String(), "err": p.err.String()} {
			if wrong := s.wrongIn(text); wrong != "" {
				found = append(found, fmt.Sprintf("%s.%s holds %s", name, what, wrong))
			}
		}
	}
	err := filepath.WalkDir(s.home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for i, secret := range s.secrets {
			if strings.Contains(string(text), secret) {
				found = append(found, fmt.Sprintf("%s keeps signing secret %d", path, i+1))
			}
		}
		return err
	})
	if err != nil {
		found = append(found, err.Error())
	}
	return found
}

// wrongIn says what no text of the program may hold, without showing it again: a
// secret, or the traces of a mistake.
func (s *stage) wrongIn(text string) string {
	for i, secret := range s.secrets {
		if strings.Contains(text, secret) {
			return fmt.Sprintf("signing secret %d", i+1)
		}
	}
	if token := slackTokens().FindString(text); token != "" {
		return "the token that begins with " + token[:8]
	}
	for _, trace := range []string{"DATA RACE", "panic:", "goroutine 1 ["} {
		if strings.Contains(text, trace) {
			return "the words " + trace
		}
	}
	return ""
}

// witness is the test that a script runs in. It has testscript keep the whole log,
// looks for secrets in what the program printed, and passes it on where somebody wants to read it.
type witness struct {
	*testing.T
	stage *stage
}

// Run runs one script in a test of its own.
func (w *witness) Run(name string, f func(testscript.T)) {
	w.T.Run(name, func(t *testing.T) { f(&witness{T: t}) })
}

// Verbose makes testscript keep the output of commands that went well.
func (w *witness) Verbose() bool { return true }

// Log gets the whole log when the script is over. It begins with the environment,
// which is the script's and not the program's.
func (w *witness) Log(args ...any) {
	text := fmt.Sprint(args...)
	if begin := regexp.MustCompile(`(?m)^(#|> )`).FindStringIndex(text); begin != nil {
		text = text[begin[0]:]
	}
	if w.stage != nil {
		printed := regexp.MustCompile(`(?m)^> .*$`).ReplaceAllString(text, "") // without the script's own lines
		if wrong := w.stage.wrongIn(printed); wrong != "" {
			w.Errorf("the program printed %s", wrong)
		}
	}
	if w.Failed() || testing.Verbose() {
		w.T.Log(text)
	}
}

// sshdPath finds the OpenSSH server, which is often not on the PATH of a user.
func sshdPath() (string, error) {
	if path, err := exec.LookPath("sshd"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/sshd"
	_, err := os.Stat(debian)
	return debian, err
}
