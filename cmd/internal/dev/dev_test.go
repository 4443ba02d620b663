package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/cmd/internal/config"
)

// fake is a gate for a machine that has some programs, and that notes what is run.
func fake(t *testing.T, has ...string) (*gate, *strings.Builder, *[]string) {
	t.Helper()
	var out strings.Builder
	ran := &[]string{}
	g := &gate{root: t.TempDir(), out: &out}
	g.look = func(name string) (string, error) {
		for _, h := range has {
			if h == name {
				return "/bin/" + name, nil
			}
		}
		return "", exec.ErrNotFound
	}
	g.run = func(_ context.Context, c command) error {
		*ran = append(*ran, strings.Join(append(c.env, c.args...), " "))
		return nil
	}
	return g, &out, ran
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhatIsMissingIsInstalled(t *testing.T) {
	all := []string{"chromium", "sshd", "ssh", "ssh-keygen", "ip", "nft", "curl", "node", "npm", "gcc"}
	for name, tc := range map[string]struct {
		has   []string
		admin bool
		ran   []string
		err   string
	}{
		"nothing is missing": {has: all},
		"root": {has: []string{"apt-get", "curl", "node", "npm", "chromium", "sshd"}, admin: true, ran: []string{
			"DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update",
			"DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends openssh-client iproute2 nftables gcc libc6-dev",
		}},
		"sudo": {has: append([]string{"apt-get", "sudo"}, all[1:]...), ran: []string{
			"DEBIAN_FRONTEND=noninteractive sudo apt-get -o DPkg::Lock::Timeout=120 update",
			"DEBIAN_FRONTEND=noninteractive sudo apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends chromium",
		}},
		"nobody may": {has: append([]string{"apt-get"}, all[1:]...), err: "missing: chromium. As root, run  apt-get"},
		"no Debian":  {has: all[2:], admin: true, err: "missing: chromium, sshd. This is no Debian"},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, ran := fake(t, tc.has...)
			g.admin = tc.admin
			err := g.install(t.Context())
			if (err != nil) != (tc.err != "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
				t.Errorf("got %v, want %q", err, tc.err)
			}
			if diff := cmp.Diff(strings.Join(tc.ran, "\n"), strings.Join(*ran, "\n")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestModulesAreInstalledWhenTheLockFileIsNewer(t *testing.T) {
	g, _, ran := fake(t, "chromium", "sshd", "ssh", "ssh-keygen", "ip", "nft", "curl", "node", "npm", "gcc")
	dir := filepath.Join(g.root, "webui/check")
	write(t, filepath.Join(dir, "package-lock.json"), "{}")
	write(t, filepath.Join(g.root, "a/node_modules/x/package-lock.json"), "{}")
	install := func(want int, when string) {
		t.Helper()
		*ran = nil
		if err := g.install(t.Context()); err != nil || len(*ran) != want {
			t.Errorf("%s: ran %q, %v", when, *ran, err)
		}
	}
	install(1, "fresh")
	write(t, filepath.Join(dir, "node_modules/.package-lock.json"), "{}")
	install(0, "installed")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "package-lock.json"), later, later); err != nil {
		t.Fatal(err)
	}
	install(1, "changed")
	if (*ran)[0] != "npm ci --ignore-scripts --no-audit --no-fund" {
		t.Errorf("ran %q", *ran)
	}
}

func TestTheReportCountsPartsAndNotTheirParents(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	const pkg = `"Package":"github.com/slackdev/slackdev/tunnel"`
	stream := strings.Join([]string{
		`go: downloading example.org/x v1.0.0`,
		`{"Action":"start",` + pkg + `}`,
		`{"Action":"run",` + pkg + `,"Test":"TestA"}`,
		`{"Action":"output",` + pkg + `,"Test":"TestA/one","Output":"    a_test.go:3: got 1\n"}`,
		`{"Action":"fail",` + pkg + `,"Test":"TestA/one","Elapsed":0.1}`,
		`{"Action":"pass",` + pkg + `,"Test":"TestA/two"}`,
		`{"Action":"output",` + pkg + `,"Test":"TestA/three","Output":"=== RUN   TestA/three\n"}`,
		`{"Action":"output",` + pkg + `,"Test":"TestA/three","Output":"    a_test.go:9: no sshd here\n"}`,
		`{"Action":"output",` + pkg + `,"Test":"TestA/three","Output":"--- SKIP: TestA/three (0.00s)\n"}`,
		`{"Action":"skip",` + pkg + `,"Test":"TestA/three"}`,
		`{"Action":"fail",` + pkg + `,"Test":"TestA"}`,
		`{"Action":"pass",` + pkg + `,"Test":"TestB"}`,
		`{"Action":"fail",` + pkg + `,"Elapsed":1.5}`,
		`{"Action":"pass","Package":"github.com/slackdev/slackdev","Test":"TestB","Elapsed":1}`,
		`{"Action":"pass","Package":"github.com/slackdev/slackdev","Elapsed":1}`,
		`{"Action":"skip","Package":"github.com/slackdev/slackdev/empty"}`,
		`{"Action":"build-output","ImportPath":"x","Output":"x.go:1: broken\n"}`,
	}, "\n")
	for len(stream) > 0 { // in pieces that do not end where lines do
		n := min(17, len(stream))
		if _, err := r.Write([]byte(stream[:n])); err != nil {
			t.Fatal(err)
		}
		stream = stream[n:]
	}
	got := r.finish()
	if got.passed != 3 || got.failed != 1 || !cmp.Equal(got.skipped, []string{"tunnel TestA/three: a_test.go:9: no sshd here"}) {
		t.Errorf("got %+v", got)
	}
	for _, want := range []string{"go: downloading", "--- FAIL: tunnel TestA/one (0.1 s)\n    a_test.go:3: got 1\n", "ok    github.com/slackdev/slackdev (1.0 s)", "x.go:1: broken"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestNodesSummaryIsCounted(t *testing.T) {
	for name, said := range map[string]string{"tap": "ok 1\n# pass 12\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 0\n", "spec": "ℹ tests 15\nℹ pass 12\nℹ fail 2\nℹ skipped 1\n"} {
		if got := nodeTotals("webui/check", []byte(said)); got.passed != 12 || got.failed != 2 || len(got.skipped) != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestASkippedTestFailsOnlyTheStrictGate(t *testing.T) {
	for _, strict := range []bool{false, true} {
		g, out, _ := fake(t)
		g.strict, g.totals = strict, totals{passed: 3, skipped: []string{"tunnel TestA: no sshd"}}
		err := g.sumUp(nil)
		if errors.Is(err, errFailed) != strict {
			t.Errorf("strict %v: %v", strict, err)
		}
		if !strings.Contains(out.String(), "  tunnel TestA: no sshd\n") || !strings.HasSuffix(out.String(), "\n3 passed, 0 failed, 1 skipped\n") {
			t.Errorf("strict %v: %q", strict, out)
		}
	}
}

func TestCIMakesTheGateStrict(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "1": true, "": false, "false": false, "0": false} {
		if got := truth(value); got != want {
			t.Errorf("CI=%q: %v", value, got)
		}
	}
}

func TestWrongUsageIsExplained(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module m\n")
	below := filepath.Join(root, "a", "b")
	for _, args := range [][]string{{}, {"tset"}, {"test", "--fast"}, {"test", "x"}, {"install", "x"}} {
		err := run(t.Context(), config.Env{Dir: below}, args)
		var wrong *usageError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run(t.Context(), config.Env{Dir: t.TempDir()}, []string{"test"}); err == nil || !strings.Contains(err.Error(), "no go.mod") {
		t.Errorf("outside: %v", err)
	}
}

// TestTheGateJudgesARealModule runs the gate, with real tools, over modules of a few lines.
func TestTheGateJudgesARealModule(t *testing.T) {
	for name, tc := range map[string]struct {
		code, test string
		strict     bool
		last       string
		told       []string
	}{
		"good": {"package m\n", "package m\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\n", true,
			"1 passed, 0 failed, 0 skipped", nil},
		"everything wrong": {"package m\n\nimport \"fmt\"\n\nfunc f() { fmt.Printf(\"%d\", \"x\")   }\n",
			"package m\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Error(\"it is wrong\") }\n\nfunc TestB(t *testing.T) { t.Skip(\"not today\") }\n", true,
			"0 passed, 1 failed, 1 skipped", []string{"run  gofmt -w m.go", "m TestB: m_test.go:7: not today", "m_test.go:5: it is wrong", "failed: gofmt, go vet, go test -race, skipped tests"}},
	} {
		t.Run(name, func(t *testing.T) {
			g, out, _ := fake(t, "chromium", "sshd", "ssh", "ssh-keygen", "ip", "nft", "curl", "node", "npm", "gcc")
			g.run, g.strict = execute, tc.strict
			write(t, filepath.Join(g.root, "go.mod"), "module m\n\ngo 1.26\n")
			write(t, filepath.Join(g.root, "m.go"), tc.code)
			write(t, filepath.Join(g.root, "m_test.go"), tc.test)
			err := g.test(t.Context())
			if (err != nil) != (len(tc.told) > 0) {
				t.Errorf("got %v", err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if lines[len(lines)-1] != tc.last {
				t.Errorf("the last line is %q, want %q", lines[len(lines)-1], tc.last)
			}
			for _, want := range tc.told {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, out)
				}
			}
		})
	}
}

func TestAGateThatIsInterruptedStops(t *testing.T) {
	g, _, ran := fake(t, "chromium", "sshd", "ssh", "ssh-keygen", "ip", "nft", "curl", "node", "npm", "gcc")
	ctx, cancel := context.WithCancel(t.Context())
	g.run = func(ctx context.Context, c command) error {
		*ran = append(*ran, c.args[1])
		cancel()
		return ctx.Err()
	}
	if err := g.test(ctx); !errors.Is(err, context.Canceled) || len(*ran) != 1 {
		t.Errorf("%v, after %q", err, *ran)
	}
	cmd := command{dir: t.TempDir(), args: []string{"cat", "/dev/zero"}, out: &strings.Builder{}}
	if err := execute(ctx, cmd); !errors.Is(err, context.Canceled) {
		t.Errorf("a command: %v", err)
	}
}
