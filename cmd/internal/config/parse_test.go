package config

import (
	"strings"
	"testing"
)

func TestTheAppIsNamedByPortOrAddress(t *testing.T) {
	for text, want := range map[string]string{
		"3000": "http://localhost:3000", ":3000": "http://localhost:3000", "localhost:3000": "http://localhost:3000",
		"127.0.0.1:8080": "http://127.0.0.1:8080", "[::1]:3000": "http://[::1]:3000", "app:3000/base/": "http://app:3000/base",
		"http://localhost:3000": "http://localhost:3000", "https://todo.test": "https://todo.test", "http://localhost:3000/": "http://localhost:3000",
	} {
		u, err := parseApp(text)
		if err != nil || u.String() != want {
			t.Errorf("%q: got %v, %v; want %s", text, u, err, want)
		}
	}
}

func TestWhatIsNoAppIsExplained(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "blank",
		"abc":                       `"abc" is not a port`,
		"localhost":                 `"localhost" is not a port`,
		"0":                         "port 0 is not between 1 and 65535",
		"70000":                     "port 70000 is not between",
		"99999999999999999999":      "is not between",
		"localhost:0":               "port 0 is not",
		"3000x":                     "is not a port",
		"ftp://localhost:3000":      "not by ftp",
		"http://":                   "neither a port nor an address",
		"http://a:b@localhost:3000": "a host, a port and maybe a path",
		"http://localhost:3000?x":   "a host, a port and maybe a path",
		"http://local host:1":       "neither a port nor an address",
		"3000 4000":                 "neither a port nor an address",
	} {
		u, err := parseApp(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v; want %q", text, u, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "a:b@") {
			t.Errorf("%q: the password is repeated: %v", text, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "512k": 512 << 10, "512K": 512 << 10, "1MiB": 1 << 20, "1 mib": 1 << 20, "1.5g": 3 << 29,
		"2GB": 2e9, "10kB": 10_000, "7b": 7,
	} {
		if got, err := parseSize(text, 0, 1<<40); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "-1", "1e3", "0x10", "1 MiBB", "1.2.3", "NaN", "inf", "2TiB", "99999999999999999999g", "１k"} {
		if got, err := parseSize(text, 0, 1<<40); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func FuzzSizeIsReadBackAsItIsSpelled(f *testing.F) {
	for _, s := range []string{"1MiB", "512k", "1.5g", "4096", "0", "7kB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseSize(text, 0, 1<<50)
		if err != nil {
			return
		}
		if again, err := parseSize(sizeText(n), 0, 1<<50); err != nil || again != n {
			t.Errorf("%q is %d, spelled %q, and that is %d (%v)", text, n, sizeText(n), again, err)
		}
	})
}

func FuzzAnAppIsAnAddressToDial(f *testing.F) {
	for _, s := range []string{"3000", "localhost:3000", "http://[::1]:3000/a", "https://x", ":1", "abc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseApp(text)
		if err != nil {
			return
		}
		if u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			t.Errorf("%q gives %s", text, u)
		}
	})
}

func TestOtherValuesAreChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		parse func(string) error
		good  []string
		bad   []string
	}{
		"via":    {func(s string) error { _, err := parseVia(s); return err }, []string{"auto", "ssh://ana@host:22", "sish://tuns.sh", "sish://ana@h:22/todo", "relay://h", "relay://h:2222/ana-todo", "relay://h/", "relay+tls://h", "relay+tls://h:8443/ana", "pinggy://eu", "pinggy://qr+force@eu"}, []string{"", "a b", "http://x", "ssh://", "ssh://a:b@h", "relay://h:0", "relay+tls://", "relay+tls://h:0", "relay+ssl://h", "relay+tls://a@h", "ssh://h:x", "ssh://h/path", "relay://h/a_b", "relay://h/a/b", "relay://a@h", "sish://h?x", "pinggy://a:b@eu"}},
		"name":   {func(s string) error { _, err := parseName(s); return err }, []string{"ana-todo", "Ana", "7"}, []string{"", "a_b", "-a", "a-", "a.b", "ä", strings.Repeat("a", 64)}},
		"path":   {func(s string) error { _, err := parsePath(s); return err }, []string{"/", "/slack/events", "/a%20b"}, []string{"", "slack", "//host/x", "/a?b", "/a#b", "/%zz"}},
		"local":  {func(s string) error { _, err := parseLocal(s); return err }, []string{"4040", "127.0.0.1:0"}, []string{"", "127.0.0.1", "127.0.0.1:x", "localhost:65536"}},
		"public": {func(s string) error { _, err := parsePublic(s); return err }, []string{"https://a.example", "https://a.example/"}, []string{"", "a.example", "ftp://a", "https://a/b", "https://a?b", "https://u:p@a"}},
		"hosts":  {func(s string) error { _, err := parseHosts(s); return err }, []string{"a.example", "a, B."}, []string{"", "a,,b", "a:1", "http://a", "*"}},
		"count":  {func(s string) error { _, err := parseCount(s); return err }, []string{"1", "100000"}, []string{"", "0", "-1", "1.5", "x", "100000001"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, text := range tc.good {
				if err := tc.parse(text); err != nil {
					t.Errorf("%q: %v", text, err)
				}
			}
			for _, text := range tc.bad {
				if err := tc.parse(text); err == nil {
					t.Errorf("%q passes", text)
				}
			}
		})
	}
}

func TestLabelsAreThoseOfDNS(t *testing.T) {
	for _, tc := range []struct{ user, dir, want string }{
		{"ana", "/home/ana/todo", "ana-todo"},
		{`CORP\Ana.B`, "/x/My Slack App!", "ana-b-my-slack-app"},
		{"", "/", "dev-app"},
		{"日本", "/x/日本", "dev-app"},
		{"ana", "/x/" + strings.Repeat("long-", 30), "ana-" + strings.TrimRight(strings.Repeat("long-", 12)[:59], "-")},
	} {
		if got := defaultName(tc.user, tc.dir); got != tc.want || len(got) > 63 {
			t.Errorf("%q in %q: got %q, want %q", tc.user, tc.dir, got, tc.want)
		}
	}
}
