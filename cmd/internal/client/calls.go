package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/slackdev/slackdev/inspector/export"
)

// Status is how a running slackdev is.
type Status struct {
	Version  string   `json:"version"`
	PID      int      `json:"pid"`
	Project  string   `json:"project"`
	LocalURL string   `json:"local_url"`
	AppURL   string   `json:"app_url"`
	Path     string   `json:"path"`
	Tunnel   Tunnel   `json:"tunnel"`
	App      App      `json:"app"`
	Secrets  []string `json:"secrets"` // names
	Enforce  bool     `json:"enforce"`
	Store    Store    `json:"store"`
	Rules    Rules    `json:"rules"`
	Seq      uint64   `json:"seq"`

	// Where there are several, all of them.
	Tunnels []Tunnel   `json:"tunnels"`
	Apps    []NamedApp `json:"apps"`
}

// NamedApp is one of several apps.
type NamedApp struct {
	Name string `json:"name"` // of its tunnel, or the path of its route; "": the first
	URL  string `json:"url"`
	App
}

// Tunnel is how the tunnel is.
type Tunnel struct {
	State     string   `json:"state"`
	Provider  string   `json:"provider"`
	URL       string   `json:"url"`
	Name      string   `json:"name"`
	Reachable string   `json:"reachable"` // local or public
	Error     string   `json:"error"`
	RetryInMS int64    `json:"retry_in_ms"`
	Notices   []string `json:"notices"` // hostile text
}

// App is whether the app answers.
type App struct {
	Up    bool   `json:"up"`
	Error string `json:"error"`
}

// Store is how much is kept, and where.
type Store struct {
	Path      string `json:"path"`
	Exchanges int    `json:"exchanges"`
	Bytes     int64  `json:"bytes"`
	Error     string `json:"error"`
}

// Rules is how many rules there are.
type Rules struct {
	File  string `json:"file"`
	Count int    `json:"count"`
	Error string `json:"error"`
}

// Status asks how the running slackdev is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.get(ctx, "status", nil, &s)
	return s, err
}

// Page is a part of the history, newest first.
type Page struct {
	Exchanges []export.Line `json:"exchanges"`
	Next      string        `json:"next"` // where to go on with before; "" at the end
	Seq       uint64        `json:"seq"`
}

// Exchanges asks for those that q fits (the filter language, "" for all) and that are
// older than before ("" for from the newest), at most limit (1 to 500; 0: 100).
func (c *Client) Exchanges(ctx context.Context, q, before string, limit int) (Page, error) {
	query := url.Values{}
	if q != "" {
		query.Set("q", q)
	}
	if before != "" {
		query.Set("before", before)
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var p Page
	err := c.get(ctx, "exchanges", query, &p)
	return p, err
}

// Exchange asks for everything that was kept of one, tokens masked. The id is a whole
// one, a unique beginning or end of one, or "last".
func (c *Client) Exchange(ctx context.Context, id string) (export.Detail, error) {
	return c.exchange(ctx, id, nil)
}

// UnmaskedExchange is Exchange with every secret in it that the exchange has.
func (c *Client) UnmaskedExchange(ctx context.Context, id string) (export.Detail, error) {
	return c.exchange(ctx, id, url.Values{"secrets": {"1"}})
}

func (c *Client) exchange(ctx context.Context, id string, query url.Values) (export.Detail, error) {
	var d export.Detail
	err := c.get(ctx, "exchanges/"+url.PathEscape(id), query, &d)
	return d, err
}

// Curl asks for a command that sends the same request, tokens masked.
func (c *Client) Curl(ctx context.Context, id string) (string, error) {
	return c.curl(ctx, id, nil)
}

// UnmaskedCurl is Curl with every secret in it that the request has.
func (c *Client) UnmaskedCurl(ctx context.Context, id string) (string, error) {
	return c.curl(ctx, id, url.Values{"secrets": {"1"}})
}

func (c *Client) curl(ctx context.Context, id string, query url.Values) (string, error) {
	var answer struct {
		Curl string `json:"curl"`
	}
	err := c.get(ctx, "exchanges/"+url.PathEscape(id)+"/curl", query, &answer)
	return answer.Curl, err
}

// Delete forgets exchanges by their whole IDs and gives how many there were.
func (c *Client) Delete(ctx context.Context, ids ...string) (int, error) {
	var answer struct {
		Deleted int `json:"deleted"`
	}
	err := c.post(ctx, "exchanges/delete", map[string][]string{"ids": ids}, &answer)
	return answer.Deleted, err
}

// Pin makes an exchange stay when room is made.
func (c *Client) Pin(ctx context.Context, id string) error { return c.pin(ctx, id, true) }

// Unpin takes that back.
func (c *Client) Unpin(ctx context.Context, id string) error { return c.pin(ctx, id, false) }

func (c *Client) pin(ctx context.Context, id string, pinned bool) error {
	return c.post(ctx, "exchanges/"+url.PathEscape(id)+"/pin", map[string]bool{"pinned": pinned}, nil)
}

// Follow hands each exchange that q fits to tell when it is done, until the context
// ends (then the error is its error), tell fails, or slackdev ends.
func (c *Client) Follow(ctx context.Context, q string, tell func(export.Line) error) error {
	path := "follow"
	if q != "" {
		path += "?" + url.Values{"q": {q}}.Encode()
	}
	err := c.stream(ctx, http.MethodGet, path, nil, tell)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return &unreachable{address: c.Run.Address, err: errors.New("it has ended")}
	}
	return err
}

// Change sets one value of a payload; see slack.Set.
type Change struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// Replay asks to send a recorded request again.
type Replay struct {
	ID          string   `json:"id"` // as for Exchange
	Set         []Change `json:"set,omitempty"`
	Body        *string  `json:"body,omitempty"` // in place of the recorded one
	To          string   `json:"to,omitempty"`   // a URL in place of the app
	App         string   `json:"app,omitempty"`  // the name of one of several apps
	Times       int      `json:"times,omitempty"`
	Concurrency int      `json:"concurrency,omitempty"`
	AsRetry     int      `json:"as_retry,omitempty"` // the number of Slack's retry, 0 for none
	Reason      string   `json:"reason,omitempty"`
}

// Replay sends a recorded request again, freshly signed, and hands each of the new
// exchanges to tell when it is done.
func (c *Client) Replay(ctx context.Context, r Replay, tell func(export.Line) error) error {
	return c.stream(ctx, http.MethodPost, "replay", r, tell)
}

// Send asks for a request that is made here.
type Send struct {
	Kind        string   `json:"kind"` // slash_command, "event_callback app_mention": see Kinds
	Set         []Change `json:"set,omitempty"`
	Path        string   `json:"path,omitempty"`
	To          string   `json:"to,omitempty"`
	App         string   `json:"app,omitempty"`
	Times       int      `json:"times,omitempty"`
	Concurrency int      `json:"concurrency,omitempty"`
}

// Send makes a signed request of a kind, sends it, and hands each of the new exchanges
// to tell when it is done.
func (c *Client) Send(ctx context.Context, s Send, tell func(export.Line) error) error {
	return c.stream(ctx, http.MethodPost, "send", s, tell)
}

// Kind is one that Send can make.
type Kind struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary"`
	Fields  []string `json:"fields"` // paths that are worth setting
}

// Kinds lists what Send can make.
func (c *Client) Kinds(ctx context.Context) ([]Kind, error) {
	var answer struct {
		Kinds []Kind `json:"kinds"`
	}
	err := c.get(ctx, "kinds", nil, &answer)
	return answer.Kinds, err
}

// RuleSet is the rules that answer in the app's place, in the order in which they are tried.
type RuleSet struct {
	File  string `json:"file"`
	Error string `json:"error"` // why the file as it stands is not in force
	Rules []Rule `json:"rules"`
}

// Rule is one of them.
type Rule struct {
	Name string
	Hits int             // how often it answered
	Last time.Time       // when it did last; zero: never
	JSON json.RawMessage // all of it, as in the file
}

// UnmarshalJSON keeps the whole beside what is read of it.
func (r *Rule) UnmarshalJSON(text []byte) error {
	var known struct {
		Name string     `json:"name"`
		Hits int        `json:"hits"`
		Last *time.Time `json:"last"`
	}
	if err := json.Unmarshal(text, &known); err != nil {
		return err
	}
	*r = Rule{Name: known.Name, Hits: known.Hits, JSON: append(json.RawMessage(nil), text...)}
	if known.Last != nil {
		r.Last = *known.Last
	}
	return nil
}

// MarshalJSON gives the rule as it came.
func (r Rule) MarshalJSON() ([]byte, error) {
	if r.JSON == nil {
		return json.Marshal(map[string]any{"name": r.Name})
	}
	return r.JSON, nil
}

// Rules lists the rules.
func (c *Client) Rules(ctx context.Context) (RuleSet, error) {
	var s RuleSet
	err := c.get(ctx, "rules", nil, &s)
	return s, err
}

// AddRule puts a rule, given as anything that marshals to one, in the place of the
// one of that name, or behind all others.
func (c *Client) AddRule(ctx context.Context, rule any) (RuleSet, error) {
	var s RuleSet
	err := c.post(ctx, "rules", map[string]any{"rule": rule}, &s)
	return s, err
}

// RemoveRule takes a rule away by its name.
func (c *Client) RemoveRule(ctx context.Context, name string) (RuleSet, error) {
	var s RuleSet
	err := c.post(ctx, "rules/delete", map[string]string{"name": name}, &s)
	return s, err
}
