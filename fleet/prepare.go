package fleet

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Prepare compiles a snapshot and renders and checks every cluster of it, with
// the deltas that are for it. The view is nil where there is any fault; the
// problems are all there are, faults and warnings, sorted. The error is ctx's. A
// progress that is not nil is called, from one goroutine at a time, after each
// cluster.
func Prepare(ctx context.Context, r Renderer, s *Snapshot, deltas []*Delta, at time.Time, progress func(done, total int)) (*View, Problems, error) {
	b, err := compile(ctx, r, s, at)
	if err != nil {
		return nil, nil, err
	}
	v := &View{base: b, state: state{deltas: listed(deltas)}, marks: newTracker()}
	problems, err := v.prepare(ctx, nil, progress)
	if err != nil || len(problems.Faults()) > 0 {
		return nil, problems, err
	}
	return v, problems, nil
}

// prepare renders and checks every cluster of a view that has its base and state.
// Who was in the earlier view as he is now keeps what was rendered for him there.
func (v *View) prepare(ctx context.Context, earlier *View, progress func(done, total int)) (Problems, error) {
	problems, err := v.render(ctx, v.seatAll(earlier), progress)
	if err != nil {
		return nil, err
	}
	problems = append(problems, v.base.repo.Problems()...)
	problems = append(problems, v.clashes(nil)...)
	problems = append(problems, overLimit(v.base.sets, v.members)...).Sort()
	v.base.release.Clusters, v.base.release.Problems = v.members.count, problems
	return problems, nil
}

// few clusters are rendered and compared without a pause: somebody waits for that, with
// the writer's lock held.
const few = 100

// render renders the members at those places anew, and has others there.
func (v *View) render(ctx context.Context, places []int, progress func(done, total int)) (Problems, error) {
	var mu sync.Mutex // guards done and the calls of progress
	done := 0
	var next atomic.Int64
	workers := min(runtime.GOMAXPROCS(0), len(places))
	found, rendered := make([]Problems, workers), make([]*Member, len(places))
	work := func(ctx context.Context, w int) error {
		for n := int(next.Add(1)) - 1; n < len(places); n = int(next.Add(1)) - 1 {
			if err := ctx.Err(); err != nil {
				return err
			}
			before := v.members.at(places[n])
			m, problems := before.rendered(v.deltas)
			rendered[n] = m
			v.marks.renders.count(m, before)
			found[w] = append(found[w], problems...)
			if progress != nil {
				mu.Lock()
				done++
				progress(done, len(places))
				mu.Unlock()
			}
			if len(places) > few {
				runtime.Gosched() // so that whoever polls or writes waits for one cluster, not for its turn
			}
		}
		return nil
	}
	if len(places) == 1 {
		if err := work(ctx, 0); err != nil {
			return nil, err
		}
	} else {
		group, ctx := errgroup.WithContext(ctx)
		for w := range workers {
			group.Go(func() error { return work(ctx, w) })
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
	}
	v.members = v.members.with(places, rendered)
	return slices.Concat(found...), nil
}

// rendered is the member as those deltas make it; where it has a fault, as it was.
func (m *Member) rendered(deltas deltaSet) (*Member, Problems) {
	switch {
	case m.State == DecommissionedState:
		return m.emptied(), nil
	case m.lost != nil:
		return m, nil
	}
	rendering, found := m.base.repo.Render(m.Cluster, deltas.of(m.Cluster), m.rendering)
	switch {
	case rendering != nil:
		return m.with(rendering), found
	case m.State == OrphanedState:
		// It was rendered once, by another version. Nothing else is to wait for it.
		return m.failedBy(found).loses(), found.Warnings()
	}
	if len(found.Faults()) == 0 {
		// Without it the cluster would become unknown to its own operator; nothing
		// may rest on a renderer never doing that.
		found = append(found, Problem{File: m.Cluster.File, Cluster: m.Cluster.Name, Message: "is rendered to nothing, for no reason given; please report this"})
	}
	return m.failedBy(found), found
}

// failedBy is the member without a rendering.
func (m *Member) failedBy(found Problems) *Member {
	next := *m
	next.Counts, next.fault = nil, ""
	if faults := found.Faults(); len(faults) > 0 {
		next.fault = faults[0].String()
	}
	return &next
}

// loses is the member of which it is known who it is, and not what it is to have.
func (m *Member) loses() *Member {
	next := *m
	next.lost = fmt.Errorf("cluster %q: %w: its release of %s %w: %s", m.Cluster.Name, ErrNotReady, m.base.release.Revision, errLost, m.fault)
	return &next
}

// with is the member with a rendering.
func (m *Member) with(r *Rendering) *Member {
	next := *m
	next.Placement, next.Orphans = r.Placement, r.Orphans
	next.bodies = r.Inputs
	if next.Counts = m.counts; r != m.rendering || next.Counts == nil {
		next.Counts = m.marks.counts(r, m.counts)
	}
	next.rendering, next.counts = r, next.Counts
	return &next
}

// counts are the numbers of inputs by set: for memory those before, or those that another
// cluster had just now, where they are the same.
func (m *marks) counts(r *Rendering, before map[string]int) map[string]int {
	last := m.lastCounts.Load()
	for _, known := range []map[string]int{before, *last} {
		if r.counts(known) {
			return known
		}
	}
	counts := make(map[string]int, len(r.Inputs))
	for name, body := range r.Inputs {
		counts[name] = len(body.inputs)
	}
	m.lastCounts.Store(&counts)
	return counts
}

// counts tells whether those are its numbers of inputs.
func (r *Rendering) counts(those map[string]int) bool {
	if len(those) != len(r.Inputs) {
		return false
	}
	for name, body := range r.Inputs {
		if n, there := those[name]; !there || n != len(body.inputs) {
			return false
		}
	}
	return true
}

// empty is the order to delete everything. Nobody but a decommissioned cluster
// gets it, and who asks for a set that its fleet repo says may be empty.
var empty = NewAnswer(nil, nil)

// emptied is the member with an empty answer to a poll of each set that it was
// ever served, as far as that is known.
func (m *Member) emptied() *Member {
	next := *m
	next.Counts, next.bodies, next.rendering = map[string]int{}, map[string]*Body{}, nil
	for _, set := range slices.Concat(m.tombstone.Sets, m.base.sets) {
		next.Counts[set], next.bodies[set] = 0, empty
	}
	return &next
}

// overLimit warns of sets that need a spec.filter.limit of their own, once for
// each and not for each cluster.
func overLimit(sets []string, members roster) Problems {
	var problems Problems
	for _, set := range sets {
		var most *Member
		for _, m := range members.all() {
			if most == nil || m.Counts[set] > most.Counts[set] {
				most = m
			}
		}
		if most != nil && most.Counts[set] > DefaultLimit {
			n := most.Counts[set]
			problems = append(problems, Problem{File: "fleet.yaml", Warning: true, Message: fmt.Sprintf(
				"input set %q has up to %d inputs (on cluster %q), and a ResourceSetInputProvider without spec.filter.limit "+
					"silently drops those after %d, which deletes what they made: set it to %d or more",
				set, n, most.Cluster.Name, DefaultLimit, n)})
		}
	}
	return problems
}
