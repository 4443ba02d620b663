//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/cmd/internal/config"
)

// shotRules answer for the app in the pictures.
const shotRules = `rules:
  - name: no-deploys-today
    match: {kind: outgoing_webhook, name: deploy}
    answer: {json: {text: "No deploys on Fridays, {{.user_name}}."}}
`

// TestScreenshots takes the README's pictures: an afternoon with an app, behind a relay
// of one's own. The clock is the test's, so that four seconds pass at once. With
// -update it writes the pictures; without, it only looks whether they would be right.
func TestScreenshots(t *testing.T) {
	browser := startBrowser(t)
	r := newRig(t, "")
	clock := &shotClock{at: time.Now().UTC().Truncate(24 * time.Hour).Add(14*time.Hour + 3*time.Minute + 11*time.Second)}
	r.now = clock.now
	if err := os.WriteFile(filepath.Join(r.project, "slackdev.yaml"), []byte(shotRules), 0o600); err != nil {
		t.Fatal(err)
	}
	run := r.behindRelay("relay.example.org")
	p := newTab(t, browser)
	p.do(chromedp.EmulateViewport(1280, 800), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "UTC"})
		return err
	}))
	p.enter(run.link)
	for _, s := range afternoon() {
		clock.pass(s.after)
		r.app.answers(s.app(clock))
		r.slack(run, s.delivery)
	}
	p.until("all of it is there", `see.rows().length >= 10 && see.rows().every((r) => r.done)`)
	p.click(`#list-rows .row[data-outcome=bad]`)
	p.until("the failed one is open", `see.shown('#tab-panel') && see.text('.detail-status') === '500'`)
	clock.pass(95 * time.Second)
	r.app.answers(shot{took: 38 * time.Millisecond, status: 200}.app(clock))
	p.press("r")
	p.until("the replay went well", `see.rows()[0].marks === 'replay' && see.rows()[0].done && see.$('#made-from a')`)
	eval[bool](p, `(see.$('#toasts button')?.click(), document.activeElement.blur(), true)`)
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, 990, 20))
	p.until("nothing covers it", `see.$('#toasts').childElementCount === 0`)
	expectShotRows(p)
	for scheme, file := range map[string]string{"light": "inspector.png", "dark": "inspector-dark.png"} {
		p.scheme(scheme)
		p.shoot(filepath.Join("../../docs", file))
	}
}

// expectShotRows holds that the picture tells what it should.
func expectShotRows(p *tab) {
	p.Helper()
	var got []string
	for _, r := range p.rows() {
		got = append(got, strings.Join([]string{r.Title, r.Text, r.Verdict, r.Status, r.Marks, r.Finding}, "|"))
	}
	want := []string{
		"app_mention|@todo what is left for the release?|signed|200|replay|",
		"/todo|import everything from the old tracker|signed|200||close call",
		"app_mention|@todo what is left for the release?|signed|200|retry 1|",
		"app_mention|@todo what is left for the release?|signed|500||bad status",
		"deploy|deploy todo to staging|signed|200|rule|",
		"/todo|show all|wrong secret|401||bad status",
		"add_item|buy milk|signed|200||slow answer",
		"done|milk|signed|200||",
		"/todo|add oat milk and two lemons|signed|200||",
		"message|who has the keys to the office?|signed|200||",
		"reaction_added|event callback|signed|200||",
		"/todo|list for today|signed|200||",
		"done|eggs|signed|200||",
		"url verification||signed|200||",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.Errorf("-want +got\n%s", diff)
	}
}

// shoot takes a picture of what the window shows, and keeps it where -update asks.
func (p *tab) shoot(file string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.Fatal(err)
	}
	size, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil || size.Width != 1280 || size.Height != 800 || len(picture) > 300_000 {
		p.Errorf("%s: %dx%d, %d bytes, %v", file, size.Width, size.Height, len(picture), err)
	}
	if *update {
		if err := os.WriteFile(file, picture, 0o644); err != nil {
			p.Fatal(err)
		}
		return
	}
	if _, err := os.Stat(file); err != nil {
		p.Errorf("%v; run  go test ./cmd/slackdev -run Screenshots -update", err)
	}
}

// shot is a request of Slack's and what the app makes of it.
type shot struct {
	delivery
	after  time.Duration // the one before
	took   time.Duration // by the app
	status int
	answer string // JSON, where it begins with a brace
}

// app answers as the shot says.
func (s shot) app(clock *shotClock) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		clock.pass(s.took)
		if strings.HasPrefix(s.answer, "{") {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.answer)
	}
}

// afternoon is what happens in the pictures.
func afternoon() []shot {
	const asked = "what is left for the release?"
	mention := map[string]string{"event_id": "Ev07SDEVQ3R", "event.user": "U07ANA", "event.channel": "C07DEV", "event.text": "@todo " + asked, "event.blocks.0.elements.0.elements.1.text": " " + asked}
	return []shot{
		{delivery{kind: "url_verification", set: map[string]string{"challenge": "3eZbrw1aB1"}}, 0, 4 * time.Millisecond, 200, "3eZbrw1aB1"},
		{delivery{kind: "block_actions", set: map[string]string{"user.name": "maria", "user.username": "maria", "actions.0.value": "eggs"}}, 38 * time.Second, 98 * time.Millisecond, 200, ""},
		{delivery{kind: "slash_command", set: map[string]string{"text": "list for today", "user_name": "chen"}}, 26 * time.Second, 341 * time.Millisecond, 200, `{"response_type":"ephemeral","text":"Three things"}`},
		{delivery{kind: "app_mention", set: map[string]string{"event.type": "reaction_added", "event.text": "", "event.user": "U07MARIA", "event.channel": "C07DEV"}}, 14 * time.Second, 9 * time.Millisecond, 200, ""},
		{delivery{kind: "app_mention", set: map[string]string{"event.type": "message", "event.text": "who has the keys to the office?", "event.user": "U07BOB", "event.channel": "C07OPS"}}, 48 * time.Second, 12 * time.Millisecond, 200, ""},
		{delivery{kind: "slash_command", set: map[string]string{"text": "add oat milk and two lemons", "user_name": "maria"}}, 71 * time.Second, 212 * time.Millisecond, 200, `{"response_type":"ephemeral","text":"Added: oat milk, two lemons"}`},
		{delivery{kind: "block_actions", set: map[string]string{"user.name": "chen", "user.username": "chen"}}, 9 * time.Second, 126 * time.Millisecond, 200, ""},
		{delivery{kind: "view_submission"}, 44 * time.Second, 3420 * time.Millisecond, 200, `{"response_action":"clear"}`},
		{delivery{kind: "slash_command", set: map[string]string{"text": "show all", "user_name": "bob", "channel_name": "ops"}, secret: "another app's"}, 20 * time.Second, time.Millisecond, 401, "not from Slack\n"},
		{delivery{kind: "outgoing_webhook", set: map[string]string{"user_name": "bob", "channel_name": "ops"}}, 33 * time.Second, 0, 200, ""},
		{delivery{kind: "app_mention", set: mention}, 61 * time.Second, 31 * time.Millisecond, 500, `{"error":"TypeError: cannot read 'items' of undefined"}`},
		{delivery{kind: "app_mention", set: mention, retry: 1}, 2 * time.Second, 44 * time.Millisecond, 200, ""},
		{delivery{kind: "slash_command", set: map[string]string{"text": "import everything from the old tracker"}}, 17 * time.Second, 2890 * time.Millisecond, 200, `{"response_type":"in_channel","text":"Imported 1 204 items"}`},
	}
}

// shotClock is a clock that the test moves.
type shotClock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *shotClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *shotClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// behindRelay runs a relay for a domain, and slackdev with a tunnel through it, both in
// this process, where r.now is the time.
func (r *rig) behindRelay(domain string) *tunnelRun {
	r.Helper()
	_, told := r.here("relay", "--ssh", "127.0.0.1:0", "--http", "127.0.0.1:0", "--domain", domain, "--scheme", "https", "--port", "443")
	ctx, cancel := patiently()
	defer cancel()
	relay, err := told.find(ctx, regexp.MustCompile(`SSH on (\S+), HTTP on (\S+)`), 1)
	if err != nil {
		r.Fatal(err)
	}
	out, told := r.here("tunnel", r.app.url, "--via", "relay://"+relay[1], "--local", "127.0.0.1:0", "--json")
	run := &tunnelRun{out: out, err: told}
	r.firstScreen(run)
	run.front = relay[2]
	return run
}

// here runs a command in this process until the test ends.
func (r *rig) here(args ...string) (out, told *stream) {
	r.Helper()
	out, err := newStream(filepath.Join(r.TempDir(), "out"))
	if err != nil {
		r.Fatal(err)
	}
	if told, err = newStream(filepath.Join(r.TempDir(), "err")); err != nil {
		r.Fatal(err)
	}
	root := newRoot(r.env(out, told))
	root.SetArgs(args)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	r.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			r.Errorf("slackdev %s: %v", args[0], err)
		}
		out.end()
		told.end()
	})
	return out, told
}

// env is the rig's own outside.
func (r *rig) env(stdout, stderr io.Writer) config.Env {
	return config.Env{
		OS: runtime.GOOS, Dir: r.project, User: "ana", Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Now: r.now, Random: rand.Reader,
		Lookup: func(name string) (string, bool) { home, ok := map[string]string{"HOME": r.home}[name]; return home, ok },
	}
}
