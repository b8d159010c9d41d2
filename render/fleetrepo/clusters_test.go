package fleetrepo_test

import (
	"maps"
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
)

// TestClustersShareEqualLabelsAndTargets reads a cluster with an invalid label, and then
// three valid ones. Two of them have the same labels and the same target. The labels of
// the first and of the others look the same as text.
func TestClustersShareEqualLabelsAndTargets(t *testing.T) {
	t.Parallel()
	const patch = "}\nspec:\n  patches: [{target: {kind: App, name: web}, patch: '[{op: remove, path: /spec/x}]'}]\n"
	var last *fleetrepo.Clusters
	read := func(clusters map[string]string) map[string]*fleet.Cluster {
		tree := fstest.MapFS{}
		for name, labels := range clusters {
			text := "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: " + name + ", labels: " + labels + patch
			tree["clusters/"+name+".yaml"] = &fstest.MapFile{Data: []byte(text)}
		}
		last = fleetrepo.ReadClusters(tree, last)
		found := map[string]*fleet.Cluster{}
		for _, c := range last.All {
			found[c.Name] = c
		}
		return found
	}
	if bad := read(map[string]string{"bad": `{a: "1,b=2"}`}); len(bad) > 0 {
		t.Fatal("a cluster with an invalid label is served")
	}
	all := read(map[string]string{"one": "{a: '1', b: '2'}", "two": "{b: '2', a: '1'}", "three": "{a: '1', b: '3'}"})
	for name, want := range map[string]map[string]string{"one": {"a": "1", "b": "2"}, "two": {"a": "1", "b": "2"}, "three": {"a": "1", "b": "3"}} {
		if got := all[name].Labels; !maps.Equal(got, want) {
			t.Errorf("labels of %s = %v, want %v", name, got, want)
		}
	}
	one, two := all["one"], all["two"]
	if reflect.ValueOf(one.Labels).Pointer() != reflect.ValueOf(two.Labels).Pointer() || one.Patches[0].Target != two.Patches[0].Target {
		t.Error("equal labels or targets are in memory twice")
	}
}
