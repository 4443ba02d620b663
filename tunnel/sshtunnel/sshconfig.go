package sshtunnel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SSHConfig is where ssh_config(5) files are, and what they mean on this machine. It is
// read by Lookup as ssh(1) reads it: of each keyword the first value counts, and what
// was typed counts before all of them. Nothing in the files is run: see Lookup.
// Its fields are not changed after the first Lookup, which is safe for many goroutines.
type SSHConfig struct {
	File   string              // this file and no other, which must be there; "": the user's, then the system's; "none": none
	System string              // the system's folder, /etc/ssh; "": none
	Home   string              // of the user; "": no user's file, and no ~
	User   string              // who runs this
	Getenv func(string) string // for ${NAME}; nil: no variables
}

// Query is a host as a person typed it.
type Query struct {
	Host string
	User string // empty: the file decides, then the user who runs this
	Port int    // 0: the file decides, then 22
}

// HostConfig is what the files say about one host, with the values of a Query in front.
// Names of files are absolute, or as they were written where that was relative.
type HostConfig struct {
	Host string // to connect to
	User string
	Port int

	IdentityFiles    []string // nil: none are named, and OpenSSH would try its defaults; empty: none shall be tried
	CertificateFiles []string
	IdentitiesOnly   bool
	IdentityAgent    string // a socket; "none"; empty: the environment decides

	ProxyJump    string // as it was written, tokens replaced; empty: none
	ProxyCommand string // as it was written, never run; empty: none
	ProxyOrigin  string // file:line of either

	UserKnownHosts   []string // the defaults, where nothing is said
	GlobalKnownHosts []string
	HostKeyAlias     string
	Algorithms       string // HostKeyAlgorithms as it was written, which leaves something of what we take
	Strict           bool   // StrictHostKeyChecking yes

	Batch   bool     // BatchMode: nothing is asked
	Without []string // ways to log in that are switched off: "publickey", "password", "keyboard-interactive"

	AliveInterval  time.Duration // 0: not set
	AliveCountMax  int           // 3, where it is not set
	ConnectTimeout time.Duration // 0: not set

	Notices []string      // what a person should know: lines that ask for what is not done here
	Used    []HostSetting // what the files have decided, in the order of the files
}

// HostSetting is one line of a file that counts for a host.
type HostSetting struct {
	Keyword, Value string
	Origin         string // file:line
}

// ConfigError is a mistake in an ssh_config file: wrong usage, exit status 2.
type ConfigError struct {
	Where   string // file:line, or file
	Problem string
	Hint    string // what to do about it; may be empty
}

// Error gives the place and the problem.
func (e *ConfigError) Error() string { return e.Where + ": " + e.Problem }

// Explain gives the hint and the exit status 2.
func (e *ConfigError) Explain() (hint string, exit int) {
	if e.Hint == "" {
		return "mend the line, or leave the file out:  slackdev tunnel … --ssh-config none", 2
	}
	return e.Hint, 2
}

// Lookup reads the files for one host. A file that cannot be read or understood is a
// *ConfigError. `Match exec` and ProxyCommand are not run: the first never matches,
// with a notice where it could have, and the second is for the caller to refuse.
func (c *SSHConfig) Lookup(q Query) (*HostConfig, error) {
	l := &lookup{config: c, query: q, host: q.Host, values: map[string][]configValue{}, told: map[string]bool{}}
	if err := l.readAll(); err != nil {
		return nil, err
	}
	if l.wantFinal { // a second pass, for what `Match final` has
		l.final, l.host = true, l.resolvedHost()
		if l.value("hostname").text == "" { // where it leads is decided
			l.values["hostname"] = []configValue{{text: strings.ReplaceAll(l.host, "%", "%%")}}
		}
		if err := l.readAll(); err != nil {
			return nil, err
		}
	}
	return l.finish()
}

// configValue is one value and the line that it came from.
type configValue struct {
	text   string
	args   []string
	origin string
}

// lookup is one Lookup under way.
type lookup struct {
	config *SSHConfig
	query  Query
	host   string // that patterns are matched with: as typed, and on the second pass as HostName has it

	final, wantFinal bool
	values           map[string][]configValue // by keyword, lower case
	ignored          []string                 // IgnoreUnknown
	used             []HostSetting
	notices          []string
	told             map[string]bool
}

// value is the first value of a keyword.
func (l *lookup) value(keyword string) configValue {
	if v := l.values[keyword]; len(v) > 0 {
		return v[0]
	}
	return configValue{}
}

// is reports whether a keyword has one of the values.
func (l *lookup) is(keyword string, values ...string) bool {
	return slices.Contains(values, strings.ToLower(l.value(keyword).text))
}

// user is who logs in, as far as that is known by now.
func (l *lookup) user() string {
	if l.query.User != "" {
		return l.query.User
	}
	if v := l.value("user"); v.text != "" {
		return v.text
	}
	return l.config.User
}

// resolvedHost is where HostName leads, in lower case, as ssh has it from then on. An
// error in it is found by finish.
func (l *lookup) resolvedHost() string {
	v := l.value("hostname")
	if v.text == "" {
		return strings.ToLower(l.query.Host)
	}
	host, _ := expandTokens(v.text, map[byte]string{'h': l.query.Host})
	return strings.ToLower(host)
}

// tell notes something for the person, once.
func (l *lookup) tell(origin, text string) {
	line := origin + ": " + text
	if !l.told[line] {
		l.told[line] = true
		l.notices = append(l.notices, line)
	}
}

// set keeps what a line says, if nothing before it has said it.
func (l *lookup) set(k keyword, name string, v configValue) {
	slot := k.slot
	if slot == "" {
		slot = name
	}
	had := l.values[slot]
	if name == "proxycommand" && len(had) == 1 && had[0].args[0] == "proxyjump" && strings.EqualFold(had[0].text, "none") {
		had = nil // with ssh no jump is no reason against a command behind it
	}
	if len(had) > 0 && (!k.many || slices.ContainsFunc(had, func(h configValue) bool { return h.text == v.text })) {
		return
	}
	l.values[slot] = append(had, v)
	if k.notDone == "" {
		l.used = append(l.used, HostSetting{Keyword: name, Value: v.text, Origin: v.origin})
	} else if !slices.Contains([]string{"no", "none", "false", "any"}, strings.ToLower(v.text)) {
		l.tell(v.origin, k.notDone)
	}
}

// finish turns the values into what they mean.
func (l *lookup) finish() (*HostConfig, error) {
	out := &HostConfig{Used: l.used, User: l.user(), Port: l.query.Port, HostKeyAlias: strings.ToLower(l.value("hostkeyalias").text), AliveCountMax: 3}
	if out.Port == 0 {
		out.Port = 22
		if v := l.value("port"); v.text != "" {
			out.Port, _ = strconv.Atoi(v.text) // checked when it was read
		}
	}
	host := l.value("hostname")
	if _, err := expandTokens(host.text, map[byte]string{'h': ""}); err != nil {
		return nil, &ConfigError{Where: host.origin, Problem: "HostName: " + err.Error()}
	}
	out.Host = l.resolvedHost()
	if hasBad(out.Host, hostBad) || strings.HasPrefix(out.Host, "-") || out.Host == "" {
		return nil, &ConfigError{Where: host.origin, Problem: fmt.Sprintf("%q is no host name", out.Host)}
	}
	out.Strict = l.is("stricthostkeychecking", "yes", "true")
	out.IdentitiesOnly = l.is("identitiesonly", "yes", "true")
	out.Batch = l.is("batchmode", "yes", "true")
	for keyword, method := range map[string]string{
		"pubkeyauthentication": methodKey, "passwordauthentication": methodPassword, "kbdinteractiveauthentication": methodQuestions,
	} {
		if l.is(keyword, "no", "false") {
			out.Without = append(out.Without, method)
		}
	}
	slices.Sort(out.Without)
	out.Algorithms = l.value("hostkeyalgorithms").text
	out.AliveInterval, _ = parseTime(l.value("serveraliveinterval").text)
	out.ConnectTimeout, _ = parseTime(l.value("connecttimeout").text)
	if v := l.value("serveralivecountmax"); v.text != "" {
		out.AliveCountMax, _ = strconv.Atoi(v.text) // checked when it was read
	}
	if err := l.finishFiles(out); err != nil {
		return nil, err
	}
	if err := l.finishProxy(out); err != nil {
		return nil, err
	}
	out.Notices = l.notices
	return out, nil
}

// finishFiles resolves ~, tokens and variables in names of files.
func (l *lookup) finishFiles(out *HostConfig) error {
	tokens := l.tokens(out)
	for keyword, to := range map[string]*[]string{
		"identityfile": &out.IdentityFiles, "certificatefile": &out.CertificateFiles,
		"userknownhostsfile": &out.UserKnownHosts, "globalknownhostsfile": &out.GlobalKnownHosts,
	} {
		for _, v := range l.values[keyword] {
			if *to == nil {
				*to = []string{}
			}
			for _, name := range v.args {
				if strings.EqualFold(name, "none") {
					continue
				}
				file, err := l.file(name, tokens)
				if err != nil {
					return &ConfigError{Where: v.origin, Problem: err.Error()}
				}
				*to = append(*to, file)
			}
		}
	}
	if out.UserKnownHosts == nil && l.config.Home != "" {
		folder := filepath.Join(l.config.Home, ".ssh")
		out.UserKnownHosts = []string{filepath.Join(folder, "known_hosts"), filepath.Join(folder, "known_hosts2")}
	}
	if out.GlobalKnownHosts == nil && l.config.System != "" {
		out.GlobalKnownHosts = []string{filepath.Join(l.config.System, "ssh_known_hosts"), filepath.Join(l.config.System, "ssh_known_hosts2")}
	}
	v := l.value("identityagent")
	switch {
	case v.text == "" || v.text == "SSH_AUTH_SOCK":
	case strings.EqualFold(v.text, "none"):
		out.IdentityAgent = "none"
	case strings.HasPrefix(v.text, "$") && !strings.HasPrefix(v.text, "${"):
		if out.IdentityAgent = l.variable(v.text[1:]); out.IdentityAgent == "" {
			out.IdentityAgent = "none" // there is no agent where that points
		}
	default:
		file, err := l.file(v.text, tokens)
		if err != nil {
			return &ConfigError{Where: v.origin, Problem: err.Error()}
		}
		out.IdentityAgent = file
	}
	return nil
}

// finishProxy resolves what stands between. ProxyJump and ProxyCommand share a place:
// whichever comes first counts, and none counts as one (but see set).
func (l *lookup) finishProxy(out *HostConfig) error {
	v := l.value("proxy")
	if v.text == "" || strings.EqualFold(v.text, "none") {
		return nil
	}
	out.ProxyOrigin = v.origin
	if v.args[0] == "proxycommand" {
		out.ProxyCommand = v.text
		return nil
	}
	jump, err := expandTokens(v.text, map[byte]string{
		'h': out.Host, 'n': l.query.Host, 'p': strconv.Itoa(out.Port), 'r': out.User,
	})
	if err != nil {
		return &ConfigError{Where: v.origin, Problem: "ProxyJump: " + err.Error()}
	}
	out.ProxyJump = jump
	return nil
}

// tokens are those of ssh_config's TOKENS that names of files may have. (%C, %j, %K
// and their like belong to files that OpenSSH writes.)
func (l *lookup) tokens(out *HostConfig) map[byte]string {
	full, _ := os.Hostname() // without one the token is empty
	short, _, _ := strings.Cut(full, ".")
	alias := out.HostKeyAlias
	if alias == "" {
		alias = l.query.Host
	}
	return map[byte]string{
		'd': l.config.Home, 'h': out.Host, 'i': strconv.Itoa(os.Getuid()), 'k': alias, 'L': short, 'l': full,
		'n': l.query.Host, 'p': strconv.Itoa(out.Port), 'r': out.User, 'u': l.config.User,
	}
}

// file resolves one name of a file.
func (l *lookup) file(name string, tokens map[byte]string) (string, error) {
	name, err := l.expandVariables(name)
	if err != nil {
		return "", err
	}
	if name, err = l.expandHome(name); err != nil {
		return "", err
	}
	return expandTokens(name, tokens)
}

// expandHome resolves a leading ~/.
func (l *lookup) expandHome(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, "~")
	switch {
	case !ok:
		return name, nil
	case rest != "" && rest[0] != '/':
		return "", fmt.Errorf("%s: the homes of other users are not known here", name)
	case l.config.Home == "":
		return "", fmt.Errorf("%s: the home folder is not known", name)
	}
	return filepath.Join(l.config.Home, rest), nil
}

func (l *lookup) variable(name string) string {
	if l.config.Getenv == nil {
		return ""
	}
	return l.config.Getenv(name)
}

// expandVariables replaces ${NAME}. One that is not set is an error, as it is for ssh.
func (l *lookup) expandVariables(text string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("%q: a ${ without its }", text)
		}
		value := l.variable(name)
		if value == "" {
			return "", fmt.Errorf("the variable %s is not set", name)
		}
		out.WriteString(value)
		text = after
	}
}

// expandTokens replaces %x for each x that has a value, and %% by %.
func expandTokens(text string, values map[byte]string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out.WriteByte(text[i])
			continue
		}
		i++
		if i == len(text) {
			return "", fmt.Errorf("%q ends with a single %%", text)
		}
		value, known := values[text[i]]
		switch {
		case text[i] == '%':
			out.WriteByte('%')
		case !known:
			return "", fmt.Errorf("the token %%%c means nothing here", text[i])
		default:
			out.WriteString(value)
		}
	}
	return out.String(), nil
}

// parseTime reads ssh_config's times: seconds, or numbers with units: 90, 1m30s, 2h.
func parseTime(text string) (time.Duration, error) {
	units := map[byte]time.Duration{
		's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
	}
	if strings.EqualFold(text, "none") {
		return 0, nil
	}
	var total time.Duration
	for rest := strings.ToLower(text); rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseUint(rest[:digits], 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%q is no time", text)
		}
		unit := time.Second
		if rest = rest[digits:]; rest != "" {
			if unit = units[rest[0]]; unit == 0 {
				return 0, fmt.Errorf("%q is no time", text)
			}
			rest = rest[1:]
		}
		if n > uint64((1<<62-total)/unit) {
			return 0, fmt.Errorf("%q is too long a time", text)
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}
