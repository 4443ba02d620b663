//go:build long && linux

package main

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// Run it with  go test -tags long -timeout 1h -run Throughout ./cmd/slackdev
// and, to see again what was seen, with  -args -seed N.
var (
	longFor  = flag.Duration("for", 30*time.Minute, "how long the long run takes")
	longSeed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the faults")
)

// faultEvery is how far apart the faults begin.
const faultEvery = 10 * time.Second

// quiet is longer than a channel or a connection is kept that nobody uses.
const quiet = 130 * time.Second

// faults are what happens to the line between slackdev and its relay, or to slackdev
// itself, without a request being lost. Each takes less than faultEvery.
var faults = []struct {
	name string
	do   func(*outage, *rand.Rand)
}{
	{"cut", func(o *outage, _ *rand.Rand) { o.wire.Cut() }},
	{"cut ten times", func(o *outage, dice *rand.Rand) {
		for range 10 {
			o.wire.Cut()
			pause(upTo(dice, 300*time.Millisecond))
		}
	}},
	{"silent for a while", func(o *outage, dice *rand.Rand) {
		o.wire.Stall(tunneltest.Both)
		pause(upTo(dice, 4*time.Second))
		o.wire.Heal()
	}},
	{"half-open", func(o *outage, dice *rand.Rand) {
		o.wire.Stall([]tunneltest.Direction{tunneltest.Out, tunneltest.Back}[dice.IntN(2)])
		pause(upTo(dice, 4*time.Second))
		o.wire.Heal()
	}},
	{"silent for good", func(o *outage, _ *rand.Rand) { o.wire.Forget() }},
	{"refused for a while", func(o *outage, dice *rand.Rand) {
		o.wire.Refuse()
		o.wire.Cut()
		pause(upTo(dice, 1500*time.Millisecond))
		o.wire.Heal()
	}},
	{"slow, jittery and lossy, and cut", func(o *outage, dice *rand.Rand) {
		o.wire.SetLine(tunneltest.Line{Delay: upTo(dice, 60*time.Millisecond), Jitter: 40 * time.Millisecond, Loss: 0.02})
		pause(2 * time.Second)
		o.wire.Cut()
		pause(2 * time.Second)
		o.wire.SetLine(tunneltest.Line{})
	}},
	{"slackdev is restarted", func(o *outage, _ *rand.Rand) {
		o.signal(o.run, syscall.SIGTERM)
		o.startTunnel()
	}},
}

func upTo(dice *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(dice.Int64N(int64(most)))
}

// TestNothingIsLostThroughout is the long run: a random fault every ten seconds.
func TestNothingIsLostThroughout(t *testing.T) {
	o := newOutage(t, buildProgram(t))
	t.Logf("for %v, seed %d", *longFor, *longSeed)
	dice := rand.New(rand.NewPCG(*longSeed, 1))
	end := time.Now().Add(*longFor)
	tick := time.NewTicker(faultEvery)
	defer tick.Stop()
	var before sizes
	for n := 0; time.Now().Before(end); n++ {
		<-tick.C
		if n == 2 { // everything has been used once
			before = o.sizes()
			t.Logf("after %d faults: %v", n, before)
		}
		f := faults[dice.IntN(len(faults))]
		t.Logf("%s %s", time.Now().Format("15:04:05"), f.name)
		f.do(o, dice)
		if out := o.traffic.outcome(); out.lost+out.doubled > 0 {
			break // it is known now, and the terminal's last lines say when
		}
	}
	<-tick.C
	o.check("")
	pause(quiet)
	after := o.sizes()
	t.Logf("at the end: %v", after)
	for who, grown := range map[string][2]size{"the relay": {before.relay, after.relay}, "slackdev": {before.tunnel, after.tunnel}} {
		if was, is := grown[0], grown[1]; is.files > was.files+50 || is.resident > 2*was.resident+64<<20 {
			t.Errorf("%s has grown from %v to %v", who, was, is)
		}
	}
	for who, run := range map[string]*tunnelRun{"the relay": o.relay, "slackdev": o.run} {
		n := o.goroutines(run)
		t.Logf("%s ends with %d goroutines", who, n)
		if n > 60 {
			t.Errorf("%s has %d goroutines when nothing is under way", who, n)
		}
	}
}

// sizes are what the two processes hold.
type sizes struct{ relay, tunnel size }

func (s sizes) String() string { return fmt.Sprintf("relay %v, tunnel %v", s.relay, s.tunnel) }

// size is what a process holds.
type size struct{ files, resident int }

func (s size) String() string {
	return fmt.Sprintf("%d descriptors, %d MiB", s.files, s.resident>>20)
}

func (o *outage) sizes() sizes {
	o.Helper()
	return sizes{o.size(o.relay), o.size(o.run)}
}

// size reads what the kernel knows of a process.
func (o *outage) size(run *tunnelRun) size {
	o.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(run.cmd.Process.Pid))
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		o.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		o.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("VmRSS:"))
	var kilobytes int
	if _, err := fmt.Fscan(bytes.NewReader(rest), &kilobytes); err != nil {
		o.Fatalf("read the resident size: %v in\n%s", err, text)
	}
	return size{files: len(files), resident: kilobytes << 10}
}

// goroutines ends a process so that it shows its stacks, and counts them.
func (o *outage) goroutines(run *tunnelRun) int {
	o.Helper()
	o.signal(run, syscall.SIGQUIT)
	return strings.Count(run.err.String(), "\ngoroutine ")
}
