//go:build unix

package sshtunnel_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
	"golang.org/x/crypto/ssh"
)

// sshd is a real OpenSSH server on a loopback port.
type sshd struct {
	t    testing.TB
	path string
	dir  string
	port int
	user string

	cmd  *exec.Cmd
	logs sync.WaitGroup
}

// newSSHD makes a server that lets the key in; start starts it.
func newSSHD(t testing.TB, allow ssh.PublicKey) *sshd {
	t.Helper()
	path, err := exec.LookPath("sshd")
	if err != nil {
		path = "/usr/sbin/sshd"
		if _, err := os.Stat(path); err != nil {
			t.Skip("no sshd here (Debian: openssh-server)")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{t: t, path: path, dir: t.TempDir(), port: freePort(t), user: me.Username}
	if os.Geteuid() == 0 {
		// Debian's sshd wants this folder, which only its start-up script makes.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.newHostKey()
	s.write("authorized_keys", string(ssh.MarshalAuthorizedKey(allow)))
	s.write("config", strings.Join([]string{
		"ListenAddress 127.0.0.1:" + strconv.Itoa(s.port),
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
	}, "\n"))
	return s
}

func (s *sshd) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// config adds a line to the server's configuration, before its start.
func (s *sshd) config(line string) {
	s.t.Helper()
	file, err := os.OpenFile(filepath.Join(s.dir, "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintln(file, line); err != nil {
		s.t.Fatal(err)
	}
}

// newHostKey gives the server another identity, from its next start on.
func (s *sshd) newHostKey() {
	s.t.Helper()
	file := filepath.Join(s.dir, "host_key")
	_ = os.Remove(file)
	if _, err := sshtunnel.OwnKey(file); err != nil {
		s.t.Fatal(err)
	}
}

// start returns when the server listens. It is killed with the test.
func (s *sshd) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.path, "-D", "-e", "-f", filepath.Join(s.dir, "config"))
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.t.Cleanup(func() { s.kill(cmd) })
	listening := make(chan bool, 1)
	var log []string
	s.logs.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "Server listening") {
				listening <- true
			}
			log = append(log, lines.Text())
		}
		close(listening)
	})
	if !<-listening {
		s.t.Fatalf("sshd does not start: %s", log)
	}
}

// stop kills the server that runs, and each of its sessions.
func (s *sshd) stop() { s.kill(s.cmd) }

func (s *sshd) kill(cmd *exec.Cmd) {
	if cmd.ProcessState != nil {
		return
	}
	pids := descendants(cmd.Process.Pid)
	_ = cmd.Process.Kill()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	s.logs.Wait() // the pipe ends with the last of them
	_ = cmd.Wait()
}

// descendants finds the processes that a process has started, and they.
func descendants(pid int) (list []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		// pid (name) state ppid …: the name may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			list = append(append(list, child), descendants(child)...)
		}
	}
	return list
}

func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// sshdProvider is a server, and a provider with a fresh home that it lets in.
func sshdProvider(t testing.TB) (*sshd, *sshtunnel.Provider) {
	t.Helper()
	home := t.TempDir()
	key, err := sshtunnel.OwnKey(filepath.Join(home, "slackdev", "id_ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSSHD(t, key.PublicKey())
	return s, &sshtunnel.Provider{
		Profile: sshtunnel.SSHD("ssh://server", sshtunnel.Target{User: s.user, Host: "127.0.0.1", Port: s.port}),
		Keys:    sshtunnel.Keys{Own: filepath.Join(home, "slackdev", "id_ed25519")},
		Hosts:   sshtunnel.Hosts{Files: []string{filepath.Join(home, "known_hosts")}, Own: filepath.Join(home, "slackdev", "known_hosts")},
	}
}

func TestOpenSSHKeepsTheContract(t *testing.T) {
	tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture {
		s, p := sshdProvider(t)
		s.start()
		return tunneltest.Fixture{Provider: p}
	})
}

func TestOpenSSHForwardsTheFixedPort(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	p.Profile.Bind, p.Profile.BindPort = "localhost", freePort(t)
	tun, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	want := fmt.Sprintf("http://127.0.0.1:%d", p.Profile.BindPort)
	if got := tun.URL().String(); got != want {
		t.Errorf("URL: got %s, want %s", got, want)
	}
	c, err := net.Dial("tcp", tun.URL().Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in, err := tun.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := in.RemoteAddr().String(), c.LocalAddr().String(); got != want {
		t.Errorf("RemoteAddr: got %s, want the public peer's %s", got, want)
	}
}

// A port that somebody else has is refused, and at once: it is what was asked for.
func TestOpenSSHRefusesATakenPort(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p.Profile.Bind, p.Profile.BindPort = "127.0.0.1", taken.Addr().(*net.TCPAddr).Port
	_, err = p.Open(t.Context())
	wantRefused(t, err, "refuses to forward", "")
}

func TestOpenSSHKeyIsRefused(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	p.Keys.Own = filepath.Join(t.TempDir(), "another")
	_, err := p.Open(t.Context())
	wantRefused(t, err, "log in as "+s.user, "ssh-copy-id")
}

func TestOpenSSHUserKeyFileIsAccepted(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	p.Keys = sshtunnel.Keys{Files: append(sshtunnel.DefaultKeyFiles(t.TempDir()), p.Keys.Own)}
	tun, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = tun.Close()
}

func TestOpenSSHHostKey(t *testing.T) {
	s, p := sshdProvider(t)
	var seen []sshtunnel.FirstUse
	p.Hosts.FirstUse = func(f sshtunnel.FirstUse) { seen = append(seen, f) }
	open := func() error { // as a new process would, which has held no port before
		fresh := &sshtunnel.Provider{Profile: p.Profile, Keys: p.Keys, Hosts: p.Hosts}
		tun, err := fresh.Open(t.Context())
		if err == nil {
			_ = tun.Close()
		}
		return err
	}
	s.start()
	if err := open(); err != nil {
		t.Fatalf("first use: %v", err)
	}
	if err := open(); err != nil {
		t.Fatalf("second use: %v", err)
	}
	if len(seen) != 1 || !strings.HasPrefix(seen[0].Fingerprint, "SHA256:") || seen[0].File != p.Hosts.Own {
		t.Fatalf("of two logins, new was: got %+v, want the first", seen)
	}
	if info, err := os.Stat(p.Hosts.Own); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("known_hosts: got %v, %v, want 0600", info.Mode(), err)
	}
	s.stop()
	s.newHostKey()
	s.start()
	err := open()
	wantRefused(t, err, p.Hosts.Own+":1 has ssh-ed25519 "+seen[0].Fingerprint+", the server shows ssh-ed25519 SHA256:", "ssh-keygen -f ")

	// The hint, typed, heals it.
	refused := (*tunnel.RefusedError)(nil)
	errors.As(err, &refused)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", refused.Hint).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", refused.Hint, err, out)
	}
	if err := open(); err != nil || len(seen) != 2 {
		t.Errorf("after the hint: got %v and %d first uses, want 2", err, len(seen))
	}
}

func wantRefused(t *testing.T, err error, text, hint string) {
	t.Helper()
	refused := (*tunnel.RefusedError)(nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), text) || !strings.Contains(refused.Hint, hint) {
		t.Fatalf("got %v (%+v), want a refusal with %q and the hint %q", err, refused, text, hint)
	}
}

func TestKeeperComesBackWhenSSHDIsKilled(t *testing.T) {
	s, p := sshdProvider(t)
	s.start()
	ctx, states := kept(t, p)
	first := await(t, ctx, states, tunnel.Up)
	get(t, ctx, first.URL)
	s.stop()
	if down := await(t, ctx, states, tunnel.Down); down.Err == nil {
		t.Error("down without a reason")
	}
	await(t, ctx, states, tunnel.Waiting)
	s.start()
	second := await(t, ctx, states, tunnel.Up)
	if second.Changed || second.URL.String() != first.URL.String() {
		t.Errorf("after the restart: %v, changed %v; before: %v", second.URL, second.Changed, first.URL)
	}
	get(t, ctx, second.URL)
}

// kept keeps a tunnel of p open until the test ends, and serves "here" on it. What
// becomes of it comes on states; ctx ends when that takes too long.
func kept(t *testing.T, p *sshtunnel.Provider) (ctx context.Context, states <-chan tunnel.Status) {
	t.Helper()
	k := &tunnel.Keeper{Provider: p}
	said := make(chan tunnel.Status, 100)
	k.OnStatus(func(s tunnel.Status) { said <- s })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var work sync.WaitGroup
	t.Cleanup(func() { cancel(); work.Wait() })
	work.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	work.Go(func() {
		_ = http.Serve(k, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	})
	return ctx, said
}

func await(t *testing.T, ctx context.Context, states <-chan tunnel.Status, want tunnel.State) tunnel.Status {
	t.Helper()
	for {
		select {
		case st := <-states:
			if st.State == want {
				return st
			}
		case <-ctx.Done():
			t.Fatalf("never %s", want)
		}
	}
}

func get(t *testing.T, ctx context.Context, u *url.URL) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "here" {
		t.Errorf("got %q, %v", body, err)
	}
}

// BenchmarkOpenSSHNewConnection is a request on a new public connection through a
// stock sshd. With neither a session (which turns Nagle's algorithm off in sshd)
// nor prompt acknowledgements, sshd holds each first answer back for 40 ms.
func BenchmarkOpenSSHNewConnection(b *testing.B) {
	for _, mode := range []struct {
		name    string
		session sshtunnel.Session
		acks    bool
	}{
		{"as we do", sshtunnel.SessionExec, true},
		{"session alone", sshtunnel.SessionExec, false},
		{"acknowledgements alone", sshtunnel.SessionNone, true},
		{"neither", sshtunnel.SessionNone, false},
	} {
		b.Run(mode.name, func(b *testing.B) {
			s, p := sshdProvider(b)
			s.start()
			p.Profile.Session = mode.session
			if !mode.acks { // a link that does not know its socket cannot ask for them
				p.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, addr)
					return struct{ net.Conn }{c}, err
				}
			}
			benchNewConnection(b, p)
		})
	}
}

func benchNewConnection(b *testing.B, p *sshtunnel.Provider) {
	tun, err := p.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(tun) })
	defer served.Wait()
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for b.Loop() {
		resp, err := client.Get(tun.URL().String())
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != "here" {
			b.Fatalf("got %q, %v", body, err)
		}
	}
}
