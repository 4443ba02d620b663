package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Question is what a person is asked while somebody logs in. Its texts may be a
// stranger's: they are bounded and have no control characters.
type Question struct {
	Intro  []string // lines to show before it
	Text   string   // ends where the answer begins
	Hidden bool     // the answer is not to be seen
}

// errNobody says that a question cannot be asked, and was not answered before.
var errNobody = errors.New("nobody is there to be asked")

// passphraseTries is how often a person may mistype, as for ssh.
const passphraseTries = 3

// memory is what a Provider has learnt from people: open keys and answers. It never
// leaves the process. It is safe for use by many goroutines.
type memory struct {
	mu      sync.Mutex // guards what follows
	opened  map[string]ssh.Signer
	answers map[string]string
	shut    bool // a tunnel has been open: whoever was there to be asked may have left
}

func (m *memory) signer(file string) ssh.Signer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opened[file]
}

func (m *memory) keepSigner(file string, s ssh.Signer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened == nil {
		m.opened = map[string]ssh.Signer{}
	}
	m.opened[file] = s
}

func (m *memory) answer(key string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	answer, ok := m.answers[key]
	return answer, ok
}

func (m *memory) keep(key, answer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers == nil {
		m.answers = map[string]string{}
	}
	m.answers[key] = answer
}

func (m *memory) forget(keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		delete(m.answers, key)
	}
}

// shutUp ends the asking: from now on there is only what is remembered.
func (m *memory) shutUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shut = true
}

func (m *memory) isShut() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shut
}

// desk is where one login asks. The clock of the login stands still meanwhile.
type desk struct {
	ask    func(context.Context, Question) (string, error) // nil: nobody is there
	memory *memory
	clock  *stopwatch
	closed map[string]bool // files that nobody opened, though asked
}

// person reports whether somebody can be asked.
func (d *desk) person() bool { return d.ask != nil && !d.memory.isShut() }

// put asks a person.
func (d *desk) put(ctx context.Context, q Question) (string, error) {
	if !d.person() {
		return "", errNobody
	}
	defer d.clock.pause()()
	return d.ask(ctx, q)
}

// answer gives what was answered to this question before, or asks.
func (d *desk) answer(ctx context.Context, key string, q Question) (string, error) {
	if known, ok := d.memory.answer(key); ok {
		return known, nil
	}
	answer, err := d.put(ctx, q)
	if err == nil {
		d.memory.keep(key, answer)
	}
	return answer, err
}

// locked gives a signer for an encrypted key: the open key, where it has been opened
// before, or one that asks when it has to sign. A key of an old format without a
// public half beside it has to be opened at once.
func (d *desk) locked(ctx context.Context, file string, id identity) (ssh.Signer, error) {
	if s := d.memory.signer(file); s != nil && (id.public == nil || sameKey(s.PublicKey(), id.public)) {
		return s, nil
	}
	if !d.person() {
		return nil, errors.New("it is encrypted; add it to your agent with  ssh-add " + shellQuote(file))
	}
	open := func() (ssh.Signer, error) { return d.open(ctx, file, id.text) }
	if id.public == nil {
		return open()
	}
	return &lockedKey{public: id.public, open: open}, nil
}

// open asks for the passphrase until it is right, and remembers the key.
func (d *desk) open(ctx context.Context, file string, text []byte) (ssh.Signer, error) {
	if s := d.memory.signer(file); s != nil { // for the certificate beside the key
		return s, nil
	}
	for range passphraseTries {
		if d.closed[file] {
			break
		}
		phrase, err := d.put(ctx, Question{Text: "Passphrase of " + printable(file, maxNotice) + ": ", Hidden: true})
		if err != nil {
			return nil, err
		}
		if phrase == "" { // as for ssh: not this key
			break
		}
		resume := d.clock.pause() // to open a key takes long on purpose, and is not the server's fault
		s, err := ssh.ParsePrivateKeyWithPassphrase(text, []byte(phrase))
		resume()
		if err == nil {
			d.memory.keepSigner(file, s)
			return s, nil
		}
	}
	if d.closed == nil {
		d.closed = map[string]bool{}
	}
	d.closed[file] = true // for the certificate or the key, whichever comes next
	return nil, fmt.Errorf("%s was not opened", file)
}

// printable is one line of a stranger's text, without what a terminal would obey.
func printable(text string, most int) string {
	lines := printableLines(text, 1, most)
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

// printableLines is the first lines of a stranger's text.
func printableLines(text string, lines, most int) []string {
	var r lineReader
	var out []string
	emit := func(line string) {
		if line = strings.TrimSpace(line); line != "" && len(out) < lines {
			out = append(out, clip(line, most))
		}
	}
	r.write([]byte(text[:min(len(text), maxText)]), emit)
	r.flush(emit)
	return slices.Clip(out)
}

// stopwatch ends a context after a while, which stands still while a person types. It
// is the one of an Open and of all the logins in it, those at jump hosts included.
type stopwatch struct {
	whole time.Duration // from restart on
	timer *time.Timer

	mu       sync.Mutex // guards what follows
	limit    time.Duration
	memories []*memory // of these logins
}

// newStopwatch gives a context that ends after limit, with cause, and after a restart
// when whole is over.
func newStopwatch(ctx context.Context, limit, whole time.Duration) (context.Context, *stopwatch, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &stopwatch{whole: whole, limit: limit}
	p.timer = time.AfterFunc(limit, func() {
		p.mu.Lock()
		late := fmt.Errorf("no answer within %v", p.limit)
		p.mu.Unlock()
		cancel(late)
	})
	return context.WithValue(ctx, stopwatchKey{}, p), p, func() { p.timer.Stop(); cancel(nil) }
}

type stopwatchKey struct{}

// stopwatchOf gives the one that ends ctx, for jump hosts, which are reached by
// functions that know nothing of it. Where there is none, nothing is stopped.
func stopwatchOf(ctx context.Context) *stopwatch {
	if p, ok := ctx.Value(stopwatchKey{}).(*stopwatch); ok {
		return p
	}
	timer := time.NewTimer(0)
	timer.Stop()
	return &stopwatch{timer: timer}
}

// pause stops the clock until the function that it gives is called, which starts it
// anew: whoever waited for a person waits as long again for the server.
func (p *stopwatch) pause() (resume func()) {
	p.timer.Stop()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.timer.Reset(p.limit)
	}
}

// asks notes a login's memory for shutUp.
func (p *stopwatch) asks(m *memory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.memories = append(p.memories, m)
}

// shutUp ends the asking for all of the logins.
func (p *stopwatch) shutUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.memories {
		m.shutUp()
	}
}

// restart starts the clock anew, for the whole time.
func (p *stopwatch) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = p.whole
	p.timer.Reset(p.whole)
}
