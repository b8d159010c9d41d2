package controller_test

import (
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// scaleFleet runs the default fleet of fleetgen and returns its description.
func scaleFleet(b *testing.B) (*rig, *synthetic.Fleet) {
	b.Helper()
	made, err := synthetic.New(synthetic.Default())
	if err != nil {
		b.Fatal(err)
	}
	tree := fstest.MapFS{}
	for name, content := range made.Files() {
		tree[name] = &fstest.MapFile{Data: content}
	}
	s := newSource()
	s.put("main@1", tree)
	r := start(b, s, openStore(b, sqliteFile(b)), func(cfg *controller.Config) { cfg.Renderer = render.NewRenderer() })
	r.awaitRevision("main@1")
	return r, made
}

// BenchmarkPatchAmongTenThousand is BenchmarkPatchAgainstBareTransaction with the default fleet.
// The cost of a patch must not depend on the number of clusters.
func BenchmarkPatchAmongTenThousand(b *testing.B) {
	r, made := scaleFleet(b)
	againstBare(b, r, "PlatformComponent/keda", func(n int) string { return made.ClusterName(n * 37 % 100) })
}

// BenchmarkGroupDeltaOverAThird writes a delta for the clusters of the default fleet in dev, which
// are a third.
func BenchmarkGroupDeltaOverAThird(b *testing.B) {
	r, made := scaleFleet(b)
	third := (made.Clusters + 2) / 3
	groupDelta(b, r, "PlatformComponent", "keda", third)
}
