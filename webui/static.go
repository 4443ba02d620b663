package webui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

//go:embed static
var embedded embed.FS

// page serves the files of the page. They are the same for everybody and say nothing
// about anybody, so they need no token.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.fail(w, r, &refusal{http.StatusMethodNotAllowed, "the page takes GET, HEAD", ""})
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	kind := contentType(name)
	if kind == "" || !fs.ValidPath(name) {
		s.fail(w, r, errNoFile)
		return
	}
	content, err := s.file(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.fail(w, r, errNoFile)
		return
	case err != nil:
		s.fail(w, r, fmt.Errorf("serve the page: %w", err))
		return
	}
	sum := sha256.Sum256(content)
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Cache-Control", "no-cache") // to be kept, and asked about each time
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

var errNoFile = &refusal{http.StatusNotFound, "there is no such file", ""}

// file reads one file of the page: from s.Dir where that is set, and from nowhere
// outside of it, whatever links lie there; else from the program itself.
func (s *Server) file(name string) ([]byte, error) {
	if s.Dir == "" {
		return embedded.ReadFile("static/" + name)
	}
	dir, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadFile(name)
}

// contentType goes by the name's ending, and not by what this machine believes of it;
// empty for what is no part of a page.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".json":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	case ".txt":
		return "text/plain; charset=utf-8"
	default:
		return ""
	}
}
