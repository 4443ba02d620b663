package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/webui"
)

// watchRules reads the rules again whenever their file is saved. It watches the
// folder: many editors write a new file and give it the old one's name.
func (a *app) watchRules(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		err = w.Add(filepath.Dir(a.cfg.Rules))
	}
	if err != nil {
		a.screen.notice(fmt.Sprintf("%s is not watched (%v); restart slackdev after a change of its rules", a.cfg.Rules, err))
		return nil
	}
	// Editors save in several steps. The last one counts.
	const quiet = 30 * time.Millisecond
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if filepath.Clean(e.Name) == a.cfg.Rules && e.Op != fsnotify.Chmod {
				settled = time.After(quiet)
			}
		case err := <-w.Errors:
			a.log.Warn("watch the rules", "err", err)
		case <-settled:
			settled = nil
			a.reloadRules()
		}
	}
}

func (a *app) reloadRules() {
	if err := a.rules.Reload(); err != nil {
		a.rulesTrouble(err, "the rules from before stay in force")
	} else {
		a.screen.healed(a.mistake, count(len(a.rules.List()), "rule")+" in force again")
	}
	a.refresh(webui.RulesChanged)
	a.refresh(webui.StatusChanged)
}

// rulesTrouble says what is wrong with the rules; another mistake than before is news.
func (a *app) rulesTrouble(err error, hint string) {
	a.mistake = "rules " + err.Error()
	a.screen.trouble(a.mistake, err.Error(), hint)
}

// count spells a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// watchRequests shows a line for each request that is done, until ctx ends and those
// that were done by then are shown, too.
func (a *app) watchRequests(ctx context.Context) error {
	const room = 4096
	reading := context.WithoutCancel(ctx)
	sub := a.journal.Events.Subscribe(room)
	for {
		select {
		case <-ctx.Done():
			sub.Close()
			for e := range sub.C {
				a.show(reading, e)
			}
			return nil
		case e, ok := <-sub.C:
			if !ok {
				// More passes than a terminal can show.
				sub = a.journal.Events.Subscribe(room)
				a.screen.notice("requests come faster than they can be shown; all of them are in  slackdev requests")
				continue
			}
			a.show(reading, e)
		}
	}
}

func (a *app) show(ctx context.Context, e inspector.Event) {
	switch {
	case e.What == inspector.Lost:
		if err := a.journal.Trouble(); err != nil {
			a.screen.trouble("history", "requests are not being recorded: "+err.Error(), "traffic goes on; make room on the disk, and recording resumes by itself")
			a.refresh(webui.StatusChanged)
		}
	case e.Final:
		x, err := a.store.Get(ctx, e.ID)
		switch {
		case err == nil:
			a.healed(x)
			a.screen.exchange(x)
		case !errors.Is(err, inspector.ErrNotFound): // deleted already
			a.log.Warn("show a request", "id", e.ID.String(), "err", err)
		}
	}
}

// healed takes back what was said about the app and the history, once they work.
func (a *app) healed(x *inspector.Exchange) {
	if x.Fault == "" && x.Response != nil && x.Response.By == inspector.ByApp {
		for i, u := range a.apps {
			if u.Name == x.Upstream || i == 0 && x.Upstream == "" {
				a.screen.healed(appKey(u), "the app at "+u.Addr()+also(u)+" answers")
			}
		}
	}
	if a.journal.Trouble() == nil && a.storeWorks() {
		a.screen.healed("history", "requests are recorded again")
	}
}

func (a *app) storeWorks() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken == nil
}
