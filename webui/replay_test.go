package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/replay/mock"
)

// linesIn reads NDJSON.
func linesIn(t *testing.T, got answer) []export.Line {
	t.Helper()
	if got.status != 200 || got.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("got %d %s %s, want 200 and NDJSON", got.status, got.header.Get("Content-Type"), got.body)
	}
	var lines []export.Line
	for text := range strings.Lines(got.body) {
		var l export.Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("read %q: %v", text, err)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestReplayRefuses(t *testing.T) {
	g := newRig(t, func(s *Server) {
		s.Replayer.To = func(u *url.URL) http.Handler {
			t.Errorf("a request went to %s", u)
			return answering(s.Journal)
		}
	})
	cut := g.exchange("/cut")
	cut.Request.Body.Size = 1 << 30
	g.put(t, cut)
	whole := g.save(t, "/todo")
	for name, tc := range map[string]struct {
		body string
		want int
	}{
		"no id":                       {`{}`, 404},
		"an id of nothing":            {`{"id":"nothing"}`, 404},
		"not once":                    {`{"id":"last","times":0}`, 400},
		"less than once":              {`{"id":"last","times":-1}`, 400},
		"for ever":                    {`{"id":"last","times":1000000000}`, 400},
		"nobody at a time":            {`{"id":"last","concurrency":0}`, 400},
		"everybody at a time":         {`{"id":"last","concurrency":100000}`, 400},
		"a field that nobody knows":   {`{"id":"last","too":"http://127.0.0.1"}`, 400},
		"to a file":                   {`{"id":"last","to":"file:///etc/passwd"}`, 400},
		"to another protocol":         {`{"id":"last","to":"gopher://127.0.0.1:6379/"}`, 400},
		"to nowhere":                  {`{"id":"last","to":"http://"}`, 400},
		"to a path":                   {`{"id":"last","to":"/slack/events"}`, 400},
		"to a folder's socket":        {`{"id":"last","to":"unix:app.sock"}`, 400},
		"to a socket elsewhere":       {`{"id":"last","to":"unix://host/app.sock"}`, 400},
		"to two apps":                 {`{"id":"last","to":"http://127.0.0.1:3001","app":"web"}`, 400},
		"to a password":               {`{"id":"last","to":"http://ana:secret@127.0.0.1"}`, 400},
		"a path that is not there":    {`{"id":"last","set":[{"path":"a.b.c","value":"1"}]}`, 400},
		"a retry below the first":     {`{"id":"last","as_retry":-1}`, 400},
		"a reason that Slack has not": {`{"id":"last","as_retry":1,"reason":"bored"}`, 400},
		"a body that was cut":         {`{"id":"` + cut.ID.String() + `"}`, 400},
		"not an object":               {`[]`, 400},
	} {
		got := g.do(t, http.MethodPost, "/api/v1/replay", tc.body)
		if got.status != tc.want {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, tc.want)
			continue
		}
		wantRefusal(t, name, got)
	}
	if seq := g.Journal.Seq(); seq != 2 {
		t.Errorf("%d events after refusals alone, want the 2 from before (%s)", seq, whole.ID)
	}
}

func TestReplayAnswersWithALineForEach(t *testing.T) {
	g := newRig(t)
	x := g.save(t, "/todo")
	lines := linesIn(t, g.do(t, http.MethodPost, "/api/v1/replay", `{"id":"last","times":5,"concurrency":2}`))
	if len(lines) != 5 {
		t.Fatalf("got %d lines, want 5", len(lines))
	}
	for _, l := range lines {
		if l.Origin != inspector.Replay || l.Of != x.ID.String() || l.Status != 200 || !l.Done || l.ID == x.ID.String() {
			t.Errorf("got %v, want a replay of %s, answered with 200", l, x.ID)
		}
	}
}

func TestReplayChangesWhatItIsToldTo(t *testing.T) {
	g := newRig(t)
	x := g.save(t, "/todo")
	ask := fmt.Sprintf(`{"id":%q,"set":[{"path":"text","value":"buy bread"}],"as_retry":2,"reason":"http_error"}`, x.ID)
	line := linesIn(t, g.do(t, http.MethodPost, "/api/v1/replay", ask))[0]
	if line.RetryNum != 2 || line.RetryReason != "http_error" || line.Text != "buy bread" {
		t.Errorf("got %+v, want retry 2 for http_error with the text changed", line)
	}
	whole := fmt.Sprintf(`{"id":%q,"body":"command=%%2Fother&text="}`, x.ID)
	line = linesIn(t, g.do(t, http.MethodPost, "/api/v1/replay", whole))[0]
	if line.Name != "/other" {
		t.Errorf("got %+v, want the body replaced", line)
	}
}

func TestReplayGoesNowhereElseUnlessItMay(t *testing.T) {
	g := newRig(t)
	g.save(t, "/todo")
	if got := g.do(t, http.MethodPost, "/api/v1/replay", `{"id":"last","to":"http://127.0.0.1:1"}`); got.status != 400 {
		t.Errorf("got %d %s, want 400", got.status, got.body)
	}
}

func TestReplayGoesWhereItIsToldTo(t *testing.T) {
	asked := make(chan string, 1)
	g := newRig(t, func(s *Server) {
		s.Replayer.To = func(u *url.URL) http.Handler {
			asked <- u.String()
			return answering(s.Journal)
		}
	})
	g.save(t, "/todo")
	linesIn(t, g.do(t, http.MethodPost, "/api/v1/replay", `{"id":"last","to":"http://127.0.0.1:3001/base"}`))
	if got, want := within(t, "the other app", asked), "http://127.0.0.1:3001/base"; got != want {
		t.Errorf("it went to %s, want %s", got, want)
	}
}

func TestErrorAfterTheFirstLineIsALine(t *testing.T) {
	g := newRig(t, func(s *Server) {
		inner, sent := s.Replayer.Handler, 0
		s.Replayer.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if sent++; sent == 2 {
				panic("the app's proxy is broken")
			}
			inner.ServeHTTP(w, r)
		})
	})
	g.save(t, "/todo")
	got := g.do(t, http.MethodPost, "/api/v1/replay", `{"id":"last","times":3}`)
	var kinds []string
	for _, l := range linesIn(t, got) {
		kinds = append(kinds, l.Type)
	}
	if diff := cmp.Diff([]string{"exchange", "error", "exchange"}, kinds); diff != "" {
		t.Errorf("%s: want (-), got (+)\n%s", got.body, diff)
	}
}

func TestReplayThatWasNotKeptSaysSo(t *testing.T) {
	g := newRig(t, func(s *Server) {
		s.Replayer.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) // a store that is full
	})
	g.save(t, "/todo")
	if got := g.do(t, http.MethodPost, "/api/v1/replay", `{"id":"last"}`); got.status != 500 || !strings.Contains(got.body, "could not keep") {
		t.Errorf("got %d %s, want 500 in words", got.status, got.body)
	}
}

func TestReplayEndsAtShutdown(t *testing.T) {
	began := make(chan struct{}, 1)
	g := newRig(t, func(s *Server) {
		s.Replayer.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			began <- struct{}{}
			<-r.Context().Done()
		})
	})
	g.save(t, "/todo")
	ended := make(chan answer, 1)
	go func() { ended <- g.do(t, http.MethodPost, "/api/v1/replay", `{"id":"last","times":100}`) }()
	within(t, "the first request", began)
	g.Shutdown()
	if got := within(t, "the end of the series", ended); got.status == 200 {
		t.Errorf("got %d %s, want no success", got.status, got.body)
	}
}

func TestSend(t *testing.T) {
	g := newRig(t)
	for name, body := range map[string]string{
		"no kind": `{}`, "a kind that Slack has not": `{"kind":"smoke_signal"}`, "a body": `{"kind":"slash_command","body":"x"}`,
		"a path that is not there": `{"kind":"slash_command","set":[{"path":"a.b","value":"1"}]}`,
		"to a file":                `{"kind":"slash_command","to":"file:///"}`,
	} {
		if got := g.do(t, http.MethodPost, "/api/v1/send", body); got.status != 400 {
			t.Errorf("%s: got %d %s, want 400", name, got.status, got.body)
		}
	}
	ask := `{"kind":"slash_command","set":[{"path":"text","value":"add milk"}],"path":"/slack/commands","times":2}`
	lines := linesIn(t, g.do(t, http.MethodPost, "/api/v1/send", ask))
	if len(lines) != 2 {
		t.Fatalf("got %d lines, want 2", len(lines))
	}
	for _, l := range lines {
		if l.Origin != inspector.Composed || l.Kind != "slash_command" || l.Text != "add milk" || l.Path != "/slack/commands" || l.Status != 200 {
			t.Errorf("got %+v, want a command that was composed", l)
		}
	}
}

func TestNothingIsSentWithoutAReplayer(t *testing.T) {
	g := newRig(t, func(s *Server) { s.Replayer = nil })
	g.save(t, "/todo")
	for path, body := range map[string]string{"replay": `{"id":"last"}`, "send": `{"kind":"slash_command"}`} {
		if got := g.do(t, http.MethodPost, "/api/v1/"+path, body); got.status != 503 {
			t.Errorf("%s: got %d, want 503", path, got.status)
		}
	}
}

func TestKinds(t *testing.T) {
	g := newRig(t)
	type kinds struct {
		Kinds []struct {
			Name, Summary string
			Fields        []string
		}
	}
	got := read[kinds](t, g.do(t, http.MethodGet, "/api/v1/kinds", ""))
	named := map[string]bool{}
	for _, k := range got.Kinds {
		named[k.Name] = true
		if k.Summary == "" || k.Fields == nil {
			t.Errorf("%s: got %v, want a summary and a list of fields", k.Name, k)
		}
	}
	for _, name := range []string{"slash_command", "outgoing_webhook", "block_actions", "view_submission", "event_callback app_mention", "url_verification"} {
		if !named[name] {
			t.Errorf("there is no %s among %v", name, named)
		}
	}
}

func TestRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slackdev.yaml")
	rules := &mock.Rules{File: file, Now: time.Now}
	if err := rules.Reload(); err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(s *Server) { s.Rules = rules })
	type listing struct {
		File  string
		Error string
		Rules []mock.Listed
	}
	for name, tc := range map[string]struct {
		path, body string
		want       int
	}{
		"no rule":                   {"rules", `{}`, 400},
		"a rule of null":            {"rules", `{"rule":null}`, 400},
		"a field that nobody knows": {"rules", `{"rule":{"naem":"x"}}`, 400},
		"a status that HTTP lacks":  {"rules", `{"rule":{"name":"x","match":{"any":true},"answer":{"status":7}}}`, 400},
		"a name that is not there":  {"rules/delete", `{"name":"x"}`, 404},
	} {
		got := g.do(t, http.MethodPost, "/api/v1/"+tc.path, tc.body)
		if got.status != tc.want {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, tc.want)
		}
	}
	add := `{"rule":{"name":"ok","match":{"kind":"slash_command"},"answer":{"status":200,"body":"done"}}}`
	got := read[listing](t, g.do(t, http.MethodPost, "/api/v1/rules", add))
	if got.File != file || got.Error != "" || len(got.Rules) != 1 || got.Rules[0].Name != "ok" || got.Rules[0].Answer.Body != "done" {
		t.Errorf("added: got %+v, want one rule in %s", got, file)
	}
	again := read[listing](t, g.do(t, http.MethodGet, "/api/v1/rules", ""))
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("read again: want (-), got (+)\n%s", diff)
	}
	if status := read[Status](t, g.do(t, http.MethodGet, "/api/v1/status", "")); status.Rules.Count != 1 || status.Rules.File != file {
		t.Errorf("status says %+v, want 1 rule in %s", status.Rules, file)
	}
	if got := read[listing](t, g.do(t, http.MethodPost, "/api/v1/rules/delete", `{"name":"ok"}`)); len(got.Rules) != 0 || got.Rules == nil {
		t.Errorf("removed: got %+v, want an empty list", got)
	}
}

func TestRulesWithoutAFile(t *testing.T) {
	g := newRig(t)
	if got := g.do(t, http.MethodGet, "/api/v1/rules", ""); got.body != `{"file":"","error":"","rules":[]}`+"\n" {
		t.Errorf("got %s, want none", got.body)
	}
	if got := g.do(t, http.MethodPost, "/api/v1/rules", `{"rule":{"match":{"any":true}}}`); got.status != 404 {
		t.Errorf("got %d, want 404", got.status)
	}
}

func TestStatusSaysWhatTheServerKnows(t *testing.T) {
	bare := newRig(t)
	got := bare.do(t, http.MethodGet, "/api/v1/status", "")
	if !strings.Contains(got.body, `"secrets":[]`) || !strings.Contains(got.body, `"notices":[]`) {
		t.Errorf("got %s, want lists and never null", got.body)
	}
	given := Status{Version: "1.2", PID: 7, AppURL: "http://127.0.0.1:3000", Secrets: []string{"SLACK_SIGNING_SECRET (.env)"}, Enforce: true,
		Tunnel: TunnelStatus{State: "waiting", RetryInMS: 1200, Error: "cut", Notices: []string{"<b>welcome</b>"}},
		App:    AppStatus{Error: "nothing listens"}, Store: StoreStatus{Path: "/data/x.db", Error: "set aside"}}
	for _, several := range []string{`"tunnels"`, `"apps"`} {
		if strings.Contains(got.body, several) {
			t.Errorf("got %s, want no %s where there is but one", got.body, several)
		}
	}
	given.Tunnels = []TunnelStatus{given.Tunnel, {State: "up", Name: "web", Notices: []string{}}}
	given.Apps = []NamedAppStatus{{Name: "todo", URL: given.AppURL, AppStatus: given.App}, {Name: "/api", URL: "unix:/run/api.sock", AppStatus: AppStatus{Up: true}}}
	g := newRig(t, func(s *Server) {
		s.Status = func(context.Context) Status {
			now := given
			now.Tunnels = slices.Clone(given.Tunnels)
			now.Tunnels[1].Notices = nil
			return now
		}
	})
	g.save(t, "/todo")
	status := read[Status](t, g.do(t, http.MethodGet, "/api/v1/status", ""))
	if status.Seq != 1 || status.Store.Exchanges != 1 || status.Store.Bytes == 0 {
		t.Errorf("got %+v, want one event and one exchange", status)
	}
	status.Seq, status.Store.Exchanges, status.Store.Bytes = 0, 0, 0
	if diff := cmp.Diff(given, status); diff != "" {
		t.Errorf("the rest as it was given: want (-), got (+)\n%s", diff)
	}
}
