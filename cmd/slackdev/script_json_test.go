//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// check is one word of a line of a script:  path=value,  or  path~regexp.  A path has
// dots between keys and numbers of elements, which count from the end where negative.
type check struct {
	path string
	fits func(string) bool
}

func parseChecks(words []string) ([]check, error) {
	var checks []check
	for _, word := range words {
		at := strings.IndexAny(word, "=~")
		if at < 1 {
			return nil, fmt.Errorf("%q is neither path=value nor path~regexp", word)
		}
		path, want := word[:at], word[at+1:]
		fits := func(got string) bool { return got == want }
		if word[at] == '~' {
			pattern, err := regexp.Compile(want)
			if err != nil {
				return nil, err
			}
			fits = pattern.MatchString
		}
		checks = append(checks, check{path, fits})
	}
	return checks, nil
}

// documents reads the JSON values of a text, one after another.
func documents(text string) ([]any, error) {
	if !utf8.ValidString(text) { // which package json would not mind
		return nil, errors.New("it is not UTF-8")
	}
	var all []any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for d.More() {
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// lookUp gives what stands at a path, a text as it is and everything else as JSON.
func lookUp(v any, path string) (string, bool) {
	for key := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			inner, there := in[key]
			if !there {
				return "", false
			}
			v = inner
		case []any:
			i, err := strconv.Atoi(key)
			if i < 0 {
				i += len(in)
			}
			if err != nil || i < 0 || i >= len(in) {
				return "", false
			}
			v = in[i]
		default:
			return "", false
		}
	}
	if text, ok := v.(string); ok {
		return text, true
	}
	doc, err := json.Marshal(v)
	return string(doc), err == nil
}

// matching gives the JSON values of a text that pass all checks.
func matching(text string, words []string) ([]any, error) {
	checks, err := parseChecks(words)
	if err != nil {
		return nil, err
	}
	all, err := documents(text)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(v any) bool {
		return slices.ContainsFunc(checks, func(c check) bool {
			got, there := lookUp(v, c.path)
			return !there || !c.fits(got)
		})
	}), nil
}

// matchJSON is  json [--count N] FILE CHECK…:  a line of the file (stdout, stderr) passes
// all checks; with --count, so many do.
func (*stage) matchJSON(ts *testscript.TestScript, args []string) error {
	count := -1
	if len(args) > 2 && args[0] == "--count" {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		count, args = n, args[2:]
	}
	if len(args) < 1 {
		return errors.New("usage: json [--count N] FILE CHECK…")
	}
	found, err := matching(ts.ReadFile(args[0]), args[1:])
	switch {
	case err != nil:
		return err
	case count >= 0 && len(found) != count:
		return fmt.Errorf("%d lines are so, want %d", len(found), count)
	case count < 0 && len(found) == 0:
		return errors.New("no line is so")
	}
	return nil
}

// getJSON is  json-get VAR FILE PATH [CHECK…]:  sets a variable to what stands at a path
// of the last line that passes the checks.
func (*stage) getJSON(ts *testscript.TestScript, args []string) error {
	if len(args) < 3 {
		return errors.New("usage: json-get VAR FILE PATH [CHECK…]")
	}
	found, err := matching(ts.ReadFile(args[1]), args[3:])
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("no line is so")
	}
	value, there := lookUp(found[len(found)-1], args[2])
	if !there {
		return fmt.Errorf("there is no %s", args[2])
	}
	ts.Setenv(args[0], value)
	return nil
}

// contractField is a key of the contract, what its value must be like, and what it
// means (for docs/commands.md).
type contractField struct {
	key  string
	fits func(v any) bool
	what string

	maybe bool // it may be missing; at the end alone
}

func isText(v any) bool { _, ok := v.(string); return ok }

func isNumber(v any) bool { _, ok := v.(json.Number); return ok }

func isList(v any) bool { _, ok := v.([]any); return ok }

func isInstant(v any) bool {
	s, ok := v.(string)
	_, err := time.Parse(time.RFC3339Nano, s)
	return ok && err == nil
}

func oneOf(words ...string) func(any) bool {
	return func(v any) bool { s, ok := v.(string); return ok && slices.Contains(words, s) }
}

func like(pattern string) func(any) bool {
	re := regexp.MustCompile("^(" + pattern + ")$")
	return func(v any) bool { s, ok := v.(string); return ok && re.MatchString(s) }
}

// contract is the lines of --json, as docs/commands.md promises them to programs (which
// is made from this): the keys, their order, and what the values are like.
func contract() map[string][]contractField {
	const url, id = `https?://[^/]+(/.*)?`, `[0-9A-HJKMNP-TV-Z]{26}`
	return map[string][]contractField{
		"ready": {
			{key: "type", fits: isText, what: ""},
			{key: "public_url", fits: like(url), what: "where Slack's requests arrive, without the path"},
			{key: "local_url", fits: like(url), what: "the local API and page"},
			{key: "app_url", fits: like(url + `|unix:/.+`), what: "the app"},
			{key: "provider", fits: isText, what: "who carries the traffic, as `--via` takes it"},
			{key: "name", fits: like(`[a-z0-9-]{1,63}`), what: "the name that was asked for"},
			{key: "reachable", fits: oneOf("local", "public"), what: "`local`: by this machine alone; `public`"},
		},
		"tunnel": {
			{key: "type", fits: isText, what: ""},
			{key: "state", fits: oneOf("connecting", "up", "down", "waiting"), what: "`connecting`, `up`, `down`, `waiting`"},
			{key: "url", fits: like(url + `|`), what: "the public URL, or empty"},
			{key: "error", fits: isText, what: "why it is down or waiting, or empty"},
			{key: "retry_in_ms", fits: isNumber, what: "when it is tried again"},
			{key: "name", fits: like(`[a-z0-9-]{1,63}`), what: "which one, where there are several; else there is no such key", maybe: true},
		},
		"exchange": {
			{key: "type", fits: isText, what: ""},
			{key: "id", fits: like(id), what: "sorts by time"},
			{key: "started", fits: isInstant, what: "RFC 3339"},
			{key: "origin", fits: oneOf("tunnel", "local", "replay", "composed", "outgoing"), what: "`tunnel`, `local`, `replay`, `composed`, `outgoing`"},
			{key: "of", fits: like(id + `|`), what: "of a replay: the id of the original; or empty"},
			{key: "method", fits: isText, what: "of HTTP"},
			{key: "path", fits: like(`/.*`), what: "without the query"},
			{key: "kind", fits: isText, what: "Slack's word: `slash_command`, `event_callback`, …; or `unknown`"},
			{key: "name", fits: isText, what: "the command, event type, action_id, callback_id or trigger word"},
			{key: "user", fits: isText, what: "an id, or empty"},
			{key: "channel", fits: isText, what: "an id, or empty"},
			{key: "team", fits: isText, what: "an id, or empty"},
			{key: "verdict", fits: oneOf("valid", "stale", "mismatch", "missing", "malformed", "token", "unchecked"), what: "on the signature: `valid`, `stale`, `mismatch`, `missing`, `malformed`, `token`, `unchecked`"},
			{key: "status", fits: isNumber, what: "of the answer; 0: there was none"},
			{key: "answered_by", fits: like(`app|rule .+|slackdev|`), what: "`app`, `rule NAME`, `slackdev`, or empty"},
			{key: "elapsed_ms", fits: isNumber, what: "from the request's arrival to the end of its answer"},
			{key: "retry_num", fits: isNumber, what: "Slack's number of a retry; 0: none"},
			{key: "findings", fits: isList, what: "codes of what Slack would remark on"},
			{key: "fault", fits: isText, what: "why there was no whole answer, or empty"},
		},
	}
}

// checkContract is  json-contract FILE:  every line is one of the contract's, with its keys
// in their order. Other keys may only follow.
func (*stage) checkContract(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: json-contract FILE")
	}
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n")
	for i, line := range lines {
		if err := keepsContract([]byte(line)); err != nil {
			return fmt.Errorf("line %d: %w: %s", i+1, err, line)
		}
	}
	return nil
}

func keepsContract(line []byte) error {
	found, err := documents(string(line))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("it is not one JSON value: %v", err)
	}
	doc, ok := found[0].(map[string]any)
	if !ok {
		return errors.New("it is not an object")
	}
	kind, _ := doc["type"].(string)
	fields := contract()[kind]
	if fields == nil {
		return fmt.Errorf("no line has the type %q", kind)
	}
	keys, err := keysOf(line)
	if err != nil {
		return err
	}
	if last := fields[len(fields)-1]; last.maybe && len(keys) == len(fields)-1 {
		fields = fields[:len(keys)]
	}
	if len(keys) < len(fields) || kind != "exchange" && len(keys) > len(fields) {
		return fmt.Errorf("%d keys, want %d", len(keys), len(fields))
	}
	for i, f := range fields {
		if keys[i] != f.key {
			return fmt.Errorf("key %d is %s, want %s", i+1, keys[i], f.key)
		}
		if !f.fits(doc[f.key]) {
			return fmt.Errorf("%s is %v", f.key, doc[f.key])
		}
	}
	return nil
}

// keysOf gives the keys of an object in their order.
func keysOf(line []byte) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var keys []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		keys = append(keys, fmt.Sprint(key))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
