package config

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// AuthVariable names the variable that holds USER:PASSWORD for the public name.
const AuthVariable = "SLACKDEV_BASIC_AUTH"

const keyAuthFile = "basic_auth_file"

const authHint = "the form is  USER:PASSWORD"

// BasicAuth gives the user and the password that visitors of the public name are asked
// for, both empty where they are not. They come from the first of these that is there:
// the file of --basic-auth-file, the variable in the environment, the variable in the
// project's .env. One that is set but blank is an *Error: whoever set it thinks that
// the name is protected.
func (c *Config) BasicAuth() (user, password string, err error) {
	if c.AuthFile != "" {
		text, err := readBounded(c.AuthFile)
		if err != nil {
			return "", "", &Error{Where: string(c.Origin(keyAuthFile)), Problem: err.Error(), Hint: "write  USER:PASSWORD  into that file, and  chmod 600  it"}
		}
		return splitAuth(strings.TrimRight(string(text), "\r\n"), c.AuthFile)
	}
	if c.env.Lookup != nil {
		if value, set := c.env.Lookup(AuthVariable); set {
			return splitAuth(value, "$"+AuthVariable)
		}
	}
	if value, set := c.dotenv[AuthVariable]; set {
		return splitAuth(value, c.Project.Dotenv+": "+AuthVariable)
	}
	return "", "", nil
}

// splitAuth never repeats the text.
func splitAuth(text, where string) (user, password string, err error) {
	user, password, found := strings.Cut(text, ":")
	problem := ""
	switch {
	case strings.TrimSpace(text) == "":
		problem = "the user and the password are blank"
	case !found || user == "" || password == "":
		problem = "this is not a user and a password with a colon between them"
	case len(text) > 1<<10:
		problem = "the user and the password are longer than 1 KiB"
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		problem = "the user or the password has a line break or another control character in it"
	default:
		return user, password, nil
	}
	return "", "", &Error{Where: where, Problem: problem, Hint: authHint}
}

// checkAuthFile warns of a file that others can read.
func (c *Config) checkAuthFile() {
	if c.AuthFile == "" {
		return
	}
	if info, err := os.Stat(c.AuthFile); err == nil && info.Mode().IsRegular() && exposed(info) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("other users of this machine can read %s: chmod 600 it", c.AuthFile))
	}
}

// Networks reads addresses and networks with commas between them; where says to whom
// that was told. Its error is an *Error.
func Networks(where, text string) ([]netip.Prefix, error) {
	networks, err := parseNetworks(text)
	if err != nil {
		return nil, located(err, where)
	}
	return networks, nil
}

// parseNetworks reads 192.0.2.7, 10.0.0.0/8, 2001:db8::/32.
func parseNetworks(text string) ([]netip.Prefix, error) {
	const hint = "for example  203.0.113.7,10.0.0.0/8,2001:db8::/32"
	var networks []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		n, err := netip.ParsePrefix(part)
		if a, ok := netip.ParseAddr(part); ok == nil && a.Zone() == "" {
			n, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, wrong(hint, "%q is neither an address nor a network", clip(part))
		case n.Addr().Is4In6():
			return nil, wrong(hint, "%q: an IPv4 address is written as one", clip(part))
		case n != n.Masked():
			return nil, wrong(fmt.Sprintf("%s for the network, %s for the one address", n.Masked(), n.Addr()), "%q is an address and a network at once", clip(part))
		}
		networks = append(networks, n)
	}
	const most = 256 // of a relay
	if len(networks) > most {
		return nil, wrong("", "these are more than %d networks", most)
	}
	return networks, nil
}

func networksText(networks []netip.Prefix) string {
	texts := make([]string, len(networks))
	for i, n := range networks {
		texts[i] = n.String()
	}
	return strings.Join(texts, ",")
}
