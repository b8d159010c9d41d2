package setting

import (
	"fmt"
	"strings"
	"unicode"
)

// path leads to a value: keys lead into mappings, indexes into lists. The first step is
// a key.
type path []step

// step is a key, or an index if isIndex is true.
type step struct {
	key     string
	index   int
	isIndex bool
}

func (p path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.isIndex:
			fmt.Fprintf(&b, "[%d]", s.index)
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.WriteString(quoteIfNeeded(s.key))
	}
	return b.String()
}

// quoteIfNeeded returns a key in the form that --set reads back as the same key.
func quoteIfNeeded(key string) string {
	if key != "" && !strings.ContainsAny(key, `.[=,"\`) && !strings.ContainsFunc(key, unicode.IsSpace) {
		return key
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}

// helm returns the path in the syntax of Helm.
func (p path) helm() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.isIndex:
			fmt.Fprintf(&b, "[%d]", s.index)
		case i > 0:
			b.WriteString("." + helmKey.Replace(s.key))
		default:
			b.WriteString(helmKey.Replace(s.key))
		}
	}
	return b.String()
}

// list returns the part of the path up to the first list, or the whole path if it
// enters no list.
func (p path) list() path {
	for i, s := range p {
		if s.isIndex {
			return p[:i]
		}
	}
	return p
}

// check returns an error if the path does not fit a value: the value has another type
// than the path expects, or a list would get a gap.
func (p path) check(value any) error {
	for i, s := range p {
		if s.isIndex {
			entries, ok := value.([]any)
			if !ok && value != nil {
				return fmt.Errorf("%s is not a list", p[:i])
			}
			if s.index > len(entries) {
				return fmt.Errorf("the list has %s, so the next one is [%d]", entryCount(len(entries)), len(entries))
			}
			if value = nil; s.index < len(entries) {
				value = entries[s.index]
			}
			continue
		}
		if value == nil {
			continue // not set yet
		}
		m, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is not a mapping", p[:i])
		}
		var there bool
		if value, there = m[s.key]; there && value == nil && i+1 < len(p) {
			return fmt.Errorf("%s is already set to null, which removes it", p[:i+1])
		}
	}
	return nil
}

func entryCount(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// find returns the value at a path that has only keys, and whether it is set.
func (p path) find(value map[string]any) (found any, there bool) {
	found = value
	for _, s := range p {
		m, _ := found.(map[string]any)
		if found, there = m[s.key]; !there {
			return nil, false
		}
	}
	return found, true
}

// seed copies the list at the path from an object into a patch, unless the patch sets
// that list already. The patch then shares the list with the object.
func (p path) seed(patch, object map[string]any) error {
	if _, said := p.find(patch); said {
		return nil
	}
	value, there := p.find(object)
	if !there {
		return nil
	}
	entries, ok := value.([]any)
	if !ok {
		return fmt.Errorf("%s is not a list in the object", p)
	}
	for _, s := range p[:len(p)-1] {
		next, there := patch[s.key]
		if !there {
			next = map[string]any{}
			patch[s.key] = next
		}
		m, ok := next.(map[string]any)
		if !ok {
			return nil // applying the assignment reports this
		}
		patch = m
	}
	patch[p[len(p)-1].key] = entries
	return nil
}

// compact removes null entries from the list at the path. A merge patch removes null
// values from mappings only.
func (p path) compact(patch map[string]any) {
	for _, s := range p[:len(p)-1] {
		patch, _ = patch[s.key].(map[string]any)
	}
	key := p[len(p)-1].key
	if entries, ok := patch[key].([]any); ok {
		patch[key] = withoutNulls(entries)
	}
}

func withoutNulls(value any) any {
	switch value := value.(type) {
	case []any:
		kept := []any{}
		for _, entry := range value {
			if entry != nil {
				kept = append(kept, withoutNulls(entry))
			}
		}
		return kept
	case map[string]any:
		for key, entry := range value {
			if entry == nil {
				delete(value, key)
			} else {
				value[key] = withoutNulls(entry)
			}
		}
	}
	return value
}
