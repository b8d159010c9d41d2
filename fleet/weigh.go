package fleet

import (
	"fmt"
)

// weigh computes what lies between two views, and what of that goes beyond a guard.
// Nothing does before the first release.
func weigh(g Guard, before, after *View) (*Impact, []Violation, error) {
	all, err := effects(before, after, telling{fields: true})
	if err != nil {
		return nil, nil, err
	}
	impact, violations := g.weigh(before, all)
	return impact, violations, nil
}

// weigh sums effects on a view up, which may be nil.
func (g Guard) weigh(before *View, all []memberEffect) (*Impact, []Violation) {
	impact := impactOf(all)
	if before == nil {
		return impact, nil
	}
	return impact, g.check(all, impact, before.inputs)
}

// inputs is how many inputs the view serves.
func (v *View) inputs() (n int) {
	for _, m := range v.members.all() {
		for _, count := range m.Counts {
			n += count
		}
	}
	return n
}

// check returns what of the guard effects go beyond. Inputs counts those of the fleet,
// which is not asked where none would be lost.
func (g Guard) check(all []memberEffect, impact *Impact, inputs func() int) []Violation {
	var found []Violation
	lost := impact.Removed + impact.Moved
	if lost > 0 {
		if total := inputs(); lost > g.RemovedPerFleet.Of(total) {
			found = append(found, Violation{Rule: "removedPerFleet", Message: fmt.Sprintf("the fleet would lose %d of %d inputs (%s allowed)", lost, total, g.RemovedPerFleet)})
		}
	}
	found = append(found, first(all, "removedPerCluster", func(e memberEffect) string {
		if n := e.group.lost(); n > g.RemovedPerCluster.Of(e.before) {
			return fmt.Sprintf("would lose %d of %d inputs (%s allowed)", n, e.before, g.RemovedPerCluster)
		}
		return ""
	})...)
	if !g.AllowEmptySets {
		found = append(found, first(all, "allowEmptySets", func(e memberEffect) string { return quoted("set %s would become empty", e.group.Emptied) })...)
	}
	if !g.AllowVanishedSets {
		found = append(found, first(all, "allowVanishedSets", func(e memberEffect) string { return quoted("set %s would vanish", e.group.Vanished) })...)
	}
	if !g.AllowOrphanedParts {
		found = append(found, first(all, "allowOrphanedParts", func(e memberEffect) string { return quoted("%s would stop to apply", e.group.Orphaned) })...)
	}
	return found
}

func quoted(format string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(format, abbreviated(names, 3))
}

// first is the violation of the first cluster that has one, with how many do.
func first(all []memberEffect, rule string, wrong func(e memberEffect) string) []Violation {
	var v Violation
	n := 0
	for _, e := range all {
		why := wrong(e)
		if why == "" {
			continue
		}
		if n++; n == 1 {
			v = Violation{Rule: rule, Cluster: e.cluster, Message: fmt.Sprintf("cluster %q: %s", e.cluster, why)}
		}
	}
	switch {
	case n == 0:
		return nil
	case n > 1:
		v.Message += fmt.Sprintf(", and %d more clusters the like", n-1)
	}
	return []Violation{v}
}
