package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// errNoShortcut says that only a slower way is known to mean what kustomize
// means. It never reaches a user.
var errNoShortcut = errors.New("no shortcut")

// named are the kinds in kustomize's default nameReference configuration, as
// referrers or as what is referred to. A build rewrites references between
// them, whatever their group, so an object of such a kind is not independent of
// the others.
var named = []string{
	"APIService", "ClusterRole", "ClusterRoleBinding", "ConfigMap", "CronJob", "DaemonSet", "Deployment",
	"HorizontalPodAutoscaler", "Ingress", "IngressClass", "Job", "MutatingWebhookConfiguration", "Node",
	"PersistentVolume", "PersistentVolumeClaim", "Pod", "PodTemplate", "PriorityClass", "ReplicaSet",
	"ReplicationController", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount", "StatefulSet",
	"StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	"ValidatingWebhookConfiguration",
}

func independent(o *object) bool { return o.usual && !slices.Contains(named, o.id.Kind) }

// apply returns the objects with a patch applied, and how many it selected.
// Objects that it deletes are nil. The slice is written to, the objects are not.
func (w *work) apply(objects []*object, p *patch) (int, error) {
	if p.whole {
		return 0, errNoShortcut
	}
	if p.target == nil {
		for i := range p.merges {
			at, err := find(objects, p.merges[i].id)
			if err != nil {
				return 0, err
			}
			if err := w.applyTo(objects, at, p, &p.merges[i]); err != nil {
				return 0, err
			}
		}
		return len(p.merges), nil
	}
	selected := 0
	for at, o := range objects {
		if o == nil || !p.target.matches(o) {
			continue
		}
		selected++
		var m *merge
		if len(p.merges) > 0 {
			m = &p.merges[0]
		}
		if err := w.applyTo(objects, at, p, m); err != nil {
			return 0, err
		}
	}
	return selected, nil
}

// applyTo patches one object: on its JSON values where that is exact, else
// through kustomize's own transformer.
func (w *work) applyTo(objects []*object, at int, p *patch, m *merge) error {
	o := objects[at]
	if !independent(o) {
		return errNoShortcut
	}
	by := any(p)
	if m != nil {
		by = m // a patch may have several
	}
	after, err := w.applied(by, o, func() (*object, error) {
		value, err := patched(o, p, m)
		switch {
		case err == nil:
			return w.repo.changed(o, value, func() map[string]any {
				value, _ := patched(o, p, m) // which it did before
				return value
			}), nil
		case errors.Is(err, errNoShortcut):
			return w.repo.transformed(o, p)
		}
		return nil, err
	})
	if err != nil {
		return fmt.Errorf("does not apply to %s: %w", title(o.id), err)
	}
	objects[at] = after
	return nil
}

// patched computes the object's new value without kustomize.
func patched(o *object, p *patch, m *merge) (map[string]any, error) {
	if m == nil {
		if value, ok := plainly(o, p.plain); ok {
			return value, nil
		}
		ops, err := p.operations()
		if err != nil {
			return nil, err
		}
		data, err := ops.Apply(o.json())
		if err != nil {
			return nil, err
		}
		// kustomize reads the result back with every number as a float64, so
		// this must as well.
		var value map[string]any
		err = json.Unmarshal(data, &value)
		return value, err
	}
	if !m.plain || (m.lists && !o.unknown) {
		return nil, errNoShortcut
	}
	value, err := decodeJSON(m.text)
	if err != nil {
		return nil, err
	}
	return merged(o.values(), value)
}

// plainly applies operations that set or remove keys.
func plainly(o *object, operations []operation) (value map[string]any, ok bool) {
	if len(operations) == 0 {
		return nil, false
	}
	value = o.floats()
	for _, op := range operations {
		if value, ok = op.apply(value); !ok {
			return nil, false
		}
	}
	return value, true
}

// merged is the strategic merge of a plain patch into a copy of base. Without
// nulls, directives and lists that merge, that is: mappings merge, all else is
// replaced. Where the types differ kustomize has an error to tell, and it keeps the
// quotes of a string, which make strings of what takes its place.
func merged(base, patch map[string]any) (map[string]any, error) {
	out := maps.Clone(base)
	for key, value := range patch {
		old, present := out[key]
		if !present || old == nil {
			out[key] = value
			continue
		}
		if kindOf(old) != kindOf(value) || isString(old) && !isString(value) {
			return nil, errNoShortcut
		}
		if child, ok := value.(map[string]any); ok {
			both, err := merged(old.(map[string]any), child)
			if err != nil {
				return nil, err
			}
			value = both
		}
		out[key] = value
	}
	return out, nil
}

type valueKind int

const (
	scalarKind valueKind = iota
	mappingKind
	listKind
)

func kindOf(v any) valueKind {
	switch v.(type) {
	case map[string]any:
		return mappingKind
	case []any:
		return listKind
	}
	return scalarKind
}

// transformed runs kustomize's patch transformer on one object alone. It
// returns nil where the patch deletes it.
func (r *Repo) transformed(o *object, p *patch) (out *object, err error) {
	if p.target == nil && len(p.merges) > 1 {
		return nil, errNoShortcut // the others would not find their objects
	}
	text, err := blockStyle(o.json())
	if err != nil {
		return nil, err
	}
	err = withKustomize(func() error {
		all, err := newResources().NewResMapFromBytes(text)
		if err != nil {
			return err
		}
		plugin := new(builtins.PatchTransformerPlugin)
		if err := configured(p.kustomize(), plugin); err != nil {
			return err
		}
		if err := plugin.Transform(all); err != nil {
			return err
		}
		out, err = r.only(all)
		return err
	})
	return out, err
}

// blockStyle is JSON as YAML in block style, which is how it would stand in
// stack.yaml: kustomize merges empty values differently into JSON's flow style.
func blockStyle(data []byte) ([]byte, error) { return yaml.JSONToYAML(data) }

// only converts the one object that is left, if one is.
func (r *Repo) only(m resmap.ResMap) (*object, error) {
	m.DropEmpties()
	m.RemoveBuildAnnotations()
	objects, err := r.objects(m)
	if err != nil || len(objects) == 0 {
		return nil, err
	}
	return objects[0], nil
}

// wholly builds the cluster with kustomize.
func (r *Repo) wholly(s *stack, resources []part, patches []*patch) (out []*object, err error) {
	var list []types.Patch
	var texts []string
	for i := range resources {
		text, err := resources[i].text()
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	for _, p := range patches {
		list = append(list, p.kustomize())
	}
	err = withKustomize(func() error {
		m, err := build(layer(s.yaml(), texts, list), layerDir)
		if err != nil {
			return err
		}
		out, err = r.objects(m)
		return err
	})
	return out, err
}
