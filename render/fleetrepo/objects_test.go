package fleetrepo_test

import (
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/render/fleetrepo"
)

func TestResourceSetsAreReadAsObjectsAre(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"resourcesets/b/z.yaml": {Data: []byte(`# A set without a namespace comes first.
apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSet
metadata: {name: z}
spec: {common: &on {wait: on, big: 9007199254740993, text: '<b>'}, again: *on}
---
apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSet
metadata: {name: b, namespace: flux-system, labels: {a: b}}
`)},
		"resourcesets/a.yml": {Data: []byte("{apiVersion: fluxcd.controlplane.io/v1, kind: ResourceSet, metadata: {name: a, namespace: flux-system}}")},
	}
	got, problems := fleetrepo.ReadResourceSets(tree)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []string{
		`{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet","metadata":{"name":"z"},"spec":{` +
			`"again":{"big":9007199254740993,"text":"<b>","wait":"on"},` +
			`"common":{"big":9007199254740993,"text":"<b>","wait":"on"}}}`,
		`{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet","metadata":{"name":"a","namespace":"flux-system"}}`,
		`{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet","metadata":{"labels":{"a":"b"},"name":"b","namespace":"flux-system"}}`,
	}
	if len(got) != len(want) {
		t.Fatalf("%d ResourceSets, want %d", len(got), len(want))
	}
	for i := range got {
		if string(got[i].JSON) != want[i] {
			t.Errorf("ResourceSet %d = %s\nwant %s", i, got[i].JSON, want[i])
		}
	}
}

func TestFleetRepoWithoutResourceSetsHasNone(t *testing.T) {
	t.Parallel()
	if sets, problems := fleetrepo.ReadResourceSets(fstest.MapFS{}); len(sets)+len(problems) > 0 {
		t.Error(sets, problems)
	}
}
