package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestTheProjectIsFoundUpwardAndNoFurtherThanTheUsersOwn(t *testing.T) {
	for name, tc := range map[string]struct {
		files         []string
		start         string
		dir, yml, env string // below home
	}{
		"nothing":                          {nil, "todo", "todo", "", ""},
		"the file, from below":             {[]string{"todo/slackdev.yaml"}, "todo/src/deep", "todo", "todo/slackdev.yaml", ""},
		"the file beats .env and .git":     {[]string{"todo/slackdev.yaml", "todo/src/.env"}, "todo/src", "todo", "todo/slackdev.yaml", "todo/src/.env"},
		".env beats .git":                  {[]string{"todo/.git/x", "todo/a/.env"}, "todo/a/b", "todo/a", "", "todo/a/.env"},
		".git":                             {[]string{"todo/.git/x"}, "todo/a/b", "todo", "", ""},
		"not above the repository":         {[]string{"slackdev.yaml", "todo/slackdev.yaml", "todo/app/.git/x"}, "todo/app", "todo/app", "", ""},
		"a worktree's .git is a file":      {[]string{"todo/slackdev.yaml", "todo/app/.git"}, "todo/app/src", "todo/app", "", ""},
		"not home from below":              {[]string{"slackdev.yaml", ".env"}, "todo", "todo", "", ""},
		"home, when one works there":       {[]string{"slackdev.yaml"}, ".", ".", "slackdev.yaml", ""},
		".env of a parent beside the file": {[]string{"todo/a/slackdev.yaml", "todo/.env"}, "todo/a", "todo/a", "todo/a/slackdev.yaml", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			for _, f := range tc.files {
				write(t, w.home, f, "")
			}
			w.dir = filepath.Join(w.home, tc.start)
			if err := os.MkdirAll(w.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			p, err := findProject(w.env())
			if err != nil {
				t.Fatal(err)
			}
			want := Project{Dir: filepath.Join(w.home, tc.dir)}
			if tc.yml != "" {
				want.File = filepath.Join(w.home, tc.yml)
			}
			if tc.env != "" {
				want.Dotenv = filepath.Join(w.home, tc.env)
			}
			if p != want {
				t.Errorf("got %+v, want %+v", p, want)
			}
		})
	}
}

func TestAFileThatAStrangerCanHavePutAboveIsNotUsed(t *testing.T) {
	shared := t.TempDir()
	write(t, shared, "slackdev.yaml", "via: ssh://evil.example\n")
	dir := filepath.Join(shared, "mine")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	w.dir = dir // outside of home, in no repository
	c, err := Load(w.env(), nil)
	if err != nil || c.Via != "auto" {
		t.Errorf("outside of home: via is %q (%v)", c.Via, err)
	}

	// Below home too, where everybody may write.
	w = newWorld(t, map[string]string{"pub/slackdev.yaml": "via: ssh://evil.example\n", "pub/mine/x": ""})
	if err := os.Chmod(filepath.Join(w.home, "pub"), 0o777); err != nil {
		t.Fatal(err)
	}
	w.dir = filepath.Join(w.home, "pub/mine")
	c, err = Load(w.env(), nil)
	if err != nil || c.Via != "auto" {
		t.Errorf("below a folder open to all: via is %q (%v)", c.Via, err)
	}
}

func TestTwoProjectsOfOneNameHaveTwoHistories(t *testing.T) {
	a, b := Project{Dir: "/home/ana/Todo App"}, Project{Dir: "/home/ana/old/Todo App"}
	if !strings.HasPrefix(a.Key(), "todo-app-") || a.Key() == b.Key() || len(a.Key()) != len("todo-app-")+8 {
		t.Errorf("got %s and %s", a.Key(), b.Key())
	}
	w := newWorld(t, nil)
	c, err := Load(w.env(), nil)
	if err != nil {
		t.Fatal(err)
	}
	path, err := c.Database()
	want := filepath.Join(w.home, ".local/share/slackdev/projects", c.Project.Key(), "history.db")
	if err != nil || path != want {
		t.Errorf("got %s, %v; want %s", path, err, want)
	}
}

func TestFoldersFollowTheCustomOfTheSystem(t *testing.T) {
	vars := map[string]string{"HOME": "/h", "USERPROFILE": "/u", "APPDATA": "/roaming", "LOCALAPPDATA": "/local"}
	for name, tc := range map[string]struct {
		os                  string
		extra               map[string]string
		config, data, state string
	}{
		"linux":        {"linux", nil, "/h/.config/slackdev", "/h/.local/share/slackdev", "/h/.local/state/slackdev"},
		"XDG":          {"linux", map[string]string{"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d", "XDG_STATE_HOME": "/s"}, "/c/slackdev", "/d/slackdev", "/s/slackdev"},
		"relative XDG": {"linux", map[string]string{"XDG_CONFIG_HOME": "c"}, "/h/.config/slackdev", "/h/.local/share/slackdev", "/h/.local/state/slackdev"},
		"mac":          {"darwin", nil, "/h/Library/Application Support/slackdev", "/h/Library/Application Support/slackdev", "/h/Library/Application Support/slackdev"},
		"windows":      {"windows", nil, "/roaming/slackdev", "/local/slackdev", "/local/slackdev"},
	} {
		t.Run(name, func(t *testing.T) {
			e := Env{OS: tc.os, Lookup: func(k string) (string, bool) {
				if v, ok := tc.extra[k]; ok {
					return v, true
				}
				v, ok := vars[k]
				return v, ok
			}}
			for what, row := range map[string]struct {
				dir  func() (string, error)
				want string
			}{"config": {e.ConfigDir, tc.config}, "data": {e.DataDir, tc.data}, "state": {e.StateDir, tc.state}} {
				if got, err := row.dir(); err != nil || filepath.ToSlash(got) != row.want {
					t.Errorf("%s: got %s, %v; want %s", what, got, err, row.want)
				}
			}
		})
	}
}

func TestTheTokenIsMadeOnceAndReadByItsUserAlone(t *testing.T) {
	w := newWorld(t, nil)
	first, err := w.env().Token()
	if err != nil {
		t.Fatal(err)
	}
	env := w.env()
	env.Random = bytes.NewReader(bytes.Repeat([]byte{9}, 64))
	if again, err := env.Token(); err != nil || again != first {
		t.Errorf("second: %q, %v; want the first", again, err)
	}
	path := filepath.Join(w.home, ".local/state/slackdev/token")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if folder, err := os.Stat(filepath.Dir(path)); err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v", folder.Mode(), err)
	}
	for name, spoil := range map[string]func() error{
		"readable by others": func() error { return os.Chmod(path, 0o644) },
		"empty":              func() error { return os.WriteFile(path, nil, 0o600) },
		"not a token":        func() error { return os.WriteFile(path, []byte("hello\n"), 0o600) },
		"a link":             func() error { os.Remove(path); return os.Symlink("/etc/hostname", path) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		env := w.env()
		env.Random = bytes.NewReader(bytes.Repeat([]byte(name), 64))
		token, err := env.Token()
		if err != nil || token == first || len(token) != 43 {
			t.Errorf("%s: got %q, %v; want a new one", name, token, err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: the file is %v, %v", name, info.Mode(), err)
		}
		first = token
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".token-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestProcessesThatStartTogetherAgreeOnTheToken(t *testing.T) {
	w := newWorld(t, nil)
	tokens := make([]string, 16)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			env := w.env()
			env.Random = bytes.NewReader(bytes.Repeat([]byte{byte(i)}, 64))
			token, err := env.Token()
			if err != nil {
				t.Error(err)
			}
			tokens[i] = token
		})
	}
	wg.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Fatalf("different tokens: %q", tokens)
		}
	}
}

func TestTheRealOutsideIsComplete(t *testing.T) {
	e, err := FromOS()
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(e.Dir) || e.OS == "" || e.Lookup == nil || e.Stdin == nil || e.Stdout == nil || e.Stderr == nil || e.Now == nil || e.Random == nil {
		t.Errorf("got %+v", e)
	}
	if e.IsTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is taken for a terminal")
	}
	token, err := e.NewToken()
	if err != nil || len(token) != 43 {
		t.Errorf("token %q, %v", token, err)
	}
}
