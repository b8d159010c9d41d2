package kustomize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// Diagnose says why the build of a placement that passed the vetting failed. It reads every
// kustomization and every object, patch and replacement that the placement leads to, and
// reports, with file and line, what kustomize refuses in it. Where it finds nothing, it
// reports kustomize's own reason, at the place that the reason is about.
//
// kustomize stops at the first file and buries the reason in the list of directories that
// led there. Files are read here after a failure only, because reading all of them at each
// commit would take as long as building.
func (v *Vetting) Diagnose(p fleet.Placement, err error) fleet.Problems {
	var problems fleet.Problems
	for _, d := range v.below(p) {
		if d.dir == "" {
			for _, file := range d.files {
				if data, err := ReadFile(v.tree, file); err == nil {
					problems = append(problems, checkObjects(file, data)...)
				}
			}
		} else if k := v.reread(d); k != nil {
			problems = append(problems, k.check()...)
		}
	}
	if len(problems) > 0 {
		return problems.Sort()
	}
	return fleet.Problems{v.explain(p, err)}
}

// below returns all directories and files that a placement leads to, each once.
func (v *Vetting) below(p fleet.Placement) (all []*vettedDir) {
	seen := map[*vettedDir]bool{}
	var add func(d *vettedDir)
	add = func(d *vettedDir) {
		if d == nil || seen[d] || len(seen) > maxSteps {
			return
		}
		seen[d] = true
		all = append(all, d)
		for _, next := range d.leads {
			add(next)
		}
	}
	for _, dir := range append([]string{p.Overlay}, p.Components...) {
		if resolved, err := followLinks(v.tree, dir); err == nil {
			add(v.dirs[resolved])
		}
	}
	return all
}

// rereadKustomization is a kustomization that is read once more, to find a fault in it.
type rereadKustomization struct {
	v    *Vetting
	dir  string
	file string
	root *yaml.Node
	types.Kustomization
}

// reread reads the kustomization of a directory that was vetted; nil if that fails.
func (v *Vetting) reread(d *vettedDir) *rereadKustomization {
	if d == nil {
		return nil
	}
	k := &rereadKustomization{v: v, dir: d.dir, file: d.file}
	data, err := ReadFile(v.tree, d.file)
	var doc yaml.Node
	if err != nil || yaml.Unmarshal(data, &doc) != nil || k.Unmarshal(data) != nil || len(doc.Content) == 0 {
		return nil
	}
	k.root = doc.Content[0]
	return k
}

func (k *rereadKustomization) problem(line int, field, format string, args ...any) fleet.Problem {
	return fleet.Problem{File: k.file, Line: line, Field: field, Message: fmt.Sprintf(format, args...)}
}

// check says what kustomize refuses in a kustomization and in the files that it alone reads.
func (k *rereadKustomization) check() (problems fleet.Problems) {
	for _, p := range k.patches() {
		problems = append(problems, p.check(k)...)
	}
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		for i, n := range k.entries(field) {
			problems = append(problems, k.checkGenerator(fmt.Sprintf("%s[%d]", field, i), n)...)
		}
	}
	for i, n := range k.entries("replacements") {
		at := fmt.Sprintf("replacements[%d]", i)
		if file := valueOf(n, "path"); file != "" {
			problems = append(problems, k.checkText(file)...)
			continue
		}
		for _, field := range []string{"source", "targets"} {
			if child := yamltext.Child(n, field); child == nil || len(child.Content) == 0 {
				problems = append(problems, k.problem(n.Line, at+"."+field, "must be set"))
			}
		}
	}
	return problems
}

// entries returns the entries of a list of the kustomization.
func (k *rereadKustomization) entries(field string) []*yaml.Node {
	for i := 0; i+1 < len(k.root.Content); i += 2 {
		if n := k.root.Content[i+1]; strings.EqualFold(k.root.Content[i].Value, field) && n.Kind == yaml.SequenceNode {
			return n.Content
		}
	}
	return nil
}

// read returns the name and the text of a file that the kustomization names.
func (k *rereadKustomization) read(file string) (name string, data []byte, err error) {
	name, inside := InTree(k.dir, file)
	if !inside {
		return name, nil, errors.New(Outside(file))
	}
	data, err = ReadFile(k.v.tree, name)
	return name, data, err
}

// checkText reports a file that is not YAML.
func (k *rereadKustomization) checkText(file string) fleet.Problems {
	name, data, err := k.read(file)
	if err != nil {
		return nil
	}
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fleet.Problems{yamltext.SyntaxProblem(name, data, err)}
		}
	}
}

func (k *rereadKustomization) checkGenerator(at string, n *yaml.Node) (problems fleet.Problems) {
	if valueOf(n, "name") == "" {
		problems = append(problems, k.problem(n.Line, at+".name", "must be set"))
	}
	literals := yamltext.Child(n, "literals")
	if literals == nil {
		return problems
	}
	for i, l := range literals.Content {
		if !strings.Contains(l.Value, "=") {
			problems = append(problems, k.problem(l.Line, fmt.Sprintf("%s.literals[%d]", at, i), "%q must be KEY=VALUE", l.Value))
		}
	}
	return problems
}

// patchEntry is a patch of a kustomization: its text, inline or of a file.
type patchEntry struct {
	file   string // that has the text
	inline *yaml.Node
	field  string
	entry  *yaml.Node
	target *yaml.Node
	text   string
}

// patches returns the patches of the kustomization whose files can be read.
func (k *rereadKustomization) patches() (all []patchEntry) {
	for _, field := range []string{"patches", "patchesJson6902", "patchesStrategicMerge"} {
		for i, n := range k.entries(field) {
			p := patchEntry{file: k.file, field: fmt.Sprintf("%s[%d]", field, i), entry: n, target: yamltext.Child(n, "target"), inline: yamltext.Child(n, "patch")}
			file := valueOf(n, "path")
			if n.Kind == yaml.ScalarNode { // of patchesStrategicMerge
				p.inline, file = n, n.Value
			}
			if p.inline != nil {
				p.text = p.inline.Value
			}
			if name, data, err := k.read(file); file != "" && err == nil && (p.inline == nil || n.Kind == yaml.ScalarNode) {
				p.file, p.inline, p.text = name, nil, string(data)
			}
			all = append(all, p)
		}
	}
	return all
}

// at returns where a line of the text is.
func (p *patchEntry) at(line, column int) (file string, l, c int) {
	switch {
	case p.inline == nil:
		return p.file, line, column
	case line > 0 && p.inline.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return p.file, p.inline.Line + line, 0
	}
	return p.file, p.inline.Line, 0
}

// check says what kustomize refuses in a patch.
func (p *patchEntry) check(k *rereadKustomization) (problems fleet.Problems) {
	entry := func(field, format string, args ...any) fleet.Problems {
		return fleet.Problems{k.problem(p.entry.Line, p.field+field, format, args...)}
	}
	isMapping := p.entry.Kind == yaml.MappingNode
	hasPath, hasText := valueOf(p.entry, "path") != "", valueOf(p.entry, "patch") != ""
	switch {
	case isMapping && hasPath && hasText:
		return entry("", "has a path and a patch; remove one of the two")
	case isMapping && !hasPath && !hasText:
		return entry("", "must have a patch, or a path to one")
	}
	if p.target != nil {
		for _, field := range []string{"group", "version", "kind", "name", "namespace"} {
			n := yamltext.Child(p.target, field)
			if n == nil {
				continue
			}
			if _, err := regexp.Compile("^(?:" + n.Value + ")$"); err != nil {
				problems = append(problems, k.problem(n.Line, p.field+".target."+field, "%q is not a regular expression; .* matches any text", n.Value))
			}
		}
	}
	if wrong := CheckPatchText(p.text); wrong != nil {
		file, line, column := p.at(wrong.Line, wrong.Column)
		return append(problems, fleet.Problem{File: file, Line: line, Column: column, Field: p.fieldIn(file, k), Message: wrong.Message})
	}
	if isOperations(p.text) {
		if p.target == nil {
			problems = append(problems, entry(".target", "must be set, because a list of operations names no object")...)
		}
		return problems
	}
	for _, wrong := range checkObjects(p.file, []byte(p.text)) {
		wrong.File, wrong.Line, wrong.Column = p.at(wrong.Line, wrong.Column)
		if p.inline != nil {
			wrong.Field = strings.TrimSuffix(p.field+".patch: "+wrong.Field, ": ")
		}
		problems = append(problems, wrong)
	}
	return problems
}

func (p *patchEntry) fieldIn(file string, k *rereadKustomization) string {
	if file != k.file {
		return ""
	}
	return p.field
}

// isOperations reports whether a text is a list of operations, and not a strategic merge
// patch.
func isOperations(text string) bool {
	var node yaml.Node
	return yaml.Unmarshal([]byte(text), &node) == nil && len(node.Content) > 0 && node.Content[0].Kind == yaml.SequenceNode
}

// TextError is what is wrong in the text of a patch. Lines count from the first of the text;
// 0 where it is unknown.
type TextError struct {
	Line, Column int
	Message      string
}

// Error names the line within the patch.
func (e *TextError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d of the patch: %s", e.Line, e.Message)
}

// operations are those of RFC 6902, with the fields that each needs.
var operations = map[string][]string{
	"add": {"path", "value"}, "remove": {"path"}, "replace": {"path", "value"},
	"move": {"path", "from"}, "copy": {"path", "from"}, "test": {"path", "value"},
}

// CheckPatchText says why a text can be neither a strategic merge patch nor a list of
// operations; nil if that is not in its syntax. kustomize's own error repeats the text and
// says nothing else.
func CheckPatchText(text string) *TextError {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "[") { // kustomize reads such text as JSON
		var any any
		if err := json.Unmarshal([]byte(trimmed), &any); err != nil {
			return &TextError{Message: fmt.Sprintf("begins with [, so it must be JSON: %v; write one operation a line, each after a dash, for YAML", err)}
		}
	}
	for dec := yaml.NewDecoder(strings.NewReader(text)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			p := yamltext.SyntaxProblem("", []byte(text), err)
			return &TextError{p.Line, p.Column, p.Message}
		}
		if wrong := checkOperations(doc.Content[0]); wrong != nil {
			return wrong
		}
	}
}

func checkOperations(list *yaml.Node) *TextError {
	if list.Kind != yaml.SequenceNode {
		return nil
	}
	for i, n := range list.Content {
		wrong := func(at *yaml.Node, format string, args ...any) *TextError {
			return &TextError{at.Line, at.Column, fmt.Sprintf("operation %d: ", i) + fmt.Sprintf(format, args...)}
		}
		op := yamltext.Child(n, "op")
		if op == nil {
			return wrong(n, "op: must be set (RFC 6902)")
		}
		needs, known := operations[op.Value]
		if !known {
			return wrong(op, "op: %q must be add, remove, replace, move, copy or test%s", op.Value, nearest.Hint(op.Value, []string{"add", "remove", "replace", "move", "copy", "test"}))
		}
		if yamltext.Child(n, "path") == nil || slices.Contains(needs, "from") && yamltext.Child(n, "from") == nil {
			return wrong(n, "path: must be set (RFC 6902)")
		}
	}
	return nil
}

// checkObjects says what kustomize refuses in a file of objects.
func checkObjects(file string, data []byte) (problems fleet.Problems) {
	c := objectCheck{file: file}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return c.problems
		}
		if err != nil {
			return append(c.problems, yamltext.SyntaxProblem(file, data, err))
		}
		c.document(doc.Content[0])
	}
}

type objectCheck struct {
	file     string
	start    int // the first line of the document
	problems fleet.Problems
}

func (c *objectCheck) problem(n *yaml.Node, field, format string, args ...any) {
	if len(c.problems) < yamltext.MaxProblems {
		c.problems = append(c.problems, fleet.Problem{File: c.file, Line: n.Line, Column: n.Column, Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

func (c *objectCheck) document(n *yaml.Node) {
	switch {
	case n.ShortTag() == "!!null":
		return
	case n.Kind == yaml.SequenceNode:
		c.problem(n, "", "is a list; write each object as a document of its own, after ---")
		return
	case n.Kind != yaml.MappingNode:
		c.problem(n, "", "must be an object, with apiVersion, kind and metadata.name; is %s a file of objects?", path.Base(c.file))
		return
	}
	before := len(c.problems)
	c.start = n.Line
	c.values("", n)
	if len(c.problems) == before { // otherwise what is missing may follow from that
		c.object("", n)
	}
}

// object checks the identity of an object, or of each in a list of objects.
func (c *objectCheck) object(at string, n *yaml.Node) {
	in := func(field string) string { return strings.TrimPrefix(at+"."+field, ".") }
	kind, metadata := yamltext.Child(n, "kind"), yamltext.Child(n, "metadata")
	if items := yamltext.Child(n, "items"); kind != nil && strings.HasSuffix(kind.Value, "List") && items != nil {
		for i, item := range items.Content {
			c.object(in(fmt.Sprintf("items[%d]", i)), item)
		}
		return
	}
	if kind == nil && metadata == nil && yamltext.Child(n, "apiVersion") == nil {
		c.problem(n, at, "is no Kubernetes object, which has apiVersion, kind and metadata.name; if the file is of another kind, remove its entry from resources")
		return
	}
	for _, field := range []string{"apiVersion", "kind"} {
		value := yamltext.Child(n, field)
		switch other := otherCase(n, field); {
		case value == nil && other != nil:
			c.problem(other, in(field), "must be set; %s is another key, because case matters", other.Value)
		case value == nil || value.Value == "":
			c.problem(cmpNode(value, n), in(field), "must be set")
		}
	}
	name := yamltext.Child(metadata, "name")
	switch {
	case name != nil && name.Kind == yaml.ScalarNode && name.ShortTag() != "!!str" && name.ShortTag() != "!!null":
		c.problem(name, in("metadata.name"), "%s is not a string; put it in quotes", name.Value)
	case name != nil && name.Value != "":
	case yamltext.Child(metadata, "generateName") != nil:
		c.problem(metadata, in("metadata.generateName"), "is not supported by kustomize; give the object a metadata.name")
	case name == nil && yamltext.Child(n, "name") != nil:
		c.problem(yamltext.Child(n, "name"), in("metadata.name"), "must be set; indent name, so that it is in metadata")
	default:
		c.problem(cmpNode(keyOf(metadata, "name"), metadata, n), in("metadata.name"), "must be set")
	}
}

// cmpNode returns the first node that is not nil.
func cmpNode(nodes ...*yaml.Node) *yaml.Node {
	for _, n := range nodes {
		if n != nil {
			return n
		}
	}
	return nil
}

// otherCase returns the key of a mapping that is a field in another case; nil for none.
func otherCase(n *yaml.Node, field string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Value != field && strings.EqualFold(key.Value, field) {
			return key
		}
	}
	return nil
}

// keyOf returns a key of a mapping; nil if it is not there.
func keyOf(n *yaml.Node, name string) *yaml.Node {
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i]
		}
	}
	return nil
}

// valueOf returns the text of a key of a mapping; "" where there is none.
func valueOf(n *yaml.Node, key string) string {
	if value := yamltext.Child(n, key); value != nil {
		return value.Value
	}
	return ""
}

// values checks what is in an object: keys that are no strings or are repeated, and numbers
// that JSON does not have.
func (c *objectCheck) values(path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, at := n.Content[i], strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			first, again := seen[key.Value]
			seen[key.Value] = key.Line
			switch {
			case key.Kind == yaml.MappingNode:
				c.problem(key, path, "has a mapping as a key; is this a template, such as {{ .Values.name }}? Templates are not rendered: write the value")
			case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" && key.ShortTag() != "!!merge":
				c.problem(key, at, "is a key that is not a string; put it in quotes")
			case again && key.ShortTag() != "!!merge":
				c.problem(key, at, "repeats the key of line %d; remove one", first)
			}
			c.values(at, n.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			c.values(fmt.Sprintf("%s[%d]", path, i), child)
		}
	case yaml.AliasNode:
		if n.Alias.Line < c.start {
			c.problem(n, path, "*%s refers to another document; each document needs its own anchors", n.Value)
		}
	case yaml.ScalarNode:
		var f float64
		if n.ShortTag() == "!!float" && (n.Decode(&f) != nil || math.IsInf(f, 0) || math.IsNaN(f)) {
			c.problem(n, path, "%s is a number that JSON does not have; write it as a string", n.Value)
		}
	}
}
