package kustomize

import (
	"fmt"
	"regexp"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// Resource is an object in kustomize's own form, with what only kustomize knows about it.
// Its methods need no lock.
type Resource struct {
	*resource.Resource
	ID resid.ResId
	// Unknown reports that kustomize has no schema for the kind, so that a merge replaces
	// its lists as a whole.
	Unknown bool
}

// identify looks up what needs kustomize's schema. It runs inside the lock.
func identify(m resmap.ResMap) []Resource {
	var out []Resource
	for _, res := range m.Resources() {
		id := res.CurId()
		meta := kyaml.TypeMeta{APIVersion: id.ApiVersion(), Kind: id.Kind}
		out = append(out, Resource{res, id, openapi.SchemaForResourceType(meta) == nil})
	}
	return out
}

// Object converts the resource to plain JSON values, in kustomize's own reading of
// scalars.
func (r Resource) Object() (Object, error) {
	data, err := r.MarshalJSON()
	if err != nil {
		return Object{}, fmt.Errorf("%s: %w", Title(r.ID), err)
	}
	value, err := yamltext.DecodeJSON(data)
	if err != nil {
		return Object{}, fmt.Errorf("%s: %w", Title(r.ID), err)
	}
	o := newObject(r.ID, r.Unknown, value)
	if o.JSON, err = yamltext.EncodeJSON(value); err != nil {
		return Object{}, fmt.Errorf("%s: %w", Title(r.ID), err)
	}
	o.floats = sync.OnceValue((&Object{value: value}).Floats)
	return o, nil
}

// Object is one object as plain JSON values. It is immutable: a patch makes another one.
type Object struct {
	// Object has the identity. Its JSON is nil where Text can write it.
	fleet.Object
	ID      resid.ResId
	Unknown bool // as in Resource
	// value is nil where restore makes it again. An object that one cluster has patched
	// is kept without it, because values take ten times the memory of text.
	value   map[string]any
	restore func() map[string]any
	// floats returns Floats; nil where they are not kept.
	floats func() map[string]any
	// usual reports that kustomize would write the metadata as it is.
	usual bool
}

func newObject(id resid.ResId, unknown bool, value map[string]any) Object {
	return Object{
		Object: fleet.Object{APIVersion: id.ApiVersion(), Kind: id.Kind, Namespace: id.Namespace, Name: id.Name},
		ID:     id, Unknown: unknown, value: value, usual: usualMetadata(value),
	}
}

// WithValue returns the object with another value and the same identity. restore makes
// the value again.
func (o *Object) WithValue(value map[string]any, restore func() map[string]any) Object {
	changed := newObject(o.ID, o.Unknown, value)
	changed.restore = restore
	return changed
}

// WithoutValue returns the object without the value, if that can be restored.
func (o *Object) WithoutValue() Object {
	kept := *o
	if kept.restore != nil {
		kept.value = nil
	}
	return kept
}

// Values returns the fields of the object, which must not be written to.
func (o *Object) Values() map[string]any {
	if o.value == nil && o.restore != nil {
		return o.restore()
	}
	return o.value
}

// Text returns the object as JSON, keys sorted.
func (o *Object) Text() []byte {
	if o.JSON != nil {
		return o.JSON
	}
	data, err := yamltext.EncodeJSON(o.Values())
	if err != nil {
		panic(err) // the object's inputs were written from the same values
	}
	return data
}

// Floats returns the values with every number as a float64, which is how JSON patches see
// them; nil if one of them has no float64.
func (o *Object) Floats() map[string]any {
	if o.floats != nil {
		return o.floats()
	}
	value, _ := yamltext.Floats(o.Values())
	m, _ := value.(map[string]any)
	return m
}

// Metadata returns the labels or the annotations.
func (o *Object) Metadata(key string) labels.Set {
	meta, _ := o.Values()["metadata"].(map[string]any)
	m, _ := meta[key].(map[string]any)
	set := make(labels.Set, len(m))
	for k, v := range m {
		set[k], _ = yamltext.ScalarText(v)
	}
	return set
}

// named are the kinds in kustomize's default nameReference configuration, on either side.
// A build rewrites references between them, whatever their group, so an object of such a
// kind depends on the others.
var named = []string{
	"APIService", "ClusterRole", "ClusterRoleBinding", "ConfigMap", "CronJob", "DaemonSet", "Deployment",
	"HorizontalPodAutoscaler", "Ingress", "IngressClass", "Job", "MutatingWebhookConfiguration", "Node",
	"PersistentVolume", "PersistentVolumeClaim", "Pod", "PodTemplate", "PriorityClass", "ReplicaSet",
	"ReplicationController", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount", "StatefulSet",
	"StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	"ValidatingWebhookConfiguration",
}

// Independent reports whether a build makes the same of the object whatever other objects
// there are.
func (o *Object) Independent() bool { return o.usual && !slices.Contains(named, o.ID.Kind) }

// unusual marks text that kustomize treats in special ways: aliases and merge keys,
// schema comments, and its own annotations, which may hide an object from the result.
var unusual = regexp.MustCompile(`<<|[&*][\w-]|\$openapi|\$ref|config\.kubernetes\.io|config\.k8s\.io`)

// IsUnusual reports whether text may hold something that kustomize treats in a special
// way, so that only kustomize itself can tell what it means.
func IsUnusual[T string | []byte](text T) bool { return unusual.MatchString(string(text)) }

// usualMetadata reports whether kustomize, which rewrites name, namespace and annotations
// when it patches, would leave them as they are.
func usualMetadata(value map[string]any) bool {
	meta, ok := value["metadata"].(map[string]any)
	if !ok {
		return false
	}
	_, name := meta["name"].(string)
	if namespace, present := meta["namespace"]; present {
		if text, ok := namespace.(string); !ok || text == "" {
			return false
		}
	}
	return name && IsTextMap(meta, "labels") && IsTextMap(meta, "annotations")
}

// IsTextMap reports whether a field is absent, or a mapping with at least one entry in
// which all values are strings.
func IsTextMap(m map[string]any, key string) bool {
	field, present := m[key]
	if !present {
		return true
	}
	texts, ok := field.(map[string]any)
	for _, v := range texts {
		_, text := v.(string)
		ok = ok && text
	}
	return ok && len(texts) > 0
}

// Title is how messages name an object.
func Title(id resid.ResId) string {
	if id.Namespace == "" {
		return id.Kind + "/" + id.Name
	}
	return id.Kind + "/" + id.Name + " in namespace " + id.Namespace
}
