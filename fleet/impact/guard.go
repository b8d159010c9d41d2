package impact

import (
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// Check returns the limits of a guard that a change exceeds. The impact is the sum of the diffs.
// Inputs counts the inputs that the whole fleet is served, and is only called where some are lost.
func Check(g fleet.Guard, diffs []Diff, i *fleet.Impact, inputs func() int) []fleet.Violation {
	var found []fleet.Violation
	if n := i.Removed + i.Moved; n > 0 {
		if total := inputs(); n > g.RemovedPerFleet.Of(total) {
			found = append(found, fleet.Violation{Rule: "removedPerFleet", Message: fmt.Sprintf("the fleet would lose %d of %d inputs (%s allowed)", n, total, g.RemovedPerFleet)})
		}
	}
	found = append(found, perCluster(diffs, "removedPerCluster", func(d *Diff) string {
		if n := lost(&d.group); n > g.RemovedPerCluster.Of(d.inputs) {
			return fmt.Sprintf("would lose %d of %d inputs (%s allowed)", n, d.inputs, g.RemovedPerCluster)
		}
		return ""
	})...)
	if !g.AllowEmptySets {
		found = append(found, perCluster(diffs, "allowEmptySets", func(d *Diff) string { return list("set %s would become empty", d.group.Emptied) })...)
	}
	if !g.AllowVanishedSets {
		found = append(found, perCluster(diffs, "allowVanishedSets", func(d *Diff) string { return list("set %s would vanish", d.group.Vanished) })...)
	}
	if !g.AllowStaleParts {
		found = append(found, perCluster(diffs, "allowOrphanedParts", func(d *Diff) string { return list("%s would stop applying", d.group.StaleParts) })...)
	}
	return append(append(found, checkLists(g, i.Lists)...), checkReowned(g, i.Reowned)...)
}

// checkLists returns the violations of lists of clusters. The same limits hold as for the input sets of
// a cluster.
func checkLists(g fleet.Guard, lists []fleet.ListEffect) (found []fleet.Violation) {
	for _, l := range lists {
		name := "the list of all clusters"
		if l.Selector != "" {
			name = fmt.Sprintf("the list of clusters matching %q", l.Selector)
		}
		n := len(l.Removed)
		if n > g.RemovedPerCluster.Of(l.Before) {
			found = append(found, fleet.Violation{Rule: "removedPerCluster", Message: fmt.Sprintf("%s would lose %d of %d (%s allowed): %s",
				name, n, l.Before, g.RemovedPerCluster, abbreviate(l.Removed, 3))})
		}
		if !g.AllowEmptySets && n > 0 && n == l.Before && len(l.Added) == 0 {
			found = append(found, fleet.Violation{Rule: "allowEmptySets", Message: name + " would become empty"})
		}
	}
	return found
}

// checkReowned returns the violation of dns names that come to find other clusters.
func checkReowned(g fleet.Guard, names []fleet.ReownedName) []fleet.Violation {
	if len(names) == 0 || g.AllowReownedNames {
		return nil
	}
	first := names[0]
	v := fleet.Violation{Rule: "allowReownedNames", Cluster: first.From, Message: fmt.Sprintf(
		"the dns %q of cluster %q would find cluster %q, whose inputs polls by that name would get", first.DNS, first.From, first.To)}
	if n := len(names) - 1; n > 0 {
		v.Message += fmt.Sprintf(", and %d more names would find other clusters", n)
	}
	return []fleet.Violation{v}
}

// CheckFailing returns the violation of a release that is not valid for more clusters than the
// guard allows, of that many in the fleet.
func CheckFailing(g fleet.Guard, failing []fleet.FailingCluster, clusters int) []fleet.Violation {
	n := len(failing)
	if n <= g.FailingClusters.Of(clusters) {
		return nil
	}
	first := failing[0]
	return []fleet.Violation{{Rule: "failingClusters", Cluster: first.Cluster, Message: fmt.Sprintf(
		"the release is not valid for %d of %d clusters (%s allowed); the first is %s: %s", n, clusters, g.FailingClusters, first.Cluster, first.Reason)}}
}

func list(format string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(format, abbreviate(names, 3))
}

// perCluster returns the violation of the first cluster that has one, and says how many have.
// Describe returns what is wrong, and "" where nothing is.
func perCluster(diffs []Diff, rule string, describe func(d *Diff) string) []fleet.Violation {
	var v fleet.Violation
	n := 0
	for i := range diffs {
		d := &diffs[i]
		wrong := describe(d)
		if wrong == "" {
			continue
		}
		if n++; n == 1 {
			v = fleet.Violation{Rule: rule, Cluster: d.Cluster, Message: fmt.Sprintf("cluster %q: %s", d.Cluster, wrong)}
		}
	}
	switch n {
	case 0:
		return nil
	case 1:
	case 2:
		v.Message += ", and the same rule stops 1 more cluster"
	default:
		v.Message += fmt.Sprintf(", and the same rule stops %d more clusters", n-1)
	}
	return []fleet.Violation{v}
}
