package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// pages runs the checks of every folder with a lock file whose package.json names some:
// the types and the pure parts of the page.
func (g *gate) pages(ctx context.Context) error {
	folders, err := lockFolders(g.root)
	if err != nil {
		return err
	}
	var failed error
	for _, dir := range folders {
		has, err := hasTests(dir)
		if err != nil {
			return err
		}
		if !has {
			continue
		}
		var said bytes.Buffer
		err = g.run(ctx, command{dir: dir, args: []string{"npm", "test", "--silent"}, out: io.MultiWriter(g.out, &said)})
		rel, _ := filepath.Rel(g.root, dir)
		g.totals.add(nodeTotals(rel, said.Bytes()))
		failed = errors.Join(failed, err)
	}
	return failed
}

func hasTests(dir string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var p struct{ Scripts map[string]string }
	if err := json.Unmarshal(text, &p); err != nil {
		return false, fmt.Errorf("%s/package.json: %w", dir, err)
	}
	return p.Scripts["test"] != "", nil
}

// nodeTotals reads the summary that node --test ends with, in either of its forms
// ("# pass 12" or "ℹ pass 12").
func nodeTotals(where string, said []byte) totals {
	var t totals
	for _, m := range regexp.MustCompile(`(?m)^(?:#|ℹ) (pass|fail|cancelled|skipped|todo) (\d+)\r?$`).FindAllSubmatch(said, -1) {
		n, err := strconv.Atoi(string(m[2]))
		if err != nil || n == 0 {
			continue
		}
		switch string(m[1]) {
		case "pass":
			t.passed += n
		case "fail", "cancelled":
			t.failed += n
		default:
			for range n {
				t.skipped = append(t.skipped, where+": a test of node's, marked as "+string(m[1]))
			}
		}
	}
	return t
}
