package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

const (
	// maxDerived is how many derived stacks are remembered. Each takes about as much
	// memory as ten answers.
	maxDerived = 250
	// maxRepeated limits the problems of its stack that are repeated for a cluster.
	// Compile has reported all of them, and every cluster of the stack repeats them.
	maxRepeated = 20
)

// place is where a cluster is placed.
type place struct {
	fleet.Placement
	key string // unique for the placement
}

func newPlace(p fleet.Placement) *place {
	return &place{p, p.Overlay + "\x00" + strings.Join(p.Components, "\x00")}
}

// place applies the placement rules to a cluster.
func (r *Repo) place(c *fleet.Cluster) (*place, *fleet.Problem) {
	if known := r.places[c]; known != nil {
		return known, nil
	}
	var p fleet.Placement
	for i := range r.spec.Rules {
		rule := &r.spec.Rules[i]
		if !rule.Matches(c.Labels) {
			continue
		}
		if rule.Overlay != "" {
			p.Overlay = rule.Overlay
		}
		p.Components = append(p.Components, rule.Components...)
	}
	if c.Overlay != "" {
		p.Overlay = c.Overlay
	}
	p.Components = withoutRepetitions(append(p.Components, c.Components...))
	if p.Overlay == "" {
		return nil, r.notPlaced(c)
	}
	return newPlace(p), nil
}

// notPlaced says why no rule gives a cluster an overlay: fleet.yaml itself is at fault, a label
// is misspelt, or there is no such rule.
func (r *Repo) notPlaced(c *fleet.Cluster) *fleet.Problem {
	if r.spec.Misplaces != nil {
		at := *r.spec.Misplaces
		return &at
	}
	p := &fleet.Problem{File: c.File, Line: c.Line, Field: "spec.overlay"}
	const none = "no rule of spec.placement in fleet.yaml gives cluster %q %s an overlay"
	for _, label := range slices.Sorted(maps.Keys(c.Labels)) {
		if meant := r.spec.LabelMeant(label, c.Labels[label]); meant != "" {
			p.Line, p.Field = r.lineOf(c, "metadata.labels", label), "metadata.labels."+label
			p.Message = fmt.Sprintf(none+"; is %s meant?", c.Name, "with "+label+"="+c.Labels[label], meant)
			return p
		}
	}
	with := "without labels"
	if len(c.Labels) > 0 {
		with = "with labels " + labels.Set(c.Labels).String()
	}
	p.Message = fmt.Sprintf(none+"; add a rule, a label, or an overlay here", c.Name, with)
	return p
}

// namedAt returns the file, line and field that place a cluster on an overlay or component.
func (r *Repo) namedAt(dir, kind string, c *fleet.Cluster) fleet.Problem {
	at, known := r.spec.Named[fleetrepo.Place{Dir: dir, Component: kind == types.ComponentKind}]
	i := slices.Index(c.Components, dir)
	switch {
	case c.File != "" && c.Overlay == dir:
		return fleet.Problem{File: c.File, Line: r.lineOf(c, "spec", "overlay"), Field: "spec.overlay"}
	case c.File != "" && i >= 0:
		return fleet.Problem{File: c.File, Line: r.lineOf(c, "spec", "components"), Field: fleetrepo.FieldIndex("spec.components", i)}
	case known:
		return at
	}
	return fleet.Problem{File: dir}
}

// lineOf returns the line of a key in the document of a cluster; the document's own where the
// key is not found.
func (r *Repo) lineOf(c *fleet.Cluster, path, key string) int {
	for _, root := range r.documents(c.File) {
		if c.File == "" || root.Line != c.Line {
			continue
		}
		at := root
		for part := range strings.SplitSeq(path, ".") {
			at = yamltext.Child(at, part)
		}
		if value := yamltext.Child(at, key); value != nil {
			return value.Line
		}
	}
	return c.Line
}

// with returns the place with more components.
func (p *place) with(components []part) *place {
	if len(components) == 0 {
		return p
	}
	more := fleet.Placement{Overlay: p.Overlay, Components: slices.Clone(p.Components)}
	for _, c := range components {
		more.Components = append(more.Components, c.component)
	}
	more.Components = withoutRepetitions(more.Components)
	return newPlace(more)
}

func withoutRepetitions(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// stack is the finished kustomize build of one overlay with a list of components. It is
// built once and shared by all clusters placed on it. It is immutable once it is built.
type stack struct {
	placement fleet.Placement
	vetting   *kustomize.Vetting
	*cache.BuildOutput
	answers []*answer // what the objects give to each set
	// What the build depends on: the files it read, and what the vetting said about each
	// kustomization it asked for.
	read      *cache.Recorder
	valid     map[string]bool
	flattened map[string]string

	origins sync.Mutex
	files   map[string]string // which file each object comes from, by ID; guarded by origins
}

// stackBuild is a stack that is yet to be built.
type stackBuild struct {
	place    *place
	stack    *stack // nil if it cannot be built
	problems fleet.Problems
}

// do calls f. A panic becomes a problem of the stack alone.
func (b *stackBuild) do(f func() (*stack, fleet.Problems)) {
	defer func() {
		if reason := recover(); reason != nil {
			b.stack, b.problems = nil, fleet.Problems{fleetrepo.PanicProblem(b.place.Overlay, reason)}
		}
	}()
	var found fleet.Problems
	b.stack, found = f()
	b.problems = append(b.problems, found...)
}

// buildStacks places all clusters and builds the stack of each place once.
func (r *Repo) buildStacks(ctx context.Context, earlier *Repo) error {
	r.builds = cache.NewBuildCache(r.complete)
	earlierStacks := map[string]*stack{}
	if earlier.spec == r.spec { // otherwise the inputs of all objects may differ
		earlierStacks = earlier.stacks
		for _, s := range earlierStacks {
			if s != nil {
				r.builds.Add(s.BuildOutput)
			}
		}
	}
	builds := r.placeClusters(earlier)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0)) // kustomize builds one at a time, and results are read meanwhile
	for key, b := range builds {
		group.Go(func() error {
			if b.stack != nil && ctx.Err() == nil {
				b.do(func() (*stack, fleet.Problems) { return r.buildOrReuse(ctx, b.stack, earlierStacks[key]) })
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for key, b := range builds {
		r.stacks[key], r.stackProblems[key] = b.stack, b.problems
		r.problems = append(r.problems, b.problems...)
	}
	r.problems = r.problems.Sort()
	return nil
}

// placeClusters places all clusters and vets their stacks. Each kustomization is vetted
// once for all stacks, and from then on the vetting is only read. Clusters that have not
// changed keep their place as long as the rules are the same.
func (r *Repo) placeClusters(earlier *Repo) map[string]*stackBuild {
	builds, v := map[string]*stackBuild{}, kustomize.NewVetting(r.tree, r.spec.Overlays()...)
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
		b := builds[p.key]
		if b == nil {
			b = &stackBuild{place: p}
			b.do(func() (*stack, fleet.Problems) { return r.vet(p.Placement, c, v) })
			builds[p.key] = b
		}
		r.places[c] = b.place
	}
	return builds
}

// vet returns the stack of a placement before it is built; nil if it must not be built.
// The problems of one that may be built are warnings. c is a cluster that is placed there.
func (r *Repo) vet(p fleet.Placement, c *fleet.Cluster, v *kustomize.Vetting) (*stack, fleet.Problems) {
	valid, problems := v.Placement(p, func(dir, kind string) fleet.Problem { return r.namedAt(dir, kind, c) })
	if valid {
		return &stack{placement: p, vetting: v, valid: map[string]bool{}, flattened: map[string]string{}}, problems
	}
	for _, dir := range append([]string{p.Overlay}, p.Components...) {
		if problem, ok := r.spec.Missing[dir]; ok {
			problems = append(problems, problem)
		}
	}
	return nil, problems.Sort()
}

// buildOrReuse builds a stack that has been vetted. If a build of the earlier revision's
// stack would read the same, it takes that result. Where ctx ends first, the result means
// nothing.
func (r *Repo) buildOrReuse(ctx context.Context, s, earlier *stack) (*stack, fleet.Problems) {
	if earlier != nil && earlier.wouldBuildTheSame(s.vetting, r.tree) {
		s.read, s.valid, s.flattened = earlier.read, earlier.valid, earlier.flattened
		s.BuildOutput, s.answers = earlier.BuildOutput, earlier.answers
		return s, nil
	}
	s.read = cache.NewRecorder(r.tree)
	newFiles := func() *kustomize.Filesystem {
		f := kustomize.StackFiles(s.vetting, s.placement)
		f.Tree = s.read
		f.IsValid = func(dir string) bool {
			s.valid[dir] = s.vetting.IsValid(dir)
			return s.valid[dir]
		}
		return f
	}
	f, err := newFiles(), error(nil)
	f.Flattened = func(dir string) string {
		s.flattened[dir] = s.vetting.Flattened(dir)
		return s.flattened[dir]
	}
	if s.BuildOutput, err = r.builds.Build(ctx, f); err != nil && ctx.Err() == nil {
		f = newFiles()
		s.BuildOutput, err = r.builds.Build(ctx, f)
	}
	if ctx.Err() != nil {
		return nil, nil // the build that was given up may still use what it was given
	}
	if err == nil {
		for i, set := range r.sets {
			s.answers = append(s.answers, r.answer(ctx, set, i, s))
		}
	}
	s.read.Release()
	switch {
	case err == nil:
		return s, nil
	case len(f.Refused()) > 0:
		return nil, f.Refused()
	}
	return nil, s.vetting.Diagnose(s.placement, err)
}

// wouldBuildTheSame reports whether a build in another tree, vetted by v, would read what
// the build of this stack has read.
func (s *stack) wouldBuildTheSame(v *kustomize.Vetting, tree fs.FS) bool {
	for dir, valid := range s.valid {
		if v.IsValid(dir) != valid {
			return false
		}
	}
	for dir, text := range s.flattened {
		if v.Flattened(dir) != text {
			return false
		}
	}
	return s.read.Matches(tree)
}

// derivedStacks are stacks with components of deltas, which Compile cannot know. Each is
// built when it is first needed, and shared from then on, and so are the problems of one
// that cannot be built.
type derivedStacks struct {
	stacks *lru.Cache[string, derivedStack] // by place.key
	mu     sync.Mutex                       // held while one is built, so that each is built once
}

type derivedStack struct {
	stack    *stack
	problems fleet.Problems
}

// stackOf returns the stack of a place, including the components of deltas. It is nil if
// and only if there are problems.
func (r *Repo) stackOf(ctx context.Context, p *place, c *fleet.Cluster, parts *clusterParts) (*stack, fleet.Problems) {
	if s := r.stacks[p.key]; s != nil {
		return s, nil
	}
	d := r.derive(ctx, p)
	if d.stack != nil {
		return d.stack, nil
	}
	var problems fleet.Problems
	for i := range parts.components {
		component := &parts.components[i]
		if _, wrong := kustomize.Directory(r.tree, component.component); wrong != "" {
			problems = append(problems, component.problem(c, errors.New(wrong)))
		}
	}
	problems = append(problems, r.missingDirectories(c)...)
	if problems = append(problems, d.problems...); len(problems) == 0 {
		problems = fleet.Problems{clusterProblem(c, "spec", errors.New("its stack cannot be built for an unknown reason; please report this"))}
	}
	return nil, problems
}

// derive builds a stack with its own vetting, because other clusters are being rendered
// and may read Compile's.
func (r *Repo) derive(ctx context.Context, p *place) derivedStack {
	if known, ok := r.derived.stacks.Get(p.key); ok {
		return known
	}
	r.derived.mu.Lock()
	defer r.derived.mu.Unlock()
	if known, ok := r.derived.stacks.Get(p.key); ok {
		return known
	}
	var d derivedStack
	if d.stack, d.problems = r.vet(p.Placement, &fleet.Cluster{}, kustomize.NewVetting(r.tree, r.spec.Overlays()...)); d.stack != nil {
		d.stack, d.problems = r.buildOrReuse(ctx, d.stack, nil)
	}
	if ctx.Err() == nil {
		r.derived.stacks.Add(p.key, d)
	}
	return d
}

// missingDirectories are problems of the directories that a cluster declared through the
// API names and the tree does not have. Compile reports those that files name.
func (r *Repo) missingDirectories(c *fleet.Cluster) (problems fleet.Problems) {
	if c.File != "" {
		return nil
	}
	check := func(field, dir string) {
		if _, wrong := kustomize.Directory(r.tree, dir); wrong != "" {
			problems = append(problems, clusterProblem(c, field, errors.New(wrong)))
		}
	}
	if c.Overlay != "" {
		check("overlay", c.Overlay)
	}
	for i, dir := range c.Components {
		check(fleetrepo.FieldIndex("components", i), dir)
	}
	return problems
}

// stackFaults says why the stack of a cluster is missing. There is always a reason,
// because nobody could help a cluster that fails without one.
func (r *Repo) stackFaults(c *fleet.Cluster, key string) fleet.Problems {
	problems := r.stackProblems[key].Faults()
	if len(problems) == 0 {
		return fleet.Problems{clusterProblem(c, "", errors.New("its stack has a problem that is not listed, because there are too many; fix the others first"))}
	}
	return problems[:min(len(problems), maxRepeated)]
}

// find returns the index of the one object with an ID.
func find(objects []*cache.Object, id resid.ResId) (int, error) {
	at := -1
	for i, o := range objects {
		if o != nil && o.ID.Equals(id) {
			if at >= 0 {
				return 0, errors.New("more than one object is " + kustomize.Title(id))
			}
			at = i
		}
	}
	if at < 0 {
		return 0, notFound(objects, id)
	}
	return at, nil
}

// notFound says that there is no object with an ID, and which one may be meant.
func notFound(objects []*cache.Object, id resid.ResId) error {
	text := fmt.Sprintf("there is no %s to patch", strings.TrimSpace(id.ApiVersion()+" "+kustomize.Title(id)))
	var names []string
	for _, o := range objects {
		switch {
		case o == nil || o.ID.Kind != id.Kind:
		case o.ID.Name == id.Name && o.ID.ApiVersion() != id.ApiVersion():
			return fmt.Errorf("%s, but there is one of apiVersion %s; write that in the patch", text, o.ID.ApiVersion())
		case o.ID.Name == id.Name:
			return fmt.Errorf("%s, but there is %s; write its namespace in the patch", text, kustomize.Title(o.ID))
		default:
			names = append(names, o.ID.Name)
		}
	}
	if meant := nearest.Hint(id.Name, names); meant != "" {
		return errors.New(text + meant)
	}
	return errors.New(text + "; use the name with the prefixes, suffixes and hashes that the stack adds")
}
