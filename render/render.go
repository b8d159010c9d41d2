// Package render turns a fleet repo into inputs. It compiles a tree once (fleet.yaml,
// cluster files, schemas, and one kustomize build for each stack), and then renders each
// cluster with its own resources, patches and edits.
//
//	renderer := render.NewRenderer()
//	repo, err := renderer.Compile(ctx, tree)
//	for _, c := range repo.Clusters() {
//		rendering, problems := repo.Render(ctx, c, deltas, nil)
//	}
//
// Running kustomize for every cluster would cost milliseconds where rendering takes
// microseconds. A cluster still gets exactly what `kustomize build` gives: each fast way
// is exact, and where none is, kustomize itself runs.
//
// The package reads nothing but the tree, and uses no clock, no network and no process. A
// tree is untrusted. Whatever is in it, compiling and rendering end in bounded time, with
// a rendering or with problems.
package render

import (
	"context"
	"encoding/json"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/patch"
)

// What a Repo remembers of patches, resources and patched objects: enough for the files
// of any fleet. Deltas keep bringing new ones, so there is a limit.
const minRemembered, rememberedPerCluster = 50_000, 8

// Renderer compiles fleet repos. It implements fleet.Renderer. The zero value remembers
// nothing and is ready for use.
type Renderer struct {
	last *atomic.Pointer[Repo]
	// compiling has room for the trees that are compiled at the same time. nil does not
	// limit them.
	compiling chan struct{}
}

// NewRenderer returns a Renderer that reuses what has not changed since the revision that
// it compiled before: files, and stacks whose files are all the same. That saves time and
// memory and makes no other difference. It compiles on half of the processors, so that polls
// and writes have the others.
func NewRenderer() Renderer {
	return Renderer{new(atomic.Pointer[Repo]), make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// UnprotectedResourceSets finds the ResourceSets in the YAML and JSON files of a tree that do
// not wait for their providers, also in files that a release does not consist of.
func UnprotectedResourceSets(tree fs.FS) fleet.Problems {
	return fleetrepo.UnprotectedResourceSets(tree)
}

// ReadDelta implements fleet.Renderer.
func (Renderer) ReadDelta(text []byte) (*fleet.Delta, error) { return fleetrepo.ReadDelta(text) }

// ReadDeclaration implements fleet.Renderer.
func (Renderer) ReadDeclaration(text []byte) (string, *fleet.Declaration, error) {
	return fleetrepo.ReadDeclaration(text)
}

// ReadObject implements fleet.Renderer.
func (Renderer) ReadObject(text []byte) (json.RawMessage, error) { return fleetrepo.ReadObject(text) }

// Compile implements fleet.Renderer.
func (renderer Renderer) Compile(ctx context.Context, tree fs.FS) (repo fleet.Repo, err error) {
	r := &Repo{
		tree: tree, spec: &fleetrepo.Spec{Guard: fleet.DefaultGuard(), FailsAll: true}, declared: &fleetrepo.Clusters{},
		stacks: map[string]*stack{}, stackProblems: map[string]fleet.Problems{},
	}
	defer func() {
		if reason := recover(); reason != nil {
			r.problems = append(r.problems, fleetrepo.PanicProblem(fleetrepo.FleetFile, reason)).Sort()
			r.failed = true
			repo, err = r, nil
		}
	}()
	if renderer.compiling != nil {
		select {
		case renderer.compiling <- struct{}{}:
			defer func() { <-renderer.compiling }()
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
	earlier := renderer.earlier()
	r.spec = fleetrepo.ReadSpec(tree, earlier.spec)
	r.declared = fleetrepo.ReadClusters(tree, earlier.declared)
	resourceSets, problems := fleetrepo.ReadResourceSets(tree)
	r.failed = r.spec.FailsAll || len(problems.Faults()) > 0 // new clusters need all ResourceSets
	r.problems = slices.Concat(r.spec.Problems, r.declared.Problems, problems).Sort()
	if !r.spec.Readable {
		return r, ctx.Err() // no cluster has a place
	}
	r.sets, r.clusters, r.resourceSets = r.spec.Sets, r.declared.All, resourceSets
	size := max(minRemembered, rememberedPerCluster*len(r.clusters))
	r.patches = patch.NewReader(size)
	r.resources, _ = lru.New[resourceText, resourceResult](size) // the only error is a size of 0
	r.applied, _ = lru.New[appliedKey, *cache.Object](size)
	r.derived.stacks, _ = lru.New[string, derivedStack](maxDerived)
	if err := r.buildStacks(ctx, earlier); err != nil {
		return r, err
	}
	if renderer.last != nil {
		renderer.last.Store(r)
	}
	return r, nil
}

// earlier returns the last revision that was compiled, or an empty one.
func (renderer Renderer) earlier() *Repo {
	if renderer.last != nil {
		if r := renderer.last.Load(); r != nil {
			return r
		}
	}
	return &Repo{}
}

// Repo is a compiled fleet repo. It implements fleet.Repo. Everything but its caches is
// immutable once Compile has returned.
type Repo struct {
	tree         fs.FS
	spec         *fleetrepo.Spec
	declared     *fleetrepo.Clusters
	sets         []*fleetrepo.InputSet
	clusters     []*fleet.Cluster
	resourceSets []fleet.Object
	problems     fleet.Problems
	failed       bool
	// places has the place of each cluster. Clusters that are placed alike share it.
	places map[*fleet.Cluster]*place
	// stacks and stackProblems are keyed by place.key. A stack that cannot be built is
	// nil, and its problems say why.
	stacks        map[string]*stack
	stackProblems map[string]fleet.Problems

	builds    *cache.BuildCache // objects of stacks
	derived   derivedStacks
	patches   *patch.Reader
	resources *lru.Cache[resourceText, resourceResult]
	applied   *lru.Cache[appliedKey, *cache.Object]
	roots     sync.Map // what documents returned, by file
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

// Guard implements fleet.Repo.
func (r *Repo) Guard() fleet.Guard { return r.spec.Guard }

// Providers implements fleet.Repo.
func (r *Repo) Providers() []fleet.ProviderRule { return slices.Clip(r.spec.Providers) }

// Waves implements fleet.Repo.
func (r *Repo) Waves() []fleet.WaveRule { return slices.Clone(r.spec.Waves) }

// CommitURL implements fleet.Repo.
func (r *Repo) CommitURL() string { return r.spec.CommitURL }

// Failed implements fleet.Repo.
func (r *Repo) Failed() bool { return r.failed }

// Broken implements fleet.Repo.
func (r *Repo) Broken() map[string]fleet.Problem { return r.declared.Broken }

// Unread implements fleet.Repo.
func (r *Repo) Unread() map[string]fleet.Problem { return r.declared.Unread }
