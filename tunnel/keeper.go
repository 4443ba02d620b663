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

// Noticer is a Tunnel that passes on what its service says besides the URL.
type Noticer interface {
	// Notices gives what has been said since the last call, oldest first: hostile
	// text, bounded, without control characters.
	Notices() []string
}

// Keeper is a net.Listener that outlives any one tunnel. Run opens a tunnel, hands
// its connections to Accept, and opens the next one when that one is lost, for ever.
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
	Log      *slog.Logger   // nil: silence
	Jitter   func() float64 // in [0, 1), spreads the tries of many clients; nil: math/rand

	onStatus func(Status)

	once    sync.Once
	conns   chan net.Conn
	ready   chan struct{} // closed at the first Up
	closed  chan struct{} // closed by Close
	drained chan struct{} // closed when closed and no accepted connection is open
	over    chan struct{} // closed when Run returns

	mu       sync.Mutex // guards what follows
	url      *url.URL   // of the live tunnel, or the last one
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

// Run keeps a tunnel open until the context ends or, after Close, the last accepted
// connection is closed; then it returns nil. It fails only when the first open is
// refused for good, with a *RefusedError: later refusals may heal (another network, a
// restarted server), so they are announced and tried again, slowly.
func (k *Keeper) Run(ctx context.Context) error {
	k.setup()
	defer close(k.over)
	opening, stopOpening := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stopOpening()
	watch.Go(func() {
		select {
		case <-k.closed:
			stopOpening()
		case <-opening.Done():
		}
	})

	plan := retryPlan{jitter: k.Jitter, since: time.Now()}
	for opened := false; ; {
		k.announce(Status{State: Connecting})
		t, err := k.Provider.Open(opening)
		switch refused := (*RefusedError)(nil); {
		case err == nil && opening.Err() != nil:
			err = t.Close() // too late: nobody waits for it any more
			k.Log.Debug("tunnel opened too late", "err", err)
		case err == nil:
			opened = true
			plan.up(time.Now())
			err = k.serve(ctx, t)
			plan.down(time.Now())
			if opening.Err() == nil {
				k.announce(Status{State: Down, Err: err, Notices: notices(t)})
			}
		case !opened && errors.As(err, &refused) && !refused.Later && opening.Err() == nil:
			return err
		}
		if !k.pause(opening, &plan, err) {
			return nil
		}
	}
}

// serve hands the tunnel's connections over until Accept fails, and says why it did.
func (k *Keeper) serve(ctx context.Context, t Tunnel) error {
	lost := make(chan struct{})
	var closer sync.WaitGroup
	defer closer.Wait()
	defer close(lost)
	closer.Go(func() {
		select {
		case <-ctx.Done():
		case <-k.drained:
		case <-lost:
		}
		if err := t.Close(); err != nil {
			k.Log.Debug("tunnel closed", "err", err)
		}
	})
	k.announceUp(t)
	for {
		c, err := t.Accept()
		if err != nil {
			return err
		}
		k.hand(ctx, c)
	}
}

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

// pause waits before the next try and reports whether there is to be one.
func (k *Keeper) pause(ctx context.Context, plan *retryPlan, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	refused := (*RefusedError)(nil)
	delay := plan.next(time.Now(), errors.As(err, &refused))
	if delay == 0 {
		return true
	}
	k.Log.Info("tunnel waits", "err", err, "retry", delay)
	k.announce(Status{State: Waiting, Err: err, Retry: delay})
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// announceUp tells of a new tunnel, and whether its address is new.
func (k *Keeper) announceUp(t Tunnel) {
	k.mu.Lock()
	changed := k.url != nil && k.url.String() != t.URL().String()
	first := k.url == nil
	k.url = t.URL()
	k.mu.Unlock()
	k.announce(Status{State: Up, Changed: changed, Notices: notices(t)})
	if first {
		close(k.ready)
	}
}

// announce completes the status and passes it on.
func (k *Keeper) announce(s Status) {
	k.mu.Lock()
	s.URL = k.url
	k.mu.Unlock()
	s.Provider = k.Provider.Name()
	s.Public = s.URL != nil && Public(s.URL)
	k.Log.Debug("tunnel", "state", string(s.State), "provider", s.Provider, "err", s.Err)
	if k.onStatus != nil {
		k.onStatus(s)
	}
}

// notices asks a tunnel for what its service has said.
func notices(t Tunnel) []string {
	if n, ok := t.(Noticer); ok {
		return n.Notices()
	}
	return nil
}
