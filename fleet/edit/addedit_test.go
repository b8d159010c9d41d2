package edit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/edit"
)

// randomPatch returns a small merge patch in which the same few keys occur often.
func randomPatch(r *rand.Rand, depth int) any {
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
		out[string(rune('a'+r.IntN(3)))] = randomPatch(r, depth-1)
	}
	return out
}

func patchesOf(t *testing.T, edits []fleet.Edit) (patches []any) {
	t.Helper()
	for _, e := range edits {
		patches = append(patches, decode(t, e.Patch))
	}
	return patches
}

func apply(base any, patches []any) any {
	for _, p := range patches {
		base = mergePatch(base, p)
	}
	return base
}

func TestAddedEditIsAppliedAfterTheOthers(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	merged := 0
	for range 20_000 {
		d := &fleet.Delta{Name: "d"}
		var separate []fleet.Edit
		for range 3 {
			e := fleet.Edit{Kind: "App", Name: "web", Patch: fleet.EncodeJSON(randomPatch(r, 3))}
			separate = append(separate, e)
			var err error
			if d, err = edit.AddEdit(*d, e); err != nil {
				t.Fatal(err)
			}
		}
		merged += len(separate) - len(d.Edits)
		added, all := patchesOf(t, d.Edits), patchesOf(t, separate)
		for range 3 {
			base := mergePatch(nil, map[string]any{"a": randomPatch(r, 3), "b": randomPatch(r, 2), "c": "x"})
			if got, want := apply(base, added), apply(base, all); !reflect.DeepEqual(got, want) {
				t.Fatalf("edits %s of %v make %v, want %v as by %s", texts(d.Edits), base, got, want, texts(separate))
			}
		}
	}
	if merged == 0 {
		t.Error("no edit was ever merged into another")
	}
}

func texts(edits []fleet.Edit) (all []string) {
	for _, e := range edits {
		all = append(all, fmt.Sprintf("%s/%s/%s %s", e.Group, e.Namespace, e.Name, e.Patch))
	}
	return all
}

func TestAddedEditIsMergedIntoTheLastOfTheSameObject(t *testing.T) {
	t.Parallel()
	of := func(group, namespace, name, patch string) fleet.Edit {
		return fleet.Edit{Group: group, Kind: "App", Namespace: namespace, Name: name, Patch: json.RawMessage(patch)}
	}
	for name, c := range map[string]struct {
		there []fleet.Edit
		added fleet.Edit
		want  []string
	}{
		"no edit":            {nil, of("", "", "web", `{"a":1}`), []string{`//web {"a":1}`}},
		"same object":        {[]fleet.Edit{of("", "", "web", `{"a":1}`)}, of("", "", "web", `{"b":2}`), []string{`//web {"a":1,"b":2}`}},
		"another object":     {[]fleet.Edit{of("", "", "web", `{"a":1}`)}, of("", "", "api", `{"b":2}`), []string{`//web {"a":1}`, `//api {"b":2}`}},
		"another in between": {[]fleet.Edit{of("", "", "web", `{"a":1}`), of("", "", "api", `{}`)}, of("", "", "web", `{"b":2}`), []string{`//web {"a":1,"b":2}`, `//api {}`}},
		"possibly the same object": {
			[]fleet.Edit{of("", "", "web", `{"a":1}`), of("g", "", "web", `{"b":3}`)}, of("", "", "web", `{"b":2}`),
			[]string{`//web {"a":1}`, `g//web {"b":3}`, `//web {"b":2}`},
		},
		"another namespace": {
			[]fleet.Edit{of("", "x", "web", `{"a":1}`), of("", "y", "web", `{"b":3}`)}, of("", "x", "web", `{"b":2}`),
			[]string{`/x/web {"a":1,"b":2}`, `/y/web {"b":3}`},
		},
		"removed and created again": {[]fleet.Edit{of("", "", "web", `{"a":null}`)}, of("", "", "web", `{"a":{"b":1}}`), []string{`//web {"a":null}`, `//web {"a":{"b":1}}`}},
	} {
		before := texts(c.there)
		d, err := edit.AddEdit(fleet.Delta{Name: "d", Edits: c.there}, c.added)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(d.Edits); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: edits = %q, want %q", name, got, c.want)
		}
		if got := texts(c.there); !reflect.DeepEqual(got, before) {
			t.Errorf("%s: the original delta was modified: %q, want %q", name, got, before)
		}
	}
	if _, err := edit.AddEdit(fleet.Delta{}, of("", "", "web", `{`)); !errors.Is(err, fleet.ErrInvalid) {
		t.Errorf("AddEdit of malformed JSON = %v, want %v", err, fleet.ErrInvalid)
	}
}
