package sshtunnel

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Profile says how one kind of SSH server forwards: what `ssh -R` would be told on
// its command line, and how the server tells the public URL. It is data; adding a
// service means adding a Profile.
type Profile struct {
	Name string // the word that --via takes
	Host string // of the SSH server
	Port int    // of the SSH server; 0: 22

	// AltPort is another port of the same server, for networks that do not let the
	// first one pass: it is tried as well when that takes long, and at once when it
	// fails. Its host key is the one that is known for Port: whoever blocks that could
	// otherwise show one of his own for a name of which nothing is known. 0: none.
	AltPort int

	User  string
	Token Token // a secret that goes in front of User, with a plus sign between them; empty: none

	// UserAgain is the User of every Open after one that succeeded, where the service
	// takes over what our dead tunnel still holds when it is told so; empty: User.
	UserAgain string

	// TLS: SSH goes inside TLS there, with a certificate for Host.
	TLS bool

	// AnyKey: the server takes any key and knows its users by it, or wants none.
	// It is shown our own key alone, and an empty password where it asks for one.
	AnyKey  bool
	KeyHint string // what to do when it refuses the key; {key} is the file of our public key. May be empty

	Bind     string // the bind address to ask for, sent as it is: a name, an address, "" for all of the server's addresses
	BindPort int    // the port to ask for; 0: the server chooses
	Hint     string // what to type when the server refuses that; may be empty

	// Named: Bind is the name, or the whole host, that the public URL should have.
	// See Provider.Renamed.
	Named bool

	// Session is opened after login; its text is read for the URL, for reasons and
	// for notices.
	Session Session
	Exec    string // the command of a SessionExec

	Announce Announce
	// NameFromURL: where the server gave another name than Bind, the first label of
	// the URL's host, the next Open asks for that one.
	NameFromURL bool
	// Guards: the server can protect a name (see Access).
	Guards bool
	// KeepPort: the next Open asks for the port that this one got.
	KeepPort bool

	// Hello: the server is slackdev's relay. It is told who we are, stamps requests
	// with IDs that we believe (see Conn.Token), and may ask us to move.
	Hello bool
	// TakeOver: the server is an OpenSSH that keeps the port of a dead connection.
	// Exec says which process serves us, and the next Open ends that process where it
	// is in the way. Only SSHD's Exec does.
	TakeOver bool
}

// Token is a secret that a service takes as a part of its user's name. It prints as
// an ellipsis.
type Token string

// String gives an ellipsis.
func (Token) String() string { return "…" }

// GoString gives an ellipsis, too.
func (Token) GoString() string { return `"…"` }

// MarshalText gives the same, for logs.
func (Token) MarshalText() ([]byte, error) { return []byte("…"), nil }

// Session says which session a Profile opens.
type Session int

// The sessions.
const (
	SessionNone  Session = iota
	SessionShell         // for the text that the service prints; its end is the tunnel's end
	SessionExec          // one command; its text is read, its end means nothing: see SSHD
)

// Announce says how the public URL is known. Exactly one of URL, Forward and
// session text applies, in this order.
type Announce struct {
	URL     *url.URL // it is this one
	Forward bool     // it is http://HOST:PORT, with the SSH server's host and the port that was answered

	// Otherwise it is in the session's text.
	Prefix  string         // only in a line that begins with this, and then the first is right
	Pattern *regexp.Regexp // only what this finds in a line: its first group, or else the whole of it
	Ignore  []string       // hosts whose URLs mean something else: the service's own pages
	Settle  time.Duration  // how long a URL waits for a better one (https, alone on its line); 0: 300 ms

	// Moved: a later line that holds this and another host's URL says that the
	// service has given the tunnel a new address. That ends the tunnel.
	Moved string

	Refusals []Refusal // what the text may mean besides; the first that fits counts
}

// Refusal is what a service's own words mean, for a person who has to do something
// about it. It counts when the service gives no URL, and when it ends the tunnel.
type Refusal struct {
	Contains string // a part of a line, in lower case
	Means    string
	Hint     string // what to do, may be empty
	Final    bool   // asking again will not help; otherwise it may, later
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

// userName is the name to log in with, the token included.
func (p Profile) userName() string {
	switch {
	case p.Token == "":
		return p.User
	case p.User == "":
		return string(p.Token)
	}
	return string(p.Token) + "+" + p.User
}

// gives reports whether host is what was asked for by name: that host, or one whose
// first label is the name, with the user's name before or behind it on some servers.
func gives(host, name string) bool {
	if name == "" {
		return false
	}
	name, host = strings.ToLower(name), strings.ToLower(host)
	label, _, _ := strings.Cut(host, ".")
	return host == name || label == name || strings.HasPrefix(label, name+"-") || strings.HasSuffix(label, "-"+name)
}

// Command is the ssh command that the profile equals, for a shell: app is HOST:PORT of
// the local app. Without a terminal (-T), since a service's text is for lines, not for
// a screen; and without a command whose text nobody reads, since ssh would end with it.
// A token stands in it as the variable that holds it.
func (p Profile) Command(app string) string {
	words := []string{"ssh"}
	if p.Port != 0 && p.Port != 22 {
		words = append(words, "-p", strconv.Itoa(p.Port))
	}
	silent := p.Session == SessionNone || p.Session == SessionExec && !p.fromSession()
	if silent {
		words = append(words, "-N")
	} else {
		words = append(words, "-T")
	}
	bind := p.Bind
	if strings.Contains(bind, ":") {
		bind = "[" + bind + "]"
	}
	words = append(words, "-o", "ExitOnForwardFailure=yes", "-R", shellQuote(fmt.Sprintf("%s:%d:%s", bind, p.BindPort, app)))
	to := p.Host
	if p.User != "" {
		to = p.User + "@" + to
	}
	if p.Token != "" {
		to = `"$` + TokenVariable + `+` + to + `"` // neither part has a character that is special between these quotes
	} else {
		to = shellQuote(to)
	}
	words = append(words, to)
	if p.Session == SessionExec && !silent {
		words = append(words, shellQuote(p.Exec))
	}
	return strings.Join(words, " ")
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
