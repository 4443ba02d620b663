package slack

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestEditChangesOnlyThatValue(t *testing.T) {
	for name, tc := range map[string]struct {
		h           http.Header
		body        string
		path, value string
		want        string
	}{
		"a field":                {formHead, "a=1&text=old&b=%7E%2f", "text", "new *text* é", "a=1&text=new+%2Atext%2A+%C3%A9&b=%7E%2f"},
		"a field is always text": {formHead, "text=old", "text", `{"a": 1}`, "text=%7B%22a%22%3A+1%7D"},
		"to nothing":             {formHead, "text=old&b=1", "text", "", "text=&b=1"},
		"from nothing":           {formHead, "text=&b=1", "text", "x", "text=x&b=1"},
		"a name without =":       {formHead, "text&b=1", "text", "x", "text=x&b=1"},
		"the last of two":        {formHead, "text=1&text=2", "text", "x", "text=1&text=x"},
		"a name in escapes":      {formHead, "te%78t=1", "text", "x", "te%78t=x"},
		"a new field":            {formHead, "a=1", "text", "x", "a=1&text=x"},
		"a new field at an &":    {formHead, "a=1&", "text", "x", "a=1&text=x"},
		"a field with a dot":     {formHead, "a.b=1", "a.b", "x", "a.b=x"},

		"a string":                {jsonHead, `{"a": "old", "b":"é\u00e9/"}`, "a", "new/é", `{"a": "new\/\u00e9", "b":"é\u00e9/"}`},
		"far inside":              {jsonHead, `{"a":{"b":[{"c":1},{"c":2}]}}`, "a.b.1.c", "3", `{"a":{"b":[{"c":1},{"c":3}]}}`},
		"a string stays a string": {jsonHead, `{"ts":"1.5"}`, "ts", "1700000000.000100", `{"ts":"1700000000.000100"}`},
		"and with a bool":         {jsonHead, `{"a":"x"}`, "a", "true", `{"a":"true"}`},
		"a number stays a number": {jsonHead, `{"n":1}`, "n", "2.50", `{"n":2.50}`},
		"a number becomes a text": {jsonHead, `{"n":1}`, "n", "two", `{"n":"two"}`},
		"null is null":            {jsonHead, `{"a":"x"}`, "a", "null", `{"a":null}`},
		"a quoted number":         {jsonHead, `{"n":1}`, "n", `"2"`, `{"n":"2"}`},
		"an object, made compact": {jsonHead, `{"a":"x"}`, "a", `{ "b": ["/"] }`, `{"a":{"b":["\/"]}}`},
		"almost JSON is text":     {jsonHead, `{"a":1}`, "a", `{"b":`, `{"a":"{\"b\":"}`},
		"an empty value":          {jsonHead, `{"a":1}`, "a", "", `{"a":""}`},
		"the last of two keys":    {jsonHead, `{"a":1,"a":2}`, "a", "3", `{"a":1,"a":3}`},
		"a key in escapes":        {jsonHead, `{"\u0061":1}`, "a", "3", `{"\u0061":3}`},
		"a key with a dot":        {jsonHead, `{"a.b":{"c\\":1}}`, `a\.b.c\\`, "3", `{"a.b":{"c\\":3}}`},
		"a new key":               {jsonHead, `{"a": 1 }`, "b", "x", `{"a": 1,"b":"x" }`},
		"a new key in nothing":    {jsonHead, `{"a":{ }}`, "a.b/", "1", `{"a":{"b\/":1 }}`},
		"behind the last element": {jsonHead, `{"a":[1]}`, "a.1", "2", `{"a":[1,2]}`},
		"the first element":       {jsonHead, `{"a":[]}`, "a.0", "x", `{"a":["x"]}`},
		"text behind white space": {jsonHead, " \n{\"a\":1}\n", "a", "2", " \n{\"a\":2}\n"},

		"inside the payload":   {formHead, "payload=%7B%22a%22%3A%22x%22%2C%22b%22%3A1%7D&z=1", "a", "ö/", "payload=%7B%22a%22%3A%22%5Cu00f6%5C%2F%22%2C%22b%22%3A1%7D&z=1"},
		"with the word":        {formHead, "payload=%7B%22a%22%3A1%7D", "payload.a", "2", "payload=%7B%22a%22%3A2%7D"},
		"odd escapes stay":     {formHead, `payload={%22a":"+%41%2b","b":1}`, "b", "2", `payload={%22a":"+%41%2b","b":2}`},
		"a new key in it":      {formHead, "payload=%7B%22a%22%3A1%7D", "b", "x", "payload=%7B%22a%22%3A1%2C%22b%22%3A%22x%22%7D"},
		"all of the payload":   {formHead, "payload=%7B%7D", "payload", `{ "a": "/" }`, "payload=%7B%22a%22%3A%22%5C%2F%22%7D"},
		"a payload, not JSON":  {formHead, "payload=%7B%7D", "payload", "hello", "payload=hello"},
		"a field beside it":    {formHead, "payload=%7B%22z%22%3A1%7D&z=1", "z", "2", "payload=%7B%22z%22%3A1%7D&z=2"},
		"what is beside, else": {formHead, "payload=%7B%22z%22%3A1%7D&z=1", "payload.z", "2", "payload=%7B%22z%22%3A2%7D&z=1"},
	} {
		t.Run(name, func(t *testing.T) {
			before := []byte(tc.body)
			got, err := Edit(tc.h, before, []Set{{tc.path, tc.value}})
			if err != nil || string(got) != tc.want {
				t.Errorf("%s with %s = %s\n got %s (%v)\nwant %s", tc.body, tc.path, tc.value, got, err, tc.want)
			}
			if string(before) != tc.body {
				t.Errorf("the body itself was changed: %s", before)
			}
		})
	}
}

func TestEditMakesChangesInTheirOrder(t *testing.T) {
	got, err := Edit(jsonHead, []byte(`{"a":1}`), []Set{{"b", "{}"}, {"b.c", "1"}, {"a", "x"}, {"b.c", "2"}})
	if want := `{"a":"x","b":{"c":2}}`; err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
	got, err = Edit(jsonHead, []byte("not looked at"), nil)
	if err != nil || string(got) != "not looked at" {
		t.Errorf("nothing to change: got %s (%v)", got, err)
	}
}

func TestEditSaysWhatIsNotThere(t *testing.T) {
	const doc = `{"event":{"type":"message","text":"hi","user":"U1"},"list":[1,2],"odd key\u0000":1}`
	for name, tc := range map[string]struct {
		h          http.Header
		body, path string
		want       string
	}{
		"a missing parent":       {jsonHead, doc, "evnt.text", `set evnt.text: there is no evnt; there are event, list, "odd key\x00"`},
		"a missing inner parent": {jsonHead, doc, "event.usr.id", "set event.usr.id: there is no event.usr; event has user, type, text"},
		"a text has no keys":     {jsonHead, doc, "event.text.x", "set event.text.x: event.text is neither an object nor an array, so it has no x"},
		"an index too far":       {jsonHead, doc, "list.3", "set list.3: there is no list.3; list is an array of 2"},
		"an index to walk on":    {jsonHead, doc, "list.2.x", "set list.2.x: there is no list.2; list is an array of 2"},
		"an index in words":      {jsonHead, doc, "list.first", "set list.first: there is no list.first; list is an array of 2"},
		"an index with a zero":   {jsonHead, doc, "list.01", "set list.01: there is no list.01; list is an array of 2"},
		"in an empty object":     {jsonHead, `{"a":{}}`, "a.b.c", "set a.b.c: there is no a.b; a is empty"},
		"in an empty document":   {jsonHead, `{}`, "a.b", "set a.b: there is no a; the payload is empty"},
		"in a list of nothing":   {jsonHead, `[]`, "1", "set 1: there is no 1; the payload is an array of 0"},
		"in a number":            {jsonHead, `1`, "a", "set a: the payload is neither an object nor an array"},
		"in broken JSON":         {jsonHead, `{"a":`, "a", "set a: the body is not JSON: byte 5: the document ends where a value should stand"},
		"in a form":              {formHead, "text=1&team_id=2", "txt.a", "set txt.a: there is no field txt; there are text, team_id"},
		"in a payload":           {formHead, "payload=%7B%22user%22%3A%7B%7D%7D", "usr.id", "set usr.id: there is no usr; there are user"},
		"in a broken payload":    {formHead, "payload=%7B", "a", "set a: the field payload is not JSON: byte 1: the document ends inside an object"},
		"an empty path":          {jsonHead, doc, "", "set a value: the path is empty"},
		"an empty body":          {jsonHead, "", "a", "edit the body: it is empty"},
		"an image":               {http.Header{"Content-Type": {"image/png"}}, "x", "a", "edit the body: it is neither JSON nor a form"},
		"many keys": {jsonHead, `{"k1":1,"k2":1,"k3":1,"k4":1,"k5":1,"k6":1,"k7":1,"k8":1,"user":1}`, "usr.x",
			"set usr.x: there is no usr; there are user, k1, k2, k3, k4, k5, k6, k7 …"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Edit(tc.h, []byte(tc.body), []Set{{tc.path, "x"}})
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %s and\n     %v\nwant %s", got, err, tc.want)
			}
		})
	}
}

// Every byte of a captured interaction but those of one value stays.
func TestEditKeepsTheBytesOfCapturedBodies(t *testing.T) {
	for file, body := range captured(t) {
		if !bytes.HasPrefix(body, []byte("payload=%7B%22type%22")) {
			continue
		}
		p := Parse(http.MethodPost, "/", formHead, body)
		edited, err := Edit(formHead, body, []Set{{"user.id", "U/é"}})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		want := bytes.Replace(body, []byte("%22id%22%3A%22"+p.User.ID), []byte("%22id%22%3A%22U%5C%2F%5Cu00e9"), 1)
		if !bytes.Equal(edited, want) {
			t.Errorf("%s\n got %s\nwant %s", file, edited, want)
		}
		back, err := Edit(formHead, edited, []Set{{"payload.user.id", p.User.ID}})
		if err != nil || !bytes.Equal(back, body) {
			t.Errorf("%s: not the same after there and back: %v", file, err)
		}
	}
}

// valueAt reads a decoded payload with encoding/json.
func valueAt(t *testing.T, doc []byte, path ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	for _, key := range path {
		v = v.(map[string]any)[key]
	}
	return v
}

func TestWhatWasSetIsWhatDecodeShows(t *testing.T) {
	text := "a \"quoted\" \\ / é 😀 <&>+%\n"
	body := actionsBody()
	edited, err := Edit(formHead, body, []Set{{"actions", "[]"}, {"channel.name", text}})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Decode(http.MethodPost, "/", formHead, edited)
	if err != nil {
		t.Fatal(err)
	}
	if got := valueAt(t, doc, "payload", "channel", "name"); got != text {
		t.Errorf("got %q, want %q", got, text)
	}
	if form, err := url.ParseQuery(string(edited)); err != nil || !json.Valid([]byte(form.Get("payload"))) {
		t.Errorf("others cannot read it: %v", err)
	}
	if strings.Contains(string(edited), "done%22%2C%22block_id") {
		t.Error("the actions are still there")
	}
}
