package config

import (
	"path/filepath"
	"strconv"
	"strings"
)

// appOptions say what requests go to.
func appOptions() []option {
	return []option{
		{
			key: keyApp, typed: true, usage: "the `port or URL` of your app",
			set:   func(c *Config, s, base string) (err error) { c.App, err = parseUpstream(s, base, c.env.OS); return },
			get:   func(c *Config) string { return urlText(c.App) },
			below: func(c *Config) []string { return sockets(c.App) },
		}, {
			key: keyTunnels, typed: true, list: true, pairs: true, usage: "more apps, each with a public name of its own, as `NAME=APP`",
			set:   func(c *Config, s, base string) (err error) { c.Tunnels, err = c.parseTunnels(s, base); return },
			get:   func(c *Config) string { return appsText(c.Tunnels) },
			below: func(c *Config) []string { return socketsOf(c.Tunnels) },
		}, {
			key: "routes", each: "route", list: true, pairs: true, usage: "send what is below a path to another app, as `PATH=APP`; may be repeated",
			set:   func(c *Config, s, base string) (err error) { c.Routes, err = c.parseRoutes(s, base); return },
			get:   func(c *Config) string { return appsText(c.Routes) },
			below: func(c *Config) []string { return socketsOf(c.Routes) },
		}, {
			key: "keep_host", def: "false", flag: true, usage: "let the app see the public Host in place of its own",
			set: func(c *Config, s, _ string) (err error) { c.KeepHost, err = parseBool(s); return },
			get: func(c *Config) string { return strconv.FormatBool(c.KeepHost) },
		}, {
			key: "insecure_upstream", def: "false", flag: true, usage: "take any certificate of an https app",
			set: func(c *Config, s, _ string) (err error) { c.InsecureUpstream, err = parseBool(s); return },
			get: func(c *Config) string { return strconv.FormatBool(c.InsecureUpstream) },
		},
	}
}

// tunnelOptions say how they come.
func tunnelOptions() []option {
	return []option{
		{
			key: "via", def: "auto", usage: "the `tunnel`: auto, embedded, none, pinggy, localhost.run, serveo, relay://HOST, relay+tls://HOST, ssh://[USER@]HOST[:PORT], sish://HOST, or one of the file's providers",
			set: func(c *Config, s, _ string) (err error) { c.Via, err = parseVia(s); return },
			get: func(c *Config) string { return c.Via },
		}, {
			key: keyName, usage: "the public `name` to ask for (default: you-project)",
			set: func(c *Config, s, _ string) (err error) { c.Name, err = parseName(s); return },
			get: func(c *Config) string { return c.Name },
		}, {
			key: "public_url", usage: "the public `URL`, where something else than slackdev carries it",
			set: func(c *Config, s, _ string) (err error) { c.PublicURL, err = parsePublic(s); return },
			get: func(c *Config) string { return urlText(c.PublicURL) },
		}, {
			key: keyProxy, mine: true, usage: "the `proxy` to go through, http://, https:// or socks5://HOST:PORT, or none (default: what HTTPS_PROXY or ALL_PROXY says)",
			set: func(c *Config, s, _ string) (err error) { c.Proxy, err = parseProxy(s); return },
			get: func(c *Config) string { return c.Proxy },
		}, {
			key: "jump", mine: true, usage: "SSH `hosts` to go through, [USER@]HOST[:PORT], the nearest first, with commas, or none",
			set: func(c *Config, s, _ string) (err error) { c.Jump, err = parseJump(s); return },
			get: func(c *Config) string { return c.Jump },
		}, {
			key: "keepalive", def: "2s", usage: "the `duration` of silence after which a tunnel's server is asked for a sign of life; longer for slow links",
			set: func(c *Config, s, _ string) (err error) { c.KeepAlive, err = parseKeepAlive(s); return },
			get: func(c *Config) string { return durationText(c.KeepAlive) },
		}, {
			key: "give_up", def: never, usage: "the `duration` without a tunnel after which slackdev ends with status 1, for CI; or never",
			set: func(c *Config, s, _ string) (err error) { c.GiveUp, err = parseGiveUp(s); return },
			get: func(c *Config) string { return giveUpText(c.GiveUp) },
		}, {
			key: "ssh_config", short: "F", mine: true, usage: "the `file` to read in place of ~/.ssh/config and the system's, or none",
			set: func(c *Config, s, base string) (err error) { c.SSHConfig, err = parseSSHConfig(c, s, base); return },
			get: func(c *Config) string { return c.SSHConfig },
		}, {
			key: "identity", list: true, mine: true, usage: "a private key `file` to log in to the SSH server with; several with commas, or several times",
			set: func(c *Config, s, base string) (err error) { c.Identity, err = parseIdentity(c, s, base); return },
			get: func(c *Config) string { return strings.Join(c.Identity, ",") },
		}, {
			key: "relay_ca", mine: true, usage: "a `file` of certificates that may vouch for a relay+tls:// relay, besides the system's",
			set: func(c *Config, s, base string) (err error) { c.RelayCA, err = parseFile(s, base); return },
			get: func(c *Config) string { return c.RelayCA },
		}, {
			key: "allow_ip", list: true, usage: "the `networks` whose visitors the relay lets in, addresses or ADDRESS/BITS with commas",
			set: func(c *Config, s, _ string) (err error) { c.AllowIP, err = parseNetworks(s); return },
			get: func(c *Config) string { return networksText(c.AllowIP) },
		}, {
			key: keyAuthFile, mine: true, usage: "a `file` with USER:PASSWORD that the relay asks visitors for (or set SLACKDEV_BASIC_AUTH)",
			set: func(c *Config, s, base string) (err error) { c.AuthFile, err = parseFile(s, base); return },
			get: func(c *Config) string { return c.AuthFile },
		}, {
			key: "pinggy_token_file", usage: "the `file` that holds your token for pinggy (or set " + PinggyVariable + ")",
			set: func(c *Config, s, base string) (err error) { c.PinggyFile, err = parseFile(s, base); return },
			get: func(c *Config) string { return c.PinggyFile },
		},
	}
}

// slackOptions say what is Slack's.
func slackOptions() []option {
	return []option{
		{
			key: "path", def: "/slack/events", usage: "the `path` that Slack posts to",
			set: func(c *Config, s, _ string) (err error) { c.Path, err = parsePath(s); return },
			get: func(c *Config) string { return c.Path },
		}, {
			key: "oauth_path", def: "/slack/oauth_redirect", usage: "the `path` of the app's OAuth redirect, the only one that --enforce lets browsers pass to",
			set: func(c *Config, s, _ string) (err error) { c.OAuthPath, err = parsePath(s); return },
			get: func(c *Config) string { return c.OAuthPath },
		}, {
			key: "signing_secret_file", usage: "a `file` of signing secrets, one a line",
			set: func(c *Config, s, base string) (err error) { c.SecretFile, err = parseFile(s, base); return },
			get: func(c *Config) string { return c.SecretFile },
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
		},
	}
}

// historyOptions say what is kept, and where it is shown.
func historyOptions() []option {
	return []option{
		{
			key: "store", usage: "where the history is kept: a `path`, or memory (default: a file per project)",
			set: func(c *Config, s, base string) (err error) { c.Store, err = parseStore(s, base); return },
			get: func(c *Config) string { return c.Store },
			below: func(c *Config) []string {
				if !filepath.IsAbs(c.Store) { // memory
					return nil
				}
				return []string{c.Store}
			},
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
			key: keyLocal, def: "127.0.0.1:4040", usage: "the `address` of the local API and page",
			set: func(c *Config, s, _ string) (err error) { c.Local, err = parseLocal(s); return },
			get: func(c *Config) string { return c.Local },
		}, {
			key: "hosts", list: true, usage: "more `names` under which the local API answers, with commas",
			set: func(c *Config, s, _ string) (err error) { c.Hosts, err = parseHosts(s); return },
			get: func(c *Config) string { return strings.Join(c.Hosts, ",") },
		}, {
			key: "color", def: "auto", usage: "`when` to use colours: auto, always or never",
			set: func(c *Config, s, _ string) (err error) { c.Color, err = parseColor(s); return },
			get: func(c *Config) string { return c.Color },
		},
	}
}
