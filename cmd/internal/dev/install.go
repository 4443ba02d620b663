package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tool is a program that a test runs, and the Debian package that has it.
type tool struct{ program, debian string }

func tools() []tool {
	return []tool{
		{"chromium", "chromium"},   // the page's tests
		{"sshd", "openssh-server"}, // the tunnel's tests against the real thing
		{"ssh", "openssh-client"},  // and the relay's
		{"ssh-keygen", "openssh-client"},
		{"ip", "iproute2"}, // networks of the tests' own, and packets that are lost in them
		{"nft", "nftables"},
		{"curl", "curl"},   // that exported commands run
		{"node", "nodejs"}, // the page's pure parts, sample apps
		{"npm", "npm"},
		{"gcc", "gcc"}, // the race detector
	}
}

// install brings what the tests need: programs by apt-get where they are missing, and
// the modules of every lock file.
func (g *gate) install(ctx context.Context) error {
	if err := g.installTools(ctx); err != nil {
		return err
	}
	folders, err := lockFolders(g.root)
	if err != nil {
		return err
	}
	for _, dir := range folders {
		if current(dir) {
			continue
		}
		err := g.run(ctx, command{dir: dir, args: []string{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"}, out: g.out})
		if err != nil {
			return fmt.Errorf("in %s: %w", dir, err)
		}
	}
	return nil
}

func (g *gate) installTools(ctx context.Context) error {
	var programs, packages []string
	for _, t := range tools() {
		if _, err := g.look(t.program); err == nil {
			continue
		}
		programs = append(programs, t.program)
		if !slices.Contains(packages, t.debian) {
			packages = append(packages, t.debian)
		}
	}
	if len(programs) == 0 {
		fmt.Fprintln(g.out, "everything is installed")
		return nil
	}
	if slices.Contains(packages, "gcc") {
		packages = append(packages, "libc6-dev")
	}
	by := []string{"apt-get", "-o", "DPkg::Lock::Timeout=120"}
	install := append(slices.Clone(by), append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
	if _, err := g.look("apt-get"); err != nil {
		return fmt.Errorf("missing: %s. This is no Debian: install them your way, and run this again", strings.Join(programs, ", "))
	}
	if !g.admin {
		if _, err := g.look("sudo"); err != nil {
			return fmt.Errorf("missing: %s. As root, run  %s", strings.Join(programs, ", "), strings.Join(install, " "))
		}
		by, install = append([]string{"sudo"}, by...), append([]string{"sudo"}, install...)
	}
	quiet := []string{"DEBIAN_FRONTEND=noninteractive"}
	fmt.Fprintf(g.out, "missing: %s\n", strings.Join(programs, ", "))
	if err := g.run(ctx, command{dir: g.root, args: append(by, "update"), env: quiet, out: g.out}); err != nil {
		return err
	}
	return g.run(ctx, command{dir: g.root, args: install, env: quiet, out: g.out})
}

// lockFolders lists the folders that have a lock file of npm's.
func lockFolders(root string) ([]string, error) {
	var folders []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git"):
			return fs.SkipDir
		case e.Name() == "package-lock.json":
			folders = append(folders, filepath.Dir(path))
		}
		return nil
	})
	return folders, err
}

// current reports whether npm has installed what the lock file says: it leaves a copy
// of what it did, which is as new as the lock file then.
func current(dir string) bool {
	done, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	if err != nil {
		return false
	}
	for _, name := range []string{"package-lock.json", "package.json"} {
		asked, err := os.Stat(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || asked.ModTime().After(done.ModTime()) {
			return false
		}
	}
	return true
}
