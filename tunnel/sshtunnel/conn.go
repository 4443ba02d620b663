package sshtunnel

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// linger is how long a closed connection goes on sending what was written to it.
const linger = 10 * time.Second

// ErrLost is what a Conn's calls fail with when its tunnel is gone: what came so
// far is not the whole.
var ErrLost = errors.New("tunnel lost")

// errPeerClosed is what a write fails with when the peer has closed.
var errPeerClosed = errors.New("connection closed by its peer")

// Conn is a connection that came through a tunnel: a net.Conn over an SSH channel,
// which itself has no deadlines. Two pumps move bytes between the channel and two
// bounded halves; a reader who is slow fills its half, then the channel's window,
// and so slows the peer alone.
//
// As with TCP, Write returns when the bytes are buffered, Close sends what was
// written (for at most ten seconds, in the background), and a CloseWrite is seen by
// the peer as the end of the stream while it can still send.
type Conn struct {
	ch            ssh.Channel
	in, out       *half
	local, remote net.Addr
	token         string        // see Token
	lost          func() error  // why the tunnel is gone; nil while it is there
	sent          chan struct{} // closed when nothing more will be sent

	mu     sync.Mutex  // guards what follows
	closed bool        // by Close
	ended  bool        // the pumps have
	linger *time.Timer // from Close until then
}

var _ net.Conn = (*Conn)(nil)

// newConn makes the connection; serve makes it move.
func newConn(ch ssh.Channel, local, remote net.Addr, lost func() error) *Conn {
	return &Conn{
		ch: ch, in: newHalf(), out: newHalf(),
		local: local, remote: remote, lost: lost, sent: make(chan struct{}),
	}
}

// serve pumps until the connection is closed by both sides, or aborted.
func (c *Conn) serve(reqs <-chan *ssh.Request) {
	var pumps sync.WaitGroup
	pumps.Go(c.pumpIn)
	pumps.Go(c.pumpOut)
	ssh.DiscardRequests(reqs) // ends when the channel does
	c.out.breakOff(c.reason(errPeerClosed))
	pumps.Wait()
	c.in.forget()
	c.out.forget()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.linger != nil {
		c.linger.Stop()
	}
}

// reason is err, unless the tunnel is lost: that ends its channels as their peers
// would, and only the tunnel knows that it is not the end of a stream.
func (c *Conn) reason(err error) error {
	if lost := c.lost(); lost != nil {
		return lost
	}
	return err
}

// pumpIn moves bytes from the channel to the reader.
func (c *Conn) pumpIn() {
	for {
		p := c.in.lend()
		if p == nil {
			return
		}
		n, err := c.ch.Read(p)
		c.in.filled(n, len(p))
		if err != nil {
			c.in.seal(c.reason(err))
			return
		}
	}
}

// pumpOut moves bytes from the writer to the channel, then its end, then its close.
func (c *Conn) pumpOut() {
	defer close(c.sent)
	for {
		p, err := c.out.peek()
		if err == io.EOF {
			if c.ch.CloseWrite() == nil {
				c.out.awaitClose()
			}
			break
		}
		if err != nil {
			break
		}
		n, err := c.ch.Write(p)
		c.out.taken(n)
		if err != nil {
			c.out.breakOff(c.reason(errPeerClosed))
			break
		}
	}
	_ = c.ch.Close() // an error says that it is closed already
}

// abort ends the connection at once, because its tunnel is gone.
func (c *Conn) abort(err error) {
	c.in.seal(err)
	c.out.breakOff(err)
}

// Read reads from the peer. It returns io.EOF at the end of the stream, an error
// that says so when the tunnel was lost before it, os.ErrDeadlineExceeded or
// net.ErrClosed.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

// Write buffers p for the peer, waiting for room.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// CloseWrite ends the outgoing half: the peer reads the end of the stream after
// what was written.
func (c *Conn) CloseWrite() error {
	c.out.seal(io.EOF)
	return nil
}

// Close ends both halves. What was written is still sent.
func (c *Conn) Close() error {
	c.in.stopReading(net.ErrClosed)
	c.out.seal(net.ErrClosed)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && !c.ended {
		c.linger = time.AfterFunc(linger, c.giveUp)
	}
	c.closed = true
	return nil
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// giveUp ends the sending of what a closed connection still has: closing the
// channel is what frees a pump that waits for its window.
func (c *Conn) giveUp() {
	c.out.breakOff(net.ErrClosed)
	_ = c.ch.Close() // an error says that it is closed already
}

// LocalAddr is the tunnel's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the public peer's address, as the server tells it.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(t)
	c.out.setDeadline(t)
	return nil
}

// SetReadDeadline makes Read fail after t, also one that waits already.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

// SetWriteDeadline makes Write fail after t, also one that waits already. What it
// has buffered is still sent.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(t)
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "ssh", Source: c.local, Addr: c.remote, Err: err}
}
