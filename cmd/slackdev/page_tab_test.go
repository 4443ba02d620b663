//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// startBrowser starts a Chromium that ends with the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium: go run ./cmd/internal/dev install")
	}
	home := t.TempDir() // so that it leaves nothing in the user's
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.Env("HOME="+home, "XDG_CONFIG_HOME=", "XDG_CACHE_HOME="), chromedp.WindowSize(1280, 800), chromedp.WSURLReadTimeout(patience),
		chromedp.NoSandbox, // which a container's root cannot have
		chromedp.DisableGPU, chromedp.Flag("headless", "new"), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	browser, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(browser); err != nil {
			t.Logf("the browser ended: %v", err)
		}
		stop()
	})
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return browser
}

// tab is one tab of a browser, with cookies of its own. A test that ends fails where the
// page complained about something that the test did not expect.
type tab struct {
	*testing.T
	ctx context.Context

	mu         sync.Mutex // guards the rest
	complaints []string
	expected   []*regexp.Regexp
}

// newTab opens a tab that shows nothing yet.
func newTab(t *testing.T, browser context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	p := &tab{T: t}
	if len(options) == 0 {
		options = []chromedp.ContextOption{chromedp.WithNewBrowserContext()}
	}
	ctx, cancel := chromedp.NewContext(browser, append(options, chromedp.WithListener(p.hear))...)
	p.ctx = ctx
	t.Cleanup(func() {
		p.report()
		cancel()
	})
	eyes, err := os.ReadFile("testdata/page.js")
	if err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: string(eyes)}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, audits.Enable, cdp.Empty{})
		return err
	}))
	return p
}

// hear takes what the browser says about the page.
func (p *tab) hear(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			p.complain("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			p.complain("console.%s: %v", e.Type, e.Args)
		}
	case *runtime.EventExceptionThrown:
		p.complain("exception: %s", exception(e.ExceptionDetails))
	case *audits.EventIssueAdded:
		if d := e.Issue.Details; d.ContentSecurityPolicyIssueDetails != nil {
			p.complain("content security policy: %+v", *d.ContentSecurityPolicyIssueDetails)
		}
	}
}

func exception(d *runtime.ExceptionDetails) string {
	if d.Exception != nil && d.Exception.Description != "" {
		return d.Exception.Description
	}
	return d.Text
}

func (p *tab) complain(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complaints = append(p.complaints, fmt.Sprintf(format, args...))
}

// expect says which complaints belong to the test.
func (p *tab) expect(pattern string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, regexp.MustCompile(pattern))
}

// report fails the test for each complaint that was not expected.
func (p *tab) report() {
	p.mu.Lock()
	defer p.mu.Unlock()
next:
	for _, complaint := range p.complaints {
		for _, pattern := range p.expected {
			if pattern.MatchString(complaint) {
				continue next
			}
		}
		p.Errorf("the page complains: %s", complaint)
	}
}

// do runs actions, or fails.
func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if p.ctx.Err() == nil && chromedp.FromContext(p.ctx).Target == nil {
		if err := chromedp.Do(p.ctx); err != nil { // opens the tab, which lives as long as this context
			p.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.Fatalf("%v\n%s", err, p.look())
	}
}

// look describes what the page shows, for a failed test.
func (p *tab) look() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	words, err := chromedp.Run(ctx, chromedp.Evaluate[string](`[location.hash.replace(/t=.*/, 't=…'), document.visibilityState, document.activeElement?.id, see.rows().length, see.$('#list-rows .row')?.ariaSetSize].join(' ') + '\n' + document.body.innerText.slice(0, 3000)`))
	if err != nil {
		return "the page cannot be asked: " + err.Error()
	}
	return words
}

// eval gives the value of an expression.
func eval[T any](p *tab, expression string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%s: %v\n%s", expression, err, p.look())
	}
	return v
}

// until waits until an expression holds. It is asked when the page changes.
func (p *tab) until(claim, expression string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf("see.until(() => Boolean(%s), %d)", expression, (patience*2/3).Milliseconds()), chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%s: never true: %s: %v\n%s", claim, expression, err, p.look())
	}
}

// reloads evaluates an expression that makes the page load itself again.
func (p *tab) reloads(claim, expression string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	trigger := chromedp.Evaluate[chromedp.Void](expression)
	if _, err := chromedp.Run(ctx, chromedp.WaitEvent(page.LoadEventFired, nil, trigger)); err != nil {
		p.Fatalf("%s: the page was not loaded again: %v\n%s", claim, err, p.look())
	}
}

// visit goes to an address.
func (p *tab) visit(address string) {
	p.Helper()
	p.do(chromedp.Navigate(address))
}

// enter opens the page with the terminal's link, and waits until it is live.
func (p *tab) enter(link string) {
	p.Helper()
	p.visit(link)
	p.until("the page is live", `see.$('#live[data-live=live]') && see.$('#list[aria-busy=false]') && see.text('#request-url')`)
}

// press strikes keys, one after the other. A key that the page takes for itself types
// nothing, as with a keyboard.
func (p *tab) press(keys string) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for _, r := range keys {
			k := kb.Keys[r]
			if k == nil {
				return fmt.Errorf("there is no key for %q", r)
			}
			down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: k.Key, Code: k.Code, NativeVirtualKeyCode: k.Native, WindowsVirtualKeyCode: k.Windows}
			if k.Shift {
				down.Modifiers = int64(kb.ModifierShift)
			}
			up := down
			up.Type = input.DispatchKeyEventTypeKeyUp
			if k.Print {
				down.Type, down.Text, down.UnmodifiedText = input.DispatchKeyEventTypeKeyDown, k.Text, k.Unmodified
			}
			for _, params := range []input.DispatchKeyEventParams{down, up} {
				if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, params); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

// click clicks the element, once nothing covers it.
func (p *tab) click(selector string) {
	p.Helper()
	point := eval[[]float64](p, fmt.Sprintf("see.until(() => see.at(%q), %d)", selector, (patience*2/3).Milliseconds()))
	p.do(chromedp.MouseClickXY(point[0], point[1]))
}

// fill puts a text in the place of what stands in a field, as pasting does.
func (p *tab) fill(selector, text string) {
	p.Helper()
	p.do(chromedp.WaitVisible(chromedp.CSS(selector)))
	eval[bool](p, fmt.Sprintf(`(see.$(%q).focus(), see.$(%q).select(), true)`, selector, selector))
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if text == "" {
			return chromedp.Do(ctx, chromedp.KeyEvent("\b"))
		}
		_, err := chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
}

// held are answers of the server that the browser has and the page has not.
type held struct {
	tab  *tab
	came chan fetch.RequestID
}

// hold holds every answer from addresses like the pattern.
func (p *tab) hold(pattern string) *held {
	p.Helper()
	h := &held{tab: p, came: make(chan fetch.RequestID, 100)}
	if err := chromedp.Listen(p.ctx, func(event any) {
		if e, ok := event.(*fetch.EventRequestPaused); ok {
			h.came <- e.RequestID
		}
	}); err != nil {
		p.Fatal(err)
	}
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern, RequestStage: fetch.RequestStageResponse}}})
		return err
	}))
	return h
}

// next waits for an answer to hold.
func (h *held) next() fetch.RequestID {
	h.tab.Helper()
	select {
	case id := <-h.came:
		return id
	case <-time.After(patience):
		h.tab.Fatalf("nothing was asked\n%s", h.tab.look())
		return ""
	}
}

// let gives an answer to the page.
func (h *held) let(id fetch.RequestID) {
	h.tab.Helper()
	h.tab.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, fetch.ContinueResponse, fetch.ContinueResponseParams{RequestID: id})
		return err
	}))
}

// row is a row of the list as a person sees it.
type row struct {
	ID, Title, Text, User, Verdict, Status, Marks, Finding string
	Done, Chosen                                           bool
}

// rows gives the rows that stand in the document, the upper ones first.
func (p *tab) rows() []row {
	p.Helper()
	return eval[[]row](p, "see.rows()")
}

// untilRow waits for a row that is done and has these words, and gives it.
func (p *tab) untilRow(title, text string) row {
	p.Helper()
	fits := fmt.Sprintf("see.rows().find((r) => r.done && r.title === %s && r.text === %s)", strconv.Quote(title), strconv.Quote(text))
	p.until("a row comes", fits)
	return eval[row](p, fits)
}

// open opens the exchange with a click on its row.
func (p *tab) open(r row) {
	p.Helper()
	p.click("#row-" + r.ID)
	p.untilOpen(r.ID)
}

// untilOpen waits until the detail shows the exchange, and its row is marked.
func (p *tab) untilOpen(id string) {
	p.Helper()
	p.until("the detail shows it", fmt.Sprintf(`see.$('#exchange[data-id=%q]') && see.shown('#tab-panel') && location.hash.includes(%q)`, id, id))
}

// width makes the window as wide as told.
func (p *tab) width(width, height int64) {
	p.Helper()
	p.do(chromedp.EmulateViewport(width, height))
}

// scheme makes the system's theme light or dark.
func (p *tab) scheme(scheme string) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// fits fails where something is wider than the window.
func (p *tab) fits(where string) {
	p.Helper()
	if sizes := eval[[]float64](p, `[document.scrollingElement.scrollWidth, innerWidth]`); sizes[0] > sizes[1] {
		widest := eval[[]string](p, `[...document.querySelectorAll('body *')].filter((el) => el.getBoundingClientRect().right > innerWidth + 0.5).map((el) => el.tagName + '#' + el.id + '.' + el.className).slice(0, 8)`)
		p.Errorf("%s: %v pixels wide in a window of %v: %s", where, sizes[0], sizes[1], strings.Join(widest, ", "))
	}
}
