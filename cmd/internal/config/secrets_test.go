package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	secretA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	secretB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func secretNames(t *testing.T, w *world, given map[string]string) ([]string, error) {
	t.Helper()
	c, err := Load(w.env(), given)
	if err != nil {
		return nil, err
	}
	secrets, err := c.Secrets()
	names := []string{}
	for _, s := range secrets {
		names = append(names, s.Name)
	}
	return names, err
}

func TestABlankSecretIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		env, dotenv, file *string
		where             string
	}{
		"empty variable":          {env: new(""), where: "$SLACK_SIGNING_SECRET"},
		"blank variable":          {env: new(" \t"), where: "$SLACK_SIGNING_SECRET"},
		"empty in .env":           {dotenv: new("SLACK_SIGNING_SECRET=\n"), where: ".env: SLACK_SIGNING_SECRET"},
		"quoted blanks in .env":   {dotenv: new("SLACK_SIGNING_SECRET='  '\n"), where: ".env: SLACK_SIGNING_SECRET"},
		"one of several":          {env: new(secretA + ",," + secretB), where: "$SLACK_SIGNING_SECRET"},
		"comma at the end":        {env: new(secretA + ","), where: "$SLACK_SIGNING_SECRET"},
		"blank beats a good .env": {env: new(""), dotenv: new("SLACK_SIGNING_SECRET=" + secretA), where: "$SLACK_SIGNING_SECRET"},
		"empty file":              {file: new(""), where: "todo/secrets"},
		"file of comments":        {file: new("# none\n\n"), where: "todo/secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			given := map[string]string{}
			if tc.env != nil {
				w.vars[SecretVariable] = *tc.env
			}
			if tc.dotenv != nil {
				write(t, w.home, "todo/.env", *tc.dotenv)
			}
			if tc.file != nil {
				write(t, w.home, "todo/secrets", *tc.file)
				given["signing_secret_file"] = "secrets"
			}
			names, err := secretNames(t, w, given)
			var e *Error
			if !errors.As(err, &e) || !strings.HasSuffix(e.Where, tc.where) || !strings.Contains(e.Hint, "forgery") {
				t.Fatalf("got %v, %v; want an *Error at %s that explains", names, err, tc.where)
			}
			if text := e.Error() + e.Hint; strings.Contains(text, secretA) || strings.Contains(text, secretB) {
				t.Errorf("the error repeats a secret: %s", text)
			}
		})
	}
}

func TestSecretsAreNamedByWhereTheyStand(t *testing.T) {
	w := newWorld(t, nil)
	check := func(step string, given map[string]string, want ...string) {
		t.Helper()
		got, err := secretNames(t, w, given)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
			t.Errorf("%s: -want +got\n%s", step, diff)
		}
	}
	check("none", nil)
	write(t, w.home, "todo/.env", "export SLACK_SIGNING_SECRET=\""+secretA+", "+secretB+"\"\r\n")
	check(".env", nil, "SLACK_SIGNING_SECRET (.env)", "SLACK_SIGNING_SECRET #2 (.env)")
	w.vars[SecretVariable] = secretA
	check("environment", nil, "SLACK_SIGNING_SECRET (environment)")
	write(t, w.home, "todo/secrets", "\ufeff# the workspace\r\n"+secretA+"\r\n\r\n"+secretB)
	check("file", map[string]string{"signing_secret_file": "secrets"}, "secrets (--signing-secret-file)", "secrets #2 (--signing-secret-file)")
}

func TestASecretFileThatIsMissingIsAnError(t *testing.T) {
	w := newWorld(t, nil)
	_, err := secretNames(t, w, map[string]string{"signing_secret_file": "gone"})
	var e *Error
	if !errors.As(err, &e) || e.Where != "--signing-secret-file" {
		t.Errorf("got %v", err)
	}
}

func TestASecretFileThatOthersCanReadIsNoted(t *testing.T) {
	w := newWorld(t, map[string]string{"todo/secrets": secretA})
	given := map[string]string{"signing_secret_file": "secrets"}
	c, err := Load(w.env(), given)
	if err != nil || len(c.Warnings) != 0 {
		t.Fatalf("0600: %v, %v", c.Warnings, err)
	}
	if err := os.Chmod(filepath.Join(w.dir, "secrets"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err = Load(w.env(), given)
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "chmod 600") {
		t.Errorf("0644: %v, %v", c.Warnings, err)
	}
}

func TestABrokenDotenvIsPlacedWithoutRepeatingIt(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		line int
	}{
		"first line":        {"SIGNING SECRET-" + secretA + "=1\n", 1},
		"after good ones":   {"A=1\n\n# x\nB='two\nlines'\n$" + secretA + "=1\nC=3\n", 6},
		"open quote at end": {"A=1\nB=\"" + secretA + "\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"todo/.env": tc.text})
			_, err := Load(w.env(), nil)
			var e *Error
			if !errors.As(err, &e) || e.Where != fmt.Sprintf("%s:%d", filepath.Join(w.dir, ".env"), tc.line) {
				t.Errorf("got %v, want line %d", err, tc.line)
			}
			if err != nil && strings.Contains(err.Error(), secretA) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

func TestAVirtualEnvironmentIsNotADotenv(t *testing.T) {
	w := newWorld(t, map[string]string{"todo/.env/bin/python": ""})
	if _, err := Load(w.env(), nil); err != nil {
		t.Error(err)
	}
}
