package fleetrepo

import (
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/utils"

	"github.com/tributary-gitops/tributary/render/yamltext"
)

// FieldPath is a path into an object, in the grammar of kustomize's `replacements`: dots
// between keys, `\.` or [brackets] around a key that has dots itself, numbers and `-`
// (the last) for list indexes, [key=value] for an element of a list. The empty path,
// written `.`, is the object itself.
type FieldPath []string

func parsePath(d *document, field, text string) FieldPath {
	if text == "." {
		return FieldPath{}
	}
	path := utils.SmarterPathSplitter(text, ".")
	for _, part := range path {
		switch {
		case part == "":
			d.problem(field, "%q has an empty part; write it like metadata.name, or . for the whole object", text)
			return nil
		case part == "*":
			d.problem(field, "%q: * does not name one value", text)
			return nil
		}
	}
	return path
}

// Lookup returns the value at the path. Null counts as absent, as it does for the client.
func (p FieldPath) Lookup(v any) (any, bool) {
	for _, part := range p {
		switch at := v.(type) {
		case map[string]any:
			v = at[part]
		case []any:
			v = element(at, part)
		default:
			return nil, false
		}
	}
	return v, v != nil
}

func element(list []any, part string) any {
	if part == "-" {
		part = strconv.Itoa(len(list) - 1)
	}
	if i, err := strconv.Atoi(part); err == nil {
		if i < 0 || i >= len(list) {
			return nil
		}
		return list[i]
	}
	key, value, _ := strings.Cut(strings.Trim(part, "[]"), "=")
	for _, e := range list {
		got := e
		if m, ok := e.(map[string]any); ok {
			got = m[key]
		} else if key != "" {
			continue
		}
		if text, ok := yamltext.ScalarText(got); ok && text == value {
			return e
		}
	}
	return nil
}
