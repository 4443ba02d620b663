package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector/export"
)

// api answers each "METHOD /path?query" of routes with its handler, and fails the test
// on anything else, and on what comes without the token.
func api(t *testing.T, routes map[string]http.HandlerFunc) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, ok := routes[r.Method+" "+r.URL.RequestURI()]
		switch {
		case r.Header.Get("Authorization") != "Bearer tok":
			t.Errorf("%s %s without the token", r.Method, r.URL)
		case r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json":
			t.Errorf("%s is sent as %q", r.URL, r.Header.Get("Content-Type"))
		case !ok:
			t.Errorf("nobody expects %s %s", r.Method, r.URL.RequestURI())
			http.NotFound(w, r)
		default:
			handler(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return New(Run{Address: s.Listener.Addr().String(), Token: "tok", PID: os.Getpid(), Project: "/p", Started: time.Now()}), s
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// hears checks the body that a call sends, and answers.
func hears(t *testing.T, want, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s (%v), want %s", r.URL, got, err, want)
		}
		fmt.Fprint(w, answer)
	}
}

func TestErrorsKeepTheServersWordsAndHint(t *testing.T) {
	for name, tc := range map[string]struct {
		answer  http.HandlerFunc
		message string
		hint    string
		exit    int
	}{
		"wrong query": {says(400, `{"error":"no such key kin:","hint":"did you mean kind:"}`), "no such key kin:", "did you mean kind:", 2},
		"no token":    {says(401, `{"error":"who are you","hint":""}`), "who are you", "", 4},
		"not found":   {says(404, `{"error":"no such request","hint":"slackdev requests"}`), "no such request", "slackdev requests", 1},
		"not JSON":    {says(500, "<html>\x1b"), "the local API answered 500", "", 1},
		"endless":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); w.Write(make([]byte, 1<<20)) }, "the local API answered 500", "", 1},
		"redirected":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 302) }, "the local API answered 302", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := api(t, map[string]http.HandlerFunc{"GET /api/v1/status": tc.answer})
			_, err := c.Status(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Message != tc.message {
				t.Fatalf("got %v, want %q", err, tc.message)
			}
			if hint, exit := e.Explain(); hint != tc.hint || exit != tc.exit {
				t.Errorf("got %q, exit %d; want %q, exit %d", hint, exit, tc.hint, tc.exit)
			}
		})
	}
}

func TestAnswersOfSomebodyElseAreRefused(t *testing.T) {
	for name, body := range map[string]string{"text": "hello", "list": "[]", "half": `{"version":`} {
		c, _ := api(t, map[string]http.HandlerFunc{"GET /api/v1/status": says(200, body)})
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "is not slackdev's") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c, _ := api(t, map[string]http.HandlerFunc{"GET /api/v1/status": func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}})
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("endless: got %v", err)
	}
}

func TestNobodyAnsweringIsExitStatusThree(t *testing.T) {
	c, s := api(t, nil)
	s.Close()
	_, err := c.Status(t.Context())
	var e interface{ Explain() (string, int) }
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	if hint, exit := e.Explain(); exit != 3 || hint == "" {
		t.Errorf("exit %d, hint %q", exit, hint)
	}
	if strings.Contains(err.Error(), "http://") {
		t.Errorf("the error repeats the URL: %v", err)
	}
}

func TestEachCallAsksAsThePageSays(t *testing.T) {
	line := `{"type":"exchange","id":"01A","status":200,"done":true}`
	c, _ := api(t, map[string]http.HandlerFunc{
		"GET /api/v1/status":    says(200, `{"version":"v","pid":7,"tunnel":{"state":"up","notices":["x"]},"secrets":["a"],"store":{"exchanges":3},"seq":12}`),
		"GET /api/v1/exchanges": says(200, `{"exchanges":[`+line+`],"next":"","seq":4}`),
		"GET /api/v1/exchanges?before=01B&limit=5&q=kind%3Ax+%26": says(200, `{"exchanges":[],"next":"01A","seq":4}`),
		"GET /api/v1/exchanges/last":                              says(200, `{"id":"01A","request":{"headers":[{"name":"A","value":"b"}]},"findings":[{"code":"slow"}]}`),
		"GET /api/v1/exchanges/a%2Fb?secrets=1":                   says(200, `{"id":"01A"}`),
		"GET /api/v1/exchanges/last/curl":                         says(200, `{"curl":"curl x"}`),
		"POST /api/v1/exchanges/delete":                           hears(t, `{"ids":["01A","01B"]}`, `{"deleted":2}`),
		"POST /api/v1/exchanges/01A/pin":                          hears(t, `{"pinned":true}`, ``),
		"POST /api/v1/exchanges/01B/pin":                          hears(t, `{"pinned":false}`, ``),
		"GET /api/v1/kinds":                                       says(200, `{"kinds":[{"name":"slash_command","summary":"s","fields":["text"]}]}`),
		"GET /api/v1/rules":                                       says(200, `{"file":"f","error":"","rules":[{"name":"a","hits":2,"last":"2026-11-21T12:00:00Z","kind":"x"},{"name":"b","last":null}]}`),
		"POST /api/v1/rules":                                      hears(t, `{"rule":{"name":"c"}}`, `{"rules":[]}`),
		"POST /api/v1/rules/delete":                               hears(t, `{"name":"c"}`, `{"rules":[]}`),
	})
	ctx := t.Context()
	s, err := c.Status(ctx)
	if err != nil || s.PID != 7 || s.Tunnel.State != "up" || s.Store.Exchanges != 3 || s.Seq != 12 {
		t.Errorf("status %+v, %v", s, err)
	}
	if p, err := c.Exchanges(ctx, "", "", 0); err != nil || len(p.Exchanges) != 1 || p.Exchanges[0].ID != "01A" || p.Seq != 4 {
		t.Errorf("exchanges %+v, %v", p, err)
	}
	if p, err := c.Exchanges(ctx, "kind:x &", "01B", 5); err != nil || p.Next != "01A" {
		t.Errorf("exchanges %+v, %v", p, err)
	}
	if d, err := c.Exchange(ctx, "last"); err != nil || d.Request.Headers[0].Value != "b" || d.Findings[0].Code != "slow" {
		t.Errorf("exchange %+v, %v", d, err)
	}
	if _, err := c.UnmaskedExchange(ctx, "a/b"); err != nil {
		t.Error(err)
	}
	if curl, err := c.Curl(ctx, "last"); err != nil || curl != "curl x" {
		t.Errorf("curl %q, %v", curl, err)
	}
	if n, err := c.Delete(ctx, "01A", "01B"); err != nil || n != 2 {
		t.Errorf("deleted %d, %v", n, err)
	}
	if err := errors.Join(c.Pin(ctx, "01A"), c.Unpin(ctx, "01B")); err != nil {
		t.Error(err)
	}
	if kinds, err := c.Kinds(ctx); err != nil || len(kinds) != 1 || kinds[0].Fields[0] != "text" {
		t.Errorf("kinds %+v, %v", kinds, err)
	}
	rules, err := c.Rules(ctx)
	if err != nil || len(rules.Rules) != 2 || rules.Rules[0].Hits != 2 || rules.Rules[0].Last.IsZero() || !rules.Rules[1].Last.IsZero() {
		t.Fatalf("rules %+v, %v", rules, err)
	}
	if text, err := json.Marshal(rules.Rules[0]); err != nil || !strings.Contains(string(text), `"kind":"x"`) {
		t.Errorf("a rule loses what is not known here: %s, %v", text, err)
	}
	if _, err := c.AddRule(ctx, map[string]string{"name": "c"}); err != nil {
		t.Error(err)
	}
	if _, err := c.RemoveRule(ctx, "c"); err != nil {
		t.Error(err)
	}
}

func TestStreamsTellEachLineAndThenTheError(t *testing.T) {
	body := `{"type":"exchange","id":"01A","done":true}` + "\n\n" + `{"type":"exchange","id":"01B","done":true}` + "\n"
	c, _ := api(t, map[string]http.HandlerFunc{
		"POST /api/v1/replay": hears(t, `{"id":"last","set":[{"path":"text","value":"x"}],"times":2}`, body),
		"POST /api/v1/send":   hears(t, `{"kind":"slash_command"}`, body+`{"type":"error","error":"the app left","hint":"look"}`+"\n"),
	})
	var ids []string
	tell := func(l export.Line) error { ids = append(ids, l.ID); return nil }
	if err := c.Replay(t.Context(), Replay{ID: "last", Set: []Change{{"text", "x"}}, Times: 2}, tell); err != nil {
		t.Error(err)
	}
	err := c.Send(t.Context(), Send{Kind: "slash_command"}, tell)
	var e *Error
	if !errors.As(err, &e) || e.Message != "the app left" || e.Hint != "look" {
		t.Errorf("send: %v", err)
	}
	if diff := cmp.Diff([]string{"01A", "01B", "01A", "01B"}, ids); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	stop := errors.New("enough")
	c, _ = api(t, map[string]http.HandlerFunc{"POST /api/v1/send": says(200, body)})
	if err := c.Send(t.Context(), Send{}, func(export.Line) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a caller that has enough: %v", err)
	}
}

func TestAStreamOfSomebodyElseIsRefused(t *testing.T) {
	for name, body := range map[string]string{"text": "hello\n", "endless line": `{"type":"` + strings.Repeat("x", lineLimit) + `"}`} {
		c, _ := api(t, map[string]http.HandlerFunc{"POST /api/v1/send": says(200, body)})
		if err := c.Send(t.Context(), Send{}, func(export.Line) error { t.Error("told"); return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFollowEndsWithItsContextAndSaysWhenSlackdevEnds(t *testing.T) {
	release := make(chan struct{})
	c, s := api(t, map[string]http.HandlerFunc{"GET /api/v1/follow?q=kind%3Ax": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"type":"exchange","id":"01A","done":true}`)
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Follow(ctx, "kind:x", func(l export.Line) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	err = c.Follow(t.Context(), "kind:x", func(export.Line) error { close(release); return nil })
	var gone *unreachable
	if !errors.As(err, &gone) {
		t.Errorf("ended: %v", err)
	}
	release = make(chan struct{})
	err = c.Follow(t.Context(), "kind:x", func(export.Line) error { s.CloseClientConnections(); return nil })
	if !errors.As(err, &gone) {
		t.Errorf("cut: %v", err)
	}
}

func TestTheNewestThatAnswersIsFound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if runs, err := Runs(dir); err != nil || runs != nil {
		t.Fatalf("no folder: %v, %v", runs, err)
	}
	status := map[string]http.HandlerFunc{"GET /api/v1/status": says(200, fmt.Sprintf(`{"pid":%d}`, os.Getpid()))}
	mine, _ := api(t, status)
	withdraw, err := Announce(dir, mine.Run)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("%d.json", os.Getpid())))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file is %v, %v", info, err)
	}
	other, _ := api(t, status)
	parent := other.Run
	parent.PID, parent.Started, parent.Project = os.Getppid(), time.Now().Add(time.Hour), "/p" // newer, alive, but another process answers
	if _, err := Announce(dir, parent); err != nil {
		t.Fatal(err)
	}
	found, err := Find(t.Context(), dir, "/p")
	if err != nil || found.Run.Address != mine.Run.Address {
		t.Fatalf("got %+v, %v", found, err)
	}
	if any, err := Find(t.Context(), dir, ""); err != nil || any.Run.Address != mine.Run.Address {
		t.Errorf("of any project: %v, %v", any, err)
	}
	if err := errors.Join(withdraw(), withdraw()); err != nil {
		t.Errorf("withdraw: %v", err)
	}
	_, err = Find(t.Context(), dir, "/elsewhere")
	var nothing *NothingRunsError
	if !errors.Is(err, ErrNothingRuns) || !errors.As(err, &nothing) || !slices.Equal(nothing.Others, []string{"/p"}) {
		t.Errorf("elsewhere: %v", err)
	}
	if hint, exit := nothing.Explain(); exit != 3 || hint != "cd /p" {
		t.Errorf("exit %d, hint %q", exit, hint)
	}
}

func TestFilesOfTheDeadAreTakenAway(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	gone := Run{Address: closed, PID: 1 << 30, Project: "/p"}
	reused := Run{Address: closed, PID: os.Getpid(), Project: "/p"}
	for _, r := range []Run{gone, reused} {
		if _, err := Announce(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"7.json": "{", "8.json": `{"pid":-1,"address":"127.0.0.1:1"}`, "9.json": `{"pid":9,"address":"x"}`, ".run-1": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find(t.Context(), dir, "/p"); !errors.Is(err, ErrNothingRuns) {
		t.Errorf("got %v", err)
	}
	for _, r := range []Run{gone, reused} {
		if _, err := os.Stat(filepath.Join(dir, fmt.Sprintf("%d.json", r.PID))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file of %d is still there: %v", r.PID, err)
		}
	}
}

func TestASilentListenerIsSkippedAndItsFileStays(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Announce(dir, Run{Address: l.Addr().String(), PID: os.Getpid(), Project: "/p"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(t.Context(), dir, "/p"); !errors.Is(err, ErrNothingRuns) {
		t.Errorf("got %v", err)
	}
	if runs, err := Runs(dir); err != nil || len(runs) != 1 {
		t.Errorf("got %v, %v", runs, err)
	}
}

func TestAListenerOnAllAddressesIsReachedOnThisMachine(t *testing.T) {
	for address, want := range map[string]string{"0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", "127.0.0.1:1": "127.0.0.1:1", "localhost:1": "localhost:1"} {
		if got := (Run{Address: address}).dial(); got != want {
			t.Errorf("%s: got %s", address, got)
		}
	}
}
