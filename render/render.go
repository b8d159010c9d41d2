package render

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tributary-gitops/tributary/fleet"
)

// Renderer compiles fleet repos. The zero value is ready.
type Renderer struct{ last *atomic.Pointer[Repo] }

// NewRenderer returns a Renderer that takes what is as it was from the revision that it
// compiled before: files that are the same, and stacks of which all files are. It makes no
// difference but time and memory.
func NewRenderer() Renderer { return Renderer{new(atomic.Pointer[Repo])} }

// Compile implements fleet.Renderer.
func (renderer Renderer) Compile(ctx context.Context, tree fs.FS) (repo fleet.Repo, err error) {
	r := &Repo{tree: tree, stacks: map[string]*stack{}, guard: fleet.DefaultGuard(), texts: &memo{}}
	r.concern = concern{everybody: true, absent: map[string]fleet.Problem{}, stacks: map[string]fleet.Problems{}}
	defer func() {
		if reason := recover(); reason != nil {
			r.problems = append(r.problems, panicked(fleetFile, reason)).Sort()
			r.concern.everybody = true
			repo, err = r, nil
		}
	}()
	earlier := renderer.earlier()
	r.spec = earlier.specOf(tree)
	r.alike = cmp.Or(earlier.alike, &memo{})
	more := r.readClusters(earlier.files)
	r.derived.most = maxDerived
	r.texts.most = bound(len(r.clusters))
	r.resources.most, r.applied.most = r.texts.most, r.texts.most
	resourceSets, wrong := readResourceSets(tree)
	r.problems = slices.Concat(r.spec.problems, more, wrong).Sort()
	if r.spec.document == nil {
		r.clusters = nil // without it none has a place
		return r, ctx.Err()
	}
	r.spec.document.concerns(r.spec.problems, &r.concern)
	r.concern.everybody = r.concern.everybody || len(wrong.Faults()) > 0 // they are for every new cluster
	r.sets, r.waves, r.placement = r.spec.sets, r.spec.waves, r.spec.document.Spec.Placement
	r.guard = fleet.Guard(r.spec.document.Spec.Guard)
	r.resourceSets = resourceSets
	if err := r.prepare(ctx, earlier); err != nil {
		return r, err
	}
	if renderer.last != nil {
		renderer.last.Store(r)
	}
	return r, nil
}

// earlier is the last revision that was compiled, or an empty one.
func (renderer Renderer) earlier() *Repo {
	if renderer.last != nil {
		if r := renderer.last.Load(); r != nil {
			return r
		}
	}
	return &Repo{}
}

// panicked is the problem of a tree on which a library or Tributary itself
// panics: it must not stop the process that serves the last good release.
func panicked(file string, reason any) fleet.Problem {
	return fleet.Problem{File: file, Message: fmt.Sprintf("Tributary panics on this: %v; please report it with the file, and take back the last change", reason)}
}

// Repo is a compiled fleet repo. It implements fleet.Repo.
type Repo struct {
	tree         fs.FS
	spec         *spec
	files        map[string]*clusterFile // by name
	alike        *memo                   // what clusters' files share, from repo to repo
	sets         []*inputSet
	placement    []rule
	places       map[*fleet.Cluster]*place // of clusters; those that are placed alike share it
	guard        fleet.Guard
	waves        []fleet.WaveRule
	clusters     []*fleet.Cluster
	resourceSets []fleet.Object
	stacks       map[string]*stack // by place.key; nil where one cannot be built
	known        *knowledge        // of its stacks
	derived      derived           // by place.key: with components of deltas
	texts        *memo             // by patchText: what readPatch gave
	resources    memo              // by resourceText: what readResource gave
	applied      memo              // by appliedKey: the object after it
	roots        sync.Map          // by file: what rootsOf gave
	problems     fleet.Problems
	concern      concern
}

// noTree is the tree of a build that has all its files added.
type noTree struct{}

// Open finds nothing.
func (noTree) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Sets implements fleet.Repo.
func (r *Repo) Sets() []string {
	names := make([]string, len(r.sets))
	for i, s := range r.sets {
		names[i] = s.Name
	}
	return names
}

// Clusters implements fleet.Repo.
func (r *Repo) Clusters() []*fleet.Cluster { return slices.Clone(r.clusters) }

// ResourceSets implements fleet.Repo.
func (r *Repo) ResourceSets() []fleet.Object { return slices.Clone(r.resourceSets) }

// Problems implements fleet.Repo.
func (r *Repo) Problems() fleet.Problems { return slices.Clone(r.problems) }
