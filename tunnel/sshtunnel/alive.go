package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
)

var _ tunnel.Prober = (*Tunnel)(nil)

// addressEvery is how often we look whether this machine still has the address that
// the link comes from, at the least.
const addressEvery = 2 * time.Second

// ask asks the server for any answer, unless there is a question already, and does not
// wait: SendRequest holds a lock until the answer comes, or the link is closed. It is
// for the tunnel's own goroutines.
func (t *Tunnel) ask() {
	if t.asking.Swap(true) {
		return
	}
	t.work.Go(func() {
		defer t.asking.Store(false)
		if _, _, err := t.conn.SendRequest(wire.KeepAliveName, true, nil); err != nil {
			t.log.Debug("keep-alive", "err", err)
		}
	})
}

// watch ends the tunnel when its server is silent for too long, and when this machine
// has lost the address that the link comes from.
func (t *Tunnel) watch(k KeepAlive, addrs func() ([]net.Addr, error)) {
	t.keepAlive = k.orDefault()
	t.work.Go(func() {
		if t.keepAlive.watch(t.over, t.link, t.ask) {
			t.end(fmt.Errorf("%s has not answered for %v", t.profile.addr(), t.keepAlive.limit()))
		}
	})
	t.work.Go(func() {
		for {
			select {
			case <-t.poke:
				t.ask()
			case <-t.over:
				return
			}
		}
	})
	ip := ownIP(t.link.LocalAddr())
	if ip == nil {
		return
	}
	if addrs == nil {
		addrs = net.InterfaceAddrs
	}
	t.work.Go(func() {
		if watchAddress(t.over, ip, addrs, min(t.keepAlive.Idle, addressEvery)) {
			t.end(fmt.Errorf("this machine no longer has the address %v, through which it reached %s", ip, t.profile.addr()))
		}
	})
}

// ownIP is the address that a link comes from, if it is one that can go away: nil for
// loopback, and where something between us and the server (a jump host, a pipe) hides
// the address.
func ownIP(a net.Addr) net.IP {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() || tcp.IP.IsUnspecified() {
		return nil
	}
	return tcp.IP
}

// watchAddress returns true when the machine had the address and has it no longer,
// false when the tunnel is over. A machine that never shows the address (it is
// translated on the way out) is not watched in vain, but it is not believed either.
func watchAddress(over <-chan struct{}, ip net.IP, addrs func() ([]net.Addr, error), every time.Duration) (gone bool) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for seen := false; ; {
		if all, err := addrs(); err == nil { // else we know nothing
			has := hasIP(all, ip)
			if seen && !has {
				return true
			}
			seen = has
		}
		select {
		case <-over:
			return false
		case <-tick.C:
		}
	}
}

func hasIP(addrs []net.Addr, ip net.IP) bool {
	for _, a := range addrs {
		switch a := a.(type) {
		case *net.IPNet:
			if a.IP.Equal(ip) {
				return true
			}
		case *net.IPAddr:
			if a.IP.Equal(ip) {
				return true
			}
		}
	}
	return false
}

// Probe asks the server for a sign of life and returns nil when anything comes. It
// fails after a third of the time that a keep-alive may take, a second at the least,
// when the tunnel ends, and with the context.
func (t *Tunnel) Probe(ctx context.Context) error {
	limit := max(t.keepAlive.Answer/3, time.Second)
	heard := t.link.nextRead()
	select {
	case t.poke <- struct{}{}:
	default: // a question that is under way will do: its answer comes, or TCP repeats it
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-heard:
		return nil
	case <-t.over:
		return t.why
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New(t.profile.addr() + " has not answered for " + limit.String())
	}
}

// Latency measures the way to the server and back: a question, and its answer. One that
// is under way already is waited for first. It fails when the tunnel ends, and with the
// context.
func (t *Tunnel) Latency(ctx context.Context) (time.Duration, error) {
	type answer struct {
		took time.Duration
		err  error
	}
	came := make(chan answer, 1)
	t.work.Go(func() {
		start := time.Now()
		_, _, err := t.conn.SendRequest(wire.KeepAliveName, true, nil)
		came <- answer{time.Since(start), err}
	})
	select {
	case a := <-came:
		return a.took, a.err
	case <-t.over:
		return 0, t.why
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
