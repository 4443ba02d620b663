package compose

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// dice is chance that falls the same way each time.
func dice() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func made(t *testing.T, kind string, sets ...slack.Set) inspector.Request {
	t.Helper()
	q, err := Request(kind, Options{Set: sets, Now: noon, Rand: dice()})
	if err != nil {
		t.Fatalf("make a %s: %v", kind, err)
	}
	return q
}

func parsed(q inspector.Request) slack.Payload {
	return slack.Parse(q.Method, q.Target, q.Header.HTTP(), q.Body.Bytes)
}

func TestUnknownKindNamesWhatMayHaveBeenMeant(t *testing.T) {
	for name, tc := range map[string]struct {
		kind string
		want string
	}{
		"a slip":          {kind: "slash_comand", want: "slash_command"},
		"a hyphen":        {kind: "block-actions", want: "block_actions"},
		"an event's slip": {kind: "app_mentoin", want: "event_callback app_mention"},
		"a part":          {kind: "webhook", want: "outgoing_webhook"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Request(tc.kind, Options{})
			var unknown *UnknownKindError
			if !errors.As(err, &unknown) || unknown.Near[0] != tc.want {
				t.Fatalf("kind %q: got %v, want an UnknownKindError with %s first", tc.kind, err, tc.want)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error does not name %s: %v", tc.want, err)
			}
		})
	}
	for _, kind := range []string{"zzzzzzzzzzzz", "", strings.Repeat("x", 5000), "envelope"} {
		_, err := Request(kind, Options{})
		var unknown *UnknownKindError
		if !errors.As(err, &unknown) || len(unknown.Near) == 0 {
			t.Errorf("kind %.20q: got %v, want an UnknownKindError with suggestions", kind, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	if _, err := Request("block_actions", Options{Set: []slack.Set{{Path: "nobody.there.at.all", Value: "1"}}}); err == nil {
		t.Error("a path whose parent is not there was set")
	}
	if _, err := Request("slash_command", Options{Path: "slack/events"}); err == nil {
		t.Error("a path without a slash was taken")
	}
}

func TestEveryKindIsReadAsItself(t *testing.T) {
	kinds := Kinds()
	if len(kinds) < 6 {
		t.Fatalf("got %d kinds, want six or more", len(kinds))
	}
	for _, kind := range kinds {
		t.Run(kind.Name, func(t *testing.T) {
			p := parsed(made(t, kind.Name))
			want, event, _ := strings.Cut(kind.Name, " ")
			if string(p.Kind) != want || p.Problem != "" {
				t.Errorf("got kind %s with problem %q, want %s", p.Kind, p.Problem, want)
			}
			if event != "" && p.Name != event {
				t.Errorf("got the event %s, want %s", p.Name, event)
			}
			if p.Kind != slack.URLVerification && (p.User.ID != "U07SDEV4ANA" || p.Team.ID != "T07SDEV4TEAM") {
				t.Errorf("got user %v of team %v: not the people of every request", p.User, p.Team)
			}
			if kind.Summary == "" || len(kind.Fields) == 0 {
				t.Errorf("summary %q and fields %q say too little", kind.Summary, kind.Fields)
			}
		})
	}
}

func TestListAndFilesAgree(t *testing.T) {
	var want []string
	err := fs.WalkDir(os.DirFS("templates"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == "envelope.json" {
			return err
		}
		base, ext, _ := strings.Cut(name, ".")
		if !slices.Contains([]string{"form", "payload", "json", "event"}, ext) {
			t.Errorf("%s has an extension that means nothing", name)
		}
		text, err := os.ReadFile("templates/" + name)
		if !bytes.HasPrefix(text, []byte("# ")) {
			t.Errorf("%s does not begin with a summary", name)
		}
		want = append(want, strings.ReplaceAll(base, "/", " "))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	var got []string
	for _, kind := range Kinds() {
		got = append(got, kind.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-) and kinds (+):\n%s", diff)
	}
}

// The orders are those of real requests that were captured from 2021 to 2025.
func TestFieldsStandInSlacksOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		kind string
		want string
	}{
		"slash command": {"slash_command",
			"token team_id team_domain channel_id channel_name user_id user_name command text api_app_id is_enterprise_install response_url trigger_id"},
		"outgoing webhook": {"outgoing_webhook",
			"token team_id team_domain service_id channel_id channel_name timestamp user_id user_name text trigger_word"},
		"block actions": {"block_actions",
			"type user api_app_id token container trigger_id team enterprise is_enterprise_install channel message state response_url actions"},
		"view submission": {"view_submission",
			"type team user api_app_id token trigger_id view response_urls is_enterprise_install enterprise"},
		"event": {"app_mention",
			"token team_id context_team_id context_enterprise_id api_app_id event type event_id event_time authorizations is_ext_shared_channel event_context"},
		"handshake": {"url_verification", "token challenge type"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(topFields(t, made(t, tc.kind)), " "); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func topFields(t *testing.T, q inspector.Request) []string {
	t.Helper()
	doc := q.Body.Bytes
	if q.Header.Get("Content-Type") != "application/json" {
		var names []string
		for pair := range strings.SplitSeq(string(doc), "&") {
			name, value, _ := strings.Cut(pair, "=")
			if name != "payload" {
				names = append(names, name)
				continue
			}
			payload, err := url.QueryUnescape(value)
			if err != nil {
				t.Fatal(err)
			}
			doc = []byte(payload)
		}
		if names != nil {
			return names
		}
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func TestSlashCommandIsSpelledAsSlackSpellsIt(t *testing.T) {
	q := made(t, "slash_command", slack.Set{Path: "command", Value: "/deploy"}, slack.Set{Path: "text", Value: "é (now!) *~"})
	body := string(q.Body.Bytes)
	for _, want := range []string{
		"token=slackdevSendsThisToken24&team_id=T07SDEV4TEAM&",
		"&command=%2Fdeploy&text=%C3%A9+%28now%21%29+%2A%7E&api_app_id=",
		"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT07SDEV4TEAM%2F",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the body lacks %s:\n%s", want, body)
		}
	}
	want := inspector.Header{
		{Name: "User-Agent", Value: "Slackbot 1.0 (+https://api.slack.com/robots)"},
		{Name: "Accept-Encoding", Value: "gzip,deflate"},
		{Name: "Accept", Value: "application/json,*/*"},
		{Name: "Content-Length", Value: "439"},
		{Name: "Content-Type", Value: "application/x-www-form-urlencoded"},
	}
	if diff := cmp.Diff(want, q.Header); diff != "" || q.Body.Size != 439 || len(body) != 439 {
		t.Errorf("%d bytes, head (-want +got):\n%s", len(body), diff)
	}
}

func TestInteractionIsEscapedJSONInAForm(t *testing.T) {
	body := string(made(t, "block_actions").Body.Bytes)
	for _, want := range []string{
		"payload=%7B%22type%22%3A%22block_actions%22%2C%22user%22%3A%7B%22id%22%3A%22U07SDEV4ANA%22",
		"%22https%3A%5C%2F%5C%2Fhooks.slack.com%5C%2Factions%5C%2FT07SDEV4TEAM%5C%2F",
		"Done+%5Cu2713", "%3C%40U07SDEV4ANA%3E",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the body lacks %s:\n%s", want, body)
		}
	}
}

func TestEventIsCompactJSON(t *testing.T) {
	q := made(t, "event_callback app_mention", slack.Set{Path: "event.text", Value: "<@U07SDEV4BOT> é/"})
	body := string(q.Body.Bytes)
	if q.Header.Get("Accept") != "*/*" || q.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got the head %v", q.Header)
	}
	if want := `"text":"<@U07SDEV4BOT> \u00e9\/"`; !strings.Contains(body, want) || strings.Contains(body, "\n") {
		t.Errorf("the body is not compact, or lacks %s:\n%s", want, body)
	}
	if p := parsed(q); p.Name != "app_mention" || p.Text != "<@U07SDEV4BOT> é/" || !strings.HasPrefix(p.EventID, "Ev07") {
		t.Errorf("got %+v", p)
	}
}

func TestIDsAreFreshAndTimesAreNow(t *testing.T) {
	one, err := Request("app_mention", Options{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	other, err := Request("app_mention", Options{Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := parsed(one).EventID, parsed(other).EventID; a == b || len(a) != len("Ev07ABCDEFGH") {
		t.Errorf("got event ids %s and %s", a, b)
	}
	if want := `"event_time":1795262400,`; !strings.Contains(string(one.Body.Bytes), want) {
		t.Errorf("the body lacks %s:\n%s", want, one.Body.Bytes)
	}
	if diff := cmp.Diff(made(t, "view_submission"), made(t, "view_submission")); diff != "" {
		t.Errorf("the same clock and chance make two requests:\n%s", diff)
	}
	trigger := parsed(made(t, "slash_command")).TriggerID
	if parts := strings.Split(trigger, "."); len(parts) != 3 || len(parts[2]) != 32 {
		t.Errorf("trigger_id %q has not Slack's shape", trigger)
	}
}

func TestFieldsOfAKindCanBeSet(t *testing.T) {
	for _, kind := range Kinds() {
		for _, field := range kind.Fields {
			if _, err := Request(kind.Name, Options{Set: []slack.Set{{Path: field, Value: "changed"}}}); err != nil {
				t.Errorf("%s: %v", kind.Name, err)
			}
		}
	}
	if i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == "view_submission" }); i < 0 ||
		!slices.Contains(Kinds()[i].Fields, "view.state.values.item.text.value") {
		t.Error("the fields of view_submission lack what the user typed")
	}
}

func BenchmarkRequest(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		q, err := Request("app_mention", Options{Now: noon})
		if err != nil || q.Body.Size < 500 {
			b.Fatalf("made %d bytes, %v", q.Body.Size, err)
		}
	}
}
