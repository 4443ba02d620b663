package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
	"golang.org/x/crypto/ssh"
)

// person answers from a list, and errs when it is at its end.
type person struct {
	mu      sync.Mutex
	answers []string
	heard   []Question
}

func (p *person) ask(_ context.Context, q Question) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = append(p.heard, q)
	if len(p.answers) == 0 {
		return "", errors.New("gone for lunch")
	}
	answer := p.answers[0]
	p.answers = p.answers[1:]
	return answer, nil
}

func (p *person) texts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, q := range p.heard {
		out = append(out, strings.Join(append(q.Intro, q.Text), "|"))
	}
	return out
}

// passwordServer takes a password, and no keys.
func passwordServer(t *testing.T, password string) (*fakeServer, func() int) {
	s := newFakeServer(t)
	var mu sync.Mutex
	tries := 0
	s.config.PublicKeyCallback = nil
	s.config.PasswordCallback = func(_ ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
		mu.Lock()
		defer mu.Unlock()
		tries++
		if string(got) != password {
			return nil, errors.New("no")
		}
		return nil, nil
	}
	return s, func() int { mu.Lock(); defer mu.Unlock(); return tries }
}

func sshTo(t *testing.T, s *fakeServer, port int) *Provider {
	return providerFor(t, s, SSHD("ssh://ana@x", Target{User: "ana"}), port)
}

func TestLoginWithAPassword(t *testing.T) {
	for name, tc := range map[string]struct {
		password string   // handed over
		types    []string // nil: nobody is there
		without  []string
		asked    int
		tries    int
		want     string // of the refusal; empty: it works
	}{
		"typed":                    {types: []string{"open sesame"}, asked: 1, tries: 1},
		"mistyped at first":        {types: []string{"a", "b", "open sesame"}, asked: 3, tries: 3},
		"mistyped three times":     {types: []string{"a", "b", "c", "open sesame"}, asked: 3, tries: 3, want: "the server takes password; what was answered was not right"},
		"handed over":              {password: "open sesame", tries: 1},
		"handed over, wrong":       {password: "wrong", tries: 1, want: "the server takes password; nobody is there to be asked for it"},
		"handed over, wrong, then": {password: "wrong", types: []string{"open sesame"}, asked: 1, tries: 2},
		"nobody there":             {want: "the server takes password; nobody is there to be asked for it"},
		"the person has left":      {types: []string{}, asked: 1, want: "the server takes password"},
		"switched off":             {types: []string{"open sesame"}, without: []string{methodPassword}, want: "the server takes password"},
	} {
		t.Run(name, func(t *testing.T) {
			s, tries := passwordServer(t, "open sesame")
			p := sshTo(t, s, s.listen())
			who := &person{answers: tc.types}
			p.Password, p.Keys.Without = tc.password, tc.without
			if tc.types != nil {
				p.Ask = who.ask
			}
			tun, err := p.Open(t.Context())
			if err == nil {
				_ = tun.Close()
			}
			refused := (*tunnel.RefusedError)(nil)
			if tc.want == "" && err != nil || tc.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("the password is in the error: %v", err)
			}
			if tries() != tc.tries || len(who.heard) != tc.asked {
				t.Errorf("%d tries, want %d; asked %q, want %d questions", tries(), tc.tries, who.texts(), tc.asked)
			}
			for _, q := range who.heard {
				if q.Text != "ana@127.0.0.1's password: " || !q.Hidden {
					t.Errorf("asked %+v", q)
				}
			}
		})
	}
}

// Later logins use what is remembered, once, and never wait for a person.
func TestReconnectAsksNobody(t *testing.T) {
	password := "open sesame"
	s, tries := passwordServer(t, password)
	var mu sync.Mutex
	changed := false
	inner := s.config.PasswordCallback
	s.config.PasswordCallback = func(m ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
		perm, err := inner(m, got)
		mu.Lock()
		defer mu.Unlock()
		if changed {
			return nil, errors.New("no more")
		}
		return perm, err
	}
	p := sshTo(t, s, s.listen())
	who := &person{answers: []string{password, "a second answer"}}
	p.Ask = who.ask
	for range 3 {
		tun, err := p.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = tun.Close()
	}
	mu.Lock()
	changed = true
	mu.Unlock()
	for _, want := range []string{"start slackdev again to be asked", "start slackdev again to be asked"} {
		_, err := p.Open(t.Context())
		if refused := (*tunnel.RefusedError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a refusal with %q", err, want)
		}
	}
	if tries() != 4 || len(who.heard) != 1 { // a wrong one again and again would lock the account
		t.Errorf("%d tries, want 4; asked %q", tries(), who.texts())
	}
}

// A jump host is a login, too: once the tunnel has been open, nobody is asked for its
// password any more. Until then somebody is, also where the way failed behind it.
func TestReconnectAsksNobodyForAJumpHost(t *testing.T) {
	var mu sync.Mutex
	right := "open sesame"
	set := func(password string) { mu.Lock(); defer mu.Unlock(); right = password }
	s := newFakeServer(t)
	s.config.PublicKeyCallback = nil
	s.config.PasswordCallback = func(_ ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
		mu.Lock()
		defer mu.Unlock()
		if string(got) != right {
			return nil, errors.New("no")
		}
		return nil, nil
	}
	behind := newFakeServer(t)
	port := behind.listen()
	var there atomic.Bool
	s.direct = func(c ssh.NewChannel) {
		if !there.Load() {
			_ = c.Reject(ssh.ConnectionFailed, "nobody there")
			return
		}
		ch, reqs, err := c.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			_ = ch.Close()
			return
		}
		var both sync.WaitGroup
		both.Go(func() { ssh.DiscardRequests(reqs) })
		both.Go(func() { _, _ = io.Copy(to, ch); _ = to.Close() })
		both.Go(func() { _, _ = io.Copy(ch, to); _ = ch.Close() })
		both.Wait()
	}
	who := &person{answers: []string{"open sesame", "another", "a third"}}
	hop := sshTo(t, s, s.listen())
	hop.Ask = who.ask
	j, err := NewJump("hop", func(Target) (Hop, error) { return Hop{Login: hop}, nil })
	if err != nil {
		t.Fatal(err)
	}
	p := sshTo(t, behind, port)
	p.Dial = j.DialContext
	open := func() error {
		tun, err := p.Open(t.Context())
		if err == nil {
			_ = tun.Close()
		}
		return err
	}
	if err := open(); err == nil {
		t.Fatal("it opened, though nobody is there")
	}
	there.Store(true)
	set("another")
	if err := open(); err != nil { // the first answer, then a question: no tunnel has been open yet
		t.Fatal(err)
	}
	set("a third")
	refused := (*tunnel.RefusedError)(nil)
	if err := open(); !errors.As(err, &refused) || !strings.Contains(err.Error(), "start slackdev again to be asked") {
		t.Errorf("got %v, want a refusal", err)
	}
	if len(who.heard) != 2 {
		t.Errorf("asked %q, want two questions", who.texts())
	}
}

// questionCase is what a server asks, what somebody answers, and what is heard of it.
type questionCase struct {
	challenge func(ask ssh.KeyboardInteractiveChallenge) error
	types     []string
	password  string
	heard     []string
	hidden    []bool
	want      string
}

// questionCases are servers with their manners.
func questionCases() map[string]questionCase {
	hostile := "\x1b[2J\x1b]0;title\x07Code\u202e\nand more: "
	return map[string]questionCase{
		"two rounds": {
			challenge: func(ask ssh.KeyboardInteractiveChallenge) error {
				a, err := ask("Two steps", "First\nthis", []string{"Password:", "Colour: "}, []bool{false, true})
				if err != nil || a[0] != "p" || a[1] != "red" {
					return fmt.Errorf("%v %v", a, err)
				}
				a, err = ask("", "", []string{"Code: "}, []bool{false})
				if err != nil || a[0] != "123" {
					return fmt.Errorf("%v %v", a, err)
				}
				_, err = ask("", "Welcome", nil, nil)
				return err
			},
			types: []string{"p", "red", "123"}, hidden: []bool{true, false, true},
			heard: []string{"Two steps|First|this|(ana@127.0.0.1) Password: ", "(ana@127.0.0.1) Colour: ", "(ana@127.0.0.1) Code: "},
		},
		"a password that was handed over": {
			challenge: func(ask ssh.KeyboardInteractiveChallenge) error {
				a, err := ask("", "", []string{"(ana) Password: "}, []bool{false})
				if err != nil || a[0] != "open sesame" {
					return errors.New("no")
				}
				return nil
			},
			password: "open sesame",
		},
		"a code is not the password": {
			challenge: func(ask ssh.KeyboardInteractiveChallenge) error {
				a, err := ask("", "", []string{"Code: "}, []bool{false})
				if err != nil || a[0] != "123" {
					return errors.New("no")
				}
				return nil
			},
			password: "open sesame", types: []string{"123"}, heard: []string{"(ana@127.0.0.1) Code: "}, hidden: []bool{true},
		},
		"hostile text": {
			challenge: func(ask ssh.KeyboardInteractiveChallenge) error {
				_, err := ask(hostile, strings.Repeat("line\n", 1000), []string{hostile}, []bool{false})
				return err
			},
			types: []string{"x"}, hidden: []bool{true},
			heard: []string{"Code|" + strings.Repeat("line|", 10) + "(ana@127.0.0.1) Code "},
		},
		"wrong, then right": {
			challenge: func(ask ssh.KeyboardInteractiveChallenge) error {
				a, err := ask("", "", []string{"Code:"}, []bool{false})
				if err != nil || a[0] != "right" {
					return errors.New("no")
				}
				return nil
			},
			types: []string{"wrong", "right"}, hidden: []bool{true, true},
			heard: []string{"(ana@127.0.0.1) Code: ", "(ana@127.0.0.1) Code: "},
		},
		"without end": {
			challenge: func(ask ssh.KeyboardInteractiveChallenge) error {
				for {
					if _, err := ask("", "", nil, nil); err != nil {
						return err
					}
				}
			},
			types: []string{}, want: "log in as ana",
		},
		"too many at once": {
			challenge: func(ask ssh.KeyboardInteractiveChallenge) error {
				_, err := ask("", "", make([]string, 1000), make([]bool, 1000))
				return err
			},
			types: []string{}, want: "log in as ana",
		},
		"nobody there": {
			challenge: func(ask ssh.KeyboardInteractiveChallenge) error {
				_, err := ask("", "", []string{"Code:"}, []bool{false})
				return err
			},
			want: "nobody is there to be asked for it",
		},
	}
}

func TestLoginWithQuestions(t *testing.T) {
	for name, tc := range questionCases() {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			s.config.PublicKeyCallback = nil
			s.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				return nil, tc.challenge(ask)
			}
			p := sshTo(t, s, s.listen())
			who := &person{answers: tc.types}
			p.Password = tc.password
			if tc.types != nil {
				p.Ask = who.ask
			}
			tun, err := p.Open(t.Context())
			if err == nil {
				_ = tun.Close()
			}
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if tc.want == "" {
				if d := cmp.Diff(tc.heard, who.texts()); d != "" {
					t.Errorf("asked (-want +got):\n%s", d)
				}
			}
			for i, hidden := range tc.hidden {
				if i < len(who.heard) && who.heard[i].Hidden != hidden {
					t.Errorf("question %d: hidden %v", i, who.heard[i].Hidden)
				}
			}
		})
	}
}

// A key, then a password: each step is taken, and neither is taken for a refusal.
func TestLoginInTwoSteps(t *testing.T) {
	key := newKey(t)
	s := newFakeServer(t)
	s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, shown ssh.PublicKey) (*ssh.Permissions, error) {
		if !sameKey(shown, key.PublicKey()) {
			return nil, errors.New("no")
		}
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
			PasswordCallback: func(_ ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
				if string(got) != "open sesame" {
					return nil, errors.New("no")
				}
				return nil, nil
			},
		}}
	}
	p := sshTo(t, s, s.listen())
	who := &person{answers: []string{"wrong", "open sesame"}}
	p.Keys, p.Ask = Keys{Signers: []ssh.Signer{newKey(t), key}}, who.ask
	for range 2 { // the second time from memory
		tun, err := p.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = tun.Close()
	}
	if len(who.heard) != 2 {
		t.Errorf("asked %q", who.texts())
	}
}

// Whoever types has time; the server has not.
func TestTypingStopsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, clock, cancel := newStopwatch(t.Context(), 15*time.Second, 15*time.Second)
		defer cancel()
		d := &desk{memory: new(memory), clock: clock, ask: func(context.Context, Question) (string, error) {
			<-time.After(time.Hour)
			return "x", nil
		}}
		if answer, err := d.put(ctx, Question{}); answer != "x" || err != nil || ctx.Err() != nil {
			t.Fatalf("got %q, %v, %v", answer, err, ctx.Err())
		}
		<-time.After(14 * time.Second)
		if ctx.Err() != nil {
			t.Error("over before its time")
		}
		<-time.After(2 * time.Second)
		if err := context.Cause(ctx); err == nil || err.Error() != "no answer within 15s" {
			t.Errorf("after its time: %v", err)
		}
	})
}

// Ctrl-C while somebody is asked ends the login.
func TestLoginEndsWhileItAsks(t *testing.T) {
	s, _ := passwordServer(t, "open sesame")
	p := sshTo(t, s, s.listen())
	ctx, cancel := context.WithCancel(t.Context())
	p.Ask = func(ctx context.Context, _ Question) (string, error) {
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	}
	if _, err := p.Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// ConnectTimeout is for a server that does not show who it is; what comes after has
// the whole time.
func TestConnectTimeoutEndsWithTheHostKey(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := newFakeServer(t)
	p := sshTo(t, s, silent.Addr().(*net.TCPAddr).Port)
	p.ConnectTimeout = 50 * time.Millisecond
	if _, err := p.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("got %v", err)
	}

	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(s.listen())))
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(c)
	defer l.Close()
	ctx, clock, cancel := newStopwatch(t.Context(), time.Hour, 15*time.Second)
	defer cancel()
	in, err := p.login(ctx, l, newTranscript(Announce{}), clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(in.reqs) // ends with the link
	if clock.limit != p.timeout() {
		t.Errorf("once the server was known it had %v, want %v", clock.limit, p.timeout())
	}
}
