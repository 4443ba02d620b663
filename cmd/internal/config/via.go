package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Services are the words that --via takes, without the addresses and the providers
// that files describe.
func Services() []string {
	return []string{"auto", "embedded", "none", "pinggy", "localhost.run", "serveo"}
}

// ViaSchemes are the kinds of addresses that --via takes, each with its form.
func ViaSchemes() []string {
	return []string{"relay://HOST[:PORT][/NAME]", "relay+tls://HOST[:PORT][/NAME]", "ssh://[USER@]HOST[:PORT]", "sish://[USER@]HOST[:PORT][/NAME]", "pinggy://[OPTION@][REGION]"}
}

// parseVia checks the form alone: whether somebody is there shows when it is dialled,
// and whether a word is a provider when all files are read (see checkVia).
func parseVia(text string) (string, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		if strings.TrimSpace(text) == "" || strings.ContainsAny(text, " \t\r\n") {
			return "", wrong(didYouMean(text, Services()), "%q is not a way to tunnel", clip(text))
		}
		return text, nil
	}
	switch scheme {
	case "relay", "relay+tls", "ssh", "sish":
	case "pinggy":
		if strings.ContainsAny(rest, ":?# \t") {
			return "", wrong("for example  --via pinggy://eu", "pinggy:// takes options and a region, nothing else")
		}
		return text, nil
	default:
		return "", wrong("the forms are  "+strings.Join(ViaSchemes(), "  "), "%q is not a way to tunnel", clip(scheme+"://"))
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return "", wrong("for example  --via "+scheme+"://relay.example.org", "the tunnel's address has no host")
	}
	if _, has := u.User.Password(); has {
		return "", wrong("slackdev logs in with keys: from the agent, from ~/.ssh, or its own", "a password does not belong in the tunnel's address")
	}
	if err := checkPort(u.Port(), 1); u.Port() != "" && err != nil {
		return "", err
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil && strings.HasPrefix(scheme, "relay") {
		return "", wrong("the form is  "+ViaSchemes()[slices.Index([]string{"relay", "relay+tls", "ssh", "sish"}, scheme)], "%q has more than that", clip(text))
	}
	if name := strings.Trim(u.Path, "/"); name != "" {
		if scheme == "ssh" {
			return "", wrong("the form is  ssh://[USER@]HOST[:PORT]", "%q names a path, and an SSH server has none", clip(text))
		}
		if _, err := parseName(name); err != nil {
			return "", err
		}
	}
	return text, nil
}

// viaName is the name that stands in the tunnel's address, "" for none.
func viaName(via string) string {
	scheme, rest, found := strings.Cut(via, "://")
	if !found || scheme != "relay" && scheme != "relay+tls" && scheme != "sish" {
		return ""
	}
	_, name, _ := strings.Cut(rest, "/")
	name, err := parseName(strings.Trim(name, "/"))
	if err != nil {
		return ""
	}
	return name
}

// checkVia looks at what parseVia could not: whether a word is one of the providers,
// and whether the name in the address is the one that was asked for.
func (c *Config) checkVia() error {
	_, known := c.Providers[c.Via]
	words := append(Services(), "nokey@localhost.run", "plan@localhost.run")
	if !known && !strings.Contains(c.Via, "://") && !slices.Contains(words, c.Via) {
		return &Error{
			Where: c.places["via"], Problem: fmt.Sprintf("%s%q is not a way to tunnel", c.prefix("via"), clip(c.Via)),
			Hint: didYouMean(c.Via, append(words, c.ProviderNames()...)),
		}
	}
	name := viaName(c.Via)
	switch {
	case name == "" || name == c.Name:
	case c.layers["name"] == c.layers["via"] && c.layers["name"] > 0:
		return &Error{
			Where: c.places["via"], Problem: fmt.Sprintf("the tunnel's address asks for the name %s, and %s for %s", name, c.Origin("name"), c.Name),
			Hint: "say one of the two",
		}
	case c.layers["via"] > c.layers["name"]:
		c.Name = name
		c.origins["name"] = c.Origin("via")
	}
	return nil
}

// prefix is the key of an option where its place is in a file, as errors there begin.
func (c *Config) prefix(key string) string {
	if strings.HasPrefix(c.places[key], "--") || !strings.Contains(c.places[key], ":") {
		return ""
	}
	return key + ": "
}
