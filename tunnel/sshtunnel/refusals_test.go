package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// What a service says in place of a URL becomes an error that says what it means, what
// to do, and whether it passes. Its own words stand in it, and its escape sequences do not.
func TestAServicesRefusalIsSaidInOurWordsAndItsOwn(t *testing.T) {
	for name, tc := range map[string]struct {
		service string
		stdout  string
		stderr  string
		refuse  bool // the forward
		close   bool // the session, after its text
		want    string
		hint    string
		later   bool
	}{
		"a limit, and the end":           {service: "pinggy", stdout: "Too many tunnels from your address.\r\n", close: true, want: `a limit of the service is reached; it says: "Too many tunnels from your address."`, hint: "--via SERVICE", later: true},
		"a limit, and silence":           {service: "pinggy", stdout: "Rate limit. Try again.\r\n", want: `a limit of the service is reached; it says: "Rate limit. Try again."`, hint: "--via SERVICE", later: true},
		"a token that another uses":      {service: "pinggy with a token", stdout: "A tunnel is already active for Tk0123456789", want: `another tunnel uses the token; it says: "A tunnel is already active for …"`, hint: "end the other", later: true},
		"a token that is none":           {service: "pinggy with a token", stderr: "Invalid token: Tk0123456789\r\n", close: true, want: `the token is not accepted; it says: "Invalid token: …"`, hint: TokenVariable},
		"a domain of somebody else's":    {service: "localhost.run with a domain", stderr: "permission denied\r\n", refuse: true, want: `the key has no right to this; it says: "permission denied"`, hint: "admin.localhost.run"},
		"a name that needs a key":        {service: "serveo", stdout: "To request a particular subdomain, you first need to register your SSH public key.\r\n", close: true, want: "names are for registered keys; it says: ", hint: "register"},
		"a name that is taken":           {service: "sish", stdout: "error assigning requested subdomain to tunnel\r\n", refuse: true, want: `ask for app:80: the name is taken; it says: "error assigning`, hint: "--name NAME"},
		"a name that is taken, in brief": {service: "sish", refuse: true, close: true, want: "ask for app:80: the server refuses to forward it", hint: "--name NAME"},
		"a service under repair":         {service: "serveo", stdout: "\x1b[31mServeo is down for maintenance\x1b[0m\r\n", close: true, want: `the service is being repaired; it says: "Serveo is down for maintenance"`, later: true, hint: "--via SERVICE"},
		"a quotation in a quotation":     {service: "one that a file describes", stdout: "quota of \"free\" \u202eused\x07\r\n", close: true, want: `it says: "quota of 'free' used"`, later: true, hint: "wait"},
	} {
		t.Run(name, func(t *testing.T) {
			d := dialects()[tc.service]
			d.profile.Announce.Settle = 10 * time.Millisecond
			if d.profile.Announce.Refusals == nil {
				d.profile.Announce.Refusals = CommonRefusals()
			}
			s, p := d.serve(t)
			s.forward = func(r wire.ForwardRequest) (bool, uint32) { return !tc.refuse, 80 }
			s.session = func(ch ssh.Channel, _ string) {
				says(tc.stdout, tc.stderr)(ch, "")
				if tc.close {
					_ = ch.Close()
				}
			}
			_, err := p.Open(t.Context())
			var refused *tunnel.RefusedError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(refused.Hint, tc.hint) || refused.Later != tc.later {
				t.Errorf("got %v (hint %q, later %v)\nwant %s (hint %q, later %v)", err, refused.Hint, refused.Later, tc.want, tc.hint, tc.later)
			}
			if strings.Contains(err.Error(), string(someToken)) {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}

// Words that only sound like a refusal do no harm while there is a URL.
func TestARefusalsWordsBesideAURLAreANotice(t *testing.T) {
	s, p := dialects()["serveo"].serve(t)
	const words = "To request a particular subdomain, you first need to register your SSH public key."
	s.session = says(words+"\r\nhttps://console.serveo.net/ssh/keys?add=SHA256%3Aabc\r\nForwarding HTTP traffic from https://3bf8-192-0-2-7.serveousercontent.com\r\n", "")
	var renamed []string
	p.Renamed = func(asked string, got *url.URL) { renamed = append(renamed, asked+" → "+got.String()) }
	tun, _ := openTunnel(t, s, p)
	if d := cmp.Diff([]string{"app → https://3bf8-192-0-2-7.serveousercontent.com"}, renamed); d != "" {
		t.Errorf("told of another name (-want +got):\n%s", d)
	}
	if got := tun.Notices(); len(got) == 0 || got[0] != words {
		t.Errorf("notices: %q", got)
	}
}

func TestARefusedKeyIsToldWhereToRegisterIt(t *testing.T) {
	for service, hint := range map[string]string{
		"localhost.run": "https://admin.localhost.run", "serveo": "https://console.serveo.net", "sish": "--authentication-keys-directory",
	} {
		t.Run(service, func(t *testing.T) {
			d := dialects()[service]
			s := d.server(t)
			s.config = &ssh.ServerConfig{
				BannerCallback:    func(ssh.ConnMetadata) string { return "Members \x1b[5monly.\r\n" },
				PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errors.New("no") },
			}
			s.config.AddHostKey(s.key)
			p := providerFor(t, s, d.profile, s.listen())
			p.Keys.Own = t.TempDir() + "/id_ed25519"
			_, err := p.Open(t.Context())
			var refused *tunnel.RefusedError
			if !errors.As(err, &refused) || refused.Later || !strings.Contains(refused.Hint, hint) {
				t.Fatalf("got %v (%+v), want a hint to %s", err, refused, hint)
			}
			if !strings.Contains(err.Error(), `it says: "Members only."`) {
				t.Errorf("the banner is lost: %v", err)
			}
			if strings.Contains(refused.Hint, "{key}") {
				t.Errorf("hint: %s", refused.Hint)
			}
		})
	}
}

// Which name is asked for next: the one that was wanted, if it was given, however the
// server spells it; else the one that the URL in Slack begins with.
func TestTheNextOpenAsksForTheSameURL(t *testing.T) {
	for name, tc := range map[string]struct {
		service string
		got     string
		renamed bool
		next    string
		user    string
	}{
		"sish gives the name":                {service: "sish", got: "https://app.tunnels.example", next: "app"},
		"sish puts the user before it":       {service: "sish", got: "https://ana-app.tuns.sh", next: "app"},
		"sish puts the user behind it":       {service: "sish", got: "https://app-ana.tunnels.example", next: "app"},
		"sish gives a random name":           {service: "sish", got: "https://flb.tunnels.example", renamed: true, next: "flb"},
		"serveo gives a random name":         {service: "serveo", got: "https://3bf8.serveousercontent.com", renamed: true, next: "app"},
		"pinggy without a token":             {service: "pinggy", got: "https://rn.run.pinggy-free.link", next: "", user: "http"},
		"pinggy takes its token's name over": {service: "pinggy with a token", got: "https://rn.a.pinggy.link", next: "", user: "Tk0123456789+http+qr+force"},
		"a domain":                           {service: "localhost.run with a domain", got: "https://dev.example.org", next: "dev.example.org"},
		"another than the domain":            {service: "localhost.run with a domain", got: "https://abc.lhr.life", renamed: true, next: "dev.example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			d := dialects()[tc.service]
			d.profile.Announce.Settle = 10 * time.Millisecond
			s, p := d.serve(t)
			u, _ := url.Parse(tc.got)
			d.speaks(s, u)
			told := 0
			p.Renamed = func(string, *url.URL) { told++ }
			first, sc := openTunnel(t, s, p)
			<-sc.asked
			_ = first.Close()
			if (told == 1) != tc.renamed {
				t.Errorf("told %d times of another name, want %v", told, tc.renamed)
			}
			_, sc = openTunnel(t, s, p)
			if got := <-sc.asked; got.BindAddr != tc.next {
				t.Errorf("then asked for %q, want %q", got.BindAddr, tc.next)
			}
			if got := sc.User(); tc.user != "" && got != tc.user {
				t.Errorf("then came as %s, want %s", got, tc.user)
			}
		})
	}
}

// A tunnel whose time is up is followed by the next one at once, and its new address
// is announced as one.
func TestAnExpiredTunnelIsFollowedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialects()["pinggy"]
		s := d.server(t)
		p := providerFor(t, s, d.profile, 22)
		inMemory(s, p)
		var opened atomic.Int32
		s.session = func(ch ssh.Channel, _ string) {
			_, _ = io.WriteString(ch, fmt.Sprintf("Your tunnel will expire in 60 minutes.\r\nhttps://n%d.pinggy.link\r\n", opened.Add(1)))
			<-time.After(time.Hour)
			_, _ = io.WriteString(ch.Stderr(), "Your tunnel has \x1b[31mexpired\x1b[0m.\r\n")
			_ = ch.Close()
		}
		k := &tunnel.Keeper{Provider: p}
		var log []string
		up := make(chan struct{}, 10)
		k.OnStatus(func(st tunnel.Status) {
			line := string(st.State)
			if st.Err != nil {
				line += ": " + st.Err.Error()
			}
			if st.State == tunnel.Up {
				line += " " + st.URL.String() + fmt.Sprint(" changed ", st.Changed)
				up <- struct{}{}
			}
			log = append(log, line)
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		began := time.Now()
		<-up
		<-up
		if took := time.Since(began); took > time.Hour+time.Second {
			t.Errorf("the next one came after %v", took)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{
			"connecting", "up https://n1.pinggy.link changed false",
			`down: 127.0.0.1:22 has ended the session: its time is up; it says: "Your tunnel has expired."`,
			"connecting", "up https://n2.pinggy.link changed true",
		}
		if d := cmp.Diff(want, log[:min(len(log), len(want))]); d != "" { // what comes of the end is another story
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// localhost.run gives a free tunnel another name after some hours, without ending it.
func TestAnAddressThatMovesEndsTheTunnel(t *testing.T) {
	d := dialects()["localhost.run"]
	s, p := d.serve(t)
	first, second := &url.URL{Scheme: "https", Host: "one.lhr.life"}, &url.URL{Scheme: "https", Host: "two.lhr.life"}
	move := make(chan struct{})
	s.session = func(ch ssh.Channel, _ string) {
		_, _ = io.WriteString(ch.Stderr(), d.stderr(first))
		<-move
		_, _ = io.WriteString(ch.Stderr(), "read https://localhost.example\r\n"+d.stderr(first)+d.stderr(second))
	}
	tun, _ := openTunnel(t, s, p)
	if got := tun.URL().String(); got != first.String() {
		t.Fatalf("URL: got %s", got)
	}
	close(move)
	_, err := tun.Accept()
	if err == nil || !strings.HasSuffix(err.Error(), "has given the tunnel another address, https://two.lhr.life") {
		t.Errorf("got %v", err)
	}
}

// What a service says while the tunnel is up is passed on at once.
func TestWhatAServiceSaysLaterIsHeard(t *testing.T) {
	d := dialects()["sish"]
	s, p := d.serve(t)
	heard := make(chan string, 10)
	p.Heard = func(line string) { heard <- line }
	speak := make(chan struct{})
	s.session = func(ch ssh.Channel, _ string) {
		_, _ = io.WriteString(ch, d.stdout(&url.URL{Scheme: "https", Host: "app.example"}))
		<-speak
		_, _ = io.WriteString(ch, "2026/11/21 | app.example | \x1b[32m200\x1b[0m | GET /\r\n")
	}
	tun, _ := openTunnel(t, s, p)
	if got := len(tun.Notices()); got != len(d.notices) {
		t.Errorf("%d notices before, want %d", got, len(d.notices))
	}
	close(speak)
	if got, want := <-heard, "2026/11/21 | app.example | 200 | GET /"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A limit is waited for, and the program does not end for it.
func TestALimitIsWaitedForSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialects()["pinggy"]
		s := d.server(t)
		p := providerFor(t, s, d.profile, 22)
		inMemory(s, p)
		var tries atomic.Int32
		s.session = func(ch ssh.Channel, _ string) {
			if tries.Add(1) < 4 {
				_, _ = io.WriteString(ch, "Too many tunnels.\r\n")
				_ = ch.Close()
				return
			}
			_, _ = io.WriteString(ch, "https://n.pinggy.link\r\n")
		}
		k := &tunnel.Keeper{Provider: p, Jitter: func() float64 { return 0 }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		began := time.Now()
		go func() { ended <- k.Run(ctx) }()
		<-k.Ready()
		if took := time.Since(began); took < 45*time.Second || took > 50*time.Second {
			t.Errorf("the fourth try came after %v, want three pauses of 15 s", took)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestATokenPrintsAsAnEllipsis(t *testing.T) {
	profile := Pinggy(someToken, "")
	text, err := someToken.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		fmt.Sprint(profile), fmt.Sprintf("%+v", profile), fmt.Sprintf("%#v", profile), fmt.Sprintf("%q %s %x", someToken, someToken, someToken),
		string(text), profile.Command("localhost:3000"),
	} {
		if strings.Contains(got, string(someToken)) || strings.Contains(got, fmt.Sprintf("%x", string(someToken))) {
			t.Errorf("%s", got)
		}
	}
}
