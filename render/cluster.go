package render

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Render implements fleet.Repo. Without deltas, and where all of them fit, it is
// one rendering.
func (r *Repo) Render(c fleet.Cluster, deltas []*fleet.Delta) (rendering *fleet.Rendering, problems fleet.Problems) {
	defer func() {
		if reason := recover(); reason != nil {
			rendering, problems = nil, fleet.Problems{panicked(c.File, reason)}
		}
	}()
	p, problem := r.place(c)
	key := stackKey(p)
	switch s, built := r.stacks[key]; {
	case problem != nil && c.File == "":
		problem.Field, problem.Cluster = "overlay", c.Name
		return nil, fleet.Problems{*problem}
	case problem != nil:
		return nil, fleet.Problems{*problem}
	case built && s == nil:
		return nil, r.unbuilt(c, key)
	}
	render := func(parts []part) outcome { return r.renderWith(c, p, parts) }
	parts := partsOf(deltas)
	out := render(parts)
	if len(parts) > 0 && out.rendering == nil {
		t := trial{render: render}
		out = t.settle(parts)
	}
	return out.rendering, out.problems
}

// renderWith renders a cluster with those parts of deltas: its stack, its own
// resources, patches and edits on top, and the inputs of every set. A panic is a
// fault, so that a part which causes one is an orphan.
func (r *Repo) renderWith(c fleet.Cluster, p fleet.Placement, parts []part) (out outcome) {
	defer func() {
		if reason := recover(); reason != nil {
			out = outcome{problems: fleet.Problems{panicked(c.File, reason)}}
		}
	}()
	own := ownOf(c, parts)
	p = own.placed(p)
	s, problems := r.stackOf(p, c, own)
	if s == nil {
		return outcome{problems: problems}
	}
	objects, problems := r.layered(s, c, own)
	if len(problems.Faults()) > 0 {
		return outcome{problems: problems}
	}
	rendering := &fleet.Rendering{Placement: p, Inputs: make(map[string]fleet.InputSet, len(r.sets))}
	rendering.Objects = make([]fleet.Object, len(objects))
	for i, o := range objects {
		rendering.Objects[i] = o.Object
	}
	identity, err := encode(c.Identity())
	if err != nil {
		return outcome{problems: append(problems, at(c, "metadata", err))}
	}
	for i, set := range r.sets {
		answer, found := r.answer(set, s, c, objects, i, identity)
		rendering.Inputs[set.Name], problems = answer, append(problems, found...)
	}
	if len(problems.Faults()) > 0 {
		rendering = nil
	}
	return outcome{rendering, problems}
}

// layered puts the cluster's resources, patches and edits on its stack.
func (r *Repo) layered(s *stack, c fleet.Cluster, o *own) ([]*object, fleet.Problems) {
	objects, problems := r.built(s, c, o)
	if len(o.edits) == 0 || len(problems.Faults()) > 0 {
		return objects, problems
	}
	objects = slices.Clone(objects)
	for i := range o.edits {
		e, err := &o.edits[i], error(nil)
		if objects, err = r.edit(objects, e.edit); err != nil {
			return nil, append(problems, e.problem(c, err))
		}
	}
	return objects, problems
}

// built is what kustomize would build of the stack with the cluster's resources
// and patches. The slice may be the stack's.
func (r *Repo) built(s *stack, c fleet.Cluster, o *own) ([]*object, fleet.Problems) {
	if len(o.resources) == 0 && len(o.patches) == 0 {
		return s.objects, nil
	}
	patches, problems := r.readPatches(c, o.patches)
	if len(problems) > 0 {
		return nil, problems
	}
	objects, problems, err := r.quickly(s, c, o, patches)
	if errors.Is(err, errNoShortcut) {
		problems = nil
		if objects, err = r.wholly(s, o.resources, patches); err != nil {
			return nil, fleet.Problems{at(c, "spec", err)}
		}
		for i, p := range patches {
			if p.target != nil && !slices.ContainsFunc(slices.Concat(s.objects, objects), p.target.matches) {
				problems = append(problems, selectsNothing(c, &o.patches[i]))
			}
		}
	}
	return objects, problems
}

// quickly does it object by object. The error is errNoShortcut or nil.
func (r *Repo) quickly(s *stack, c fleet.Cluster, o *own, patches []*patch) ([]*object, fleet.Problems, error) {
	objects := slices.Clone(s.objects)
	for i := range o.resources {
		added, err := r.readResource(&o.resources[i])
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
			return nil, fleet.Problems{o.resources[i].problem(c, err)}, nil
		}
	}
	var problems fleet.Problems
	for i, p := range patches {
		selected, err := r.apply(objects, p)
		switch {
		case errors.Is(err, errNoShortcut):
			return nil, nil, err
		case err != nil:
			return nil, append(problems, o.patches[i].problem(c, err)), nil
		case selected == 0:
			problems = append(problems, selectsNothing(c, &o.patches[i]))
		}
		objects = slices.DeleteFunc(objects, func(o *object) bool { return o == nil })
	}
	return objects, problems, nil
}

// readPatches reads patches, each distinct one once.
func (r *Repo) readPatches(c fleet.Cluster, patches []part) ([]*patch, fleet.Problems) {
	var out []*patch
	var problems fleet.Problems
	for i := range patches {
		p := *patches[i].patch
		read, err := once(r.texts, patchKey(p), func() (*patch, error) { return readPatch(p) })
		if err != nil {
			problems = append(problems, patches[i].problem(c, err))
		}
		out = append(out, read)
	}
	return out, problems
}

// readResource reads an inline resource, each distinct one once.
func (r *Repo) readResource(p *part) ([]*object, error) {
	key := resourceText{p.resource.YAML, p.resource.JSON}
	return once(&r.resources, key, func() ([]*object, error) {
		text, err := p.text()
		if err != nil {
			return nil, err
		}
		if unusual.MatchString(text) {
			return nil, errNoShortcut
		}
		m, err := newResources().NewResMapFromBytes([]byte(text))
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

func selectsNothing(c fleet.Cluster, patch *part) fleet.Problem {
	p := patch.problem(c, errors.New("selects nothing; is it misspelt?"))
	p.Field += ".target"
	p.Warning = true
	return p
}

func at(c fleet.Cluster, field string, err error) fleet.Problem {
	return fleet.Problem{File: c.File, Line: c.Line, Field: field, Cluster: c.Name, Message: plain(err)}
}
