package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// The ways to log in, RFC 4252 and RFC 4256.
const (
	methodKey       = "publickey"
	methodQuestions = "keyboard-interactive"
	methodPassword  = "password"
)

// The bounds of one login. A server that asks on and on is not answered.
const (
	maxTries     = 3  // of a password, or of a whole questioning
	maxRounds    = 10 // of one questioning
	maxQuestions = 16 // in one round
)

// login is an authenticated connection.
type login struct {
	conn  ssh.Conn
	chans <-chan ssh.NewChannel
	reqs  <-chan *ssh.Request
}

// login does the handshake: host key, then user.
func (p *Provider) login(ctx context.Context, l *link, text *transcript, clock *stopwatch, steps *tracer) (*login, error) {
	check, algos, err := p.Hosts.checker(p.Profile.addr())
	if err != nil {
		return nil, err
	}
	clock.asks(&p.memory)
	p.handOver.Do(func() {
		if p.Password != "" {
			p.memory.keep(passwordKey, p.Password)
		}
	})
	a := &attempt{provider: p, text: text, tries: map[string]int{}, desk: &desk{ask: p.Ask, memory: &p.memory, clock: clock}}
	offers, skipped, done, err := p.Keys.offers(ctx, p.Profile.AnyKey, a.desk)
	if err != nil {
		return nil, err
	}
	defer done()
	a.offers, a.skipped = offers, skipped
	for _, s := range skipped {
		text.remark(s)
	}
	var hostRefused error
	config := &ssh.ClientConfig{
		Config: algorithms(),
		User:   p.ask().userName(),
		AuthCallback: func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
			if !a.asked { // the server has shown who it is, and now wants to know who we are
				a.asked = true
				clock.restart()
				steps.agreed(c)
			}
			return a.method(ctx, c)
		},
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			steps.showed(key)
			hostRefused = check(host, remote, key)
			return hostRefused
		},
		HostKeyAlgorithms: algos,
		BannerCallback: func(banner string) error {
			text.note(banner)
			return nil
		},
		ClientVersion: wire.ClientVersion,
	}
	conn, chans, reqs, err := ssh.NewClientConn(l, p.Profile.addr(), config)
	mismatch := (*ssh.AlgorithmNegotiationError)(nil)
	switch {
	case err == nil:
		steps.done(StepForward, a.letIn())
		return &login{conn, chans, reqs}, nil
	case hostRefused != nil:
		return nil, hostRefused
	case errors.As(err, &mismatch):
		return nil, &tunnel.RefusedError{Op: "agree on algorithms", Err: mismatch}
	case a.asked && !l.broke.Load(): // the server is there, and says no
		a.desk.memory.forget(a.used) // it may have hung up over them
		return nil, a.refused(err)
	case errors.Is(err, io.EOF):
		return nil, errNoSSH
	}
	return nil, err
}

// errNoSSH is for who listens to us and leaves: a web server does, and TLS; but so does
// an SSH server that is starting, or has too many guests, which is why it is no refusal.
var errNoSSH = errors.New("it hangs up before a login; is this the port of its SSH, and without TLS?")

// attempt is one login under way: it decides what to try next. It is used by the
// goroutine of the handshake alone.
type attempt struct {
	provider *Provider
	desk     *desk
	text     *transcript
	offers   []offer // that have not been shown
	shown    []offer
	skipped  []string
	asked    bool           // for the user's identity
	allowed  []string       // the ways in that the server named last
	tries    map[string]int // of each way but keys
	used     []string       // the answers that the server is judging
	steps    int            // of several that a login takes, those that are done
}

// letIn says as whom the server has let us in, and with what.
func (a *attempt) letIn() string {
	text := "as " + a.provider.Profile.User
	if a.provider.Profile.Token != "" {
		text = "with a token"
	}
	if len(a.shown) > 0 {
		text += ", key " + a.shown[len(a.shown)-1].String()
	}
	if len(a.used) > 0 {
		text += ", with an answer"
	}
	return text
}

// method gives the next way to log in that the server takes: keys one after the
// other, then questions, then a password; nil when there is none.
func (a *attempt) method(ctx context.Context, c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	a.allowed = c.AllowedMethods
	if len(c.PartialSuccessMethods) == a.steps {
		a.desk.memory.forget(a.used) // they were not right
	}
	a.steps, a.used = len(c.PartialSuccessMethods), nil
	takes := func(method string) bool {
		return slices.Contains(c.AllowedMethods, method) && !slices.Contains(a.provider.Keys.Without, method)
	}
	limit := maxTries
	if a.provider.Profile.AnyKey {
		limit = 1
	}
	switch {
	case takes(methodKey) && len(a.offers) > 0:
		next := a.offers[0]
		a.offers, a.shown = a.offers[1:], append(a.shown, next)
		return ssh.PublicKeys(next.signer), nil
	case takes(methodQuestions) && a.tries[methodQuestions] < limit:
		a.tries[methodQuestions]++
		return a.questions(ctx), nil
	case takes(methodPassword) && a.tries[methodPassword] < limit:
		a.tries[methodPassword]++
		return ssh.PasswordCallback(func() (string, error) { return a.password(ctx) }), nil
	}
	return nil, nil
}

// who is who logs in where, for a person.
func (a *attempt) who() string {
	return a.provider.Profile.User + "@" + a.provider.Profile.Host
}

// passwordKey is where the memory has the password.
const passwordKey = "password"

// password gives the password: the one that was handed over, the one that was right
// before, or what a person types.
func (a *attempt) password(ctx context.Context) (string, error) {
	if a.provider.Profile.AnyKey {
		return "", nil
	}
	return a.answer(ctx, methodPassword, passwordKey, Question{Text: a.who() + "'s password: ", Hidden: true})
}

// answer gives an answer, and ends a way in that nobody answers.
func (a *attempt) answer(ctx context.Context, method, key string, q Question) (string, error) {
	answer, err := a.desk.answer(ctx, key, q)
	if err != nil {
		a.tries[method] = maxTries
		return "", err
	}
	a.used = append(a.used, key)
	return answer, nil
}

// questions answers what the server asks. A service that takes anybody gets empty
// answers, and nobody is asked.
func (a *attempt) questions(ctx context.Context) ssh.AuthMethod {
	rounds := 0
	return ssh.KeyboardInteractive(func(name, instruction string, questions []string, echoed []bool) ([]string, error) {
		if rounds++; rounds > maxRounds || len(questions) > maxQuestions {
			a.tries[methodQuestions] = maxTries
			return nil, errors.New("the server asks without end")
		}
		answers := make([]string, len(questions))
		if a.provider.Profile.AnyKey {
			return answers, nil
		}
		intro := append(printableLines(name, 1, maxNotice), printableLines(instruction, 10, maxNotice)...)
		for i, question := range questions {
			question = printable(question, maxNotice)
			// The prefix tells a stranger's question from one of ours.
			q := Question{Intro: intro, Text: "(" + a.who() + ") " + question + " ", Hidden: !echoed[i]}
			intro = nil
			key := fmt.Sprintf("question %d.%d: %s", rounds, i, question)
			if q.Hidden && len(questions) == 1 && strings.Contains(strings.ToLower(question), passwordKey) {
				key = passwordKey
			}
			var err error
			if answers[i], err = a.answer(ctx, methodQuestions, key, q); err != nil {
				return nil, err
			}
		}
		for _, line := range intro { // there was no question: it is for information
			a.text.note(line)
		}
		return answers, nil
	})
}

// hangUpAfter is the number of tries after which most servers hang up.
const hangUpAfter = 6

// refused says who was refused, what was tried, and how to be let in.
func (a *attempt) refused(err error) error {
	p := a.provider
	refused := &tunnel.RefusedError{Op: "log in as " + p.Profile.User}
	var tried []string
	for _, o := range a.shown {
		tried = append(tried, o.String())
	}
	switch {
	case len(a.allowed) == 0:
		refused.Err = err
	case len(tried) == 0 && slices.Contains(a.allowed, methodKey):
		refused.Err = fmt.Errorf("no key to log in with; the server takes %s", methodsText(a.allowed))
	case len(tried) == 0:
		refused.Err = fmt.Errorf("the server takes %s", methodsText(a.allowed))
	case len(tried) == 1:
		refused.Err = fmt.Errorf("the server takes %s, and not the key %s", methodsText(a.allowed), tried[0])
	default:
		refused.Err = fmt.Errorf("the server takes %s, and none of the %d keys that it was shown: %s",
			methodsText(a.allowed), len(tried), strings.Join(tried, ", "))
	}
	if answered := a.tries[methodPassword] + a.tries[methodQuestions]; answered > 0 && !p.Profile.AnyKey {
		refused.Err = fmt.Errorf("%w; %s", refused.Err, a.unanswered())
	}
	if len(a.skipped) > 0 {
		refused.Err = fmt.Errorf("%w; %s", refused.Err, strings.Join(a.skipped, "; "))
	}
	refused.Err = withWords(refused.Err, a.text)
	refused.Hint = a.hint()
	return refused
}

// unanswered says what became of questions.
func (a *attempt) unanswered() string {
	switch {
	case a.desk.person():
		return "what was answered was not right"
	case a.desk.memory.isShut() && a.desk.ask != nil:
		return "the answers of the first time do not count any more; start slackdev again to be asked"
	}
	return "nobody is there to be asked for it"
}

// hint is what to type, for the most likely of the reasons.
func (a *attempt) hint() string {
	p := a.provider
	switch {
	case len(a.shown) >= hangUpAfter, // the right one may have been the next
		p.Keys.Only && len(p.Keys.Named) > 0: // or is none of those that were named
		return "name the key that it takes:  slackdev tunnel … --identity FILE"
	case p.Keys.Own == "":
		return ""
	case p.Profile.KeyHint != "":
		return strings.ReplaceAll(p.Profile.KeyHint, "{key}", shellQuote(p.Keys.Own+".pub"))
	case p.Profile.AnyKey: // and yet it did not take ours: somebody has a list
		return "ask whoever runs it to let your key in:  cat " + shellQuote(p.Keys.Own+".pub")
	}
	return fmt.Sprintf("ssh-copy-id -f -i %s -p %s %s",
		shellQuote(p.Keys.Own+".pub"), portOf(p.Profile.addr()), shellQuote(p.Profile.User+"@"+p.Profile.Host))
}

// methodsText lists a server's ways in, which are its own words.
func methodsText(methods []string) string {
	return printable(strings.Join(methods[:min(len(methods), 10)], ", "), maxNotice)
}

// remark adds a line of ours, which is not the service's.
func (t *transcript) remark(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notices = append(t.notices, printable(text, maxNotice))
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // ours: it has one
	return port
}
