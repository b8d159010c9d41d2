package fleet

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// While a release is rendered, clusters' deltas are written. Of what they change, the last is
// rendered again with the writer's lock held, and others who write wait for that: so it is
// done for those clusters alone, and not for the fleet.

// overtaken is the trial with what has been written since, where that is clusters' own
// deltas; nil where it is more than that, or brings a cluster into trouble. The trial must
// not be used any more where there is another.
func (t *trial) overtaken(ctx context.Context, before *View, s state) (*trial, error) {
	if !t.isPlain() || before.base != t.before.base || before.members.count != t.before.members.count || !s.differsInOwn(t.log) {
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
	theirs := func(p Problem) bool { _, is := slices.BinarySearch(names, p.Cluster); return is }
	now.settled = append(slices.DeleteFunc(slices.Clone(t.settled), theirs), found...)
	now.survey()
	written, err := effectsOf(pairsNamed(before, now.next, names), telling{fields: true})
	if err != nil {
		return nil, err
	}
	now.effects = replaced(t.effects, names, written)
	now.weigh()
	return &now, nil
}

// isPlain tells whether nothing comes of the trial but that clusters go to its release: what
// else the log would say is counted from where it was when that was tried.
func (t *trial) isPlain() bool {
	return t.before != nil && len(t.failing)+len(t.change.Records)+len(t.change.Deltas)+len(t.change.Tokens) == 0 && !t.hasNobodys() && !t.failed()
}

// hasNobodys tells whether rendering found something wrong that is of no one cluster, of
// which it is not known whether it still is once a cluster is another.
func (t *trial) hasNobodys() bool {
	return slices.ContainsFunc(t.settled, func(p Problem) bool { return p.Cluster == "" })
}

// differsInOwn tells whether all that bears on what clusters are served is the same but for
// deltas of their own.
func (s state) differsInOwn(other state) bool {
	same := func(a, b namedDelta) bool { return a.Delta == b.Delta }
	return s.lineup == other.lineup && maps.Equal(s.records, other.records) && maps.Equal(s.pins.byName, other.pins.byName) &&
		slices.EqualFunc(s.deltas.named, other.deltas.named, same)
}

// writtenSince are the clusters whose own delta is another now than in the trial, or who are
// served something else, sorted. Views and trials have the same members.
func (t *trial) writtenSince(now *trial) (names []string) {
	for i, m := range t.before.members.all() {
		if m != now.before.members.at(i) {
			names = append(names, m.Cluster.Name)
		}
	}
	was, is := t.next.deltas.byID, now.next.deltas.byID
	for id, d := range is.each() {
		if was.get(id) != d {
			names = append(names, d.Cluster)
		}
	}
	for id, d := range was.each() {
		if is.get(id) == nil {
			names = append(names, d.Cluster)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// replaced has other effects on clusters of those names. All is sorted by cluster, and is
// written to.
func replaced(all []memberEffect, names []string, by []memberEffect) []memberEffect {
	for _, name := range names {
		at, there := slices.BinarySearchFunc(all, name, func(e memberEffect, name string) int { return strings.Compare(e.cluster, name) })
		other := len(by) > 0 && by[0].cluster == name
		switch {
		case other && there:
			all[at] = by[0]
		case other:
			all = slices.Insert(all, at, by[0])
		case there:
			all = slices.Delete(all, at, at+1)
		}
		if other {
			by = by[1:]
		}
	}
	return all
}
