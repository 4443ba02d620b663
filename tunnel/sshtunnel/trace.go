package sshtunnel

import (
	"strings"
	"sync"
	"time"

	"github.com/slackdev/slackdev/tunnel/dial"
	"golang.org/x/crypto/ssh"
)

// Step is a part of opening a tunnel that is done, or has failed. Text is one line,
// printable and short; it may quote the server.
type Step struct {
	Name string // one of dial's steps or of these
	Text string
	Took time.Duration
	Err  error // nil: done
}

// The steps that follow those of package dial, in their order.
const (
	StepSSH     = "ssh"      // the server's version, and the algorithms
	StepHostKey = "host-key" // its fingerprint
	StepAuth    = "auth"     // as whom, and with what
	StepForward = "forward"  // what was asked for
	StepURL     = "url"      // what was announced
)

// StepOf is a leg of the way to the server as a Step.
func StepOf(l dial.Leg) Step {
	return Step{Name: string(l.Step), Text: l.Peer, Took: l.Took, Err: l.Err}
}

// tracer tells a Provider's Trace what is done. A nil tracer tells nobody. It is used
// by one goroutine after the other.
type tracer struct {
	tell func(Step)

	mu   sync.Mutex // guards the rest
	at   string     // the step under way
	from time.Time  // when it began
	key  ssh.PublicKey
}

func newTracer(tell func(Step)) *tracer {
	if tell == nil {
		return nil
	}
	return &tracer{tell: tell, at: StepSSH, from: time.Now()}
}

// done tells that the step under way is, and that next comes now.
func (t *tracer) done(next, text string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	s := Step{Name: t.at, Text: printable(text, maxNotice), Took: time.Since(t.from)}
	t.at, t.from = next, time.Now()
	t.mu.Unlock()
	t.tell(s)
}

// failed tells that the step under way has failed.
func (t *tracer) failed(err error) {
	if t == nil || err == nil {
		return
	}
	t.mu.Lock()
	s := Step{Name: t.at, Took: time.Since(t.from), Err: err}
	t.mu.Unlock()
	t.tell(s)
}

// showed notes the key that the host shows. The algorithms are not known yet; if the
// key is not believed, that is the step which fails.
func (t *tracer) showed(key ssh.PublicKey) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at, t.key = StepHostKey, key
}

// agreed tells of the algorithms and the host key, once the server asks who we are:
// only then is the handshake over.
func (t *tracer) agreed(c *ssh.ClientAuthContext) {
	if t == nil {
		return
	}
	t.mu.Lock()
	key := t.key
	t.at = StepSSH
	t.mu.Unlock()
	t.done(StepHostKey, strings.Join([]string{string(c.Metadata.ServerVersion()), c.Algorithms.KeyExchange, c.Algorithms.Write.Cipher}, ", "))
	t.done(StepAuth, key.Type()+" "+ssh.FingerprintSHA256(key))
}
