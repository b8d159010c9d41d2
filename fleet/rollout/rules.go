// Package rollout decides which release each cluster is to be on. It is pure: it reads a
// [fleet.State] and compiled releases, and returns what the change log should say.
//
// [Rules.Desired] is the only rule. A decision, such as a release going live or a pin, is worked
// out as a [Plan]:
//
//	rules := rollout.NewRules(state, compiled)
//	plan, err := rules.GoLive(change, release)   // change says everything but the assignments
//	for failing := evaluate(plan.State()); len(failing) > 0; failing = evaluate(plan.State()) {
//		plan.Fail(failing)                   // clusters that their release is not valid for
//	}
//	append(plan.Change())
//
// The caller evaluates, that is, renders; the package never does. Nor does it know time, but as
// an argument: what is observed decides only whether a step is made, never where a cluster is.
package rollout

import (
	"github.com/tributary-gitops/tributary/fleet"
)

// Rules say where clusters should be, in one state. They are read only.
type Rules struct {
	state    *fleet.State
	compiled fleet.Lookup
	reached  map[string]bool // by the rollout
}

// NewRules returns the rules for a state. Compiled finds the releases that are loaded.
func NewRules(s *fleet.State, compiled fleet.Lookup) *Rules {
	r := &Rules{state: s, compiled: compiled}
	if s.Rollout != nil {
		r.reached = s.Rollout.Reached()
	}
	return r
}

// Target is where a cluster should be, and why.
type Target struct {
	Release fleet.ReleaseRef
	// Reason is empty for the live release.
	Reason fleet.Reason
	// Detail is the name of the pin.
	Detail string
}

// Desired returns where a cluster should be. It is the first of these that applies:
//
//  1. a tombstone: nowhere;
//  2. an Orphaned row: that row's release;
//  3. a pin, the one that names the cluster, else the first by name: the pin's release;
//  4. a wave, or the part of one, that the rollout has reached: the rollout's release;
//  5. a Superseded row, its own or as Previous: that row's release;
//  6. the live release.
//
// It returns false for a cluster that should be nowhere, or that nothing declares.
func (r *Rules) Desired(cluster string) (Target, bool) {
	return r.desired(cluster, r.state.Assignments[cluster])
}

// desired is Desired for a cluster whose row is, or would be, the one that is given.
func (r *Rules) desired(cluster string, row *fleet.Assignment) (Target, bool) {
	if r.state.Records[cluster].IsDecommissioned() {
		return Target{}, false
	}
	if row != nil && row.Reason == fleet.ReasonOrphaned {
		return Target{Release: row.Release, Reason: fleet.ReasonOrphaned}, true
	}
	identity := r.identity(cluster, row)
	if identity == nil {
		return Target{}, false
	}
	if p := r.state.Pins.For(identity); p != nil {
		return Target{Release: p.Ref(), Reason: fleet.ReasonPinned, Detail: p.Name}, true
	}
	if r.reached[cluster] {
		return Target{Release: r.state.Rollout.Release, Reason: fleet.ReasonRollout}, true
	}
	if s := superseded(row); s != nil {
		return Target{Release: s.Release, Reason: fleet.ReasonSuperseded}, true
	}
	return Target{Release: r.state.LiveRef()}, true
}

// identity is State.Identity for a cluster whose row is the one that is given.
func (r *Rules) identity(cluster string, row *fleet.Assignment) *fleet.Cluster {
	if row == r.state.Assignments[cluster] {
		return r.state.Identity(cluster, r.compiled)
	}
	s := *r.state
	s.Assignments = map[string]*fleet.Assignment{}
	if row != nil {
		s.Assignments[cluster] = row
	}
	return s.Identity(cluster, r.compiled)
}

// superseded returns the Superseded row that a row is or covers, or nil.
func superseded(row *fleet.Assignment) *fleet.Assignment {
	switch {
	case row == nil:
	case row.Reason == fleet.ReasonSuperseded:
		return row
	case row.Previous != nil && row.Previous.Reason == fleet.ReasonSuperseded:
		return row.Previous
	}
	return nil
}

// covered returns what a row that replaces this one keeps as Previous: the Superseded row if
// there is one, else a Failing one. It is one deep.
func covered(row *fleet.Assignment) *fleet.Assignment {
	if s := superseded(row); s != nil {
		return s
	}
	switch {
	case row == nil:
		return nil
	case row.Reason == fleet.ReasonFailing:
		alone := *row
		alone.Previous = nil
		return &alone
	}
	return row.Previous
}

// hasHome reports whether a cluster can be on the live release: a file of that declares it,
// readable or not, or the API does. A cluster that only a rollout declares has no home.
func (r *Rules) hasHome(cluster string) bool {
	live := r.compiled(r.state.LiveRef())
	if live.File(cluster) != nil || r.state.Records[cluster].IsDeclared() {
		return true
	}
	if live == nil {
		return true // It cannot be told here.
	}
	for row := r.state.Assignments[cluster]; row != nil; row = row.Previous {
		file := r.compiled(row.Release).File(cluster)
		if file == nil && row.Spec != nil {
			file = row.Spec.Named(cluster)
		}
		if live.IsUnreadable(cluster, file) != nil {
			return true
		}
	}
	return live.IsUnreadable(cluster, nil) != nil
}

// neverServed reports whether only the rollout declares a cluster, and no release was ever valid for it.
func (r *Rules) neverServed(cluster string) bool {
	row := r.state.Assignments[cluster]
	return row != nil && row.Reason == fleet.ReasonFailing && row.Release.IsZero() && !r.hasHome(cluster)
}

// exists reports whether the cluster is part of the fleet and not decommissioned.
func (r *Rules) exists(cluster string) bool {
	return !r.state.Records[cluster].IsDecommissioned() && r.state.Identity(cluster, r.compiled) != nil
}

// spec returns what the cluster is on the release that it is on, or nil.
func (r *Rules) spec(cluster string) *fleet.Cluster {
	row := r.state.Assignments[cluster]
	if row == nil {
		return r.state.Spec(cluster, r.compiled(r.state.LiveRef()), "", nil, r.compiled)
	}
	return r.state.Spec(cluster, r.compiled(row.Release), row.Reason, row.Spec, r.compiled)
}
