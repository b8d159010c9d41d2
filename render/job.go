package render

import (
	"context"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/cache"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/patch"
)

// renderJob is one rendering of one cluster while it runs.
type renderJob struct {
	ctx     context.Context
	repo    *Repo
	stack   *stack
	cluster *fleet.Cluster
	earlier *renderCache // of the rendering before; nil for none
	current *renderCache // of this rendering
}

// resourceText is a resource as it was written: by the author of a file, or as a delta's
// JSON.
type resourceText struct {
	text string
	json bool
}

type resourceResult struct {
	objects []*cache.Object
	err     error
}

// renderCache is what a rendering was made of. The next rendering uses it to find what
// has not changed: everything, if the stack, the cluster and its deltas are the same, or
// else each patched object, if the object and the patch are the same. So a commit costs
// what it changes, and equal objects stay one in memory from release to release.
type renderCache struct {
	spec      *fleetrepo.Spec
	place     *place
	output    *cache.BuildOutput
	cluster   *fleet.Cluster
	deltas    []*fleet.Delta
	problems  fleet.Problems
	identity  []byte // of the cluster, as JSON
	answers   map[string]*fleet.Answer
	patches   []*patch.Patch
	resources []ownResource
	steps     []appliedStep
	// full has the objects that kustomize built, if there was no fast way; else nil.
	full []*cache.Object
}

type ownResource struct {
	key     resourceText
	objects []*cache.Object
}

// appliedKey finds what a patch or an edit makes of an object. Both are compared by
// address, because clusters share those that are equal.
type appliedKey struct {
	by     any // *patch.Patch, *patch.Merge or *fleet.Edit
	before *cache.Object
}

// appliedStep has an object before and after a patch or an edit. after has no values that
// can be restored; it is nil if the object is deleted.
type appliedStep struct {
	by            any
	before, after *cache.Object
}

// cacheOf returns what an earlier rendering was made of; nil if that is of no use.
func (r *Repo) cacheOf(earlier *fleet.Rendering) *renderCache {
	if earlier == nil {
		return nil
	}
	c, _ := earlier.Cache.(*renderCache)
	if c == nil || c.spec != r.spec {
		return nil
	}
	return c
}

// isCurrent reports whether a rendering would be made of the same again.
func (c *renderCache) isCurrent(r *Repo, cluster *fleet.Cluster, deltas []*fleet.Delta) bool {
	if c == nil || !c.cluster.Equal(cluster) || !slices.Equal(c.deltas, deltas) {
		return false
	}
	s := r.stacks[c.place.key]
	return s != nil && s.BuildOutput == c.output
}

// patch returns the patch that was read at an index, if its source is the same; else nil.
func (c *renderCache) patch(i int, source *fleet.Patch) *patch.Patch {
	if c == nil || i >= len(c.patches) || !c.patches[i].Is(*source) {
		return nil
	}
	return c.patches[i]
}

func (c *renderCache) resource(key resourceText) (ownResource, bool) {
	if c != nil {
		for _, known := range c.resources {
			if known.key == key {
				return known, true
			}
		}
	}
	return ownResource{}, false
}

func (c *renderCache) after(by any, o *cache.Object) (*cache.Object, bool) {
	if c != nil {
		for _, s := range c.steps {
			if s.by == by && s.before == o {
				return s.after, true
			}
		}
	}
	return nil, false
}

func (c *renderCache) answer(set string) *fleet.Answer {
	if c == nil {
		return nil
	}
	return c.answers[set]
}

// Objects implements fleet.Rendering.Cache.
func (c *renderCache) Objects(wanted func(fleet.Object) bool) []fleet.Object {
	var out []fleet.Object
	for _, o := range c.repeatSteps() {
		if wanted == nil || wanted(o.Object.Object) {
			one := o.Object.Object
			one.JSON = o.Text()
			out = append(out, one)
		}
	}
	return out
}

// repeatSteps returns the objects: those of the stack, then the cluster's own, with each
// step repeated.
func (c *renderCache) repeatSteps() []*cache.Object {
	objects := c.full
	if objects == nil {
		objects = c.output.Objects
		for _, r := range c.resources {
			objects = slices.Concat(objects, r.objects)
		}
	}
	objects = slices.Clone(objects)
	for _, s := range c.steps {
		at := slices.Index(objects, s.before)
		if objects[at] = s.after; s.after == nil {
			objects = slices.Delete(objects, at, at+1)
		}
	}
	return objects
}
