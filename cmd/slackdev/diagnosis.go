package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/slackdev/slackdev/cmd/internal/client"
	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/doctor"
	"github.com/slackdev/slackdev/inspector/store/sqlite"
)

// diagnosis is one run of the doctor: it measures, and has package doctor judge.
type diagnosis struct {
	env    config.Env
	cfg    *config.Config
	log    *slog.Logger
	failed int
	tell   func(doctor.Check) error
	lost   error // what tell failed with: whoever read has left
}

// run makes every check that can be made, and reports how many failed.
func (d *diagnosis) run(ctx context.Context, tell func(doctor.Check) error) (failed int, err error) {
	d.tell = tell
	for _, check := range []func(context.Context){d.project, d.secret, d.apps, d.store, d.port, d.tunnel, d.clock} {
		if check(ctx); ctx.Err() != nil {
			return d.failed, ctx.Err()
		}
		if d.lost != nil {
			return d.failed, d.lost
		}
	}
	return d.failed, nil
}

// say reports a check.
func (d *diagnosis) say(c doctor.Check) {
	if c.Mark == doctor.Bad {
		d.failed++
	}
	if err := d.tell(c); err != nil {
		d.lost = err
	}
}

func (d *diagnosis) good(name, format string, args ...any) {
	d.say(doctor.Check{Name: name, Mark: doctor.Good, Text: fmt.Sprintf(format, args...)})
}

func (d *diagnosis) warn(name, text, fix string) {
	d.say(doctor.Check{Name: name, Mark: doctor.Warning, Text: text, Fix: fix})
}

func (d *diagnosis) bad(name, text, fix string) {
	d.say(doctor.Check{Name: name, Mark: doctor.Bad, Text: text, Fix: fix})
}

// project says what slackdev takes for the project, which is where most surprises begin.
func (d *diagnosis) project(context.Context) {
	p := d.cfg.Project
	from := "no slackdev.yaml, no .env"
	switch {
	case p.File != "" && p.Dotenv != "":
		from = filepath.Base(p.File) + " and .env"
	case p.File != "":
		from = filepath.Base(p.File)
	case p.Dotenv != "":
		from = ".env"
	}
	d.good("project", "%s (%s)", p.Dir, from)
	for _, warning := range d.cfg.Warnings {
		d.warn("project", warning, "")
	}
}

func (d *diagnosis) secret(context.Context) {
	const fix = "copy it from your app's page, Basic Information, into .env:  SLACK_SIGNING_SECRET=…"
	secrets, err := d.cfg.Secrets()
	switch {
	case err != nil:
		d.bad("secret", err.Error(), fix)
	case len(secrets) == 0:
		d.warn("secret", "no signing secret: signatures are not checked", fix)
	default:
		names := secrets[0].Name
		for _, s := range secrets[1:] {
			names += ", " + s.Name
		}
		d.good("secret", "%s", names)
	}
}

// apps asks whether somebody listens behind each address that requests go to.
func (d *diagnosis) apps(ctx context.Context) {
	if d.cfg.App == nil {
		d.warn("app", "not checked: no port was given", "slackdev doctor 3000")
		return
	}
	for _, u := range upstreams(d.cfg, entrances(d.cfg)) {
		start := time.Now()
		if err := u.Ask(ctx); err != nil {
			d.bad("app", err.Error()+also(u), startApp)
			continue
		}
		d.say(doctor.Check{Name: "app", Mark: doctor.Good, Text: u.Addr() + " takes connections" + also(u), Took: time.Since(start)})
	}
}

// store opens the history as `requests` does, and where there is none yet, looks
// whether one can be made.
func (d *diagnosis) store(ctx context.Context) {
	path, err := d.cfg.Database()
	const fix = "slackdev tunnel … --store PATH, or --store memory"
	switch {
	case err != nil:
		d.bad("store", err.Error(), fix)
		return
	case path == "":
		d.good("store", "in memory: the history ends with slackdev")
		return
	}
	store, err := sqlite.Open(ctx, sqlite.Options{Path: path, ReadOnly: true, Now: d.env.Now})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.newStore(path)
		return
	case err != nil:
		d.bad("store", err.Error(), fix)
		return
	}
	defer store.Close()
	usage, err := store.Usage(ctx)
	if err != nil {
		d.bad("store", "read the history: "+err.Error(), fix)
		return
	}
	d.good("store", "%s, %.1f MiB in %s", count(usage.Exchanges, "request"), float64(usage.Bytes)/(1<<20), path)
}

// newStore looks whether the nearest folder above path that is there can be written to.
func (d *diagnosis) newStore(path string) {
	dir := filepath.Dir(path)
	for !isFolder(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".slackdev-doctor-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		d.bad("store", "the history cannot be made: "+err.Error(), "slackdev tunnel … --store PATH, or --store memory")
		return
	}
	d.good("store", "nothing recorded yet; it will be in %s", path)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// port looks who has the inspector's.
func (d *diagnosis) port(ctx context.Context) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", d.cfg.Local)
	switch {
	case err == nil:
		l.Close()
		d.good("port", "%s is free for the inspector", d.cfg.Local)
	case !errors.Is(err, syscall.EADDRINUSE):
		d.bad("port", fmt.Sprintf("listen on %s: %v", d.cfg.Local, plain(err)), "slackdev tunnel … --local 127.0.0.1:0")
	default:
		for _, run := range d.running() {
			if run.Address == d.cfg.Local {
				d.good("port", "%s is slackdev's already (pid %d, %s)", d.cfg.Local, run.PID, run.Project)
				return
			}
		}
		fix := "nothing to do: the next free port is taken"
		if d.cfg.Asked("local") {
			fix = "slackdev tunnel … --local 127.0.0.1:0   takes any free port"
		}
		d.warn("port", d.cfg.Local+" is taken by another program", fix)
	}
}

// running lists the slackdevs of this user.
func (d *diagnosis) running() []client.Run {
	dir, err := d.env.RunDir()
	if err != nil {
		return nil
	}
	runs, err := client.Runs(dir)
	if err != nil {
		d.log.Debug("look for running slackdevs", "err", err)
	}
	return runs
}

// slackURL is whose clock counts: Slack's signatures carry its time.
const slackURL = "https://slack.com/"

// clock compares this machine's to Slack's, as the Date of an answer tells it.
func (d *diagnosis) clock(ctx context.Context) {
	u, err := url.Parse(slackURL)
	if err != nil {
		d.bad("clock", err.Error(), "")
		return
	}
	ahead, err := d.ahead(ctx, u)
	if err != nil {
		d.warn("clock", "not compared: "+u.Host+" gives no time here", "a clock that is off by 5 minutes makes every signature look stale")
		return
	}
	d.say(doctor.Clock(ahead, u.Host))
}

// ahead is how far this machine's clock is ahead of that of u's server. A Date has whole
// seconds and means their beginning, so half a second is added.
func (d *diagnosis) ahead(ctx context.Context, u *url.URL) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		return 0, err
	}
	way, err := route(d.cfg, nil)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{DialContext: way.Dial}
	defer transport.CloseIdleConnections()
	start := d.env.Now()
	res, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	end := d.env.Now()
	theirs, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return 0, err
	}
	here := start.Add(end.Sub(start) / 2)
	return here.Sub(theirs.Add(500 * time.Millisecond)), nil
}
