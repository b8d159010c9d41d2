package impact_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/impact"
)

// open is a guard that allows everything.
var open = fleet.Guard{
	RemovedPerCluster: fleet.Limit{N: 100, Percent: true}, RemovedPerFleet: fleet.Limit{N: 100, Percent: true}, FailingClusters: fleet.Limit{N: 100, Percent: true},
	RemovedEverywhere: fleet.Limit{N: 100, Percent: true}, OrphanedClusters: fleet.Limit{N: 100, Percent: true}, Window: 24 * time.Hour,
	AllowEmptySets: true, AllowVanishedSets: true, AllowStaleParts: true,
}

// before returns a fleet that is served some inputs, each by some clusters, and that lost others before.
func before(inputs, having int, earlier ...fleet.LossGroup) impact.Before {
	return impact.Before{
		Inputs: func() int { return inputs }, Having: func(fleet.InputRef) int { return having },
		Earlier: func() []fleet.LossGroup { return earlier },
	}
}

// lostBefore returns what a cluster lost, such as "apps/a apps/b".
func lostBefore(cluster, inputs string) []fleet.LossGroup {
	g := fleet.LossGroup{Clusters: []string{cluster}}
	for _, in := range strings.Fields(inputs) {
		set, id, _ := strings.Cut(in, "/")
		g.Inputs = append(g.Inputs, fleet.InputRef{Set: set, ID: id})
	}
	return []fleet.LossGroup{g}
}

// of makes the inputs of a pair those of objects of a kind.
func of(kind string, p impact.Pair) impact.Pair {
	for _, r := range []*fleet.Rendered{p.Before, p.After} {
		if r == nil {
			continue
		}
		for _, a := range r.Inputs {
			for _, in := range a.Inputs {
				in.Object = unique.Make(fleet.ObjectRef{APIVersion: "example.com/v1", Kind: kind, Name: in.ID})
			}
		}
	}
	return p
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
		// had is how many clusters have each input, and earlier what was lost before.
		had     int
		earlier []fleet.LossGroup
	}{
		"open guard": {guard: func(*fleet.Guard) {}, pairs: []impact.Pair{lose("ann"), stale, pair("bob", []string{"a: x=1", "b:"}, []string{"a:"})}},
		"inputs of the fleet": {
			guard: func(g *fleet.Guard) { g.RemovedPerFleet = fleet.Limit{N: 1} }, pairs: []impact.Pair{lose("ann")},
			want: []fleet.Violation{{Rule: "removedPerFleet", Message: "the fleet would lose 2 of 10 inputs (1 allowed)"}},
		},
		"within the limit": {guard: func(g *fleet.Guard) { g.RemovedPerFleet = fleet.Limit{N: 20, Percent: true} }, pairs: []impact.Pair{lose("ann")}},
		"inputs of the fleet that add up": {
			guard: func(g *fleet.Guard) { g.RemovedPerFleet = fleet.Limit{N: 20, Percent: true} }, pairs: []impact.Pair{lose("ann")}, earlier: lostBefore("bob", "apps/x apps/y"),
			want: []fleet.Violation{{Rule: "removedPerFleet", Message: "the fleet would lose 4 of 12 inputs (20% allowed), with 2 lost earlier, within the last 24h"}},
		},
		"nothing adds up without a window": {
			guard: func(g *fleet.Guard) { g.RemovedPerFleet, g.Window = fleet.Limit{N: 20, Percent: true}, 0 }, pairs: []impact.Pair{lose("ann")}, earlier: lostBefore("bob", "apps/x apps/y"),
		},
		"inputs of a cluster that add up": {
			guard:   func(g *fleet.Guard) { g.RemovedPerCluster = fleet.Limit{N: 50, Percent: true} },
			pairs:   []impact.Pair{pair("ann", []string{"apps: a=1 b=1 c=1"}, []string{"apps: a=1 b=1"}), pair("bob", []string{"apps: a=1 b=1 c=1"}, []string{"apps: a=1 b=1"})},
			earlier: slices.Concat(lostBefore("bob", "apps/x apps/y apps/z"), lostBefore("cid", "apps/x")),
			want:    []fleet.Violation{{Rule: "removedPerCluster", Cluster: "bob", Message: `cluster "bob": would lose 4 of 6 inputs (50% allowed), with 3 lost earlier, within the last 24h`}},
		},
		"an input that most clusters lose": {
			guard: func(g *fleet.Guard) { g.RemovedEverywhere = fleet.Limit{N: 25, Percent: true} }, pairs: []impact.Pair{lose("ann"), lose("bob")}, had: 4,
			want: []fleet.Violation{{Rule: "removedEverywhere", Message: "apps/b would vanish from 2 of 4 clusters that have it (25% allowed), and the same rule stops 1 more input"}},
		},
		"an input that few of the clusters lose": {guard: func(g *fleet.Guard) { g.RemovedEverywhere = fleet.Limit{N: 25, Percent: true} }, pairs: []impact.Pair{lose("ann"), lose("bob")}, had: 5},
		"an input that one cluster has":          {guard: func(g *fleet.Guard) { g.RemovedEverywhere = fleet.Limit{} }, pairs: []impact.Pair{lose("ann")}, had: 1},
		"an input that clusters lose one after the other": {
			guard: func(g *fleet.Guard) { g.RemovedEverywhere = fleet.Limit{N: 25, Percent: true} }, pairs: []impact.Pair{lose("ann")}, had: 3, earlier: lostBefore("bob", "apps/b"),
			want: []fleet.Violation{{Rule: "removedEverywhere", Message: "apps/b would vanish from 2 of 4 clusters that have it (25% allowed), with 1 lost earlier, within the last 24h"}},
		},
		"a protected object": {
			guard: func(g *fleet.Guard) { g.Protected = []fleet.Protection{{Kind: "Namespace"}} },
			pairs: []impact.Pair{of("Namespace", pair("ann", []string{"apps: a=1 b=1 c=1"}, []string{"apps: a=1 b=1"})), of("App", pair("bob", []string{"apps: a=1 b=1"}, []string{"apps: a=1"}))},
			want:  []fleet.Violation{{Rule: "protected", Cluster: "ann", Message: `cluster "ann": would lose apps/c (Namespace c), which the guard protects`}},
		},
		"a protected object that moves": {
			guard: func(g *fleet.Guard) { g.Protected = []fleet.Protection{{Kind: "Namespace"}} },
			pairs: []impact.Pair{of("Namespace", pair("ann", []string{"a: x=1 y=1", "b:"}, []string{"a: y=1", "b: x=1"}))},
			want:  []fleet.Violation{{Rule: "protected", Cluster: "ann", Message: `cluster "ann": would lose a/x (Namespace x), which the guard protects`}},
		},
		"a protected object that another one replaces under its ID": {
			guard: func(g *fleet.Guard) { g.Protected = []fleet.Protection{{Kind: "Namespace"}} },
			pairs: []impact.Pair{func() impact.Pair {
				p := of("Namespace", pair("ann", []string{"apps: a=1"}, []string{"apps: a=2"}))
				of("App", impact.Pair{Before: p.After})
				return p
			}()},
			want: []fleet.Violation{{Rule: "protected", Cluster: "ann", Message: `cluster "ann": would lose apps/a (Namespace a), which the guard protects`}},
		},
		"a protected ID of a set": {
			guard: func(g *fleet.Guard) { g.Protected = []fleet.Protection{{Set: "jobs", ID: "b"}} },
			pairs: []impact.Pair{pair("ann", []string{"apps: b=1 c=1", "jobs: a=1 b=1"}, []string{"apps: c=1", "jobs: a=1"}), lose("bob")},
			want:  []fleet.Violation{{Rule: "protected", Cluster: "ann", Message: `cluster "ann": would lose jobs/b, which the guard protects`}},
		},
		"inputs that move": {
			guard: func(g *fleet.Guard) { g.RemovedPerFleet = fleet.Limit{} },
			pairs: []impact.Pair{pair("ann", []string{"a: x=1 y=1", "b:"}, []string{"a: y=1", "b: x=1"})},
			want:  []fleet.Violation{{Rule: "removedPerFleet", Message: "the fleet would lose 1 of 10 inputs (0 allowed)"}},
		},
		"inputs of clusters": {
			guard: func(g *fleet.Guard) { g.RemovedPerCluster = fleet.Limit{N: 33, Percent: true} },
			pairs: []impact.Pair{pair("a", []string{"apps: a=1 b=1 c=1"}, []string{"apps: a=1 b=1"}), lose("b"), lose("c"), lose("d")},
			want:  []fleet.Violation{{Rule: "removedPerCluster", Cluster: "b", Message: `cluster "b": would lose 2 of 3 inputs (33% allowed), and the same rule stops 2 more clusters`}},
		},
		"empty sets": {
			guard: func(g *fleet.Guard) { g.AllowEmptySets = false },
			pairs: []impact.Pair{pair("ann", []string{"a: x=1", "b: x=1"}, []string{"a:", "b:"}), pair("bob", []string{"a: x=1"}, []string{"a:"})},
			want:  []fleet.Violation{{Rule: "allowEmptySets", Cluster: "ann", Message: `cluster "ann": set a, b would become empty, and the same rule stops 1 more cluster`}},
		},
		"vanished sets": {
			guard: func(g *fleet.Guard) { g.AllowVanishedSets = false },
			pairs: []impact.Pair{pair("ann", []string{"a:"}, nil)},
			want:  []fleet.Violation{{Rule: "allowVanishedSets", Cluster: "ann", Message: `cluster "ann": set a would vanish`}},
		},
		"stale parts": {
			guard: func(g *fleet.Guard) { g.AllowStaleParts = false },
			pairs: []impact.Pair{stale},
			want:  []fleet.Violation{{Rule: "allowOrphanedParts", Cluster: "ann", Message: `cluster "ann": delta/x edits[0], delta/x edits[1], delta/x edits[2] and 1 more would stop applying`}},
		},
		"several": {
			guard: func(g *fleet.Guard) { *g = fleet.Guard{} },
			pairs: []impact.Pair{pair("ann", []string{"a: x=1", "b:"}, []string{"a:"})},
			want: []fleet.Violation{
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
		if got := impact.Check(guard, diffs, impact.Sum(diffs), before(10, c.had, c.earlier...)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: violations = %v, want %v", name, got, c.want)
		}
	}
}

func TestCheckCountsInputsOnlyWhereSomeAreLost(t *testing.T) {
	t.Parallel()
	diffs := compare(t, impact.Options{}, pair("ann", []string{"apps: a=1"}, []string{"apps: a=2 b=1"}))
	impact.Check(fleet.Guard{Window: time.Hour}, diffs, impact.Sum(diffs), impact.Before{
		Inputs: func() int {
			t.Error("the inputs of the fleet are counted, although none is lost")
			return 0
		},
		Having: func(fleet.InputRef) int {
			t.Error("the clusters that have an input are counted, although none is lost")
			return 0
		},
		Earlier: func() []fleet.LossGroup {
			t.Error("what was lost before is looked for, although nothing is lost")
			return nil
		},
	})
}

func TestCheckFailingLimitsTheClustersThatAReleaseIsInvalidFor(t *testing.T) {
	t.Parallel()
	guard := fleet.Guard{FailingClusters: fleet.Limit{N: 10, Percent: true}}
	failing := []fleet.FailingCluster{{Cluster: "ann", Reason: "no image"}, {Cluster: "bob", Reason: "no tag"}}
	want := []fleet.Violation{{Rule: "failingClusters", Cluster: "ann", Message: "fix the commit: the release is not valid for 2 of 10 clusters (10% allowed); the first is ann: no image"}}
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

func TestCheckLimitsTheFilesThatVanish(t *testing.T) {
	t.Parallel()
	byDefault := fleet.DefaultGuard().OrphanedClusters
	for name, c := range map[string]struct {
		limit             fleet.Limit
		orphaned, earlier []string
		files             int
		want              string
	}{
		"one of three":            {limit: byDefault, orphaned: []string{"ann"}, files: 3},
		"one, where none may":     {limit: fleet.Limit{}, orphaned: []string{"ann"}, files: 3, want: "the files of 1 of 3 clusters would vanish (0 allowed): ann"},
		"two of ten":              {limit: byDefault, orphaned: []string{"ann", "bob"}, files: 10, want: "the files of 2 of 10 clusters would vanish (10% allowed): ann, bob"},
		"two of eleven":           {limit: byDefault, orphaned: []string{"ann", "bob"}, files: 11},
		"one after the other":     {limit: byDefault, orphaned: []string{"ann"}, earlier: []string{"bob"}, files: 9, want: "the files of 2 of 10 clusters would vanish (10% allowed), with 1 lost earlier, within the last 24h: ann"},
		"none, after many others": {limit: byDefault, earlier: []string{"bob", "cid"}, files: 9},
	} {
		guard := open
		guard.OrphanedClusters = c.limit
		got := ""
		fleetBefore := impact.Before{Files: c.files, EarlierFiles: func() []string { return c.earlier }}
		for _, v := range impact.Check(guard, nil, &fleet.Impact{Orphaned: c.orphaned}, fleetBefore) {
			got += v.Rule + ": " + v.Message
		}
		if c.want != "" {
			c.want = "orphanedClusters: " + c.want
		}
		if got != c.want {
			t.Errorf("%s: violation %q, want %q", name, got, c.want)
		}
	}
}
