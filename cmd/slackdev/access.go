package main

import (
	"errors"
	"fmt"

	"github.com/slackdev/slackdev/cmd/internal/config"
	"github.com/slackdev/slackdev/tunnel/sshtunnel"
)

// accessRules says who may use the public name, nil for everybody, and what a person
// should know about that, which may be nothing.
func accessRules(cfg *config.Config) (rules *sshtunnel.Access, notice string, err error) {
	user, password, err := cfg.BasicAuth()
	if err != nil {
		return nil, "", err
	}
	if user == "" && len(cfg.AllowIP) == 0 {
		return nil, "", nil
	}
	switch cfg.Via {
	case "none":
		return nil, "", usage(errors.New("--via none: there is no relay that could keep strangers out"), "slackdev tunnel … --via relay://HOST")
	case "auto":
		return nil, "", usage(errors.New("--via auto may take a service that cannot keep strangers out"), "slackdev tunnel … --via relay://HOST   a relay can; so can  --via embedded")
	}
	if user != "" {
		notice = fmt.Sprintf("Slack cannot log in: its requests to %s get 401 from the relay; without a password, use  --allow-ip NETWORKS", cfg.Path)
	}
	return &sshtunnel.Access{Networks: cfg.AllowIP, User: user, Password: password}, notice, nil
}
