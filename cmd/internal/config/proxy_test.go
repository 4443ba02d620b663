package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestProxiesComeFromTheFirstPlaceThatNamesOne(t *testing.T) {
	const here, elsewhere = "http://here.test:1", "http://elsewhere.test:2"
	for name, tc := range map[string]struct {
		vars   map[string]string
		dotenv string
		given  string
		want   string // the proxy to relay.test and where it was named, with + where there are credentials; or ! and a mistake
	}{
		"nothing":                          {},
		"https_proxy":                      {vars: map[string]string{"https_proxy": here}, want: here + " https_proxy"},
		"HTTPS_PROXY":                      {vars: map[string]string{"HTTPS_PROXY": here}, want: here + " HTTPS_PROXY"},
		"all_proxy":                        {vars: map[string]string{"all_proxy": "socks5h://here.test"}, want: "socks5://here.test:1080 all_proxy"},
		"ALL_PROXY":                        {vars: map[string]string{"ALL_PROXY": here}, want: here + " ALL_PROXY"},
		"HTTP_PROXY is for http":           {vars: map[string]string{"HTTP_PROXY": here, "http_proxy": here}},
		"lower case first":                 {vars: map[string]string{"https_proxy": here, "HTTPS_PROXY": elsewhere}, want: here + " https_proxy"},
		"the one for https first":          {vars: map[string]string{"HTTPS_PROXY": here, "all_proxy": elsewhere}, want: here + " HTTPS_PROXY"},
		"set but empty":                    {vars: map[string]string{"https_proxy": "", "ALL_PROXY": here}, want: here + " ALL_PROXY"},
		"typed":                            {vars: map[string]string{"HTTPS_PROXY": elsewhere}, given: here, want: here + " --proxy"},
		"none was typed":                   {vars: map[string]string{"HTTPS_PROXY": elsewhere}, given: "none"},
		"none hides mistakes":              {vars: map[string]string{"HTTPS_PROXY": "ftp://x"}, given: "none"},
		"NO_PROXY":                         {vars: map[string]string{"HTTPS_PROXY": here, "NO_PROXY": ".test"}},
		"NO_PROXY beats what was typed":    {vars: map[string]string{"no_proxy": "relay.test"}, given: here},
		"a .env is the app's":              {dotenv: "HTTPS_PROXY=" + elsewhere},
		"credentials in the variable":      {vars: map[string]string{"HTTPS_PROXY": "http://ana:s3cret@here.test:1"}, want: here + " HTTPS_PROXY +"},
		"credentials beside it":            {vars: map[string]string{"HTTPS_PROXY": here, "SLACKDEV_PROXY_USER": "ana", "SLACKDEV_PROXY_PASSWORD": "s3cret"}, want: here + " HTTPS_PROXY +"},
		"credentials for a typed one":      {given: here, dotenv: "SLACKDEV_PROXY_USER=ana\nSLACKDEV_PROXY_PASSWORD=s3cret", want: here + " --proxy +"},
		"a password alone":                 {vars: map[string]string{"HTTPS_PROXY": here, "SLACKDEV_PROXY_PASSWORD": "s3cret"}, want: "! SLACKDEV_PROXY_USER: the proxy's password has no user"},
		"a variable that cannot be read":   {vars: map[string]string{"HTTPS_PROXY": "http://ana:s3cret%zz@here.test"}, want: "! HTTPS_PROXY: this is not an address of a proxy"},
		"a variable that asks for SOCKS 4": {vars: map[string]string{"all_proxy": "socks4://here.test"}, want: `! all_proxy: a proxy of the kind "socks4" is not known here`},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"todo/slackdev.yaml": ""}
			if tc.dotenv != "" {
				files["todo/.env"] = tc.dotenv
			}
			w := newWorld(t, files)
			for k, v := range tc.vars {
				w.vars[k] = v
			}
			given := map[string]string{}
			if tc.given != "" {
				given["proxy"] = tc.given
			}
			c, err := Load(w.env(), given)
			if err != nil {
				t.Fatal(err)
			}
			proxies, err := c.Proxies()
			got := ""
			var mistake *Error
			if p := proxies.For("relay.test:22"); errors.As(err, &mistake) {
				got = "! " + err.Error()
			} else if p != nil {
				got = strings.TrimSuffix(fmt.Sprintf("%s %s %s", p, p.Origin, map[bool]string{true: "+"}[p.HasLogin()]), " ")
			}
			if got != tc.want {
				t.Errorf("got %q, want %q (%v)", got, tc.want, err)
			}
			if all := fmt.Sprintf("%+v %#v %v %+v", proxies, proxies, err, c.Settings()); strings.Contains(all, "s3cret") {
				t.Error("something prints the password")
			}
		})
	}
}

func TestProxyOptionTakesNoCredentials(t *testing.T) {
	for text, want := range map[string]string{
		"none":                          "none",
		"proxy.test":                    "http://proxy.test:80",
		"socks5h://proxy.test":          "socks5://proxy.test:1080",
		"http://ana:s3cret@proxy.test":  "! a proxy's user and password do not belong here",
		"http://ana:s3cr%zz@proxy.test": "! a proxy's user and password do not belong here",
		"ana@proxy.test":                "! a proxy's user and password do not belong here",
		"":                              "! the proxy's address has no host",
		"http://proxy.test/path":        "! the proxy's address goes on after its port",
	} {
		got, err := parseProxy(text)
		if err != nil {
			got = "! " + err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		if p, ok := err.(*problem); ok && (p.hint == "" || strings.Contains(p.hint+p.text, "s3cr")) {
			t.Errorf("%q: the hint is %q", text, p.hint)
		}
	}
}
