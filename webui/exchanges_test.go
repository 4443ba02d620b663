package webui

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
)

func read[T any](t *testing.T, got answer) T {
	t.Helper()
	var v T
	if got.status != 200 || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s %s, want 200 and JSON", got.status, got.header.Get("Content-Type"), got.body)
	}
	if err := json.Unmarshal([]byte(got.body), &v); err != nil {
		t.Fatalf("read %s: %v", got.body, err)
	}
	return v
}

func idsOf(lines []export.Line) []string {
	ids := make([]string, 0, len(lines))
	for _, l := range lines {
		ids = append(ids, l.ID)
	}
	return ids
}

func TestListRefuses(t *testing.T) {
	g := newRig(t)
	many := strings.TrimSuffix(strings.Repeat(g.ids.Next().String()+",", maxLimit+1), ",")
	for name, query := range map[string]string{
		"a limit of nothing": "limit=0", "a limit that is too high": "limit=501", "a negative limit": "limit=-1", "a limit in words": "limit=all",
		"half an id": "before=01K", "an id with a letter that none has": "before=01KUUUUUUUUUUUUUUUUUUUUUUU",
		"half an id in ids": "ids=01K", "an empty id in ids": "ids=,", "too many ids": "ids=" + many,
		"a search that cannot be read": "q=" + "%22half",
	} {
		if got := g.do(t, http.MethodGet, "/api/v1/exchanges?"+query, ""); got.status != 400 {
			t.Errorf("%s: got %d %s, want 400", name, got.status, got.body)
		}
	}
}

func TestListGoesPageByPage(t *testing.T) {
	g := newRig(t)
	if got := g.do(t, http.MethodGet, "/api/v1/exchanges", ""); got.body != `{"exchanges":[],"next":"","seq":0}`+"\n" {
		t.Errorf("nothing recorded: got %s", got.body)
	}
	var want []string
	for i := range 7 {
		want = append(want, g.save(t, fmt.Sprint("/n", i)).ID.String())
	}
	slices.Reverse(want)
	var got []string
	pages := 0
	for before := ""; ; pages++ {
		page := read[listing](t, g.do(t, http.MethodGet, "/api/v1/exchanges?limit=3&before="+before, ""))
		got = append(got, idsOf(page.Exchanges)...)
		if page.Seq != 7 {
			t.Errorf("seq is %d, want 7", page.Seq)
		}
		if before = page.Next; before == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || pages != 2 {
		t.Errorf("%d pages and the last, want 2; want (-), got (+)\n%s", pages, diff)
	}
	page := read[listing](t, g.do(t, http.MethodGet, "/api/v1/exchanges?q=name:/n3", ""))
	if diff := cmp.Diff([]string{want[3]}, idsOf(page.Exchanges)); diff != "" {
		t.Errorf("searched: want (-), got (+)\n%s", diff)
	}
}

func TestListByIDsLeavesOutWhatIsGone(t *testing.T) {
	g := newRig(t)
	var saved []string
	gone := []string{g.ids.Next().String()}
	for i := range 100 {
		saved = append(saved, g.save(t, "/todo").ID.String())
		if i%10 == 0 {
			gone = append(gone, g.ids.Next().String())
		}
	}
	gone = append(gone, g.ids.Next().String(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "00000000000000000000000001")
	newest := slices.Clone(saved)
	slices.Reverse(newest)
	for name, tc := range map[string]struct{ ask, want []string }{
		"none":                   {nil, []string{}},
		"one":                    {saved[40:41], newest[59:60]},
		"neighbours, and twice":  {[]string{saved[8], saved[9], saved[8]}, []string{saved[9], saved[8]}},
		"the first and the last": {[]string{saved[0], saved[99]}, []string{saved[99], saved[0]}},
		"gone ones alone":        {gone, []string{}},
		"all, and gone ones":     {slices.Concat(gone, saved), newest},
	} {
		page := read[listing](t, g.do(t, http.MethodGet, "/api/v1/exchanges?ids="+strings.Join(tc.ask, ","), ""))
		if diff := cmp.Diff(tc.want, idsOf(page.Exchanges)); diff != "" || page.Next != "" {
			t.Errorf("%s: want (-), got (+)\n%s", name, diff)
		}
	}
}

func TestExchangeByEveryName(t *testing.T) {
	g := newRig(t)
	if got := g.do(t, http.MethodGet, "/api/v1/exchanges/last", ""); got.status != 404 {
		t.Errorf("last of nothing: got %d %s, want 404", got.status, got.body)
	}
	first, last := g.save(t, "/first"), g.save(t, "/last")
	whole := first.ID.String()
	for name, tc := range map[string]struct{ id, want string }{
		"whole": {whole, whole}, "lower case": {strings.ToLower(whole), whole}, "its end": {whole[16:], whole}, "last": {"last", last.ID.String()},
	} {
		got := read[export.Line](t, g.do(t, http.MethodGet, "/api/v1/exchanges/"+tc.id, "")) // findings differ, and are not read here
		if got.ID != tc.want {
			t.Errorf("%s (%s): got %s, want %s", name, tc.id, got.ID, tc.want)
		}
	}
	if got := g.do(t, http.MethodGet, "/api/v1/exchanges/"+whole[:4], ""); got.status != 409 || !strings.Contains(got.body, last.ID.String()) {
		t.Errorf("a beginning that both have: got %d %s, want 409 and both", got.status, got.body)
	}
	for _, id := range []string{"nothing", "%00", strings.Repeat("Z", 26), strings.Repeat("0", 4000)} {
		if got := g.do(t, http.MethodGet, "/api/v1/exchanges/"+id, ""); got.status != 404 {
			t.Errorf("%.30s: got %d %s, want 404", id, got.status, got.body)
		}
	}
}

func TestTokensAreMaskedUnlessAskedFor(t *testing.T) {
	g := newRig(t)
	secret := "xoxb-" + strings.Repeat("1234567890-", 3) + "abcdefghijklmnop"
	x := g.exchange("/todo")
	x.Request.Body.Bytes = []byte("command=/todo&token=" + secret)
	x.Request.Body.Size = int64(len(x.Request.Body.Bytes))
	x.Response.Body = inspector.Body{Bytes: []byte(secret), Size: int64(len(secret))}
	g.put(t, x)
	at := "/api/v1/exchanges/" + x.ID.String()
	for _, path := range []string{at, at + "/body/in", at + "/body/out", at + "/curl"} {
		masked, whole := g.do(t, http.MethodGet, path, ""), g.do(t, http.MethodGet, path+"?secrets=1", "")
		if masked.status != 200 || strings.Contains(masked.body, secret) {
			t.Errorf("%s: got %d %s, want 200 without the token", path, masked.status, masked.body)
		}
		if whole.status != 200 {
			t.Errorf("%s?secrets=1: got %d %s, want 200", path, whole.status, whole.body)
		}
		if !strings.HasSuffix(path, "/body/out") && !strings.Contains(whole.body, secret) || strings.HasSuffix(path, "/out") && whole.body != secret {
			if !strings.HasSuffix(path, "/curl") || !strings.Contains(whole.body, "1234567890") {
				t.Errorf("%s?secrets=1: got %s, want the token", path, whole.body)
			}
		}
		if got := g.do(t, http.MethodGet, path+"?secrets=yes", ""); got.status != 400 {
			t.Errorf("%s?secrets=yes: got %d, want 400", path, got.status)
		}
	}
}

func TestBodyIsAnAttachment(t *testing.T) {
	g := newRig(t)
	x := g.exchange("/todo")
	hostile := "<script>alert(1)</script>\x00\xff"
	x.Request.Body = inspector.Body{Bytes: []byte(hostile), Size: int64(len(hostile))}
	x.Response = nil
	g.put(t, x)
	at := "/api/v1/exchanges/" + x.ID.String() + "/body/"
	for _, query := range []string{"", "?secrets=1"} {
		got := g.do(t, http.MethodGet, at+"in"+query, "")
		if got.body != hostile || got.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("got %q as %s, want the bytes as application/octet-stream", got.body, got.header.Get("Content-Type"))
		}
		if want := `attachment; filename="` + x.ID.String() + `.in.bin"`; got.header.Get("Content-Disposition") != want {
			t.Errorf("got %s, want %s", got.header.Get("Content-Disposition"), want)
		}
		if !strings.HasPrefix(got.header.Get("Content-Security-Policy"), "sandbox;") {
			t.Errorf("got policy %s, want a sandbox", got.header.Get("Content-Security-Policy"))
		}
	}
	if got := g.do(t, http.MethodGet, at+"out", ""); got.status != 404 {
		t.Errorf("no answer: got %d, want 404", got.status)
	}
	if got := g.do(t, http.MethodGet, at+"sideways", ""); got.status != 400 {
		t.Errorf("another side: got %d, want 400", got.status)
	}
}

// What strangers wrote leaves as JSON in which no HTML can hide.
func TestHostileTextsLeaveAsJSONAlone(t *testing.T) {
	g := newRig(t)
	hostile := "</script><img src=x onerror=alert(1)>\x1b[2J\u202e\u2028\x00\xff\"\\"
	x := g.exchange("/" + hostile)
	x.Slack.Text, x.Slack.User.Name, x.Fault, x.Request.Target = hostile, hostile, hostile, "/"+hostile
	x.Request.Header = append(x.Request.Header, inspector.Field{Name: hostile, Value: hostile})
	g.put(t, x)
	for _, path := range []string{"/api/v1/exchanges", "/api/v1/exchanges/last", "/api/v1/exchanges/last/curl", "/api/v1/exchanges?q=" + "%3Cscript%3E", "/api/v1/exchanges/%3Cscript%3E"} {
		got := g.do(t, http.MethodGet, path, "")
		if kind := got.header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s: got %s, want application/json", path, kind)
		}
		if !json.Valid([]byte(got.body)) || strings.ContainsAny(got.body, "<>\x00\x1b\u2028") {
			t.Errorf("%s: got %q, want JSON with markup and controls escaped", path, got.body)
		}
	}
}

func TestDeleteCountsWhatWasThere(t *testing.T) {
	g := newRig(t)
	a, b := g.save(t, "/a").ID.String(), g.save(t, "/b").ID.String()
	for name, body := range map[string]string{"half an id": `{"ids":["01K"]}`, "last": `{"ids":["last"]}`, "no list": `{"ids":"` + a + `"}`} {
		if got := g.do(t, http.MethodPost, "/api/v1/exchanges/delete", body); got.status != 400 {
			t.Errorf("%s: got %d, want 400", name, got.status)
		}
	}
	ask := fmt.Sprintf(`{"ids":[%q,%q,%q]}`, a, g.ids.Next(), a)
	if got := g.do(t, http.MethodPost, "/api/v1/exchanges/delete", ask); got.body != `{"deleted":1}`+"\n" {
		t.Errorf("got %s, want 1 deleted", got.body)
	}
	if seq := g.Journal.Seq(); seq != 3 {
		t.Errorf("%d events, want two saved and one deleted", seq)
	}
	page := read[listing](t, g.do(t, http.MethodGet, "/api/v1/exchanges", ""))
	if diff := cmp.Diff([]string{b}, idsOf(page.Exchanges)); diff != "" {
		t.Errorf("left: want (-), got (+)\n%s", diff)
	}
}

func TestPin(t *testing.T) {
	g := newRig(t)
	x := g.save(t, "/todo")
	at := "/api/v1/exchanges/" + x.ID.String() + "/pin"
	for body, want := range map[string]int{`{}`: 400, `{"pinned":null}`: 400, `{"pinned":"yes"}`: 400, `[]`: 400} {
		if got := g.do(t, http.MethodPost, at, body); got.status != want {
			t.Errorf("%s: got %d, want %d", body, got.status, want)
		}
	}
	if got := g.do(t, http.MethodPost, "/api/v1/exchanges/"+g.ids.Next().String()+"/pin", `{"pinned":true}`); got.status != 404 {
		t.Errorf("nobody's: got %d, want 404", got.status)
	}
	for _, pinned := range []bool{true, false} {
		if got := g.do(t, http.MethodPost, at, fmt.Sprintf(`{"pinned":%v}`, pinned)); got.status != 204 || got.body != "" {
			t.Errorf("got %d %s, want 204", got.status, got.body)
		}
		kept, err := g.Journal.Store.Get(t.Context(), x.ID)
		if err != nil || kept.Pinned != pinned {
			t.Errorf("pinned is %v, %v; want %v", kept.Pinned, err, pinned)
		}
	}
}

// follow reads lines until the test stops it.
func (g *rig) follow(t *testing.T, query string) (lines <-chan export.Line, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	res, err := g.http.Do(g.request(t, http.MethodGet, "/api/v1/follow?q="+query, "").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("follow: got %d %v", res.StatusCode, res.Header)
	}
	c := make(chan export.Line, 100)
	go func() {
		defer close(c)
		defer res.Body.Close()
		for in := bufio.NewScanner(res.Body); in.Scan(); {
			var l export.Line
			if err := json.Unmarshal(in.Bytes(), &l); err != nil {
				t.Errorf("read %q: %v", in.Bytes(), err)
			}
			c <- l
		}
	}()
	return c, func() {
		cancel()
		for range c { // until the reader has left
		}
	}
}

func TestFollowSendsEachOnceWhenItIsDone(t *testing.T) {
	g := newRig(t)
	old := g.save(t, "/old")
	open := g.exchange("/open")
	answered := *open
	open.Response = nil
	g.put(t, open)
	lines, stop := g.follow(t, "kind:slash_command")
	defer stop()

	if err := g.Journal.Pin(t.Context(), old.ID, true); err != nil { // an event, and nothing new
		t.Fatal(err)
	}
	other := g.exchange("/other")
	other.Slack.Kind = "event_callback"
	g.put(t, other)
	fresh := g.save(t, "/fresh")
	g.put(t, &answered)
	if err := g.Journal.Pin(t.Context(), fresh.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := g.Journal.Delete(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	last := g.save(t, "/last")
	for _, want := range []*inspector.Exchange{fresh, open, last} {
		if got := within(t, "a line for "+want.Slack.Name, lines); got.ID != want.ID.String() || !got.Done {
			t.Errorf("got %v, want %s, done", got, want.Slack.Name)
		}
	}
}

func TestFollowRefusesASearchThatCannotBeRead(t *testing.T) {
	g := newRig(t)
	if got := g.do(t, http.MethodGet, "/api/v1/follow?q=%22half", ""); got.status != 400 {
		t.Errorf("got %d %s, want 400", got.status, got.body)
	}
}

func TestFollowEndsAtShutdown(t *testing.T) {
	g := newRig(t)
	lines, stop := g.follow(t, "")
	defer stop()
	g.Shutdown()
	for l := range lines {
		t.Errorf("got %v, want the end", l)
	}
}

// collector is a ResponseWriter that can be made to wait.
type collector struct {
	header http.Header
	gate   chan struct{}
	bytes.Buffer
}

func (c *collector) Header() http.Header { return c.header }
func (c *collector) WriteHeader(int)     {}
func (c *collector) Flush()              {}
func (c *collector) Write(b []byte) (int, error) {
	<-c.gate
	return c.Buffer.Write(b)
}

func TestFollowerThatIsCutOffMissesNothing(t *testing.T) {
	for name, memory := range map[string]int{"remembering all": followMemory, "remembering few": 4} {
		t.Run(name, func(t *testing.T) {
			ids := inspector.NewIDs(time.Now, inspector.ID{})
			journal := &inspector.Journal{Store: newStore(t)}
			save := func(id inspector.ID, r *inspector.Response) {
				if err := journal.Save(t.Context(), &inspector.Exchange{ID: id, Response: r}); err != nil {
					t.Fatal(err)
				}
			}
			early := ids.Next()
			save(early, nil)
			out := &collector{header: http.Header{}, gate: make(chan struct{})}
			f := &follower{store: journal.Store, match: inspector.NewMatcher(nil), out: newStream(out), room: 2, memory: memory}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- f.run(ctx, &journal.Events) }()
			out.gate <- struct{}{} // the head: it follows, and waits at the first line

			var want []string
			for range 20 {
				id := ids.Next()
				save(id, nil)
				save(id, &inspector.Response{Status: 200})
				want = append(want, id.String())
			}
			save(early, &inspector.Response{Status: 200})
			want = append(want, early.String())
			for range want {
				within(t, "a line", letPass(out.gate))
			}
			for _, x := range want { // events of what was sent already, too many to follow
				id, err := inspector.ParseID(x)
				if err = errors.Join(err, journal.Pin(t.Context(), id, true)); err != nil {
					t.Fatal(err)
				}
			}
			last := ids.Next()
			save(last, &inspector.Response{Status: 200})
			want = append(want, last.String())
			within(t, "the last line", letPass(out.gate))
			cancel()
			if err := within(t, "the end", ended); err != nil {
				t.Errorf("got %v, want nil", err)
			}
			var got []string
			for text := range strings.Lines(out.String()) {
				var l export.Line
				if err := json.Unmarshal([]byte(text), &l); err != nil {
					t.Fatal(err)
				}
				got = append(got, l.ID)
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("want (-), got (+)\n%s", diff)
			}
		})
	}
}

// letPass lets one write pass, and tells.
func letPass(gate chan<- struct{}) <-chan struct{} {
	passed := make(chan struct{})
	go func() {
		gate <- struct{}{}
		close(passed)
	}()
	return passed
}
