package fleet

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Prepare compiles a snapshot and renders and checks every cluster of it, with
// the deltas that are for it. The view is nil where there is any fault; the
// problems are all there are, faults and warnings, sorted. The error is ctx's. A
// progress that is not nil is called, from one goroutine at a time, after each
// cluster.
func Prepare(ctx context.Context, r Renderer, s *Snapshot, deltas []*Delta, at time.Time, progress func(done, total int)) (*View, Problems, error) {
	repo, err := r.Compile(ctx, s.Tree)
	if err != nil {
		return nil, nil, err
	}
	v := &View{
		release: Release{ID: releaseID(s.Revision), Revision: s.Revision, State: Live, At: at},
		repo:    repo, sets: repo.Sets(), deltas: listed(deltas),
	}
	clusters := repo.Clusters()
	v.members = make([]*Member, len(clusters))
	places := make([]int, len(clusters))
	for i, c := range clusters {
		v.members[i], places[i] = &Member{Cluster: c}, i
	}
	problems, err := v.render(ctx, places, len(repo.Problems().Faults()) == 0, progress)
	if err != nil {
		return nil, nil, err
	}
	problems = append(problems, repo.Problems()...)
	problems = append(problems, overLimit(v.sets, v.members)...).Sort()
	if len(problems.Faults()) > 0 {
		return nil, problems, nil
	}
	v.byName = placesOf(v.members)
	v.release.Clusters, v.release.Problems = len(v.members), problems
	return v, problems, nil
}

// render renders the members at those places anew and puts others there. Where
// the repo is whole, each cluster must come to something.
func (v *View) render(ctx context.Context, places []int, whole bool, progress func(done, total int)) (Problems, error) {
	var mu sync.Mutex // guards problems, done and the calls of progress
	var problems Problems
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, at := range places {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			old := v.members[at]
			rendering, found := v.repo.Render(old.Cluster, v.deltas.of(old.Cluster))
			if rendering != nil {
				v.members[at] = newMember(old, rendering)
			} else if whole && len(found.Faults()) == 0 {
				// Without it the cluster would become unknown to its own
				// operator; nothing may rest on a renderer never doing that.
				found = append(found, Problem{File: old.Cluster.File, Cluster: old.Cluster.Name, Message: "is rendered to nothing, for no reason given; please report this"})
			}
			mu.Lock()
			defer mu.Unlock()
			problems = append(problems, found...)
			if done++; progress != nil {
				progress(done, len(places))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return problems, nil
}

// overLimit warns of sets that need a spec.filter.limit of their own, once for
// each and not for each cluster.
func overLimit(sets []string, members []*Member) Problems {
	var problems Problems
	for _, set := range sets {
		var most *Member
		for _, m := range members {
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

// newMember takes over what did not change from what the cluster was served.
func newMember(old *Member, r *Rendering) *Member {
	m := &Member{
		Cluster: old.Cluster, Placement: r.Placement, Orphans: r.Orphans,
		Counts: make(map[string]int, len(r.Inputs)), bodies: make(map[string]*Body, len(r.Inputs)),
	}
	for name, set := range r.Inputs {
		m.Counts[name] = set.Count
		if body := old.bodies[name]; body != nil && bytes.Equal(body.JSON, set.JSON) {
			m.bodies[name] = body
		} else {
			m.bodies[name] = NewBody(set.JSON)
		}
	}
	return m
}

// placesOf finds members by name and by dns.
func placesOf(members []*Member) map[string]int {
	places := make(map[string]int, 2*len(members))
	for i, m := range members {
		places[m.Cluster.Name] = i
		if m.Cluster.DNS != "" {
			places[m.Cluster.DNS] = i
		}
	}
	return places
}
