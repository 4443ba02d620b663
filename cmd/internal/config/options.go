package config

import (
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

const (
	keyApp     = "app"
	keyName    = "name"
	keyTunnels = "tunnels"
	keyLocal   = "local"
	keyRules   = "rules"
	keyProxy   = "proxy"
)

// listSeparator stands between the elements of a list that is one text.
const listSeparator = ","

// option is one thing that can be chosen: keep in a file, SLACKDEV_KEEP in the
// environment, --keep when typed. Everywhere it is text, read by set, in which
// relative paths count from base.
type option struct {
	key   string
	usage string // `words` in backquotes name the value in the help
	def   string
	list  bool   // a file may give a list
	pairs bool   // a file may give a mapping, too: its elements are KEY=VALUE
	typed bool   // an argument, and not a flag
	flag  bool   // a flag that needs no value
	each  string // a flag of this name gives one element, and may be repeated
	set   func(c *Config, text, base string) error
	get   func(c *Config) string
}

// options lists all of them, in the order of the documentation.
func options() []option {
	return []option{
		{
			key: keyApp, typed: true, usage: "the `port or URL` of your app",
			set: func(c *Config, s, base string) (err error) { c.App, err = parseUpstream(s, base, c.env.OS); return },
			get: func(c *Config) string { return urlText(c.App) },
		}, {
			key: keyTunnels, typed: true, list: true, pairs: true, usage: "more apps, each with a public name of its own, as `NAME=APP`",
			set: func(c *Config, s, base string) (err error) { c.Tunnels, err = c.parseTunnels(s, base); return },
			get: func(c *Config) string { return appsText(c.Tunnels) },
		}, {
			key: "routes", each: "route", list: true, pairs: true, usage: "send what is below a path to another app, as `PATH=APP`; may be repeated",
			set: func(c *Config, s, base string) (err error) { c.Routes, err = c.parseRoutes(s, base); return },
			get: func(c *Config) string { return appsText(c.Routes) },
		}, {
			key: "keep_host", def: "false", flag: true, usage: "let the app see the public Host in place of its own",
			set: func(c *Config, s, _ string) (err error) { c.KeepHost, err = parseBool(s); return },
			get: func(c *Config) string { return strconv.FormatBool(c.KeepHost) },
		}, {
			key: "insecure_upstream", def: "false", flag: true, usage: "take any certificate of an https app",
			set: func(c *Config, s, _ string) (err error) { c.InsecureUpstream, err = parseBool(s); return },
			get: func(c *Config) string { return strconv.FormatBool(c.InsecureUpstream) },
		}, {
			key: "via", def: "auto", usage: "the `tunnel`: auto, embedded, none, pinggy, localhost.run, serveo, relay://HOST, relay+tls://HOST[:PORT][/NAME], ssh://[USER@]HOST[:PORT], sish://HOST",
			set: func(c *Config, s, _ string) (err error) { c.Via, err = parseVia(s); return },
			get: func(c *Config) string { return c.Via },
		}, {
			key: keyName, usage: "the public `name` to ask for (default: you-project)",
			set: func(c *Config, s, _ string) (err error) { c.Name, err = parseName(s); return },
			get: func(c *Config) string { return c.Name },
		}, {
			key: "path", def: "/slack/events", usage: "the `path` that Slack posts to",
			set: func(c *Config, s, _ string) (err error) { c.Path, err = parsePath(s); return },
			get: func(c *Config) string { return c.Path },
		}, {
			key: "oauth_path", def: "/slack/oauth_redirect", usage: "the `path` of the app's OAuth redirect, the only one that --enforce lets browsers pass to",
			set: func(c *Config, s, _ string) (err error) { c.OAuthPath, err = parsePath(s); return },
			get: func(c *Config) string { return c.OAuthPath },
		}, {
			key: keyLocal, def: "127.0.0.1:4040", usage: "the `address` of the local API and page",
			set: func(c *Config, s, _ string) (err error) { c.Local, err = parseLocal(s); return },
			get: func(c *Config) string { return c.Local },
		}, {
			key: "enforce", def: "false", flag: true, usage: "refuse requests whose signature is not valid",
			set: func(c *Config, s, _ string) (err error) { c.Enforce, err = parseBool(s); return },
			get: func(c *Config) string { return strconv.FormatBool(c.Enforce) },
		}, {
			key: "refuse_status", def: "401", usage: "the `status` of a refusal: 401 or 403",
			set: func(c *Config, s, _ string) (err error) { c.RefuseStatus, err = parseRefusal(s); return },
			get: func(c *Config) string { return strconv.Itoa(c.RefuseStatus) },
		}, {
			key: keyRules, usage: "the `file` of rules that answer in the app's place (default: the project's slackdev.yaml)",
			set: func(c *Config, s, base string) (err error) { c.Rules, err = parseFile(s, base); return },
			get: func(c *Config) string { return c.Rules },
		}, {
			key: "store", usage: "where the history is kept: a `path`, or memory (default: a file per project)",
			set: func(c *Config, s, base string) (err error) { c.Store, err = parseStore(s, base); return },
			get: func(c *Config) string { return c.Store },
		}, {
			key: "keep", def: "1MiB", usage: "the most that is kept of each body, a `size` like 512k or 4MiB",
			set: func(c *Config, s, _ string) (err error) { c.Keep, err = parseSize(s, 0, 1<<30); return },
			get: func(c *Config) string { return sizeText(c.Keep) },
		}, {
			key: "max_exchanges", def: "100000", usage: "the `number` of requests that are kept",
			set: func(c *Config, s, _ string) (err error) { c.MaxExchanges, err = parseCount(s); return },
			get: func(c *Config) string { return strconv.Itoa(c.MaxExchanges) },
		}, {
			key: "max_size", def: "2GiB", usage: "the `size` of all that is kept",
			set: func(c *Config, s, _ string) (err error) { c.MaxSize, err = parseSize(s, 1<<20, 1<<50); return },
			get: func(c *Config) string { return sizeText(c.MaxSize) },
		}, {
			key: "color", def: "auto", usage: "`when` to use colours: auto, always or never",
			set: func(c *Config, s, _ string) (err error) { c.Color, err = parseColor(s); return },
			get: func(c *Config) string { return c.Color },
		}, {
			key: "public_url", usage: "the public `URL`, where something else than slackdev carries it",
			set: func(c *Config, s, _ string) (err error) { c.PublicURL, err = parsePublic(s); return },
			get: func(c *Config) string { return urlText(c.PublicURL) },
		}, {
			key: keyProxy, usage: "the `proxy` to go through, http://, https:// or socks5://HOST:PORT, or none (default: what HTTPS_PROXY or ALL_PROXY says)",
			set: func(c *Config, s, _ string) (err error) { c.Proxy, err = parseProxy(s); return },
			get: func(c *Config) string { return c.Proxy },
		}, {
			key: "jump", usage: "SSH `hosts` to go through, [USER@]HOST[:PORT], the nearest first, with commas, or none",
			set: func(c *Config, s, _ string) (err error) { c.Jump, err = parseJump(s); return },
			get: func(c *Config) string { return c.Jump },
		}, {
			key: "relay_ca", usage: "a `file` of certificates that may vouch for a relay+tls:// relay, besides the system's",
			set: func(c *Config, s, base string) (err error) { c.RelayCA, err = parseFile(s, base); return },
			get: func(c *Config) string { return c.RelayCA },
		}, {
			key: "hosts", list: true, usage: "more `names` under which the local API answers, with commas",
			set: func(c *Config, s, _ string) (err error) { c.Hosts, err = parseHosts(s); return },
			get: func(c *Config) string { return strings.Join(c.Hosts, ",") },
		}, {
			key: "signing_secret_file", usage: "a `file` of signing secrets, one a line",
			set: func(c *Config, s, base string) (err error) { c.SecretFile, err = parseFile(s, base); return },
			get: func(c *Config) string { return c.SecretFile },
		}, {
			key: "allow_ip", list: true, usage: "the `networks` whose visitors the relay lets in, addresses or ADDRESS/BITS with commas",
			set: func(c *Config, s, _ string) (err error) { c.AllowIP, err = parseNetworks(s); return },
			get: func(c *Config) string { return networksText(c.AllowIP) },
		}, {
			key: keyAuthFile, usage: "a `file` with USER:PASSWORD that the relay asks visitors for (or set SLACKDEV_BASIC_AUTH)",
			set: func(c *Config, s, base string) (err error) { c.AuthFile, err = parseFile(s, base); return },
			get: func(c *Config) string { return c.AuthFile },
		},
	}
}

// AddFlags gives a command the flags of some options, by key; without keys, of all
// that can be flags.
func AddFlags(flags *pflag.FlagSet, keys ...string) {
	wanted := map[string]bool{}
	for _, key := range keys {
		wanted[key] = true
	}
	for _, o := range options() {
		switch {
		case o.typed || len(keys) > 0 && !wanted[o.key]:
		case o.flag:
			flags.Bool(o.flagName(), false, o.usage)
		case o.each != "":
			flags.StringArray(o.flagName(), nil, o.usage)
		default:
			flags.String(o.flagName(), o.def, o.usage)
		}
	}
}

// Given collects what was typed as flags, for Load. See Arguments for the rest.
func Given(flags *pflag.FlagSet) map[string]string {
	given := map[string]string{}
	for _, o := range options() {
		f := flags.Lookup(o.flagName())
		if o.typed || f == nil || !f.Changed {
			continue
		}
		given[o.key] = f.Value.String()
		if all, several := f.Value.(pflag.SliceValue); several {
			given[o.key] = strings.Join(all.GetSlice(), listSeparator)
		}
	}
	return given
}

func (o option) flagName() string {
	if o.each != "" {
		return o.each
	}
	return strings.ReplaceAll(o.key, "_", "-")
}

func urlText(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Redacted()
}

func parseFile(text, base string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", &problem{text: "the path is blank"}
	}
	if !filepath.IsAbs(text) {
		text = filepath.Join(base, text)
	}
	return filepath.Clean(text), nil
}

func parseStore(text, base string) (string, error) {
	if text == "memory" {
		return text, nil
	}
	return parseFile(text, base)
}
