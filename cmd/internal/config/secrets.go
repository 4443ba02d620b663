package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/slackdev/slackdev/inspector/slack"
)

// SecretVariable names the variable that holds the signing secrets, as Slack's own
// libraries know it; several stand with commas between them.
const SecretVariable = "SLACK_SIGNING_SECRET"

const blankHint = "an empty secret would accept every forgery: copy it from  api.slack.com/apps → Basic Information,  or unset the variable to run without"

// Secrets gives the signing secrets, the first being the one to sign with. They come
// from the first of these that is there: the file of --signing-secret-file, the
// variable in the environment, the variable in the project's .env. None is not an
// error: signatures then go unchecked. One that is set but blank is an *Error, for an
// empty key is a valid HMAC key and whoever has it verifies every forgery as genuine.
//
// A secret is named by where it stands: "SLACK_SIGNING_SECRET #2 (.env)". A file that
// other users can read is used, and noted in Warnings: containers mount their
// secrets that way.
func (c *Config) Secrets() ([]slack.Secret, error) {
	if c.SecretFile != "" {
		return c.secretsFromFile()
	}
	if c.env.Lookup != nil {
		if value, set := c.env.Lookup(SecretVariable); set {
			return secretsOf(strings.Split(value, ","), SecretVariable, "environment", "$"+SecretVariable)
		}
	}
	if value, set := c.dotenv[SecretVariable]; set {
		return secretsOf(strings.Split(value, ","), SecretVariable, ".env", c.Project.Dotenv+": "+SecretVariable)
	}
	return nil, nil
}

func (c *Config) secretsFromFile() ([]slack.Secret, error) {
	const limit = 64 << 10
	f, err := os.Open(c.SecretFile)
	if err != nil {
		return nil, &Error{Where: string(c.Origin("signing_secret_file")), Problem: err.Error(), Hint: "write the signing secret into that file, one a line, and  chmod 600  it"}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the signing secrets: %w", err)
	}
	if len(text) > limit {
		return nil, &Error{Where: c.SecretFile, Problem: "the file is larger than 64 KiB: it does not hold signing secrets"}
	}
	var values []string
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			values = append(values, line)
		}
	}
	if len(values) == 0 {
		return nil, &Error{Where: c.SecretFile, Problem: "the file holds no signing secret", Hint: blankHint}
	}
	return secretsOf(values, filepath.Base(c.SecretFile), "--signing-secret-file", c.SecretFile)
}

func secretsOf(values []string, name, origin, where string) ([]slack.Secret, error) {
	var secrets []slack.Secret
	for i, value := range values {
		numbered := name
		if i > 0 {
			numbered = fmt.Sprintf("%s #%d", name, i+1)
		}
		value = strings.TrimSpace(value)
		if value == "" {
			problem := "the signing secret is set but blank"
			if len(values) > 1 {
				problem = fmt.Sprintf("signing secret %d of %d is blank", i+1, len(values))
			}
			return nil, &Error{Where: where, Problem: problem, Hint: blankHint}
		}
		secret, err := slack.NewSecret(numbered+" ("+origin+")", value)
		if err != nil {
			return nil, &Error{Where: where, Problem: err.Error(), Hint: blankHint}
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}
