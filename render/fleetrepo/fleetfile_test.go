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
	byDefault := fleet.DefaultGuard()
	for text, want := range map[string]fleet.Guard{
		"":                fleet.DefaultGuard(),
		"  guard:\n":      fleet.DefaultGuard(),
		"  guard: {}\n":   fleet.DefaultGuard(),
		"not: [a, fleet}": fleet.DefaultGuard(),
		"  guard: {removedPerCluster: 3, failingClusters: null, allowVanishedSets: true}\n": {
			RemovedPerCluster: fleet.Limit{N: 3}, RemovedPerFleet: byDefault.RemovedPerFleet, FailingClusters: byDefault.FailingClusters, AllowVanishedSets: true,
		},
		"  guard: {removedPerFleet: 0%, failingClusters: \"7%\", removedPerCluster: 0, allowEmptySets: true, allowOrphanedParts: true}\n": {
			RemovedPerFleet: share(0), FailingClusters: share(7), AllowEmptySets: true, AllowStaleParts: true,
		},
	} {
		if got := readSpec(text).Guard; got != want {
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
