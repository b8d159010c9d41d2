package render

import (
	"path"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxTold bounds the faults of its stack that one cluster is told: Compile has
// told all of them, and each cluster of the stack is told again.
const maxTold = 20

// concern says whom the faults of a tree concern, so that each keeps back those who
// depend on what has it, and nobody else.
type concern struct {
	// everybody tells that one is of the whole fleet.
	everybody bool
	// absent are directories that rules of fleet.yaml name and the tree does not have.
	absent map[string]fleet.Problem
	// stacks have what keeps a stack from being built, by place.key.
	stacks map[string]fleet.Problems
	// broken are the clusters that are declared and that cannot be told, by name.
	broken map[string]fleet.Problem
	// unread are files and folders under clusters/ that declare nobody knows whom.
	unread map[string]fleet.Problem
}

// Failed implements fleet.Repo.
func (r *Repo) Failed() bool { return r.concern.everybody }

// Broken implements fleet.Repo.
func (r *Repo) Broken() map[string]fleet.Problem { return r.concern.broken }

// Unread implements fleet.Repo.
func (r *Repo) Unread(file string) *fleet.Problem {
	if len(r.concern.unread) == 0 {
		return nil
	}
	for at := path.Clean(file); ; at = path.Dir(at) {
		if p, ok := r.concern.unread[at]; ok {
			return &p
		}
		if at == path.Dir(at) {
			return nil
		}
	}
}

// unbuilt is why the stack of a placement is not there; it is never nothing, because
// a cluster that gets nothing for no reason could not be helped.
func (r *Repo) unbuilt(c *fleet.Cluster, key string) fleet.Problems {
	problems := r.concern.stacks[key]
	if len(problems) == 0 {
		return fleet.Problems{{File: c.File, Line: c.Line, Cluster: c.Name,
			Message: "its stack has a fault that is not told because there are so many; mend the others first"}}
	}
	return problems[:min(len(problems), maxTold)]
}

// misplaced are the faults of the directories of a placement that rules name and
// that are not there.
func (r *Repo) misplaced(p fleet.Placement) (problems fleet.Problems) {
	for _, dir := range append([]string{p.Overlay}, p.Components...) {
		if problem, ok := r.concern.absent[dir]; ok {
			problems = append(problems, problem)
		}
	}
	return problems
}

// concerns notes what of the faults of fleet.yaml is of rules alone: the directories
// that they name. All else is everybody's.
func (f *fleetDocument) concerns(found fleet.Problems, c *concern) {
	faults := found.Faults()
	for _, rule := range f.Spec.Placement {
		for _, a := range rule.absent {
			c.absent[a.dir] = a.problem
		}
		faults = faults[min(len(faults), len(rule.absent)):]
	}
	// Beyond the bound not all is told, so nothing is known of the rest.
	c.everybody = len(faults) > 0 || len(found) >= maxProblems
}
