package fleetrepo_test

import (
	"reflect"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
)

// readSpec reads a fleet.yaml with more lines, which may be wrong.
func readSpec(more string) *fleetrepo.Spec {
	const head = `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs: [{name: apps, kind: App}]
`
	return fleetrepo.ReadSpec(fstest.MapFS{"fleet.yaml": {Data: []byte(head + more)}}, nil)
}

// TestGuardKeepsDefaults checks that a fleet.yaml changes the limits that it names, and
// no others.
func TestGuardKeepsDefaults(t *testing.T) {
	t.Parallel()
	share := func(n int) fleet.Limit { return fleet.Limit{N: n, Percent: true} }
	with := func(change func(g *fleet.Guard)) fleet.Guard {
		g := fleet.DefaultGuard()
		change(&g)
		return g
	}
	for text, want := range map[string]fleet.Guard{
		"":                fleet.DefaultGuard(),
		"  guard:\n":      fleet.DefaultGuard(),
		"  guard: {}\n":   fleet.DefaultGuard(),
		"not: [a, fleet}": fleet.DefaultGuard(),
		"  guard: {removedPerCluster: 3, failingClusters: null, allowVanishedSets: true}\n": with(func(g *fleet.Guard) {
			g.RemovedPerCluster, g.AllowVanishedSets = fleet.Limit{N: 3}, true
		}),
		"  guard: {removedPerFleet: 0%, failingClusters: \"7%\", removedPerCluster: 0, allowEmptySets: true, allowOrphanedParts: true}\n": with(func(g *fleet.Guard) {
			g.RemovedPerCluster, g.RemovedPerFleet, g.FailingClusters, g.AllowEmptySets, g.AllowStaleParts = fleet.Limit{}, share(0), share(7), true, true
		}),
		"  guard: {removedEverywhere: 2, orphanedClusters: 0, window: 0, approveByTrailer: true, protected: []}\n": with(func(g *fleet.Guard) {
			g.RemovedEverywhere, g.OrphanedClusters, g.Window, g.ApproveByTrailer, g.Protected = fleet.Limit{N: 2}, fleet.Limit{}, 0, true, []fleet.Protection{}
		}),
		"  guard: {window: 720h, protected: [{set: apps, id: web}, {apiVersion: v1, kind: Secret, namespace: a, name: b}]}\n": with(func(g *fleet.Guard) {
			g.Window, g.Protected = fleet.MaxWindow, []fleet.Protection{{Set: "apps", ID: "web"}, {APIVersion: "v1", Kind: "Secret", Namespace: "a", Name: "b"}}
		}),
		"  guard: {protected: null, window: null}\n": fleet.DefaultGuard(),
	} {
		if got := readSpec(text).Guard; !reflect.DeepEqual(got, want) {
			t.Errorf("Guard of %q = %+v, want %+v", text, got, want)
		}
	}
}

func TestWavesAreReadInOrder(t *testing.T) {
	t.Parallel()
	spec := readSpec(`  rollout:
    waves:
    - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 10m, gate: manual, polled: 100}
    - {name: half, selector: {matchExpressions: [{key: ring, operator: In, values: [a]}]}, polled: 50%, soak: 1h30m}
    - {name: rest, selector: {}}
`)
	if spec.Problems != nil {
		t.Fatal(spec.Problems)
	}
	want := []fleet.WaveRule{
		{Name: "canary", Selector: fleet.Selector{MatchLabels: map[string]string{"ring": "canary"}}, Soak: 10 * time.Minute, Manual: true, Polled: 100},
		{Name: "half", Selector: fleet.Selector{MatchExpressions: []fleet.SelectorRequirement{{Key: "ring", Operator: "In", Values: []string{"a"}}}},
			Soak: 90 * time.Minute, Polled: 50},
		{Name: "rest", Polled: fleet.DefaultPolled},
	}
	if !reflect.DeepEqual(spec.Waves, want) {
		t.Errorf("Waves = %+v, want %+v", spec.Waves, want)
	}
}
