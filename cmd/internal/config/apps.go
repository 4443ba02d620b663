package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// maxTunnels is how many tunnels one process opens: a relay lets one key have that
// many connections.
const maxTunnels = 20

// maxRoutes bounds a list that is looked through for every request.
const maxRoutes = 100

// NamedApp is an app besides the first.
type NamedApp struct {
	Name string   // a tunnel's: the public name; a route's: the path, escaped and without a slash at its end
	URL  *url.URL // as Config.App
}

// Arguments puts what stands behind `slackdev tunnel` into what was typed: the first
// app, which may have a name, and others, which must. An error is an *Error.
func Arguments(given map[string]string, words []string) error {
	if len(words) == 0 {
		return nil
	}
	given[keyApp] = words[0]
	if name, app, named := cutName(words[0]); named {
		if typed, twice := given[keyName]; twice && !strings.EqualFold(typed, name) {
			return &Error{Problem: fmt.Sprintf("the first app is called %q, and --name says %q", clip(name), clip(typed)), Hint: "leave one of the two out"}
		}
		given[keyName], given[keyApp] = name, app
		if app == "" {
			return located(noApp(name), "")
		}
	}
	for _, word := range words[1:] {
		if _, _, named := cutName(word); !named {
			return &Error{
				Problem: fmt.Sprintf("tunnel takes one app without a name, and %q is a second one", unsigned(word)),
				Hint:    "give it one:  slackdev tunnel 3000 web=5173",
			}
		}
	}
	if len(words) > 1 {
		given[keyTunnels] = strings.Join(words[1:], listSeparator)
	}
	return nil
}

// cutName splits NAME=APP. An address may have an equals sign too, but behind a colon
// or a slash, and a name has neither.
func cutName(word string) (name, app string, named bool) {
	name, app, named = strings.Cut(word, "=")
	if !named || strings.ContainsAny(name, ":/") {
		return "", word, false
	}
	return strings.TrimSpace(name), strings.TrimSpace(app), true
}

func noApp(name string) error {
	return wrong(name+"=5173", "%q has no app", clip(name))
}

// unsigned gives a text that may be an address, clipped and without who logs in there.
func unsigned(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		text = "…" + text[at:]
	}
	return clip(text)
}

// ParseApp reads the address of an app as `slackdev tunnel` takes it: a port, an
// address, an http or https URL, or unix:PATH, whose path counts from the working
// directory. An error is an *Error, found at where.
func ParseApp(env Env, text, where string) (*url.URL, error) {
	u, err := parseUpstream(text, env.Dir, env.OS)
	if err != nil {
		return nil, located(err, where)
	}
	return u, nil
}

// parseUpstream reads an app's address. A socket's relative path counts from base.
func parseUpstream(text, base, system string) (*url.URL, error) {
	if path, found := strings.CutPrefix(strings.TrimSpace(text), "unix:"); found {
		return parseSocket(path, base, system)
	}
	return parseApp(text)
}

// parseSocket reads what stands behind unix:, and checks that the system can connect
// to it: where a path is too long, its own error says no more than "invalid argument".
func parseSocket(path, base, system string) (*url.URL, error) {
	const hint = "for example  unix:app.sock  or  unix:/run/app.sock"
	if strings.HasPrefix(path, "///") { // unix:///run/app.sock
		path = path[len("//"):]
	}
	switch {
	case path == "":
		return nil, wrong(hint, "unix: has no path")
	case path[0] == '@' || path[0] == 0:
		return nil, wrong(hint, "%q is an abstract socket, which has no file whose owner could be seen; slackdev connects to files", clip("unix:"+path))
	case strings.HasPrefix(path, "//") || strings.IndexByte(path, 0) >= 0:
		return nil, wrong(hint, "%q is not the path of a socket", clip("unix:"+path))
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	path = filepath.Clean(path)
	if most := socketPath(system); len(path) > most {
		return nil, wrong("let your app listen in a folder with a shorter name", "the path of a socket has at most %d bytes on %s, and %s has %d", most, system, clip(path), len(path))
	}
	return &url.URL{Scheme: "unix", OmitHost: true, Path: path}, nil
}

// socketPath is how long the path of a unix socket can be: the sun_path of the system,
// without the zero at its end.
func socketPath(system string) int {
	switch system {
	case "darwin", "ios", "freebsd", "netbsd", "openbsd", "dragonfly":
		return 103
	}
	return 107
}

// parseTunnels reads NAME=APP,NAME=APP.
func (c *Config) parseTunnels(text, base string) ([]NamedApp, error) {
	return c.parseApps(text, base, "slackdev tunnel 3000 web=5173", parseName)
}

// parseRoutes reads PATH=APP,PATH=APP.
func (c *Config) parseRoutes(text, base string) ([]NamedApp, error) {
	apps, err := c.parseApps(text, base, "for example  --route /api=8080", parsePrefix)
	if err == nil && len(apps) > maxRoutes {
		return nil, wrong("", "%d routes are too many: %d is the most", len(apps), maxRoutes)
	}
	return apps, err
}

func (c *Config) parseApps(text, base, hint string, parse func(string) (string, error)) ([]NamedApp, error) {
	var apps []NamedApp
	for item := range strings.SplitSeq(text, listSeparator) {
		name, address, found := strings.Cut(item, "=")
		if !found {
			return nil, wrong(hint, "%q names no app", unsigned(strings.TrimSpace(item)))
		}
		name, err := parse(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(address) == "" {
			return nil, noApp(name)
		}
		if slices.ContainsFunc(apps, func(other NamedApp) bool { return other.Name == name }) {
			return nil, wrong("", "%q stands there twice", clip(name))
		}
		app, err := parseUpstream(address, base, c.env.OS)
		if err != nil {
			return nil, err
		}
		apps = append(apps, NamedApp{name, app})
	}
	return apps, nil
}

// parsePrefix reads the path of a route.
func parsePrefix(text string) (string, error) {
	const hint = "for example  --route /api=8080"
	path, err := parsePath(text)
	if err != nil {
		return "", wrong(hint, "%q is not a path: it begins with / and has no query", clip(text))
	}
	path = strings.TrimRight(path, "/")
	if path == "" {
		return "", wrong(hint, "a route is for a part of the paths: all others are the app's own already")
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if plain, err := url.PathUnescape(segment); err != nil || plain == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, `/\;`) {
			return "", wrong(hint, "%q cannot be a route: paths are compared as they were sent, and %q is not sent so", clip(text), clip(segment))
		}
	}
	return path, nil
}

func appsText(apps []NamedApp) string {
	var items []string
	for _, a := range apps {
		items = append(items, a.Name+"="+urlText(a.URL))
	}
	return strings.Join(items, listSeparator)
}

// checkTunnels looks at all tunnels together.
func (c *Config) checkTunnels() error {
	if len(c.Tunnels) == 0 {
		return nil
	}
	where := ""
	if from := c.Origin(keyTunnels); from != Argument {
		where = string(from)
	}
	if all := 1 + len(c.Tunnels); all > maxTunnels {
		return &Error{Where: where, Problem: fmt.Sprintf("%d tunnels are too many: %d is the most", all, maxTunnels), Hint: "paths of one tunnel can go to several apps:  --route /api=8080"}
	}
	if slices.ContainsFunc(c.Tunnels, func(t NamedApp) bool { return t.Name == c.Name }) {
		return &Error{Where: where, Problem: fmt.Sprintf("two tunnels are called %q", c.Name), Hint: "give the first another name:  --name NAME"}
	}
	if c.PublicURL != nil {
		return &Error{
			Where: string(c.Origin("public_url")), Problem: fmt.Sprintf("one public URL cannot be that of %d tunnels", 1+len(c.Tunnels)),
			Hint: "paths of one tunnel can go to several apps:  --route /api=8080",
		}
	}
	return nil
}
