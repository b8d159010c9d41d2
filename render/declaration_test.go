package render_test

import (
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// Compile has not seen what the API declares, so it is told with the cluster which of
// its directories are not in the fleet repo, or not any more.
func TestDeclaredClusterIsToldWhichDirectoryIsNotThere(t *testing.T) {
	repo := compile(t, small(apps(1, "a: b")))
	for _, test := range []struct {
		cluster *fleet.Cluster
		want    string
	}{
		{&fleet.Cluster{Overlay: "overlays/gone"}, `overlay: "overlays/gone": does not exist`},
		{&fleet.Cluster{Overlay: "base", Components: []string{"components/gone"}}, `components[0]: "components/gone": does not exist`},
	} {
		test.cluster.Name = "edge-1"
		rendering, problems := repo.Render(test.cluster, nil, nil)
		if rendering != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), test.want) {
			t.Errorf("Render(%+v) = %v, %v, want the one problem %q", test.cluster, rendering, problems, test.want)
		}
	}
}
