package fleet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// fieldsOf are those in which two inputs differ.
func (d *differ) fieldsOf(a, b *Input, renamed []FieldEffect) ([]FieldEffect, error) {
	if !d.fields {
		return nil, nil
	}
	found, known := d.memo[inputs{a, b}]
	if !known {
		var x, y map[string]any
		if err := json.Unmarshal(a.AppendTo(nil, []byte("0")), &x); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b.AppendTo(nil, []byte("0")), &y); err != nil {
			return nil, err
		}
		d.walk("", x, y, &found)
		d.memo[inputs{a, b}] = found
	}
	if len(renamed) == 0 {
		return found, nil
	}
	all := slices.Concat(renamed, found)
	slices.SortFunc(all, func(a, b FieldEffect) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// walk compares two values, fields by name and lists by place.
func (d *differ) walk(path string, a, b any, found *[]FieldEffect) {
	if x, is := a.(map[string]any); is {
		if y, is := b.(map[string]any); is {
			for _, key := range keysOf(x, y) {
				d.walkField(joined(path, key), x, y, key, found)
			}
			return
		}
	}
	if x, is := a.([]any); is {
		if y, is := b.([]any); is && len(x) == len(y) {
			for i := range x {
				d.walk(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], found)
			}
			return
		}
	}
	before, after := encode(a), encode(b)
	if !bytes.Equal(before, after) {
		d.note(path, before, after, found)
	}
}

func (d *differ) walkField(path string, x, y map[string]any, key string, found *[]FieldEffect) {
	a, had := x[key]
	b, has := y[key]
	switch {
	case had && has:
		d.walk(path, a, b, found)
	case had:
		d.note(path, encode(a), nil, found)
	default:
		d.note(path, nil, encode(b), found)
	}
}

func (d *differ) note(path string, before, after []byte, found *[]FieldEffect) {
	f := FieldEffect{Path: path}
	if d.values {
		f.Before, f.After = before, after
	}
	*found = append(*found, f)
}

// joined is the path of a field; a name with a dot or the like stands in brackets.
func joined(path, key string) string {
	if strings.ContainsAny(key, `.[]"`) {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func keysOf(a, b map[string]any) []string {
	keys := make([]string, 0, len(a)+len(b))
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, there := a[key]; !there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
