package fleet

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/sets"
)

// inScope returns why the write reaches further than it may: each cluster that it
// is for must match the scope, before it and after it; and a named delta must not
// come to be for others later on.
func (w Write) inScope(v, next *View, names []string, p plan) error {
	if w.Scope == nil {
		return nil
	}
	scope, err := w.Scope.Compile()
	if err != nil {
		return fmt.Errorf("scope of the credential: %w: %w", ErrForbidden, err)
	}
	for _, name := range names {
		for _, m := range []*Member{v.named(name), next.named(name)} {
			if m != nil && !scope.Matches(labels.Set(m.Cluster.Labels)) {
				return fmt.Errorf("cluster %q: %w: this credential changes clusters that match %s only", name, ErrForbidden, scope)
			}
		}
	}
	for _, c := range p.changes {
		for _, d := range []*Delta{c.Before, c.After} {
			if d != nil && !within(scope, d, v) {
				return fmt.Errorf("%s: %w: this credential changes clusters that match %s only: have the delta select by that too, or name clusters that do",
					describe(c.Delta), ErrForbidden, scope)
			}
		}
	}
	for _, c := range p.pins {
		for _, pin := range []*Pin{c.Before, c.After} {
			if pin != nil && !within(scope, &Delta{Selector: pin.Selector, Clusters: pin.Clusters}, v) {
				return fmt.Errorf("pin %q: %w: this credential changes clusters that match %s only: have the pin select by that too, or name clusters that do",
					c.Pin, ErrForbidden, scope)
			}
		}
	}
	return nil
}

// within tells whether a delta can be for no cluster that a scope does not match,
// also none that is yet to come.
func within(scope labels.Selector, d *Delta, v *View) bool {
	if d.Selector == nil {
		for _, name := range append([]string{d.Cluster}, d.Clusters...) {
			if m := v.named(name); name != "" && (m == nil || !scope.Matches(labels.Set(m.Cluster.Labels))) {
				return false
			}
		}
		return true
	}
	selector, err := d.Selector.Compile()
	if err != nil {
		return false
	}
	have, _ := selector.Requirements()
	want, _ := scope.Requirements()
	for _, r := range want {
		if !implied(r, have) {
			return false
		}
	}
	return true
}

// implied tells whether one of the requirements holds only where r does. Where it
// takes several of them together, it is not seen.
func implied(r labels.Requirement, by []labels.Requirement) bool {
	for _, other := range by {
		if other.Key() == r.Key() && implies(other, r) {
			return true
		}
	}
	return false
}

// implies tells whether what a requirement lets through of one label, another of
// the same label does too.
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
