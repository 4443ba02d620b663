package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
)

// bodyLimit is how much of one body is shown, in bytes; --raw has the rest.
const bodyLimit = 32 << 10

// fieldColumn is where the values of the summary stand.
const fieldColumn = 11

// Detail shows one request with everything that was kept. It does not mask: how d was
// made says whether the secrets in it are.
func (c *Console) Detail(d export.Detail) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.summary(d)
	c.findings(d.Findings)
	c.request(d)
	c.response(d)
}

// field writes one line of the summary.
func (c *Console) field(name, text string, as tone) {
	if text == "" {
		return
	}
	c.print((&line{}).put(name, c.as(faint)).at(fieldColumn).put(clean(text), c.as(as)).end())
}

func (c *Console) summary(d export.Detail) {
	c.print(c.paint(bold, titleOf(d.Line)) + "\n")
	c.field("id", d.ID, 0)
	c.field("kind", string(d.Kind), 0)
	c.field("received", c.local(d.Started).Format("2006-01-02 15:04:05.000 -07:00")+", "+cameFrom(d.Line), 0)
	c.field("who", joined(named(d.User, d.UserName, ""), named(d.Channel, d.ChannelName, "#"), d.Team), 0)
	c.field("for", d.Upstream, 0)
	verdict, tone := verdictOf(d.Verdict)
	if d.Secret != "" {
		verdict += " with " + d.Secret
	}
	c.field("signature", verdict, tone)
	if d.Verdict != "valid" {
		c.field("", d.Line.Detail, 0)
	}
	switch {
	case d.Status != 0:
		c.field("answer", fmt.Sprintf("%d by %s in %s  %s", d.Status, d.AnsweredBy, tookOf(d.Line), budget(d.Line)), toneOf(d.Line))
	case !d.Done:
		c.field("answer", "not yet", yellow)
	}
	c.field("fault", d.Fault, red)
	if d.Pinned {
		c.field("pinned", "stays when room is made", 0)
	}
}

// joined leaves out what is empty.
func joined(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), "  ")
}

// named spells somebody known by an ID and maybe a name.
func named(id, name, mark string) string {
	switch {
	case name == "":
		return id
	case id == "":
		return mark + name
	}
	return mark + name + " (" + id + ")"
}

func cameFrom(l export.Line) string {
	switch l.Origin {
	case inspector.Tunnel:
		return "through the tunnel"
	case inspector.Local:
		return "from this machine"
	case inspector.Replay:
		return "a replay of " + l.Of
	case inspector.Composed:
		return "made by slackdev send"
	case inspector.Outgoing:
		return "from the app to Slack"
	}
	return string(l.Origin)
}

func (c *Console) findings(all []export.Finding) {
	if len(all) == 0 {
		return
	}
	c.head("findings")
	for _, f := range all {
		as := yellow
		if f.Severity == "failure" {
			as = red
		}
		where := ""
		if f.Pointer != "" {
			where = " at " + f.Pointer
		}
		c.print("  " + c.paint(as, "! "+clean(f.Code+where)) + "  " + clean(f.Text) + "\n")
		if f.Fix != "" {
			c.print("    " + clean(f.Fix) + "\n")
		}
	}
}

func (c *Console) request(d export.Detail) {
	c.head("request")
	r := d.Request
	c.print(clean(fmt.Sprintf("%s %s %s", d.Method, r.Target, r.Proto)) + "\n")
	recorded := slices.ContainsFunc(r.Headers, func(f export.Field) bool { return strings.EqualFold(f.Name, "Host") })
	if r.Host != "" && !recorded { // in the list it stands where it came
		c.header("Host", r.Host)
	}
	c.headers(r.Headers)
	if doc := pretty(d.Slack); doc != "" {
		c.head("payload")
		c.text(doc)
	} else {
		c.body(r)
	}
	if d.Problem != "" {
		c.print(c.paint(yellow, clean(d.Problem)) + "\n")
	}
	c.headers(r.Trailers)
}

func (c *Console) response(d export.Detail) {
	if d.Response == nil {
		return
	}
	c.head("response")
	c.print(fmt.Sprint(d.Response.Status) + "\n")
	c.headers(d.Response.Headers)
	c.body(*d.Response)
	c.headers(d.Response.Trailers)
}

func (c *Console) head(title string) { c.print("\n" + c.paint(cyan, title) + "\n") }

func (c *Console) headers(fields []export.Field) {
	for _, f := range fields {
		c.header(f.Name, f.Value)
	}
}

func (c *Console) header(name, value string) {
	c.print(c.paint(faint, clean(name)+":") + " " + clean(value) + "\n")
}

func (c *Console) body(m export.Message) {
	switch {
	case m.Size == 0:
		return
	case m.Body == nil:
		c.print(c.paint(faint, "\n"+counted(m.Size, "byte")+", not text") + "\n")
		return
	}
	text := *m.Body
	if doc := pretty([]byte(text)); doc != "" {
		text = doc
	}
	c.print("\n")
	c.text(text)
	if m.Truncated {
		c.print(c.paint(yellow, "only the beginning of "+counted(m.Size, "byte")+" was kept") + "\n")
	}
}

// text writes a long text, and says so where it ends early.
func (c *Console) text(s string) {
	rest := 0
	if len(s) > bodyLimit {
		end := bodyLimit
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s, rest = s[:end], len(s)-end
	}
	c.print(strings.TrimRight(cleanLines(s), "\n") + "\n")
	if rest > 0 {
		c.print(c.paint(faint, "… "+counted(int64(rest), "more byte")+", with  --raw") + "\n")
	}
}

// pretty indents JSON, keys in their order, and gives "" for what is none.
func pretty(doc []byte) string {
	doc = bytes.TrimSpace(doc)
	if len(doc) == 0 || doc[0] != '{' && doc[0] != '[' {
		return ""
	}
	var b bytes.Buffer
	if json.Indent(&b, doc, "", "  ") != nil {
		return ""
	}
	return b.String()
}
