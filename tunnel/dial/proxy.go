package dial

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// Proxy is a proxy and how it lets us in. Its credentials can be used and not read:
// no verb of package fmt prints them. It is not changed once it is made.
//
// Whatever its scheme, the proxy resolves the names of servers. For socks5 that
// differs from curl, which resolves them itself and calls the other way socks5h: a
// name that is known on the far side alone is a reason to have a proxy.
type Proxy struct {
	Scheme string // http, https or socks5
	Addr   string // host:port
	Origin string // where it was named, for a person: HTTPS_PROXY, --proxy

	// login is behind a pointer so that fmt, which looks into unexported fields of
	// structs that hold a Proxy, finds an address. It is nil without credentials.
	login *login
}

// login is what a proxy asks for.
type login struct {
	user, password string
	origin         string // where it was given, for a person
}

// proxySchemes is how a proxy's URL may begin, and what is meant. Desktops write
// socks for version 5.
func proxySchemes() map[string]string {
	return map[string]string{"http": "http", "https": "https", "socks5": "socks5", "socks5h": "socks5", "socks": "socks5"}
}

// ParseProxy reads [SCHEME://][USER:PASSWORD@]HOST[:PORT], with http, https, socks5
// or socks5h as the scheme. Without one it is http; without a port, 80, 443 or 1080.
// origin is where the text comes from. The error does not repeat the text, which may
// hold a password.
func ParseProxy(text, origin string) (*Proxy, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("this is not an address of a proxy")
	}
	scheme, known := proxySchemes()[u.Scheme]
	switch {
	case !known:
		return nil, fmt.Errorf("a proxy of the kind %q is not known here", clean(u.Scheme, 20))
	case u.Hostname() == "":
		return nil, errors.New("the proxy's address has no host")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New("the proxy's address goes on after its port")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080"}[scheme]
	}
	p := &Proxy{Scheme: scheme, Addr: net.JoinHostPort(u.Hostname(), port), Origin: origin}
	if err := checkAddr(p.Addr); err != nil {
		return nil, fmt.Errorf("the proxy's address: %w", err)
	}
	if u.User == nil {
		return p, nil
	}
	password, _ := u.User.Password()
	return p.WithLogin(u.User.Username(), password, origin)
}

// WithLogin is the same proxy with credentials, which came from origin. What neither
// HTTP nor SOCKS can carry is refused, and not repeated.
func (p *Proxy) WithLogin(user, password, origin string) (*Proxy, error) {
	switch {
	case user == "":
		return nil, errors.New("the proxy's password has no user")
	case len(user) > 255 || len(password) > 255:
		return nil, errors.New("the proxy's user or password is longer than 255 bytes")
	case !p.socks() && strings.Contains(user, ":"):
		return nil, errors.New("the proxy's user has a colon, which HTTP cannot carry")
	case p.socks() && password == "":
		return nil, errors.New("the proxy's user has no password, which SOCKS needs")
	}
	with := *p
	with.login = &login{user, password, origin}
	return &with, nil
}

// HasLogin reports whether there are credentials.
func (p Proxy) HasLogin() bool { return p.login != nil }

// String is the proxy's URL, without credentials.
func (p Proxy) String() string { return p.Scheme + "://" + p.Addr }

// GoString is the same for %#v.
func (p Proxy) GoString() string { return p.String() }

func (p Proxy) socks() bool { return p.Scheme == "socks5" }

// basic is the value of Proxy-Authorization, "" without credentials.
func (p Proxy) basic() string {
	if p.login == nil {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.login.user+":"+p.login.password))
}

// notLetIn is the refusal of a proxy that wants credentials. offers are the ways to
// log in that it names, realm is what it says that they are for; both may be empty.
func (p Proxy) notLetIn(offers []string, realm string) *Error {
	about := ""
	if realm = clean(realm, 60); realm != "" {
		about = fmt.Sprintf(" for %q", realm)
	}
	basic := func(s string) bool { return strings.EqualFold(s, "basic") }
	switch {
	case len(offers) > 0 && !slices.ContainsFunc(offers, basic):
		return refusal("let a proxy on this machine log in there, and name that one:  --proxy http://127.0.0.1:3128",
			"it wants a login%s by %s, and slackdev knows Basic alone", about, clean(strings.Join(offers, " or "), 60))
	case p.login != nil:
		return refusal("", "it does not take the user and the password%s that come from %s", about, p.login.origin)
	}
	return refusal("export SLACKDEV_PROXY_USER=… SLACKDEV_PROXY_PASSWORD=…   or put them into the variable:  HTTPS_PROXY="+p.Scheme+"://USER:PASSWORD@"+p.Addr,
		"it wants a user and a password%s", about)
}

// Proxies says which way leads to which address. The zero value leads to all of them
// directly.
type Proxies struct {
	Proxy  *Proxy // nil: none
	Except string // who is reached without it, as NO_PROXY has it: names, .suffixes, addresses, networks, *
}

// For gives the proxy that leads to addr, a host:port, or nil: to this machine and to
// what Except names the way is direct.
func (p Proxies) For(addr string) *Proxy {
	host, port, err := net.SplitHostPort(addr)
	if p.Proxy == nil || err != nil {
		return nil
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if strings.HasSuffix(host, ".localhost") { // RFC 6761; httpproxy knows localhost itself
		return nil
	}
	rule := httpproxy.Config{HTTPSProxy: p.Proxy.String(), NoProxy: p.Except}
	through, err := rule.ProxyFunc()(&url.URL{Scheme: "https", Host: net.JoinHostPort(host, port)})
	if err != nil || through == nil {
		return nil
	}
	return p.Proxy
}
