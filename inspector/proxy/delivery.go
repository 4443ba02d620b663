package proxy

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/slackdev/slackdev/inspector"
)

// A relay sends a request again when the connection died before all of the answer had
// come. It stamps each with an ID that stays the same, and here the request is
// processed once: who comes a second time waits for the first, and is answered from
// its record. What is made up, or comes from elsewhere, is an ordinary field.

// WithDeliveries makes the handler believe the relay at the other end of a connection,
// in whose context it is: in field it gives the ID of each request, behind token and a
// full stop. The token is this connection's secret; without one nothing is believed.
func WithDeliveries(ctx context.Context, field, token string) context.Context {
	if token == "" {
		return ctx
	}
	return context.WithValue(ctx, stampKey{}, &stamp{field: http.CanonicalHeaderKey(field), prefix: token + "."})
}

type stampKey struct{}

// stamp is what a connection's relay puts into each request.
type stamp struct{ field, prefix string }

// maxDeliveryID is how long an ID may be.
const maxDeliveryID = 64

// id reads a stamp, and reports whether it is one.
func (s *stamp) id(value string) (string, bool) {
	n := len(s.prefix)
	if len(value) <= n || len(value) > n+maxDeliveryID || subtle.ConstantTimeCompare([]byte(value[:n]), []byte(s.prefix)) == 0 {
		return "", false
	}
	for _, c := range []byte(value[n:]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return "", false
		}
	}
	return value[n:], true
}

// unstamp takes the relay's ID out of the head: the rest is the sender's.
func (c *call) unstamp() {
	s, _ := c.r.Context().Value(stampKey{}).(*stamp)
	if s == nil {
		return
	}
	values := c.r.Header[s.field]
	if len(values) != 1 {
		return
	}
	id, ok := s.id(values[0])
	if !ok {
		return
	}
	c.x.Delivery = id
	delete(c.r.Header, s.field)
	head := &c.x.Request.Header
	*head = slices.DeleteFunc(*head, func(f inspector.Field) bool { return http.CanonicalHeaderKey(f.Name) == s.field })
}

// claim makes the delivery this call's to process, or finds in which call it came
// before, and waits for that.
func (c *call) claim() {
	t := &c.p.deliveries
	t.recall(c.p.History, c.p.Log)
	mine := &delivery{key: c.x.Delivery, exchange: c.x.ID, print: t.print(&c.x), broken: c.in.fault != "", streams: !c.in.whole}
	for {
		c.delivery, c.found = t.claim(mine)
		switch {
		case c.found == foundStranger:
			c.p.Log.Warn("the relay gave the ID of another request", "id", c.x.ID.String())
			c.x.Delivery, c.found = "", foundNothing
			return
		case c.found == foundEarlier && c.join() && c.delivery.broken:
			continue // now it is known that nobody was asked
		}
		c.x.ID = c.delivery.exchange
		return
	}
}

// join waits until it is known what becomes of an earlier delivery, and reports
// whether it is. Who has a body that is not whole cannot wait.
func (c *call) join() bool {
	d := c.delivery
	if c.in.fault != "" || !c.in.whole || d.streams {
		return false
	}
	if !d.broken {
		c.in.forget()
		c.x.Request.Body = inspector.Body{}
	}
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	select {
	case <-d.settled:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// The sentences of a record whose answer is whole, and may not have been received.
const (
	hungUpBefore = "the sender had hung up before the answer came"
	hungUpWithin = "the sender hung up in the middle of the answer"
)

func hungUp(fault string) bool { return fault == hungUpBefore || fault == hungUpWithin }

// repeat answers a delivery that came before, from its record.
func (c *call) repeat() {
	d := c.delivery
	switch {
	case c.in.fault != "":
		c.problem(badBody, "bad_request", c.in.fault)
		return
	case !c.in.whole || d.streams:
		c.problem(http.StatusBadGateway, "not_repeated", "this request came before, and its body streamed to the app: it cannot be sent there again, nor its answer waited for")
		return
	case c.r.Context().Err() != nil:
		c.out.cut = true // nobody is there, and nothing is to be said
		return
	}
	answer, why := c.p.deliveries.answer(d)
	if answer == nil && why == "" {
		answer, why = c.recorded(d)
	}
	if answer == nil {
		c.problem(http.StatusBadGateway, "app_answer_not_kept", "this request came before, and "+why)
		return
	}
	c.again(answer)
	if !c.out.gone && !c.hungUp() && c.p.deliveries.delivered(d) {
		c.mend()
	}
}

// recorded gives the answer that the history has, or why there is none.
func (c *call) recorded(d *delivery) (*inspector.Response, string) {
	if c.p.History == nil {
		return nil, "there is no history that could have its answer"
	}
	var ctx patience
	defer ctx.end()
	x, err := c.p.History.Get(&ctx, d.exchange)
	if err != nil {
		if !errors.Is(err, inspector.ErrNotFound) {
			c.p.Log.Warn("cannot read an earlier answer", "id", d.exchange.String(), "err", err)
		}
		return nil, "the history has no record of it"
	}
	return wholeAnswer(x, x.Response)
}

// wholeAnswer gives res, the answer of x, if it can be given again, and else the reason.
func wholeAnswer(x *inspector.Exchange, res *inspector.Response) (*inspector.Response, string) {
	switch {
	case res == nil && x.Fault == "":
		return nil, "it is not recorded what became of it"
	case res == nil:
		return nil, "got no answer: " + x.Fault
	case x.Request.Upgraded:
		return nil, whyUpgraded
	case x.Fault != "" && !hungUp(x.Fault) && res.By != inspector.BySlackdev:
		return nil, "its answer was not whole: " + x.Fault
	case res.Body.Truncated():
		return nil, fmt.Sprintf("its answer was not kept: it had %d bytes or more, and %d of them are there", res.Body.Size, len(res.Body.Bytes))
	}
	return res, ""
}

// Why an answer is not waited for.
const (
	whyUpgraded = "the connection became something else then"
	whyEvents   = "its answer is a stream of events, which has no end"
	whyTooLarge = "its answer is too large to be kept"
)

// unrepeatable tells those who wait for this call's answer that they do not get it.
func (c *call) unrepeatable(why string) {
	if c.delivery != nil && c.found != foundEarlier {
		c.p.deliveries.release(c.delivery, why)
	}
}

// again gives a recorded answer, as ReverseProxy gave it the first time.
func (c *call) again(res *inspector.Response) {
	h := c.out.Header()
	for _, f := range res.Header {
		switch key := http.CanonicalHeaderKey(f.Name); key {
		case "Transfer-Encoding", "Trailer": // the app's connection's; this one has its own
		default:
			h[key] = append(h[key], f.Value)
		}
	}
	for _, f := range res.Trailer {
		if !slices.Contains(h["Trailer"], f.Name) {
			h.Add("Trailer", f.Name)
		}
	}
	c.out.by = res.By
	c.out.WriteHeader(res.Status)
	if c.r.Method != http.MethodHead {
		_, _ = c.out.Write(res.Body.Bytes) // a sender that left is seen at the end
	}
	for _, f := range res.Trailer {
		h.Add(f.Name, f.Value)
	}
}

// mend takes it out of the record that nobody had the answer: somebody has it.
func (c *call) mend() {
	if c.p.History == nil {
		return
	}
	var ctx patience
	defer ctx.end()
	old, err := c.p.History.Get(&ctx, c.delivery.exchange)
	if err != nil || !hungUp(old.Fault) {
		return // somebody has deleted it
	}
	c.x = *old
	c.x.Fault = ""
	c.save()
}

// settle tells those who wait for this call's answer that it is recorded, and holds it
// in memory for those who come now.
func (c *call) settle() {
	var answer *inspector.Response
	if res := c.x.Response; res != nil {
		whole := *res
		whole.Body.Bytes = c.out.body // more than the record keeps, perhaps
		answer, _ = wholeAnswer(&c.x, &whole)
	}
	c.p.deliveries.finish(c.delivery, answer, hungUp(c.x.Fault))
}

// inherit goes on with the record of a process that ended while the app was asked.
func (c *call) inherit() {
	var ctx patience
	defer ctx.end()
	if old, err := c.p.History.Get(&ctx, c.x.ID); err == nil {
		c.x = *old
	}
}
