package render

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/patch"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// Render implements fleet.Repo. It takes one rendering if there are no deltas or all of
// them fit. If nothing has changed, it returns the earlier rendering.
func (r *Repo) Render(ctx context.Context, c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (rendering *fleet.Rendering, problems fleet.Problems) {
	defer func() {
		if reason := recover(); reason != nil {
			rendering, problems = nil, fleet.Problems{fleetrepo.PanicProblem(c.File, reason)}
		}
	}()
	before := r.cacheOf(earlier)
	if before.isCurrent(r, c, deltas) {
		return earlier, before.problems
	}
	p, problem := r.place(c)
	switch {
	case problem != nil && c.File == "" && problem.File == "":
		problem.Field, problem.Cluster = "overlay", c.Name
		return nil, fleet.Problems{*problem}
	case problem != nil:
		return nil, fleet.Problems{*problem}
	}
	if s, built := r.stacks[p.key]; built && s == nil {
		return nil, r.stackFaults(c, p.key)
	}
	render := func(parts []part) outcome { return r.renderWith(ctx, c, p, parts, before) }
	parts := deltaParts(deltas)
	out := render(parts)
	if len(parts) > 0 && out.rendering == nil {
		s := partSelection{render: render}
		out = s.isolateStale(parts)
	}
	if ctx.Err() != nil {
		return nil, nil
	}
	if out.rendering != nil {
		current := out.rendering.Cache.(*renderCache)
		current.deltas, current.problems = deltas, slices.Clip(out.problems)
	}
	return out.rendering, out.problems
}

// renderWith renders a cluster with some parts of deltas: its stack, its own resources,
// patches and edits on top, and the inputs of every set. A panic becomes a fault, so that
// a part which causes one becomes stale.
func (r *Repo) renderWith(ctx context.Context, c *fleet.Cluster, p *place, ofDeltas []part, earlier *renderCache) (out outcome) {
	defer func() {
		if reason := recover(); reason != nil {
			out = outcome{problems: fleet.Problems{fleetrepo.PanicProblem(c.File, reason)}}
		}
	}()
	parts := partsOf(c, ofDeltas)
	p = p.with(parts.components)
	s, problems := r.stackOf(ctx, p, c, parts)
	if s == nil {
		return outcome{problems: problems}
	}
	j := &renderJob{ctx: ctx, repo: r, stack: s, cluster: c, earlier: earlier}
	j.current = &renderCache{spec: r.spec, output: s.BuildOutput, place: p, cluster: c}
	objects, problems := j.objects(parts)
	if len(problems.Faults()) > 0 {
		return outcome{problems: problems}
	}
	answers, found := j.answers(objects)
	if problems = append(problems, found...); len(problems.Faults()) > 0 {
		return outcome{problems: problems}
	}
	return outcome{&fleet.Rendering{Placement: p.Placement, Inputs: answers, Cache: j.current}, problems}
}

// objects returns the objects of the cluster: its stack with its resources, patches and
// edits.
func (j *renderJob) objects(parts *clusterParts) ([]*cache.Object, fleet.Problems) {
	objects, problems := j.build(parts)
	if len(parts.edits) == 0 || len(problems.Faults()) > 0 {
		return objects, problems
	}
	objects = slices.Clone(objects)
	for i := range parts.edits {
		e, err := &parts.edits[i], error(nil)
		if objects, err = j.edit(objects, e.edit); err != nil {
			return nil, append(problems, e.problem(j.cluster, err))
		}
	}
	return objects, problems
}

// build returns what kustomize builds of the stack with the cluster's resources and
// patches. The slice may belong to the stack.
func (j *renderJob) build(parts *clusterParts) ([]*cache.Object, fleet.Problems) {
	if len(parts.resources) == 0 && len(parts.patches) == 0 {
		return j.stack.Objects, nil
	}
	patches, problems := j.readPatches(parts.patches)
	if len(problems) > 0 {
		return nil, problems
	}
	if n := j.countPatched(patches); n > maxPatched {
		return nil, fleet.Problems{clusterProblem(j.cluster, "spec", fmt.Errorf(
			"its patches change objects %d times, counting each object for each patch; they may do so %d times: put what many clusters share into a component", n, maxPatched))}
	}
	objects, problems, err := j.renderFast(parts, patches)
	if !errors.Is(err, patch.ErrNeedsBuild) {
		return objects, problems
	}
	if objects, err = j.repo.buildFull(j.ctx, j.stack.YAML(), parts.resources, patches); err != nil {
		return nil, fleet.Problems{clusterProblem(j.cluster, "spec", err)}
	}
	j.current.resources, j.current.steps, j.current.full = nil, nil, objects
	problems = nil
	for i, p := range patches {
		selects := func(o *cache.Object) bool { return p.Selects(&o.Object) }
		if p.HasTarget() && !slices.ContainsFunc(j.stack.Objects, selects) && !slices.ContainsFunc(objects, selects) {
			problems = append(problems, matchesNothing(j.cluster, &parts.patches[i]))
		}
	}
	return objects, problems
}

// maxPatched limits how often the patches of one cluster change an object. Each takes up to
// a millisecond.
const maxPatched = 20_000

// countPatched returns how often patches change an object of the stack.
func (j *renderJob) countPatched(patches []*patch.Patch) (n int) {
	if len(patches)*len(j.stack.Objects) <= maxPatched {
		return 0 // cannot be too much
	}
	for _, p := range patches {
		if !p.HasTarget() {
			n += len(p.Merges())
			continue
		}
		for _, o := range j.stack.Objects {
			if p.Selects(&o.Object) {
				n++
			}
		}
	}
	return n
}

// renderFast applies resources and patches object by object. Its error is
// patch.ErrNeedsBuild or nil.
func (j *renderJob) renderFast(parts *clusterParts, patches []*patch.Patch) ([]*cache.Object, fleet.Problems, error) {
	objects := slices.Clone(j.stack.Objects)
	for i := range parts.resources {
		added, err := j.readResource(&parts.resources[i])
		if errors.Is(err, patch.ErrNeedsBuild) {
			return nil, nil, err
		}
		for _, o := range added {
			if _, absent := find(objects, o.ID); absent == nil {
				err = fmt.Errorf("%s exists already; change it with a patch", kustomize.Title(o.ID))
			}
			objects = append(objects, o)
		}
		if err != nil {
			return nil, fleet.Problems{parts.resources[i].problem(j.cluster, err)}, nil
		}
	}
	var problems fleet.Problems
	for i, p := range patches {
		selected, err := j.apply(objects, p)
		switch {
		case errors.Is(err, patch.ErrNeedsBuild):
			return nil, nil, err
		case err != nil:
			return nil, append(problems, parts.patches[i].problem(j.cluster, err)), nil
		case selected == 0:
			problems = append(problems, matchesNothing(j.cluster, &parts.patches[i]))
		}
		objects = slices.DeleteFunc(objects, func(o *cache.Object) bool { return o == nil })
	}
	return objects, problems, nil
}

// apply applies a patch and returns how many objects it selects. It changes the slice and
// not the objects. Objects that the patch deletes become nil.
func (j *renderJob) apply(objects []*cache.Object, p *patch.Patch) (int, error) {
	if p.NeedsBuild() {
		return 0, patch.ErrNeedsBuild
	}
	merges := p.Merges()
	if !p.HasTarget() {
		for i := range merges {
			at, err := find(objects, merges[i].ID)
			if err != nil {
				return 0, err
			}
			if err := j.applyTo(objects, at, p, &merges[i]); err != nil {
				return 0, err
			}
		}
		return len(merges), nil
	}
	var m *patch.Merge
	if len(merges) > 0 {
		m = &merges[0]
	}
	selected := 0
	for at, o := range objects {
		if o == nil || !p.Selects(&o.Object) {
			continue
		}
		selected++
		if err := j.applyTo(objects, at, p, m); err != nil {
			return 0, err
		}
	}
	return selected, nil
}

func (j *renderJob) applyTo(objects []*cache.Object, at int, p *patch.Patch, m *patch.Merge) error {
	o, by := objects[at], any(p)
	if m != nil {
		by = m // a patch may have several
	}
	after, err := j.step(by, o, func() (*kustomize.Object, error) { return p.Apply(&o.Object, m) })
	if err != nil {
		return fmt.Errorf("does not apply to %s: %w", kustomize.Title(o.ID), err)
	}
	objects[at] = after
	return nil
}

// edit applies an edit to its object. It changes the slice and not the object.
func (j *renderJob) edit(objects []*cache.Object, e *fleet.Edit) ([]*cache.Object, error) {
	at, err := findEdited(objects, e)
	if err != nil {
		return nil, err
	}
	o := objects[at]
	after, err := j.step(e, o, func() (*kustomize.Object, error) { return patch.ApplyEdit(&o.Object, e) })
	if after == nil && err == nil {
		return slices.Delete(objects, at, at+1), nil
	}
	objects[at] = after
	return objects, err
}

func findEdited(objects []*cache.Object, e *fleet.Edit) (int, error) {
	title := e.Kind + "/" + e.Name
	if e.Group != "" {
		title += " of group " + e.Group
	}
	if e.Namespace != "" {
		title += " in namespace " + e.Namespace
	}
	at := -1
	for i, o := range objects {
		if o.Kind != e.Kind || o.Name != e.Name ||
			e.Group != "" && o.Group() != e.Group || e.Namespace != "" && o.Namespace != e.Namespace {
			continue
		}
		if at >= 0 {
			return 0, fmt.Errorf("more than one object is %s; add its group or namespace", title)
		}
		at = i
	}
	if at < 0 {
		return 0, fmt.Errorf("there is no %s to edit; use the name with the prefixes, suffixes and hashes that the stack adds", title)
	}
	return at, nil
}

// step returns the object that a patch or an edit makes of another one; nil if it deletes
// it. The result may come from the earlier rendering, or from that of another cluster.
func (j *renderJob) step(by any, o *cache.Object, apply func() (*kustomize.Object, error)) (*cache.Object, error) {
	after, known := j.earlier.after(by, o)
	if !known {
		after, known = j.repo.applied.Get(appliedKey{by, o})
	}
	if !known {
		if err := j.ctx.Err(); err != nil {
			return nil, err
		}
		changed, err := apply()
		if err != nil {
			return nil, err
		}
		switch {
		case changed == &o.Object:
			after = o
		case changed != nil:
			after = j.repo.complete(*changed)
			after.Object = after.WithoutValue()
			shareKeys(after, o)
		}
		if other, ok, _ := j.repo.applied.PeekOrAdd(appliedKey{by, o}, after); ok {
			after = other // another goroutine was faster
		}
	}
	j.current.steps = append(j.current.steps, appliedStep{by, o, after})
	return after, nil
}

// shareKeys saves memory: a patched object mostly has the same keys.
func shareKeys(after, before *cache.Object) {
	for i, in := range after.Inputs {
		if in != nil && before.Inputs[i] != nil && slices.Equal(in.Keys, before.Inputs[i].Keys) {
			in.Keys = before.Inputs[i].Keys
		}
	}
}

// readPatches reads patches, each distinct one once.
func (j *renderJob) readPatches(patches []part) ([]*patch.Patch, fleet.Problems) {
	var out []*patch.Patch
	var problems fleet.Problems
	for i := range patches {
		source := patches[i].patch
		read := j.earlier.patch(i, source)
		if read == nil {
			var err error
			if read, err = j.repo.patches.Read(*source); err != nil {
				problems = append(problems, j.repo.textProblem(j.cluster, &patches[i], err))
			}
		}
		out = append(out, read)
	}
	j.current.patches = out
	return out, problems
}

// textProblem is a problem of a patch. It is located at the line of the cluster's file that
// the error is about, where that is known.
func (r *Repo) textProblem(c *fleet.Cluster, p *part, err error) fleet.Problem {
	out := p.problem(c, err)
	var wrong *kustomize.TextError
	if !errors.As(err, &wrong) || wrong.Line == 0 || p.Delta != "" {
		return out
	}
	for _, root := range r.documents(c.File) {
		list := yamltext.Child(yamltext.Child(root, "spec"), "patches")
		if root.Line != c.Line || list == nil {
			continue
		}
		for i, n := range list.Content {
			text := yamltext.Child(n, "patch")
			if fleetrepo.FieldIndex("spec.patches", i) == p.Field && text != nil && text.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
				out.Line, out.Message = text.Line+wrong.Line, wrong.Message
			}
		}
	}
	return out
}

// readResource reads an inline resource, each distinct one once.
func (j *renderJob) readResource(p *part) ([]*cache.Object, error) {
	key := resourceText{p.resource.YAML, p.resource.JSON}
	if known, ok := j.earlier.resource(key); ok {
		j.current.resources = append(j.current.resources, known)
		return known.objects, nil
	}
	result, ok := j.repo.resources.Get(key)
	if !ok {
		result.objects, result.err = j.repo.readIndependent(p)
		j.repo.resources.Add(key, result)
	}
	if result.err == nil {
		j.current.resources = append(j.current.resources, ownResource{key, result.objects})
	}
	return result.objects, result.err
}

// readIndependent reads a resource. The error is patch.ErrNeedsBuild if it depends on
// other objects.
func (r *Repo) readIndependent(p *part) ([]*cache.Object, error) {
	text, err := p.resourceYAML()
	if err != nil {
		return nil, err
	}
	if kustomize.IsUnusual(text) {
		return nil, patch.ErrNeedsBuild
	}
	found, err := kustomize.ReadResources([]byte(text))
	if err != nil {
		return nil, err
	}
	objects, err := r.convert(found)
	if err != nil || slices.ContainsFunc(objects, func(o *cache.Object) bool { return !o.Independent() }) {
		return nil, patch.ErrNeedsBuild
	}
	return objects, nil
}

// buildFull builds resources and patches on top of a stack with kustomize.
func (r *Repo) buildFull(ctx context.Context, stackYAML []byte, resources []part, patches []*patch.Patch) ([]*cache.Object, error) {
	var texts []string
	for i := range resources {
		text, err := resources[i].resourceYAML()
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	var list []types.Patch
	for _, p := range patches {
		list = append(list, p.Kustomize())
	}
	found, err := kustomize.Build(ctx, kustomize.LayerFiles(stackYAML, texts, list))
	if err != nil {
		return nil, err
	}
	return r.convert(found)
}

func (r *Repo) convert(found []kustomize.Resource) ([]*cache.Object, error) {
	var objects []*cache.Object
	for _, res := range found {
		o, err := res.Object()
		if err != nil {
			return nil, err
		}
		objects = append(objects, r.complete(o))
	}
	return objects, nil
}

// matchesNothing warns of a patch without effect.
func matchesNothing(c *fleet.Cluster, p *part) fleet.Problem {
	problem := p.problem(c, errors.New("matches no object; is it misspelled?"))
	problem.Field += ".target"
	problem.Warning = true
	return problem
}

func clusterProblem(c *fleet.Cluster, field string, err error) fleet.Problem {
	return fleet.Problem{File: c.File, Line: c.Line, Field: field, Cluster: c.Name, Message: kustomize.Message(err)}
}
