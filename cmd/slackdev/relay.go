package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/tunnel/relay"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"golang.org/x/crypto/ssh"
)

// relayFlags are what an operator may choose.
type relayFlags struct {
	ssh, http, https string
	cert, key        string
	domain, keys     string
	scheme           string
	port             int
	proxies          string
	keepAlive        time.Duration
	hold, drain      time.Duration
	requests         int
	debug            bool
}

func relayCommand(env config.Env) *cobra.Command {
	var o relayFlags
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run the far end of tunnels, on a machine that the internet reaches",
		Long: `relay is the far end of a tunnel. It takes SSH connections from slackdev (or from any
ssh -R), gives each a name under DOMAIN, and passes HTTP requests for that name on.
It forwards bytes and cannot look into them.

DNS for *.DOMAIN must point to this machine. Slack wants https: give the relay a
certificate for *.DOMAIN with --https, or put a TLS server in front and tell the
relay so with --scheme https --port 443 --trusted-proxy ADDRESS. With --https,
slackdev also reaches the relay's SSH through the port of HTTPS.`,
		Example: `  slackdev relay --domain relay.example.org --https :443 --cert fullchain.pem --key privkey.pem
  slackdev relay --ssh :2222 --http :8080 --domain relay.example.org
  slackdev relay --ssh 127.0.0.1:2222 --http 127.0.0.1:8080 --domain localhost`,
		Args: args(few(0, 0, "")),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRelay(cmd.Context(), env, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.ssh, "ssh", ":2222", "the `address` for SSH; empty: only inside the TLS of --https")
	f.StringVar(&o.http, "http", ":8080", "the `address` for HTTP; empty: only --https")
	f.StringVar(&o.https, "https", "", "the `address` for HTTPS, and for SSH inside TLS")
	f.StringVar(&o.cert, "cert", "", "the `file` of the certificate chain for --https, in PEM; read again when it changes")
	f.StringVar(&o.key, "key", "", "the `file` of its key, in PEM")
	f.StringVar(&o.domain, "domain", "", "the `domain` under which names are given")
	f.StringVar(&o.keys, "authorized-keys", "", "the `file` of keys that may use the relay (default: any key may)")
	f.StringVar(&o.scheme, "scheme", "", "the `scheme` of public URLs: http or https (default: https with --https, else http)")
	f.IntVar(&o.port, "port", 0, "the `port` of public URLs (default: that of --https or --http)")
	f.StringVar(&o.proxies, "trusted-proxy", "", "the `networks` of servers in front whose X-Forwarded-For and -Proto are believed, with commas")
	f.DurationVar(&o.hold, "hold", 2500*time.Millisecond, "the `duration` for which requests wait for a tunnel that is down; 0: none")
	f.DurationVar(&o.drain, "drain", 5*time.Second, "the `duration` for which requests under way may go on when the relay is stopped; 0: none")
	f.DurationVar(&o.keepAlive, "keepalive", 2*time.Second, "the `time` between keep-alives on a silent SSH connection; after three it is dead")
	f.IntVar(&o.requests, "max-requests", 500, "the `number` of requests to one name at once; more get a 503")
	f.BoolVar(&o.debug, "debug", false, "log to standard error what the relay does")
	return cmd
}

// check looks at what was typed, before anything is opened.
func (o *relayFlags) check() error {
	switch {
	case o.domain == "":
		return usage(errors.New("--domain is missing: names are given under it"), "slackdev relay --domain relay.example.org")
	case o.http == "" && o.https == "":
		return usage(errors.New("neither --http nor --https: nobody could visit a name"), "slackdev relay --http :8080")
	case o.ssh == "" && o.https == "":
		return usage(errors.New("neither --ssh nor --https: no tunnel could be opened"), "slackdev relay --ssh :2222")
	case o.https != "" && (o.cert == "" || o.key == ""):
		return usage(errors.New("--https needs a certificate and its key"), "slackdev relay --https "+o.https+" --cert fullchain.pem --key privkey.pem")
	case o.https == "" && (o.cert != "" || o.key != ""):
		return usage(errors.New("--cert and --key are for --https, which is missing"), "slackdev relay --https :443 --cert … --key …")
	case o.scheme != "" && o.scheme != "http" && o.scheme != "https":
		return usage(fmt.Errorf("--scheme %q is neither http nor https", o.scheme), "slackdev relay --scheme https")
	case o.port < 0 || o.port > 65535:
		return usage(fmt.Errorf("--port %d is not between 0 and 65535", o.port), "slackdev relay --port 443")
	case o.hold < 0 || o.hold > time.Minute:
		return usage(fmt.Errorf("--hold %v is not between 0s and 1m", o.hold), "slackdev relay --hold 2500ms   is inside Slack's three seconds")
	case o.drain < 0 || o.drain > time.Hour:
		return usage(fmt.Errorf("--drain %v is not between 0s and 1h", o.drain), "slackdev relay --drain 5s")
	case o.keepAlive < time.Second || o.keepAlive > 5*time.Minute:
		return usage(fmt.Errorf("--keepalive %v is not between 1s and 5m", o.keepAlive), "slackdev relay --keepalive 15s   for slow links")
	case o.requests < 1 || o.requests > 100_000:
		return usage(fmt.Errorf("--max-requests %d is not between 1 and 100000", o.requests), "slackdev relay --max-requests 500")
	}
	return nil
}

// runRelay runs a relay until ctx ends.
func runRelay(ctx context.Context, env config.Env, o relayFlags) error {
	if err := o.check(); err != nil {
		return err
	}
	var proxies []netip.Prefix
	if o.proxies != "" {
		var err error
		if proxies, err = config.Networks("--trusted-proxy", o.proxies); err != nil {
			return err
		}
	}
	allow, err := allowed(o.keys)
	if err != nil {
		return err
	}
	data, err := env.DataDir()
	if err != nil {
		return err
	}
	host, err := sshtunnel.OwnKey(filepath.Join(data, "relay_host_ed25519"))
	if err != nil {
		return err
	}
	r := &relay.Relay{
		Domain: o.domain, Scheme: o.scheme, Port: o.port, HostKey: host, Allow: allow, TrustedProxies: proxies,
		Log: logger(env, o.debug), Limits: relay.Limits{KeepAlive: o.keepAlive, Requests: o.requests, Hold: orNone(o.hold), Drain: orNone(o.drain)},
	}
	var warnings []string
	if o.https != "" {
		c := &relay.Certificate{CertFile: o.cert, KeyFile: o.key, Log: certificateLog(env, o.debug)}
		if err := c.Load(); err != nil {
			return err
		}
		r.Certificate, warnings = c.Get, certificateWarnings(env, c, o.domain)
	}
	on, opened, err := o.listen(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "slackdev relay for *.%s: %s\nhost key %s\n", o.domain, opened, ssh.FingerprintSHA256(host.PublicKey()))
	for _, w := range warnings {
		fmt.Fprintln(env.Stderr, "warning: "+w)
	}
	return r.Run(ctx, on)
}

// listen opens what was asked for, or nothing, and says for a person what that is.
func (o *relayFlags) listen(ctx context.Context) (on relay.Listeners, opened string, err error) {
	var lc net.ListenConfig
	var all []string
	for _, door := range []struct {
		name, flag, addr string
		l                *net.Listener
	}{
		{"SSH", "--ssh :2222", o.ssh, &on.SSH}, {"HTTP", "--http :8080", o.http, &on.HTTP}, {"HTTPS", "--https :8443", o.https, &on.HTTPS},
	} {
		if door.addr == "" {
			continue
		}
		if *door.l, err = lc.Listen(ctx, "tcp", door.addr); err != nil {
			*door.l = nil
			on.Close()
			hint := "slackdev relay " + door.flag
			if errors.Is(err, fs.ErrPermission) {
				hint = "a port below 1024 needs a capability:  AmbientCapabilities=CAP_NET_BIND_SERVICE  in the systemd unit (docs/relay.md)"
			}
			return relay.Listeners{}, "", &console.Error{Err: fmt.Errorf("listen for %s on %s: %w", door.name, door.addr, plain(err)), Hint: hint}
		}
		all = append(all, door.name+" on "+(*door.l).Addr().String())
	}
	return on, strings.Join(all, ", "), nil
}

// certificateLog is not silent without --debug: a certificate that cannot be renewed
// ends the service in days, and nobody else says so.
func certificateLog(env config.Env, debug bool) *slog.Logger {
	if debug {
		return logger(env, debug)
	}
	return slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// certificateWarnings says what is questionable about a certificate that can be used.
func certificateWarnings(env config.Env, c *relay.Certificate, domain string) []string {
	var warnings []string
	if err := c.Covers(domain); err != nil {
		warnings = append(warnings, fmt.Sprintf("visitors will refuse the certificate in %s: %v; get one for *.%s", c.CertFile, err, domain))
	}
	if until := c.Leaf().NotAfter; until.Sub(env.Now()) < 7*24*time.Hour {
		warnings = append(warnings, fmt.Sprintf("the certificate in %s expires on %s: renew it", c.CertFile, until.Format(time.DateOnly)))
	}
	// The group may read it: Debian has one for that. The bits mean nothing on Windows.
	if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 && env.OS != "windows" {
		warnings = append(warnings, fmt.Sprintf("every user of this machine can read %s: chmod o-rwx it", c.KeyFile))
	}
	return warnings
}

// orNone gives d as one of relay.Limits, where 0 is for the default and what is
// negative for none.
func orNone(d time.Duration) time.Duration {
	if d <= 0 {
		return -1
	}
	return d
}
