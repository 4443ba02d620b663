package tunnel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// overlap is how long a tunnel may go on serving after the one that replaces it
	// is up. What it still serves then is cut.
	overlap = 10 * time.Second
	// ticking is how often the wall clock is looked at.
	ticking = time.Second
)

// GaveUpError is what Run fails with when there was no tunnel for Keeper.GiveUp.
type GaveUpError struct {
	After time.Duration
	Err   error // why the last try failed; nil: it was still under way
}

// Error says for how long there was no tunnel, and why.
func (e *GaveUpError) Error() string {
	text := fmt.Sprintf("gave up: no tunnel for %v", e.After)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the reason.
func (e *GaveUpError) Unwrap() error { return e.Err }

// Explain gives the hint of a refusal, and the exit status 1 in any case: whoever
// set a limit waits for this one.
func (e *GaveUpError) Explain() (hint string, exit int) {
	if refused := (*RefusedError)(nil); errors.As(e.Err, &refused) {
		hint = refused.Hint
	}
	return hint, 1
}

// Run keeps a tunnel open until the context ends or, after Close, the last accepted
// connection is closed; then it returns nil. It fails in two cases: when the first
// open is refused, with a *RefusedError (later refusals may heal, by another network
// or a restarted server, so they are announced and tried again, slowly); and when
// there was no tunnel for GiveUp, with a *GaveUpError.
func (k *Keeper) Run(ctx context.Context) error {
	k.setup()
	defer close(k.over)
	life, end := context.WithCancel(ctx)
	r := &run{
		Keeper: k, plan: retryPlan{jitter: k.Jitter, since: time.Now()}, began: time.Now(),
		wake:  wakeWatch{wall: k.Wall, last: k.Wall()},
		retry: stopped(), limit: stopped(),
		tries: make(chan try), lost: make(chan *serving),
	}
	defer r.work.Wait()
	defer end()
	return r.loop(life)
}

// stopped is a timer that waits to be set.
func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// run is one Run of a Keeper. Its fields are the loop's alone; what happens elsewhere
// comes to the loop by channels.
type run struct {
	*Keeper
	plan   retryPlan
	wake   wakeWatch
	opened bool // a tunnel has been up

	began  time.Time   // when the outage did
	why    error       // why there is no tunnel; nil: not known yet
	live   *serving    // the newest tunnel; nil: an outage
	old    *serving    // the one before it, which asked for that; nil: it has ended
	retry  *time.Timer // until the next try
	limit  *time.Timer // until nobody waits any more
	breaks func()      // off the try under way; nil: there is none
	anew   bool        // it was broken off, for another one

	tries chan try
	lost  chan *serving
	work  sync.WaitGroup
}

// try is what came of an Open.
type try struct {
	tunnel Tunnel
	err    error
}

// serving is a tunnel whose connections are handed over.
type serving struct {
	Tunnel
	moving <-chan struct{}         // closed when the far end asks to move; nil: it will not, or has
	stop   context.CancelCauseFunc // closes the tunnel, and gives the reason
	err    error                   // why it has ended; set before it is sent to run.lost
}

// loop runs until there is nothing more to do.
func (r *run) loop(ctx context.Context) error {
	defer r.retry.Stop()
	defer r.limit.Stop()
	ticks := time.NewTicker(ticking)
	defer ticks.Stop()
	if r.GiveUp > 0 {
		r.limit.Reset(r.GiveUp)
	}
	r.try(ctx)
	for closed := r.closed; ; {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-closed:
			closed = nil
			r.drain()
		case t := <-r.tries:
			err = r.tried(ctx, t)
		case s := <-r.lost:
			r.down(ctx, s)
		case <-r.moving():
			r.move(ctx)
		case <-r.retry.C:
			r.try(ctx)
		case <-r.limit.C:
			err = &GaveUpError{After: r.GiveUp, Err: r.why}
		case <-ticks.C:
			if r.wake.woken() {
				r.woken(ctx)
			}
		}
		if err != nil || r.draining() && r.breaks == nil && r.live == nil && r.old == nil {
			return err
		}
	}
}

// draining reports whether Close was called.
func (r *run) draining() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// drain opens no more tunnels. Those that are open end with their connections.
func (r *run) drain() {
	r.retry.Stop()
	r.limit.Stop()
	if r.breaks != nil {
		r.breaks()
	}
}

// try opens a tunnel in the background. There is one try at a time.
func (r *run) try(ctx context.Context) {
	r.retry.Stop()
	if r.live == nil {
		r.announce(Status{State: Connecting})
	}
	opening, cancel := context.WithCancel(ctx)
	r.breaks = cancel
	r.work.Go(func() {
		t, err := r.Provider.Open(opening)
		select {
		case r.tries <- try{t, err}:
		case <-ctx.Done():
			if err == nil {
				r.tooLate(t)
			}
		}
	})
}

// tooLate closes a tunnel that nobody waits for any more.
func (r *run) tooLate(t Tunnel) {
	r.Log.Debug("tunnel opened too late", "err", t.Close())
}

// tried takes what came of a try. Its error is the end of Run.
func (r *run) tried(ctx context.Context, t try) error {
	r.breaks()
	r.breaks = nil
	anew := r.anew
	r.anew = false
	refused := (*RefusedError)(nil)
	switch {
	case t.err == nil && (r.draining() || ctx.Err() != nil):
		r.tooLate(t.tunnel)
	case t.err == nil:
		r.up(ctx, t.tunnel)
	case r.draining() || ctx.Err() != nil:
	case !r.opened && errors.As(t.err, &refused) && !refused.Later:
		return t.err
	case anew:
		r.wait(ctx, nil)
	default:
		r.why = t.err
		r.wait(ctx, t.err)
	}
	return nil
}

// wait sets the next try, after the pause that the plan wants.
func (r *run) wait(ctx context.Context, err error) {
	refused := (*RefusedError)(nil)
	delay := r.plan.next(time.Now(), errors.As(err, &refused))
	if delay == 0 {
		r.try(ctx)
		return
	}
	r.Log.Info("tunnel waits", "err", err, "retry", delay)
	if r.live == nil {
		r.announce(Status{State: Waiting, Err: err, Retry: delay})
	}
	r.retry.Reset(delay)
}

// up makes t the live tunnel. The one that it replaces, which asked for that, serves
// on for a while.
func (r *run) up(ctx context.Context, t Tunnel) {
	r.retry.Stop()
	r.limit.Stop()
	r.plan.up(time.Now())
	status := Status{State: Up, Notices: notices(t)}
	if r.opened && r.live == nil {
		status.Outage = time.Since(r.began)
	}
	if r.live != nil {
		r.retire(r.live)
		status.Notices = append(status.Notices, "the server has asked to move, and the tunnel has moved to a new connection")
	}
	r.mu.Lock()
	status.Changed = r.url != nil && r.url.String() != t.URL().String()
	r.url, r.Keeper.live = t.URL(), t
	r.mu.Unlock()
	r.opened, r.why = true, nil
	r.live = &serving{Tunnel: t}
	if m, ok := t.(Mover); ok {
		r.live.moving = m.Moving()
	}
	r.announce(status)
	select {
	case <-r.ready:
	default:
		close(r.ready)
	}
	r.serve(ctx, r.live)
}

// retire lets a tunnel serve until its end, but not for long. There is room for one
// such: a server that asks to move all the time is not given more.
func (r *run) retire(s *serving) {
	if r.old != nil {
		r.old.stop(nil)
	}
	r.old = s
	time.AfterFunc(overlap, func() { s.stop(nil) })
}

// moving is closed when the live tunnel's far end asks to move.
func (r *run) moving() <-chan struct{} {
	if r.live == nil || r.draining() {
		return nil
	}
	return r.live.moving
}

// move begins to open the next tunnel while the live one serves.
func (r *run) move(ctx context.Context) {
	r.live.moving = nil
	r.Log.Info("tunnel is asked to move")
	r.plan.down(time.Now())
	if r.breaks == nil {
		r.wait(ctx, nil)
	}
}

// down takes the end of a tunnel.
func (r *run) down(ctx context.Context, s *serving) {
	if s == r.old {
		r.old = nil
		return
	}
	if s != r.live { // retired, and then replaced again
		return
	}
	r.live, r.began, r.why = nil, time.Now(), s.err
	r.mu.Lock()
	r.Keeper.live = nil
	r.mu.Unlock()
	r.plan.down(r.began)
	if r.draining() || ctx.Err() != nil {
		return
	}
	if r.GiveUp > 0 {
		r.limit.Reset(r.GiveUp)
	}
	r.announce(Status{State: Down, Err: s.err, Notices: notices(s.Tunnel)})
	if r.breaks != nil { // since it was asked to move
		r.announce(Status{State: Connecting})
		return
	}
	r.wait(ctx, s.err)
}

// woken is called when the machine has been asleep. Whatever was known before does
// not count any more: what waits tries at once, what tries does so anew (but not the
// first time, when a person may be typing a passphrase), and what is up shows that it
// lives.
func (r *run) woken(ctx context.Context) {
	r.Log.Info("the machine was asleep")
	if r.draining() {
		return
	}
	r.plan.restart(time.Now())
	switch {
	case r.live != nil:
		r.probe(ctx, r.live)
	case r.breaks == nil:
		r.wait(ctx, nil)
	case r.opened:
		r.anew = true
		r.breaks()
	}
}

// probe asks a tunnel for a sign of life, and ends it when there is none.
func (r *run) probe(ctx context.Context, s *serving) {
	p, ok := s.Tunnel.(Prober)
	if !ok {
		return
	}
	r.work.Go(func() {
		if err := p.Probe(ctx); err != nil {
			s.stop(fmt.Errorf("after this machine was asleep: %w", err))
		}
	})
}

// serve hands a tunnel's connections over, in the background, until its end.
func (r *run) serve(ctx context.Context, s *serving) {
	life, stop := context.WithCancelCause(ctx)
	s.stop = stop
	r.work.Go(func() {
		defer stop(nil)
		s.err = r.accept(life, s.Tunnel)
		select {
		case r.lost <- s:
		case <-ctx.Done():
		}
	})
}

// accept hands the tunnel's connections over until Accept fails, and says why it did.
func (r *run) accept(ctx context.Context, t Tunnel) error {
	lost := make(chan struct{})
	var closer sync.WaitGroup
	defer closer.Wait()
	defer close(lost)
	closer.Go(func() {
		select {
		case <-ctx.Done():
		case <-r.drained:
		case <-lost:
		}
		if err := t.Close(); err != nil {
			r.Log.Debug("tunnel closed", "err", err)
		}
	})
	for {
		c, err := t.Accept()
		if why := context.Cause(ctx); err != nil && why != nil {
			return why // it was closed here, and this is the reason
		}
		if err != nil {
			return err
		}
		r.hand(ctx, c)
	}
}

// announce completes the status and passes it on.
func (r *run) announce(s Status) {
	r.mu.Lock()
	s.URL = r.url
	r.mu.Unlock()
	if s.State == Waiting || s.State == Connecting {
		s.Outage = time.Since(r.began)
	}
	s.Provider = r.Provider.Name()
	s.Public = s.URL != nil && Public(s.URL)
	r.Log.Debug("tunnel", "state", string(s.State), "provider", s.Provider, "err", s.Err)
	if r.onStatus != nil {
		r.onStatus(s)
	}
}

// notices asks a tunnel for what its service has said.
func notices(t Tunnel) []string {
	if n, ok := t.(Noticer); ok {
		return n.Notices()
	}
	return nil
}
