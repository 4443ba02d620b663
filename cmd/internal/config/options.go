package config

import (
	"fmt"
	"net/url"
	"os"
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
	mine  bool   // the user's alone to say: see mineAlone
	set   func(c *Config, text, base string) error
	get   func(c *Config) string
	below func(c *Config) []string // files that a project may name in its own folder alone: see inProject; nil: none
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

// mineAlone refuses an option that a project says in its slackdev.yaml or its .env. Both
// may have come with somebody else's repository, and options of this kind say with
// which keys, through whom and on whose word the user logs in, or what leaves this machine.
func (o option) mineAlone(where string) error {
	if !o.mine {
		return nil
	}
	return &Error{
		Where: where, Problem: fmt.Sprintf("%s is yours to say, and not the project's: its files may be somebody else's", o.key),
		Hint: fmt.Sprintf("--%s …,  or  %s=…  in the environment,  or  %s: …  in your own config.yaml", o.flagName(), variable(o.key), o.key),
	}
}

// inProject refuses files that a project names and that are not its own: a history is
// made, written to, and moves what stands there out of the way; what a socket leads to
// becomes public, and what it may do is for its owner to say (Docker's does anything).
func (c *Config) inProject(o option, where string) error {
	if o.below == nil {
		return nil
	}
	for _, file := range o.below(c) {
		if c.owns(file) {
			continue
		}
		hint := fmt.Sprintf("--%s …,  or  %s=…  in the environment,  or  %s: …  in your own config.yaml", o.flagName(), variable(o.key), o.key)
		if o.typed {
			hint = "if you mean it, type it:  slackdev tunnel …"
		}
		return &Error{Where: where, Problem: fmt.Sprintf("%s: a project keeps to its own folder, and %s is not there", o.key, clip(file)), Hint: hint}
	}
	return nil
}

// owns reports whether a file, which need not exist, is in the project's folder, and
// not only by way of a link that leads elsewhere.
func (c *Config) owns(file string) bool {
	rest := ""
	for dir := file; ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return strings.HasPrefix(filepath.Join(real, rest), c.Project.Dir+string(filepath.Separator))
		}
		if _, err := os.Lstat(dir); err == nil || filepath.Dir(dir) == dir { // a link that leads nowhere yet
			return false
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// sockets are those that apps are reached by.
func sockets(apps ...*url.URL) (files []string) {
	for _, u := range apps {
		if u != nil && u.Scheme == "unix" {
			files = append(files, u.Path)
		}
	}
	return files
}

func socketsOf(apps []NamedApp) (files []string) {
	for _, a := range apps {
		files = append(files, sockets(a.URL)...)
	}
	return files
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
