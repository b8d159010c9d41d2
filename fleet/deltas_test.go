package fleet_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestDeltasForAClusterComeInOrder(t *testing.T) {
	t.Parallel()
	prod := &fleet.Selector{MatchLabels: map[string]string{"environment": "prod"}}
	scope := func(s *fleet.Selector, clusters ...string) fleet.Scope {
		return fleet.Scope{Selector: s, Clusters: clusters}
	}
	all := []*fleet.Delta{
		{Cluster: "one"}, {Name: "z", Scope: scope(prod), Priority: -1}, {Name: "b", Scope: scope(nil, "one")},
		{Name: "a", Scope: scope(prod)}, {Name: "other", Scope: scope(nil, "two")}, {Cluster: "two"}, {Name: "last", Scope: scope(&fleet.Selector{}), Priority: 9},
	}
	one := &fleet.Cluster{Name: "one", Labels: map[string]string{"environment": "prod"}}
	got, err := fleet.DeltasFor(one, all)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range got {
		ids = append(ids, d.ID())
	}
	if want := []string{"delta/z", "delta/a", "delta/b", "delta/last", "cluster/one"}; !slices.Equal(ids, want) {
		t.Errorf("DeltasFor = %q, want %q", ids, want)
	}
	for _, bad := range [][]*fleet.Delta{{{Name: "a"}}, {{Cluster: "one"}, {Cluster: "one"}}, {{Cluster: "two", Priority: 1}}} {
		if _, err := fleet.DeltasFor(one, bad); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("DeltasFor(%v) = %v, want %v", bad, err, fleet.ErrInvalid)
		}
	}
}
