package sshtunnel

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slackdev/slackdev/tunnel/wire"
)

// Profile says how one kind of SSH server forwards: what `ssh -R` would be told on
// its command line, and how the server tells the public URL. It is data; adding a
// service means adding a Profile.
type Profile struct {
	Name string // the word that --via takes
	Host string // of the SSH server
	Port int    // of the SSH server; 0: 22
	User string

	// AltPort is another port of the same server, for networks that do not let the
	// first one pass: it is tried as well when that takes long, and at once when it
	// fails. Its host key is the one that is known for Port: whoever blocks that could
	// otherwise show one of his own for a name of which nothing is known. 0: none.
	AltPort int

	// TLS: SSH goes inside TLS there, with a certificate for Host.
	TLS bool

	// AnyKey: the server takes any key and knows its users by it, or wants none.
	// It is shown our own key alone, and an empty password where it asks for one.
	AnyKey bool

	Bind     string // the bind address to ask for, sent as it is: a name, an address, "" for all of the server's addresses
	BindPort int    // the port to ask for; 0: the server chooses
	Hint     string // what to type when the server refuses that; may be empty

	// Session is opened after login; its text is read for the URL, for reasons and
	// for notices.
	Session Session
	Command string // for SessionExec

	Announce Announce
	// NameFromURL: the first label of the URL's host is the name that Bind would
	// ask for, so that the next Open asks for the name that this one got.
	NameFromURL bool
	// Guards: the server can protect a name (see Access).
	Guards bool
	// KeepPort: the next Open asks for the port that this one got.
	KeepPort bool
}

// Session says which session a Profile opens.
type Session int

// The sessions.
const (
	SessionNone  Session = iota
	SessionShell         // for the text that the service prints; its end is the tunnel's end
	SessionExec          // one command, whose end means nothing: see SSHD
)

// Announce says how the public URL is known. Exactly one of URL, Forward and
// session text applies, in this order.
type Announce struct {
	URL     *url.URL // it is this one
	Forward bool     // it is http://HOST:PORT, with the SSH server's host and the port that was answered

	// Otherwise it is in the session's text.
	Prefix string        // only in a line that begins with this, and then the first is right
	Ignore []string      // hosts whose URLs mean something else: the service's own pages
	Settle time.Duration // how long a URL waits for a better one (https, alone on its line); 0: 300 ms
}

// addr is host:port of the SSH server.
func (p Profile) addr() string {
	port := p.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(p.Host, strconv.Itoa(port))
}

// addrs lists host:port of every port that the server has, the best one first.
func (p Profile) addrs() []string {
	if p.AltPort == 0 {
		return []string{p.addr()}
	}
	return []string{p.addr(), net.JoinHostPort(p.Host, strconv.Itoa(p.AltPort))}
}

// at is the profile with the port that answered.
func (p Profile) at(addr string) Profile {
	if p.AltPort != 0 && portOf(addr) == strconv.Itoa(p.AltPort) {
		p.Port = p.AltPort
	}
	return p
}

// fromSession reports whether the URL has to be read from the session.
func (p Profile) fromSession() bool { return p.Announce.URL == nil && !p.Announce.Forward }

// Relay is slackdev's own relay, embedded or self-hosted. name is the wanted name,
// or empty for one that the relay gives.
func Relay(via, host string, port int, name string) Profile {
	return Profile{
		Name: via, Host: host, Port: port, User: "slackdev", AnyKey: true,
		Bind: name, BindPort: 80,
		Session:     SessionShell,
		Announce:    Announce{Prefix: wire.URLPrefix},
		NameFromURL: true, Guards: true,
	}
}

// SSHD is any OpenSSH server. The forward is asked for on all of its addresses;
// GatewayPorts in its sshd_config decides whether it gives more than loopback.
//
// The command does nothing but begin: sshd turns its Nagle algorithm off when a
// session begins, and without one holds each first answer back for 40 ms.
func SSHD(via string, to Target) Profile {
	return Profile{
		Name: via, Host: to.Host, Port: to.Port, User: to.User,
		Session: SessionExec, Command: "true",
		Announce: Announce{Forward: true},
		KeepPort: true,
	}
}

// Pinggy is pinggy.io: `ssh -p 443 -T -R0:localhost:3000 http@a.pinggy.io`. It takes
// the kind of tunnel as the user's name, ignores the port, and prints both URLs.
func Pinggy() Profile {
	return Profile{
		Name: "pinggy", Host: "a.pinggy.io", Port: 443, User: "http", AnyKey: true,
		Session: SessionShell,
		Announce: Announce{
			Ignore: []string{"pinggy.io", "www.pinggy.io", "dashboard.pinggy.io", "docs.pinggy.io"},
		},
	}
}

// Target is an SSH server as a person writes it.
type Target struct {
	User string // empty: the caller decides
	Host string // a name or an address, without brackets
	Port int    // 0: 22
}

// ParseTarget reads ssh://[USER@]HOST[:PORT]. Its errors say what is wrong with the
// text, for a person; a password in it is refused and not repeated.
func ParseTarget(text string) (Target, error) {
	rest, ok := strings.CutPrefix(text, "ssh://")
	if !ok {
		return Target{}, fmt.Errorf("an SSH server is written ssh://[USER@]HOST[:PORT], got %q", text)
	}
	var t Target
	hostport := strings.TrimSuffix(rest, "/")
	if at := strings.LastIndexByte(hostport, '@'); at >= 0 {
		t.User, hostport = hostport[:at], hostport[at+1:]
		if strings.Contains(t.User, ":") {
			return Target{}, fmt.Errorf("ssh://…@%s: no password here, use a key or an agent", hostport)
		}
		if t.User == "" || hasBad(t.User, "@/\\") {
			return Target{}, fmt.Errorf("%q: the user's name is empty or has characters that no user's name has", text)
		}
	}
	port := ""
	switch {
	case strings.HasPrefix(hostport, "["):
		end := strings.IndexByte(hostport, ']')
		if end < 0 || net.ParseIP(hostport[1:end]) == nil {
			return Target{}, fmt.Errorf("%q: [ ] must hold an IPv6 address", text)
		}
		t.Host, port = hostport[1:end], hostport[end+1:]
	case strings.Count(hostport, ":") > 1:
		return Target{}, fmt.Errorf("%q: an IPv6 address is written in [ ]", text)
	default:
		t.Host, port = hostport, ""
		if colon := strings.IndexByte(hostport, ':'); colon >= 0 {
			t.Host, port = hostport[:colon], hostport[colon:]
		}
	}
	if t.Host == "" || strings.HasPrefix(t.Host, "-") || hasBad(t.Host, "/\\?#%") {
		return Target{}, fmt.Errorf("%q: the host is missing or is no host name", text)
	}
	if port != "" {
		n, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16)
		if err != nil || n == 0 || port[0] != ':' {
			return Target{}, fmt.Errorf("%q: the port must be a number from 1 to 65535", text)
		}
		t.Port = int(n)
	}
	return t, nil
}

// hasBad reports a character of bad, a space, or one that does not print.
func hasBad(s, bad string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r > 0x7e || strings.ContainsRune(bad, r)
	})
}

// String is the target as ParseTarget reads it.
func (t Target) String() string {
	text := "ssh://"
	if t.User != "" {
		text += t.User + "@"
	}
	switch {
	case t.Port != 0:
		return text + net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	case strings.Contains(t.Host, ":"):
		return text + "[" + t.Host + "]"
	}
	return text + t.Host
}
