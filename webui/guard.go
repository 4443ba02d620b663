package webui

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/slackdev/slackdev/inspector"
)

const (
	// maxBody bounds what a client may send, in bytes.
	maxBody = 1 << 20
	// policy is the page's: nothing from elsewhere, no inline code, no text that becomes markup, in nobody's frame.
	policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
	// cookieLife is how long the page stays signed in. The token itself is kept on
	// the same disk for longer.
	cookieLife = 30 * 24 * time.Hour
)

// door says whether a route asks for the token.
type door bool

const (
	open   door = true
	closed door = false
)

// route is one row of the API.
type route struct {
	method string
	path   string // a pattern of http.ServeMux, without the method
	serve  func(http.ResponseWriter, *http.Request) error
	door   door
}

// endpoint is the routes of one path, by method.
type endpoint map[string]route

// guard is the front door that everything stands behind: the name by which we were
// called, the origin of the call, and the headers that keep a page in its place. A
// page that was rebound to this address has its own name in Host; a page from
// elsewhere has its own name in Origin.
func (s *Server) guard(next http.Handler) http.Handler {
	var crossOrigin http.CrossOriginProtection
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.survive(w, r)
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // static says otherwise
		switch {
		case !s.knownHost(r.Host):
			s.fail(w, r, &refusal{http.StatusForbidden, "this server does not go by that name",
				"use the address that slackdev tunnel printed, or list the name in the configuration"})
		case !ownOrigin(r), crossOrigin.Check(r) != nil:
			s.fail(w, r, &refusal{http.StatusForbidden, "this request comes from another site", ""})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// knownHost reports whether host, as a Host header has it, is a loopback name or
// address, or one of s.Hosts.
func (s *Server) knownHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	if a, err := netip.ParseAddr(name); err == nil && a.IsLoopback() && a.Zone() == "" {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(known string) bool {
		return known != "" && (strings.EqualFold(known, name) || strings.EqualFold(known, host))
	})
}

// ownOrigin reports whether a request comes from this server's own page, or from no
// page at all. Browsers leave Origin out of plain reads, so these are judged by
// Sec-Fetch-Site, where it stands: no other page, not even one on another port of
// this machine, reads the API.
func ownOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || len(origins) > 1 || !strings.EqualFold(u.Host, r.Host) || u.Scheme != "http" && u.Scheme != "https" {
			return false
		}
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		return true // a link from elsewhere may open the page
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin" || site == "none"
}

// admit lets those with the token in, and of them those who ask for what exists,
// in the way that is meant for it.
func (s *Server) admit(e endpoint) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(e)), ", ")
	anyone := len(e) > 0
	for _, r := range e {
		anyone = anyone && r.door == open
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !anyone && !s.authorized(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="slackdev"`)
			s.fail(w, r, &refusal{http.StatusUnauthorized, "the token is missing or wrong", "open the address that slackdev tunnel printed"})
			return
		}
		to, ok := e[r.Method]
		switch {
		case len(e) == 0:
			s.fail(w, r, &refusal{http.StatusNotFound, "there is no such route", ""})
			return
		case !ok:
			w.Header().Set("Allow", allow)
			s.fail(w, r, &refusal{http.StatusMethodNotAllowed, "this route takes " + allow, ""})
			return
		}
		if to.method == http.MethodPost {
			if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
				s.fail(w, r, &refusal{http.StatusUnsupportedMediaType, "this route takes Content-Type: application/json", ""})
				return
			}
			if r.ContentLength > maxBody {
				s.fail(w, r, errTooLarge)
				return
			}
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := to.serve(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// authorized reports whether the request shows the token, or the page's cookie. A
// wrong token is not made good by a right cookie.
func (s *Server) authorized(r *http.Request) bool {
	if s.Token == "" {
		return false
	}
	if shown := r.Header.Get("Authorization"); shown != "" {
		scheme, token, _ := strings.Cut(shown, " ")
		return strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(token), s.Token)
	}
	name := cookieName(r)
	for _, c := range r.CookiesNamed(name) {
		if same(c.Value, s.cookieValue(name)) {
			return true
		}
	}
	return false
}

// same compares in a time that tells nothing about either text, nor its length.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// openSession gives the page its cookie for the token.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Token string `json:"token"`
	}
	if err := decode(r, &ask); err != nil {
		return err
	}
	if s.Token == "" || !same(ask.Token, s.Token) {
		return &refusal{http.StatusUnauthorized, "the token is wrong", "open the address that slackdev tunnel printed"}
	}
	name := cookieName(r)
	http.SetCookie(w, &http.Cookie{Name: name, Value: s.cookieValue(name), Path: "/", MaxAge: int(cookieLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// cookieName has the port as the browser knows it: cookies do not tell ports apart,
// and there may be a slackdev on each.
func cookieName(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil || port == "" {
		port = "80"
	}
	return "slackdev_" + port
}

// cookieValue is derived from the token and does not give it away: the browser sends
// its cookies to every port of this machine, so also to the app. It is good for the
// cookie of that name alone.
func (s *Server) cookieValue(name string) string {
	mac := hmac.New(sha256.New, []byte(s.Token))
	mac.Write([]byte("slackdev page " + name))
	return hex.EncodeToString(mac.Sum(nil))
}

// refusal is an error with the status that says it best.
type refusal struct {
	status int
	text   string // one line
	hint   string // what to type, or empty
}

// Error gives the text.
func (e *refusal) Error() string { return e.text }

var errTooLarge = &refusal{http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB", ""}

func badRequest(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, args...), ""}
}

// decode reads the one JSON value that a body must be, without fields that nobody knows.
func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is more after its end")
		}
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return errTooLarge
	}
	if err != nil {
		return badRequest("read the JSON: %v", err)
	}
	return nil
}

// problem gives the status and the words for an error.
func problem(err error) *refusal {
	var known *refusal
	var ambiguous *inspector.AmbiguousError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &ambiguous):
		return &refusal{http.StatusConflict, err.Error(), "type more of the id"}
	case errors.Is(err, inspector.ErrNotFound):
		return &refusal{http.StatusNotFound, err.Error(), "slackdev requests"}
	default:
		return &refusal{http.StatusInternalServerError, err.Error(), ""}
	}
}

// fail answers with an error. Before it only headers may have been set.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem(err)
	if r.Context().Err() == nil && p.status >= http.StatusInternalServerError {
		s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	_ = reply(w, p.status, struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}{p.text, p.hint}) // an error of our own cannot fail to marshal, and a lost client needs no answer
}

// survive turns a panic into an answer: one bad request does not take the others along.
func (s *Server) survive(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		s.Log.Error("handler panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
		s.fail(w, r, &refusal{http.StatusInternalServerError, "slackdev made a mistake", "slackdev doctor"})
	}
}

// reply answers with v as JSON.
func reply(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has left needs no answer
	return nil
}
