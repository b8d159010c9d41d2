package impact_test

import (
	"reflect"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/impact"
)

// open is a guard that allows everything.
var open = fleet.Guard{
	RemovedPerCluster: fleet.Limit{N: 100, Percent: true}, RemovedPerFleet: fleet.Limit{N: 100, Percent: true}, FailingClusters: fleet.Limit{N: 100, Percent: true},
	AllowEmptySets: true, AllowVanishedSets: true, AllowStaleParts: true,
}

func TestCheckReportsEachLimitThatIsExceeded(t *testing.T) {
	t.Parallel()
	stale := pair("ann", []string{"apps: a=1"}, []string{"apps: a=1"})
	for _, field := range []string{"edits[0]", "edits[1]", "edits[2]", "edits[3]"} {
		stale.After.Stale = append(stale.After.Stale, fleet.StalePart{Part: fleet.Part{Delta: "delta/x", Field: field}})
	}
	lose := func(name string) impact.Pair { return pair(name, []string{"apps: a=1 b=1 c=1"}, []string{"apps: a=1"}) }
	for name, c := range map[string]struct {
		guard func(g *fleet.Guard)
		pairs []impact.Pair
		want  []fleet.Violation
	}{
		"open guard":          {func(*fleet.Guard) {}, []impact.Pair{lose("ann"), stale, pair("bob", []string{"a: x=1", "b:"}, []string{"a:"})}, nil},
		"inputs of the fleet": {func(g *fleet.Guard) { g.RemovedPerFleet = fleet.Limit{N: 1} }, []impact.Pair{lose("ann")}, []fleet.Violation{{Rule: "removedPerFleet", Message: "the fleet would lose 2 of 10 inputs (1 allowed)"}}},
		"within the limit":    {func(g *fleet.Guard) { g.RemovedPerFleet = fleet.Limit{N: 20, Percent: true} }, []impact.Pair{lose("ann")}, nil},
		"inputs that move": {
			func(g *fleet.Guard) { g.RemovedPerFleet = fleet.Limit{} },
			[]impact.Pair{pair("ann", []string{"a: x=1 y=1", "b:"}, []string{"a: y=1", "b: x=1"})},
			[]fleet.Violation{{Rule: "removedPerFleet", Message: "the fleet would lose 1 of 10 inputs (0 allowed)"}},
		},
		"inputs of clusters": {
			func(g *fleet.Guard) { g.RemovedPerCluster = fleet.Limit{N: 33, Percent: true} },
			[]impact.Pair{pair("a", []string{"apps: a=1 b=1 c=1"}, []string{"apps: a=1 b=1"}), lose("b"), lose("c"), lose("d")},
			[]fleet.Violation{{Rule: "removedPerCluster", Cluster: "b", Message: `cluster "b": would lose 2 of 3 inputs (33% allowed), and the same rule stops 2 more clusters`}},
		},
		"empty sets": {
			func(g *fleet.Guard) { g.AllowEmptySets = false },
			[]impact.Pair{pair("ann", []string{"a: x=1", "b: x=1"}, []string{"a:", "b:"}), pair("bob", []string{"a: x=1"}, []string{"a:"})},
			[]fleet.Violation{{Rule: "allowEmptySets", Cluster: "ann", Message: `cluster "ann": set a, b would become empty, and the same rule stops 1 more cluster`}},
		},
		"vanished sets": {
			func(g *fleet.Guard) { g.AllowVanishedSets = false },
			[]impact.Pair{pair("ann", []string{"a:"}, nil)},
			[]fleet.Violation{{Rule: "allowVanishedSets", Cluster: "ann", Message: `cluster "ann": set a would vanish`}},
		},
		"stale parts": {
			func(g *fleet.Guard) { g.AllowStaleParts = false },
			[]impact.Pair{stale},
			[]fleet.Violation{{Rule: "allowOrphanedParts", Cluster: "ann", Message: `cluster "ann": delta/x edits[0], delta/x edits[1], delta/x edits[2] and 1 more would stop applying`}},
		},
		"several": {
			func(g *fleet.Guard) { *g = fleet.Guard{} },
			[]impact.Pair{pair("ann", []string{"a: x=1", "b:"}, []string{"a:"})},
			[]fleet.Violation{
				{Rule: "removedPerFleet", Message: "the fleet would lose 1 of 10 inputs (0 allowed)"},
				{Rule: "removedPerCluster", Cluster: "ann", Message: `cluster "ann": would lose 1 of 1 inputs (0 allowed)`},
				{Rule: "allowEmptySets", Cluster: "ann", Message: `cluster "ann": set a would become empty`},
				{Rule: "allowVanishedSets", Cluster: "ann", Message: `cluster "ann": set b would vanish`},
			},
		},
	} {
		guard := open
		c.guard(&guard)
		diffs := compare(t, impact.Options{}, c.pairs...)
		if got := impact.Check(guard, diffs, impact.Sum(diffs), func() int { return 10 }); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: violations = %v, want %v", name, got, c.want)
		}
	}
}

func TestCheckCountsInputsOnlyWhereSomeAreLost(t *testing.T) {
	t.Parallel()
	diffs := compare(t, impact.Options{}, pair("ann", []string{"apps: a=1"}, []string{"apps: a=2 b=1"}))
	impact.Check(fleet.Guard{}, diffs, impact.Sum(diffs), func() int {
		t.Error("the inputs of the fleet are counted, although none is lost")
		return 0
	})
}

func TestCheckFailingLimitsTheClustersThatAReleaseIsInvalidFor(t *testing.T) {
	t.Parallel()
	guard := fleet.Guard{FailingClusters: fleet.Limit{N: 10, Percent: true}}
	failing := []fleet.FailingCluster{{Cluster: "ann", Reason: "no image"}, {Cluster: "bob", Reason: "no tag"}}
	want := []fleet.Violation{{Rule: "failingClusters", Cluster: "ann", Message: "the release is not valid for 2 of 10 clusters (10% allowed); the first is ann: no image"}}
	if got := impact.CheckFailing(guard, failing, 10); !reflect.DeepEqual(got, want) {
		t.Errorf("violations = %v, want %v", got, want)
	}
	for name, got := range map[string][]fleet.Violation{
		"within the limit":   impact.CheckFailing(guard, failing, 11),
		"no failing cluster": impact.CheckFailing(fleet.Guard{}, nil, 0),
	} {
		if got != nil {
			t.Errorf("%s: violations = %v, want none", name, got)
		}
	}
}
