package storetest

import (
	"math"
	"slices"
	"testing"

	"github.com/slackdev/slackdev/inspector"
)

// filters asks for each key what some exchanges have, and for its opposite.
func filters(t *testing.T, s inspector.Store) {
	maker := NewMaker(20)
	var all []*inspector.Exchange
	for range 150 {
		all = append(all, maker.Next())
	}
	Put(t, s, all...)
	if err := s.Pin(t.Context(), all[5].ID, true); err != nil {
		t.Fatal(err)
	}
	y := *all[5]
	y.Pinned = true
	all[5] = &y
	for _, tc := range [...]struct {
		name string
		term inspector.Term
	}{
		{"a kind", inspector.Term{Key: inspector.KeyKind, Values: []string{"slash_command"}}},
		{"the beginning of a kind", inspector.Term{Key: inspector.KeyKind, Values: []string{"event*"}}},
		{"a name in another case", inspector.Term{Key: inspector.KeyName, Values: []string{"/TODO"}}},
		{"the beginning of a name", inspector.Term{Key: inspector.KeyName, Values: []string{"/todo*"}}},
		{"a user by ID or name", inspector.Term{Key: inspector.KeyUser, Values: []string{"u0003", "ANA"}}},
		{"a channel with marks in its name", inspector.Term{Key: inspector.KeyChannel, Values: []string{"A\x1fb=\"c\""}}},
		{"a team", inspector.Term{Key: inspector.KeyTeam, Values: []string{"Example"}}},
		{"a verdict", inspector.Term{Key: inspector.KeyVerdict, Values: []string{"valid", "stale"}}},
		{"an origin", inspector.Term{Key: inspector.KeyOrigin, Values: []string{"tunnel"}}},
		{"a method", inspector.Term{Key: inspector.KeyMethod, Values: []string{"get"}}},
		{"a path", inspector.Term{Key: inspector.KeyPath, Values: []string{"/slack/c"}}},
		{"who answered", inspector.Term{Key: inspector.KeyBy, Values: []string{"rule greeting"}}},
		{"an event", inspector.Term{Key: inspector.KeyEvent, Values: []string{eventOf(all)}}},
		{"an original", inspector.Term{Key: inspector.KeyOf, Values: []string{originalOf(all)}}},
		{"anything sent again", inspector.Term{Key: inspector.KeyOf, Values: []string{"*"}}},
		{"a finding", inspector.Term{Key: inspector.KeyFinding, Values: []string{"slow"}}},
		{"a word", inspector.Term{Key: inspector.KeyText, Values: []string{"mil"}}},
		{"a phrase", inspector.Term{Key: inspector.KeyText, Values: []string{"add milk"}}},
		{"a status", inspector.Term{Key: inspector.KeyStatus, Min: 200, Max: 299}},
		{"several statuses", inspector.Term{Key: inspector.KeyStatus, Ranges: []inspector.Range{{Min: 404, Max: 404}, {Min: 500, Max: 599}}}},
		{"no answer", inspector.Term{Key: inspector.KeyStatus}},
		{"a duration", inspector.Term{Key: inspector.KeyElapsed, Min: 3000, Max: math.MaxInt64}},
		{"a retry", inspector.Term{Key: inspector.KeyRetry, Min: 1, Max: math.MaxInt64}},
		{"a fault", inspector.Term{Key: inspector.KeyFault}},
		{"pinned", inspector.Term{Key: inspector.KeyPinned}},
		{"answered", inspector.Term{Key: inspector.KeyAnswered}},
		{"an error", inspector.Term{Key: inspector.KeyError}},
	} {
		for _, not := range [...]bool{false, true} {
			tc.term.Not = not
			q := inspector.Query{Limit: 1000, Where: []inspector.Term{tc.term}}
			want := matching(all, q)
			if len(want) == 0 || len(want) == len(all) {
				t.Errorf("%s: the test's data has %d of %d", tc.name, len(want), len(all))
			}
			if diff := Diff(want, ids(list(t, s, q))); diff != "" {
				t.Errorf("%s, not: %v (-want +got):\n%s", tc.name, not, diff)
			}
		}
	}
}

// matching is List for those who have everything: the newest first.
func matching(all []*inspector.Exchange, q inspector.Query) []string {
	var found []*inspector.Exchange
	for _, x := range all {
		if q.Match(x) && (q.Before.IsZero() || x.ID.Compare(q.Before) < 0) {
			found = append(found, x)
		}
	}
	slices.SortFunc(found, func(a, b *inspector.Exchange) int { return b.ID.Compare(a.ID) })
	return ids(found[:min(len(found), q.PageSize())])
}

func eventOf(all []*inspector.Exchange) string {
	for _, x := range all {
		if x.Slack.EventID != "" {
			return x.Slack.EventID
		}
	}
	return ""
}

func originalOf(all []*inspector.Exchange) string {
	for _, x := range all {
		if !x.Of.IsZero() {
			return x.Of.String()
		}
	}
	return ""
}

// agreesWithMatch changes a store at random, and asks at random.
func agreesWithMatch(t *testing.T, s inspector.Store) {
	maker := NewMaker(21)
	all := make(map[inspector.ID]*inspector.Exchange)
	for round := range 6 {
		for range 40 {
			x := maker.Begun()
			if maker.IntN(3) > 0 {
				x = maker.Finish(x)
			}
			Put(t, s, x)
			all[x.ID] = x
		}
		change(t, maker, s, all)
		present := make([]*inspector.Exchange, 0, len(all))
		for _, x := range all {
			present = append(present, x)
		}
		for range 40 {
			q := maker.Query()
			if maker.IntN(2) == 0 {
				q.Before = pick(maker, present...).ID
			}
			if diff := Diff(matching(present, q), ids(list(t, s, q))); diff != "" {
				t.Fatalf("round %d, %s (-Match +List):\n%s", round, describe(q), diff)
			}
		}
	}
}

// change finishes, deletes, pins and replaces some of the exchanges.
func change(t *testing.T, maker *Maker, s inspector.Store, all map[inspector.ID]*inspector.Exchange) {
	t.Helper()
	for id, x := range all {
		var err error
		y := *x
		switch maker.IntN(12) {
		case 0:
			delete(all, id)
			if err := s.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			continue
		case 1:
			y.Pinned = !x.Pinned
			err = s.Pin(t.Context(), id, y.Pinned)
		case 2, 3:
			y = *maker.Finish(x)
			err = s.Put(t.Context(), &y)
		}
		if err != nil {
			t.Fatal(err)
		}
		all[id] = &y
	}
}

// Query makes a query of one to three terms, most of which fit something.
func (m *Maker) Query() inspector.Query {
	q := inspector.Query{Limit: pick(m, 0, 1, 3, 10, 1000)}
	for range 1 + m.IntN(3) {
		q.Where = append(q.Where, m.term())
	}
	return q
}

func (m *Maker) term() inspector.Term {
	values := func(of ...string) []string {
		var v []string
		for range 1 + m.IntN(2) {
			v = append(v, pick(m, of...))
		}
		return v
	}
	t := inspector.Term{Not: m.IntN(3) == 0}
	switch m.IntN(12) {
	case 0, 1, 2, 3:
		t.Key = inspector.KeyText
		t.Values = values("milk", "mil", "MILK", "add milk", "add mil", "strasse", "Straße", "übung", "deploy", "deploy-7", "x y", "牛乳", "乳を",
			"🎉", "🎉🎉", "e", "é", "étu", "٣", "o'neil", "example com", "istanbul", "salt", "bread", "", "...", "none of them", "Added", "slack events",
			"long"+"longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong", "\"", "a\" OR \"b", "NOT", "*")
	case 4:
		t.Key, t.Values = inspector.KeyKind, values("slash_command", "event_callback", "E*", "*", "", "none")
	case 5:
		t.Key, t.Values = pick(m, inspector.KeyUser, inspector.KeyChannel, inspector.KeyTeam), values("ana", "ZOË", "u0001", "U000*", "c0002", "A\x1fB*", "*", "")
	case 6:
		t.Key, t.Values = pick(m, inspector.KeyName, inspector.KeyPath), values("/todo", "/todo*", "/slack", "/SLACK/commands", "message", "message*", "")
	case 7:
		t.Key, t.Values = pick(m, inspector.KeyBy, inspector.KeyFinding, inspector.KeyOf, inspector.KeyEvent), values("app", "rule*", "slow", "slow*", "*", "ev0000*")
	case 8:
		t.Key, t.Values = pick(m, inspector.KeyVerdict, inspector.KeyOrigin, inspector.KeyMethod), values("valid", "m*", "tunnel", "replay", "POST", "get")
	case 9:
		t.Key, t.Min, t.Max = inspector.KeyStatus, int64(m.IntN(600)), 599
	case 10:
		t.Key = pick(m, inspector.KeyElapsed, inspector.KeyRetry)
		t.Ranges = []inspector.Range{{Min: int64(m.IntN(4)), Max: int64(m.IntN(3000))}, {Min: 3500, Max: math.MaxInt64}}
	case 11:
		t.Key = pick(m, inspector.KeyFault, inspector.KeyPinned, inspector.KeyAnswered, inspector.KeyError)
	}
	return t
}
