package render

import (
	"io/fs"

	"github.com/tributary-gitops/tributary/fleet"
)

// spec is fleet.yaml with the schemas that it names. Revisions in which none of that is
// another have the same one, so that inputs which were made by it still hold.
type spec struct {
	document *fleetDocument // nil where nothing can be made of it
	problems fleet.Problems
	sets     []*inputSet
	waves    []fleet.WaveRule
	read     *trace
}

// specOf is the one of a tree: that of the earlier revision, if it would be read the same.
func (r *Repo) specOf(tree fs.FS) *spec {
	if s := r.spec; s != nil && s.read.holds(tree) {
		return s
	}
	s := &spec{read: newTrace(tree)}
	s.document, s.problems = readFleet(s.read)
	if s.document != nil {
		for i := range s.document.Spec.Inputs {
			s.sets = append(s.sets, &s.document.Spec.Inputs[i])
		}
		for i := range s.document.Spec.Rollout.Waves {
			s.waves = append(s.waves, s.document.Spec.Rollout.Waves[i].rule())
		}
	}
	s.read.tree = nil // what is known of it is enough
	return s
}
