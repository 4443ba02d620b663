package sshtunnel

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// benchPair is one connection through a real SSH pair over loopback TCP.
func benchPair(b *testing.B) (*Conn, ssh.Channel) {
	s := newFakeServer(b)
	p := providerFor(b, s, Profile{Announce: Announce{Forward: true}, Bind: "x", BindPort: 80}, s.listen())
	t, sc := openTunnel(b, s, p)
	return connect(b, t, sc)
}

// barePair is the same without a Conn: what x/crypto/ssh alone takes.
func barePair(b *testing.B) (near, far ssh.Channel) {
	s := newFakeServer(b)
	p := providerFor(b, s, Profile{}, s.listen())
	c, err := net.Dial("tcp", p.Profile.addr())
	if err != nil {
		b.Fatal(err)
	}
	l := newLink(c)
	b.Cleanup(func() { _ = l.Close() })
	ctx, clock, cancel := newStopwatch(b.Context(), time.Minute, time.Minute)
	b.Cleanup(cancel)
	in, err := p.login(ctx, l, newTranscript(Announce{}), clock, nil)
	if err != nil {
		b.Fatal(err)
	}
	go ssh.DiscardRequests(in.reqs) // ends with the link
	accepted := make(chan ssh.Channel)
	go func() {
		ch, reqs, err := (<-in.chans).Accept()
		if err != nil {
			b.Error(err)
		}
		go ssh.DiscardRequests(reqs)
		accepted <- ch
	}()
	far = (<-s.joined).open(b, forwardedFrom("192.0.2.7"))
	return <-accepted, far
}

// BenchmarkConnSmall is one small request and its answer, ping-pong: over the Conn,
// and over the bare channel that it wraps.
func BenchmarkConnSmall(b *testing.B) {
	const size = 700
	pingPong := func(b *testing.B, near io.ReadWriter, far io.ReadWriter) {
		go func() { // the app: echoes; ends with the channel
			buf := make([]byte, size)
			for {
				if _, err := io.ReadFull(near, buf); err != nil {
					return
				}
				if _, err := near.Write(buf); err != nil {
					return
				}
			}
		}()
		send, got := bytes.Repeat([]byte("x"), size), make([]byte, size)
		b.ReportAllocs()
		for n := byte(0); b.Loop(); n++ {
			send[0] = n
			if _, err := far.Write(send); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(far, got); err != nil || got[0] != n {
				b.Fatalf("echo %d of %d: %v", got[0], n, err)
			}
		}
	}
	b.Run("conn", func(b *testing.B) {
		near, far := benchPair(b)
		pingPong(b, near, far)
	})
	b.Run("channel", func(b *testing.B) {
		near, far := barePair(b)
		pingPong(b, near, far)
	})
}

// BenchmarkConnThroughput moves bytes each way in the pieces that io.Copy uses.
func BenchmarkConnThroughput(b *testing.B) {
	const piece = 32 << 10
	move := func(b *testing.B, w io.Writer, r io.Reader) {
		b.SetBytes(piece)
		b.ReportAllocs()
		done := make(chan int64, 1)
		go func() {
			n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, piece))
			done <- n
		}()
		buf, want := make([]byte, piece), int64(0)
		for b.Loop() {
			n, err := w.Write(buf)
			if err != nil {
				b.Fatal(err)
			}
			want += int64(n)
		}
		if half, ok := w.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
			b.Fatal("no half-close")
		}
		if got := <-done; got != want {
			b.Fatalf("%d bytes arrived of %d", got, want)
		}
	}
	b.Run("in", func(b *testing.B) {
		near, far := benchPair(b)
		move(b, far, near)
	})
	b.Run("in bare", func(b *testing.B) {
		near, far := barePair(b)
		move(b, far, near)
	})
	b.Run("out", func(b *testing.B) {
		near, far := benchPair(b)
		move(b, near, far)
	})
	b.Run("out bare", func(b *testing.B) {
		near, far := barePair(b)
		move(b, near, far)
	})
}

// BenchmarkHTTP is a request on a connection that is kept alive, served in-process.
func BenchmarkHTTP(b *testing.B) {
	s := newFakeServer(b)
	p := providerFor(b, s, Profile{Announce: Announce{Forward: true}, Bind: "x", BindPort: 80}, s.listen())
	t, sc := openTunnel(b, s, p)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})}
	go func() { _ = srv.Serve(t) }()
	b.Cleanup(func() { _ = srv.Close() })
	far := sc.open(b, forwardedFrom("192.0.2.7"))
	body := bytes.Repeat([]byte("x"), 700)
	r := bufio.NewReader(far)
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequest("POST", "http://x/", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		if err := req.Write(far); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != int64(len(body)) || err != nil {
			b.Fatalf("echo of %d bytes: %v", n, err)
		}
	}
}

var _ net.Listener = (*Tunnel)(nil)
