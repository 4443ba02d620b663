package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// keyProviders is the key of a file under which tunnels of one's own are described.
const keyProviders = "providers"

// NameMark stands, in a Provider's User, Bind and PublicURL, for the public name that
// is asked for.
const NameMark = "{name}"

// Sessions of a Provider.
const (
	SessionShell = "shell" // its text is read, and its end is the tunnel's end
	SessionExec  = "exec"  // one command, whose text is read
	SessionNone  = "none"
)

// maxPattern bounds a pattern. What it may cost to match is bounded by its length:
// Go's regexp never goes back.
const maxPattern = 500

// Provider is a tunnel that somebody has described in a file: an SSH server, what to
// ask it for, and how it tells the public address. Whoever wrote the file decides
// where the traffic goes; Where says which file that is.
type Provider struct {
	Name      string
	Host      string // a name or an address, without brackets
	Port      int
	User      string         // empty: the caller decides
	Bind      string         // the bind address
	BindPort  int            // 0: the server chooses
	Pattern   *regexp.Regexp // finds the URL in the session's text; nil: any URL may be it
	PublicURL string         // the address, where it is known beforehand; empty otherwise
	Session   string         // one of the constants above
	Command   string         // of SessionExec
	AnyKey    bool           // the server takes any key: only slackdev's own is shown
	Where     string         // file:line:column
}

// Address gives the public address for a name, nil where it is not known beforehand.
func (p Provider) Address(name string) *url.URL {
	if p.PublicURL == "" {
		return nil
	}
	u, err := parsePublic(strings.ReplaceAll(p.PublicURL, NameMark, name))
	if err != nil {
		return nil // read once already, with another name
	}
	return u
}

// providerKey is one thing that can be said of a provider.
type providerKey struct {
	key string
	set func(p *Provider, text string) error
}

// providerKeys lists all of them, in the order of the documentation.
func providerKeys() []providerKey {
	return []providerKey{
		{"host", func(p *Provider, s string) (err error) { p.Host, err = parseHost(s); return }},
		{"port", func(p *Provider, s string) (err error) { p.Port, err = parsePort(s, 1); return }},
		{"user", func(p *Provider, s string) (err error) { p.User, err = parseWord(s); return }},
		{"bind", func(p *Provider, s string) (err error) { p.Bind, err = parseWord(s); return }},
		{"bind_port", func(p *Provider, s string) (err error) { p.BindPort, err = parsePort(s, 0); return }},
		{"pattern", func(p *Provider, s string) (err error) { p.Pattern, err = parsePattern(s); return }},
		{"public_url", func(p *Provider, s string) error {
			_, err := parsePublic(strings.ReplaceAll(s, NameMark, "name"))
			p.PublicURL = s
			return err
		}},
		{"session", func(p *Provider, s string) error {
			kinds := []string{SessionShell, SessionExec, SessionNone}
			if !slices.Contains(kinds, s) {
				return wrong(didYouMean(s, kinds), "%q is none of shell, exec, none", clip(s))
			}
			p.Session = s
			return nil
		}},
		{"command", func(p *Provider, s string) error {
			if strings.ContainsFunc(s, unprintable) || len(s) > 1000 {
				return wrong("", "a command is one line of at most 1000 characters")
			}
			p.Command = s
			return nil
		}},
		{"any_key", func(p *Provider, s string) (err error) { p.AnyKey, err = parseBool(s); return }},
	}
}

// loadProviders reads the mapping under providers:.
func (y *yamlFile) loadProviders(value *yaml.Node) error {
	if value.Kind != yaml.MappingNode {
		return &Error{Where: place(y.path, value), Problem: "providers: want  name: {host: …}, got " + kindOf(value)}
	}
	for i := 0; i+1 < len(value.Content); i += 2 {
		name, body := value.Content[i], value.Content[i+1]
		if body.Kind == yaml.AliasNode {
			body = body.Alias
		}
		p, err := y.provider(name, body)
		if err != nil {
			return err
		}
		// A project's file may have come from a stranger: what the user knows as
		// mine must not become something else in a folder that he has cloned.
		if other, taken := y.config.Providers[p.Name]; taken {
			return &Error{
				Where: p.Where, Problem: fmt.Sprintf("there is a provider %q already, at %s", p.Name, other.Where), Hint: "give one of the two another name",
			}
		}
		if y.config.Providers == nil {
			y.config.Providers = map[string]Provider{}
		}
		y.config.Providers[p.Name] = p
	}
	return nil
}

// provider reads one.
func (y *yamlFile) provider(name, body *yaml.Node) (Provider, error) {
	p := Provider{Name: name.Value, Port: 22, BindPort: 80, Session: SessionShell, AnyKey: true, Where: place(y.path, name)}
	if err := checkProviderName(p.Name); err != nil {
		return p, located(err, p.Where)
	}
	if body.Kind != yaml.MappingNode {
		return p, &Error{Where: place(y.path, body), Problem: fmt.Sprintf("%s: want lines of  key: value, got %s", p.Name, kindOf(body)), Hint: "at least  host: HOST"}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(body.Content); i += 2 {
		if err := y.providerEntry(&p, seen, body.Content[i], body.Content[i+1]); err != nil {
			return p, err
		}
	}
	problem := p.unfit(seen)
	if problem == nil && y.project && p.Session == SessionExec {
		// Its host may be any that lets this user in, this machine among them.
		problem = wrong("move the provider to your own config.yaml", "a project's file has no command run: it would run with your keys, wherever they let you in")
	}
	if problem != nil {
		e := located(problem, p.Where)
		e.Problem = p.Name + ": " + e.Problem
		return p, e
	}
	return p, nil
}

// providerEntry reads one line of a provider.
func (y *yamlFile) providerEntry(p *Provider, seen map[string]bool, key, value *yaml.Node) error {
	if seen[key.Value] {
		return &Error{Where: place(y.path, key), Problem: fmt.Sprintf("%q stands here a second time", clip(key.Value))}
	}
	seen[key.Value] = true
	var keys []string
	for _, k := range providerKeys() {
		keys = append(keys, k.key)
		if k.key != key.Value {
			continue
		}
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		where := place(y.path, value)
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			return &Error{Where: where, Problem: fmt.Sprintf("%s: %s: want one value, got %s", p.Name, k.key, kindOf(value))}
		}
		if err := k.set(p, value.Value); err != nil {
			e := located(err, where)
			e.Problem = p.Name + ": " + k.key + ": " + e.Problem
			return e
		}
		return nil
	}
	return &Error{
		Where: place(y.path, key), Problem: fmt.Sprintf("%s: a provider has no %q", p.Name, clip(key.Value)),
		Hint: didYouMean(strings.ReplaceAll(key.Value, "-", "_"), keys),
	}
}

// unfit says what does not go together.
func (p *Provider) unfit(seen map[string]bool) *problem {
	switch {
	case p.Host == "":
		return wrong("for example  host: tunnel.example.org", "there is no host")
	case p.Session == SessionExec && p.Command == "":
		return wrong("add  command: …", "session: exec runs a command, and there is none")
	case p.Session != SessionExec && seen["command"]:
		return wrong("add  session: exec", "a command is run with  session: exec  alone")
	case p.Session == SessionNone && seen["pattern"]:
		return wrong("take  session: none  or  pattern:  away", "without a session there is no text for the pattern")
	case p.PublicURL != "" && seen["pattern"]:
		return wrong("take one of the two away", "the public_url is known already, the pattern finds it in the session's text")
	}
	return nil
}

// checkProviderName keeps a name to what can be typed after --via, and is not taken.
func checkProviderName(name string) error {
	fits := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
	}
	if name == "" || len(name) > 40 || strings.ContainsFunc(name, func(r rune) bool { return !fits(r) }) {
		return wrong("small letters, digits, dashes and dots", "%q is no name for a provider", clip(name))
	}
	if slices.Contains(Services(), name) {
		return wrong("give it another name", "%s is what slackdev calls a service of its own", name)
	}
	return nil
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// parseWord reads what goes over the wire as it is.
func parseWord(text string) (string, error) {
	if len(text) > 255 || strings.ContainsFunc(text, func(r rune) bool { return unprintable(r) || r == ' ' }) {
		return "", wrong("", "%q has blanks, or characters beyond ASCII, or too many", clip(text))
	}
	return text, nil
}

func parseHost(text string) (string, error) {
	host := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if net.ParseIP(host) != nil {
		return host, nil
	}
	fits := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
	}
	if text == "" || len(text) > 253 || text[0] == '-' || strings.ContainsFunc(text, func(r rune) bool { return !fits(r) }) {
		return "", wrong("a name or an address; the port stands in  port:", "%q is no host", clip(text))
	}
	return text, nil
}

func parsePort(text string, least int) (int, error) {
	if err := checkPort(text, least); err != nil {
		return 0, err
	}
	n := 0
	_, err := fmt.Sscan(text, &n)
	return n, err
}

func parsePattern(text string) (*regexp.Regexp, error) {
	if text == "" || len(text) > maxPattern {
		return nil, wrong("", "a pattern has 1 to %d characters", maxPattern)
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, wrong(`for example  pattern: 'Your URL: (https://\S+)'`, "%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return pattern, nil
}

// ProviderNames lists the providers that the files describe, in order.
func (c *Config) ProviderNames() []string {
	var names []string
	for name := range c.Providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
