package fleet

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// While a release is rendered, clusters' deltas are written. What they change is rendered
// again with the writer's lock held, so that others who write wait for it: for those clusters
// alone, and not for the fleet.

// overtaken is the trial with what has been written since, where that is deltas; nil where
// it is more than that, or brings a cluster into trouble.
func (t *trial) overtaken(ctx context.Context, before *View, s state) (*trial, error) {
	if t.before == nil || before.base != t.before.base || len(t.failing)+len(t.change.Deltas)+len(t.change.Tokens) > 0 || t.failed() || !s.differsInDeltas(t.log) {
		return nil, nil
	}
	now := *t
	now.before, now.log, now.next = before, s, t.next.clone()
	now.next.state = s.with(t.change)
	names := t.writtenSince(&now)
	found, err := now.next.render(ctx, now.next.placesOf(names), nil)
	if err != nil || len(found.Faults()) > 0 {
		return nil, err
	}
	others := func(p Problem) bool { _, is := slices.BinarySearch(names, p.Cluster); return is }
	now.settled = append(slices.DeleteFunc(slices.Clone(t.settled), others), found...)
	now.survey()
	written, err := effectsOf(pairsNamed(before, now.next, names), telling{fields: true})
	if err != nil {
		return nil, err
	}
	was := func(e memberEffect) bool { _, is := slices.BinarySearch(names, e.cluster); return is }
	now.effects = append(slices.DeleteFunc(slices.Clone(t.effects), was), written...)
	slices.SortFunc(now.effects, func(a, b memberEffect) int { return strings.Compare(a.cluster, b.cluster) })
	now.weigh()
	return &now, nil
}

// differsInDeltas tells whether all else that bears on what clusters are served is the same.
func (s state) differsInDeltas(other state) bool {
	return s.lineup == other.lineup && maps.Equal(s.records, other.records) && maps.Equal(s.pins.byName, other.pins.byName)
}

// writtenSince are the clusters that have other deltas now than in the trial, or are served
// something else, sorted. Both have the same members.
func (t *trial) writtenSince(now *trial) (names []string) {
	served := walksOf([]*View{t.before, now.before})
	for _, m := range t.next.members {
		name := m.Cluster.Name
		for i := range served {
			served[i].to(name)
		}
		if served[0].at != served[1].at || !slices.Equal(t.next.deltas.of(m.Cluster), now.next.deltas.of(m.Cluster)) {
			names = append(names, name)
		}
	}
	return names
}
