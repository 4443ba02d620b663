//go:build unix

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// reserved is a port that is bound and on which nobody listens: connections are
// refused, and nobody else can get it.
type reserved struct {
	fd   int
	port int
}

// reservePort is  port NAME:  NAME_PORT is a port on which nobody listens, until an app
// is started there (app … --at NAME).
func (s *stage) reservePort(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: port NAME")
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	r := &reserved{fd: fd}
	s.then(r.release)
	syscall.CloseOnExec(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return err
	}
	r.port = bound.(*syscall.SockaddrInet4).Port
	s.ports[args[0]] = r
	ts.Setenv(strings.ToUpper(args[0])+"_PORT", strconv.Itoa(r.port))
	return nil
}

func (r *reserved) release() {
	if r.fd >= 0 {
		_ = syscall.Close(r.fd)
	}
	r.fd = -1
}

// listen makes the port one on which somebody listens.
func (r *reserved) listen() (net.Listener, error) {
	defer r.release()
	if err := syscall.Listen(r.fd, 128); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(r.fd), "port")
	r.fd = -1
	defer f.Close()
	return net.FileListener(f)
}

// scriptApp is a Slack app as scripts need one: it remembers what it got, and does
// what its flags say.
type scriptApp struct {
	slow     time.Duration
	status   int
	answer   string
	echo     bool
	dies     string // "", at once, or mid-answer
	redirect string
	verify   string
	hold     bool
	released chan struct{}

	mu    sync.Mutex // guards the rest
	got   []receivedRequest
	grown chan struct{}
}

type receivedRequest struct {
	head *http.Request
	body []byte
}

// startApp is
//
//	app NAME [--slow 3.2s] [--status 500] [--answer TEXT] [--echo] [--die at-once|mid-answer]
//	         [--redirect URL] [--verify SECRET] [--hold] [--at PORT-NAME]
//
// NAME and NAME_PORT, in capitals, are its URL and its port. --verify answers 401 to
// what is not freshly signed with the secret; --hold answers when app-release is called.
func (s *stage) startApp(ts *testscript.TestScript, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: app NAME [FLAGS]")
	}
	name := args[0]
	a := &scriptApp{grown: make(chan struct{}), released: make(chan struct{})}
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	flags.DurationVar(&a.slow, "slow", 0, "")
	flags.IntVar(&a.status, "status", 200, "")
	flags.StringVar(&a.answer, "answer", "", "")
	flags.BoolVar(&a.echo, "echo", false, "")
	flags.StringVar(&a.dies, "die", "", "")
	flags.StringVar(&a.redirect, "redirect", "", "")
	flags.StringVar(&a.verify, "verify", "", "")
	flags.BoolVar(&a.hold, "hold", false, "")
	at := flags.String("at", "", "")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return fmt.Errorf("app: %v: %q", err, args)
	}
	l, err := s.listenAt(*at)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: a}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	s.then(func() {
		_ = server.Close()
		serving.Wait()
	})
	s.apps[name] = a
	ts.Setenv(strings.ToUpper(name), "http://"+l.Addr().String())
	ts.Setenv(strings.ToUpper(name)+"_PORT", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	return nil
}

func (s *stage) listenAt(port string) (net.Listener, error) {
	if port == "" {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	r := s.ports[port]
	if r == nil || r.fd < 0 {
		return nil, fmt.Errorf("no port called %s is free", port)
	}
	return r.listen()
}

// ServeHTTP remembers a request and answers it.
func (a *scriptApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender broke off
	}
	a.mu.Lock()
	a.got = append(a.got, receivedRequest{r, body})
	close(a.grown)
	a.grown = make(chan struct{})
	a.mu.Unlock()

	if a.slow > 0 {
		select {
		case <-time.After(a.slow):
		case <-r.Context().Done():
		}
	}
	if a.hold {
		select {
		case <-a.released:
		case <-r.Context().Done():
		}
	}
	switch {
	case a.dies == "at-once":
		panic(http.ErrAbortHandler)
	case a.dies == "mid-answer":
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case a.redirect != "":
		http.Redirect(w, r, a.redirect, http.StatusFound)
	case a.verify != "" && !signedWith(a.verify, r.Header, body):
		http.Error(w, "not from Slack", http.StatusUnauthorized)
	case a.echo:
		_, _ = w.Write(body)
	default:
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.answer)
	}
}

// signedWith checks a signature as Slack's documents say it is made
// (docs.slack.dev/authentication/verifying-requests-from-slack), and not as slackdev
// does, so that the two cannot share a mistake.
func signedWith(secret string, h http.Header, body []byte) bool {
	seconds, err := strconv.ParseInt(h.Get("X-Slack-Request-Timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	return hmac.Equal([]byte(signature(secret, h.Get("X-Slack-Request-Timestamp"), body)), []byte(h.Get("X-Slack-Signature")))
}

func signature(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "v0:%s:%s", timestamp, body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

func (s *stage) app(name string) (*scriptApp, error) {
	a := s.apps[name]
	if a == nil {
		return nil, fmt.Errorf("there is no app called %s", name)
	}
	return a, nil
}

// appSaw is  app-saw NAME N:  the app has got N requests, or gets them now, and no more.
func (s *stage) appSaw(_ *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: app-saw NAME N")
	}
	a, err := s.app(args[0])
	if err != nil {
		return err
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := patiently()
	defer cancel()
	for {
		a.mu.Lock()
		got, grown := len(a.got), a.grown
		a.mu.Unlock()
		switch {
		case got == want:
			return nil
		case got > want:
			return fmt.Errorf("it saw %d requests, want %d", got, want)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("it saw %d requests, want %d", got, want)
		}
	}
}

// appRequest is  app-request NAME FILE:  writes the last request that the app got, head
// (sorted, the request line first) and body.
func (s *stage) appRequest(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: app-request NAME FILE")
	}
	a, err := s.app(args[0])
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.got) == 0 {
		return errors.New("it saw no request")
	}
	last := a.got[len(a.got)-1]
	var text strings.Builder
	target := last.head.URL
	if target.Opaque != "" {
		target = &url.URL{Path: target.Opaque}
	}
	fmt.Fprintf(&text, "%s %s\nHost: %s\n", last.head.Method, target.RequestURI(), last.head.Host)
	for _, key := range slices.Sorted(maps.Keys(last.head.Header)) {
		for _, value := range last.head.Header[key] {
			fmt.Fprintf(&text, "%s: %s\n", key, value)
		}
	}
	fmt.Fprintf(&text, "\n%s", last.body)
	return os.WriteFile(ts.MkAbs(args[1]), []byte(text.String()), 0o600)
}

// appRelease is  app-release NAME:  an app that holds its answers gives them.
func (s *stage) appRelease(_ *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: app-release NAME")
	}
	a, err := s.app(args[0])
	if err != nil {
		return err
	}
	close(a.released)
	return nil
}
