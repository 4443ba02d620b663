package relay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A client offers another's public key first, cannot sign with it, and then logs in
// with its own: it is known by its own (CVE-2024-45337).
func TestAKeyThatWasOnlyOfferedGivesNothing(t *testing.T) {
	dir := t.TempDir()
	thief := makeKey(t, dir, "thief", "")
	owners := makeKey(t, dir, "owner", "a passphrase that the thief does not know")
	pub, err := os.ReadFile(owners + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	owner, _, _, _, err := ssh.ParseAuthorizedKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 16)
	w := start(t, func(r *Relay) {
		r.Allow = func(k ssh.PublicKey) bool { asked <- ssh.FingerprintSHA256(k); return true }
	})

	_, port, _ := net.SplitHostPort(w.ssh)
	out, err := exec.Command("ssh", "-F", "none", "-N", "-i", owners, "-i", thief, "-p", port, "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile="+filepath.Join(dir, "known"), "-o", "IdentityAgent=none",
		"-o", "ExitOnForwardFailure=yes", "-R", "www:80:localhost:1", "x@127.0.0.1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "remote port forwarding failed") {
		t.Fatalf("got %v: %s", err, out)
	}
	var last string
	offered := false
	for len(asked) > 0 {
		last = <-asked
		offered = offered || last == ssh.FingerprintSHA256(owner)
	}
	if !offered || last == ssh.FingerprintSHA256(owner) {
		t.Errorf("the owner's key was offered: %v; the forward was checked for %s", offered, last)
	}
}

// makeKey makes a key pair for the OpenSSH client, and skips the test without one.
func makeKey(t *testing.T, dir, name, passphrase string) string {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("there is no ssh")
	}
	key := filepath.Join(dir, name)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return key
}

// TestThePlainSSHClientWorks runs the OpenSSH client as its users do.
func TestThePlainSSHClientWorks(t *testing.T) {
	dir := t.TempDir()
	key := makeKey(t, dir, "key", "")
	w := start(t, nil)
	w.up("taken", nil)
	app := listen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := app.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				echoOn(c)
			})
		}
	})
	defer serving.Wait()
	defer app.Close()
	host, port, _ := net.SplitHostPort(w.ssh)
	_, httpPort, _ := net.SplitHostPort(w.http)
	to := ":" + strings.Replace(app.Addr().String(), "127.0.0.1", "localhost", 1)
	ctx := t.Context()
	cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-T", "-i", key, "-p", port,
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile="+filepath.Join(dir, "known"), "-o", "IdentityAgent=none",
		"-R", "myname:80"+to, "-R", "0"+to, "-R", "taken:80"+to, "x@"+host)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &lines{seen: make(chan string, 100)}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"URL: http://myname.localhost:" + httpPort:          true,
		"error: the name taken belongs to another key":      true,
		"Allocated port 80 for remote forward to localhost": true,
		"remote port forwarding failed for listen port 80":  true,
		"-": true, // of the name that is made up
	}
	for len(want) > 0 {
		select {
		case line := <-out.seen:
			for w := range want {
				if strings.Contains(line, w) && (w != "-" || strings.HasPrefix(line, "URL:")) {
					delete(want, w)
				}
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("ssh never says %v", want)
		}
	}
	for range 3 {
		// The app closes unannounced after its second answer: a POST may be lost to that.
		v := w.visit(strings.Replace(post("myname", "hello"), "POST", "PUT", 1))
		if resp, body := v.answer("PUT"); resp.StatusCode != 200 || body != "hello" {
			t.Errorf("got %s %q", resp.Status, body)
		}
		v.Close()
	}
	app.Close() // an app that is down
	for {
		resp, _ := w.visit(get("myname", "/")).answer("GET")
		if resp.StatusCode == 502 && resp.Header.Get("X-Slackdev-Relay") == codeNoApp {
			break
		}
	}
	io.WriteString(in, "\x03")
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// echoOn answers each request on c with its body, and closes after the second.
func echoOn(c net.Conn) {
	r := bufio.NewReader(c)
	for range 2 {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// lines hands over what is written, line by line.
type lines struct {
	buf  []byte
	seen chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	for {
		i := bytes.IndexByte(l.buf, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.seen <- string(l.buf[:i])
		l.buf = l.buf[i+1:]
	}
}
