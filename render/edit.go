package render

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// edit applies an edit to the one object that it is for. The slice is written
// to, the objects are not.
func (w *work) edit(objects []*object, e *fleet.Edit) ([]*object, error) {
	at, err := findEdited(objects, e)
	if err != nil {
		return nil, err
	}
	o := objects[at]
	after, err := w.applied(e, o, func() (*object, error) { return w.repo.edited(o, e) })
	if after == nil && err == nil {
		return slices.Delete(objects, at, at+1), nil
	}
	objects[at] = after
	return objects, err
}

// edited is the object after an edit; nil where that takes it away.
func (r *Repo) edited(o *object, e *fleet.Edit) (*object, error) {
	patch, err := decodeEdit(e)
	if patch == nil || err != nil {
		return nil, err
	}
	before := o.values()
	merge := func(into map[string]any) map[string]any {
		return mergePatch(into, patch).(map[string]any) // a mapping makes a mapping
	}
	value := merge(before)
	switch changed := identityChange(before, value); {
	case changed != "":
		return nil, fmt.Errorf("must not change %s of %s, which makes it another object", changed, title(o.id))
	case reflect.DeepEqual(value, before):
		return o, nil // and it stays shared
	}
	return r.changed(o, value, func() map[string]any { return merge(o.values()) }), nil
}

func findEdited(objects []*object, e *fleet.Edit) (int, error) {
	at := -1
	for i, o := range objects {
		if o.Kind != e.Kind || o.Name != e.Name ||
			e.Group != "" && o.Group() != e.Group || e.Namespace != "" && o.Namespace != e.Namespace {
			continue
		}
		if at >= 0 {
			return 0, fmt.Errorf("more than one object is %s; say its group or namespace", editTitle(e))
		}
		at = i
	}
	if at < 0 {
		return 0, fmt.Errorf("there is no %s to edit; names are those after prefixes, suffixes and hashes of the stack", editTitle(e))
	}
	return at, nil
}

// editTitle is how messages name what an edit is for.
func editTitle(e *fleet.Edit) string {
	out := e.Kind + "/" + e.Name
	if e.Group != "" {
		out += " of group " + e.Group
	}
	if e.Namespace != "" {
		out += " in namespace " + e.Namespace
	}
	return out
}

// decodeEdit returns the merge patch of an edit, nil where it takes the object
// away. It may come from a store and an older version, so it is checked again.
func decodeEdit(e *fleet.Edit) (map[string]any, error) {
	if len(e.Patch) == 0 {
		return nil, errors.New("has no patch")
	}
	patch, err := decodeJSON(e.Patch)
	if err != nil {
		return nil, fmt.Errorf("is no merge patch: %w", err)
	}
	checkEdit(e, patch, func(path, message string) {
		err = errors.Join(err, fmt.Errorf("%s: %s", path, message))
	})
	return patch, err
}

// checkEdit notes where a merge patch would make of its object another one, or
// none at all. It may repeat what the object is called. Where the edit does not
// say what that is, rendering will tell.
func checkEdit(e *fleet.Edit, patch map[string]any, problem func(path, message string)) {
	check := func(m map[string]any, parent, key string, same func(text string) bool) {
		value, present := m[key]
		if text, ok := value.(string); present && (!ok || !same(text)) {
			problem(join(parent, key), "an edit must not change what its object is called; add another object, and take this one away")
		}
	}
	check(patch, "", "apiVersion", func(text string) bool {
		return e.Group == "" || fleet.Object{APIVersion: text}.Group() == e.Group
	})
	check(patch, "", "kind", func(text string) bool { return text == e.Kind })
	value, present := patch["metadata"]
	metadata, ok := value.(map[string]any)
	if present && !ok {
		problem("metadata", "must be a mapping: the object's name is in it")
	}
	check(metadata, "metadata", "name", func(text string) bool { return text == e.Name })
	check(metadata, "metadata", "namespace", func(text string) bool { return e.Namespace == "" || text == e.Namespace })
	for _, key := range []string{"annotations", "labels"} {
		checkTexts("metadata."+key, metadata[key], problem)
	}
}

// checkTexts notes what of labels or annotations is neither a string nor null.
func checkTexts(path string, v any, problem func(path, message string)) {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		problem(path, "must be a mapping of keys to strings")
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if value := m[key]; value != nil && !isString(value) {
			problem(join(path, key), "must be a string, or null to remove it; put it in quotes")
		}
	}
}

// mergePatch is RFC 7386 on JSON values. What the patch does not reach is
// shared with the target.
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

// identityChange names the first field of what an object is called that differs;
// "" if none does.
func identityChange(before, after map[string]any) string {
	for _, path := range []fieldPath{{"apiVersion"}, {"kind"}, {"metadata", "name"}, {"metadata", "namespace"}} {
		was, _ := path.lookup(before)
		if is, _ := path.lookup(after); was != is {
			return strings.Join(path, ".")
		}
	}
	return ""
}
