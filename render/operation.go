package render

import (
	"encoding/json"
	"maps"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// operation is one of a JSON patch that does no more than set or remove a key of a
// mapping. Nearly all are such, and can be applied to values as they are, where the
// library would write and read the whole object.
type operation struct {
	kind  string // add, replace or remove
	path  []string
	value any // as encoding/json reads it
}

// plainOperations are those of a patch, where all of them are such; else nil.
func plainOperations(p jsonpatch.Patch) []operation {
	var all []operation
	for _, op := range p {
		at, err := op.Path()
		o := operation{kind: op.Kind()}
		if err != nil || !strings.HasPrefix(at, "/") {
			return nil
		}
		for part := range strings.SplitSeq(at[1:], "/") {
			o.path = append(o.path, strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		}
		switch o.kind {
		case "add", "replace":
			raw := op["value"]
			if raw == nil || json.Unmarshal(*raw, &o.value) != nil || o.value == nil {
				return nil // what becomes of null is the library's to say
			}
		case "remove":
		default:
			return nil
		}
		all = append(all, o)
	}
	return all
}

// apply returns the mapping with the operation applied; what it does not reach is shared.
// It returns false where the library would have an error to tell, or where more than
// mappings are on the way.
func (o operation) apply(to map[string]any) (map[string]any, bool) { return o.applyAt(to, o.path) }

func (o operation) applyAt(to map[string]any, path []string) (map[string]any, bool) {
	key := path[0]
	old := to[key]
	if len(path) == 1 {
		if old == nil && o.kind != "add" {
			return nil, false
		}
		out := maps.Clone(to)
		if out[key] = o.value; o.kind == "remove" {
			delete(out, key)
		}
		return out, true
	}
	child, ok := old.(map[string]any)
	if !ok {
		return nil, false
	}
	next, ok := o.applyAt(child, path[1:])
	if !ok {
		return nil, false
	}
	out := maps.Clone(to)
	out[key] = next
	return out, true
}

// floats is a value with every number as a float64, which is what a JSON patch makes of
// all numbers of an object. It returns false where one has no float64.
func floats(v any) (any, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			f, ok := floats(value)
			if !ok {
				return nil, false
			}
			out[key] = f
		}
		return out, true
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			f, ok := floats(value)
			if !ok {
				return nil, false
			}
			out[i] = f
		}
		return out, true
	}
	return v, true
}
