package rollout

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Plan works out the assignments of one decision. It is used by one goroutine.
type Plan struct {
	before, after *Rules
	change        *fleet.Change
	touched       []string
	// rows are the touched clusters' rows after the decision; nil for none.
	rows map[string]*fleet.Assignment
	// adjusted are the rows that the decision starts from, where they are not those of before.
	adjusted map[string]*fleet.Assignment
	targets  map[string]Target
	// failing are the clusters that their release is not valid for, with the first reason.
	failing map[string]string
	// fellBack are the clusters that were moved to their Previous row's release.
	fellBack map[string]bool
	state    *fleet.State // with the rows; nil until it is asked for
}

// adjust says what a decision makes of a cluster's row before the rules are asked.
type adjust func(cluster string, row *fleet.Assignment) *fleet.Assignment

// plan works out a decision for the touched clusters.
func (r *Rules) plan(c *fleet.Change, compiled fleet.Lookup, touched []string, adjust adjust) (*Plan, error) {
	c.Assignments = nil
	p := &Plan{
		before: r, after: NewRules(r.state.Apply(c), compiled), change: c, touched: touched,
		rows: map[string]*fleet.Assignment{}, adjusted: map[string]*fleet.Assignment{}, targets: make(map[string]Target, len(touched)),
		fellBack: map[string]bool{}, failing: map[string]string{},
	}
	for _, name := range touched {
		if err := p.retarget(name, adjust); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// retarget works out the row of one cluster.
func (p *Plan) retarget(name string, adjust adjust) error {
	was := p.before.state.Assignments[name]
	row := was
	if adjust != nil {
		row = adjust(name, was)
	}
	row = p.withSpec(name, row)
	if row != nil || was != nil { // as of few clusters
		p.adjusted[name], p.rows[name] = row, nil
	}
	target, ok := p.after.desired(name, row)
	if !ok {
		return nil
	}
	p.targets[name] = target
	if row != nil && row.Reason == fleet.ReasonFailing {
		old, ok := p.before.Desired(name)
		if ok && old.Release == target.Release || target.Reason == "" && p.before.neverServed(name) && !p.after.hasHome(name) {
			p.rows[name] = row // It fails for the same release as before, or the live one has none of it.
			return nil
		}
	}
	next := p.row(name, target, row, nil)
	if on := p.before.state.On(name); target.Release != on && !target.Release.IsZero() && p.after.compiled(target.Release) == nil {
		return fmt.Errorf("cluster %q: release of %s: %w", name, target.Release.Revision, fleet.ErrUnavailable)
	}
	if next != nil {
		p.rows[name] = next
	}
	return nil
}

// withSpec returns a row that knows what the cluster is, also where the decision takes away what said
// so: the live release's file, or the declaration. So does the row that it covers.
func (p *Plan) withSpec(name string, row *fleet.Assignment) *fleet.Assignment {
	if row == nil || p.after.state.Records[name].IsDeclared() || p.after.compiled(p.after.state.LiveRef()).File(name) != nil {
		return row
	}
	next := *row
	next.Previous = p.withSpec(name, row.Previous)
	if row.Spec == nil && p.after.compiled(row.Release).File(name) == nil {
		if r := p.before.state.Records[name]; r.IsDeclared() && p.before.compiled(p.before.state.LiveRef()).File(name) == nil {
			next.Spec = fleet.SpecOf(r.Declared.Named(name))
		} else if c := p.before.spec(name); c != nil {
			next.Spec = fleet.SpecOf(c)
		}
	}
	if next.Spec == row.Spec && next.Previous == row.Previous {
		return row
	}
	return &next
}

// row returns the row of a cluster on its target. Base is the row that the decision starts from,
// and last what the cluster's file said last, where that is to be kept in any case.
func (p *Plan) row(name string, t Target, base *fleet.Assignment, last *fleet.ClusterSpec) *fleet.Assignment {
	var next *fleet.Assignment
	switch t.Reason {
	case "":
		return nil
	case fleet.ReasonOrphaned:
		next = base
	case fleet.ReasonSuperseded:
		next = superseded(base)
	default:
		next = &fleet.Assignment{Cluster: name, Release: t.Release, Reason: t.Reason, Detail: t.Detail, Since: p.generation(), Previous: covered(base)}
		if next.Spec = last; last == nil {
			next.Spec = p.lastSpec(name, t.Release)
		}
	}
	return p.keepSince(next)
}

// keepSince returns the row that there was, where the new one says the same, so that nothing is
// written for it, and keeps Since where the cluster is there for the same reason as before.
func (p *Plan) keepSince(row *fleet.Assignment) *fleet.Assignment {
	was := p.before.state.Assignments[row.Cluster]
	if was == nil || was.Release != row.Release || was.Reason != row.Reason {
		return row
	}
	same := *row
	same.Since = was.Since
	if reflect.DeepEqual(&same, was) {
		return was
	}
	return &same
}

func (p *Plan) generation() int64 { return p.before.state.Generation + 1 }

// lastSpec returns what a cluster's file said last, where neither the release that it is to be on
// nor the live one has a readable file; else nil.
func (p *Plan) lastSpec(name string, on fleet.ReleaseRef) *fleet.ClusterSpec {
	release := p.after.compiled(on)
	if release.File(name) != nil || p.after.compiled(p.after.state.LiveRef()).File(name) != nil {
		return nil
	}
	if was := p.before.state.Assignments[name]; was != nil && was.Spec != nil && (release == nil || was.Release == on) {
		return was.Spec
	}
	c := p.before.spec(name)
	if c != nil && c.File != "" {
		return fleet.SpecOf(c)
	}
	if p.after.state.Records[name].IsDeclared() {
		return nil
	}
	if r := p.after.state.Rollout; r != nil {
		if file := p.after.compiled(r.Release).File(name); file != nil {
			return fleet.SpecOf(file)
		}
	}
	if c != nil {
		return fleet.SpecOf(c) // its declaration has ended
	}
	return nil
}

// specToKeep is lastSpec of a cluster that keeps what it has. Where its release has no file of it, the
// cluster stays what it is, although the live release's file says something else or its declaration has
// ended: what a release says that is not valid for a cluster must not change what the cluster is served.
func (p *Plan) specToKeep(name string, on fleet.ReleaseRef) *fleet.ClusterSpec {
	release, live := p.after.compiled(on), p.after.compiled(p.after.state.LiveRef()).File(name)
	was := p.before.spec(name)
	switch {
	case release == nil, release.File(name) != nil, was == nil, on != p.before.state.On(name),
		live != nil && reflect.DeepEqual(fleet.SpecOf(was), fleet.SpecOf(live)), live == nil && p.after.state.Records[name].IsDeclared():
		return p.lastSpec(name, on)
	}
	return fleet.SpecOf(was)
}

// Unreadable returns the touched clusters whose file cannot be read in the release that they are
// to be on, or that the live release has no file of. That release is not valid for them, whatever
// else is.
func (p *Plan) Unreadable() []fleet.FailingCluster {
	var failing []fleet.FailingCluster
	for _, name := range p.touched {
		t, ok := p.targets[name]
		if !ok && p.before.exists(name) && !p.after.state.Records[name].IsDecommissioned() {
			t, ok = Target{Release: p.after.state.LiveRef()}, true // Nothing readable declares it.
		}
		if row := p.rows[name]; !ok || t.Reason != "" && t.Reason != fleet.ReasonRollout || row != nil && row.Reason == fleet.ReasonFailing {
			continue
		}
		release := p.after.compiled(t.Release)
		if release == nil || release.File(name) != nil && p.before.state.On(name) == t.Release {
			continue
		}
		var problem *fleet.Problem
		if release.HasUnreadable() { // as few releases have
			problem = release.IsUnreadable(name, p.before.spec(name))
		}
		if problem != nil {
			failing = append(failing, fleet.FailingCluster{Cluster: name, Reason: problem.String()})
		} else if t.Reason == "" && p.loses(name) {
			failing = append(failing, fleet.FailingCluster{Cluster: name, Reason: p.whyFailing(name)})
		}
	}
	return failing
}

// loses reports whether a cluster that has a release would vanish from the fleet on the live one, which
// does not declare it in any file that can be read, nor does the API. The live release's file of it may
// be one that cannot be read, at another path than the file that the cluster has at present.
func (p *Plan) loses(name string) bool {
	return p.after.compiled(p.after.state.LiveRef()).File(name) == nil && !p.after.state.Records[name].IsDeclared() &&
		p.before.exists(name) && !p.before.state.On(name).IsZero()
}

// whyFailing returns why a cluster is Failing by the row that the decision starts from.
func (p *Plan) whyFailing(name string) string {
	if row := covered(p.adjusted[name]); row != nil && row.Reason == fleet.ReasonFailing && row.Detail != "" {
		return row.Detail
	}
	return "no file of the release that can be read declares it"
}

// Fail moves clusters that their release is not valid for: to the release of the row that theirs
// covers, else to what they have, which may be none. A cluster stays on its desired release with
// what its file said before, where that is what it has.
//
// Call it again for those that fail once more; then they keep what they have.
func (p *Plan) Fail(failing []fleet.FailingCluster) {
	p.state = nil
	for _, one := range failing {
		name, base := one.Cluster, p.adjusted[one.Cluster]
		if _, again := p.failing[name]; !again {
			p.failing[name] = one.Reason
		}
		target, known := p.targets[name]
		if !known {
			target = Target{Release: p.after.state.LiveRef()} // Only the name can be read.
			p.touched, p.targets[name] = append(p.touched, name), target
		}
		var to fleet.ReleaseRef
		if p.before.exists(name) {
			to = p.before.state.On(name)
		}
		if prev := covered(base); prev != nil && !prev.Release.IsZero() && prev.Release != target.Release && !p.fellBack[name] {
			to, p.fellBack[name] = prev.Release, true
		}
		if to == target.Release && !to.IsZero() {
			if c := p.before.spec(name); c != nil && target.Reason != "" {
				p.rows[name] = p.row(name, target, base, fleet.SpecOf(c))
				continue
			}
		}
		p.rows[name] = p.keepSince(&fleet.Assignment{
			Cluster: name, Release: to, Reason: fleet.ReasonFailing, Detail: p.failing[name], Since: p.generation(),
			Spec: p.specToKeep(name, to), Previous: superseded(base),
		})
	}
	slices.Sort(p.touched)
	p.touched = slices.Compact(p.touched)
}

// Failing returns the clusters that were given to Fail, sorted by name, each with its first reason.
func (p *Plan) Failing() []fleet.FailingCluster {
	var failing []fleet.FailingCluster
	for _, name := range slices.Sorted(maps.Keys(p.failing)) {
		failing = append(failing, fleet.FailingCluster{Cluster: name, Reason: p.failing[name]})
	}
	return failing
}

// Target returns where a touched cluster should be. It returns false for a cluster that should be
// nowhere.
func (p *Plan) Target(cluster string) (Target, bool) {
	t, ok := p.targets[cluster]
	return t, ok
}

// Touched returns the clusters that the decision is about, sorted. The caller must not modify it.
func (p *Plan) Touched() []string { return p.touched }

// State returns the state after the decision, with its assignments, at the generation before it.
func (p *Plan) State() *fleet.State {
	if p.state == nil {
		next := *p.after.state
		next.Assignments = maps.Clone(p.before.state.Assignments)
		if next.Assignments == nil {
			next.Assignments = map[string]*fleet.Assignment{}
		}
		for name, row := range p.rows {
			if row == nil {
				delete(next.Assignments, name)
			} else {
				next.Assignments[name] = row
			}
		}
		p.state = &next
	}
	return p.state
}

// Change returns the change with its assignments.
func (p *Plan) Change() *fleet.Change {
	p.change.Assignments = nil
	for _, name := range slices.Sorted(maps.Keys(p.rows)) {
		if was, now := p.before.state.Assignments[name], p.rows[name]; was != now {
			p.change.Assignments = append(p.change.Assignments, fleet.AssignmentChange{Cluster: name, Before: was, After: now})
		}
	}
	return p.change
}
