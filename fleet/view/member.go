package view

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Member is a cluster with what it is served. It is immutable.
//
// A member is rendered, unavailable, or has a fault, and only a view that is still being built has
// members with a fault.
type Member struct {
	fleet.Rendered
	State     fleet.ClusterState
	Placement fleet.Placement

	release     *fleet.Compiled // that it is on; nil where it is on none that is loaded
	on          fleet.ReleaseRef
	tombstone   *fleet.Tombstone
	unavailable error // why polls answer 503
	fault       string
	rendering   *fleet.Rendering // the last one, which the next may be equal to
	bodies      map[string]*Body // of the last rendering
	count       int              // of its inputs; else a release counts those of each cluster several times
}

// Release returns the name of the release that the member is on.
func (m *Member) Release() fleet.ReleaseRef { return m.on }

// Tombstone returns the tombstone of a decommissioned member, else nil.
func (m *Member) Tombstone() *fleet.Tombstone { return m.tombstone }

// Unavailable returns why polls of the member answer 503, or nil.
func (m *Member) Unavailable() error { return m.unavailable }

// Repo returns the compiled fleet repo that the member is rendered from, or nil.
func (m *Member) Repo() fleet.Repo {
	if m.release == nil {
		return nil
	}
	return m.release.Repo
}

// Body returns the answer to a poll of one of the member's sets. It is an ErrNotFound where the
// member has no such set.
func (m *Member) Body(set string) (*Body, error) {
	if m.unavailable != nil {
		return nil, m.unavailable
	}
	body, ok := m.bodies[set]
	if !ok {
		return nil, fmt.Errorf("input set %q: %w", set, fleet.ErrNotFound)
	}
	return body, nil
}

// Counts returns the number of inputs by input set; nil where the member is not served.
func (m *Member) Counts() map[string]int {
	if m.Inputs == nil {
		return nil
	}
	counts := make(map[string]int, len(m.Inputs))
	for set, a := range m.Inputs {
		counts[set] = len(a.Inputs)
	}
	return counts
}

// Count returns the number of the member's inputs.
func (m *Member) Count() int {
	if m.Inputs == nil {
		return 0
	}
	return m.count
}

// HasSet reports whether the member is served the set.
func (m *Member) HasSet(set string) bool { return m.Inputs[set] != nil }

// ServedSets returns the names of the sets that the member is served, or may have been by another
// version of Tributary, sorted.
func (m *Member) ServedSets() []string {
	sets := slices.Collect(maps.Keys(m.bodies))
	if m.unavailable != nil && m.release != nil {
		sets = append(sets, m.release.Sets...)
	}
	slices.Sort(sets)
	return slices.Compact(sets)
}

// Objects returns the objects that the member would have with those deltas, as far as they are
// wanted; all where wanted is nil. They are made on demand, because keeping every cluster's
// objects would take more memory than all answers to polls.
func (m *Member) Objects(ctx context.Context, deltas []*fleet.Delta, wanted func(fleet.Object) bool) ([]fleet.Object, error) {
	switch {
	case m.State == fleet.ClusterDecommissioned:
		return nil, nil
	case m.unavailable != nil:
		return nil, m.unavailable
	}
	rendering, problems := m.release.Repo.Render(ctx, m.Cluster, deltas, m.rendering)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if faults := problems.Faults(); len(faults) > 0 {
		return nil, faults
	}
	if rendering == nil {
		return nil, fmt.Errorf("cluster %q: %w: it is rendered to nothing", m.Cluster.Name, fleet.ErrInvalid)
	}
	return rendering.Cache.Objects(wanted), nil
}

// resolve returns the member that a cluster is in the view, not yet rendered, or nil where there
// is no such cluster. It follows the assignments and evaluates no rule.
func (v *View) resolve(name string) *Member {
	if r := v.state.Records[name]; r.IsDecommissioned() {
		t := r.Decommissioned
		m := &Member{State: fleet.ClusterDecommissioned, tombstone: t, on: v.state.LiveRef(), release: v.live}
		m.Cluster = &fleet.Cluster{Name: name, DNS: t.DNS, Labels: t.Labels}
		return m
	}
	row := v.state.Assignments[name]
	if row == nil {
		c := v.live.File(name)
		if r := v.state.Records[name]; c == nil && r.IsDeclared() {
			c = r.Declared.Named(name)
		}
		if c == nil {
			return nil
		}
		return newMember(c, v.live)
	}
	release := v.compiled[row.Release]
	c := v.state.Spec(name, release, row.Reason, row.Spec, v.lookup)
	m := newMember(c, release)
	m.on = row.Release
	if row.Reason == fleet.ReasonOrphaned {
		m.State, m.Orphaned = fleet.ClusterOrphaned, true
	}
	switch {
	case row.Release.IsZero():
		m.unavailable = fmt.Errorf("cluster %q: %w: no release is valid for it yet: %s", name, fleet.ErrNotReady, row.Detail)
	case release == nil:
		m.unavailable = fmt.Errorf("cluster %q: %w: it is on the release of %s: %w", name, fleet.ErrNotReady, row.Release.Revision, fleet.ErrUnavailable)
	case c == nil:
		m.unavailable = fmt.Errorf("cluster %q: %w: it is on the release of %s, which has no file of it, and the log does not say what the file said",
			name, fleet.ErrNotReady, row.Release.Revision)
	}
	if m.Cluster == nil {
		if m.Cluster = v.state.Identity(name, v.lookup); m.Cluster == nil {
			m.Cluster = &fleet.Cluster{Name: name}
		}
	}
	return m
}

func newMember(c *fleet.Cluster, release *fleet.Compiled) *Member {
	m := &Member{State: fleet.ClusterActive, release: release}
	m.Cluster = c
	if release != nil {
		m.on, m.Sets = release.Ref, release.Sets
	}
	return m
}

// isSame reports whether a member stands for the same as another one, so that what was rendered
// for it still holds if the deltas are the same.
func (m *Member) isSame(other *Member) bool {
	return m.State == other.State && m.release == other.release && m.on == other.on && m.tombstone == other.tombstone &&
		text(m.unavailable) == text(other.unavailable) && m.Cluster.Equal(other.Cluster)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// isDone reports whether the member needs no rendering.
func (m *Member) isDone() bool { return m.Inputs != nil || m.unavailable != nil }

// startFrom lets the rendering begin with what the cluster was served.
func (m *Member) startFrom(old *Member) {
	if old != nil && m.rendering == nil {
		m.rendering, m.bodies = old.rendering, old.bodies
	}
}

// render returns the member as those deltas make it. Where there is a fault, the member has no
// inputs. Where ctx ends first, the result means nothing.
func (m *Member) render(ctx context.Context, deltas fleet.Deltas) (*Member, fleet.Problems) {
	switch {
	case m.State == fleet.ClusterDecommissioned:
		return m.emptied(), nil
	case m.unavailable != nil:
		return m, nil
	}
	rendering, problems := m.release.Repo.Render(ctx, m.Cluster, deltas.For(m.Cluster), m.rendering)
	switch {
	case rendering != nil:
		return m.with(rendering), problems
	case m.State == fleet.ClusterOrphaned:
		// Another version of Tributary rendered it once. Nothing else waits for it.
		return m.withFault(problems).asUnavailable(), problems.Warnings()
	}
	if len(problems.Faults()) == 0 {
		// Without a fault the cluster would vanish. Nothing may depend on a renderer never doing this.
		problems = append(problems, fleet.Problem{File: m.Cluster.File, Cluster: m.Cluster.Name, Message: "is rendered to nothing, without a reason; please report this"})
	}
	return m.withFault(problems), problems
}

func (m *Member) withFault(problems fleet.Problems) *Member {
	next := *m
	next.Inputs, next.fault = nil, ""
	if faults := problems.Faults(); len(faults) > 0 {
		next.fault = faults[0].String()
	}
	return &next
}

// asUnavailable returns the member with polls answered 503 because of its fault.
func (m *Member) asUnavailable() *Member {
	next := *m
	next.unavailable = fmt.Errorf("cluster %q: %w: this version of Tributary cannot render its release of %s: %s", m.Cluster.Name, fleet.ErrNotReady, m.on.Revision, m.fault)
	return &next
}

// with returns the member with a rendering. Bodies whose answers did not change are kept, with
// their compressed forms.
func (m *Member) with(r *fleet.Rendering) *Member {
	next := *m
	next.Placement, next.Stale, next.Inputs = r.Placement, r.Stale, r.Inputs
	if r != m.rendering || m.bodies == nil {
		next.bodies = make(map[string]*Body, len(r.Inputs))
		for set, a := range r.Inputs {
			if old := m.bodies[set]; old != nil && old.answer == a {
				next.bodies[set] = old
			} else {
				next.bodies[set] = NewBody(a)
			}
		}
	}
	next.rendering, next.count = r, next.Rendered.Count()
	return &next
}

// emptyAnswer tells Flux to delete everything. Only a decommissioned cluster gets it, and a set
// that fleet.yaml allows to be empty.
var (
	emptyAnswer = fleet.NewAnswer(nil, nil)
	emptyBody   = NewBody(emptyAnswer)
)

// emptied returns the member with an empty answer for each set that the cluster was ever served.
func (m *Member) emptied() *Member {
	next := *m
	next.Decommissioned, next.rendering, next.count = true, nil, 0
	next.Inputs, next.bodies, next.Sets = map[string]*fleet.Answer{}, map[string]*Body{}, nil
	for _, set := range slices.Concat(m.tombstone.Sets, m.release.Sets) {
		if next.Inputs[set] == nil {
			next.Sets = append(next.Sets, set)
		}
		next.Inputs[set], next.bodies[set] = emptyAnswer, emptyBody
	}
	return &next
}

// rank says which of several members with one dns is found by it: the one whose file declares it,
// then the one that the API declares. A cluster that is not active has left it to the next.
func (m *Member) rank() int {
	switch {
	case m.State != fleet.ClusterActive:
		return 2
	case m.Cluster.File == "":
		return 1
	}
	return 0
}

// SameRendering reports whether a cluster is served the very same in two views. Either may be nil.
func SameRendering(a, b *Member) bool {
	return a == b || a != nil && b != nil && a.rendering != nil && a.rendering == b.rendering &&
		a.State == b.State && a.unavailable == nil && b.unavailable == nil && (a.Cluster == b.Cluster || a.Cluster.SameIdentity(b.Cluster))
}
