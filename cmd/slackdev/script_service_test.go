//go:build unix

package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// scriptService is a public tunnel service as there are many: an SSH server that takes
// any key, says an address in its session, and forwards what arrives there.
type scriptService struct {
	config *ssh.ServerConfig
	says   []string // in place of an address, before it hangs up; empty: an address
	public net.Listener

	mu    sync.Mutex // guards what follows
	conns map[ssh.Conn]struct{}
	last  ssh.Conn // that has logged in
	names []string // that were asked for
	work  sync.WaitGroup
}

// startService is  service NAME [LINE…]:  NAME_PORT is where it takes SSH. With lines it
// says them, and ends.
func (s *stage) startService(ts *testscript.TestScript, args []string) error {
	if len(args) < 1 {
		return errors.New("usage: service NAME [LINE…]")
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	host, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return err
	}
	v := &scriptService{says: args[1:], conns: map[ssh.Conn]struct{}{}}
	v.config = &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	v.config.AddHostKey(host)
	if v.public, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = v.public.Close()
		return err
	}
	v.work.Go(func() { v.accept(l, v.login) })
	v.work.Go(func() { v.accept(v.public, v.visit) })
	s.then(func() {
		_ = l.Close()
		_ = v.public.Close()
		v.hangUp()
		v.work.Wait()
	})
	s.services[args[0]] = v
	ts.Setenv(strings.ToUpper(args[0])+"_PORT", fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	ts.Setenv(strings.ToUpper(args[0])+"_URL", "http://"+v.public.Addr().String())
	return nil
}

// serviceAsked is  service-asked NAME BIND:  what the last client asked for.
func (s *stage) serviceAsked(_ *testscript.TestScript, args []string) error {
	if len(args) != 2 || s.services[args[0]] == nil {
		return errors.New("usage: service-asked NAME BIND")
	}
	v := s.services[args[0]]
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.names) == 0 || v.names[len(v.names)-1] != args[1] {
		return fmt.Errorf("it was asked for %q, not %s", v.names, args[1])
	}
	return nil
}

// accept calls f for each connection, until the listener is closed.
func (v *scriptService) accept(l net.Listener, f func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		v.work.Go(func() { f(c) })
	}
}

// login serves one client until it leaves.
func (v *scriptService) login(c net.Conn) {
	conn, chans, reqs, err := ssh.NewServerConn(c, v.config)
	if err != nil {
		_ = c.Close()
		return
	}
	v.mu.Lock()
	v.conns[conn], v.last = struct{}{}, conn
	v.mu.Unlock()
	v.work.Go(func() {
		for r := range reqs {
			var ask wire.ForwardRequest
			forward := r.Type == wire.ForwardName && ssh.Unmarshal(r.Payload, &ask) == nil
			if forward {
				v.mu.Lock()
				v.names = append(v.names, ask.BindAddr)
				v.mu.Unlock()
			}
			_ = r.Reply(forward, nil)
		}
	})
	for nc := range chans {
		ch, reqs, err := nc.Accept()
		if err != nil {
			break
		}
		v.work.Go(func() { v.session(ch, reqs) })
	}
	v.mu.Lock()
	delete(v.conns, conn)
	v.mu.Unlock()
}

// session says what there is to say.
func (v *scriptService) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		shell := r.Type == "shell"
		_ = r.Reply(shell, nil)
		if !shell {
			continue
		}
		if len(v.says) > 0 {
			_, _ = io.WriteString(ch, strings.Join(v.says, "\r\n")+"\r\n")
			_ = ch.Close()
			continue
		}
		_, _ = io.WriteString(ch.Stderr(), "\x1b[1mWelcome!\x1b[0m Our pages: https://service.example\r\n")
		_, _ = io.WriteString(ch, "You are at http://"+v.public.Addr().String()+" today.\r\n")
	}
}

// visit carries one public connection to the client that came last.
func (v *scriptService) visit(c net.Conn) {
	defer c.Close()
	v.mu.Lock()
	conn := v.last
	v.mu.Unlock()
	if conn == nil {
		return
	}
	ch, reqs, err := conn.OpenChannel(wire.ForwardedChannel, ssh.Marshal(wire.ForwardedOpen{Addr: "a-name", Port: 1, OriginAddr: "a-visitor"}))
	if err != nil {
		return
	}
	v.work.Go(func() { ssh.DiscardRequests(reqs) })
	v.work.Go(func() {
		_, _ = io.Copy(ch, c)
		_ = ch.CloseWrite()
	})
	_, _ = io.Copy(c, ch)
	_ = ch.Close()
}

// hangUp ends all sessions.
func (v *scriptService) hangUp() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for conn := range v.conns {
		_ = conn.Close()
	}
}
