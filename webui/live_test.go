package webui

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/slackdev/slackdev/inspector"
)

// bubble is a server whose connections are pipes, for use inside synctest.Test: time
// passes only when everybody waits. A pipe holds nothing, so a client that does not
// read stops its writer at once.
type bubble struct {
	*Server
	ids   *inspector.IDs
	conns chan net.Conn
	stop  func() // ends Run, waits for it
}

func newBubble(t *testing.T) *bubble {
	t.Helper()
	b := &bubble{ids: inspector.NewIDs(time.Now, inspector.ID{}), conns: make(chan net.Conn)}
	b.Server = &Server{Journal: &inspector.Journal{Store: newStore(t)}, Token: token}
	srv := &http.Server{Handler: b.Handler()}
	srv.RegisterOnShutdown(b.Shutdown)
	l := &pipes{conns: b.conns, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	var lives sync.WaitGroup
	lives.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	lives.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run ended with %v, want nil", err)
		}
	})
	b.stop = sync.OnceFunc(func() {
		cancel()
		_ = srv.Close()
		lives.Wait()
	})
	synctest.Wait() // Run has subscribed
	return b
}

type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial opens a websocket that nobody reads yet.
func (b *bubble) dial(t *testing.T) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		b.conns <- theirs
		return ours, nil
	}}
	ws, res, err := d.DialContext(t.Context(), "ws://127.0.0.1:4040/api/v1/live", bearer())
	if err != nil {
		t.Fatalf("dial: %v %v", err, res)
	}
	return ws
}

func bearer() http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func (b *bubble) save(t *testing.T) inspector.ID {
	t.Helper()
	x := &inspector.Exchange{ID: b.ids.Next(), Started: time.Now()}
	if err := b.Journal.Save(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	return x.ID
}

// next reads one message.
func next(t testing.TB, ws *websocket.Conn) message {
	t.Helper()
	_, text, err := ws.ReadMessage()
	if err != nil {
		t.Fatalf("read a message: %v", err)
	}
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("read %q: %v", text, err)
	}
	return m
}

func says(kind string, seq uint64) message { return message{Type: kind, Seq: &seq} }

func TestQuietTimesAnnounceAtOnceAndLoadInFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		b.save(t) // before anybody watches
		synctest.Wait()
		<-time.After(frameTime)
		ws := b.dial(t)
		defer ws.Close()
		if diff := cmp.Diff(says("hello", 1), next(t, ws)); diff != "" {
			t.Errorf("hello: want (-), got (+)\n%s", diff)
		}
		begin := time.Now()
		wantEvents := func(after time.Duration, first uint64, ids ...inspector.ID) {
			t.Helper()
			want := message{Type: "events"}
			for i, id := range ids {
				want.Events = append(want.Events, event{first + uint64(i), inspector.Saved, id.String()})
			}
			if diff := cmp.Diff(want, next(t, ws)); diff != "" {
				t.Errorf("want (-), got (+)\n%s", diff)
			}
			if took := time.Since(begin); took != after {
				t.Errorf("events from %d on came after %v, want %v", first, took, after)
			}
		}
		one := b.save(t)
		wantEvents(0, 2, one)
		two, three, four := b.save(t), b.save(t), b.save(t)
		wantEvents(frameTime, 3, two, three, four)
		<-time.After(20*time.Second - frameTime)
		wantEvents(20*time.Second, 6, b.save(t))
	})
}

func TestHintsGoOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		ws := b.dial(t)
		defer ws.Close()
		next(t, ws)
		b.Refresh(StatusChanged)
		if diff := cmp.Diff(message{Type: "status"}, next(t, ws)); diff != "" {
			t.Errorf("want (-), got (+)\n%s", diff)
		}
		b.Refresh(RulesChanged)
		b.Refresh(StatusChanged)
		b.Refresh(RulesChanged)
		got := []message{next(t, ws), next(t, ws)}
		if diff := cmp.Diff([]message{{Type: "rules"}, {Type: "status"}}, got); diff != "" {
			t.Errorf("want (-), got (+)\n%s", diff)
		}
		b.save(t)
		if m := next(t, ws); m.Type != "events" {
			t.Errorf("after three hints of two kinds: got %v, want events", m)
		}
	})
}

func TestMoreThanAFrameHoldsIsAResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		ws := b.dial(t)
		defer ws.Close()
		next(t, ws)
		b.save(t)
		next(t, ws)
		for range frameEvents + 1 {
			b.save(t)
			synctest.Wait()
		}
		if diff := cmp.Diff(says("resync", frameEvents+2), next(t, ws)); diff != "" {
			t.Errorf("want (-), got (+)\n%s", diff)
		}
		b.save(t)
		if m := next(t, ws); m.Type != "events" || m.Events[0].Seq != frameEvents+3 {
			t.Errorf("after the resync: got %v, want event %d", m, frameEvents+3)
		}
	})
}

func TestEventsFromBeforeAResyncAreNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		ws := b.dial(t)
		defer ws.Close()
		next(t, ws)
		b.live.resync(2)
		next(t, ws)
		var last inspector.ID
		for range 3 {
			<-time.After(frameTime)
			last = b.save(t)
		}
		if diff := cmp.Diff(message{Type: "events", Events: []event{{3, inspector.Saved, last.String()}}}, next(t, ws)); diff != "" {
			t.Errorf("want (-), got (+)\n%s", diff)
		}
	})
}

func TestHubThatTheBusCutsOffComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		ws := b.dial(t)
		defer ws.Close()
		next(t, ws)
		b.live.mu.Lock() // the hub cannot go on
		for range busRoom + 2 {
			b.save(t)
		}
		b.live.mu.Unlock()
		last := b.Journal.Seq()
		for m := next(t, ws); m.Type != "resync" || *m.Seq != last; m = next(t, ws) {
			if m.Type == "hello" {
				t.Fatalf("got %v, want a resync up to %d", m, last)
			}
		}
		id := b.save(t)
		for m := next(t, ws); ; m = next(t, ws) {
			if m.Type == "resync" {
				continue // of the rest that the hub still had, and then of being cut off
			}
			if diff := cmp.Diff(message{Type: "events", Events: []event{{last + 1, inspector.Saved, id.String()}}}, m); diff != "" {
				t.Errorf("want (-), got (+)\n%s", diff)
			}
			return
		}
	})
}

func TestSlowBrowserGetsAResyncAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		slow := b.dial(t)
		defer slow.Close()
		if diff := cmp.Diff(says("hello", 0), next(t, slow)); diff != "" {
			t.Errorf("want (-), got (+)\n%s", diff)
		}
		for range queueRoom + 10 {
			b.save(t)
			<-time.After(frameTime)
		}
		if m := next(t, slow); m.Type != "events" || m.Events[0].Seq != 1 {
			t.Errorf("got %v, want the event that was on its way", m)
		}
		if diff := cmp.Diff(says("resync", queueRoom+10), next(t, slow)); diff != "" {
			t.Errorf("want (-), got (+)\n%s", diff)
		}
		b.save(t)
		if m := next(t, slow); m.Type != "events" || m.Events[0].Seq != queueRoom+11 {
			t.Errorf("after the resync: got %v, want event %d", m, queueRoom+11)
		}
	})
}

func TestBrowserThatStopsReadingIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		stuck, well := b.dial(t), b.dial(t)
		defer stuck.Close()
		defer well.Close()
		next(t, stuck)
		next(t, well)
		b.save(t)
		next(t, well)
		<-time.After(writeTime + time.Second)
		synctest.Wait()
		b.live.mu.Lock()
		left := len(b.live.browsers)
		b.live.mu.Unlock()
		if left != 1 {
			t.Errorf("%v after a message that one of two does not read: %d browsers, want 1", writeTime, left)
		}
		b.save(t)
		if m := next(t, well); m.Type != "events" {
			t.Errorf("the other got %v, want events", m)
		}
	})
}

func TestSilentBrowserIsPingedAndLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		ws := b.dial(t)
		defer ws.Close()
		next(t, ws)
		begin := time.Now()
		var pinged []time.Duration
		ws.SetPingHandler(func(string) error { // and no pong
			pinged = append(pinged, time.Since(begin))
			return nil
		})
		if _, _, err := ws.ReadMessage(); err == nil {
			t.Errorf("got a message, want the end")
		}
		if diff := cmp.Diff([]time.Duration{pingTime, 2 * pingTime}, pinged); diff != "" {
			t.Errorf("pings: want (-), got (+)\n%s", diff)
		}
		if took := time.Since(begin); took != pongTime {
			t.Errorf("it was let go after %v, want %v", took, pongTime)
		}
	})
}

func TestBrowserThatAnswersPingsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		ws := b.dial(t)
		defer ws.Close()
		next(t, ws)
		heard := make(chan message)
		go func() { heard <- next(t, ws) }()
		<-time.After(time.Hour)
		b.save(t)
		if m := <-heard; m.Type != "events" {
			t.Errorf("after an hour: got %v, want events", m)
		}
	})
}

func TestBrowserThatTalksTooMuchIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		ws := b.dial(t)
		defer ws.Close()
		next(t, ws)
		if err := ws.WriteMessage(websocket.TextMessage, []byte("hello yourself")); err != nil {
			t.Fatal(err)
		}
		b.save(t)
		if m := next(t, ws); m.Type != "events" {
			t.Errorf("after a few words: got %v, want events", m)
		}
		go func() { _ = ws.WriteMessage(websocket.TextMessage, make([]byte, readLimit+1)) }() // it fails half way
		_, _, err := ws.ReadMessage()
		if !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
			t.Errorf("after too many: got %v, want close %d", err, websocket.CloseMessageTooBig)
		}
	})
}

func TestShutdownClosesEveryBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		ws, stuck := b.dial(t), b.dial(t)
		defer ws.Close()
		defer stuck.Close()
		next(t, ws)
		next(t, stuck)
		b.save(t)
		next(t, ws)
		begin := time.Now()
		heard := make(chan error)
		go func() {
			_, _, err := ws.ReadMessage()
			heard <- err
		}()
		b.Shutdown()
		b.Shutdown()
		if err := <-heard; !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("got %v, want close %d", err, websocket.CloseGoingAway)
		}
		b.stop()
		if took := time.Since(begin); took > byeTime {
			t.Errorf("Run ended %v after Shutdown with a browser that does not read, want at most %v", took, byeTime)
		}
	})
}

func TestTooManyBrowsersAreSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.stop()
		for range maxBrowsers {
			ws := b.dial(t)
			defer ws.Close()
			next(t, ws)
		}
		ws := b.dial(t)
		defer ws.Close()
		if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseTryAgainLater) {
			t.Errorf("browser %d: got %v, want close %d", maxBrowsers+1, err, websocket.CloseTryAgainLater)
		}
	})
}

func TestWhatIsNoWebsocketIsRefusedInWords(t *testing.T) {
	g := newRig(t)
	got := g.do(t, http.MethodGet, "/api/v1/live", "")
	if got.status != 400 || !strings.Contains(got.body, `"error":"websocket: `) {
		t.Errorf("got %d %s, want 400 in JSON", got.status, got.body)
	}
}

// narrow gives connections whose kernel buffers are small.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		err = errors.Join(err, tcp.SetWriteBuffer(4<<10))
	}
	return c, err
}

func TestStoppedReaderSlowsNobody(t *testing.T) {
	g := newRig(t)
	srv := httptest.NewUnstartedServer(g.Handler())
	srv.Listener = narrow{srv.Listener}
	g.live.room = 4 // nobody is there yet
	srv.Start()
	defer srv.Close()

	fast, slow := dialTCP(t, srv.URL), dialTCP(t, srv.URL)
	defer fast.Close()
	defer slow.Close()
	next(t, fast)
	var slowest time.Duration
	behind := false
	for seen := uint64(0); !behind && seen < 1<<20; { // slow reads nothing meanwhile
		for range 100 {
			begin := time.Now()
			g.save(t, "/todo")
			slowest = max(slowest, time.Since(begin))
		}
		for seen < g.Journal.Seq() {
			m := next(t, fast)
			switch {
			case m.Type == "resync":
				t.Fatalf("the fast one was told %v", m)
			case m.Events[0].Seq != seen+1:
				t.Fatalf("the fast one got event %d after %d", m.Events[0].Seq, seen)
			}
			seen = m.Events[len(m.Events)-1].Seq
		}
		g.live.mu.Lock()
		for b := range g.live.browsers {
			behind = behind || b.behind
		}
		g.live.mu.Unlock()
	}
	if !behind {
		t.Fatal("the slow one never fell behind")
	}
	if slowest > time.Second {
		t.Errorf("a save took %v while one browser did not read", slowest)
	}
	next(t, slow)
	for m := next(t, slow); m.Type != "resync"; m = next(t, slow) { // what the kernel had
		if m.Type != "events" {
			t.Fatalf("the slow one got %v", m)
		}
	}
}

// dialTCP opens a websocket to a server on a real socket.
func dialTCP(t testing.TB, url string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return c, c.(*net.TCPConn).SetReadBuffer(4 << 10)
	}}
	ws, _, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/api/v1/live", bearer())
	if err != nil {
		t.Fatal(err)
	}
	return ws
}
