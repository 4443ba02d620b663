//go:build unix

package main

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
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
// what is not freshly signed with the secret; --hold answers when app-release is called;
// with --socket NAME is unix: and the file's path; with --tls NAME.pem is the certificate,
// for localhost, which nobody else has signed.
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
	socket := flags.String("socket", "", "")
	secure := flags.Bool("tls", false, "")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return fmt.Errorf("app: %v: %q", err, args)
	}
	var l net.Listener
	var err error
	if *socket != "" {
		l, err = net.Listen("unix", ts.MkAbs(*socket))
	} else {
		l, err = s.listenAt(*at)
	}
	if err != nil {
		return err
	}
	address := "http://" + l.Addr().String()
	if *secure {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		address = "https://localhost:" + port
		if l, err = withCertificate(l, ts.MkAbs(name+".pem")); err != nil {
			return err
		}
	}
	server := &http.Server{Handler: a, ErrorLog: log.New(io.Discard, "", 0)} // refused handshakes
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	s.then(func() {
		_ = server.Close()
		serving.Wait()
	})
	s.apps[name] = a
	switch listens := l.Addr().(type) {
	case *net.TCPAddr:
		ts.Setenv(strings.ToUpper(name)+"_PORT", strconv.Itoa(listens.Port))
	default:
		address = "unix:" + listens.String()
	}
	ts.Setenv(strings.ToUpper(name), address)
	return nil
}

// withCertificate lets a listener speak TLS, with a certificate for localhost that it
// has signed itself and writes into a file.
func withCertificate(l net.Listener, file string) (net.Listener, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, public, key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}), nil
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
