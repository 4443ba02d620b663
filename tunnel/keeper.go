package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"time"
)

// Keeper is a net.Listener that outlives any one tunnel. Run opens a tunnel, hands
// its connections to Accept, and opens the next one when that one is lost, for ever.
//
// A lost tunnel is dialled again at once, then at most half a second apart for a
// minute, then with pauses that grow to 15 s. When the machine has been asleep, a
// tunnel that is a Prober has to show that it lives, and who waits tries at once. A
// tunnel that is a Mover is replaced before it ends: both are served meanwhile.
//
// A Keeper is for one Run. Its methods are safe for use by many goroutines, except
// that OnStatus comes before Run.
//
// Close and the end of Run's context are two things, so that a server can drain:
// after Close no new connection is accepted, and those that were accepted live on;
// Run returns when the last of them is closed. When the context ends, Run closes
// the tunnel and every connection with it, and returns. A server that drains
// therefore cancels Run's context after its Shutdown has returned.
//
// A connection that nobody accepts holds up the news of a lost tunnel: Accept must
// be called in a loop for as long as Run runs.
type Keeper struct {
	Provider Provider
	GiveUp   time.Duration    // for how long there may be no tunnel, also at first, before Run fails; 0: for ever
	Log      *slog.Logger     // nil: silence
	Jitter   func() float64   // in [0, 1), spreads the tries of many clients; nil: math/rand
	Wall     func() time.Time // shows when the machine was asleep; nil: the wall clock

	onStatus func(Status)

	once    sync.Once
	conns   chan net.Conn
	ready   chan struct{} // closed at the first Up
	closed  chan struct{} // closed by Close
	drained chan struct{} // closed when closed and no accepted connection is open
	over    chan struct{} // closed when Run returns

	mu       sync.Mutex // guards what follows
	url      *url.URL   // of the live tunnel, or the last one
	live     Tunnel     // nil: an outage
	open     int        // accepted connections that are not closed
	isClosed bool
}

var _ net.Listener = (*Keeper)(nil)

// setup makes the channels, so that a Keeper with nothing but a Provider works.
func (k *Keeper) setup() {
	k.once.Do(func() {
		k.conns = make(chan net.Conn)
		k.ready = make(chan struct{})
		k.closed = make(chan struct{})
		k.drained = make(chan struct{})
		k.over = make(chan struct{})
		if k.Log == nil {
			k.Log = slog.New(slog.DiscardHandler)
		}
		if k.Jitter == nil {
			k.Jitter = rand.Float64
		}
		if k.Wall == nil {
			k.Wall = time.Now
		}
	})
}

// OnStatus names the function that hears of every change. It is called by Run, in
// order, never by two goroutines at once and never under a lock; Run waits for it.
func (k *Keeper) OnStatus(f func(Status)) { k.onStatus = f }

// Ready is closed when a tunnel is up for the first time.
func (k *Keeper) Ready() <-chan struct{} {
	k.setup()
	return k.ready
}

// Accept waits for the next connection, whichever tunnel it comes from. It returns
// net.ErrClosed after Close and after Run.
func (k *Keeper) Accept() (net.Conn, error) {
	k.setup()
	select {
	case <-k.closed: // first, so that nothing is accepted after Close
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-k.conns:
		return c, nil
	case <-k.closed:
		return nil, net.ErrClosed
	case <-k.over:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and lets Run return once the accepted connections are closed.
// It never fails, also when called twice.
func (k *Keeper) Close() error {
	k.setup()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.isClosed {
		k.isClosed = true
		close(k.closed)
		if k.open == 0 {
			close(k.drained)
		}
	}
	return nil
}

// Withdraw has the live tunnel's far end keep new requests for whoever takes the name
// next, if it is a Withdrawer. A server that is about to drain calls it before it
// refuses connections: what comes on them meanwhile would be lost.
func (k *Keeper) Withdraw(ctx context.Context) error {
	k.mu.Lock()
	live := k.live
	k.mu.Unlock()
	if w, ok := live.(Withdrawer); ok {
		return w.Withdraw(ctx)
	}
	return nil
}

// Addr is the public URL, or the provider's name before there is one.
func (k *Keeper) Addr() net.Addr {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.url == nil {
		return publicAddr(k.Provider.Name())
	}
	return publicAddr(k.url.String())
}

// publicAddr is an address on the network that a tunnel reaches.
type publicAddr string

func (publicAddr) Network() string  { return "tunnel" }
func (a publicAddr) String() string { return string(a) }

// hand gives one connection to Accept, or closes it when nobody will accept it.
func (k *Keeper) hand(ctx context.Context, c net.Conn) {
	k.mu.Lock()
	refuse := k.isClosed
	if !refuse {
		k.open++
	}
	k.mu.Unlock()
	if refuse {
		k.discard(c)
		return
	}
	kept := &keptConn{Conn: c, keeper: k}
	select {
	case k.conns <- kept:
	case <-k.closed:
		k.discard(kept)
	case <-ctx.Done():
		k.discard(kept)
	}
}

// discard closes a connection that was not accepted.
func (k *Keeper) discard(c net.Conn) {
	if err := c.Close(); err != nil {
		k.Log.Debug("unaccepted connection closed", "err", err)
	}
}

// release counts a connection as closed.
func (k *Keeper) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open--
	if k.isClosed && k.open == 0 {
		close(k.drained)
	}
}

// keptConn tells its Keeper when it is closed.
type keptConn struct {
	net.Conn
	keeper *Keeper
	once   sync.Once
}

// Close closes the connection and lets a closed Keeper forget it.
func (c *keptConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.keeper.release)
	return err
}

// NetConn is the tunnel's own connection.
func (c *keptConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the outgoing half, for upgraded connections that half-close.
func (c *keptConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("close the outgoing half: %w", errors.ErrUnsupported)
}
