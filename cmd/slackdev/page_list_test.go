//go:build unix

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

func requestsAppear(i *inspection) {
	i.enter(i.run.link)
	i.until("an empty list says what to do", `see.text('#list-note').includes('Waiting for the first request')`)
	eval[bool](i.tab, `(globalThis.same = true)`)
	i.command("add milk")
	i.untilRow("/todo", "add milk")
	i.until("one is one", `see.text('#list-foot').startsWith('One request.')`)
	i.slack(delivery{kind: "app_mention", set: map[string]string{"event.text": "hello"}})
	i.untilRow("app_mention", "hello")
	i.until("their number is right", `see.text('#list-foot') === 'No older requests.'`)

	release, arrived := make(chan struct{}), make(chan struct{})
	i.rig.app.answers(func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	var waiting sync.WaitGroup
	defer waiting.Wait()
	waiting.Go(func() { i.slack(delivery{kind: "slash_command", set: map[string]string{"text": "think"}}) })
	<-arrived
	i.until("a request is there before its answer", `see.rows()[0].text === 'think' && see.rows()[0].status === 'waiting' && !see.rows()[0].done`)
	close(release)
	i.until("the answer comes to its row", `see.rows()[0].status === '200' && see.rows()[0].done`)

	var got []string
	for _, r := range i.rows() {
		got = append(got, strings.Join([]string{r.Title, r.Text, r.User, r.Verdict, r.Status}, "|"))
	}
	want := []string{"/todo|think|ana|signed|200", "app_mention|hello|U07SDEV4ANA|signed|200", "/todo|add milk|ana|signed|200"}
	if diff := cmp.Diff(want, got); diff != "" {
		i.Errorf("-want +got\n%s", diff)
	}
	if !eval[bool](i.tab, `globalThis.same === true`) {
		i.Error("the page was loaded again")
	}
}

func filterNarrows(i *inspection) {
	i.command("add milk")
	i.command("buy bread")
	i.slack(delivery{kind: "app_mention", set: map[string]string{"event.text": "who adds milk?"}})
	i.enter(i.run.link)
	i.expect(`status of 400`)
	texts := func(claim, q string, want ...string) {
		i.Helper()
		i.fill("#search", q)
		i.until(claim, fmt.Sprintf(`see.rows().map((r) => r.text).join('|') === %q`, strings.Join(want, "|")))
	}
	texts("all", "", "who adds milk?", "buy bread", "add milk")
	texts("a word finds payloads", "milk", "who adds milk?", "add milk")
	texts("a key narrows", "kind:command milk", "add milk")
	texts("a minus leaves out", "-kind:command", "who adds milk?")
	i.command("milk, three bottles")
	i.fill("#search", "milk")
	i.until("what comes while a search is on is searched", `see.rows()[0].text === 'milk, three bottles' && see.rows().length === 3`)

	i.fill("#search", "stat:5xx")
	i.until("a mistake is explained", `see.text('#search-error').includes('status') && see.$('#search').ariaInvalid === 'true'`)
	texts("and forgotten when it is mended", "status:5xx")
	i.until("nothing found has a way out", `see.shown('#clear-search') && see.text('#list-note').includes('status:5xx') && see.text('#search-error') === ''`)
	i.click("#clear-search")
	i.until("all come back", `see.rows().length === 4 && see.$('#search').value === ''`)
}

func linksAndBack(i *inspection) {
	i.command("add milk")
	i.command("buy bread")
	i.enter(i.run.link)
	milk, bread := i.untilRow("/todo", "add milk"), i.untilRow("/todo", "buy bread")
	i.open(milk)
	i.click("#tab-request")
	i.until("the tab has an address", `location.hash.endsWith('/request')`)
	link := eval[string](i.tab, `location.href`)
	i.open(bread)
	eval[bool](i.tab, `(history.back(), true)`)
	i.untilOpen(milk.ID)
	eval[bool](i.tab, `(history.back(), true)`)
	i.until("further back nothing is open", `see.shown('#home') && !see.shown('#exchange')`)
	eval[bool](i.tab, `(history.forward(), true)`)
	i.untilOpen(milk.ID)

	i.visit("about:blank")
	i.visit(link)
	i.untilOpen(milk.ID)
	i.until("a link leads to its tab", `see.$('#tab-request').ariaSelected === 'true' && see.$('#in-headers')`)
	i.until("its row is marked", fmt.Sprintf(`see.rows().some((r) => r.chosen && r.id === %q)`, milk.ID))
	i.visit("about:blank")
	i.visit(i.home() + "#/?q=bread")
	i.until("a link with a search has its rows", `see.$('#search').value === 'bread' && see.rows().length === 1 && see.rows()[0].text === 'buy bread'`)
	i.visit("about:blank")
	i.expect(`status of 404`)
	i.visit(i.home() + "#/x/01K00000000000000000000000/payload")
	i.until("a link to what is gone says so", `see.text('#exchange').includes('This request is gone')`)
}

func keysAlone(i *inspection) {
	i.command("one")
	i.command("two")
	i.command("three")
	i.enter(i.run.link)
	i.until("three", `see.rows().length === 3`)
	rows := i.rows()
	i.press("j")
	i.untilOpen(rows[0].ID)
	i.press("jj")
	i.untilOpen(rows[2].ID)
	i.press("k")
	i.untilOpen(rows[1].ID)
	i.press(kb.Enter)
	i.until("Enter goes into the request", `document.activeElement.id === 'tab-panel'`)
	i.press("2")
	i.until("2 is the second tab", `see.$('#tab-request').ariaSelected === 'true' && see.$('#in-headers')`)
	i.press(kb.Escape)
	i.until("Escape goes to the list", `document.activeElement.id === 'list'`)
	i.press(kb.ArrowDown)
	i.untilOpen(rows[2].ID)
	i.press("/")
	i.until("/ searches", `document.activeElement.id === 'search' && see.$('#search').value === ''`)
	i.press("jrone")
	i.until("letters are letters while one types", `see.$('#search').value === 'jrone' && see.text('#list-note').includes('Nothing found')`)
	i.press(kb.Escape)
	i.until("Escape empties the search", `see.$('#search').value === '' && see.rows().length === 3`)
	i.press(kb.Escape)
	i.press("?")
	i.until("? shows the keys", `see.shown('#keys-dialog') && see.text('#keys-dialog').includes('replay')`)
	i.press("r")
	i.press(kb.Escape)
	i.until("Escape closes a dialog", `!see.$('dialog')`)
	i.press(kb.Enter)
	i.press("p")
	i.until("p pins", `see.$('#act-pin').ariaPressed === 'true'`)
	i.press(kb.Delete)
	i.until("Delete asks", `see.shown('#delete-dialog') && document.activeElement.id === 'delete-dialog-yes'`)
	i.press(kb.Enter)
	i.until("and deletes", fmt.Sprintf(`see.rows().length === 2 && !see.rows().some((r) => r.id === %q)`, rows[2].ID))
	if got := len(i.rows()); got != 2 {
		i.Errorf("%d rows: a key acted behind a dialog", got)
	}
}

// slowListKeepsNewer: what happens while the list is being read is newer than what was
// read, and must still be there when the reading ends.
func slowListKeepsNewer(i *inspection) {
	release := i.hold("*/api/v1/exchanges?q=*")
	i.visit(i.run.link)
	held := release.next()
	i.until("the page is connected", `see.$('#live[data-live=live]')`)
	i.command("one")
	i.untilRow("/todo", "one")
	release.let(held) // its answer knows nothing of the first request
	held = release.next()
	i.command("two")
	i.untilRow("/todo", "two")
	release.let(held) // nor this one of the second
	i.until("the reading ended", `see.$('#list[aria-busy=false]')`)
	i.until("both are there", `see.rows().map((r) => r.text).join() === 'two,one'`)
}

func burstIsWhole(i *inspection) {
	const many = 100
	i.enter(i.run.link)
	var senders sync.WaitGroup
	for sender := range 10 {
		senders.Go(func() {
			for n := range many / 10 {
				i.command(fmt.Sprintf("item %d", sender*many/10+n))
			}
		})
	}
	senders.Wait()
	i.until("the list has them all", fmt.Sprintf(`see.rows()[0]?.done && see.$('#list-rows .row').ariaSetSize === '%d'`, many))
	// Only the rows that can be seen are in the document: scroll through all of them.
	got := eval[[]string](i.tab, fmt.Sprintf(`(() => {
		const found = new Set();
		return see.until(() => {
			for (const row of see.rows()) if (row.done) found.add(row.text);
			see.$('#list-scroll').scrollTop += see.$('#list-scroll').clientHeight / 2;
			return found.size === %d && [...found];
		}, %d);
	})()`, many, patience.Milliseconds()))
	var want []string
	for n := range many {
		want = append(want, fmt.Sprintf("item %d", n))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		i.Errorf("-want +got\n%s", diff)
	}
}

func restartIsSurvived(i *inspection) {
	i.command("before")
	i.enter(i.run.link)
	i.open(i.untilRow("/todo", "before"))
	i.expect(`WebSocket connection to|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE`)
	eval[bool](i.tab, `(globalThis.same = true)`)
	i.rig.stop(i.run)
	i.until("the page says that slackdev is away", `see.shown('[data-banner=lost]') && see.$('#live[data-live=waiting]') && see.text('#live') === 'Reconnecting'`)
	if rows := i.rows(); len(rows) != 1 || rows[0].Text != "before" {
		i.Errorf("what was seen is gone: %+v", rows)
	}

	// Somebody records into the same history while this page has nobody to ask.
	other := i.rig.tunnel("127.0.0.1:0")
	if status, text := i.rig.slack(other, delivery{kind: "slash_command", set: map[string]string{"text": "meanwhile"}}); status != 200 {
		i.Fatalf("%d %s", status, text)
	}
	i.rig.stop(other)

	started := time.Now()
	i.run = i.rig.tunnel(i.run.local)
	i.untilRow("/todo", "meanwhile")
	i.until("the page is live again", `see.$('#live[data-live=live]') && !see.$('[data-banner=lost]')`)
	i.Logf("caught up %v after the start", time.Since(started).Round(time.Millisecond))
	i.command("after")
	i.untilRow("/todo", "after")
	i.until("the address of the new tunnel is shown", fmt.Sprintf(`see.text('#request-url') === '%s/slack/events'`, i.run.public))
	if !eval[bool](i.tab, `globalThis.same === true`) {
		i.Error("the page was loaded again")
	}
}
