// Package config says what a person wants slackdev to do, and where each wish came
// from. It merges, the later over the earlier: defaults, the user's file
// (config.yaml), the project's file (slackdev.yaml), the variables SLACKDEV_… of the
// project's .env and then of the environment, and what was typed.
//
// It is the only package that reads the environment: main builds one Env and hands
// it down, tests build their own. Nothing here keeps state between calls; a Config
// is read-only once it is loaded and may be shared by many goroutines.
package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config is what slackdev was asked to do. Its zero value is not useful: Load it.
type Config struct {
	App              *url.URL   // the local app, nil when none was named: http or https, never with a trailing slash; or unix, with the absolute path of a socket
	Via              string     // the tunnel: one of Services, the name of one of Providers, or an address: see ViaSchemes
	Name             string     // the public name, a DNS label
	Tunnels          []NamedApp // more apps, each with a public name of its own
	Routes           []NamedApp // apps for what is below a path of any tunnel
	KeepHost         bool       // apps see the public Host
	InsecureUpstream bool       // any certificate of an https app is good
	Path             string     // where Slack posts, with its leading slash
	OAuthPath        string     // where browsers come back from an installation of the app
	Local            string     // host:port of the local API and page
	Enforce          bool       // refuse what is not validly signed
	RefuseStatus     int        // 401 or 403
	Rules            string     // absolute path of the file that holds the rules, which need not exist
	Store            string     // "memory", an absolute path, or "" for the project's own (see Database)
	Keep             int64      // bytes kept of each body
	MaxExchanges     int        // exchanges kept
	MaxSize          int64      // bytes kept of all exchanges
	Color            string     // auto, always or never
	PublicURL        *url.URL   // an address that somebody else's tunnel serves, nil without
	Proxy            string     // a proxy's URL without credentials, "none", or "" for what the environment says; see Proxies
	Jump             string     // SSH hosts to go through, "none", or "" for what ssh_config says
	RelayCA          string     // absolute path of a file of certificates, "" without
	SSHConfig        string     // absolute path of the only ssh_config to read, "none", or "" for the user's and the system's
	Identity         []string   // absolute paths of private keys to log in to SSH servers with
	Hosts            []string   // names besides the loopback ones under which the local API answers, lower case
	SecretFile       string     // absolute path of a file of signing secrets, "" without
	PinggyFile       string     // absolute path of the file that holds the token for Pinggy, "" without: see PinggyToken

	Providers map[string]Provider // that the files describe, by name

	AllowIP  []netip.Prefix // from where the public name may be visited, nil: from anywhere
	AuthFile string         // absolute path of a file with USER:PASSWORD for the public name, "" without (see BasicAuth)

	KeepAlive time.Duration // silence after which a tunnel's server is asked for a sign of life
	GiveUp    time.Duration // for how long there may be no tunnel; 0: for ever

	Project  Project
	Warnings []string // what a person should know and nothing fails for, one sentence each

	env     Env
	dotenv  map[string]string
	origins map[string]Origin
	places  map[string]string // where in a file, with its column, or as origins
	layers  map[string]int    // which of the layers a value came from, counted from the weakest
	layer   int               // that is being read
}

// Origin says where a value came from, for a person: a file with its line, a
// variable, a flag, or Default.
type Origin string

// The origins that are not places.
const (
	Default  Origin = "default"
	Argument Origin = "argument" // typed without a flag: the apps
)

// Error is a mistake in what the user wrote: wrong usage, exit status 2. It never
// holds the value of a secret.
type Error struct {
	Where   string // file:line:column, a variable, a flag; may be empty
	Problem string
	Hint    string // what to type or to change, may be empty
}

// Error gives the place and the problem.
func (e *Error) Error() string {
	if e.Where == "" {
		return e.Problem
	}
	return e.Where + ": " + e.Problem
}

// Explain gives the hint and the exit status 2: wrong usage.
func (e *Error) Explain() (hint string, exit int) { return e.Hint, 2 }

// Load merges everything. given is what was typed, by option key (see Given); what
// stands there without a flag comes in with Arguments. An error of type *Error is
// the user's; others are of the file system.
func Load(env Env, given map[string]string) (*Config, error) {
	project, err := findProject(env)
	if err != nil {
		return nil, err
	}
	c := &Config{Project: project, env: env, origins: map[string]Origin{}, places: map[string]string{}, layers: map[string]int{}}
	if err := c.loadDefaults(); err != nil {
		return nil, err
	}
	if err := c.loadFiles(); err != nil {
		return nil, err
	}
	if c.dotenv, err = readDotenv(project.Dotenv); err != nil {
		return nil, err
	}
	if err := c.loadVariables(); err != nil {
		return nil, err
	}
	if err := c.loadGiven(given); err != nil {
		return nil, err
	}
	return c, c.check()
}

// Origin says where the value of an option came from.
func (c *Config) Origin(key string) Origin {
	if from, ok := c.origins[key]; ok {
		return from
	}
	return Default
}

// Asked reports whether somebody chose the value of an option: a default may give
// way (a taken port to the next free one), a choice may not.
func (c *Config) Asked(key string) bool { return c.Origin(key) != Default }

// Setting is one option as it stands, for display.
type Setting struct {
	Key, Value string
	Origin     Origin
}

// Settings lists every option in the order of the documentation.
func (c *Config) Settings() []Setting {
	var all []Setting
	for _, o := range options() {
		all = append(all, Setting{o.key, o.get(c), c.Origin(o.key)})
	}
	return all
}

// UseColor reports whether what is written to stream should be coloured: as --color
// says, and where it says auto, on a terminal that can and whose user did not set
// NO_COLOR (no-color.org).
func (c *Config) UseColor(stream any) bool {
	switch c.Color {
	case "always":
		return true
	case "never":
		return false
	}
	return c.env.Getenv("NO_COLOR") == "" && c.env.Getenv("TERM") != "dumb" && c.env.terminal(stream)
}

func (c *Config) loadDefaults() error {
	c.Name = defaultName(c.env.User, c.Project.Dir)
	c.Rules = filepath.Join(c.Project.Dir, projectFile)
	for _, o := range options() {
		if o.def == "" {
			continue
		}
		if err := o.set(c, o.def, c.Project.Dir); err != nil {
			return fmt.Errorf("default of %s: %w", o.key, err)
		}
	}
	return nil
}

func (c *Config) loadFiles() error {
	c.layer++
	if dir, err := c.env.ConfigDir(); err == nil { // without a home there is no user's file
		if err := c.loadYAML(filepath.Join(dir, userFile), false); err != nil {
			return err
		}
	}
	if c.Project.File == "" {
		return nil
	}
	c.layer++
	return c.loadYAML(c.Project.File, true)
}

// loadVariables reads SLACKDEV_KEEP and its like. Of the two places that can hold
// one, the environment beats the file; a variable that is set but empty counts as unset,
// since that is how one is switched off in most shells and CI systems.
func (c *Config) loadVariables() error {
	dotenv := c.layer + 1
	c.layer += 2
	for _, o := range options() {
		name := variable(o.key)
		text, origin, base := c.env.Getenv(name), Origin(name), c.env.Dir
		fromFile := text == ""
		if fromFile {
			text, origin, base = c.dotenv[name], Origin(name+" (.env)"), c.Project.Dir
		}
		if text == "" {
			continue
		}
		if fromFile {
			if err := o.mineAlone(string(origin)); err != nil {
				return err
			}
		}
		if err := c.put(o, text, base, origin); err != nil {
			return err
		}
		if fromFile {
			c.layers[o.key] = dotenv
			if err := c.inProject(o, string(origin)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Config) loadGiven(given map[string]string) error {
	c.layer++
	for _, o := range options() {
		text, ok := given[o.key]
		if !ok {
			continue
		}
		origin := Origin("--" + o.flagName())
		if o.typed {
			origin = Argument
		}
		if err := c.put(o, text, c.env.Dir, origin); err != nil {
			return err
		}
	}
	return nil
}

// put sets one option from text and says where a mistake is. Relative paths in text
// count from base.
func (c *Config) put(o option, text, base string, origin Origin) error {
	if err := o.set(c, text, base); err != nil {
		where := string(origin)
		if origin == Argument {
			where = ""
		}
		return located(err, where)
	}
	c.came(o.key, origin, string(origin))
	return nil
}

// came notes where the value of an option is from.
func (c *Config) came(key string, origin Origin, where string) {
	c.origins[key], c.places[key], c.layers[key] = origin, where, c.layer
}

// located gives err a place, and keeps its hint.
func located(err error, where string) *Error {
	e := &Error{Where: where, Problem: err.Error()}
	if p, ok := err.(*problem); ok {
		e.Hint = p.hint
	}
	return e
}

// check looks at what no option can see by itself.
func (c *Config) check() error {
	// Not a regular file is fine: the shell's  <(pass show slack)  is a pipe.
	for _, file := range []string{c.SecretFile, c.PinggyFile} {
		if info, err := os.Stat(file); file != "" && err == nil && info.Mode().IsRegular() && exposed(info) {
			c.Warnings = append(c.Warnings, fmt.Sprintf("other users of this machine can read %s: chmod 600 it", file))
		}
	}
	c.checkAuthFile()
	if !loopback(c.Local) && len(c.Hosts) == 0 {
		return &Error{
			Where:   string(c.Origin(keyLocal)),
			Problem: fmt.Sprintf("%s is not an address of this machine alone, and whoever reaches it reaches your recorded requests", c.Local),
			Hint:    "stay on 127.0.0.1 and forward the port, or name the hosts that may ask with  --hosts NAME",
		}
	}
	if err := c.checkVia(); err != nil {
		return err
	}
	return c.checkTunnels()
}

func variable(key string) string { return "SLACKDEV_" + strings.ToUpper(key) }
