package soaktest

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// removal is one thing that those who poll lose: with a set, an input of a cluster; with a list, a
// cluster that leaves it; with a dns, all that is found by it, which is the cluster's from then on; and
// else the file of a cluster, or a cluster that is decommissioned.
type removal struct {
	cluster, set, id string
	list, dns        string
	file, whole      bool
}

func (r removal) isInput() bool { return r.set != "" }

func compareRemovals(a, b removal) int {
	return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.set, b.set), cmp.Compare(a.id, b.id), cmp.Compare(a.list, b.list), cmp.Compare(a.dns, b.dns))
}

func sorted(all []removal) []removal {
	slices.SortFunc(all, compareRemovals)
	return slices.Compact(all)
}

// polledBy is what is known of those who poll: the lists that were polled, by URL, and the last polls of
// each set of each cluster.
type polledBy struct {
	lists map[string]labels.Selector
	last  map[[2]string]lastPoll // by cluster and set
	count int
}

// lastPoll says by which dns a poll was made, empty for none, and when, as a number that grows.
type lastPoll struct {
	dns string
	at  int
}

func listURL(selector labels.Selector) string { return "/clusters?selector=" + selector.String() }

// isListed reports whether the list of a selector has a cluster.
func (c *cluster) isListed(selector labels.Selector) bool {
	return c.exists() && selector.Matches(labels.Set(c.spec.Labels))
}

// exists reports whether a cluster has anything to lose.
func (c *cluster) exists() bool { return c != nil && c.state != fleet.ClusterDecommissioned }

// owners returns the clusters that are found by each dns: first one whose file declares it, then one that
// the API declares, then one that is not active, and of each the first by name.
func owners(all map[string]*cluster) map[string]string {
	found := map[string]string{}
	rank := func(c *cluster) int {
		switch {
		case c.state != fleet.ClusterActive:
			return 2
		case c.spec.File == "":
			return 1
		}
		return 0
	}
	for name, c := range all {
		other, taken := found[c.spec.DNS]
		if r := rank(c); !taken || cmp.Or(cmp.Compare(r, rank(all[other])), cmp.Compare(name, other)) < 0 {
			found[c.spec.DNS] = name
		}
	}
	delete(found, "")
	return found
}

// removals returns what is lost between two states of the clusters, sorted.
func (m model) removals(before, after map[string]*cluster) (lost []removal) {
	for name, was := range before {
		now := after[name]
		if !was.exists() {
			continue
		}
		if now != nil && !now.exists() {
			lost = append(lost, removal{cluster: name, whole: true})
		}
		for url, selector := range m.polled.lists {
			if was.isListed(selector) && !now.isListed(selector) {
				lost = append(lost, removal{cluster: name, list: url})
			}
		}
		if was.sets == nil || !now.exists() || now.sets == nil {
			continue
		}
		if now.state == fleet.ClusterOrphaned && was.state != fleet.ClusterOrphaned {
			lost = append(lost, removal{cluster: name, file: true})
		}
		for set, a := range was.sets {
			for _, id := range a.ids {
				if !slices.Contains(now.sets[set].ids, id) {
					lost = append(lost, removal{cluster: name, set: set, id: id})
				}
			}
		}
	}
	return sorted(append(lost, m.reowned(before, after)...))
}

// reowned returns the names that find another cluster than those who polled by them were served last.
func (m model) reowned(before, after map[string]*cluster) (lost []removal) {
	served, last := map[string]string{}, map[string]int{}
	for of, p := range m.polled.last {
		if p.at >= last[p.dns] {
			served[p.dns], last[p.dns] = of[0], p.at
		}
	}
	maps.Copy(served, owners(before))
	for dns, now := range owners(after) {
		if old := served[dns]; old != "" && old != now && (before[old] == nil || before[old].exists()) {
			lost = append(lost, removal{cluster: now, dns: dns})
		}
	}
	return lost
}

// recorded returns the losses of the log one by one, sorted.
func recorded(losses ...*fleet.Losses) (all []removal) {
	for _, l := range losses {
		if l == nil {
			continue
		}
		for _, g := range l.Groups {
			for _, name := range g.Clusters {
				if g.Orphaned {
					all = append(all, removal{cluster: name, file: true})
				}
				for _, in := range g.Inputs {
					all = append(all, removal{cluster: name, set: in.Set, id: in.ID})
				}
				for _, selector := range g.Lists {
					all = append(all, removal{cluster: name, list: "/clusters?selector=" + selector})
				}
			}
		}
	}
	return sorted(all)
}

// toRecord returns what the log must say of what is lost by a change that nobody approved: all that can
// add up.
func (m model) toRecord(lost []removal) []removal {
	if m.guardOf(m.live).Window == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(lost), func(r removal) bool { return r.dns != "" || r.whole })
}

func (m model) guardOf(ref fleet.ReleaseRef) fleet.Guard {
	if c := m.commits[ref.Revision]; c != nil {
		return c.guard
	}
	return fleet.Guard{}
}

// earlier returns what was lost within the window and is still away before and after a change.
func (m model) earlier(before, after map[string]*cluster, at time.Time) (lost []removal) {
	counts := slices.DeleteFunc(slices.Clone(m.losses), func(l *fleet.Losses) bool { return !l.Until.After(at) })
	for _, r := range recorded(counts...) {
		away := func(c *cluster) bool {
			switch {
			case r.file:
				return c != nil && c.state == fleet.ClusterOrphaned
			case r.list != "":
				return c.exists() && !c.isListed(m.polled.lists[r.list])
			}
			return c == nil || !slices.Contains(c.sets[r.set].ids, r.id)
		}
		if was := before[r.cluster]; was.exists() && away(was) && away(after[r.cluster]) {
			lost = append(lost, r)
		}
	}
	return lost
}

// kindOf is the kind of what a set serves.
var kindOf = map[string]string{"apps": "App", "programs": "App", "jobs": "Job", "tasks": "Job", "notes": "Note", "memos": "Note"}

// exceeded returns the rules of a release's guard that are exceeded between two states of the clusters.
func (m model) exceeded(guard fleet.ReleaseRef, before, after map[string]*cluster, at time.Time) []string {
	g, rules := m.guardOf(guard), map[string]bool{}
	is := func(rule string, exceeded bool) { rules[rule] = rules[rule] || exceeded }
	// What a cluster loses that is decommissioned is not counted: whoever does that knows.
	lost, earlier := slices.DeleteFunc(m.removals(before, after), func(r removal) bool { return r.whole }), []removal(nil)
	if g.Window > 0 && len(lost) > 0 {
		earlier = m.earlier(before, after, at)
	}
	count := func(all []removal, which func(removal) bool) (n int) {
		for _, r := range all {
			if which(r) {
				n++
			}
		}
		return n
	}
	isFile := func(r removal) bool { return r.file }
	beyond := func(l fleet.Limit, of int, which func(removal) bool) bool {
		now, was := count(lost, which), count(earlier, which)
		return now > 0 && now+was > l.Of(of+was)
	}
	total := 0
	having := map[removal]int{} // without the cluster
	for name, was := range before {
		inputs := 0
		for set, a := range was.sets {
			for _, id := range a.ids {
				having[removal{set: set, id: id}]++
			}
			inputs += len(a.ids)
		}
		total += inputs
		is("removedPerCluster", beyond(g.RemovedPerCluster, inputs, func(r removal) bool { return r.isInput() && r.cluster == name }))
		now := after[name]
		if was.sets == nil || !was.exists() || !now.exists() || now.sets == nil {
			continue
		}
		for set, a := range was.sets {
			left, there := now.sets[set]
			is("allowVanishedSets", !there && !g.AllowVanishedSets)
			is("allowEmptySets", there && len(left.ids) == 0 && len(a.ids) > 0 && !g.AllowEmptySets)
		}
		is("allowOrphanedParts", !g.AllowStaleParts && newlyStale(was, now) != "")
	}
	is("removedPerFleet", beyond(g.RemovedPerFleet, total, removal.isInput))
	is("orphanedClusters", beyond(g.OrphanedClusters, len(m.repo(m.live).files), isFile))
	for url, selector := range m.polled.lists {
		was, now := listed(before, selector), listed(after, selector)
		is("removedPerCluster", beyond(g.RemovedPerCluster, len(was), func(r removal) bool { return r.list == url }))
		is("allowEmptySets", len(was) > 0 && len(now) == 0 && !g.AllowEmptySets)
	}
	seen := map[removal]bool{}
	for _, r := range lost {
		is("allowReownedNames", r.dns != "" && !g.AllowReownedNames)
		one := removal{set: r.set, id: r.id}
		if seen[one] || !r.isInput() {
			continue
		}
		seen[one] = true
		same := func(other removal) bool { return other.set == r.set && other.id == r.id }
		is("removedEverywhere", count(lost, same)+count(earlier, same) > 1 && beyond(g.RemovedEverywhere, having[one], same))
		is("protected", slices.ContainsFunc(g.Protected, func(p fleet.Protection) bool {
			return (p.Set == "" || p.Set == r.set) && (p.ID == "" || p.ID == r.id) && (p.Kind == "" || p.Kind == kindOf[r.set])
		}))
	}
	maps.DeleteFunc(rules, func(_ string, exceeded bool) bool { return !exceeded })
	return slices.Sorted(maps.Keys(rules))
}

// listed returns the names that the list of a selector has.
func listed(all map[string]*cluster, selector labels.Selector) (names []string) {
	for name, c := range all {
		if c.isListed(selector) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// newlyStale returns a part of a delta that a cluster goes without only now; "" for none.
func newlyStale(was, now *cluster) string {
	for _, part := range now.stale {
		if was == nil || !slices.Contains(was.stale, part) {
			return part.Delta + ":" + part.Field
		}
	}
	return ""
}
