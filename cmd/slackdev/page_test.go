//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestPage is a person at the inspector: a real browser, the program as it is
// installed, an app, and Slack's requests through the tunnel. Whatever the browser
// complains about (errors on the console, violations of the content security policy)
// fails the claim in which it does.
func TestPage(t *testing.T) {
	browser := startBrowser(t)
	binary := buildProgram(t)
	for _, c := range []struct {
		claim string
		check func(*inspection)
	}{
		{"the token of the link logs in and leaves the address", tokenLogsIn},
		{"without the token there is a way in and no data", noTokenNoData},
		{"a request appears by itself, the newest on top", requestsAppear},
		{"the detail shows payload, headers, answer and findings", detailShowsAll},
		{"r sends the opened request again and names the original", replayNamesOriginal},
		{"an edited request is signed and sent", editAndReplay},
		{"a filter narrows and a wrong one is explained", filterNarrows},
		{"a rule made here answers and is named", rulesAnswer},
		{"a link leads back to its request and the way back works", linksAndBack},
		{"everything is reached by keys alone", keysAlone},
		{"a hundred requests at once are all in the list", burstIsWhole},
		{"what happens while the list is read is not lost", slowListKeepsNewer},
		{"a restart is said, survived, and caught up with", restartIsSurvived},
		{"words from strangers stay words", strangersStayText},
		{"light and dark can be read by everybody", everybodyCanRead},
	} {
		t.Run(c.claim, func(t *testing.T) {
			c.check(inspect(t, browser, binary))
		})
	}
}

// inspection is a page, and what stands behind it.
type inspection struct {
	*tab
	rig *rig
	run *tunnelRun
}

// inspect starts the program and opens a tab that has not entered yet.
func inspect(t *testing.T, browser context.Context, binary string) *inspection {
	t.Helper()
	r := newRig(t, binary)
	run := r.tunnel("127.0.0.1:0") // before the tab, so that the tab leaves first
	return &inspection{tab: newTab(t, browser), rig: r, run: run}
}

// slack delivers a request, and wants it answered with 200.
func (i *inspection) slack(d delivery) {
	i.Helper()
	if status, text := i.rig.slack(i.run, d); status != 200 {
		i.Fatalf("%d %s", status, text)
	}
}

// command delivers a /todo.
func (i *inspection) command(text string) {
	i.Helper()
	i.slack(delivery{kind: "slash_command", set: map[string]string{"text": text}})
}

// home is the page's address without a token.
func (i *inspection) home() string { return "http://" + i.run.local + "/" }

func tokenLogsIn(i *inspection) {
	_, token, _ := strings.Cut(i.run.link, "#t=")
	if len(token) < 20 {
		i.Fatalf("%d characters are no token", len(token))
	}
	i.command("add milk")
	i.enter(i.run.link)
	i.untilRow("/todo", "add milk")
	kept := eval[string](i.tab, `[location.href, document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.documentElement.outerHTML].join(' ')`)
	if strings.Contains(kept, token) {
		i.Error("the token is where scripts and shoulders can read it")
	}
	ctx, cancel := context.WithTimeout(i.ctx, patience)
	defer cancel()
	history, err := chromedp.Run(ctx, chromedp.NavigationEntries())
	if err != nil {
		i.Fatal(err)
	}
	for _, entry := range history.Entries {
		if strings.Contains(entry.URL, token) {
			i.Error("the way back leads to the token")
		}
	}

	i.visit("about:blank")
	i.enter(i.home()) // the cookie opens the door now
	i.untilRow("/todo", "add milk")
}

func noTokenNoData(i *inspection) {
	i.command("buy the secret present")
	i.expect(`status of 401`)
	for _, hash := range []string{"", "#t=wrong", "#/rules"} {
		i.visit("about:blank")
		i.visit(i.home() + hash)
		i.until("the way in is shown", `see.shown('#out') && see.text('#out').includes('slackdev tunnel')`)
		if seen := eval[string](i.tab, `document.body.innerText`); strings.Contains(seen, "secret present") || strings.Contains(seen, "/todo") {
			i.Errorf("%q shows data to a stranger:\n%s", hash, seen)
		}
		if rows := i.rows(); len(rows) > 0 || eval[bool](i.tab, `see.shown('#panes')`) {
			i.Errorf("%q shows %d rows to a stranger", hash, len(rows))
		}
		status := eval[int](i.tab, `fetch('/api/v1/exchanges').then((r) => r.status)`)
		if status != 401 {
			i.Errorf("%q: the API answers a stranger with %d", hash, status)
		}
	}

	_, fragment, _ := strings.Cut(i.run.link, "#")
	i.reloads("the terminal's link, pasted into the locked tab, opens it", fmt.Sprintf(`(location.hash = %q, true)`, fragment))
	i.until("and shows everything", `!see.shown('#out') && see.rows().some((r) => r.text === 'buy the secret present')`)
}
