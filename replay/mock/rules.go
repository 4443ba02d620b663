package mock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

// Rules are the rules of a file, in use. Before the first Reload there are none.
// Every method is safe for many goroutines; Respond takes no lock. Whoever watches
// the file calls Reload when it changes.
type Rules struct {
	File string // slackdev.yaml, or a file of rules alone; need not exist
	Now  func() time.Time

	live atomic.Pointer[[]*entry]

	mu  sync.Mutex // one change at a time; guards the file while it is edited, and err
	err error      // why the file is not what is in use
}

// entry is a rule and what has become of it. The tally outlives the entry as long as
// the rule in the file stays the same.
type entry struct {
	*compiled
	*tally
}

type tally struct {
	hits atomic.Int64
	last atomic.Int64 // Unix nanoseconds, 0: never
}

// Listed is a rule and what has become of it, since slackdev started or the rule
// was changed.
type Listed struct {
	Rule
	Hits  int64     `json:"hits"`
	Last  time.Time `json:"last,omitzero"` // when it answered last
	Spent bool      `json:"spent,omitzero"`
}

// Respond gives the answer of the first rule that fits, which counts as a use of the
// rule. The answer is shared: it must not be changed.
func (r *Rules) Respond(x *inspector.Exchange) (*inspector.Answer, bool) {
	live := r.live.Load()
	if live == nil {
		return nil, false
	}
	for _, e := range *live {
		if e.rule.Off || !e.match.fits(x) || !e.use(int64(e.rule.Times)) {
			continue
		}
		e.last.Store(r.Now().UnixNano())
		if e.ready != nil {
			return e.ready, true
		}
		return e.respond(x), true
	}
	return nil, false
}

// use counts a hit, unless the rule is spent.
func (t *tally) use(times int64) bool {
	if times == 0 {
		t.hits.Add(1)
		return true
	}
	for {
		n := t.hits.Load()
		if n >= times {
			return false
		}
		if t.hits.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// respond renders the answer. A template that fails is answered with 500 and the reason.
func (c *compiled) respond(x *inspector.Exchange) *inspector.Answer {
	a, err := c.answer(payloadOf(x))
	if err == nil {
		return a
	}
	text := []byte(fmt.Sprintf("slackdev: rule %s: %v\n", c.rule.Name, err))
	return &inspector.Answer{
		By: By(c.rule.Name), Delay: time.Duration(c.rule.Answer.Delay),
		Response: &inspector.Response{
			Status: 500, Header: inspector.Header{{Name: "Content-Type", Value: "text/plain; charset=utf-8"}},
			Body: inspector.Body{Bytes: text, Size: int64(len(text))}, By: By(c.rule.Name),
		},
	}
}

func (c *compiled) answer(payload any) (*inspector.Answer, error) {
	rule := &c.rule.Answer
	a := &inspector.Answer{Delay: time.Duration(rule.Delay), Fault: rule.Fault, By: By(c.rule.Name)}
	if rule.Fault != "" {
		return a, nil
	}
	text, err := c.body.render(payload)
	if err != nil {
		return nil, err
	}
	response := &inspector.Response{Status: rule.Status, Body: inspector.Body{Bytes: text, Size: int64(len(text))}, By: a.By}
	if response.Status == 0 {
		response.Status = 200
	}
	for name, value := range rule.Headers {
		response.Header = append(response.Header, inspector.Field{Name: name, Value: value})
	}
	slices.SortFunc(response.Header, func(a, b inspector.Field) int { return strings.Compare(a.Name, b.Name) })
	if response.Header.Get("Content-Type") == "" && len(text) > 0 {
		response.Header = append(response.Header, inspector.Field{Name: "Content-Type", Value: c.body.contentType(text)})
	}
	a.Response = response
	return a, nil
}

// List gives the rules in the order in which they are asked.
func (r *Rules) List() []Listed {
	live := r.live.Load()
	if live == nil {
		return []Listed{}
	}
	listed := make([]Listed, len(*live))
	for i, e := range *live {
		l := Listed{Rule: e.rule, Hits: e.hits.Load()}
		if last := e.last.Load(); last != 0 {
			l.Last = time.Unix(0, last).UTC()
		}
		l.Spent = e.rule.Times > 0 && l.Hits >= int64(e.rule.Times)
		listed[i] = l
	}
	return listed
}

// Err says why the rules in use are not those of the file: Mistakes, or an error of
// the file system. It is nil after a Reload that went well.
func (r *Rules) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Reload reads the file again. Where it cannot be read, or has a mistake, the rules
// stay as they were, and the error is given and kept for Err. A file that is not
// there has no rules.
func (r *Rules) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	data, err := r.read()
	if err == nil {
		err = r.install(data, "")
	}
	r.err = err
	return err
}

// read gives the file's bytes, none where there is no file.
func (r *Rules) read() ([]byte, error) {
	if r.File == "" {
		return nil, nil
	}
	f, err := os.Open(r.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	return data, nil
}

// install puts the rules of data to use. A rule that is the same as before keeps its
// tally, unless it is the one called fresh. The caller holds r.mu.
func (r *Rules) install(data []byte, fresh string) error {
	rules, err := compileFile(data, r.File)
	if err != nil {
		return err
	}
	before := map[string]*entry{}
	if live := r.live.Load(); live != nil {
		for _, e := range *live {
			before[e.rule.Name] = e
		}
	}
	entries := make([]*entry, len(rules))
	for i, c := range rules {
		entries[i] = &entry{compiled: c, tally: &tally{}}
		if old := before[c.rule.Name]; old != nil && c.rule.Name != fresh && reflect.DeepEqual(old.rule, c.rule) {
			entries[i].tally = old.tally
		}
	}
	r.live.Store(&entries)
	return nil
}
