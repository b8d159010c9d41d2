package impact

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// An input is JSON on one line, without spaces. The functions of this file compare two inputs
// as text and find where members begin and end without decoding them: members that are the same
// text, which are nearly all, are never decoded. A release that changes every cluster would
// otherwise spend most of its time on that.

// inputFields returns the fields in which two inputs differ, with those in which the identity
// differs.
func (c *comparison) inputFields(a, b *fleet.Input, renamed []fleet.FieldEffect) ([]fleet.FieldEffect, error) {
	if !c.Options.Fields {
		return nil, nil
	}
	found, known := c.fields[inputPair{a, b}]
	if !known {
		sameIdentity := []byte("0")
		if err := c.walk("", a.AppendTo(nil, sameIdentity), b.AppendTo(nil, sameIdentity), &found); err != nil {
			return nil, err
		}
		c.fields[inputPair{a, b}] = found
	}
	if len(renamed) == 0 {
		return found, nil
	}
	all := slices.Concat(renamed, found)
	slices.SortFunc(all, func(a, b fleet.FieldEffect) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// walk adds the fields in which two values differ to found. Objects are compared by key, and lists
// of the same length by index.
func (c *comparison) walk(path string, a, b []byte, found *[]fleet.FieldEffect) error {
	switch {
	case bytes.Equal(a, b):
		return nil
	case a[0] == '{' && b[0] == '{':
		return c.walkObjects(path, a, b, found)
	case a[0] == '[' && b[0] == '[':
		x, y := elements(a), elements(b)
		if len(x) != len(y) {
			break
		}
		for i := range x {
			if err := c.walk(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], found); err != nil {
				return err
			}
		}
		return nil
	}
	before, err := normalize(a)
	if err != nil {
		return err
	}
	after, err := normalize(b)
	if err == nil && !bytes.Equal(before, after) {
		c.add(path, before, after, found)
	}
	return err
}

func (c *comparison) walkObjects(path string, a, b []byte, found *[]fleet.FieldEffect) error {
	x, err := members(a)
	if err != nil {
		return err
	}
	y, err := members(b)
	if err != nil {
		return err
	}
	for len(x)+len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].key < y[0].key:
			var before []byte
			if before, err = normalize(x[0].value); err == nil {
				c.add(join(path, x[0].key), before, nil, found)
			}
			x = x[1:]
		case len(x) == 0 || y[0].key < x[0].key:
			var after []byte
			if after, err = normalize(y[0].value); err == nil {
				c.add(join(path, y[0].key), nil, after, found)
			}
			y = y[1:]
		default:
			if !bytes.Equal(x[0].value, y[0].value) {
				err = c.walk(join(path, x[0].key), x[0].value, y[0].value, found)
			}
			x, y = x[1:], y[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) add(path string, before, after []byte, found *[]fleet.FieldEffect) {
	f := fleet.FieldEffect{Path: path}
	if c.Options.Values {
		f.Before, f.After = before, after
	}
	*found = append(*found, f)
}

// normalize returns a value as encoding/json writes it, so that 1.0 equals 1.
func normalize(text []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return fleet.EncodeJSON(v), nil
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

// member is a member of a JSON object.
type member struct {
	key   string
	value []byte
}

// members returns the members of an object, sorted by key.
func members(object []byte) (all []member, err error) {
	for i := 1; i < len(object)-1; {
		end := stringEnd(object, i) + 1
		m := member{key: string(object[i+1 : end-1])}
		if slices.Contains(object[i+1:end-1], '\\') {
			if err := json.Unmarshal(object[i:end], &m.key); err != nil {
				return nil, err
			}
		}
		i = end + 1
		end = valueEnd(object, i)
		m.value = object[i:end]
		all, i = append(all, m), end+1
	}
	byKey := func(a, b member) int { return cmp.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(all, byKey) {
		slices.SortFunc(all, byKey)
	}
	return all, nil
}

// elements returns the elements of a list.
func elements(list []byte) (all [][]byte) {
	for i := 1; i < len(list)-1; {
		end := valueEnd(list, i)
		all, i = append(all, list[i:end]), end+1
	}
	return all
}

// valueEnd returns the index after the value that begins at i.
func valueEnd(text []byte, i int) int {
	for depth := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// stringEnd returns the index of the quote that ends the string which begins at i.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}
