package sshtunnel

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

func TestOurRelayAloneIsAskedToKeepWhatComes(t *testing.T) {
	for name, tc := range map[string]struct {
		profile Profile
		refuses bool
		want    []wire.ForwardRequest // that are taken back
		fails   string
	}{
		"our relay":             {profile: Relay("relay://x", "", 0, "ana"), want: []wire.ForwardRequest{{BindAddr: "ana", BindPort: 80}}},
		"our relay that cannot": {profile: Relay("relay://x", "", 0, "ana"), refuses: true, want: []wire.ForwardRequest{{BindAddr: "ana", BindPort: 80}}, fails: "take back ana:80: the relay does not know it"},
		"an sshd":               {profile: SSHD("ssh://x", Target{User: "x"})},
		"a public service":      {profile: Pinggy("", "")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			s.session = says("URL: https://ana.relay.example\r\nhttps://ana.pinggy.link\r\n", "")
			s.cancel = !tc.refuses
			var got []wire.ForwardRequest
			s.heard = func(r *ssh.Request) {
				var ask wire.ForwardRequest
				if r.Type == wire.CancelForwardName && ssh.Unmarshal(r.Payload, &ask) == nil {
					got = append(got, ask)
				}
			}
			tun, sc := openTunnel(t, s, providerFor(t, s, tc.profile, s.listen()))
			err := tun.Withdraw(t.Context())
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("got %v, want %q", err, tc.fails)
			}
			// An answered request means that those before it were seen.
			if _, _, err := tun.conn.SendRequest(wire.KeepAliveName, true, nil); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("taken back (-want +got):\n%s", d)
			}
			near, _ := connect(t, tun, sc) // and what the server brings nevertheless is served
			_ = near.Close()
		})
	}
}

func TestWithdrawEndsWithItsContextAndWithTheTunnel(t *testing.T) {
	s := newFakeServer(t)
	s.session = says("URL: https://ana.relay.example\r\n", "")
	heard := make(chan struct{}, 2)
	s.heard = func(r *ssh.Request) {
		if r.Type == wire.CancelForwardName {
			heard <- struct{}{}
		}
	}
	var silent atomic.Bool
	s.deaf = silent.Load
	tun, sc := openTunnel(t, s, providerFor(t, s, Relay("relay://x", "", 0, "ana"), s.listen()))
	<-sc.asked
	silent.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tun.Withdraw(ctx) }()
	<-heard
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("with its context: got %v", err)
	}
	go func() { ended <- tun.Withdraw(t.Context()) }()
	if err := tun.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "take back") {
		t.Errorf("with the tunnel: got %v", err)
	}
}
