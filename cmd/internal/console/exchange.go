package console

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/inspector/slack"
)

// The columns of a request's line, from 0. Time is right-aligned up to barColumn-2.
const (
	titleColumn   = 10
	peopleColumn  = 36
	verdictColumn = 50
	statusColumn  = 66 // behind the longest verdict
	barColumn     = 81
	noteColumn    = 89
)

// Exchange shows one request that is done, and counts it for Totals. said is what the
// app answered in short (see Said), or empty. A request whose answer is still to
// come is not shown.
func (c *Console) Exchange(l export.Line, said string) {
	if !l.Done {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals.count(l)
	note, hint := c.note(l, said)
	c.print(c.row(&line{}, c.clock(l.Started), l, note))
	if hint != "" {
		c.print(strings.Repeat(" ", titleColumn) + hint + "\n")
	}
}

// List shows recorded requests, in the order given, each with the end of its ID, which
// every command takes for the whole.
func (c *Console) List(lines []export.Line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	form := c.dates(lines)
	for _, l := range lines {
		note := c.remark(l, "")
		if l.Fault != "" {
			note = faultOf(l)
		}
		if !l.Done {
			note = remark{"not answered yet", faint}
		}
		row := (&line{}).put(short(l.ID), c.as(cyan)).at(8)
		c.print(c.row(row, c.local(l.Started).Format(form), l, note))
	}
}

// dates chooses how times are written in a list: with the day, unless all are of today.
func (c *Console) dates(lines []export.Line) string {
	today := c.local(c.now()).Format(time.DateOnly)
	for _, l := range lines {
		if c.local(l.Started).Format(time.DateOnly) != today {
			return "Jan _2 " + time.TimeOnly
		}
	}
	return time.TimeOnly
}

// row writes one request's line behind what stands in row already.
func (c *Console) row(row *line, when string, l export.Line, note remark) string {
	left := row.col + len(when) - len(time.TimeOnly) // a date moves all that follows
	row.put(when, c.as(faint)).at(left + titleColumn)
	wide := c.stretch(left)
	people := peopleOf(l, verdictColumn-peopleColumn-2)
	room := left + wide + peopleColumn - row.col - 2
	if people == "" || l.RetryNum > 0 {
		people, room = "", left+wide+verdictColumn-row.col-2
	}
	row.put(cut(titleOf(l), room), c.as(bold))
	if people != "" {
		row.at(left+wide+peopleColumn).put(people, nil)
	}
	verdict, tone := verdictOf(l.Verdict)
	row.at(left+wide+verdictColumn).put(verdict, c.as(tone))
	row.at(left+wide+statusColumn).put(statusOf(l), c.as(toneOf(l)))
	took := tookOf(l)
	row.at(left+wide+barColumn-2-len(took)).put(took, nil)
	if bar := budget(l); bar != "" {
		row.at(left+wide+barColumn).put(bar, c.as(barTone(l)))
	}
	if note.text != "" {
		row.at(left+wide+noteColumn).put(note.text, c.as(note.tone))
	}
	return row.end()
}

// stretch is how many columns titles get besides their own: some more in a wide
// terminal, some less in a narrow one.
func (c *Console) stretch(left int) int {
	if c.Width == 0 {
		return 0
	}
	const remarks = 34
	return min(40, max(-10, c.Width-left-noteColumn-remarks))
}

// titleOf says what a request is, in Slack's words.
func titleOf(l export.Line) string {
	var title string
	switch l.Kind {
	case slack.SlashCommand:
		title = l.Name + " " + l.Text
	case slack.OutgoingWebhook:
		title = fmt.Sprintf("outgoing %q", l.Name)
	case slack.EventCallback:
		title = l.Name
	case slack.Unknown, "":
		title = l.Method + " " + l.Path
	default:
		title = string(l.Kind) + " " + l.Name
	}
	if title = strings.TrimSpace(title); title == "" {
		title = string(l.Kind)
	}
	if l.RetryNum > 0 {
		why := ""
		if l.RetryReason != "" {
			why = ": " + l.RetryReason
		}
		title = fmt.Sprintf("%s  (retry %d%s)", title, l.RetryNum, why)
	}
	return clean(masked(title))
}

// peopleOf says who, and where if there is room for both.
func peopleOf(l export.Line, room int) string {
	who, where := l.UserName, ""
	if who == "" {
		who = l.User
	}
	if l.ChannelName != "" {
		where = "#" + l.ChannelName
	} else if l.Channel != "" {
		where = l.Channel
	}
	who, where = clean(masked(who)), clean(masked(where))
	switch {
	case who == "":
		return cut(where, room)
	case where != "" && width(who)+2+width(where) <= room:
		return who + "  " + where
	}
	return cut(who, room)
}

func verdictOf(word string) (string, tone) {
	switch word {
	case slack.Valid.String():
		return "✓ signed", green
	case slack.Stale.String():
		return "✗ stale", red
	case slack.Mismatch.String():
		return "✗ wrong secret", red
	case slack.Missing.String():
		return "✗ unsigned", red
	case slack.Malformed.String():
		return "✗ malformed", red
	case slack.TokenOnly.String():
		return "~ token only", yellow
	}
	return "· unchecked", faint
}

func statusOf(l export.Line) string {
	if l.Status == 0 {
		return "—"
	}
	return fmt.Sprint(l.Status)
}

func toneOf(l export.Line) tone {
	switch {
	case l.Status == 0 || l.Status >= 500:
		return red
	case l.Status >= 400:
		return yellow
	}
	return green
}

func tookOf(l export.Line) string {
	if !l.Done {
		return ""
	}
	return grouped(int64(math.Round(l.ElapsedMS))) + " ms"
}

// waited reports whether Slack waits for the answer to such a request, and no longer
// than slack.Deadline.
func waited(l export.Line) bool {
	switch l.Kind {
	case slack.Unknown, slack.OAuthRedirect, slack.SSLCheck, "":
		return false
	}
	return l.Origin != inspector.Outgoing
}

const (
	deadlineMS = float64(slack.Deadline / time.Millisecond)
	nearMS     = deadlineMS - 500
	barCells   = 6
)

// budget draws how much of Slack's three seconds the app took, a cell for each half
// second that was begun. Where the app was not asked there is nothing to draw.
func budget(l export.Line) string {
	late := l.ElapsedMS > deadlineMS
	if !l.Done || !waited(l) || !late && (l.AnsweredBy == inspector.BySlackdev || l.Status == 0) {
		return ""
	}
	full := min(barCells, max(1, int(math.Ceil(l.ElapsedMS*barCells/deadlineMS))))
	return strings.Repeat("▓", full) + strings.Repeat("░", barCells-full)
}

func barTone(l export.Line) tone {
	switch {
	case l.ElapsedMS > deadlineMS:
		return red
	case l.ElapsedMS >= nearMS:
		return yellow
	}
	return green
}

// remark is what stands at the end of a line.
type remark struct {
	text string
	tone tone
}

// note chooses the one thing to say about a request that just came, and a second line
// for a fault that is new. What to do about it is told once, until the app answers.
func (c *Console) note(l export.Line, said string) (remark, string) {
	if l.AnsweredBy == inspector.ByApp && l.Fault == "" {
		delete(c.faults, l.Upstream)
	}
	if l.Fault == "" || waited(l) && l.ElapsedMS > deadlineMS {
		return c.remark(l, said), ""
	}
	note := faultOf(l)
	if l.Fault == c.faults[l.Upstream] || l.AnsweredBy != inspector.BySlackdev || l.Status != 502 || !absent(l.Fault) {
		return note, "" // told already, or not the app's absence: the next one may be another
	}
	if c.faults == nil || len(c.faults) > noticeLimit {
		c.faults = map[string]string{}
	}
	c.faults[l.Upstream] = l.Fault
	return note, `start your app, or answer in its place with  slackdev mock add --any --text "ok"`
}

// absent reports whether a fault is one that the app's start would heal. Others say
// themselves what would.
func absent(fault string) bool {
	return !strings.HasSuffix(fault, "--insecure-upstream takes any") && !strings.Contains(fault, " does not speak TLS") && !strings.HasPrefix(fault, "no app is called ")
}

func faultOf(l export.Line) remark { return remark{cut(clean(masked(l.Fault)), 100), red} }

// remark chooses the one thing to say about a request besides its fault.
func (c *Console) remark(l export.Line, said string) remark {
	_, tone := verdictOf(l.Verdict)
	rule, origin := source(l)
	left := int64(math.Round(deadlineMS - l.ElapsedMS))
	switch {
	case waited(l) && l.ElapsedMS > deadlineMS:
		return remark{joined("Slack gave up at 3 s", rule, origin), red}
	case waited(l) && l.ElapsedMS >= nearMS:
		return remark{"! " + grouped(left) + " ms before Slack gives up", yellow}
	case l.Verdict == slack.Mismatch.String():
		return remark{"signed with another app's secret?", yellow}
	case tone == red:
		return remark{cut(clean(l.Detail), 120), yellow}
	case l.Status >= 400:
		return remark{"slackdev show " + short(l.ID), yellow}
	case len(l.Findings) > 0:
		return remark{cut("! "+clean(strings.Join(l.Findings, ", ")), 60) + "  slackdev show " + short(l.ID), yellow}
	}
	return remark{joined(upstream(l), rule, cut(clean(masked(said)), 60), origin), faint}
}

// upstream says which app it was for, where it was not the first.
func upstream(l export.Line) string {
	if l.Upstream == "" {
		return ""
	}
	return "for " + cut(clean(l.Upstream), 40)
}

// source says which rule answered, and where a request came from that Slack did not
// send; each may be empty.
func source(l export.Line) (rule, origin string) {
	if name, ok := strings.CutPrefix(l.AnsweredBy, "rule "); ok {
		rule = cut("rule "+clean(name), 40)
	}
	switch l.Origin {
	case inspector.Replay:
		origin = strings.TrimSpace("replay of " + short(l.Of))
	case inspector.Composed:
		origin = "sent from here"
	}
	return rule, origin
}

// short is the end of an ID: six characters of chance, that every command takes. The
// beginning is the time, and the same for all requests of a minute.
func short(id string) string {
	if len(id) <= 6 {
		return clean(id)
	}
	return clean(id[len(id)-6:])
}
