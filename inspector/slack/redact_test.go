package slack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
)

// xox makes a token of these tests: no scanner for leaked secrets finds it in the source.
func xox(rest string) string { return "xo" + "x" + rest }

// hooks is the host of webhooks, for the same reason.
const hooks = "https://hooks." + "slack.com/"

func TestRedactMasks(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"a bot token":          {"Bearer " + xox("b-123456789012-ABCdefGHI"), "Bearer " + xox("b-…")},
		"a user token":         {xox("p-1-2-3-4567890abcdef") + " next", xox("p-…") + " next"},
		"a rotated token":      {`"` + xox("e.") + xox("b-1-ABCDEFGHIJK") + `"`, `"` + xox("e.") + xox("b-…") + `"`},
		"a refresh token":      {xox("e-1-ABCDEFGHIJK"), xox("e-…")},
		"an app token":         {"xapp-1-A0123-456-abcdef", "xapp-…"},
		"a workflow token":     {"xwfp-0123456789abcdef", "xwfp-…"},
		"a client's token":     {xox("c-0123456789") + ";d=" + xox("d-abcdefgh%2Fijk"), xox("c-…") + ";d=" + xox("d-…") + "%2Fijk"},
		"in capitals":          {strings.ToUpper(xox("b-123456789012")), strings.ToUpper(xox("b-")) + "…"},
		"two in a row":         {xox("b-12345678") + "," + xox("b-87654321"), xox("b-…") + "," + xox("b-…")},
		"at the end of a word": {"see" + xox("b-12345678"), "see" + xox("b-…")},

		"a webhook":             {hooks + "services/T0/B0/abc123 is it", hooks + "services/… is it"},
		"a trigger":             {"<" + hooks + "triggers/T0/123/abc>", "<" + hooks + "triggers/…>"},
		"a workflow":            {hooks + "workflows/T0/A0/1/abc?x=1", hooks + "workflows/…?x=1"},
		"of the government":     {"https://hooks." + "slack-gov.com/services/T0/B0/abc", "https://hooks." + "slack-gov.com/services/…"},
		"in JSON":               {`{"u":"https:\/\/hooks.` + `slack.com\/services\/T0\/B0\/abc","v":1}`, `{"u":"https:\/\/hooks.` + `slack.com\/services\/…","v":1}`},
		"in a form":             {"u=https%3A%2F%2Fhooks." + "slack.com%2Fservices%2FT0%2fB0%2Fabc&v=1", "u=https%3A%2F%2Fhooks." + "slack.com%2Fservices%2F…&v=1"},
		"in JSON in a form":     {"p=%22https%3A%5C%2F%5C%2Fhooks." + "slack.com%5C%2Fservices%5C%2FT0%5C%2FB0%5C%2Fabc%22", "p=%22https%3A%5C%2F%5C%2Fhooks." + "slack.com%5C%2Fservices%5C%2F…%22"},
		"in JSON in JSON":       {`\"hooks.` + `slack.com\\\/services\\\/T0\\\/B0\\\/abc\"`, `\"hooks.` + `slack.com\\\/services\\\/…\"`},
		"as code points":        {`hooks.` + `slack.com\u002Fservices\u002fT0\u002FB0`, `hooks.` + `slack.com\u002Fservices\u002f…`},
		"encoded twice":         {"hooks." + "slack.com%252Fservices%252FT0%252FB0", "hooks." + "slack.com%252Fservices%252F…"},
		"with a slash behind":   {hooks + "services/T0/", hooks + "services/…/"},
		"a host in capitals":    {"HOOKS." + "SLACK.COM/services/T0/B0/x", "HOOKS." + "SLACK.COM/services/…"},
		"markup around the URL": {hooks + "services/T0/B0/x|here", hooks + "services/…|here"},

		"a verification token":      {"token=abc123&team_id=T1", "token=…&team_id=T1"},
		"further behind":            {"a=1&token=abc", "a=1&token=…"},
		"a client secret":           {"client_id=1.2&client_secret=0f0f0f", "client_id=1.2&client_secret=…"},
		"in a query":                {"/?token=abc HTTP/1.1", "/?token=… HTTP/1.1"},
		"with escapes in it":        {"token=a%2Fb%3D&x=1", "token=…&x=1"},
		"in an event":               {`{"token":"abc123","team_id":"T1"}`, `{"token":"…","team_id":"T1"}`},
		"with white space":          {"{\n  \"token\" : \"abc123\"\n}", "{\n  \"token\" : \"…\"\n}"},
		"a token of a workflow":     {`"bot_access_token":"xwfp-valid"`, `"bot_access_token":"xwfp-…"`},
		"a token that is one":       {"token=" + xox("b-12345678") + "&x=1", "token=" + xox("b-…") + "&x=1"},
		"with an escaped quote":     {`"token":"a\"b\\","x":"y"`, `"token":"…","x":"y"`},
		"in a payload":              {"payload=%7B%22token%22%3A%22abc%22%2C%22x%22", "payload=%7B%22token%22%3A%22…%22%2C%22x%22"},
		"in a payload, escaped":     {"%7B%22s%22%3A%22%7B%5C%22token%5C%22%3A%5C%22abc%5C%22%7D%22", "%7B%22s%22%3A%22%7B%5C%22token%5C%22%3A%5C%22…%5C%22%7D%22"},
		"in a string":               {`{"s":"{\"token\":\"abc\"}"}`, `{"s":"{\"token\":\"…\"}"}`},
		"text that ends in \\":      {`{"s":"\"token\":\"a\\","x":"y"}`, `{"s":"\"token\":\"…","x":"y"}`},
		"inside, ending in \\":      {`{"s":"\"token\":\"a\\\\\",b","x":"y"}`, `{"s":"\"token\":\"…\",b","x":"y"}`},
		"a percent sign in it":      {`{"token":"a%5C","x":"y"}`, `{"token":"…","x":"y"}`},
		"only text, encoded":        {"a=%22token%22%3A%22abc&b=1", "a=%22token%22%3A%22…&b=1"},
		"a form in a string":        {`{"s":"token=abc\"d"}`, `{"s":"token=…\"d"}`},
		"a body that is cut":        {`{"token":"abc`, `{"token":"…`},
		"an answer of OAuth":        {`"access_token":"x","refresh_token":"y","token_type":"bot"`, `"access_token":"…","refresh_token":"…","token_type":"bot"`},
		"credentials of a manifest": {`"verification_token":"x","signing_secret":"y"`, `"verification_token":"…","signing_secret":"…"`},
	} {
		t.Run(name, func(t *testing.T) {
			in := []byte(tc.in)
			got := Redact(in)
			if string(got) != tc.want {
				t.Errorf("%s\n got %s\nwant %s", tc.in, got, tc.want)
			}
			if string(in) != tc.in {
				t.Errorf("the bytes themselves were changed: %s", in)
			}
			if again := Redact(got); !bytes.Equal(again, got) {
				t.Errorf("twice is not once: %s", again)
			}
		})
	}
}

func TestRedactLeavesTheRest(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":             "",
		"a text":              "toxic tokens, hooks and secrets; the token is lost",
		"a short prefix":      xox("b-") + "short",
		"words like it":       "xox-12345678 and the xylophone-12345678",
		"no value":            "token=&team_id=T1",
		"an empty value":      `{"token":""}`,
		"null":                `{"token":null}`,
		"another field":       "csrf_token=abc&next_page_token=abc&tokens=abc&token_type=bot",
		"a response_url":      hooks + "commands/T0/1/abc",
		"a trigger_id":        `{"trigger_id":"1.2.abc","interactor":{"secret":"x","id":"U1"}}`,
		"a code":              "/cb?code=1.2&state=x",
		"the host alone":      hooks,
		"another host":        "https://hooks.example.com/services/T0/B0/abc",
		"nothing behind it":   hooks + "services/",
		"a page of Slack":     "https://slack.com/services/T0/B0/abc",
		"what is masked":      "token=…&x=" + xox("b-…") + " " + hooks + "services/…",
		"a name without end":  `{"token"`,
		"a name and a number": `{"token":12345}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(in)
			got := Redact(b)
			if string(got) != in {
				t.Errorf("%s\n got %s", in, got)
			}
			if len(b) > 0 && &got[0] != &b[0] {
				t.Error("it is a copy, although nothing was masked")
			}
		})
	}
}

func TestRedactExportMasksWhatIsDeadSoon(t *testing.T) {
	for in, want := range map[string]string{
		hooks + "commands/T0/1/abc":                                    hooks + "commands/…",
		`"https:\/\/hooks.` + `slack.com\/actions\/T0\/1\/abc"`:        `"https:\/\/hooks.` + `slack.com\/actions\/…"`,
		hooks + "app/T0/1/abc " + hooks + "app-actions/T0/1/abc":       hooks + "app/… " + hooks + "app-actions/…",
		"trigger_id=1.2.abc":                                           "trigger_id=…",
		"%22trigger_id%22%3A%221.2.abc%22%2C":                          "%22trigger_id%22%3A%22…%22%2C",
		`{"interactor":{"secret":"x","id":"U1"}}`:                      `{"interactor":{"secret":"…","id":"U1"}}`,
		`{"interactivity_pointer":"1.2.abc"}`:                          `{"interactivity_pointer":"…"}`,
		"/cb?code=1.2.abc&state=x":                                     "/cb?code=…&state=x",
		"wss://w.example/link/?ticket=abc&app_id=1":                    "wss://w.example/link/?ticket=…&app_id=1",
		`{"code":"not_found","ticket":"JIRA-1","token":"abc"}`:         `{"code":"not_found","ticket":"JIRA-1","token":"…"}`,
		"a picture of a cat in the sand is a critical chance to shine": "a picture of a cat in the sand is a critical chance to shine",
	} {
		if got := RedactExport([]byte(in)); string(got) != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

// What is masked in any of the spellings must not be readable in any other.
func TestSecretsDoNotSurviveInAnySpelling(t *testing.T) {
	const secret = "s3cr3tVALUE0123456789abcdef"
	payload := fmt.Sprintf(`{"type":"block_actions","token":%q,"bot_access_token":%q,"view":{"private_metadata":%q},"note":"see %s"}`,
		secret, "xwfp-"+secret, `{"token":"`+secret+`","url":"`+hooks+`services/T0/B0/`+secret+`"}`, hooks+"services/T0/B0/"+secret)
	compact, err := EncodeJSON([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"as it is":      []byte(payload),
		"as Slack does": compact,
		"in a form":     EncodeForm([]Pair{{"token", secret}, {"payload", string(compact)}}),
		"form, plain":   EncodeForm([]Pair{{"payload", payload}}),
	} {
		got := Redact(body)
		if bytes.Contains(got, []byte(secret)) {
			t.Errorf("%s: it is still in\n%s", name, got)
		}
		if bytes.Count(got, []byte(mask)) < 5 {
			t.Errorf("%s: too little is masked in\n%s", name, got)
		}
		if name == "as it is" || name == "as Slack does" {
			if !json.Valid(got) {
				t.Errorf("%s: what is left is not JSON\n%s", name, got)
			}
		} else if form, err := url.ParseQuery(string(got)); err != nil || !json.Valid([]byte(form.Get("payload"))) {
			t.Errorf("%s: what is left is no form with JSON (%v)\n%s", name, err, got)
		}
	}
}

// BenchmarkRedactHostile looks for inputs whose cost grows faster than their length:
// "growth" is the time for 400 kB by the time for 40 kB, which is near 10 where it is
// linear and near 100 where it is not.
func BenchmarkRedactHostile(b *testing.B) {
	for name, piece := range map[string]string{
		"prefixes":    xox("b-"),
		"runs":        xox("b-") + "abcdefg ",
		"hosts":       "hooks." + "slack.com",
		"hosts, \\":   "hooks." + "slack.com" + `\\\\\\\\\\\\`,
		"paths":       hooks + "services/",
		"names":       `"token"`,
		"open values": `"token":"`,
		"blanks":      `"token"                    `,
		"equals":      "token=",
		"underscores": "_________________token",
		"percents":    "%5C%5C%5C%5C%22token%22",
	} {
		b.Run(name, func(b *testing.B) {
			small := bytes.Repeat([]byte(piece), 40_000/len(piece))
			large := bytes.Repeat([]byte(piece), 400_000/len(piece))
			short, long := time.Hour, time.Hour
			for b.Loop() {
				short = min(short, redacting(small))
				long = min(long, redacting(large))
			}
			if !bytes.Contains(RedactExport(append(large, ` "token":"gIkuvaNzQIHg97ATvDxqgjtO"`...)), []byte("…")) {
				b.Fatal("a token behind it is not masked")
			}
			b.ReportMetric(float64(long)/float64(short), "growth")
		})
	}
}

func redacting(text []byte) time.Duration {
	begin := time.Now()
	RedactExport(text)
	return time.Since(begin)
}

// A Slack user chooses texts that look like secrets, in any mixture of spellings; the
// document around them must stay a document.
func TestWhatUsersTypeDoesNotBreakTheJSON(t *testing.T) {
	pieces := []string{`"token"`, `token=`, `":"`, `:`, `"`, `\`, `\"`, `/`, `\/`, ` `, `a`, `1`, `%22`, `%5C`, `%5C%22`, `%3A`, `%2F`, `&`, `=`, `+`,
		`u002f`, xox("b-123456789"), xox("e.") + xox("p-1-"), "hooks." + "slack.com", "/services/", `trigger_id`, `"client_secret":"`, "é", "{", "}", "\n"}
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var s strings.Builder
		for range random.IntN(12) {
			s.WriteString(pieces[random.IntN(len(pieces))])
		}
		return s.String()
	}
	for range 10_000 {
		inner, err := json.Marshal(map[string]string{"token": text(), "b": text()})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := json.Marshal([]string{text(), string(inner), text()})
		if err != nil {
			t.Fatal(err)
		}
		if slack, err := EncodeJSON(doc); err == nil && random.IntN(2) == 0 {
			doc = slack
		}
		if got := RedactExport(doc); !json.Valid(got) {
			t.Fatalf("no longer JSON:\n%s\n%s", doc, got)
		}
		form, err := url.ParseQuery(string(RedactExport(EncodeForm([]Pair{{"payload", string(doc)}, {"z", "1"}}))))
		if err != nil || form.Get("z") != "1" || !json.Valid([]byte(form.Get("payload"))) {
			t.Fatalf("no longer JSON in a form:\n%s\n%s\n%v", doc, form.Get("payload"), err)
		}
	}
}
