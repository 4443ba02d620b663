package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestArgumentsAreOneAppAndOthersWithNames(t *testing.T) {
	for name, tc := range map[string]struct {
		given map[string]string
		words []string
		want  string // the name and the app of each
	}{
		"none":                     {nil, nil, "ana-todo="},
		"one":                      {nil, []string{"3000"}, "ana-todo=http://localhost:3000"},
		"one with a name":          {nil, []string{"web=3000"}, "web=http://localhost:3000"},
		"one with the name twice":  {map[string]string{"name": "Web"}, []string{"web=3000"}, "web=http://localhost:3000"},
		"several":                  {nil, []string{"3000", "web=5173", "admin=https://localhost:8443/a"}, "ana-todo=http://localhost:3000 web=http://localhost:5173 admin=https://localhost:8443/a"},
		"several, the first named": {map[string]string{"name": "x"}, []string{"3000", "web=5173"}, "x=http://localhost:3000 web=http://localhost:5173"},
		"names in any case":        {nil, []string{"API=3000", "WEB=5173"}, "api=http://localhost:3000 web=http://localhost:5173"},
		"an equals sign in a path": {nil, []string{"http://localhost:3000/a=b"}, "ana-todo=http://localhost:3000/a=b"},
		"and in a socket's":        {nil, []string{"unix:/tmp/a=b", "web=unix:/tmp/c=d"}, "ana-todo=unix:/tmp/a=b web=unix:/tmp/c=d"},
	} {
		t.Run(name, func(t *testing.T) {
			given := map[string]string{}
			for k, v := range tc.given {
				given[k] = v
			}
			if err := Arguments(given, tc.words); err != nil {
				t.Fatal(err)
			}
			c, err := Load(newWorld(t, nil).env(), given)
			if err != nil {
				t.Fatal(err)
			}
			got := c.Name + "=" + urlText(c.App)
			for _, app := range c.Tunnels {
				got += " " + app.Name + "=" + app.URL.String()
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestWhatCannotBeTunnelsAndRoutesIsExplained(t *testing.T) {
	many := []string{"3000"}
	for i := range maxTunnels {
		many = append(many, fmt.Sprintf("n%d=%d", i, 4000+i))
	}
	routes := make([]string, maxRoutes+1)
	for i := range routes {
		routes[i] = fmt.Sprintf("/r%d=%d", i, 4000+i)
	}
	for name, tc := range map[string]struct {
		words          []string
		given          map[string]string
		file           string
		problem, hint  string
		where, notSaid string
	}{
		"a second without a name":  {words: []string{"3000", "3001"}, problem: `tunnel takes one app without a name, and "3001" is a second one`, hint: "web=5173"},
		"a second with a password": {words: []string{"3000", "http://me:word@h:1"}, problem: "is a second one", notSaid: "word"},
		"no app":                   {words: []string{"3000", "web="}, problem: `"web" has no app`, hint: "web=5173"},
		"no app for the first":     {words: []string{"web="}, problem: `"web" has no app`, hint: "web=5173"},
		"no name":                  {words: []string{"3000", "=5173"}, problem: "the name is blank"},
		"no name for the first":    {words: []string{"=5173"}, problem: "the name is blank"},
		"a name that is none":      {words: []string{"3000", "my.web=5173"}, problem: `"my.web" cannot be part of a host name`, hint: "my-web"},
		"an app that is none":      {words: []string{"3000", "web=70000"}, problem: "port 70000 is not between"},
		"one name for two":         {words: []string{"3000", "web=1", "Web=2"}, problem: `"web" stands there twice`},
		"the first one's name":     {words: []string{"web=3000", "web=1"}, problem: `two tunnels are called "web"`, hint: "--name"},
		"the default's name":       {words: []string{"3000", "ana-todo=1"}, problem: `two tunnels are called "ana-todo"`, hint: "--name"},
		"two names for the first":  {words: []string{"web=3000"}, given: map[string]string{"name": "other"}, problem: `the first app is called "web", and --name says "other"`},
		"too many":                 {words: many, problem: "21 tunnels are too many: 20 is the most", hint: "--route"},
		"one public URL for two":   {words: []string{"3000", "web=1"}, given: map[string]string{"public_url": "https://a.example"}, problem: "--public-url: one public URL cannot be that of 2 tunnels"},

		"a route without an app":  {given: map[string]string{"routes": "/api"}, problem: `--route: "/api" names no app`, hint: "--route /api=8080"},
		"a route with no app":     {given: map[string]string{"routes": "/api="}, problem: `--route: "/api" has no app`},
		"a route that is no path": {given: map[string]string{"routes": "api=8080"}, problem: `--route: "api" is not a path`, hint: "--route /api=8080"},
		"a route for all":         {given: map[string]string{"routes": "/=8080"}, problem: "a route is for a part of the paths"},
		"a route that climbs":     {given: map[string]string{"routes": "/a/../b=8080"}, problem: `"/a/../b" cannot be a route`},
		"one that climbs hidden":  {given: map[string]string{"routes": "/a/%2e%2e/b=8080"}, problem: "cannot be a route"},
		"one with a slash hidden": {given: map[string]string{"routes": "/a%2fb=8080"}, problem: "cannot be a route"},
		"one with two slashes":    {given: map[string]string{"routes": "/a//b=8080"}, problem: "cannot be a route"},
		"one with a query":        {given: map[string]string{"routes": "/a?b=8080"}, problem: "is not a path"},
		"a route twice":           {given: map[string]string{"routes": "/api=1,/api/=2"}, problem: `"/api" stands there twice`},
		"an app of no kind":       {given: map[string]string{"routes": "/api=ftp://localhost"}, problem: "not by ftp"},
		"too many routes":         {given: map[string]string{"routes": strings.Join(routes, ",")}, problem: "101 routes are too many"},

		"a file with a bad route":   {file: "routes:\n  /api: nowhere\n", where: ":2:3", problem: `routes: "nowhere" is not a port`},
		"a file with no route":      {file: "routes:\n  /api:\n", where: ":2:8", problem: "routes: want a text, got nothing"},
		"a file with a list's list": {file: "routes:\n  - [a]\n", where: ":2:5", problem: "routes: want a text, got a list"},
		"a file with two of a name": {file: "tunnels: [web=1, web=2]\n", where: ":1:10", problem: `tunnels: "web" stands there twice`},
		"a mapping for a list":      {file: "hosts: {a: b}\n", where: ":1:8", problem: "hosts: want one value, got a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			if tc.file != "" {
				files["todo/slackdev.yaml"] = tc.file
			}
			given := map[string]string{}
			for k, v := range tc.given {
				given[k] = v
			}
			err := Arguments(given, tc.words)
			if err == nil {
				_, err = Load(newWorld(t, files).env(), given)
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			hint, exit := e.Explain()
			if !strings.Contains(e.Error(), tc.problem) || !strings.Contains(hint, tc.hint) || !strings.HasSuffix(e.Where, tc.where) || exit != 2 {
				t.Errorf("got %q at %q, hint %q; want %q at %q, hint %q", e, e.Where, hint, tc.problem, tc.where, tc.hint)
			}
			if tc.notSaid != "" && strings.Contains(e.Error()+hint, tc.notSaid) {
				t.Errorf("%q is repeated in %v", tc.notSaid, e)
			}
		})
	}
}

func TestRoutesAndTunnelsStandInFilesFlagsAndVariables(t *testing.T) {
	want := "/api=http://localhost:8080,/ws=unix:HOME/todo/ws.sock"
	for name, file := range map[string]string{
		"a mapping": "routes:\n  /api: 8080\n  /ws/: unix:ws.sock\n",
		"a list":    "routes:\n  - /api=8080\n  - /ws=unix:ws.sock\n",
		"a text":    "routes: /api=8080, /ws=unix:ws.sock\n",
	} {
		w := newWorld(t, map[string]string{"todo/slackdev.yaml": file})
		c, err := Load(w.env(), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := strings.ReplaceAll(appsText(c.Routes), w.home, "HOME"); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}

	flags := pflag.NewFlagSet("tunnel", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse([]string{"--route", "/a=1", "--route=/b=2", "--keep-host", "--insecure-upstream"}); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, map[string]string{"todo/slackdev.yaml": "tunnels: {web: 5173}\n"})
	w.vars["SLACKDEV_ROUTES"] = "/c=3"
	given := Given(flags)
	if diff := cmp.Diff(map[string]string{"routes": "/a=1,/b=2", "keep_host": "true", "insecure_upstream": "true"}, given); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	c, err := Load(w.env(), given)
	if err != nil {
		t.Fatal(err)
	}
	if got := appsText(c.Routes) + " " + appsText(c.Tunnels); got != "/a=http://localhost:1,/b=http://localhost:2 web=http://localhost:5173" || !c.KeepHost || !c.InsecureUpstream {
		t.Errorf("got %s, %v, %v", got, c.KeepHost, c.InsecureUpstream)
	}
	if c.Origin("routes") != "--route" {
		t.Errorf("routes come from %s", c.Origin("routes"))
	}
	if flags.Lookup("tunnels") != nil || flags.Lookup("app") != nil || flags.Lookup("routes") != nil {
		t.Errorf("arguments are flags too:\n%s", flags.FlagUsages())
	}
}

func TestSocketsAreNamedByTheirPath(t *testing.T) {
	w := newWorld(t, nil)
	for text, want := range map[string]string{
		"unix:/run/app.sock":    "/run/app.sock",
		"unix:///run/app.sock":  "/run/app.sock",
		"unix:app.sock":         filepath.Join(w.dir, "app.sock"),
		"unix:./tmp/../a%.sock": filepath.Join(w.dir, "a%.sock"),
		" unix:/a b.sock":       "/a b.sock",
	} {
		u, err := ParseApp(w.env(), text, "--to")
		if err != nil || u.Scheme != "unix" || u.Path != want {
			t.Errorf("%q: got %v, %v; want %s", text, u, err, want)
		}
	}
	for text, want := range map[string]string{
		"unix:":                "--to: unix: has no path",
		"unix:@app":            "an abstract socket",
		"unix:\x00app":         "an abstract socket",
		"unix:a\x00b":          "is not the path of a socket",
		"unix://app/sock":      "is not the path of a socket",
		"unix://":              "is not the path of a socket",
		"unix:/" + long(107):   "has at most 107 bytes on linux, and",
		"unix:" + long(200):    "has at most 107 bytes on linux, and",
		"unix:/" + long(1<<20): "and /aaa",
	} {
		if u, err := ParseApp(w.env(), text, "--to"); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%.40q: got %v, %v; want %q", text, u, err, want)
		}
	}
	if u, err := ParseApp(w.env(), "unix:/"+long(106), ""); err != nil {
		t.Errorf("107 bytes: %v, %v", u, err)
	}
	mac := w.env()
	mac.OS = "darwin"
	if _, err := ParseApp(mac, "unix:/"+long(103), ""); err == nil || !strings.Contains(err.Error(), "103 bytes on darwin, and") {
		t.Errorf("104 bytes on darwin: %v", err)
	}
}

func long(n int) string { return strings.Repeat("a", n) }
