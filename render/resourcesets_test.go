package render_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/render"
)

func TestResourceSetsAreReadAsObjectsAre(t *testing.T) {
	tree := small(apps(1, "a: b"))
	tree["resourcesets/b/z.yaml"] = &fstest.MapFile{Data: []byte(`# A set without a namespace comes first.
apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSet
metadata: {name: z}
spec: {common: &on {wait: on, big: 9007199254740993, text: '<b>'}, again: *on}
---
apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSet
metadata: {name: b, namespace: flux-system, labels: {a: b}}
`)}
	tree["resourcesets/a.yml"] = &fstest.MapFile{Data: []byte("{apiVersion: fluxcd.controlplane.io/v1, kind: ResourceSet, metadata: {name: a, namespace: flux-system}}")}
	repo, err := render.Renderer{}.Compile(context.Background(), tree)
	if err != nil || len(repo.Problems()) > 0 {
		t.Fatal(err, repo.Problems())
	}
	want := []string{
		`{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet","metadata":{"name":"z"},"spec":{` +
			`"again":{"big":9007199254740993,"text":"<b>","wait":"on"},` +
			`"common":{"big":9007199254740993,"text":"<b>","wait":"on"}}}`,
		`{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet","metadata":{"name":"a","namespace":"flux-system"}}`,
		`{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet","metadata":{"labels":{"a":"b"},"name":"b","namespace":"flux-system"}}`,
	}
	got := repo.ResourceSets()
	if len(got) != len(want) {
		t.Fatalf("ResourceSets = %d of them, want %d", len(got), len(want))
	}
	for i := range got {
		if string(got[i].JSON) != want[i] {
			t.Errorf("ResourceSets[%d] = %s\nwant %s", i, got[i].JSON, want[i])
		}
	}
}

func TestFleetRepoWithoutResourceSetsHasNone(t *testing.T) {
	repo, err := render.Renderer{}.Compile(context.Background(), small(apps(1, "a: b")))
	if err != nil || len(repo.Problems()) > 0 || len(repo.ResourceSets()) > 0 {
		t.Error(err, repo.Problems(), repo.ResourceSets())
	}
}
