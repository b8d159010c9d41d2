package controller

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/position"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/edit"
	"github.com/tributary-gitops/tributary/fleet/impact"
	"github.com/tributary-gitops/tributary/fleet/rollout"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// WriteOptions say who asks for a change, why, and on which condition.
type WriteOptions struct {
	// Actor is the name of the credential.
	Actor  string
	Reason string
	// DryRun does everything but the change itself.
	DryRun bool
	// Confirm is the digest of the impact that is confirmed, of a write that exceeds the guard.
	Confirm string
	// Scope limits the write to clusters that it matches; nil does not.
	Scope *fleet.Selector
	// IfVersion, where it is not nil, is the version that the thing must have which the write is
	// about, as Version returns it; empty where there must be none. Else the write is an ErrStale.
	IfVersion *string
}

// Version returns the version of a delta, pin or object, which changes with its content; empty for
// nil. A view's ClusterVersion returns that of a cluster.
func Version(thing any) string {
	if v := reflect.ValueOf(thing); thing == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return ""
	}
	document, ok := thing.(json.RawMessage)
	if !ok {
		document = fleet.EncodeJSON(thing)
	}
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:16])
}

// check returns an ErrStale where what the write is about is not at the version that is expected.
func (w WriteOptions) check(version string) error {
	switch {
	case w.IfVersion == nil || *w.IfVersion == version:
		return nil
	case *w.IfVersion == "":
		return fmt.Errorf("%w: it exists by now", fleet.ErrStale)
	}
	return fmt.Errorf("%w: it is not what it was when it was read", fleet.ErrStale)
}

// mutation is what a write comes to, given what is served.
type mutation struct {
	deltas  []fleet.DeltaChange
	records []fleet.RecordChange
	tokens  []fleet.TokenChange
	pins    []fleet.PinChange
	// pinned is the release of a pin that is set, or that a cluster was on which is recommissioned; nil
	// for none.
	pinned *fleet.Compiled
	// about is a cluster that the write is for, whatever it changes; empty for none.
	about string
	// strict refuses parts of deltas that cannot be applied, even where they could not before.
	strict   bool
	warnings []string
	// holder must lead for the change to be kept; empty for any server.
	holder string
}

func (m *mutation) isEmpty() bool { return len(m.deltas)+len(m.records)+len(m.tokens)+len(m.pins) == 0 }

// reason returns the reason of a delta that comes with a new one.
func (m *mutation) reason() string {
	for _, c := range m.deltas {
		if c.After != nil && (c.Before == nil || c.Before.Reason != c.After.Reason) {
			return c.After.Reason
		}
	}
	return ""
}

// write changes deltas, pins and clusters: it is mutated, rendered, checked and, with the lock held,
// committed, or nothing happens. Mutate may be called several times, since another change may come before
// the lock is taken.
func (w *writer) write(ctx context.Context, o WriteOptions, kind fleet.ChangeKind, mutate func(v *view.View) (*mutation, error)) (*fleet.Result, error) {
	var result *fleet.Result
	var rendered view.Earlier // for the next call of mutate
	pace := writePace
	if o.DryRun {
		pace = dryRunPace
	}
	err := w.change(ctx, o.Actor, string(kind), pace, func(ctx context.Context, at *position.Position) (p *proposal, err error) {
		p, result, err = w.proposeWrite(ctx, at, o, kind, mutate, &rendered)
		return p, err
	})
	w.metrics.CountWrite(o.DryRun, err)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// proposeWrite works out a write at a position. The proposal is nil where nothing is to be written.
func (w *writer) proposeWrite(ctx context.Context, at *position.Position, o WriteOptions, kind fleet.ChangeKind, mutate func(v *view.View) (*mutation, error),
	earlier *view.Earlier) (*proposal, *fleet.Result, error) {
	v := at.View
	if v == nil {
		return nil, nil, w.whyNotReady()
	}
	if !at.IsServed() {
		return nil, nil, fmt.Errorf("fleet: %w for writes: this server cannot serve what the change log says at generation %d", fleet.ErrNotReady, at.State.Generation)
	}
	m, err := mutate(v)
	if err != nil {
		return nil, nil, err
	}
	m.deltas = slices.DeleteFunc(m.deltas, isNoChange)
	c := &fleet.Change{
		At: w.now(), Kind: kind, Actor: o.Actor, Reason: cmp.Or(o.Reason, m.reason()), Holder: m.holder,
		Deltas: m.deltas, Records: m.records, Tokens: m.tokens, Pins: m.pins,
	}
	next, names, warnings, err := w.applyMutation(ctx, v, m, c, earlier)
	if err == nil {
		err = credential.CheckScope(o.Scope, c, names, v.Cluster, next.Cluster)
	}
	if err != nil {
		return nil, nil, err
	}
	weighed := w.weighing(ctx, v, next, v.State(), c.At)
	diffs, sum, err := weighed.Diff(impact.Options{Changes: true}, names...)
	if err == nil && kind != fleet.Decommissioned && kind != fleet.Purged { // to decommission a cluster is to confirm it
		c.Losses, err = weighed.CheckWrite(diffs, sum, o.Confirm)
	}
	if err != nil {
		return nil, nil, err
	}
	result := &fleet.Result{
		Generation: v.Generation(), DryRun: o.DryRun, Changes: []fleet.InputChange{}, Clusters: append([]string{}, names...),
		Lists: sum.Lists, Reowned: sum.Reowned, Warnings: slices.Concat(m.warnings, warnings),
	}
	for _, d := range diffs {
		result.Changes = append(result.Changes, d.Changes...)
	}
	for _, change := range result.Changes {
		if change.After == nil {
			result.Removed++
		}
	}
	if o.DryRun || m.isEmpty() {
		return nil, result, nil
	}
	c.Clusters = result.Clusters
	return &proposal{change: c, next: next, done: func() { result.Generation = c.Generation }}, result, nil
}

func isNoChange(c fleet.DeltaChange) bool {
	if c.Before == nil || c.After == nil {
		return c.Before == c.After
	}
	return string(fleet.EncodeJSON(c.Before)) == string(fleet.EncodeJSON(c.After))
}

// applyMutation renders what a mutation leads to, with the names of the clusters that it is for, and
// completes the change with assignments. Where a cluster could not be served so, it is Problems.
func (w *writer) applyMutation(ctx context.Context, v *view.View, m *mutation, c *fleet.Change, earlier *view.Earlier) (next *view.View, names, warnings []string, err error) {
	found := v.Affected(m.deltas)
	if m.about != "" {
		found[m.about] = true
	}
	plan, err := m.plan(v, c)
	if err != nil {
		return nil, nil, nil, err
	}
	state, compiled := v.State().Apply(c), v.Releases()
	if plan != nil {
		for _, name := range plan.Touched() {
			found[name] = true
		}
		plan.Fail(m.mayFail(plan, plan.Unreadable()))
		state = plan.State()
		if compiled, err = w.loadReleases(ctx, state, v.With(m.pinned)); err != nil {
			return nil, nil, nil, err
		}
	}
	names = slices.Sorted(maps.Keys(found))
	next, problems, err := v.Next(ctx, state, compiled, names, earlier.Views()...)
	if err != nil {
		return nil, nil, nil, err
	}
	problems = append(problems, earlier.ProblemsIn(next)...)
	*earlier = view.Earlier{View: next, Problems: problems}
	if plan != nil {
		if next, problems, err = w.fallBack(ctx, m, plan, next, problems, v); err != nil {
			return nil, nil, nil, err
		}
		c.Assignments = plan.Change().Assignments
	}
	for _, name := range names {
		problems = append(problems, newStaleParts(m, v.Named(name), next.Named(name))...)
	}
	declaring := map[string]bool{}
	for _, r := range m.records {
		declaring[r.Cluster] = true
	}
	if len(declaring) > 0 {
		problems = append(problems, next.Clashes(declaring).Faults()...)
	}
	problems = problems.Sort()
	if faults := problems.Faults(); len(faults) > 0 {
		return nil, nil, nil, withClusters(ctx, next, names, faults)
	}
	for _, p := range problems {
		warnings = append(warnings, p.String())
	}
	for _, d := range m.deltas {
		warnings = append(warnings, unmatchedClusters(next, d.After)...)
	}
	return next, names, warnings, nil
}

// plan returns what a mutation means for the assignments; nil where it does not bear on them.
func (m *mutation) plan(v *view.View, c *fleet.Change) (*rollout.Plan, error) {
	rules := rollout.NewRules(v.State(), lookup(v.Releases()))
	switch {
	case len(m.records) > 0: // with pins, of which a purge may take the cluster's name
		return rules.Redeclare(c, m.pinned)
	case len(m.pins) > 0:
		return rules.Repin(c, m.pinned)
	}
	return nil, nil
}

// mayFail returns those of failing clusters that a mutation may leave where they are: those that are
// unpinned and go to the fleet's release. A write onto a release that is not valid is refused.
func (m *mutation) mayFail(plan *rollout.Plan, failing []fleet.FailingCluster) []fleet.FailingCluster {
	if len(m.pins) == 0 || len(m.records) > 0 {
		return nil
	}
	return slices.DeleteFunc(failing, func(one fleet.FailingCluster) bool {
		t, ok := plan.Target(one.Cluster)
		return !ok || t.Reason == fleet.ReasonPinned
	})
}

// fallBack leaves clusters where they are that were unpinned and that the fleet's release is not
// valid for. It returns the problems that remain.
func (w *writer) fallBack(ctx context.Context, m *mutation, plan *rollout.Plan, next *view.View, problems fleet.Problems, v *view.View) (*view.View, fleet.Problems, error) {
	failing := m.mayFail(plan, next.Failing())
	if len(failing) == 0 {
		return next, problems, nil
	}
	all := len(failing) == len(next.Failing())
	names := map[string]bool{}
	for _, one := range failing {
		names[one.Cluster] = true
	}
	rest := slices.DeleteFunc(problems, func(p fleet.Problem) bool {
		// A fault of a stack belongs to no cluster, and is reported once.
		return names[p.Cluster] || p.Cluster == "" && !p.Warning && all
	})
	movable := func(failing []fleet.FailingCluster) []fleet.FailingCluster { return m.mayFail(plan, failing) }
	next, more, err := w.isolateFailures(ctx, plan, next, movable, v)
	return next, append(rest, more.Warnings()...), err
}

// withClusters returns the faults of a write, each with its cluster: one of the fleet repo that only
// shows with the write is else reported once for all clusters.
func withClusters(ctx context.Context, next *view.View, names []string, faults fleet.Problems) fleet.Problems {
	shared := func(p fleet.Problem) bool { return p.Cluster == "" }
	if !slices.ContainsFunc(faults, shared) {
		return faults
	}
	return append(next.Faults(ctx, names), slices.DeleteFunc(slices.Clone(faults), shared)...).Sort()
}

// unmatchedClusters returns warnings about a delta that is for no cluster, or names one that does
// not exist.
func unmatchedClusters(v *view.View, d *fleet.Delta) (warnings []string) {
	if d == nil {
		return nil
	}
	for _, name := range d.Clusters {
		if _, err := v.Member(name); err != nil {
			warnings = append(warnings, fmt.Sprintf("delta %q: there is no cluster %q", d.Name, name))
		}
	}
	if len(v.Affected([]fleet.DeltaChange{{After: d}})) == 0 {
		warnings = append(warnings, fleet.DescribeDelta(d.ID())+" is for no cluster that there is")
	}
	return warnings
}

// newStaleParts returns the parts of deltas that stop applying to a cluster with a mutation, or never
// did. A cluster that is new, or comes back, goes without those that were there before it, as it does when
// it comes with Git: they must not keep it out. With pins they are warnings, because the guard asks about them.
func newStaleParts(m *mutation, old, now *view.Member) (problems fleet.Problems) {
	if now == nil {
		return nil
	}
	var known []fleet.StalePart
	isNew := old == nil || old.State == fleet.ClusterDecommissioned
	if !isNew {
		known = old.Stale
	}
	for _, s := range edit.NewStaleParts(m.deltas, m.strict, known, now.Stale) {
		written := slices.ContainsFunc(m.deltas, func(c fleet.DeltaChange) bool { return c.Delta == s.Delta })
		problems = append(problems, fleet.Problem{
			Cluster: now.Cluster.Name, Field: s.Field, Message: "delta " + s.Delta + " cannot be applied: " + s.Reason,
			Warning: isNew && !written || len(m.pins) > 0,
		})
	}
	return problems
}

// recordChange returns the change from one record to another. Either may say nothing.
func recordChange(cluster string, before, after *fleet.ClusterRecord) fleet.RecordChange {
	c := fleet.RecordChange{Cluster: cluster, Before: before, After: after}
	if after.IsEmpty() {
		c.After = nil
	}
	return c
}
