package probe

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// clock notes when each part of a probe began and ended. Happy Eyeballs dials twice
// at a time: the last end counts.
type clock struct {
	mu   sync.Mutex // guards the rest: dials run in goroutines of their own
	at   Step       // the last step that began
	from struct{ dns, dial, tls, sent time.Time }
	spent
}

// spent is how long each part took.
type spent struct{ dns, dial, tls, first time.Duration }

// trace hooks the clock into a request.
func (c *clock) trace() *httptrace.ClientTrace {
	begin := func(s Step, t *time.Time) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.at = s
		if t.IsZero() {
			*t = time.Now()
		}
	}
	end := func(t *time.Time, d *time.Duration) {
		c.mu.Lock()
		defer c.mu.Unlock()
		*d = time.Since(*t)
	}
	return &httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { begin(Resolve, &c.from.dns) },
		DNSDone:              func(httptrace.DNSDoneInfo) { end(&c.from.dns, &c.dns) },
		ConnectStart:         func(_, _ string) { begin(Dial, &c.from.dial) },
		ConnectDone:          func(_, _ string, _ error) { end(&c.from.dial, &c.dial) },
		TLSHandshakeStart:    func() { begin(Secure, &c.from.tls) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { end(&c.from.tls, &c.tls) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { begin(Arrive, &c.from.sent) },
		GotFirstResponseByte: func() { end(&c.from.sent, &c.first) },
	}
}

// step is where the request is, or has failed.
func (c *clock) step() Step {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == "" {
		return Resolve
	}
	return c.at
}

// result gives what was measured; Way still has the time at the near end in it.
func (c *clock) result() *Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Result{DNS: c.dns, Connect: c.dial, TLS: c.tls, Way: c.first}
}
