package sshtunnel

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// slowAlive is the silence after which a person should know that it is the ssh_config
// that makes a dead link look alive for longer than this.
const slowAlive = 30 * time.Second

// maxAlive bounds both times of a KeepAlive: whoever writes more means for ever.
const maxAlive = 100 * 365 * 24 * time.Hour

// Apply has a Provider do what the files say about its host. What the Profile says
// already (its user, its port) was typed, and stays. The Provider's keys that were named before
// (by a person) stay in front of those of the files.
//
// For a Profile that takes any key only what concerns the connection counts: which
// keys the user has elsewhere, and what stands between, is not for a public service.
// Its ProxyJump is left to the caller. A ProxyCommand is a *ConfigError: it is not
// run, and without it the host that answers may be another one.
func (h *HostConfig) Apply(p *Provider) (notices []string, err error) {
	notices = slices.Clone(h.Notices)
	p.Profile.Host = h.Host
	if p.Profile.User == "" {
		p.Profile.User = h.User
	}
	if p.Profile.Port == 0 {
		p.Profile.Port = h.Port
	}
	p.Hosts.Files = slices.Concat(h.UserKnownHosts, h.GlobalKnownHosts)
	p.Hosts.Alias, p.Hosts.Strict, p.Hosts.Algorithms = h.HostKeyAlias, h.Strict, h.Algorithms
	p.ConnectTimeout = h.ConnectTimeout
	if p.Profile.AnyKey {
		if h.ProxyJump != "" || h.ProxyCommand != "" {
			notices = append(notices, fmt.Sprintf("%s: what stands between is not heeded for %s", h.ProxyOrigin, p.Profile.Name))
		}
		return notices, nil
	}
	if h.ProxyCommand != "" {
		return nil, &ConfigError{
			Where:   h.ProxyOrigin,
			Problem: "ProxyCommand is not run by slackdev, and without it this may be another host",
			Hint:    "most are spelled  ProxyJump HOST  as well; or leave the file out:  slackdev tunnel … --ssh-config none",
		}
	}
	if h.AliveInterval > 0 {
		// ssh asks every interval, and gives up when one more than count are over. With
		// a count of 0 it gives an idle link up without a question, which helps nobody.
		p.KeepAlive = KeepAlive{Idle: min(h.AliveInterval, maxAlive), Answer: maxAlive}
		if count := time.Duration(max(h.AliveCountMax, 1)); h.AliveInterval <= maxAlive/count {
			p.KeepAlive.Answer = count * h.AliveInterval
		}
		if limit := p.KeepAlive.limit(); limit > slowAlive {
			notices = append(notices, fmt.Sprintf("%s: with ServerAliveInterval a dead link is noticed after %v only", h.origin("serveraliveinterval"), limit))
		}
	}
	h.applyKeys(&p.Keys)
	if h.Batch {
		p.Ask = nil
	}
	return notices, nil
}

// applyKeys adds the files' keys to those of the user.
func (h *HostConfig) applyKeys(k *Keys) {
	k.Named = append(slices.Clone(k.Named), h.IdentityFiles...)
	if h.IdentityFiles != nil { // none stands for that, too
		k.Files = nil
	}
	k.Certificates = append(slices.Clone(k.Certificates), h.CertificateFiles...)
	k.Only = k.Only || h.IdentitiesOnly
	k.Without = h.Without
	switch h.IdentityAgent {
	case "":
	case "none":
		k.Agent = ""
	default:
		k.Agent = h.IdentityAgent
	}
}

// origin is where a keyword was set.
func (h *HostConfig) origin(keyword string) string {
	for _, s := range h.Used {
		if strings.EqualFold(s.Keyword, keyword) {
			return s.Origin
		}
	}
	return ""
}
