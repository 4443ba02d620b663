package sshtunnel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The bounds of ssh_config files. OpenSSH's depth is the same.
const (
	maxConfigFile  = 1 << 20
	maxConfigDepth = 16
	maxConfigFiles = 1000 // in one lookup
)

// hostBad is what no host name has: separators of what it will be written into.
const hostBad = "/\\,*?!|@#\"'[]"

// keyword is what one keyword of ssh_config takes.
type keyword struct {
	check   func(text string) error // of each argument; nil: anything
	list    bool                    // takes several arguments
	raw     bool                    // takes the rest of the line as it is
	many    bool                    // each line adds; otherwise the first counts
	slot    string                  // whose place it shares; empty: its own
	notDone string                  // what to say where it is set: for what would change whom we reach, or how
}

// keywords are those that count here.
func keywords() map[string]keyword {
	notDone := func(name string) keyword { return keyword{list: true, notDone: name + " is not heeded by slackdev"} }
	return map[string]keyword{
		"hostname":                        {},
		"user":                            {check: userName},
		"port":                            {check: portNumber},
		"identityfile":                    {many: true},
		"certificatefile":                 {many: true},
		"identitiesonly":                  {check: yesOrNo},
		"identityagent":                   {},
		"proxyjump":                       {raw: true, slot: "proxy"},
		"proxycommand":                    {raw: true, slot: "proxy"},
		"userknownhostsfile":              {list: true},
		"globalknownhostsfile":            {list: true},
		"hostkeyalias":                    {check: aliasName},
		"hostkeyalgorithms":               {check: someAlgorithms},
		"stricthostkeychecking":           {check: oneOf("yes", "true", "no", "false", "ask", "off", "accept-new")},
		"serveraliveinterval":             {check: aTime},
		"serveralivecountmax":             {check: aNumber},
		"connecttimeout":                  {check: aTime},
		"batchmode":                       {check: yesOrNo},
		"passwordauthentication":          {check: yesOrNo},
		"pubkeyauthentication":            {check: oneOf("yes", "true", "no", "false", "unbound", "host-bound")},
		"kbdinteractiveauthentication":    {check: yesOrNo},
		"challengeresponseauthentication": {check: yesOrNo, slot: "kbdinteractiveauthentication"},

		"addressfamily":                    notDone("AddressFamily"),
		"requiredrsasize":                  notDone("RequiredRSASize"),
		"bindaddress":                      notDone("BindAddress"),
		"bindinterface":                    notDone("BindInterface"),
		"canonicalizehostname":             notDone("CanonicalizeHostname"),
		"knownhostscommand":                notDone("KnownHostsCommand"),
		"pkcs11provider":                   notDone("PKCS11Provider"),
		"preferredauthentications":         notDone("PreferredAuthentications"),
		"revokedhostkeys":                  notDone("RevokedHostKeys"),
		"proxyusefdpass":                   notDone("ProxyUseFdpass"),
		"verifyhostkeydns":                 notDone("VerifyHostKeyDNS"),
		"pubkeyacceptedalgorithms":         notDone("PubkeyAcceptedAlgorithms"),
		"pubkeyacceptedkeytypes":           notDone("PubkeyAcceptedKeyTypes"),
		"ciphers":                          notDone("Ciphers"),
		"macs":                             notDone("MACs"),
		"kexalgorithms":                    notDone("KexAlgorithms"),
		"casignaturealgorithms":            notDone("CASignatureAlgorithms"),
		"nohostauthenticationforlocalhost": notDone("NoHostAuthenticationForLocalhost"),
	}
}

// beside reports whether OpenSSH has a keyword that concerns nothing of ours: sessions,
// other forwards, sharing, looks. One that neither has is told to the person.
func beside(keyword string) bool {
	return slices.Contains(strings.Fields(`addkeystoagent canonicaldomains canonicalizefallbacklocal
		canonicalizemaxdots canonicalizepermittedcnames channeltimeout checkhostip cipher
		clearallforwardings compression compressionlevel connectionattempts controlmaster controlpath controlpersist
		dsaauthentication dynamicforward enableescapecommandline enablesshkeysign escapechar exitonforwardfailure
		fingerprinthash forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted
		gatewayports gssapiauthentication gssapiclientidentity gssapidelegatecredentials
		gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey gssapiserveridentity gssapitrustdns hashknownhosts
		hostbasedacceptedalgorithms hostbasedauthentication hostbasedkeytypes ipqos 
		kbdinteractivedevices localcommand localforward loglevel logverbose numberofpasswordprompts
		obscurekeystroketiming permitlocalcommand permitremoteopen protocol 
		rekeylimit remotecommand remoteforward requesttty 
		securitykeyprovider sendenv sessiontype setenv smartcarddevice stdinnull streamlocalbindmask
		streamlocalbindunlink syslogfacility tag tcpkeepalive tunnel tunneldevice updatehostkeys usekeychain
		useprivilegedport versionaddendum visualhostkey warnweakcrypto xauthlocation`), keyword)
}

// readAll reads the files, the user's before the system's.
func (l *lookup) readAll() error {
	r := &configReader{lookup: l, keywords: keywords()}
	c := l.config
	if c.File == "none" {
		return nil
	}
	if c.File != "" {
		return r.file(c.File, 0, true, true)
	}
	if c.Home != "" {
		if err := r.file(filepath.Join(c.Home, ".ssh", "config"), 0, true, false); err != nil {
			return err
		}
	}
	if c.System != "" {
		return r.file(filepath.Join(c.System, "ssh_config"), 0, false, false)
	}
	return nil
}

// configReader reads files line by line. Whether a line counts depends on the Host or
// Match line before it, and that may depend on what has been read by then.
type configReader struct {
	*lookup
	keywords map[string]keyword
	files    int
	active   bool // lines count
}

// file reads one file, and what it includes. user says whose it is, must that it has
// to be there.
func (r *configReader) file(name string, depth int, user, must bool) error {
	r.active = true
	text, err := readConfigFile(name, user && r.config.File == "")
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil
	}
	if err != nil {
		return configFileError(name, err)
	}
	return r.lines(name, text, depth, user, true)
}

func configFileError(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &ConfigError{Where: name, Problem: "the ssh configuration cannot be read: " + err.Error()}
}

// readConfigFile reads a file of a bounded size; guarded: only if nobody else can have
// written it.
func readConfigFile(name string, guarded bool) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("it is a folder")
	}
	if guarded && !onlyOurs(info) {
		return nil, fmt.Errorf("others can write to it, or it belongs to somebody else (mode %04o)", info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err == nil && len(text) > maxConfigFile {
		err = fmt.Errorf("it is larger than %d MiB", maxConfigFile>>20)
	}
	// With the mark its first line would be no keyword, and a Host there would hold nothing back.
	return bytes.TrimPrefix(text, []byte("\ufeff")), err
}

// lines reads a file's text. reached is false below a Host that does not match: then
// nothing in it counts, but what is wrong in it is still said.
func (r *configReader) lines(name string, text []byte, depth int, user, reached bool) error {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		d := directive{where: fmt.Sprintf("%s:%d", name, number), depth: depth, user: user, reached: reached}
		err := d.parse(string(line))
		if err == nil && d.keyword != "" {
			err = r.take(d)
		}
		var located *ConfigError
		switch {
		case err == nil:
		case errors.As(err, &located):
			return err
		default:
			return &ConfigError{Where: d.where, Problem: err.Error()}
		}
	}
	return nil
}

// directive is one line.
type directive struct {
	where   string
	keyword string // lower case; empty: a comment or nothing
	name    string // as it was written
	rest    string // behind the keyword and its =
	args    []string
	depth   int
	user    bool
	reached bool
}

// parse splits a line into its keyword and its arguments.
func (d *directive) parse(line string) error {
	line = strings.Trim(line, " \t\r\n\f")
	if line == "" || line[0] == '#' {
		return nil
	}
	end := strings.IndexAny(line, " \t\r=")
	if end < 0 {
		return fmt.Errorf("nothing stands behind %q", clip(line, 60))
	}
	d.name = strings.Trim(line[:end], `"`)
	d.rest = strings.TrimLeft(line[end:], " \t\r")
	if after, ok := strings.CutPrefix(d.rest, "="); ok {
		d.rest = strings.TrimLeft(after, " \t\r")
	}
	if d.name == "" {
		return errors.New("nothing stands before the =")
	}
	if d.rest == "" {
		return fmt.Errorf("nothing stands behind %q", clip(d.name, 60))
	}
	d.keyword = strings.ToLower(d.name)
	return nil
}

// take handles one line.
func (r *configReader) take(d directive) (err error) {
	k, known := r.keywords[d.keyword]
	if !k.raw {
		if d.args, err = splitArguments(d.rest); err != nil {
			return err
		}
	}
	switch d.keyword {
	case "host":
		r.active = d.reached && r.matchHost(d.args)
		return nil
	case "match":
		active, err := r.match(d)
		r.active = active && d.reached
		return err
	case "include":
		return r.include(d)
	case "ignoreunknown":
		r.ignored = append(r.ignored, d.args...)
		return nil
	}
	switch {
	case known:
		return r.apply(k, d)
	case !r.active, beside(d.keyword):
	case matchList(d.keyword, strings.ToLower(strings.Join(r.ignored, ","))) <= 0:
		r.tell(d.where, fmt.Sprintf("%q is no keyword that slackdev knows", clip(d.name, 60)))
	}
	return nil
}

// apply checks a value, and sets it where it counts.
func (r *configReader) apply(k keyword, d directive) error {
	v := configValue{text: d.rest, args: []string{d.keyword}, origin: d.where}
	if d.keyword == "proxyjump" { // ssh reads a comment behind this one of the two
		text, _, _ := strings.Cut(d.rest, "#")
		if v.text = strings.TrimRight(text, " \t"); v.text == "" {
			return fmt.Errorf("nothing stands behind %s", d.name)
		}
	}
	if !k.raw {
		if len(d.args) == 0 || d.args[0] == "" {
			return fmt.Errorf("nothing stands behind %s", d.name)
		}
		if len(d.args) > 1 && !k.list {
			return fmt.Errorf("%s takes one value, and %q is a second one", d.name, clip(d.args[1], 60))
		}
		v.text, v.args = strings.Join(d.args, " "), d.args
	}
	if k.check != nil {
		if err := k.check(v.args[0]); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	if r.active {
		r.set(k, d.keyword, v)
	}
	return nil
}

// include reads other files in the place of a line. Patterns that match nothing are
// no mistake. A relative name is one of the user's .ssh folder, or of the system's.
func (r *configReader) include(d directive) error {
	if d.depth+1 > maxConfigDepth {
		return fmt.Errorf("Include: more than %d files deep", maxConfigDepth)
	}
	for _, pattern := range d.args {
		pattern, err := r.includePath(pattern, d.user)
		if err != nil {
			return err
		}
		if pattern == "" {
			continue
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("Include %s: %w", clip(pattern, 200), err)
		}
		for _, name := range files {
			if r.files++; r.files > maxConfigFiles {
				return fmt.Errorf("Include: more than %d files in all", maxConfigFiles)
			}
			text, err := readConfigFile(name, true)
			if err != nil {
				return configFileError(name, err)
			}
			before := r.active
			err = r.lines(name, text, d.depth+1, d.user, before)
			r.active = before
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *configReader) includePath(pattern string, user bool) (string, error) {
	pattern, err := r.expandVariables(pattern)
	if err != nil {
		return "", err
	}
	switch {
	case filepath.IsAbs(pattern):
		return pattern, nil
	case strings.HasPrefix(pattern, "~"):
		return r.expandHome(pattern)
	case !user:
		return filepath.Join(r.config.System, pattern), nil
	case r.config.Home == "":
		return "", nil
	}
	return filepath.Join(r.config.Home, ".ssh", pattern), nil
}

// splitArguments splits as OpenSSH does: at blanks, with quotes of both kinds, \ before
// a quote, a \ or a blank, and # at the beginning of a word for a comment.
func splitArguments(text string) ([]string, error) {
	var args []string
	for i := 0; ; {
		for i < len(text) && strings.IndexByte(" \t", text[i]) >= 0 {
			i++
		}
		if i == len(text) || text[i] == '#' {
			return args, nil
		}
		var word strings.Builder
		quote := byte(0)
		for ; i < len(text) && (quote != 0 || strings.IndexByte(" \t", text[i]) < 0); i++ {
			c := text[i]
			switch {
			case c == '\\' && i+1 < len(text) && (strings.IndexByte(`'"\`, text[i+1]) >= 0 || quote == 0 && text[i+1] == ' '):
				i++
				word.WriteByte(text[i])
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, fmt.Errorf("a %c without its end", quote)
		}
		args = append(args, word.String())
	}
}

// matchHost reports whether a Host line is about the host.
func (r *configReader) matchHost(patterns []string) bool {
	found := false
	for _, pattern := range patterns {
		bare, negated := strings.CutPrefix(pattern, "!")
		switch {
		case !matchPattern(r.host, bare):
		case negated:
			return false
		default:
			found = true
		}
	}
	return found
}

// match reports whether all conditions of a Match line hold. Those that would run a
// command, and those that ask for what we do not know, do not, and are told.
func (r *configReader) match(d directive) (bool, error) {
	words := matchWords(d.args)
	if len(words) == 0 {
		return false, errors.New("Match needs a condition")
	}
	holds := true
	for i := 0; i < len(words); i++ {
		name, negated := strings.CutPrefix(strings.ToLower(words[i]), "!")
		var is bool
		switch name {
		case "all":
			if negated || i+1 < len(words) || i > 1 || i == 1 && words[0] != "final" && words[0] != "canonical" {
				return false, errors.New(`Match: "all" stands alone, or behind final`)
			}
			return holds, nil
		case "canonical", "final":
			r.wantFinal = r.wantFinal || name == "final"
			is = r.final
		default:
			if i++; i >= len(words) {
				return false, fmt.Errorf("Match: nothing stands behind %q", clip(name, 60))
			}
			var known bool
			if is, known = r.condition(name, words[i]); !known {
				if !later(name) {
					return false, fmt.Errorf("Match: there is no condition %q", clip(name, 60))
				}
				if holds && d.reached {
					r.tell(d.where, fmt.Sprintf("Match %s is not heeded by slackdev: the lines below it do not count", name))
				}
				is = negated // whatever it says, it does not hold
			}
		}
		holds = holds && is != negated
	}
	return holds, nil
}

// matchWords puts names and values one after the other: ssh takes name=value as well
// as name value.
func matchWords(args []string) []string {
	var words []string
	for i := 0; i < len(args); i++ {
		name, value, both := strings.Cut(args[i], "=")
		words = append(words, name)
		bare := strings.ToLower(strings.TrimPrefix(name, "!"))
		switch {
		case both:
			words = append(words, value)
		case bare == "all" || bare == "final" || bare == "canonical":
		case i+1 < len(args):
			i++
			words = append(words, args[i])
		}
	}
	return words
}

// condition is one that we can tell.
func (r *configReader) condition(name, patterns string) (is, known bool) {
	switch name {
	case "host": // HostName, where one has been read
		return matchList(r.resolvedHost(), strings.ToLower(patterns)) > 0, true
	case "originalhost":
		return matchList(strings.ToLower(r.query.Host), strings.ToLower(patterns)) > 0, true
	case "user":
		return matchList(r.user(), patterns) > 0, true
	case "localuser":
		return matchList(r.config.User, patterns) > 0, true
	}
	return false, false
}

// later reports whether OpenSSH has a condition that we cannot tell.
func later(name string) bool {
	switch name {
	case "exec", "localnetwork", "tagged", "version", "command", "sessiontype":
		return true
	}
	return false
}

// The checks of values. Each says what is wrong with one.

func yesOrNo(text string) error { return oneOf("yes", "true", "no", "false")(text) }

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		for _, w := range words {
			if strings.EqualFold(text, w) {
				return nil
			}
		}
		return fmt.Errorf("%q is none of %s", clip(text, 60), strings.Join(words, ", "))
	}
}

func portNumber(text string) error {
	if n, err := strconv.ParseUint(text, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is not a number from 1 to 65535", clip(text, 60))
	}
	return nil
}

func userName(text string) error {
	if printable(text, len(text)) != text {
		return fmt.Errorf("%q is no user's name", clip(text, 60))
	}
	return nil
}

func aliasName(text string) error {
	if hasBad(text, hostBad) {
		return fmt.Errorf("%q is no host name", clip(text, 60))
	}
	return nil
}

func someAlgorithms(text string) error {
	_, err := chooseAlgorithms(text, append(certAlgorithms(), hostKeyAlgorithms()...))
	return err
}

func aTime(text string) error {
	_, err := parseTime(text)
	return err
}

func aNumber(text string) error {
	if _, err := strconv.ParseUint(text, 10, 31); err != nil {
		return fmt.Errorf("%q is not a number from 0 to %d", clip(text, 60), math.MaxInt32)
	}
	return nil
}
