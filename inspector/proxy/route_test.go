package proxy

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

// FuzzARouteLeadsNowhereElse holds that whatever an app makes of a path that a route
// brought to it (decoding it, resolving its dots, taking a backslash for a slash), it
// stays below the route's.
func FuzzARouteLeadsNowhereElse(f *testing.F) {
	for _, target := range []string{
		"/api/x", "/api/../x", "/api/%2e%2e/x", "/api/x%2f..%2f..", "/api/..%5c..%5cx", "/api//..//..", "/api/v2/../../x", "/api/.../x", "/api/a/../b",
	} {
		f.Add(target)
	}
	app := &url.URL{Scheme: "http", Host: "localhost:1"}
	p := &Proxy{App: Upstream{URL: app}, More: []Upstream{{Name: "/api", URL: app}, {Name: "/api/v2", URL: app}}}
	p.once.Do(p.prepare)
	f.Cleanup(p.Close)
	f.Fuzz(func(t *testing.T, target string) {
		asked, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		to := p.choose("", asked)
		if to == nil {
			t.Fatalf("%q is for nobody", target)
		}
		made := path.Clean(strings.ReplaceAll(asked.Path, `\`, "/"))
		if to.Name != "" && !below(made, to.Name) {
			t.Errorf("%q went to %s, which may take it for %q", target, to.Name, made)
		}
		if to.Name == "" && below(asked.EscapedPath(), "/api") && !strings.Contains(asked.Path, "..") {
			t.Errorf("%q did not go to its route", target)
		}
	})
}
