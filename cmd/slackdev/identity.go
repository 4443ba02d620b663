package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// identify gives a provider the user's keys and known hosts, and has it do what the
// user's ssh_config says of its host. jump is the way that leads there, in the words of
// ProxyJump, "" for a direct one.
func (p *providers) identify(to *sshtunnel.Provider) (jump string, err error) {
	data, err := p.env.DataDir()
	if err != nil {
		return "", err
	}
	to.Keys = sshtunnel.Keys{Named: p.cfg.Identity, Agent: p.env.Getenv("SSH_AUTH_SOCK"), Own: filepath.Join(data, "id_ed25519")}
	to.Hosts = sshtunnel.Hosts{
		Own: filepath.Join(data, "known_hosts"),
		FirstUse: func(u sshtunnel.FirstUse) {
			p.notice(fmt.Sprintf("first use of %s: its host key is %s %s, kept in %s", u.Host, u.Type, u.Fingerprint, u.File))
		},
	}
	to.Ask = p.ask
	home := p.env.Home()
	if home != "" {
		to.Keys.Files = sshtunnel.DefaultKeyFiles(filepath.Join(home, ".ssh"))
	}
	for _, file := range p.cfg.Identity {
		_, err := os.Stat(file)
		if _, err2 := os.Stat(file + ".pub"); errors.Is(err, fs.ErrNotExist) && err2 != nil {
			return "", usage(fmt.Errorf("%s: there is no key %s", p.cfg.Origin("identity"), file), "ls ~/.ssh")
		}
	}
	files := sshtunnel.SSHConfig{
		File: p.cfg.SSHConfig, System: systemSSH(p.env), Home: home, User: p.env.User, Getenv: p.env.Getenv,
	}
	host, err := files.Lookup(sshtunnel.Query{Host: to.Profile.Host, User: to.Profile.User, Port: to.Profile.Port})
	if err != nil {
		return "", err
	}
	for _, s := range host.Used {
		p.log.Debug("ssh config", "host", to.Profile.Host, "keyword", s.Keyword, "value", s.Value, "from", s.Origin)
	}
	notices, err := host.Apply(to)
	if err != nil {
		return "", err
	}
	for _, n := range notices {
		p.notice(n)
	}
	if to.Profile.AnyKey { // what stands between is not for a public service
		return "", nil
	}
	return host.ProxyJump, nil
}

// systemSSH is the folder of the system's ssh_config and known hosts.
func systemSSH(env config.Env) string {
	if env.OS != "windows" {
		return "/etc/ssh"
	}
	if data := env.Getenv("PROGRAMDATA"); filepath.IsAbs(data) {
		return filepath.Join(data, "ssh")
	}
	return ""
}

// asker gives what asks the person at the terminal, nil where there is none.
func asker(env config.Env) func(context.Context, sshtunnel.Question) (string, error) {
	if env.IsTerminal == nil || !env.IsTerminal(env.Stdin) || !env.IsTerminal(env.Stderr) {
		return nil
	}
	a := console.NewAsker(env.Stdin, env.Stderr)
	if a == nil {
		return nil
	}
	return func(ctx context.Context, q sshtunnel.Question) (string, error) {
		return a.Ask(ctx, q.Intro, q.Text, q.Hidden)
	}
}
