//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

func detailShowsAll(i *inspection) {
	i.rig.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"error":"no such list","items":[1,2]}`)
	})
	body := "team_id=T1&channel_id=C1&channel_name=dev&user_id=U1&user_name=ana&command=%2Ftodo&text=" + url.QueryEscape("add milk & “eggs”")
	at := strconv.FormatInt(time.Now().Unix(), 10)
	heads := []string{
		"User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)", "x-zebra: 1", "X-ant: 2", "X-Slack-Signature: " + signature(i.rig.secret, at, []byte(body)),
		"X-Slack-Request-Timestamp: " + at, "Content-Length: " + strconv.Itoa(len(body)), "Content-Type: application/x-www-form-urlencoded", "X-ant: 3",
	}
	answer := i.rig.wire(i.run, fmt.Sprintf("POST /slack/events?a=%%62 HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n%s", i.run.public.Host, strings.Join(heads, "\r\n"), body))
	if !strings.HasPrefix(answer, "HTTP/1.1 500") {
		i.Fatalf("the answer begins %q", answer)
	}
	i.enter(i.run.link)
	i.open(i.untilRow("/todo", "add milk & “eggs”"))
	i.until("the payload is decoded", `see.tree().includes('command: "/todo"') && see.tree().includes('text: "add milk & “eggs”"') && see.tree().includes('user_name: "ana"')`)
	i.until("the head sums up", `see.text('#detail-name') === '/todo' && see.text('.detail-status') === '500' && see.text('#verdict').includes('signed') && see.text('#answered-by').includes('the app')`)

	i.click("#tab-request")
	i.until("the request's first line is as it was", `see.text('.first-line').includes('POST /slack/events?a=%62 HTTP/1.1')`)
	var got []string
	for _, line := range eval[[]string](i.tab, `see.fields('#in-headers')`) {
		if slices.Contains(heads, line) {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(heads, got); diff != "" {
		i.Errorf("the head is not as it was on the wire: -want +got\n%s", diff)
	}
	i.click("#in-as-text")
	i.until("the body is there byte for byte", fmt.Sprintf(`see.text('pre.text') === %q`, body))

	i.click("#tab-response")
	i.until("the answer is there", `see.text('.first-line').includes('500') && see.tree('out-tree').includes('error: "no such list"') && see.fields('#out-headers').includes('Content-Type: application/json')`)
	i.click("#tab-findings")
	i.until("and what Slack makes of it", `see.$('.finding[data-code=bad_status]') && see.text('.finding-text').includes('500') && see.text('.finding-fix') !== ''`)
	i.click("#tab-timing")
	i.until("and how long it took", `see.text('.timing-line').includes('3 s')`)
}

func replayNamesOriginal(i *inspection) {
	i.command("add milk")
	sent := <-i.rig.app.got
	i.enter(i.run.link)
	original := i.untilRow("/todo", "add milk")
	i.open(original)
	i.press("r")
	i.until("the replay is a row of its own", `see.rows().length === 2 && see.rows()[0].done && see.rows()[0].marks === 'replay' && see.rows()[0].status === '200' && see.rows()[0].verdict === 'signed'`)
	i.until("what became of it is said", `see.text('#toasts').includes('Replayed: 200')`)
	if again := <-i.rig.app.got; string(again) != string(sent) {
		i.Errorf("the app got\n%s\nand then\n%s", sent, again)
	}
	i.until("the original names the replay", fmt.Sprintf(`see.$('#made-from a[data-of=%q]')`, i.rows()[0].ID))
	replay := i.rows()[0]
	i.open(replay)
	i.until("the replay names the original", fmt.Sprintf(`see.$('#of a[data-of=%q]')`, original.ID))
	i.click("#of a")
	i.untilOpen(original.ID)

	i.press("R")
	i.until("R is Slack's retry", `see.rows().length === 3 && see.rows()[0].done && see.rows()[0].marks.includes('retry 1')`)
}

func editAndReplay(i *inspection) {
	i.slack(delivery{kind: "block_actions", set: map[string]string{"actions.0.value": "17"}})
	<-i.rig.app.got
	i.enter(i.run.link)
	i.until("it is there", `see.rows().length === 1 && see.rows()[0].done`)
	original := i.rows()[0]
	i.open(original)
	i.press("e")
	i.until("the editor holds the payload", `see.shown('#edit-dialog') && see.$('#edit-text').value.includes('"17"')`)
	text := eval[string](i.tab, `see.$('#edit-text').value`)
	i.fill("#edit-text", text+"}")
	i.until("a mistake is said", `see.text('#edit-error').includes('not JSON') && see.$('#edit-text').ariaInvalid === 'true'`)
	i.click("#edit-dialog-yes")
	i.until("and not sent", `see.shown('#edit-dialog') && see.rows().length === 1`)
	i.fill("#edit-text", strings.Replace(text, `"17"`, `"18 & more"`, 1))
	i.click("#edit-dialog-yes")
	i.until("the edited one is signed and answered", `!see.$('dialog') && see.rows().length === 2 && see.rows()[0].done && see.rows()[0].verdict === 'signed' && see.rows()[0].status === '200'`)
	fields, err := url.ParseQuery(string(<-i.rig.app.got))
	if err != nil {
		i.Fatal(err)
	}
	var payload struct {
		Actions []struct{ Value string }
		Token   string
	}
	if err := json.Unmarshal([]byte(fields.Get("payload")), &payload); err != nil || len(payload.Actions) != 1 || payload.Actions[0].Value != "18 & more" {
		i.Errorf("the app got %+v, %v", payload, err)
	}
	if payload.Token == "" || strings.ContainsAny(payload.Token, "*…•") {
		i.Errorf("the app got the masked token %q", payload.Token)
	}
	i.until("it names its original", `see.rows()[0].marks === 'replay'`)
}

func rulesAnswer(i *inspection) {
	i.enter(i.run.link)
	i.click("#open-rules")
	i.until("there are none yet", `see.text('#rules').includes('No rules yet')`)
	i.click("#add-rule")
	i.until("the form is there", `see.shown('#rule-dialog') && document.activeElement.id === 'rule-name'`)
	i.click("#rule-dialog-yes")
	i.until("a rule without a name is refused", `see.text('#rule-error') !== '' && see.$('#rule-name').ariaInvalid === 'true'`)
	i.fill("#rule-name", "busy")
	i.fill("#rule-match", "/todo")
	i.fill("#rule-text", "milk")
	i.fill("#rule-status", "999")
	i.click("#rule-dialog-yes")
	i.until("and one with a status that is none", `see.text('#rule-error').includes('200 to 599')`)
	i.fill("#rule-status", "503")
	i.fill("#rule-body", "no {{.text}} today")
	i.click("#rule-dialog-yes")
	i.until("the rule is listed", `!see.$('dialog') && see.$('[data-rule=busy]') && see.text('[data-rule=busy]').includes('503') && see.text('#open-rules .count') === '1'`)

	d := delivery{kind: "slash_command", set: map[string]string{"text": "add milk"}}
	if status, text := i.rig.slack(i.run, d); status != 503 || text != "no add milk today" {
		i.Errorf("the rule answers %d %q", status, text)
	}
	if len(i.rig.app.got) != 0 {
		i.Error("the app was asked all the same")
	}
	hit := i.untilRow("/todo", "add milk")
	if hit.Status != "503" || hit.Marks != "rule" {
		i.Errorf("the row says %+v", hit)
	}
	i.until("its hits are counted", `see.text('[data-rule=busy] .rule-hits').includes('1 hit')`)
	i.open(hit)
	i.until("the exchange names the rule", `see.text('#answered-by').includes('rule busy')`)

	i.rig.slack(i.run, d) // while the rules are not seen
	i.click("#open-rules")
	i.until("the count is right when they are seen again", `see.text('[data-rule=busy] .rule-hits').includes('2 hits')`)
	i.click("[data-rule=busy] [data-do=remove]")
	i.until("removing asks first", `see.shown('#remove-rule-dialog')`)
	i.press(kb.Enter)
	i.until("it is gone", `!see.$('[data-rule=busy]') && see.text('#rules').includes('No rules yet')`)
	if status, text := i.rig.slack(i.run, d); status != 200 {
		i.Errorf("without the rule: %d %q", status, text)
	}
}
