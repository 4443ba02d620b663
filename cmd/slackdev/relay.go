package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/cmd/internal/console"
	"github.com/slackdev/slackdev/tunnel/relay"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
	"golang.org/x/crypto/ssh"
)

func relayCommand(env config.Env) *cobra.Command {
	var sshAddr, httpAddr, domain, keys, scheme string
	var port int
	var debug bool
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run the far end of tunnels, on a machine that the internet reaches",
		Long: `relay is the far end of a tunnel. It takes SSH connections from slackdev (or from any
ssh -R), gives each a name under DOMAIN, and passes HTTP requests for that name on.
It forwards bytes and cannot look into them.

DNS for *.DOMAIN must point to this machine. For https put a TLS server in front,
and tell the relay with --scheme https --port 443.`,
		Example: `  slackdev relay --ssh :2222 --http :8080 --domain relay.example.org
  slackdev relay --ssh 127.0.0.1:2222 --http 127.0.0.1:8080 --domain localhost`,
		Args: args(few(0, 0, "")),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if domain == "" {
				return usage(errors.New("--domain is missing: names are given under it"), "slackdev relay --domain relay.example.org")
			}
			allow, err := allowed(keys)
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
			r := &relay.Relay{Domain: domain, Scheme: scheme, Port: port, HostKey: host, Allow: allow, Log: logger(env, debug)}
			var lc net.ListenConfig
			sshListener, err := lc.Listen(cmd.Context(), "tcp", sshAddr)
			if err != nil {
				return &console.Error{Err: fmt.Errorf("listen for SSH on %s: %w", sshAddr, plain(err)), Hint: "slackdev relay --ssh :2222"}
			}
			defer sshListener.Close()
			httpListener, err := lc.Listen(cmd.Context(), "tcp", httpAddr)
			if err != nil {
				return &console.Error{Err: fmt.Errorf("listen for HTTP on %s: %w", httpAddr, plain(err)), Hint: "slackdev relay --http :8080"}
			}
			defer httpListener.Close()
			fmt.Fprintf(env.Stderr, "slackdev relay for *.%s: SSH on %s, HTTP on %s\nhost key %s\n",
				domain, sshListener.Addr(), httpListener.Addr(), ssh.FingerprintSHA256(host.PublicKey()))
			return r.Run(cmd.Context(), sshListener, httpListener)
		},
	}
	f := cmd.Flags()
	f.StringVar(&sshAddr, "ssh", ":2222", "the `address` for SSH")
	f.StringVar(&httpAddr, "http", ":8080", "the `address` for HTTP")
	f.StringVar(&domain, "domain", "", "the `domain` under which names are given")
	f.StringVar(&keys, "authorized-keys", "", "the `file` of keys that may use the relay (default: any key may)")
	f.StringVar(&scheme, "scheme", "http", "the `scheme` of public URLs: http or https")
	f.IntVar(&port, "port", 0, "the `port` of public URLs (default: that of --http)")
	f.BoolVar(&debug, "debug", false, "log to standard error what the relay does")
	return cmd
}
