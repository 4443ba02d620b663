package sshtunnel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// The services, as data. What of it is documented by them and what is not stands in
// docs/tunnels.md.

// Relay is slackdev's own relay, embedded or self-hosted. name is the wanted name,
// or empty for one that the relay gives.
func Relay(via, host string, port int, name string) Profile {
	return Profile{
		Name: via, Host: host, Port: port, User: "slackdev", AnyKey: true,
		Bind: name, BindPort: 80, Named: name != "",
		Session:     SessionShell,
		Announce:    Announce{Prefix: wire.URLPrefix},
		NameFromURL: true, Guards: true, Hello: true,
	}
}

// SSHD is any OpenSSH server. The forward is asked for on all of its addresses;
// GatewayPorts in its sshd_config decides whether it gives more than loopback.
//
// The command asks which process serves us (see parentCommand), and that it begins is
// worth as much: sshd turns its Nagle algorithm off when a session begins, and without
// one holds each first answer back for 40 ms.
func SSHD(via string, to Target) Profile {
	return Profile{
		Name: via, Host: to.Host, Port: to.Port, User: to.User,
		Session: SessionExec, Exec: parentCommand,
		Announce: Announce{Forward: true},
		KeepPort: true,
		TakeOver: true,
	}
}

// sishPort is where sish listens unless it is told otherwise.
const sishPort = 2222

// Sish is a sish server: tuns.sh, or one's own. It binds a name on port 80, prints
// "HTTP: …" and "HTTPS: …" into the session, and gives a random name where the wanted
// one is taken, unless it was started with --force-requested-subdomains. It knows its
// users by the keys that they use elsewhere, so that all of them are offered.
func Sish(via string, to Target, name string) Profile {
	p := Profile{
		Name: via, Host: to.Host, Port: to.Port, User: to.User,
		KeyHint: "have your key added to its --authentication-keys-directory:  cat {key}",
		Bind:    name, BindPort: 80, Named: name != "",
		Hint:        askAnother,
		Session:     SessionShell,
		NameFromURL: true,
		Announce: Announce{Refusals: refusals(
			Refusal{Contains: "error assigning requested subdomain", Means: "the name is taken", Hint: askAnother, Final: true},
		)},
	}
	if to.Host == "tuns.sh" {
		p.KeyHint = "tuns.sh is for members of pico+: sign up with your key at  https://pico.sh/plus"
	} else if p.Port == 0 {
		p.Port = sishPort
	}
	return p
}

// askAnother is what to do about a name that somebody else has.
const askAnother = "ask for another name:  slackdev tunnel … --name NAME"

// TokenVariable is the variable that holds the token of Pinggy's paying users.
const TokenVariable = "SLACKDEV_PINGGY_TOKEN"

// Pinggy is pinggy.io. It takes a token, options and the kind of tunnel as the user's
// name, ignores the port, and prints both URLs. Without a token a tunnel lives for 60
// minutes; with one it has the token's own name, and takes over from a dead tunnel of
// the same token when it is told to (UserAgain). region is a label like eu, or empty
// for the nearest; options are further words of the user's name: see PinggyOptions.
func Pinggy(token Token, region string, options ...string) Profile {
	host := "free.pinggy.io"
	user := strings.Join(append([]string{"http"}, options...), "+")
	p := Profile{
		Name: "pinggy", Port: 443, AltPort: 80, User: user, Token: token, AnyKey: true,
		Session: SessionShell,
		Announce: Announce{
			Ignore: []string{
				"pinggy.io", "www.pinggy.io", "dashboard.pinggy.io", "docs.pinggy.io", "a.pinggy.io", "free.pinggy.io", "pro.pinggy.io",
			},
			Refusals: refusals(
				Refusal{Contains: "already active", Means: "another tunnel uses the token", Hint: "end the other tunnel, or wait until the service has noticed its end"},
				Refusal{Contains: "already in use", Means: "another tunnel uses the token", Hint: "end the other tunnel, or wait until the service has noticed its end"},
				Refusal{Contains: "invalid token", Means: "the token is not accepted", Hint: tokenHint, Final: true},
				Refusal{Contains: "authentication failed", Means: "the token is not accepted", Hint: tokenHint, Final: true},
			),
		},
	}
	if token != "" {
		host = "pro.pinggy.io"
		if !slices.Contains(options, "force") {
			p.UserAgain = user + "+force"
		}
	}
	if region != "" {
		host = region + "." + host
	}
	p.Host = host
	return p
}

const tokenHint = "compare " + TokenVariable + " with the token at  https://dashboard.pinggy.io"

// PinggyOptions are the words that Pinggy documents for the user's name, without the
// kinds of tunnel: slackdev's is http.
func PinggyOptions() []string { return []string{"auth", "force", "qr", "aqr"} }

// ParsePinggy reads what stands behind pinggy:// : [OPTION[+OPTION…]@][REGION]. Its
// errors are for a person; they do not repeat a word that may be a token.
func ParsePinggy(text string) (region string, options []string, err error) {
	text = strings.TrimSuffix(text, "/")
	region = text
	if words, rest, found := strings.Cut(text, "@"); found {
		region = rest
		for word := range strings.SplitSeq(words, "+") {
			switch {
			case word == "http":
			case slices.Contains([]string{"tcp", "tls", "tlstcp", "udp"}, word):
				return "", nil, fmt.Errorf("slackdev needs a tunnel of the kind http, not %s", word)
			case !slices.Contains(PinggyOptions(), word):
				return "", nil, fmt.Errorf("an option is one of %s; a token belongs into %s", strings.Join(PinggyOptions(), ", "), TokenVariable)
			default:
				options = append(options, word)
			}
		}
	}
	if region != "" && (!hostName(region) || strings.Contains(region, ".") || len(region) > 12) {
		return "", nil, errors.New("a region is a word like eu, us or ap")
	}
	return region, options, nil
}

// LocalhostRun is localhost.run. It wants an empty bind address for one of its own
// names, and writes to the session's standard error. user may be "nokey", which skips
// the key check, "plan", which asks for what the key's account pays for, or empty.
// domain is a custom domain of that account, or empty. Names change after some hours,
// also while the tunnel is up; a key that is registered keeps its name for longer.
func LocalhostRun(via, user, domain string) Profile {
	if domain != "" && user == "" {
		user = "plan"
	}
	if user == "" {
		user = "slackdev" // any other name means: look at the key
	}
	return Profile{
		Name: via, Host: "localhost.run", User: user, AnyKey: true,
		KeyHint: "add the key to your account at  https://admin.localhost.run  (cat {key}),  or do without one:  --via nokey@localhost.run",
		Bind:    domain, BindPort: 80, Named: domain != "",
		Hint:    "a custom domain needs a plan, and its key:  https://localhost.run/docs/custom-domains",
		Session: SessionShell,
		Announce: Announce{
			Ignore: []string{"localhost.run", "www.localhost.run", "admin.localhost.run", "docs.localhost.run", "twitter.com", "localhost"},
			Moved:  "tunneled",
			Refusals: refusals(
				Refusal{Contains: "permission denied", Means: "the key has no right to this", Hint: "add slackdev's key at  https://admin.localhost.run,  or  --via nokey@localhost.run", Final: true},
			),
		},
	}
}

// Serveo is serveo.net. It binds a name on port 80 for keys that are registered, and
// tells everybody else how to register before it gives a random name. name may be a
// custom domain.
func Serveo(name string) Profile {
	return Profile{
		Name: "serveo", Host: "serveo.net", AltPort: 443, User: "slackdev", AnyKey: true,
		KeyHint: "register slackdev's key (cat {key}) at  https://console.serveo.net",
		Bind:    name, BindPort: 80, Named: name != "",
		Hint:    askAnother,
		Session: SessionShell,
		Announce: Announce{
			Ignore: []string{"serveo.net", "www.serveo.net", "console.serveo.net", "docs.serveo.net"},
			Refusals: refusals(
				Refusal{
					Contains: "to request a particular subdomain", Means: "names are for registered keys", Final: true,
					Hint: "register slackdev's key at the address that serveo shows, then try again",
				},
				Refusal{Contains: "already in use", Means: "the name is taken", Hint: askAnother, Final: true},
			),
		},
	}
}

// refusals adds to a service's own texts those that any of them may use.
func refusals(own ...Refusal) []Refusal {
	return append(own, CommonRefusals()...)
}

// CommonRefusals are the words that services of this kind share. None is final: a
// limit is measured in time more often than not.
func CommonRefusals() []Refusal {
	const wait = "wait, or take another service:  slackdev tunnel … --via SERVICE"
	return []Refusal{
		{Contains: "has expired", Means: "its time is up", Hint: "a paid plan, or a relay of your own, keeps its address"},
		{Contains: "session expired", Means: "its time is up", Hint: "a paid plan, or a relay of your own, keeps its address"},
		{Contains: "too many", Means: "a limit of the service is reached", Hint: wait},
		{Contains: "limit reached", Means: "a limit of the service is reached", Hint: wait},
		{Contains: "limit exceeded", Means: "a limit of the service is reached", Hint: wait},
		{Contains: "rate limit", Means: "a limit of the service is reached", Hint: wait},
		{Contains: "quota", Means: "a limit of the service is reached", Hint: wait},
		{Contains: "maintenance", Means: "the service is being repaired", Hint: wait},
	}
}
