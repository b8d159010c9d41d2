package impact

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// Fleet tells AddClusters what the clusters that differ do not say themselves.
type Fleet struct {
	// OwnerBefore and OwnerAfter return the cluster that is found by a dns, or by its name, or nil.
	OwnerBefore, OwnerAfter func(name string) *fleet.Rendered
	// LastOwners returns the clusters that were served last to those who polled by some dns names, by
	// dns. It is only called for names that nobody has before and somebody has after.
	LastOwners func(names []string) (map[string]string, error)
	// Lists returns the selectors of the lists of clusters that were polled. It is only called where
	// a cluster comes, goes or gets other labels. Listed returns how many clusters matched before.
	Lists  func() ([]labels.Selector, error)
	Listed func(labels.Selector) int
}

// AddClusters adds to an impact which clusters come, lose their file, or are found by another
// cluster's dns, and which lists of clusters that changes. The pairs are all clusters that differ,
// sorted by name.
func AddClusters(sum *fleet.Impact, pairs []Pair, f Fleet) (err error) {
	var appeared, orphaned []*fleet.Cluster
	for _, p := range pairs {
		switch {
		case p.After == nil:
		case p.Before == nil:
			sum.New, appeared = append(sum.New, p.Cluster), append(appeared, p.After.Cluster)
		case p.After.Orphaned && !p.Before.Orphaned && !p.Before.Decommissioned:
			sum.Orphaned, orphaned = append(sum.Orphaned, p.Cluster), append(orphaned, p.Before.Cluster)
		}
	}
	sum.Renamed = renamed(orphaned, appeared)
	if sum.Reowned, err = f.reowned(pairs); err != nil {
		return err
	}
	sum.Lists, err = f.lists(pairs)
	return err
}

// renamed returns the orphaned clusters that seem to have appeared by another name: with the same
// dns, or else with a file that says the same but for name and dns, where no other one does.
func renamed(orphaned, appeared []*fleet.Cluster) (found []fleet.RenamedCluster) {
	if len(orphaned) == 0 || len(appeared) == 0 {
		return nil
	}
	left := func(clusters []*fleet.Cluster, known func(fleet.RenamedCluster) string) map[string][]string {
		names := map[string][]string{}
		for _, c := range clusters {
			if !slices.ContainsFunc(found, func(r fleet.RenamedCluster) bool { return known(r) == c.Name }) {
				names[content(c)] = append(names[content(c)], c.Name)
			}
		}
		return names
	}
	byDNS := map[string]string{}
	for _, c := range appeared {
		byDNS[c.DNS] = c.Name
	}
	for _, c := range orphaned {
		if to := byDNS[c.DNS]; c.DNS != "" && to != "" {
			found = append(found, fleet.RenamedCluster{From: c.Name, To: to, By: fleet.RenamedByDNS})
		}
	}
	from := left(orphaned, func(r fleet.RenamedCluster) string { return r.From })
	to := left(appeared, func(r fleet.RenamedCluster) string { return r.To })
	for text, names := range from {
		if len(names) == 1 && len(to[text]) == 1 {
			found = append(found, fleet.RenamedCluster{From: names[0], To: to[text][0], By: fleet.RenamedByContent})
		}
	}
	slices.SortFunc(found, func(a, b fleet.RenamedCluster) int { return cmp.Compare(a.From, b.From) })
	return found
}

// content returns what a cluster's file says beside its name and dns.
func content(c *fleet.Cluster) string {
	spec := fleet.SpecOf(c)
	spec.File, spec.DNS = "", ""
	return string(fleet.EncodeJSON(spec))
}

// reowned returns the dns names whose owner changes. Only names of clusters that differ can. A name
// that nobody has afterwards is not among them: its polls are answered 404, and Flux keeps what it
// has. Where another cluster gets the name later, the one that had it when it was last polled by it
// counts. A name of a cluster that is decommissioned before is not among them, since its polls have
// nothing to lose.
func (f Fleet) reowned(pairs []Pair) (found []fleet.ReownedName, err error) {
	names, taken := map[string]bool{}, []string{}
	for _, p := range pairs {
		for _, r := range []*fleet.Rendered{p.Before, p.After} {
			if r != nil && r.Cluster.DNS != "" && !names[r.Cluster.DNS] && f.changesOwner(r.Cluster.DNS) {
				names[r.Cluster.DNS] = true
			}
		}
	}
	for dns := range names {
		if f.OwnerBefore(dns) == nil {
			taken = append(taken, dns)
		}
	}
	last := map[string]string{}
	if len(taken) > 0 && f.LastOwners != nil {
		if last, err = f.LastOwners(taken); err != nil {
			return nil, err
		}
	}
	for _, dns := range slices.Sorted(maps.Keys(names)) {
		before, after := f.OwnerBefore(dns), f.OwnerAfter(dns)
		from := last[dns]
		if before != nil {
			from = before.Cluster.Name
		} else if from != "" {
			before = f.OwnerBefore(from)
		}
		if from != "" && from != after.Cluster.Name && (before == nil || !before.Decommissioned) {
			found = append(found, fleet.ReownedName{DNS: dns, From: from, To: after.Cluster.Name})
		}
	}
	return found, nil
}

// changesOwner reports whether a dns has an owner afterwards that it did not have before.
func (f Fleet) changesOwner(dns string) bool {
	before, after := f.OwnerBefore(dns), f.OwnerAfter(dns)
	return after != nil && (before == nil || before.Cluster.Name != after.Cluster.Name)
}

// lists returns the lists that lose or gain clusters. Only clusters that differ can.
func (f Fleet) lists(pairs []Pair) (found []fleet.ListEffect, err error) {
	pairs = slices.DeleteFunc(slices.Clone(pairs), Pair.isListedTheSame)
	if len(pairs) == 0 || f.Lists == nil {
		return nil, nil
	}
	selectors, err := f.Lists()
	if err != nil {
		return nil, err
	}
	for _, selector := range selectors {
		effect := fleet.ListEffect{Selector: selector.String()}
		for _, p := range pairs {
			switch before, after := matches(selector, p.Before), matches(selector, p.After); {
			case before && !after:
				effect.Removed = append(effect.Removed, p.Cluster)
			case after && !before:
				effect.Added = append(effect.Added, p.Cluster)
			}
		}
		if len(effect.Removed)+len(effect.Added) > 0 {
			effect.Before = f.Listed(selector)
			found = append(found, effect)
		}
	}
	slices.SortFunc(found, func(a, b fleet.ListEffect) int { return cmp.Compare(a.Selector, b.Selector) })
	return found, nil
}

// isListedTheSame reports whether no selector tells before from after.
func (p Pair) isListedTheSame() bool {
	before, after := isListed(p.Before), isListed(p.After)
	return before == after && (!before || p.Before.Cluster == p.After.Cluster || maps.Equal(p.Before.Cluster.Labels, p.After.Cluster.Labels))
}

// isListed reports whether a list has the cluster if its selector matches.
func isListed(r *fleet.Rendered) bool { return r != nil && !r.Decommissioned }

func matches(selector labels.Selector, r *fleet.Rendered) bool {
	return isListed(r) && selector.Matches(labels.Set(r.Cluster.Labels))
}
