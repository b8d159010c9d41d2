package render

import (
	"fmt"
	"slices"
	"sync"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// object is one object as plain JSON values. It is immutable and shared by all
// clusters that have it; a patch makes another.
type object struct {
	// Object has no JSON where that can be written from the values.
	fleet.Object
	id resid.ResId
	// value is nil where it can be made again: an object that one cluster has patched is
	// kept as its inputs, because its values take ten times as much memory.
	value map[string]any
	again func() map[string]any
	// float is the value as JSON patches have it; nil where nobody keeps it.
	float func() map[string]any
	// inputs has the object's input for each set that selects it, by the
	// set's place in fleet.yaml; nil for those that do not.
	inputs []*input
	// traits of the object that decide which shortcuts are exact for it
	unknown bool // kustomize has no schema of its kind: its lists are replaced whole
	usual   bool // metadata is as kustomize would write it again
}

// values are the object's, which must not be written to.
func (o *object) values() map[string]any {
	if o.value == nil {
		return o.again()
	}
	return o.value
}

// json is the object as text.
func (o *object) json() []byte {
	if o.JSON != nil {
		return o.JSON
	}
	data, err := encode(o.values())
	if err != nil {
		panic(err) // its inputs have been written from the same values
	}
	return data
}

// floats are the values with every number as a float64; nil where one has none.
func (o *object) floats() map[string]any {
	if o.float != nil {
		return o.float()
	}
	value, _ := floats(o.values())
	m, _ := value.(map[string]any)
	return m
}

// slim is the object without what can be made again.
func (o *object) slim() *object {
	if o == nil || o.again == nil {
		return o
	}
	kept := *o
	kept.value = nil
	return &kept
}

// objects converts a finished build. The caller is in withKustomize.
func (r *Repo) objects(m resmap.ResMap) ([]*object, error) { return r.read(identify(m)) }

// identified is an object of a build with what only kustomize can tell of it.
type identified struct {
	*resource.Resource
	id      resid.ResId
	unknown bool
}

// identify is the part of converting a build that is in withKustomize.
func identify(m resmap.ResMap) []identified {
	var out []identified
	for _, res := range m.Resources() {
		id := res.CurId()
		meta := kyaml.TypeMeta{APIVersion: id.ApiVersion(), Kind: id.Kind}
		out = append(out, identified{res, id, openapi.SchemaForResourceType(meta) == nil})
	}
	return out
}

// read is the part that need not be: it makes values of the objects, in kustomize's
// own reading of scalars.
func (r *Repo) read(found []identified) ([]*object, error) {
	var out []*object
	for _, res := range found {
		data, err := res.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", title(res.id), err)
		}
		value, err := decodeJSON(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", title(res.id), err)
		}
		o := r.newObject(&object{id: res.id, unknown: res.unknown}, value)
		if o.JSON, err = encode(value); err != nil {
			return nil, fmt.Errorf("%s: %w", title(res.id), err)
		}
		o.float = sync.OnceValue((&object{value: value}).floats)
		out = append(out, o)
	}
	return out, nil
}

// newObject completes an object from its value. It needs no kustomize.
func (r *Repo) newObject(o *object, value map[string]any) *object {
	o.value, o.usual = value, usualMetadata(value)
	o.Object = fleet.Object{
		APIVersion: o.id.ApiVersion(), Kind: o.id.Kind, Namespace: o.id.Namespace, Name: o.id.Name,
	}
	o.inputs = make([]*input, len(r.sets))
	for i, set := range r.sets {
		if set.selects(o) {
			o.inputs[i] = set.newInput(o)
		}
	}
	return o
}

// changed returns the object with another value, which again makes anew; its identity
// stays.
func (r *Repo) changed(o *object, value map[string]any, again func() map[string]any) *object {
	c := r.newObject(&object{id: o.id, unknown: o.unknown, again: again}, value)
	for i, in := range c.inputs {
		if in != nil && o.inputs[i] != nil && slices.Equal(in.keys, o.inputs[i].keys) {
			in.keys = o.inputs[i].keys // for memory
		}
	}
	return c
}

// usualMetadata tells whether kustomize, which rewrites name, namespace and
// annotations when it patches, would leave them as they are.
func usualMetadata(value map[string]any) bool {
	meta, ok := value["metadata"].(map[string]any)
	if !ok {
		return false
	}
	_, name := meta["name"].(string)
	if namespace, present := meta["namespace"]; present && (namespace == "" || !isString(namespace)) {
		return false
	}
	return name && textMap(meta, "labels") && textMap(meta, "annotations")
}

// textMap tells whether a field is absent, or has strings alone and at least one.
func textMap(meta map[string]any, key string) bool {
	field, present := meta[key]
	if !present {
		return true
	}
	m, ok := field.(map[string]any)
	for _, v := range m {
		ok = ok && isString(v)
	}
	return ok && len(m) > 0
}

func isString(v any) bool {
	_, ok := v.(string)
	return ok
}

// title is how messages name an object.
func title(id resid.ResId) string {
	if id.Namespace == "" {
		return id.Kind + "/" + id.Name
	}
	return id.Kind + "/" + id.Name + " in namespace " + id.Namespace
}
