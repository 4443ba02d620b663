//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// post is a request on its way.
type post struct {
	done chan struct{} // closed when text and err are known
	text string
	err  error
	tls  *tls.Config // for https
}

// slackPost is
//
//	slack-post [--secret SECRET] [--age 10m] [--header 'Name: value'] [--without NAME]
//	           [--method POST] [--host NAME] [--user NAME:PASSWORD] [--timeout 3s] [--as NAME] URL [FILE]
//
// It posts the file (less its last line break) as Slack would, by its extension .json
// or .form, and prints the answer: status, head, body. It fails where there is no whole
// answer. --age signs with an older time, a negative one with a later time. --header
// replaces a field after signing. --as goes on in the background, for  answer NAME.
func (s *stage) slackPost(ts *testscript.TestScript, args []string) error {
	var secret, method, host, user, as string
	var age, timeout time.Duration
	var without []string
	var headers []string
	flags := flag.NewFlagSet("slack-post", flag.ContinueOnError)
	flags.StringVar(&secret, "secret", "", "")
	flags.StringVar(&method, "method", http.MethodPost, "")
	flags.StringVar(&host, "host", "", "")
	flags.StringVar(&as, "as", "", "")
	flags.DurationVar(&age, "age", 0, "")
	flags.DurationVar(&timeout, "timeout", patience, "")
	flags.StringVar(&user, "user", "", "")
	flags.Func("without", "", func(name string) error { without = append(without, name); return nil })
	flags.Func("header", "", func(line string) error { headers = append(headers, line); return nil })
	if err := flags.Parse(args); err != nil || flags.NArg() < 1 || flags.NArg() > 2 {
		return fmt.Errorf("usage: slack-post [FLAGS] URL [FILE]: %v", err)
	}
	r, err := slackRequest(ts, method, flags.Arg(0), flags.Arg(1), secret, time.Now().Add(-age))
	if err != nil {
		return err
	}
	if host != "" {
		r.Host = host
	}
	if name, password, ok := strings.Cut(user, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	for _, name := range without {
		r.Header.Del(name)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	p := &post{done: make(chan struct{}), tls: s.tlsConfig("")}
	if as != "" {
		s.posts[as] = p
		s.then(func() { <-p.done })
		go p.send(r, timeout)
		return nil
	}
	p.send(r, timeout)
	return p.tell(ts)
}

// slackRequest makes a request like Slack's. Without a secret it is not signed.
func slackRequest(ts *testscript.TestScript, method, to, file, secret string, at time.Time) (*http.Request, error) {
	var body []byte
	if file != "" {
		body = []byte(strings.TrimSuffix(ts.ReadFile(file), "\n"))
	}
	r, err := http.NewRequest(method, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
	switch filepath.Ext(file) {
	case ".json":
		r.Header.Set("Content-Type", "application/json")
	case ".form":
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if secret != "" {
		timestamp := strconv.FormatInt(at.Unix(), 10)
		r.Header.Set("X-Slack-Request-Timestamp", timestamp)
		r.Header.Set("X-Slack-Signature", signature(secret, timestamp, body))
	}
	return r, nil
}

// dialHere dials this machine, whatever a public name says: what stands under localhost
// is here (RFC 6761), also where the resolver does not know it.
func dialHere(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

func (p *post) send(r *http.Request, timeout time.Duration) {
	defer close(p.done)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	transport := &http.Transport{DialContext: dialHere, TLSClientConfig: p.tls, DisableKeepAlives: true, DisableCompression: true}
	res, err := transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		p.err = err
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	var text strings.Builder
	fmt.Fprintln(&text, res.Status)
	p.err = errors.Join(err, res.Header.Write(&text))
	fmt.Fprintf(&text, "\n%s\n", body)
	p.text = strings.ReplaceAll(text.String(), "\r\n", "\n")
}

func (p *post) tell(ts *testscript.TestScript) error {
	_, err := io.WriteString(ts.Stdout(), p.text)
	return errors.Join(p.err, err)
}

// awaitAnswer is  answer NAME:  waits for the answer to what was posted under a name.
func (s *stage) awaitAnswer(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 || s.posts[args[0]] == nil {
		return errors.New("usage: answer NAME, of a slack-post --as NAME")
	}
	p := s.posts[args[0]]
	<-p.done
	return p.tell(ts)
}

// slowPost is a request of which a part was sent.
type slowPost struct {
	conn net.Conn
	rest []byte
}

// trickle is  trickle NAME SECRET URL FILE:  posts like Slack, but one byte at a time,
// and stops in the middle of the head.
func (s *stage) trickle(ts *testscript.TestScript, args []string) error {
	if len(args) != 4 {
		return errors.New("usage: trickle NAME SECRET URL FILE")
	}
	r, err := slackRequest(ts, http.MethodPost, args[2], args[3], args[1], time.Now())
	if err != nil {
		return err
	}
	r.Close = true
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		return err
	}
	conn, err := dialHere(context.Background(), "tcp", r.URL.Host)
	if err != nil {
		return err
	}
	s.then(func() { _ = conn.Close() })
	p := &slowPost{conn: conn, rest: wire.Bytes()}
	s.slow[args[0]] = p
	return p.bytewise(bytes.Index(p.rest, []byte("X-Slack-Signature")) + 30)
}

// bytewise sends n bytes, each by itself.
func (p *slowPost) bytewise(n int) error {
	for range n {
		if _, err := p.conn.Write(p.rest[:1]); err != nil {
			return err
		}
		p.rest = p.rest[1:]
	}
	return nil
}

// trickleEnd is  trickle-end NAME:  sends the rest, one byte at a time, and prints the answer.
func (s *stage) trickleEnd(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 || s.slow[args[0]] == nil {
		return errors.New("usage: trickle-end NAME")
	}
	p := s.slow[args[0]]
	if err := p.bytewise(len(p.rest)); err != nil {
		return err
	}
	return printAnswer(ts, p.conn)
}

// printAnswer reads an answer to the end of the connection.
func printAnswer(ts *testscript.TestScript, conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	_, failed := fmt.Fprintf(ts.Stdout(), "%s\n%s\n", res.Status, body)
	return errors.Join(err, failed)
}

// floodHeaders is  flood-headers URL:  sends a request with 10 MB of header fields, and
// prints the answer.
func (*stage) floodHeaders(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: flood-headers URL")
	}
	to, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	conn, err := dialHere(context.Background(), "tcp", to.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	wrote := make(chan struct{})
	go func() { // it ends with the connection, which is closed below
		defer close(wrote)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n", to.Path, to.Host)
		field := []byte("X-Flood: " + strings.Repeat("a", 1000) + "\r\n")
		for range 10_000 {
			if _, err := conn.Write(field); err != nil {
				return // refused, as it should be
			}
		}
		_, _ = io.WriteString(conn, "\r\n")
	}()
	err = printAnswer(ts, conn)
	_ = conn.Close()
	<-wrote
	return err
}
