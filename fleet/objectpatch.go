package fleet

import (
	"errors"
	"fmt"
	"slices"
)

// PatchType is the media type of a patch.
type PatchType string

const (
	// MergePatch is RFC 7386.
	MergePatch PatchType = "application/merge-patch+json"
	// JSONPatch is RFC 6902.
	JSONPatch PatchType = "application/json-patch+json"
	// StrategicMergePatch is as in Kubernetes, by kustomize's reading.
	StrategicMergePatch PatchType = "application/strategic-merge-patch+json"
)

// ObjectPatch is what is asked of an object.
type ObjectPatch struct {
	Type PatchType
	Body []byte
}

// patch folds a patch of an object into the edit of it, which is made where there
// is none.
func (o *objectWrite) patch(there Object, p ObjectPatch) error {
	edit, err := o.newEdit(there)
	if err != nil {
		return err
	}
	shown, err := objectValue(there)
	if err != nil {
		return err
	}
	wanted, err := p.asMerge(o.member.base.repo, there, shown)
	if err != nil {
		return err
	}
	if err := keepIdentity(wanted, shown); err != nil {
		return err
	}
	edit.Patch = encode(wanted)
	at := o.lastEdit(there)
	if at < 0 {
		o.own.Edits = append(o.own.Edits, edit)
		return nil
	}
	base, err := o.without(at, there)
	if errors.Is(err, ErrInvalid) { // the cluster cannot do without the edit, so that its base is not known
		own, err := o.own.AddEdit(edit)
		if err == nil {
			o.own = *own
		}
		return err
	}
	if err != nil {
		return err
	}
	from, err := objectValue(base)
	if err != nil {
		return err
	}
	edited, err := patchValue(o.own.Edits[at].Patch)
	if err != nil {
		return err
	}
	edit.Patch = encode(fold(from, edited, wanted))
	o.own.Edits[at] = edit
	return nil
}

// lastEdit is the place of the last edit of an object that is applied to it; -1
// for none. One that is skipped counts as if it were not there, and goes.
func (o *objectWrite) lastEdit(there Object) int {
	for i, e := range slices.Backward(o.own.Edits) {
		if !e.is(there) {
			continue
		}
		if !o.skipped(fmt.Sprintf("edits[%d]", i)) {
			return i
		}
		o.own.Edits = slices.Delete(o.own.Edits, i, i+1)
	}
	return -1
}

// without is the object as it would be without one of the own delta's edits.
func (o *objectWrite) without(edit int, there Object) (Object, error) {
	own := o.own
	own.Edits = slices.Delete(slices.Clone(own.Edits), edit, edit+1)
	deltas := slices.Clone(o.view.deltas.of(o.member.Cluster))
	deltas[len(deltas)-1] = &own // the cluster's own comes last, and has the edit
	same := func(other Object) bool { return sameObject(other, there) }
	objects, err := o.member.objects(deltas, same)
	if err != nil {
		return Object{}, err
	}
	at := slices.IndexFunc(objects, same)
	if at < 0 {
		return Object{}, fmt.Errorf("object %s/%s of cluster %q: %w without its edit", there.Kind, there.Name, o.member.Cluster.Name, ErrNotFound)
	}
	return objects[at], nil
}

// newEdit names an object in an edit as narrowly as it can be named.
func (o *objectWrite) newEdit(there Object) (Edit, error) {
	e := Edit{Group: there.Group(), Kind: there.Kind, Namespace: there.Namespace, Name: there.Name}
	for _, other := range o.objects {
		if e.is(other) && !sameObject(other, there) {
			return e, fmt.Errorf("object %s/%s of cluster %q: %w: an edit cannot tell it from %s in namespace %q; write a delta with a patch that has a target",
				there.Kind, there.Name, o.member.Cluster.Name, ErrConflict, other.APIVersion, other.Namespace)
		}
	}
	return e, nil
}

// is tells whether an edit is of an object.
func (e Edit) is(o Object) bool {
	return e.Kind == o.Kind && e.Name == o.Name &&
		(e.Group == "" || e.Group == o.Group()) && (e.Namespace == "" || e.Namespace == o.Namespace)
}
