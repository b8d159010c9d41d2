package render

import (
	"errors"
	"sync"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxDerived is how many derived stacks are kept. Each takes about as much
// memory as ten answers.
const maxDerived = 250

// derived are stacks with the components of deltas, which Compile cannot know.
// Each is built when it is first asked for, and shared from then on; so is what
// keeps one from being built.
type derived struct {
	memo
	mu sync.Mutex // held while one is built, so that each is built once
}

type derivation struct {
	stack    *stack
	problems fleet.Problems
}

// stackOf returns the stack of a placement with what the cluster has of its
// own. It is nil where there are problems, and only there.
func (r *Repo) stackOf(p *place, c *fleet.Cluster, o *own) (*stack, fleet.Problems) {
	if s := r.stacks[p.key]; s != nil {
		return s, nil
	}
	d := r.derive(p)
	if d.stack != nil {
		return d.stack, nil
	}
	var problems fleet.Problems
	for i := range o.components {
		component := &o.components[i]
		if _, wrong := directory(r.tree, component.component); wrong != "" {
			problems = append(problems, component.problem(c, errors.New(wrong)))
		}
	}
	problems = append(problems, r.astray(c)...)
	if problems = append(problems, d.problems...); len(problems) == 0 {
		problems = fleet.Problems{at(c, "spec", errors.New("its stack cannot be built, for no reason given; please report this"))}
	}
	return nil, problems
}

// astray are the directories that a cluster names and the tree does not have. Those
// that a file names, Compile has told of.
func (r *Repo) astray(c *fleet.Cluster) (problems fleet.Problems) {
	if c.File != "" {
		return nil
	}
	look := func(field, dir string) {
		if _, wrong := directory(r.tree, dir); wrong != "" {
			problems = append(problems, at(c, field, errors.New(wrong)))
		}
	}
	if c.Overlay != "" {
		look("overlay", c.Overlay)
	}
	for i, dir := range c.Components {
		look(field("components", i), dir)
	}
	return problems
}

// derive builds a stack with a vetting of its own, because Compile's may not be
// written to while other clusters are rendered.
func (r *Repo) derive(p *place) derivation {
	if known, ok := r.derived.load(p.key); ok {
		return known.(derivation)
	}
	r.derived.mu.Lock()
	defer r.derived.mu.Unlock()
	if known, ok := r.derived.load(p.key); ok {
		return known.(derivation)
	}
	s, problems := r.buildStack(p.Placement, newVetting(r.tree), r.known)
	d := derivation{s, problems}
	r.derived.store(p.key, d)
	return d
}
