package sshtunnel

import "github.com/slackdev/slackdev/tunnel"

// SessionEnded is closed when the tunnel's command has said what it has to say.
func SessionEnded(t tunnel.Tunnel) <-chan struct{} { return t.(*Tunnel).session.ended }
