//go:build unix

package sshtunnel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// hopTo is the way to log in at a provider's server.
func hopTo(p *sshtunnel.Provider) sshtunnel.Hop {
	return sshtunnel.Hop{Login: &sshtunnel.Provider{Profile: p.Profile, Keys: p.Keys, Hosts: p.Hosts}}
}

// throughHops makes p go through servers, the first one first.
func throughHops(t testing.TB, p *sshtunnel.Provider, hops ...*sshtunnel.Provider) *sshtunnel.Jump {
	t.Helper()
	var names []string
	known := map[string]sshtunnel.Hop{}
	for i, hop := range hops {
		name := fmt.Sprintf("hop%d", i+1)
		names, known[name] = append(names, name), hopTo(hop)
	}
	j, err := sshtunnel.NewJump(strings.Join(names, ","), func(to sshtunnel.Target) (sshtunnel.Hop, error) { return known[to.Host], nil })
	if err != nil {
		t.Fatal(err)
	}
	p.Dial = j.DialContext
	return j
}

func TestTunnelsThroughJumpHostsKeepTheContract(t *testing.T) {
	hops := startHops(t, 2)
	t.Run("two to sshd", func(t *testing.T) {
		tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture {
			s, p := sshdProvider(t)
			s.start()
			throughHops(t, p, hops...)
			return tunneltest.Fixture{Provider: p}
		})
	})
	t.Run("one to a relay", func(t *testing.T) {
		tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture {
			p := startRelay(t, "ana")
			throughHops(t, p, hops[0])
			return tunneltest.Fixture{Provider: p}
		})
	})
}

func startHops(t testing.TB, n int) (hops []*sshtunnel.Provider) {
	for range n {
		s, p := sshdProvider(t)
		s.start()
		hops = append(hops, p)
	}
	return hops
}

// What a tunnel has said before it is closed arrives, through the hops as well.
func TestLastBytesPassJumpHosts(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	throughHops(t, p, startHops(t, 2)...)
	tun, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	public, err := net.Dial("tcp", tun.URL().Host)
	if err != nil {
		t.Fatal(err)
	}
	defer public.Close()
	in, err := tun.Accept()
	if err != nil {
		t.Fatal(err)
	}
	said := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
	if _, err := in.Write(said); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	_ = tun.Close()
	if got, err := io.ReadAll(public); err != nil || !bytes.Equal(got, said) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(said), err)
	}
}

// jumpFault is what is wrong with two hops and the end, and what a person reads of it.
type jumpFault struct {
	spoil   func(t *testing.T, servers []*sshd, logins []*sshtunnel.Provider) // two hops and the end, before they start
	want    string                                                            // HOP1, HOP2 and END are their addresses
	hint    string
	refused bool
	timeout time.Duration
}

func jumpFaults() map[string]jumpFault {
	silent := func(t *testing.T) string { // takes connections, and that is all
		addr, stop, err := tunneltest.Serve(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		return addr
	}
	return map[string]jumpFault{
		"the first is not there": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) { setAddr(t, p[0], tunneltest.Closed(t)) },
			want:  "jump host: connect to HOP1: connection refused",
		},
		"the second is not there": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) { setAddr(t, p[1], tunneltest.Closed(t)) },
			want:  "jump host HOP1: it cannot connect to HOP2: Connection refused",
		},
		"the end is not there": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) { setAddr(t, p[2], tunneltest.Closed(t)) },
			want:  "jump host HOP2: it cannot connect to END: Connection refused",
		},
		"the first does not know our key": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) {
				p[0].Keys.Own = filepath.Join(t.TempDir(), "another")
			},
			want: "jump host HOP1: log in as ", hint: "ssh-copy-id", refused: true,
		},
		"the second does not know our key": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) {
				p[1].Keys.Own = filepath.Join(t.TempDir(), "another")
			},
			want: "jump host HOP2: log in as ", hint: "ssh-copy-id", refused: true,
		},
		"the second has another host key": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) {
				other, err := sshtunnel.OwnKey(filepath.Join(t.TempDir(), "other"))
				if err != nil {
					t.Fatal(err)
				}
				p[1].Hosts.Pinned = other.PublicKey()
			},
			want: "jump host HOP2: check the host key of HOP2: it must be SHA256:", refused: true,
		},
		"the first forwards nothing": {
			spoil: func(_ *testing.T, s []*sshd, _ []*sshtunnel.Provider) { s[0].configure("AllowTcpForwarding no") },
			want:  "jump host HOP1: connect to HOP2: it lets nobody do that (open failed)", hint: "AllowTcpForwarding", refused: true,
		},
		"the second forwards elsewhere": {
			spoil: func(_ *testing.T, s []*sshd, _ []*sshtunnel.Provider) { s[1].configure("PermitOpen 192.0.2.1:22") },
			want:  "jump host HOP2: connect to END: it lets nobody do that (open failed)", hint: "PermitOpen", refused: true,
		},
		"the first says nothing": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) { setAddr(t, p[0], silent(t)) },
			want:  "jump host HOP1: no answer within 1s", timeout: time.Second,
		},
		"the second says nothing": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) { setAddr(t, p[1], silent(t)) },
			want:  "jump host HOP2: no answer within 1s", timeout: time.Second,
		},
		"the second is no SSH server": {
			spoil: func(t *testing.T, _ []*sshd, p []*sshtunnel.Provider) {
				addr, stop, err := tunneltest.Serve(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(stop)
				setAddr(t, p[1], addr)
			},
			want: "jump host HOP2: it hangs up before a login",
		},
	}
}

func TestJumpHostFaults(t *testing.T) {
	for name, tc := range jumpFaults() {
		t.Run(name, func(t *testing.T) {
			var servers []*sshd
			var logins []*sshtunnel.Provider
			for range 3 {
				s, p := sshdProvider(t)
				servers, logins = append(servers, s), append(logins, p)
			}
			tc.spoil(t, servers, logins)
			for _, s := range servers {
				s.start()
			}
			p := logins[2]
			p.Timeout = tc.timeout
			throughHops(t, p, logins[:2]...)
			tun, err := p.Open(t.Context())
			if err == nil {
				_ = tun.Close()
				t.Fatal("this should have failed")
			}
			got := err.Error()
			for i, hop := range []string{"HOP1", "HOP2", "END"} {
				got = strings.ReplaceAll(got, fmt.Sprintf("127.0.0.1:%d", logins[i].Profile.Port), hop)
			}
			if want := "tunnel through END: " + tc.want; !strings.HasPrefix(got, want) {
				t.Errorf("got  %s\nwant %s…", got, want)
			}
			refused := (*tunnel.RefusedError)(nil)
			if errors.As(err, &refused) != tc.refused || tc.refused && !strings.Contains(refused.Hint, tc.hint) {
				t.Errorf("got %+v; want a refusal %v with the hint %q", refused, tc.refused, tc.hint)
			}
		})
	}
}

// setAddr makes a provider dial an address of loopback.
func setAddr(t testing.TB, p *sshtunnel.Provider, addr string) {
	t.Helper()
	p.Profile.Port = portIn(t, addr)
}

// A jump host that dies is named, and passed again when it is back.
func TestKeeperComesBackWhenAJumpHostIsKilled(t *testing.T) {
	for name, which := range map[string]int{"the first": 0, "the second": 1} {
		t.Run(name, func(t *testing.T) {
			end, p := sshdProvider(t)
			end.start()
			var hops []*sshd
			var logins []*sshtunnel.Provider
			for range 2 {
				s, hop := sshdProvider(t)
				s.start()
				hops, logins = append(hops, s), append(logins, hop)
			}
			throughHops(t, p, logins...)
			ctx, states := kept(t, p)
			get(t, ctx, await(t, ctx, states, tunnel.Up).URL)
			hops[which].stop()
			down := await(t, ctx, states, tunnel.Down)
			if want := fmt.Sprintf("jump host 127.0.0.1:%d: connection lost", logins[which].Profile.Port); !strings.Contains(fmt.Sprint(down.Err), want) {
				t.Errorf("down: got %v, want %q in it", down.Err, want)
			}
			hops[which].start()
			get(t, ctx, await(t, ctx, states, tunnel.Up).URL)
		})
	}
}

// A hop that gives nobody a session forwards all the same.
func TestJumpHostNeedsNoShell(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	bare, hop := sshdProvider(t)
	bare.configure("MaxSessions 0")
	bare.start()
	throughHops(t, p, hop)
	tun, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = tun.Close()
}

// stalling is a connection on which nothing comes any more once it is told to.
type stalling struct {
	net.Conn
	stall  <-chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (s *stalling) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	select {
	case <-s.stall:
		<-s.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (s *stalling) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// A jump host that goes silent is noticed from end to end, as any server is, and does
// not hold up who leaves.
func TestJumpHostStalls(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	stall := make(chan struct{})
	throughHops(t, p, startHops(t, 2)...).Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &stalling{Conn: c, stall: stall, closed: make(chan struct{})}, err
	}
	p.KeepAlive = sshtunnel.KeepAlive{Idle: 100 * time.Millisecond, Answer: 200 * time.Millisecond}
	tun, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	close(stall)
	if _, err := tun.Accept(); err == nil || !strings.Contains(err.Error(), "has not answered for 300ms") {
		t.Errorf("accept: got %v", err)
	}
	if err := tun.Close(); err != nil {
		t.Error(err)
	}
}

func TestNewJumpReadsWhatSSHReads(t *testing.T) {
	known := map[string]sshtunnel.Hop{
		"inner": {Via: "outer,me@middle:2200"}, "outer": {Via: "none"}, "middle": {Via: "outer"}, // of which the last counts only for a first one
		"alone": {}, "circle": {Via: "alone,loop"}, "loop": {}, "self": {Via: "self"}, "bad": {Via: "a b"},
	}
	for text, want := range map[string]string{
		"":                                    "",
		"none":                                "",
		"alone":                               "alone:22",
		"me@alone:2222":                       "me@alone:2222",
		"ssh://me@alone:2222":                 "me@alone:2222",
		"alone, inner":                        "alone:22 inner:22",
		"inner,alone":                         "outer:22 me@middle:2200 inner:22 alone:22",
		"middle":                              "outer:22 middle:22",
		"[2001:db8::1]:22":                    "! jump host 2001:db8::1: unknown",
		"self":                                "! more than 8 jump hosts, or a circle of them, lead to self:22",
		"bad":                                 `! jump host bad:22: a jump host is written [USER@]HOST[:PORT]: "ssh://a b": the host is missing or is no host name`,
		"alone,":                              `! a jump host is written [USER@]HOST[:PORT]: "ssh://": the host is missing or is no host name`,
		"me:s3cret@alone":                     "! a jump host is written [USER@]HOST[:PORT]: ssh://…@alone: no password here, use a key or an agent",
		"-oProxyCommand=x":                    `! a jump host is written [USER@]HOST[:PORT]: "ssh://-oProxyCommand=x": the host is missing or is no host name`,
		"alone:0":                             `! a jump host is written [USER@]HOST[:PORT]: "ssh://alone:0": the port must be a number from 1 to 65535`,
		"elsewhere":                           "! jump host elsewhere: unknown",
		strings.Repeat("alone,", 8) + "alone": "! more than 8 jump hosts, or a circle of them, lead to alone:22",
	} {
		var hops []string
		j, err := sshtunnel.NewJump(text, func(to sshtunnel.Target) (sshtunnel.Hop, error) {
			hop, ok := known[to.Host]
			if !ok {
				return hop, errors.New("unknown")
			}
			hop.Login = &sshtunnel.Provider{Profile: sshtunnel.SSHD("hop", to)}
			return hop, nil
		})
		if err != nil {
			hops = []string{"! " + err.Error()}
		} else if j != nil {
			hops = j.Hops()
		}
		if diff := cmp.Diff(want, strings.Join(hops, " ")); diff != "" {
			t.Errorf("%q: -want +got\n%s", text, diff)
		}
	}
}

// BenchmarkJumpNewConnection is a request on a new public connection through a stock
// sshd that is reached through others.
func BenchmarkJumpNewConnection(b *testing.B) {
	for n := range 3 {
		b.Run(fmt.Sprintf("%d hops", n), func(b *testing.B) {
			s, p := sshdProvider(b)
			s.start()
			if n > 0 {
				throughHops(b, p, startHops(b, n)...)
			}
			benchNewConnection(b, p)
		})
	}
}
