// Package compose makes requests like Slack's: of every kind that has a template in
// the folder templates, with the same people in the same workspace, fresh ids and
// times, Slack's own fields in Slack's order and Slack's spelling of them. Who sends
// one signs it.
//
// A template is one file, and a kind needs nothing else: its name is the kind's, with a
// folder for the first of two words. The first line is # and a summary. What follows
// is, by extension: .form, the fields of a form, name=value, one a line; .payload, the
// JSON of a form's field payload; .json, the JSON of a whole body; .event, the JSON
// of an event, which envelope.json goes around. The values are text/templates over scene.
package compose

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

//go:embed templates
var templates embed.FS

// DefaultPath is where most apps listen for Slack.
const DefaultPath = "/slack/events"

// Kind is a request that can be made.
type Kind struct {
	Name    string   `json:"name"`    // slash_command, event_callback app_mention
	Summary string   `json:"summary"` // one line
	Fields  []string `json:"fields"`  // the paths that Options.Set can change, in the body's order
}

// Options say how a request differs from its template.
type Options struct {
	Set  []slack.Set
	Path string           // path and query; empty: DefaultPath
	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // what fresh ids are made of; nil: crypto/rand
}

// UnknownKindError says that there is no template for a kind.
type UnknownKindError struct {
	Kind string
	Near []string // what may have been meant, or every kind; at least one
}

// Error names the kind and what there is instead.
func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("no request is called %q; there are %s", e.Kind, strings.Join(e.Near, ", "))
}

// Kinds lists what can be made, by name.
func Kinds() []Kind {
	var kinds []Kind
	for _, f := range files() {
		kind := Kind{Name: f.kind, Summary: f.summary}
		if q, err := f.request(Options{}); err == nil {
			kind.Fields = fieldsOf(q)
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// Request makes a request of a kind, which may be given by its last word alone:
// app_mention. Method, target, head and body are Slack's; the host is whoever's it is
// sent to. Errors are *UnknownKindError, and what slack.Edit says of a path.
func Request(kind string, o Options) (inspector.Request, error) {
	all := files()
	at := slices.IndexFunc(all, func(f file) bool { return f.kind == kind })
	if at < 0 {
		at = slices.IndexFunc(all, func(f file) bool { return strings.HasSuffix(f.kind, " "+kind) })
	}
	if at < 0 {
		return inspector.Request{}, &UnknownKindError{Kind: kind, Near: nearest(kind, all)}
	}
	q, err := all[at].request(o)
	if err != nil {
		return inspector.Request{}, fmt.Errorf("make a %s: %w", kind, err)
	}
	return q, nil
}

// file is a template.
type file struct {
	kind, summary, form string // form is the extension: .form, .payload, .json, .event
	text                string
}

// envelope is the file that goes around events.
const envelope = "templates/envelope.json"

// files lists the templates by kind. The embedded folder is complete and readable by construction; a test
// holds that each file in it is a kind.
func files() []file {
	var all []file
	_ = fs.WalkDir(templates, "templates", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == envelope {
			return err
		}
		text, err := templates.ReadFile(name)
		head, rest, _ := strings.Cut(string(text), "\n")
		form := path.Ext(name)
		kind := strings.TrimPrefix(strings.TrimSuffix(name, form), "templates/")
		all = append(all, file{
			kind: strings.ReplaceAll(kind, "/", " "), summary: strings.TrimPrefix(head, "# "), form: form, text: rest,
		})
		return err
	})
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.kind, b.kind) })
	return all
}

// request fills the template in and puts Slack's head before it.
func (f file) request(o Options) (inspector.Request, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Path == "" {
		o.Path = DefaultPath
	}
	if !strings.HasPrefix(o.Path, "/") {
		return inspector.Request{}, fmt.Errorf("the path %q does not begin with /", o.Path)
	}
	body, err := f.body(newScene(o.Now(), o.Rand))
	if err != nil {
		return inspector.Request{}, err
	}
	header := http.Header{"Content-Type": {f.contentType()}}
	if len(o.Set) > 0 {
		if body, err = slack.Edit(header, body, o.Set); err != nil {
			return inspector.Request{}, err
		}
	}
	accept := "application/json,*/*"
	if f.json() {
		accept = "*/*"
	}
	return inspector.Request{
		Method: http.MethodPost, Target: o.Path, Proto: "HTTP/1.1",
		Header: inspector.Header{
			{Name: "User-Agent", Value: "Slackbot 1.0 (+https://api.slack.com/robots)"},
			{Name: "Accept-Encoding", Value: "gzip,deflate"},
			{Name: "Accept", Value: accept},
			{Name: "Content-Length", Value: strconv.Itoa(len(body))},
			{Name: "Content-Type", Value: f.contentType()},
		},
		Body: inspector.Body{Bytes: body, Size: int64(len(body))},
	}, nil
}

func (f file) json() bool { return f.form == ".json" || f.form == ".event" }

func (f file) contentType() string {
	if f.json() {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// body spells the filled-in template as Slack would.
func (f file) body(s *scene) ([]byte, error) {
	text, err := fill(f.kind, f.text, s)
	if err != nil {
		return nil, err
	}
	switch f.form {
	case ".form":
		var pairs []slack.Pair
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			pairs = append(pairs, slack.Pair{Name: name, Value: value})
		}
		return slack.EncodeForm(pairs), nil
	case ".payload":
		payload, err := slack.EncodeJSON([]byte(text))
		return slack.EncodeForm([]slack.Pair{{Name: "payload", Value: string(payload)}}), err
	case ".event":
		around, err := templates.ReadFile(envelope)
		if err != nil {
			return nil, err
		}
		s.Event = text
		if text, err = fill(envelope, string(around), s); err != nil {
			return nil, err
		}
	}
	return slack.EncodeJSON([]byte(text))
}

func fill(name, text string, s *scene) (string, error) {
	t, err := template.New(name).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, s)
	return b.String(), err
}

// fieldsOf lists the paths to the values of a request's payload.
func fieldsOf(q inspector.Request) []string {
	doc, err := slack.Decode(q.Method, q.Target, q.Header.HTTP(), q.Body.Bytes)
	if err != nil {
		return nil
	}
	var outer struct{ Payload json.RawMessage }
	if json.Unmarshal(doc, &outer) == nil && outer.Payload != nil {
		doc = outer.Payload
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	var paths []string
	_ = leaves(d, "", &paths) // what Decode gives is JSON
	return paths
}

// leaves reads one value and adds the paths to what is no container in it.
func leaves(d *json.Decoder, at string, paths *[]string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, container := t.(json.Delim)
	if !container {
		*paths = append(*paths, at)
		return nil
	}
	for i := 0; d.More(); i++ {
		key := strconv.Itoa(i)
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			key = strings.NewReplacer(`\`, `\\`, ".", `\.`).Replace(fmt.Sprint(name))
		}
		if at != "" {
			key = at + "." + key
		}
		if err := leaves(d, key, paths); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
