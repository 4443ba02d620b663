package sshtunnel

import (
	"errors"
	"io"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackdev/slackdev/tunnel/tunneltest"
	"github.com/slackdev/slackdev/tunnel/wire"
	"golang.org/x/crypto/ssh"
)

// dialect is how a public service speaks, as far as it is documented: see
// docs/tunnels.md.
type dialect struct {
	profile Profile
	user    string // that it wants; "" for any
	noAuth  bool   // nobody is asked for a key
	banner  string
	asked   wire.ForwardRequest
	opens   wire.ForwardedOpen

	// said is what it says for a public address, on which of the streams.
	stdout, stderr func(u *url.URL) string
	notices        []string // of it, when the address is https://app.example
}

// bothSchemes gives u in http and https. The front of a test has no https: then both are the same.
func bothSchemes(u *url.URL) (plain, secure string) {
	if u.Scheme == "http" {
		return u.String(), u.String()
	}
	return "http://" + u.Host, "https://" + u.Host
}

const someToken = Token("Tk0123456789")

// dialects are all of the services.
func dialects() map[string]dialect {
	pinggySays := func(words string) func(u *url.URL) string {
		return func(u *url.URL) string {
			plain, secure := bothSchemes(u)
			return words + plain + "\r\n" + secure + "\r\n"
		}
	}
	sishSays := func(u *url.URL) string {
		plain, secure := bothSchemes(u)
		return "Press Ctrl-C to close the session.\r\n\r\n" +
			"Starting SSH Forwarding service for \x1b[32mhttp:80\x1b[0m. Forwarded connections can be accessed via the following methods:\r\n" +
			"Service console can be accessed here: " + secure + "/_sish/console?x-authorization=abc\r\n" +
			"\x1b[44mHTTP\x1b[0m: " + plain + "\r\n\x1b[44mHTTPS\x1b[0m: " + secure + "\r\n"
	}
	return map[string]dialect{
		"pinggy": {
			profile: Pinggy("", ""), user: "http", noAuth: true, asked: wire.ForwardRequest{},
			banner: "Welcome to the \x1b[1mtunnel\x1b[0m\r\n",
			opens:  wire.ForwardedOpen{Addr: "localhost", Port: 0},
			stdout: pinggySays("You are not authenticated.\r\nYour tunnel will expire in 60 minutes. Upgrade to Pinggy Pro. https://dashboard.pinggy.io\r\n\r\n"),
			notices: []string{
				"Welcome to the tunnel", "You are not authenticated.", "Your tunnel will expire in 60 minutes. Upgrade to Pinggy Pro. https://dashboard.pinggy.io",
			},
		},
		"pinggy with a token": {
			profile: Pinggy(someToken, "eu", "qr"), user: "Tk0123456789+http+qr", noAuth: true, asked: wire.ForwardRequest{},
			opens:   wire.ForwardedOpen{Addr: "", Port: 17},
			stdout:  pinggySays("\x1b[2J\x1b[1;1HYou are authenticated as Tk0123456789\r\n█▀▀▀▀▀█ ▄ ▄ █▀▀▀▀▀█\r\n"),
			notices: []string{"You are authenticated as …"},
		},
		"localhost.run": {
			profile: LocalhostRun("localhost.run", "", ""), asked: wire.ForwardRequest{BindPort: 80},
			opens: wire.ForwardedOpen{Addr: "localhost", Port: 80},
			stderr: func(u *url.URL) string {
				return "===\r\nWelcome to localhost.run!\r\n\r\nTo set up and manage custom domains go to https://admin.localhost.run/\r\n" +
					"\r\nhttps://localhost.run/docs/\r\n===\r\n\r\n** your connection id is 0-1-2 **\r\n\r\n" +
					"authenticated as anonymous user\r\r\n" + u.Host + " tunneled with tls termination, " + u.String() + "\r\n" +
					"see https://localhost.run/docs/forever-free/ for more information.\r\nOpen your tunnel address on your mobile with this QR:\r\n  ██  ▀▀ \r\n"
			},
			notices: []string{
				"Welcome to localhost.run!", "To set up and manage custom domains go to https://admin.localhost.run/", "https://localhost.run/docs/",
				"** your connection id is 0-1-2 **", "authenticated as anonymous user", "app.example tunneled with tls termination, https://app.example",
				"see https://localhost.run/docs/forever-free/ for more information.", "Open your tunnel address on your mobile with this QR:",
			},
		},
		"localhost.run without a key": {
			profile: LocalhostRun("nokey@localhost.run", "nokey", ""), user: "nokey", noAuth: true, asked: wire.ForwardRequest{BindPort: 80},
			stderr:  func(u *url.URL) string { return u.Host + " tunneled with tls termination, " + u.String() },
			notices: []string{"app.example tunneled with tls termination, https://app.example"},
		},
		"localhost.run with a domain": {
			profile: LocalhostRun("localhost.run", "", "dev.example.org"), user: "plan", asked: wire.ForwardRequest{BindAddr: "dev.example.org", BindPort: 80},
			stderr:  func(u *url.URL) string { return u.Host + " tunneled with tls termination, " + u.String() },
			notices: []string{"app.example tunneled with tls termination, https://app.example"},
		},
		"serveo": {
			profile: Serveo("app"), asked: wire.ForwardRequest{BindAddr: "app", BindPort: 80},
			opens: wire.ForwardedOpen{Addr: "app.serveo.net", Port: 443},
			stdout: func(u *url.URL) string {
				return "\x1b[32mForwarding HTTP traffic from \x1b[4m" + u.String() + "\x1b[0m\r\nPress g to start a GUI session and ctrl-c to quit.\r\n"
			},
			notices: []string{"Forwarding HTTP traffic from https://app.example", "Press g to start a GUI session and ctrl-c to quit."},
		},
		"sish": {
			profile: Sish("sish://tunnels.example", Target{Host: "tunnels.example", User: "ana"}, "app"), user: "ana",
			asked:  wire.ForwardRequest{BindAddr: "app", BindPort: 80},
			opens:  wire.ForwardedOpen{Addr: "app", Port: 80, OriginAddr: "app", OriginPort: 80}, // a name, where RFC 4254 wants an address
			stdout: sishSays,
			notices: []string{
				"Press Ctrl-C to close the session.",
				"Starting SSH Forwarding service for http:80. Forwarded connections can be accessed via the following methods:",
				"Service console can be accessed here: https://app.example/_sish/console?x-authorization=abc",
				"HTTP: http://app.example", "HTTPS: https://app.example",
			},
		},
		"one that a file describes": {
			profile: Profile{
				Name: "mine", User: "me", AnyKey: true, Bind: "app", BindPort: 8080, Named: true, Session: SessionExec, Exec: "http",
				Announce: Announce{Pattern: regexp.MustCompile(`at (\S+) today`)},
			},
			user: "me", asked: wire.ForwardRequest{BindAddr: "app", BindPort: 8080},
			opens:   wire.ForwardedOpen{Addr: "::1", Port: 99999},
			stdout:  func(u *url.URL) string { return "see https://other.example\r\nyou are at " + u.String() + " today\r\n" },
			notices: []string{"see https://other.example"},
		},
	}
}

// serve makes a server that speaks the dialect, and a provider that asks it.
func (d dialect) serve(t *testing.T) (*fakeServer, *Provider) {
	s := d.server(t)
	return s, providerFor(t, s, d.profile, s.listen())
}

// server makes a server that speaks the dialect, on whatever connections it is given.
func (d dialect) server(t *testing.T) *fakeServer {
	s := newFakeServer(t)
	fits := func(c ssh.ConnMetadata) (*ssh.Permissions, error) {
		if d.user != "" && c.User() != d.user && c.User() != d.profile.againName() {
			return nil, errors.New("no such user")
		}
		return nil, nil
	}
	s.config = &ssh.ServerConfig{
		PublicKeyCallback: func(c ssh.ConnMetadata, _ ssh.PublicKey) (*ssh.Permissions, error) { return fits(c) },
	}
	if d.banner != "" {
		s.config.BannerCallback = func(ssh.ConnMetadata) string { return d.banner }
	}
	if d.noAuth {
		s.config.PublicKeyCallback = nil
		s.config.PasswordCallback = func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if len(password) != 0 {
				return nil, errors.New("no")
			}
			return fits(c)
		}
	}
	s.config.AddHostKey(s.key)
	s.opens = d.opens
	return s
}

// againName is the name to log in with after the first time.
func (p Profile) againName() string {
	p.User = p.UserAgain
	return p.userName()
}

// speaks makes the server say its text for an address.
func (d dialect) speaks(s *fakeServer, u *url.URL) {
	var stdout, stderr string
	if d.stdout != nil {
		stdout = d.stdout(u)
	}
	if d.stderr != nil {
		stderr = d.stderr(u)
	}
	s.session = says(stdout, stderr)
}

func TestServicesKeepTheContract(t *testing.T) {
	for name, d := range dialects() {
		t.Run(name, func(t *testing.T) {
			tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture {
				s, p := d.serve(t)
				d.speaks(s, frontOf(t, s))
				p.Profile.Announce.Settle = time.Millisecond
				return tunneltest.Fixture{Provider: p}
			})
		})
	}
	t.Run("a profile with its own URL and no session", func(t *testing.T) {
		tunneltest.Run(t, func(t *testing.T) tunneltest.Fixture {
			s := newFakeServer(t)
			return tunneltest.Fixture{Provider: providerFor(t, s, Profile{Name: "own", Announce: Announce{URL: frontOf(t, s)}}, s.listen())}
		})
	})
}

func TestServicesAreAskedAndUnderstoodAsTheyDocument(t *testing.T) {
	app := &url.URL{Scheme: "https", Host: "app.example"}
	for name, d := range dialects() {
		t.Run(name, func(t *testing.T) {
			s, p := d.serve(t)
			d.speaks(s, app)
			tun, sc := openTunnel(t, s, p)
			if got := tun.URL().String(); got != app.String() {
				t.Errorf("URL: got %s, want %s", got, app)
			}
			if got := <-sc.asked; got != d.asked {
				t.Errorf("asked for %+v, want %+v", got, d.asked)
			}
			if got := <-sc.commands; got != d.profile.Exec {
				t.Errorf("ran %q, want %q", got, d.profile.Exec)
			}
			said := tun.Notices()
			for bound := time.Now().Add(10 * time.Second); len(said) < len(d.notices) && time.Now().Before(bound); { // what follows the URL may come later
				said = append(said, tun.Notices()...)
			}
			if diff := cmp.Diff(d.notices, said); diff != "" {
				t.Errorf("notices (-want +got):\n%s", diff)
			}
			near, far := connect(t, tun, sc)
			defer near.Close()
			_, _ = io.WriteString(far, "x")
			if _, err := near.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
			if _, _, err := sc.SendRequest("keepalive@sish", true, nil); err != nil {
				t.Errorf("a keep-alive of the server's: %v", err)
			}
		})
	}
}

// The same text in other manners: which stream, which order, which drawing.
func TestAServicesTextIsReadHoweverItComes(t *testing.T) {
	const (
		plain  = "http://rnabc-192-0-2-7.run.pinggy-free.link"
		secure = "https://rnabc-192-0-2-7.run.pinggy-free.link"
		words  = "You are not authenticated.\r\nYour tunnel will expire in 60 minutes. Upgrade: https://dashboard.pinggy.io\r\n\r\n"
	)
	for name, tc := range map[string]struct{ stdout, stderr, want string }{
		"both URLs on standard output":  {words + plain + "\r\n" + secure + "\r\n", "", secure},
		"https first":                   {words + secure + "\r\n" + plain + "\r\n", "", secure},
		"both on standard error":        {"", words + plain + "\r\n" + secure + "\r\n", secure},
		"words on one, URLs on another": {plain + "\n" + secure + "\n", words, secure},
		"in colours, drawn":             {"\x1b[2J\x1b[1;1H" + words + "\x1b[5;1H\x1b[32m" + plain + "\x1b[0m\x1b[6;1H\x1b[1;32m" + secure + "\x1b[0m", "", secure},
		"in a list":                     {words + "- " + plain + "\r\n- " + secure + "\r\n", "", secure},
		"in a box":                      {"┌──────┐\r\n│ " + plain + " │\r\n│" + secure + "│\r\n└──────┘\r\n", "", secure},
		"under a QR code":               {"█▀▀█ ▄█\r\n█▄▄█ ▀▄\r\n" + secure + "\r\n", "", secure},
		"under two domains":             {words + plain + "\r\nhttp://x.free.pinggy.net\r\n" + secure + "\r\nhttps://x.free.pinggy.net\r\n", "", secure},
		"http alone":                    {words + plain + "\r\n", "", plain},
		"no end of line after it":       {words + secure, "", secure},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := dialects()["pinggy"].serve(t)
			s.session = says(tc.stdout, tc.stderr)
			tun, _ := openTunnel(t, s, p)
			if got := tun.URL().String(); got != tc.want {
				t.Errorf("URL: got %s, want %s", got, tc.want)
			}
			for _, line := range tun.Notices() {
				if drawn(line) {
					t.Errorf("a picture as a notice: %q", line)
				}
			}
		})
	}
}
