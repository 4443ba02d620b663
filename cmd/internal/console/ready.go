package console

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/slackdev/slackdev/tunnel"
)

// Ready is what is known when the first request can come.
type Ready struct {
	Public   *url.URL      // nil: there is no tunnel
	Front    *url.URL      // where the proxy itself listens on this machine, for when there is no tunnel
	App      *url.URL      // the local app
	Path     string        // where Slack posts
	Inspect  string        // the page's URL, with the token in its fragment
	Local    string        // the same without
	Provider string        // who carries the traffic, as --via takes it
	Latency  time.Duration // to whoever carries it; 0: not known
	Name     string        // the name that was asked for
	Secrets  []string      // the names of the signing secrets
	Store    string        // what is said where the history is not kept, "" when it is
	Failed   string        // a public service that was tried in vain, "" for none
}

// reachable reports whether others than this machine can reach the public URL.
func (r Ready) reachable() bool { return r.Public != nil && tunnel.Public(r.Public) }

// gap stands between the two columns of the first screen.
const gap = 7

// Ready shows the first screen: the URL, what to paste into Slack, where to look.
func (c *Console) Ready(r Ready) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready, c.path = true, r.Path
	public := r.Public
	if public == nil {
		public = r.Front
	}
	c.tunnel = tunnel.Status{State: tunnel.Up, URL: r.Public, Provider: r.Provider}
	state, tone := "● live", green
	if !r.reachable() {
		state, tone = "● only this machine can reach it", yellow
	}
	arrow := address(public) + "  →  " + address(r.App)
	post := "Request URL  " + address(public) + clean(r.Path)
	inspect := clean(r.Inspect)
	right := titleColumn + max(width(arrow), width(post), width(inspect)) + gap

	c.print("\n")
	c.screenLine("slackdev", arrow, right, state, carrier(r), tone)
	c.screenLine("Slack", post, right, "", "(events, interactivity, commands)", faint)
	secrets, tone := signing(r.Secrets)
	c.screenLine("Inspect", inspect, right, secrets, "", tone)
	if !r.reachable() {
		c.advise(r)
	}
	if r.Store != "" {
		c.print(strings.Repeat(" ", titleColumn) + c.paint(yellow, clean(r.Store)) + "\n")
	}
	c.print("\n")
}

// screenLine writes a label, a text, and to the right of both what is to be said about
// it; below, where the terminal is too narrow for that.
func (c *Console) screenLine(label, text string, right int, state, about string, as tone) {
	l := (&line{}).put(label, c.as(bold)).at(titleColumn).put(text, nil)
	if state != "" || about != "" {
		if c.Width > 0 && right+width(state)+2+width(about) > c.Width {
			c.print(l.end())
			l, right = &line{}, titleColumn
		}
		l.at(right)
		if state != "" {
			l.put(state, c.as(as))
		}
		if about != "" {
			l.at(right).put(about, c.as(faint))
		}
	}
	c.print(l.end())
}

// carrier names who sees the traffic on its way, as it is shown behind the state.
func carrier(r Ready) string {
	name := r.Provider
	switch _, host, found := strings.Cut(name, "://"); {
	case found:
		name = host[strings.LastIndexByte(host, '@')+1:]
	case name == "none" || r.Public == nil:
		name = "no tunnel"
	case name == "embedded":
		name = "embedded relay"
	}
	if r.Latency > 0 {
		return fmt.Sprintf("(%s, %s ms)", clean(name), grouped(r.Latency.Round(time.Millisecond).Milliseconds()))
	}
	return "(" + clean(name) + ")"
}

// signing says which secrets signatures are checked with: SLACK_SIGNING_SECRET ✓ (.env).
func signing(names []string) (string, tone) {
	switch len(names) {
	case 0:
		return "signatures are not checked: put  SLACK_SIGNING_SECRET=…  into .env", yellow
	case 1:
		return "signing secret: " + ticked(names[0]), faint
	}
	return fmt.Sprintf("signing secrets: %s and %d more", ticked(names[0]), len(names)-1), faint
}

func ticked(name string) string {
	what, origin, found := strings.Cut(clean(name), " (")
	if !found {
		return what + " ✓"
	}
	return what + " ✓ (" + origin
}

// advise says what can be done with an address that Slack cannot reach.
func (c *Console) advise(r Ready) {
	app := "PORT"
	if r.App != nil {
		if app = r.App.Port(); app == "" || r.App.Hostname() != "localhost" || r.App.Path != "" {
			app = r.App.String()
		}
	}
	c.print((&line{}).at(titleColumn).put("test without Slack:", c.as(yellow)).at(titleColumn+23).
		put(`slackdev send slash_command --set text="add milk"`, nil).end())
	via, other := "pinggy", "   (or  --via ssh://you@your.server)"
	if r.Failed == via {
		via, other = "ssh://you@your.server", ""
	}
	c.print((&line{}).at(titleColumn).put("get a public address:", c.as(yellow)).at(titleColumn+23).
		put("slackdev tunnel "+clean(app)+" --via "+via, nil).put(other, c.as(faint)).end())
}

// address spells a URL without a slash at its end.
func address(u *url.URL) string {
	if u == nil {
		return "?"
	}
	return clean(strings.TrimSuffix(u.String(), "/"))
}

// Tunnel says what becomes of the tunnel: that it is lost, why a new try failed (the
// same reason once), that it is back. The first time it is up is told by Ready.
func (c *Console) Tunnel(s tunnel.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.tunnel
	c.tunnel = s
	switch s.State {
	case tunnel.Connecting:
		if !c.ready && last.State == "" && s.Provider != "embedded" {
			c.print(c.stamp() + "  " + c.paint(faint, "connecting through "+clean(s.Provider)+" …") + "\n")
		}
	case tunnel.Down:
		c.reason("! the tunnel is lost", s.Err)
	case tunnel.Waiting:
		c.reason("! no tunnel", s.Err)
	case tunnel.Up:
		c.recovered(s)
	}
	for _, text := range s.Notices {
		c.notice(clean(s.Provider) + ": " + text)
	}
}

// reason tells an error of the tunnel, the same one only once until it is up again.
func (c *Console) reason(what string, err error) {
	if err != nil {
		what += ": " + cut(clean(masked(err.Error())), 300)
	}
	if c.fresh(what) {
		c.print(c.stamp() + "  " + c.paint(red, what) + "\n")
	}
}

func (c *Console) fresh(trouble string) bool {
	if c.lost[trouble] {
		return false
	}
	if c.lost == nil || len(c.lost) > noticeLimit {
		c.lost = map[string]bool{}
	}
	c.lost[trouble] = true
	return true
}

func (c *Console) recovered(s tunnel.Status) {
	told := len(c.lost) > 0
	c.lost = nil
	switch {
	case !c.ready: // the first screen says it
	case s.Changed && s.URL != nil:
		c.print(c.stamp() + "  " + c.paint(yellow, "● the public URL is a new one, paste it into Slack:") + "\n")
		c.print(strings.Repeat(" ", titleColumn) + c.paint(bold, address(s.URL)+clean(c.path)) + "\n")
	case told:
		c.print(c.stamp() + "  " + c.paint(green, "● the tunnel is back") + "\n")
	}
}
