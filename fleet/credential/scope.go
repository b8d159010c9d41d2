package credential

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/tributary-gitops/tributary/fleet"
)

// CheckScope returns an ErrForbidden where a change reaches further than a credential may that is limited
// to the clusters matching limit; nil does not limit it. Each named cluster that the change is for must
// match, before it and after it, and a delta or pin must not come to be for other clusters later on.
func CheckScope(limit *fleet.Selector, c *fleet.Change, named []string, before, after func(name string) *fleet.Cluster) error {
	if limit == nil {
		return nil
	}
	scope, err := limit.Compile()
	if err != nil {
		return fmt.Errorf("scope of the credential: %w: %w", fleet.ErrForbidden, err)
	}
	for _, name := range named {
		for _, c := range []*fleet.Cluster{before(name), after(name)} {
			if c != nil && !scope.Matches(labels.Set(c.Labels)) {
				return fmt.Errorf("cluster %q: %w: this credential changes only clusters that match %s", name, fleet.ErrForbidden, scope)
			}
		}
	}
	for _, c := range c.Deltas {
		for _, d := range []*fleet.Delta{c.Before, c.After} {
			if d != nil && !ScopeAllows(scope, d.Scope, d.Cluster, before) {
				return fmt.Errorf("%s: %w: this credential changes only clusters that match %s: let the delta select by that too, or name clusters that match",
					fleet.DescribeDelta(c.Delta), fleet.ErrForbidden, scope)
			}
		}
	}
	for _, c := range c.Pins {
		for _, p := range []*fleet.Pin{c.Before, c.After} {
			if p != nil && !ScopeAllows(scope, p.Scope, "", before) {
				return fmt.Errorf("pin %q: %w: this credential changes only clusters that match %s: let the pin select by that too, or name clusters that match",
					c.Pin, fleet.ErrForbidden, scope)
			}
		}
	}
	return nil
}

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
