// Package fleetrepo reads the documents of a fleet repo: fleet.yaml, cluster files,
// ResourceSets, and the deltas and clusters that the API receives. Every problem has the
// file, line and field that it is about.
//
//	spec := fleetrepo.ReadSpec(tree, nil)
//	clusters := fleetrepo.ReadClusters(tree, nil)
//	for _, c := range clusters.All {
//		// spec.Rules place c on an overlay with components.
//	}
//	delta, err := fleetrepo.ReadDelta(body) // err is fleet.Problems
//
// It reads documents and directories alone. It builds and renders nothing.
package fleetrepo

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// document is one YAML document with the lines of its fields and the problems found in
// it.
type document struct {
	file     string
	root     *yaml.Node
	lines    map[string]int // by field path
	problems fleet.Problems
}

// parseDocuments splits a file into its documents. Comments alone make none.
func parseDocuments(file string, data []byte) ([]*document, fleet.Problems) {
	if p := yamltext.Check(file, data); p != nil {
		return nil, fleet.Problems{*p}
	}
	var docs []*document
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, fleet.Problems{yamltext.SyntaxProblem(file, data, err)}
		}
		if root := node.Content[0]; !isNull(root) {
			docs = append(docs, &document{file: file, root: root, lines: map[string]int{}})
		}
	}
}

// readOne decodes text that must be one document into out, and then calls check.
func readOne(text []byte, out any, check func(*document)) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fleet.Problems{PanicProblem("", reason)}
		}
	}()
	d, problems := parseOne(text)
	if problems != nil {
		return problems
	}
	d.decode(out)
	check(d)
	if len(d.problems) > 0 {
		return d.problems.Sort()
	}
	return nil
}

// parseOne parses text that must be one document, YAML or JSON. It notes what in it could
// not be stored and read again.
func parseOne(text []byte) (*document, fleet.Problems) {
	docs, problems := parseDocuments("", jsonAsYAML(text))
	if problems != nil {
		return nil, problems
	}
	if len(docs) != 1 {
		return nil, fleet.Problems{{Message: fmt.Sprintf("must have one document, has %d", len(docs))}}
	}
	d := docs[0]
	if at, wrong := yamltext.CheckNode(d.root); at != nil {
		return nil, fleet.Problems{{Line: at.Line, Message: wrong}}
	}
	if c := (textCheck{d: d}); !c.check(nil, d.root) {
		return nil, fleet.Problems{{Line: d.root.Line, Message: fmt.Sprintf(
			"aliases expand to more than %d MiB; write the values out", maxExpanded>>20)}}
	}
	return d, nil
}

// PanicProblem is the problem of a file on which a library or Tributary itself panics. It
// must not stop the process that serves the last good release.
func PanicProblem(file string, reason any) fleet.Problem {
	return fleet.Problem{File: file, Message: fmt.Sprintf("Tributary panics on this: %v; please report it with the file, and revert the last change", reason)}
}

// FieldName is the path of a key of the mapping at path.
func FieldName(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// FieldIndex is the path of an element of the list at path.
func FieldIndex(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// problem notes what is wrong with the field at path, at the line of that field or of the
// nearest one around it that is in the document. It notes nothing if the field or
// something in it has a problem already, because the rest follows from that.
func (d *document) problem(path, format string, args ...any) {
	if len(d.problems) >= yamltext.MaxProblems || d.isFaulty(path) {
		return
	}
	d.problems = append(d.problems, fleet.Problem{
		File: d.file, Line: d.line(path), Field: path, Message: fmt.Sprintf(format, args...),
	})
}

// isFaulty reports whether the field at path, or something in it, has a fault.
func (d *document) isFaulty(path string) bool {
	return slices.ContainsFunc(d.problems, func(p fleet.Problem) bool {
		return !p.Warning && (p.Field == path || strings.HasPrefix(p.Field, path+".") || strings.HasPrefix(p.Field, path+"["))
	})
}

// warning notes what does not keep the document from being used.
func (d *document) warning(path, format string, args ...any) {
	before := len(d.problems)
	d.problem(path, format, args...)
	for i := range d.problems[before:] {
		d.problems[before+i].Warning = true
	}
}

func (d *document) line(path string) int {
	for {
		if line, ok := d.lines[path]; ok {
			return line
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return d.root.Line
		}
		path = path[:cut]
	}
}

// nodeDecoder is implemented by fields that their Go type does not fully describe.
type nodeDecoder interface {
	decodeNode(d *document, path string, n *yaml.Node)
}

// decode fills out, a pointer to a struct with json tags. It notes every field that is
// unknown, repeated or of the wrong type.
func (d *document) decode(out any) {
	d.decodeValue("", d.root, reflect.ValueOf(out).Elem())
}

func (d *document) decodeValue(path string, n *yaml.Node, v reflect.Value) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if _, known := d.lines[path]; !known {
		d.lines[path] = n.Line
	}
	if special, ok := v.Addr().Interface().(nodeDecoder); ok {
		special.decodeNode(d, path, n)
		return
	}
	if isNull(n) {
		if isSelector(v.Type()) {
			d.problem(path, "is empty; write {} to select all, or say which")
		}
		return // as in Kubernetes, a field that is null is not set
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if n.Kind != yaml.ScalarNode {
			d.problem(path, "must be one value, is %s", describe(n))
		} else if err := text.UnmarshalText([]byte(n.Value)); err != nil {
			d.problem(path, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decodeValue(path, n, v.Elem())
	case reflect.Struct:
		d.decodeStruct(path, n, v)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		d.eachKey(path, n, func(key string, _ int, child *yaml.Node) {
			element := reflect.New(v.Type().Elem()).Elem()
			d.decodeValue(FieldName(path, key), child, element)
			v.SetMapIndex(reflect.ValueOf(key), element)
		})
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.problem(path, "must be a list, is %s", describe(n))
			return
		}
		for i, child := range n.Content {
			element := reflect.New(v.Type().Elem()).Elem()
			d.decodeValue(FieldIndex(path, i), child, element)
			v.Set(reflect.Append(v, element))
		}
	case reflect.Bool:
		d.decodeScalar(path, n, v, "true or false")
	case reflect.Int:
		d.decodeScalar(path, n, v, "a whole number")
	default:
		d.decodeScalar(path, n, v, "a string")
	}
}

func (d *document) decodeStruct(path string, n *yaml.Node, v reflect.Value) {
	fields := fieldsOf(v.Type())
	d.eachKey(path, n, func(key string, at int, child *yaml.Node) {
		name := FieldName(path, key)
		field, known := fields[key]
		if !known {
			d.lines[name] = at
			known := slices.Sorted(maps.Keys(fields))
			hint := cmp.Or(outdented(v.Type(), key), nearest.Hint(key, known), "; known fields are "+strings.Join(known, ", "))
			d.problem(name, "unknown field%s", hint)
			return
		}
		if isNull(child) && isSelector(v.Type()) {
			d.problem(name, "is empty, and the selector would select all; remove the field, or say which")
		}
		d.decodeValue(name, child, v.Field(field))
	})
}

// outdented says into which field of a struct an unknown one is to be indented; "" for none.
func outdented(t reflect.Type, key string) string {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if inner := t.Field(i).Type; inner.Kind() == reflect.Struct && name != "" {
			if _, known := fieldsOf(inner)[key]; known {
				return "; indent it, so that it is in " + name
			}
		}
	}
	return ""
}

// isSelector reports whether a field of the type selects clusters or objects. One that is
// null may have lost its lines to a comment, and it must not mean all.
func isSelector(t reflect.Type) bool {
	return t == reflect.TypeFor[fleet.Selector]() || t == reflect.TypeFor[*fleet.Selector]()
}

// structFields has the result of fieldsOf for each type.
var structFields sync.Map

// fieldsOf returns the indexes of a struct's fields by their names in JSON.
func fieldsOf(t reflect.Type) map[string]int {
	if fields, ok := structFields.Load(t); ok {
		return fields.(map[string]int)
	}
	fields := map[string]int{}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = i
		}
	}
	structFields.Store(t, fields)
	return fields
}

// eachKey calls f once for each key of a mapping.
func (d *document) eachKey(path string, n *yaml.Node, f func(key string, line int, child *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.problem(path, "must be a mapping of keys to values, is %s", describe(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		name := FieldName(path, key.Value)
		first, again := seen[key.Value]
		d.lines[name] = key.Line
		if again {
			before := len(d.problems)
			d.problem(name, "repeats the key of line %d; remove one", first)
			for i := range d.problems[before:] {
				d.problems[before+i].Column = key.Column
			}
			continue
		}
		seen[key.Value] = key.Line
		f(key.Value, key.Line, n.Content[i+1])
	}
}

func (d *document) decodeScalar(path string, n *yaml.Node, v reflect.Value, want string) {
	if v.Kind() == reflect.String && (n.Kind != yaml.ScalarNode || n.Tag != "!!str") {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = "; put it in quotes"
		}
		d.problem(path, "must be %s, is %s%s", want, describe(n), hint)
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		d.problem(path, "must be %s, is %s", want, describe(n))
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q (%s)", n.Value, strings.TrimPrefix(n.Tag, "!!"))
}
