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
		if err := d.walk("", a.AppendTo(nil, []byte("0")), b.AppendTo(nil, []byte("0")), &found); err != nil {
			return nil, err
		}
		d.memo[inputs{a, b}] = found
	}
	if len(renamed) == 0 {
		return found, nil
	}
	all := slices.Concat(renamed, found)
	slices.SortFunc(all, func(a, b FieldEffect) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// walk compares two values, fields by name and lists by place. What is the same text is
// not read, which is nearly all of most inputs.
func (d *differ) walk(path string, a, b []byte, found *[]FieldEffect) error {
	switch {
	case bytes.Equal(a, b):
		return nil
	case a[0] == '{' && b[0] == '{':
		return d.walkFields(path, a, b, found)
	case a[0] == '[' && b[0] == '[':
		x, y := elementsOf(a), elementsOf(b)
		if len(x) != len(y) {
			break
		}
		for i := range x {
			if err := d.walk(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], found); err != nil {
				return err
			}
		}
		return nil
	}
	before, err := plainly(a)
	if err != nil {
		return err
	}
	after, err := plainly(b)
	if err == nil && !bytes.Equal(before, after) {
		d.note(path, before, after, found)
	}
	return err
}

func (d *differ) walkFields(path string, a, b []byte, found *[]FieldEffect) error {
	x, err := fieldsIn(a)
	if err != nil {
		return err
	}
	y, err := fieldsIn(b)
	if err != nil {
		return err
	}
	for len(x)+len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].key < y[0].key:
			var before []byte
			if before, err = plainly(x[0].value); err == nil {
				d.note(joined(path, x[0].key), before, nil, found)
			}
			x = x[1:]
		case len(x) == 0 || y[0].key < x[0].key:
			var after []byte
			if after, err = plainly(y[0].value); err == nil {
				d.note(joined(path, y[0].key), nil, after, found)
			}
			y = y[1:]
		default:
			if !bytes.Equal(x[0].value, y[0].value) {
				err = d.walk(joined(path, x[0].key), x[0].value, y[0].value, found)
			}
			x, y = x[1:], y[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// plainly is a value as encoding/json writes it, so that 1.0 is 1.
func plainly(text []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return encode(v), nil
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
