package sshtunnel

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is the connection to the SSH server, as the tunnel above it needs to know
// it: when the last byte came, whether it has ended, and when something was sent.
type link struct {
	net.Conn
	ack   acker
	start time.Time
	heard atomic.Int64 // when the last byte came, in nanoseconds since start
	over  atomic.Bool  // a read has failed, or Close was called: set before anybody above can know
	broke atomic.Bool  // a read has failed before Close was called

	mu   sync.Mutex    // guards what follows
	sent chan struct{} // closed by the next Write; nil: nobody waits

	came atomic.Pointer[chan struct{}] // closed by the next Read that gets something; nil: nobody waits
}

func newLink(c net.Conn) *link {
	return &link{Conn: c, ack: newAcker(c), start: time.Now()}
}

// Read reads, and asks the kernel to acknowledge at once: a server whose Nagle
// algorithm waits for the acknowledgement would hold its next small packet for 40 ms.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard.Store(int64(time.Since(l.start)))
		if l.came.Load() != nil {
			close(*l.came.Swap(nil)) // reads come from one goroutine
		}
		l.ack.now()
	}
	if err != nil && !l.over.Swap(true) {
		l.broke.Store(true)
	}
	return n, err
}

func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent != nil {
		close(l.sent)
		l.sent = nil
	}
	return n, err
}

// nextWrite gives a channel that the next Write closes.
func (l *link) nextWrite() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent == nil {
		l.sent = make(chan struct{})
	}
	return l.sent
}

// nextRead gives a channel that the next Read that gets something closes.
func (l *link) nextRead() <-chan struct{} {
	c := make(chan struct{})
	for !l.came.CompareAndSwap(nil, &c) {
		if waiting := l.came.Load(); waiting != nil {
			return *waiting
		}
	}
	return c
}

// Close ends the link. It frees every call that waits for the server.
func (l *link) Close() error {
	l.over.Store(true)
	return l.Conn.Close()
}

// quiet is how long nothing has come.
func (l *link) quiet() time.Duration {
	return time.Since(l.start) - time.Duration(l.heard.Load())
}

// KeepAlive says when a silent server is dead. Any byte that it sends counts as life.
type KeepAlive struct {
	Idle   time.Duration // silence after which it is asked for an answer; 0: 2 s
	Answer time.Duration // how long that may take; 0: one and a half times Idle
}

// orDefault notices a dead link 5 s after its last byte, unless told otherwise.
func (k KeepAlive) orDefault() KeepAlive {
	if k.Idle <= 0 {
		k.Idle = 2 * time.Second
	}
	if k.Answer <= 0 {
		k.Answer = k.Idle + k.Idle/2
	}
	return k
}

// limit is the silence after which a server is dead.
func (k KeepAlive) limit() time.Duration { return k.Idle + k.Answer }

// watch asks a server that has been silent for an answer, and returns true when
// nothing has come of it, false when the tunnel is over. It asks once in a silence:
// TCP repeats what is lost, and a second question would wait for the answer to the
// first. ask must not block.
func (k KeepAlive) watch(over <-chan struct{}, l *link, ask func()) (dead bool) {
	timer := time.NewTimer(k.Idle)
	defer timer.Stop()
	var asked time.Time // zero: there is no question
	var before int64    // when the last byte had come by then
	for {
		select {
		case <-over:
			return false
		case <-timer.C:
		}
		unanswered := !asked.IsZero() && l.heard.Load() == before
		switch quiet := l.quiet(); {
		case unanswered && time.Since(asked) >= k.Answer:
			return true
		case unanswered:
			timer.Reset(k.Answer - time.Since(asked))
		case quiet < k.Idle:
			timer.Reset(k.Idle - quiet)
		default:
			asked, before = time.Now(), l.heard.Load()
			ask()
			timer.Reset(min(k.Idle, k.Answer))
		}
	}
}
