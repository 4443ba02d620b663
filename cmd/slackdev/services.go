package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// profile says how the tunnel that the configuration asks for is opened. It is for
// every --via but none and embedded; auto's is the public service that it tries first.
func (p *providers) profile() (sshtunnel.Profile, error) {
	via := p.cfg.Via
	scheme, rest, isURL := strings.Cut(via, "://")
	var profile sshtunnel.Profile
	var err error
	switch {
	case via == "auto" || via == "pinggy" || isURL && scheme == "pinggy":
		if !isURL {
			rest = ""
		}
		profile, err = p.pinggy(rest)
	case via == "serveo":
		profile = sshtunnel.Serveo(p.customDomain(p.cfg.Name))
		return p.nameless(profile), nil
	case via == "localhost.run" || strings.HasSuffix(via, "@localhost.run"):
		user, _, _ := strings.Cut(strings.TrimSuffix(via, "localhost.run"), "@")
		profile = sshtunnel.LocalhostRun(via, user, p.customDomain(""))
		return p.nameless(profile), nil
	case isURL && scheme == "ssh":
		profile, err = p.sshd(via)
	case isURL && scheme == "sish":
		profile, err = p.sish(via, rest)
	case isURL && (scheme == "relay" || scheme == "relay+tls"):
		profile, err = p.ownRelay(via, scheme, rest)
	default:
		profile, err = p.own(via)
	}
	if err != nil {
		return sshtunnel.Profile{}, err
	}
	if p.cfg.PublicURL != nil {
		profile.Announce.URL = p.cfg.PublicURL
	}
	return p.nameless(profile), nil
}

// nameless says that a name which was asked for means nothing to the service.
func (p *providers) nameless(profile sshtunnel.Profile) sshtunnel.Profile {
	if !profile.Named && p.cfg.Asked("name") && p.cfg.Via != "auto" {
		p.notice(fmt.Sprintf("%s gives addresses of its own choice: the name %s is not asked for", profile.Name, p.cfg.Name))
	}
	return profile
}

// customDomain is the host of --public-url, which these services are asked for by
// name, or else other.
func (p *providers) customDomain(other string) string {
	if p.cfg.PublicURL != nil {
		return p.cfg.PublicURL.Hostname()
	}
	return other
}

func (p *providers) pinggy(rest string) (sshtunnel.Profile, error) {
	region, options, err := sshtunnel.ParsePinggy(rest)
	if err != nil {
		return sshtunnel.Profile{}, usage(fmt.Errorf("--via pinggy: %w", err), "slackdev tunnel 3000 --via pinggy://eu")
	}
	token, err := p.cfg.PinggyToken()
	if err != nil {
		return sshtunnel.Profile{}, err
	}
	return sshtunnel.Pinggy(sshtunnel.Token(token), region, options...), nil
}

func (p *providers) sshd(via string) (sshtunnel.Profile, error) {
	to, err := sshtunnel.ParseTarget(via)
	if err != nil {
		return sshtunnel.Profile{}, usage(err, "slackdev tunnel 3000 --via ssh://user@host:22")
	}
	return sshtunnel.SSHD(via, to), nil
}

func (p *providers) sish(via, rest string) (sshtunnel.Profile, error) {
	address, _, _ := strings.Cut(rest, "/")
	to, err := sshtunnel.ParseTarget("ssh://" + address)
	if err != nil {
		return sshtunnel.Profile{}, usage(fmt.Errorf("--via %s: the form is sish://[USER@]HOST[:PORT][/NAME]", via), "slackdev tunnel 3000 --via sish://tuns.sh")
	}
	return sshtunnel.Sish(via, to, p.cfg.Name), nil
}

// Where a relay takes SSH when its address names no port.
const (
	relayPort    = 2222
	relayTLSPort = 443 // inside TLS
)

func (p *providers) ownRelay(via, scheme, rest string) (sshtunnel.Profile, error) {
	address, _, _ := strings.Cut(rest, "/")
	to, err := sshtunnel.ParseTarget("ssh://" + address)
	if err != nil || to.User != "" {
		return sshtunnel.Profile{}, usage(fmt.Errorf("--via %s: the form is %s://HOST[:PORT][/NAME]", via, scheme), "slackdev tunnel 3000 --via "+scheme+"://relay.example.org")
	}
	inside := scheme == "relay+tls"
	switch {
	case to.Port != 0:
	case inside:
		to.Port = relayTLSPort
	default:
		to.Port = relayPort
	}
	profile := sshtunnel.Relay(via, to.Host, to.Port, p.cfg.Name)
	profile.TLS, profile.Hint = inside, p.rename
	return profile, nil
}

// own is a provider that a file describes.
func (p *providers) own(via string) (sshtunnel.Profile, error) {
	described, known := p.cfg.Providers[via]
	if !known {
		return sshtunnel.Profile{}, usage(fmt.Errorf("%q is not a way to tunnel", via), "slackdev tunnel 3000 --via auto")
	}
	named := func(s string) string { return strings.ReplaceAll(s, config.NameMark, p.cfg.Name) }
	profile := sshtunnel.Profile{
		Name: via, Host: described.Host, Port: described.Port, User: named(described.User), AnyKey: described.AnyKey,
		Bind: named(described.Bind), BindPort: described.BindPort, Named: strings.Contains(described.Bind, config.NameMark),
		Exec:     described.Command,
		KeepPort: described.BindPort == 0,
		Announce: sshtunnel.Announce{URL: described.Address(p.cfg.Name), Pattern: described.Pattern, Refusals: sshtunnel.CommonRefusals()},
	}
	if profile.User == "" && described.AnyKey {
		profile.User = "slackdev"
	}
	switch described.Session {
	case config.SessionShell:
		profile.Session = sshtunnel.SessionShell
	case config.SessionExec:
		profile.Session = sshtunnel.SessionExec
	default:
		profile.Announce.Forward = true // unless the URL is known
	}
	p.notice(fmt.Sprintf("%s is %s, as %s says: all requests pass through it", via, serverOf(described, profile.User), described.Where))
	return profile, nil
}

// serverOf spells a described provider's server.
func serverOf(d config.Provider, user string) string {
	return sshtunnel.Target{User: user, Host: d.Host, Port: d.Port}.String()
}

// carrier names whose server the traffic goes through, where --via is a word that a
// file has given a meaning; otherwise it is empty: the word says it.
func carrier(cfg *config.Config) string {
	described, own := cfg.Providers[cfg.Via]
	if !own {
		return ""
	}
	return cfg.Via + ": " + net.JoinHostPort(described.Host, fmt.Sprint(described.Port))
}

// renamed says that a service gave another address than it was asked for.
func (p *providers) renamed(asked string, got *url.URL) {
	p.warn("name "+got.String(), fmt.Sprintf("asked for the name %s, got %s", asked, got),
		"the name is taken or not yours to have; the address will do, but it may change")
}

// completeVia offers the ways to tunnel, those of the project's files included.
func completeVia(env config.Env) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		all := []string{
			"auto\ta public service, or else this machine alone", "embedded\tthis machine alone", "none\tno tunnel",
			"pinggy\tpinggy.io", "pinggy://\ta region: pinggy://eu", "localhost.run\tlocalhost.run, with slackdev's key", "nokey@localhost.run\tlocalhost.run, without a key",
			"serveo\tserveo.net", "relay://\tyour own relay: relay://HOST[:PORT][/NAME]", "ssh://\tany SSH server: ssh://[USER@]HOST[:PORT]",
			"sish://\ta sish server: sish://HOST[:PORT]", "sish://tuns.sh\ttuns.sh, for members of pico+",
		}
		if cfg, err := config.Load(env, nil); err == nil {
			for _, name := range cfg.ProviderNames() {
				all = append(all, name+"\t"+serverOf(cfg.Providers[name], ""))
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}
