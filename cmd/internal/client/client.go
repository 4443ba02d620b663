// Package client talks to a running slackdev through its local API (docs/local-api.md):
// it is what the commands in a second terminal use. It also keeps the files by which
// a running slackdev is found.
//
// A Client holds no connection between calls that anybody has to close, and is safe
// for many goroutines. Answers are bounded; small ones have 30 seconds, streams last
// until their context ends. Nothing goes through a proxy of the environment.
package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/slackdev/slackdev/inspector/export"
)

const (
	patience    = 30 * time.Second // for an answer that is no stream
	answerLimit = 64 << 20         // bytes of one answer: two whole bodies in JSON
	lineLimit   = 1 << 20          // bytes of one line of a stream
)

// Client is a way to one running slackdev.
type Client struct {
	Run  Run // whom it talks to
	http http.Client
}

// New makes a client for the slackdev of r, whether it runs or not.
func New(r Run) *Client {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	return &Client{Run: r, http: http.Client{
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Second},
		// The local API never redirects; whoever does is somebody else, and gets no token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Error is what the local API answered in place of what was asked for.
type Error struct {
	Status  int // of HTTP; 0: it came in the middle of a stream
	Message string
	Hint    string
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Explain gives the API's own hint, and the exit status: 2 for what was asked wrongly,
// 4 for what was refused.
func (e *Error) Explain() (hint string, exit int) {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return e.Hint, 2
	case http.StatusUnauthorized, http.StatusForbidden:
		return e.Hint, 4
	}
	return e.Hint, 1
}

// get asks for JSON and decodes it into answer.
func (c *Client) get(ctx context.Context, path string, query url.Values, answer any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.small(ctx, http.MethodGet, path, nil, answer)
}

// post changes something; answer may be nil where none is wanted.
func (c *Client) post(ctx context.Context, path string, body, answer any) error {
	return c.small(ctx, http.MethodPost, path, body, answer)
}

func (c *Client) small(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, answerLimit+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the answer of slackdev at %s: %w", c.Run.Address, err)
	case len(text) > answerLimit:
		return fmt.Errorf("the answer of slackdev at %s is larger than %d MiB", c.Run.Address, answerLimit>>20)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer of whatever is at %s is not slackdev's: %w", c.Run.Address, err)
	}
	return nil
}

// open sends a request and gives the answer when it is a good one. The caller closes
// its body.
func (c *Client) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("ask slackdev: %w", err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.Run.dial()+"/api/v1/"+path, payload)
	if err != nil {
		return nil, fmt.Errorf("ask slackdev at %s: %w", c.Run.Address, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Run.Token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, ctx.Err()
		}
		return nil, &unreachable{address: c.Run.Address, err: withoutURL(err)}
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, failure(res)
}

// failure reads why the API refused.
func failure(res *http.Response) *Error {
	e := &Error{Status: res.StatusCode}
	var answer problem
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err == nil && json.Unmarshal(text, &answer) == nil && answer.Error != "" {
		e.Message, e.Hint = answer.Error, answer.Hint
		return e
	}
	e.Message = "the local API answered " + strconv.Itoa(res.StatusCode)
	return e
}

// problem is an error as the API spells it, in an answer or in a stream.
type problem struct {
	Type  string `json:"type"`
	Error string `json:"error"`
	Hint  string `json:"hint"`
}

// withoutURL takes the method and the URL off an error: who is meant is said already.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// unreachable says that nobody answers.
type unreachable struct {
	address string
	err     error
}

// Error names the address and the cause.
func (e *unreachable) Error() string {
	return fmt.Sprintf("slackdev at %s does not answer: %v", e.address, e.err)
}

// Unwrap gives the cause.
func (e *unreachable) Unwrap() error { return e.err }

// Explain gives exit status 3.
func (e *unreachable) Explain() (hint string, exit int) { return startHint, 3 }

// stream reads NDJSON lines until the other end has said all, and hands each to tell,
// whose error ends the stream and is given back.
func (c *Client) stream(ctx context.Context, method, path string, body any, tell func(export.Line) error) error {
	res, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 0, 64<<10), lineLimit)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var p problem
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return fmt.Errorf("the answer of whatever is at %s is not slackdev's: %w", c.Run.Address, err)
		}
		if p.Type == "error" {
			return &Error{Message: p.Error, Hint: p.Hint}
		}
		var l export.Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("the answer of whatever is at %s is not slackdev's: %w", c.Run.Address, err)
		}
		if err := tell(l); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := lines.Err(); err != nil {
		return &unreachable{address: c.Run.Address, err: err}
	}
	return nil
}
