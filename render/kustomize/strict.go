package kustomize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// parseStrictly parses a kustomization. It refuses what kustomize ignores without a word:
// a key that is repeated, of which only the last counts, documents after the first one, and
// entries of lists that are empty.
func parseStrictly(file string, data []byte) (*yaml.Node, fleet.Problems) {
	if p := yamltext.Check(file, data); p != nil {
		return nil, fleet.Problems{*p}
	}
	var root *yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fleet.Problems{yamltext.SyntaxProblem(file, data, err)}
		}
		switch {
		case root == nil:
			root = &doc
		case doc.Content[0].ShortTag() != "!!null":
			return nil, fleet.Problems{{File: file, Line: doc.Content[0].Line, Message: "is a second document, and kustomize reads only the first; move it to a file of its own"}}
		}
	}
	if root == nil || root.Content[0].ShortTag() == "!!null" {
		return nil, fleet.Problems{{File: file, Line: 1, Column: 1, Message: "is empty; kustomize refuses an empty kustomization"}}
	}
	if top := root.Content[0]; top.Kind != yaml.MappingNode {
		return nil, fleet.Problems{{File: file, Line: top.Line, Message: "must be a mapping of fields to values"}}
	}
	c := strictCheck{file: file}
	c.check("", root.Content[0])
	return root, c.problems
}

type strictCheck struct {
	file     string
	problems fleet.Problems
}

func (c *strictCheck) problem(at *yaml.Node, field, format string, args ...any) {
	c.problems = append(c.problems, fleet.Problem{File: c.file, Line: at.Line, Column: at.Column, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (c *strictCheck) check(path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, name := n.Content[i], n.Content[i].Value
			if path == "" {
				name = strings.ToLower(name) // kustomize ignores the case of its fields
			}
			at := strings.TrimPrefix(path+"."+key.Value, ".")
			if first, again := seen[name]; again {
				c.problem(key, at, "repeats the key of line %d, and kustomize would ignore that one; merge the two", first)
			}
			seen[name] = key.Line
			c.check(at, n.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if child.ShortTag() == "!!null" {
				c.problem(child, at, "is empty; remove the entry")
			}
			c.check(at, child)
		}
	}
}

// checkType refuses a kustomization whose apiVersion or kind kustomize refuses.
func checkType(file string, root *yaml.Node, k *types.Kustomization) *fleet.Problem {
	if len(k.EnforceFields()) == 0 {
		return nil
	}
	field, want := "apiVersion", types.KustomizationVersion
	switch k.Kind {
	case types.KustomizationKind:
	case types.ComponentKind:
		want = types.ComponentVersion
	default:
		field, want = "kind", types.KustomizationKind+" or "+types.ComponentKind
	}
	return &fleet.Problem{File: file, Line: lineOf(root, field, ""), Field: field, Message: "must be " + want + ", or absent"}
}

// decodingProblem says which field of a kustomization has the wrong type, or is unknown.
func decodingProblem(file string, root *yaml.Node, err error) fleet.Problem {
	if kind, version := valueOf(root.Content[0], "kind"), valueOf(root.Content[0], "apiVersion"); !isOwnType(kind, version) {
		return fleet.Problem{File: file, Line: 1, Message: fmt.Sprintf(
			"is a %s of %s, and a file of this name must be a kustomization of kustomize; rename it, and name it under resources", kind, version)}
	}
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		names := strings.Split(mistyped.Field, ".")
		line := lineOf(root, names[0], "")
		if n := findMistyped(root.Content[0], names, mistyped.Value); n != nil {
			if n.Kind == yaml.ScalarNode || len(names) > 1 {
				line = n.Line
			}
		}
		hint := ""
		if mistyped.Field == "patches" && mistyped.Value == "string" {
			hint = "; write path: before the name of a file"
		}
		return fleet.Problem{File: file, Line: line, Field: mistyped.Field, Message: fmt.Sprintf("must be %s, is %s%s", nameOfType(mistyped.Type), withArticle(mistyped.Value), hint)}
	}
	if _, field, found := strings.Cut(err.Error(), "unknown field "); found {
		field = strings.Trim(field, `"`)
		return fleet.Problem{File: file, Line: lineOfKey(root, field), Field: field, Message: "unknown field" + nearest.Hint(field, fieldNames(reflect.TypeFor[types.Kustomization](), nil))}
	}
	return fleet.Problem{File: file, Message: err.Error()}
}

// isOwnType reports whether a document may be a kustomization.
func isOwnType(kind, version string) bool {
	group, _, _ := strings.Cut(version, "/")
	return (kind == "" || kind == types.KustomizationKind || kind == types.ComponentKind) && (version == "" || group == "kustomize.config.k8s.io")
}

// findMistyped returns the first value at a path of fields, through all entries of lists,
// that encoding/json calls by that name; nil if there is none.
func findMistyped(n *yaml.Node, path []string, name string) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if len(path) == 0 && kindInJSON(n) == name {
		return n
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, child := range n.Content {
			if found := findMistyped(child, path, name); found != nil {
				return found
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if value := n.Content[i+1]; len(path) == 0 {
				if kindInJSON(value) == name { // of a mapping of texts
					return value
				}
				continue
			}
			if strings.EqualFold(n.Content[i].Value, path[0]) {
				return findMistyped(n.Content[i+1], path[1:], name)
			}
		}
	}
	return nil
}

// kindInJSON returns what encoding/json calls a value in its errors.
func kindInJSON(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "object"
	case n.Kind == yaml.SequenceNode:
		return "array"
	case n.ShortTag() == "!!bool":
		return "bool"
	case n.ShortTag() == "!!int" || n.ShortTag() == "!!float":
		return "number"
	}
	return "string"
}

func withArticle(name string) string {
	switch name {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "bool":
		return "true or false"
	}
	return "a " + name
}

// nameOfType says in YAML's words what a Go type is written as.
func nameOfType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return nameOfType(t.Elem())
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}

// fieldNames returns the names in JSON of all fields of a type and of the types in it.
func fieldNames(t reflect.Type, names []string) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return fieldNames(t.Elem(), names)
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name != "" && name != "-" && !slices.Contains(names, name) {
				names = append(names, name)
			}
			names = fieldNames(t.Field(i).Type, names)
		}
	}
	return names
}

// lineOfKey returns the line of the first key of that name in a document; 0 if there is
// none.
func lineOfKey(n *yaml.Node, name string) int {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Value == name {
			return child.Line
		}
		if line := lineOfKey(child, name); line > 0 {
			return line
		}
	}
	return 0
}
