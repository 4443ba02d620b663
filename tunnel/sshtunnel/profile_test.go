package sshtunnel

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAProfileEqualsAnSSHCommand(t *testing.T) {
	for name, tc := range map[string]struct {
		profile Profile
		want    string
	}{
		"relay":           {Relay("relay://r", "relay.example", 2222, "ana"), "ssh -p 2222 -T -o ExitOnForwardFailure=yes -R ana:80:localhost:3000 slackdev@relay.example"},
		"sshd":            {SSHD("ssh://x", Target{User: "me", Host: "host.example", Port: 22}), "ssh -N -o ExitOnForwardFailure=yes -R :0:localhost:3000 me@host.example"},
		"sish":            {Sish("sish://x", Target{User: "me", Host: "x.example"}, "ana"), "ssh -p 2222 -T -o ExitOnForwardFailure=yes -R ana:80:localhost:3000 me@x.example"},
		"tuns.sh":         {Sish("sish://tuns.sh", Target{User: "me", Host: "tuns.sh"}, "ana"), "ssh -T -o ExitOnForwardFailure=yes -R ana:80:localhost:3000 me@tuns.sh"},
		"pinggy":          {Pinggy("", ""), "ssh -p 443 -T -o ExitOnForwardFailure=yes -R :0:localhost:3000 http@free.pinggy.io"},
		"pinggy, paid":    {Pinggy(someToken, "eu"), `ssh -p 443 -T -o ExitOnForwardFailure=yes -R :0:localhost:3000 "$SLACKDEV_PINGGY_TOKEN+http@eu.pro.pinggy.io"`},
		"localhost.run":   {LocalhostRun("localhost.run", "", ""), "ssh -T -o ExitOnForwardFailure=yes -R :80:localhost:3000 slackdev@localhost.run"},
		"serveo":          {Serveo("ana"), "ssh -T -o ExitOnForwardFailure=yes -R ana:80:localhost:3000 slackdev@serveo.net"},
		"no session":      {Profile{Host: "h", Bind: "::1", BindPort: 80}, "ssh -N -o ExitOnForwardFailure=yes -R '[::1]:80:localhost:3000' h"},
		"a wild command":  {Profile{Host: "h", User: "$me", Session: SessionExec, Exec: "it's; rm -rf /"}, `ssh -T -o ExitOnForwardFailure=yes -R :0:localhost:3000 '$me@h' 'it'\''s; rm -rf /'`},
		"a bind of spite": {Profile{Host: "h", Bind: "$(id)", Session: SessionShell}, `ssh -T -o ExitOnForwardFailure=yes -R '$(id):0:localhost:3000' h`},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.profile.Command("localhost:3000")
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			// A shell sees the words that we mean.
			words, err := exec.Command("/bin/sh", "-c", "SLACKDEV_PINGGY_TOKEN=T; for w in "+got+`; do printf '%s\n' "$w"; done`).Output()
			if err != nil {
				t.Skipf("no shell: %v", err)
			}
			to := tc.profile.Host
			if tc.profile.User != "" {
				to = tc.profile.User + "@" + to
			}
			if tc.profile.Token != "" {
				to = "T+" + to
			}
			if lines := strings.Split(string(words), "\n"); !strings.Contains(strings.Join(lines, " ")+" ", " "+to+" ") {
				t.Errorf("the shell sees %q, and no %s", lines, to)
			}
		})
	}
}

func TestWhatStandsBehindPinggy(t *testing.T) {
	for text, want := range map[string]struct {
		region  string
		options []string
		error   string
	}{
		"":                  {},
		"eu":                {region: "eu"},
		"eu/":               {region: "eu"},
		"qr+force@":         {options: []string{"qr", "force"}},
		"http+qr@ap":        {region: "ap", options: []string{"qr"}},
		"tcp@eu":            {error: "of the kind http, not tcp"},
		"Tk0123456789@eu":   {error: "a token belongs into SLACKDEV_PINGGY_TOKEN"},
		"evil.example":      {error: "a region is a word"},
		"evil.example/#":    {error: "a region is a word"},
		"qr@x@evil.example": {error: "a region is a word"},
		"-oProxyCommand=x":  {error: "a region is a word"},
	} {
		region, options, err := ParsePinggy(text)
		if (err != nil) != (want.error != "") || err != nil && !strings.Contains(err.Error(), want.error) {
			t.Errorf("%q: got %v, want %q", text, err, want.error)
		}
		if err == nil && (region != want.region || !cmp.Equal(options, want.options)) {
			t.Errorf("%q: got %q %q", text, region, options)
		}
		if err != nil && strings.Contains(err.Error(), string(someToken)) {
			t.Errorf("%q: the error repeats the token", text)
		}
	}
}

func TestAPatternFindsTheURL(t *testing.T) {
	for name, tc := range map[string]struct{ pattern, text, want string }{
		"its first group":              {`at (\S+) today`, "you are at https://a.example today\n", "https://a.example"},
		"the whole, without a group":   {`https://\S+\.mine\.example`, "see https://docs.example and https://x.mine.example\n", "https://x.mine.example"},
		"a group that took no part":    {`(?:x(y))?https://\S+`, "https://a.example\n", "https://a.example"},
		"a host becomes https":         {`host=(\S+)`, "host=a.example\n", "https://a.example"},
		"https beats http":             {`=> (\S+)`, "=> http://a.example\n=> https://a.example\n", "https://a.example"},
		"nothing else counts":          {`=> (\S+)`, "https://a.example\n", ""},
		"what is no URL does not":      {`=> (\S+)`, "=> javascript://a.example\n=> https://u:p@a.example\n", ""},
		"through colours":              {`=> (\S+)`, "\x1b[1m=>\x1b[0m https://a\x1b[4m.exam\x1b[0mple\n", "https://a.example"},
		"a pattern that matches all":   {`.*`, strings.Repeat("x ", 1000) + "\nhttps://a.example\n", "https://a.example"},
		"a pattern of the costly kind": {`(a*)*(a*)*(a*)*b`, strings.Repeat("a", maxLine) + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := hear(Announce{Pattern: regexp.MustCompile(tc.pattern)}, tc.text, 7)
			if address := text(got); address != tc.want {
				t.Errorf("got %q, want %q", address, tc.want)
			}
		})
	}
}

func text(t *transcript) string {
	if t.url == nil {
		return ""
	}
	return t.url.String()
}
