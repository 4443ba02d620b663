package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// refused reports whether the guard keeps the request from the app. A browser that
// comes back from OAuth has nothing to sign with, and Slack's ssl_check is answered here.
func (c *call) refused() bool {
	if c.p.Refuse == 0 || c.x.Verdict.Status == slack.Valid {
		return false
	}
	return !c.fromOAuth() && c.x.Slack.Kind != slack.SSLCheck
}

// fromOAuth reports whether a request can be the browser's at the end of an
// installation: it follows a link to the one path for that, so it brings no body and asks for no other
// protocol, nor that its GET be taken for something else.
func (c *call) fromOAuth() bool {
	if c.x.Slack.Kind != slack.OAuthRedirect || c.r.URL.Path != c.p.OAuthPath || !c.in.whole || len(c.in.buffered) > 0 {
		return false
	}
	for _, name := range [...]string{"Upgrade", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
		if c.r.Header.Get(name) != "" {
			return false
		}
	}
	return true
}

func (c *call) refuse() {
	c.out.by = inspector.BySlackdev
	c.problem(c.p.Refuse, "refused", "not verified: "+c.x.Verdict.Detail)
}

// answered lets a rule answer, and reports whether one did.
func (c *call) answered() bool {
	if c.p.Answers == nil {
		return false
	}
	a, ok := c.p.Answers.Respond(&c.x)
	if !ok {
		return false
	}
	if a.Delay > 0 && !c.wait(a.Delay) {
		c.x.Fault = fmt.Sprintf("nobody waited any more while %s took its %v", a.By, a.Delay)
		return true
	}
	switch a.Fault {
	case inspector.FaultTimeout:
		c.wait(idle)
		c.x.Fault = fmt.Sprintf("%s gave no answer", a.By)
		c.out.cut = true
	case inspector.FaultReset:
		c.x.Fault = fmt.Sprintf("%s cut the connection", a.By)
		c.out.cut = true
	default:
		c.out.by = a.By
		c.write(a.Response)
	}
	return true
}

// wait waits for d, and reports whether anybody still waits for the answer. The sender
// of a delivery may come again.
func (c *call) wait(d time.Duration) bool {
	wanted := c.r.Context()
	if c.delivery != nil {
		var stop func()
		wanted, stop = c.outliving()
		defer stop()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wanted.Done():
		return false
	case <-c.p.life.Done():
		return false
	}
}

// write sends an answer that was not the app's.
func (c *call) write(res *inspector.Response) {
	h := c.out.Header()
	for _, f := range res.Header {
		h.Add(f.Name, f.Value)
	}
	c.out.WriteHeader(res.Status)
	if c.r.Method != http.MethodHead {
		_, _ = c.out.Write(res.Body.Bytes) // a sender that left is seen at the end
	}
}

// reply sends a small answer of slackdev's own.
func (c *call) reply(status int, contentType string, body []byte) {
	c.out.by = inspector.BySlackdev
	res := &inspector.Response{Status: status, Body: inspector.Body{Bytes: body}}
	if contentType != "" {
		res.Header = inspector.Header{{Name: "Content-Type", Value: contentType}}
	}
	c.write(res)
}

// fail answers with a problem, and records it as the fault.
func (c *call) fail(status int, code, text string) {
	c.x.Fault = text
	c.problem(status, code, text)
}

// problem is what slackdev says in the app's place when something is wrong.
type problem struct {
	Error   string `json:"error"`
	Message string `json:"message"`
	ID      string `json:"id"` // slackdev show ID
	By      string `json:"by"`
}

func (c *call) problem(status int, code, text string) {
	body, err := json.Marshal(problem{Error: code, Message: text, ID: c.x.ID.String(), By: inspector.BySlackdev})
	if err != nil {
		body = nil // strings always marshal
	}
	c.reply(status, "application/json; charset=utf-8", append(body, '\n'))
}
