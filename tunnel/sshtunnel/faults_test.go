//go:build unix

package sshtunnel_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/relay"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// rig is a Keeper that serves "here" through a Fault, and the way to its public side.
type rig struct {
	t      testing.TB
	fault  *tunneltest.Fault
	states chan tunnel.Status
	url    *url.URL
}

// patience is for what must come.
const patience = 30 * time.Second

// keepThrough puts a Fault between the provider and its server, runs a Keeper until
// the test ends, and returns when its first tunnel is up.
func keepThrough(t testing.TB, p *sshtunnel.Provider) *rig {
	t.Helper()
	r := &rig{t: t, states: make(chan tunnel.Status, 10_000)}
	r.fault = tunneltest.StartFault(t, fmt.Sprintf("127.0.0.1:%d", p.Profile.Port), 1)
	p.Profile.Port = r.fault.Port()
	k := &tunnel.Keeper{Provider: settling{p}}
	k.OnStatus(func(s tunnel.Status) { r.states <- s })
	ctx, cancel := context.WithCancel(context.Background())
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
	var work sync.WaitGroup
	work.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	work.Go(func() { _ = srv.Serve(k) })
	t.Cleanup(func() { cancel(); _ = srv.Close(); work.Wait() })
	r.url = r.await(tunnel.Up).URL
	return r
}

// settling says that a tunnel is open when the server has said which process serves it:
// a fault that comes before that finds nobody who could make way.
type settling struct{ *sshtunnel.Provider }

func (s settling) Open(ctx context.Context) (tunnel.Tunnel, error) {
	t, err := s.Provider.Open(ctx)
	if err == nil && s.Profile.TakeOver {
		<-sshtunnel.SessionEnded(t)
	}
	return t, err
}

// await waits for a state.
func (r *rig) await(want tunnel.State) tunnel.Status {
	r.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case s := <-r.states:
			if s.State == want {
				return s
			}
		case <-late.C:
			r.t.Fatalf("never %s", want)
		}
	}
}

// ask sends one request on a new public connection.
func (r *rig) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+r.url.Port())
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, "GET", r.url.String(), nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "here" {
		return fmt.Errorf("%d %.40q, %v", resp.StatusCode, body, err)
	}
	return nil
}

// serves wants a request to be answered.
func (r *rig) serves(when string) {
	r.t.Helper()
	if err := r.ask(context.Background()); err != nil {
		r.t.Errorf("%s: %v", when, err)
	}
}

// quick notices a dead server in 1.25 s.
var quick = sshtunnel.KeepAlive{Idle: 500 * time.Millisecond}

// servers are the two kinds that faults are tried on.
var servers = map[string]func(testing.TB) *sshtunnel.Provider{
	"own relay": func(t testing.TB) *sshtunnel.Provider { return startRelay(t, "ana") },
	"stock sshd": func(t testing.TB) *sshtunnel.Provider {
		s, p := sshdProvider(t)
		s.start()
		return p
	},
}

func TestTunnelComesBackAfterAFault(t *testing.T) {
	faults := map[string]func(f *tunneltest.Fault, lost func()){
		"cut":                         func(f *tunneltest.Fault, lost func()) { f.Cut(); lost() },
		"silent both ways":            func(f *tunneltest.Fault, lost func()) { f.Stall(tunneltest.Both); lost(); f.Heal() },
		"half-open: nothing gets out": func(f *tunneltest.Fault, lost func()) { f.Stall(tunneltest.Out); lost(); f.Heal() },
		"half-open: nothing gets in":  func(f *tunneltest.Fault, lost func()) { f.Stall(tunneltest.Back); lost(); f.Heal() },
		"forgotten on the way":        func(f *tunneltest.Fault, lost func()) { f.Forget(); lost() },
		"cut, and refused for a while": func(f *tunneltest.Fault, lost func()) {
			f.Refuse()
			f.Cut()
			lost()
			time.AfterFunc(time.Second, f.Heal)
		},
	}
	for server, start := range servers {
		for fault, inject := range faults {
			t.Run(server+", "+fault, func(t *testing.T) {
				t.Parallel()
				p := start(t)
				p.KeepAlive = quick
				r := keepThrough(t, p)
				r.serves("before")
				inject(r.fault, func() {
					if s := r.await(tunnel.Down); s.Err == nil {
						t.Error("lost without a reason")
					}
				})
				if s := r.await(tunnel.Up); s.URL.String() != r.url.String() || s.Changed || s.Outage <= 0 {
					t.Errorf("then it is %v, changed %v, after %v; before it was %v", s.URL, s.Changed, s.Outage, r.url)
				}
				r.serves("afterwards")
			})
		}
	}
}

// A link that is slow, uneven and lossy, but alive, is not taken for a dead one.
func TestSlowLinkIsNoDeadLink(t *testing.T) {
	for server, start := range servers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			r := keepThrough(t, start(t))
			r.fault.SetLine(tunneltest.Line{Delay: 60 * time.Millisecond, Jitter: 60 * time.Millisecond, Loss: 0.05})
			for range 10 {
				r.serves("on a bad line")
			}
			<-time.After(5 * time.Second) // of silence, but for two keep-alives
			r.serves("after the silence")
			select {
			case s := <-r.states:
				t.Errorf("%s: %v", s.State, s.Err)
			default:
			}
		})
	}
}

// What is refused when we come back is said, and asked again slowly: a person may mend
// it, and a server may lock out who insists.
func TestRefusedWhenWeComeBack(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(s *sshd)
		want   string
	}{
		"the host key has changed":  {func(s *sshd) { s.stop(); s.newHostKey(); s.start() }, "the server shows ssh-ed25519 SHA256:"},
		"the key is not let in now": {func(s *sshd) { s.write("authorized_keys", ""); s.stop(); s.start() }, "log in as "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := sshdProvider(t)
			s.start()
			r := keepThrough(t, p)
			r.serves("before")
			tc.change(s)
			r.await(tunnel.Down)
			for { // while it is restarted, the connection is refused
				got := r.await(tunnel.Waiting)
				if !strings.Contains(got.Err.Error(), tc.want) {
					continue
				}
				if got.Retry < 15*time.Second {
					t.Errorf("asks again after %v, want 15 s at least", got.Retry)
				}
				break
			}
		})
	}
}

// restartable is a relay that can be stopped and started at the same addresses.
type restartable struct {
	t         testing.TB
	relay     *relay.Relay
	ssh, http string
	stop      func()
}

func (r *restartable) start() {
	r.t.Helper()
	sshLn, err := net.Listen("tcp", r.ssh)
	if err != nil {
		r.t.Fatal(err)
	}
	httpLn, err := net.Listen("tcp", r.http)
	if err != nil {
		r.t.Fatal(err)
	}
	r.ssh, r.http = sshLn.Addr().String(), httpLn.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := r.relay.Run(ctx, relay.Listeners{SSH: sshLn, HTTP: httpLn}); err != nil {
			r.t.Errorf("relay: %v", err)
		}
	})
	r.stop = func() { cancel(); run.Wait() }
}

func TestRelayRestarts(t *testing.T) {
	host, err := sshtunnel.OwnKey(filepath.Join(t.TempDir(), "host"))
	if err != nil {
		t.Fatal(err)
	}
	far := &restartable{t: t, relay: &relay.Relay{Domain: "localhost", HostKey: host}, ssh: "127.0.0.1:0", http: "127.0.0.1:0"}
	far.start()
	defer func() { far.stop() }()
	_, digits, _ := net.SplitHostPort(far.ssh)
	port, err := net.LookupPort("tcp", digits)
	if err != nil {
		t.Fatal(err)
	}
	r := keepThrough(t, &sshtunnel.Provider{
		Profile: sshtunnel.Relay("relay://x", "127.0.0.1", port, "ana"),
		Keys:    sshtunnel.Keys{Own: filepath.Join(t.TempDir(), "key")},
		Hosts:   sshtunnel.Hosts{Pinned: host.PublicKey()},
	})
	r.serves("before")
	far.stop()
	r.await(tunnel.Down)
	r.await(tunnel.Waiting)
	far.start()
	if s := r.await(tunnel.Up); s.Changed {
		t.Errorf("the URL has changed to %v", s.URL)
	}
	r.serves("afterwards")
}

// A thousand tunnels come and go, each with a request, and leave nothing behind:
// neither goroutines nor descriptors.
func TestThousandCyclesLeaveNothingBehind(t *testing.T) {
	p := startRelay(t, "ana")
	fault := tunneltest.StartFault(t, fmt.Sprintf("127.0.0.1:%d", p.Profile.Port), 1)
	p.Profile.Port = fault.Port()
	cycle := func(n int) {
		tun, err := p.Open(t.Context())
		if err != nil {
			t.Fatalf("cycle %d: %v", n, err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
		var served sync.WaitGroup
		served.Go(func() { _ = srv.Serve(tun) }) // until the cut
		r := &rig{t: t, url: tun.URL()}
		if n%10 == 0 {
			r.serves(fmt.Sprintf("cycle %d", n))
		}
		if cut := fault.Cut(); cut < 1 {
			t.Fatalf("cycle %d: nothing to cut", n)
		}
		served.Wait()
		_ = srv.Close()
		_ = tun.Close()
	}
	for n := range 20 { // what is made once is made
		cycle(n)
	}
	goroutines, files := settled(t, 0, 0)
	began := time.Now()
	for n := range 1000 {
		cycle(n)
	}
	t.Logf("1,000 cycles in %v", time.Since(began))
	const few = 10 // of the other end's may come and go
	if g, f := settled(t, goroutines, files); g > goroutines+few || f > files+few {
		t.Errorf("%d goroutines and %d descriptors, %d and %d before", g, f, goroutines, files)
	}
}

// settled counts goroutines and open files once the other end has noticed what we
// have closed: when they are as few as is wanted, or have stopped becoming fewer.
func settled(t *testing.T, goroutines, files int) (int, int) {
	t.Helper()
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	g, f := runtime.NumGoroutine(), openFiles(t)
	for same := 0; same < 20 && (g > goroutines || f > files); same++ {
		<-every.C
		runtime.GC() // idle connections of dead transports
		now, nowf := runtime.NumGoroutine(), openFiles(t)
		if now < g || nowf < f {
			same = 0
		}
		g, f = min(g, now), min(f, nowf)
	}
	return g, f
}

// openFiles is the number of this process's descriptors, 0 where that cannot be told.
func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	return len(list)
}

// BenchmarkCutToServed is the time from a cut to the first answer on a new public
// connection, with 50 requests a second asking for one.
func BenchmarkCutToServed(b *testing.B) {
	for server, start := range servers {
		b.Run(server, func(b *testing.B) {
			r := keepThrough(b, start(b))
			var took []time.Duration
			for b.Loop() {
				<-time.After(4 * time.Second) // a tunnel that is younger is not dialled at once
				r.serves("before")
				began := time.Now()
				r.fault.Cut()
				took = append(took, r.served(began))
			}
			slices.Sort(took)
			b.ReportMetric(0, "ns/op") // it is mostly the four seconds
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-max")
		})
	}
}

// served asks 50 times a second, each on a connection of its own, and gives the time
// from began to the first answer.
func (r *rig) served(began time.Time) time.Duration {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answers := make(chan time.Duration, 1)
	var asks sync.WaitGroup
	defer asks.Wait()
	defer cancel()
	for {
		asks.Go(func() {
			if r.ask(ctx) == nil {
				select {
				case answers <- time.Since(began):
				default:
				}
			}
		})
		select {
		case took := <-answers:
			return took
		case <-every.C:
		case <-ctx.Done():
			r.t.Error("never served again")
			return patience
		}
	}
}
