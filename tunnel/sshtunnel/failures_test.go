package sshtunnel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// rawServer talks without manners, to each client anew, and gives its port.
func rawServer(t *testing.T, talk func(net.Conn)) int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with the listener; each talk with its connection
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			talk(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().(*net.TCPAddr).Port
}

// repeats writes text until the client has had enough.
func repeats(first, text string) func(net.Conn) {
	return func(c net.Conn) {
		_, err := io.WriteString(c, first)
		for err == nil {
			_, err = io.WriteString(c, text)
		}
	}
}

// failures are ways in which an Open fails, each with what is a part of the error.
func failures(t *testing.T) map[string]struct {
	provider *Provider
	want     string
} {
	relay := func(port int) *Provider {
		return &Provider{Profile: Relay("relay://x", "127.0.0.1", port, "ana"), Keys: Keys{Signers: []ssh.Signer{newKey(t)}}, Hosts: Hosts{Pinned: newKey(t).PublicKey()}}
	}
	polite := func(change func(*fakeServer)) *Provider {
		s := newFakeServer(t)
		s.joined = make(chan *serverConn, 4096)
		if change != nil {
			change(s)
		}
		return providerFor(t, s, Relay("relay://x", "127.0.0.1", 1, "ana"), s.listen())
	}
	stranger := polite(nil)
	stranger.Hosts.Pinned = newKey(t).PublicKey()
	agent := polite(func(s *fakeServer) {
		s.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errors.New("no") }
	})
	agent.Profile.AnyKey = false
	agent.Keys = Keys{Agent: serveAgent(t, mustEd25519(t)), Own: filepath.Join(t.TempDir(), "id")}
	questions := polite(func(s *fakeServer) {
		s.config.PublicKeyCallback = nil
		s.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			for {
				if _, err := ask("", "", []string{"again? "}, []bool{true}); err != nil {
					return nil, err
				}
			}
		}
	})
	hop := polite(func(s *fakeServer) {
		s.direct = func(c ssh.NewChannel) { _ = c.Reject(ssh.Prohibited, "no\x1b[2Jway") }
	})
	jump, err := NewJump("hop", func(Target) (Hop, error) { return Hop{Login: hop}, nil })
	if err != nil {
		t.Fatal(err)
	}
	behind := relay(1)
	behind.Dial = jump.DialContext
	const version = "SSH-2.0-hostile\r\n"
	return map[string]struct {
		provider *Provider
		want     string
	}{
		"nobody there":             {relay(rawServer(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })), ""},
		"hangs up":                 {relay(rawServer(t, func(net.Conn) {})), ""},
		"silent":                   {relay(rawServer(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })), "no answer within"},
		"a drop at a time":         {relay(rawServer(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-slow"); _, _ = io.Copy(io.Discard, c) })), "no answer within"},
		"a line without an end":    {relay(rawServer(t, repeats("", strings.Repeat("x", 4096)))), ""},
		"lines without an end":     {relay(rawServer(t, repeats("", "hello\r\n"))), ""},
		"a version, then nothing":  {relay(rawServer(t, func(c net.Conn) { _, _ = io.WriteString(c, version); _, _ = io.Copy(io.Discard, c) })), "no answer within"},
		"a packet of 4 GiB":        {relay(rawServer(t, repeats(version, "\xff\xff\xff\xff"+strings.Repeat("\x00", 4096)))), ""},
		"packets of nothing":       {relay(rawServer(t, repeats(version, "\x00\x00\x00\x01\x00"))), ""},
		"packets to be ignored":    {relay(rawServer(t, repeats(version, "\x00\x00\x00\x0c\x06\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))), ""},
		"another host key":         {stranger, "it must be"},
		"no key fits":              {agent, "the server takes"},
		"questions without an end": {questions, "the server takes"},
		"no forward": {polite(func(s *fakeServer) {
			s.forward = func(wire.ForwardRequest) (bool, uint32) { return false, 0 }
			s.session = says("", wire.ErrorPrefix+"no more of you\n")
		}), "no more of you"},
		"a session without a URL":   {polite(func(s *fakeServer) { s.session = func(ch ssh.Channel, _ string) { _ = ch.Close() } }), "before it told the URL"},
		"a session without an end":  {polite(func(s *fakeServer) { s.session = floods }), "no answer within"},
		"a jump host that does not": {behind, "it lets nobody do that (no)"},
	}
}

// floods talks until nobody listens.
func floods(ch ssh.Channel, _ string) {
	text := bytes.Repeat([]byte("https://\x1b[31mevil\n"), 512)
	for {
		if _, err := ch.Write(text); err != nil {
			return
		}
	}
}

// Whatever a server does to us, an Open ends in time, and a thousand of them leave
// neither goroutines nor descriptors. (The goroutines are TestMain's to count.)
func TestAThousandFailuresLeaveNothingBehind(t *testing.T) {
	const rounds = 60
	for name, tc := range failures(t) {
		t.Run(name, func(t *testing.T) {
			short := 150 * time.Millisecond
			if strings.Contains(tc.want, "no answer") {
				short = 20 * time.Millisecond
			}
			before := 0
			for n := range rounds {
				if n == 5 { // what is made once is made
					before = descriptors(t)
				}
				tc.provider.Timeout = short
				if n == 0 && short > 20*time.Millisecond && tc.want != "" {
					tc.provider.Timeout = 10 * time.Second // its words count, on a slow machine as well
				}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				tun, err := tc.provider.Open(ctx)
				if err == nil {
					_ = tun.Close()
					t.Fatal("it opened")
				}
				if ctx.Err() != nil || !strings.Contains(err.Error(), tc.want) && n == 0 {
					t.Fatalf("got %v, want %q", err, tc.want)
				}
				if strings.ContainsRune(err.Error(), 0x1b) {
					t.Fatalf("a terminal would obey %q", err)
				}
				cancel()
			}
			const few = 12 // of the server's, which may notice later
			if after := descriptors(t); after > before+few {
				t.Errorf("%d descriptors, %d before", after, before)
			}
		})
	}
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	return len(list)
}

// A server that asks for things that it has no right to gets none of them, however
// often, and its tunnel goes on.
func TestAServerThatAsksForEverythingGetsNothing(t *testing.T) {
	s := newFakeServer(t)
	s.session = says(wire.URLPrefix+"https://ana.example.org\n", "")
	p := providerFor(t, s, Relay("relay://x", "127.0.0.1", 1, "ana"), s.listen())
	tun, sc := openTunnel(t, s, p)
	for range 500 {
		for _, kind := range []string{"session", "x11", "auth-agent@openssh.com", "direct-tcpip", "tun@openssh.com", "forwarded-streamlocal@openssh.com", "\x1b[2J"} {
			if ch, _, err := sc.OpenChannel(kind, []byte("\x00\x00")); err == nil {
				_ = ch.Close()
				t.Fatalf("it took a channel of the kind %q", kind)
			}
		}
		for _, kind := range []string{"tcpip-forward", "hostkeys-00@openssh.com", "keepalive@openssh.com", "\x1b[2J"} {
			if ok, _, err := sc.SendRequest(kind, true, []byte("x")); ok || err != nil {
				t.Fatalf("%q: got %v, %v", kind, ok, err)
			}
		}
	}
	near, far := connect(t, tun, sc)
	if _, err := far.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if _, err := io.ReadFull(near, buf); err != nil || string(buf) != "still here" {
		t.Errorf("got %q, %v", buf, err)
	}
	_ = near.Close()
	_ = far.Close()
}

func mustEd25519(t *testing.T) any {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}
