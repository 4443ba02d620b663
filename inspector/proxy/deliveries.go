package proxy

import (
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// How much is remembered of deliveries.
const (
	// maxKnown is how many that are over are known; the oldest are forgotten first.
	maxKnown = 4096
	// maxRecalled is how many of the newest exchanges in the history are looked
	// through for deliveries of an earlier process.
	maxRecalled = 1000
	// maxAnswer is the size of the largest answer to a delivery that is kept whole
	// in memory, also where Proxy.Keep is less. All of them together have maxHeld.
	maxAnswer = 1 << 20
	maxHeld   = 16 << 20
)

// History is what was recorded: the Store.
type History interface {
	Get(ctx context.Context, id inspector.ID) (*inspector.Exchange, error)
	List(ctx context.Context, q inspector.Query) ([]*inspector.Exchange, error)
}

// delivery is one request under the ID that a relay gave it, however often it comes.
type delivery struct {
	key      string // the relay's ID
	exchange inspector.ID
	print    uint64        // of the request, see deliveries.print
	broken   bool          // the body broke off on its way: nobody was asked
	streams  bool          // the body is not held, so nobody can wait for its answer
	orphaned bool          // an earlier slackdev ended before the answer came
	settled  chan struct{} // closed when there is nothing to wait for
	waiting  atomic.Int32  // how many wait for settled

	// What follows is guarded by deliveries.mu.
	over        bool                // what became of it is recorded
	why         string              // settled, and not over: why its answer cannot be given again
	answer      *inspector.Response // whole; nil: the history may have it
	size        int64               // of answer
	undelivered bool                // the sender hung up before it had all of the answer
}

// deliveries is the table of them: those that are under way, and the last that are
// over. It is safe for many goroutines, and has none.
type deliveries struct {
	once sync.Once // recalls those of earlier processes
	seed maphash.Seed

	mu    sync.Mutex // guards the rest
	known map[string]*delivery
	over  []*delivery // oldest first
	bare  int         // of over, how many from the oldest on have no answer any more
	held  int64       // bytes of answers
}

// recall reads, once, which deliveries the history knows.
func (t *deliveries) recall(h History, log *slog.Logger) {
	t.once.Do(func() {
		t.seed, t.known = maphash.MakeSeed(), make(map[string]*delivery)
		if h == nil {
			return
		}
		var ctx patience
		defer ctx.end()
		page, err := h.List(&ctx, inspector.Query{Limit: maxRecalled})
		if err != nil {
			log.Warn("requests from before this start cannot be told from new ones", "err", err)
			return
		}
		settled := make(chan struct{})
		close(settled)
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, x := range slices.Backward(page) {
			if x.Delivery == "" {
				continue
			}
			d := &delivery{
				key: x.Delivery, exchange: x.ID, print: t.print(x), settled: settled,
				broken: brokeOff(x), orphaned: !x.Done(), undelivered: hungUp(x.Fault),
			}
			t.known[d.key] = d
			t.keep(d)
		}
	})
}

// brokeOff reports whether the record is of a request whose body never came whole.
func brokeOff(x *inspector.Exchange) bool {
	return x.Fault != "" && x.Response != nil && x.Response.By == inspector.BySlackdev && x.Response.Status == badBody
}

// print tells a request from others. An ID is believed to be the same request's, and
// yet: a relay that gave one twice must not give a stranger somebody's answer. What
// goes in is what no relay changes on the way.
func (t *deliveries) print(x *inspector.Exchange) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	for _, s := range [...]string{x.Request.Method, x.Request.Target, x.Request.Host, x.Request.Header.Get(slack.SignatureHeader)} {
		_, _ = h.WriteString(s) // it cannot fail
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// found is what somebody finds who claims a delivery.
type found uint8

const (
	foundNothing  found = iota // it is theirs to process
	foundOrphan                // it is theirs to answer, but the app was asked already
	foundEarlier               // it came before
	foundStranger              // the ID is another request's
)

// claim gives the delivery to whoever comes first. One whose body broke off, or that
// an earlier process left behind, is claimed again, under the exchange that it has. In
// d, exchange is the one to use when it is new, and what the claim finds is filled in.
func (t *deliveries) claim(d *delivery) (*delivery, found) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, what := t.known[d.key], foundNothing
	switch {
	case old == nil:
	case old.print != d.print:
		return nil, foundStranger
	case old.over && old.orphaned:
		// Whether this one's body is whole does not matter: nobody is asked.
		what, d.exchange, d.broken, d.streams = foundOrphan, old.exchange, false, false
	case old.over && old.broken:
		d.exchange = old.exchange
	default:
		return old, foundEarlier
	}
	d.settled = make(chan struct{})
	t.known[d.key] = d
	return d, what
}

// release tells those who wait that they do not get the answer, and why.
func (t *deliveries) release(d *delivery, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.why == "" && !d.over {
		d.why = why
		close(d.settled)
	}
}

// finish notes what became of a delivery, which is recorded by now. A nil answer is
// one that is not held in memory.
func (t *deliveries) finish(d *delivery, answer *inspector.Response, undelivered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.undelivered = undelivered
	if answer != nil {
		if size := sizeOf(answer); size <= maxAnswer {
			d.answer, d.size = answer, size
		}
	}
	if d.why == "" {
		close(d.settled)
	}
	d.why = ""
	t.keep(d)
}

func sizeOf(res *inspector.Response) int64 {
	n := len(res.Body.Bytes)
	for _, h := range [...]inspector.Header{res.Header, res.Trailer} {
		for _, f := range h {
			n += 32 + len(f.Name) + len(f.Value)
		}
	}
	return int64(n)
}

// keep puts d behind those that are over, and makes room. The caller holds mu.
func (t *deliveries) keep(d *delivery) {
	d.over = true
	t.over = append(t.over, d)
	t.held += d.size
	for t.held > maxHeld {
		t.drop(t.over[t.bare])
		t.bare++
	}
	if len(t.over) > maxKnown {
		oldest := t.over[0]
		t.drop(oldest)
		if t.known[oldest.key] == oldest { // else it was claimed again
			delete(t.known, oldest.key)
		}
		t.over[0] = nil
		t.over = t.over[1:]
		t.bare = max(0, t.bare-1)
	}
}

// drop lets go of an answer. The caller holds mu.
func (t *deliveries) drop(d *delivery) {
	t.held -= d.size
	d.answer, d.size = nil, 0
}

// answer gives the answer to a settled delivery that is held in memory, or why there
// will be none; neither: the history may have it.
func (t *deliveries) answer(d *delivery) (res *inspector.Response, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return d.answer, d.why
}

// delivered notes that somebody has the answer now, and reports whether the record
// says otherwise.
func (t *deliveries) delivered(d *delivery) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := d.undelivered
	d.undelivered = false
	return was
}
