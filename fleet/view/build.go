package view

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-gitops/tributary/fleet"
)

// Options are those of building a view.
type Options struct {
	// Renders counts what is rendered. It may be nil.
	Renders *Renders
	// Progress, where it is not nil, is called after each cluster, by one goroutine at a time.
	Progress func(done, total int)
}

// Renders counts clusters that changes had rendered.
type Renders struct {
	// Rendered counts those for which something was made, Reused those that came out as before.
	Rendered, Reused atomic.Int64
}

// Build returns the view of a state, with every member rendered that none of the other views has
// in the same form. Live is the state's live release, and among the compiled ones. Faults are among the problems;
// members with a fault have no inputs, and are returned by Failing. The error is ctx's.
func Build(ctx context.Context, s *fleet.State, live *fleet.Compiled, compiled Releases, o Options, others ...*View) (*View, fleet.Problems, error) {
	v := &View{state: s, live: live, compiled: compiled, renders: o.Renders}
	names := s.Names(v.lookup)
	var places []int
	v.members = make([]*Member, 0, len(names))
	for _, name := range names {
		m := v.resolve(name)
		if m == nil {
			continue
		}
		if m = v.reuse(m, len(v.members), others); !m.isDone() {
			places = append(places, len(v.members))
		}
		v.members = append(v.members, m)
	}
	v.byName = placesOf(v.members, others...)
	problems, err := v.render(ctx, places, o.Progress)
	return v, problems, err
}

// reuse returns the member as it was rendered in one of several views, or itself, prepared to be
// rendered beginning with what the cluster was served. At is its place.
func (v *View) reuse(m *Member, at int, others []*View) *Member {
	for _, other := range others {
		old := other.near(at, m.Cluster.Name)
		if old != nil && old.isDone() && old.isSame(m) && slices.Equal(other.state.Deltas.For(old.Cluster), v.state.Deltas.For(m.Cluster)) {
			return old
		}
	}
	for _, other := range others {
		m.startFrom(other.near(at, m.Cluster.Name))
	}
	return m
}

// Next returns the view of another state in which at most the named clusters differ, which are
// sorted. Members of other views are used where they have the same form. Problems and errors are
// those of Build.
func (v *View) Next(ctx context.Context, s *fleet.State, compiled Releases, names []string, others ...*View) (*View, fleet.Problems, error) {
	next := *v
	next.state, next.compiled = s, compiled
	next.members = slices.Clone(v.members)
	others = append([]*View{v}, others...)
	moved := false // places or dns
	var places []int
	for _, name := range names {
		at, there := next.search(name)
		m := next.resolve(name)
		if m == nil {
			if there {
				next.members, moved = slices.Delete(next.members, at, at+1), true
			}
			continue
		}
		m = next.reuse(m, at, others)
		if there {
			moved = moved || !samePlace(m, next.members[at])
			next.members[at] = m
		} else {
			next.members, moved = slices.Insert(next.members, at, m), true
		}
	}
	if moved {
		next.byName = placesOf(next.members)
	}
	for _, name := range names {
		if at, there := next.search(name); there && !next.members[at].isDone() {
			places = append(places, at)
		}
	}
	problems, err := next.render(ctx, places, nil)
	return &next, problems, err
}

// near returns the cluster of a name, which is probably at a place; nil if there is none. The view may
// be nil. For ten thousand clusters it takes much less time than Named.
func (v *View) near(at int, name string) *Member {
	if v != nil && at < len(v.members) && v.members[at].Cluster.Name == name {
		return v.members[at]
	}
	return v.Named(name)
}

func (v *View) search(name string) (int, bool) {
	if at, ok := v.byName[name]; ok && at < len(v.members) && v.members[at].Cluster.Name == name {
		return at, true
	}
	return slices.BinarySearchFunc(v.members, name, func(m *Member, name string) int {
		switch {
		case m.Cluster.Name < name:
			return -1
		case m.Cluster.Name > name:
			return 1
		}
		return 0
	})
}

// At returns the view at another generation, with the live release as the log has it. Nothing that
// is served differs.
func (v *View) At(s *fleet.State, release *fleet.Release) *View {
	next := *v
	next.state, next.release = s, release
	return &next
}

// yieldThreshold is how many clusters are rendered without yielding: somebody waits for them, and others
// wait for the write.
const yieldThreshold = 100

// render renders the members at those places. The view is not published yet, and owns its slice.
func (v *View) render(ctx context.Context, places []int, progress func(done, total int)) (fleet.Problems, error) {
	var mu sync.Mutex                        // guards done, the calls of progress, and concerns
	concerns := map[fleet.Problem][]string{} // the clusters of each fault that names none
	done := 0
	var next atomic.Int64
	workers := min(runtime.GOMAXPROCS(0), len(places))
	problems := make([]fleet.Problems, workers)
	work := func(ctx context.Context, w int) error {
		for n := int(next.Add(1)) - 1; n < len(places); n = int(next.Add(1)) - 1 {
			if err := ctx.Err(); err != nil {
				return err
			}
			before := v.members[places[n]]
			m, found := before.render(ctx, v.state.Deltas)
			v.members[places[n]] = m
			v.renders.count(m, before)
			problems[w] = append(problems[w], found...)
			for _, p := range found {
				if p.Cluster == "" && !p.Warning {
					mu.Lock()
					concerns[p] = append(concerns[p], m.Cluster.Name)
					mu.Unlock()
				}
			}
			if progress != nil {
				mu.Lock()
				done++
				progress(done, len(places))
				mu.Unlock()
			}
			if len(places) > yieldThreshold {
				runtime.Gosched() // so that polls and writes wait for one cluster at most
			}
		}
		return nil
	}
	whole := ctx
	group, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		group.Go(func() error { return work(ctx, w) })
	}
	if err := cmp.Or(group.Wait(), whole.Err()); err != nil { // the last cluster may have been cut short
		return nil, err
	}
	all := slices.Concat(problems...)
	for i, p := range all {
		if names := concerns[p]; names != nil {
			all[i] = p.Concern(names)
		}
	}
	return all, nil
}

func (r *Renders) count(m, before *Member) {
	switch {
	case r == nil || m.rendering == nil:
	case m.rendering == before.rendering:
		r.Reused.Add(1)
	default:
		r.Rendered.Add(1)
	}
}

// Failing returns the members that have a fault, sorted by name, each with its first fault.
func (v *View) Failing() []fleet.FailingCluster {
	var failing []fleet.FailingCluster
	for _, m := range v.members {
		if !m.isDone() {
			failing = append(failing, fleet.FailingCluster{Cluster: m.Cluster.Name, Reason: m.fault})
		}
	}
	return failing
}

// Faults renders the named clusters once more and returns the faults of each, with its cluster. A
// fault that many clusters share is else reported once for all of them.
func (v *View) Faults(ctx context.Context, names []string) fleet.Problems {
	var all fleet.Problems
	for _, name := range names {
		m := v.Named(name)
		if m == nil {
			continue
		}
		_, problems := m.render(ctx, v.state.Deltas)
		for _, p := range problems.Faults() {
			p.Cluster = name
			all = append(all, p)
		}
	}
	return all
}

// MarkUnavailable returns the view with polls of failing members answered 503. Another version of
// Tributary rendered them.
func (v *View) MarkUnavailable() *View {
	next := *v
	next.members = slices.Clone(v.members)
	for i, m := range next.members {
		if !m.isDone() {
			next.members[i] = m.asUnavailable()
		}
	}
	return &next
}

func samePlace(a, b *Member) bool {
	return a.Cluster.Name == b.Cluster.Name && a.Cluster.DNS == b.Cluster.DNS && a.rank() == b.rank()
}

// placesOf returns the places of members by name and by dns. They are shared with a view whose members
// have the same, as after most releases.
func placesOf(members []*Member, others ...*View) map[string]int {
	for _, other := range others {
		if other != nil && slices.EqualFunc(members, other.members, samePlace) {
			return other.byName
		}
	}
	places := make(map[string]int, 2*len(members))
	for i, m := range members {
		places[m.Cluster.Name] = i
	}
	for rank := range 3 {
		for i, m := range members {
			if dns := m.Cluster.DNS; dns != "" && m.rank() == rank {
				if _, taken := places[dns]; !taken {
					places[dns] = i
				}
			}
		}
	}
	return places
}

// Clashes returns a problem for each cluster that the API declares with the dns of another
// cluster. It is a fault for clusters that are being declared, and else a warning: a
// registration must not be able to keep a release from going live.
func (v *View) Clashes(declaring map[string]bool) fleet.Problems {
	var problems fleet.Problems
	for i, m := range v.members {
		dns := m.Cluster.DNS
		if dns == "" || m.rank() != 1 || v.byName[dns] == i {
			continue
		}
		owner := v.members[v.byName[dns]]
		problems = append(problems, fleet.Problem{
			Cluster: m.Cluster.Name, Field: "dns", Warning: !declaring[m.Cluster.Name] && !declaring[owner.Cluster.Name],
			Message: fmt.Sprintf("%q is the dns of cluster %q, which is found by it", dns, owner.Cluster.Name),
		})
	}
	return problems
}

// OverLimit returns a warning for each set that needs a spec.filter.limit of its own: one for each
// set, not for each cluster.
func (v *View) OverLimit() fleet.Problems {
	var problems fleet.Problems
	for _, set := range v.live.Sets {
		most, cluster := 0, ""
		for _, m := range v.members {
			if m.Count() <= max(most, fleet.DefaultLimit) {
				continue
			}
			if n := len(m.Inputs[set].List()); n > most {
				most, cluster = n, m.Cluster.Name
			}
		}
		if most > fleet.DefaultLimit {
			problems = append(problems, fleet.Problem{File: "fleet.yaml", Warning: true, Message: fmt.Sprintf(
				"input set %q has up to %d inputs (on cluster %q); a ResourceSetInputProvider without spec.filter.limit silently drops "+
					"those after the first %d, and Flux deletes what they made: set it to %d or more", set, most, cluster, fleet.DefaultLimit, most)})
		}
	}
	return problems
}
