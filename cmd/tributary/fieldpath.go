package main

import (
	"fmt"
	"strings"
	"unicode"
)

// fieldPath leads to a value: through mappings by keys, through lists by indexes.
// It begins with a key.
type fieldPath []step

// step is a key, or the index of an entry where isIndex is true.
type step struct {
	key     string
	index   int
	isIndex bool
}

func (p fieldPath) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.isIndex:
			fmt.Fprintf(&b, "[%d]", s.index)
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.WriteString(quotedWhereNeeded(s.key))
	}
	return b.String()
}

// quotedWhereNeeded writes a key so that --set reads it as one.
func quotedWhereNeeded(key string) string {
	if key != "" && !strings.ContainsAny(key, `.[=,"\`) && !strings.ContainsFunc(key, unicode.IsSpace) {
		return key
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}

// helm writes the path as Helm reads it.
func (p fieldPath) helm() string {
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

// list is the part of the path that leads to the first list on it, or all of it.
func (p fieldPath) list() fieldPath {
	for i, s := range p {
		if s.isIndex {
			return p[:i]
		}
	}
	return p
}

// fits says why the path does not lead through a value, where what is there is of
// another kind than the path says, or a list would get a gap.
func (p fieldPath) fits(value any) error {
	for i, s := range p {
		if s.isIndex {
			entries, ok := value.([]any)
			if !ok && value != nil {
				return fmt.Errorf("%s is no list", p[:i])
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
			continue // Nothing is there yet.
		}
		m, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is no mapping", p[:i])
		}
		var there bool
		if value, there = m[s.key]; there && value == nil && i+1 < len(p) {
			return fmt.Errorf("%s is to be removed already", p[:i+1])
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

// find returns what the path, of keys alone, leads to; nil for nothing.
func (p fieldPath) find(value map[string]any) (found any, there bool) {
	found = value
	for _, s := range p {
		m, _ := found.(map[string]any)
		if found, there = m[s.key]; !there {
			return nil, false
		}
	}
	return found, true
}

// seed puts the list of an object that the path leads to into a patch, unless the
// patch says something of it already. Nobody else may hold the object.
func (p fieldPath) seed(patch, object map[string]any) error {
	if _, said := p.find(patch); said {
		return nil
	}
	value, there := p.find(object)
	if !there {
		return nil
	}
	entries, ok := value.([]any)
	if !ok {
		return fmt.Errorf("%s is no list in the object", p)
	}
	for _, s := range p[:len(p)-1] {
		next, there := patch[s.key]
		if !there {
			next = map[string]any{}
			patch[s.key] = next
		}
		m, ok := next.(map[string]any)
		if !ok {
			return nil // The assignment will tell.
		}
		patch = m
	}
	patch[p[len(p)-1].key] = entries
	return nil
}

// compact takes out of the list that the path leads to what is null: in a list, a
// merge patch would leave it there.
func (p fieldPath) compact(patch map[string]any) {
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
