package render

import (
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// work is one rendering of one cluster in the making.
type work struct {
	repo    *Repo
	stack   *stack
	cluster *fleet.Cluster
	before  *made // of the rendering before; nil for none
	made    *made
}

// made is what a rendering was made of. By it the next one finds what is still the same:
// all of it, where the stack, the cluster and its deltas are, and else each object that
// was patched, where it and the patch are. So what a commit costs is what it changes, and
// what clusters have alike stays one thing in memory from release to release.
type made struct {
	spec      *spec
	place     *place
	built     *built
	cluster   *fleet.Cluster
	deltas    []*fleet.Delta
	problems  fleet.Problems
	identity  []byte // of the cluster, as JSON
	answers   map[string]*fleet.Body
	patches   []*patch
	resources []readResource
	applied   []applied
	// whole is what kustomize built, where there was no shortcut; else nil.
	whole []*object
}

// applied is an object before and after a patch or an edit. After is slim, and nil where the
// object is gone.
type applied struct {
	by            any // *patch, *merge or *fleet.Edit
	before, after *object
}

type readResource struct {
	key     resourceText
	objects []*object
}

// madeOf is what an earlier rendering was made of; nil where that is of no use.
func madeOf(earlier *fleet.Rendering, r *Repo) *made {
	if earlier == nil {
		return nil
	}
	m, _ := earlier.Made.(*made)
	if m == nil || m.spec != r.spec {
		return nil
	}
	return m
}

// stands tells whether a rendering would be of the same again.
func (m *made) stands(r *Repo, c *fleet.Cluster, deltas []*fleet.Delta) bool {
	if m == nil || !m.cluster.Equal(c) || !slices.Equal(m.deltas, deltas) {
		return false
	}
	s := r.stacks[m.place.key]
	return s != nil && s.built == m.built
}

// patch is the one that was read at that place, where it says the same; else nil.
func (m *made) patch(i int, p *fleet.Patch) *patch {
	if m == nil || i >= len(m.patches) || !m.patches[i].source.Equal(*p) {
		return nil
	}
	return m.patches[i]
}

func (m *made) resource(key resourceText) (readResource, bool) {
	if m != nil {
		for _, known := range m.resources {
			if known.key == key {
				return known, true
			}
		}
	}
	return readResource{}, false
}

// appliedKey finds what a patch or an edit makes of an object. Both are compared by place:
// clusters share those that are the same.
type appliedKey struct {
	by     any
	before *object
}

// applied returns what by makes of an object, as it was found before, for this cluster or
// another one, or else by making it.
func (w *work) applied(by any, o *object, make func() (*object, error)) (*object, error) {
	after, known := w.before.after(by, o)
	if !known {
		if found, ok := w.repo.applied.load(appliedKey{by, o}); ok {
			after, known = found.(*object), true
		}
	}
	if !known {
		var err error
		if after, err = make(); err != nil {
			return nil, err
		}
		after = w.repo.applied.share(appliedKey{by, o}, after.slim()).(*object)
	}
	w.made.applied = append(w.made.applied, applied{by, o, after})
	return after, nil
}

func (m *made) after(by any, o *object) (*object, bool) {
	if m != nil {
		for _, s := range m.applied {
			if s.by == by && s.before == o {
				return s.after, true
			}
		}
	}
	return nil, false
}

// all are the objects: the stack's, then the cluster's own, with each step done again.
func (m *made) all() []*object {
	objects := m.whole
	if objects == nil {
		objects = m.built.objects
		for _, r := range m.resources {
			objects = slices.Concat(objects, r.objects)
		}
	}
	objects = slices.Clone(objects)
	for _, s := range m.applied {
		at := slices.Index(objects, s.before)
		if objects[at] = s.after; s.after == nil {
			objects = slices.Delete(objects, at, at+1)
		}
	}
	return objects
}

// Objects implements fleet.Rendering's Made.
func (m *made) Objects(wanted func(fleet.Object) bool) []fleet.Object {
	var out []fleet.Object
	for _, o := range m.all() {
		if wanted == nil || wanted(o.Object) {
			one := o.Object
			one.JSON = o.json()
			out = append(out, one)
		}
	}
	return out
}
