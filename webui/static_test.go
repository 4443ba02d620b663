package webui

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPageIsServedToAnybodyAndOnlyRead(t *testing.T) {
	g := newRig(t)
	bare := func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("Sec-Fetch-Site", "cross-site") // a link in a message
	}
	got := g.do(t, http.MethodGet, "/", "", bare)
	if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(strings.ToLower(got.body), "<!doctype html>") {
		t.Fatalf("got %d %v, want the page", got.status, got.header)
	}
	if got.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("Cache-Control is %q, want no-cache", got.header.Get("Cache-Control"))
	}
	tag := got.header.Get("ETag")
	again := g.do(t, http.MethodGet, "/", "", bare, func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
	if tag == "" || again.status != 304 || again.body != "" {
		t.Errorf("asked again with ETag %s: got %d, want 304", tag, again.status)
	}
	if head := g.do(t, http.MethodHead, "/", "", bare); head.status != 200 || head.body != "" || head.header.Get("ETag") != tag {
		t.Errorf("HEAD: got %d %v", head.status, head.header)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if got := g.do(t, method, "/", "{}"); got.status != 405 {
			t.Errorf("%s: got %d, want 405", method, got.status)
		}
	}
}

func TestOnlyThePageIsServed(t *testing.T) {
	secret := t.TempDir()
	dir := filepath.Join(t.TempDir(), "static")
	for name, content := range map[string]string{
		filepath.Join(secret, "secret.txt"): "secret", filepath.Join(dir, "index.html"): "<!doctype html>mine",
		filepath.Join(dir, "js", "main.js"): "1", filepath.Join(dir, "notes.md"): "secret", filepath.Join(dir, ".env"): "secret",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(secret, "secret.txt"), filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	for where, s := range map[string]func(*Server){"embedded": func(*Server) {}, "a folder": func(s *Server) { s.Dir = dir }} {
		t.Run(where, func(t *testing.T) {
			g := newRig(t, s)
			for _, path := range []string{
				"/nothing.js", "/js", "/js/", "/notes.md", "/.env", "/link.txt", "/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/js/..%2f..%2fsecret.txt",
				"/static/index.html", "//etc/passwd", "/%00.js", "/C:%5Csecret.txt", "/index.html/",
			} {
				got := g.do(t, http.MethodGet, path, "")
				if got.status == 200 || strings.Contains(got.body, "secret") && !strings.Contains(path, "secret") {
					t.Errorf("%s: got %d %s, want nothing", path, got.status, got.body)
				}
			}
		})
	}
	g := newRig(t, func(s *Server) { s.Dir = dir })
	if got := g.do(t, http.MethodGet, "/", ""); got.body != "<!doctype html>mine" {
		t.Errorf("got %s, want the file in the folder", got.body)
	}
	if got := g.do(t, http.MethodGet, "/js/main.js", ""); got.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("got %v, want JavaScript", got.header)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<!doctype html>edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := g.do(t, http.MethodGet, "/", ""); got.body != "<!doctype html>edited" {
		t.Errorf("got %s, want the edited file", got.body)
	}
}
