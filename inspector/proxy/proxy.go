// Package proxy has the http.Handler that stands between Slack and the app: it reads
// a request, judges it, records it, answers it or lets the app answer, and records
// that too. Requests of every origin pass through the same handler.
//
// What it promises: a request is recorded before the app sees it, and its answer
// before the sender has all of it. Bodies and header values reach the app as they
// arrived. The app is one of those that the configuration names: the tunnel that a
// request came through and its path say which, and nothing in it can name another.
// A request that a relay delivers twice is the app's once. Memory is bounded: what is
// larger than Proxy.Keep streams through.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// Limits that are not for the user to set.
const (
	// MaxVerified is the size of the largest body that is read as a whole, so that its
	// signature can be checked. What Slack sends is far smaller.
	MaxVerified = 8 << 20
	// large bodies count against maxLarge, the number that is in memory at the same time.
	large    = 256 << 10
	maxLarge = 8
	// promised is the most that is set aside for a body before its bytes are there.
	promised = 16 << 10
	// idle is how long either side may pause within a body.
	idle = 30 * time.Second
	// linger is how long a sender may go on with a body that nobody reads any more.
	linger = time.Second
	// grace is how long the app may go on with an answer that nobody waits for any
	// more: what it would have said is worth recording.
	grace = 30 * time.Second
	// maxAbandoned is how many such answers are waited for at the same time. Who sends
	// requests and hangs up must not fill this machine with connections to the app.
	maxAbandoned = 64
	// maxUndelivered is the same for deliveries, whose senders come again: a relay has
	// up to 200 requests of a name under way when a connection dies, and there may be
	// several names.
	maxUndelivered = 512
	// saving is how long a record may take before the request goes on without it.
	saving = 5 * time.Second
	// badBody is the status for a request whose body broke off. Slackdev gives it to
	// no other, see brokeOff.
	badBody = http.StatusBadRequest
)

// Responder answers in the app's place.
type Responder interface {
	// Respond gives the answer to x, or false when the app shall answer. It must not wait.
	Respond(x *inspector.Exchange) (*inspector.Answer, bool)
}

// Proxy is the handler. Its fields are read-only once it serves; it is safe for many
// goroutines. App, Verifier, Recorder, Now and NewID must be set.
type Proxy struct {
	// App takes what is for no other, and More the rest: what comes with its name as
	// Provenance.Upstream, and where the name is a path, what is below that. The longest
	// such path has it.
	App      Upstream
	More     []Upstream
	Verifier *slack.Verifier
	Recorder inspector.Recorder
	History  History   // what Recorder recorded, for deliveries that come again; nil: only what is in memory
	Answers  Responder // nil: the app answers everything
	Keep     int64     // bytes kept of each body; 0: none
	// Refuse is the status for requests whose signature is not valid; they do not
	// reach the app. 0: they do, and the verdict is shown.
	Refuse int
	// OAuthPath is where browsers come back to from an installation of the app. They
	// have nothing to sign with, so Refuse lets them pass there and nowhere else.
	OAuthPath string
	// Public gives the address that the sender of requests with this Provenance.Upstream
	// used, for X-Forwarded-Proto; may be nil, and may give nil.
	Public func(upstream string) *url.URL
	Now    func() time.Time
	NewID  func() inspector.ID
	Log    *slog.Logger // nil: silence

	once sync.Once
	*shared
	first link
	more  []link
}

// shared is what a Proxy has in common with those for other apps that it gives.
type shared struct {
	buffers     buffers
	largeRoom   chan struct{}
	abandoned   chan struct{}   // holds an element for each answer that nobody waits for
	undelivered chan struct{}   // the same for deliveries
	silent      *log.Logger     // what ReverseProxy would print is in the record
	life        context.Context // ends with Close
	end         context.CancelFunc
	calls       sync.WaitGroup
	deliveries  deliveries

	mu         sync.Mutex // guards transports
	transports map[dialing]*http.Transport
}

// To gives a handler like p whose app is another, for requests that were made here:
// no rule answers in its place, and none is refused. Both share their connections.
func (p *Proxy) To(app Upstream) http.Handler {
	p.once.Do(p.prepare)
	q := &Proxy{
		App: app, Verifier: p.Verifier, Recorder: p.Recorder, Keep: p.Keep, Public: p.Public, Now: p.Now, NewID: p.NewID, Log: p.Log,
		shared: p.shared,
	}
	q.once.Do(q.connect)
	return q
}

// Close ends the requests that are still with the app, waits until what became of
// each is recorded, and lets go of the connections. Whoever serves the Proxy has
// stopped that before.
func (p *Proxy) Close() {
	p.once.Do(p.prepare)
	p.end()
	p.calls.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.transports {
		t.CloseIdleConnections()
	}
}

func (p *Proxy) prepare() {
	p.shared = &shared{
		largeRoom: make(chan struct{}, maxLarge), silent: log.New(io.Discard, "", 0), transports: map[dialing]*http.Transport{},
	}
	p.abandoned, p.undelivered = make(chan struct{}, maxAbandoned), make(chan struct{}, maxUndelivered)
	p.life, p.shared.end = context.WithCancel(context.Background())
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	p.connect()
}

// connect makes the links to the apps. It opens no connection.
func (p *Proxy) connect() {
	p.first = p.link(p.App)
	p.first.Name = ""
	for _, u := range p.More {
		p.more = append(p.more, p.link(u))
	}
}

// ServeHTTP takes one request from its first byte to its last.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.once.Do(p.prepare)
	p.calls.Add(1)
	defer p.calls.Done()
	c := &call{p: p, r: r}
	c.out.ResponseWriter = w
	c.out.c = c
	tap := tapOf(r.Context())
	defer func() {
		if tap != nil {
			tap.listen()
		}
	}()
	defer c.end()
	c.begin(tap)
	c.answer()
}

// call is one request on its way. Only its own goroutine uses it, except where a
// field says otherwise.
type call struct {
	p    *Proxy
	r    *http.Request
	x    inspector.Exchange // what is known so far; copied when it is saved
	in   intake             // the request's body
	out  capture            // the answer
	rp   httputil.ReverseProxy
	from inspector.Provenance
	to   *link    // the app that it is for; nil: nobody has the name that its maker gave
	app  *tapConn // the connection to the app, once there is one
	stop func()   // lets go of the connection to the app and its context

	delivery *delivery // what a relay's ID says this call is one of; nil: it has none
	found    found     // whether the delivery came before
}

// begin reads what must be known before anybody answers, and records it. What came
// before is on record already.
func (c *call) begin(tap *tapConn) {
	p, r := c.p, c.r
	c.from = inspector.ProvenanceOf(r.Context())
	from := &c.from
	c.x = inspector.Exchange{
		ID: from.ID, Origin: from.Origin, Of: from.Of, Started: p.Now(),
		Request: inspector.Request{
			Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto, Remote: r.RemoteAddr, Header: from.Header,
		},
	}
	x := &c.x
	if x.ID.IsZero() {
		x.ID = p.NewID()
	}
	if x.Origin == "" {
		x.Origin = inspector.Local
	}
	if x.Request.Target == "" {
		x.Request.Target = r.URL.RequestURI()
	}
	if x.Request.Header == nil {
		x.Request.Header, c.in.arrived = requestHead(tap, r)
	}
	x.Upstream = from.Upstream
	if c.to = p.choose(from.Upstream, r.URL); c.to != nil {
		x.Upstream = c.to.Name
	}
	c.unstamp()
	c.in.open(c)
	x.Request.Body = c.in.kept()
	x.Request.Trailer = c.in.trailer()
	if x.Delivery != "" {
		c.claim()
	}
	switch {
	case c.found == foundEarlier:
		return
	case c.found == foundOrphan:
		c.inherit()
		return
	case c.in.whole:
		x.Verdict = p.Verifier.Verify(r.Header, c.in.buffered)
		x.Slack = slack.Parse(r.Method, x.Request.Target, r.Header, c.in.buffered)
	default:
		x.Verdict = slack.Verdict{Status: slack.Unchecked, Detail: c.in.why}
		x.Slack = slack.Parse(r.Method, x.Request.Target, r.Header, x.Request.Body.Bytes)
	}
	c.save()
}

// answer lets whoever is first in line answer: the record, the guard, a rule, slackdev,
// the app.
func (c *call) answer() {
	switch {
	case c.found == foundEarlier:
		c.repeat()
	case c.found == foundOrphan:
		c.fail(http.StatusServiceUnavailable, "stopped", "slackdev ended before the app's answer came")
	case c.refused():
		c.refuse()
	case c.in.fault != "":
		c.fail(badBody, "bad_request", c.in.fault)
	case c.probed() && c.p.Refuse != 0:
		c.reply(http.StatusOK, "", nil) // nor must it reach a rule
	case c.answered():
	case c.probed():
		c.reply(http.StatusOK, "", nil)
	case c.r.Method == http.MethodConnect:
		c.fail(http.StatusMethodNotAllowed, "method_not_allowed", "CONNECT is not for an app")
	case c.to == nil:
		c.fail(http.StatusBadGateway, "no_app", fmt.Sprintf("no app is called %q here", c.from.Upstream))
	default:
		c.forward()
	}
}

// probed reports whether this is Slack's ssl_check, which carries nothing and is
// unsigned. What somebody adds to it must not reach the app as if it had been verified.
func (c *call) probed() bool {
	return c.x.Slack.Kind == slack.SSLCheck && (c.x.Slack.Carries == "" || c.x.Verdict.Status != slack.Valid)
}

// end records what became of the request, whatever happened to it.
func (c *call) end() {
	problem := recover()
	if c.stop != nil {
		c.stop()
	}
	c.in.release()
	if problem != nil && problem != http.ErrAbortHandler {
		c.x.Fault = fmt.Sprintf("slackdev failed on this request: %v", problem)
		c.p.Log.Error("panic while serving", "problem", problem, "id", c.x.ID.String(), "stack", string(debug.Stack()))
		if !c.out.started {
			c.out.by = inspector.BySlackdev
			http.Error(&c.out, "slackdev failed on this request", http.StatusInternalServerError)
			problem = nil
		}
	}
	c.finish()
	if problem != nil || c.out.cut {
		// The answer is not whole, and must not look so.
		panic(http.ErrAbortHandler)
	}
}

// finish records the answer, with what Slack would make of it.
func (c *call) finish() {
	if c.found == foundEarlier {
		c.out.end()
		return
	}
	if c.delivery != nil {
		defer c.settle()
	}
	x := &c.x
	if !c.in.whole && c.found == foundNothing {
		x.Request.Body = c.in.kept()
		x.Request.Trailer = c.in.trailer()
		x.Slack = slack.Parse(c.r.Method, x.Request.Target, c.r.Header, x.Request.Body.Bytes)
	}
	x.Elapsed = c.p.Now().Sub(x.Started)
	c.out.end()
	x.Response = c.out.response()
	switch {
	case x.Fault != "":
	case x.Response == nil:
		x.Fault = "there was no answer"
	case c.out.late:
		x.Fault = hungUpBefore
	case c.out.gone:
		x.Fault = hungUpWithin
	}
	x.Findings = c.lint()
	c.save()
}

// lint says what Slack would make of the app's answer, or a rule's. What slackdev says
// in the place of both is not the app's to mend: the fault or the verdict tells more.
func (c *call) lint() []slack.Finding {
	answer := slack.Answer{Took: c.x.Elapsed, Signed: c.r.Header.Get(slack.SignatureHeader) != "", Verdict: c.x.Verdict.Status}
	if res := c.x.Response; res != nil {
		if res.By == inspector.BySlackdev {
			return nil
		}
		answer.Status, answer.Header, answer.Body = res.Status, c.out.Header(), res.Body.Bytes
		answer.Whole = !res.Body.Truncated() && !c.out.cut
	}
	return slack.Lint(c.x.Slack, answer)
}

// save hands a copy of what is known to the recorder. A history that cannot be
// written is no reason to lose the request itself.
func (c *call) save() {
	x := c.x
	var ctx patience
	defer ctx.end()
	if err := c.p.Recorder.Save(&ctx, &x); err != nil {
		c.p.Log.Warn("not recorded", "id", x.ID.String(), "err", err)
	}
}

// hungUp reports whether the sender has stopped waiting.
func (c *call) hungUp() bool { return errors.Is(c.r.Context().Err(), context.Canceled) }
