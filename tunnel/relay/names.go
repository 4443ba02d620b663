package relay

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxLabel is the longest DNS label (RFC 1035, section 2.3.4).
const maxLabel = 63

// reserved are the names that nobody can have, because people would take what is
// behind them for a part of the relay, or because machines look for them.
const reserved = " www admin administrator api relay localhost local slackdev status health login auth account accounts" +
	" mail smtp imap pop ftp ssh ns ns1 ns2 mx dns autoconfig autodiscover wpad isatap root support help docs static" +
	" assets cdn metrics internal dashboard broadcasthost postmaster abuse security "

// name is a label, who has it, and what waits for it.
type name struct {
	label  string
	owner  string                 // the fingerprint of the key that asked first; "" as long as none has: see registry.absent
	source string                 // where that key was then; "" if it is not counted
	live   atomic.Pointer[tunnel] // where its requests go; nil while the tunnel is down; set with mu held
	rules  atomic.Pointer[rules]  // of the last tunnel, also while it is down; nil: anybody may
	busy   atomic.Int32           // requests under way
	left   time.Time              // when the last tunnel went, for eviction; guarded by registry.mu

	mu      sync.Mutex  // guards the rest, the channels of all its tunnels, and what exchanges say of their waiting
	claimed bool        // it has had a tunnel
	waiting []*exchange // the one that came first is first
	held    int         // of these, for want of a tunnel
	timer   *time.Timer // calls expire; nil if none ever waited
}

// registry knows which name belongs to whom, for as long as the relay runs. It is
// safe for many goroutines.
type registry struct {
	domain string // in lower case, without a dot at either end
	limits *Limits

	mu      sync.RWMutex // guards what follows, and every name's owner, source and left
	names   map[string]*name
	owned   map[string]int // names by owner
	sources map[string]int // names by source
	// A relay that has just started has forgotten all names, and their owners are about
	// to come back: until fresh, requests for names that nobody has claimed yet are held
	// by these. nil: nothing is, or the last of them has had its time.
	absent map[string]*name
	fresh  time.Time
}

func newRegistry(domain string, limits *Limits) *registry {
	return &registry{domain: domain, limits: limits, names: map[string]*name{}, owned: map[string]int{}, sources: map[string]int{}}
}

// claim makes t the tunnel of label, for owner, and gives the tunnel that was
// there before. A name that is new is counted for source, unless that is "". The
// errors are sentences for the owner.
func (g *registry) claim(label, owner, source string, t *tunnel) (before *tunnel, err error) {
	if err := checkLabel(label); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.names[label]
	switch {
	case n == nil:
		if g.owned[owner] >= g.limits.NamesPerKey {
			return nil, fmt.Errorf("this key has %d names already", g.owned[owner])
		}
		ofSource := func(n *name) bool { return n.source == source }
		if source != "" && g.sources[source] >= g.limits.NamesPerSource && !g.evict(ofSource) {
			return nil, fmt.Errorf("this address has %d names already", g.sources[source])
		}
		if len(g.names) >= g.limits.Names && !g.evict(func(*name) bool { return true }) {
			return nil, errors.New("the relay has no room for another name")
		}
		if n = g.absent[label]; n == nil {
			n = &name{label: label}
		}
		delete(g.absent, label)
		n.owner, n.source = owner, source
		g.names[label] = n
		g.owned[owner]++
		if source != "" {
			g.sources[source]++
		}
	case n.owner != owner:
		return nil, fmt.Errorf("the name %s belongs to another key", label)
	}
	t.name = n // before anybody can find t
	n.rules.Store(t.rules)
	return n.up(t), nil
}

// evict forgets the name, of those that match, that has been down longest, if that
// is long enough for nobody to miss it. The caller holds g.mu.
func (g *registry) evict(match func(*name) bool) bool {
	var oldest *name
	for _, n := range g.names {
		if match(n) && n.live.Load() == nil && (oldest == nil || n.left.Before(oldest.left)) {
			oldest = n
		}
	}
	if oldest == nil || time.Since(oldest.left) < g.limits.NameKept {
		return false
	}
	delete(g.names, oldest.label)
	decrement(g.owned, oldest.owner)
	decrement(g.sources, oldest.source)
	return true
}

// leave ends t's hold on its name, unless a newer tunnel has it. The name stays its
// owner's.
func (g *registry) leave(t *tunnel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.name.down(t) {
		t.name.left = time.Now()
	}
}

// endHold turns away all requests that are held, and gives their number, and that
// of the others that are under way.
func (g *registry) endHold() (held, busy int) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, names := range []map[string]*name{g.names, g.absent} {
		for _, n := range names {
			before := int(n.busy.Load())
			away := n.endHold()
			held, busy = held+away, busy+max(0, before-away)
		}
	}
	return held, busy
}

// expect has requests for names that nobody has claimed held for a while, because the
// relay has just started. What stop ends is the keeping of these names.
func (g *registry) expect(hold time.Duration) (stop func() bool) {
	if hold <= 0 {
		return func() bool { return true }
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.absent, g.fresh = map[string]*name{}, time.Now().Add(hold)
	return time.AfterFunc(2*hold, func() { // the last of those requests has been held for as long
		g.mu.Lock()
		defer g.mu.Unlock()
		g.absent = nil
	}).Stop
}

// await gives the name that holds the requests for a label until it is claimed; nil if
// nobody is expected to, or there is no room for another.
func (g *registry) await(label string) *name {
	if checkLabel(label) != nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := g.names[label]; n != nil {
		return n
	}
	if g.absent == nil || !time.Now().Before(g.fresh) {
		return nil
	}
	n := g.absent[label]
	if n == nil && len(g.absent) < g.limits.HoldTotal {
		n = &name{label: label}
		g.absent[label] = n
	}
	return n
}

// find gives the name that host, as a request has it, is for; nil if there is none.
func (g *registry) find(host []byte) *name {
	var room [maxLabel + 1]byte
	label, ok := g.label(host, room[:0])
	if !ok {
		return nil
	}
	g.mu.RLock()
	n, fresh := g.names[string(label)], g.absent != nil
	g.mu.RUnlock()
	if n == nil && fresh {
		return g.await(string(label))
	}
	return n
}

// label cuts the label out of LABEL.DOMAIN, in any case, with or without a port
// and a final dot, and appends it to dst.
func (g *registry) label(host, dst []byte) ([]byte, bool) {
	if i := bytes.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = bytes.TrimSuffix(host, []byte("."))
	cut := len(host) - len(g.domain) - 1
	if cut < 1 || cut > maxLabel || host[cut] != '.' {
		return nil, false
	}
	for i := range len(g.domain) {
		if lower(host[cut+1+i]) != g.domain[i] {
			return nil, false
		}
	}
	for _, c := range host[:cut] {
		dst = append(dst, lower(c))
	}
	return dst, true
}

// wanted gives the label that a forward's bind address asks for, or "" if it
// leaves the choice to the relay.
func (g *registry) wanted(bind string) string {
	switch bind {
	case "", "localhost", "0.0.0.0", "*", "::", "127.0.0.1", "::1":
		return ""
	}
	return strings.TrimSuffix(strings.ToLower(bind), "."+g.domain)
}

// checkLabel says why label cannot be a name.
func checkLabel(label string) error {
	if len(label) == 0 || len(label) > maxLabel {
		return fmt.Errorf("a name has 1 to %d characters", maxLabel)
	}
	for i := range len(label) {
		c := label[i]
		inside := i > 0 && i < len(label)-1
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' && inside) {
			return errors.New("a name has the letters a to z, digits, and hyphens between them")
		}
	}
	if len(label) > 3 && label[2:4] == "--" { // xn--, and what may come
		return errors.New("a name cannot have hyphens in its third and fourth place")
	}
	if strings.Contains(reserved, " "+label+" ") {
		return fmt.Errorf("the name %s is reserved", label)
	}
	return nil
}

// The words of made-up names, 32 of each.
const (
	adjectives = "amber brave brisk calm clear coral crisp eager early fair fancy fresh gentle glad golden happy" +
		" honest jolly keen kind light lively lucky merry mild neat noble proud quick quiet sunny swift"
	animals = "badger beaver bison camel crane deer dove eagle falcon ferret finch fox gecko hare heron ibis" +
		" jay koala lark lemur lynx marten mole moose otter owl panda puffin raven robin seal wren"
)

// madeUp gives the nth name that the relay makes up for a key: the same every
// time, so that the URL stays, and with 30 bits of the fingerprint's hash.
func madeUp(fingerprint string, nth int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "slackdev relay name %d of %s", nth, fingerprint))
	tail := strings.ToLower(base32.StdEncoding.EncodeToString(sum[2:]))[:4]
	return strings.Fields(adjectives)[sum[0]%32] + "-" + strings.Fields(animals)[sum[1]%32] + "-" + tail
}
