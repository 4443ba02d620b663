package config

import (
	"errors"
	"strings"
	"testing"
)

func TestNetworksAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7":                          "203.0.113.7/32",
		" 10.0.0.0/8 , 2001:db8::1 ":           "10.0.0.0/8,2001:db8::1/128",
		"0.0.0.0/0,::/0":                       "0.0.0.0/0,::/0",
		"":                                     "",
		"10.0.0.0/8,":                          "",
		"10.0.0.0/33":                          "",
		"10.1.2.3/8":                           "",
		"::ffff:10.0.0.1":                      "",
		"fe80::1%eth0":                         "",
		"example.org":                          "",
		"10.0.0.1:80":                          "",
		strings.Repeat("::1,", 256) + "::1":    "",
		strings.Repeat("::1,", 255) + "::1/64": "",
	} {
		networks, err := Networks("--x", text)
		var e *Error
		switch {
		case want == "" && (!errors.As(err, &e) || e.Where != "--x"):
			t.Errorf("%.60q: got %v, %v, want an *Error", text, networks, err)
		case want != "" && (err != nil || networksText(networks) != want):
			t.Errorf("%q: got %s, %v, want %s", text, networksText(networks), err, want)
		}
	}
	w := newWorld(t, nil)
	write(t, w.home, "todo/slackdev.yaml", "allow_ip: [203.0.113.7, 10.0.0.0/8]\n")
	c, err := Load(w.env(), nil)
	if err != nil || networksText(c.AllowIP) != "203.0.113.7/32,10.0.0.0/8" {
		t.Errorf("from a list in the file: %v, %v", c.AllowIP, err)
	}
}

func TestBasicAuthComesFromTheNearestPlace(t *testing.T) {
	w := newWorld(t, nil)
	check := func(step, want string, given map[string]string) {
		t.Helper()
		c, err := Load(w.env(), given)
		if err != nil {
			t.Fatal(err)
		}
		user, password, err := c.BasicAuth()
		if got := user + "|" + password; got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", step, got, err, want)
		}
	}
	check("nowhere", "|", nil)
	write(t, w.home, "todo/.env", "SLACKDEV_BASIC_AUTH='ana:fr om.env'\n")
	check(".env", "ana|fr om.env", nil)
	w.vars[AuthVariable] = "bob:from:the environment"
	check("the environment", "bob|from:the environment", nil)
	write(t, w.home, "todo/auth", "eve:from a file \r\n")
	check("the file", "eve|from a file ", map[string]string{"basic_auth_file": "auth"})
}

func TestABadPasswordIsRefusedAndNotRepeated(t *testing.T) {
	const secret = "hunter2"
	for name, text := range map[string]string{
		"empty": "", "blank": " \t", "no colon": secret, "no user": ":" + secret, "no password": secret + ":",
		"two lines": "ana:" + secret + "\nbob:" + secret, "long": "ana:" + secret + strings.Repeat("x", 1<<10),
	} {
		for _, where := range []string{"environment", "file"} {
			w := newWorld(t, nil)
			given := map[string]string{}
			if where == "file" {
				write(t, w.home, "todo/auth", text)
				given["basic_auth_file"] = "auth"
			} else {
				w.vars[AuthVariable] = text
			}
			c, err := Load(w.env(), given)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = c.BasicAuth()
			var e *Error
			if !errors.As(err, &e) || e.Hint != authHint || strings.Contains(e.Error(), secret) {
				t.Errorf("%s, %s: got %v", name, where, err)
			}
		}
	}
	w := newWorld(t, nil)
	c, err := Load(w.env(), map[string]string{"basic_auth_file": "gone"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.BasicAuth(); err == nil {
		t.Error("a file that is not there is no mistake")
	}
}
