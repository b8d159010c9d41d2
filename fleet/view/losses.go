package view

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// Having counts the clusters that are served an input.
func (v *View) Having(in fleet.InputRef) (n int) {
	for _, m := range v.members {
		if m.State != fleet.ClusterDecommissioned && m.serves(in) {
			n++
		}
	}
	return n
}

func (m *Member) serves(in fleet.InputRef) bool {
	_, found := slices.BinarySearchFunc(m.Inputs[in.Set].List(), in.ID, func(i *fleet.Input, id string) int { return cmp.Compare(i.ID, id) })
	return found
}

// Lost returns what clusters lost according to some losses, those that have not ended at a time, and
// are served neither in this view nor in the next one: an input that is served again is no longer
// lost, nor are those of a cluster that is decommissioned. No cluster has an input twice.
func (v *View) Lost(losses []*fleet.Losses, at time.Time, next *View) (lost []fleet.LossGroup) {
	type loss struct {
		cluster string
		input   fleet.InputRef
	}
	seen := map[loss]bool{}
	for g := range groupsAt(losses, at) {
		for _, name := range g.Clusters {
			before, after := v.Named(name), next.Named(name)
			if before == nil || before.State == fleet.ClusterDecommissioned {
				continue
			}
			var inputs []fleet.InputRef
			for _, in := range g.Inputs {
				if one := (loss{name, in}); !seen[one] && !before.serves(in) && (after == nil || !after.serves(in)) {
					seen[one], inputs = true, append(inputs, in)
				}
			}
			if len(inputs) > 0 {
				lost = append(lost, fleet.LossGroup{Clusters: []string{name}, Inputs: inputs})
			}
		}
	}
	return lost
}

// LostFiles returns the clusters whose files vanished according to some losses, those that have not
// ended at a time, and that are orphaned in this view and in the next one, sorted.
func (v *View) LostFiles(losses []*fleet.Losses, at time.Time, next *View) []string {
	isLost := func(m *Member) bool { return m != nil && m.State == fleet.ClusterOrphaned }
	return clustersAt(losses, at, func(g fleet.LossGroup, name string) bool {
		return g.Orphaned && isLost(v.Named(name)) && isLost(next.Named(name))
	})
}

// LostFromList returns the clusters that left the list of a selector according to some losses, those
// that have not ended at a time, and that are on it neither in this view nor in the next one, sorted.
// Those that are decommissioned are left out.
func (v *View) LostFromList(losses []*fleet.Losses, at time.Time, next *View, text string) []string {
	selector, err := labels.Parse(text)
	if err != nil {
		return nil // it was parsed before it was kept
	}
	isLost := func(m *Member) bool {
		return m != nil && m.State != fleet.ClusterDecommissioned && !m.isListed(selector)
	}
	return clustersAt(losses, at, func(g fleet.LossGroup, name string) bool {
		return slices.Contains(g.Lists, text) && isLost(v.Named(name)) && isLost(next.Named(name))
	})
}

// clustersAt returns those clusters of losses that have not ended at a time that are lost, sorted.
func clustersAt(losses []*fleet.Losses, at time.Time, isLost func(g fleet.LossGroup, name string) bool) (names []string) {
	for g := range groupsAt(losses, at) {
		for _, name := range g.Clusters {
			if isLost(g, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func groupsAt(losses []*fleet.Losses, at time.Time) func(yield func(fleet.LossGroup) bool) {
	return func(yield func(fleet.LossGroup) bool) {
		for _, l := range losses {
			if !l.Until.After(at) {
				continue
			}
			for _, g := range l.Groups {
				if !yield(g) {
					return
				}
			}
		}
	}
}
