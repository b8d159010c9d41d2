package render_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// checkRemembered holds a Renderer that has compiled an earlier tree to one that has
// not: what it remembers must make no difference.
func checkRemembered(t *testing.T, earlier, tree fstest.MapFS) {
	t.Helper()
	renderer, fresh := render.NewRenderer(), compileTree(t, tree)
	for i, revision := range []fstest.MapFS{earlier, tree, tree} {
		repo, err := renderer.Compile(context.Background(), revision)
		if err != nil {
			t.Fatal(err)
		}
		got := sets(t, repo) // also what it reads while it renders
		if i == 0 {
			continue
		}
		if want := sets(t, fresh); !maps.EqualFunc(got, want, maps.Equal) {
			t.Errorf("answers after another revision = %v, want %v", got, want)
		}
		if !slices.Equal(repo.Problems(), fresh.Problems()) || !maps.Equal(repo.Broken(), fresh.Broken()) {
			t.Errorf("problems after another revision = %v, want %v", repo.Problems(), fresh.Problems())
		}
		if !slices.EqualFunc(repo.Clusters(), fresh.Clusters(), func(a, b *fleet.Cluster) bool { return reflect.DeepEqual(a, b) }) {
			t.Errorf("clusters after another revision = %v, want %v", repo.Clusters(), fresh.Clusters())
		}
	}
}

// TestRememberedClusterLosesItsComponent is of a cluster file that stays as it is while
// what it names goes.
func TestRememberedClusterLosesItsComponent(t *testing.T) {
	earlier := regions()
	all(replace("clusters/eu/eu-2.yaml", "spec:", "spec:\n  components: [components/own]"),
		set("components/own/kustomization.yaml", "kind: Component\n"))(earlier)
	tree := maps.Clone(earlier)
	delete(tree, "components/own/kustomization.yaml")
	checkRemembered(t, earlier, tree)
	if _, broken := compileTree(t, tree).Broken()["eu-2"]; !broken {
		t.Error("a cluster without its component is not broken")
	}
}

// TestRememberedClusterMoves is of a cluster file that only has another name.
func TestRememberedClusterMoves(t *testing.T) {
	tree := regions()
	tree["clusters/moved.yaml"] = tree["clusters/us.yaml"]
	delete(tree, "clusters/us.yaml")
	checkRemembered(t, regions(), tree)
}
