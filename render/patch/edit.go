package patch

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// ApplyEdit returns the object after an edit: nil if the edit deletes it, and the same
// object if nothing changes.
func ApplyEdit(o *kustomize.Object, e *fleet.Edit) (*kustomize.Object, error) {
	patch, err := decodeEdit(e)
	if patch == nil || err != nil {
		return nil, err
	}
	before := o.Values()
	merge := func(into map[string]any) map[string]any {
		return mergePatch(into, patch).(map[string]any) // merging mappings gives a mapping
	}
	value := merge(before)
	switch changed := ChangedIdentity(before, value); {
	case changed != "":
		return nil, fmt.Errorf("must not change %s of %s, because that makes it a different object", changed, kustomize.Title(o.ID))
	case reflect.DeepEqual(value, before):
		return o, nil // it stays shared
	}
	after := o.WithValue(value, func() map[string]any { return merge(o.Values()) })
	return &after, nil
}

// decodeEdit returns the merge patch of an edit; nil if the edit deletes its object. The
// edit may come from a store and an older version, so it is checked again.
func decodeEdit(e *fleet.Edit) (map[string]any, error) {
	if len(e.Patch) == 0 {
		return nil, errors.New("has no patch")
	}
	patch, err := yamltext.DecodeJSON(e.Patch)
	if err != nil {
		return nil, fmt.Errorf("is not a merge patch: %w", err)
	}
	CheckEdit(e, patch, func(path, message string) {
		err = errors.Join(err, fmt.Errorf("%s: %s", path, message))
	})
	return patch, err
}

// CheckEdit reports where the merge patch of an edit would rename its object or make it
// invalid. The patch may repeat the object's identity. What the edit does not say about
// the identity is checked when it is applied.
func CheckEdit(e *fleet.Edit, patch map[string]any, problem func(path, message string)) {
	check := func(m map[string]any, key, path string, same func(text string) bool) {
		value, present := m[key]
		if text, ok := value.(string); present && (!ok || !same(text)) {
			problem(path, "an edit must not rename its object or change its kind; add a new object and delete this one")
		}
	}
	check(patch, "apiVersion", "apiVersion", func(text string) bool {
		return e.Group == "" || fleet.Object{APIVersion: text}.Group() == e.Group
	})
	check(patch, "kind", "kind", func(text string) bool { return text == e.Kind })
	value, present := patch["metadata"]
	metadata, ok := value.(map[string]any)
	if present && !ok {
		problem("metadata", "must be a mapping, because it has the object's name")
	}
	check(metadata, "name", "metadata.name", func(text string) bool { return text == e.Name })
	check(metadata, "namespace", "metadata.namespace", func(text string) bool { return e.Namespace == "" || text == e.Namespace })
	for _, key := range []string{"annotations", "labels"} {
		checkTexts("metadata."+key, metadata[key], problem)
	}
}

// checkTexts reports labels or annotations that are neither strings nor null.
func checkTexts(path string, v any, problem func(path, message string)) {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		problem(path, "must be a mapping of keys to strings")
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if value := m[key]; value != nil && !isString(value) {
			problem(path+"."+key, "must be a string, or null to remove it; put it in quotes")
		}
	}
}

// mergePatch implements RFC 7386 on JSON values. The result shares with the target what
// the patch does not reach.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out, ok := target.(map[string]any)
	if out = maps.Clone(out); !ok {
		out = map[string]any{}
	}
	for key, value := range changes {
		if value == nil {
			delete(out, key)
		} else {
			out[key] = mergePatch(out[key], value)
		}
	}
	return out
}

// ChangedIdentity returns the path of the first field of an object's identity that
// differs; "" for none.
func ChangedIdentity(before, after map[string]any) string {
	metaBefore, _ := before["metadata"].(map[string]any)
	metaAfter, _ := after["metadata"].(map[string]any)
	switch {
	case before["apiVersion"] != after["apiVersion"]:
		return "apiVersion"
	case before["kind"] != after["kind"]:
		return "kind"
	case metaBefore["name"] != metaAfter["name"]:
		return "metadata.name"
	case metaBefore["namespace"] != metaAfter["namespace"]:
		return "metadata.namespace"
	}
	return ""
}
