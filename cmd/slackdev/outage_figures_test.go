//go:build long && linux

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// The figures are shown and not judged:
//
//	go test -tags long -timeout 30m -v -run Figures ./cmd/slackdev

// roundTrip is the far server's distance, where it has one.
const roundTrip = 50 * time.Millisecond

// times are what one thing took, again and again.
type times []time.Duration

// at is the value below which that part of all lies.
func (s times) at(part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

func (s times) String() string {
	return fmt.Sprintf("median %v, worst %v (of %d)", s.at(0.5).Round(10*time.Microsecond), s.at(1).Round(10*time.Microsecond), len(s))
}

// servedAfter is how long after a moment the first answer came to a request that had
// begun after it.
func (o *outage) servedAfter(from time.Time) time.Duration {
	o.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); pause(10 * time.Millisecond) {
		if took, ok := o.traffic.firstAfter(from); ok {
			return took
		}
	}
	o.Fatalf("nothing is served any more\n%s", withoutRows(o.run.err))
	return 0
}

// firstAfter looks for the first good answer to a request that began after from.
func (t *traffic) firstAfter(from time.Time) (took time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.calls {
		if at := c.began.Add(c.took).Sub(from); c.err == nil && !c.began.Before(from) && (!ok || at < took) {
			took, ok = at, true
		}
	}
	return took, ok
}

// figure breaks what fault breaks, several times, and shows how long after the moment
// that it gives requests were served again, and what was lost and doubled of all.
func (o *outage) figure(name string, n int, fault func() (healed time.Time)) {
	o.Helper()
	var all times
	before := o.traffic.outcome()
	for range n {
		pause(3500 * time.Millisecond) // longer than a tunnel must live to be steady
		all = append(all, o.servedAfter(fault()))
	}
	pause(3 * time.Second)
	after := o.traffic.outcome()
	o.Logf("%-34s served again after: %v; %d sent, %d lost, %d doubled", name, all,
		after.sent-before.sent, after.lost-before.lost, after.doubled-before.doubled)
	for reason, n := range after.reasons {
		if n -= before.reasons[reason]; n > 0 {
			o.Logf("    %d: %.100s", n, reason)
		}
	}
}

// TestFiguresOfOurRelay shows how quickly a tunnel through our own relay heals.
func TestFiguresOfOurRelay(t *testing.T) {
	o := newOutage(t, buildProgram(t))
	o.figure("our relay, cut", 10, func() time.Time { o.wire.Cut(); return time.Now() })
	o.figure("our relay, stall", 3, func() time.Time { o.wire.Forget(); return time.Now() })
	o.figure("our relay, restart", 5, func() time.Time {
		o.endRelay(syscall.SIGTERM)
		o.startRelay(o.sshAddr, o.traffic.front)
		return time.Now()
	})
	o.figure("our relay, away for 10 s", 2, func() time.Time {
		o.endRelay(syscall.SIGTERM)
		pause(10 * time.Second)
		o.startRelay(o.sshAddr, o.traffic.front)
		return time.Now()
	})
	o.figure("our relay, line away for 10 s", 2, func() time.Time {
		o.wire.Refuse()
		o.wire.Cut()
		pause(10 * time.Second)
		o.wire.Heal()
		return time.Now()
	})
	o.stop()
}

// daemon is a stock sshd that listens by itself, and can be restarted.
type daemon struct {
	*sshServer
	rig  *rig
	addr string
	key  string // the file of the key that may log in
	user string
	run  *tunnelRun
}

// newDaemon starts one.
func newDaemon(r *rig) *daemon {
	r.Helper()
	path, err := sshdPath()
	if err != nil {
		r.Skipf("no sshd here (Debian: openssh-server): %v", err)
	}
	me, err := user.Current()
	if err != nil {
		r.Fatal(err)
	}
	if os.Geteuid() == 0 { // Debian's sshd wants this folder, which only its start-up script makes
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			r.Fatal(err)
		}
	}
	d := &daemon{sshServer: &sshServer{path: path, dir: r.TempDir()}, rig: r, addr: freePort(r.T), key: filepath.Join(r.home, ".ssh", "id_ed25519"), user: me.Username}
	if err := d.prepare(); err != nil {
		r.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(d.key), 0o700); err != nil {
		r.Fatal(err)
	}
	key, err := sshtunnel.OwnKey(d.key)
	if err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "authorized_keys"), ssh.MarshalAuthorizedKey(key.PublicKey()), 0o600); err != nil {
		r.Fatal(err)
	}
	d.start()
	return d
}

// freePort is an address that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the daemon and waits until it listens.
func (d *daemon) start() {
	d.rig.Helper()
	d.run = d.rig.spawn(d.path, "-D", "-e", "-f", filepath.Join(d.dir, "config"), "-o", "ListenAddress="+d.addr)
	d.rig.Cleanup(d.killAll)
	for end := time.Now().Add(patience); ; pause(time.Millisecond) {
		c, err := net.Dial("tcp", d.addr)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			d.rig.Fatalf("sshd does not listen: %v\n%s", err, d.run.err)
		}
	}
}

// killAll ends the daemon and what serves its connections, as a restart of the machine
// would: those of this daemon alone, which are its children.
func (d *daemon) killAll() {
	d.rig.Helper()
	select {
	case <-d.run.ended:
		return
	default:
	}
	pid := d.run.cmd.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		d.rig.Fatal(err)
	}
	_ = d.run.cmd.Process.Kill()
	for child := range strings.FieldsSeq(string(text)) {
		var pid int
		if _, err := fmt.Sscan(child, &pid); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
	<-d.run.ended // which waits for all of them
}

// command is the ssh command that does what slackdev does: the forward of a port to the
// app, through a server at addr.
func (d *daemon) command(addr, public, app string) []string {
	host, port, _ := net.SplitHostPort(addr)
	return []string{"ssh", "-F", "none", "-N", "-i", d.key, "-p", port, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=" + filepath.Join(d.dir, "known"), "-o", "LogLevel=ERROR", "-o", "ExitOnForwardFailure=yes",
		"-R", public + ":" + app, d.user + "@" + host}
}

// newSSHDOutage is an outage through a stock sshd.
func newSSHDOutage(t *testing.T, binary string) (*outage, *daemon) {
	t.Helper()
	o := &outage{rig: newRig(t, binary)}
	o.traffic = newTraffic(o.secret)
	app := httptest.NewServer(o.traffic)
	t.Cleanup(app.Close)
	d := newDaemon(o.rig)
	o.wire = tunneltest.StartFault(t, d.addr, 1)
	o.args = []string{binary, "tunnel", app.URL, "--via", "ssh://" + d.user + "@" + o.wire.Addr(), "--local", "127.0.0.1:0", "--json"}
	o.startTunnel()
	o.url, o.traffic.host, o.traffic.front = o.run.public.String(), o.run.public.Host, o.run.front
	return o, d
}

// TestFiguresOfAStockSSHD shows how quickly a tunnel through somebody's sshd heals. That
// holds nothing: what comes meanwhile is lost.
func TestFiguresOfAStockSSHD(t *testing.T) {
	o, d := newSSHDOutage(t, buildProgram(t))
	o.send()
	o.figure("stock sshd, cut", 10, func() time.Time { o.wire.Cut(); return time.Now() })
	o.figure("stock sshd, stall", 3, func() time.Time { o.wire.Forget(); return time.Now() })
	o.figure("stock sshd, restart", 5, func() time.Time {
		d.killAll()
		d.start()
		return time.Now()
	})
	o.stop()
	o.sameURL(o.run.out)
}

// visit sends one request on a connection of its own, and gives the time from the
// first packet to the end of the answer.
func (t *traffic) visit(front, host, id string) (time.Duration, error) {
	there := &traffic{front: front, host: host, secret: t.secret}
	transport := &http.Transport{DialContext: there.dial, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	began := time.Now()
	err := there.send(transport, id)
	return time.Since(began), err
}

// TestFiguresOfNewConnections compares a new public connection through a stock sshd
// with slackdev behind it to one with plain `ssh -R`, in turns.
func TestFiguresOfNewConnections(t *testing.T) {
	o, d := newSSHDOutage(t, buildProgram(t))
	app, err := url.Parse(o.args[2])
	if err != nil {
		t.Fatal(err)
	}
	plain := freePort(t)
	o.spawn(d.command(d.addr, plain, app.Host)...)
	o.firstServed(plain, "x.example")
	var ours, theirs, direct times
	const rounds, inARow = 20, 50
	n := 0
	for range rounds {
		for front, all := range map[string]*times{o.traffic.front: &ours, plain: &theirs, app.Host: &direct} {
			for range inARow {
				n++
				took, err := o.traffic.visit(front, o.traffic.host, fmt.Sprint(n*10+1)) // the app takes no time for these
				if err != nil {
					t.Fatal(err)
				}
				*all = append(*all, took)
			}
		}
	}
	for name, all := range map[string]times{"slackdev": ours, "ssh -R": theirs, "the app directly": direct} {
		t.Logf("a new connection through a stock sshd, %s: p50 %v, p99 %v", name, all.at(0.5).Round(time.Microsecond), all.at(0.99).Round(time.Microsecond))
	}
}

// firstServed asks again and again until there is an answer, and gives the moment.
func (o *outage) firstServed(front, host string) time.Time {
	o.Helper()
	for n := 1; n < 60_000; n++ {
		if _, err := o.traffic.visit(front, host, fmt.Sprint(n*10+1)); err == nil {
			return time.Now()
		}
		pause(time.Millisecond)
	}
	o.Fatal("nothing is ever served")
	return time.Time{}
}

// TestFiguresAtADistance shows what a server that is a round trip of 50 ms away costs.
func TestFiguresAtADistance(t *testing.T) {
	binary := buildProgram(t)
	far := tunneltest.Line{Delay: roundTrip / 2}
	o := newOutage(t, binary)
	o.stop()
	o.wire.SetLine(far)
	var first, later, ours, theirs times
	for range 7 {
		o.signal(o.run, syscall.SIGTERM)
		pause(200 * time.Millisecond)
		began := time.Now()
		o.spawnTunnel()
		ours = append(ours, o.firstServed(o.traffic.front, o.traffic.host).Sub(began))
		o.firstScreen(o.run)
		pause(time.Second)
		for range 5 {
			took, err := o.traffic.visit(o.traffic.front, o.traffic.host, "1")
			if err != nil {
				t.Fatal(err)
			}
			if len(later) == len(first)*4 {
				first = append(first, took)
			} else {
				later = append(later, took)
			}
		}
	}
	s, d := newSSHDOutage(t, binary)
	s.signal(s.run, syscall.SIGTERM)
	s.wire.SetLine(far)
	app, err := url.Parse(s.args[2])
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		plain := freePort(t)
		began := time.Now()
		run := s.spawn(d.command(s.wire.Addr(), plain, app.Host)...)
		theirs = append(theirs, s.firstServed(plain, "x.example").Sub(began))
		s.signal(run, syscall.SIGTERM)
	}
	trips := func(d time.Duration) float64 { return float64(d) / float64(roundTrip) }
	t.Logf("first request on a new connection through our relay: %v = %.2f round trips; the next ones %v", first, trips(first.at(0.5)), later)
	t.Logf("start to served: slackdev through our relay %v = %.1f round trips", ours, trips(ours.at(0.5)))
	t.Logf("start to served: ssh -R through a stock sshd %v = %.1f round trips", theirs, trips(theirs.at(0.5)))
	t.Logf("ratio %.2f", float64(ours.at(0.5))/float64(theirs.at(0.5)))
}
