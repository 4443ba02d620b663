package webui

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goodBodies has each route of the API, with a body that it can read. A route that is
// missing here is not tested for what it refuses, so it fails the test.
func goodBodies() map[string]string {
	return map[string]string{
		"POST /api/v1/session":                   `{"token":"correct-horse"}`,
		"GET /api/v1/status":                     "",
		"GET /api/v1/exchanges":                  "",
		"GET /api/v1/exchanges/{id}":             "",
		"GET /api/v1/exchanges/{id}/body/{side}": "",
		"GET /api/v1/exchanges/{id}/curl":        "",
		"POST /api/v1/exchanges/delete":          `{"ids":[]}`,
		"POST /api/v1/exchanges/{id}/pin":        `{"pinned":true}`,
		"GET /api/v1/follow":                     "",
		"POST /api/v1/replay":                    `{"id":"last"}`,
		"POST /api/v1/send":                      `{"kind":"slash_command"}`,
		"GET /api/v1/kinds":                      "",
		"GET /api/v1/rules":                      "",
		"POST /api/v1/rules":                     `{"rule":{}}`,
		"POST /api/v1/rules/delete":              `{"name":"none"}`,
		"GET /api/v1/live":                       "",
	}
}

func TestEveryRouteRefusesStrangers(t *testing.T) {
	g := newRig(t)
	x := g.save(t, "/todo")
	bodies := goodBodies()
	var routes []string
	for _, row := range g.routes() {
		routes = append(routes, row.method+" "+row.path)
	}
	slices.Sort(routes)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(bodies)), routes); diff != "" {
		t.Fatalf("routes with a row here (-), routes of the server (+):\n%s", diff)
	}
	for _, row := range g.routes() {
		name := row.method + " " + row.path
		t.Run(name, func(t *testing.T) {
			path := strings.NewReplacer("{id}", x.ID.String(), "{side}", "in").Replace(row.path)
			g.refuses(t, row, path, bodies[name])
			admitted := g.status(t, row.method, path, bodies[name])
			if slices.Contains([]int{401, 403, 405, 413, 415}, admitted) {
				t.Errorf("with everything right: got %d, want to be let in", admitted)
			}
		})
	}
}

// refuses spoils one thing at a time.
func (g *rig) refuses(t *testing.T, row route, path, body string) {
	t.Helper()
	other := http.MethodPost
	if row.method == http.MethodPost {
		other = http.MethodPut
	} else if row.path == "/api/v1/rules" {
		other = http.MethodDelete
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	refusals := map[string]struct {
		method string
		body   string
		spoil  func(*http.Request)
		want   int
	}{
		"a rebound name":            {spoil: func(r *http.Request) { r.Host = "evil.example:4040" }, want: 403},
		"a name that looks local":   {spoil: func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, want: 403},
		"no name":                   {spoil: func(r *http.Request) { r.Host = "%" }, want: 403},
		"an address that is not us": {spoil: func(r *http.Request) { r.Host = "192.168.1.7:4040" }, want: 403},
		"a foreign origin":          {spoil: set("Origin", "https://evil.example"), want: 403},
		"another port's origin":     {spoil: set("Origin", "http://127.0.0.1:1"), want: 403},
		"an origin of null":         {spoil: set("Origin", "null"), want: 403},
		"another site's fetch":      {spoil: set("Sec-Fetch-Site", "cross-site"), want: 403},
		"another port's fetch":      {spoil: set("Sec-Fetch-Site", "same-site"), want: 403},
		"no token":                  {spoil: func(r *http.Request) { r.Header.Del("Authorization") }, want: 401},
		"a wrong token":             {spoil: set("Authorization", "Bearer wrong"), want: 401},
		"an empty token":            {spoil: set("Authorization", "Bearer "), want: 401},
		"another scheme":            {spoil: set("Authorization", "Basic "+token), want: 401},
		"a token in the cookie":     {spoil: cookieInstead(token), want: 401},
		"a wrong method":            {method: other, want: 405},
	}
	if row.method == http.MethodPost {
		form := set("Content-Type", "application/x-www-form-urlencoded")
		refusals["a form"] = struct {
			method string
			body   string
			spoil  func(*http.Request)
			want   int
		}{spoil: form, want: 415}
		plain := refusals["a form"]
		plain.spoil = func(r *http.Request) { r.Header.Del("Content-Type") }
		refusals["no content type"] = plain
		large := refusals["a form"]
		large.spoil, large.want, large.body = func(*http.Request) {}, 413, strings.Repeat("x", maxBody+1)
		refusals["a body that is too large"] = large
		chunked := large
		chunked.spoil = func(r *http.Request) { r.ContentLength = -1 }
		chunked.body = strings.Repeat(" ", maxBody) + body
		refusals["a body that is too large and does not say so"] = chunked
	}
	for name, tc := range refusals {
		if row.door == open && tc.want == 401 {
			continue // it is where one shows the token; see TestSession
		}
		method, text := row.method, body
		if tc.method != "" {
			method = tc.method
		}
		if tc.body != "" {
			text = tc.body
		}
		if tc.spoil == nil {
			tc.spoil = func(*http.Request) {}
		}
		got := g.do(t, method, path, text, tc.spoil)
		if got.status != tc.want {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, tc.want)
			continue
		}
		wantRefusal(t, name, got)
	}
}

func cookieInstead(value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		r.AddCookie(&http.Cookie{Name: cookieName(&http.Request{Host: r.URL.Host}), Value: value})
	}
}

// wantRefusal checks the form of a refusal, and that it gives nothing away.
func wantRefusal(t *testing.T, name string, got answer) {
	t.Helper()
	var said map[string]string
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || said["error"] == "" || len(said) != 2 {
		t.Errorf("%s: got %q, want an error and a hint in JSON", name, got.body)
	}
	if strings.Contains(got.body, token) || got.header.Get("Set-Cookie") != "" {
		t.Errorf("%s: the refusal gives the token away: %s %v", name, got.body, got.header)
	}
}

// status asks and does not wait for an answer's end, which some routes have not.
func (g *rig) status(t *testing.T, method, path, body string) int {
	t.Helper()
	res, err := g.http.Do(g.request(t, method, path, body))
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

func TestServerWithoutATokenLetsNobodyIn(t *testing.T) {
	g := newRig(t, func(s *Server) { s.Token = "" })
	none := func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }
	bare := func(r *http.Request) { r.Header.Del("Authorization") }
	for name, change := range map[string]func(*http.Request){"an empty token": none, "no token": bare, "an empty cookie": cookieInstead(""),
		"the cookie of an empty token": cookieInstead((&Server{}).cookieValue("slackdev_80"))} {
		if got := g.do(t, http.MethodGet, "/api/v1/status", "", change); got.status != 401 {
			t.Errorf("%s: got %d, want 401", name, got.status)
		}
	}
	if got := g.do(t, http.MethodPost, "/api/v1/session", `{"token":""}`); got.status != 401 {
		t.Errorf("a session for an empty token: got %d, want 401", got.status)
	}
}

func TestUnknownRoutesAreBehindTheTokenToo(t *testing.T) {
	g := newRig(t)
	bare := func(r *http.Request) { r.Header.Del("Authorization") }
	for _, path := range []string{"/api/", "/api/v1/", "/api/v2/status", "/api/v1/exchanges/a/b/c"} {
		if got := g.do(t, http.MethodGet, path, "", bare); got.status != 401 {
			t.Errorf("%s without the token: got %d, want 401", path, got.status)
		}
		if got := g.do(t, http.MethodGet, path, ""); got.status != 404 {
			t.Errorf("%s: got %d, want 404", path, got.status)
		}
	}
}

func TestKnownHosts(t *testing.T) {
	s := &Server{Hosts: []string{"dev.example", "box.example:8443", ""}}
	for host, want := range map[string]bool{
		"127.0.0.1:4040": true, "127.8.8.8": true, "[::1]:4040": true, "::1": true, "localhost": true, "LOCALHOST:4040": true,
		"dev.example": true, "Dev.Example:4040": true, "box.example:8443": true, "[::ffff:127.0.0.1]:80": true,
		"box.example": false, "box.example:80": false, "evil.localhost.example": false, "localhost.example": false, "": false, ":4040": false,
		"0.0.0.0:4040": false, "[::]:4040": false, "127.1:4040": false, "2130706433": false, "localhost@evil.example": false,
		"127.0.0.1.nip.io": false, "[fe80::1%25lo]:80": false, "[::1%lo]:80": false, "example": false,
	} {
		if got := s.knownHost(host); got != want {
			t.Errorf("Host %q is known: got %v, want %v", host, got, want)
		}
	}
}

func TestSession(t *testing.T) {
	g := newRig(t)
	bare := func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("Origin", g.url)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, body := range map[string]string{"wrong": `{"token":"wrong"}`, "empty": `{"token":""}`, "missing": `{}`} {
		if got := g.do(t, http.MethodPost, "/api/v1/session", body, bare); got.status != 401 || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s token: got %d %v, want 401 and no cookie", name, got.status, got.header)
		}
	}
	for name, body := range map[string]string{"no JSON": `token`, "an unknown field": `{"token":"correct-horse","x":1}`, "two": `{"token":"correct-horse"}{}`, "nothing": ""} {
		if got := g.do(t, http.MethodPost, "/api/v1/session", body, bare); got.status != 400 {
			t.Errorf("%s: got %d, want 400", name, got.status)
		}
	}
	got := g.do(t, http.MethodPost, "/api/v1/session", `{"token":"correct-horse"}`, bare)
	cookies := (&http.Response{Header: got.header}).Cookies()
	if got.status != 204 || len(cookies) != 1 {
		t.Fatalf("the right token: got %d %v, want 204 and a cookie", got.status, got.header)
	}
	c := cookies[0]
	port := g.url[strings.LastIndexByte(g.url, ':')+1:]
	if c.Name != "slackdev_"+port || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("got cookie %v, want slackdev_%s, HttpOnly, SameSite=Strict, for this host", c, port)
	}
	if strings.Contains(c.Value, token) {
		t.Errorf("the cookie holds the token: %s", c.Value)
	}
	if got := g.do(t, http.MethodGet, "/api/v1/status", "", cookieInstead(c.Value)); got.status != 200 {
		t.Errorf("with the cookie: got %d, want 200", got.status)
	}
	wrong := func(r *http.Request) { r.AddCookie(c); r.Header.Set("Authorization", "Bearer wrong") }
	if got := g.do(t, http.MethodGet, "/api/v1/status", "", wrong); got.status != 401 {
		t.Errorf("a wrong token beside the cookie: got %d, want 401", got.status)
	}
	renamed := func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Host = "localhost:1"
		r.AddCookie(&http.Cookie{Name: "slackdev_1", Value: c.Value})
	}
	if got := g.do(t, http.MethodGet, "/api/v1/status", "", renamed); got.status != 401 {
		t.Errorf("the cookie under another port's name: got %d, want 401", got.status)
	}
}

func TestHeadersKeepAPageInItsPlace(t *testing.T) {
	g := newRig(t)
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	}
	rebound := func(r *http.Request) { r.Host = "evil.example" }
	for name, got := range map[string]answer{
		"page": g.do(t, http.MethodGet, "/", ""), "status": g.do(t, http.MethodGet, "/api/v1/status", ""),
		"refusal": g.do(t, http.MethodGet, "/", "", rebound), "nothing there": g.do(t, http.MethodGet, "/nothing.js", ""),
	} {
		for header, value := range want {
			if got.header.Get(header) != value {
				t.Errorf("%s: %s is %q, want %q", name, header, got.header.Get(header), value)
			}
		}
		csp := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'self';") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy is %q", name, csp)
		}
		if name != "page" && got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control is %q, want no-store", name, got.header.Get("Cache-Control"))
		}
	}
}

func TestAPanicIsOneBadAnswer(t *testing.T) {
	g := newRig(t, func(s *Server) { s.Journal.Store = nil })
	if got := g.do(t, http.MethodGet, "/api/v1/exchanges/last", ""); got.status != 500 || strings.Contains(got.body, "runtime") {
		t.Errorf("got %d %s, want 500 without the cause", got.status, got.body)
	}
	if got := g.do(t, http.MethodGet, "/api/v1/kinds", ""); got.status != 200 {
		t.Errorf("after it: got %d, want 200", got.status)
	}
}

// The page says what the code does: the same routes, in the same order.
func TestTheDocumentListsEveryRoute(t *testing.T) {
	page, err := os.ReadFile("../docs/local-api.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(GET|POST) ([^` ?]+)[^`]*`").FindAllStringSubmatch(string(page), -1) {
		name := row[1] + " " + strings.Replace(row[2], `{in\|out}`, "{side}", 1)
		if !slices.Contains(documented, name) {
			documented = append(documented, name)
		}
	}
	var routes []string
	for _, row := range (&Server{}).routes() {
		routes = append(routes, row.method+" "+row.path)
	}
	if diff := cmp.Diff(documented, routes); diff != "" {
		t.Errorf("docs/local-api.md (-), the server (+):\n%s", diff)
	}
}

// Whatever a stranger writes into Host and Origin, it is known only if it is us.
func FuzzFrontDoor(f *testing.F) {
	for _, seed := range [][2]string{
		{"127.0.0.1:4040", "http://127.0.0.1:4040"}, {"[::1]:4040", "http://[::1]:4040"}, {"localhost", "null"},
		{"evil.example", "https://evil.example"}, {"127.0.0.1@evil.example", "http://127.0.0.1@evil.example"}, {"[::1%25x]", "://"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, origin string) {
		s := &Server{}
		r := &http.Request{Host: host, URL: &url.URL{Path: "/api/v1/status"}, Header: http.Header{"Origin": {origin}}}
		if !s.knownHost(host) || !ownOrigin(r) {
			return
		}
		name := strings.ToLower(host)
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
		name = strings.Trim(name, "[]")
		if ip := net.ParseIP(name); name != "localhost" && !ip.IsLoopback() {
			t.Errorf("Host %q was let in", host)
		}
		if !strings.EqualFold(origin, "http://"+host) && !strings.EqualFold(origin, "https://"+host) && !strings.Contains(strings.ToLower(origin), strings.ToLower(host)) {
			t.Errorf("Origin %q was let in for Host %q", origin, host)
		}
	})
}
