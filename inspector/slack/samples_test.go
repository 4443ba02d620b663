package slack

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is one row of the manifest beside captured and published requests.
type sample struct {
	file, kind, form, direction, features string
	data                                  []byte
}

// samples reads what lies beside the repository, and skips the test where nothing does.
func samples(t *testing.T) []sample {
	t.Helper()
	folder := filepath.Join("..", "..", "..", "shared", "slack", "payloads")
	manifest, err := os.ReadFile(filepath.Join(folder, "MANIFEST.tsv"))
	if err != nil {
		t.Skip("no samples beside the repository")
	}
	var all []sample
	for i, line := range strings.Split(strings.TrimSpace(string(manifest)), "\n") {
		column := strings.Split(line, "\t")
		if i == 0 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, column[0]))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sample{
			file: column[0], kind: column[1], form: column[7], direction: column[8], features: column[10], data: data,
		})
	}
	return all
}

// request makes the request that the sample was taken from.
func (s sample) request() (method, target string, h http.Header, body []byte) {
	const form = "application/x-www-form-urlencoded"
	method, target, h, body = http.MethodPost, "/slack/events", http.Header{"Content-Type": {"application/json"}}, s.data
	switch s.form {
	case "raw-body":
		h.Set("Content-Type", form)
		body = bytes.TrimRight(body, "\n")
	case "decoded-payload":
		h.Set("Content-Type", form)
		compact, err := EncodeJSON(s.data)
		if err != nil {
			compact = s.data
		}
		body = EncodeForm([]Pair{{"payload", string(compact)}})
	case "inner-event":
		body = []byte(`{"token":"t","team_id":"T1","api_app_id":"A1","event":` + string(s.data) + `,"type":"event_callback","event_id":"Ev1"}`)
	case "raw-query":
		method, target, h, body = http.MethodGet, "/slack/oauth_redirect?"+strings.TrimSpace(string(s.data)), http.Header{}, nil
	}
	return method, target, h, body
}

// calledOtherwise are samples that the manifest files under a word which is not what
// the request is.
var calledOtherwise = map[string]Kind{
	"outgoing_webhook--a6ad9576.json": Unknown, // the fields of a form as a JSON object: never on the wire
	"ssl_check--9b3ef10e.form":        Unknown, // ssl_check= is not ssl_check=1
}

// namedOtherwise are events with a subtype that the manifest leaves out.
var namedOtherwise = map[string]string{
	"event_inner-emoji_changed--d7cf294f.json": "emoji_changed.rename",
}

// wantKind is the kind, and for events the name, that the manifest's word stands for.
func (s sample) wantKind() (kind Kind, name string) {
	if k, ok := calledOtherwise[s.file]; ok {
		return k, ""
	}
	word, rest, _ := strings.Cut(s.kind, "/")
	switch word {
	case "event_callback", "event_inner":
		if rest == "untyped" {
			rest = ""
		}
		if name, ok := namedOtherwise[s.file]; ok {
			rest = name
		}
		return EventCallback, rest
	case "oauth_redirect_query":
		return OAuthRedirect, ""
	case "payload_odd", "socket_mode_envelope":
		return Unknown, ""
	}
	word, _, _ = strings.Cut(word, ".") // block_actions.function
	return Kind(word), ""
}

func TestEverySampleIsOfItsKind(t *testing.T) {
	right, all := 0, 0
	for _, s := range samples(t) {
		if s.direction != "Slack to app" || s.form == "capture" || s.form == "vector" {
			continue
		}
		all++
		want, name := s.wantKind()
		got := Parse(s.request())
		if got.Kind != want || want == EventCallback && got.Name != name {
			t.Errorf("%s (%s): got %s %q, want %s %q; problem %q", s.file, s.kind, got.Kind, got.Name, want, name, got.Problem)
			continue
		}
		right++
	}
	t.Logf("%d of %d samples", right, all)
}
