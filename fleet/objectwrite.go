package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// PatchObject changes an object for one cluster, by name or dns. The change is
// folded into the cluster's own delta, as an edit.
func (f *Fleet) PatchObject(ctx context.Context, w Write, cluster string, name ObjectName, p ObjectPatch) (*Result, error) {
	return f.writeObject(ctx, w, cluster, name, func(o *objectWrite) error {
		there, err := o.find(name)
		if err != nil {
			return err
		}
		if err := w.expect(json.RawMessage(there.JSON), false); err != nil {
			return err
		}
		return o.patch(there, p)
	})
}

// PutObject adds an object for one cluster, or replaces one that was added so. One
// that is there already otherwise is an ErrConflict.
func (f *Fleet) PutObject(ctx context.Context, w Write, cluster string, name ObjectName, document []byte) (*Result, error) {
	return f.writeObject(ctx, w, cluster, name, func(o *objectWrite) error {
		added, err := f.cfg.Renderer.ReadObject(document)
		if err != nil {
			return err
		}
		identity := identityOf(added)
		if identity.Kind != name.Kind || identity.Name != name.Name {
			return Problems{{Field: "kind", Message: fmt.Sprintf("is %s/%s, and the path says %s/%s; let them be the same", identity.Kind, identity.Name, name.Kind, name.Name)}}
		}
		return o.put(w, identity, added)
	})
}

// DeleteObject takes an object away from one cluster.
func (f *Fleet) DeleteObject(ctx context.Context, w Write, cluster string, name ObjectName) (*Result, error) {
	return f.writeObject(ctx, w, cluster, name, func(o *objectWrite) error {
		there, err := o.find(name)
		if err != nil {
			return err
		}
		if err := w.expect(json.RawMessage(there.JSON), false); err != nil {
			return err
		}
		return o.drop(there)
	})
}

// objectWrite is a write to one object in the making.
type objectWrite struct {
	view    *View
	member  *Member
	objects []Object // those of the name that the cluster has now
	own     Delta    // becomes the cluster's own delta
}

func (f *Fleet) writeObject(ctx context.Context, w Write, cluster string, name ObjectName, change func(o *objectWrite) error) (*Result, error) {
	return f.write(ctx, w, Written, func(v *View) (plan, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return plan{}, err
		}
		if m.State == DecommissionedState {
			return plan{}, decommissioned(m)
		}
		o := &objectWrite{view: v, member: m, own: Delta{Cluster: m.Cluster.Name}}
		id := o.own.ID()
		before := v.deltas.byID.get(id)
		if before != nil {
			o.own = *before
			o.own.Resources, o.own.Edits = slices.Clone(before.Resources), slices.Clone(before.Edits)
		}
		named := ObjectName{Kind: name.Kind, Name: name.Name}
		if o.objects, err = m.objects(v.deltas.of(m.Cluster), named.is); err != nil {
			return plan{}, err
		}
		if err := change(o); err != nil {
			return plan{}, err
		}
		after, err := f.readAgain(&o.own)
		if err != nil {
			return plan{}, err
		}
		p := plan{changes: []DeltaChange{{Delta: id, Before: before, After: after}}}
		if after != nil && after.ExpiresAt != nil {
			p.warnings = append(p.warnings, fmt.Sprintf("the cluster's own delta expires at %s, and this with it", after.ExpiresAt.Format(time.RFC3339)))
		}
		return p, nil
	})
}

// readAgain takes a delta through the door that documents come in by, so that what
// is kept is read as the same wherever it is exported to: numbers are spelled in one
// way, and what YAML cannot hold is refused. It is nil where nothing is left.
func (f *Fleet) readAgain(own *Delta) (*Delta, error) {
	if own.isEmpty() {
		return nil, nil
	}
	return f.cfg.Renderer.ReadDelta(encode(own))
}

func (o *objectWrite) find(name ObjectName) (Object, error) {
	there, err := name.in(o.objects)
	if err != nil {
		return there, fmt.Errorf("object %s/%s of cluster %q: %w", name.Kind, name.Name, o.member.Cluster.Name, err)
	}
	return there, nil
}

// identityOf reads what an object is called.
func identityOf(object json.RawMessage) Object {
	var o struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
	_ = json.Unmarshal(object, &o) // It has been read before.
	return Object{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Metadata.Name, Namespace: o.Metadata.Namespace, JSON: object}
}

// sameObject tells whether two are the same object, in whatever version.
func sameObject(a, b Object) bool {
	return a.Group() == b.Group() && a.Kind == b.Kind && a.Name == b.Name && a.Namespace == b.Namespace
}

// put adds a resource, or replaces one of the own delta with all that was edited
// in it.
func (o *objectWrite) put(w Write, identity Object, added json.RawMessage) error {
	at := o.resource(identity)
	there := slices.IndexFunc(o.objects, func(other Object) bool { return sameObject(other, identity) })
	switch {
	case there >= 0 && at < 0:
		return fmt.Errorf("object %s/%s of cluster %q: %w: it is there already, and not through this cluster's own delta; change it with PATCH",
			identity.Kind, identity.Name, o.member.Cluster.Name, ErrConflict)
	case there < 0 && o.takesAway(identity):
		return fmt.Errorf("object %s/%s of cluster %q: %w: it is there but for this cluster's own delta, which takes it away; drop that edit and change the object with PATCH",
			identity.Kind, identity.Name, o.member.Cluster.Name, ErrConflict)
	case there < 0:
		if err := w.expect(nil, true); err != nil {
			return err
		}
	default:
		if err := w.expect(json.RawMessage(o.objects[there].JSON), false); err != nil {
			return err
		}
	}
	if at < 0 {
		o.own.Resources = append(o.own.Resources, added)
	} else {
		o.own.Resources[at] = added
	}
	o.own.Edits = slices.DeleteFunc(o.own.Edits, func(e Edit) bool { return e.is(identity) })
	return nil
}

// resource is the place of the own delta's resource that is the object; -1 for none.
// One that is skipped is not: the object is there from elsewhere, and it goes.
func (o *objectWrite) resource(identity Object) int {
	for i, r := range slices.Backward(o.own.Resources) {
		if !sameObject(identityOf(r), identity) {
			continue
		}
		if !o.skipped(fmt.Sprintf("resources[%d]", i)) {
			return i
		}
		o.own.Resources = slices.Delete(o.own.Resources, i, i+1)
	}
	return -1
}

// skipped tells whether a part of the own delta is not applied.
func (o *objectWrite) skipped(field string) bool {
	return slices.ContainsFunc(o.member.Orphans, func(s Orphan) bool { return s.Delta == o.own.ID() && s.Field == field })
}

// takesAway tells whether the own delta has an edit that takes an object away,
// and finds it there.
func (o *objectWrite) takesAway(identity Object) bool {
	for i, e := range o.own.Edits {
		if e.is(identity) && string(e.Patch) == "null" && !o.skipped(fmt.Sprintf("edits[%d]", i)) {
			return true
		}
	}
	return false
}

// drop removes a resource of the own delta, or else edits the object away.
func (o *objectWrite) drop(there Object) error {
	at := o.resource(there)
	o.own.Edits = slices.DeleteFunc(o.own.Edits, func(e Edit) bool { return e.is(there) })
	if at >= 0 {
		o.own.Resources = slices.Delete(o.own.Resources, at, at+1)
		return nil
	}
	edit, err := o.newEdit(there)
	edit.Patch = json.RawMessage("null")
	o.own.Edits = append(o.own.Edits, edit)
	return err
}
