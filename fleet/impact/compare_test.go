package impact_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/impact"
)

// served returns a cluster that is served sets such as `apps: web=1 db={"a":2}`, where each input
// is an ID and a value, and the IDs are sorted.
func served(cluster *fleet.Cluster, sets ...string) *fleet.Rendered {
	r := &fleet.Rendered{Cluster: cluster, Inputs: map[string]*fleet.Answer{}}
	for _, text := range sets {
		set, inputs, _ := strings.Cut(text, ":")
		var all []*fleet.Input
		for _, in := range strings.Fields(inputs) {
			id, value, _ := strings.Cut(in, "=")
			all = append(all, &fleet.Input{ID: id, Tail: fmt.Appendf(nil, `"id":%q,"value":%s`, id, value)})
		}
		r.Sets = append(r.Sets, set)
		r.Inputs[set] = fleet.NewAnswer(all, fleet.EncodeJSON(cluster.Identity()))
	}
	return r
}

func named(name string) *fleet.Cluster { return &fleet.Cluster{Name: name} }

// pair returns a pair of a cluster that exists before and after.
func pair(name string, before, after []string) impact.Pair {
	return impact.Pair{Cluster: name, Before: served(named(name), before...), After: served(named(name), after...)}
}

func compare(t *testing.T, o impact.Options, pairs ...impact.Pair) []impact.Diff {
	t.Helper()
	diffs, err := impact.Compare(pairs, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return diffs
}

// sum returns the sum of pairs as JSON without what is zero.
func sum(t *testing.T, o impact.Options, pairs ...impact.Pair) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(fleet.EncodeJSON(impact.Sum(compare(t, o, pairs...))), &fields); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(fields, func(_ string, v any) bool { return v == 0.0 || v == "" })
	return string(fleet.EncodeJSON(fields))
}

func TestCompareFindsWhatBecomesOfEachInput(t *testing.T) {
	t.Parallel()
	lost := &fleet.Rendered{Cluster: named("ann"), Sets: []string{"apps"}}
	gone := served(named("ann"), "apps:")
	gone.Decommissioned = true
	for name, c := range map[string]struct {
		pair impact.Pair
		want string
	}{
		"same": {pair("ann", []string{"apps: web=1"}, []string{"apps: web=1"}), `{}`},
		"added, changed and removed": {
			pair("ann", []string{"apps: a=1 b=1 d=1"}, []string{"apps: b=2 c=1 d=1"}),
			`{"added":1,"changed":1,"clusters":1,"fields":1,"groups":[{"changes":[` +
				`{"effect":"removed","id":"a","set":"apps"},{"effect":"changed","fields":[{"path":"value"}],"id":"b","set":"apps"},{"effect":"added","id":"c","set":"apps"}],"clusters":["ann"]}],"removed":1}`,
		},
		"moved": {
			pair("ann", []string{"apps: a=1 b=1", "jobs: c=1"}, []string{"apps: a=1", "jobs: b=1 c=1"}),
			`{"clusters":1,"groups":[{"changes":[{"effect":"moved","id":"b","set":"apps","to":"jobs"}],"clusters":["ann"]}],"moved":1}`,
		},
		"moved to a set that comes first": {
			pair("ann", []string{"apps:", "jobs: b=1 c=1"}, []string{"apps: b=1", "jobs: c=1"}),
			`{"clusters":1,"groups":[{"changes":[{"effect":"moved","id":"b","set":"jobs","to":"apps"}],"clusters":["ann"]}],"moved":1}`,
		},
		"removed from two sets and added to one": {
			pair("ann", []string{"a: x=1 y=1", "b: x=1 y=1", "c:"}, []string{"a: y=1", "b: y=1", "c: x=1"}),
			`{"clusters":1,"groups":[{"changes":[{"effect":"moved","id":"x","set":"a","to":"c"},{"effect":"removed","id":"x","set":"b"}],"clusters":["ann"]}],"moved":1,"removed":1}`,
		},
		"set that vanishes or becomes empty": {
			pair("ann", []string{"a: x=1", "b: x=1 y=1", "c:", "d:", "e:", "f:", "g:", "h:"}, []string{"a:", "c:"}),
			`{"clusters":1,"groups":[{"changes":[{"effect":"removed","id":"x","set":"a"},{"effect":"removed","id":"x","set":"b"},{"effect":"removed","id":"y","set":"b"}],` +
				`"clusters":["ann"],"emptied":["a"],"vanished":["b","d","e","f","g","h"]}],"removed":3}`,
		},
		"set that vanishes without inputs": {
			pair("ann", []string{"a: x=1", "b:"}, []string{"a: x=1"}),
			`{"clusters":1,"groups":[{"changes":null,"clusters":["ann"],"vanished":["b"]}]}`,
		},
		"new cluster": {
			impact.Pair{Cluster: "ann", After: served(named("ann"), "apps: a=1")},
			`{"added":1,"clusters":1,"groups":[{"changes":[{"effect":"added","id":"a","set":"apps"}],"clusters":["ann"]}]}`,
		},
		"purged cluster": {
			impact.Pair{Cluster: "ann", Before: served(named("ann"), "apps: a=1")},
			`{"clusters":1,"groups":[{"changes":[{"effect":"removed","id":"a","set":"apps"}],"clusters":["ann"]}],"removed":1}`,
		},
		"decommissioned cluster": {
			impact.Pair{Cluster: "ann", Before: served(named("ann"), "apps: a=1"), After: gone},
			`{"clusters":1,"groups":[{"changes":[{"effect":"removed","id":"a","set":"apps"}],"clusters":["ann"]}],"removed":1}`,
		},
		"cluster that cannot be served keeps what it has": {impact.Pair{Cluster: "ann", Before: served(named("ann"), "apps: a=1"), After: lost}, `{}`},
		"cluster that can be served again": {
			impact.Pair{Cluster: "ann", Before: lost, After: served(named("ann"), "jobs: a=1")},
			`{"added":1,"clusters":1,"groups":[{"changes":[{"effect":"added","id":"a","set":"jobs"}],"clusters":["ann"]}]}`,
		},
	} {
		if got := sum(t, impact.Options{Fields: true}, c.pair); got != c.want {
			t.Errorf("%s: impact = %s, want %s", name, got, c.want)
		}
	}
}

func TestPartsThatStopApplyingAreLost(t *testing.T) {
	t.Parallel()
	stale := func(fields ...string) (parts []fleet.StalePart) {
		for _, field := range fields {
			parts = append(parts, fleet.StalePart{Part: fleet.Part{Delta: "delta/x", Field: field}, Reason: "because of " + fmt.Sprint(fields)})
		}
		return parts
	}
	p := pair("ann", []string{"apps: a=1"}, []string{"apps: a=1"})
	p.Before.Stale, p.After.Stale = stale("edits[0]"), stale("patches[1]", "edits[0]")
	if got, want := sum(t, impact.Options{}, p), `{"clusters":1,"groups":[{"changes":null,"clusters":["ann"],"orphaned":["delta/x patches[1]"]}]}`; got != want {
		t.Errorf("impact = %s, want %s", got, want)
	}
	p.After.Stale = nil
	if got := sum(t, impact.Options{}, p); got != `{}` {
		t.Errorf("impact of parts that apply again = %s, want none", got)
	}
}

func TestChangesFollowTheOrderOfTheSets(t *testing.T) {
	t.Parallel()
	p := pair("ann", []string{"a: x=1", "z: x=1", "old: b=1"}, []string{"z: x=2 y=1", "a:"})
	diffs := compare(t, impact.Options{Changes: true}, p)
	identity := `"cluster":{"dns":"","environment":"","labels":{},"name":"ann"}`
	text := func(id string, value int) json.RawMessage {
		return fmt.Appendf(nil, `{%s,"id":%q,"value":%d}`, identity, id, value)
	}
	want := []fleet.InputChange{
		{Cluster: "ann", Set: "z", ID: "x", Before: text("x", 1), After: text("x", 2)},
		{Cluster: "ann", Set: "z", ID: "y", After: text("y", 1)},
		{Cluster: "ann", Set: "a", ID: "x", Before: text("x", 1)},
		{Cluster: "ann", Set: "old", ID: "b", Before: text("b", 1)},
	}
	if len(diffs) != 1 || !reflect.DeepEqual(diffs[0].Changes, want) {
		t.Errorf("changes = %s, want %s", fleet.EncodeJSON(diffs), fleet.EncodeJSON(want))
	}
	if diffs := compare(t, impact.Options{}, p); diffs[0].Changes != nil {
		t.Errorf("changes = %v without the option, want none", diffs[0].Changes)
	}
}

func TestNewLabelChangesEveryInput(t *testing.T) {
	t.Parallel()
	p := pair("ann", []string{"apps: a=1 b=1"}, []string{"apps: a=1 b=2"})
	p.After = served(&fleet.Cluster{Name: "ann", DNS: "ann.example.com", Labels: map[string]string{"example.com/tier": "gold"}}, "apps: a=1 b=2")
	cluster := `{"after":"ann.example.com","before":"","path":"cluster.dns"},{"after":"gold","path":"cluster.labels[\"example.com/tier\"]"}`
	want := `{"changed":2,"clusters":1,"fields":5,"groups":[{"changes":[{"effect":"changed","fields":[` + cluster + `],"id":"a","set":"apps"},` +
		`{"effect":"changed","fields":[` + cluster + `,{"after":2,"before":1,"path":"value"}],"id":"b","set":"apps"}],"clusters":["ann"]}]}`
	if got := sum(t, impact.Options{Fields: true, Values: true}, p); got != want {
		t.Errorf("impact = %s, want %s", got, want)
	}
	if changes := compare(t, impact.Options{Changes: true}, p)[0].Changes; len(changes) != 2 {
		t.Errorf("changes = %s, want both inputs", fleet.EncodeJSON(changes))
	}
}

func TestManyPairsAreComparedAsOneByOne(t *testing.T) {
	t.Parallel()
	var pairs []impact.Pair
	var single []impact.Diff
	for i := range 500 {
		before, after := []string{"apps: web=1"}, []string{fmt.Sprintf("apps: web=%d", i%3)}
		p := pair(fmt.Sprintf("c%03d", i), before, after)
		pairs = append(pairs, p)
		single = append(single, compare(t, impact.Options{Fields: true}, p)...)
	}
	diffs := compare(t, impact.Options{Fields: true}, pairs...)
	if !reflect.DeepEqual(diffs, single) {
		t.Errorf("%d diffs of all pairs at once differ from %d of one after the other", len(diffs), len(single))
	}
}

func TestOrderOfKeysAndSpellingOfNumbersAreNoDifference(t *testing.T) {
	t.Parallel()
	p := pair("ann", nil, nil)
	for rendered, tail := range map[*fleet.Rendered]string{p.Before: `"id":"x","n":{"a":1,"b":[2.0,1]}`, p.After: `"n":{"b":[2,1e0],"a":3},"id":"x"`} {
		rendered.Sets = []string{"s"}
		rendered.Inputs = map[string]*fleet.Answer{"s": fleet.NewAnswer([]*fleet.Input{{ID: "x", Tail: []byte(tail)}}, nil)}
	}
	want := `{"changed":1,"clusters":1,"fields":1,"groups":[{"changes":[{"effect":"changed","fields":[{"after":3,"before":1,"path":"n.a"}],"id":"x","set":"s"}],"clusters":["ann"]}]}`
	if got := sum(t, impact.Options{Fields: true, Values: true}, p); got != want {
		t.Errorf("impact = %s, want %s", got, want)
	}
}

// TestFieldsMatchAnIndependentComparison checks fields against another comparison of the decoded
// inputs.
func TestFieldsMatchAnIndependentComparison(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	different := 0
	for range 3_000 {
		a := randomValue(r, 3)
		b := change(r, a)
		p := pair("ann", nil, nil)
		for rendered, value := range map[*fleet.Rendered]any{p.Before: a, p.After: b} {
			in := &fleet.Input{ID: "x", Head: fmt.Appendf(nil, `"a":%s`, fleet.EncodeJSON(value)), Tail: []byte(`"id":"x"`)}
			rendered.Sets, rendered.Inputs = []string{"s"}, map[string]*fleet.Answer{"s": fleet.NewAnswer([]*fleet.Input{in}, nil)}
		}
		var got []fleet.FieldEffect
		if i := impact.Sum(compare(t, impact.Options{Fields: true, Values: true}, p)); len(i.Groups) > 0 {
			got = i.Groups[0].Changes[0].Fields
		}
		want := fields("a", roundTrip(t, a), roundTrip(t, b))
		if len(want) > 0 {
			different++
		}
		byPath := func(a, b fleet.FieldEffect) int { return cmp.Compare(a.Path, b.Path) }
		slices.SortFunc(got, byPath)
		slices.SortFunc(want, byPath)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s and %s differ in %s, want %s", fleet.EncodeJSON(a), fleet.EncodeJSON(b), fleet.EncodeJSON(got), fleet.EncodeJSON(want))
		}
	}
	if different < 1_000 {
		t.Errorf("only %d pairs of inputs differ", different)
	}
}

// fields returns the fields in which two decoded values differ.
func fields(path string, a, b any) (found []fleet.FieldEffect) {
	if reflect.DeepEqual(a, b) {
		return nil
	}
	from, isObject := a.(map[string]any)
	to, bothObjects := b.(map[string]any)
	if isObject && bothObjects {
		for _, key := range slices.Compact(slices.Sorted(maps.Keys(union(from, to)))) {
			inner := path + "." + key
			if strings.ContainsAny(key, `.[]"`) {
				inner = fmt.Sprintf("%s[%q]", path, key)
			}
			before, had := from[key]
			after, has := to[key]
			switch {
			case !has:
				found = append(found, fleet.FieldEffect{Path: inner, Before: fleet.EncodeJSON(before)})
			case !had:
				found = append(found, fleet.FieldEffect{Path: inner, After: fleet.EncodeJSON(after)})
			default:
				found = append(found, fields(inner, before, after)...)
			}
		}
		return found
	}
	x, isList := a.([]any)
	y, bothLists := b.([]any)
	if isList && bothLists && len(x) == len(y) {
		for i := range x {
			found = append(found, fields(fmt.Sprintf("%s[%d]", path, i), x[i], y[i])...)
		}
		return found
	}
	return []fleet.FieldEffect{{Path: path, Before: fleet.EncodeJSON(a), After: fleet.EncodeJSON(b)}}
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func roundTrip(t *testing.T, v any) (decoded any) {
	t.Helper()
	if err := json.Unmarshal(fleet.EncodeJSON(v), &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

func randomText(r *rand.Rand) string {
	return []string{"a", "", "b.c", `"`, `\`, `\"`, "ü", "{", "],", "a\nb", "<&>", "\u2028"}[r.IntN(12)]
}

func randomValue(r *rand.Rand, depth int) any {
	switch n := r.IntN(7); {
	case n == 0:
		return nil
	case n == 1:
		return r.IntN(2) == 0
	case n == 2:
		return r.NormFloat64()
	case depth < 3 && n < 5 || depth == 0:
		return randomText(r)
	case n == 5:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, randomValue(r, depth-1))
		}
		return list
	}
	object := map[string]any{}
	for range r.IntN(4) {
		object[randomText(r)] = randomValue(r, depth-1)
	}
	return object
}

// change returns a value in which some parts of v are others.
func change(r *rand.Rand, v any) any {
	if r.IntN(5) == 0 {
		return randomValue(r, 2)
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if r.IntN(6) > 0 {
				out[key] = change(r, v[key])
			}
		}
		if r.IntN(4) == 0 {
			out[randomText(r)] = randomValue(r, 1)
		}
		return out
	case []any:
		out := []any{}
		for _, element := range v {
			out = append(out, change(r, element))
		}
		return out
	}
	return v
}
