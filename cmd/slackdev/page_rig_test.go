//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/replay/compose"
)

// rig is what stands behind the page in its tests: the program as it is installed, in
// a home of its own, an app behind it, and Slack in front of it.
type rig struct {
	*testing.T
	binary  string
	home    string
	project string
	secret  string
	app     *pageApp
	now     func() time.Time
}

// buildProgram builds slackdev as it is installed, race detector included where these
// tests have it.
func buildProgram(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "slackdev")
	args := []string{"build", "-o", binary}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" {
				args = append(args, "-race="+s.Value)
			}
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// newRig gives a fresh home, a project with a signing secret in its .env, and an app.
func newRig(t *testing.T, binary string) *rig {
	t.Helper()
	r := &rig{T: t, binary: binary, home: t.TempDir(), project: filepath.Join(t.TempDir(), "todo"), secret: strings.Repeat("5ec4e7", 5), now: time.Now}
	if err := os.Mkdir(r.project, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.project, ".env"), []byte("SLACK_SIGNING_SECRET="+r.secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.app = &pageApp{got: make(chan []byte, 1000)}
	server := httptest.NewServer(r.app)
	t.Cleanup(server.Close)
	r.app.url = server.URL
	return r
}

// tunnelRun is one life of `slackdev tunnel` (or, without the first fields, of another
// process).
type tunnelRun struct {
	public *url.URL // where Slack posts, without the path
	front  string   // where public is, for those who do not ask the DNS: host:port
	local  string   // host:port of the page
	link   string   // what the terminal shows: the page's address with the token
	cmd    *exec.Cmd
	out    *stream
	err    *stream
	ended  chan struct{} // closed when the process has ended
}

// tunnel starts `slackdev tunnel` and waits for its first screen. It ends with the test,
// or with stop.
func (r *rig) tunnel(local string) *tunnelRun {
	r.Helper()
	run := r.spawn(r.binary, "tunnel", r.app.url, "--via", "embedded", "--local", local, "--json")
	r.firstScreen(run)
	return run
}

// spawn starts a process in the project and the home of this rig. It ends with the test.
func (r *rig) spawn(args ...string) *tunnelRun {
	r.Helper()
	run := &tunnelRun{ended: make(chan struct{})}
	var err error
	if run.out, err = newStream(filepath.Join(r.TempDir(), "out")); err != nil {
		r.Fatal(err)
	}
	if run.err, err = newStream(filepath.Join(r.TempDir(), "err")); err != nil {
		r.Fatal(err)
	}
	run.cmd = exec.Command(args[0], args[1:]...)
	run.cmd.Dir, run.cmd.Stdout, run.cmd.Stderr = r.project, run.out, run.err
	run.cmd.Env = []string{"HOME=" + r.home, "USER=ana", "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}
	if err := run.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	go func() { // it has ended when ended is closed, for which the test's end waits
		defer close(run.ended)
		_ = run.cmd.Wait()
		run.out.end()
		run.err.end()
	}()
	r.Cleanup(func() {
		_ = run.cmd.Process.Kill() // it may have ended
		<-run.ended
		if strings.Contains(run.err.String(), "DATA RACE") {
			r.Errorf("the program says\n%s", run.err)
		}
	})
	return run
}

// firstScreen waits until people and programs are told where everything is.
func (r *rig) firstScreen(run *tunnelRun) {
	r.Helper()
	ctx, cancel := patiently()
	defer cancel()
	line, err := run.out.find(ctx, regexp.MustCompile(`(?m)^\{"type":"ready",.*\}$`), 1)
	if err != nil {
		r.Fatalf("%v\n%s", err, run.err)
	}
	link, err := run.err.find(ctx, regexp.MustCompile(`Inspect +(http://\S+)`), 1)
	if err != nil {
		r.Fatalf("%v\n%s", err, run.err)
	}
	var ready struct {
		Public string `json:"public_url"`
		Local  string `json:"local_url"`
	}
	if err := json.Unmarshal([]byte(line[0]), &ready); err != nil {
		r.Fatal(err)
	}
	if run.public, err = url.Parse(ready.Public); err != nil {
		r.Fatal(err)
	}
	run.front = "127.0.0.1:" + run.public.Port()
	run.local, run.link = strings.TrimPrefix(ready.Local, "http://"), link[1]
}

// stop is Ctrl-C, and then the end.
func (r *rig) stop(run *tunnelRun) {
	r.Helper()
	if err := run.cmd.Process.Signal(os.Interrupt); err != nil {
		r.Fatal(err)
	}
	select {
	case <-run.ended:
	case <-time.After(patience):
		r.Fatalf("it does not end\n%s", run.err)
	}
	if status := run.cmd.ProcessState.ExitCode(); status != 0 {
		r.Errorf("exit status %d\n%s", status, run.err)
	}
}

// delivery is one request of Slack's.
type delivery struct {
	kind   string            // what compose makes
	set    map[string]string // by path
	body   string            // in place of kind: JSON
	secret string            // "": the app's
	retry  int               // which retry, after a timeout
	header map[string]string // besides Slack's own
}

// slack delivers a request through the public address, signed, and gives the status and
// the body of the answer.
func (r *rig) slack(run *tunnelRun, d delivery) (int, string) {
	r.Helper()
	req, err := r.request(run, d)
	if err != nil {
		r.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// request makes a signed request for the public name, which is not looked up.
func (r *rig) request(run *tunnelRun, d delivery) (*http.Request, error) {
	body, head := []byte(d.body), http.Header{"Content-Type": {"application/json"}}
	if d.kind != "" {
		var set []slack.Set
		for path, value := range d.set {
			set = append(set, slack.Set{Path: path, Value: value})
		}
		q, err := compose.Request(d.kind, compose.Options{Set: set, Now: r.now})
		if err != nil {
			return nil, err
		}
		body, head = q.Body.Bytes, q.Header.HTTP()
	}
	secret := r.secret
	if d.secret != "" {
		secret = d.secret
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+run.front+compose.DefaultPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Host, req.Header = run.public.Host, head
	timestamp := strconv.FormatInt(r.now().Unix(), 10)
	req.Header.Set("X-Slack-Request-Timestamp", timestamp)
	req.Header.Set("X-Slack-Signature", signature(secret, timestamp, body))
	if d.retry > 0 {
		req.Header.Set("X-Slack-Retry-Num", strconv.Itoa(d.retry))
		req.Header.Set("X-Slack-Retry-Reason", "http_timeout")
	}
	for name, value := range d.header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// wire sends a request byte by byte as it is given, and gives how the answer begins.
func (r *rig) wire(run *tunnelRun, raw string) string {
	r.Helper()
	conn, err := net.Dial("tcp", run.front)
	if err != nil {
		r.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		r.Fatal(err)
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		r.Fatal(err)
	}
	begin := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(conn, begin); err != nil {
		r.Fatal(err)
	}
	return string(begin)
}

// pageApp is the developer's app.
type pageApp struct {
	url string
	got chan []byte // the bodies of requests, as they came

	mu     sync.Mutex // guards answer
	answer http.HandlerFunc
}

// answers says what the app does from now on; nil is the usual.
func (a *pageApp) answers(f http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

// ServeHTTP answers one request.
func (a *pageApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender broke off
	}
	select {
	case a.got <- body:
	default: // nobody looks
	}
	a.mu.Lock()
	answer := a.answer
	a.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"response_type":"ephemeral","text":"Added"}`)
}
