//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// hostile are texts that would like to be more than text.
func hostile() map[string]string {
	return map[string]string{
		"markup": `<img src=x onerror="globalThis.harmed=1"><script>globalThis.harmed=1</script><b>bold</b>`,
		"link":   `javascript:globalThis.harmed=1`,
		"bidi":   "abc\u202egnp.exe\u2066\u200b\x07\x1b[31m",
		"long":   strings.Repeat("w", 1<<20),
		"quote":  `"'` + "`" + `${globalThis.harmed=1}{{globalThis.harmed=1}}`,
	}
}

func strangersStayText(i *inspection) {
	texts := hostile()
	i.rig.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("X-Said", texts["markup"])
		_, _ = io.WriteString(w, texts["markup"]+texts["bidi"])
	})
	for _, name := range []string{"markup", "link", "bidi", "long", "quote"} {
		body, err := json.Marshal(map[string]any{
			"type": "event_callback", "team_id": "T1" + texts[name], "event_id": "Ev" + name,
			"event": map[string]any{"type": "message", "subtype": name + texts["markup"], "user": texts[name], "channel": texts["bidi"], "text": texts[name], texts["markup"]: texts["bidi"]},
		})
		if err != nil {
			i.Fatal(err)
		}
		i.slack(delivery{body: string(body), header: map[string]string{"X-Stranger": texts["markup"], "User-Agent": texts["markup"]}})
	}
	i.enter(i.run.link)
	i.until("they are listed", `see.rows().length === 5 && see.rows().every((r) => r.done)`)
	i.until("markup is text in the list", `see.rows().some((r) => r.text.startsWith('<img src=x onerror=') && r.title.includes('<b>bold'))`)
	rows := i.rows()
	for _, r := range rows {
		i.open(r)
		for _, tab := range []string{"payload", "request", "response", "findings", "timing"} {
			i.click("#tab-" + tab)
			i.until("the tab is drawn", fmt.Sprintf(`see.$('#tab-panel').dataset.tab === %q && see.$('#tab-panel').childElementCount > 0`, tab))
			i.fits(tab)
			i.harmless(tab)
		}
		i.click("#tab-payload")
	}
	i.open(rows[4])
	i.until("markup is text in the payload", `see.tree().some((line) => line.startsWith('text: "<img src=x onerror='))`)
	i.click("#tab-request")
	i.until("and in heads", `see.fields('#in-headers').some((line) => line.startsWith('X-Stranger: <img'))`)
	i.click("#tab-response")
	i.until("and in answers", `see.text('#tab-panel pre').startsWith('<img src=x')`)
	i.click("#tab-payload")

	for _, width := range []int64{360, 1280, 2560} {
		i.width(width, 900)
		i.until("the window has that width", fmt.Sprintf(`innerWidth === %d`, width))
		for _, r := range rows {
			i.goes("#/x/" + r.ID + "/payload")
			i.untilOpen(r.ID)
			where := fmt.Sprintf("%d pixels, %s", width, strings.TrimSuffix(r.Title, hostile()["markup"]))
			i.fits(where)
			i.harmless(where)
		}
		i.goes("#/")
		i.fits(fmt.Sprintf("the list at %d pixels", width))
	}
}

// harmless fails where something that a stranger wrote became more than text.
func (i *inspection) harmless(where string) {
	i.Helper()
	for _, found := range eval[[]string](i.tab, `[
		['a script ran', 'harmed' in globalThis],
		['an element was made of words', see.$('img, script:not([src^="js/"]), #panes bdi b, .row bdi *, .node-value > :not(mark)') !== null],
		['an address is not ours', [...document.links].some((a) => !/^https?:$/.test(a.protocol) || a.host !== location.host)],
		['a mark of direction is in the text', /[\u202a-\u202e\u2066-\u2069\u200b\u0007\u001b]/.test(document.body.innerText)],
	].filter(([, bad]) => bad).map(([what]) => what)`) {
		i.Errorf("%s: %s", where, found)
	}
}

func everybodyCanRead(i *inspection) {
	i.command("add milk")
	i.rig.app.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	for _, d := range []delivery{{kind: "block_actions"}, {kind: "app_mention", retry: 1}, {kind: "view_submission", secret: "another app's"}} {
		i.rig.slack(i.run, d)
	}
	i.enter(i.run.link)
	i.until("they are listed", `see.rows().length === 4 && see.rows().every((r) => r.done)`)
	bad := i.rows()[0]
	axe, err := os.ReadFile("../../webui/check/node_modules/axe-core/axe.min.js")
	if err != nil {
		i.Skip("axe-core is not installed: go run ./cmd/internal/dev install")
	}
	i.do(chromedp.Evaluate[chromedp.Void](string(axe)))
	for _, scheme := range []string{"light", "dark"} {
		i.scheme(scheme)
		i.goes("#/")
		background := eval[[]float64](i.tab, `see.colour(getComputedStyle(document.body).backgroundColor)`)
		if dark := background[0]+background[1]+background[2] < 3*128; dark != (scheme == "dark") {
			i.Errorf("%s: the background is %v", scheme, background)
		}
		i.accessible(scheme + ", list")
		i.open(bad)
		for _, tab := range []string{"payload", "request", "response", "findings", "timing"} {
			i.click("#tab-" + tab)
			i.until("the tab is drawn", fmt.Sprintf(`see.$('#tab-panel').dataset.tab === %q`, tab))
			i.accessible(scheme + ", " + tab)
		}
		for _, selector := range []string{"body", ".row-title", ".row-time", ".row-status", ".badge[data-tone=ok]", ".badge[data-tone=bad]", "#detail-name", ".detail-meta"} {
			if ratio := eval[float64](i.tab, fmt.Sprintf(`see.contrast(%q)`, selector)); ratio < 4.5 {
				i.Errorf("%s: %s has a contrast of %.1f", scheme, selector, ratio)
			}
		}
		i.dialogsCanBeRead(scheme)
		i.goes("#/rules")
		i.accessible(scheme + ", rules")
	}
	i.width(360, 800)
	i.goes("#/")
	i.accessible("a telephone, list")
	i.goes("#/x/" + bad.ID + "/payload")
	i.accessible("a telephone, payload")
}

// dialogsCanBeRead opens each dialog.
func (i *inspection) dialogsCanBeRead(scheme string) {
	i.Helper()
	for _, d := range []struct{ key, dialog string }{{"?", "#keys-dialog"}, {"e", "#edit-dialog"}, {"m", "#rule-dialog"}, {kb.Delete, "#delete-dialog"}} {
		i.press(d.key)
		i.until("the dialog is there", fmt.Sprintf(`see.shown(%q)`, d.dialog))
		i.accessible(scheme + ", " + d.dialog)
		i.press(kb.Escape)
		i.until("and gone", `!see.$('dialog')`)
	}
	i.click("#search-help-button")
	i.until("help is there", `see.shown('#search-help')`)
	i.accessible(scheme + ", #search-help")
	i.press(kb.Escape)
	i.until("and gone", `!see.shown('#search-help')`)
}

// goes follows a link within the page.
func (i *inspection) goes(hash string) {
	i.Helper()
	eval[bool](i.tab, fmt.Sprintf(`(location.hash = %q, true)`, hash))
	view := map[bool]string{true: "#rules", false: "#home"}[hash == "#/rules"]
	if strings.HasPrefix(hash, "#/x/") {
		view = "#exchange"
	}
	i.until("it is there", fmt.Sprintf(`!see.$(%q).hidden`, view))
}

// accessible fails for everything that axe finds in what is shown.
func (i *inspection) accessible(where string) {
	i.Helper()
	for _, found := range eval[[]string](i.tab, `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
		violations.flatMap((v) => v.nodes.map((n) => v.id + ': ' + n.target + ': ' + (n.failureSummary ?? v.help))))`) {
		i.Errorf("%s: %s", where, found)
	}
}
