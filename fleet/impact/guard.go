package impact

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// Before is what Check asks about the fleet before the change. Its functions are called only where
// something is lost.
type Before struct {
	// Inputs counts the inputs that all clusters are served.
	Inputs func() int
	// Having counts the clusters that are served an input.
	Having func(fleet.InputRef) int
	// Earlier returns what clusters lost within the window, without anybody's approval, and are
	// served neither before the change nor after it. No cluster has an input twice.
	Earlier func() []fleet.LossGroup
	// Files is how many cluster files there were. EarlierFiles returns the clusters whose files
	// vanished within the window and are away before the change and after it.
	Files        int
	EarlierFiles func() []string
	// EarlierListed returns the clusters that left the list of a selector within the window and are on
	// it neither before the change nor after it.
	EarlierListed func(selector string) []string
}

// Check returns the limits of a guard that a change exceeds. The impact is the sum of the diffs.
func Check(g fleet.Guard, diffs []Diff, i *fleet.Impact, before Before) []fleet.Violation {
	c := check{Guard: g, Before: before, diffs: diffs, impact: i, lost: map[fleet.InputRef]int{}, earlier: map[fleet.InputRef]int{}, earlierOf: map[string]int{}}
	c.add()
	return slices.Concat(
		c.removedPerFleet(), c.removedPerCluster(), c.removedEverywhere(), c.protected(), c.orphanedClusters(),
		c.allowEmptySets(), c.allowVanishedSets(), c.allowStaleParts(), c.lists(), checkReowned(g, i.Reowned))
}

// check has a change, added up.
type check struct {
	fleet.Guard
	Before
	diffs  []Diff
	impact *fleet.Impact
	// lost counts the clusters that lose each input by the change, and earlier those that lost it
	// earlier. EarlierOf counts what each cluster lost earlier.
	lost, earlier map[fleet.InputRef]int
	earlierOf     map[string]int
	total         int // of earlier
}

func (c *check) add() {
	for _, g := range c.impact.Groups {
		for _, in := range lostInputs(&g) {
			c.lost[in] += len(g.Clusters)
		}
	}
	if len(c.lost) == 0 || c.Window == 0 {
		return
	}
	for _, g := range c.Earlier() {
		for _, in := range g.Inputs {
			c.earlier[in] += len(g.Clusters)
		}
		for _, name := range g.Clusters {
			c.earlierOf[name] += len(g.Inputs)
		}
		c.total += len(g.Clusters) * len(g.Inputs)
	}
}

func (c *check) removedPerFleet() []fleet.Violation {
	n := c.total
	for _, clusters := range c.lost {
		n += clusters
	}
	if n == c.total {
		return nil
	}
	total := c.Inputs() + c.total
	if n <= c.RemovedPerFleet.Of(total) {
		return nil
	}
	return []fleet.Violation{{Rule: "removedPerFleet", Message: fmt.Sprintf("the fleet would lose %d of %d inputs (%s allowed)%s", n, total, c.RemovedPerFleet, c.within(c.total))}}
}

func (c *check) removedPerCluster() []fleet.Violation {
	return perCluster(c.diffs, "removedPerCluster", func(d *Diff) string {
		n, earlier := lost(&d.group), c.earlierOf[d.Cluster]
		if total := d.inputs + earlier; n > 0 && n+earlier > c.RemovedPerCluster.Of(total) {
			return fmt.Sprintf("would lose %d of %d inputs (%s allowed)%s", n+earlier, total, c.RemovedPerCluster, c.within(earlier))
		}
		return ""
	})
}

// removedEverywhere compares how many clusters lose each input with how many have it. An input that
// one cluster loses is not removed everywhere, however few have it.
func (c *check) removedEverywhere() []fleet.Violation {
	var found []string
	for _, in := range sortedRefs(c.lost) {
		n := c.lost[in] + c.earlier[in]
		if n < 2 || n <= c.RemovedEverywhere.Of(n) { // at least n have it
			continue
		}
		if had := c.Having(in) + c.earlier[in]; n > c.RemovedEverywhere.Of(had) {
			found = append(found, fmt.Sprintf("%s would vanish from %d of %d clusters that have it (%s allowed)%s", in, n, had, c.RemovedEverywhere, c.within(c.earlier[in])))
		}
	}
	return first("removedEverywhere", "", found, "input")
}

func (c *check) protected() []fleet.Violation {
	isProtected := func(in lostInput) bool {
		return slices.ContainsFunc(c.Protected, func(p fleet.Protection) bool { return p.Matches(in.InputRef, in.object) })
	}
	return perCluster(c.diffs, "protected", func(d *Diff) string {
		var names []string
		for _, in := range d.lost {
			if isProtected(in) {
				names = append(names, in.String())
			}
		}
		return list("would lose %s, which the guard protects", names)
	})
}

func (c *check) orphanedClusters() []fleet.Violation {
	orphaned := c.impact.Orphaned
	if len(orphaned) == 0 {
		return nil
	}
	earlier := 0
	if c.Window > 0 {
		earlier = len(c.EarlierFiles())
	}
	n, total := len(orphaned)+earlier, c.Files+earlier
	if n <= c.OrphanedClusters.Of(total) {
		return nil
	}
	return []fleet.Violation{{Rule: "orphanedClusters", Cluster: orphaned[0], Message: fmt.Sprintf(
		"the files of %d of %d clusters would vanish (%s allowed)%s: %s", n, total, c.OrphanedClusters, c.within(earlier), abbreviate(orphaned, 3))}}
}

func (c *check) allowEmptySets() []fleet.Violation {
	if c.AllowEmptySets {
		return nil
	}
	return perCluster(c.diffs, "allowEmptySets", func(d *Diff) string { return list("set %s would become empty", d.group.Emptied) })
}

func (c *check) allowVanishedSets() []fleet.Violation {
	if c.AllowVanishedSets {
		return nil
	}
	return perCluster(c.diffs, "allowVanishedSets", func(d *Diff) string { return list("set %s would vanish", d.group.Vanished) })
}

func (c *check) allowStaleParts() []fleet.Violation {
	if c.AllowStaleParts {
		return nil
	}
	return perCluster(c.diffs, "allowOrphanedParts", func(d *Diff) string { return list("%s would stop applying", d.group.StaleParts) })
}

// within says how much of what is lost was lost before the change.
func (c *check) within(earlier int) string {
	if earlier == 0 {
		return ""
	}
	text := strings.TrimSuffix(strings.TrimSuffix(c.Window.String(), "0s"), "0m")
	return fmt.Sprintf(", with %d lost earlier, within the last %s", earlier, text)
}

// lists returns the violations of lists of clusters. The same limits hold as for the input sets of a
// cluster.
func (c *check) lists() (found []fleet.Violation) {
	for _, l := range c.impact.Lists {
		if len(l.Removed) == 0 {
			continue
		}
		name := "the list of all clusters"
		if l.Selector != "" {
			name = fmt.Sprintf("the list of clusters matching %q", l.Selector)
		}
		earlier := 0
		if c.Window > 0 {
			earlier = len(c.EarlierListed(l.Selector))
		}
		if n, total := len(l.Removed)+earlier, l.Before+earlier; n > c.RemovedPerCluster.Of(total) {
			found = append(found, fleet.Violation{Rule: "removedPerCluster", Message: fmt.Sprintf("%s would lose %d of %d (%s allowed)%s: %s",
				name, n, total, c.RemovedPerCluster, c.within(earlier), abbreviate(l.Removed, 3))})
		}
		if !c.AllowEmptySets && len(l.Removed) == l.Before && len(l.Added) == 0 {
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
	return []fleet.Violation{{Rule: fleet.RuleFailingClusters, Cluster: first.Cluster, Message: fmt.Sprintf(
		"fix the commit: the release is not valid for %d of %d clusters (%s allowed); the first is %s: %s", n, clusters, g.FailingClusters, first.Cluster, first.Reason)}}
}

func sortedRefs(refs map[fleet.InputRef]int) []fleet.InputRef {
	all := make([]fleet.InputRef, 0, len(refs))
	for in := range refs {
		all = append(all, in)
	}
	slices.SortFunc(all, compareRefs)
	return all
}

func compareRefs(a, b fleet.InputRef) int {
	return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.ID, b.ID))
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
	var found []string
	cluster := ""
	for i := range diffs {
		d := &diffs[i]
		wrong := describe(d)
		if wrong == "" {
			continue
		}
		if found == nil {
			cluster, wrong = d.Cluster, fmt.Sprintf("cluster %q: %s", d.Cluster, wrong)
		}
		found = append(found, wrong)
	}
	return first(rule, cluster, found, "cluster")
}

// first returns the first of the violations of a rule, and says how many there are.
func first(rule, cluster string, found []string, noun string) []fleet.Violation {
	if len(found) == 0 {
		return nil
	}
	message := found[0]
	switch rest := len(found) - 1; rest {
	case 0:
	case 1:
		message += ", and the same rule stops 1 more " + noun
	default:
		message += fmt.Sprintf(", and the same rule stops %d more %ss", rest, noun)
	}
	return []fleet.Violation{{Rule: rule, Cluster: cluster, Message: message}}
}
