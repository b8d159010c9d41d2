package fleet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// What is here works on plain JSON values: nil, bool, string, json.Number,
// []any and map[string]any. None of it writes to what it is given.

// mapping is a value as a mapping; nil where it is none.
func mapping(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// fold makes one merge patch of two, so that it does to base what edit and then
// patch do. Putting the one into the other is not enough: where edit has removed
// or replaced a mapping and patch makes one anew, the keys of base would show
// through, and so they are removed one by one.
func fold(base, edit, patch map[string]any) map[string]any {
	out := maps.Clone(edit)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range patch {
		changes, deeper := value.(map[string]any)
		before, named := edit[key]
		inEdit, below := before.(map[string]any)
		switch {
		case !deeper || !named:
			out[key] = value
		case below:
			out[key] = fold(mapping(base[key]), inEdit, changes)
		default:
			out[key] = covering(base[key], changes)
		}
	}
	return out
}

// covering is a merge patch that makes of base what patch makes of nothing.
func covering(base any, patch map[string]any) map[string]any {
	out := maps.Clone(patch)
	for key, old := range mapping(base) {
		value, named := patch[key]
		if changes, deeper := value.(map[string]any); deeper {
			out[key] = covering(old, changes)
		} else if !named {
			out[key] = nil
		}
	}
	return out
}

// difference is the merge patch that makes b of a. A null in b stands for
// nothing, since no merge patch can set one.
func difference(a, b map[string]any) map[string]any {
	out := map[string]any{}
	for key := range a {
		if _, kept := b[key]; !kept {
			out[key] = nil
		}
	}
	for key, value := range b {
		old, there := a[key]
		to, isMapping := value.(map[string]any)
		from, wasMapping := old.(map[string]any)
		switch {
		case there && reflect.DeepEqual(old, value):
		case isMapping && wasMapping:
			out[key] = difference(from, to)
		default:
			out[key] = value
		}
	}
	return out
}

// decode reads JSON with its numbers as they are written.
func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// decodeWhole is decode of what somebody sent: there must be nothing behind it,
// it must not be too deep to be worked on, and no text may hold a NUL, which not
// every store can keep.
func decodeWhole(data []byte) (any, error) {
	if !json.Valid(data) {
		return nil, errors.New("it cannot be parsed")
	}
	v, err := decode(data)
	if err != nil {
		return nil, err
	}
	return v, checkValue(v, 0)
}

// maxDepth is how deep values may lie in one another.
const maxDepth = 100

func checkValue(v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it lies more than %d levels deep", maxDepth)
	}
	switch v := v.(type) {
	case json.Number:
		if _, err := v.Float64(); err != nil {
			return fmt.Errorf("it holds the number %.40s, which is larger than any that is understood", v)
		}
	case string:
		if strings.Contains(v, "\x00") {
			return errors.New("it holds a NUL character")
		}
	case []any:
		for _, child := range v {
			if err := checkValue(child, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, child := range v {
			if err := cmp.Or(checkValue(key, depth), checkValue(child, depth+1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// encode writes JSON with sorted keys and without the escapes for HTML.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // What is given here consists of plain JSON values.
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
