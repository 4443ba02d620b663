package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A stock sshd whose client has vanished keeps the forwarded port until it notices,
// which takes minutes by default, and refuses the port to whoever comes back for it.
// The process that holds it is the parent of the login shell of that connection, and
// belongs to the user. So each tunnel asks for its parent's number, and the next one
// ends that process when it is in the way.

// parentCommand prints the number of the process that has started the login shell,
// and when that was started, in the kernel's ticks since boot (0: not known): numbers
// are used again. Any login shell can read it: it begins with a command, and
// everything that shells read differently stands in single quotes, without an
// exclamation mark. Where it cannot run (a forced command, Windows) nothing comes of
// it.
const parentCommand = `exec sh -c 'read -r s 2>/dev/null </proc/$PPID/stat; set -- ${s##*) }; echo "slackdev-parent $PPID ${20:-0}"'`

// parentLine is what parentCommand prints, with its end: half a number is another one.
var parentLine = regexp.MustCompile(`(?m)^slackdev-parent ([0-9]{1,10}) ([0-9]{1,20})\r?\n`)

// maxParentLine bounds what is read of it.
const maxParentLine = 200

// endCommand ends one process (%[1]d) if it is the sshd of a connection, of this
// user, started when it should be (%[2]d), and not this connection's; and waits until
// it is gone, for two seconds at most. It exits with 0 when it is.
const endCommand = `exec sh -c '` +
	`p=%[1]d; t=%[2]d; [ $p -gt 1 ] && [ $p -ne $PPID ] || exit 3; ` +
	`kill -0 $p 2>/dev/null || exit 0; ` +
	`n=$(cat /proc/$p/comm 2>/dev/null || ps -o comm= -p $p); ` +
	`case ${n##*/} in sshd|sshd-session|sshd:*) ;; *) exit 4 ;; esac; ` +
	`if [ $t -ne 0 ]; then read -r s </proc/$p/stat || exit 5; set -- ${s##*) }; [ ${20:-0} -eq $t ] || exit 5; fi; ` +
	`u=$(ps -o uid= -p $p 2>/dev/null || while read -r k v r; do [ $k = Uid: ] && echo $v; done </proc/$p/status); ` +
	`[ ${u:-x} -eq $(id -u) ] || exit 6; ` +
	`kill $p || exit 7; i=0; ` +
	`while kill -0 $p 2>/dev/null; do ` +
	`s=; read -r s 2>/dev/null </proc/$p/stat; case ${s##*) } in Z*) break ;; esac; ` +
	`i=$((i+1)); [ $i -eq 20 ] && kill -9 $p; [ $i -gt 40 ] && exit 8; ` +
	`sleep 0.05 2>/dev/null || { sleep 1; i=$((i+19)); }; ` +
	`done; exit 0'`

// takeoverTime bounds the whole of ending a process, on a link that may be slow.
const takeoverTime = 5 * time.Second

// parent is the process of a server that serves a tunnel, as far as it told. It is
// safe for use by many goroutines.
type parent struct {
	mu   sync.Mutex // guards what follows
	text []byte
	pid  uint64 // 0: not known
	born uint64 // in ticks since boot; 0: not known
}

// write takes what parentCommand prints, in any pieces.
func (p *parent) write(text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, text[:min(len(text), maxParentLine-len(p.text))]...)
	found := parentLine.FindSubmatch(p.text)
	if p.pid != 0 || found == nil {
		return
	}
	pid, err := strconv.ParseUint(string(found[1]), 10, 32)
	born, err2 := strconv.ParseUint(string(found[2]), 10, 63)
	if err == nil && err2 == nil {
		p.pid, p.born = pid, born
	}
}

// command is what ends the process, or "" where it is not known.
func (p *parent) command() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid <= 1 {
		return ""
	}
	return fmt.Sprintf(endCommand, p.pid, p.born)
}

// inTheWay is the command that ends the process which still holds what we ask for
// again, or "" where there is none that we know of, or its tunnel may be alive.
func (p *Provider) inTheWay() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil || p.held.parent == nil {
		return ""
	}
	select {
	case <-p.held.over:
		return p.held.parent.command()
	default:
		return ""
	}
}

// takeOver runs the command that ends the process which is in the way.
func (t *Tunnel) takeOver(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, takeoverTime)
	defer cancel()
	done := make(chan error, 1)
	t.work.Go(func() { done <- t.run(command) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx) // run ends with the link
	}
}

// run runs a command in a session of its own and waits for its end. What it prints is
// not read.
func (t *Tunnel) run(command string) error {
	ch, reqs, err := t.conn.OpenChannel("session", nil)
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	defer ch.Close()
	ended := errors.New("it does not say how it ended")
	var rest sync.WaitGroup
	rest.Go(func() {
		for r := range reqs {
			var exit struct{ Status uint32 }
			if r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &exit) == nil {
				ended = nil
				if exit.Status != 0 {
					ended = fmt.Errorf("exit status %d", exit.Status)
				}
			}
			if r.WantReply {
				_ = r.Reply(false, nil) // fails with the link, which ends all of this
			}
		}
	})
	ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err == nil && !ok {
		err = errors.New("the server refuses to run a command")
	}
	if err != nil {
		_ = ch.Close() // ends the requests
		rest.Wait()
		return err
	}
	rest.Wait() // until the server closes the channel
	return ended
}
