package relay

import (
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// What a Hello may have. The field that carries an ID fits into maxIDField: its
// name, the token, the run and a counter.
const (
	minToken    = 16
	maxToken    = 64
	maxInstance = 128
	runLength   = 10
	maxIDField  = len(wire.RequestIDField) + len(": ") + maxToken + len(".") + runLength + len("-") + 13 + len("\r\n")
)

// takeHello reads what a client says of itself, which holds for the forwards that
// follow. Only the first counts.
func (c *client) takeHello(req *ssh.Request) bool {
	h := new(wire.Hello)
	if ssh.Unmarshal(req.Payload, h) != nil || len(h.Token) < minToken || len(h.Token) > maxToken || len(h.Instance) > maxInstance {
		return false
	}
	for i := range len(h.Token) {
		if !isAlnum(h.Token[i]) {
			return false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hello != nil {
		return false
	}
	c.hello = h
	return true
}

// appendID appends the field that gives the far end the ID of the relay's nth
// request, or nothing if that is not agreed on. The ID has a part of this run of the
// relay: the next one counts from the start again.
func (t *tunnel) appendID(dst []byte, n uint64) []byte {
	if !t.agreed() {
		return dst
	}
	dst = append(dst, t.idHead...)
	dst = strconv.AppendUint(dst, n, 36)
	return append(dst, "\r\n"...)
}

// newTunnel makes the tunnel that c asks for.
func (c *client) newTunnel(bind wire.ForwardRequest) *tunnel {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &tunnel{client: c, bind: bind, hello: c.hello}
	if t.agreed() {
		t.idHead = wire.RequestIDField + ": " + t.hello.Token + "." + c.s.run + "-"
	}
	return t
}

// takeOver makes t the only tunnel of its name in the place of before, which is an
// older connection's. That one's requests under way are finished there if it still
// lives, and move to t if not.
func (t *tunnel) takeOver(before *tunnel) {
	old := before.client
	defer before.close() // last: it writes to a connection that may not take anything
	old.note("notice: "+t.name.label+" has moved to a newer connection of this key", true)
	if t.agreed() && before.agreed() && t.hello.Instance != "" && t.hello.Instance == before.hello.Instance {
		old.s.log.Info("client replaced", "name", t.name.label, "key", old.id)
		old.conn.Close()
		return
	}
	old.probe()
}
