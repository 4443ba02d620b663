package relay

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// What a client may ask for, and a visitor may try.
const (
	maxAccess      = 16 << 10 // bytes of the request
	maxNetworks    = 256
	maxSalt        = 64
	maxCredentials = 1 << 10 // bytes of "user:password"

	maxGuesses  = 10 // wrong passwords of one address for one name
	guessesFor  = time.Minute
	maxGuessers = 10_000 // that are remembered
)

// rules say who may use a name. They never change; nil lets everybody in.
type rules struct {
	networks  []netip.Prefix // none: from anywhere
	salt, sum string         // of "user:password"; sum is empty where nobody is asked
}

// takeAccess takes the rules for the forwards that follow. What is malformed is
// refused, and closes those forwards to everybody: somebody wanted them protected.
func (c *client) takeAccess(req *ssh.Request) {
	r, err := parseAccess(req.Payload)
	c.rules = r
	if err != nil {
		c.s.log.Info("access rules refused", "key", c.id, "err", err)
		c.rules = &rules{networks: []netip.Prefix{{}}} // the zero Prefix contains nobody
		c.note(wire.ErrorPrefix+"the access rules are malformed: "+err.Error(), true)
	}
	req.Reply(err == nil, nil)
}

// parseAccess reads the payload of wire.AccessName. The errors are for whoever sent it,
// and repeat nothing of it.
func parseAccess(payload []byte) (*rules, error) {
	if len(payload) > maxAccess {
		return nil, errors.New("they are too long")
	}
	var a wire.Access
	if err := ssh.Unmarshal(payload, &a); err != nil {
		return nil, errors.New("not an SSH message of three texts")
	}
	r := &rules{salt: a.Salt, sum: a.Sum}
	switch {
	case a == wire.Access{}:
		return nil, nil
	case (a.Salt == "") != (a.Sum == ""):
		return nil, errors.New("a salt and a sum belong together")
	case len(a.Salt) > maxSalt:
		return nil, errors.New("the salt is too long")
	case a.Sum != "" && len(a.Sum) != sha256.Size:
		return nil, errors.New("the sum is not a SHA-256")
	case a.Networks == "":
		return r, nil
	}
	for text := range strings.SplitSeq(a.Networks, ",") {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, errors.New("a network is not written ADDRESS/BITS")
		}
		if ip := n.Addr(); ip.Is4In6() { // visitors are known by the IPv4 address inside
			if n.Bits() < 96 {
				return nil, errors.New("a network holds more than the IPv4 addresses in IPv6")
			}
			n = netip.PrefixFrom(ip.Unmap(), n.Bits()-96)
		}
		if r.networks = append(r.networks, n); len(r.networks) > maxNetworks {
			return nil, errors.New("too many networks")
		}
	}
	return r, nil
}

// pass is what an exchange has shown to those who asked.
type pass struct {
	rules       *rules // that let it in last
	credentials string // that were taken out of its head; "" if none were
}

// admit says whether x may go to n under r: nil, or why not. It is asked before
// anything is sent, and again for each tunnel that may get the request, with the name's
// lock held, since a newer tunnel has rules of its own. Credentials that satisfy r are taken out of what is
// sent: the app has no use for them, and the history would keep them.
func (x *exchange) admit(n *name, r *rules) *refusal {
	if r == nil || r == x.pass.rules {
		return nil
	}
	if len(r.networks) > 0 && !within(r.networks, x.v.from) {
		return notAllowed()
	}
	if r.sum != "" {
		if why := x.authorize(n, r); why != nil {
			return why
		}
	}
	x.pass.rules = r
	return nil
}

// authorize checks the password. A visitor that has sent none has not guessed.
func (x *exchange) authorize(n *name, r *rules) *refusal {
	credentials, line := x.pass.credentials, span{}
	if credentials == "" {
		var value []byte
		x.mu.Lock()
		value, line = authorization(x.head())
		credentials = parseBasic(value)
		x.mu.Unlock()
	}
	if credentials == "" {
		return unauthorized()
	}
	right := r.match(credentials)
	if wait := x.v.s.guesses.count(guesser{n.label, sourceAt(x.v.from)}, time.Now(), right); wait > 0 {
		return tooManyTries(wait)
	}
	if !right {
		return unauthorized()
	}
	x.pass.credentials = credentials
	x.cutHead(line)
	return nil
}

// cutHead takes a line out of the head, while nobody sends it.
func (x *exchange) cutHead(line span) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out = slices.Delete(x.out, int(line.from), int(line.to))
	x.id.from -= line.to - line.from
	x.id.to -= line.to - line.from
}

// match compares in constant time.
func (r *rules) match(credentials string) bool {
	sum := sha256.Sum256([]byte(r.salt + credentials))
	return subtle.ConstantTimeCompare(sum[:], []byte(r.sum)) == 1
}

// authorization finds the Authorization field of a head, and its line. Of two, apps
// might read either: there is none then.
func authorization(head []byte) (value []byte, line span) {
	var m message
	if _, err := m.parse(head); err != nil {
		return nil, span{}
	}
	for i := range m.fields {
		f := &m.fields[i]
		if !bytes.EqualFold(m.bytes(f.name), []byte("Authorization")) {
			continue
		}
		if line != (span{}) {
			return nil, span{}
		}
		value, line = m.bytes(f.value), f.line
	}
	return value, line
}

// parseBasic gives the "user:password" of an Authorization field (RFC 7617), or "".
func parseBasic(value []byte) string {
	scheme, encoded, _ := bytes.Cut(value, []byte(" "))
	encoded = bytes.TrimLeft(encoded, " ")
	if !bytes.EqualFold(scheme, []byte("Basic")) || len(encoded) > base64.StdEncoding.EncodedLen(maxCredentials) {
		return ""
	}
	p, err := base64.StdEncoding.Strict().AppendDecode(nil, encoded)
	if err != nil || bytes.IndexByte(p, ':') < 0 {
		return ""
	}
	return string(p)
}

// guesses counts wrong passwords, so that nobody tries many. It is safe for many
// goroutines; its zero value is ready.
type guesses struct {
	mu    sync.Mutex // guards the rest
	wrong map[guesser]guessed
	order []guesser // the first to be forgotten is first
}

// guesser is who guesses: all of one address (a /64 in IPv6), at one name.
type guesser struct{ name, source string }

type guessed struct {
	times int
	until time.Time // when they are forgotten
}

// count takes note of a try, right or wrong, and says for how long no more are taken:
// not even the right one, or trying would go on.
func (g *guesses) count(who guesser, now time.Time, right bool) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.order) > 0 && !now.Before(g.wrong[g.order[0]].until) {
		g.forget()
	}
	before, known := g.wrong[who]
	switch {
	case before.times >= maxGuesses:
		return before.until.Sub(now)
	case right:
		return 0
	case !known:
		if len(g.order) == maxGuessers {
			g.forget()
		}
		before.until = now.Add(guessesFor)
		g.order = append(g.order, who)
	}
	if g.wrong == nil {
		g.wrong = map[guesser]guessed{}
	}
	before.times++
	g.wrong[who] = before
	return 0
}

// forget drops who comes first. The caller holds g.mu.
func (g *guesses) forget() {
	delete(g.wrong, g.order[0])
	g.order = g.order[1:]
}
