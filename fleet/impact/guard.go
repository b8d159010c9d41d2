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
	return found
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
