// Package probe sends a request through a tunnel's public URL and takes it in at the
// near end, to find out whether Slack's requests would arrive, whole and signed, and
// where the time goes. A probe is never recorded and never reaches the app.
//
// Both ends are the same Probe in one process: the key that proves a probe to be ours
// is made by New and known to nobody else, so that a stranger's request with the
// probe's field is a request like any other.
package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/slackdev/slackdev/inspector/slack"
)

// Field is the header field that marks a probe and its answer.
const Field = "X-Slackdev-Probe"

// maxBody bounds what is read of a probe or of its answer, in bytes.
const maxBody = 16 << 10

// Probe is both ends. Its fields are set before the first use; it is safe for many
// goroutines.
type Probe struct {
	// AskApp reports whether the app can be reached. It is asked once for each probe
	// that arrives; nil: nobody is asked.
	AskApp func(ctx context.Context) error
	Now    func() time.Time
	// Route says how the public side is reached; the zero value: as anybody would.
	Route Route

	secret slack.Secret
	random io.Reader
}

// New makes a Probe with a key from random (nil: crypto/rand).
func New(random io.Reader, now func() time.Time) (*Probe, error) {
	if random == nil {
		random = rand.Reader
	}
	value, err := word(random, 32)
	if err != nil {
		return nil, fmt.Errorf("make a key for probes: %w", err)
	}
	secret, err := slack.NewSecret("probe", value)
	if err != nil {
		return nil, err
	}
	return &Probe{Now: now, secret: secret, random: random}, nil
}

// word gives n random bytes as hex.
func word(random io.Reader, n int) (string, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw), nil
}

// arrival is what the near end tells of a probe, in its answer.
type arrival struct {
	Verdict string        `json:"verdict"` // of Slack's own two fields over the body as it came
	Length  int           `json:"length"`  // of the body
	Inside  time.Duration `json:"inside"`  // in slackdev, without asking the app
	App     time.Duration `json:"app"`     // to ask the app
	AppDown string        `json:"app_down,omitempty"`
}

// Handler answers this Probe's requests and passes on all others.
func (p *Probe) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if marks := r.Header[Field]; len(marks) == 1 && p.mine(marks[0]) {
			p.answer(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answer tells what arrived.
func (p *Probe) answer(w http.ResponseWriter, r *http.Request) {
	start := p.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the probe's body broke off", http.StatusBadRequest)
		return
	}
	a := arrival{Verdict: p.verify(r.Header, body).Status.String(), Length: len(body)}
	a.Inside = p.Now().Sub(start)
	if p.AskApp != nil {
		asked := p.Now()
		if err := p.AskApp(r.Context()); err != nil {
			a.AppDown = err.Error()
		}
		a.App = p.Now().Sub(asked)
	}
	text, err := json.Marshal(a)
	if err != nil {
		http.Error(w, "the probe's answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Connection", "close") // whoever records heads by the wire must not find this one
	w.Header().Set(Field, p.mark(string(text)))
	_, _ = w.Write(text) // who sent the probe sees that it is cut
}

// verify checks Slack's two fields with the probe's own key.
func (p *Probe) verify(h http.Header, body []byte) slack.Verdict {
	v := slack.Verifier{Secrets: []slack.Secret{p.secret}, Now: p.Now}
	return v.Verify(h, body)
}

// mark is what proves a text to be ours: its time and signature.
func (p *Probe) mark(text string) string {
	timestamp, signature := p.secret.Sign(p.Now(), []byte(text))
	return timestamp + " " + signature
}

// marked reports whether mark is of this Probe, of now, and of text.
func (p *Probe) marked(mark, text string) bool {
	timestamp, signature, found := strings.Cut(mark, " ")
	h := http.Header{slack.TimestampHeader: {timestamp}, slack.SignatureHeader: {signature}}
	return found && p.verify(h, []byte(text)).Status == slack.Valid
}

// mine reports whether a request's mark is of this Probe: NONCE, and the mark of it.
func (p *Probe) mine(mark string) bool {
	nonce, rest, found := strings.Cut(mark, " ")
	return found && len(mark) < 256 && p.marked(rest, nonce)
}
