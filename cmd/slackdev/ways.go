package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/tunnel/dial"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// leave sets how a provider leaves this network: through the proxy and the jump hosts
// that were asked for. configured are those of the ssh_config, which --jump beats. A
// person is told, since what is in the way has a say in whether a tunnel works.
func (p *providers) leave(provider *sshtunnel.Provider, configured string) error {
	jump, from := p.cfg.Jump, string(p.cfg.Origin("jump"))
	if jump == "" {
		jump, from = configured, "ProxyJump"
	}
	proxies, err := p.cfg.Proxies()
	if err != nil {
		return err
	}
	if provider.Roots, err = p.roots(provider.Profile); err != nil {
		return err
	}
	out, first := (&dial.Dialer{Proxy: proxies.For, Trace: p.legs()}).DialContext, provider.Addr()
	hops, err := sshtunnel.NewJump(jump, p.hop)
	if err != nil {
		return usage(fmt.Errorf("%s: %w", from, err), "slackdev tunnel 3000 … --jump me@bastion.example.org")
	}
	if hops != nil {
		hops.Dial, hops.Log = out, p.log
		out, first = hops.DialContext, hops.First()
		p.notice("through the jump host " + strings.Join(hops.Hops(), ", then "))
	}
	if proxy := proxies.For(first); proxy != nil {
		p.notice(fmt.Sprintf("through the proxy %s (%s)", proxy, proxy.Origin))
	}
	provider.Dial = out
	return nil
}

// legs has the steps of the way to the server told, too.
func (p *providers) legs() dial.Trace {
	if p.trace == nil {
		return nil
	}
	return func(l dial.Leg) { p.trace(sshtunnel.StepOf(l)) }
}

// hop says how a jump host is logged in to: as every other server is.
func (p *providers) hop(to sshtunnel.Target) (sshtunnel.Hop, error) {
	login, via, err := p.client(sshtunnel.SSHD(to.Host, to))
	if err != nil {
		return sshtunnel.Hop{}, err
	}
	return sshtunnel.Hop{Login: login, Via: via}, nil
}

// roots are those who may vouch for a relay with TLS: the system's, and those that
// --relay-ca names. nil are the system's.
func (p *providers) roots(profile sshtunnel.Profile) (*x509.CertPool, error) {
	if p.cfg.RelayCA == "" || !profile.TLS { // it is for the public side, too
		return nil, nil
	}
	return authorities(p.cfg)
}

// authorities are the system's and those that --relay-ca names.
func authorities(cfg *config.Config) (*x509.CertPool, error) {
	const most = 1 << 20
	mistake := func(err error) error {
		return &console.Error{Err: fmt.Errorf("%s: %w", cfg.Origin("relay_ca"), err), Hint: "it is a file of certificates, as PEM: -----BEGIN CERTIFICATE-----", Code: console.Usage}
	}
	f, err := os.Open(cfg.RelayCA)
	if err != nil {
		return nil, mistake(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, mistake(err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without any; what is named here is enough
	}
	if len(text) > most || !pool.AppendCertsFromPEM(text) {
		return nil, mistake(errors.New(cfg.RelayCA + " holds no certificate"))
	}
	return pool, nil
}

// idle tells of options that somebody chose and that change nothing here.
func (p *providers) idle(why string, keys ...string) {
	for _, key := range keys {
		if from := p.cfg.Origin(key); from != config.Default {
			p.notice(fmt.Sprintf("%s: %s has no effect, %s", from, key, why))
		}
	}
}
