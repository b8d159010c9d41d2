package patch

import (
	"errors"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// readObject reads one object from YAML.
func readObject(t *testing.T, text string) *kustomize.Object {
	t.Helper()
	found, err := kustomize.ReadResources([]byte(text))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	o, err := found[0].Object()
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

// TestNumberBeyondFloat64IsLeftToTheLibrary has a number that no float64 holds, so that
// the fast way of JSON patches cannot be used.
func TestNumberBeyondFloat64IsLeftToTheLibrary(t *testing.T) {
	t.Parallel()
	o := readObject(t, "apiVersion: example.com/v1\nkind: App\nmetadata: {name: web}\nspec: {n: 1}\n").WithValue(nil, nil)
	o.JSON = []byte(`{"apiVersion":"example.com/v1","kind":"App","metadata":{"name":"web"},"spec":{"n":1e999}}`)
	value, err := yamltext.DecodeJSON(o.JSON)
	if err != nil {
		t.Fatal(err)
	}
	o = o.WithValue(value, nil)
	p, err := Read(fleet.Patch{Patch: `[{"op": "add", "path": "/spec/new", "value": 1}]`, Target: &fleet.Target{Kind: "App"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(&o, nil); err == nil || !strings.Contains(err.Error(), "1e999") {
		t.Errorf("Apply = %v, want the library's error about 1e999", err)
	}
}

// TestPatchThatMayRenameNeedsBuild checks that whatever may change an object's identity
// is left to a whole build.
func TestPatchThatMayRenameNeedsBuild(t *testing.T) {
	t.Parallel()
	o := readObject(t, "apiVersion: example.com/v1\nkind: App\nmetadata: {name: web}\nspec: {n: 1}\n")
	for text, want := range map[string]bool{
		`[{"op": "add", "path": "/spec/n", "value": 2}]`:                                  false,
		`[{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]`:                false,
		`[{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]`:           true,
		`[{"op": "replace", "path": "/metadata/name", "value": "other"}]`:                 true,
		`[{"op": "replace", "path": "/kind", "value": "Other"}]`:                          true,
		`[{"op": "copy", "from": "/metadata/name", "path": "/spec/name"}]`:                true,
		"{apiVersion: example.com/v1, kind: App, metadata: {name: any}, spec: {n: 2}}":    false,
		"{apiVersion: example.com/v1, kind: App, metadata: {name: any, finalizers: [a]}}": true,
	} {
		p, err := Read(fleet.Patch{Patch: text, Target: &fleet.Target{Kind: "App"}})
		if err != nil {
			t.Fatal(err)
		}
		var m *Merge
		if merges := p.Merges(); len(merges) > 0 {
			m = &merges[0]
		}
		_, err = p.Apply(o, m)
		if p.NeedsBuild() != want || errors.Is(err, ErrNeedsBuild) != want {
			t.Errorf("%s: NeedsBuild = %v, Apply = %v, want %v", text, p.NeedsBuild(), err, want)
		}
	}
}
