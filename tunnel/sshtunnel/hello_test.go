package sshtunnel

import (
	"net"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

func TestOurRelayAloneIsToldWhoWeAre(t *testing.T) {
	for name, tc := range map[string]struct {
		profile Profile
		want    []string
	}{
		"our relay":         {Relay("relay://x", "", 0, "ana"), []string{wire.HelloName, wire.ForwardName}},
		"an sshd":           {SSHD("ssh://x", Target{User: "x"}), []string{wire.ForwardName}},
		"a public service":  {Pinggy("", ""), []string{wire.ForwardName}},
		"a service of ours": {Profile{Announce: Announce{Forward: true}, BindPort: 80}, []string{wire.ForwardName}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			s.session = says("URL: https://ana.relay.example\r\nhttps://ana.pinggy.link\r\n", "")
			var got []string
			wanted := true
			s.heard = func(r *ssh.Request) {
				got = append(got, r.Type)
				if r.Type == wire.HelloName {
					wanted = r.WantReply
				}
			}
			tun, sc := openTunnel(t, s, providerFor(t, s, tc.profile, s.listen()))
			<-sc.asked
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("requests (-want +got):\n%s", d)
			}
			hello := len(tc.want) > 1
			if hello && wanted {
				t.Error("the hello wants a reply, which costs a round trip")
			}
			near, _ := connect(t, tun, sc)
			defer near.Close()
			if token := tunnel.Token(near); hello != (token != "") {
				t.Errorf("the connection's token is %q", token)
			}
		})
	}
}

func TestHelloNamesTheProviderAndTheConnection(t *testing.T) {
	s := newFakeServer(t)
	s.session = says("URL: https://ana.relay.example\r\n", "")
	hellos := make(chan wire.Hello, 3)
	s.heard = func(r *ssh.Request) {
		if r.Type != wire.HelloName {
			return
		}
		var h wire.Hello
		if err := ssh.Unmarshal(r.Payload, &h); err != nil {
			t.Error(err)
		}
		hellos <- h
	}
	port := s.listen()
	p := providerFor(t, s, Relay("relay://x", "", 0, "ana"), port)
	var all []wire.Hello
	for _, p := range []*Provider{p, p, providerFor(t, s, p.Profile, port)} {
		tun, sc := openTunnel(t, s, p)
		h := <-hellos
		all = append(all, h)
		near, _ := connect(t, tun, sc)
		defer near.Close()
		if got := tunnel.Token(wrappedConn{near}); got != h.Token {
			t.Errorf("the connection's token is %q, the server was told %q", got, h.Token)
		}
		for what, text := range map[string]string{"instance": h.Instance, "token": h.Token} {
			if !regexp.MustCompile(`^[A-Z2-7]{16,64}$`).MatchString(text) {
				t.Errorf("%s: got %q, want 16 to 64 characters of base32", what, text)
			}
		}
	}
	if all[0].Instance != all[1].Instance || all[0].Instance == all[2].Instance {
		t.Errorf("instances: %q, %q of the same provider, %q of another", all[0].Instance, all[1].Instance, all[2].Instance)
	}
	if all[0].Token == all[1].Token || all[1].Token == all[2].Token {
		t.Errorf("tokens do not differ: %+v", all)
	}
}

// wrappedConn is a connection inside another, as a Keeper's is.
type wrappedConn struct{ net.Conn }

func (w wrappedConn) NetConn() net.Conn { return w.Conn }

func TestOurRelayAloneCanAskToMove(t *testing.T) {
	for name, tc := range map[string]struct {
		profile Profile
		moves   bool
	}{
		"our relay": {Relay("relay://x", "", 0, "ana"), true},
		"an sshd":   {SSHD("ssh://x", Target{User: "x"}), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			s.session = says("URL: https://ana.relay.example\r\n", "")
			tun, sc := openTunnel(t, s, providerFor(t, s, tc.profile, s.listen()))
			for range 2 { // twice is no more than once
				if _, _, err := sc.SendRequest(wire.MoveName, false, nil); err != nil {
					t.Fatal(err)
				}
			}
			// An answered request means that those before it were seen.
			if _, _, err := sc.SendRequest(wire.KeepAliveName, true, nil); err != nil {
				t.Fatal(err)
			}
			moved := false
			select {
			case <-tun.Moving():
				moved = true
			default:
			}
			if moved != tc.moves {
				t.Errorf("asked to move: got %v, want %v", moved, tc.moves)
			}
			near, _ := connect(t, tun, sc) // and it serves on
			_ = near.Close()
		})
	}
}
