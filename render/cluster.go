package render

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Render implements fleet.Repo: the cluster's stack, its own resources and
// patches on top, and the inputs of every set.
func (r *Repo) Render(c fleet.Cluster) (rendering *fleet.Rendering, problems fleet.Problems) {
	defer func() {
		if reason := recover(); reason != nil {
			rendering, problems = nil, fleet.Problems{panicked(c.File, reason)}
		}
	}()
	p, problem := r.place(c)
	if problem != nil {
		return nil, nil // told by Compile
	}
	s := r.stacks[stackKey(p)]
	if s == nil {
		return nil, nil // told by Compile
	}
	objects, problems := r.layered(s, c)
	if len(problems.Faults()) > 0 {
		return nil, problems
	}
	out := &fleet.Rendering{Placement: p, Inputs: make(map[string]fleet.InputSet, len(r.sets))}
	for _, o := range objects {
		out.Objects = append(out.Objects, o.Object)
	}
	identity, err := encode(c.Identity())
	if err != nil {
		return nil, append(problems, at(c, "metadata", err))
	}
	for i, set := range r.sets {
		answer, found := r.answer(set, s, c, objects, i, identity)
		out.Inputs[set.Name], problems = answer, append(problems, found...)
	}
	if len(problems.Faults()) > 0 {
		return nil, problems
	}
	return out, problems
}

// layered puts the cluster's resources and patches on its stack.
func (r *Repo) layered(s *stack, c fleet.Cluster) ([]*object, fleet.Problems) {
	if len(c.Resources) == 0 && len(c.Patches) == 0 {
		return s.objects, nil
	}
	patches, problems := r.readPatches(c)
	if len(problems) > 0 {
		return nil, problems
	}
	objects, problems, err := r.quickly(s, c, patches)
	if errors.Is(err, errNoShortcut) {
		problems = nil
		if objects, err = r.wholly(s, c, patches); err != nil {
			return nil, fleet.Problems{at(c, "spec", err)}
		}
		for i, p := range patches {
			if p.target != nil && !slices.ContainsFunc(slices.Concat(s.objects, objects), p.target.matches) {
				problems = append(problems, selectsNothing(c, i))
			}
		}
	}
	return objects, problems
}

// quickly does it object by object. The error is errNoShortcut or nil.
func (r *Repo) quickly(s *stack, c fleet.Cluster, patches []*patch) ([]*object, fleet.Problems, error) {
	objects := slices.Clone(s.objects)
	for i, resource := range c.Resources {
		added, err := r.readResource(resource)
		if errors.Is(err, errNoShortcut) {
			return nil, nil, err
		}
		for _, o := range added {
			if _, taken := find(objects, o.id); taken == nil {
				err = fmt.Errorf("%s is there already; change it with a patch", title(o.id))
			}
			objects = append(objects, o)
		}
		if err != nil {
			return nil, fleet.Problems{atLine(c, resource.Line, fmt.Sprintf("spec.resources[%d]", i), err)}, nil
		}
	}
	var problems fleet.Problems
	for i, p := range patches {
		field, line := fmt.Sprintf("spec.patches[%d]", i), c.Patches[i].Line
		selected, err := r.apply(objects, p)
		switch {
		case errors.Is(err, errNoShortcut):
			return nil, nil, err
		case err != nil:
			return nil, append(problems, atLine(c, line, field, err)), nil
		case selected == 0:
			problems = append(problems, selectsNothing(c, i))
		}
		objects = slices.DeleteFunc(objects, func(o *object) bool { return o == nil })
	}
	return objects, problems, nil
}

// readPatches reads the cluster's patches, each distinct one once.
func (r *Repo) readPatches(c fleet.Cluster) ([]*patch, fleet.Problems) {
	var out []*patch
	var problems fleet.Problems
	for i, p := range c.Patches {
		read, err := once(&r.patches, patchKey(p), func() (*patch, error) { return readPatch(p) })
		if err != nil {
			problems = append(problems, atLine(c, p.Line, fmt.Sprintf("spec.patches[%d]", i), err))
		}
		out = append(out, read)
	}
	return out, problems
}

// readResource reads an inline resource, each distinct one once.
func (r *Repo) readResource(res fleet.Resource) ([]*object, error) {
	return once(&r.resources, res.YAML, func() ([]*object, error) {
		if unusual.MatchString(res.YAML) {
			return nil, errNoShortcut
		}
		m, err := newResources().NewResMapFromBytes([]byte(res.YAML))
		if err != nil {
			return nil, err
		}
		objects, err := r.objects(m)
		if err == nil && !slices.ContainsFunc(objects, func(o *object) bool { return !independent(o) }) {
			return objects, nil
		}
		return nil, errNoShortcut
	})
}

func selectsNothing(c fleet.Cluster, patch int) fleet.Problem {
	p := atLine(c, c.Patches[patch].Line, fmt.Sprintf("spec.patches[%d].target", patch), errors.New("selects nothing; is it misspelt?"))
	p.Warning = true
	return p
}

func at(c fleet.Cluster, field string, err error) fleet.Problem {
	return atLine(c, c.Line, field, err)
}

func atLine(c fleet.Cluster, line int, field string, err error) fleet.Problem {
	return fleet.Problem{File: c.File, Line: line, Field: field, Cluster: c.Name, Message: plain(err)}
}
