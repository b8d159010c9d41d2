package render

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// document is one YAML document that Tributary itself reads, with what it takes
// to say where something in it is wrong.
type document struct {
	file     string
	root     *yaml.Node
	lines    map[string]int // by field path
	problems fleet.Problems
}

// parseDocuments splits a file into its documents. Comments alone make none.
func parseDocuments(file string, data []byte) ([]*document, fleet.Problems) {
	if p := checkYAML(file, data); p != nil {
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
			return nil, fleet.Problems{yamlProblem(file, err)}
		}
		root := node.Content[0]
		if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
			continue
		}
		docs = append(docs, &document{file: file, root: root, lines: map[string]int{}})
	}
}

// decode fills out, a pointer to a struct with json tags, and notes every field
// that is unknown, repeated or of the wrong type.
func (d *document) decode(out any) {
	d.value("", d.root, reflect.ValueOf(out).Elem())
}

// problem notes what is wrong with the field at path, at the line of the
// nearest field on the way to it that was written. Where something is wrong with
// the field or in it already, the rest follows from that and is not told.
func (d *document) problem(path, format string, args ...any) {
	if len(d.problems) >= maxProblems {
		return
	}
	for _, p := range d.problems {
		within := p.Field == path || strings.HasPrefix(p.Field, path+".") || strings.HasPrefix(p.Field, path+"[")
		if within && !p.Warning {
			return
		}
	}
	d.problems = append(d.problems, fleet.Problem{
		File: d.file, Line: d.line(path), Field: path, Message: fmt.Sprintf(format, args...),
	})
}

// warning notes what does not keep the document from being used.
func (d *document) warning(path, format string, args ...any) {
	told := len(d.problems)
	d.problem(path, format, args...)
	for i := range d.problems[told:] {
		d.problems[told+i].Warning = true
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

// nodeDecoder is for fields that are more than their Go type says.
type nodeDecoder interface {
	decodeNode(d *document, path string, n *yaml.Node)
}

func (d *document) value(path string, n *yaml.Node, v reflect.Value) {
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
		return // as Kubernetes reads it: a field that is null is not set
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(path, n, text)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, n, v.Elem())
	case reflect.Struct:
		d.structure(path, n, v)
	case reflect.Map:
		d.mapping(path, n, v)
	case reflect.Slice:
		d.sequence(path, n, v)
	case reflect.Interface:
		d.scalar(path, n, v, "a value")
	case reflect.Bool:
		d.scalar(path, n, v, "true or false")
	case reflect.Int:
		d.scalar(path, n, v, "a whole number")
	default:
		d.scalar(path, n, v, "a string")
	}
}

func (d *document) structure(path string, n *yaml.Node, v reflect.Value) {
	fields := fieldsOf(v.Type())
	d.entries(path, n, func(key string, at int, child *yaml.Node) {
		field, known := fields[key]
		if !known {
			d.lines[join(path, key)] = at
			d.problem(join(path, key), "unknown field; known here are %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			return
		}
		d.value(join(path, key), child, v.Field(field))
	})
}

// structFields has the fields of each struct that was ever read.
var structFields sync.Map

// fieldsOf are the places of a struct's fields by their names in JSON.
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

func (d *document) mapping(path string, n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(path, n, func(key string, _ int, child *yaml.Node) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, key), child, element)
		v.SetMapIndex(reflect.ValueOf(key), element)
	})
}

// entries calls f for each key of a mapping, once.
func (d *document) entries(path string, n *yaml.Node, f func(key string, line int, child *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.problem(path, "must be a mapping of keys to values, is %s", describe(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if first, again := seen[key.Value]; again {
			d.lines[join(path, key.Value)] = key.Line
			d.problem(join(path, key.Value), "stands here again, first in line %d; remove one", first)
			continue
		}
		seen[key.Value] = key.Line
		d.lines[join(path, key.Value)] = key.Line
		f(key.Value, key.Line, n.Content[i+1])
	}
}

func (d *document) sequence(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.problem(path, "must be a list, is %s", describe(n))
		return
	}
	for i, child := range n.Content {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(fmt.Sprintf("%s[%d]", path, i), child, element)
		v.Set(reflect.Append(v, element))
	}
}

// text has a type read what was written, whatever YAML takes it for.
func (d *document) text(path string, n *yaml.Node, v encoding.TextUnmarshaler) {
	if n.Kind != yaml.ScalarNode {
		d.problem(path, "must be one value, is %s", describe(n))
	} else if err := v.UnmarshalText([]byte(n.Value)); err != nil {
		d.problem(path, "%v", err)
	}
}

func (d *document) scalar(path string, n *yaml.Node, v reflect.Value, want string) {
	if v.Kind() == reflect.String && (n.Kind != yaml.ScalarNode || n.Tag != "!!str") {
		d.problem(path, "must be %s, is %s%s", want, describe(n), quoteHint(n))
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		d.problem(path, "must be %s, is %s", want, describe(n))
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q (%s)", n.Value, strings.TrimPrefix(n.Tag, "!!"))
}

func quoteHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return "; put it in quotes"
	}
	return ""
}
