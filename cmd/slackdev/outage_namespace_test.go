//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The two ends of the only wire that the namespaces have, of the addresses that are
// for documentation (RFC 5737).
const (
	farAddr   = "192.0.2.1"
	nearAddr  = "192.0.2.2"
	otherAddr = "192.0.2.3" // for the near side, later
)

// network is two machines, as far as Linux can tell: near is the laptop, far the relay's.
type network struct {
	t         *testing.T
	near, far string
}

// newNetwork makes the namespaces and the wire between them. They go with the test.
func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here (Debian: iproute2, nftables)", program)
		}
	}
	id := strings.ToLower(rand.Text()[:8])
	n := &network{t: t, near: "slackdev-near-" + id, far: "slackdev-far-" + id}
	for _, name := range []string{n.near, n.far} {
		n.do("ip", "netns", "add", name)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	}
	n.do("ip", "-n", n.near, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", n.far)
	n.do("ip", "-n", n.near, "addr", "add", nearAddr+"/24", "dev", "wire")
	n.do("ip", "-n", n.far, "addr", "add", farAddr+"/24", "dev", "wire")
	for _, name := range []string{n.near, n.far} {
		n.do("ip", "-n", name, "link", "set", "wire", "up")
		n.do("ip", "-n", name, "link", "set", "lo", "up")
	}
	n.do("nft", "-v") // so that a missing library is named here
	n.nft("add table inet t")
	n.nft("add chain inet t in { type filter hook input priority 0 ; }")
	n.nft("add chain inet t out { type filter hook output priority 0 ; }")
	return n
}

func (n *network) do(args ...string) {
	n.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// nft changes the near side's packet filter.
func (n *network) nft(rule string) {
	n.t.Helper()
	n.do("ip", "netns", "exec", n.near, "nft", rule)
}

// drop loses every packet between the two from now on, without a word to either.
func (n *network) drop() {
	n.t.Helper()
	n.nft("add rule inet t in ip saddr " + farAddr + " drop")
	n.nft("add rule inet t out ip daddr " + farAddr + " drop")
}

// dropIn loses what comes to the near side alone.
func (n *network) dropIn() {
	n.t.Helper()
	n.nft("add rule inet t in ip saddr " + farAddr + " drop")
}

// heal lets packets pass again.
func (n *network) heal() {
	n.t.Helper()
	n.nft("flush chain inet t in")
	n.nft("flush chain inet t out")
}

// within runs f on a thread that lives in a namespace: sockets that f makes live there.
func (n *network) within(name string, f func() error) error {
	done := make(chan error, 1)
	go func() { // whoever asked waits for it
		runtime.LockOSThread() // and never unlocks: the thread is not fit for anything else, and ends with the goroutine
		handle, err := os.Open(filepath.Join("/run/netns", name))
		if err == nil {
			err = unix.Setns(int(handle.Fd()), unix.CLONE_NEWNET)
			handle.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// dial connects from within a namespace to an address in it.
func (n *network) dial(name, addr string) (conn net.Conn, err error) {
	err = n.within(name, func() error {
		conn, err = net.Dial("tcp", addr)
		return err
	})
	return conn, err
}

// inside is what a command is behind that runs in a namespace.
func inside(name string) []string { return []string{"ip", "netns", "exec", name} }

// move gives the near side another address.
func (n *network) move() {
	n.t.Helper()
	n.do("ip", "-n", n.near, "addr", "del", nearAddr+"/24", "dev", "wire")
	n.do("ip", "-n", n.near, "addr", "add", otherAddr+"/24", "dev", "wire")
}

// outage starts slackdev on the near side and the relay on the far one, from where the
// traffic comes.
func (n *network) outage(binary string) *outage {
	n.t.Helper()
	o := &outage{rig: newRig(n.t, binary), far: inside(n.far)}
	o.traffic = newTraffic(o.secret)
	o.traffic.dialer = func(_ context.Context, _, addr string) (net.Conn, error) { return n.dial(n.far, addr) }
	app := httptest.NewUnstartedServer(o.traffic)
	if err := n.within(n.near, func() (err error) {
		app.Listener.Close() // it is out here
		app.Listener, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	}); err != nil {
		n.t.Fatal(err)
	}
	app.Start()
	n.t.Cleanup(app.Close)
	o.startRelay(farAddr+":0", "127.0.0.1:0")
	o.begin(app.URL, o.sshAddr, inside(n.near)...)
	return o
}

// TestPacketsAreLostAndNoRequest loses packets between two machines, as far as they can
// tell: nobody gets an error, not even TCP.
func TestPacketsAreLostAndNoRequest(t *testing.T) {
	newNetwork(t) // or skips
	binary := buildProgram(t)
	for name, tc := range map[string]struct {
		fault func(*network)
		may   string // be lost
		says  []string
	}{
		"for 4 s": {fault: func(n *network) {
			n.drop()
			pause(4 * time.Second)
			n.heal()
		}},
		"for 12 s": {fault: func(n *network) {
			n.drop()
			pause(12 * time.Second)
			n.heal()
		}, may: beyond, says: []string{lostLine + `\S+ has not answered for 5s`, backLine}},
		"one way only": {fault: func(n *network) {
			n.dropIn()
			pause(3 * time.Second)
			n.heal()
		}},
		"for another address": {fault: func(n *network) {
			n.move()
			pause(4 * time.Second)
		}, says: []string{lostLine + `this machine no longer has the address ` + nearAddr, backLine}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			o := n.outage(binary)
			pause(time.Second)
			tc.fault(n)
			pause(2 * time.Second)
			o.check(tc.may)
			o.says(tc.says...)
		})
	}
}
