package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Run is what a running slackdev tells about itself to the other processes of its user,
// in a file that only that user can read. There is one file for each process.
type Run struct {
	Address string    `json:"address"` // host:port of the local API
	PID     int       `json:"pid"`
	Token   string    `json:"token"`   // of the local API
	Project string    `json:"project"` // the project's folder
	Started time.Time `json:"started"`
}

// dial is the address to connect to: a listener on all addresses is on this machine's too.
func (r Run) dial() string {
	host, port, err := net.SplitHostPort(r.Address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return r.Address
}

// runLimit bounds what is read of such a file, in bytes.
const runLimit = 64 << 10

// Announce writes the file of r into dir, which is made if need be, and gives what
// takes it away again. Whoever reads sees all of the file or none of it.
func Announce(dir string, r Run) (withdraw func() error, err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("announce slackdev: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("announce slackdev: %w", err)
	}
	f, err := os.CreateTemp(dir, ".run-*") // 0600
	if err != nil {
		return nil, fmt.Errorf("announce slackdev: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Close())
	path := filepath.Join(dir, fmt.Sprintf("%d.json", r.PID))
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, fmt.Errorf("announce slackdev: %w", err)
	}
	return func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("withdraw the announcement: %w", err)
		}
		return nil
	}, nil
}

// Runs lists who announced itself in dir, the newest first, and takes away the files
// of processes that are no more. A folder that is not there is an empty one.
func Runs(dir string) ([]Run, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a running slackdev: %w", err)
	}
	var runs []Run
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), ".json") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		r, ok := readRun(path)
		if !ok {
			continue
		}
		if dead(r.PID) {
			os.Remove(path)
			continue
		}
		runs = append(runs, r)
	}
	slices.SortStableFunc(runs, func(a, b Run) int { return b.Started.Compare(a.Started) })
	return runs, nil
}

func readRun(path string) (Run, bool) {
	f, err := os.Open(path)
	if err != nil {
		return Run{}, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, runLimit))
	if err != nil {
		return Run{}, false
	}
	var r Run
	if json.Unmarshal(text, &r) != nil || r.PID <= 0 {
		return Run{}, false
	}
	_, _, err = net.SplitHostPort(r.Address)
	return r, err == nil
}

// dead reports whether no process has that number. When that cannot be told, it is not.
func dead(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	defer p.Release()
	err = p.Signal(syscall.Signal(0))
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
}

const startHint = "start one with  slackdev tunnel PORT"

// NothingRunsError says that no slackdev answers for a project.
type NothingRunsError struct {
	Project string   // "" for any
	Others  []string // projects for which one does run, the newest first
}

// Error names the project, and where one runs instead.
func (e *NothingRunsError) Error() string {
	text := "no slackdev is running"
	if e.Project != "" {
		text += " for " + e.Project
	}
	if len(e.Others) > 0 {
		text += "; it runs for " + strings.Join(e.Others, " and ")
	}
	return text
}

// Is makes every such error ErrNothingRuns.
func (e *NothingRunsError) Is(target error) bool { return target == ErrNothingRuns }

// Explain gives the hint, and exit status 3: nothing is running.
func (e *NothingRunsError) Explain() (hint string, exit int) {
	if len(e.Others) > 0 {
		return "cd " + e.Others[0], 3
	}
	return startHint, 3
}

// ErrNothingRuns says that no slackdev answers.
var ErrNothingRuns = errors.New("no slackdev is running")

// Find gives a client for the newest slackdev of a project that announced itself in
// dir and answers; for an empty project, of any. Files of those at whose address
// nobody listens are taken away. The error is a *NothingRunsError where none answers.
func Find(ctx context.Context, dir, project string) (*Client, error) {
	runs, err := Runs(dir)
	if err != nil {
		return nil, err
	}
	nothing := &NothingRunsError{Project: project}
	for _, r := range runs {
		if project != "" && r.Project != project {
			if !slices.Contains(nothing.Others, r.Project) {
				nothing.Others = append(nothing.Others, r.Project)
			}
			continue
		}
		c := New(r)
		err := c.answers(ctx)
		switch {
		case err == nil:
			return c, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, syscall.ECONNREFUSED):
			// It announced itself after it listened: the number belongs to another process now.
			os.Remove(filepath.Join(dir, fmt.Sprintf("%d.json", r.PID)))
		}
	}
	return nil, nothing
}

// answers asks whether the process that announced itself is the one that listens.
func (c *Client) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if s.PID != c.Run.PID {
		return fmt.Errorf("process %d listens at %s, not %d", s.PID, c.Run.Address, c.Run.PID)
	}
	return nil
}
