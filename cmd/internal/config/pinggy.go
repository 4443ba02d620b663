package config

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// PinggyVariable names the variable that holds the token of Pinggy's paying users.
const PinggyVariable = "SLACKDEV_PINGGY_TOKEN"

const tokenHint = "the token stands on  https://dashboard.pinggy.io"

// PinggyToken gives the token for Pinggy, "" for none: from the file of
// pinggy_token_file, else from the environment, else from the project's .env. It is
// never typed, since other users of the machine see what is typed. Errors do not repeat
// it. It goes to Pinggy as a user's name, so that what cannot be a token (a key that a
// stranger's slackdev.yaml has named) is refused.
func (c *Config) PinggyToken() (string, error) {
	if c.PinggyFile != "" {
		text, err := readSmall(c.PinggyFile)
		if err != nil {
			return "", &Error{Where: string(c.Origin("pinggy_token_file")), Problem: err.Error(), Hint: "write the token into that file, and  chmod 600  it"}
		}
		return checkPinggy(text, c.PinggyFile)
	}
	if text := c.env.Getenv(PinggyVariable); text != "" {
		return checkPinggy(text, "$"+PinggyVariable)
	}
	if text := c.dotenv[PinggyVariable]; text != "" {
		return checkPinggy(text, c.Project.Dotenv+": "+PinggyVariable)
	}
	return "", nil
}

// readSmall reads a file of at most 64 KiB.
func readSmall(path string) (string, error) {
	const limit = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if len(text) > limit {
		return "", fmt.Errorf("%s is larger than 64 KiB: it does not hold a token", path)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}

func checkPinggy(text, where string) (string, error) {
	text = strings.TrimSpace(text)
	fits := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	if len(text) < 4 || len(text) > 128 || strings.ContainsFunc(text, func(r rune) bool { return !fits(r) }) {
		return "", &Error{Where: where, Problem: "this is no token of Pinggy's: one is 4 to 128 letters, digits and dashes", Hint: tokenHint}
	}
	return text, nil
}
