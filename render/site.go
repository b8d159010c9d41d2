package render

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-gitops/tributary/fleet"
)

// site is where clusters are placed: a stack that is yet to be built.
type site struct {
	place    *place
	stack    *stack // nil where it cannot be built
	problems fleet.Problems
}

// prepare builds the stacks of all clusters, each once.
func (r *Repo) prepare(ctx context.Context, earlier *Repo) error {
	sites := r.survey(earlier)
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

// survey places all clusters, those that were declared and placed by the same before as they
// were, and vets each kustomization once for all stacks. From then
// on the vetting is only read.
func (r *Repo) survey(earlier *Repo) map[string]*site {
	sites, v := map[string]*site{}, newVetting(r.tree)
	r.places = make(map[*fleet.Cluster]*place, len(r.clusters))
	for _, c := range r.clusters {
		p, problem := earlier.places[c], (*fleet.Problem)(nil)
		if p == nil || earlier.spec != r.spec {
			p, problem = r.place(c)
		}
		if problem != nil {
			r.problems = append(r.problems, *problem)
			continue
		}
		s := sites[p.key]
		if s == nil {
			s = &site{place: p}
			s.try(func() { s.stack, s.problems = r.vet(p.Placement, v) })
			sites[p.key], v.walking = s, nil // a panic ends on the way
		}
		r.places[c] = s.place
	}
	return sites
}

// try makes of a panic a fault of the site alone.
func (s *site) try(f func()) {
	defer func() {
		if reason := recover(); reason != nil {
			s.stack, s.problems = nil, fleet.Problems{panicked(s.place.Overlay, reason)}
		}
	}()
	f()
}
