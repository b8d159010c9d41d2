package edit

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

// The functions of this file work on plain JSON values: nil, bool, string, json.Number, []any
// and map[string]any. None of them modifies its arguments.

// compose returns one merge patch that does to base what first and then second do. It is more
// than a merge of the two: where first removed or replaced an object and second creates it
// again, the keys of base would show through, so the result removes them one by one.
func compose(base, first, second map[string]any) map[string]any {
	out := maps.Clone(first)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range second {
		change, isObject := value.(map[string]any)
		before, named := first[key]
		inner, wasObject := before.(map[string]any)
		switch {
		case !isObject || !named:
			out[key] = value
		case wasObject:
			out[key] = compose(object(base[key]), inner, change)
		default:
			out[key] = replacing(base[key], change)
		}
	}
	return out
}

// composeAny returns one merge patch that does to any base what first and then second do. It
// reports false where there is none: where second creates an object that first removed or
// replaced, because the keys of the base would show through.
func composeAny(first, second any) (any, bool) {
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
		if _, isObject := value.(map[string]any); !isObject || !named {
			out[key] = value
			continue
		}
		both, exact := composeAny(before, value)
		if !exact {
			return nil, false
		}
		out[key] = both
	}
	return out, true
}

// replacing returns a merge patch that makes of base what patch makes of nothing.
func replacing(base any, patch map[string]any) map[string]any {
	out := maps.Clone(patch)
	for key, old := range object(base) {
		value, named := patch[key]
		if change, isObject := value.(map[string]any); isObject {
			out[key] = replacing(old, change)
		} else if !named {
			out[key] = nil
		}
	}
	return out
}

// difference returns the merge patch that makes to of from. A null in to stands for an absent
// key, because no merge patch can set one.
func difference(from, to map[string]any) map[string]any {
	out := map[string]any{}
	for key := range from {
		if _, kept := to[key]; !kept {
			out[key] = nil
		}
	}
	for key, value := range to {
		old, there := from[key]
		now, isObject := value.(map[string]any)
		before, wasObject := old.(map[string]any)
		switch {
		case there && reflect.DeepEqual(old, value):
		case isObject && wasObject:
			out[key] = difference(before, now)
		default:
			out[key] = value
		}
	}
	return out
}

// object returns a value as an object; nil where it is none.
func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// decode decodes JSON and keeps numbers as they are written.
func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// decodeObject decodes a JSON object. It is nil where the document is another value.
func decodeObject(data []byte) (map[string]any, error) {
	v, err := decode(data)
	return object(v), err
}

// decodeInput decodes JSON from a request. Nothing may follow the value, it must not be nested
// too deeply to be processed, and no string may contain NUL, which not every store can keep. The
// error continues a sentence, such as "is not valid JSON".
func decodeInput(data []byte) (any, error) {
	if !json.Valid(data) {
		return nil, errors.New("is not valid JSON")
	}
	v, err := decode(data)
	if err != nil {
		return nil, err
	}
	return v, checkValue(v, 0)
}

// maxDepth limits how deeply values may be nested.
const maxDepth = 100

func checkValue(v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("is nested more than %d levels deep", maxDepth)
	}
	switch v := v.(type) {
	case json.Number:
		if _, err := v.Float64(); err != nil {
			return fmt.Errorf("contains the number %.40s, which is too large", v)
		}
	case string:
		if strings.Contains(v, "\x00") {
			return errors.New("contains a NUL character")
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
