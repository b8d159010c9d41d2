package render

import (
	"maps"
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestClustersShareWhatIsTheSameAndNothingElse compiles labels that are no good, and then good
// ones that are written the same in a line, of two clusters with one target and of a third.
func TestClustersShareWhatIsTheSameAndNothingElse(t *testing.T) {
	renderer := NewRenderer()
	compile := func(clusters map[string]string) map[string]*fleet.Cluster {
		files := fstest.MapFS{
			"fleet.yaml":                 {Data: []byte(generatedFleet)},
			"overlay/kustomization.yaml": {Data: []byte("resources: []\n")},
		}
		for name, rest := range clusters {
			text := "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: " + name + ", labels: " + rest
			files["clusters/"+name+".yaml"] = &fstest.MapFile{Data: []byte(text)}
		}
		repo, err := renderer.Compile(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]*fleet.Cluster{}
		for _, c := range repo.Clusters() {
			found[c.Name] = c
		}
		return found
	}
	const patch = "}\nspec:\n  patches: [{target: {kind: App, name: web}, patch: '[{op: remove, path: /spec/x}]'}]\n"
	if bad := compile(map[string]string{"bad": `{a: "1,b=2"}` + patch}); len(bad) > 0 {
		t.Fatal("labels that are no good are served")
	}
	all := compile(map[string]string{"one": "{a: '1', b: '2'}" + patch, "two": "{b: '2', a: '1'}" + patch, "three": "{a: '1', b: '3'}" + patch})
	for name, want := range map[string]map[string]string{"one": {"a": "1", "b": "2"}, "two": {"a": "1", "b": "2"}, "three": {"a": "1", "b": "3"}} {
		if got := all[name].Labels; !maps.Equal(got, want) {
			t.Errorf("labels of %s = %v, want %v", name, got, want)
		}
	}
	one, two := all["one"], all["two"]
	if reflect.ValueOf(one.Labels).Pointer() != reflect.ValueOf(two.Labels).Pointer() || one.Patches[0].Target != two.Patches[0].Target {
		t.Error("clusters that say the same have it in memory twice")
	}
}
