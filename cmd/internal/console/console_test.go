package console

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/tunnel"
)

var day = time.Date(2026, 11, 21, 12, 4, 31, 0, time.UTC)

// screen is a console that writes into a string.
func screen() (*Console, *strings.Builder) {
	var out strings.Builder
	return &Console{Out: &out, Zone: time.UTC, Now: func() time.Time { return day }}, &out
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func diff(t *testing.T, got, want string) {
	t.Helper()
	if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// command is a line for /todo add milk, all well.
func command() export.Line {
	return export.Line{
		Type: "exchange", ID: "01K9ZX6V7QFGH3M8N2P4T7QX5C", Started: day, Origin: inspector.Tunnel, Method: "POST", Path: "/slack/events",
		Kind: slack.SlashCommand, Name: "/todo", Text: "add milk", User: "U1", UserName: "ana", Channel: "C1", ChannelName: "dev",
		Verdict: "valid", Status: 200, AnsweredBy: "app", ElapsedMS: 212.4, Done: true,
	}
}

func with(change func(l *export.Line)) export.Line {
	l := command()
	change(&l)
	return l
}

func TestRequestsAreShownAsDrawn(t *testing.T) {
	c, out := screen()
	c.Exchange(command(), `→ ephemeral "Added"`)
	c.Exchange(with(func(l *export.Line) {
		l.Started = day.Add(9 * time.Second)
		l.Kind, l.Name, l.Text, l.ChannelName, l.Channel, l.ElapsedMS = slack.BlockActions, "done", "", "", "", 2890
	}), "")
	c.Exchange(with(func(l *export.Line) {
		l.Started = day.Add(31 * time.Second)
		l.Kind, l.Name, l.Status, l.ElapsedMS, l.RetryNum, l.RetryReason = slack.EventCallback, "app_mention", 500, 31, 1, "http_timeout"
	}), "")
	c.Exchange(with(func(l *export.Line) {
		l.Started = day.Add(38 * time.Second)
		l.Kind, l.Name, l.UserName, l.ChannelName = slack.OutgoingWebhook, "deploy", "bob", "ops"
		l.Verdict, l.Status, l.ElapsedMS, l.AnsweredBy = "mismatch", 401, 1, "slackdev"
	}), "")
	diff(t, out.String(), `
12:04:31  /todo add milk            ana  #dev     ✓ signed        200    212 ms  ▓░░░░░  → ephemeral "Added"
12:04:40  block_actions done        ana           ✓ signed        200  2 890 ms  ▓▓▓▓▓▓  ! 110 ms before Slack gives up
12:05:02  app_mention  (retry 1: http_timeout)    ✓ signed        500     31 ms  ▓░░░░░  slackdev show T7QX5C
12:05:09  outgoing "deploy"         bob  #ops     ✗ wrong secret  401      1 ms          signed with another app's secret?
`[1:])
}

func TestEachLineSaysTheOneThingThatMatters(t *testing.T) {
	for name, tc := range map[string]struct {
		line export.Line
		said string
		want string // behind the person
	}{
		"too slow": {with(func(l *export.Line) { l.ElapsedMS = 3200; l.Status = 500 }), "",
			"✓ signed        500  3 200 ms  ▓▓▓▓▓▓  Slack gave up at 3 s"},
		"too slow by a rule": {with(func(l *export.Line) {
			l.ElapsedMS, l.AnsweredBy, l.Origin, l.Of = 3200, "rule late", inspector.Replay, "01K9ZX6V7QFGH3M8N2P4ABCDEF"
		}), "",
			"✓ signed        200  3 200 ms  ▓▓▓▓▓▓  Slack gave up at 3 s  rule late  replay of ABCDEF"},
		"exactly three seconds": {with(func(l *export.Line) { l.ElapsedMS = 3000 }), "",
			"✓ signed        200  3 000 ms  ▓▓▓▓▓▓  ! 0 ms before Slack gives up"},
		"nobody waits for a browser": {with(func(l *export.Line) {
			l.ElapsedMS, l.Kind = 3200, slack.OAuthRedirect
			l.Verdict = "missing"
			l.Detail = "no signature"
		}), "",
			"✗ unsigned      200  3 200 ms          no signature"},
		"stale": {with(func(l *export.Line) { l.Verdict, l.Detail = "stale", "signed 6 minutes ago" }), "",
			"✗ stale         200    212 ms  ▓░░░░░  signed 6 minutes ago"},
		"malformed": {with(func(l *export.Line) { l.Verdict, l.Detail = "malformed", "no v0=" }), "",
			"✗ malformed     200    212 ms  ▓░░░░░  no v0="},
		"token":     {with(func(l *export.Line) { l.Verdict = "token" }), "", "~ token only    200    212 ms  ▓░░░░░"},
		"unchecked": {with(func(l *export.Line) { l.Verdict = "unchecked" }), "", "· unchecked     200    212 ms  ▓░░░░░"},
		"a rule":    {with(func(l *export.Line) { l.AnsweredBy = "rule ok" }), `→ "hi"`, `✓ signed        200    212 ms  ▓░░░░░  rule ok  → "hi"`},
		"a replay":  {with(func(l *export.Line) { l.Origin, l.Of = inspector.Replay, "01K9ZX6V7QFGH3M8N2P4ABCDEF" }), "", "✓ signed        200    212 ms  ▓░░░░░  replay of ABCDEF"},
		"made here": {with(func(l *export.Line) { l.Origin = inspector.Composed }), "", "✓ signed        200    212 ms  ▓░░░░░  sent from here"},
		"a finding": {with(func(l *export.Line) { l.Findings = []string{"bad_json"} }), "x", "✓ signed        200    212 ms  ▓░░░░░  ! bad_json  slackdev show T7QX5C"},
		"cut off": {with(func(l *export.Line) { l.Status, l.AnsweredBy, l.Fault = 0, "", "rule x cut the connection" }), "",
			"✓ signed        —      212 ms          rule x cut the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			c, out := screen()
			c.Exchange(tc.line, tc.said)
			_, got, _ := strings.Cut(out.String(), "ana  #dev     ")
			diff(t, got, tc.want+"\n")
		})
	}
}

func TestAnAppThatIsDownIsToldOnceUntilItAnswers(t *testing.T) {
	down := with(func(l *export.Line) {
		l.Status, l.AnsweredBy, l.Fault, l.ElapsedMS = 502, "slackdev", "nothing listens on localhost:3000", 1
	})
	c, out := screen()
	for _, l := range []export.Line{down, down, command(), down} {
		c.Exchange(l, "")
	}
	diff(t, out.String(), `
12:04:31  /todo add milk            ana  #dev     ✓ signed        502      1 ms          nothing listens on localhost:3000
          start your app, or answer in its place with  slackdev mock add --any --text "ok"
12:04:31  /todo add milk            ana  #dev     ✓ signed        502      1 ms          nothing listens on localhost:3000
12:04:31  /todo add milk            ana  #dev     ✓ signed        200    212 ms  ▓░░░░░
12:04:31  /todo add milk            ana  #dev     ✓ signed        502      1 ms          nothing listens on localhost:3000
          start your app, or answer in its place with  slackdev mock add --any --text "ok"
`[1:])
}

func TestARequestThatIsNotDoneIsNotShown(t *testing.T) {
	c, out := screen()
	c.Exchange(with(func(l *export.Line) { l.Done = false }), "")
	c.Totals()
	diff(t, out.String(), "\nno requests\n")
}

func TestTheFirstScreenFinishesTheJob(t *testing.T) {
	c, out := screen()
	c.Ready(Ready{
		Public: mustURL(t, "https://ana-todo.relay.example.org"), App: mustURL(t, "http://localhost:3000"), Path: "/slack/events",
		Inspect: "http://127.0.0.1:4040/#t=x", Provider: "relay://relay.example.org", Latency: 41 * time.Millisecond,
		Secrets: []string{"SLACK_SIGNING_SECRET (.env)"},
	})
	diff(t, out.String(), `
slackdev  https://ana-todo.relay.example.org  →  http://localhost:3000       ● live  (relay.example.org, 41 ms)
Slack     Request URL  https://ana-todo.relay.example.org/slack/events       (events, interactivity, commands)
Inspect   http://127.0.0.1:4040/#t=x                                         signing secret: SLACK_SIGNING_SECRET ✓ (.env)

`)
}

func TestAnAddressForThisMachineAloneSaysSoAndWhatToDo(t *testing.T) {
	c, out := screen()
	c.Ready(Ready{
		Public: mustURL(t, "http://ana-todo.localhost:40123/"), App: mustURL(t, "http://localhost:3000"), Path: "/slack/events",
		Inspect: "http://127.0.0.1:4040/#t=x", Provider: "embedded",
	})
	diff(t, out.String(), `
slackdev  http://ana-todo.localhost:40123  →  http://localhost:3000       ● only this machine can reach it  (embedded relay)
Slack     Request URL  http://ana-todo.localhost:40123/slack/events       (events, interactivity, commands)
Inspect   http://127.0.0.1:4040/#t=x                                      signatures are not checked: put  SLACK_SIGNING_SECRET=…  into .env
          test without Slack:    slackdev send slash_command --set text="add milk"
          get a public address:  slackdev tunnel 3000 --via pinggy   (or  --via ssh://you@your.server)

`)
}

func TestWithoutATunnelTheProxysOwnAddressIsShown(t *testing.T) {
	c, out := screen()
	c.Ready(Ready{Front: mustURL(t, "http://127.0.0.1:5000"), App: mustURL(t, "http://[::1]:3000/a"), Path: "/x", Provider: "none", Inspect: "i", Secrets: []string{"a (.env)", "b (.env)"}, Warnings: []string{"the history is in memory"}})
	for _, want := range []string{"http://127.0.0.1:5000/x", "(no tunnel)", "a ✓ (.env) and 1 more", "slackdev tunnel http://[::1]:3000/a --via pinggy", "the history is in memory"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestANarrowTerminalGetsTheRightHalfBelow(t *testing.T) {
	c, out := screen()
	c.Width = 80
	c.Ready(Ready{Public: mustURL(t, "https://a.example.org"), App: mustURL(t, "http://localhost:3000"), Path: "/slack/events", Inspect: "http://127.0.0.1:4040/#t=x", Provider: "pinggy", Secrets: []string{"s"}})
	diff(t, out.String(), `
slackdev  https://a.example.org  →  http://localhost:3000       ● live  (pinggy)
Slack     Request URL  https://a.example.org/slack/events
          (events, interactivity, commands)
Inspect   http://127.0.0.1:4040/#t=x
          signing secret: s ✓

`)
}

func TestTheTunnelsLifeIsToldWithoutRepeating(t *testing.T) {
	c, out := screen()
	refused := errors.New("dial tcp: connection refused")
	first, second := mustURL(t, "https://one.example"), mustURL(t, "https://two.example")
	c.Tunnel("", tunnel.Status{State: tunnel.Connecting, Provider: "pinggy"})
	c.Tunnel("", tunnel.Status{State: tunnel.Up, Provider: "pinggy", URL: first, Public: true, Notices: []string{"Welcome\x1b[2J\nupgrade now", "Welcome\x1b[2J"}})
	c.Ready(Ready{Public: first, App: first, Path: "/slack/events", Inspect: "i", Provider: "pinggy", Secrets: []string{"s"}})
	out.WriteString("--\n")
	for range 3 {
		c.Tunnel("", tunnel.Status{State: tunnel.Down, Provider: "pinggy", Err: errors.New("the connection was reset")})
		c.Tunnel("", tunnel.Status{State: tunnel.Waiting, Provider: "pinggy", Err: refused, Retry: time.Second})
		c.Tunnel("", tunnel.Status{State: tunnel.Connecting, Provider: "pinggy"})
	}
	c.Tunnel("", tunnel.Status{State: tunnel.Up, Provider: "pinggy", URL: first, Public: true})
	c.Tunnel("", tunnel.Status{State: tunnel.Down, Provider: "pinggy"})
	c.Tunnel("", tunnel.Status{State: tunnel.Up, Provider: "pinggy", URL: second, Changed: true, Public: true})
	before, after, _ := strings.Cut(out.String(), "--\n")
	if !strings.HasPrefix(before, "12:04:31  connecting through pinggy …\n          pinggy: Welcome\\u001b[2J\n          pinggy: upgrade now\n\nslackdev") {
		t.Errorf("before: %q", before)
	}
	diff(t, after, `
12:04:31  ! the tunnel is lost: the connection was reset
12:04:31  ! no tunnel: dial tcp: connection refused; next try in 1 s
12:04:31  ● the tunnel is back
12:04:31  ! the tunnel is lost
12:04:31  ● the public URL is a new one, paste it into Slack:
          https://two.example/slack/events
`[1:])
}

// A person who comes back to the terminal reads how it stands, in a handful of lines.
func TestALongOutageIsToldCalmly(t *testing.T) {
	c, out := screen()
	u := mustURL(t, "https://one.example")
	c.Tunnel("", tunnel.Status{State: tunnel.Up, Provider: "pinggy", URL: u})
	c.Ready(Ready{Public: u, App: u, Inspect: "i", Provider: "pinggy"})
	out.Reset()
	c.Tunnel("", tunnel.Status{State: tunnel.Down, Err: errors.New("it was reset")})
	refused := errors.New("connection refused")
	for outage := time.Duration(0); outage < 10*time.Minute; {
		retry := 400 * time.Millisecond
		if outage >= time.Minute {
			retry = 14600 * time.Millisecond
		}
		c.Tunnel("", tunnel.Status{State: tunnel.Waiting, Err: refused, Retry: retry, Outage: outage})
		outage += retry
	}
	c.Tunnel("", tunnel.Status{State: tunnel.Waiting, Err: errors.New("the key is refused"), Retry: 29 * time.Second, Outage: 10 * time.Minute})
	c.Tunnel("", tunnel.Status{State: tunnel.Up, URL: u, Outage: 10*time.Minute + 3*time.Second})
	c.Tunnel("", tunnel.Status{State: tunnel.Down, Err: errors.New("it was reset")})
	c.Tunnel("", tunnel.Status{State: tunnel.Up, URL: u, Outage: 3210 * time.Millisecond})
	diff(t, out.String(), `
12:04:31  ! the tunnel is lost: it was reset
12:04:31  ! no tunnel: connection refused
12:04:31  still no tunnel after 1 min; next try in 15 s
12:04:31  still no tunnel after 2 min 13 s; next try in 15 s
12:04:31  still no tunnel after 4 min 39 s; next try in 15 s
12:04:31  still no tunnel after 9 min 31 s; next try in 15 s
12:04:31  ! no tunnel: the key is refused; next try in 29 s
12:04:31  ● the tunnel is back after 10 min 3 s
12:04:31  ! the tunnel is lost: it was reset
12:04:31  ● the tunnel is back after 3.2 s
`[1:])
}

func TestSpansAreSpelledForAPerson(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 40*time.Millisecond + 300*time.Microsecond: "40 ms", 99900 * time.Microsecond: "0.1 s", 3210 * time.Millisecond: "3.2 s",
		4 * time.Second: "4 s", 9990 * time.Millisecond: "10 s", 42400 * time.Millisecond: "42 s", 59600 * time.Millisecond: "1 min", time.Minute: "1 min",
		125 * time.Second: "2 min 5 s", time.Hour - time.Millisecond: "1 h", 3*time.Hour + 10*time.Minute: "3 h 10 min", 50 * time.Hour: "50 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestTroubleIsToldOnceUntilItIsOver(t *testing.T) {
	c, out := screen()
	c.Healed("store", "never told")
	c.Trouble("store", "the disk is full: nothing is recorded", "free some space")
	c.Trouble("store", "the disk is full: nothing is recorded", "free some space")
	c.Healed("store", "recording again")
	c.Trouble("store", "the disk is full: nothing is recorded", "")
	diff(t, out.String(), `
12:04:31  ! the disk is full: nothing is recorded
          free some space
12:04:31  ● recording again
12:04:31  ! the disk is full: nothing is recorded
`[1:])
}

func TestAServiceThatTalksWithoutEndIsNotListenedTo(t *testing.T) {
	c, out := screen()
	for i := range 10_000 {
		c.Tunnel("", tunnel.Status{State: tunnel.Up, Provider: "pinggy", Notices: []string{fmt.Sprintf("line %d %s", i, strings.Repeat("x", 10_000))}})
	}
	if lines := strings.Count(out.String(), "\n"); lines != noticeLimit || out.Len() > 300*lines {
		t.Errorf("%d lines, %d bytes", lines, out.Len())
	}
	c.Notice("what slackdev has to say")
	if !strings.HasSuffix(out.String(), "\n          what slackdev has to say\n") {
		t.Error("the service has talked our own notice down")
	}
}

// Whatever a service says begins with its name, is dimmed, and stays in its line: also
// in a terminal so narrow that a long line would go on in a second row.
func TestAServiceCannotSpeakInSlackdevsName(t *testing.T) {
	c, out := screen()
	c.Width, c.Color = 60, true
	pad := strings.Repeat(".", 60-titleColumn-len("pinggy: "))
	for _, text := range []string{
		pad + "12:04:31  ● the public URL is a new one, paste it into Slack: https://thief.example",
		"ok\n12:04:31  ● the public URL is a new one",
		"ok\r\x1b[1A\x1b[2K12:04:31  ● live",
		"\u202e" + pad, "https://x.example/?token=xoxb-123456789012-abcdefghij",
	} {
		c.Tunnel("", tunnel.Status{State: tunnel.Up, Provider: "pinggy", Notices: []string{text}})
	}
	for line := range strings.Lines(out.String()) {
		text, dim := strings.CutPrefix(line, strings.Repeat(" ", titleColumn)+"\x1b[2mpinggy: ")
		text, _, end := strings.Cut(text, "\x1b[")
		if !dim || !end || strings.ContainsAny(text, "\x1b\r\u202e") || width("pinggy: "+text) >= c.Width-titleColumn || strings.Contains(text, "abcdefghij") {
			t.Errorf("%q", line)
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines != 6 {
		t.Errorf("%d lines:\n%s", lines, out)
	}
}

func TestARefusalIsToldWithWhatToDo(t *testing.T) {
	c, out := screen()
	c.Tunnel("", tunnel.Status{State: tunnel.Waiting, Provider: "pinggy", Retry: time.Minute, Err: fmt.Errorf("tunnel through a: %w", &tunnel.RefusedError{
		Op: "open a tunnel", Err: errors.New("a limit of the service is reached"), Hint: "wait", Later: true,
	})})
	diff(t, out.String(), `
12:04:31  ! no tunnel: tunnel through a: open a tunnel: a limit of the service is reached; next try in 1 min
          wait
`[1:])
}

func TestTotalsCountWhatWasSeen(t *testing.T) {
	c, out := screen()
	c.Exchange(command(), "")
	c.Exchange(with(func(l *export.Line) { l.ElapsedMS = 2890.2 }), "")
	c.Exchange(with(func(l *export.Line) { l.Verdict, l.Status = "mismatch", 401 }), "")
	c.Exchange(with(func(l *export.Line) { l.Status, l.Fault = 0, "cut" }), "")
	_, last, _ := strings.Cut(out.String(), "\n\n")
	c.Totals()
	_, last, _ = strings.Cut(out.String(), "\n\n")
	diff(t, last, "4 requests; 3 signed, 1 wrong secret; 2 × 200, 1 without an answer, 1 × 401; slowest 2 890 ms (/todo add milk)   slackdev requests\n")
}

func TestColoursComeOnlyWhenAskedFor(t *testing.T) {
	show := func(c *Console) {
		c.Ready(Ready{App: mustURL(t, "http://localhost:1"), Inspect: "i", Provider: "none"})
		c.Exchange(command(), "x")
		c.List([]export.Line{command()})
		c.Tunnel("", tunnel.Status{State: tunnel.Down})
		c.Trouble("a", "b", "c")
		c.Notice("d")
		c.Detail(export.Detail{Line: command()})
		c.Totals()
	}
	plain, out := screen()
	show(plain)
	if strings.ContainsAny(out.String(), "\x1b\r\b") {
		t.Errorf("not asked for: %q", out)
	}
	coloured, again := screen()
	coloured.Color = true
	show(coloured)
	if !strings.Contains(again.String(), "\x1b[32m✓ signed") {
		t.Errorf("asked for: %q", again)
	}
	var bare strings.Builder
	for rest := again.String(); rest != ""; {
		before, after, found := strings.Cut(rest, "\x1b[")
		bare.WriteString(before)
		if !found {
			break
		}
		code, tail, _ := strings.Cut(after, "m")
		if strings.Trim(code, "0123456789;") != "" {
			t.Fatalf("not a colour: %q", code)
		}
		rest = tail
	}
	diff(t, bare.String(), out.String())
}

func TestListsSayTheDayUnlessAllAreOfToday(t *testing.T) {
	c, out := screen()
	c.List([]export.Line{command()})
	c.List([]export.Line{
		command(),
		with(func(l *export.Line) {
			l.Started, l.Fault, l.Status, l.AnsweredBy = day.Add(-100*time.Hour), "nothing listens on localhost:3000", 502, "slackdev"
		}),
		with(func(l *export.Line) { l.Done, l.Status, l.ElapsedMS = false, 0, 0 }),
	})
	diff(t, out.String(), `
T7QX5C  12:04:31  /todo add milk            ana  #dev     ✓ signed        200    212 ms  ▓░░░░░
T7QX5C  Nov 21 12:04:31  /todo add milk            ana  #dev     ✓ signed        200    212 ms  ▓░░░░░
T7QX5C  Nov 17 08:04:31  /todo add milk            ana  #dev     ✓ signed        502    212 ms          nothing listens on localhost:3000
T7QX5C  Nov 21 12:04:31  /todo add milk            ana  #dev     ✓ signed        —                      not answered yet
`[1:])
}

func TestLongNamesKeepTheColumns(t *testing.T) {
	c, out := screen()
	long := with(func(l *export.Line) {
		l.Text, l.UserName = strings.Repeat("日本 ", 20), "a.very.long.name.indeed"
	})
	c.Exchange(long, "")
	c.Width = 200
	c.Exchange(long, "")
	c.Width = 80
	c.Exchange(long, "")
	diff(t, out.String(), `
12:04:31  /todo 日本 日本 日本 日…  a.very.long…  ✓ signed        200    212 ms  ▓░░░░░
12:04:31  /todo 日本 日本 日本 日本 日本 日本 日本 日本 日本 日本 日本 日…  a.very.long…  ✓ signed        200    212 ms  ▓░░░░░
12:04:31  /todo 日本 日…  a.very.long…  ✓ signed        200    212 ms  ▓░░░░░
`[1:])
}

func TestSeveralTunnelsAreToldByName(t *testing.T) {
	c, out := screen()
	todo, site := mustURL(t, "https://ana-todo.relay.example.org"), mustURL(t, "https://site.relay.example.org")
	app, front := mustURL(t, "http://localhost:3000"), mustURL(t, "http://localhost:5173")
	const relay = "relay://relay.example.org"
	for _, name := range []string{"ana-todo", "site"} {
		c.Tunnel(name, tunnel.Status{State: tunnel.Connecting, Provider: relay})
	}
	c.Tunnel("site", tunnel.Status{State: tunnel.Waiting, Provider: relay, Err: errors.New("no answer")})
	c.Tunnel("ana-todo", tunnel.Status{State: tunnel.Up, Provider: relay, URL: todo, Public: true})
	c.Ready(Ready{
		Public: todo, App: app, Path: "/slack/events", Inspect: "http://127.0.0.1:4040/#t=x", Provider: relay, Name: "ana-todo",
		Secrets: []string{"s"}, Warnings: []string{"beware"},
		Others: []Way{
			{Name: "site", App: front}, {Name: "admin", Public: mustURL(t, "https://admin.relay.example.org/"), App: mustURL(t, "unix:/run/a.sock")},
			{Name: "/api", Route: true, App: mustURL(t, "https://localhost:8443")},
		},
	})
	c.Tunnel("site", tunnel.Status{State: tunnel.Up, Provider: relay, URL: site, Public: true})
	c.Tunnel("ana-todo", tunnel.Status{State: tunnel.Down, Provider: relay, Err: errors.New("reset")})
	c.Tunnel("site", tunnel.Status{State: tunnel.Down, Provider: relay, Err: errors.New("reset")})
	c.Tunnel("site", tunnel.Status{State: tunnel.Waiting, Provider: relay, Err: errors.New("reset")})
	c.Tunnel("ana-todo", tunnel.Status{State: tunnel.Up, Provider: relay, URL: todo, Public: true})
	c.Tunnel("site", tunnel.Status{State: tunnel.Up, Provider: relay, URL: mustURL(t, "https://other.example.org"), Changed: true, Public: true})
	diff(t, out.String(), `
12:04:31  connecting through relay://relay.example.org …
12:04:31  ! no tunnel site: no answer

slackdev  https://ana-todo.relay.example.org  →  http://localhost:3000        ● live  (relay.example.org)
          site                                →  http://localhost:5173        ! no tunnel yet
          https://admin.relay.example.org     →  unix:/run/a.sock             ● live
          /api                                →  https://localhost:8443
Slack     Request URL  https://ana-todo.relay.example.org/slack/events        (events, interactivity, commands)
Inspect   http://127.0.0.1:4040/#t=x                                          signing secret: s ✓
          beware

12:04:31  ● the tunnel site is up
          https://site.relay.example.org  →  http://localhost:5173
12:04:31  ! the tunnel ana-todo is lost: reset
12:04:31  ! the tunnel site is lost: reset
12:04:31  ● the tunnel ana-todo is back
12:04:31  ● the public URL of site is a new one, paste it into Slack:
          https://other.example.org/slack/events
`[1:])
}

func TestWhatIsPastedIsAnAddressThatIsThere(t *testing.T) {
	c, out := screen()
	c.Ready(Ready{
		App: mustURL(t, "http://localhost:3000"), Path: "/slack/events", Inspect: "i", Provider: "pinggy", Name: "ana-todo", Secrets: []string{"s"},
		Others: []Way{{Name: "site", Public: mustURL(t, "https://site.example.org"), App: mustURL(t, "http://localhost:5173")}},
	})
	diff(t, out.String(), `
slackdev  ana-todo                  →  http://localhost:3000       ! no tunnel yet  (pinggy)
          https://site.example.org  →  http://localhost:5173       ● live
Slack     Request URL  https://site.example.org/slack/events       (events, interactivity, commands)
Inspect   i                                                        signing secret: s ✓

`)
}

func TestEachAppsAbsenceIsToldOnce(t *testing.T) {
	c, out := screen()
	absent := func(name string) export.Line {
		return with(func(l *export.Line) {
			l.Upstream, l.Status, l.AnsweredBy, l.Fault = name, 502, "slackdev", "nothing listens on "+name
		})
	}
	for range 2 {
		for _, name := range []string{"site", "/api", ""} {
			c.Exchange(absent(name), "")
		}
	}
	c.Exchange(with(func(l *export.Line) { l.Upstream = "site" }), "") // it answers
	c.Exchange(absent("site"), "")
	c.Exchange(absent("/api"), "")
	c.Exchange(with(func(l *export.Line) {
		l.Status, l.AnsweredBy, l.Fault = 502, "slackdev", "the certificate of a is not trusted (b); --insecure-upstream takes any"
	}), "")
	if got := strings.Count(out.String(), "start your app"); got != 4 {
		t.Errorf("told %d times, want once for each and once more for the one that answered between:\n%s", got, out)
	}
	if !strings.Contains(out.String(), "for site") {
		t.Errorf("the app that answered is not named:\n%s", out)
	}
}
