// Package weigh compares a change of what clusters are served with the guard. It joins what package
// view knows of the fleet with the rules of package impact.
//
//	c := weigh.Change{Before: before, After: after, Losses: state.Losses, At: now, Lists: lists, LastOwners: owners}
//	sum, violations, err := c.Compare(before.Guard())
//	if err == nil && len(violations) == 0 {
//		change.Losses = c.Lost(sum) // the next change is weighed together with this one
//	}
//
// It decides nothing: the controller holds, refuses or commits.
package weigh

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/impact"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Change is what lies between two views.
type Change struct {
	// Before is nil ahead of the first release.
	Before, After *view.View
	// Losses are those of the state before, and At is when the change is made.
	Losses []*fleet.Losses
	At     time.Time
	// Lists and LastOwners say which lists and names were polled, as in impact.Fleet.
	Lists      func() ([]labels.Selector, error)
	LastOwners func(names []string) (map[string]string, error)
	// Earlier is what Diff returned with the same options when the change was weighed before, or nil.
	Earlier []impact.Diff
}

// Diff returns what differs between the two views, and the impact of that, without a digest. It is for
// some clusters only where they are given, sorted: no other may differ then.
func (c Change) Diff(o impact.Options, only ...string) ([]impact.Diff, *fleet.Impact, error) {
	var all []impact.Pair
	if len(only) > 0 {
		all = pairsOf(c.Before, c.After, only)
	} else {
		all = Pairs(c.Before, c.After)
	}
	diffs, err := impact.Compare(all, o, c.Earlier)
	if err != nil {
		return nil, nil, err
	}
	sum := impact.Sum(diffs)
	if c.Before == nil {
		return diffs, sum, nil // every cluster would be new
	}
	return diffs, sum, impact.AddClusters(sum, all, impact.Fleet{
		OwnerBefore: c.Before.Owner, OwnerAfter: c.After.Owner, Listed: c.Before.CountListed, Lists: c.Lists, LastOwners: c.LastOwners,
	})
}

// Compare returns the impact of the change, without a digest, and which limits of a guard it exceeds.
func (c Change) Compare(guard fleet.Guard) (*fleet.Impact, []fleet.Violation, error) {
	diffs, sum, err := c.Diff(impact.Options{Fields: true})
	if err != nil {
		return nil, nil, err
	}
	return sum, c.Check(guard, diffs, sum), nil
}

// Check returns which limits of a guard the change exceeds. The impact is the sum of the diffs.
func (c Change) Check(guard fleet.Guard, diffs []impact.Diff, sum *fleet.Impact) []fleet.Violation {
	return append(c.unknown(), impact.Check(guard, diffs, sum, impact.Before{
		Inputs: c.Before.InputCount, Having: c.Before.Having,
		Earlier:      func() []fleet.LossGroup { return c.Before.Lost(c.Losses, c.At, c.After) },
		Files:        len(c.Before.Live().Names),
		EarlierFiles: func() []string { return c.Before.LostFiles(c.Losses, c.At, c.After) },
		EarlierListed: func(selector string) []string {
			return c.Before.LostFromList(c.Losses, c.At, c.After, selector)
		},
	})...)
}

// unknown returns the violation of clusters of which nobody can tell what they would lose: what they
// were served cannot be loaded or rendered here, so that their polls are answered 503, and the change
// answers them again.
func (c Change) unknown() []fleet.Violation {
	if c.Before == nil {
		return nil
	}
	var names []string
	for _, m := range c.Before.Members() {
		if m.Unavailable() == nil || m.Release().IsZero() { // or it was never served
			continue
		}
		if next := c.After.Named(m.Cluster.Name); next != nil && next.State != fleet.ClusterDecommissioned && next.IsServed() {
			names = append(names, m.Cluster.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []fleet.Violation{{Rule: "served", Cluster: names[0], Message: fmt.Sprintf(
		"what cluster %q was served cannot be rendered here, so that nobody can tell what it would lose (clusters: %d)", names[0], len(names))}}
}

// Lost returns what the log is to say of what clusters lose by the change, unless somebody approved or
// confirmed it; nil for nothing. It counts for as long as the guard in force says.
func (c Change) Lost(sum *fleet.Impact) *fleet.Losses {
	groups := impact.LossesOf(sum)
	if c.Before == nil || len(groups) == 0 || c.Before.Guard().Window == 0 {
		return nil
	}
	return &fleet.Losses{Until: c.At.Add(c.Before.Guard().Window), Groups: groups}
}

// CheckWrite returns a *fleet.GuardError where a write removes more than a guard allows, and that was
// not confirmed by the digest of its impact. It returns what is lost, as Lost does, and nothing where
// that was confirmed.
func (c Change) CheckWrite(diffs []impact.Diff, sum *fleet.Impact, confirmed string) (*fleet.Losses, error) {
	for _, guard := range c.guards(diffs) {
		if len(c.Check(guard, diffs, sum)) == 0 {
			continue
		}
		whole, violations, err := c.Compare(guard)
		if err != nil {
			return nil, err
		}
		if impact.SetDigest(whole, nil); whole.Digest == confirmed {
			return nil, nil
		}
		return nil, &fleet.GuardError{Impact: whole, Violations: violations}
	}
	return c.Lost(sum), nil
}

// guards returns those that a write must satisfy: that of the live release, and those of the releases
// that the changed clusters are on: the live one may have loosened its guard while they were pinned.
func (c Change) guards(diffs []impact.Diff) []fleet.Guard {
	all := []fleet.Guard{c.Before.Guard()}
	for _, d := range diffs {
		m := c.Before.Named(d.Cluster)
		if m == nil || m.Repo() == nil || m.Repo() == c.Before.Live().Repo {
			continue
		}
		if g := m.Repo().Guard(); !slices.ContainsFunc(all, func(other fleet.Guard) bool { return reflect.DeepEqual(g, other) }) {
			all = append(all, g)
		}
	}
	return all
}
