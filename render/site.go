package render

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-gitops/tributary/fleet"
)

// site is where clusters are placed: a stack that is yet to be built.
type site struct {
	placement fleet.Placement
	stack     *stack // nil where it cannot be built
	problems  fleet.Problems
}

// prepare builds the stacks of all clusters, each once.
func (r *Repo) prepare(ctx context.Context, earlier *Repo) error {
	sites := r.survey()
	known := r.knowledgeOf(earlier)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0)) // kustomize builds one at a time, and what it built is read meanwhile
	for key, s := range sites {
		group.Go(func() error {
			if len(s.problems) == 0 && ctx.Err() == nil {
				s.try(func() { s.stack, s.problems = r.raise(s.stack, known, earlier.stacks[key]) })
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for key, s := range sites {
		r.stacks[key], r.concern.stacks[key] = s.stack, s.problems
		r.problems = append(r.problems, s.problems...)
	}
	r.problems = r.problems.Sort()
	return nil
}

// survey places all clusters and vets each kustomization once for all stacks. From then
// on the vetting is only read.
func (r *Repo) survey() map[string]*site {
	sites, v := map[string]*site{}, newVetting(r.tree)
	for _, c := range r.clusters {
		p, problem := r.place(c)
		if problem != nil {
			r.problems = append(r.problems, *problem)
			continue
		}
		key := stackKey(p)
		if sites[key] != nil {
			continue
		}
		s := &site{placement: p}
		s.try(func() { s.stack, s.problems = r.vet(p, v) })
		sites[key], v.walking = s, nil // a panic ends on the way
	}
	return sites
}

// try makes of a panic a fault of the site alone.
func (s *site) try(f func()) {
	defer func() {
		if reason := recover(); reason != nil {
			s.stack, s.problems = nil, fleet.Problems{panicked(s.placement.Overlay, reason)}
		}
	}()
	f()
}
