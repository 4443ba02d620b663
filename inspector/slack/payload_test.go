package slack

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// interaction is a request with that payload.
func interaction(payload string) (string, string, http.Header, []byte) {
	return http.MethodPost, "/slack/events", formHead, EncodeForm([]Pair{{"payload", payload}})
}

// form and eventWith are requests with that body.
func form(body string) (string, string, http.Header, []byte) {
	return http.MethodPost, "/slack/events", formHead, []byte(body)
}

func eventWith(inner string) (string, string, http.Header, []byte) {
	return http.MethodPost, "/slack/events", jsonHead,
		[]byte(`{"token":"t","team_id":"T1","api_app_id":"A1","event":` + inner + `,"type":"event_callback","event_id":"Ev1"}`)
}

func TestParseTheBodiesOfTheBenchmarks(t *testing.T) {
	ana, dev := Ref{"U0MADEUP03", "ana"}, Ref{"C0MADEUP02", "dev"}
	team := Ref{"T0MADEUP01", "ana-and-friends"}
	const trigger = "1234567890123.1234567890.0123456789abcdef0123456789abcdef"
	for name, tc := range map[string]struct {
		h    http.Header
		body string
		want Payload
	}{
		"slash command": {formHead, commandBody, Payload{
			Kind: SlashCommand, Name: "/todo", User: ana, Channel: dev, Team: team, App: "A0MADEUP06", TriggerID: trigger,
			Text: "add milk, eggs and <@U0MADEUP04|bob> to the list for friday and remind everyone in <#C0MADEUP05|kitchen> " +
				"at nine, please! and do not forget that the shop at the corner closes early on the last friday ",
		}},
		"event": {jsonHead, eventBody, Payload{
			Kind: EventCallback, Name: "app_mention", User: Ref{"U0MADEUP03", ""}, Channel: Ref{"C0MADEUP02", ""}, Team: Ref{"T0MADEUP01", ""},
			App: "A0MADEUP06", Text: "<@U0MADEUP07> what is on the list for friday?", EventID: "Ev0MADEUP08", Message: "1700000000.000100",
		}},
		"block actions": {formHead, string(actionsBody()), Payload{
			Kind: BlockActions, Name: "done", User: ana, Channel: dev, Team: team, App: "A0MADEUP06", TriggerID: trigger,
			Text: "item-17", Message: "1700000000.000200",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Parse(http.MethodPost, "/slack/events", tc.h, []byte(tc.body))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

func TestParseForms(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want Payload
	}{
		"a hook with a trigger word": {
			"token=t&team_id=T1&team_domain=d&service_id=1&channel_id=C1&channel_name=ops&timestamp=1.5&user_id=U1&user_name=bob&text=deploy+now&trigger_word=deploy",
			Payload{Kind: OutgoingWebhook, Name: "deploy", User: Ref{"U1", "bob"}, Channel: Ref{"C1", "ops"}, Team: Ref{"T1", "d"}, Text: "deploy now", Message: "1.5"},
		},
		"a hook bound to a channel": {
			"token=t&team_id=T1&channel_id=C1&timestamp=1.5&user_id=USLACKBOT&text=hi",
			Payload{Kind: OutgoingWebhook, User: Ref{"USLACKBOT", ""}, Channel: Ref{"C1", ""}, Team: Ref{"T1", ""}, Text: "hi", Message: "1.5"},
		},
		"an organisation's command": {
			"command=%2Fx&text=&user_id=W1&is_enterprise_install=true&enterprise_id=E1&enterprise_name=Big+Co",
			Payload{Kind: SlashCommand, Name: "/x", User: Ref{"W1", ""}, Team: Ref{"E1", "Big Co"}, Enterprise: Ref{"E1", "Big Co"}},
		},
		"the last of two counts":      {"command=%2Fa&command=%2Fb", Payload{Kind: SlashCommand, Name: "/b"}},
		"names may be encoded":        {"%63ommand=%2Fa", Payload{Kind: SlashCommand, Name: "/a"}},
		"white space before it":       {"\r\n command=%2Fa", Payload{Kind: SlashCommand, Name: "/a"}},
		"a command and a payload":     {"command=%2Fa&payload=%7B%22type%22%3A%22shortcut%22%7D", Payload{Kind: Shortcut}},
		"an empty command":            {"command=&text=x", Payload{Kind: Unknown}},
		"fields of something else":    {"a=b&c", Payload{Kind: Unknown}},
		"no form at all":              {"hello", Payload{Kind: Unknown}},
		"text that is not UTF-8":      {"command=%2Fa&text=%FF%41", Payload{Kind: SlashCommand, Name: "/a", Text: "\uFFFDA"}},
		"a broken escape":             {"command=%2Fa&text=100%", Payload{Kind: SlashCommand, Name: "/a", Text: "100%", Problem: "byte 21: a % is not followed by two hexadecimal digits"}},
		"a check for TLS":             {"ssl_check=1&token=t", Payload{Kind: SSLCheck}},
		"a check that is not exact":   {"ssl_check=true&token=t", Payload{Kind: Unknown}},
		"a check that is taken back":  {"ssl_check=1&ssl_check=0", Payload{Kind: Unknown}},
		"a check that brings more":    {"ssl_check=1&command=%2Fa", Payload{Kind: SSLCheck, Carries: SlashCommand, Name: "/a"}},
		"a check that brings a click": {"ssl_check=1&payload=%7B%22type%22%3A%22shortcut%22%7D", Payload{Kind: SSLCheck, Carries: Shortcut}},
		"a check inside a payload":    {"payload=%7B%22ssl_check%22%3A%221%22%7D", Payload{Kind: Unknown}},
		"a payload that is no JSON":   {"payload=hello", Payload{Kind: Unknown, Problem: "payload: byte 0: here is no value"}},
		"a payload that is a list":    {"payload=%5B1%5D", Payload{Kind: Unknown, Problem: "payload: byte 0: the document is not an object"}},
		"a payload that breaks off": {
			"payload=%7B%22type%22%3A%22view_closed%22%2C%22view%22%3A%7B%22id%22%3A%22V1%22%2C",
			Payload{Kind: ViewClosed, View: "V1", Problem: "payload: byte 40: the document ends inside an object"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Parse(form(tc.body))); diff != "" {
				t.Errorf("%s\nwant -, got +\n%s", tc.body, diff)
			}
		})
	}
}

func TestParseInteractions(t *testing.T) {
	user := Ref{"U1", "ana"}
	const who = `"user":{"id":"U1","username":"ana","team_id":"T1"},"team":{"id":"T1","domain":"d"},`
	team := Ref{"T1", "d"}
	for name, tc := range map[string]struct {
		payload string
		want    Payload
	}{
		"a modal is submitted": {
			`{"type":"view_submission",` + who + `"view":{"id":"V1","callback_id":"edit","title":{"type":"plain_text","text":"Edit"},` +
				`"state":{"values":{"b1":{"a1":{"type":"plain_text_input","value":null}},"b2":{"a2":{"type":"static_select","selected_option":` +
				`{"text":{"text":"Two"},"value":"2"}}}}}}}`,
			Payload{Kind: ViewSubmission, Name: "edit", User: user, Team: team, View: "V1", Text: "2"},
		},
		"an empty modal": {
			`{"type":"view_submission","view":{"id":"V1","callback_id":"edit","title":{"text":"Edit"},"state":{"values":{}}}}`,
			Payload{Kind: ViewSubmission, Name: "edit", View: "V1", Text: "Edit"},
		},
		"a modal is closed": {
			`{"type":"view_closed",` + who + `"view":{"id":"V1","callback_id":"edit"},"is_cleared":true}`,
			Payload{Kind: ViewClosed, Name: "edit", User: user, Team: team, View: "V1"},
		},
		"several users are picked": {
			`{"type":"block_actions","actions":[{"action_id":"who","type":"multi_users_select","selected_users":["U8","U9"]}],"view":{"id":"V1"}}`,
			Payload{Kind: BlockActions, Name: "who", Text: "U8", View: "V1"},
		},
		"a button without a value": {
			`{"type":"block_actions","actions":[{"action_id":"go","text":{"type":"plain_text","text":"Go!"}},{"action_id":"second"}]}`,
			Payload{Kind: BlockActions, Name: "go", Text: "Go!"},
		},
		"a button in a function": {
			`{"type":"block_actions","team_id":"T1","enterprise_id":"E1","function_data":{"execution_id":"Fx1","function":{"callback_id":"greet"}},` +
				`"interactivity":{"interactor":{"id":"U7","secret":"s"},"interactivity_pointer":"1.2.3"},"bot_access_token":"x"}`,
			Payload{Kind: BlockActions, Name: "greet", User: Ref{"U7", ""}, Team: Ref{"T1", ""}, Enterprise: Ref{"E1", ""}, TriggerID: "1.2.3"},
		},
		"options for a menu": {
			`{"type":"block_suggestion",` + who + `"action_id":"find","block_id":"b","value":"mil","container":{"type":"view","view_id":"V1"}}`,
			Payload{Kind: BlockSuggestion, Name: "find", User: user, Team: team, Text: "mil", View: "V1"},
		},
		"a shortcut of an organisation": {
			`{"type":"shortcut","callback_id":"new","trigger_id":"1.2.3","user":{"id":"W1","username":"w","team_id":"T9"},"team":null,` +
				`"enterprise":{"id":"E1","name":"Big Co"},"is_enterprise_install":true}`,
			Payload{Kind: Shortcut, Name: "new", User: Ref{"W1", "w"}, Team: Ref{"T9", ""}, Enterprise: Ref{"E1", "Big Co"}, TriggerID: "1.2.3"},
		},
		"an organisation and nothing else": {
			`{"type":"shortcut","callback_id":"new","team":null,"enterprise":{"id":"E1","name":"Big Co"},"is_enterprise_install":"true"}`,
			Payload{Kind: Shortcut, Name: "new", Team: Ref{"E1", "Big Co"}, Enterprise: Ref{"E1", "Big Co"}},
		},
		"a team of an organisation": {
			`{"type":"shortcut","team":{"id":"T1","domain":"d","enterprise_id":"E1","enterprise_name":"Big Co"},"enterprise":null}`,
			Payload{Kind: Shortcut, Team: team, Enterprise: Ref{"E1", "Big Co"}},
		},
		"a message shortcut": {
			`{"type":"message_action","callback_id":"later",` + who + `"channel":{"id":"C1","name":"dev"},"message_ts":"1.5","message":{"user":"U2","ts":"1.5","text":"hi"}}`,
			Payload{Kind: MessageAction, Name: "later", User: user, Team: team, Channel: Ref{"C1", "dev"}, Text: "hi", Message: "1.5"},
		},
		"a legacy button": {
			`{"type":"interactive_message","callback_id":"vote","actions":[{"name":"choice","type":"button","value":"yes"}],"message_ts":"1.5","original_message":{"ts":"1.5"}}`,
			Payload{Kind: InteractiveMessage, Name: "vote", Text: "yes", Message: "1.5"},
		},
		"a legacy menu": {
			`{"type":"interactive_message","callback_id":"vote","actions":[{"name":"choice","type":"select","selected_options":[{"value":"no"}]}]}`,
			Payload{Kind: InteractiveMessage, Name: "vote", Text: "no"},
		},
		"a legacy menu asks for options": {
			`{"type":"interactive_message","name":"choice","value":"ye","callback_id":"vote","attachment_id":"1","message_ts":"1.5"}`,
			Payload{Kind: InteractiveMessage, Name: "vote", Text: "ye", Message: "1.5"},
		},
		"a dialog": {
			`{"type":"dialog_submission","callback_id":"form","submission":{"a":null,"b":"","c":"see"},"state":"x"}`,
			Payload{Kind: DialogSubmission, Name: "form", Text: "see"},
		},
		"a dialog is cancelled":       {`{"type":"dialog_cancellation","callback_id":"form"}`, Payload{Kind: DialogCancellation, Name: "form"}},
		"a dialog asks for options":   {`{"type":"dialog_suggestion","callback_id":"form","name":"n","value":"q"}`, Payload{Kind: DialogSuggestion, Name: "form", Text: "q"}},
		"a step of a workflow":        {`{"type":"workflow_step_edit","callback_id":"step"}`, Payload{Kind: WorkflowStepEdit, Name: "step"}},
		"a type from the future":      {`{"type":"hologram","user":{"id":"U1"}}`, Payload{Kind: Unknown, Name: "hologram", User: Ref{"U1", ""}}},
		"no type":                     {`{"a":true}`, Payload{Kind: Unknown}},
		"an event in the wrong place": {`{"type":"event_callback","event":{"type":"message"}}`, Payload{Kind: Unknown, Name: "event_callback"}},
		"escapes in a value": {
			`{"type":"short\u0063ut","callback_id":"caf\u00e9 \ud83d\ude00 \ud83d\/"}`,
			Payload{Kind: Shortcut, Name: "café 😀 \uFFFD/"},
		},
		"the last of two keys counts":   {`{"type":"block_actions","type":"shortcut","callback_id":"a","callback_id":"b"}`, Payload{Kind: Shortcut, Name: "b"}},
		"values of the wrong sort":      {`{"type":"shortcut","callback_id":["a"],"user":"U1","team":7,"channel":[1],"view":"V","actions":{},"message":3}`, Payload{Kind: Shortcut, User: Ref{"U1", ""}, Team: Ref{"7", ""}}},
		"white space between all of it": {" {\n\t\"type\" : \"shortcut\" ,\r\n \"callback_id\" : \"a\" } \n", Payload{Kind: Shortcut, Name: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Parse(interaction(tc.payload))); diff != "" {
				t.Errorf("%s\nwant -, got +\n%s", tc.payload, diff)
			}
		})
	}
}

func TestParseEvents(t *testing.T) {
	for name, tc := range map[string]struct {
		inner string
		want  Payload // of which kind, team, app and event id are the same in all
	}{
		"a message": {`{"type":"message","channel":"C1","channel_type":"channel","user":"U1","text":"hi","ts":"1.5","event_ts":"1.5"}`,
			Payload{Name: "message", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}, Text: "hi", Message: "1.5"}},
		"an edited message": {`{"type":"message","subtype":"message_changed","channel":"C1","ts":"9.9","message":{"user":"U1","text":"new","ts":"1.5","edited":{"user":"U1"}},"previous_message":{"user":"U1","text":"old","ts":"1.5"}}`,
			Payload{Name: "message.message_changed", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}, Text: "new", Message: "1.5"}},
		"a deleted message": {`{"type":"message","subtype":"message_deleted","channel":"C1","ts":"9.9","deleted_ts":"1.5","previous_message":{"user":"U1","text":"old","ts":"1.5"}}`,
			Payload{Name: "message.message_deleted", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}, Text: "old", Message: "1.5"}},
		"a bot's message": {`{"type":"message","subtype":"bot_message","channel":"C1","bot_id":"B1","username":"robo","text":"beep","ts":"1.5"}`,
			Payload{Name: "message.bot_message", User: Ref{"B1", "robo"}, Channel: Ref{"C1", ""}, Text: "beep", Message: "1.5"}},
		"a reaction": {`{"type":"reaction_added","user":"U1","reaction":"tada","item_user":"U2","item":{"type":"message","channel":"C1","ts":"1.5"},"event_ts":"9.9"}`,
			Payload{Name: "reaction_added", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}, Text: "tada", Message: "1.5"}},
		"a pin": {`{"type":"pin_added","user":"U1","channel_id":"C1","item":{"type":"message","channel":"C1","message":{"type":"message","user":"U2","text":"hi","ts":"1.5"}}}`,
			Payload{Name: "pin_added", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}, Text: "hi", Message: "1.5"}},
		"a new channel": {`{"type":"channel_created","channel":{"id":"C1","name":"fun","creator":"U1"}}`,
			Payload{Name: "channel_created", User: Ref{"U1", ""}, Channel: Ref{"C1", "fun"}}},
		"somebody new": {`{"type":"team_join","user":{"id":"U1","name":"ana","team_id":"T1","profile":{"team":"T1"}}}`,
			Payload{Name: "team_join", User: Ref{"U1", "ana"}}},
		"somebody joined": {`{"type":"member_joined_channel","user":"U1","channel":"C1","channel_type":"C","team":"T2","inviter":"U2"}`,
			Payload{Name: "member_joined_channel", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}}},
		"a file": {`{"type":"file_shared","channel_id":"C1","file_id":"F1","user_id":"U1","file":{"id":"F1"}}`,
			Payload{Name: "file_shared", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}, Text: "F1"}},
		"a link": {`{"type":"link_shared","channel":"C1","user":"U1","message_ts":"1.5","links":[{"domain":"e.org","url":"https:\/\/e.org\/1"},{"url":"https://e.org/2"}]}`,
			Payload{Name: "link_shared", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}, Text: "https://e.org/1", Message: "1.5"}},
		"the Home tab": {`{"type":"app_home_opened","user":"U1","channel":"D1","tab":"home","view":{"id":"V1","type":"home"}}`,
			Payload{Name: "app_home_opened", User: Ref{"U1", ""}, Channel: Ref{"D1", ""}, Text: "home", View: "V1"}},
		"a function": {`{"type":"function_executed","function":{"id":"Fn1","callback_id":"greet"},"inputs":{"user_id":"U1"},"bot_access_token":"x"}`,
			Payload{Name: "function_executed", Text: "greet"}},
		"an assistant's thread": {`{"type":"assistant_thread_started","assistant_thread":{"user_id":"U1","channel_id":"D1","thread_ts":"1.5","context":{"channel_id":"C9"}}}`,
			Payload{Name: "assistant_thread_started", User: Ref{"U1", ""}, Channel: Ref{"D1", ""}, Message: "1.5"}},
		"an invitation": {`{"type":"shared_channel_invite_received","invite":{"inviting_user":{"id":"U1","name":"ana"}},"channel":{"id":"C1","name":"fun"}}`,
			Payload{Name: "shared_channel_invite_received", User: Ref{"U1", "ana"}, Channel: Ref{"C1", "fun"}}},
		"details of a link": {`{"type":"entity_details_requested","user":"U1","trigger_id":"1.2.3","channel":"C1","message_ts":"1.5"}`,
			Payload{Name: "entity_details_requested", User: Ref{"U1", ""}, Channel: Ref{"C1", ""}, TriggerID: "1.2.3", Message: "1.5"}},
		"a type from the future": {`{"type":"hologram","subtype":"blue"}`, Payload{Name: "hologram.blue"}},
		"no type":                {`{"user":"U1","item":{"channel":"C1"}}`, Payload{User: Ref{"U1", ""}, Channel: Ref{"C1", ""}}},
		"nothing":                {`{}`, Payload{}},
		"no object":              {`"hi"`, Payload{Problem: "the envelope holds no event"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.Kind, tc.want.Team, tc.want.App, tc.want.EventID = EventCallback, Ref{"T1", ""}, "A1", "Ev1"
			if diff := cmp.Diff(tc.want, Parse(eventWith(tc.inner))); diff != "" {
				t.Errorf("%s\nwant -, got +\n%s", tc.inner, diff)
			}
		})
	}
}

func TestParseEnvelopes(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want Payload
	}{
		"the handshake": {`{"token":"t","challenge":"abc","type":"url_verification"}`, Payload{Kind: URLVerification, Challenge: "abc"}},
		"too many events": {`{"token":"t","type":"app_rate_limited","team_id":"T1","minute_rate_limited":1518467820,"api_app_id":"A1"}`,
			Payload{Kind: AppRateLimited, Team: Ref{"T1", ""}, App: "A1"}},
		"an organisation's event": {`{"type":"event_callback","enterprise_id":"E1","event":{"type":"x"}}`,
			Payload{Kind: EventCallback, Name: "x", Team: Ref{"E1", ""}, Enterprise: Ref{"E1", ""}}},
		"by its context": {`{"type":"event_callback","context_team_id":"T2","context_enterprise_id":"E2","event":{"type":"x"}}`,
			Payload{Kind: EventCallback, Name: "x", Team: Ref{"T2", ""}, Enterprise: Ref{"E2", ""}}},
		"by its installation": {`{"type":"event_callback","event":{"type":"x"},"authorizations":[{"enterprise_id":"E3","team_id":"T3"},{"team_id":"T4"}]}`,
			Payload{Kind: EventCallback, Name: "x", Team: Ref{"T3", ""}, Enterprise: Ref{"E3", ""}}},
		"two companies are not mixed": {`{"type":"event_callback","team_id":"T1","event":{"type":"x"},"authorizations":[{"enterprise_id":"E3","team_id":"T3"}]}`,
			Payload{Kind: EventCallback, Name: "x", Team: Ref{"T1", ""}}},
		"no event":       {`{"type":"event_callback","event_id":"Ev1"}`, Payload{Kind: EventCallback, EventID: "Ev1", Problem: "the envelope holds no event"}},
		"no type":        {`{"event":{"type":"x"}}`, Payload{Kind: EventCallback, Name: "x", Problem: "the envelope has no type"}},
		"another type":   {`{"type":"hello"}`, Payload{Kind: Unknown, Name: "hello"}},
		"nothing":        {`{}`, Payload{Kind: Unknown}},
		"a list":         {`[1]`, Payload{Kind: Unknown, Problem: "byte 0: the document is not an object"}},
		"a form":         {`a=b`, Payload{Kind: Unknown, Problem: "byte 0: here is no value"}},
		"it breaks off":  {`{"event":{"type":"message","text":"hi`, Payload{Kind: EventCallback, Name: "message", Problem: "byte 37: a string is not closed"}},
		"text behind it": {`{"type":"url_verification","challenge":"c"} x`, Payload{Kind: URLVerification, Challenge: "c", Problem: "byte 44: there is text behind the document"}},
		"a click as JSON": {`{"type":"block_actions"}`, Payload{Kind: Unknown, Name: "block_actions",
			Problem: "Slack sends block_actions as the field payload of a form, not as a JSON body"}},
		"an envelope of Socket Mode": {`{"envelope_id":"1","type":"events_api","payload":{"type":"event_callback"}}`,
			Payload{Kind: Unknown, Name: "events_api", Problem: "this is an envelope of Socket Mode, which never comes over HTTP"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Parse(http.MethodPost, "/", jsonHead, []byte(tc.body))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nwant -, got +\n%s", tc.body, diff)
			}
		})
	}
}

func TestParseByMethodAndContentType(t *testing.T) {
	handshake := `{"type":"url_verification"}`
	for name, tc := range map[string]struct {
		method, target, media, body string
		want                        Kind
	}{
		"a redirect with a code":      {"GET", "/slack/oauth_redirect?code=1.2&state=x", "", "", OAuthRedirect},
		"a redirect with an error":    {"GET", "/cb?error=access_denied", "", "", OAuthRedirect},
		"a page":                      {"GET", "/?state=x", "", "", Unknown},
		"an empty code":               {"GET", "/?code=", "", "", Unknown},
		"a GET with a body":           {"GET", "/", "application/json", handshake, Unknown},
		"a PUT":                       {"PUT", "/?code=1", "application/json", handshake, Unknown},
		"a POST with a code":          {"POST", "/?code=1", "application/json", handshake, URLVerification},
		"JSON with a charset":         {"POST", "/", "Application/JSON; charset=utf-8", handshake, URLVerification},
		"JSON without a type":         {"POST", "/", "", "\n" + handshake, URLVerification},
		"JSON that says it is a form": {"POST", "/", "application/x-www-form-urlencoded", handshake, URLVerification},
		"a form with a charset":       {"POST", "/", "application/x-www-form-urlencoded; charset=utf-8", "command=/x", SlashCommand},
		"a form without a type":       {"POST", "/", "", "command=/x", SlashCommand},
		"a form that says it is text": {"POST", "/", "text/plain", "command=/x", Unknown},
		"no body":                     {"POST", "/", "application/json", " \n", Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			if tc.media != "" {
				h.Set("Content-Type", tc.media)
			}
			if got := Parse(tc.method, tc.target, h, []byte(tc.body)); got.Kind != tc.want {
				t.Errorf("%s %s (%s) %s: got %s, want %s", tc.method, tc.target, tc.media, tc.body, got.Kind, tc.want)
			}
		})
	}
}

func TestTheCodeOfARedirectIsNotInTheSummary(t *testing.T) {
	p := Parse(http.MethodGet, "/cb?code=sesame&state=sesame&error=denied", nil, nil)
	if diff := cmp.Diff(Payload{Kind: OAuthRedirect, Text: "denied"}, p); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestParseRetries(t *testing.T) {
	for name, tc := range map[string]struct {
		num, reason string
		want        int
		wantReason  string
	}{
		"the first":        {"", "", 0, ""},
		"a retry":          {"2", "http_timeout", 2, "http_timeout"},
		"no reason":        {"1", "", 1, ""},
		"not a number":     {"two", "http_timeout", 0, ""},
		"below zero":       {"-1", "http_timeout", 0, ""},
		"a reason alone":   {"", "http_timeout", 0, ""},
		"a very long one":  {"1", strings.Repeat("é", 200), 1, strings.Repeat("é", 100)},
		"bytes, not UTF-8": {"1", "a\xff", 1, "a\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			h := jsonHead.Clone()
			for header, value := range map[string]string{"X-Slack-Retry-Num": tc.num, "X-Slack-Retry-Reason": tc.reason} {
				if value != "" {
					h.Set(header, value)
				}
			}
			p := Parse(http.MethodPost, "/", h, []byte(eventBody))
			if p.Retry != tc.want || p.RetryReason != tc.wantReason {
				t.Errorf("%q %q: got %d %q, want %d %q", tc.num, tc.reason, p.Retry, p.RetryReason, tc.want, tc.wantReason)
			}
		})
	}
}

func TestLongValuesAreCutAtARune(t *testing.T) {
	for name, text := range map[string]string{
		"one byte a rune":         strings.Repeat("a", 5000),
		"two bytes":               "a" + strings.Repeat("é", 5000),
		"three bytes":             strings.Repeat("€", 5000),
		"four bytes":              "ab" + strings.Repeat("😀", 5000),
		"no rune begins anywhere": strings.Repeat("\x80", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			quoted := string(appendString(nil, []byte(text), slackStyle))
			for where, p := range map[string]Payload{
				"a form":         Parse(form(string(EncodeForm([]Pair{{"command", text}, {"text", text}})))),
				"escaped JSON":   Parse(eventWith(`{"type":` + quoted + `,"text":` + quoted + `}`)),
				"plain in JSON":  Parse(eventWith(`{"type":"` + text + `","text":"` + text + `"}`)),
				"in interaction": Parse(interaction(`{"type":"dialog_suggestion","callback_id":` + quoted + `,"value":` + quoted + `}`)),
			} {
				// A run of bytes that are no UTF-8 becomes one U+FFFD.
				short := text[0] == 0x80
				if n := len(p.Text); n > maxText || n < maxText-4 && !short || !utf8.ValidString(p.Text) {
					t.Errorf("%s: a text of %d bytes: %q", where, n, p.Text)
				}
				if n := len(p.Name); n > maxValue || n < maxValue-4 && !short || !utf8.ValidString(p.Name) {
					t.Errorf("%s: a name of %d bytes", where, n)
				}
			}
		})
	}
}

func TestParseCopiesLittleOfALargeBody(t *testing.T) {
	big := strings.Repeat("x", 8<<20)
	payload := EncodeForm([]Pair{{"payload", `{"type":"shortcut","callback_id":"a","x":"` + big + `"}`}})
	for name, tc := range map[string]struct {
		h    http.Header
		body []byte
		want Kind
		most uint64
	}{
		"an event":       {jsonHead, []byte(`{"type":"event_callback","event":{"type":"message","text":"` + big + `"}}`), EventCallback, 64 << 10},
		"a command":      {formHead, []byte("command=%2Fx&text=" + big), SlashCommand, 64 << 10},
		"an interaction": {formHead, payload, Shortcut, 9 << 20},
		"many brackets":  {jsonHead, []byte(`{"event":` + strings.Repeat("[", 1<<20)), Unknown, 64 << 10},
		"many pairs":     {formHead, []byte(strings.Repeat("a=b&", 1<<20)), Unknown, 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p := Parse(http.MethodPost, "/", tc.h, tc.body)
			runtime.ReadMemStats(&after)
			if p.Kind != tc.want {
				t.Errorf("got %s, want %s (%s)", p.Kind, tc.want, p.Problem)
			}
			if made := after.TotalAlloc - before.TotalAlloc; made > tc.most {
				t.Errorf("%d bytes were allocated for a body of %d, want at most %d", made, len(tc.body), tc.most)
			}
		})
	}
}
