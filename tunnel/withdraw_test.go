package tunnel_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/slackdev/slackdev/tunnel"
)

// withdrawing is a tunnel that can be withdrawn.
type withdrawing struct {
	*fakeTunnel
	err   error
	asked int
}

func (w *withdrawing) Withdraw(context.Context) error { w.asked++; return w.err }

func TestKeeperWithdrawsTheLiveTunnelAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := errors.New("no")
		w := &withdrawing{newFakeTunnel(t, "https://ana.example"), no, 0}
		plain := newFakeTunnel(t, "https://ana.example")
		next := make(chan tunnel.Tunnel, 1)
		k := keep(t, func(ctx context.Context, _ int) (tunnel.Tunnel, error) {
			select {
			case t := <-next:
				return t, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		withdraw := func(when string, want error, asked int) {
			t.Helper()
			synctest.Wait()
			if err := k.Withdraw(t.Context()); !errors.Is(err, want) || w.asked != asked {
				t.Errorf("%s: got %v, and the tunnel was asked %d times, want %v and %d", when, err, w.asked, want, asked)
			}
		}
		withdraw("before there is one", nil, 0)
		next <- w
		withdraw("while it is up", no, 1)
		w.lose(errors.New("reset"))
		withdraw("when it is lost", nil, 1)
		next <- plain
		withdraw("while there is one that cannot be", nil, 1)
		k.end(t)
	})
}
