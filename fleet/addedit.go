package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// AddEdit returns d with one more edit, which comes after those it has. It goes
// into the last one of the same object where that does the same to whatever object
// it meets; else it stands by itself, because two merge patches are one only for a
// base that is known.
func (d Delta) AddEdit(e Edit) (*Delta, error) {
	v, err := decodeWhole(e.Patch)
	if err != nil {
		return nil, fmt.Errorf("edit of %s/%s: %w: %w", e.Kind, e.Name, ErrInvalid, err)
	}
	d.Edits = slices.Clone(d.Edits)
	if at := d.lastMeant(e); at >= 0 && sameTarget(d.Edits[at], e) {
		before, err := decode(d.Edits[at].Patch)
		if err != nil {
			return nil, err
		}
		if both, exact := inOne(before, v); exact {
			d.Edits[at].Patch = encode(both)
			return &d, nil
		}
	}
	e.Patch = json.RawMessage(encode(v))
	d.Edits = append(d.Edits, e)
	return &d, nil
}

// lastMeant is the place of the last edit that may be of the object that another
// edit is of; -1 for none.
func (d Delta) lastMeant(e Edit) int {
	meets := func(a, b string) bool { return a == b || a == "" || b == "" }
	for i, other := range slices.Backward(d.Edits) {
		if other.Kind == e.Kind && other.Name == e.Name && meets(other.Group, e.Group) && meets(other.Namespace, e.Namespace) {
			return i
		}
	}
	return -1
}

func sameTarget(a, b Edit) bool { return a.Group == b.Group && a.Namespace == b.Namespace }

// inOne makes one merge patch of two, where one can do what the first and then the
// second do. It cannot where the second makes a mapping of what the first has
// removed or replaced by something else: the keys of the base would show through.
func inOne(first, second any) (any, bool) {
	patch, ok := second.(map[string]any)
	if !ok {
		return second, true
	}
	edit, ok := first.(map[string]any)
	if !ok {
		return nil, false
	}
	out := maps.Clone(edit)
	for key, value := range patch {
		before, named := edit[key]
		if _, deeper := value.(map[string]any); !deeper || !named {
			out[key] = value
			continue
		}
		both, exact := inOne(before, value)
		if !exact {
			return nil, false
		}
		out[key] = both
	}
	return out, true
}
