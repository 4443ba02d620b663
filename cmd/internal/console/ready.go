package console

import (
	"fmt"
	"net/url"
	"slices"
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
	Carrier  string        // the same for a person, where Provider does not say it, "" otherwise
	Latency  time.Duration // of a request through it and back; 0: not known
	Doubt    bool          // no request has come through it yet
	Name     string        // the name that was asked for
	Secrets  []string      // the names of the signing secrets
	Warnings []string      // what should be known besides
	Failed   string        // a public service that was tried in vain, "" for none
	Others   []Way         // where there is more than one tunnel, or a route
}

// Way is one more line of the first screen: who asks here gets to that app.
type Way struct {
	Name   string   // of the tunnel, or the path of a route
	Route  bool     // it has no address of its own
	Public *url.URL // of a tunnel; nil: it is not up yet
	Front  *url.URL // as Ready.Front
	App    *url.URL
	Doubt  bool // as Ready.Doubt
}

// from is what stands in front of the arrow.
func (w Way) from() string {
	switch {
	case w.Public != nil && !w.Route:
		return address(w.Public)
	case w.Front != nil && !w.Route:
		return address(w.Front)
	}
	return clean(w.Name)
}

// reachable reports whether others than this machine can reach the public URL.
func (r Ready) reachable() bool { return r.Public != nil && tunnel.Public(r.Public) }

// gap stands between the two columns of the first screen.
const gap = 7

// Ready shows the first screen: the URL, what to paste into Slack, where to look. With
// several tunnels it is shown once for all, and those that come later are told by Tunnel.
func (c *Console) Ready(r Ready) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready, c.path = true, r.Path
	ways := append([]Way{{Name: r.Name, Public: r.Public, Front: r.Front, App: r.App, Doubt: r.Doubt}}, r.Others...)
	c.expect(ways)
	for i, w := range ways { // what is pasted is an address that is there
		if i > 0 && r.Public == nil && r.Front == nil && !w.Route {
			r.Public = w.Public
		}
	}
	wide, right := 0, 0
	for _, w := range ways {
		wide = max(wide, width(w.from()))
	}
	for _, w := range ways {
		right = max(right, wide+width(arrow)+width(address(w.App)))
	}
	public := r.Public
	if public == nil {
		public = r.Front
	}
	post := "Request URL  " + address(public) + clean(r.Path)
	inspect := clean(r.Inspect)
	right = titleColumn + max(right, width(post), width(inspect)) + gap

	c.print("\n")
	for i, w := range ways {
		label, state, tone, carrier := "", "", faint, ""
		if i == 0 {
			label, carrier = "slackdev", carriedBy(r)
		}
		if !w.Route {
			state, tone = w.state()
		}
		text := w.from() + strings.Repeat(" ", wide-width(w.from())) + arrow + address(w.App)
		c.screenLine(label, text, right, state, carrier, tone)
	}
	c.screenLine("Slack", post, right, "", "(events, interactivity, commands)", faint)
	secrets, tone := signing(r.Secrets)
	c.screenLine("Inspect", inspect, right, secrets, "", tone)
	if !r.reachable() {
		c.advise(r)
	}
	for _, warning := range r.Warnings {
		c.print(strings.Repeat(" ", titleColumn) + c.paint(yellow, clean(warning)) + "\n")
	}
	c.print("\n")
}

// arrow stands between an address and the app behind it.
const arrow = "  →  "

// state says whether Slack can use the way.
func (w Way) state() (string, tone) {
	switch {
	case w.Public != nil && w.Doubt:
		return "○ no request came through yet", yellow
	case w.Public != nil && tunnel.Public(w.Public):
		return "● live", green
	case w.Public != nil || w.Front != nil:
		return "● only this machine can reach it", yellow
	}
	return "! no tunnel yet", red
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

// carriedBy names who sees the traffic on its way, as it is shown behind the state.
func carriedBy(r Ready) string {
	name := r.Provider
	switch _, host, found := strings.Cut(name, "://"); {
	case r.Carrier != "":
		name = r.Carrier
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
	if len(r.Others) > 0 {
		app = "…"
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

// lane is one tunnel, as far as it was told.
type lane struct {
	name  string          // "" where there is but one
	app   *url.URL        // behind it
	last  tunnel.Status   // that came
	lost  map[string]bool // why it is not up, as far as it was told
	still time.Duration   // the age of the outage when that it lasts was told; 0: it was not
	shown bool            // its address was
}

// expect notes what the first screen has shown.
func (c *Console) expect(ways []Way) {
	ways = slices.DeleteFunc(slices.Clone(ways), func(w Way) bool { return w.Route })
	for _, w := range ways {
		name := w.Name
		if len(ways) == 1 {
			name = ""
		}
		l := c.lane(name)
		l.app, l.shown = w.App, w.Public != nil
	}
}

func (c *Console) lane(name string) *lane {
	if c.lanes[name] == nil {
		if c.lanes == nil {
			c.lanes = map[string]*lane{}
		}
		c.lanes[name] = &lane{name: name}
	}
	return c.lanes[name]
}

// Tunnel says what becomes of a tunnel: that it is lost, why a new try failed (the same
// reason once) and when the next one comes where one has to wait for it, now and then
// that there still is none, and that it is back. The first time it is up is told by
// Ready. The name is empty where there is but one.
func (c *Console) Tunnel(name string, s tunnel.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lane(name)
	last := l.last
	l.last = s
	switch s.State {
	case tunnel.Connecting:
		if !c.ready && last.State == "" && s.Provider != "embedded" && c.once("connecting "+s.Provider) {
			c.print(c.stamp() + "  " + c.paint(faint, "connecting through "+clean(s.Provider)+" …") + "\n")
		}
	case tunnel.Down:
		c.reason(l, "! the "+l.called("tunnel")+" is lost", s.Err, "")
	case tunnel.Waiting:
		if last.State != tunnel.Down || s.Retry >= noticed || fmt.Sprint(s.Err) != fmt.Sprint(last.Err) {
			c.waiting(l, s) // and not what was just said, in other words
		}
	case tunnel.Up:
		c.recovered(l, s)
	}
	for _, text := range s.Notices {
		c.heard(s.Provider, text)
	}
}

// called adds the tunnel's name to a thing, where there are several.
func (l *lane) called(thing string) string {
	if l.name == "" {
		return thing
	}
	return thing + " " + clean(l.name)
}

// What is said about an outage that lasts.
const (
	noticed    = time.Second // a pause that is shorter is not worth a word
	firstStill = time.Minute // the age at which an outage is told again, and then at each doubling
)

// waiting tells why there is no tunnel, or, after a while, that there still is none.
func (c *Console) waiting(l *lane, s tunnel.Status) {
	next := ""
	if s.Retry >= noticed {
		next = "; next try in " + span(s.Retry.Round(time.Second))
	}
	due := max(firstStill, 2*l.still)
	switch {
	case c.reason(l, "! no "+l.called("tunnel"), s.Err, next):
	case s.Outage >= due:
		c.print(c.stamp() + "  " + c.paint(faint, "still no "+l.called("tunnel")+" after "+span(s.Outage)+next) + "\n")
	default:
		return
	}
	if s.Outage >= due {
		l.still = s.Outage
	}
}

// span spells a duration as a person would: 40 ms, 3.2 s, 42 s, 2 min 5 s, 3 h 10 min.
func span(d time.Duration) string {
	pair := func(large time.Duration, largeName string, small time.Duration, smallName string) string {
		d := d.Round(small)
		text := fmt.Sprintf("%d %s", d/large, largeName)
		if rest := d % large / small; rest > 0 {
			text += fmt.Sprintf(" %d %s", rest, smallName)
		}
		return text
	}
	switch {
	case d.Round(time.Millisecond) < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d.Round(100*time.Millisecond) < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d.Round(time.Second) < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d.Round(time.Second) < time.Hour:
		return pair(time.Minute, "min", time.Second, "s")
	}
	return pair(time.Hour, "h", time.Minute, "min")
}

// reason tells an error of the tunnel, the same one only once until it is up again, and
// reports whether it did. What is to be added does not make it another one.
func (c *Console) reason(l *lane, what string, err error, more string) bool {
	if err != nil {
		what += ": " + cut(clean(masked(err.Error())), 300)
	}
	if !l.fresh(what) {
		return false
	}
	c.print(c.stamp() + "  " + c.paint(red, what+more) + "\n")
	if hint := Hint(err); hint != "" {
		c.print(strings.Repeat(" ", titleColumn) + cut(clean(hint), 300) + "\n")
	}
	return true
}

func (l *lane) fresh(trouble string) bool {
	if l.lost[trouble] {
		return false
	}
	if l.lost == nil || len(l.lost) > noticeLimit {
		l.lost = map[string]bool{}
	}
	l.lost[trouble] = true
	return true
}

func (c *Console) recovered(l *lane, s tunnel.Status) {
	told, shown := len(l.lost) > 0, l.shown
	l.lost, l.still = nil, 0
	if !c.ready { // the first screen says it
		return
	}
	l.shown = true
	after := ""
	if s.Outage > 0 {
		after = " after " + span(s.Outage)
	}
	switch {
	case !shown && s.URL != nil && l.app != nil:
		c.print(c.stamp() + "  " + c.paint(green, "● the "+l.called("tunnel")+" is up") + "\n")
		c.print(strings.Repeat(" ", titleColumn) + address(s.URL) + arrow + address(l.app) + "\n")
	case s.Changed && s.URL != nil:
		of := ""
		if l.name != "" {
			of = " of " + clean(l.name)
		}
		c.print(c.stamp() + "  " + c.paint(yellow, "● the public URL"+of+" is a new one, paste it into Slack:") + "\n")
		c.print(strings.Repeat(" ", titleColumn) + c.paint(bold, address(s.URL)+clean(c.path)) + "\n")
	case told:
		c.print(c.stamp() + "  " + c.paint(green, "● the "+l.called("tunnel")+" is back"+after) + "\n")
	}
}
