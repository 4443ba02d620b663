package slack

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ok is an answer that Slack likes.
func ok(body, media string) Answer {
	h := http.Header{}
	if media != "" {
		h.Set("Content-Type", media)
	}
	return Answer{Status: 200, Header: h, Body: []byte(body), Whole: true, Took: 50 * time.Millisecond}
}

// codes lists findings as severity and code.
func codes(all []Finding) []string {
	var list []string
	for _, f := range all {
		list = append(list, f.Severity.String()+" "+f.Code)
	}
	return list
}

func TestLint(t *testing.T) {
	command, view := Payload{Kind: SlashCommand}, Payload{Kind: ViewSubmission}
	event, handshake := Payload{Kind: EventCallback, Name: "app_mention"}, Payload{Kind: URLVerification, Challenge: "abc 123"}
	after := func(d time.Duration) Answer { a := ok("", ""); a.Took = d; return a }
	status := func(n int) Answer { a := ok("", ""); a.Status = n; return a }
	with := func(a Answer, name, value string) Answer { a.Header.Set(name, value); return a }
	cut := func(a Answer) Answer { a.Whole = false; return a }
	for name, tc := range map[string]struct {
		p    Payload
		a    Answer
		want []string
	}{
		"all is well":            {command, ok("", ""), nil},
		"in time":                {command, after(2500 * time.Millisecond), nil},
		"hardly in time":         {command, after(2501 * time.Millisecond), []string{"warning close_call"}},
		"at the last moment":     {command, after(3 * time.Second), []string{"warning close_call"}},
		"too late":               {command, after(3*time.Second + time.Millisecond), []string{"failure slow_answer"}},
		"a function has longer":  {Payload{Kind: EventCallback, Name: "function_executed"}, after(5 * time.Second), []string{"warning close_call"}},
		"late for a browser":     {Payload{Kind: OAuthRedirect}, after(time.Minute), nil},
		"late, and none of ours": {Payload{Kind: Unknown}, after(time.Minute), nil},
		"nothing is known":       {Payload{}, status(500), nil},

		"no such path":             {command, status(404), []string{"failure bad_status"}},
		"refused":                  {event, func() Answer { a := status(401); a.Signed = true; return a }(), []string{"failure bad_status"}},
		"refused, unsigned":        {event, status(401), []string{"warning bad_status"}},
		"it failed":                {view, status(500), []string{"failure bad_status"}},
		"another success":          {event, status(204), nil},
		"a failure, and slow":      {event, Answer{Status: 502, Took: 4 * time.Second}, []string{"failure slow_answer", "failure bad_status"}},
		"no retry, please":         {event, with(status(500), "X-Slack-No-Retry", "1"), []string{"warning bad_status"}},
		"that is for events alone": {command, with(status(500), "X-Slack-No-Retry", "1"), []string{"failure bad_status"}},
		"not answered":             {command, Answer{}, nil},
		"a failure in a browser":   {Payload{Kind: OAuthRedirect}, status(500), nil},

		"a redirect of a command": {command, status(302), []string{"failure redirect"}},
		"a redirect of an event":  {event, status(301), []string{"warning redirect"}},

		"the challenge as text":       {handshake, ok("abc 123\n", "text/plain"), nil},
		"the challenge as a form":     {handshake, ok("challenge=abc+123", "application/x-www-form-urlencoded"), nil},
		"the challenge as JSON":       {handshake, ok(`{"challenge":"abc\u0020123"}`, "application/json"), nil},
		"another challenge":           {handshake, ok("abc", "text/plain"), []string{"failure no_challenge"}},
		"another in JSON":             {handshake, ok(`{"challenge":"abc"}`, "application/json"), []string{"failure no_challenge"}},
		"the challenge somewhere":     {handshake, ok(`{"event":{"challenge":"abc 123"}}`, "application/json"), []string{"failure no_challenge"}},
		"half of the JSON":            {handshake, ok(`{"challenge":"abc 123"`, "application/json"), []string{"failure no_challenge", "warning not_json"}},
		"nothing":                     {handshake, ok("", ""), []string{"failure no_challenge"}},
		"what is not all there":       {handshake, cut(ok("", "")), nil},
		"what is compressed":          {handshake, with(ok("\x1f\x8b", ""), "Content-Encoding", "gzip"), nil},
		"a refused handshake, only":   {handshake, status(404), []string{"failure bad_status"}},
		"a handshake without a value": {Payload{Kind: URLVerification}, ok("", ""), nil},

		"an empty answer to a view":    {view, ok("", ""), nil},
		"as good as empty":             {view, ok(" \n", "text/plain"), nil},
		"ok":                           {view, ok("ok", "text/plain"), []string{"failure bad_view_answer"}},
		"broken JSON for a view":       {view, ok(`{"response_action":`, "application/json"), []string{"failure bad_view_answer"}},
		"an empty object":              {view, ok(`{}`, "application/json"), []string{"failure bad_view_answer"}},
		"a list":                       {view, ok(`[{"response_action":"clear"}]`, "application/json"), []string{"failure bad_view_answer"}},
		"a message for a view":         {view, ok(`{"text":"done"}`, "application/json"), []string{"failure bad_view_answer"}},
		"an action of another sort":    {view, ok(`{"response_action":"close"}`, "application/json"), []string{"failure bad_view_answer"}},
		"clear":                        {view, ok(`{"response_action":"clear"}`, "application/json"), nil},
		"update":                       {view, ok(` {"response_action":"update","view":{"type":"modal"}}`, "application/json"), nil},
		"push without a view":          {view, ok(`{"response_action":"push"}`, "application/json"), []string{"failure bad_view_answer"}},
		"update with a text":           {view, ok(`{"response_action":"update","view":"{}"}`, "application/json"), []string{"failure bad_view_answer"}},
		"errors":                       {view, ok(`{"response_action":"errors","errors":{"b1":"no"}}`, "application/json"), nil},
		"errors as a text":             {view, ok(`{"response_action":"errors","errors":"no"}`, "application/json"), []string{"failure bad_view_answer"}},
		"an answer to a view, cut off": {view, cut(ok(`{"response_action":`, "application/json")), nil},

		"JSON":                   {command, ok(`{"text":"hi"}`, "application/json; charset=utf-8"), nil},
		"text that claims JSON":  {command, ok(`hi`, "application/json"), []string{"warning not_json"}},
		"text that is text":      {command, ok(`hi`, "text/plain"), nil},
		"nothing claims JSON":    {command, ok(``, "application/json"), nil},
		"an error page, no JSON": {command, func() Answer { a := ok("oops", "application/json"); a.Status = 500; return a }(), []string{"failure bad_status"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := Lint(tc.p, tc.a)
			if diff := cmp.Diff(tc.want, codes(all)); diff != "" {
				t.Errorf("%s answered with %d %q after %v\nwant -, got +\n%s", tc.p.Kind, tc.a.Status, tc.a.Body, tc.a.Took, diff)
			}
			for _, f := range all {
				if !strings.HasSuffix(f.Text, ".") || f.Fix != "" && !strings.HasSuffix(f.Fix, ".") {
					t.Errorf("%s: not a sentence: %q, %q", f.Code, f.Text, f.Fix)
				}
			}
		})
	}
}

func TestLintSaysWhatHelps(t *testing.T) {
	for name, tc := range map[string]struct {
		kind   Kind
		status int
		took   time.Duration
		text   string
		fix    string
	}{
		"slow":                   {SlashCommand, 200, 3210 * time.Millisecond, "Slack gave up at 3 s: the answer took 3.21 s.", "Answer 200 at once"},
		"hardly in time":         {SlashCommand, 200, 2890 * time.Millisecond, "The answer came 0.11 s before Slack gives up.", "Answer 200 at once"},
		"no listener":            {SlashCommand, 404, 0, "the command failed (dispatch_failed)", "has a listener for this command"},
		"Bolt waited":            {BlockActions, 404, 3100 * time.Millisecond, "shows the user an error", "no listener has called ack"},
		"wrong secret":           {EventCallback, 401, 0, "sends the event again", "signing secret"},
		"a proxy in between":     {EventCallback, 403, 0, "sends the event again", "signing secret"},
		"only GET":               {URLVerification, 405, 0, "does not accept the Request URL", "Slack sends POST"},
		"no body parser":         {ViewSubmission, 400, 0, "shows the user an error", "whose field payload holds JSON"},
		"a parser of JSON alone": {OutgoingWebhook, 415, 0, "may send it again", "a form"},
		"a crash":                {SSLCheck, 503, 0, "failed delivery.", "its log"},
		"too many":               {DialogSubmission, 429, 0, "shows the user an error", "Answer 200"},
	} {
		t.Run(name, func(t *testing.T) {
			all := Lint(Payload{Kind: tc.kind}, Answer{Status: tc.status, Took: tc.took, Signed: true})
			for _, f := range all {
				if strings.Contains(f.Text, tc.text) && strings.Contains(f.Fix, tc.fix) {
					return
				}
			}
			t.Errorf("%s, %d after %v: got %+v, want … %s … and … %s …", tc.kind, tc.status, tc.took, all, tc.text, tc.fix)
		})
	}
}

func TestARefusedUnsignedRequestIsNotBlamedOnTheSecret(t *testing.T) {
	for name, tc := range map[string]struct {
		a        Answer
		unsigned bool
		fix      string
	}{
		"unsigned, though a secret is known": {Answer{Status: 401, Verdict: Missing}, true, "slackdev send"},
		"a legacy token alone":               {Answer{Status: 403, Verdict: TokenOnly}, true, "slackdev send"},
		"unsigned for want of a secret":      {Answer{Status: 401, Verdict: Unchecked}, true, "SLACK_SIGNING_SECRET into .env"},
		"signed, and no secret to check":     {Answer{Status: 401, Verdict: Unchecked, Signed: true}, false, "another one"},
		"signed with another secret":         {Answer{Status: 401, Verdict: Mismatch, Signed: true}, false, "another one"},
		"signed, the timestamp lost":         {Answer{Status: 401, Verdict: Missing, Signed: true}, false, "another one"},
	} {
		t.Run(name, func(t *testing.T) {
			all := Lint(Payload{Kind: SlashCommand}, tc.a)
			if len(all) != 1 || all[0].Code != "bad_status" {
				t.Fatalf("got %+v, want one bad_status", all)
			}
			if got := strings.HasPrefix(all[0].Text, "The app refused an unsigned request"); got != tc.unsigned || !strings.Contains(all[0].Fix, tc.fix) {
				t.Errorf("got %+v, want a fix with … %s …", all[0], tc.fix)
			}
		})
	}
}

func TestLintPointsAtThePart(t *testing.T) {
	all := Lint(Payload{Kind: ViewSubmission}, ok(`{"response_action":"push"}`, "application/json"))
	if len(all) != 1 || all[0].Pointer != "/view" {
		t.Errorf("got %+v, want a pointer to /view", all)
	}
}

func TestSeverityWords(t *testing.T) {
	for s, want := range map[Severity]string{Note: "note", Warning: "warning", Failure: "failure", 9: "note"} {
		if got := s.String(); got != want {
			t.Errorf("Severity(%d): got %s, want %s", s, got, want)
		}
	}
}
