package fleet_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// mergePatch is RFC 7386, as it is written there.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out := map[string]any{}
	if old, ok := target.(map[string]any); ok {
		out = maps.Clone(old)
	}
	for key, value := range changes {
		if value == nil {
			delete(out, key)
		} else {
			out[key] = mergePatch(out[key], value)
		}
	}
	return out
}

// anyPatch is a small merge patch, in which the same few keys come up often.
func anyPatch(r *rand.Rand, depth int) any {
	switch n := r.IntN(7); {
	case n == 0:
		return nil
	case n == 1:
		return float64(r.IntN(2))
	case n == 2:
		return []any{"x"}
	case depth == 0:
		return "leaf"
	}
	out := map[string]any{}
	for range r.IntN(4) {
		out[string(rune('a'+r.IntN(3)))] = anyPatch(r, depth-1)
	}
	return out
}

func applyEdits(t *testing.T, base any, edits []fleet.Edit) any {
	t.Helper()
	for _, e := range edits {
		var patch any
		if err := json.Unmarshal(e.Patch, &patch); err != nil {
			t.Fatal(err)
		}
		base = mergePatch(base, patch)
	}
	return base
}

func newEdit(name string, patch any) fleet.Edit {
	text, _ := json.Marshal(patch)
	return fleet.Edit{Kind: "App", Name: name, Patch: text}
}

func TestAddedEditDoesWhatItWouldDoAfterTheOthers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	merged := 0
	for range 20_000 {
		d := &fleet.Delta{Name: "d"}
		var apart []fleet.Edit
		for range 3 {
			e := newEdit("web", anyPatch(r, 3))
			apart = append(apart, e)
			var err error
			if d, err = d.AddEdit(e); err != nil {
				t.Fatal(err)
			}
		}
		merged += len(apart) - len(d.Edits)
		for range 3 {
			base := mergePatch(nil, map[string]any{"a": anyPatch(r, 3), "b": anyPatch(r, 2), "c": "x"})
			got, want := applyEdits(t, base, d.Edits), applyEdits(t, base, apart)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("edits %s of %v make %v, want what %s make: %v", texts(d.Edits), base, got, texts(apart), want)
			}
		}
	}
	if merged == 0 {
		t.Error("no edit was ever put into another")
	}
}

func texts(edits []fleet.Edit) (all []string) {
	for _, e := range edits {
		all = append(all, fmt.Sprintf("%s/%s/%s %s", e.Group, e.Namespace, e.Name, e.Patch))
	}
	return all
}

func TestAddedEditGoesIntoTheLastOfTheSameObject(t *testing.T) {
	of := func(group, namespace, name, patch string) fleet.Edit {
		return fleet.Edit{Group: group, Kind: "App", Namespace: namespace, Name: name, Patch: json.RawMessage(patch)}
	}
	for name, c := range map[string]struct {
		there []fleet.Edit
		added fleet.Edit
		want  []string
	}{
		"none is there":      {nil, of("", "", "web", `{"a":1}`), []string{`//web {"a":1}`}},
		"the same":           {[]fleet.Edit{of("", "", "web", `{"a":1}`)}, of("", "", "web", `{"b":2}`), []string{`//web {"a":1,"b":2}`}},
		"another object":     {[]fleet.Edit{of("", "", "web", `{"a":1}`)}, of("", "", "api", `{"b":2}`), []string{`//web {"a":1}`, `//api {"b":2}`}},
		"another in between": {[]fleet.Edit{of("", "", "web", `{"a":1}`), of("", "", "api", `{}`)}, of("", "", "web", `{"b":2}`), []string{`//web {"a":1,"b":2}`, `//api {}`}},
		"one that may be it": {
			[]fleet.Edit{of("", "", "web", `{"a":1}`), of("g", "", "web", `{"b":3}`)}, of("", "", "web", `{"b":2}`),
			[]string{`//web {"a":1}`, `g//web {"b":3}`, `//web {"b":2}`},
		},
		"one that cannot be it": {
			[]fleet.Edit{of("", "x", "web", `{"a":1}`), of("", "y", "web", `{"b":3}`)}, of("", "x", "web", `{"b":2}`),
			[]string{`/x/web {"a":1,"b":2}`, `/y/web {"b":3}`},
		},
		"made anew": {[]fleet.Edit{of("", "", "web", `{"a":null}`)}, of("", "", "web", `{"a":{"b":1}}`), []string{`//web {"a":null}`, `//web {"a":{"b":1}}`}},
	} {
		before := texts(c.there)
		d, err := fleet.Delta{Name: "d", Edits: c.there}.AddEdit(c.added)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(d.Edits); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: edits = %q, want %q", name, got, c.want)
		}
		if got := texts(c.there); !reflect.DeepEqual(got, before) {
			t.Errorf("%s: the delta that was there is written to: %q, want %q", name, got, before)
		}
	}
	if _, err := (fleet.Delta{}).AddEdit(of("", "", "web", `{`)); err == nil {
		t.Error("a patch that is no JSON is taken")
	}
}

func TestDeltasForAClusterComeInOrder(t *testing.T) {
	prod := &fleet.Selector{MatchLabels: map[string]string{"environment": "prod"}}
	all := []*fleet.Delta{
		{Cluster: "one"}, {Name: "z", Selector: prod, Priority: -1}, {Name: "b", Clusters: []string{"one"}},
		{Name: "a", Selector: prod}, {Name: "other", Clusters: []string{"two"}}, {Cluster: "two"}, {Name: "last", Selector: &fleet.Selector{}, Priority: 9},
	}
	one := &fleet.Cluster{Name: "one", Labels: map[string]string{"environment": "prod"}}
	got, err := fleet.DeltasFor(one, all)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range got {
		ids = append(ids, d.ID())
	}
	want := []string{"delta/z", "delta/a", "delta/b", "delta/last", "cluster/one"}
	if !reflect.DeepEqual(ids, want) {
		t.Errorf("DeltasFor = %q, want %q", ids, want)
	}
	for _, bad := range [][]*fleet.Delta{{{Name: "a"}}, {{Cluster: "one"}, {Cluster: "one"}}, {{Cluster: "two", Priority: 1}}} {
		if _, err := fleet.DeltasFor(one, bad); err == nil {
			t.Errorf("DeltasFor(%v) is no error", bad)
		}
	}
}
