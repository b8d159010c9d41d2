package edit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Target is one cluster and its objects of one kind and name, as they are before a change. Its
// methods modify none of its fields, and return the cluster's own delta as the change makes it:
// nil where nothing is left of it.
type Target struct {
	// Cluster is the cluster's name.
	Cluster string
	// Own is the cluster's own delta; nil for none.
	Own *fleet.Delta
	// Stale are the parts of deltas that do not apply to the cluster. A stale part of Own that
	// concerns the changed object is dropped.
	Stale []fleet.StalePart
	// Objects are the cluster's objects of that kind and name, of every group and namespace.
	Objects []fleet.Object
	// Render returns the cluster's objects as they would be with another own delta, as far as
	// they are wanted. The delta may be empty. An ErrInvalid says that the cluster cannot be
	// rendered with it.
	Render func(own *fleet.Delta, wanted func(fleet.Object) bool) ([]fleet.Object, error)
	// StrategicMerge applies a strategic merge patch to an object and returns the object. It is
	// the method of a [fleet.Repo].
	StrategicMerge func(o fleet.Object, patch []byte) ([]byte, error)
}

// Find returns the object that a name stands for, which is to be patched or deleted. It is an
// ErrNotFound where there is none, and an ErrConflict where there are several.
func (t *Target) Find(name fleet.ObjectName) (fleet.Object, error) {
	o, err := name.Find(t.Objects)
	if err != nil {
		return o, t.wrap(fleet.Object{Kind: name.Kind, Name: name.Name}, err)
	}
	return o, nil
}

// FindReplaced returns the object that Put of o replaces; nil where Put adds an object. It is an
// ErrConflict where Put is not allowed: the object exists, but not because of the own delta, or it
// would exist if the own delta did not delete it.
func (t *Target) FindReplaced(o fleet.Object) (*fleet.Object, error) {
	_, at := t.resource(o)
	i := slices.IndexFunc(t.Objects, o.Is)
	switch {
	case i >= 0 && at < 0:
		return nil, t.wrap(o, fmt.Errorf("%w: the object exists, and not because of this cluster's own delta; patch it instead", fleet.ErrConflict))
	case i >= 0:
		return &t.Objects[i], nil
	case t.deletes(o):
		return nil, t.wrap(o, fmt.Errorf("%w: this cluster's own delta deletes the object; drop that edit and patch the object instead", fleet.ErrConflict))
	}
	return nil, nil
}

// Put adds an object as a resource of the own delta, or replaces such a resource together with
// all edits of it. It has the errors of FindReplaced.
func (t *Target) Put(o fleet.Object) (*fleet.Delta, error) {
	if _, err := t.FindReplaced(o); err != nil {
		return nil, err
	}
	own := t.own()
	resources, at := t.resource(o)
	if at < 0 {
		resources = append(resources, json.RawMessage(o.JSON))
	} else {
		resources[at] = json.RawMessage(o.JSON)
	}
	own.Resources, own.Edits = resources, t.otherEdits(o)
	return &own, nil
}

// Delete removes an object that Find returned: as a resource of the own delta where it is one,
// and else by an edit.
func (t *Target) Delete(o fleet.Object) (*fleet.Delta, error) {
	own := t.own()
	own.Edits = t.otherEdits(o)
	resources, at := t.resource(o)
	own.Resources = resources
	if at >= 0 {
		own.Resources = slices.Delete(resources, at, at+1)
		return orNil(own), nil
	}
	e, err := t.newEdit(o)
	if err != nil {
		return nil, err
	}
	e.Patch = json.RawMessage("null")
	own.Edits = append(own.Edits, e)
	return &own, nil
}

// Patch folds a patch of an object that Find returned into the own delta's edit of the object, and
// adds an edit where there is none. What is wrong with the patch is Problems.
func (t *Target) Patch(o fleet.Object, p fleet.ObjectPatch) (*fleet.Delta, error) {
	e, err := t.newEdit(o)
	if err != nil {
		return nil, err
	}
	current, err := decodeObject(o.JSON)
	if err != nil {
		return nil, err
	}
	patch, err := t.mergePatch(p, o, current)
	if err != nil {
		return nil, err
	}
	if err := keepIdentity(patch, current); err != nil {
		return nil, err
	}
	e.Patch = fleet.EncodeJSON(patch)
	own := t.own()
	edits, at := t.lastEdit(o)
	own.Edits = edits
	if at < 0 {
		own.Edits = append(own.Edits, e)
		return &own, nil
	}
	base, err := t.base(own, at, o)
	if errors.Is(err, fleet.ErrInvalid) {
		return AddEdit(own, e) // the cluster cannot be rendered without the edit, so there is no base
	}
	if err != nil {
		return nil, err
	}
	before, err := decodeObject(own.Edits[at].Patch)
	if err != nil {
		return nil, err
	}
	e.Patch = fleet.EncodeJSON(compose(base, before, patch))
	own.Edits[at] = e
	return &own, nil
}

// base returns the object that an edit of the own delta is applied to. It has to be rendered,
// because neither the edit nor the object says what the edit removed or replaced.
func (t *Target) base(own fleet.Delta, edit int, o fleet.Object) (map[string]any, error) {
	own.Edits = slices.Delete(slices.Clone(own.Edits), edit, edit+1)
	objects, err := t.Render(&own, o.Is)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(objects, o.Is)
	if at < 0 {
		return nil, t.wrap(o, fmt.Errorf("%w without its edit", fleet.ErrNotFound))
	}
	return decodeObject(objects[at].JSON)
}

// own returns the own delta, empty where there is none.
func (t *Target) own() fleet.Delta {
	if t.Own == nil {
		return fleet.Delta{Cluster: t.Cluster}
	}
	return *t.Own
}

// resource returns a copy of the own delta's resources and the index of the one that is the
// object; -1 for none. A stale one does not count, because the object is there from elsewhere. It
// is left out of the copy.
func (t *Target) resource(o fleet.Object) ([]json.RawMessage, int) {
	return lastApplied(t, "resources", t.own().Resources, func(r json.RawMessage) bool { return fleet.ObjectOf(r).Is(o) })
}

// lastEdit does the same for the last edit of the object.
func (t *Target) lastEdit(o fleet.Object) ([]fleet.Edit, int) {
	return lastApplied(t, "edits", t.own().Edits, func(e fleet.Edit) bool { return e.Matches(o) })
}

// lastApplied returns a copy of a list of parts without the stale ones that match and come after
// the last one that matches and is applied, and the index of that one; -1 for none.
func lastApplied[P any](t *Target, field string, parts []P, matches func(P) bool) ([]P, int) {
	parts = slices.Clone(parts)
	for i := len(parts) - 1; i >= 0; i-- {
		if !matches(parts[i]) {
			continue
		}
		if !t.isStale(field, i) {
			return parts, i
		}
		parts = slices.Delete(parts, i, i+1)
	}
	return parts, -1
}

// otherEdits returns a copy of the own delta's edits without those of an object.
func (t *Target) otherEdits(o fleet.Object) []fleet.Edit {
	return slices.DeleteFunc(slices.Clone(t.own().Edits), func(e fleet.Edit) bool { return e.Matches(o) })
}

// deletes reports whether the own delta has an edit that deletes the object, and that is applied.
func (t *Target) deletes(o fleet.Object) bool {
	for i, e := range t.own().Edits {
		if e.Matches(o) && string(e.Patch) == "null" && !t.isStale("edits", i) {
			return true
		}
	}
	return false
}

// isStale reports whether a part of the own delta is not applied.
func (t *Target) isStale(field string, i int) bool {
	part := fleet.Part{Delta: fleet.OwnID(t.Cluster), Field: fmt.Sprintf("%s[%d]", field, i)}
	return slices.ContainsFunc(t.Stale, func(s fleet.StalePart) bool { return s.Part == part })
}

// newEdit returns an edit that names the object as narrowly as an edit can.
func (t *Target) newEdit(o fleet.Object) (fleet.Edit, error) {
	e := fleet.Edit{Group: o.Group(), Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
	for _, other := range t.Objects {
		if e.Matches(other) && !other.Is(o) {
			return e, t.wrap(o, fmt.Errorf("%w: an edit would also match the one of %s in namespace %q; write a delta with a patch that has a target",
				fleet.ErrConflict, other.APIVersion, other.Namespace))
		}
	}
	return e, nil
}

func (t *Target) wrap(o fleet.Object, err error) error {
	return fmt.Errorf("object %s/%s of cluster %q: %w", o.Kind, o.Name, t.Cluster, err)
}

func orNil(d fleet.Delta) *fleet.Delta {
	if d.IsEmpty() {
		return nil
	}
	return &d
}
