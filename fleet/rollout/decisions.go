package rollout

import (
	"maps"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// with returns a lookup that also finds one more release.
func (r *Rules) with(c *fleet.Compiled) fleet.Lookup {
	return func(ref fleet.ReleaseRef) *fleet.Compiled {
		if c != nil && ref == c.Ref {
			return c
		}
		return r.compiled(ref)
	}
}

// GoLive plans that a release becomes the live one for the whole fleet. The change's Release
// names it. Rollout, Superseded and Failing rows are dropped, also as Previous, and every cluster
// is to be evaluated. A cluster whose file the release lacks becomes Orphaned on what it is on,
// pinned ones too; one whose file is back is Orphaned no longer.
func (r *Rules) GoLive(c *fleet.Change, release *fleet.Compiled) (*Plan, error) {
	if r.state.Rollout != nil {
		c.Rollout = &fleet.RolloutChange{Ended: true}
	}
	names := r.state.Names(r.compiled)
	if !slices.Equal(names, release.Names) { // as of most releases
		names = append(names, release.Names...)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	p, err := r.plan(c, r.with(release), names, func(name string, row *fleet.Assignment) *fleet.Assignment {
		if row != nil && row.Reason == fleet.ReasonOrphaned {
			if release.File(name) != nil {
				return nil
			}
			return row
		}
		vanished := false
		var was *fleet.Cluster
		if release.File(name) == nil { // as of few clusters
			was = r.spec(name)
			fromFile := was != nil && was.File != "" || !r.state.Records[name].IsDeclared()
			vanished = fromFile && release.IsUnreadable(name, was) == nil
		}
		switch {
		case r.state.Records[name].IsDecommissioned():
			return nil
		case vanished && r.state.On(name).IsZero():
			return nil
		case vanished:
			return r.orphan(name, r.state.On(name), was)
		case row != nil && row.Reason == fleet.ReasonPinned:
			pinned := *row
			pinned.Previous = nil
			return &pinned
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Names that only broken files declare.
	var failing []fleet.FailingCluster
	for name, problem := range release.Repo.Broken() {
		if _, known := p.targets[name]; !known && !r.state.Records[name].IsDecommissioned() {
			failing = append(failing, fleet.FailingCluster{Cluster: name, Reason: problem.String()})
		}
	}
	p.Fail(failing)
	return p, nil
}

// orphan returns the row of a cluster whose file has vanished.
func (r *Rules) orphan(name string, on fleet.ReleaseRef, was *fleet.Cluster) *fleet.Assignment {
	row := &fleet.Assignment{Cluster: name, Release: on, Reason: fleet.ReasonOrphaned, Since: r.state.Generation + 1}
	if was != nil && r.compiled(on).File(name) == nil {
		row.Spec = fleet.SpecOf(was)
	}
	return row
}

// Start plans the first wave of a rollout. The change's Rollout has it as Started, with Step 1.
// Rows of a rollout that it takes over become Superseded until a wave of the new one reaches them.
func (r *Rules) Start(c *fleet.Change, release *fleet.Compiled) (*Plan, error) {
	names := append(r.state.Names(r.compiled), c.Rollout.Started.New...)
	slices.Sort(names)
	return r.plan(c, r.with(release), slices.Compact(names), func(name string, row *fleet.Assignment) *fleet.Assignment {
		if row == nil || r.state.Rollout == nil {
			return row
		}
		homeless := !r.hasHome(name)
		switch {
		case row.Reason == fleet.ReasonOrphaned, row.Reason == fleet.ReasonSuperseded:
			return row
		case row.Reason == fleet.ReasonRollout, row.Reason == fleet.ReasonFailing && homeless && !row.Release.IsZero():
			return r.superseding(row, row.Release)
		case r.neverServed(name) && release.IsUnreadable(name, r.spec(name)) == nil:
			return nil // It is new with the release, or has no file any more.
		case row.Reason == fleet.ReasonPinned && homeless && covered(row) == nil:
			pinned := *row
			pinned.Previous = r.superseding(row, r.state.Rollout.Release)
			return &pinned
		}
		return row
	})
}

// superseding returns the Superseded row of a cluster that a row is for. It keeps what the file said
// last only where neither the release nor the live one has the file.
func (r *Rules) superseding(row *fleet.Assignment, release fleet.ReleaseRef) *fleet.Assignment {
	next := &fleet.Assignment{Cluster: row.Cluster, Release: release, Reason: fleet.ReasonSuperseded, Since: row.Since}
	if r.compiled(release).File(row.Cluster) == nil && r.compiled(r.state.LiveRef()).File(row.Cluster) == nil {
		next.Spec = row.Spec
	}
	return next
}

// Step plans the next wave of the rollout in progress. The change's Rollout has its progress.
func (r *Rules) Step(c *fleet.Change) (*Plan, error) {
	return r.plan(c, r.compiled, slices.Clone(r.state.Rollout.Waves[r.state.Rollout.Step].Clusters), nil)
}

// End plans the end of the rollout in progress: each cluster goes back to what its row covers, or
// to where the rules have it. A cluster that only the rollout declares becomes Orphaned on what
// it is on. Where the source went back to the live release, reverted is true, and Superseded rows
// end as well.
func (r *Rules) End(c *fleet.Change, reverted bool) (*Plan, error) {
	c.Rollout = &fleet.RolloutChange{Ended: true}
	names := slices.Sorted(maps.Keys(r.state.Assignments))
	return r.plan(c, r.compiled, names, func(name string, row *fleet.Assignment) *fleet.Assignment {
		homeless := !r.hasHome(name)
		ends := func(row *fleet.Assignment) bool {
			return row != nil && row.Reason == fleet.ReasonSuperseded && !homeless && (reverted || row.Release == r.state.LiveRef())
		}
		switch {
		case row.Reason == fleet.ReasonOrphaned:
			return row
		case row.Reason == fleet.ReasonRollout && homeless && row.Previous != nil && row.Previous.Reason == fleet.ReasonFailing && !row.Previous.Release.IsZero():
			// The live release, which it failed on, has no file of it, and its declaration has ended.
			return &fleet.Assignment{Cluster: name, Release: row.Previous.Release, Reason: fleet.ReasonOrphaned, Spec: row.Previous.Spec, Since: r.state.Generation + 1}
		case row.Reason == fleet.ReasonRollout && row.Previous != nil && !ends(row.Previous):
			return row.Previous
		case homeless && row.Release.IsZero():
			return nil // forgotten
		case homeless && superseded(row) != nil && !reverted:
			return row
		case homeless:
			return r.orphan(name, row.Release, r.spec(name))
		case row.Reason == fleet.ReasonRollout, ends(row):
			return nil
		case ends(row.Previous):
			next := *row
			next.Previous = nil
			return &next
		}
		return row
	})
}

// Repin plans a change of pins. The touched clusters are those that another pin is for, or none.
func (r *Rules) Repin(c *fleet.Change, pinned *fleet.Compiled) (*Plan, error) {
	pins := r.state.Pins.With(c.Pins)
	var names []string
	for _, name := range r.state.Names(r.compiled) {
		row := r.state.Assignments[name]
		if r.state.Records[name].IsDecommissioned() || row != nil && row.Reason == fleet.ReasonOrphaned {
			continue
		}
		if identity := r.state.Identity(name, r.compiled); identity != nil && r.state.Pins.For(identity) != pins.For(identity) {
			names = append(names, name)
		}
	}
	return r.plan(c, r.with(pinned), names, nil)
}

// Redeclare plans a change of declarations and tombstones: of the clusters whose records change.
// A cluster that is declared anew is Orphaned no longer; one that is decommissioned has no row,
// since its tombstone keeps it. Kept is the release that the tombstone of a cluster names which is
// recommissioned; else nil.
func (r *Rules) Redeclare(c *fleet.Change, kept *fleet.Compiled) (*Plan, error) {
	var names []string
	before := map[string]*fleet.ClusterRecord{}
	for _, change := range c.Records {
		names = append(names, change.Cluster)
		before[change.Cluster] = change.Before
	}
	after := r.state.Apply(c)
	slices.Sort(names)
	return r.plan(c, r.with(kept), names, func(name string, row *fleet.Assignment) *fleet.Assignment {
		now := after.Records[name]
		if c.Kind == fleet.Recommissioned && before[name].IsDecommissioned() {
			return r.restored(name, before[name].Decommissioned)
		}
		anew := now.IsDeclared() && (!before[name].IsDeclared() || before[name].Since != now.Since)
		if now.IsDecommissioned() || anew && row != nil && row.Reason == fleet.ReasonOrphaned {
			return nil
		}
		return row
	})
}

// TombstoneRow returns the row that a tombstone keeps: that of the cluster, or one that names the
// live release. It knows what the cluster is, also once the live release's file has vanished.
func (r *Rules) TombstoneRow(cluster string) *fleet.Assignment {
	row := r.state.Assignments[cluster]
	if row == nil {
		return &fleet.Assignment{Cluster: cluster, Release: r.state.LiveRef(), Since: r.state.Generation}
	}
	if was := r.spec(cluster); row.Spec == nil && was != nil && r.compiled(row.Release).File(cluster) == nil {
		known := *row
		known.Spec = fleet.SpecOf(was)
		return &known
	}
	return row
}

// restored returns the row that a cluster which is recommissioned starts from. Where the live release
// has its file, the API declares it, or a rollout has reached it, the rules say where it should be; a
// Superseded row counts unless a release went live meanwhile. Else the cluster is Orphaned on what it
// was on.
func (r *Rules) restored(name string, t *fleet.Tombstone) *fleet.Assignment {
	live, ro := r.compiled(r.state.LiveRef()), r.state.Rollout
	switch {
	case live.File(name) != nil, r.state.Records[name].IsDeclared():
		if r.state.Live != nil && r.state.Live.Generation < t.Generation {
			return superseded(t.Row)
		}
		return nil
	case ro != nil && r.reached[name] && r.compiled(ro.Release).File(name) != nil, t.Row == nil, t.Row.Release.IsZero():
		return nil
	}
	return &fleet.Assignment{Cluster: name, Release: t.Row.Release, Reason: fleet.ReasonOrphaned, Spec: t.Row.Spec, Since: r.state.Generation + 1}
}

// Contradicted returns the clusters that the API declares and whose files are new with a release
// and have other labels, sorted. Whoever declared or registered such a name was not the cluster
// that the file is for.
func (r *Rules) Contradicted(release *fleet.Compiled) []string {
	var names []string
	for name, record := range r.state.Records {
		row := r.state.Assignments[name]
		if !record.IsDeclared() || record.IsDecommissioned() || row != nil && row.Reason == fleet.ReasonOrphaned {
			continue
		}
		file := release.File(name)
		if was := r.spec(name); file == nil || was == nil || was.File != "" {
			continue
		}
		for key, value := range record.Declared.Labels {
			if has, ok := file.Labels[key]; !ok || has != value {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}
