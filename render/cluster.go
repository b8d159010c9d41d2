package render

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Render implements fleet.Repo. Without deltas, and where all of them fit, it is
// one rendering; where nothing is another than it was, it is the earlier one.
func (r *Repo) Render(c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (rendering *fleet.Rendering, problems fleet.Problems) {
	defer func() {
		if reason := recover(); reason != nil {
			rendering, problems = nil, fleet.Problems{panicked(c.File, reason)}
		}
	}()
	before := madeOf(earlier, r)
	if before.stands(r, c, deltas) {
		return earlier, before.problems
	}
	p, problem := r.place(c)
	switch {
	case problem != nil && c.File == "":
		problem.Field, problem.Cluster = "overlay", c.Name
		return nil, fleet.Problems{*problem}
	case problem != nil:
		return nil, fleet.Problems{*problem}
	}
	if s, built := r.stacks[p.key]; built && s == nil {
		return nil, r.unbuilt(c, p.key)
	}
	render := func(parts []part) outcome { return r.renderWith(c, p, parts, before) }
	parts := partsOf(deltas)
	out := render(parts)
	if len(parts) > 0 && out.rendering == nil {
		t := trial{render: render}
		out = t.settle(parts)
	}
	if out.rendering != nil {
		m := out.rendering.Made.(*made)
		m.deltas, m.problems = deltas, slices.Clip(out.problems)
	}
	return out.rendering, out.problems
}

// renderWith renders a cluster with those parts of deltas: its stack, its own
// resources, patches and edits on top, and the inputs of every set. A panic is a
// fault, so that a part which causes one is an orphan.
func (r *Repo) renderWith(c *fleet.Cluster, p *place, parts []part, before *made) (out outcome) {
	defer func() {
		if reason := recover(); reason != nil {
			out = outcome{problems: fleet.Problems{panicked(c.File, reason)}}
		}
	}()
	own := ownOf(c, parts)
	p = p.with(own.components)
	s, problems := r.stackOf(p, c, own)
	if s == nil {
		return outcome{problems: problems}
	}
	w := &work{repo: r, stack: s, cluster: c, before: before, made: &made{spec: r.spec, built: s.built, place: p, cluster: c}}
	objects, problems := w.layered(own)
	if len(problems.Faults()) > 0 {
		return outcome{problems: problems}
	}
	inputs, found := w.answers(objects)
	if problems = append(problems, found...); len(problems.Faults()) > 0 {
		return outcome{problems: problems}
	}
	return outcome{&fleet.Rendering{Placement: p.Placement, Inputs: inputs, Made: w.made}, problems}
}

// layered puts the cluster's resources, patches and edits on its stack.
func (w *work) layered(o *own) ([]*object, fleet.Problems) {
	objects, problems := w.build(o)
	if len(o.edits) == 0 || len(problems.Faults()) > 0 {
		return objects, problems
	}
	objects = slices.Clone(objects)
	for i := range o.edits {
		e, err := &o.edits[i], error(nil)
		if objects, err = w.edit(objects, e.edit); err != nil {
			return nil, append(problems, e.problem(w.cluster, err))
		}
	}
	return objects, problems
}

// build is what kustomize would build of the stack with the cluster's resources
// and patches. The slice may be the stack's.
func (w *work) build(o *own) ([]*object, fleet.Problems) {
	s := w.stack
	if len(o.resources) == 0 && len(o.patches) == 0 {
		return s.objects, nil
	}
	patches, problems := w.readPatches(o.patches)
	if len(problems) > 0 {
		return nil, problems
	}
	objects, problems, err := w.quickly(o, patches)
	if errors.Is(err, errNoShortcut) {
		problems = nil
		if objects, err = w.repo.wholly(s, o.resources, patches); err != nil {
			return nil, fleet.Problems{at(w.cluster, "spec", err)}
		}
		w.made.resources, w.made.applied, w.made.whole = nil, nil, objects
		for i, p := range patches {
			if p.target != nil && !slices.ContainsFunc(slices.Concat(s.objects, objects), p.target.matches) {
				problems = append(problems, selectsNothing(w.cluster, &o.patches[i]))
			}
		}
	}
	return objects, problems
}

// quickly does it object by object. The error is errNoShortcut or nil.
func (w *work) quickly(o *own, patches []*patch) ([]*object, fleet.Problems, error) {
	objects := slices.Clone(w.stack.objects)
	for i := range o.resources {
		added, err := w.readResource(&o.resources[i])
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
			return nil, fleet.Problems{o.resources[i].problem(w.cluster, err)}, nil
		}
	}
	var problems fleet.Problems
	for i, p := range patches {
		selected, err := w.apply(objects, p)
		switch {
		case errors.Is(err, errNoShortcut):
			return nil, nil, err
		case err != nil:
			return nil, append(problems, o.patches[i].problem(w.cluster, err)), nil
		case selected == 0:
			problems = append(problems, selectsNothing(w.cluster, &o.patches[i]))
		}
		objects = slices.DeleteFunc(objects, func(o *object) bool { return o == nil })
	}
	return objects, problems, nil
}

// readPatches reads patches, each distinct one once.
func (w *work) readPatches(patches []part) ([]*patch, fleet.Problems) {
	var out []*patch
	var problems fleet.Problems
	for i := range patches {
		p := patches[i].patch
		read := w.before.patch(i, p)
		if read == nil {
			var err error
			read, err = once(w.repo.texts, patchKey(*p), func() (*patch, error) { return readPatch(*p, w.repo.texts) })
			if err != nil {
				problems = append(problems, patches[i].problem(w.cluster, err))
			}
		}
		out = append(out, read)
	}
	w.made.patches = out
	return out, problems
}

// readResource reads an inline resource, each distinct one once.
func (w *work) readResource(p *part) ([]*object, error) {
	key := resourceText{p.resource.YAML, p.resource.JSON}
	if known, ok := w.before.resource(key); ok {
		w.made.resources = append(w.made.resources, known)
		return known.objects, nil
	}
	objects, err := once(&w.repo.resources, key, func() ([]*object, error) { return w.repo.readAlone(p) })
	if err == nil {
		w.made.resources = append(w.made.resources, readResource{key, objects})
	}
	return objects, err
}

// readAlone reads a resource that means the same whatever else there is.
func (r *Repo) readAlone(p *part) (objects []*object, err error) {
	err = withKustomize(func() (err error) {
		objects, err = r.alone(p)
		return err
	})
	return objects, err
}

func (r *Repo) alone(p *part) ([]*object, error) {
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
}

func selectsNothing(c *fleet.Cluster, patch *part) fleet.Problem {
	p := patch.problem(c, errors.New("selects nothing; is it misspelt?"))
	p.Field += ".target"
	p.Warning = true
	return p
}

func at(c *fleet.Cluster, field string, err error) fleet.Problem {
	return fleet.Problem{File: c.File, Line: c.Line, Field: field, Cluster: c.Name, Message: plain(err)}
}
