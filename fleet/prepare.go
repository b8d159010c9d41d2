package fleet

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Prepare compiles a snapshot and renders and checks every cluster of it. The
// view is nil where there is any fault; the problems are all there are, faults
// and warnings, sorted. The error is ctx's. A progress that is not nil is
// called, from one goroutine at a time, after each cluster.
func Prepare(ctx context.Context, r Renderer, s *Snapshot, at time.Time, progress func(done, total int)) (*View, Problems, error) {
	repo, err := r.Compile(ctx, s.Tree)
	if err != nil {
		return nil, nil, err
	}
	clusters := repo.Clusters()
	members := make([]*Member, len(clusters))
	problems := repo.Problems()
	faults := problems.Faults()

	var mu sync.Mutex // guards problems, done and the calls of progress
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, cluster := range clusters {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			rendering, found := repo.Render(cluster)
			if rendering != nil {
				members[i] = newMember(cluster, rendering)
			} else if len(found.Faults())+len(faults) == 0 {
				// Without it the cluster would become unknown to its own
				// operator; nothing may rest on a renderer never doing that.
				found = append(found, Problem{File: cluster.File, Cluster: cluster.Name, Message: "is rendered to nothing, for no reason given; please report this"})
			}
			mu.Lock()
			defer mu.Unlock()
			problems = append(problems, found...)
			if done++; progress != nil {
				progress(done, len(clusters))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	problems = append(problems, overLimit(repo.Sets(), members)...).Sort()
	if len(problems.Faults()) > 0 {
		return nil, problems, nil
	}
	return newView(s.Revision, at, repo, members, problems), problems, nil
}

// overLimit warns of sets that need a spec.filter.limit of their own, once for
// each and not for each cluster.
func overLimit(sets []string, members []*Member) Problems {
	var problems Problems
	for _, set := range sets {
		var most *Member
		for _, m := range members {
			if m != nil && (most == nil || m.Counts[set] > most.Counts[set]) {
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

func newMember(c Cluster, r *Rendering) *Member {
	m := &Member{Cluster: c, Placement: r.Placement, Counts: map[string]int{}, bodies: map[string]*Body{}}
	for name, set := range r.Inputs {
		m.Counts[name] = set.Count
		m.bodies[name] = NewBody(set.JSON)
	}
	return m
}

func newView(revision string, at time.Time, repo Repo, members []*Member, warnings Problems) *View {
	byName := make(map[string]*Member, 2*len(members))
	for _, m := range members {
		byName[m.Cluster.Name] = m
		if m.Cluster.DNS != "" {
			byName[m.Cluster.DNS] = m
		}
	}
	return &View{
		release: Release{
			ID: releaseID(revision), Revision: revision, State: Live, At: at,
			Clusters: len(members), Problems: warnings,
		},
		repo: repo, sets: repo.Sets(), members: members, byName: byName,
	}
}
