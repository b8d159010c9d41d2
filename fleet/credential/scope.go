package credential

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/tributary-gitops/tributary/fleet"
)

// ScopeAllows reports whether a credential that is limited to the clusters matching scope may
// write a delta or pin for the clusters of target. The target must be for no other cluster, now
// or later: each cluster that it names must exist and match, and its selector must require at
// least what scope requires. So a target that selects `region=eu` is outside the scope
// `environment=dev`, even while all clusters in eu are in dev.
//
// own is the cluster of a cluster's own delta, and empty otherwise. find returns a cluster by
// its name, as it is now, or nil where there is none.
func ScopeAllows(scope labels.Selector, target fleet.Scope, own string, find func(name string) *fleet.Cluster) bool {
	if target.Selector == nil {
		names := target.Clusters
		if own != "" {
			names = append([]string{own}, names...)
		}
		for _, name := range names {
			if c := find(name); c == nil || !scope.Matches(labels.Set(c.Labels)) {
				return false
			}
		}
		return true
	}
	selector, err := target.Selector.Compile()
	if err != nil {
		return false
	}
	have, _ := selector.Requirements()
	want, _ := scope.Requirements()
	for _, r := range want {
		if !impliedByAny(r, have) {
			return false
		}
	}
	return true
}

// impliedByAny reports whether one of the requirements implies r. An implication that only
// several of them together make is not recognized.
func impliedByAny(r labels.Requirement, by []labels.Requirement) bool {
	for _, other := range by {
		if other.Key() == r.Key() && implies(other, r) {
			return true
		}
	}
	return false
}

// implies reports whether all labels that satisfy a satisfy b. Both are about the same key.
func implies(a, b labels.Requirement) bool {
	switch a.Operator() {
	case selection.In, selection.Equals, selection.DoubleEquals:
		for value := range a.Values() {
			if !b.Matches(labels.Set{b.Key(): value}) {
				return false
			}
		}
		return true
	case selection.DoesNotExist:
		return b.Matches(labels.Set{})
	case selection.Exists:
		return b.Operator() == selection.Exists
	case selection.NotIn, selection.NotEquals:
		return (b.Operator() == selection.NotIn || b.Operator() == selection.NotEquals) &&
			sets.KeySet(a.Values()).IsSuperset(sets.KeySet(b.Values()))
	}
	return false
}
