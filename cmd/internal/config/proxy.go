package config

import (
	"fmt"
	"strings"

	"github.com/slackdev/slackdev/tunnel/dial"
)

// The variables that hold what a proxy asks for. They may stand in the project's .env.
const (
	ProxyUserVariable     = "SLACKDEV_PROXY_USER"
	ProxyPasswordVariable = "SLACKDEV_PROXY_PASSWORD"
)

// parseProxy checks the form of a proxy that was named in a file or typed. Both are
// seen by others: a list of processes, a repository.
func parseProxy(text string) (string, error) {
	const forms = "for example  --proxy http://proxy.example.org:3128  --proxy socks5://127.0.0.1:1080  --proxy none"
	if strings.TrimSpace(text) == "none" {
		return "none", nil
	}
	p, err := dial.ParseProxy(text, "")
	switch {
	case strings.Contains(text, "@"): // also where it cannot be read, since nothing of it is repeated
		return "", wrong("put them into the environment or .env:  "+ProxyUserVariable+"=…  "+ProxyPasswordVariable+"=…", "a proxy's user and password do not belong here")
	case err != nil:
		return "", wrong(forms, "%s", err)
	}
	return p.String(), nil
}

// parseJump checks that something is there; package sshtunnel reads it.
func parseJump(text string) (string, error) {
	if text = strings.TrimSpace(text); text == "" {
		return "", wrong("for example  --jump me@bastion.example.org", "the jump host is blank")
	}
	return text, nil
}

// Proxies gives the way out of this network: the proxy that was asked for, or else the
// first of https_proxy, HTTPS_PROXY, all_proxy and ALL_PROXY, as with curl; and whom
// no_proxy or NO_PROXY reach directly, which counts for both. What SLACKDEV_PROXY_USER
// and SLACKDEV_PROXY_PASSWORD say beats the credentials in a variable's URL. A mistake
// is an *Error that names the variable, and not its value.
func (c *Config) Proxies() (dial.Proxies, error) {
	if c.Proxy == "none" {
		return dial.Proxies{}, nil
	}
	name, text := string(c.Origin(keyProxy)), c.Proxy
	if text == "" {
		name, text = c.firstVariable("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
	}
	if text == "" {
		return dial.Proxies{}, nil
	}
	p, err := dial.ParseProxy(text, name)
	if err != nil {
		return dial.Proxies{}, &Error{Where: name, Problem: err.Error(), Hint: "mend the variable, or do without:  --proxy none"}
	}
	user, password := c.variable(ProxyUserVariable), c.variable(ProxyPasswordVariable)
	if user != "" || password != "" {
		if p, err = p.WithLogin(user, password, ProxyUserVariable); err != nil {
			return dial.Proxies{}, &Error{Where: ProxyUserVariable, Problem: err.Error(), Hint: fmt.Sprintf("set both  %s  and  %s", ProxyUserVariable, ProxyPasswordVariable)}
		}
	}
	_, except := c.firstVariable("no_proxy", "NO_PROXY")
	return dial.Proxies{Proxy: p, Except: except}, nil
}

// firstVariable gives the first variable of the environment that is set and not empty.
func (c *Config) firstVariable(names ...string) (name, value string) {
	for _, name := range names {
		if value := c.env.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// variable gives a variable of ours, from the environment or the project's .env.
func (c *Config) variable(name string) string {
	if value := c.env.Getenv(name); value != "" {
		return value
	}
	return c.dotenv[name]
}
