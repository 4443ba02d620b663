package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	headStart    = 1500 * time.Millisecond // of an address before the next one
	greetTimeout = 5 * time.Second         // for a server that shall speak first
	maxGreeting  = 4 << 10                 // bytes before the line that begins with SSH-
)

// First connects to the first of several addresses behind which an SSH server shows
// itself, and gives that address. Each has a head start of 1.5 s before the next one
// is tried as well; one that fails gives it away. Those that lose are closed before
// First returns. With one address it only dials: to wait for the server's first line
// costs a round trip.
//
// Its error is that of the first address, with those of the others that say
// something else.
func First(ctx context.Context, dial Func, network string, addrs ...string) (net.Conn, string, error) {
	if len(addrs) == 1 {
		conn, err := dial(ctx, network, addrs[0])
		return conn, addrs[0], err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &race{network: network, addrs: addrs, dial: dial, ends: make(chan finish, len(addrs))}
	won, err := r.run(ctx)
	cancel()
	r.runners.Wait()
	close(r.ends)
	for late := range r.ends {
		if late.err == nil {
			_ = late.conn.Close() // it lost by a hair
		}
	}
	if err != nil {
		return nil, "", err
	}
	return won.conn, addrs[won.index], nil
}

// race is one call of First.
type race struct {
	network string
	addrs   []string
	dial    Func
	runners sync.WaitGroup
	started int
	ends    chan finish // with room for all
}

// finish is how it went with one address.
type finish struct {
	index int
	conn  net.Conn
	err   error
}

func (r *race) run(ctx context.Context) (won finish, err error) {
	errs := make([]error, len(r.addrs))
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	r.next(ctx)
	for ended := 0; ended < r.started; {
		select {
		case f := <-r.ends:
			if f.err == nil {
				return f, nil
			}
			errs[f.index] = f.err
			ended++
		case <-timer.C:
		}
		if r.next(ctx) {
			timer.Reset(headStart)
		}
	}
	return finish{}, failures(errs)
}

// next starts the next address, if there is one.
func (r *race) next(ctx context.Context) bool {
	if r.started == len(r.addrs) {
		return false
	}
	index := r.started
	r.started++
	r.runners.Go(func() {
		conn, err := r.dial(ctx, r.network, r.addrs[index])
		if err == nil {
			conn, err = greeted(ctx, conn, walk{Greet, r.addrs[index], greetTimeout, nil})
		}
		r.ends <- finish{index, conn, err}
	})
	return true
}

// failures is what went wrong with several addresses, the first one first.
type failures []error

// Error has them in one line, each text once.
func (f failures) Error() string {
	all := f[0].Error()
	for _, err := range f[1:] {
		if text := err.Error(); !strings.Contains(all, text) {
			all += "; " + text
		}
	}
	return all
}

// Unwrap gives all of them.
func (f failures) Unwrap() []error { return f }

// Refusal gives the *Error in err if trying again without a change will not help, and
// nil otherwise: of several addresses, none may be worth another try.
func Refusal(err error) *Error {
	var several failures
	if errors.As(err, &several) {
		for _, one := range several {
			if Refusal(one) == nil {
				return nil
			}
		}
	}
	var e *Error
	if errors.As(err, &e) && e.Refused {
		return e
	}
	return nil
}

// greeted is the step that waits until the server at the other end of conn has begun
// to speak SSH. Whoever reads what it gives reads that again.
func greeted(ctx context.Context, conn net.Conn, w walk) (net.Conn, error) {
	var said []byte
	err := w.with(ctx, conn, func(context.Context) (err error) {
		said, err = readGreeting(conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	return withRest(conn, said), nil
}

// readGreeting reads until a line begins with SSH-, before which RFC 4253 allows
// others. It gives all that it read.
func readGreeting(r io.Reader) ([]byte, error) {
	buf := make([]byte, 0, maxGreeting)
	for {
		if bytes.HasPrefix(buf, []byte("SSH-")) || bytes.Contains(buf, []byte("\nSSH-")) {
			return buf, nil
		}
		if len(buf) == cap(buf) {
			return nil, noSSH(buf)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == nil || n > 0:
		case err == io.EOF && len(buf) == 0:
			return nil, errors.New("it hangs up without a word")
		case err == io.EOF:
			return nil, noSSH(buf)
		default:
			return nil, err
		}
	}
}

// noSSH repeats the beginning of what was said in place of SSH.
func noSSH(said []byte) error {
	line, _, _ := bytes.Cut(said, []byte("\n"))
	if text := clean(string(line), 60); text != "" {
		return fmt.Errorf("it says %q", text)
	}
	return errors.New("it says something else")
}
