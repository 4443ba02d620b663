package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	projectFile = "slackdev.yaml"
	userFile    = "config.yaml"
	dotenvFile  = ".env"
)

// Project is what the working directory belongs to.
type Project struct {
	Dir    string // absolute, links resolved: the folder of slackdev.yaml, or of .env, or of .git, or the working directory
	File   string // its slackdev.yaml, "" without
	Dotenv string // the nearest .env between the working directory and Dir, "" without
}

// findProject looks upward from the working directory, and no further than what is
// the user's: up to the root of the repository, or to the folder below home. Outside
// of both it looks at the working directory alone, for who can write to /tmp could
// otherwise lead the traffic of everybody who works below it elsewhere.
func findProject(env Env) (Project, error) {
	start, err := filepath.EvalSymlinks(env.Dir)
	if err != nil {
		return Project{}, fmt.Errorf("find the project: %w", err)
	}
	folders := climb(start, env.Home())
	p := Project{Dir: start}
	switch {
	case nearest(folders, projectFile, isFile) != "":
		p.Dir = nearest(folders, projectFile, isFile)
		p.File = filepath.Join(p.Dir, projectFile)
	case nearest(folders, dotenvFile, isFile) != "":
		p.Dir = nearest(folders, dotenvFile, isFile)
	case nearest(folders, ".git", exists) != "":
		p.Dir = nearest(folders, ".git", exists)
	}
	for _, dir := range folders {
		if isFile(filepath.Join(dir, dotenvFile)) {
			p.Dotenv = filepath.Join(dir, dotenvFile)
			break
		}
		if dir == p.Dir {
			break
		}
	}
	return p, nil
}

// climb lists the folders to look at, the nearest first.
func climb(start, home string) []string {
	if resolved, err := filepath.EvalSymlinks(home); err == nil {
		home = resolved
	}
	folders := []string{start}
	bounded := home != "" && strings.HasPrefix(start, home+string(filepath.Separator))
	for dir := start; ; {
		if exists(filepath.Join(dir, ".git")) {
			bounded = true
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir || dir == home || parent == home || !trusted(parent) {
			break
		}
		dir = parent
		folders = append(folders, dir)
	}
	if !bounded {
		return folders[:1]
	}
	return folders
}

func nearest(folders []string, name string, there func(string) bool) string {
	for _, dir := range folders {
		if there(filepath.Join(dir, name)) {
			return dir
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isFile reports whether path is a file: .env is also the name that many give to a
// Python environment's folder.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Key names the project for folders and files: readable, and not the same for two
// folders of one name.
func (p Project) Key() string {
	sum := sha256.Sum256([]byte(p.Dir))
	return label(filepath.Base(p.Dir), "project", 40) + "-" + hex.EncodeToString(sum[:4])
}

// Database is the path of the history's file, "" for one in memory. It is not made.
func (c *Config) Database() (string, error) {
	switch c.Store {
	case "memory":
		return "", nil
	case "":
	default:
		return c.Store, nil
	}
	data, err := c.env.DataDir()
	if err != nil {
		return "", &Error{Problem: "there is no folder to keep the history in: " + err.Error(), Hint: "set HOME, or add  --store PATH  or  --store memory"}
	}
	return filepath.Join(data, "projects", c.Project.Key(), "history.db"), nil
}

// defaultName is who, then what: ana-todo.
func defaultName(user, dir string) string {
	// Windows says DOMAIN\ana.
	user = user[strings.LastIndexByte(user, '\\')+1:]
	user = label(user, "dev", 20)
	return user + "-" + label(filepath.Base(dir), "app", 62-len(user))
}

// label makes a DNS label of at most limit characters (RFC 1035, in lower case) from
// any text, or gives fallback where nothing of it is left.
func label(text, fallback string, limit int) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r)
			dash = false
		default:
			dash = true
		}
	}
	s := b.String()
	if len(s) > limit {
		s = strings.TrimRight(s[:limit], "-")
	}
	if s == "" {
		return fallback
	}
	return s
}
