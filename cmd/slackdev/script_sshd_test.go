//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// sshServer is a real OpenSSH server. We listen, and each connection gets an sshd of
// its own (sshd -i, as from inetd): so the port is ours from the beginning, and a new
// host key counts from the next connection on.
type sshServer struct {
	path string
	dir  string
	l    net.Listener
	work sync.WaitGroup // the accepting, and each sshd
}

// startSSHD is  sshd NAME:  NAME, in capitals, is its address, ssh://USER@127.0.0.1:PORT;
// NAME_HOST, NAME_PORT and NAME_USER are parts of it.
// Nobody may log in until sshd-allow.
func (s *stage) startSSHD(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: sshd NAME")
	}
	path, err := sshdPath()
	if err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 { // Debian's sshd wants this folder, which only its start-up script makes
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return err
		}
	}
	server := &sshServer{path: path, dir: filepath.Join(s.dir, "."+args[0])}
	if err := server.prepare(); err != nil {
		return err
	}
	if server.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	server.work.Go(server.accept)
	s.then(func() {
		_ = server.l.Close()
		server.work.Wait()
	})
	s.servers[args[0]] = server
	ts.Setenv(strings.ToUpper(args[0]), fmt.Sprintf("ssh://%s@%s", me.Username, server.l.Addr()))
	ts.Setenv(strings.ToUpper(args[0])+"_HOST", server.l.Addr().String())
	ts.Setenv(strings.ToUpper(args[0])+"_PORT", fmt.Sprint(server.l.Addr().(*net.TCPAddr).Port))
	ts.Setenv(strings.ToUpper(args[0])+"_USER", me.Username)
	return nil
}

func (s *sshServer) prepare() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if _, err := sshtunnel.OwnKey(filepath.Join(s.dir, "host_key")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "authorized_keys"), nil, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, "config"), []byte(strings.Join([]string{
		"HostKey " + filepath.Join(s.dir, "host_key"),
		"AuthorizedKeysFile " + filepath.Join(s.dir, "authorized_keys"),
		"PidFile none",
		"StrictModes no",
		"UsePAM no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin yes",
		"GatewayPorts clientspecified",
		"SetEnv SHLVL=2", // or bash reads this machine's .bashrc, which may take seconds
		"",
	}, "\n")), 0o600)
}

func (s *sshServer) accept() {
	for {
		conn, err := s.l.Accept()
		if err != nil {
			return // closed
		}
		s.work.Go(func() { s.serve(conn.(*net.TCPConn)) })
	}
}

// serve runs the server for one connection. It ends when the client has gone.
func (s *sshServer) serve(conn *net.TCPConn) {
	f, err := conn.File()
	_ = conn.Close() // f is the connection now
	if err != nil {
		return
	}
	defer f.Close()
	cmd := exec.Command(s.path, "-i", "-e", "-f", filepath.Join(s.dir, "config"))
	cmd.Stdin, cmd.Stdout = f, f
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return
	}
	_ = f.Close()
	_ = cmd.Wait() // sshd's exit status says that somebody could not log in; the client says it better
}

func (s *stage) server(name string) (*sshServer, error) {
	server := s.servers[name]
	if server == nil {
		return nil, fmt.Errorf("there is no sshd called %s", name)
	}
	return server, nil
}

// allowKey is  sshd-allow NAME FILE:  who has that private key, which is made if need be,
// may log in.
func (s *stage) allowKey(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: sshd-allow NAME FILE")
	}
	server, err := s.server(args[0])
	if err != nil {
		return err
	}
	file := ts.MkAbs(args[1])
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	key, err := sshtunnel.OwnKey(file)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(server.dir, "authorized_keys"), ssh.MarshalAuthorizedKey(key.PublicKey()), 0o600)
}

// changeHostKey is  sshd-rekey NAME:  the server is another one from the next connection on.
func (s *stage) changeHostKey(_ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: sshd-rekey NAME")
	}
	server, err := s.server(args[0])
	if err != nil {
		return err
	}
	file := filepath.Join(server.dir, "host_key")
	if err := os.Remove(file); err != nil {
		return err
	}
	_, err = sshtunnel.OwnKey(file)
	return err
}
