package dial_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/slackdev/slackdev/tunnel/dial"
)

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy.test:3128":              "http://proxy.test:3128",
		"proxy.test:3128":                     "http://proxy.test:3128",
		"proxy.test":                          "http://proxy.test:80",
		" http://proxy.test/ ":                "http://proxy.test:80",
		"https://proxy.test":                  "https://proxy.test:443",
		"socks5://proxy.test":                 "socks5://proxy.test:1080",
		"socks5h://[2001:db8::1]:9050":        "socks5://[2001:db8::1]:9050",
		"socks://127.0.0.1:1080/":             "socks5://127.0.0.1:1080",
		"HTTP://proxy.test":                   "http://proxy.test:80",
		"http://ana:s3cret@proxy.test:1":      "http://proxy.test:1 with login",
		"http://ana:s3%3Acr%40et@proxy.test":  "http://proxy.test:80 with login",
		"http://ana@proxy.test":               "http://proxy.test:80 with login",
		"":                                    "! the proxy's address has no host",
		"http://":                             "! the proxy's address has no host",
		"ftp://proxy.test":                    `! a proxy of the kind "ftp" is not known here`,
		"socks4://s3cret@proxy.test":          `! a proxy of the kind "socks4" is not known here`,
		"http://proxy.test/s3cret":            "! the proxy's address goes on after its port",
		"http://proxy.test?s3cret":            "! the proxy's address goes on after its port",
		"http://proxy.test:0":                 "! the proxy's address: the port is not a number from 1 to 65535",
		"http://proxy.test:99999":             "! the proxy's address: the port is not a number from 1 to 65535",
		"http://ana:s3cret%zz@proxy.test":     "! this is not an address of a proxy",
		"http://ana:s3cret\n@proxy.test":      "! this is not an address of a proxy",
		"http://:s3cret@proxy.test":           "! the proxy's password has no user",
		"http://a%3Ab:s3cret@proxy.test":      "! the proxy's user has a colon, which HTTP cannot carry",
		"socks5://s3cret@proxy.test":          "! the proxy's user has no password, which SOCKS needs",
		"http://ana:" + long + "@proxy.test":  "! the proxy's user or password is longer than 255 bytes",
		"http://pr\u00f6xy.test":              "! the proxy's address: the host has a character that no host name has",
		"http://s3cret@proxy.test:port":       "! this is not an address of a proxy",
		"http://proxy.test:3128#s3cret":       "! the proxy's address goes on after its port",
		"http://ana:s3cret@[2001:db8::1:3128": "! this is not an address of a proxy",
	} {
		p, err := dial.ParseProxy(text, "HTTPS_PROXY")
		got := ""
		if err != nil {
			got = "! " + err.Error()
		} else if got = p.String(); p.HasLogin() {
			got += " with login"
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

var long = strings.Repeat("x", 256)

func TestNothingPrintsAPassword(t *testing.T) {
	p, err := dial.ParseProxy("http://ana:s3cret@proxy.test:3128", "HTTPS_PROXY")
	if err != nil {
		t.Fatal(err)
	}
	all := dial.Proxies{Proxy: p, Except: "example.org"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "proxy", p, "value", *p, "all", all)
	encoded, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s %q %x", p, p, p, p, p, p),
		fmt.Sprintf("%v %+v %#v %s %q", *p, *p, *p, *p, *p),
		fmt.Sprintf("%v %+v %#v", all, all, all),
		fmt.Sprintf("%v %+v %#v", struct{ p dial.Proxy }{*p}, struct{ p dial.Proxy }{*p}, struct{ p dial.Proxy }{*p}),
		log.String(), string(encoded),
	} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, "ana") || strings.Contains(text, fmt.Sprintf("%x", "s3cret")) {
			t.Errorf("the password or the user is in %s", text)
		}
	}
}

func TestProxiesLeaveOutWhatTheyShould(t *testing.T) {
	p, err := dial.ParseProxy("proxy.test", "--proxy")
	if err != nil {
		t.Fatal(err)
	}
	const except = "example.org, .sub.test,192.0.2.0/24,2001:db8::/32,only.test:22,198.51.100.7"
	for addr, through := range map[string]bool{
		"relay.test:22":           true,
		"localhost:22":            false,
		"LocalHost.:22":           false,
		"ana.localhost:22":        false,
		"127.0.0.1:22":            false,
		"127.1.2.3:22":            false,
		"[::1]:22":                false,
		"example.org:443":         false,
		"EXAMPLE.org.:22":         false,
		"deep.example.org:22":     false,
		"notexample.org:22":       true,
		"sub.test:22":             true,
		"a.sub.test:22":           false,
		"192.0.2.99:22":           false,
		"192.0.3.99:22":           true,
		"[2001:db8::99]:22":       false,
		"only.test:22":            false,
		"only.test:443":           true,
		"198.51.100.7:22":         false,
		"this is no address":      false,
		"[2001:db9::1%25eth0]:22": true,
	} {
		if got := (dial.Proxies{Proxy: p, Except: except}).For(addr) == p; got != through {
			t.Errorf("%s through the proxy: got %v, want %v", addr, got, through)
		}
		if (dial.Proxies{Proxy: p, Except: "*"}).For(addr) != nil || (dial.Proxies{}).For(addr) != nil {
			t.Errorf("%s: through a proxy, with * or without one", addr)
		}
	}
}
