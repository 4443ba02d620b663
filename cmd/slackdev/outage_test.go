//go:build unix

package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// outage is a tunnel through slackdev's own relay, both as programs of their own, with
// steady traffic through it and a wire between them that can be broken.
type outage struct {
	*rig
	traffic *traffic
	relay   *tunnelRun        // the newest life of the relay
	sshAddr string            // of the relay
	wire    *tunneltest.Fault // between the two; nil: a real one, see network
	far     []string          // what the relay's command is behind
	args    []string          // that start the tunnel
	run     *tunnelRun        // the newest life of the tunnel
	said    []*stream         // what earlier lives of the tunnel have told programs
	url     string            // that the first life had
	stop    func()            // ends the traffic, and waits for the last answer
}

// relayStarted is what a relay says first.
var relayStarted = regexp.MustCompile(`SSH on (\S+), HTTP on (\S+)`)

// newOutage starts everything.
func newOutage(t *testing.T, binary string) *outage {
	t.Helper()
	o := &outage{rig: newRig(t, binary)}
	o.traffic = newTraffic(o.secret)
	app := httptest.NewServer(o.traffic)
	t.Cleanup(app.Close)
	o.startRelay("127.0.0.1:0", "127.0.0.1:0")
	o.wire = tunneltest.StartFault(t, o.sshAddr, 1)
	o.begin(app.URL, o.wire.Addr())
	return o
}

// begin starts the tunnel and lets the traffic begin, which ends with stop, or with the
// test. before is what the tunnel's command is behind.
func (o *outage) begin(app, relay string, before ...string) {
	o.Helper()
	o.args = append(before, o.binary, "tunnel", app, "--via", "relay://"+relay, "--name", "ana-todo", "--local", "127.0.0.1:0", "--json")
	o.startTunnel()
	o.url, o.traffic.host = o.run.public.String(), o.run.public.Host
	o.send()
}

// send lets the traffic begin.
func (o *outage) send() {
	ctx, cancel := context.WithCancel(o.Context())
	var sending sync.WaitGroup
	sending.Go(func() { o.traffic.run(ctx) })
	o.stop = func() { cancel(); sending.Wait() }
	o.Cleanup(o.stop)
}

// startRelay starts a relay and waits until it listens.
func (o *outage) startRelay(sshAddr, httpAddr string) {
	o.Helper()
	o.relay = o.spawn(append(slices.Clone(o.far), o.binary, "relay", "--ssh", sshAddr, "--http", httpAddr, "--domain", "localhost")...)
	ctx, cancel := patiently()
	defer cancel()
	at, err := o.relay.err.find(ctx, relayStarted, 1)
	if err != nil {
		o.Fatalf("%v\n%s", err, o.relay.err)
	}
	if o.sshAddr == "" { // later ones get the same
		o.sshAddr, o.traffic.front = at[1], at[2]
	}
}

// startTunnel starts `slackdev tunnel` and waits until it serves.
func (o *outage) startTunnel() {
	o.Helper()
	o.spawnTunnel()
	o.firstScreen(o.run)
}

// spawnTunnel starts `slackdev tunnel`.
func (o *outage) spawnTunnel() {
	o.Helper()
	if o.run != nil {
		o.said = append(o.said, o.run.out)
	}
	o.run = o.spawn(o.args...)
}

// endRelay signals the relay and waits until it has ended.
func (o *outage) endRelay(s os.Signal) {
	o.Helper()
	o.signal(o.relay, s)
}

// signal ends a process.
func (o *outage) signal(run *tunnelRun, s os.Signal) {
	o.Helper()
	if err := run.cmd.Process.Signal(s); err != nil {
		o.Fatal(err)
	}
	<-run.ended
}

// pause lets traffic pass for a while: the time is what is tested.
func pause(d time.Duration) { <-time.After(d) }

// What may be lost where it is said to: what came when nobody listened, or was under way
// in a relay that was killed; what a relay has refused because it stops; what came
// beyond the hold; and what a killed tunnel had given to the app and got no answer for.
const (
	unheard    = `connection refused|connection reset|EOF|broken pipe`
	stopped503 = `^503 slackdev relay: This relay is about to stop`
	beyond     = `^503 slackdev relay: .* did not come back while the request was held, for 2.5s` +
		`|^503 slackdev relay: .* as many requests as there is room for wait for it` +
		`|^502 slackdev relay: The connection to the app ended before there was an answer`
	killed = `^503 .*slackdev ended before the app's answer came`
)

// check reports what was lost and what was doubled among all requests, and that the URL
// has stayed the same. What matches allowed may be lost; "" allows nothing.
func (o *outage) check(allowed string) outcome {
	o.Helper()
	o.stop()
	out := o.traffic.outcome()
	o.Logf("%d sent, %d lost, %d doubled, slowest %v %v", out.sent, out.lost, out.doubled, out.slowest.Round(time.Millisecond), out.reasons)
	may := regexp.MustCompile(allowed)
	for reason, n := range out.reasons {
		if allowed == "" || !may.MatchString(reason) {
			o.Errorf("%d requests were lost: %s", n, reason)
		}
	}
	if out.doubled > 0 {
		o.Errorf("the app got %d requests twice", out.doubled)
	}
	if out.sent < perSecond {
		o.Errorf("only %d requests were sent", out.sent)
	}
	for _, s := range append(o.said, o.run.out) {
		o.sameURL(s)
	}
	if o.Failed() {
		o.Logf("slackdev said\n%s\nthe relay said\n%s", withoutRows(o.run.err), o.relay.err)
	}
	return out
}

// sameURL fails the test if a program was told another URL than at first.
func (o *outage) sameURL(s *stream) {
	o.Helper()
	for line := range strings.Lines(s.String()) {
		var said struct {
			Type, State, URL string
		}
		if err := json.Unmarshal([]byte(line), &said); err == nil && said.Type == "tunnel" && said.URL != "" && said.URL != o.url {
			o.Errorf("the URL has changed: %s", line)
		}
	}
}

// withoutRows is what a terminal has shown, without the requests.
func withoutRows(s *stream) string {
	var rest strings.Builder
	for line := range strings.Lines(s.String()) {
		if !strings.Contains(line, "/todo") {
			rest.WriteString(line)
		}
	}
	return rest.String()
}

// says fails the test unless the tunnel's terminal has shown each of these.
func (o *outage) says(lines ...string) {
	o.Helper()
	text := o.run.err.String()
	for _, line := range lines {
		if !regexp.MustCompile(line).MatchString(text) {
			o.Errorf("the terminal never shows %q:\n%s", line, withoutRows(o.run.err))
		}
	}
}

// What a terminal shows of a loss and of its end.
const (
	lostLine = `! the tunnel is lost: `
	backLine = `● the tunnel is back after `
)

// TestNothingIsLostAndNothingComesTwice breaks the way in each manner that a tunnel meets,
// under traffic.
func TestNothingIsLostAndNothingComesTwice(t *testing.T) {
	binary := buildProgram(t)
	for name, tc := range map[string]struct {
		fault func(*outage)
		may   string // be lost
		says  []string
	}{
		"cut again and again": {fault: func(o *outage) {
			for range 5 {
				o.wire.Cut()
				pause(400 * time.Millisecond)
			}
		}, says: []string{lostLine, backLine}},
		"silent for 2 s": {fault: func(o *outage) {
			o.wire.Stall(tunneltest.Both)
			pause(2 * time.Second)
			o.wire.Heal()
		}},
		"silent for good, and refused for a while": {fault: func(o *outage) {
			o.wire.Forget()
			pause(4 * time.Second)
			o.wire.Refuse()
			pause(1500 * time.Millisecond)
			o.wire.Heal()
			pause(time.Second)
		}, says: []string{lostLine + `\S+ has not answered for 5s`, backLine}},
		"half-open, nothing comes to the relay": {fault: func(o *outage) {
			o.wire.Stall(tunneltest.Out)
			pause(3 * time.Second)
			o.wire.Heal()
		}},
		"half-open, nothing comes from the relay": {fault: func(o *outage) {
			o.wire.Stall(tunneltest.Back)
			pause(3 * time.Second)
			o.wire.Heal()
		}},
		"refused for 1.5 s": {fault: func(o *outage) {
			o.wire.Refuse()
			o.wire.Cut()
			pause(1500 * time.Millisecond)
			o.wire.Heal()
		}, says: []string{lostLine, backLine + `1\.\d`}},
		"slow, jittery and lossy, and cut": {fault: func(o *outage) {
			o.wire.SetLine(tunneltest.Line{Delay: 25 * time.Millisecond, Jitter: 40 * time.Millisecond, Loss: 0.02})
			pause(time.Second)
			o.wire.Cut()
			pause(2 * time.Second)
		}, says: []string{lostLine, backLine}},
		"gone for 10 s": {fault: func(o *outage) {
			o.wire.Refuse()
			o.wire.Cut()
			pause(10 * time.Second)
			o.wire.Heal()
		}, may: beyond, says: []string{lostLine, backLine + `10(\.\d)? s`}},
		"the relay is restarted": {fault: func(o *outage) {
			o.endRelay(syscall.SIGTERM)
			o.startRelay(o.sshAddr, o.traffic.front)
		}, may: unheard + "|" + stopped503, says: []string{lostLine, backLine}},
		"the relay is killed": {fault: func(o *outage) {
			o.endRelay(syscall.SIGKILL)
			o.startRelay(o.sshAddr, o.traffic.front)
		}, may: unheard, says: []string{lostLine, backLine}},
		"the relay is away for 10 s": {fault: func(o *outage) {
			o.endRelay(syscall.SIGTERM)
			pause(10 * time.Second)
			o.startRelay(o.sshAddr, o.traffic.front)
		}, may: unheard + "|" + stopped503, says: []string{lostLine, backLine + `10(\.\d)? s`}},
		"slackdev is restarted": {fault: func(o *outage) {
			o.signal(o.run, syscall.SIGTERM)
			o.startTunnel()
		}},
		"slackdev is killed": {fault: func(o *outage) {
			o.signal(o.run, syscall.SIGKILL)
			o.startTunnel()
		}, may: killed},
		"slackdev is killed with answers on their way": {fault: func(o *outage) {
			o.wire.Stall(tunneltest.Out)
			pause(700 * time.Millisecond)
			o.signal(o.run, syscall.SIGKILL)
			o.wire.Cut()
			o.wire.Heal()
			o.startTunnel()
		}, may: killed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutage(t, binary)
			pause(time.Second)
			tc.fault(o)
			pause(time.Second)
			o.check(tc.may)
			o.says(tc.says...)
		})
	}
}
