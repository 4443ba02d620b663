//go:build unix

package relay

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// command is a request of the size that Slack's have.
var command = post("app", strings.Repeat("text=add+milk&", 50))

// BenchmarkFront measures the whole way from the public to an http.Server behind a
// tunnel and back, everything in this process: the relay, with its channels kept
// and with a channel for each request, and a ReverseProxy over the same SSH.
func BenchmarkFront(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("relay/conns=%d", conns), func(b *testing.B) {
			w := start(b, nil)
			w.up("app", http.HandlerFunc(count))
			load(b, w.http, conns)
		})
		b.Run(fmt.Sprintf("relay-with-ids/conns=%d", conns), func(b *testing.B) {
			w := start(b, nil)
			f := w.upHello(newSigner(b), "app", "i")
			srv := &http.Server{Handler: http.HandlerFunc(count)}
			var serving sync.WaitGroup
			serving.Go(func() { srv.Serve(f) })
			b.Cleanup(func() { f.end(); serving.Wait(); srv.Close() })
			load(b, w.http, conns)
		})
		b.Run(fmt.Sprintf("channel-per-request/conns=%d", conns), func(b *testing.B) {
			w := start(b, nil)
			w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close")
				count(w, r)
			}))
			load(b, w.http, conns)
		})
		b.Run(fmt.Sprintf("reverseproxy/conns=%d", conns), func(b *testing.B) {
			load(b, reverseProxy(b), conns)
		})
	}
}

// load sends b.N commands over so many connections, and checks the answers.
func load(b *testing.B, addr string, conns int) {
	want := fmt.Sprint(len(command) - strings.Index(command, "\r\n\r\n") - 4)
	var ready, all sync.WaitGroup
	begin := make(chan struct{})
	turns := make(chan struct{}, 1024)
	for range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		r := bufio.NewReader(c)
		ready.Add(1)
		all.Go(func() {
			roundTrip(b, c, r, want) // warm
			ready.Done()
			<-begin
			for range turns {
				if !roundTrip(b, c, r, want) {
					return
				}
			}
		})
	}
	ready.Wait()
	b.ReportAllocs()
	before := cpu()
	b.ResetTimer()
	close(begin)
	for range b.N {
		turns <- struct{}{}
	}
	close(turns)
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func roundTrip(b *testing.B, c net.Conn, r *bufio.Reader, want string) bool {
	if _, err := io.WriteString(c, command); err != nil {
		b.Error(err)
		return false
	}
	var last []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			b.Error(err)
			return false
		}
		if len(line) == 2 {
			break
		}
		if last == nil && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			b.Errorf("got %q", line)
			return false
		}
		last = line
	}
	body, err := r.Peek(len(want))
	if err != nil || string(body) != want {
		b.Errorf("got %q, %v, want %q", body, err, want)
		return false
	}
	r.Discard(len(want))
	return true
}

// cpu is the time that this process has had.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reverseProxy is a front as the standard library has it, on a forward of its own,
// with as many idle channels as there are requests.
func reverseProxy(b *testing.B) (addr string) {
	s, err := (&Relay{Domain: "localhost", HostKey: newSigner(b)}).server(&net.TCPAddr{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	l := listen(b)
	logged := make(chan *ssh.ServerConn, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		conn, channels, requests, err := ssh.NewServerConn(nc, s.config)
		if err != nil {
			b.Error(err)
			return
		}
		go func() {
			for range channels {
			}
		}()
		go func() {
			for r := range requests {
				r.Reply(true, nil)
			}
		}()
		logged <- conn
	}()
	w := &world{t: b, relay: s.Relay, ssh: l.Addr().String()}
	w.up("app", http.HandlerFunc(count))
	conn := <-logged
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "app"})
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 1000, DisableCompression: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				ch, requests, err := conn.OpenChannel("forwarded-tcpip", ssh.Marshal(wire.ForwardedOpen{Addr: "app", Port: 80, OriginAddr: "127.0.0.1", OriginPort: 1}))
				if err != nil {
					return nil, err
				}
				go ssh.DiscardRequests(requests)
				return bareConn{ch}, nil
			},
		},
	}
	front := listen(b)
	srv := &http.Server{Handler: proxy}
	served := make(chan struct{})
	go func() { srv.Serve(front); close(served) }()
	b.Cleanup(func() { srv.Close(); <-served; l.Close() })
	return front.Addr().String()
}

// bareConn is a channel as the net.Conn that http.Transport needs.
type bareConn struct{ ssh.Channel }

func (bareConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (bareConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (bareConn) SetDeadline(time.Time) error      { return nil }
func (bareConn) SetReadDeadline(time.Time) error  { return nil }
func (bareConn) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkThroughput passes large bodies, one way at a time.
func BenchmarkThroughput(b *testing.B) {
	const size = 256 << 20
	w := start(b, nil)
	w.up("app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Got", fmt.Sprint(n))
		if r.Method == "GET" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
			block := make([]byte, 64<<10)
			for range size / len(block) {
				w.Write(block)
			}
		}
	}))
	for _, tc := range []struct {
		way, method string
		up, down    int64
	}{{"upload", "POST", size, 0}, {"download", "GET", 0, size}} {
		b.Run(tc.way, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				v := w.visit("")
				v.SetDeadline(time.Now().Add(time.Minute))
				var sending sync.WaitGroup
				sending.Go(func() {
					fmt.Fprintf(v.TCPConn, "%s / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: %d\r\n\r\n", tc.method, tc.up)
					block := make([]byte, 64<<10)
					for n := int64(0); n < tc.up; n += int64(len(block)) {
						v.TCPConn.Write(block)
					}
				})
				resp, err := http.ReadResponse(bufio.NewReaderSize(v.TCPConn, 64<<10), nil)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				if sending.Wait(); err != nil || n != tc.down || resp.Header.Get("Got") != fmt.Sprint(tc.up) {
					b.Fatalf("got %d, %v, %v", n, err, resp.Header)
				}
				v.Close()
			}
		})
	}
}

// BenchmarkHead measures what reading and rewriting a head costs.
func BenchmarkHead(b *testing.B) {
	raw := []byte("POST /slack/commands HTTP/1.1\r\nHost: app.localhost\r\nUser-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\n" +
		"Accept-Encoding: gzip,deflate\r\nAccept: application/json,*/*\r\nX-Slack-Signature: v0=" + strings.Repeat("a", 64) +
		"\r\nX-Slack-Request-Timestamp: 1531420618\r\nContent-Length: 700\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n")
	var q request
	var out []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		var scan headScan
		n, err := scan.end(raw)
		if err == nil {
			err = q.parse(raw[:n])
		}
		if out = q.appendTo(out[:0], "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: "); err != nil || len(out) < len(raw) {
			b.Fatal(err)
		}
	}
}
