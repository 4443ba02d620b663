package sshtunnel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/relay"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
)

// startRelay runs our own relay on loopback until the test ends, and gives a
// provider for it that asks for the name.
func startRelay(t testing.TB, name string) *sshtunnel.Provider {
	t.Helper()
	dir := t.TempDir()
	host, err := sshtunnel.OwnKey(filepath.Join(dir, "host"))
	if err != nil {
		t.Fatal(err)
	}
	sshLn, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	httpLn, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := (&relay.Relay{Domain: "localhost", HostKey: host}).Run(ctx, relay.Listeners{SSH: sshLn, HTTP: httpLn}); err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); run.Wait() })
	return &sshtunnel.Provider{
		Profile: sshtunnel.Relay("embedded", "127.0.0.1", sshLn.Addr().(*net.TCPAddr).Port, name),
		Keys:    sshtunnel.Keys{Own: filepath.Join(dir, "home", "id_ed25519")},
		Hosts:   sshtunnel.Hosts{Pinned: host.PublicKey()},
	}
}

func TestRelayKeepsTheContract(t *testing.T) {
	for _, name := range []string{"ana", ""} {
		t.Run("name "+name, func(t *testing.T) {
			tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture {
				return tunneltest.Fixture{Provider: startRelay(t, name)}
			})
		})
	}
}

func TestRelayRefusesAForeignName(t *testing.T) {
	first := startRelay(t, "ana")
	tun, err := first.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	second := &sshtunnel.Provider{Profile: first.Profile, Hosts: first.Hosts, Keys: sshtunnel.Keys{Own: filepath.Join(t.TempDir(), "key")}}
	_, err = second.Open(t.Context())
	refused := (*tunnel.RefusedError)(nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "it says: ") || !strings.Contains(err.Error(), "ana") {
		t.Errorf("got %v, want a refusal with the relay's words", err)
	}
}

// What comes after a name was taken back waits for whoever asks for it next, and what is
// under way is finished.
func TestRelayKeepsWhatComesForTheNextTunnel(t *testing.T) {
	p := startRelay(t, "ana")
	open := func() *sshtunnel.Tunnel {
		tun, err := p.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tun.Close() })
		return tun.(*sshtunnel.Tunnel)
	}
	asked := make(chan string, 2)
	answer := make(chan struct{})
	serve := func(tun *sshtunnel.Tunnel, text string) {
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- r.URL.Path
			<-answer
			_, _ = io.WriteString(w, text)
		})}
		t.Cleanup(func() { _ = srv.Close() })
		go func() { _ = srv.Serve(tun) }()
	}
	first := open()
	serve(first, "first")
	got := make(chan string, 2)
	visit := func(path string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:"+first.URL().Port()+path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		r.Host = first.URL().Host
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		got <- path + " " + string(text)
	}
	go visit("/1")
	<-asked
	if err := first.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	go visit("/2")
	serve(open(), "second")
	if path := <-asked; path != "/2" {
		t.Errorf("the next tunnel is asked for %s", path)
	}
	close(answer)
	all := []string{<-got, <-got}
	slices.Sort(all)
	if want := []string{"/1 first", "/2 second"}; !slices.Equal(all, want) {
		t.Errorf("got %q, want %q", all, want)
	}
}

// BenchmarkRelayOpen is a whole Open through the embedded relay, to the URL.
func BenchmarkRelayOpen(b *testing.B) {
	p := startRelay(b, "ana")
	for b.Loop() {
		tun, err := p.Open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if got := tun.URL().Hostname(); got != "ana.localhost" {
			b.Fatal(got)
		}
		if err := tun.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRelayDownload is 64 MiB through the relay's front, the SSH pair and the
// Conn, all in this process.
func BenchmarkRelayDownload(b *testing.B) {
	const size = 64 << 20
	p := startRelay(b, "ana")
	tun, err := p.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer tun.Close()
	piece := bytes.Repeat([]byte("x"), 32<<10)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
				w.WriteHeader(http.StatusBadRequest)
			}
			return
		}
		for range size / len(piece) {
			_, _ = w.Write(piece)
		}
	})}
	go func() { _ = srv.Serve(tun) }()
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+tun.URL().Port())
	}}}
	defer client.CloseIdleConnections()
	b.Run("down", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			resp, err := client.Get(tun.URL().String())
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 64<<10))
			_ = resp.Body.Close()
			if n != size || err != nil {
				b.Fatalf("%d bytes, %v", n, err)
			}
		}
	})
	b.Run("up", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			resp, err := client.Post(tun.URL().String(), "application/octet-stream", io.LimitReader(zeros{}, size))
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Fatal(resp, err)
			}
			_ = resp.Body.Close()
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
