package fleet_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestSameProblemOfManyClustersIsOneLine(t *testing.T) {
	t.Parallel()
	var all fleet.Problems
	for i := range 3000 {
		name := fmt.Sprintf("edge-%04d", i)
		all = append(all, fleet.Problem{Cluster: name, Delta: "delta/pin", Field: "edits[0]", Message: "must be an integer"})
	}
	all = append(all, fleet.Problem{Message: "of the fleet"}, fleet.Problem{Cluster: "one", File: "base/app.yaml", Line: 3, Message: "of one"})
	want := `clusters "edge-0000", "edge-0001", "edge-0002", "edge-0003", "edge-0004" and 2995 more: delta "pin": edits[0]: must be an integer
of the fleet
base/app.yaml:3: cluster "one": of one`
	if got := all.Error(); got != want {
		t.Errorf("Error = %s, want %s", got, want)
	}
	groups := all.Group()
	if len(groups) != 3 || len(groups[0].Clusters) != 3000 || groups[1].Clusters != nil || !slices.Equal(groups[2].Clusters, []string{"one"}) {
		t.Errorf("Group = %+v", groups)
	}
}
