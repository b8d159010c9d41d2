package render_test

import (
	"context"
	"reflect"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// repoOf compiles a tree, whatever is wrong with it.
func repoOf(t *testing.T, files map[string]string) fleet.Repo {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	repo, err := render.Renderer{}.Compile(context.Background(), tree)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

const fleetWithoutRules = `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs: [{name: apps, kind: App}]
`

// TestGuardKeepsDefaults holds that a fleet.yaml loosens or tightens what it names, and
// nothing else.
func TestGuardKeepsDefaults(t *testing.T) {
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
		if got := repoOf(t, map[string]string{"fleet.yaml": fleetWithoutRules + text}).Guard(); got != want {
			t.Errorf("Guard() of %q = %+v, want %+v", text, got, want)
		}
	}
}

func TestWavesAreReadInOrder(t *testing.T) {
	repo := repoOf(t, map[string]string{"fleet.yaml": fleetWithoutRules + `  rollout:
    waves:
    - {name: canary, selector: {matchLabels: {ring: canary}}, soak: 10m, gate: manual, polled: 100}
    - {name: half, selector: {matchExpressions: [{key: ring, operator: In, values: [a]}]}, polled: 50%, soak: 1h30m}
    - {name: rest, selector: {}}
`})
	if problems := repo.Problems(); problems != nil {
		t.Fatal(problems)
	}
	want := []fleet.WaveRule{
		{Name: "canary", Selector: fleet.Selector{MatchLabels: map[string]string{"ring": "canary"}}, Soak: 10 * time.Minute, Manual: true, Polled: 100},
		{Name: "half", Selector: fleet.Selector{MatchExpressions: []fleet.SelectorRequirement{{Key: "ring", Operator: "In", Values: []string{"a"}}}},
			Soak: 90 * time.Minute, Polled: 50},
		{Name: "rest", Polled: fleet.DefaultPolled},
	}
	if got := repo.Waves(); !reflect.DeepEqual(got, want) {
		t.Errorf("Waves() = %+v, want %+v", got, want)
	}
}
