package impact

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// inputFields returns the fields in which two inputs differ, with those in which the identity
// differs.
func (c *comparison) inputFields(a, b *fleet.Input, renamed []fleet.FieldEffect) ([]fleet.FieldEffect, error) {
	if !c.Options.Fields {
		return nil, nil
	}
	found, known := c.fields[inputPair{a, b}]
	if !known {
		var before, after any
		sameIdentity := []byte("0")
		if err := json.Unmarshal(a.AppendTo(nil, sameIdentity), &before); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b.AppendTo(nil, sameIdentity), &after); err != nil {
			return nil, err
		}
		c.walk("", before, after, &found)
		c.fields[inputPair{a, b}] = found
	}
	if len(renamed) == 0 {
		return found, nil
	}
	all := slices.Concat(renamed, found)
	slices.SortFunc(all, func(a, b fleet.FieldEffect) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// walk adds the fields in which two decoded values differ to found. Objects are compared by key, and
// lists of the same length by index.
func (c *comparison) walk(path string, a, b any, found *[]fleet.FieldEffect) {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			c.walkObjects(path, a, b, found)
			return
		}
	case []any:
		if b, ok := b.([]any); ok && len(a) == len(b) {
			for i := range a {
				c.walk(fmt.Sprintf("%s[%d]", path, i), a[i], b[i], found)
			}
			return
		}
	}
	if !reflect.DeepEqual(a, b) {
		c.add(path, &a, &b, found)
	}
}

func (c *comparison) walkObjects(path string, a, b map[string]any, found *[]fleet.FieldEffect) {
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		before, had := a[key]
		after, has := b[key]
		switch {
		case !has:
			c.add(join(path, key), &before, nil, found)
		case !had:
			c.add(join(path, key), nil, &after, found)
		default:
			c.walk(join(path, key), before, after, found)
		}
	}
}

// add adds a field that differs. A value is nil where there is none.
func (c *comparison) add(path string, before, after *any, found *[]fleet.FieldEffect) {
	f := fleet.FieldEffect{Path: path}
	if c.Options.Values && before != nil {
		f.Before = fleet.EncodeJSON(*before)
	}
	if c.Options.Values && after != nil {
		f.After = fleet.EncodeJSON(*after)
	}
	*found = append(*found, f)
}

// join returns the path of a field. A key with a dot, bracket or quote stands in brackets.
func join(path, key string) string {
	if strings.ContainsAny(key, `.[]"`) {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
