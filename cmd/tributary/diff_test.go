package main

import (
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestDiffExitsWithTheWorstStatus(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[string]int{
		fleet.OutcomeNone: 0, fleet.OutcomeChanges: changes, fleet.OutcomeHeld: wouldBeHeld, fleet.OutcomeFailed: hasFaults,
	} {
		if got := statusOf(&fleet.Preview{Outcome: outcome}); got != want {
			t.Errorf("%s: diff exits with %v, want %v", outcome, got, want)
		}
		if got := statusOf(&fleet.Preview{Outcome: outcome, Failing: []fleet.FailingCluster{{Cluster: "a"}}}); got != hasFaults {
			t.Errorf("%s with a cluster that fails: diff exits with %v, want %v", outcome, got, hasFaults)
		}
	}
}
