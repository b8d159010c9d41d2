package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// trial is what a release makes of the fleet as it is served now, if it reached every
// cluster at once.
type trial struct {
	base   *base
	before *View // nil before the first release
	next   *View
	log    state // that it was tried with
	// change is what going live has the log say, without the release itself.
	change     *Change
	failing    []FailingCluster
	settled    Problems // those that rendering found
	problems   Problems // and all others
	effects    []memberEffect
	impact     *Impact
	violations []Violation
}

// try renders a release for every cluster, beside what is served. s is what the log
// says, and may be newer than what is served. What was rendered in an earlier trial
// is used again.
func (f *Fleet) try(ctx context.Context, b *base, before *View, s state, earlier *trial) (*trial, error) {
	d := newDraft(s)
	t := &trial{base: b, before: before, log: s, change: &Change{At: f.now(), Lineup: &Lineup{}}}
	d.arrive(b, before, s)
	f.takeOver(t.change, d, before, s, b)
	others := []*View{before}
	if earlier != nil && earlier.hasNobodys() {
		earlier = nil
	}
	if earlier != nil {
		others = append(others, earlier.next)
	}
	t.next = &View{base: b, marks: f.marks, bases: before.adding(b)}
	var err error
	if t.failing, t.settled, err = f.settle(ctx, t.next, before, t.change, d, s, b, nil, others...); err != nil {
		return nil, err
	}
	t.remember(earlier)
	t.survey()
	if t.failed() {
		return t, nil
	}
	if t.effects, err = effects(before, t.next, telling{fields: true}); err != nil {
		return nil, err
	}
	t.weigh()
	return t, nil
}

// remember takes over what an earlier trial found wrong with clusters that are as they were there.
func (t *trial) remember(earlier *trial) {
	if earlier == nil {
		return
	}
	for _, p := range earlier.settled {
		if t.next.named(p.Cluster) == earlier.next.named(p.Cluster) {
			t.settled = append(t.settled, p)
		}
	}
}

// survey finds all that is wrong.
func (t *trial) survey() {
	t.problems = slices.Concat(t.settled, t.base.repo.Problems(), t.next.clashes(nil), overLimit(t.base.sets, t.next.members)).Sort()
}

// arrive has the log say that the whole fleet is on a release: who stayed behind
// does so no more, whose file is back is an orphan no longer, and whose file has
// vanished is frozen on what he is on. That is about the fleet repo alone; that the API declares a cluster
// as well does not let it lose, unasked, what its file gave it.
func (d *draft) arrive(b *base, before *View, s state) {
	for name, r := range s.records {
		_, there := b.clusters[name]
		if r.Stays != nil || r.Orphaned != nil && there {
			d.edit(name, func(r *ClusterRecord) {
				r.Stays = nil
				if there {
					r.Orphaned = nil
				}
			})
		}
	}
	if before == nil {
		return
	}
	for _, m := range before.members.all() {
		name := m.Cluster.Name
		if _, there := b.clusters[name]; there || m.State != Active || m.Cluster.File == "" || m.unserved(before) {
			continue
		}
		d.edit(name, func(r *ClusterRecord) {
			r.Orphaned = &Orphaned{Since: s.generation + 1, Release: m.base.kept(), DNS: m.Cluster.DNS, Labels: m.Cluster.Labels, File: m.lastFile()}
		})
	}
}

// unserved tells whether a member has never been served anything. One that no release
// was good for yet may be served by a pin.
func (m *Member) unserved(v *View) bool {
	r := v.records[m.Cluster.Name]
	return m.lost != nil && r != nil && r.Stays != nil && r.Stays.Release.Revision == ""
}

// settle renders a view that is to come of a change, has clusters that a release is not
// good for stay on what they were on, and adds that to the change, whose records are
// those of the draft. Of the clusters it looks at those in names alone, or at all
// where that is nil.
func (f *Fleet) settle(ctx context.Context, next, before *View, c *Change, d *draft, s state, b *base, names map[string]bool, others ...*View) ([]FailingCluster, Problems, error) {
	problems, err := f.seated(ctx, next, c, d, s, others...)
	if err != nil {
		return nil, nil, err
	}
	failing := next.failing()
	for _, one := range b.unreadable(before) {
		r := s.records[one.Cluster]
		if (names == nil || names[one.Cluster]) && (r == nil || r.Decommissioned == nil) { // such a one is to have nothing
			failing = append(failing, one)
		}
	}
	if len(failing) == 0 {
		return nil, problems, nil
	}
	slices.SortFunc(failing, func(a, b FailingCluster) int { return strings.Compare(a.Cluster, b.Cluster) })
	for _, one := range failing {
		stay := before.stay(one, s.generation+1)
		stay.Not = next.pinnedTo(one.Cluster)
		d.edit(one.Cluster, func(r *ClusterRecord) { r.Orphaned, r.Stays = nil, stay })
	}
	more, err := f.seated(ctx, next, c, d, s, append(others, next.clone())...)
	if err != nil {
		return nil, nil, err
	}
	next.lose()
	return failing, append(problems, more...).Sort(), nil
}

// seated renders who is in a view after a change, as far as he is not in others.
func (f *Fleet) seated(ctx context.Context, next *View, c *Change, d *draft, s state, others ...*View) (Problems, error) {
	c.Records = d.changes()
	next.state = s.with(c)
	if err := f.thaw(ctx, next, next.state); err != nil {
		return nil, err
	}
	return next.render(ctx, next.seatAll(others...), nil)
}

// stay is what the log says of a cluster that a release is not good for: it stays on
// what it was on, which may be nothing, or what it was frozen on while it had no file.
func (v *View) stay(one FailingCluster, generation int64) *Stay {
	s := &Stay{Since: generation, Why: one.Reason}
	m := v.named(one.Cluster)
	if m == nil || m.State == DecommissionedState || m.unserved(v) {
		return s
	}
	s.Release, s.File = m.base.kept(), m.lastFile()
	if r := v.records[one.Cluster]; r != nil && r.Stays != nil && r.Stays.Release.key() == s.Release.key() {
		s.Since = r.Stays.Since
	}
	return s
}

// pinnedTo is the release that a pin has a cluster on which there is no rendering of;
// nil where that is no pin's.
func (v *View) pinnedTo(cluster string) *LiveRelease {
	m := v.named(cluster)
	if m == nil || m.lost != nil || m.Counts != nil {
		return nil
	}
	if p := v.Pinned(m); p != nil && p.key() == m.base.key() {
		kept := m.base.kept()
		return &kept
	}
	return nil
}

// failing are the members that there is no rendering of, with the first fault that
// says why.
func (v *View) failing() []FailingCluster {
	var all []FailingCluster
	for _, m := range v.members.all() {
		if m.lost == nil && m.Counts == nil {
			all = append(all, FailingCluster{Cluster: m.Cluster.Name, Reason: m.fault})
		}
	}
	return all
}

// unreadable are the clusters whose files cannot be read with the release: those that
// it can tell by name, and those that were in a file which cannot be read now.
func (b *base) unreadable(before *View) []FailingCluster {
	var all []FailingCluster
	broken := b.repo.Broken()
	for name, p := range broken {
		all = append(all, FailingCluster{Cluster: name, Reason: p.String()})
	}
	if before == nil {
		return all
	}
	for _, m := range before.members.all() {
		name, file := m.Cluster.Name, m.Cluster.File
		if m.State != Active || file == "" {
			continue
		}
		p := b.repo.Unread(file)
		if p == nil {
			continue // as nearly all can be
		}
		now, there := b.clusters[name]
		if _, told := broken[name]; !told && (!there || now.File != file) {
			all = append(all, FailingCluster{Cluster: name, Reason: p.String()})
		}
	}
	return all
}

// failed tells whether the release is good for no cluster.
func (t *trial) failed() bool {
	if t.base.repo.Failed() {
		return true
	}
	failing := map[string]bool{}
	for _, one := range t.failing {
		failing[one.Cluster] = true
	}
	return len(failing) > 0 && !t.next.members.some(func(m *Member) bool {
		return m.State == Active && !failing[m.Cluster.Name]
	})
}

// weigh sums up what the release changes, and what of the guard it goes beyond.
func (t *trial) weigh() {
	guard := t.base.repo.Guard()
	if t.before != nil {
		guard = t.before.base.repo.Guard()
	}
	t.impact, t.violations = guard.weigh(t.before, t.effects)
	total := t.next.members.count
	if n := len(t.failing); n > guard.FailingClusters.Of(total) {
		t.violations = append(t.violations, Violation{Rule: "failingClusters", Cluster: t.failing[0].Cluster, Message: fmt.Sprintf(
			"%d of %d clusters cannot have it (%s allowed); the first is %s: %s", n, total, guard.FailingClusters, t.failing[0].Cluster, t.failing[0].Reason)})
	}
	t.impact.seal(t.base.key(), t.failing)
}

// release is the trial as the log has it, in a state.
func (t *trial) release(s State, generation int64) *Release {
	r := t.base.release
	r.Digest, r.State, r.At, r.Generation, r.Clusters = t.base.snapshot, s, t.change.At, generation, t.next.members.count
	r.Problems, r.Failing, r.Impact, r.Violations = t.problems, t.failing, t.impact, t.violations
	return &r
}
