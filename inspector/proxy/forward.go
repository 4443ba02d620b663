package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// forward lets the app answer.
func (c *call) forward() {
	ctx, stop := c.outliving()
	c.stop = stop
	c.out.by = inspector.ByApp
	c.rp = httputil.ReverseProxy{
		Rewrite: c.rewrite, Transport: c, ModifyResponse: c.heard, ErrorHandler: c.unanswered,
		BufferPool: &c.p.buffers, ErrorLog: c.p.silent,
	}
	c.rp.ServeHTTP(&c.out, c.r.WithContext(ctx))
}

// outliving gives a context for an answer in the making. When the sender hangs up, what
// the app goes on to say is still worth a record: "it answered after 4.2 s" is the
// answer to the question why Slack gave up. A delivery's sender may come again for it.
func (c *call) outliving() (context.Context, func()) {
	ctx, cancel := context.WithCancel(c.p.life)
	release := context.AfterFunc(c.r.Context(), func() { c.p.outlive(ctx, cancel, c.delivery) })
	return ctx, func() {
		release()
		cancel()
	}
}

// outlive leaves the app some time for an answer that its sender does not wait for any
// more, if not too many have that already, and more while somebody waits who sent it
// again. d may be nil. It returns when ctx, the call's, has ended.
func (s *shared) outlive(ctx context.Context, cancel context.CancelFunc, d *delivery) {
	defer cancel()
	room := s.abandoned
	if d != nil {
		room = s.undelivered
	}
	select {
	case room <- struct{}{}:
	default:
		return
	}
	defer func() { <-room }()
	limit := time.NewTimer(grace)
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			if d == nil || d.waiting.Load() == 0 {
				return
			}
			limit.Reset(grace)
		}
	}
}

// rewrite turns what arrived into what the app gets.
func (c *call) rewrite(pr *httputil.ProxyRequest) {
	pr.SetURL(c.to.base)
	pr.Out.URL.RawQuery = joinQuery(c.to.base.RawQuery, pr.In.URL.RawQuery) // as it came, also where it is malformed
	if c.to.KeepHost {
		pr.Out.Host = pr.In.Host
	}
	for name := range pr.Out.Header {
		if forwards(name) {
			delete(pr.Out.Header, name)
		}
	}
	pr.SetXForwarded()
	if c.p.Public != nil {
		if u := c.p.Public(c.from.Upstream); u != nil {
			pr.Out.Header.Set("X-Forwarded-Proto", u.Scheme)
		}
	}
	if c.in.whole {
		// The body has arrived; nobody needs to be asked for it.
		pr.Out.Header.Del("Expect")
		if len(c.in.buffered) == 0 {
			pr.Out.Body, pr.Out.ContentLength = nil, 0
			return
		}
		pr.Out.GetBody = c.in.rewind
		if len(c.r.Trailer) == 0 { // only a chunked body can have a trailer
			pr.Out.ContentLength = int64(len(c.in.buffered))
		}
	}
	pr.Out.Body = &c.in
	pr.Out.Trailer = pr.In.Trailer // the very map, which is filled in by the end of the body
}

// forwards reports whether a field says who forwarded a request. Of strangers nobody
// believes that, in any spelling: many apps read an underscore as a hyphen.
func forwards(name string) bool {
	const shortest = len("X-Real-Ip")
	if len(name) < shortest || strings.IndexByte("xXfF", name[0]) < 0 || strings.IndexByte("fFrR", name[2]) < 0 {
		return false // the hot path: nothing of Slack's passes here
	}
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	return strings.HasPrefix(name, "x-forwarded") || name == "forwarded" || name == "x-real-ip"
}

func joinQuery(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// RoundTrip asks the app, and notes which connection the answer will come on.
func (c *call) RoundTrip(r *http.Request) (*http.Response, error) {
	// ReverseProxy has put a trace of its own into the context. Two traces are joined
	// by reflection on every request; one more field costs nothing.
	trace := httptrace.ContextClientTrace(r.Context())
	if trace != nil && trace.GotConn == nil {
		trace.GotConn = func(info httptrace.GotConnInfo) {
			if tap, ok := info.Conn.(*tapConn); ok {
				tap.reset()
				c.app = tap
			}
		}
	}
	return c.to.transport.RoundTrip(r)
}

// heard looks at the head of the app's answer before it is passed on.
func (c *call) heard(res *http.Response) error {
	if res.StatusCode < 100 || res.StatusCode > 999 {
		return fmt.Errorf("the app answered with status %d", res.StatusCode)
	}
	c.out.wire = responseHead(c.app, res)
	if res.StatusCode == http.StatusSwitchingProtocols {
		if asked := c.r.Header.Get("Upgrade"); asked == "" || !strings.EqualFold(asked, res.Header.Get("Upgrade")) {
			return errors.New("it switched protocols, and was not asked to")
		}
		c.x.Request.Upgraded = true
		c.out.head(res.StatusCode)
		c.x.Response = c.out.response()
		c.save() // the conversation may last for hours
		c.unrepeatable(whyUpgraded)
		return nil
	}
	if c.delivery != nil && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		c.unrepeatable(whyEvents)
	}
	c.out.trailer = res.Trailer
	res.Body = &outgo{ReadCloser: res.Body, c: c}
	return nil
}

// outgo is the app's answer as it streams. It notices when the app breaks off.
type outgo struct {
	io.ReadCloser
	c *call
}

// Read reads on.
func (b *outgo) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.c.out.cut = true
		b.c.x.Fault = b.c.cutShort(b.c.out.size+int64(n), err)
	}
	return n, err
}

// cutShort says why the app's answer ended after n bytes, before its end.
func (c *call) cutShort(n int64, err error) string {
	switch {
	case !errors.Is(err, context.Canceled):
		return fmt.Sprintf("the app broke off its answer after %d bytes: %s", n, reason(err))
	case c.p.life.Err() != nil:
		return fmt.Sprintf("slackdev was stopped %d bytes into the app's answer", n)
	default:
		return fmt.Sprintf("the sender hung up, and %d bytes of the app's answer came in the time that was left to it", n)
	}
}

// unanswered is called when the app gave no answer that could be passed on.
func (c *call) unanswered(_ http.ResponseWriter, r *http.Request, err error) {
	c.out.wire, c.out.started = nil, false
	c.x.Request.Upgraded, c.x.Response = false, nil
	if broken := c.in.problem(); broken != "" {
		c.fail(badBody, "bad_request", broken) // the app is not to blame
		return
	}
	code, absent := c.to.absence(err)
	switch {
	case c.p.life.Err() != nil:
		c.fail(http.StatusServiceUnavailable, "stopped", "slackdev was stopped before the app answered")
	case c.hungUp() && errors.Is(err, context.Canceled):
		c.x.Fault = "the sender hung up, and the app did not answer in the time that was left to it"
	case absent != "" && c.challenge():
	case absent != "":
		c.fail(http.StatusBadGateway, code, absent)
	default:
		c.fail(http.StatusBadGateway, "app_failed", c.to.silence(err))
	}
}

// challenge answers Slack's handshake while the app is down, so that a URL can be
// pasted into Slack's pages before the first line of the app is written.
func (c *call) challenge() bool {
	if c.x.Slack.Kind != slack.URLVerification || c.x.Slack.Challenge == "" {
		return false
	}
	if c.x.Verdict.Status != slack.Valid && len(c.p.Verifier.Secrets) > 0 {
		return false
	}
	c.reply(http.StatusOK, "text/plain; charset=utf-8", []byte(c.x.Slack.Challenge))
	return true
}

// reason gives the part of a network error that a person can use.
func reason(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "it closed the connection"
	case errors.Is(err, syscall.ECONNRESET):
		return "it reset the connection"
	case errors.Is(err, syscall.EPIPE):
		return "it closed the connection while it was sent the request"
	case errors.As(err, &op):
		return op.Err.Error()
	default:
		return strings.TrimPrefix(err.Error(), "net/http: ")
	}
}

// buffers are the blocks through which answers stream.
type buffers struct{ pool sync.Pool }

// Get gives a block.
func (b *buffers) Get() []byte {
	if block, ok := b.pool.Get().(*[64 << 10]byte); ok {
		return block[:]
	}
	return new([64 << 10]byte)[:]
}

// Put takes it back.
func (b *buffers) Put(block []byte) { b.pool.Put((*[64 << 10]byte)(block)) }
