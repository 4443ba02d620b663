package config

import (
	"net/url"
	"path/filepath"
	"slices"
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
	short string // a letter for the flag; empty: none
	list  bool   // a file may give a list, and a flag may come several times
	pairs bool   // a file may give a mapping, too: its elements are KEY=VALUE
	typed bool   // an argument, and not a flag
	flag  bool   // a flag that needs no value
	each  string // a flag of this name gives one element, and may be repeated
	set   func(c *Config, text, base string) error
	get   func(c *Config) string
}

// options lists all of them, in the order of the documentation.
func options() []option {
	return slices.Concat(appOptions(), tunnelOptions(), slackOptions(), historyOptions())
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
		case o.list:
			flags.VarP(new(commaList), o.flagName(), o.short, o.usage)
		default:
			flags.StringP(o.flagName(), o.short, o.def, o.usage)
		}
	}
}

// commaList is a flag that may come several times.
type commaList string

func (l *commaList) String() string { return string(*l) }
func (l *commaList) Type() string   { return "string" }

func (l *commaList) Set(text string) error {
	if *l != "" {
		text = string(*l) + "," + text
	}
	*l = commaList(text)
	return nil
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

func parseSSHConfig(c *Config, text, base string) (string, error) {
	if text == "none" {
		return text, nil
	}
	return parseFile(c.fromHome(text), base)
}

func parseIdentity(c *Config, text, base string) ([]string, error) {
	var files []string
	for name := range strings.SplitSeq(text, ",") {
		file, err := parseFile(c.fromHome(strings.TrimSpace(name)), base)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// fromHome resolves ~/ where no shell has: names of keys are written so.
func (c *Config) fromHome(text string) string {
	if rest, ok := strings.CutPrefix(text, "~/"); ok && c.env.Home() != "" {
		return filepath.Join(c.env.Home(), rest)
	}
	return text
}
