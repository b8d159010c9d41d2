package render

import (
	"encoding/json"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/utils"
)

// fieldPath is a path into an object, in the grammar of kustomize's
// `replacements`: dots between keys, `\.` or [brackets] around a key that has
// dots itself, numbers and `-` (the last) for list indexes, [key=value] for the
// element of a list. The empty path, written `.`, is the object itself.
type fieldPath []string

func parsePath(d *document, field, text string) fieldPath {
	if text == "." {
		return fieldPath{}
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

// lookup returns what stands at the path. Null counts as absent, as it does for
// the client.
func (p fieldPath) lookup(v any) (any, bool) {
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
		if text, ok := scalarText(got); ok && text == value {
			return e
		}
	}
	return nil
}

// scalarText is a string, number or boolean as text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}
