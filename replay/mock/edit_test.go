package mock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const project = `# our to-do app
path: /slack/events   # where Bolt listens


tunnel:
    name: ana-todo

# Answers while the app is off.
rules:
  # Commands first.
  - name: todo   # the important one
    match: {kind: slash_command, name: /todo}
    answer:
      body: |
        Added {{.text}}

        # not a comment

  # Then the rest.
  - name: rest
    match: {any: true}
  # - name: later

# Who may look.
enforce: true
`

// anEdit adds a rule to a file or, where remove names one, takes it out.
type anEdit struct {
	file   string
	add    Rule
	remove string
	want   string
}

func edits() map[string]anEdit {
	all := Match{Any: true}
	return map[string]anEdit{
		"add to the end": {
			file: project, add: Rule{Name: "new", Match: Match{Kind: "shortcut"}, Answer: Answer{Body: "a: b\nc"}, Times: 2},
			want: strings.Replace(project, "  # - name: later\n", `  # - name: later
  - name: new
    match: {kind: shortcut}
    answer:
      body: |-
        a: b
        c
    times: 2
`, 1),
		},
		"add in the place of another": {
			file: project, add: Rule{Name: "todo", Match: all, Off: true},
			want: strings.Replace(project, project[strings.Index(project, "  - name: todo"):strings.Index(project, "\n  # Then")],
				"  - name: todo\n    match: {any: true}\n    off: true\n", 1),
		},
		"remove the first": {
			file: project, remove: "todo",
			want: strings.Replace(project, project[strings.Index(project, "  # Commands"):strings.Index(project, "\n  # Then")], "", 1),
		},
		"remove the last": {
			file: project, remove: "rest",
			want: strings.Replace(project, "  # Then the rest.\n  - name: rest\n    match: {any: true}\n", "", 1),
		},
		"add to a file without the key": {
			file: "path: /x", add: Rule{Name: "a", Match: all}, want: "path: /x\n\nrules:\n  - name: a\n    match: {any: true}\n",
		},
		"add to an empty file":  {file: "", add: Rule{Name: "a", Match: all}, want: "rules:\n  - name: a\n    match: {any: true}\n"},
		"add to comments alone": {file: "# hi\n", add: Rule{Name: "a", Match: all}, want: "# hi\n\nrules:\n  - name: a\n    match: {any: true}\n"},
		"add to an empty list": {
			file: "rules: [] # none yet\npath: /x\n", add: Rule{Name: "a", Match: all},
			want: "rules: # none yet\n  - name: a\n    match: {any: true}\npath: /x\n",
		},
		"add to a key without a value": {
			file: "rules:\n\npath: /x\n", add: Rule{Name: "a", Match: all}, want: "rules:\n  - name: a\n    match: {any: true}\n\npath: /x\n",
		},
		"add to a list at the margin": {
			file: "rules:\n- name: a\n  match: {any: true}\npath: /x\n", add: Rule{Name: "b", Match: all},
			want: "rules:\n- name: a\n  match: {any: true}\n- name: b\n  match: {any: true}\npath: /x\n",
		},
		"add to a list on one line, which is written anew": {
			file: "path: /x # here\nrules: [{name: a, match: {any: true}}]\n", add: Rule{Name: "b", Match: all},
			want: "path: /x # here\nrules:\n  - {name: a, match: {any: true}}\n  - name: b\n    match: {any: true}\n",
		},
		"add an answer of every sort": {
			file: "", add: Rule{Name: "a", Match: Match{Text: "*"}, Answer: Answer{
				Status: 202, Headers: map[string]string{"B": "2", "A": "yes"}, Delay: Duration(time.Second),
				JSON: []byte(` {"b": [1.50, "\ud83d\ude00", "yes"], "a": null} `),
			}},
			want: `rules:
  - name: a
    match: {text: '*'}
    answer:
      status: 202
      headers:
        A: "yes"
        B: "2"
      json:
        b:
          - 1.50
          - "\U0001F600"
          - "yes"
        a: null
      delay: 1s
`,
		},
		"add one without a name": {
			file: "rules:\n  - {name: /todo, match: {any: true}}\n", add: Rule{Match: Match{Kind: "slash_command", Name: "/todo"}},
			want: "rules:\n  - {name: /todo, match: {any: true}}\n  - name: /todo 2\n    match: {kind: slash_command, name: /todo}\n",
		},
	}
}

func TestAddAndRemoveTouchNothingElse(t *testing.T) {
	for name, tc := range edits() {
		t.Run(name, func(t *testing.T) {
			r := rulesOf(t, tc.file)
			var err error
			if tc.remove != "" {
				err = r.Remove(tc.remove)
			} else {
				err = r.Add(tc.add)
			}
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, r.File)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			rules, err := Parse([]byte(got), "")
			if err != nil || len(rules) != len(r.List()) {
				t.Errorf("the file has %d rules, %v; %d are in use", len(rules), err, len(r.List()))
			}
		})
	}
}

func TestEditsThatAreRefusedChangeNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		edit func(*Rules) error
		want string
	}{
		"a rule with a mistake": {
			file: project, edit: func(r *Rules) error { return r.Add(Rule{Name: "a", Match: Match{Kind: "slash"}, Times: -1}) },
			want: `times: -1 is less than nothing: leave it out for no end; match.kind: no kind is called "slash": for an event write  kind: event_callback  and  name: slash`,
		},
		"a file with a mistake": {
			file: "rules:\n  - nam: a\n", edit: func(r *Rules) error { return r.Add(Rule{Name: "a", Match: Match{Any: true}}) }, want: `2:5: there is no key "nam"`,
		},
		"JSON that is none": {
			file: project, edit: func(r *Rules) error {
				return r.Add(Rule{Match: Match{Any: true}, Answer: Answer{JSON: []byte(`{"a":`)}})
			},
			want: "answer.json: unexpected",
		},
		"a rule that is not there": {
			file: project, edit: func(r *Rules) error { return r.Remove("nobody") }, want: `remove rule "nobody": no such rule`,
		},
		"a name with a line break": {
			file: project, edit: func(r *Rules) error { return r.Add(Rule{Name: "a\nb", Match: Match{Any: true}}) }, want: "name: at most 100 bytes, printable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Rules{File: filepath.Join(t.TempDir(), "slackdev.yaml"), Now: noon}
			write(t, r.File, tc.file)
			if err := tc.edit(r); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if got := read(t, r.File); got != tc.file {
				t.Errorf("the file is now\n%s", got)
			}
		})
	}
	if err := (&Rules{Now: noon}).Add(Rule{Match: Match{Any: true}}); err == nil {
		t.Error("a rule was added to no file")
	}
	if err := rulesOf(t, project).Remove("nobody"); !errors.Is(err, ErrNoRule) {
		t.Errorf("got %v, want ErrNoRule", err)
	}
}

func TestFileIsMadeForItsOwnerAndKeepsItsModeAndItsLink(t *testing.T) {
	folder := t.TempDir()
	r := &Rules{File: filepath.Join(folder, "slackdev.yaml"), Now: noon}
	mode := func() os.FileMode {
		info, err := os.Stat(r.File)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	add := func(name string) {
		if err := r.Add(Rule{Name: name, Match: Match{Any: true}}); err != nil {
			t.Fatal(err)
		}
	}
	if add("a"); mode() != 0o600 {
		t.Errorf("a new file has mode %v", mode())
	}
	if err := os.Chmod(r.File, 0o644); err != nil {
		t.Fatal(err)
	}
	if add("b"); mode() != 0o644 {
		t.Errorf("the file had mode 0644 and has %v", mode())
	}
	link := filepath.Join(folder, "link.yaml")
	if err := os.Symlink(r.File, link); err != nil {
		t.Skip("no links here:", err)
	}
	r.File = link
	add("c")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestAddingARuleAgainLetsItBeginAnew(t *testing.T) {
	r := rulesOf(t, rule("match: {kind: slash_command}", "times: 1")+"  - {name: other, match: {any: true}}\n")
	for range 2 {
		r.Respond(command(""))
	}
	if err := r.Add(Rule{Name: "third", Match: Match{Any: true}}); err != nil {
		t.Fatal(err)
	}
	if l := r.List(); !l[0].Spent || l[1].Hits != 1 {
		t.Errorf("another rule's edit reset %+v", l)
	}
	if err := r.Add(r.List()[0].Rule); err != nil {
		t.Fatal(err)
	}
	if l := r.List(); l[0].Spent || l[0].Hits != 0 || l[1].Hits != 1 {
		t.Errorf("got %+v", l)
	}
}
